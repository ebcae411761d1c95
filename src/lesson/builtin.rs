//! The lessons that come with hardway, embedded in the binary.

use super::fault;
use super::renumber::renumber;
use super::{Lesson, compile};
use crate::explain::Explanation;
use crate::kernel::host::Offer;

/// Names and texts, sorted by name.
const SOURCES: &[(&str, &str)] = &[
    ("00-process", include_str!("../../lessons/00-process.yaml")),
    ("01-chroot", include_str!("../../lessons/01-chroot.yaml")),
    ("02-mount", include_str!("../../lessons/02-mount.yaml")),
    ("03-uts", include_str!("../../lessons/03-uts.yaml")),
    ("04-ipc", include_str!("../../lessons/04-ipc.yaml")),
    ("05-pid", include_str!("../../lessons/05-pid.yaml")),
    ("06-net", include_str!("../../lessons/06-net.yaml")),
    ("07-user", include_str!("../../lessons/07-user.yaml")),
    ("08-cgroup-ns", include_str!("../../lessons/08-cgroup-ns.yaml")),
    ("09-time", include_str!("../../lessons/09-time.yaml")),
    ("10-cgroups", include_str!("../../lessons/10-cgroups.yaml")),
    ("11-cpu", include_str!("../../lessons/11-cpu.yaml")),
    ("12-memory", include_str!("../../lessons/12-memory.yaml")),
    ("13-pids", include_str!("../../lessons/13-pids.yaml")),
    ("14-io", include_str!("../../lessons/14-io.yaml")),
    ("15-devices-freezer", include_str!("../../lessons/15-devices-freezer.yaml")),
    ("16-net-perf-hugetlb", include_str!("../../lessons/16-net-perf-hugetlb.yaml")),
    ("17-host-link", include_str!("../../lessons/17-host-link.yaml")),
    ("18-bridge", include_str!("../../lessons/18-bridge.yaml")),
    ("19-outside", include_str!("../../lessons/19-outside.yaml")),
    ("20-publish", include_str!("../../lessons/20-publish.yaml")),
    ("21-cni", include_str!("../../lessons/21-cni.yaml")),
    ("22-overlay", include_str!("../../lessons/22-overlay.yaml")),
    ("23-image-anatomy", include_str!("../../lessons/23-image-anatomy.yaml")),
    ("24-pull", include_str!("../../lessons/24-pull.yaml")),
    ("25-layers", include_str!("../../lessons/25-layers.yaml")),
    ("27-push", include_str!("../../lessons/27-push.yaml")),
];

/// All lessons, sorted by name. One that does not compile is left out here and fails the tests.
pub fn all() -> Vec<Lesson> {
    SOURCES
        .iter()
        .filter_map(|(name, text)| compile::compile(name, &format!("lessons/{name}.yaml"), text).ok())
        .collect()
}

/// The text of a lesson.
pub fn source(name: &str) -> Option<&'static str> {
    SOURCES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The same lesson with networks that this machine does not use, where it is the lab host.
pub fn renumbered(lesson: Lesson, offer: &Offer) -> Lesson {
    let taken = offer.network.as_ref().map_or(&[][..], |network| &network.taken);
    let text = source(&lesson.name).and_then(|text| renumber(text, taken));
    text.and_then(|text| compile::compile(&lesson.name, &lesson.name, &text).ok()).unwrap_or(lesson)
}

/// The lesson of this name (`05-pid`) or id (`pid`).
///
/// # Errors
/// That there is none, with the names that there are.
pub fn find(name_or_id: &str) -> Result<Lesson, Explanation> {
    let lessons = all();
    if let Some(lesson) = lessons.iter().find(|lesson| lesson.name == name_or_id || lesson.id == name_or_id) {
        return Ok(lesson.clone());
    }
    let ids: Vec<&str> = lessons.iter().flat_map(|lesson| [lesson.id.as_str(), lesson.name.as_str()]).collect();
    let names = lessons.iter().map(|lesson| lesson.name.as_str()).collect::<Vec<_>>().join(", ");
    let near = fault::nearest(name_or_id, &ids).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Err(Explanation::new(
        format!("there is no lesson `{}`", name_or_id.escape_debug()),
        "a lesson goes by the name of its file, `05-pid`, or by its id, `pid`",
        format!("{near}the lessons are: {names}"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_lesson_compiles() {
        for (name, text) in SOURCES {
            if let Err(faults) = compile::compile(name, name, text) {
                panic!("{}", faults.iter().map(|fault| fault.snippet.as_str()).collect::<String>());
            }
        }
        assert!(SOURCES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn lessons_are_found_by_name_and_by_id() {
        assert_eq!(find("pid").unwrap().name, "05-pid");
        assert_eq!(find("05-pid").unwrap().id, "pid");
        let trouble = find("utss").unwrap_err();
        assert!(trouble.fix.contains("did you mean `uts`?") && trouble.fix.contains("00-process"), "{trouble}");
    }
}
