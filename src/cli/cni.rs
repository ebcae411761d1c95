//! The command line of `hardway cni`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hardway::cni::{DEFAULT_CONF_DIR, DEFAULT_PATH};

use super::help;

/// `hardway cni`.
#[derive(Debug, Subcommand)]
pub enum CniCommand {
    /// Attach a container to a network: ADD to its plugins, one after the other
    #[command(after_help = help::CNI_ADD)]
    Add(Attach),
    /// Detach a container from a network: DEL to its plugins, in reverse order
    #[command(after_help = help::CNI_DEL)]
    Del(Attach),
    /// Ask the plugins whether an attachment is as ADD left it: CHECK
    #[command(after_help = help::CNI_CHECK)]
    Check(Attach),
    /// Ask the plugins of a network whether they could serve an ADD: STATUS
    #[command(after_help = help::CNI_STATUS)]
    Status(Network),
    /// Take away what belongs to no container any more: DEL for stale attachments, then GC to the plugins
    #[command(after_help = help::CNI_GC)]
    Gc(Gc),
    /// Ask the plugins of a network which versions of the specification they support: VERSION
    #[command(after_help = help::CNI_VERSION)]
    Version(Network),
    /// Put hardway's own plugins into a directory, as links to this program, for other runtimes
    #[command(after_help = help::CNI_INSTALL)]
    Install(Install),
    /// Run a network's plugins again and again, on a machine of their own made of namespaces, and tell what they leave
    #[command(after_help = help::CNI_SOAK)]
    Soak(Soak),
}

/// A network, and how its plugins are run.
#[derive(Debug, Args)]
pub struct Network {
    /// The network, by its name in --conf-dir or by a file (.conflist, .conf)
    #[arg(long, value_name = "NAME|FILE")]
    pub net: String,
    /// Where networks are looked for
    #[arg(long, value_name = "DIR", default_value = DEFAULT_CONF_DIR)]
    pub conf_dir: PathBuf,
    /// Where plugins are looked for, as CNI_PATH has it; what is in none of these directories and is one of hardway's own is run from hardway itself
    #[arg(long, value_name = "DIR:DIR", default_value = DEFAULT_PATH)]
    pub path: String,
    /// Where attachments are kept from ADD to DEL; root's are in /var/lib/hardway/cni
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How many seconds each plugin may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// One JSON object, with what each plugin was given and what it answered
    #[arg(long)]
    pub json: bool,
    /// Tell on standard error what each plugin was given and what it answered
    #[arg(long, short)]
    pub verbose: bool,
}

/// An attachment.
#[derive(Debug, Args)]
pub struct Attach {
    /// The network.
    #[command(flatten)]
    pub network: Network,
    /// The container's id
    #[arg(long)]
    pub id: String,
    /// The path of its network namespace, as /run/netns/blue; del and check know it from add
    #[arg(long, value_name = "PATH")]
    pub netns: Option<String>,
    /// The name of the interface in the container
    #[arg(long, default_value = "eth0")]
    pub ifname: String,
    /// Arguments for all plugins: CNI_ARGS
    #[arg(long, value_name = "K=V;K=V")]
    pub args: Option<String>,
    /// An argument for the plugins that declare this capability; may be given several times
    #[arg(long, value_name = "NAME=JSON")]
    pub capability: Vec<String>,
}

/// `hardway cni gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// The network.
    #[command(flatten)]
    pub network: Network,
    /// An attachment that is valid; by default those that are kept and whose network namespace is still there
    #[arg(long, value_name = "ID:IFNAME")]
    pub valid: Vec<String>,
    /// No attachment is valid
    #[arg(long, conflicts_with = "valid")]
    pub none_valid: bool,
}

/// `hardway cni install`.
#[derive(Debug, Args)]
pub struct Install {
    /// The directory, as /opt/cni/bin
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `hardway cni soak`.
#[derive(Debug, Args)]
pub struct Soak {
    /// The network, by its name in --conf-dir or by a file (.conflist, .conf)
    #[arg(long, value_name = "NAME|FILE")]
    pub net: String,
    /// Where networks are looked for
    #[arg(long, value_name = "DIR", default_value = DEFAULT_CONF_DIR)]
    pub conf_dir: PathBuf,
    /// Where plugins are looked for, as CNI_PATH has it; what is in none of these directories and is one of hardway's own is run from hardway itself
    #[arg(long, value_name = "DIR:DIR", default_value = DEFAULT_PATH)]
    pub path: String,
    /// How often
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub cycles: u64,
    /// How many containers there are in each cycle
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub at_once: u64,
    /// How many seconds each plugin may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}
