//! Bridges: a switch in the kernel, whose ports are links (`ip link add type bridge`, bridge(8)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::link::misused_name;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::netlink::Netlink;
use crate::kernel::trace::{CallError, Trace};

/// Makes a bridge in the actor's network namespace, down and without ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddBridge {
    /// Who.
    pub r#in: String,
    /// The name of the bridge, which is a link as well.
    pub link: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for AddBridge {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes a bridge, {}, in its network namespace", self.r#in, self.link)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("ip link add {} type bridge", shell_words(std::slice::from_ref(&self.link))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect {
            what: format!("the bridge {} in the net namespace of {}", self.link, self.r#in),
            home: Home::Lab,
        }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("link", &self.link)
    }
}

impl Perform for AddBridge {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.add_bridge(trace, &self.link)?;
        Ok(Outcome::default())
    }
}

/// Makes a link of the actor's network namespace a port of a bridge that is there too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMaster {
    /// Who.
    pub r#in: String,
    /// The name of the link.
    pub link: String,
    /// The bridge.
    pub master: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for SetMaster {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes the link {} a port of {}", self.r#in, self.link, self.master)
    }

    fn shell(&self) -> Option<String> {
        let [link, master] = [&self.link, &self.master].map(|name| shell_words(std::slice::from_ref(name)));
        Some(format!("ip link set {link} master {master}"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, link, master, .. } = self;
        vec![Effect { what: format!("{link} is a port of {master} in the net namespace of {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        [misused_name("link", &self.link), misused_name("master", &self.master)].concat()
    }
}

impl Perform for SetMaster {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.set_master(trace, &self.link, &self.master)?;
        Ok(Outcome::default())
    }
}

/// Lets a port of a bridge send back what came in by it, which a switch does not do otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hairpin {
    /// Who.
    pub r#in: String,
    /// The name of the port.
    pub link: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Hairpin {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} lets the bridge's port {} send back what came in by it", self.r#in, self.link)
    }

    fn shell(&self) -> Option<String> {
        let link = shell_words(std::slice::from_ref(&self.link));
        Some(format!("ip link set {link} type bridge_slave hairpin on"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("the hairpin mode of {} in the net namespace of {}", self.link, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("link", &self.link)
    }
}

impl Perform for Hairpin {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Netlink::open_traced(trace)?.set_hairpin(trace, &self.link, true)?;
        Ok(Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_and_its_bridge_have_names_that_links_can_have() {
        let port = |link: &str, master: &str| {
            let [r#in, link, master] = ["host", link, master].map(str::to_owned);
            SetMaster { r#in, link, master, fails_with: None }
        };
        assert_eq!(port("web0", "br0").shell().as_deref(), Some("ip link set web0 master br0"));
        assert_eq!(port("web0", "br0").misuses(), []);
        let misused: Vec<_> = port("w/b", "b r").misuses().into_iter().map(|it| it.field).collect();
        assert_eq!(misused, ["link", "master"]);
    }
}
