//! Images on their way: pull, push, copy, save, load.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use hardway::explain::Explanation;
use rootfs_fetch::archive::{self, ArchiveError, Format, Limits, Named};
use rootfs_fetch::client::{Client, ClientError, Credentials, Options, Refusal, Secret};
use rootfs_fetch::image::{Descriptor, Platform, Reference, here};
use rootfs_fetch::store::Store;
use rootfs_fetch::transfer::{Moved, Platforms, Transfer, TransferError, Trouble};
use serde_json::{Value, json};

use super::progress::{self, Bars, Verbose, bytes};
use super::{What, find, open, platform, read_platform};
use crate::cli::image::{Copy, Kind, Place, Pull, Push, Remote, Save};
use crate::commands::{PASSWORD, say};

/// `hardway image pull`.
pub fn pull(options: &Pull) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be pulled", options.image);
    let from = reference(&options.image).what(&what)?;
    let store = open(&options.place)?;
    let platforms = match options.all_platforms {
        true => Platforms::All,
        false => Platforms::One(platform(&options.platforms)?),
    };
    let client = client(&options.remote, &from)?;
    let name = options.name.as_ref().unwrap_or(&options.image);
    let pulled = transfer(&options.remote, &what)?.platforms(platforms).pull(&client, &from, &store, name);
    let pulled = pulled.map_err(|error| failed(&what, &error))?;
    let object = json!({"format": 1, "name": name, "descriptor": pulled.descriptor, "index": pulled.index, "moved": counts(pulled.moved)});
    let text = format!("{name} is {}: {}", pulled.descriptor.digest(), words(pulled.moved, "fetched"));
    say(&if options.remote.json { object.to_string() } else { text });
    Ok(ExitCode::SUCCESS)
}

/// `hardway image push`.
pub fn push(options: &Push) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be pushed", options.name);
    let store = open(&options.place)?;
    let descriptor = find(&store, &options.name)?;
    let to = options.to.as_ref().unwrap_or(&options.name);
    let to = reference(to).what(&what)?;
    let client = client(&options.remote, &to)?;
    let transfer = transfer(&options.remote, &what)?
        .platforms(which(options.platform.as_deref())?)
        .mount_from(options.mount_from.clone());
    let pushed = transfer.push(&client, &store, &descriptor, &to).map_err(|error| failed(&what, &error))?;
    let object = json!({"format": 1, "to": to.whole(), "descriptor": pushed.descriptor, "moved": counts(pushed.moved)});
    let text = format!("{} is {}: {}", to.whole(), pushed.descriptor.digest(), words(pushed.moved, "sent"));
    say(&if options.remote.json { object.to_string() } else { text });
    Ok(ExitCode::SUCCESS)
}

/// `hardway image copy`: into a store, and out of it. Where neither end is one, there is one between them for a while.
pub fn copy(options: &Copy) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be copied to {}", options.from, options.to);
    let (from, to) = (End::read(&options.from).what(&what)?, End::read(&options.to).what(&what)?);
    let transfer = transfer(&options.remote, &what)?.platforms(which(options.platform.as_deref())?);
    let between = tempfile::tempdir().what(&what)?;
    let arrives = to.store(&options.place)?.map_or_else(|| Store::open(between.path()).what(&what), Ok)?;
    let name = to.name().unwrap_or("copied");
    let mut moved = None;
    let (store, descriptor) = match &from {
        End::Registry(from) => {
            let pulled = transfer.pull(&client(&options.remote, from)?, from, &arrives, name);
            let pulled = pulled.map_err(|error| failed(&what, &error))?;
            moved = Some(pulled.moved);
            (arrives.clone(), pulled.descriptor)
        }
        End::Archive(_, file, wanted) => {
            let descriptor = only(load_archive(Some(file), &arrives).what(&what)?, wanted.as_deref()).what(&what)?;
            arrives.tag(name, &descriptor).what(&what)?;
            (arrives.clone(), descriptor)
        }
        End::Named(name) | End::Layout(_, name) => {
            let store = from.store(&options.place)?.unwrap_or_else(|| arrives.clone());
            let descriptor = find(&store, name)?;
            (store, descriptor)
        }
    };
    let descriptor = match &to {
        End::Registry(to) => {
            let pushed = transfer.push(&client(&options.remote, to)?, &store, &descriptor, to);
            let pushed = pushed.map_err(|error| failed(&what, &error))?;
            moved = Some(pushed.moved);
            pushed.descriptor
        }
        End::Archive(kind, file, name) => {
            let platform = options.platform.as_deref().map_or_else(|| Ok(here()), read_platform)?;
            save_archive(&store, &[(name.clone(), descriptor.clone())], *kind, platform, Some(file)).what(&what)?;
            descriptor
        }
        End::Named(_) | End::Layout(..) if store.root() == arrives.root() => {
            arrives.tag(name, &descriptor).what(&what)?;
            descriptor
        }
        End::Named(_) | End::Layout(..) => {
            let copied = transfer.copy(&store, &descriptor, &arrives, name).map_err(|error| failed(&what, &error))?;
            moved = Some(copied.moved);
            copied.descriptor
        }
    };
    let object = json!({"format": 1, "from": options.from, "to": options.to, "descriptor": descriptor, "moved": moved.map(counts)});
    let told = moved.map_or_else(String::new, |moved| format!(": {}", words(moved, "moved")));
    let text = format!("{} is {}{told}", options.to, descriptor.digest());
    say(&if options.remote.json { object.to_string() } else { text });
    Ok(ExitCode::SUCCESS)
}

/// `hardway image save`.
pub fn save(options: &Save) -> Result<ExitCode, Explanation> {
    let store = open(&options.place)?;
    let named = |name: &String| Ok((Some(name.clone()), find(&store, name)?));
    let images = options.names.iter().map(named).collect::<Result<Vec<_>, Explanation>>()?;
    let platform = platform(&options.platforms)?;
    if options.output.is_none() && io::stdout().is_terminal() {
        let why = "standard output is a terminal, and an archive is not for reading";
        return Err(Explanation::new("The images were not saved", why, "name a file with -o, or redirect the output"));
    }
    save_archive(&store, &images, options.format, platform, options.output.as_deref())
        .what("The images can not be saved")?;
    Ok(ExitCode::SUCCESS)
}

/// `hardway image load`.
pub fn load(input: Option<&Path>, place: &Place) -> Result<ExitCode, Explanation> {
    let what = "The images can not be loaded";
    let store = open(place)?;
    for (name, descriptor) in load_archive(input, &store).what(what)? {
        // What has no name would be taken away by gc: it gets its digest for one.
        let name = name.unwrap_or_else(|| descriptor.digest().to_string());
        store.tag(&name, &descriptor).what(what)?;
        say(&format!("{name} is {}", descriptor.digest()));
    }
    Ok(ExitCode::SUCCESS)
}

fn load_archive(input: Option<&Path>, store: &Store) -> Result<Vec<Named>, ArchiveError> {
    let limits = Limits::default();
    match input {
        None => archive::load(io::stdin().lock(), store, &limits),
        Some(path) => archive::load(fs::File::open(path).map_err(ArchiveError::Read)?, store, &limits),
    }
}

/// Writes an archive; at its name in one step, so that nobody takes the half of one for the whole.
fn save_archive(
    store: &Store,
    images: &[Named],
    kind: Kind,
    platform: Platform,
    output: Option<&Path>,
) -> Result<(), ArchiveError> {
    let format = match kind {
        Kind::Oci => Format::Oci,
        Kind::Docker => Format::Docker(platform),
    };
    let Some(path) = output else { return archive::save(store, images, &format, io::stdout().lock()) };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(ArchiveError::Write)?;
    archive::save(store, images, &format, io::BufWriter::new(file.as_file_mut()))?;
    file.persist(path).map(drop).map_err(|error| ArchiveError::Write(error.error))
}

/// The one image of an archive that is meant.
fn only(images: Vec<Named>, wanted: Option<&str>) -> Result<Descriptor, String> {
    let names: Vec<String> = images.iter().filter_map(|(name, _)| name.clone()).collect();
    let mut fit: Vec<Descriptor> = images
        .into_iter()
        .filter(|(name, _)| wanted.is_none() || name.as_deref() == wanted)
        .map(|(_, descriptor)| descriptor)
        .collect();
    fit.dedup();
    match <[Descriptor; 1]>::try_from(fit) {
        Ok([one]) => Ok(one),
        Err(_) => Err(format!("name one of its images, as FILE:NAME; it has {}", names.join(", "))),
    }
}

/// One end of a copy, in the words of skopeo (containers-transports(5)).
enum End {
    /// A name in the store.
    Named(String),
    /// A registry's.
    Registry(Reference),
    /// Another layout's.
    Layout(PathBuf, String),
    /// An archive's, where it needs one.
    Archive(Kind, PathBuf, Option<String>),
}

impl End {
    fn read(text: &str) -> Result<Self, String> {
        let parts = |rest: &str| match rest.split_once(':') {
            Some((path, name)) => (PathBuf::from(path), Some(name.to_owned())),
            None => (PathBuf::from(rest), None),
        };
        let archive = |kind, rest| {
            let (path, name) = parts(rest);
            Ok(Self::Archive(kind, path, name))
        };
        match text.split_once(':') {
            Some(("docker", rest)) => {
                let rest =
                    rest.strip_prefix("//").ok_or("a registry's image is written docker://REGISTRY/REPOSITORY:TAG")?;
                Ok(Self::Registry(reference(rest)?))
            }
            Some(("oci", rest)) => {
                let (path, name) = parts(rest);
                let name = name.ok_or("an image in a layout is written oci:DIR:NAME")?;
                Ok(Self::Layout(path, name))
            }
            Some(("oci-archive", rest)) => archive(Kind::Oci, rest),
            Some(("docker-archive", rest)) => archive(Kind::Docker, rest),
            _ => Ok(Self::Named(text.to_owned())),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) | Self::Layout(_, name) => Some(name),
            Self::Registry(_) | Self::Archive(..) => None,
        }
    }

    fn store(&self, place: &Place) -> Result<Option<Store>, Explanation> {
        match self {
            Self::Named(_) => open(place).map(Some),
            Self::Layout(directory, _) => open(&Place { store: Some(directory.clone()) }).map(Some),
            Self::Registry(_) | Self::Archive(..) => Ok(None),
        }
    }
}

fn reference(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error| format!("{text:?} is no reference, [REGISTRY/]REPOSITORY[:TAG][@DIGEST]: {error}"))
}

/// All platforms, unless one is named.
fn which(platform: Option<&str>) -> Result<Platforms, Explanation> {
    platform.map_or(Ok(Platforms::All), |words| read_platform(words).map(Platforms::One))
}

fn client(options: &Remote, reference: &Reference) -> Result<Client, Explanation> {
    let trouble = |why: String, fix: &str| Explanation::new("The registry can not be asked", why, fix);
    let mut asked = Options::from_environment();
    if let Some(user) = &options.user {
        let password = std::env::var(PASSWORD).unwrap_or_default();
        if password.is_empty() {
            return Err(trouble(format!("${PASSWORD} is empty"), "set it in the environment"));
        }
        let given = (reference.registry().to_owned(), (user.clone(), Secret::new(password)));
        asked.credentials = Credentials::Given([given].into());
    }
    asked.plain_http.extend(options.plain_http.iter().map(|host| (host.clone(), true)));
    asked.certificates.extend(options.certificate.iter().cloned());
    for mirror in &options.mirror {
        let (registry, url) =
            mirror.split_once('=').ok_or_else(|| trouble(format!("{mirror:?} has no ="), "write REGISTRY=URL"))?;
        asked.mirrors.entry(registry.to_owned()).or_default().push(url.to_owned());
    }
    if options.verbose {
        asked.observer = Some(Arc::new(Verbose));
    }
    Client::new(asked).map_err(|error| trouble(error.to_string(), "see the options"))
}

fn transfer(options: &Remote, what: &str) -> Result<Transfer, Explanation> {
    let cancel = progress::cancelled_by_signals().what(what)?;
    let transfer = Transfer::new().jobs(options.jobs.into()).cancel(cancel);
    Ok(if options.json || options.verbose { transfer } else { transfer.progress(Arc::new(Bars::new())) })
}

/// What went wrong on the way, and what a person can do about it.
fn failed(what: &str, error: &TransferError) -> Explanation {
    let fix = match &error.why {
        Trouble::Client(ClientError::PlainHttp { host }) => {
            format!("if you trust the network between: --plain-http {host}")
        }
        Trouble::Client(ClientError::Tls { .. }) => {
            "see the registry's certificate; --certificate FILE trusts one more".to_owned()
        }
        Trouble::Client(ClientError::Dns { .. } | ClientError::Connect { .. }) => {
            "see that the registry is there: the name begins with its host, or is docker.io's".to_owned()
        }
        Trouble::Client(client) => match client.refusal() {
            Some(Refusal::Unauthorized | Refusal::Forbidden) => {
                format!("say who you are: --user NAME with the password in ${PASSWORD}, or `podman login`")
            }
            Some(Refusal::NotFound) => "see its name and tag; a registry may also hide what you may not see".to_owned(),
            Some(Refusal::TooManyRequests | Refusal::Server) => {
                "try again later: it goes on where it stopped".to_owned()
            }
            _ => String::new(),
        },
        Trouble::Platform { .. } => "choose one of these with --platform".to_owned(),
        Trouble::Cancelled => "the same command goes on where it stopped".to_owned(),
        _ => String::new(),
    };
    Explanation::new(what, error.to_string(), fix)
}

fn counts(moved: Moved) -> Value {
    json!({"blobs": moved.blobs, "bytes": moved.bytes, "there": moved.there, "mounted": moved.mounted})
}

fn words(moved: Moved, deed: &str) -> String {
    let mut parts = vec![format!("{} {deed}, {}", blobs(moved.blobs), bytes(moved.bytes))];
    if moved.there > 0 {
        parts.push(format!("{} there already", blobs(moved.there)));
    }
    if moved.mounted > 0 {
        parts.push(format!("{} taken from another repository", blobs(moved.mounted)));
    }
    parts.join("; ")
}

fn blobs(count: usize) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}
