//! Everything that can go wrong between a client and a registry, told apart by what a person would do about it.
//!
//! URLs stand here without what may be secret in them, and what a server says is escaped and cut.

use std::io;
use std::time::Duration;

use serde::Deserialize;

pub(super) use crate::error::quoted;
use crate::image::Mismatch;

/// The most errors of one answer that are told.
const MAX_ERRORS: usize = 4;

/// Why a registry could not be asked, or why its answer is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A reference, digest or media type that no request can be made of.
    #[error("{what:?} can not be asked for: {why}")]
    Reference {
        /// The reference, or the part of it.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// An option that can not be used.
    #[error("{what} can not be used: {why}")]
    Option {
        /// The option and its value.
        what: String,
        /// Why not.
        why: String,
    },
    /// The host's name has no address.
    #[error("the name {host} has no address: {why}")]
    Dns {
        /// The host.
        host: String,
        /// The resolver's answer.
        why: String,
    },
    /// No connection: refused, or no way there.
    #[error("no connection to {host}: {why}")]
    Connect {
        /// The host and its port.
        host: String,
        /// The kernel's or the proxy's answer.
        why: String,
    },
    /// Something took longer than it may.
    #[error("{host}: {what} took longer than {after:?}")]
    Timeout {
        /// The host and its port.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// Nothing flowed any more.
    #[error("{host}: nothing came or went for {after:?}")]
    Stalled {
        /// The host and its port.
        host: String,
        /// How long.
        after: Duration,
    },
    /// No trust, or no common language of TLS.
    #[error("no TLS with {host}: {why}")]
    Tls {
        /// The host and its port.
        host: String,
        /// What rustls says.
        why: String,
    },
    /// TLS was begun with a server that answered without it.
    #[error("{host} was asked by https, and the registry speaks plain http; that has to be allowed for this host")]
    PlainHttp {
        /// The host and its port.
        host: String,
    },
    /// The connection ended in the middle, or what came was no HTTP.
    #[error("{url}: {why}")]
    Broken {
        /// What was asked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// The registry said no.
    #[error("{method} {url}: {status}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Refused {
        /// What kind of no.
        refusal: Refusal,
        /// The status, in digits and words.
        status: String,
        /// The request's method.
        method: String,
        /// What was asked for.
        url: String,
        /// The codes and messages of the registry's error document; else how the body begins.
        said: String,
        /// How long it asks to be left alone (Retry-After).
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error("{url} leads to {to:?}, where it is not followed: {why}")]
    Redirect {
        /// Where it was met.
        url: String,
        /// Where it leads.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// An answer that the specification does not allow.
    #[error("{url}: {why}")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// Other bytes than were asked for.
    #[error("{url}: {mismatch}")]
    Mismatch {
        /// What was asked for.
        url: String,
        /// The difference.
        #[source]
        mismatch: Mismatch,
    },
    /// A credential that is there and can not be used; or one that must not be sent where it was asked for.
    #[error("credentials for {host}: {why}")]
    Credentials {
        /// For whom they are.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// What was to be sent can not be read.
    #[error("what was to be sent can not be read: {0}")]
    Source(#[source] io::Error),
}

/// What kind of no a status is (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401: credentials are missing, or not good enough.
    Unauthorized,
    /// 403: who asks is known, and may not.
    Forbidden,
    /// 404: no such thing; many registries say so to those who may not know either.
    NotFound,
    /// 429: too many requests.
    TooManyRequests,
    /// 5xx: the server is in trouble.
    Server,
    /// Any other.
    Other,
}

impl Refusal {
    pub(super) fn of(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::TooManyRequests,
            500..=599 => Self::Server,
            _ => Self::Other,
        }
    }

    /// Whether the same request may succeed a while later.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::TooManyRequests | Self::Server)
    }
}

impl ClientError {
    /// Whether the same request may succeed a while later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.may_pass(),
            // EAI_AGAIN of getaddrinfo(3), in the words of glibc and of musl.
            Self::Dns { why, .. } => why.contains("Temporary failure") || why.contains("Try again"),
            Self::Connect { .. } | Self::Timeout { .. } | Self::Stalled { .. } | Self::Broken { .. } => true,
            _ => false,
        }
    }

    /// The kind of no, where the registry said no.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// How long the registry asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn reference(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Reference { what: what.into(), why: why.to_string() }
    }

    pub(super) fn option(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Option { what: what.into(), why: why.to_string() }
    }
}

/// Readers of streams get it as what it is: [`io::Error::downcast`] has it again.
impl From<ClientError> for io::Error {
    fn from(error: ClientError) -> Self {
        let kind = match error {
            ClientError::Timeout { .. } | ClientError::Stalled { .. } => io::ErrorKind::TimedOut,
            ClientError::Broken { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The error document of the distribution specification, "Error Codes"; codes that it does not list are passed on too.
#[derive(Deserialize)]
struct ErrorDocument {
    errors: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// What a body says about a refusal, on one line.
pub(super) fn said(body: &[u8]) -> String {
    let Ok(document) = serde_json::from_slice::<ErrorDocument>(body) else {
        return quoted(body);
    };
    let each = document.errors.iter().take(MAX_ERRORS).map(|told| match told.message.as_deref() {
        Some(message) if !message.is_empty() => {
            format!("{} ({})", quoted(told.code.as_bytes()), quoted(message.as_bytes()))
        }
        _ => quoted(told.code.as_bytes()),
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::MAX_SAID;

    #[test]
    fn an_error_document_is_told_and_bounded() {
        let document = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}},{"code":"OWN"}]}"#;
        assert_eq!(said(document), "MANIFEST_UNKNOWN (manifest unknown); OWN");
        let many = format!(r#"{{"errors":[{}]}}"#, vec![r#"{"code":"DENIED"}"#; 1000].join(","));
        assert_eq!(said(many.as_bytes()), "DENIED; DENIED; DENIED; DENIED");
        assert!(said(&vec![b'x'; 100_000]).chars().count() <= MAX_SAID + 1);
    }

    #[test]
    fn other_bodies_are_escaped() {
        assert_eq!(said(b"<html>\x1b[2J\nno"), "<html>\\u{1b}[2J\\nno");
        assert_eq!(said(&[0xff]), "\u{fffd}");
        assert_eq!(said(b""), "");
    }
}
