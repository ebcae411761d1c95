//! How hardway's processes talk: typed frames over a socket pair, versioned, bounded in size, with descriptors beside them
//! where needed (unix(7), SCM_RIGHTS).
//!
//! A frame is the two bytes `HW`, the version (u16), the length of the body (u32), both little-endian, and the body in JSON.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::children::readable;

/// Version of the frames and of all messages in them. All roles are one binary, so any other version is a mistake.
pub const VERSION: u16 = 1;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 8 << 20;

/// The most descriptors that travel with one frame.
const MAX_FDS: usize = 4;

const HEADER: usize = 8;

/// One end of a connection between two roles.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
}

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end is gone.
    #[error("the other process has ended")]
    Closed,
    /// Nothing arrived in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What arrived is not a frame of this version, is too long, or does not hold the expected message.
    #[error("not understood: {0}")]
    Malformed(String),
}

impl Channel {
    /// A connected pair; both ends are close-on-exec.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Takes over a descriptor that was received from another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { socket: fd.into() }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`FrameError::Closed`] where nobody listens any more; [`FrameError::Malformed`] for a message beyond [`MAX_BODY`].
    pub fn send(&self, message: &impl Serialize) -> Result<(), FrameError> {
        self.send_with(message, &[])
    }

    /// Sends a message and duplicates of some descriptors.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send_with(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<(), FrameError> {
        let body = serde_json::to_vec(message).map_err(|error| FrameError::Malformed(error.to_string()))?;
        self.send_body(&body, fds)
    }

    /// Sends a body that is already serialised.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send_body(&self, body: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), FrameError> {
        let header = header(body.len())?;
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
        // MSG_NOSIGNAL: a reader that has gone is an error of this call, not a signal for the whole process.
        let flags = MsgFlags::MSG_NOSIGNAL;
        let sent = loop {
            match sendmsg::<()>(
                self.socket.as_raw_fd(),
                &[IoSlice::new(&header), IoSlice::new(body)],
                control,
                flags,
                None,
            ) {
                Ok(sent) => break sent,
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(FrameError::Closed),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        };
        // Where not all of it went out at once, the rest of either part.
        let (header_sent, body_sent) = (sent.min(HEADER), sent.saturating_sub(HEADER));
        let mut socket = &self.socket;
        socket.write_all(&header[header_sent..]).and_then(|()| socket.write_all(&body[body_sent..])).map_err(closed)
    }

    /// Receives a message; `at_most` bounds the wait.
    ///
    /// # Errors
    /// [`FrameError`], each kind of which says what happened.
    pub fn receive<T: DeserializeOwned>(&self, at_most: Option<Duration>) -> Result<T, FrameError> {
        self.receive_with(at_most).map(|(message, _)| message)
    }

    /// Receives a message and the descriptors that travelled with it.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_with<T: DeserializeOwned>(
        &self,
        at_most: Option<Duration>,
    ) -> Result<(T, Vec<OwnedFd>), FrameError> {
        let (body, fds) = self.receive_body(at_most)?;
        Ok((understood(&body)?, fds))
    }

    /// Receives a message as it was sent, for [`understood`].
    ///
    /// # Errors
    /// As [`Channel::receive`], but [`FrameError::Malformed`] only for a message beyond [`MAX_BODY`].
    pub fn receive_body(&self, at_most: Option<Duration>) -> Result<(Vec<u8>, Vec<OwnedFd>), FrameError> {
        let wait = Wait { at_most, deadline: at_most.map(|at_most| Instant::now() + at_most) };
        if at_most.is_some() {
            // Whoever has just asked is here before the answer.
            wait.until_readable(self)?;
        }
        let mut start = [0; HEADER];
        let mut fds = Vec::new();
        self.fill(&mut start, &mut fds, &wait)?;
        let mut body = vec![0; body_length(start)?];
        self.fill(&mut body, &mut fds, &wait)?;
        Ok((body, fds))
    }

    /// Receives until the buffer is full, and all descriptors that come with it.
    ///
    /// Waits by poll(2) and not in recvmsg(2): that would be woken, for nothing, each time the other end has taken what was
    /// sent to it (unix sockets have one wait queue for both directions).
    fn fill(&self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>, wait: &Wait) -> Result<(), FrameError> {
        let mut space = cmsg_space!([i32; MAX_FDS]);
        let mut filled = 0;
        while filled < buffer.len() {
            let mut rest = [IoSliceMut::new(&mut buffer[filled..])];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut rest, Some(&mut space), flags) {
                Ok(message) => {
                    for control in message.cmsgs().map_err(io::Error::from)? {
                        if let ControlMessageOwned::ScmRights(raw) = control {
                            // SAFETY: the kernel has just installed these descriptors for us alone.
                            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                        }
                    }
                    if message.bytes == 0 {
                        return Err(FrameError::Closed);
                    }
                    filled += message.bytes;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => wait.until_readable(self)?,
                Err(Errno::ECONNRESET) => return Err(FrameError::Closed),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
        Ok(())
    }
}

/// The message that a body is.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|error| FrameError::Malformed(error.to_string()))
}

/// How long a whole frame is waited for.
struct Wait {
    at_most: Option<Duration>,
    deadline: Option<Instant>,
}

impl Wait {
    fn until_readable(&self, channel: &Channel) -> Result<(), FrameError> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let [ready] = readable([channel.as_fd()], left);
        if !ready && left.is_some_and(|left| left.is_zero()) {
            return Err(FrameError::Late(self.at_most.unwrap_or_default()));
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket.into()
    }
}

fn closed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => FrameError::Closed,
        _ => FrameError::Io(error),
    }
}

/// The header of a frame.
fn header(length: usize) -> Result<[u8; HEADER], FrameError> {
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length as usize <= MAX_BODY)
        .ok_or_else(|| FrameError::Malformed(format!("a message of {length} bytes; at most {MAX_BODY} are allowed")))?;
    let mut header = *b"HW\0\0\0\0\0\0";
    header[2..4].copy_from_slice(&VERSION.to_le_bytes());
    header[4..].copy_from_slice(&length.to_le_bytes());
    Ok(header)
}

/// The length of the body that a header announces.
fn body_length(header: [u8; HEADER]) -> Result<usize, FrameError> {
    let [h, w, v0, v1, rest @ ..] = header;
    let version = u16::from_le_bytes([v0, v1]);
    let length = u32::from_le_bytes(rest) as usize;
    if [h, w] != *b"HW" || version != VERSION || length > MAX_BODY {
        return Err(FrameError::Malformed(format!("a frame that begins with {header:?}")));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (one, other) = Channel::pair().expect("a pair");
        let (mut read, write) = crate::kernel::stdio::pipe();
        one.send_with(&vec!["a", "b"], &[write.as_fd()]).expect("sent");
        drop(write);
        let (message, fds): (Vec<String>, _) = other.receive_with(None).expect("received");
        assert_eq!(message, ["a", "b"]);
        let mut sent: std::fs::File = fds.into_iter().next().expect("one descriptor").into();
        sent.write_all(b"through").expect("written");
        drop(sent);
        let mut text = String::new();
        read.read_to_string(&mut text).expect("read");
        assert_eq!(text, "through");
    }

    #[test]
    fn silence_and_an_end_are_told_apart() {
        let (one, other) = Channel::pair().expect("a pair");
        let wait = Duration::from_millis(5);
        assert!(matches!(other.receive::<()>(Some(wait)), Err(FrameError::Late(_))));
        drop(one);
        assert!(matches!(other.receive::<()>(None), Err(FrameError::Closed)));
        assert!(matches!(other.send(&()), Err(FrameError::Closed)));
    }

    #[test]
    fn a_long_message_is_refused_before_it_is_sent() {
        let (one, _other) = Channel::pair().expect("a pair");
        assert!(matches!(one.send(&"x".repeat(MAX_BODY)), Err(FrameError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn a_header_is_ours_or_refused(bytes: [u8; 8]) {
            if let Ok(length) = body_length(bytes) {
                prop_assert_eq!(header(length).expect("short enough"), bytes);
            }
        }

        #[test]
        fn any_bytes_are_received_or_refused(bytes: Vec<u8>) {
            let (one, other) = Channel::pair().expect("a pair");
            (&one.socket).write_all(&bytes).expect("written");
            drop(one);
            let _ = other.receive::<Vec<u32>>(Some(Duration::from_millis(50)));
        }
    }
}
