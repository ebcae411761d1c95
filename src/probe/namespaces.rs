//! The namespaces of a process: the links of `/proc/PID/ns` (namespaces(7)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ownership::Tellers;
use super::rows::Sheet;
use super::{Panel, Reading};
use crate::kernel::namespace::Namespace;

/// Inode number of each namespace link of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces(pub BTreeMap<Namespace, Reading<u64>>);

impl Namespaces {
    /// The inode of one link, where it could be read.
    pub fn inode(&self, kind: Namespace) -> Option<u64> {
        self.0.get(&kind).and_then(|reading| reading.value().copied())
    }
}

/// The inode number in the text of a link of `/proc/PID/ns`, `uts:[4026531838]`; `pid_for_children` says `pid:[…]` too.
pub fn parse_link(text: &str) -> Option<u64> {
    let (kind, rest) = text.split_once(":[")?;
    let number = rest.strip_suffix(']')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .then(|| number.parse().ok())
        .flatten()
}

/// The rows of the namespace panel: one for each process and link, and whose the namespaces are.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    let host = observation.process(sheet.names.host);
    let mut tellers = Tellers::new(sheet);
    for process in &observation.processes {
        let mut about = sheet.about(Panel::Namespaces, process);
        for (kind, reading) in &process.namespaces.0 {
            let path = format!("/proc/{}/ns/{kind}", process.pid);
            let hosts = host.filter(|host| host.pid != process.pid).map(|host| host.namespaces.inode(*kind));
            let meaning = meaning(*kind, reading, hosts.flatten(), process.state);
            about.row(kind.link(), reading.text(u64::to_string), path.clone(), format!("readlink {path}"), meaning);
        }
        tellers.rows(sheet, process);
    }
}

/// What a link says. `hosts` is the host's inode; none for the host itself, or where it is not known.
fn meaning(kind: Namespace, reading: &Reading<u64>, hosts: Option<u64>, state: char) -> String {
    let gives = kind.meaning();
    match reading {
        Reading::Value(inode) => match hosts {
            Some(host) if host == *inode => format!("Decides {gives}. The same as the host's."),
            Some(_) => format!("Decides {gives}. Not the host's: another number is another namespace."),
            None => format!("Decides {gives}. Processes with the same number share it."),
        },
        Reading::Missing(errno) if errno.name() == "ENOENT" => match kind {
            _ if matches!(state, 'Z' | 'X') => "A process that has ended is in no such namespace any more.".to_owned(),
            Namespace::PidForChildren => {
                "A new pid namespace without any process yet: the next child will be PID 1 in it.".to_owned()
            }
            _ => format!("This kernel has no namespaces of this kind, which decide {gives}."),
        },
        Reading::Missing(_) => format!("Decides {gives}. Reading the link needs the rights of ptrace(2)."),
        Reading::Unreadable(_) => format!("Decides {gives}. The link does not look as namespaces(7) says."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_link;

    #[test]
    fn only_a_kind_and_a_number_are_a_link() {
        assert_eq!(parse_link("uts:[4026531838]"), Some(4_026_531_838));
        assert_eq!(parse_link("time_for_children:[1]"), Some(1));
        for text in ["", "uts", "uts:[", "uts:[]", "uts:[1", "uts:[+1]", "uts:[x]", ":[1]", "/proc:[1]", "uts:[1]x"] {
            assert_eq!(parse_link(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn links_round_trip(inode in any::<u64>(), kind in "[a-z_]{1,17}") {
            prop_assert_eq!(parse_link(&format!("{kind}:[{inode}]")), Some(inode));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse_link(&text);
        }
    }
}
