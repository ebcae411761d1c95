//! Images: what `hardway image` does with a store (image-spec 1.1, image-layout.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::cni::HARDWAY;
use super::file::misused_path;
use super::process::{Run, misused_argv, shell_words};
use crate::kernel::trace::{CallError, Trace};

/// Runs `hardway image` in a child, and waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Who.
    pub r#in: String,
    /// Its command, with what that takes: `[pack, web, /lab/tree]`.
    pub does: Vec<String>,
    /// The directory with the images, an image layout; it is made where it is absent.
    pub store: String,
    /// The exit status with which it must end, 0 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<i32>,
}

impl Image {
    fn argv(&self) -> Vec<String> {
        let before = [HARDWAY, "image"].map(str::to_owned);
        let after = ["--store".to_owned(), self.store.clone()];
        before.into_iter().chain(self.does.iter().cloned()).chain(after).collect()
    }
}

impl Mechanism for Image {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} runs `hardway image {}` on {}", self.r#in, shell_words(&self.does), self.store)
    }

    fn shell(&self) -> Option<String> {
        Some(shell_words(&self.argv()))
    }

    fn is_meant_to_fail(&self) -> bool {
        self.ends_with.is_some_and(|status| status != 0)
    }

    fn ends_with(&self) -> Option<i32> {
        Some(self.ends_with.unwrap_or(0))
    }

    fn effects(&self) -> Vec<Effect> {
        let makes = self.does.first().is_some_and(|command| ["pack", "index"].contains(&command.as_str()));
        let what = format!("images in {}", self.store);
        if makes && !self.is_meant_to_fail() { vec![Effect { what, home: Home::Lab }] } else { Vec::new() }
    }

    fn misuses(&self) -> Vec<Misuse> {
        let does = misused_argv(&self.does).into_iter().map(|misuse| Misuse { field: "does", ..misuse });
        does.chain(misused_path("store", &self.store)).collect()
    }
}

impl Perform for Image {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        Run { r#in: self.r#in.clone(), argv: self.argv(), root: None, ends_with: None, fails_with: None }.perform(trace)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn its_line_is_what_it_runs_and_it_must_succeed_unless_the_lesson_says_otherwise() {
        let mut image: Image =
            serde_json::from_str(r#"{"in": "host", "does": ["pack", "a b", "/lab/tree"], "store": "/lab/images"}"#)
                .unwrap();
        assert_eq!(image.shell().unwrap(), "/lab/hardway image pack 'a b' /lab/tree --store /lab/images");
        assert_eq!((image.ends_with(), image.is_meant_to_fail()), (Some(0), false));
        image.ends_with = Some(1);
        assert_eq!((image.ends_with(), image.is_meant_to_fail()), (Some(1), true));
        image.store = String::new();
        assert!(!image.misuses().is_empty());
    }
}
