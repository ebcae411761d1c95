//! One request of HTTP and its answer, kept in files (RFC 9110, RFC 9112).

use std::net::SocketAddr;
use std::path::Path;

use rootfs_fetch::image::digest_of;
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
/// In `target` and `headers` stands for something in a file: `{FILE#/POINTER}` for a text where it is JSON, by a JSON pointer (RFC 6901);
/// `{FILE#NAME}` for a header where it is the head of an answer; `{FILE#sha256}` for its digest, `{FILE#last}` for the number of its last byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Who.
    pub r#in: String,
    /// Whom: `127.0.0.1:5000`.
    pub to: SocketAddr,
    /// What is wanted of it.
    #[serde(default, skip_serializing_if = "Method::is_get")]
    pub method: Method,
    /// Of what: the path, with its query.
    pub target: String,
    /// More headers, each `NAME: VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// The file whose bytes are sent along, an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What the files with the answer begin with, an absolute path.
    pub save: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

/// What a request is for (RFC 9110, section 9.3; RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// To have it.
    #[default]
    Get,
    /// To hear what would come.
    Head,
    /// To have something done with what is sent.
    Post,
    /// To put what is sent there.
    Put,
    /// To change a part.
    Patch,
    /// To take it away.
    Delete,
}

impl Method {
    fn is_get(&self) -> bool {
        *self == Self::Get
    }

    fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Request {
    /// What is sent before the body, of that many bytes.
    fn text(&self, body: Option<u64>) -> String {
        let Self { to, method, target, .. } = self;
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n", method.word(), filled(target));
        // A server has to know where what is sent ends, also where it is nothing (RFC 9110, section 8.6).
        let sends = matches!(method, Method::Post | Method::Put | Method::Patch);
        if let Some(bytes) = body.or(sends.then_some(0)) {
            text.push_str(&format!("Content-Length: {bytes}\r\n"));
        }
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
        format!("{} sends {} {} to {}: kept in {}", self.r#in, self.method.word(), self.target, self.to, self.save)
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
        misuses.extend(self.body.as_deref().and_then(|body| misused_path("body", body)));
        if !self.target.starts_with(['/', '{']) || self.target.contains(char::is_whitespace) {
            misuses.push(Misuse::new("target", "that is no path of a request", "begin with `/`, and write no blank"));
        }
        if self.headers.iter().any(|it| !it.contains(": ") || it.contains(char::is_control)) {
            misuses.push(Misuse::new("headers", "that is no header", "write `NAME: VALUE`"));
        }
        misuses
    }
}

impl Perform for Request {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let body =
            self.body.as_ref().map(|path| sys::open(trace, Path::new(path), OFlag::O_RDONLY, None)).transpose()?;
        let bytes = self.body.as_ref().map(|path| std::fs::metadata(path).map_or(0, |about| about.len()));
        let text = self.text(bytes);
        let socket = sys::connect(trace, self.to)?;
        sys::send(trace, &socket, text.as_bytes())?;
        if let (Some(body), Some(mut left)) = (body, bytes) {
            // The socket takes no more than it has room for.
            while left > 0 {
                let sent = sys::sendfile(trace, &socket, &body, usize::try_from(left).unwrap_or(usize::MAX))?;
                if sent == 0 {
                    break;
                }
                left -= sent as u64;
            }
        }
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

/// A text with what is in files in it. What is not there leaves nothing, and the server will say what it thinks of that.
fn filled(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once('}').unwrap_or((part, ""));
        let (file, what) = reference.split_once('#').unwrap_or((reference, ""));
        let value = std::fs::read(file).ok().and_then(|bytes| found(&bytes, what)).unwrap_or_default();
        // A value must not become headers of its own.
        filled.extend(value.chars().filter(|c| !c.is_control()));
        filled.push_str(rest);
    }
    filled
}

/// What a reference means in a file.
fn found(bytes: &[u8], what: &str) -> Option<String> {
    match what {
        "sha256" => Some(digest_of(bytes).to_string().trim_start_matches("sha256:").to_owned()),
        "last" => Some(bytes.len().saturating_sub(1).to_string()),
        pointer if pointer.starts_with('/') => {
            let json: Value = serde_json::from_slice(bytes).ok()?;
            Some(json.pointer(pointer)?.as_str()?.to_owned())
        }
        name => {
            let head = std::str::from_utf8(bytes).ok()?;
            let headers = head.lines().filter_map(|line| line.split_once(':'));
            let header = |(it, value): (&str, &str)| it.eq_ignore_ascii_case(name).then(|| value.trim().to_owned());
            headers.into_iter().find_map(header)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn request(to: SocketAddr, save: String, headers: Vec<String>) -> Request {
        let (method, target) = (Method::Get, "/v2/".into());
        Request { r#in: "host".into(), to, method, target, headers, body: None, save, fails_with: None }
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
    fn a_file_is_sent_and_said_how_long_it_is() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("1.head");
        std::fs::write(&file, "HTTP/1.1 202 Accepted\r\nlocation: /up/7?a=b\r\n\r\n").expect("a file");
        let part = |what: &str| filled(&format!("{{{}#{what}}}", file.display()));
        let digest = digest_of(&std::fs::read(&file).expect("a file")).to_string();
        assert_eq!((part("Location"), part("last")), ("/up/7?a=b".into(), "45".into()));
        assert_eq!((format!("sha256:{}", part("sha256")), part("Range")), (digest, String::new()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let to = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = String::new();
            stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n").expect("an answer");
            stream.shutdown(std::net::Shutdown::Write).expect("an end");
            stream.read_to_string(&mut asked).expect("a request");
            asked
        });
        let mut put = request(to, place.path().join("2").to_string_lossy().into_owned(), Vec::new());
        (put.method, put.body) = (Method::Put, Some(file.to_string_lossy().into_owned()));
        assert_eq!(put.perform(&mut Trace::new("host")).expect("an answer").output, "HTTP/1.1 201 Created");
        let asked = server.join().expect("a request");
        let (head, body) = asked.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("PUT /v2/ HTTP/1.1\r\n") && head.ends_with("\r\nContent-Length: 46"), "{head}");
        assert_eq!(body, std::fs::read_to_string(&file).expect("a file"));
        put.body = None;
        assert!(put.text(None).contains("\r\nContent-Length: 0\r\n"));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let to = "127.0.0.1:5000".parse().expect("an address");
        assert_eq!(request(to, "/lab/asked/1".into(), vec!["Accept: */*".into()]).misuses(), []);
        let mut wrong = request(to, String::new(), vec!["Accept".into()]);
        wrong.target = "v2 ".into();
        wrong.body = Some(String::new());
        let fields: Vec<&str> = wrong.misuses().iter().map(|it| it.field).collect();
        assert_eq!(fields, ["save", "body", "target", "headers"]);
    }
}
