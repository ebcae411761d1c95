//! The programs that lessons have people type or run, and whether they are here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use hardway::lesson::{Lesson, Step};
use hardway::runtime::action::Action;

use super::{Finding, State, Topic};

/// Where the lab host's shell looks for programs.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Packages of Debian and the programs in them that lessons may use; what no lesson types is never asked for.
const PACKAGES: [(&str, &[&str]); 22] = [
    ("bash", &["bash"]),
    ("dash", &["sh"]),
    (
        "coreutils",
        &[
            "cat", "chgrp", "chmod", "chown", "chroot", "cp", "cut", "date", "dd", "df", "env", "false", "head", "id",
            "install", "ln", "ls", "mkdir", "mkfifo", "mknod", "mv", "nohup", "readlink", "rm", "rmdir", "seq",
            "sleep", "sort", "stat", "sync", "tail", "tee", "timeout", "touch", "tr", "true", "truncate", "uname",
            "uniq", "wc", "whoami", "yes",
        ],
    ),
    (
        "util-linux",
        &[
            "dmesg",
            "findmnt",
            "flock",
            "ipcmk",
            "ipcrm",
            "ipcs",
            "lsblk",
            "lsns",
            "nsenter",
            "pivot_root",
            "prlimit",
            "setpriv",
            "setsid",
            "swapon",
            "taskset",
            "unshare",
        ],
    ),
    ("mount", &["mount", "umount", "losetup"]),
    ("bsdutils", &["script"]),
    ("hostname", &["hostname"]),
    ("procps", &["free", "kill", "pgrep", "pkill", "ps", "sysctl", "top", "uptime", "watch"]),
    ("iproute2", &["bridge", "ip", "ss", "tc"]),
    ("iputils-ping", &["ping"]),
    ("nftables", &["nft"]),
    ("iptables", &["iptables"]),
    ("conntrack", &["conntrack"]),
    ("curl", &["curl"]),
    ("netcat-openbsd", &["nc"]),
    ("busybox-static", &["busybox"]),
    ("libc-bin", &["getent", "ldd"]),
    ("grep", &["grep"]),
    ("sed", &["sed"]),
    ("mawk", &["awk"]),
    ("cgroup-tools", &["cgclassify", "cgcreate", "cgdelete", "cgexec", "cgget", "cgset"]),
    ("libcap2-bin", &["capsh", "getcap", "getpcaps", "setcap"]),
];

/// Words of bash itself.
const BUILTINS: &[&str] = &[
    "!",
    ".",
    ":",
    "[",
    "[[",
    "alias",
    "bg",
    "break",
    "case",
    "cd",
    "command",
    "continue",
    "coproc",
    "declare",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
    "{",
    "}",
];

/// Words that run another program, or look for one, which their arguments name.
const RUN_OTHERS: &[&str] = &[
    "cgexec", "chroot", "command", "env", "exec", "ip", "nohup", "nsenter", "prlimit", "setpriv", "setsid", "taskset",
    "time", "timeout", "type", "unshare", "busybox", "capsh",
];

/// Program → the steps (`05-pid:fork`) that need it.
pub(super) type Wanted = BTreeMap<String, BTreeSet<String>>;

/// What the lessons use, read from their own lines and actions.
pub(super) fn wanted(course: &[Arc<Lesson>]) -> Wanted {
    let mut wanted = Wanted::new();
    for lesson in course {
        for step in &lesson.steps {
            for program in of_step(step) {
                wanted.entry(program).or_default().insert(format!("{}:{}", lesson.name, step.id));
            }
        }
    }
    wanted
}

/// The programs of one step.
fn of_step(step: &Step) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = step.by_hand.iter().flat_map(|line| of_line(line)).collect();
    for action in &step.actions {
        if let Action::Run(_) | Action::Exec(_) = action
            && let Some(line) = action.mechanism().shell()
        {
            found.extend(of_line(&line));
        }
    }
    found
}

/// Whether the lab host's shell would find a program.
pub(super) fn is_here(program: &str) -> bool {
    PATH.iter().any(|directory| Path::new(directory).join(program).is_file())
}

/// The package that has a program, as Debian calls it.
pub(super) fn package(program: &str) -> Option<&'static str> {
    PACKAGES.iter().find(|(_, programs)| programs.contains(&program)).map(|(package, _)| *package)
}

/// One finding for all that are here, and one for each that is not.
pub(super) fn findings(wanted: &Wanted) -> Vec<Finding> {
    let source = "the lines and actions of the lessons; PATH of the lab host";
    let (here, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|(program, _)| is_here(program));
    let names: Vec<&str> = here.iter().map(|(program, _)| program.as_str()).collect();
    let mut findings = vec![Finding::new(Topic::Programs, "here", State::Good, names.join(" "), source)];
    for (program, steps) in missing {
        let steps = steps.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let finding = Finding::new(Topic::Programs, program, State::Missing, format!("not here; for {steps}"), source);
        findings.push(match package(program) {
            Some(package) => finding.fix(format!("sudo apt-get install {package}")),
            None => finding.fix(format!("install the package that has {program}")),
        });
    }
    findings
}

/// The programs that a line of shell starts, by name: those in the place of a command, and those that another program is
/// asked to run. Paths and variables are left out: what they lead to is made by the lesson.
fn of_line(line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for command in commands(line) {
        let mut words = command.iter().skip_while(|word| is_assignment(word) || is_opening(word));
        let Some(first) = words.next() else { continue };
        add(first, &mut found);
        if !RUN_OTHERS.contains(&first.as_str()) && !["sh", "bash"].contains(&first.as_str()) {
            continue;
        }
        let mut script_follows = false;
        for word in words {
            if script_follows || word.contains(' ') {
                found.extend(of_line(word));
            } else if package(word).is_some() {
                add(word, &mut found);
            }
            script_follows = word == "-c";
        }
    }
    found
}

fn add(word: &str, found: &mut BTreeSet<String>) {
    let name = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let plain = !word.is_empty() && word.chars().all(name) && word.starts_with(|c: char| c.is_ascii_alphabetic());
    if plain && !BUILTINS.contains(&word) {
        found.insert(word.to_owned());
    }
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Words after which a command begins.
fn is_opening(word: &str) -> bool {
    ["!", "{", "if", "then", "else", "elif", "while", "until", "do", "time", "exec", "command"].contains(&word)
}

/// The simple commands of a line, each as its words without quotes. Redirections are left out; what stands in `$( )` is a
/// command as well, and a `$` in the word that it becomes a part of.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut done = Vec::new();
    let mut now = Unfinished::default();
    let mut outer = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, now.quote) {
            ('$', None | Some('"')) if chars.next_if_eq(&'(').is_some() => {
                now.word.push('$');
                outer.push(std::mem::take(&mut now));
            }
            (c, Some(open)) if c == open => now.quote = None,
            (c, Some(_)) => now.word.push(c),
            ('\'' | '"', None) => now.quote = Some(c),
            ('\\', None) => now.word.extend(chars.next()),
            ('#', None) if now.word.is_empty() => break,
            ('<' | '>', None) => {
                // The number before it and the place after it are no words of the command.
                if now.word.chars().all(|c| c.is_ascii_digit()) {
                    now.word.clear();
                }
                now.end_word();
                while chars.next_if(|c| "<>&| ".contains(*c)).is_some() {}
                while chars.next_if(|c| !" ;|&()".contains(*c)).is_some() {}
            }
            (')', None) => {
                done.push(now.end_command());
                now = outer.pop().unwrap_or_default();
            }
            ('(', None) => outer.push(std::mem::take(&mut now)),
            (';' | '|' | '&' | '\n', None) => done.push(now.end_command()),
            (c, None) if c.is_whitespace() => now.end_word(),
            (c, None) => now.word.push(c),
        }
    }
    done.push(now.end_command());
    done.extend(outer.iter_mut().map(Unfinished::end_command));
    done.retain(|command| !command.is_empty());
    done
}

/// A command while it is read.
#[derive(Default)]
struct Unfinished {
    words: Vec<String>,
    word: String,
    quote: Option<char>,
}

impl Unfinished {
    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn end_command(&mut self) -> Vec<String> {
        self.end_word();
        std::mem::take(&mut self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_lines_as_lessons_write_them() {
        let cases: [(&str, &[&str]); 16] = [
            ("unshare --uts bash --norc", &["bash", "unshare"]),
            ("unshare --uts sh -c 'hostname db; exec sleep 1000'", &["hostname", "sh", "sleep", "unshare"]),
            ("setpriv --reuid 1000 --clear-groups hostname pirate", &["hostname", "setpriv"]),
            ("read -r number rest < /proc/self/stat; echo \"$number\"", &[]),
            ("readlink /proc/{1,$$}/ns/* | sort | uniq -u | wc -l", &["readlink", "sort", "uniq", "wc"]),
            ("hostname $(printf 'x%.0s' {1..65})", &["hostname"]),
            ("/bin/no-such-program", &[]),
            ("kill -KILL 1; echo $$", &[]),
            ("set -- /proc/[0-9]*; echo $#", &[]),
            ("A=1 B=2 nft list ruleset 2>/dev/null && ip link", &["ip", "nft"]),
            ("ip netns exec c1 ping -c 1 10.0.0.1", &["ip", "ping"]),
            ("if mount -t tmpfs t /mnt; then umount /mnt; fi", &["mount", "umount"]),
            ("echo mount > /tmp/ip", &[]),
            ("echo $(date) hostname", &["date"]),
            ("ldd $(type -P sh ls)", &["ldd", "ls", "sh"]),
            ("\"$(grep x /etc/y | cut -d: -f1)\" && (cd / && ls)", &["cut", "grep", "ls"]),
        ];
        for (line, expected) in cases {
            assert_eq!(of_line(line).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{line}");
        }
    }

    #[test]
    fn no_program_is_in_two_packages() {
        let all: Vec<&str> = PACKAGES.iter().flat_map(|(_, programs)| programs.iter().copied()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
