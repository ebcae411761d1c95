//! Who may import whom. This test reads the sources and fails on anything that the tables below do not allow.
//!
//! What stands under `#[cfg(test)]` is free. Every exception has its reason, and is itself a fault once nothing needs it.

#![allow(clippy::unwrap_used)]

mod rules;
mod source;

use std::fs;
use std::path::Path;

use rules::{Tables, check};

/// A module, and the modules of ours that it may import. `kernel::errno` allows that one and what is below it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // The program: chooses the role, reads arguments, carries out commands, tells of errors. Nothing imports it.
    ("main", &["*"]),
    ("cli", &["*"]),
    ("commands", &["*"]),
    ("report", &["*"]),
    ("doctor", &["*"]),
    // The library's root only lists the modules.
    ("lib", &[]),
    // At the bottom: the shape in which trouble is told, the kernel's interfaces, and the member crate, which knows nothing of us.
    ("explain", &[]),
    ("rootfs_fetch", &[]),
    ("kernel", &["explain"]),
    // Readers of kernel state, and the deeds that change it. Neither knows the other.
    ("probe", &["kernel", "rootfs_fetch", "explain"]),
    ("runtime", &["cni", "kernel", "rootfs_fetch", "explain"]),
    // What is taught. It names namespaces and errors, and calls nothing of the kernel.
    ("stages", &["runtime", "probe", "explain"]),
    (
        "lesson",
        &[
            "stages",
            "runtime",
            "probe",
            "explain",
            "kernel::cgroup",
            "kernel::disk",
            "kernel::host",
            "kernel::namespace",
            "kernel::nftables",
            "kernel::errno",
        ],
    ),
    ("session", &["lesson", "explain"]),
    // What stands around the lessons: parts, history, words. For whoever shows them.
    ("course", &["lesson"]),
    // Transport and supervision.
    ("agent", &["runtime", "probe", "kernel", "explain"]),
    // Work for limits to bite into: a program by itself.
    ("workload", &["kernel"]),
    // A runtime's side of CNI: programs that are run, and files.
    ("cni", &["kernel", "explain"]),
    ("oci", &["runtime", "explain"]),
    ("registry", &["rootfs_fetch", "explain"]),
    // A lesson over a lab host, and the two ways to show it. The screens take the kernel's data, and make no calls.
    ("walk", &["session", "lesson", "stages", "runtime", "agent", "probe", "kernel", "explain"]),
    (
        "tui",
        &[
            "walk",
            "course",
            "session",
            "lesson",
            "stages",
            "runtime",
            "agent",
            "probe",
            "explain",
            "kernel::namespace",
            "kernel::errno",
            "kernel::trace",
        ],
    ),
    (
        "plain",
        &[
            "walk",
            "course",
            "session",
            "lesson",
            "stages",
            "runtime",
            "agent",
            "probe",
            "explain",
            "kernel::namespace",
            "kernel::errno",
            "kernel::trace",
        ],
    ),
];

/// A crate, the beginnings of the paths of the files that may use it, and why no others.
const ONLY_UNDER: &[(&str, &[&str], &str)] = &[
    ("nix", &["src/kernel/", "src/agent/"], "system calls are made, and traced, in one place"),
    // The member crate traces nothing: its library has no part in a step.
    ("rustix", &["src/kernel/", "src/agent/", "rootfs-fetch/"], "system calls are made, and traced, in one place"),
    ("libc", &["src/kernel/", "src/agent/"], "system calls are made, and traced, in one place"),
    ("rtnetlink", &["src/kernel/netlink/"], "one place speaks netlink, and traces it"),
    (
        "netlink_packet_netfilter",
        &["src/kernel/nftables/", "src/kernel/conntrack.rs"],
        "one place speaks nftables, and traces it; one asks for connections",
    ),
    ("simple_dns", &["src/kernel/names/"], "one place speaks DNS"),
    ("zbus", &["src/agent/systemd.rs"], "what speaks D-Bus starts threads: one place does, in a process of its own"),
    ("ratatui", &["src/tui/"], "everything works without a screen"),
    ("crossterm", &["src/tui/"], "everything works without a screen"),
    ("tui_term", &["src/tui/"], "everything works without a screen"),
    ("tui_markdown", &["src/tui/"], "everything works without a screen"),
    ("vt100", &["src/tui/"], "everything works without a screen"),
    ("serde_yaml", &["src/lesson/raw.rs", "src/lesson/raw/"], "the syntax of lessons is not their meaning"),
];

/// The most lines of a file, without its tests.
const MAX_LINES: usize = 400;

/// A file, what it may do against the tables (a module, a crate, or `lines`), and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/tui/mod.rs", "kernel::sys", "suspending and resuming the terminal: the process stops itself"),
    ("src/session/store.rs", "libc", "the O_NOFOLLOW and O_CLOEXEC that std::fs takes as numbers"),
];

const TABLES: Tables =
    Tables { may_import: MAY_IMPORT, only_under: ONLY_UNDER, max_lines: MAX_LINES, exceptions: EXCEPTIONS };

/// All Rust sources of both packages, with their paths from the root of the repository.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut dirs = vec![root.join("src"), root.join("rootfs-fetch/src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_sources_follow_the_tables() {
    let sources = sources();
    assert!(sources.len() > 20, "only {} sources were found", sources.len());
    let faults = check(&TABLES, &sources);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_table_itself_has_no_cycle() {
    assert_eq!(rules::cycle(&rules::table_edges(&TABLES)), None);
}
