//! Mistakes in an action as a lesson has it written, found before anybody performs it.

/// A field of an action that can not be meant as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub fix: String,
}

impl Misuse {
    /// Puts it together.
    pub fn new(field: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field, what: what.into(), fix: fix.into() }
    }
}
