//! The shared core: actions, their effects, and the steppable init. One file a mechanism.

pub mod action;
pub mod init;
pub mod join;
pub mod ledger;
pub mod link;
pub mod mount;
pub mod namespace;
pub mod pin;
pub mod process;
pub mod socket;
pub mod uts;
