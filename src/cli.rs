//! The command line: one definition gives parsing and help.

pub mod cni;
pub mod help;
pub mod image;
pub mod registry;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hardway::kernel::host::Wish;

/// Learn Linux containers by building one, one kernel feature at a time, on the real kernel.
#[derive(Debug, Parser)]
#[command(version, after_help = help::after(), args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to open on the screen, where no command is given.
    #[command(flatten)]
    pub open: Open,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The workbench.
#[derive(Debug, Args)]
pub struct Open {
    /// Lesson to open, with `:STEP` at that step (its short name or number)
    #[arg(value_name = "LESSON[:STEP]")]
    pub lesson: Option<String>,
    /// Lines instead of a screen: for dumb terminals, screen readers and logs
    #[arg(long)]
    pub plain: bool,
    /// Big and calm, for a projector (the key p switches)
    #[arg(long)]
    pub present: bool,
    /// How ids are mapped.
    #[command(flatten)]
    pub ids: Ids,
}

/// How ids are mapped in the lab host.
#[derive(Clone, Copy, Debug, Args)]
pub struct Ids {
    /// In a user namespace; under sudo, as the user who called it
    #[arg(long)]
    pub rootless: bool,
    /// In a user namespace with your own id alone, even where newuidmap could map more
    #[arg(long)]
    pub single_id: bool,
    /// As root, on the machine itself: its processes, network, host name and files; only mounts, IPC objects and cgroups stay apart
    #[arg(long, conflicts_with_all = ["rootless", "single_id"])]
    pub real_host: bool,
}

impl From<Ids> for Wish {
    fn from(ids: Ids) -> Self {
        Self { rootless: ids.rootless || ids.single_id, single_id: ids.single_id, real_host: ids.real_host }
    }
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The course, with your progress and what works on this machine
    #[command(after_help = help::LESSONS)]
    Lessons {
        /// One JSON array
        #[arg(long)]
        json: bool,
        /// How ids are mapped.
        #[command(flatten)]
        ids: Ids,
    },
    /// Walk lessons without a screen
    #[command(after_help = help::RUN)]
    Run(Run),
    /// Tools for authors of lessons
    #[command(subcommand)]
    Lesson(LessonCommand),
    /// Attach containers to networks by CNI plugins, as container runtimes do
    #[command(subcommand)]
    Cni(cni::CniCommand),
    /// Images: from registries and to them, in a store, as file trees
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// An image registry of your own
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// What this machine offers, which lessons work here, and how to fix the rest
    #[command(after_help = help::DOCTOR)]
    Doctor {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// How ids are mapped.
        #[command(flatten)]
        ids: Ids,
    },
    /// One observation of a process, each value with its source
    #[command(after_help = help::STATE)]
    State {
        /// The process; your shell by default
        pid: Option<i32>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// A shell in the lab host that runs, or in a box in it, from another terminal
    #[command(after_help = help::ENTER)]
    Enter {
        /// `host`, `shell`, the name of a box, or a pid as the lab host numbers it; the lab host itself by default
        #[arg(value_name = "BOX")]
        whom: Option<String>,
        /// Of several lab hosts the one whose init has this pid on the machine; the newest by default
        #[arg(long, value_name = "PID")]
        lab: Option<i32>,
    },
    /// Take away what sessions that were killed have left
    #[command(after_help = help::CLEANUP)]
    Cleanup {
        /// Only say what would be taken away
        #[arg(long)]
        dry_run: bool,
    },
    /// Words that a shell offers at the Tab key: commands, options, lessons, steps
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// For which shell
        shell: CompletionShell,
    },
    /// The manual page, as roff
    #[command(after_help = help::MAN)]
    Man,
}

/// A shell that can complete words.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CompletionShell {
    /// bash(1)
    Bash,
    /// zsh(1)
    Zsh,
    /// fish(1)
    Fish,
}

/// `hardway run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Lessons, by name or short name
    #[arg(required_unless_present = "all")]
    pub lessons: Vec<String>,
    /// Every lesson
    #[arg(long, conflicts_with = "lessons")]
    pub all: bool,
    /// How steps are done
    #[arg(long, value_enum, default_value_t = Via::Calls)]
    pub via: Via,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Stop after this step of the last lesson
    #[arg(long, value_name = "STEP")]
    pub until: Option<String>,
    /// How ids are mapped.
    #[command(flatten)]
    pub ids: Ids,
}

/// How steps are done.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Via {
    /// By hardway's own system calls
    Calls,
    /// By lines typed into a shell
    Shell,
    /// By the script that `hardway lesson script` prints
    Script,
}

/// `hardway lesson`.
#[derive(Debug, Subcommand)]
pub enum LessonCommand {
    /// Write a new lesson, with one step of each kind and comments that explain them
    #[command(after_help = help::LESSON_NEW)]
    New {
        /// Its short name, also that of its file
        id: String,
        /// The mechanism that it teaches
        #[arg(long, default_value = "uts")]
        stage: String,
        /// Where to write it
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Check lesson files without running them: all faults at once
    #[command(after_help = help::LESSON_CHECK)]
    Check {
        /// YAML files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Prove a lesson on this kernel: by calls and by shell, forth and back, wrong answers too
    #[command(after_help = help::LESSON_TEST)]
    Test {
        /// Lessons, by name, short name or file
        #[arg(required = true)]
        lessons: Vec<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// How ids are mapped.
        #[command(flatten)]
        ids: Ids,
    },
    /// Print the syntax of lessons as a JSON schema, for editors
    #[command(after_help = help::LESSON_SCHEMA)]
    Schema,
    /// Print a lesson as one bash script that makes its own lab host
    #[command(after_help = help::LESSON_SCRIPT)]
    Script {
        /// The lesson, by name, short name or file
        lesson: String,
        /// Stop after this step
        #[arg(long, value_name = "STEP")]
        until: Option<String>,
    },
}
