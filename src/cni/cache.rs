//! What is kept of each attachment from ADD to DEL: the result, the configuration, and the parameters (section 3, adding an attachment).
//!
//! The files are libcni's: `results/NETWORK-CONTAINER-IFNAME`, of the kind `cniCacheV1`. So what another runtime has added can be taken
//! away by pointing at its cache. Each is written beside its place, synced and renamed: a file that is there is whole.

mod lock;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::attachment::Attachment;
use super::config::{MAX_FILE, NetworkList};
use super::error::shown;
use super::names;
use super::result::AddResult;
use crate::explain::Explanation;

pub use lock::Lock;

/// Where root keeps attachments: they are the machine's, and not those of whoever called sudo. Not libcni's own /var/lib/cni: what another
/// runtime keeps of a network of the same name would be stale for `gc`.
pub const ROOTS_CACHE: &str = "/var/lib/hardway/cni";

/// The kind of file that libcni writes since its release 0.8.
const KIND: &str = "cniCacheV1";
/// What the names of files that are being written begin with. No network's name does.
const NEW: &str = ".new-";
/// The longest file: a configuration in base64, a result, and arguments.
const MAX_ENTRY: u64 = 4 * MAX_FILE as u64;
/// The most attachments that are looked at.
const MAX_ENTRIES: usize = 65_536;

/// A directory in which attachments are kept.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

/// What is kept of an attachment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The network's name.
    pub network: String,
    /// The parameters of its ADD.
    pub attachment: Attachment,
    /// The configuration of its ADD; none where it can not be read any more.
    pub list: Option<NetworkList>,
    /// The final result of its ADD, in the version that it was written in; none where ADD was begun and did not end well.
    pub result: Option<AddResult>,
}

/// What is in the place of an attachment.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The attachment.
    Entry(Box<Entry>),
    /// Another one: `a-b` and `c` become the same name as `a` and `b-c`.
    Other,
    /// Something that can not be used, and why.
    Broken(String),
}

/// libcni's `cachedInfo`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    kind: String,
    container_id: String,
    /// In base64.
    config: Option<String>,
    if_name: String,
    network_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capability_args: Option<BTreeMap<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
}

impl Cache {
    /// A cache in this directory, which need not exist yet.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// What is kept of an attachment; none where there is nothing of it.
    ///
    /// # Errors
    /// A file that can not be used.
    pub fn entry(&self, network: &str, attachment: &Attachment) -> Result<Option<Entry>, Explanation> {
        match self.find(network, attachment)? {
            Found::Entry(entry) => Ok(Some(*entry)),
            Found::Nothing | Found::Other => Ok(None),
            Found::Broken(why) => Err(trouble("used", &self.place(network, attachment)?, &why)),
        }
    }

    /// All attachments of a network, in the order of the files' names; those left out whose files can not be used.
    ///
    /// # Errors
    /// A directory that can not be listed.
    pub fn entries(&self, network: &str) -> Result<Vec<Entry>, Explanation> {
        let directory = self.results();
        let bad = |why: &str| trouble("listed", &directory, why);
        let listed = match fs::read_dir(&directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(bad(&error.to_string())),
        };
        let mut paths = Vec::new();
        for one in listed {
            let one = one.map_err(|error| bad(&error.to_string()))?;
            // No identifier but the network's begins the name.
            if one.file_name().to_string_lossy().starts_with(&format!("{network}-")) {
                paths.push(one.path());
            }
            if paths.len() > MAX_ENTRIES {
                return Err(bad(&format!("it has more than {MAX_ENTRIES} files")));
            }
        }
        paths.sort();
        let entries = paths.iter().filter_map(|path| read(path).ok().flatten());
        Ok(entries.filter(|entry| entry.network == network).collect())
    }

    pub(super) fn find(&self, network: &str, attachment: &Attachment) -> Result<Found, Explanation> {
        let path = self.place(network, attachment)?;
        Ok(match read(&path) {
            Ok(None) => Found::Nothing,
            Ok(Some(entry)) if entry.network == network && entry.attachment.named() == attachment.named() => {
                Found::Entry(Box::new(entry))
            }
            Ok(Some(_)) => Found::Other,
            Err(why) => Found::Broken(why),
        })
    }

    /// Keeps an attachment, with its result once there is one. Where this returns, it is on the disk.
    pub(super) fn keep(
        &self,
        list: &NetworkList,
        attachment: &Attachment,
        result: Option<&AddResult>,
    ) -> Result<(), Explanation> {
        let path = self.place(&list.name, attachment)?;
        let write = || -> io::Result<()> {
            let stored = Stored {
                kind: KIND.to_owned(),
                container_id: attachment.container_id.clone(),
                config: Some(STANDARD.encode(list.to_text().as_bytes())),
                if_name: attachment.ifname.clone(),
                network_name: list.name.clone(),
                netns: attachment.netns.clone(),
                cni_args: (!attachment.args.is_empty()).then(|| attachment.args.clone()),
                capability_args: (!attachment.capabilities.is_empty()).then(|| attachment.capabilities.clone()),
                result: result.map(serde_json::value::to_raw_value).transpose()?,
            };
            make(&self.results())?;
            // Unlike every other one, of other processes too.
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let new = self.results().join(format!("{NEW}{}-{number}", std::process::id()));
            // What a process of that number left that was killed here; never written through, it might be a link.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            let written = file
                .write_all(&serde_json::to_vec(&stored)?)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&new, &path));
            if written.is_err() {
                let _ = fs::remove_file(&new);
            }
            written?;
            File::open(self.results())?.sync_all()
        };
        write().map_err(|error| trouble("written", &path, &error.to_string()))
    }

    /// Forgets an attachment.
    pub(super) fn forget(&self, network: &str, attachment: &Attachment) -> Result<(), Explanation> {
        let path = self.place(network, attachment)?;
        if matches!(self.find(network, attachment)?, Found::Other) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble("removed", &path, &error.to_string())),
            _ => Ok(()),
        }
    }

    /// Removes files that were being written when hardway was killed. For who has the lock alone.
    pub(super) fn tidy(&self) {
        for one in fs::read_dir(self.results()).into_iter().flatten().flatten() {
            if one.file_name().to_string_lossy().starts_with(NEW) {
                let _ = fs::remove_file(one.path());
            }
        }
    }

    /// Makes sure that nobody else works on this container, and nobody collects garbage (section 3, lifecycle & ordering).
    pub(super) fn lock_container(&self, id: &str) -> Result<Lock, Explanation> {
        names::container(id)?;
        make(&self.0).and_then(|()| Lock::shared_and(&self.0, id)).map_err(|error| self.not_locked(&error))
    }

    /// Makes sure that nobody adds or deletes anything.
    pub(super) fn lock_all(&self) -> Result<Lock, Explanation> {
        make(&self.0).and_then(|()| Lock::alone(&self.0)).map_err(|error| self.not_locked(&error))
    }

    fn not_locked(&self, error: &io::Error) -> Explanation {
        trouble("locked", &self.0, &error.to_string())
    }

    fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    /// Where an attachment is kept. Its parts are looked at, so that none leads elsewhere.
    fn place(&self, network: &str, attachment: &Attachment) -> Result<PathBuf, Explanation> {
        names::network(network)?;
        names::container(&attachment.container_id)?;
        names::interface(&attachment.ifname)?;
        let name = format!("{network}-{}-{}", attachment.container_id, attachment.ifname);
        if name.len() > names::LONGEST_FILE {
            return Err(Explanation::new(
                "What is kept of an attachment has no name",
                format!("network, container and interface have more than {} bytes together", names::LONGEST_FILE - 2),
                "take a shorter container id, or name of the network",
            ));
        }
        Ok(self.results().join(name))
    }
}

/// Reads a file; none where there is none.
fn read(path: &Path) -> Result<Option<Entry>, String> {
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_ENTRY {
        return Err(format!("it has more than {MAX_ENTRY} bytes"));
    }
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.kind != KIND {
        return Err(format!("it is of the kind `{}`, and not {KIND}", stored.kind.escape_debug()));
    }
    let config = stored.config.as_deref().and_then(|text| STANDARD.decode(text).ok());
    let list = config.and_then(|text| NetworkList::parse(&text, "the configuration that is kept").ok());
    let result = match (&stored.result, &list) {
        (Some(text), Some(list)) => Some(AddResult::parse(text.get().as_bytes(), list.version)?),
        _ => None,
    };
    Ok(Some(Entry {
        network: stored.network_name,
        attachment: Attachment {
            container_id: stored.container_id,
            netns: stored.netns.filter(|path| !path.is_empty()),
            ifname: stored.if_name,
            args: stored.cni_args.unwrap_or_default(),
            capabilities: stored.capability_args.unwrap_or_default(),
        },
        list,
        result,
    }))
}

/// Makes a directory that only its owner may look into.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn trouble(deed: &str, path: &Path, why: &str) -> Explanation {
    Explanation::new(
        format!("What is kept of attachments can not be {deed}"),
        format!("{}: {}", path.display().to_string().escape_debug(), shown(why)),
        "look at the owner and permissions there, or name another directory with --cache",
    )
}

#[cfg(test)]
mod tests;
