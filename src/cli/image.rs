//! The command line of `hardway image`.

mod make;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub use make::{Index, Pack, Sign, Squeeze};

use super::help;

/// `hardway image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Fetch an image from a registry into the store
    #[command(after_help = help::IMAGE_PULL)]
    Pull(Pull),
    /// Send an image of the store to a registry; what that has already is not sent
    #[command(after_help = help::IMAGE_PUSH)]
    Push(Push),
    /// Copy an image from one place to another: store, registry, layout, archive
    #[command(after_help = help::IMAGE_COPY)]
    Copy(Copy),
    /// The images of the store
    #[command(after_help = help::IMAGE_LS, visible_alias = "list")]
    Ls {
        /// The store.
        #[command(flatten)]
        place: Place,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// What an image is made of: index, manifest, config, layers, each digest computed anew
    #[command(after_help = help::IMAGE_INSPECT)]
    Inspect(One),
    /// Make an image of a directory, or of what was changed in one
    #[command(after_help = help::IMAGE_PACK)]
    Pack(Pack),
    /// Gather images for several platforms under one name
    #[command(after_help = help::IMAGE_INDEX)]
    Index(Index),
    /// How an image came to be, each line with the layer that it made
    #[command(after_help = help::IMAGE_HISTORY)]
    History(One),
    /// Make the root file system of an image in a new directory
    #[command(after_help = help::IMAGE_UNPACK)]
    Unpack(Unpack),
    /// Apply one layer to a directory, and say what each of its entries did
    #[command(after_help = help::IMAGE_APPLY)]
    Apply(Apply),
    /// Mount an image as an overlay of its layers
    #[command(after_help = help::IMAGE_MOUNT)]
    Mount(Mount),
    /// Take names away; with the last name of an image, gc takes its blobs
    #[command(after_help = help::IMAGE_RM)]
    Rm {
        /// Images, by name
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// The store.
        #[command(flatten)]
        place: Place,
    },
    /// Take away the blobs and the unpacked layers that no name reaches
    #[command(after_help = help::IMAGE_GC)]
    Gc {
        /// Also what came in the last 24 hours: only while nothing else uses the store
        #[arg(long)]
        now: bool,
        /// The store.
        #[command(flatten)]
        place: Place,
    },
    /// Make a pair of keys to sign with: FILE.key and FILE.pub
    #[command(after_help = help::IMAGE_KEYGEN)]
    Keygen {
        /// What both files are called, without their endings
        file: PathBuf,
    },
    /// Sign an image
    #[command(after_help = help::IMAGE_SIGN)]
    Sign(Sign),
    /// Compute the digest of everything in the store anew, or check who has signed an image
    #[command(after_help = help::IMAGE_VERIFY)]
    Verify {
        /// The image whose signatures are checked; the whole store without
        #[arg(requires = "key")]
        name: Option<String>,
        /// The public key of who has to have signed it
        #[arg(long, value_name = "FILE", requires = "name")]
        key: Option<PathBuf>,
        /// The store.
        #[command(flatten)]
        place: Place,
    },
    /// Write images to one file, for a machine without a registry
    #[command(after_help = help::IMAGE_SAVE)]
    Save(Save),
    /// Read the images of such a file, hardway's or another's
    #[command(after_help = help::IMAGE_LOAD)]
    Load {
        /// The file; standard input without
        #[arg(long, short, value_name = "FILE")]
        input: Option<PathBuf>,
        /// The store.
        #[command(flatten)]
        place: Place,
    },
}

/// Where the store is.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The image layout with the images; root's is /var/lib/hardway/images, yours is in ~/.local/share/hardway; $HARDWAY_IMAGES names another
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// Which platform's image is meant.
#[derive(Clone, Debug, Args)]
pub struct Platforms {
    /// Of an image for several platforms the one for this: OS/ARCHITECTURE[/VARIANT]; this machine's without
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// How a registry is asked.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// Who asks; the password is read from $HARDWAY_REGISTRY_PASSWORD. Without, what `docker login` or `podman login` has kept is used
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Ask this registry by plain http; those on this machine are asked so anyway
    #[arg(long, value_name = "HOST[:PORT]")]
    pub plain_http: Vec<String>,
    /// Trust the certificates in this file too
    #[arg(long, value_name = "FILE")]
    pub certificate: Vec<PathBuf>,
    /// Ask there first: REGISTRY=URL
    #[arg(long, value_name = "REGISTRY=URL")]
    pub mirror: Vec<String>,
    /// So many blobs at once
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub jobs: u8,
    /// Tell each request and its answer, with the headers that matter, on standard error
    #[arg(long, short)]
    pub verbose: bool,
    /// The result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hardway image pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    pub image: String,
    /// Its name in the store; the reference as you wrote it without
    #[arg(long)]
    pub name: Option<String>,
    /// Its platforms.
    #[command(flatten)]
    pub platforms: Platforms,
    /// For all platforms
    #[arg(long, conflicts_with = "platform")]
    pub all_platforms: bool,
    /// The store.
    #[command(flatten)]
    pub place: Place,
    /// The registry.
    #[command(flatten)]
    pub remote: Remote,
}

/// `hardway image push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The image's name in the store
    pub name: String,
    /// Where to: [REGISTRY/]REPOSITORY[:TAG]; where its name says, without
    pub to: Option<String>,
    /// Take blobs that the registry has in this repository from there
    #[arg(long, value_name = "REPOSITORY")]
    pub mount_from: Vec<String>,
    /// Of an image for several platforms only the one for this: OS/ARCHITECTURE[/VARIANT]; all of them without
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// The store.
    #[command(flatten)]
    pub place: Place,
    /// The registry.
    #[command(flatten)]
    pub remote: Remote,
}

/// `hardway image copy`.
#[derive(Debug, Args)]
pub struct Copy {
    /// From: NAME in the store, docker://REFERENCE, oci:DIR[:NAME], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME]
    pub from: String,
    /// To: the same
    pub to: String,
    /// Of an image for several platforms only the one for this: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// The store.
    #[command(flatten)]
    pub place: Place,
    /// The registry.
    #[command(flatten)]
    pub remote: Remote,
}

/// An image of the store, to look at.
#[derive(Debug, Args)]
pub struct One {
    /// The image's name in the store
    pub name: String,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hardway image unpack`.
#[derive(Debug, Args)]
pub struct Unpack {
    /// The image's name in the store
    pub name: String,
    /// A directory that does not exist yet, or is empty
    pub directory: PathBuf,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// `hardway image apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The image's name in the store
    pub name: String,
    /// Which of its layers; 1 is the lowest
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub layer: u16,
    /// A directory that exists: with the layers below in it, or empty for the lowest. After an error it is good for nothing but to be removed
    pub directory: PathBuf,
    /// Make the empty directory a layer of an overlay: whiteouts become those of the kernel
    #[arg(long)]
    pub overlay: bool,
    /// The directory of a layer below, the nearest first
    #[arg(long, value_name = "DIR", requires = "overlay")]
    pub lower: Vec<PathBuf>,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// `hardway image mount`.
#[derive(Debug, Args)]
pub struct Mount {
    /// The image's name in the store
    pub name: String,
    /// Where: a directory that exists
    pub directory: PathBuf,
    /// What is written there goes here; without, nothing can be written
    #[arg(long, value_name = "DIR", requires = "work")]
    pub upper: Option<PathBuf>,
    /// An empty directory for the kernel, on the same file system
    #[arg(long, value_name = "DIR", requires = "upper")]
    pub work: Option<PathBuf>,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// `hardway image save`.
#[derive(Debug, Args)]
pub struct Save {
    /// Images, by name
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// The file; standard output without
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What reads it later
    #[arg(long, value_enum, default_value_t = Kind::Oci)]
    pub format: Kind,
    /// Its platform.
    #[command(flatten)]
    pub platforms: Platforms,
    /// The store.
    #[command(flatten)]
    pub place: Place,
}

/// Whose format: of archives, and of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// OCI's. As an archive an image layout: podman, skopeo, Docker since 25
    Oci,
    /// Docker's. As an archive what `docker save` wrote before: any Docker; one platform, its layers uncompressed
    Docker,
}
