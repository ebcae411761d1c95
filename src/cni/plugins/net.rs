//! A network namespace to work in: the one that the plugin was started in, or the container's.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use super::frame::{Call, Fault, code, fault};
use crate::kernel::enter;
use crate::kernel::netlink::{Link, Netlink};
use crate::kernel::trace::{CallError, Trace};

/// A socket for requests of routes, links and addresses. What is traced is not shown: a plugin has nobody to show it to.
pub(super) struct Net {
    netlink: Netlink,
    trace: Trace,
}

impl Net {
    /// In the network namespace that this thread is in.
    pub fn here() -> Result<Self, Fault> {
        Ok(Self { netlink: Netlink::open()?, trace: Trace::new("plugin") })
    }

    /// Makes a request that changes something.
    pub fn ask<T>(&mut self, request: impl FnOnce(&mut Netlink, &mut Trace) -> T) -> T {
        request(&mut self.netlink, &mut self.trace)
    }

    /// [`Self::ask`] where it may have been done already, or by somebody else: these errors are none.
    pub fn ask_unless(
        &mut self,
        done: &[&str],
        request: impl FnOnce(&mut Netlink, &mut Trace) -> Result<(), CallError>,
    ) -> Result<(), Fault> {
        match self.ask(request) {
            Err(error) if done.contains(&error.errno.name().as_str()) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Asks what there is.
    pub fn read<T>(&mut self, what: impl FnOnce(&mut Netlink) -> io::Result<T>) -> Result<T, Fault> {
        Ok(what(&mut self.netlink)?)
    }

    /// A link that has to be there.
    pub fn link(&mut self, name: &str) -> Result<Link, Fault> {
        let found = self.read(|netlink| netlink.link(name))?;
        found.ok_or_else(|| fault(code::STATE, format!("there is no link {name}"), ""))
    }
}

/// The container's network namespace.
pub(super) struct Sandbox(File);

impl Sandbox {
    /// That of ADD and CHECK, which has to be there, and another one than the host's.
    pub fn of(call: &Call) -> Result<Self, Fault> {
        let path = call.netns.as_deref().unwrap_or_default();
        let bad = |why: String| fault(code::VARIABLE, format!("the network namespace {path} can not be entered"), why);
        let file = File::open(path).map_err(|error| bad(error.to_string()))?;
        let sandbox = Self(file);
        match sandbox.is_own() {
            Ok(false) => {}
            Ok(true) => return Err(bad("it is the one that the plugin was started in".to_owned())),
            Err(error) => return Err(bad(error.to_string())),
        }
        // A file that is left where a namespace was mounted is none.
        enter::in_network(&sandbox.0, || ()).map_err(|error| bad(error.to_string()))?;
        Ok(sandbox)
    }

    /// That of DEL; none where it is gone.
    pub fn if_there(call: &Call) -> Option<Self> {
        Self::of(call).ok()
    }

    fn is_own(&self) -> io::Result<bool> {
        let (one, own) = (self.0.metadata()?, std::fs::metadata("/proc/thread-self/ns/net")?);
        Ok((one.dev(), one.ino()) == (own.dev(), own.ino()))
    }

    /// Works there.
    pub fn enter<T: Send>(&self, deed: impl FnOnce(&mut Net) -> Result<T, Fault> + Send) -> Result<T, Fault> {
        enter::in_network(&self.0, || Net::here().and_then(|mut net| deed(&mut net)))?
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sets a sysctl of the network namespace that this thread is in, where it has another value. One that may not be written and is right already
/// is no error.
pub(super) fn sysctl(key: &str, value: &str) -> Result<(), Fault> {
    let path = format!("/proc/sys/{key}");
    let bad = |error: io::Error| fault(code::IO, format!("the sysctl {key} can not be set"), error.to_string());
    if std::fs::read_to_string(&path).map_err(bad)?.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(bad)
}
