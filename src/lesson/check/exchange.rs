//! Requests and their answers, and whether what came has the digest that it should.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View};
use crate::probe::{Content, Exchange};

/// An answer was kept, and says this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// What its files begin with: `/lab/asked/ping` for `/lab/asked/ping.head`.
    pub answer: String,
    /// The status code.
    pub status: u16,
    /// Something that the first line of the request has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// A header that the answer has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Something that the header has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<String>,
}

impl Predicate for Answered {
    fn claim(&self) -> String {
        let asked = self.asked.as_ref().map(|it| format!(" to a request with {it}")).unwrap_or_default();
        let header = self.header.as_ref().map(|it| format!(", with a header {it}")).unwrap_or_default();
        let has = self.has.as_ref().map(|it| format!(" that has {it}")).unwrap_or_default();
        format!("{} is an answer {}{asked}{header}{has}", self.answer, self.status)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let exchange = exchange(view, &self.answer)?;
        let asked = exchange.asked.as_deref().unwrap_or_default();
        let header = self.header.as_deref().map(|name| exchange.header(name).unwrap_or("no such header"));
        let holds = exchange.code() == Some(self.status)
            && self.asked.as_ref().is_none_or(|it| asked.contains(it.as_str()))
            && self.header.as_ref().is_none_or(|name| exchange.header(name).is_some())
            && self.has.as_ref().is_none_or(|it| header.is_some_and(|header| header.contains(it.as_str())));
        let header = header.map(|it| format!(", {it}")).unwrap_or_default();
        Ok((holds, format!("{asked}: {}{header}", exchange.status)))
    }
}

/// A file has the SHA-256 that an answer names as that of its content (`Docker-Content-Digest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestRight {
    /// What the files of the answer begin with.
    pub answer: String,
    /// The file, where it is not the body of that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Predicate for DigestRight {
    fn claim(&self) -> String {
        format!("{} has the digest that {} names", body(&self.answer, self.file.as_ref()), self.answer)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        compare(view, &self.answer, self.file.as_ref())
    }
}

/// A body does not have the SHA-256 that its answer names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestWrong {
    /// What the files of the answer begin with.
    pub answer: String,
}

impl Predicate for DigestWrong {
    fn claim(&self) -> String {
        format!("{} has another digest than {} names", body(&self.answer, None), self.answer)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        compare(view, &self.answer, None).map(|(same, seen)| (!same, seen))
    }
}

/// The SHA-256 of a file in the directory of the answers, in hexadecimal, as sha256sum(1) prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sha256 {
    /// The file.
    pub file: String,
}

impl Probe for Sha256 {
    fn words(&self) -> String {
        format!("the SHA-256 of {}", self.file)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        sum(view, &self.file).map(str::to_owned)
    }
}

fn body(answer: &str, file: Option<&String>) -> String {
    file.cloned().unwrap_or_else(|| format!("{answer}.body"))
}

fn exchange<'a>(view: &View<'a>, answer: &str) -> Seen<&'a Exchange> {
    view.observation.exchanges.get(answer).ok_or_else(|| format!("there is no {answer}.head"))
}

fn sum<'a>(view: &View<'a>, file: &str) -> Seen<&'a str> {
    let content: Option<&'a Content> = view.observation.contents.get(file);
    content.and_then(|it| it.sha256.as_deref()).ok_or_else(|| format!("there is no {file}, or it is too long"))
}

fn compare(view: &View<'_>, answer: &str, file: Option<&String>) -> Seen<(bool, String)> {
    let named = exchange(view, answer)?.named().ok_or_else(|| format!("{answer} names no digest"))?;
    let own = sum(view, &body(answer, file))?;
    Ok((own == named, format!("it is {own}, named is {named}")))
}
