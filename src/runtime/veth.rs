//! Pairs of links that are the two ends of one cable, and links that move from one network namespace to another (veth(4),
//! network_namespaces(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform, PerformOn};
use super::link::misused_name;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::netlink::Netlink;
use crate::kernel::trace::{CallError, Trace};

/// Makes a pair of virtual Ethernet links, both in the actor's network namespace. What one sends the other receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddVeth {
    /// Who.
    pub r#in: String,
    /// The name of one end.
    pub link: String,
    /// The name of the other.
    pub peer: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for AddVeth {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes a pair of links, {} and {}, in its network namespace", self.r#in, self.link, self.peer)
    }

    fn shell(&self) -> Option<String> {
        let [link, peer] = [&self.link, &self.peer].map(|name| shell_words(std::slice::from_ref(name)));
        Some(format!("ip link add {link} type veth peer name {peer}"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, link, peer, .. } = self;
        vec![Effect { what: format!("the links {link} and {peer} in the net namespace of {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        [misused_name("link", &self.link), misused_name("peer", &self.peer)].concat()
    }
}

impl Perform for AddVeth {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.add_veth(trace, &self.link, &self.peer)?;
        Ok(Outcome::default())
    }
}

/// Moves a link out of the actor's network namespace into that of another process. It arrives there down, and without addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveLink {
    /// Who.
    pub r#in: String,
    /// The name of the link.
    pub link: String,
    /// Whose network namespace it goes to: `host`, or a box.
    pub to: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for MoveLink {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} moves the link {} into the network namespace of {}", self.r#in, self.link, self.to)
    }

    fn shell(&self) -> Option<String> {
        // In a lab host PID 1 is in its network namespace.
        let pid = if self.to == HOST { "1" } else { "$!" };
        Some(format!("ip link set {} netns {pid}", shell_words(std::slice::from_ref(&self.link))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the link {} in the net namespace of {}", self.link, self.to), home: Home::Lab }]
    }

    fn once(&self) -> bool {
        self.r#in == HOST || self.to == HOST
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = misused_name("link", &self.link);
        if self.to == self.r#in {
            misuses.push(Misuse::new("to", "it is there already", "name another process: `host`, or a box"));
        }
        misuses
    }
}

impl PerformOn for MoveLink {
    fn whom(&self) -> &str {
        &self.to
    }

    fn perform_on(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.move_link(trace, &self.link, pid)?;
        Ok(Outcome::default())
    }
}

/// Takes a link of the actor's network namespace away; of a pair, both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteLink {
    /// Who.
    pub r#in: String,
    /// The name of the link.
    pub link: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for DeleteLink {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} deletes the link {} of its network namespace", self.r#in, self.link)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("ip link delete {}", shell_words(std::slice::from_ref(&self.link))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("link", &self.link)
    }
}

impl Perform for DeleteLink {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.delete_link(trace, &self.link)?;
        Ok(Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r#in(who: &str, to: &str) -> MoveLink {
        MoveLink { r#in: who.to_owned(), link: "eth0".to_owned(), to: to.to_owned(), fails_with: None }
    }

    #[test]
    fn a_link_moves_to_another_process() {
        assert_eq!(r#in("box", HOST).shell().as_deref(), Some("ip link set eth0 netns 1"));
        assert_eq!(r#in(HOST, "box").shell().as_deref(), Some("ip link set eth0 netns $!"));
        assert_eq!(r#in("box", HOST).misuses(), []);
        assert_eq!(r#in("box", "box").misuses().len(), 1);
        // The next box would find it there.
        assert!(r#in("box", HOST).once() && r#in(HOST, "box").once() && !r#in("box", "web").once());
    }

    #[test]
    fn both_ends_have_names_that_links_can_have() {
        let pair = |link: &str, peer: &str| {
            let [r#in, link, peer] = ["box", link, peer].map(str::to_owned);
            AddVeth { r#in, link, peer, fails_with: None }
        };
        assert_eq!(pair("eth0", "v 0").misuses().first().map(|it| it.field), Some("peer"));
        assert_eq!(pair("eth0", "v0").shell().as_deref(), Some("ip link add eth0 type veth peer name v0"));
    }
}
