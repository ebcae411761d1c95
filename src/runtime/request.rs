//! One request of HTTP and its answer, kept in files (RFC 9110, RFC 9112).

use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, OFlag};
use crate::kernel::trace::{CallError, Trace};

/// The longest answer that is read, in bytes.
const MOST: usize = 1 << 20;

/// How much of it one call takes.
const CHUNK: usize = 16 * 1024;

/// Sends a request and keeps the answer: what was asked in `SAVE.ask`, status line and headers in `SAVE.head`, the rest in `SAVE.body`.
///
/// In `get` and `headers` a `{FILE#/POINTER}` stands for a text in an earlier answer that is JSON: `{/lab/pull/token.body#/token}`, by a
/// JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Who.
    pub r#in: String,
    /// Whom: `127.0.0.1:5000`.
    pub to: SocketAddr,
    /// What: the path, with its query.
    pub get: String,
    /// More headers, each `NAME: VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// What the files with the answer begin with, an absolute path.
    pub save: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Request {
    fn text(&self) -> String {
        let Self { to, get, .. } = self;
        let mut text = format!("GET {} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n", filled(get));
        for header in &self.headers {
            text.push_str(&filled(header));
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

impl Mechanism for Request {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} asks {} for {}: kept in {}", self.r#in, self.to, self.get, self.save)
    }

    fn shell(&self) -> Option<String> {
        // What cuts an answer in two, and takes values out of earlier ones, is a function of several lines: the lesson has one.
        None
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the answer in {}.head and {}.body", self.save, self.save), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses: Vec<Misuse> = misused_path("save", &self.save).into_iter().collect();
        if !self.get.starts_with('/') || self.get.contains(char::is_whitespace) {
            misuses.push(Misuse::new("get", "that is no path of a request", "begin with `/`, and write no blank"));
        }
        if self.headers.iter().any(|it| !it.contains(": ") || it.contains(char::is_control)) {
            misuses.push(Misuse::new("headers", "that is no header", "write `NAME: VALUE`"));
        }
        misuses
    }
}

impl Perform for Request {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let text = self.text();
        let socket = sys::connect(trace, self.to)?;
        sys::send(trace, &socket, text.as_bytes())?;
        let mut answer = Vec::new();
        while answer.len() < MOST {
            let more = sys::receive(trace, &socket, CHUNK)?;
            if more.is_empty() {
                break;
            }
            answer.extend(more);
        }
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let (head, body) = answer.split_at(end);
        for (kind, bytes) in [("ask", text.as_bytes()), ("head", head), ("body", body)] {
            let path = format!("{}.{kind}", self.save);
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
            let file = sys::open(trace, Path::new(&path), flags, Some(0o644))?;
            sys::write_bytes(trace, &file, bytes)?;
        }
        // The headers are in the panel.
        let status = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        Ok(Outcome { output: String::from_utf8_lossy(status).into_owned(), status: None })
    }
}

/// A text with the values of earlier answers in it. What is not there leaves nothing, and the server will say what it thinks of that.
fn filled(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once('}').unwrap_or((part, ""));
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let known = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let value = known.as_ref().and_then(|json| json.pointer(pointer)).and_then(Value::as_str).unwrap_or_default();
        // A value must not become headers of its own.
        filled.extend(value.chars().filter(|c| !c.is_control()));
        filled.push_str(rest);
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn request(to: SocketAddr, save: String, headers: Vec<String>) -> Request {
        Request { r#in: "host".into(), to, get: "/v2/".into(), headers, save, fails_with: None }
    }

    #[test]
    fn an_answer_is_kept_byte_by_byte_and_used_in_the_next_request() {
        let place = tempfile::tempdir().expect("a directory");
        let token = place.path().join("token");
        std::fs::write(&token, r#"{"a":["x\r\nEvil: 1"],"token":"abc"}"#).expect("a file");
        assert_eq!(filled(&format!("[{{{0}#/token}}] {{{0}#/a/0}} {{{0}#/b}}.", token.display())), "[abc] xEvil: 1 .");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let to = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = [0; 512];
            let count = stream.read(&mut asked).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n\xff\n\r\n\r\nend").expect("an answer");
            String::from_utf8_lossy(&asked[..count]).into_owned()
        });
        let save = place.path().join("1").to_string_lossy().into_owned();
        let bearer = format!("Authorization: Bearer {{{}#/token}}", token.display());
        let outcome = request(to, save.clone(), vec![bearer]).perform(&mut Trace::new("host")).expect("an answer");
        assert_eq!(outcome.output, "HTTP/1.1 200 OK");
        assert_eq!(std::fs::read(format!("{save}.body")).expect("a file"), b"\xff\n\r\n\r\nend");
        let asked = server.join().expect("a request");
        assert_eq!(asked, std::fs::read_to_string(format!("{save}.ask")).expect("a file"));
        assert!(asked.starts_with("GET /v2/ HTTP/1.1\r\n") && asked.ends_with("\r\nAuthorization: Bearer abc\r\n\r\n"));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let to = "127.0.0.1:5000".parse().expect("an address");
        assert_eq!(request(to, "/lab/pull/1".into(), vec!["Accept: */*".into()]).misuses(), []);
        let mut wrong = request(to, String::new(), vec!["Accept".into()]);
        wrong.get = "v2 ".into();
        let fields: Vec<&str> = wrong.misuses().iter().map(|it| it.field).collect();
        assert_eq!(fields, ["save", "get", "headers"]);
    }
}
