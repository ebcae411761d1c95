//! How containers came about: a timeline. Kernel versions are those of the first release that has the thing.

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The year, or years.
    pub when: &'static str,
    /// What came.
    pub what: &'static str,
    /// What it brought.
    pub brought: &'static str,
}

const fn entry(when: &'static str, what: &'static str, brought: &'static str) -> Entry {
    Entry { when, what, brought }
}

/// The timeline, oldest first.
pub const TIMELINE: &[Entry] = &[
    entry("1979", "chroot", "Version 7 Unix gives a process another root directory. It was made to build and test."),
    entry("1982", "chroot in BSD", "Bill Joy adds it to BSD, to build the system inside of itself."),
    entry("2000", "FreeBSD jails", "A root of its own, and with it an address, users and processes of its own."),
    entry("2001", "Linux-VServer", "A patch that divides one Linux kernel into many servers."),
    entry("2002", "mount namespace", "Linux 2.4.19: the first namespace, when nobody knew that there would be more."),
    entry(
        "2005",
        "OpenVZ",
        "Whole virtual environments with limits, as a large patch. Much of it came to Linux later.",
    ),
    entry("2006", "uts and ipc namespaces", "Linux 2.6.19. Pid (2.6.24) and network namespaces follow until 2009."),
    entry(
        "2006–2008",
        "process containers, then cgroups",
        "Limits for groups of processes; renamed, and in Linux 2.6.24.",
    ),
    entry("2008", "LXC", "Namespaces and cgroups of an unpatched kernel, put together by one tool."),
    entry("2011", "Warden", "Cloud Foundry runs its programs in containers: first by LXC, then by itself."),
    entry("2013", "user namespaces", "Linux 3.8: being root in a container needs no root outside."),
    entry("2013", "Docker", "Images, layers and a registry on top of LXC: containers become something to hand around."),
    entry("2013", "lmctfy", "Google opens what it ran its own containers with; its ideas go into libcontainer."),
    entry(
        "2014",
        "libcontainer; rkt and appc",
        "Docker leaves LXC for its own library; CoreOS proposes an open format.",
    ),
    entry(
        "2015",
        "OCI, CNCF, runc",
        "One specification for runtime and image; Docker gives runc as the first runtime.",
    ),
    entry("2016", "cgroup v2", "Linux 4.5: one tree for all controllers. The cgroup namespace comes in 4.6."),
    entry("2016", "Docker 1.11", "The daemon no longer starts containers itself: containerd and runc do."),
    entry("2016–2017", "containerd, CRI-O", "Runtimes that Kubernetes talks to without Docker, by the CRI."),
    entry(
        "2020",
        "time namespace",
        "Linux 5.6: clocks that count from another start. The eighth kind, and so far the last.",
    ),
];

/// The timeline as Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    for Entry { when, what, brought } in TIMELINE {
        text.push_str(&format!("- {when} **{what}**: {brought}\n"));
    }
    text.push_str("\nThere is no \"container\" in the kernel, then or now: these are the parts that one is made of.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let years: Vec<&str> = TIMELINE.iter().map(|entry| &entry.when[..4]).collect();
        assert!(years.is_sorted(), "{years:?}");
        assert!(TIMELINE.iter().all(|entry| markdown().contains(&format!("- {} **{}**", entry.when, entry.what))));
    }
}
