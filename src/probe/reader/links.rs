//! Links of `/proc/PID/ns`, opened: to ask the kernel about a namespace, and to enter it.

use std::fs::File;
use std::io;
use std::rc::Rc;

use super::Reader;
use crate::kernel::enter;
use crate::kernel::namespace::Namespace;
use crate::probe::Process;

/// The most that are kept open: a process may have 1024 descriptors where nobody has changed that (getrlimit(2), RLIMIT_NOFILE).
const MAX_OPEN: usize = 512;

impl Reader {
    /// The namespace of a kind that a process is in. What one member has opened serves for all of them, and for all questions of one
    /// observation.
    pub(in crate::probe) fn namespace(&mut self, process: &Process, kind: Namespace) -> io::Result<Rc<File>> {
        let inode = process.namespaces.inode(kind);
        if let Some(open) = inode.and_then(|inode| self.opened.get(&inode)) {
            return Ok(Rc::clone(open));
        }
        let file = Rc::new(File::open(self.proc.join(format!("{}/ns/{kind}", process.pid)))?);
        if let Some(inode) = inode.filter(|_| self.opened.len() < MAX_OPEN) {
            self.opened.insert(inode, Rc::clone(&file));
        }
        Ok(file)
    }

    /// Moves this thread into the namespace of a kind that a process is in, **for good**.
    pub(super) fn enter(&mut self, process: &Process, kind: Namespace) -> io::Result<()> {
        enter::namespace(&*self.namespace(process, kind)?, kind)
    }
}
