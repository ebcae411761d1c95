//! The shared core: actions, their effects, and the steppable init. One file a mechanism.

pub mod action;
pub mod cgroup;
pub mod init;
pub mod ipc;
pub mod ledger;
pub mod mount;
pub mod namespace;
pub mod process;
pub mod sysctl;
pub mod uts;
