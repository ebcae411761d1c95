//! Who runs hardway, and which ids could be mapped in a lab host.

use hardway::kernel::host::{Mode, Offer, Person, helper};
use hardway::kernel::storage::gives_rights;
use hardway::lesson::Need;

use super::{Finding, State, Topic};

/// Everything about ids.
pub(super) fn findings(person: &Person) -> Vec<Finding> {
    let who = match (person.uid, person.sys_admin) {
        (0, true) => "root, with CAP_SYS_ADMIN".to_owned(),
        (0, false) => "root, but without CAP_SYS_ADMIN".to_owned(),
        (uid, _) => format!("user {uid}, group {}", person.gid),
    };
    let mut findings = vec![Finding::new(Topic::Ids, "you", State::Note, who, "geteuid; CapEff of /proc/self/status")];
    // Root needs no user namespace, and so no range.
    let lack = if person.uid == 0 { State::Note } else { State::Limited };
    findings.extend(["newuidmap", "newgidmap"].map(|name| mapper(name, lack)));
    let source = "/etc/subuid, /etc/subgid";
    findings.push(match (&person.sub_ids, person.uid) {
        (Some((uids, gids)), _) => {
            let value = format!("user ids from {} ({}), group ids from {} ({})", uids.first, uids.count, gids.first, gids.count);
            Finding::new(Topic::Ids, "range", State::Good, value, source)
        }
        (None, 0) => Finding::new(Topic::Ids, "range", State::Note, "none, and root needs none", source),
        (None, _) => {
            // The cgroup is of no matter to this need.
            let why = Need::IdRange.unmet(&Offer { mode: Mode::RootlessSingle, cgroups: Vec::new(), unmounted: Vec::new(), real_host: false, network: None, device_programs: false, nf_tables: false }).unwrap_or_default();
            Finding::new(Topic::Ids, "range", State::Limited, "a single id, your own", source).fix(format!(
                "{why}: sudo apt-get install uidmap; sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
            ))
        }
    });
    findings
}

/// A program that maps ranges of ids; without rights of its own it can not.
fn mapper(name: &str, lack: State) -> Finding {
    let source = "its mode and its attribute security.capability";
    let fix = "sudo apt-get install --reinstall uidmap";
    match helper(name) {
        Some(path) if gives_rights(&path) => {
            Finding::new(Topic::Ids, name, State::Good, format!("{}, with rights", path.display()), source)
        }
        Some(path) => {
            let value = format!("{} has neither the set-user-ID bit nor capabilities", path.display());
            Finding::new(Topic::Ids, name, lack, value, source).fix(fix)
        }
        None => Finding::new(Topic::Ids, name, lack, "not installed", source).fix("sudo apt-get install uidmap"),
    }
}
