//! `hardway cni soak`: a network's plugins again and again, many at once, and what they leave.
//!
//! All of it happens in network and mount namespaces of its own, with `/run` and `/var/lib` that nobody else sees. They end with this
//! process, and with them whatever plugins have left.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hardway::cni::attachment::Attachment;
use hardway::cni::cache::Cache;
use hardway::cni::config::NetworkList;
use hardway::cni::error::Failure;
use hardway::cni::exchange::Plugins;
use hardway::cni::plugins;
use hardway::cni::runner::Runner;
use hardway::explain::Explanation;
use hardway::kernel::host::effective_uid;
use hardway::kernel::namespace::Namespace;
use hardway::kernel::netlink::Netlink;
use hardway::kernel::piped::{self, Limits};
use hardway::kernel::sys::{self, MntFlags, MsFlags};
use hardway::kernel::trace::{CallError, Trace};
use serde_json::json;

use super::named;
use crate::cli::cni::Soak;
use crate::commands::tell;
use crate::report::FAILED;

/// Where the containers' network namespaces are.
const NETNS: &str = "/run/netns";
/// Where attachments are kept.
const CACHE: &str = "/run/hardway-cni";
/// The most failures that are told.
const MOST_TOLD: usize = 10;

/// `hardway cni soak`. No thread exists yet.
pub fn soak(options: &Soak) -> Result<ExitCode, Explanation> {
    if effective_uid() != 0 {
        return Err(Explanation::new(
            "The soak needs root",
            "it works in network and mount namespaces of its own, and plugins want root there",
            "run it with sudo",
        ));
    }
    // Before the place where it may be is hidden.
    let list = named(&options.net, &options.conf_dir)?;
    machine().map_err(|error| error.explain("There can be no machine of its own", "see what `hardway doctor` says"))?;
    let plugins = Plugins {
        path: options.path.clone(),
        timeout: Duration::from_secs(options.timeout),
        own: Some(plugins::OWN_PROGRAM.into()),
    };
    let runner = Runner { plugins, cache: Cache::at(CACHE) };
    let (started, failures) = (Instant::now(), Mutex::new(Vec::new()));
    let (mut first, mut failed) = (None, 0);
    for cycle in 0..options.cycles {
        std::thread::scope(|scope| {
            for number in 0..options.at_once {
                let (runner, list, failures) = (&runner, &list, &failures);
                scope.spawn(move || {
                    if let Err(explanation) = life(runner, list, &format!("soak-{cycle}-{number}"))
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(explanation);
                    }
                });
            }
        });
        // What stays for the next ones (a bridge, chains of all) is there after the first cycle.
        first.get_or_insert_with(Left::now);
        if let Ok(mut failures) = failures.lock() {
            failed += failures.len().saturating_sub(MOST_TOLD);
            failures.truncate(MOST_TOLD);
        }
    }
    let failures = failures.into_inner().unwrap_or_default();
    failed += failures.len();
    let left = Left::now();
    let more = left.without(&first.unwrap_or_default());
    let well = failed == 0 && more.is_nothing();
    let seconds = started.elapsed().as_secs_f64();
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let attachments = options.cycles * options.at_once;
    tell(
        options.json,
        &json!({
            "format": 1, "command": "SOAK", "network": list.name, "well": well, "attachments": attachments, "seconds": seconds,
            "failed": failed, "failures": told, "left": left.json(), "more_than_after_the_first_cycle": more.json(),
        }),
        &format!(
            "{attachments} attachments in {seconds:.1} s, {failed} failed\n{}left behind:\n{}more than after the first cycle:\n{}",
            told.iter().map(|one| format!("  {one}\n")).collect::<String>(),
            left.text(),
            more.text().trim_end(),
        ),
    );
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Makes a machine of its own of this process.
fn machine() -> Result<(), CallError> {
    let mut trace = Trace::new("soak");
    sys::unshare(&mut trace, &[Namespace::Net, Namespace::Mnt])?;
    sys::mount(&mut trace, "none", "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    for directory in ["/run", "/var/lib"] {
        sys::mount(&mut trace, "hardway", directory, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    }
    sys::mkdir(&mut trace, Path::new(NETNS), 0o755)?;
    Netlink::open_traced(&mut trace)?.set_link(&mut trace, "lo", true)
}

/// The life of one container.
fn life(runner: &Runner, list: &NetworkList, id: &str) -> Result<(), Explanation> {
    let path = format!("{NETNS}/{id}");
    let trouble =
        |error: CallError| error.explain("A container got no network namespace", "see the limits in /proc/sys/user");
    namespace(&path).map_err(trouble)?;
    let attachment = Attachment {
        container_id: id.to_owned(),
        netns: Some(path.clone()),
        ifname: "eth0".to_owned(),
        ..Attachment::default()
    };
    let mut ignore = |_| {};
    let lived = runner.add(list, &attachment, &mut ignore).and_then(|_| {
        let checked =
            if list.version.has_check() { runner.check(list, &attachment, &mut ignore).map(drop) } else { Ok(()) };
        runner.del(list, &attachment, &mut ignore).and(checked)
    });
    let mut trace = Trace::new("soak");
    let gone = sys::umount2(&mut trace, &path, MntFlags::MNT_DETACH).and_then(|()| sys::unlink(&mut trace, &path));
    lived.map_err(Failure::whole)?;
    gone.map_err(trouble)
}

/// Makes a network namespace that only a mount holds. A thread goes into it and ends, so that this one stays where it is.
fn namespace(path: &str) -> Result<(), CallError> {
    let make = || {
        let mut trace = Trace::new("soak");
        sys::make_file(&mut trace, path)?;
        sys::unshare(&mut trace, &[Namespace::Net])?;
        sys::mount(&mut trace, "/proc/thread-self/ns/net", path, None, MsFlags::MS_BIND, None)
    };
    std::thread::scope(|scope| scope.spawn(make).join()).unwrap_or(Ok(()))
}

/// What can be left on a machine.
#[derive(Default)]
struct Left {
    links: BTreeSet<String>,
    rules: BTreeSet<String>,
    chains: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Left {
    fn now() -> Self {
        let mut left = Self::default();
        let links = Netlink::open().and_then(|mut netlink| netlink.links()).unwrap_or_default();
        left.links = links.into_iter().map(|link| link.name).filter(|name| name != "lo").collect();
        for family in ["iptables", "ip6tables"] {
            let limits = Limits { stdout: 64 << 20, stderr: 4096, at_most: Duration::from_secs(60) };
            // Where there is no such program, plugins have made no rules by it.
            let Ok(saved) = piped::run(&mut Command::new(format!("{family}-save")), b"", &limits) else { continue };
            for line in String::from_utf8_lossy(&saved.stdout).lines() {
                let chain = line.split(' ').next().unwrap_or_default();
                match line.chars().next() {
                    Some('-') => left.rules.insert(format!("{family} {line}")),
                    Some(':') => left.chains.insert(format!("{family} {chain}")),
                    _ => false,
                };
            }
        }
        for directory in ["/run", "/var/lib"] {
            files_below(Path::new(directory), &mut left.files);
        }
        left
    }

    fn without(&self, other: &Self) -> Self {
        let new = |now: &BTreeSet<String>, before| now.difference(before).cloned().collect();
        Self {
            links: new(&self.links, &other.links),
            rules: new(&self.rules, &other.rules),
            chains: new(&self.chains, &other.chains),
            files: new(&self.files, &other.files),
        }
    }

    /// Empty chains are told and do no harm: the reference's portmap leaves its own.
    fn is_nothing(&self) -> bool {
        self.links.is_empty() && self.rules.is_empty() && self.files.is_empty()
    }

    fn json(&self) -> serde_json::Value {
        json!({ "links": self.links, "rules": self.rules, "chains": self.chains.len(), "files": self.files })
    }

    fn text(&self) -> String {
        let kinds = [("link", &self.links), ("rule", &self.rules), ("file", &self.files)];
        let lines = kinds.iter().flat_map(|(kind, all)| {
            // As many as a person looks at.
            let more = all.len().saturating_sub(MOST_TOLD);
            let more = (more > 0).then(|| format!("  {kind}: and {more} more\n"));
            all.iter().take(MOST_TOLD).map(move |one| format!("  {kind}: {}\n", one.escape_debug())).chain(more)
        });
        let chains = (!self.chains.is_empty()).then(|| format!("  chains: {}\n", self.chains.len()));
        let text: String = lines.chain(chains).collect();
        if text.is_empty() { "  nothing\n".to_owned() } else { text }
    }
}

/// The files below a directory; a namespace's is one, and links are not followed.
fn files_below(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), found),
            _ => drop(found.insert(entry.path().display().to_string())),
        }
    }
}
