//! The command line of what makes images, and signs them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Kind, Place, Platforms};

/// `hardway image pack`.
#[derive(Debug, Args)]
pub struct Pack {
    /// The name that the image gets in the store
    pub name: String,
    /// The directory whose contents become a layer; without, only the config is a new one
    #[arg(value_name = "DIR", required_unless_present = "from")]
    pub tree: Option<PathBuf>,
    /// The image below: its layers, its history and its config
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// Only what differs from this directory, and whiteouts for what is gone
    #[arg(long, value_name = "DIR", requires_all = ["tree", "from"])]
    pub lower: Option<PathBuf>,
    /// The directory is the upper one of an overlay
    #[arg(long, requires_all = ["tree", "from"], conflicts_with = "lower")]
    pub upper: bool,
    /// How the layer is compressed
    #[arg(long, value_enum, default_value_t = Squeeze::Gzip)]
    pub compression: Squeeze,
    /// How hard: 0 to 9 of gzip, which takes 6 without, 1 to 22 of zstd, which takes 3
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=22))]
    pub level: Option<u8>,
    /// The words of its manifest; those of the image below without, or OCI's
    #[arg(long, value_enum)]
    pub format: Option<Kind>,
    /// What the history says of the layer
    #[arg(long, value_name = "TEXT")]
    pub created_by: Option<String>,
    /// A variable of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A label
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Who runs it: USER[:GROUP]
    #[arg(long)]
    pub user: Option<String>,
    /// The directory in which it is run
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<String>,
    /// A word of what is run; once for each
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// A word of its arguments, or of the command; once for each
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// `hardway image sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The image's name in the store
    pub name: String,
    /// The secret key, in PEM
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The name that is signed with it; the one in the store without
    #[arg(long = "as", value_name = "REFERENCE")]
    pub reference: Option<String>,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Squeeze {
    /// Not at all
    None,
    /// Read by everybody
    Gzip,
    /// Smaller and faster; Docker's manifests have no word for it
    Zstd,
}

/// `hardway image index`.
#[derive(Debug, Args)]
pub struct Index {
    /// The name that the index gets in the store
    pub name: String,
    /// Images, by name; of an index all that are in it
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// An index of OCI, or a manifest list of Docker
    #[arg(long, value_enum, default_value_t = Kind::Oci)]
    pub format: Kind,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}
