//! What is wrong with a lesson file, with line, column, snippet and fix.

use serde::Serialize;

/// One fault of a lesson file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
    /// The report with the lines around it, as plain text.
    pub snippet: String,
}
