//! Checks on the BPF programs of groups.

use std::collections::BTreeMap;

use super::{Lab, Reading, errno};
use crate::kernel::cgroup::{Hierarchy, Version};
use crate::kernel::device::program;
use crate::kernel::sys::bpf::Info;
use crate::probe::cgroups::Group;

fn with(lab: &mut Lab, device_programs: Option<Reading<Vec<Info>>>) {
    let place = "/lab/cgroup".to_owned();
    let own =
        Hierarchy { version: Version::V2, mount: place.clone().into(), options: String::new(), own: place.into() };
    let members = Reading::Value(Vec::new());
    let group = Group { directory: "/lab/cgroup/web".into(), members, files: BTreeMap::new(), device_programs };
    lab.observation.cgroups.own = Some(own);
    lab.observation.cgroups.groups.insert("/web".into(), group);
}

fn of(id: u32, rules: &[&str]) -> Info {
    let rules: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    Info { id, name: "device_rules".into(), tag: String::new(), instructions: program(&rules) }
}

#[test]
fn a_program_counts_by_what_it_does() {
    let mut lab = Lab::new();
    let null = "device_rules: { cgroup: /web, allow: [c 1:3 rwm] }";
    let id = "device_program: { cgroup: /web }";
    assert!(!lab.check(null).holds && lab.value(id).is_none(), "there is no group");

    with(&mut lab, Some(Reading::Value(vec![of(7, &["c 1:3 rwm"])])));
    assert!(lab.check(null).holds);
    assert!(!lab.check("device_rules: { cgroup: /web, allow: [c 1:5 rwm] }").holds);
    assert!(!lab.check("device_rules: { cgroup: /web, allow: [] }").holds);
    assert_eq!(lab.value(id).unwrap(), "7");

    for (programs, seen) in [
        (Reading::Value(Vec::new()), "it has no program of its own"),
        (Reading::Value(vec![of(7, &["c 1:* rwm"])]), "the instructions of program 7 are others"),
        (Reading::Value(vec![of(7, &["c 1:3 rwm"]), of(8, &[])]), "it has 2 programs"),
        (Reading::Missing(errno("EPERM")), "none: EPERM (Operation not permitted)"),
    ] {
        with(&mut lab, Some(programs));
        let verdict = lab.check(null);
        assert_eq!((verdict.holds, verdict.seen.as_str()), (false, seen));
    }
    with(&mut lab, None);
    assert_eq!(lab.check(null).seen, "it was not read");
}
