//! What one container's attachment to a network needs besides the network's configuration (section 3, attachment parameters).

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::ValidAttachment;
use super::names;
use crate::explain::Explanation;

/// The parameters of an attachment. Id and interface say which one it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_NETNS`: the path of the container's network namespace. DEL and CHECK take that of ADD where it is not given.
    pub netns: Option<String>,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `CNI_ARGS`, as pairs.
    pub args: Vec<(String, String)>,
    /// Arguments by capability.
    pub capabilities: BTreeMap<String, Value>,
}

impl Attachment {
    /// Whether everything may be said to a plugin.
    ///
    /// # Errors
    /// The first that may not.
    pub fn check(&self) -> Result<(), Explanation> {
        names::container(&self.container_id)?;
        names::interface(&self.ifname)?;
        let bad = |what: &str, why: &str, fix: &str| Err(Explanation::new(what, why, fix));
        if self.netns.as_ref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
            return bad(
                "The network namespace can not be used",
                "its path is empty or has a NUL",
                "name one as /run/netns/blue",
            );
        }
        for (key, value) in &self.args {
            if key.is_empty() || key.contains(['=', ';', '\0']) || value.contains([';', '\0']) {
                return bad(
                    "An argument can not be used",
                    "pairs are parted by `;`, and key and value by `=`",
                    "take these characters out of them",
                );
            }
        }
        Ok(())
    }

    /// `CNI_ARGS` as text.
    pub fn args_text(&self) -> String {
        self.args.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
    }

    /// As GC names it.
    pub fn named(&self) -> ValidAttachment {
        ValidAttachment { container_id: self.container_id.clone(), ifname: self.ifname.clone() }
    }

    /// With what is not given taken from another one: that of its ADD.
    #[must_use]
    pub(super) fn or(mut self, before: &Self) -> Self {
        self.netns = self.netns.or_else(|| before.netns.clone());
        if self.args.is_empty() {
            self.args.clone_from(&before.args);
        }
        if self.capabilities.is_empty() {
            self.capabilities.clone_from(&before.capabilities);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_said() {
        let good = Attachment {
            container_id: "c1".into(),
            netns: Some("/run/netns/blue".into()),
            ifname: "eth0".into(),
            args: vec![("A".into(), "1=2".into()), ("B".into(), String::new())],
            ..Attachment::default()
        };
        assert_eq!((good.check(), good.args_text().as_str()), (Ok(()), "A=1=2;B="));
        for bad in [
            Attachment { container_id: String::new(), ..good.clone() },
            Attachment { ifname: "../x".into(), ..good.clone() },
            Attachment { netns: Some(String::new()), ..good.clone() },
            Attachment { args: vec![("A".into(), "1;B=2".into())], ..good.clone() },
            Attachment { args: vec![(String::new(), "1".into())], ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
