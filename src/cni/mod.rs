//! The runtime's side of the Container Network Interface, specification 1.1.0: reading network configurations, running plugins
//! over them, and keeping what they answered.
//!
//! A plugin is a program: six variables and a JSON text go in, a JSON text comes out. Each run is an [`exchange::Exchange`], kept
//! whole, so that it can be shown.

pub mod attachment;
pub mod cache;
pub mod config;
pub mod error;
pub mod exchange;
pub mod json;
pub mod names;
pub mod plugins;
pub mod result;
pub mod runner;
pub mod version;

/// Where plugins are looked for by default: where their own releases go, and where Debian puts them.
pub const DEFAULT_PATH: &str = "/opt/cni/bin:/usr/lib/cni";

/// Where network configurations are looked for by default (libcni's directory).
pub const DEFAULT_CONF_DIR: &str = "/etc/cni/net.d";
