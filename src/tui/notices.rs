//! What the kernel tells of groups and networks by itself: descriptors that a worker in the lab host made are listened to here.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::agent::notices::came_or_went;

/// How long what comes after a notice is gathered: a program that meets its limit does so thousands of times a second.
const GATHER: Duration = Duration::from_millis(150);

/// The listeners; dropped, they end.
#[derive(Debug, Default)]
pub struct Notices {
    listeners: JoinSet<()>,
}

impl Notices {
    /// Listens to the descriptor of inotify, the first, and to those of triggers. What is sent says whether groups came or went.
    pub fn start(fds: Vec<OwnedFd>, to: &Sender<bool>) -> Self {
        let mut listeners = JoinSet::new();
        for (at, fd) in fds.into_iter().enumerate() {
            let says = if at == 0 { Says::Inotify } else { Says::Trigger };
            listeners.spawn(listen(fd, says, to.clone()));
        }
        Self { listeners }
    }

    /// Listens to sockets of route netlink.
    pub fn of_networks(fds: Vec<OwnedFd>, to: &Sender<bool>) -> Self {
        let mut listeners = JoinSet::new();
        for fd in fds {
            listeners.spawn(listen(fd, Says::Netlink, to.clone()));
        }
        Self { listeners }
    }

    /// How many listen.
    pub fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a descriptor says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Events of inotify(7).
    Inotify,
    /// Nothing: that it is ready is all.
    Trigger,
    /// Messages of netlink(7).
    Netlink,
}

async fn listen(fd: OwnedFd, says: Says, to: Sender<bool>) {
    let interest = if says == Says::Trigger { Interest::PRIORITY } else { Interest::READABLE };
    // SAFETY: the file owns the descriptor, and nobody closes it or puts another in its place while the file lives.
    let Ok(fd) = (unsafe { AsyncFd::register_with_interest(File::from(fd), interest) }) else { return };
    let mut events = vec![0; 16 * 1024];
    loop {
        let Ok(mut ready) = fd.ready(interest).await else { return };
        // Edge by edge: what comes from here on makes it ready again.
        ready.clear_ready();
        let mut groups = false;
        // A socket of netlink that has lost messages says so once (ENOBUFS), and takes none until it has been read to its end.
        let mut lost = false;
        loop {
            if says == Says::Trigger {
                break;
            }
            match fd.get_ref().read(&mut events) {
                Ok(length @ 1..) => groups |= says == Says::Inotify && came_or_went(&events[..length]),
                Err(error) if says == Says::Netlink && !lost && error.kind() != ErrorKind::WouldBlock => lost = true,
                _ => break,
            }
        }
        if to.send(groups).await.is_err() {
            return;
        }
        sleep(GATHER).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_notice_is_told_at_once_and_those_after_it_together() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut kernel, ours) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let (to, mut told) = mpsc::channel(4);
            let listeners = Notices::start(vec![ours.into()], &to);
            let second = Duration::from_secs(5);
            kernel.write_all(&[0; 16]).unwrap();
            assert_eq!(timeout(second, told.recv()).await, Ok(Some(false)));
            for _ in 0..50 {
                kernel.write_all(&[0; 16]).unwrap();
            }
            assert_eq!(timeout(second, told.recv()).await, Ok(Some(false)));
            assert!(timeout(GATHER * 2, told.recv()).await.is_err(), "fifty are one");
            drop(listeners);
            drop(to);
            assert_eq!(timeout(second, told.recv()).await, Ok(None));
        });
    }
}
