//! In which groups a process is: the lines of `/proc/PID/cgroup` (cgroups(7)).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kernel::cgroup::Version;
use crate::probe::Reading;

/// A line of `/proc/PID/cgroup`: the group of a process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The version of the hierarchy.
    pub version: Version,
    /// The controllers or the name of one of version 1: `pids`, `cpu,cpuacct`, `name=systemd`.
    pub controllers: String,
    /// The path of the group, from the root of the cgroup namespace of whoever reads it.
    pub path: String,
}

impl Membership {
    /// How the hierarchy is called here: `v2`, `v1 pids`.
    pub fn hierarchy(&self) -> String {
        match self.version {
            Version::V1 => format!("v1 {}", self.controllers),
            Version::V2 => "v2".to_owned(),
        }
    }
}

/// The groups of processes, by pid. Most processes are in the same ones as others, and share one list.
pub type Memberships = BTreeMap<i32, Reading<Arc<[Membership]>>>;

/// The groups in the text of `/proc/PID/cgroup`.
///
/// # Errors
/// The line that can not be understood.
pub fn parse(text: &[u8]) -> Result<Arc<[Membership]>, String> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = if number.parse::<u32>().ok()? == 0 { Version::V2 } else { Version::V1 };
        Some(Membership { version, controllers: controllers.to_owned(), path: path.to_owned() })
    };
    text.lines().map(|it| line(it).ok_or_else(|| it.chars().take(200).collect())).collect()
}

/// What was read already, by the text of it.
#[derive(Debug, Default)]
pub(in crate::probe) struct Known(HashMap<Vec<u8>, Arc<[Membership]>>);

impl Known {
    /// [`parse`], where this is the first such text.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn parse(&mut self, text: &[u8]) -> Result<Arc<[Membership]>, String> {
        if let Some(known) = self.0.get(text) {
            return Ok(Arc::clone(known));
        }
        let new = parse(text)?;
        self.0.insert(text.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

/// How they travel: the different lists, and for each process the place of its one.
#[derive(Serialize, Deserialize)]
struct Table<List> {
    lists: Vec<List>,
    places: BTreeMap<i32, Reading<usize>>,
}

/// Serialises the groups of all processes; what they share is written once.
///
/// # Errors
/// Those of the serialiser.
pub(super) fn serialize<S: Serializer>(all: &Memberships, serializer: S) -> Result<S::Ok, S::Error> {
    let mut lists: Vec<&[Membership]> = Vec::new();
    let mut known = HashMap::new();
    let mut place = |list| {
        let next = lists.len();
        let place = *known.entry(Arc::as_ptr(list)).or_insert(next);
        if place == next {
            lists.push(list);
        }
        place
    };
    let places = all.iter().map(|(pid, reading)| (*pid, reading.as_ref().map(&mut place))).collect();
    Table { lists, places }.serialize(serializer)
}

/// Brings back what [`serialize`] made.
///
/// # Errors
/// Those of the deserialiser; a place that the table does not have.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Memberships, D::Error> {
    let Table::<Vec<Membership>> { lists, places } = Table::deserialize(deserializer)?;
    let lists: Vec<Arc<[Membership]>> = lists.into_iter().map(Arc::from).collect();
    let list = |place: usize| lists.get(place).map(Arc::clone);
    let missing = |place: usize| D::Error::custom(format!("no list {place} in the table"));
    let reading = |reading: Reading<usize>| match reading {
        Reading::Value(place) => list(place).map(Reading::Value).ok_or_else(|| missing(place)),
        Reading::Missing(errno) => Ok(Reading::Missing(errno)),
        Reading::Unreadable(text) => Ok(Reading::Unreadable(text)),
    };
    places.into_iter().map(|(pid, place)| Ok((pid, reading(place)?))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::probe::cgroups::Cgroups;

    fn one(version: Version, controllers: &str, path: &str) -> Membership {
        Membership { version, controllers: controllers.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn one_line_is_one_hierarchy() {
        let text = b"12:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/../x y\n";
        let expected = [
            one(Version::V1, "cpu,cpuacct", "/a:b"),
            one(Version::V1, "name=systemd", "/"),
            one(Version::V2, "", "/../x y"),
        ];
        assert_eq!(*parse(text).unwrap(), expected);
        assert_eq!(expected.map(|it| it.hierarchy()), ["v1 cpu,cpuacct", "v1 name=systemd", "v2"]);
        assert_eq!(*parse(b"").unwrap(), []);
        for odd in ["x", "1:a", "x::/"] {
            assert_eq!(parse(odd.as_bytes()).unwrap_err(), odd);
        }
    }

    #[test]
    fn a_list_that_processes_share_is_read_and_sent_once() {
        let mut known = Known::default();
        let text = |path: &str| format!("4:memory:{path}\n0::/\n").into_bytes();
        let [first, second, other] = ["/web", "/web", "/db"].map(|path| known.parse(&text(path)).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let missing = Reading::Missing("EACCES".parse().unwrap());
        let value = Reading::Value;
        let memberships = BTreeMap::from([(1, value(first)), (2, value(other)), (3, missing), (4, value(second))]);
        let seen = Cgroups { memberships, ..Cgroups::default() };
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(text.matches("/web").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Cgroups>(&text).unwrap(), seen);
        let odd = text.replace("{\"value\":1}", "{\"value\":2}");
        assert_ne!(text, odd);
        assert!(serde_json::from_str::<Cgroups>(&odd).unwrap_err().to_string().contains("no list 2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>(), lines in "([0-9]{0,12}|:|/|name=|\n){0,40}") {
            let _ = parse(&text);
            let _ = parse(lines.as_bytes());
        }

        #[test]
        fn lines_round_trip(number in 1u32.., controllers in "[a-z,=]{0,9}", path in "/[^\n\r\u{85}\u{2028}\u{2029}]{0,9}") {
            let text = format!("{number}:{controllers}:{path}\n");
            prop_assert_eq!(parse(text.as_bytes()).unwrap().to_vec(), vec![one(Version::V1, &controllers, &path)]);
        }
    }
}
