//! Links of a network namespace, and their addresses (network_namespaces(7), rtnetlink(7)).

use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::netlink::Netlink;
use crate::kernel::trace::{CallError, Trace};

/// The longest name of a link, in bytes (`IFNAMSIZ` of the kernel, less its NUL).
const MAX_NAME: usize = 15;

/// Sets a link up.
pub type LinkUp = SetLink<true>;

/// Sets a link down.
pub type LinkDown = SetLink<false>;

/// Sets a link of the actor's network namespace up or down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLink<const UP: bool> {
    /// Who.
    pub r#in: String,
    /// The name of the link.
    pub link: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl<const UP: bool> SetLink<UP> {
    const WORD: &'static str = if UP { "up" } else { "down" };
}

impl<const UP: bool> Mechanism for SetLink<UP> {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} sets the link {} of its network namespace {}", self.r#in, self.link, Self::WORD)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("ip link set {} {}", shell_words(std::slice::from_ref(&self.link)), Self::WORD))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, link, .. } = self;
        vec![Effect {
            what: format!("the link {link} is {} in the net namespace of {in}", Self::WORD),
            home: Home::Lab,
        }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("link", &self.link)
    }
}

impl<const UP: bool> Perform for SetLink<UP> {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.set_link(trace, &self.link, UP)?;
        Ok(Outcome::default())
    }
}

/// Gives a link an address.
pub type AddAddress = SetAddress<true>;

/// Takes an address from a link.
pub type DeleteAddress = SetAddress<false>;

/// Gives a link of the actor's network namespace an address, or takes one away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAddress<const ADD: bool> {
    /// Who.
    pub r#in: String,
    /// The name of the link.
    pub link: String,
    /// The address, and how many of its bits name the network: `10.0.0.1/24`.
    pub address: Prefixed,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl<const ADD: bool> Mechanism for SetAddress<ADD> {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, link, address, .. } = self;
        match ADD {
            true => format!("{in} gives the link {link} the address {address}"),
            false => format!("{in} takes the address {address} from the link {link}"),
        }
    }

    fn shell(&self) -> Option<String> {
        let deed = if ADD { "add" } else { "delete" };
        let nodad = if ADD && self.address.ip.is_ipv6() { " nodad" } else { "" };
        let link = shell_words(std::slice::from_ref(&self.link));
        Some(format!("ip address {deed} {} dev {link}{nodad}", self.address))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        if !ADD {
            return Vec::new();
        }
        let Self { r#in, link, address, .. } = self;
        vec![Effect { what: format!("the address {address} on {link} in the net namespace of {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("link", &self.link)
    }
}

impl<const ADD: bool> Perform for SetAddress<ADD> {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let mut netlink = Netlink::open_traced(trace)?;
        let Prefixed { ip, prefix } = self.address;
        match ADD {
            true => netlink.add_address(trace, &self.link, ip, prefix)?,
            false => netlink.delete_address(trace, &self.link, ip, prefix)?,
        }
        Ok(Outcome::default())
    }
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Prefixed {
    /// The address.
    pub ip: IpAddr,
    /// The number of bits.
    pub prefix: u8,
}

impl FromStr for Prefixed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(ip, prefix)| {
            let (ip, prefix) = (ip.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
            (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some(Self { ip, prefix })
        });
        parsed.ok_or_else(|| {
            format!("`{}` is no address with the length of its prefix, as `10.0.0.1/24` is", text.escape_debug())
        })
    }
}

impl TryFrom<String> for Prefixed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Prefixed> for String {
    fn from(address: Prefixed) -> Self {
        address.to_string()
    }
}

impl std::fmt::Display for Prefixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// What is wrong with the name of a link (`dev_valid_name` of the kernel).
pub(super) fn misused_name(field: &'static str, name: &str) -> Vec<Misuse> {
    let space = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | ':' | '\0' | '\x0b');
    if name.is_empty() || name.len() > MAX_NAME || name == "." || name == ".." || name.contains(space) {
        let fix = format!("write 1 to {MAX_NAME} bytes without `/`, `:` and white space: `eth0`");
        return vec![Misuse::new(field, "no link can be called so", fix)];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_has_a_prefix_that_fits() {
        for text in ["10.0.0.1/24", "127.0.0.1/8", "fd00::1/64", "::1/128"] {
            assert_eq!(text.parse::<Prefixed>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0/8", "::1/129", "x/8", "10.0.0.1/+8/"] {
            assert!(text.parse::<Prefixed>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_the_kernel_refuses_are_refused() {
        for name in ["", ".", "..", "a b", "a/b", "a:b", "sixteen-bytes-xx"] {
            assert_eq!(misused_name("link", name).len(), 1, "{name}");
        }
        for name in ["lo", "eth0.5", "wörld", "\u{202e}x"] {
            assert_eq!(misused_name("link", name), [], "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (text.parse::<Prefixed>(), misused_name("link", &text));
        }
    }
}
