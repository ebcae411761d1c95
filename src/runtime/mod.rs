//! The shared core: actions, their effects, and the steppable init. One file a mechanism.

pub mod action;
pub mod bridge;
pub mod cgroup;
pub mod clock;
pub mod cni;
pub mod device;
pub mod file;
pub mod id_map;
pub mod init;
pub mod ipc;
pub mod join;
pub mod ledger;
pub mod link;
pub mod mount;
pub mod namespace;
pub mod nftables;
pub mod pin;
pub mod process;
pub mod read;
pub mod root;
pub mod rootfs;
pub mod route;
pub mod socket;
pub mod user;
pub mod uts;
pub mod veth;
