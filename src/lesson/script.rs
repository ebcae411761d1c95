//! A lesson as one bash script: its lines, typed into a shell on a machine of its own made of namespaces.
//!
//! Lines are typed on a terminal and not fed to a shell that is not interactive: such a shell ends where an interactive one
//! goes on (after a fork that fails), and knows no keys. The script makes a small lab host itself, so that it needs no
//! hardway; [`super::super::walk`] runs it in a real one to prove that it leads where the lesson leads.

use super::{Kind, Lesson, Need, Step};
use crate::runtime::action::Action;
use crate::runtime::cgroup::WORKLOAD;
use crate::runtime::cni::{HARDWAY, PLUGINS, plugin_names};
use crate::runtime::process::shell_words;

const HEAD: &str = include_str!("script/head.sh");
const TAIL: &str = include_str!("script/tail.sh");

/// The option by which the script types in the lab host that it is started in, and makes none.
pub const HERE: &str = "--here";

/// The option by which it waits for a line after each step, and tells which shell it types into.
pub const PAUSE: &str = "--pause";

/// The script of a lesson, up to and with the step `until`.
pub fn of(lesson: &Lesson, until: Option<usize>) -> String {
    let last = until.unwrap_or(usize::MAX).min(lesson.steps.len().saturating_sub(1));
    let mut needs: Vec<Need> =
        lesson.steps[..=last].iter().flat_map(|step| &step.needs).chain(&lesson.needs).copied().collect();
    needs.sort_by_key(|need| need.name());
    needs.dedup();
    let mut text = opening(lesson);
    if needs.iter().any(|need| [Need::OwnCgroup, Need::OwnCgroupV1, Need::OwnCgroupV2].contains(need)) {
        text.push_str("wants_cgroup=yes\n");
    }
    if lesson.needs_controllers() {
        text.push_str("wants_cgroup=yes wants_controllers=yes\n");
    }
    let mut hierarchies = lesson.controllers_v1();
    hierarchies.sort_unstable();
    hierarchies.dedup();
    if !hierarchies.is_empty() {
        text.push_str(&format!("wants_hierarchies='{}'\n", hierarchies.join(" ")));
    }
    let types = |path: &str| lesson.steps.iter().flat_map(|step| &step.by_hand).any(|line| line.contains(path));
    if types(WORKLOAD) || types(HARDWAY) || types(PLUGINS) {
        text.push_str("wants_work=yes\n");
    }
    let names = if types(PLUGINS) { plugin_names().join(" ") } else { String::new() };
    text.push_str(&format!("wants_plugins='{names}'\n"));
    text.push_str(HEAD);
    text.push_str("\noffers() { # NEED: whether this place has it\n    case $1 in\n");
    for need in needs {
        text.push_str(&format!("        {}) {} ;;\n", need.name(), test(need)));
    }
    text.push_str("    esac\n}\n\n");
    for need in &lesson.needs {
        text.push_str(&format!("require {}\n", need.name()));
    }
    for index in 0..=last {
        text.push_str(&step(lesson, index));
    }
    text.push_str(TAIL);
    text
}

/// The first lines: what this is and how it is used. They are also what `--help` prints.
fn opening(lesson: &Lesson) -> String {
    let Lesson { name, title, goal, .. } = lesson;
    // The name of a file may hold anything, and a comment ends with its line.
    let name = name.replace(char::is_control, "?");
    let goal = goal.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "#!/usr/bin/env bash\n\
         # {name}: {title}\n\
         # {goal}\n\
         #\n\
         # The lines that the lesson types, in order, on a machine of its own: namespaces and a file tree that end with this\n\
         # script. As root or as an ordinary user; nothing of it reaches the machine.\n\
         #\n\
         #   bash {name}.sh            all steps\n\
         #   bash {name}.sh --pause    waits for Enter after each step\n\
         #   bash {name}.sh --here     in the lab host that it is started in, which stays as the lesson leaves it\n\
         #\n\
         # Exit status: 0 all held; 1 a step did not do what the lesson says; 2 the private machine could not be made.\n\
         # Made by: hardway lesson script {name}\n\n"
    )
}

/// A step: a call of the function `step`, with the lines as its input.
fn step(lesson: &Lesson, index: usize) -> String {
    let step = &lesson.steps[index];
    let mut words = vec!["step".to_owned(), step.id.clone(), step.title.clone()];
    if lesson.begins_anew(index) {
        words.push("anew".into());
    }
    if stays(step) {
        words.push("stays".into());
    }
    for need in &step.needs {
        words.extend(["needs".to_owned(), need.name()]);
    }
    if let Some(fails) = &step.by_hand_fails {
        words.extend(["fails".to_owned(), fails.status.to_string(), fails.says.clone()]);
    }
    let end = delimiter(step);
    let kind = match step.kind {
        Kind::Change => String::new(),
        Kind::Fail => "# The last line fails, and is meant to.\n".into(),
        Kind::Observe => {
            let ask = step.question.as_ref().map_or("", |question| question.ask.as_str());
            format!("# {}\n", ask.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    };
    format!("\n{kind}{} <<'{end}'\n{}\n{end}\n", shell_words(&words), step.by_hand.join("\n"))
}

/// The shell's way to find out whether a need is met, as [`Need::unmet`] does it.
fn test(need: Need) -> &'static str {
    match need {
        Need::MntNamespace => "[ -e /proc/self/ns/mnt ]",
        Need::UtsNamespace => "[ -e /proc/self/ns/uts ]",
        Need::IpcNamespace => "[ -e /proc/self/ns/ipc ]",
        Need::PidNamespace => "[ -e /proc/self/ns/pid ]",
        Need::NetNamespace => "[ -e /proc/self/ns/net ]",
        // A script makes a lab host for itself.
        Need::NoUplink | Need::NoRouter => "true",
        Need::OwnFiles => "[ -w /etc/netns ]",
        Need::Uplink => "false",
        Need::UserNamespace => "unshare --user true 2>/dev/null",
        Need::CgroupNamespace => "[ -e /proc/self/ns/cgroup ]",
        Need::TimeNamespace => "[ -e /proc/self/ns/time ]",
        Need::IdRange => "range_of_ids",
        Need::OrdinaryUser => {
            "! all_ids || setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user true 2>/dev/null"
        }
        Need::Setgroups => "[ \"$(cat /proc/self/setgroups)\" = allow ]",
        Need::IdHelpers => "command -v newuidmap >/dev/null && command -v newgidmap >/dev/null",
        Need::Ipv6 => "[ -e /proc/net/if_inet6 ]",
        Need::Perl => "command -v perl >/dev/null",
        Need::NfTables => "nft list tables >/dev/null 2>&1",
        Need::OwnCgroup => "[ -e /lab/cgroup ]",
        // Every group of version 2 has the one file, and of version 1 the other.
        Need::OwnCgroupV2 => "[ -e /lab/cgroup/cgroup.controllers ]",
        Need::OwnCgroupV1 => "[ -e /lab/cgroup/tasks ] && [ -e /lab/cgroup/pids.max ]",
        Need::CpuV1 => "controller cpu 1",
        Need::CpuV2 => "controller cpu 2",
        Need::CpuacctV1 => "controller cpuacct 1",
        Need::CpusetV1 => "controller cpuset 1",
        Need::CpusetV2 => "controller cpuset 2",
        Need::MemoryV1 => "controller memory 1",
        Need::MemoryV2 => "controller memory 2",
        Need::PidsV1 => "controller pids 1",
        Need::PidsV2 => "controller pids 2",
        Need::BlkioV1 => "controller blkio 1",
        Need::IoV2 => "controller io 2",
        Need::FreezerV1 => "controller freezer 1",
        Need::FreezerV2 => "[ -e /lab/cgroup/cgroup.controllers ] && ! controller freezer 1",
        Need::DevicesV1 => "controller devices 1",
        Need::Disk => "/lab/work disk >/dev/null 2>&1",
        Need::DevicesBpf => "all_ids && /lab/work programs /lab/cgroup >/dev/null 2>&1",
        Need::NetClsV1 => "controller net_cls 1",
        Need::NetPrioV1 => "controller net_prio 1",
        Need::PerfEventV1 => "controller perf_event 1 && may_count",
        Need::PerfEventV2 => "! controller perf_event 1 && [ -e /lab/cgroup/cgroup.controllers ] && may_count",
        Need::HugetlbV1 => "controller hugetlb 1 && [ -e /sys/fs/cgroup/hugetlb/hugetlb.2MB.rsvd.failcnt ]",
        Need::HugetlbV2 => "controller hugetlb 2 && [ -e /sys/kernel/mm/hugepages/hugepages-2048kB ]",
        Need::TwoCpus => "[ \"$(nproc)\" -ge 2 ]",
        Need::DevMqueue => "[ -d /dev/mqueue ]",
        Need::IpcLimits => "all_ids || printf '6.9\\n%s\\n' \"$(uname -r)\" | sort --check=quiet --version-sort",
        Need::TrustedAttributes => "all_ids",
        Need::Overlay => {
            "grep -qw overlay /proc/filesystems && { all_ids || printf '6.6\\n%s\\n' \"$(uname -r)\" | sort --check=quiet --version-sort; }"
        }
    }
}

/// Whether the last line is expected to hold the foreground: the box has become a program that stays. Others are waited for.
fn stays(step: &Step) -> bool {
    step.kind == Kind::Change && matches!(step.actions.last(), Some(Action::Exec(_)))
}

/// A word that ends the lines, and that is none of them.
fn delimiter(step: &Step) -> String {
    let mut word = "LINES".to_owned();
    while step.by_hand.contains(&word) {
        word.push('_');
    }
    word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::lesson::builtin;

    #[test]
    fn a_step_is_its_lines_as_they_are_typed() {
        let lesson = builtin::find("uts").unwrap();
        let text = step(&lesson, lesson.step_index("too-long").unwrap());
        assert_eq!(
            text,
            "\n# The last line fails, and is meant to.\n\
             step too-long '65 bytes are too many' fails 1 'name too long' <<'LINES'\n\
             hostname $(printf 'x%.0s' {1..65})\n\
             LINES\n"
        );
        let text = step(&lesson, lesson.step_index("runtime").unwrap());
        assert!(text.contains("step runtime 'The order of a runtime' anew stays <<"), "{text}");
    }

    #[test]
    fn a_script_ends_with_the_step_that_is_wished() {
        let lesson = builtin::find("uts").unwrap();
        let text = of(&lesson, Some(1));
        assert!(text.contains("\nstep unshare ") && !text.contains("\nstep rename "));
        assert!(of(&lesson, None).contains("\nstep runtime "));
    }

    #[test]
    fn no_name_of_a_file_leaves_its_comment() {
        let mut lesson = builtin::find("uts").unwrap();
        lesson.name = "x\nreboot".into();
        assert!(opening(&lesson).lines().all(|line| line.is_empty() || line.starts_with('#')));
    }

    #[test]
    fn a_line_never_ends_the_lines() {
        let mut lesson = builtin::find("uts").unwrap();
        lesson.steps[0].by_hand = vec!["LINES".into(), "LINES_".into()];
        assert!(step(&lesson, 0).ends_with("<<'LINES__'\nLINES\nLINES_\nLINES__\n"));
    }
}
