//! The roles around the core, and how they talk: transport and supervision only.
//!
//! ```text
//! ui ── keeper ── agent (init of the lab host) ─┬─ worker, one for each deed and sample
//!  └───────────────┘                            ├─ box, served by runtime::init
//!                                               └─ the learner's shell
//! ```

mod boxes;
pub mod client;
pub mod door;
mod groups;
pub mod keeper;
pub mod notices;
pub mod protocol;
pub mod scope;
pub mod server;
pub mod shell;
mod start;
mod systemd;
pub mod tree;
pub mod visit;
