//! What went wrong, why, and how to go on: the only shape in which hardway tells a person of trouble.

use serde::{Deserialize, Serialize};

/// Trouble in three sentences. It crosses process boundaries whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What failed, as the person would say it.
    pub what: String,
    /// Why: the call, its arguments, and the errno in words; or the rule that was broken.
    pub why: String,
    /// How to fix it or to go on without it. May be empty where nothing can be done.
    pub fix: String,
}

impl Explanation {
    /// Puts the three sentences together.
    pub fn new(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), fix: fix.into() }
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.why.is_empty() {
            write!(f, "\n  why: {}", self.why)?;
        }
        if !self.fix.is_empty() {
            write!(f, "\n  fix: {}", self.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Explanation {}
