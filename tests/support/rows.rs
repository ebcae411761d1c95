//! The rows of a panel as a session tells them, and what their commands print in its lab host: an oracle for every row.

use std::collections::BTreeMap;

use super::Session;

/// A row as the plain ui explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub value: String,
    pub command: String,
}

/// Rows by subject, `box`, `host` or `group /web`, and key.
pub type Rows = BTreeMap<(String, String), Told>;

/// The rows of a panel that have these words, of each list of words.
pub fn rows(session: &mut Session<'_>, panel: &str, searches: &[&str]) -> Rows {
    let mut rows = Rows::new();
    for words in searches {
        let text = session.say(&format!("e {panel} {words}"));
        assert!(!text.contains("more words find fewer"), "{words} are too few words: {text}");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let line = line.trim_start_matches("hardway> ");
            let Some(rest) = line.strip_prefix(&format!("{panel}: ")) else { continue };
            let (subject, rest) = rest.split_once(" · ").unwrap();
            let (key, value) = rest.split_once(" = ").unwrap();
            let told =
                |what: &str, line: Option<&str>| line.and_then(|it| it.trim().strip_prefix(what)).map(str::to_owned);
            assert!(told("read from: ", lines.next()).is_some(), "no source: {line}");
            let command = told("prints it: ", lines.next()).unwrap_or_else(|| panic!("no command: {line}"));
            assert!(told("means: ", lines.next()).is_some(), "no meaning: {line}");
            let subject = subject.split(" (").next().unwrap().to_owned();
            rows.insert((subject, key.to_owned()), Told { value: value.to_owned(), command });
        }
    }
    rows
}

/// What a command prints when it is typed in the session's lab host, without its errors.
pub fn printed(session: &mut Session<'_>, command: &str) -> String {
    // Into a file first: the terminal breaks long lines, and shows what is typed as well.
    session.say(&format!("! {{ {command}; }} > /tmp/printed 2>/dev/null"));
    let text = session.say("! echo; echo '<'''; cat /tmp/printed; echo '>'''");
    let lines: Vec<&str> =
        text.lines().map(|line| line.trim_start_matches("hardway> ").trim_start_matches("  | ")).collect();
    let from = lines.iter().rposition(|line| line.trim_end() == "<").unwrap_or_else(|| panic!("{command}: {text}"));
    let to = lines.iter().rposition(|line| line.trim_end() == ">").unwrap_or_else(|| panic!("{command}: {text}"));
    lines[from + 1..to].iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The words of a text.
pub fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
