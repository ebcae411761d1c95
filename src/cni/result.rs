//! What a plugin answers to ADD (section 5, ADD success), in the versions of the specification, and how one becomes another.
//!
//! A result is read as a whole: keys that the specification does not have are left out, as libcni does, since another plugin would
//! take them for this version's.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::version::Version;

/// What an attachment consists of. Of a delegated plugin's (IPAM) only addresses, routes and DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddResult {
    /// The version that it is written in; missing where the plugin did not say.
    #[serde(rename = "cniVersion", default, deserialize_with = "version", skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<Version>,
    /// All links that were made, those of the host as well.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The addresses.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    /// The routes.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// What belongs into the container's resolv.conf(5).
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
}

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Its MTU (from 1.1.0 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The network namespace that it is in; empty for the host's.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// A socket that belongs to it (from 1.1.0 on).
    #[serde(rename = "socketPath", default, skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// Its device on the PCI bus (from 1.1.0 on).
    #[serde(rename = "pciID", default, skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// `4` or `6` (before 1.0.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which of the interfaces has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<u32>,
    /// With the length of the subnet's prefix.
    pub address: Cidr,
    /// The subnet's gateway.
    #[serde(default, deserialize_with = "address", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads.
    pub dst: Cidr,
    /// The next hop.
    #[serde(default, deserialize_with = "address", skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// The MTU along the path (this and all below: from 1.1.0 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The segment size that TCP advertises there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// The metric: the lower wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// The routing table that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// 0 global, 253 link, 254 host (rtnetlink(7), `rtm_scope`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
}

/// Name servers and how names are completed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words of resolv.conf(5)")]
pub struct Dns {
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.nameservers.is_empty() && self.domain.is_empty() && self.search.is_empty() && self.options.is_empty()
    }
}

impl AddResult {
    /// Reads a plugin's output. A version that is missing is taken to be the one that was asked for, as plugins of old leave it out.
    ///
    /// # Errors
    /// What is no result of a known version, as a sentence.
    pub fn parse(output: &[u8], asked: Version) -> Result<Self, String> {
        let mut result: Self = serde_json::from_slice(output).map_err(|error| error.to_string())?;
        result.cni_version.get_or_insert(asked);
        Ok(result)
    }

    /// The same in another version: what the version lacks is left out, and what it demands is added. In its own version it stays as it is.
    #[must_use]
    pub fn in_version(mut self, version: Version) -> Self {
        if self.cni_version == Some(version) {
            return self;
        }
        self.cni_version = Some(version);
        for ip in &mut self.ips {
            let family = if ip.address.address.is_ipv4() { "4" } else { "6" };
            ip.version = version.tells_family().then(|| family.to_owned());
        }
        if version < Version::V1_1_0 {
            for interface in &mut self.interfaces {
                (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
            }
            for route in &mut self.routes {
                *route = Route {
                    dst: route.dst,
                    gw: route.gw,
                    mtu: None,
                    advmss: None,
                    priority: None,
                    table: None,
                    scope: None,
                };
            }
        }
        self
    }
}

/// An address with the length of a prefix: `10.1.0.5/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The address, with the bits behind the prefix as they were written.
    pub address: IpAddr,
    /// How many bits are the subnet's.
    pub prefix: u8,
}

impl Cidr {
    /// Whether an address is in its subnet.
    pub fn contains(self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4()
            && self.network().address == Self { address: other, ..self }.network().address
    }

    /// The subnet: the bits behind the prefix are zero.
    #[must_use]
    pub fn network(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::from((v4.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::from((v6.to_bits() & mask).to_be_bytes())
            }
        };
        Self { address, ..self }
    }

    /// That address alone: all bits are its prefix.
    pub fn one(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix =
                prefix.parse().ok().filter(|bits| digits && *bits <= if address.is_ipv4() { 32 } else { 128 })?;
            Some(Self { address, prefix })
        };
        parse().ok_or_else(|| format!("`{}` is no address with the length of its prefix", text.escape_debug()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

/// Programs in Go write an empty list, text or object as `null` too.
fn or_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An address that is empty is none.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let parse = |text: String| {
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{}` is no address", text.escape_debug())))
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// A version that is empty is none.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests;
