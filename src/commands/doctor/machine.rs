//! The kernel, its namespaces, what may forbid them, and whether a lab host comes up.

use std::fs;
use std::path::Path;
use std::time::Instant;

use hardway::agent::client::Keeper;
use hardway::explain::Explanation;
use hardway::kernel::errno::Errno;
use hardway::kernel::host::{Person, userns_obstacle};
use hardway::kernel::namespace::Namespace;
use hardway::kernel::trial;

use super::{Finding, State, Topic};

/// The trimmed text of a file; none where it can not be read.
pub(super) fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Release and processor.
pub(super) fn kernel() -> Vec<Finding> {
    let release = text("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown: is /proc mounted?".into());
    let value = format!("Linux {release}, {}", std::env::consts::ARCH);
    vec![Finding::new(Topic::Machine, "kernel", State::Note, value, "/proc/sys/kernel/osrelease")]
}

/// Whether a lab host comes up, tried; and the keeper that made it, or why there is none.
pub(super) fn lab_host(
    keeper: Result<Keeper, Explanation>,
    left: usize,
) -> (Vec<Finding>, Result<Keeper, Explanation>) {
    let source = "a lab host, started and ended";
    let mut findings = Vec::new();
    if left > 0 {
        let value = format!("of {left} sessions that were killed; taken away just now");
        findings.push(Finding::new(Topic::Machine, "left behind", State::Note, value, "the ledgers"));
    }
    let start = Instant::now();
    let tried = keeper.and_then(|mut keeper| {
        keeper.start_lab()?;
        keeper.end_lab()?;
        Ok(keeper)
    });
    findings.push(match &tried {
        Ok(keeper) => {
            let mode = keeper.offer().mode.words();
            let value = format!("comes up and goes, in {} ms; {mode}", start.elapsed().as_millis());
            Finding::new(Topic::Machine, "lab host", State::Good, value, source)
        }
        Err(trouble) => {
            let value = format!("{}: {}", trouble.what, trouble.why);
            Finding::new(Topic::Machine, "lab host", State::Missing, value, source).fix(&trouble.fix)
        }
    });
    (findings, tried)
}

/// Each kind of namespace: in this kernel or not, makable or not, and how many.
pub(super) fn namespaces(person: &Person) -> Vec<Finding> {
    let plain = trial::each_namespace().unwrap_or_default();
    let inside = trial::each_namespace_as_own_root().unwrap_or_default();
    let answer = |tried: &[(Namespace, Result<(), Errno>)], kind| {
        tried.iter().find(|(one, _)| *one == kind).map(|(_, answer)| *answer)
    };
    let mut findings: Vec<Finding> = trial::KINDS
        .into_iter()
        .map(|kind| namespace(person, kind, answer(&plain, kind), answer(&inside, kind)))
        .collect();
    let mounted = trial::proc_in_user_namespace();
    let source = "mount of a proc in new user, pid and mount namespaces";
    findings.push(match mounted {
        Some(Ok(())) => {
            Finding::new(Topic::Namespaces, "proc", State::Good, "can be mounted in a user namespace", source)
        }
        Some(Err(errno)) => {
            let value = format!("can not be mounted in a user namespace: {}", words(errno));
            let fix = "the kernel refuses a new proc where parts of the old one are hidden by other mounts, as in containers: \
                       run hardway outside, or a container with --security-opt systempaths=unconfined";
            Finding::new(Topic::Namespaces, "proc", State::Limited, value, source).fix(fix)
        }
        None => Finding::new(Topic::Namespaces, "proc", State::Note, "the trial came to nothing", source),
    });
    findings
}

fn namespace(
    person: &Person,
    kind: Namespace,
    plain: Option<Result<(), Errno>>,
    inside: Option<Result<(), Errno>>,
) -> Finding {
    let source = format!("/proc/self/ns/{}; unshare({})", kind.link(), kind.flag());
    let finding = |state, value: String| Finding::new(Topic::Namespaces, kind.link(), state, value, &source);
    if !Path::new("/proc/self/ns").join(kind.link()).exists() {
        return finding(State::Missing, "not in this kernel".into()).fix("run hardway on a kernel that has it");
    }
    let limit_file = format!("/proc/sys/user/max_{}_namespaces", kind.link());
    let limit = text(&limit_file);
    let most = limit.as_ref().map(|most| format!(", at most {most}")).unwrap_or_default();
    if limit.as_deref() == Some("0") {
        return finding(State::Missing, "none may be made: the limit is 0".into())
            .fix(format!("as root: echo 1000 > {limit_file}"));
    }
    let user = kind == Namespace::User;
    match (plain, inside) {
        (Some(Ok(())), Some(Ok(()))) if user => finding(State::Good, format!("can be made, also in one another{most}")),
        (Some(Ok(())), Some(Ok(()))) => {
            finding(State::Good, format!("can be made, with and without a user namespace{most}"))
        }
        (Some(Ok(())), Some(Err(errno))) => {
            let value = format!("can be made{most}; inside of a user namespace not: {}", words(errno));
            finding(State::Limited, value).fix(userns_obstacle().1)
        }
        (_, Some(Ok(()))) if !person.sys_admin => {
            finding(State::Good, format!("can be made inside of a user namespace{most}"))
        }
        (Some(Err(errno)), _) => {
            let (why, fix) = if person.sys_admin {
                (String::new(), "something forbids it, though CAP_SYS_ADMIN is there: a seccomp filter?".to_owned())
            } else {
                let (why, fix) = userns_obstacle();
                (format!("; {why}"), fix)
            };
            finding(State::Missing, format!("can not be made: {}{why}", words(errno))).fix(fix)
        }
        (None, _) | (Some(Ok(())), None) => finding(State::Note, "the trial came to nothing".into()),
    }
}

fn words(errno: Errno) -> String {
    format!("{} ({})", errno.name(), errno.words())
}

/// Security modules and filters that may forbid what the kernel can do.
pub(super) fn security() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |name: &str, state, value: String, source: &str| {
        findings.push(Finding::new(Topic::Security, name, state, value, source));
    };
    let modules = "/sys/kernel/security/lsm";
    let listed = text(modules).unwrap_or_else(|| "can not be listed: securityfs is not mounted".into());
    add("modules", State::Note, listed, modules);
    if let Some(label) = text("/proc/self/attr/current").filter(|label| !label.is_empty()) {
        add("label", State::Note, label.trim_end_matches('\0').to_owned(), "/proc/self/attr/current");
    }
    if let Some(enforcing) = text("/sys/fs/selinux/enforce") {
        let value = if enforcing == "1" { "enforcing" } else { "permissive" };
        add("SELinux", State::Note, value.into(), "/sys/fs/selinux/enforce");
    }
    let lockdown = "/sys/kernel/security/lockdown";
    if let Some(modes) = text(lockdown) {
        // `none [integrity] confidentiality`: the one in brackets is in force (kernel_lockdown(7)).
        let now = modes.split(['[', ']']).nth(1).unwrap_or(&modes).to_owned();
        add("lockdown", State::Note, now, lockdown);
    }
    findings.extend(user_namespace_switch("apparmor_restrict_unprivileged_userns", "0"));
    findings.extend(user_namespace_switch("unprivileged_userns_clone", "1"));
    findings.push(seccomp());
    findings
}

/// A setting that some distributions have added to the kernel. `good` is the value that allows user namespaces.
fn user_namespace_switch(name: &str, good: &str) -> Option<Finding> {
    let source = format!("/proc/sys/kernel/{name}");
    let value = text(&source)?;
    Some(if value == good {
        Finding::new(Topic::Security, name, State::Good, format!("{value}: user namespaces are allowed"), &source)
    } else {
        let told = format!("{value}: ordinary users may not make user namespaces");
        let fix = format!("sudo sysctl -w kernel.{name}={good} – or run hardway with sudo");
        Finding::new(Topic::Security, name, State::Limited, told, &source).fix(fix)
    })
}

/// Filters on the system calls of this process (proc_pid_status(5): Seccomp, Seccomp_filters, NoNewPrivs).
fn seccomp() -> Finding {
    let source = "/proc/self/status";
    let status = text(source).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or("0", str::trim).to_owned()
    };
    let mut finding = match field("Seccomp").as_str() {
        "0" => Finding::new(Topic::Security, "seccomp", State::Good, "no filter on this process", source),
        _ => {
            let value = format!("{} filters on this process: a container?", field("Seccomp_filters"));
            Finding::new(Topic::Security, "seccomp", State::Limited, value, source)
                .fix("where calls fail with EPERM or ENOSYS: docker run --security-opt seccomp=unconfined")
        }
    };
    if field("NoNewPrivs") == "1" {
        finding.value.push_str("; no_new_privs is set, so newuidmap and sudo get no rights");
        finding.state = State::Limited;
    }
    finding
}
