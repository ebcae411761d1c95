//! Whether groups can be made that have a controller, and why not.

use crate::kernel::cgroup::{self, Version};
use crate::kernel::host::{Mode, Offer};

/// In which version groups of lessons have a controller.
pub(super) fn home(name: &str, offer: &Offer) -> Option<Version> {
    let made = offer.unmounted.iter().any(|one| one == name).then_some(Version::V1);
    cgroup::home_of(name, &offer.cgroups).map(|home| home.version).or(made)
}

/// Why no group of a version can be made that has a controller.
pub(super) fn without_controller(name: &str, version: Version, offer: &Offer) -> Option<String> {
    if let Some(home) = home(name, offer) {
        let (here, there) = if version == Version::V1 { ("2", "1") } else { ("1", "2") };
        return (version != home).then(|| format!(
            "it is for cgroups of version {there}, and the controller {name} is in version {here} here; the step beside it does the \
             same there"
        ));
    }
    if offer.cgroups.is_empty() {
        return Some(no_group());
    }
    let known = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let older = cgroup::name_in(Version::V1, name);
    let is_known = known.lines().any(|line| line.split_whitespace().next() == Some(older));
    let visible = cgroup::hierarchies();
    let v1 = visible.iter().any(|one| one.version == Version::V1);
    Some(match is_known {
        false => format!("this kernel was built without the cgroup controller {name}"),
        true if !v1 && ["devices", "net_cls", "net_prio"].contains(&name) => format!(
            "in version 2 there is no controller {name}: BPF programs decide on devices, and nft and BPF look at the group itself; {}",
            not_made(offer)
        ),
        true if visible.iter().any(|one| one.version == Version::V1 && one.has(older)) => {
            format!("the cgroups of {name} may not be changed by this user; with sudo it works")
        }
        true if v1
            && visible.iter().all(|one| {
                one.version == Version::V1 || !cgroup::controllers(&one.mount).iter().any(|it| it == name)
            }) =>
        {
            format!("this machine has mounted {name} nowhere; {}", not_made(offer))
        }
        true => not_handed_down(name, offer),
    })
}

/// Why hardway makes no hierarchy for a controller that is in none.
fn not_made(offer: &Offer) -> &'static str {
    match offer.mode {
        Mode::Root if offer.real_host => "without --real-host hardway makes a hierarchy for the lab host alone",
        Mode::Root => {
            "hardway would make a hierarchy for the lab host alone, on Linux 5.15 and later and outside of containers: only there \
             nothing else changes by it"
        }
        _ => "with sudo hardway makes a hierarchy for the lab host alone",
    }
}

/// Why the groups of version 2 that can be made do not have a controller that the kernel has.
fn not_handed_down(name: &str, offer: &Offer) -> String {
    let own = offer.cgroups.iter().find(|one| one.version == Version::V2);
    if own.is_some_and(|one| cgroup::controllers(&one.own).iter().any(|one| one == name)) {
        return format!(
            "others are in the cgroup that hardway runs in, so it can not hand the controller {name} down; started alone in a group, or \
             where systemd can make it one, it can"
        );
    }
    let fix = match offer.mode {
        Mode::Root => "the group above it would have to name it in cgroup.subtree_control",
        _ => "with sudo it works",
    };
    format!("the cgroup that hardway runs in is not handed the controller {name}; {fix}")
}

/// Why no BPF program can be put on a group.
pub(super) fn without_programs(offer: &Offer) -> Option<String> {
    let own = offer.cgroups.first().map(|own| own.version);
    let why = match own {
        // Also where this user has groups: with them nothing would be won.
        _ if offer.mode != Mode::Root => {
            "a BPF program for a cgroup is loaded with CAP_BPF and CAP_NET_ADMIN of the machine itself, which root of a user namespace has \
             not; with sudo it works"
        }
        None => return Some(no_group()),
        Some(Version::V1) => {
            "it is for cgroups of version 2, which this machine has not; the steps before it show the list of version 1"
        }
        Some(Version::V2) if offer.device_programs => return None,
        Some(Version::V2) => {
            "the kernel refuses to tell of BPF programs on cgroups: it was built without them (CONFIG_CGROUP_BPF), or this root is \
             without CAP_NET_ADMIN, as in containers; run hardway outside of the container"
        }
    };
    Some(why.to_owned())
}

/// Why there is no group of the lab's own, and how there would be one.
pub(super) fn no_group() -> String {
    let (why, fix) = cgroup::obstacle();
    format!("it needs cgroups of its own: {why}; {fix}")
}
