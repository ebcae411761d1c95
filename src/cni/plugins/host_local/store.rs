//! Who has which address: files as the reference keeps them, so that either can go on where the other was.
//!
//! A file has the address for its name, and container and interface in it; `last_reserved_ip.N` has the address of set N that was given last;
//! `lock` is locked by flock(2) while anything is looked at or changed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cni::config::ValidAttachment;

/// More of a file is not read: an id and the name of an interface.
const LONGEST: u64 = 1024;

/// The leases of a network. Whoever has it is alone with them.
pub struct Store {
    directory: PathBuf,
    /// Its lock ends with it.
    _lock: File,
}

/// An address that somebody has.
pub struct Lease {
    /// The address.
    pub ip: IpAddr,
    owner: String,
}

impl Lease {
    /// Whether it is this attachment's. Plugins of old wrote the container's id alone.
    pub fn is_of(&self, attachment: &ValidAttachment) -> bool {
        let mut lines = self.owner.lines().map(str::trim);
        lines.next() == Some(attachment.container_id.as_str())
            && lines.next().is_none_or(|ifname| ifname == attachment.ifname)
    }
}

impl Store {
    /// Waits until nobody else has it.
    ///
    /// # Errors
    /// A directory or lock that can not be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(directory.join("lock"))?;
        lock.lock()?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// All leases. A file whose name is no address is none.
    ///
    /// # Errors
    /// A directory or file that can not be read.
    pub fn leases(&self) -> io::Result<Vec<Lease>> {
        let mut leases = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let Some(ip) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let mut owner = Vec::new();
            File::open(self.directory.join(&name))?.take(LONGEST).read_to_end(&mut owner)?;
            leases.push(Lease { ip, owner: String::from_utf8_lossy(&owner).into_owned() });
        }
        Ok(leases)
    }

    /// The address of a set that was given last.
    pub fn last(&self, set: usize) -> Option<IpAddr> {
        fs::read_to_string(self.last_path(set)).ok()?.trim().parse().ok()
    }

    /// Gives an address to an attachment.
    ///
    /// # Errors
    /// `EEXIST` where somebody has it; a file that can not be written.
    pub fn take(&self, set: usize, ip: IpAddr, owner: &ValidAttachment) -> io::Result<()> {
        let path = self.directory.join(ip.to_string());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        let written = write!(file, "{}\r\n{}", owner.container_id, owner.ifname);
        let written = written.and_then(|()| fs::write(self.last_path(set), ip.to_string()));
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written
    }

    /// Takes an address back. One that nobody has is no error.
    ///
    /// # Errors
    /// A file that can not be removed.
    pub fn free(&self, ip: IpAddr) -> io::Result<()> {
        match fs::remove_file(self.directory.join(ip.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn last_path(&self, set: usize) -> PathBuf {
        self.directory.join(format!("last_reserved_ip.{set}"))
    }
}
