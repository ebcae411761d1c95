//! The command line of `hardway registry`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::help;

/// `hardway registry`.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve a store of images to everybody who speaks the OCI distribution protocol
    #[command(after_help = help::REGISTRY_SERVE)]
    Serve(Serve),
}

/// `hardway registry serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The image layout that is served; made where there is none
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// Where to listen: only this machine can reach the default
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// How it asks who it is
    #[arg(long, value_enum, default_value_t = Auth::None)]
    pub auth: Auth,
    /// Who may push, and with --auth also pull; the password is read from $HARDWAY_REGISTRY_PASSWORD
    #[arg(long, value_name = "NAME", required_if_eq_any = [("auth", "basic"), ("auth", "token")])]
    pub user: Option<String>,
    /// Let everybody pull without being asked
    #[arg(long)]
    pub anyone_may_pull: bool,
    /// Answer 404 to a client that does not say in `Accept` that it can read the type of a manifest, as some large registries do
    #[arg(long)]
    pub strict_accept: bool,
    /// The largest blob that may be pushed
    #[arg(long, value_name = "MIB", default_value_t = 16 * 1024, value_parser = value_parser!(u32).range(1..))]
    pub max_upload: u32,
    /// How many pushes of a blob may have begun and not ended; those of yesterday make room
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = value_parser!(u16).range(1..))]
    pub max_uploads: u16,
}

/// How a registry asks who it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Auth {
    /// Not at all
    None,
    /// Name and password with each request
    Basic,
    /// A token, which name and password buy
    Token,
}
