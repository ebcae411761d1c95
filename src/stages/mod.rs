//! The stages: each mechanism of isolation that lessons teach, in one table.

use crate::probe::Panel;

/// One mechanism of isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name that lessons use.
    pub id: &'static str,
    /// What it is about, in a sentence.
    pub teaches: &'static str,
    /// The panels that a step shows when it names none.
    pub panels: &'static [Panel],
}

/// All stages, in the order of the course.
pub const ALL: &[Stage] = &[
    Stage {
        id: "process",
        teaches: "how a process is born, becomes another program, and ends",
        panels: &[Panel::Processes, Panel::Namespaces],
    },
    Stage { id: "chroot", teaches: "a root directory of its own", panels: &[Panel::Root, Panel::Mounts] },
    Stage {
        id: "mount",
        teaches: "mounts of its own, and a root that can not be left",
        panels: &[Panel::Mounts, Panel::Root],
    },
    Stage { id: "uts", teaches: "a host name of its own", panels: &[Panel::Hostname, Panel::Namespaces] },
    Stage { id: "ipc", teaches: "shared memory and queues of its own", panels: &[Panel::Ipc, Panel::Namespaces] },
    Stage {
        id: "pid",
        teaches: "a process tree of its own",
        panels: &[Panel::Processes, Panel::Namespaces, Panel::Mounts],
    },
    Stage {
        id: "user",
        teaches: "user and group ids, and capabilities, of one's own",
        panels: &[Panel::Credentials, Panel::Namespaces],
    },
    Stage { id: "net", teaches: "a network of its own", panels: &[Panel::Network, Panel::Namespaces] },
    Stage {
        id: "cgroup-ns",
        teaches: "which cgroup is seen as the root of the tree",
        panels: &[Panel::Cgroups, Panel::Namespaces],
    },
    Stage { id: "cgroups", teaches: "groups, their files, and controllers", panels: &[Panel::Cgroups] },
    Stage { id: "cpu", teaches: "how much processor time, and which processors", panels: &[Panel::Cgroups] },
    Stage { id: "memory", teaches: "how much memory", panels: &[Panel::Cgroups] },
    Stage { id: "pids", teaches: "how many processes", panels: &[Panel::Cgroups, Panel::Processes] },
    Stage { id: "io", teaches: "how fast a disk may be read", panels: &[Panel::Cgroups] },
    Stage { id: "devices-freezer", teaches: "which devices, and when to stand still", panels: &[Panel::Cgroups] },
    Stage {
        id: "net-perf-hugetlb",
        teaches: "marks on packets, counting, and huge pages: what has become of four controllers",
        panels: &[Panel::Cgroups],
    },
    Stage { id: "host-link", teaches: "a cable to the host", panels: &[Panel::Network, Panel::Namespaces] },
    Stage { id: "bridge", teaches: "a switch between containers", panels: &[Panel::Network] },
    Stage {
        id: "outside",
        teaches: "routes, forwarding, and another address on the packet",
        panels: &[Panel::Network],
    },
    Stage { id: "publish", teaches: "ports that are reached from outside", panels: &[Panel::Network] },
    Stage { id: "cni", teaches: "networks that somebody else makes, by plugins", panels: &[Panel::Network] },
    Stage {
        id: "registry",
        teaches: "how images go to a registry and come from it, request by request",
        panels: &[Panel::Exchanges, Panel::Image],
    },
    Stage {
        id: "overlay",
        teaches: "many directories as one, and a place for what is written",
        panels: &[Panel::Overlay, Panel::Mounts],
    },
    Stage {
        id: "image",
        teaches: "what an image is: documents and archives, named by their digests",
        panels: &[Panel::Image],
    },
    Stage {
        id: "layers",
        teaches: "an image as a stack of archives, and what they add, change and delete",
        panels: &[Panel::Layers, Panel::Overlay],
    },
    Stage {
        id: "time",
        teaches: "clocks that have run for longer, or not so long",
        panels: &[Panel::Clocks, Panel::Namespaces],
    },
];

/// The stage of this name.
pub fn find(id: &str) -> Option<&'static Stage> {
    ALL.iter().find(|stage| stage.id == id)
}
