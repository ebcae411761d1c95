//! The kernel's interfaces: system calls with their trace, errno table, identities, and what this machine allows.

pub mod errno;
pub mod namespace;
pub mod program;
pub mod stdio;
pub mod sys;
pub mod trace;
