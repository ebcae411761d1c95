//! Where the rules of a chain are asked: its hook, its priority there, and what becomes of a packet that no rule decides about.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a base chain is for (nft(8), "Chains").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainType {
    /// To let packets pass, or not.
    Filter,
    /// To change addresses: it is asked about the first packet of each connection only.
    Nat,
    /// To have a packet that is sent from here routed once more.
    Route,
}

impl ChainType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Filter, Self::Nat, Self::Route];
}

impl fmt::Display for ChainType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        })
    }
}

/// A place on the way of packets (nft(8), "Address families").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Just arrived, and not routed yet.
    Prerouting,
    /// For this network namespace.
    Input,
    /// For others.
    Forward,
    /// Sent from this network namespace.
    Output,
    /// About to leave.
    Postrouting,
    /// Just come by one link, and seen by nobody else yet.
    Ingress,
}

impl Hook {
    /// All of them, each at the place of its number (`enum nf_inet_hooks`, <linux/netfilter.h>).
    pub const ALL: [Self; 6] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting, Self::Ingress];
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
        })
    }
}

/// What becomes of a packet at the end of a base chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It passes.
    #[default]
    Accept,
    /// It is gone.
    Drop,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        })
    }
}

/// The place of a base chain among those of its hook: the lowest is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(pub i32);

/// Names of priorities, and the hook for which each is; nft(8), "Table 7. Standard priority names".
const NAMES: [(&str, i32, Option<Hook>); 6] = [
    ("raw", -300, None),
    ("mangle", -150, None),
    ("dstnat", -100, Some(Hook::Prerouting)),
    ("filter", 0, None),
    ("security", 50, None),
    ("srcnat", 100, Some(Hook::Postrouting)),
];

/// So near to a priority with a name nft(8) writes `NAME + NUMBER`.
const NEAR: u32 = 10;

impl Priority {
    /// As nft(8) writes it for a chain of this hook: `srcnat`, `filter - 5`, `300`.
    pub fn text(self, hook: Hook) -> String {
        let near = |(_, number, of): &&(&str, i32, Option<Hook>)| {
            of.is_none_or(|of| of == hook) && self.0.abs_diff(*number) <= NEAR
        };
        match NAMES.iter().find(near) {
            Some((name, number, _)) if self.0 == *number => (*name).to_owned(),
            Some((name, number, _)) => {
                let sign = if self.0 < *number { '-' } else { '+' };
                format!("{name} {sign} {}", self.0.abs_diff(*number))
            }
            None => self.0.to_string(),
        }
    }
}

/// A priority as it is written: a number, or a name, which holds for some hooks only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityWords {
    /// The number.
    pub priority: Priority,
    /// The only hook for which the name is.
    pub only: Option<Hook>,
}

impl FromStr for PriorityWords {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || {
            format!("`{}` is no priority: a number, `srcnat`, `dstnat`, `filter + 5` or the like", text.escape_debug())
        };
        if let Ok(number) = text.parse() {
            return Ok(Self { priority: Priority(number), only: None });
        }
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (_, number, only) = NAMES.into_iter().find(|(it, _, _)| *it == name).ok_or_else(refused)?;
        let offset = match (words.next(), words.next().map(str::parse::<u16>), words.next()) {
            (None, None, None) => 0,
            (Some("+"), Some(Ok(more)), None) => i32::from(more),
            (Some("-"), Some(Ok(less)), None) => -i32::from(less),
            _ => return Err(refused()),
        };
        Ok(Self { priority: Priority(number + offset), only })
    }
}

/// What makes a chain a base chain: the kernel asks it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// What it is for.
    pub kind: ChainType,
    /// Where it is asked.
    pub hook: Hook,
    /// When, among the chains there.
    pub priority: Priority,
    /// What becomes of a packet that no rule decides about.
    pub policy: Policy,
}

impl fmt::Display for Base {
    /// The line of nft(8): `type nat hook postrouting priority srcnat; policy accept;`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, hook, priority, policy } = self;
        write!(f, "type {kind} hook {hook} priority {}; policy {policy};", priority.text(*hook))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn priorities_are_written_as_nft_writes_them() {
        let text = |number, hook| Priority(number).text(hook);
        assert_eq!(text(100, Hook::Postrouting), "srcnat");
        assert_eq!(text(101, Hook::Postrouting), "srcnat + 1");
        assert_eq!(text(100, Hook::Prerouting), "100");
        assert_eq!(text(-105, Hook::Prerouting), "dstnat - 5");
        assert_eq!(text(-100, Hook::Output), "-100");
        assert_eq!(text(-5, Hook::Input), "filter - 5");
        assert_eq!(text(11, Hook::Input), "11");
        assert_eq!(text(300, Hook::Output), "300");
        assert_eq!(text(i32::MIN, Hook::Output), "-2147483648");
    }

    #[test]
    fn a_priority_is_a_number_or_a_name_with_another() {
        let number = |text: &str| text.parse::<PriorityWords>().ok().map(|it| it.priority.0);
        assert_eq!(
            ["srcnat", "-100", "filter + 5", "raw - 1"].map(number),
            [Some(100), Some(-100), Some(5), Some(-301)]
        );
        assert_eq!(["", "filter+5", "filter + ", "filter * 5", "filter + 5 6", "natsrc", "0x5"].map(number), [None; 7]);
        assert_eq!("srcnat".parse::<PriorityWords>().map(|it| it.only), Ok(Some(Hook::Postrouting)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: i32, hook in 0..Hook::ALL.len()) {
            let written = Priority(number).text(Hook::ALL[hook]);
            let words = written.parse::<PriorityWords>().expect("a priority");
            prop_assert_eq!(words.priority.0, number);
            prop_assert!(words.only.is_none_or(|only| only == Hook::ALL[hook]));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = text.parse::<PriorityWords>();
        }
    }
}
