//! The command line: one definition gives parsing and help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rootfs_fetch::{DEFAULT_LIMIT, Extent};

const EXAMPLES: &str = "\
Exit status: 0 done, 1 not done (and nothing left of a rootfs), 2 the arguments are wrong

Examples:
  rootfs-fetch build /tmp/rootfs                       a rootfs to work in
  chroot /tmp/rootfs /bin/sh                           enter it, as root
  unshare -r -R /tmp/rootfs /bin/sh                    enter it, as an ordinary user
  rootfs-fetch build /tmp/two -p sh -p ls              a rootfs that has two programs
  rootfs-fetch plan -p ls --bare --extent program      what would be made, and nothing is
  rootfs-fetch plan --recipe lessons --json            the same as data
  rootfs-fetch cache gc --limit 0                      forget everything

Environment:
  XDG_CACHE_HOME      where the cache is, ~/.cache by default";

/// Make a rootfs in a directory from the programs of this machine, offline.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a rootfs
    Build {
        /// Where; must be empty or absent. Nothing outside of it is written, but in the cache
        directory: PathBuf,
        /// What of.
        #[command(flatten)]
        wish: Wish,
        /// Where the cache is.
        #[command(flatten)]
        place: CachePlace,
        /// Read all files from the machine, and keep none
        #[arg(long, conflicts_with = "cache")]
        no_cache: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what would be made, in order, and make nothing
    Plan {
        /// What of.
        #[command(flatten)]
        wish: Wish,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Files that were read once, kept by their content
    #[command(subcommand)]
    Cache(CacheCommand),
}

/// What a rootfs is made of.
#[derive(Debug, Args)]
pub struct Wish {
    /// A program, by its name or absolute path, with the loader and the libraries that it needs; as often as you like
    #[arg(short, long = "program", value_name = "PROGRAM", conflicts_with = "recipe")]
    pub programs: Vec<OsString>,
    /// What to take where no program is named
    #[arg(long, value_enum, default_value_t = Kind::Automatic)]
    pub recipe: Kind,
    /// How much of what each program needs comes along
    #[arg(long, value_enum, default_value_t = Much::Libraries)]
    pub extent: Much,
    /// Without /proc, /dev, /tmp, /etc/passwd and what else belongs to no program
    #[arg(long)]
    pub bare: bool,
    /// The file tree whose programs are taken
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub from: PathBuf,
}

/// What to take where no program is named.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// The machine's static busybox, or as `lessons` where it has none
    Automatic,
    /// The shells and programs that lessons use
    Lessons,
}

/// How much of what each program needs comes along.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Much {
    /// Nothing: the program alone
    Program,
    /// The loader, or what runs a script
    Loader,
    /// All: the program runs
    Libraries,
}

impl From<Much> for Extent {
    fn from(much: Much) -> Self {
        match much {
            Much::Program => Self::Program,
            Much::Loader => Self::Loader,
            Much::Libraries => Self::Libraries,
        }
    }
}

/// Where the cache is.
#[derive(Debug, Args)]
pub struct CachePlace {
    /// The cache's directory
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// `rootfs-fetch cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// What it holds; what was not used for longest comes first
    Ls {
        /// Where it is.
        #[command(flatten)]
        place: CachePlace,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Clear what was not used for longest. A rootfs that was made keeps its own copies
    Gc {
        /// Where it is.
        #[command(flatten)]
        place: CachePlace,
        /// How much may stay: bytes, or with K, M or G
        #[arg(long, value_name = "BYTES", value_parser = size, default_value_t = DEFAULT_LIMIT)]
        limit: u64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `64M` as a number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
        None => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes, such as 1000000 or 64M".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "more bytes than can be counted".to_owned())
}
