//! Settings that each network namespace has for itself, in files below `/proc/sys/net` (proc(5), sysctl(8)): those that decide what
//! becomes of a packet that is for somebody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::netlink::Link;

/// A setting, known by its name: `net.ipv4.ip_forward`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Sysctl {
    /// Whether IPv4 packets for somebody else go on.
    IpForward,
    /// The same for IPv6.
    Ipv6Forwarding,
    /// Whether packets from and to 127.0.0.0/8 may go by this link.
    RouteLocalnet(String),
}

impl Sysctl {
    /// Its name, as sysctl(8) writes it: a dot in a link's name becomes a slash.
    pub fn name(&self) -> String {
        match self {
            Self::IpForward => "net.ipv4.ip_forward".to_owned(),
            Self::Ipv6Forwarding => "net.ipv6.conf.all.forwarding".to_owned(),
            Self::RouteLocalnet(link) => format!("net.ipv4.conf.{}.route_localnet", link.replace('.', "/")),
        }
    }

    /// Its file, below this `/proc`.
    pub(super) fn path(&self, proc: &Path) -> PathBuf {
        let swapped = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        proc.join("sys").join(self.name().chars().map(swapped).collect::<String>())
    }

    /// Those that can be read in the network namespace that the calling thread is in, which every `/proc` shows.
    pub(super) fn read(proc: &Path, links: &[Link]) -> BTreeMap<Self, String> {
        let of_links = links.iter().filter(|link| link.kind != "loopback");
        let all = [Self::IpForward, Self::Ipv6Forwarding].into_iter();
        let all = all.chain(of_links.map(|link| Self::RouteLocalnet(link.name.clone())));
        let read = |one: Self| {
            let text = std::fs::read_to_string(one.path(proc)).ok()?;
            Some((one, text.trim_end().to_owned()))
        };
        all.filter_map(read).collect()
    }

    /// What it means that it has this value.
    pub(super) fn meaning(&self, value: &str) -> &'static str {
        match (self, value) {
            (Self::IpForward, "0") => {
                "A packet for somebody else is dropped without a word: this namespace is no router."
            }
            (Self::IpForward, _) => {
                "A packet for somebody else goes on, as the routes say: this namespace is a router."
            }
            (Self::Ipv6Forwarding, "0") => "No router, for IPv6.",
            (Self::Ipv6Forwarding, _) => "A router, for IPv6.",
            (Self::RouteLocalnet(_), "0") => "Packets from and to 127.0.0.0/8 stay on the loopback device.",
            (Self::RouteLocalnet(_), _) => "Packets from and to 127.0.0.0/8 may go by this link too.",
        }
    }
}

impl TryFrom<String> for Sysctl {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let link = || name.strip_prefix("net.ipv4.conf.")?.strip_suffix(".route_localnet");
        let one = match name.as_str() {
            "net.ipv4.ip_forward" => Some(Self::IpForward),
            "net.ipv6.conf.all.forwarding" => Some(Self::Ipv6Forwarding),
            _ => link().map(|link| Self::RouteLocalnet(link.replace('/', "."))),
        };
        one.ok_or_else(|| {
            let known = "net.ipv4.ip_forward, net.ipv6.conf.all.forwarding, net.ipv4.conf.LINK.route_localnet";
            format!("`{}` is not among the settings that are read: {known}", name.escape_debug())
        })
    }
}

impl From<Sysctl> for String {
    fn from(sysctl: Sysctl) -> Self {
        sysctl.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_known_by_its_name_and_is_a_file() {
        for one in [Sysctl::IpForward, Sysctl::Ipv6Forwarding, Sysctl::RouteLocalnet("lo".to_owned())] {
            assert!(one.path(Path::new("/proc")).is_file(), "{one:?}");
            assert_eq!(Sysctl::try_from(String::from(one.clone())), Ok(one));
        }
        assert!(Sysctl::try_from("kernel.hostname".to_owned()).is_err());
        assert_eq!(Sysctl::read(Path::new("/nowhere"), &[]), BTreeMap::new());
    }

    #[test]
    fn a_dot_in_the_name_of_a_link_is_none_in_the_name_of_the_file() {
        let one = Sysctl::RouteLocalnet("eth0.5".to_owned());
        assert_eq!(one.name(), "net.ipv4.conf.eth0/5.route_localnet");
        assert_eq!(one.path(Path::new("/proc")), Path::new("/proc/sys/net/ipv4/conf/eth0.5/route_localnet"));
        assert_eq!(Sysctl::try_from(one.name()), Ok(one));
    }
}
