//! hardway: learn Linux containers by building one, one kernel feature at a time, on the real kernel.
//!
//! `ARCHITECTURE.md` has the map.

pub mod agent;
pub mod cni;
pub mod course;
pub mod explain;
pub mod kernel;
pub mod lesson;
pub mod plain;
pub mod probe;
pub mod registry;
pub mod runtime;
pub mod session;
pub mod stages;
pub mod tui;
pub mod walk;
pub mod workload;
