//! Seeing packets go by: a socket that gets a copy of each that comes in or goes out by any link of a network namespace (packet(7)).
//!
//! The copies are taken from a ring of memory that is shared with the kernel, and not by recvmsg(2): in the ring each has the time at which it
//! went by, in whatever namespace. The kernel turns on stamps for sockets a while after it is asked to, and the first packet is
//! the one that counts.

mod parse;

use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

pub use self::parse::{IcmpError, Packet, Payload, Segment};
use super::trace::{CallError, Trace};

/// The room for one packet and what the kernel notes of it, in bytes. Longer ones are cut: their headers are at the beginning.
const FRAME: usize = 512;

/// For how many packets there is room. What comes then is left out, and counted.
const FRAMES: usize = 512;

/// Where, in such a room, the address of the link is: behind `struct tpacket2_hdr`, at a multiple of 16 (TPACKET_ALIGN).
const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(16);

/// A socket that sees all packets of a network namespace, from when it was opened.
pub struct Tap {
    socket: OwnedFd,
    ring: NonNull<u8>,
    length: NonZeroUsize,
    /// The room that the kernel fills next.
    next: usize,
}

/// A packet that went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When, in nanoseconds of CLOCK_REALTIME.
    pub nanos: u64,
    /// By which link: its index in the namespace.
    pub link: u32,
    /// In which direction, and for whom.
    pub way: Way,
    /// Its bytes, from the header of the network's protocol on.
    pub bytes: Vec<u8>,
}

/// In which direction a packet went by, and for whom it is as its hardware address says (packet(7), `sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In, for this link or for all (`PACKET_HOST`, `PACKET_BROADCAST`, `PACKET_MULTICAST`).
    In,
    /// In, for another hardware address (`PACKET_OTHERHOST`): a bridge's port takes it nevertheless.
    Other,
    /// Out (`PACKET_OUTGOING`).
    Out,
}

impl Tap {
    /// A socket in the network namespace that the calling thread is in now.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW in the user namespace that owns the network namespace, `EAFNOSUPPORT` where the kernel lacks packet(7),
    /// `ENOMEM` without room for the ring.
    pub fn open(trace: &mut Trace) -> Result<Self, CallError> {
        let args = ["AF_PACKET", "SOCK_DGRAM|SOCK_CLOEXEC", "0"].map(str::to_owned).to_vec();
        let made = || {
            // SAFETY: three numbers. With protocol 0 it gets nothing before bind(2) names one.
            let number = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
            // SAFETY: the kernel has just made this descriptor for us alone.
            Errno::result(number).map(|number| unsafe { OwnedFd::from_raw_fd(number) })
        };
        let socket = trace.made("socket", args, made, |fd| i64::from(fd.as_raw_fd()))?;
        let number = socket.as_raw_fd();
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set(trace, number, "PACKET_VERSION", libc::PACKET_VERSION, &version, "TPACKET_V2")?;
        // Blocks are whole pages; a page is a multiple of a frame, so frames follow each other without gaps.
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
        let page = usize::try_from(page).unwrap_or(4096).clamp(FRAME, FRAME * FRAMES);
        let request = libc::tpacket_req {
            tp_block_size: page as libc::c_uint,
            tp_block_nr: (FRAME * FRAMES / page) as libc::c_uint,
            tp_frame_size: FRAME as libc::c_uint,
            tp_frame_nr: FRAMES as libc::c_uint,
        };
        let told = format!("{{tp_frame_size={FRAME}, tp_frame_nr={FRAMES}}}");
        set(trace, number, "PACKET_RX_RING", libc::PACKET_RX_RING, &request, &told)?;
        let length = NonZeroUsize::new(FRAME * FRAMES).unwrap_or(NonZeroUsize::MIN);
        let args = ["NULL", &length.to_string(), "PROT_READ|PROT_WRITE", "MAP_SHARED", &number.to_string(), "0"];
        let args = args.map(str::to_owned).to_vec();
        let made = || {
            // SAFETY: a new mapping, wherever the kernel has room.
            unsafe {
                mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &socket, 0)
            }
        };
        let ring = trace.made("mmap", args, made, |start| start.as_ptr() as i64)?;
        let tap = Self { socket, ring: ring.cast(), length, next: 0 };
        tap.bind(trace)?;
        Ok(tap)
    }

    /// From here on packets are copied: of all protocols, because the outgoing ones are told to such sockets only, and of all links.
    fn bind(&self, trace: &mut Trace) -> Result<(), CallError> {
        // SAFETY: a structure of numbers, for which zeros are values.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        let number = self.socket.as_raw_fd();
        let args = vec![number.to_string(), "{AF_PACKET, ETH_P_ALL, sll_ifindex=0}".to_owned()];
        let made = || {
            let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: an address of the length that is given, which outlives the call.
            Errno::result(i64::from(unsafe { libc::bind(number, (&raw const address).cast(), length) }))
        };
        trace.call("bind", args, made).map(drop)
    }

    /// The packets that went by since the last time, in their order; at most as many as there is room for.
    pub fn take(&mut self) -> Vec<Frame> {
        let mut taken = Vec::new();
        for _ in 0..FRAMES {
            // SAFETY: the rooms are FRAMES times FRAME bytes of the mapping, which begins with a page; `next` is below FRAMES.
            let room = unsafe { self.ring.add(self.next * FRAME) };
            // SAFETY: the status is the first field of a room, aligned as the room is. The kernel changes it too, hence an atomic.
            let status = unsafe { AtomicU32::from_ptr(room.as_ptr().cast()) };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                break;
            }
            // SAFETY: this room is ours until the status is given back: the kernel writes nothing to it meanwhile.
            taken.extend(frame(unsafe { std::slice::from_raw_parts(room.as_ptr(), FRAME) }));
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % FRAMES;
        }
        taken
    }

    /// How many packets had no room (`PACKET_STATISTICS`); the kernel counts from 0 again each time that it is asked.
    pub fn missed(&self) -> u32 {
        let mut counted = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        let (number, level) = (self.socket.as_raw_fd(), libc::SOL_PACKET);
        // SAFETY: the call writes a structure of the length that is given, which outlives it.
        let _ = unsafe {
            libc::getsockopt(number, level, libc::PACKET_STATISTICS, (&raw mut counted).cast(), &raw mut length)
        };
        counted.tp_drops
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and what was taken from it are copies.
        let _ = unsafe { munmap(self.ring.cast(), self.length.get()) };
    }
}

/// A room that the kernel has filled: `struct tpacket2_hdr`, the address of the link, and the packet; none where that can not be.
fn frame(room: &[u8]) -> Option<Frame> {
    let word = |at: usize| Some(u32::from_ne_bytes(*room.get(at..)?.first_chunk()?));
    let (length, seconds, nanos) = (usize::try_from(word(8)?).ok()?, word(16)?, word(20)?);
    // Where the network's header begins, which is where the packet does on such a socket.
    let start = usize::from(u16::from_ne_bytes(*room.get(14..)?.first_chunk()?));
    let address = room.get(ADDRESS..)?;
    let way = match *address.get(10)? {
        libc::PACKET_OUTGOING => Way::Out,
        libc::PACKET_OTHERHOST => Way::Other,
        _ => Way::In,
    };
    Some(Frame {
        nanos: u64::from(seconds) * 1_000_000_000 + u64::from(nanos),
        link: u32::from_ne_bytes(*address.get(4..)?.first_chunk()?),
        way,
        bytes: room.get(start..start.checked_add(length)?)?.to_vec(),
    })
}

/// setsockopt(2) at the level of packets.
fn set<T>(trace: &mut Trace, fd: i32, name: &str, option: i32, value: &T, told: &str) -> Result<(), CallError> {
    let args = [&fd.to_string(), "SOL_PACKET", name, told].map(str::to_owned).to_vec();
    let made = || {
        let (value, length) = (std::ptr::from_ref(value), size_of::<T>() as libc::socklen_t);
        // SAFETY: a value of the length that is given, which outlives the call.
        Errno::result(i64::from(unsafe { libc::setsockopt(fd, libc::SOL_PACKET, option, value.cast(), length) }))
    };
    trace.call("setsockopt", args, made).map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_room_has_a_packet_and_what_is_known_of_it() {
        let mut room = vec![0; FRAME];
        for (at, value) in [(8, 3_u32), (16, 2), (20, 7)] {
            room[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        room[14..16].copy_from_slice(&80_u16.to_ne_bytes());
        room[36..40].copy_from_slice(&5_u32.to_ne_bytes());
        room[42] = libc::PACKET_OUTGOING;
        room[80..83].copy_from_slice(b"abc");
        let seen = Frame { nanos: 2_000_000_007, link: 5, way: Way::Out, bytes: b"abc".to_vec() };
        assert_eq!(frame(&room), Some(seen));
        // A length that goes beyond it.
        room[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(frame(&room), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..FRAME)) {
            let _ = frame(&bytes);
        }
    }
}
