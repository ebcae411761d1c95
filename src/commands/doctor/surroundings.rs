//! Around hardway: terminal, language, home, container, room.

use std::env;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use hardway::kernel::host::home_of;
use hardway::kernel::machine_network::{Filter, MachineNetwork};
use hardway::kernel::storage::FileSystem;
use hardway::session::store;

use super::machine::text;
use super::{Finding, State, Topic};

/// What a lab host may write at most (its tmpfs), and what the machine should have left then.
const ROOM: u64 = 512 << 20;

/// What progress needs at most.
const PROGRESS_ROOM: u64 = 1 << 20;

/// Everything around.
pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![terminal(), locale()];
    findings.extend(progress());
    findings.extend([inside(), memory()]);
    findings.extend(firewalls());
    findings
}

/// Who decides on what this machine forwards: with `--real-host` packets of lessons meet them too. Only root is told.
fn firewalls() -> Vec<Finding> {
    let filters = MachineNetwork::read().map(|network| network.filters).unwrap_or_default();
    let known = filters.into_iter().map(|Filter { whose, family, table, chain }| {
        let value = format!(
            "{whose} drops what it does not know; with --real-host rules for a lesson's bridges are put into {family} {table} {chain}"
        );
        finding("forwarding", State::Note, value, "NFT_MSG_GETCHAIN")
    });
    let legacy = Path::new("/proc/net/ip_tables_names");
    let old = text(legacy).filter(|names| names.lines().any(|name| name == "filter")).map(|_| {
        let value = "iptables-legacy has rules, which hardway does not read: with --real-host they may drop what lessons forward";
        finding("iptables-legacy", State::Limited, value, "/proc/net/ip_tables_names").fix("iptables-legacy -S FORWARD")
    });
    let bridged = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    let crossing = text(bridged).filter(|value| value.trim() == "1").map(|_| {
        let value = "packets between two ports of a bridge meet the rules at the hook forward, too";
        finding("br_netfilter", State::Note, value, "/proc/sys/net/bridge/bridge-nf-call-iptables")
    });
    known.chain(old).chain(crossing).collect()
}

fn finding(name: &str, state: State, value: impl Into<String>, source: &str) -> Finding {
    Finding::new(Topic::Surroundings, name, state, value, source)
}

fn terminal() -> Finding {
    let term = env::var("TERM").unwrap_or_default();
    let source = "TERM";
    let lines = "hardway will use lines of text (--plain)";
    match term.as_str() {
        _ if !std::io::stdout().is_terminal() => {
            finding("terminal", State::Note, "standard output is none here, so the screen was not looked at", source)
        }
        "" => finding("terminal", State::Limited, "TERM is not set", source).fix("export TERM=xterm-256color"),
        "dumb" => finding("terminal", State::Note, format!("dumb: {lines}"), source),
        name => finding("terminal", State::Good, name, source),
    }
}

fn locale() -> Finding {
    // The first that is set and not empty counts (locale(7)).
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
        let value = env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let utf8 = |value: &str| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    };
    match set {
        Some((name, value)) if utf8(&value) => finding("locale", State::Good, value, name),
        Some((name, value)) => {
            finding("locale", State::Limited, format!("{value} is not UTF-8: lines and signs may look wrong"), name)
                .fix("export LC_ALL=C.UTF-8")
        }
        None => {
            finding("locale", State::Limited, "none is set: lines and signs may look wrong", "LC_ALL, LC_CTYPE, LANG")
                .fix("export LC_ALL=C.UTF-8")
        }
    }
}

/// The file system on which progress is kept. The lab host never shows the home directory, so lessons do not care.
fn progress() -> Vec<Finding> {
    let Some(directory) = store::directory(|name| env::var_os(name), home_of) else {
        return vec![
            finding(
                "progress",
                State::Limited,
                "can not be kept: neither XDG_STATE_HOME nor HOME is set",
                "the environment",
            )
            .fix("export HOME=…"),
        ];
    };
    let there: PathBuf = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    let source = format!("statfs {}", there.display());
    let Some(system) = FileSystem::of(&there) else { return Vec::new() };
    let name = system.name.map_or_else(|| format!("file system {:#x}", system.magic), str::to_owned);
    let meaning = match system.name {
        Some("nfs" | "cifs" | "smb2" | "9p" | "ceph" | "afs") => {
            "; over the network: root may not be let in, so start hardway by a path that root can read, or without sudo"
        }
        Some("ecryptfs" | "fuse") => {
            "; perhaps encrypted, for you alone: root may not be let in, so start hardway by a path that root can read, or without sudo"
        }
        Some("tmpfs") => "; in memory: progress is gone after a reboot",
        _ => "",
    };
    let value = format!("{}, on {name}{meaning}", directory.display());
    if system.free < PROGRESS_ROOM {
        return vec![
            finding("progress", State::Limited, format!("{value}; full"), &source)
                .fix("make room there, or set XDG_STATE_HOME"),
        ];
    }
    vec![finding("progress", if meaning.is_empty() { State::Good } else { State::Note }, value, &source)]
}

/// Whether this is a container, or the lab host of another hardway.
fn inside() -> Finding {
    let name = "inside of";
    if text("/proc/1/comm").as_deref() == Some("hw-agent") {
        return finding(
            name,
            State::Note,
            "the lab host of another hardway: lessons work, one level deeper",
            "/proc/1/comm",
        );
    }
    // The numbers of the first pid and user namespaces are constants of the kernel (include/linux/proc_ns.h).
    let first = [("pid", 0xEFFF_FFFC_u32), ("user", 0xEFFF_FFFD)];
    let own: Vec<&str> = first
        .into_iter()
        .filter(|(kind, number)| {
            let link = std::fs::read_link(format!("/proc/self/ns/{kind}"));
            link.is_ok_and(|link| link.to_string_lossy() != format!("{kind}:[{number}]"))
        })
        .map(|(kind, _)| kind)
        .collect();
    let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
    let marks: Vec<&str> = marks.into_iter().filter(|file| Path::new(file).exists()).collect();
    let source = "/proc/self/ns/pid, /proc/self/ns/user, and files that engines leave";
    let fix = "where lessons fail: run hardway outside, or the container with --privileged";
    match (own.is_empty(), marks.is_empty()) {
        (true, true) => finding(name, State::Good, "no container: the machine's own namespaces", source),
        (true, false) => {
            let value = format!("the machine's own pid and user namespaces, though there is {}", marks.join(", "));
            finding(name, State::Note, value, source)
        }
        (false, _) => {
            let value = format!("a container, or something like it: not the machine's {} namespace", own.join(" and "));
            finding(name, State::Limited, value, source).fix(fix)
        }
    }
}

/// Memory: what a lab host writes is in a tmpfs.
fn memory() -> Finding {
    let source = "/proc/meminfo";
    let table = text(source).unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map(|kib| kib << 10);
    match available {
        Some(bytes) if bytes >= ROOM => {
            finding("memory", State::Good, format!("{} MiB available", bytes >> 20), source)
        }
        Some(bytes) => finding(
            "memory",
            State::Limited,
            format!("only {} MiB available; what is written in a lab host is memory", bytes >> 20),
            source,
        )
        .fix("end something"),
        None => finding("memory", State::Note, "unknown", source),
    }
}
