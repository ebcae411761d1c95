//! Settings that each network namespace has for itself, in files below `/proc/sys/net` (proc(5), sysctl(8)): those that decide what
//! becomes of a packet that is for somebody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A setting, known by its name: `net.ipv4.ip_forward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Sysctl {
    /// Whether IPv4 packets for somebody else go on.
    IpForward,
    /// The same for IPv6.
    Ipv6Forwarding,
}

impl Sysctl {
    const ALL: [Self; 2] = [Self::IpForward, Self::Ipv6Forwarding];

    /// Its name, as sysctl(8) writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IpForward => "net.ipv4.ip_forward",
            Self::Ipv6Forwarding => "net.ipv6.conf.all.forwarding",
        }
    }

    /// Its file, below this `/proc`.
    pub(super) fn path(self, proc: &Path) -> PathBuf {
        proc.join("sys").join(self.name().replace('.', "/"))
    }

    /// Those that can be read in the network namespace that the calling thread is in, which every `/proc` shows.
    pub(super) fn read(proc: &Path) -> BTreeMap<Self, String> {
        let read = |one: Self| Some((one, std::fs::read_to_string(one.path(proc)).ok()?.trim_end().to_owned()));
        Self::ALL.into_iter().filter_map(read).collect()
    }

    /// What it means that it has this value.
    pub(super) fn meaning(self, value: &str) -> &'static str {
        match (self, value) {
            (Self::IpForward, "0") => {
                "A packet for somebody else is dropped without a word: this namespace is no router."
            }
            (Self::IpForward, _) => {
                "A packet for somebody else goes on, as the routes say: this namespace is a router."
            }
            (Self::Ipv6Forwarding, "0") => "No router, for IPv6.",
            (Self::Ipv6Forwarding, _) => "A router, for IPv6.",
        }
    }
}

impl TryFrom<String> for Sysctl {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| format!("`{}` is not among the settings that are read: {}", name.escape_debug(), known()))
    }
}

impl From<Sysctl> for String {
    fn from(sysctl: Sysctl) -> Self {
        sysctl.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_known_by_its_name_and_is_a_file() {
        for one in Sysctl::ALL {
            assert_eq!(Sysctl::try_from(String::from(one)), Ok(one));
            assert!(one.path(Path::new("/proc")).is_file(), "{one:?}");
        }
        assert!(Sysctl::try_from("kernel.hostname".to_owned()).is_err());
        assert_eq!(Sysctl::read(Path::new("/nowhere")), BTreeMap::new());
    }
}
