//! What `--help` and the man page say beyond the options: examples, exit statuses, files, environment.

mod image;

pub use image::*;

/// What hardway is, in a few sentences.
pub const ABOUT: &str = "\
hardway teaches how Linux containers work by building one, one kernel feature at a time. Each step makes real system calls, \
shows them, and shows what they changed in the kernel; or its lines are typed into a real shell, and count as well.

Lessons happen in a lab host, a private machine made of namespaces with a file tree of its own. Nothing that is done there \
outlives the session. Without root, hardway makes a user namespace and teaches on.";

/// Command lines, and what they are for.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("hardway", "the course, on the screen"),
    ("hardway 05-pid", "open a lesson where you left it"),
    ("hardway pid:fork", "open a lesson at a step"),
    ("hardway --plain 03-uts", "the same as lines of text"),
    ("hardway doctor", "what works on this machine, and how to fix the rest"),
    ("hardway run --all --json", "prove that every lesson works on this machine"),
    ("hardway cleanup", "take away what a killed hardway has left"),
];

/// What exit statuses mean, of every command.
pub const EXIT_STATUS: &[(&str, &str)] = &[
    (
        "0",
        "It is done. run, lesson test: every step that can work here held, and nothing was left behind. doctor: everything works here.",
    ),
    ("1", "It failed, or something did not hold; standard error or the output says what."),
    ("2", "The command line could not be understood."),
    ("3", "run: the lessons are not available on this machine."),
    ("other", "enter: the exit status of the shell."),
];

/// Files and directories.
pub const FILES: &[(&str, &str)] = &[
    ("$XDG_STATE_HOME/hardway", "Progress; ~/.local/state/hardway by default. Under sudo it is the caller's."),
    ("$XDG_CONFIG_HOME/hardway", "keys and theme of the screen; ~/.config/hardway by default."),
    (
        "/run/hardway, $XDG_RUNTIME_DIR/hardway",
        "Ledgers of root's and of other people's sessions: what is to be taken back should hardway be killed. Without a runtime \
         directory: /tmp/hardway-UID.",
    ),
    (
        "/var/lib/hardway/cni",
        "What cni keeps of root's attachments from add to del; other people's are in $XDG_STATE_HOME/hardway/cni.",
    ),
    (
        "/etc/cni/net.d",
        "Networks for cni. Plugins are looked for in /opt/cni/bin and /usr/lib/cni, then in hardway itself.",
    ),
    (
        "/var/lib/hardway/images, $XDG_DATA_HOME/hardway/images",
        "Images of root and of other people: an image layout, with the unpacked layers beside it in images.layers.",
    ),
    ("/etc/subuid, /etc/subgid", "Ranges of ids that an ordinary user's lab host may map (subuid(5))."),
];

/// Environment variables.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("HARDWAY_THEME", "dark, light, colour-blind or mono; NO_COLOR is respected"),
    ("HARDWAY_LEAVE_KEY", "the key that leaves the shell pane, ctrl-] by default"),
    ("HARDWAY_IMAGES", "where images are kept"),
    ("HARDWAY_REGISTRY_PASSWORD", "of the --user for whom a registry is asked, or who a served one asks for"),
    ("XDG_STATE_HOME", "where progress is kept, ~/.local/state by default"),
    ("XDG_CONFIG_HOME", "where keys and theme are kept, ~/.config by default"),
    ("XDG_RUNTIME_DIR", "where an ordinary user's ledgers are kept"),
    ("TERM", "dumb: lines of text, as with --plain"),
];

/// The end of `hardway --help`.
pub fn after() -> String {
    format!(
        "Examples:\n{}\nWithout root, hardway makes a user namespace and teaches on.\n\nExit status:\n{}\nEnvironment:\n{}",
        table(EXAMPLES, 32),
        table(EXIT_STATUS, 7),
        table(ENVIRONMENT, 25)
    )
}

/// Two columns, the first of this width.
fn table(rows: &[(&str, &str)], width: usize) -> String {
    rows.iter().map(|(left, right)| format!("  {left:<width$} {right}\n")).collect()
}

/// Examples of the commands, by their names; shown by their `--help`.
pub const LESSONS: &str = "\
Examples:
  hardway lessons                      a line for each lesson, with the steps that do not work here
  hardway lessons --json --single-id   as JSON, as if only one id could be mapped";

/// Examples of `run`.
pub const RUN: &str = "\
Examples:
  hardway run 05-pid                   by system calls
  hardway run uts pid --via shell      typed into a shell, as a learner would
  hardway run uts --via script         by the script that `hardway lesson script uts` prints
  hardway run --all --json             one JSON object a line, the last one a summary
  hardway run pid --until own-proc     stop after that step

Exit status: 0 every step that can work here held and nothing was left behind; 1 not so; 3 the lessons are not available here.";

/// Examples of `lesson new`.
pub const LESSON_NEW: &str = "\
Examples:
  hardway lesson new hostname                       writes hostname.yaml
  hardway lesson new tree --stage pid ~/lessons     writes ~/lessons/tree.yaml

The file passes `lesson check` and `lesson test` as it is. One that exists is never overwritten.";

/// Examples of `lesson check`.
pub const LESSON_CHECK: &str = "\
Examples:
  hardway lesson check lessons/*.yaml

Exit status: 0 no faults; 1 faults, each told with file, line, column and fix.";

/// Examples of `lesson test`.
pub const LESSON_TEST: &str = "\
Examples:
  hardway lesson test 03-uts                  a lesson that comes with hardway
  hardway lesson test mine.yaml --json        a file, one JSON object a line
  hardway lesson test mine.yaml --single-id   as an ordinary user with one id

Exit status: 0 everything was proved or skipped for a reason; 1 not so.";

/// Examples of `lesson schema`.
pub const LESSON_SCHEMA: &str = "\
Examples:
  hardway lesson schema > hardway-lesson.schema.json

An editor with a YAML language server uses it where a lesson begins with the line
  # yaml-language-server: $schema=hardway-lesson.schema.json";

/// Examples of `lesson script`.
pub const LESSON_SCRIPT: &str = "\
Examples:
  hardway lesson script 05-pid > pid.sh         then: bash pid.sh, as root or as an ordinary user
  hardway lesson script pid --until own-proc    stop after that step

The script needs bash and util-linux, and no hardway. It makes a lab host of its own and leaves nothing behind.
`hardway run --via script` proves that it leads where the lesson leads.";

/// Examples of `cni add`.
pub const CNI_ADD: &str = "\
Examples:
  hardway cni add --net dbnet --id c1 --netns /run/netns/blue
  hardway cni add --net ./dbnet.conflist --id c1 --netns /run/netns/blue -v \\
      --capability 'portMappings=[{\"hostPort\":8080,\"containerPort\":80,\"protocol\":\"tcp\"}]'

Plugins change the network namespace that hardway runs in: links, rules, forwarding.
Where one fails, DEL is run for those that were run, and the first error is told.

Exit status: 0 attached, and the result on standard output; 1 not so.";

/// Examples of `cni del`.
pub const CNI_DEL: &str = "\
Examples:
  hardway cni del --net dbnet --id c1        the rest is known from add; a second time does no harm

Exit status: 0 nothing of it is left; 1 a plugin failed, and del can be run again.";

/// Examples of `cni check`.
pub const CNI_CHECK: &str = "\
Examples:
  hardway cni check --net dbnet --id c1

Exit status: 0 it is as add left it, or disableCheck forbids to ask; 1 not so.";

/// Examples of `cni status`.
pub const CNI_STATUS: &str = "\
Examples:
  hardway cni status --net dbnet

Exit status: 0 the plugins are ready, or the list is older than STATUS (1.1.0); 1 not so.";

/// Examples of `cni gc`.
pub const CNI_GC: &str = "\
Examples:
  hardway cni gc --net dbnet                    containers whose network namespace is gone are stale
  hardway cni gc --net dbnet --valid c1:eth0    all others are
  hardway cni gc --net dbnet --none-valid       all are

Exit status: 0 nothing stale is left; 1 a plugin failed.";

/// Examples of `cni version`.
pub const CNI_VERSION: &str = "\
Examples:
  hardway cni version --net dbnet

Exit status: 0 every plugin supports the version of the list; 1 not so.";

/// Examples of `cni install`.
pub const CNI_INSTALL: &str = "\
Examples:
  sudo hardway cni install /opt/cni/bin     bridge, host-local, portmap and others, for any runtime

hardway cni add needs none of it: what is in no directory of --path is run from hardway itself.";

/// Examples of `cni soak`.
pub const CNI_SOAK: &str = "\
Examples:
  sudo hardway cni soak --net ./dbnet.conflist --cycles 100 --at-once 10

Each container is added, checked and deleted. Nothing of it is left on the machine: /run, /var/lib, mounts
and network are the soak's own, and end with it.

Exit status: 0 all went well, and nothing is left but what is for all containers; 1 not so.";

/// Examples of `registry serve`.
pub const REGISTRY_SERVE: &str = "\
Examples:
  hardway registry serve --store ./images                              for this machine alone
  hardway registry serve --store ./images --listen 0.0.0.0:5000        for a class; anybody there may push
  HARDWAY_REGISTRY_PASSWORD=... hardway registry serve --store ./images --listen 0.0.0.0:5000 \\
      --auth token --user teacher --anyone-may-pull                    only the teacher pushes

The protocol is plain http, which clients have to be told: skopeo copy --dest-tls-verify=false, podman push
--tls-verify=false. What is pushed is in the store under REPOSITORY:TAG. What was deleted keeps its bytes until
`hardway image gc --store ./images` takes them away.

Exit status: 0 it was ended by Ctrl-C or SIGTERM; 1 it could not serve.";

/// Examples of `doctor`.
pub const DOCTOR: &str = "\
Examples:
  hardway doctor                what is here, what is missing, and how to get it
  hardway doctor --rootless     as an ordinary user (under sudo: as the one who called it)
  hardway doctor --json         the same as one JSON object

Exit status: 0 every lesson and step works here, by calls and by hand; 1 not so.";

/// Examples of `state`.
pub const STATE: &str = "\
Examples:
  hardway state                 of the shell that you type this into
  hardway state 1               of another process; sudo shows more of those that are not yours
  hardway state --json $$       as JSON

Exit status: 0 there is such a process; 1 there is none. A value that may not be read says why in its place.";

/// Examples of `enter`.
pub const ENTER: &str = "\
Examples:
  hardway enter                 the lab host of the lesson that is open in another terminal
  hardway enter box             where the box is

Exit status: that of the shell.";

/// Examples of `cleanup`.
pub const CLEANUP: &str = "\
Examples:
  hardway cleanup --dry-run     what would be taken away
  hardway cleanup

Exit status: 0 nothing is left; 1 something could not be taken away.";

/// Examples of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  source <(hardway completions bash)                                       for this shell
  hardway completions bash > ~/.local/share/bash-completion/completions/hardway
  hardway completions zsh > \"${fpath[1]}/_hardway\"
  hardway completions fish > ~/.config/fish/completions/hardway.fish";

/// Examples of `man`.
pub const MAN: &str = "\
Examples:
  hardway man | man -l -                                   read it
  hardway man > ~/.local/share/man/man1/hardway.1          then: man hardway";
