//! How a plugin tells that it failed (section 5, error), and how the runner does.

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;

/// What a plugin writes to its standard output when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// The version of the protocol; many plugins leave it out.
    #[serde(rename = "cniVersion", default, skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<String>,
    /// What kind of error it is; see [`meaning`].
    #[serde(default)]
    pub code: u32,
    /// In a few words.
    #[serde(default)]
    pub msg: String,
    /// In more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl ErrorObject {
    /// Reads one from a plugin's output; none where it is something else.
    pub fn parse(output: &[u8]) -> Option<Self> {
        let object: Self = serde_json::from_slice(output).ok()?;
        // Any object would do, since all keys may be missing.
        (object.code != 0 || !object.msg.is_empty()).then_some(object)
    }

    /// As a sentence, with what acts on a terminal escaped.
    pub fn sentence(&self) -> String {
        let mut text = format!("code {} ({}): {}", self.code, meaning(self.code), shown(&self.msg));
        if !self.details.is_empty() {
            text.push_str(&format!("; {}", shown(&self.details)));
        }
        text
    }
}

/// Codes of the specification, what they mean, and what to do (section 5, error). Those from 100 on are each plugin's own.
const CODES: &[(u32, &str, &str)] = &[
    (1, "incompatible CNI version", "change cniVersion to one that the plugin supports; `hardway cni version` asks it"),
    (
        2,
        "unsupported field in the network configuration",
        "take the field away that the message names, or give it another value",
    ),
    (3, "container unknown or gone", "nothing has to be cleaned up: there is no such container any more"),
    (4, "invalid variables", "look at the names and values of the variables: the id, the namespace, the interface"),
    (5, "I/O failure", "look at what the plugin could not read or write, and try again"),
    (6, "content could not be decoded", "look at the configuration that the plugin was given: -v shows it"),
    (7, "invalid network configuration", "change the configuration as the message says"),
    (11, "try again later", "try again in a moment: the plugin expects that to help"),
    (
        50,
        "the plugin is not available",
        "see that what the plugin needs is running or has room; no ADD works until then",
    ),
    (
        51,
        "the plugin is not available, and containers may have limited connectivity",
        "see that what the plugin needs is running; containers that are there already may be cut off",
    ),
];

/// What a code means.
pub fn meaning(code: u32) -> &'static str {
    match CODES.iter().find(|(known, ..)| *known == code) {
        Some((_, words, _)) => words,
        None if code >= 100 => "the plugin's own",
        None => "reserved",
    }
}

/// What to do about a code.
pub fn advice(code: u32) -> &'static str {
    CODES
        .iter()
        .find(|(known, ..)| *known == code)
        .map_or("the message is the plugin's own: -v shows all that it was told", |it| it.2)
}

/// Why the runner could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// For a person: of several errors the first.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// The plugin's own words, where it was a plugin that failed and it had some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
    /// What failed after that, while the rest was done or what had been done was taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Explanation>,
}

impl From<Explanation> for Failure {
    fn from(explanation: Explanation) -> Self {
        Self { explanation, error: None, also: Vec::new() }
    }
}

impl Failure {
    /// Several as one: the first, and behind it what the others say. None where there is none.
    pub(super) fn of(failures: Vec<Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let mut first = failures.next()?;
        for other in failures {
            first.also.push(other.explanation);
            first.also.extend(other.also);
        }
        Some(first)
    }

    /// All of it as one explanation.
    pub fn whole(self) -> Explanation {
        let mut explanation = self.explanation;
        for other in self.also {
            explanation.why.push_str(&format!("\n  then: {}: {}", other.what, other.why));
        }
        explanation
    }
}

/// Text of a plugin in one line, bounded, with what acts on a terminal escaped.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 400;
    let text = text.trim();
    let start: String = text.chars().take(LONGEST).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    // Quotation marks are no harm, and there are many in JSON.
    let escaped: String = start
        .chars()
        .flat_map(|c| if "'\"\\".contains(c) { vec![c] } else { c.escape_debug().collect::<Vec<_>>() })
        .collect();
    format!("{escaped}{more}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn errors_are_read_as_plugins_write_them() {
        let text =
            br#"{"cniVersion":"1.1.0","code":7,"msg":"Invalid Configuration","details":"too small\u001b[2J","x":1}"#;
        let error = ErrorObject::parse(text).unwrap();
        assert_eq!(
            error.sentence(),
            "code 7 (invalid network configuration): Invalid Configuration; too small\\u{1b}[2J"
        );
        assert_eq!(
            ErrorObject::parse(b"{\"code\":999,\"msg\":\"x\"}").unwrap().sentence(),
            "code 999 (the plugin's own): x"
        );
        for text in
            ["", "{}", "[]", "x", "{\"code\":\"7\",\"msg\":\"x\"}", "{\"code\":-1,\"msg\":\"x\"}", "{\"ips\":[]}"]
        {
            assert_eq!(ErrorObject::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn each_code_has_words_and_advice() {
        for code in [1, 2, 3, 4, 5, 6, 7, 11, 50, 51] {
            assert!(meaning(code) != "reserved" && !advice(code).starts_with("the message"), "{code}");
        }
        assert_eq!([meaning(8), meaning(99), meaning(100)], ["reserved", "reserved", "the plugin's own"]);
    }

    #[test]
    fn the_first_of_several_is_told_first() {
        let one = |what: &str| Failure::from(Explanation::new(what, "w", "f"));
        let all = Failure::of(vec![one("a"), one("b"), one("c")]).unwrap();
        assert_eq!(all.explanation.what, "a");
        assert_eq!(all.whole().why, "w\n  then: b: w\n  then: c: w");
        assert_eq!(Failure::of(Vec::new()), None);
    }
}
