//! What is wrong with a lesson file, with line, column, snippet and fix.

use std::fmt;

use serde::Serialize;

/// At most so many faults of one file are told.
pub const MOST: usize = 64;

/// One fault of a lesson file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
    /// The report with the lines around it, as plain text.
    pub snippet: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.snippet)
    }
}

/// A fault before it is told: its place in a text that is known elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Line and column, from 1.
    pub place: (usize, usize),
    /// How many characters to underline.
    pub width: usize,
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

impl Spot {
    /// Puts it together.
    pub fn new(place: (usize, usize), width: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { place, width, what: what.into(), fix: fix.into() }
    }

    /// The fault, with the lines around its place.
    pub fn in_file(self, file: &str, text: &str) -> Fault {
        let (line, column) = self.place;
        let snippet = snippet(file, text, &self);
        Fault { file: file.to_owned(), line, column, what: self.what, fix: self.fix, snippet }
    }
}

/// Draws the line of the fault with one before and one after it.
fn snippet(file: &str, text: &str, spot: &Spot) -> String {
    const LONGEST: usize = 160;
    let (line, column) = spot.place;
    let mut out = format!("{file}:{line}:{column}: {}\n", spot.what);
    let gutter = (line + 1).to_string().len();
    let around = text.lines().enumerate().skip(line.saturating_sub(2)).take(if line == 1 { 2 } else { 3 });
    for (index, content) in around {
        let number = index + 1;
        // Lines that would tear the picture: tabs count as one column, other control characters must not reach a terminal.
        let clean: String = content.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        out.push_str(format!("{number:>gutter$} │ {clean}").trim_end());
        out.push('\n');
        if number == line {
            let room = clean.chars().count().saturating_sub(column - 1).max(1);
            let marks = "─".repeat(spot.width.clamp(1, room));
            out.push_str(&format!("{:gutter$} │ {:before$}{marks}\n", "", "", before = (column - 1).min(LONGEST)));
        }
    }
    if !spot.fix.is_empty() {
        out.push_str(&format!("{:gutter$} ╰ fix: {}\n", "", spot.fix));
    }
    out
}

/// "did you mean `x`?" where a name is near, and in any case the names there are.
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let all = known.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? There are: {all}"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("there are: {all}"),
    }
}

/// The known name that is nearest, where one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let short: String = name.chars().take(64).collect();
    known
        .iter()
        .map(|one| (distance(&short, one), *one))
        .filter(|(far, one)| *far <= 2.max(one.len() / 3) && *far < one.chars().count().max(2))
        .min_by_key(|(far, _)| *far)
        .map(|(_, one)| one)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let up = row[j + 1];
            row[j + 1] = (corner + usize::from(left != *right)).min(up + 1).min(row[j] + 1);
            corner = up;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["namespace_differs", "namespace_same", "exists"];
        assert_eq!(nearest("namespace_difers", &known), Some("namespace_differs"));
        assert_eq!(nearest("exist", &known), Some("exists"));
        assert_eq!(nearest("overlay", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_snippet_points_at_the_place() {
        let spot = Spot::new((2, 7), 6, "`chnage` is not known here", "did you mean `change`?");
        let fault = spot.in_file("x.yaml", "id: a\nkind: chnage\ntitle: b\n");
        assert_eq!(
            fault.snippet,
            "x.yaml:2:7: `chnage` is not known here\n\
             1 │ id: a\n\
             2 │ kind: chnage\n  \
               │       ──────\n\
             3 │ title: b\n  \
               ╰ fix: did you mean `change`?\n"
        );
    }
}
