//! Requests of HTTP with their answers, as they are kept in files, and whether what came has its digest (RFC 9110; distribution-spec,
//! "Pulling blobs").

use std::io::Read;
use std::path::Path;

use rootfs_fetch::image::digest_of;
use serde::{Deserialize, Serialize};

use super::rows::{Sheet, quote};
use super::{Observation, Panel};
use crate::kernel::path::Tree;

/// The directory in which lessons keep requests and answers, below that for their files.
pub(super) const KEPT: &str = "asked";

/// How many files are looked at.
const MAX_FILES: usize = 96;

/// The longest head of an answer, and the longest request.
const MAX_HEAD: u64 = 16 * 1024;

/// The longest file whose digest is computed.
const MAX_BODY: u64 = 1 << 20;

/// The headers that a pull and a push are about, in the order in which they are shown.
const TOLD: [(&str, &str); 10] = [
    (
        "www-authenticate",
        "Where tokens are given out, for which service and which scope: what to ask before the next try (RFC 6750).",
    ),
    ("content-type", "What the body is; of a manifest its mediaType, by which the client knows how to read it."),
    (
        "docker-content-digest",
        "The digest that the server names. It is a claim: the client computes it from the bytes.",
    ),
    ("content-length", "How many bytes the body has."),
    ("content-range", "Which bytes of how many came: the answer to a header Range, with status 206 (RFC 9110, 14.4)."),
    (
        "location",
        "With 202 and 201 where it goes on, or where it is now. With 307 it is elsewhere: the client asks there, and takes no token along.",
    ),
    ("range", "Which bytes of an upload have come: the first and the last. 0-0 is said also where there is none."),
    ("docker-upload-uuid", "The name of an upload, as long as it is under way."),
    ("link", "Where the list goes on (RFC 8288); without this header it has ended."),
    ("oci-subject", "The server knows `subject`: it will list this manifest among the referrers of that one."),
];

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The first line of the request, where it was kept.
    pub asked: Option<String>,
    /// The first line of the answer.
    pub status: String,
    /// Its headers, their names in small letters.
    pub headers: Vec<(String, String)>,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal, computed now; none of a file that is too long.
    pub sha256: Option<String>,
}

impl Exchange {
    /// From the texts of the two files.
    fn parse(asked: Option<&str>, head: &str) -> Self {
        let mut lines = head.lines().map(str::trim_end);
        let status = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let asked = asked.and_then(|it| it.lines().next()).map(|it| it.trim_end().to_owned());
        Self { asked, status, headers: lines.filter_map(header).collect() }
    }

    /// The status code of the answer.
    pub fn code(&self) -> Option<u16> {
        self.status.split_whitespace().nth(1)?.parse().ok()
    }

    /// A header, whatever the size of the letters of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The SHA-256 that the answer names, in hexadecimal.
    pub fn named(&self) -> Option<&str> {
        self.header("docker-content-digest")?.strip_prefix("sha256:")
    }
}

/// Reads what is kept in a directory, as the first process sees it.
pub(super) fn read(proc: &Path, observation: &mut Observation, directory: &Path) {
    let Some(first) = observation.processes.first() else { return };
    let Ok(tree) = Tree::at(&proc.join(format!("{}/root", first.pid))) else { return };
    gather(&tree, observation, directory);
}

/// The same in a tree of files.
fn gather(tree: &Tree, observation: &mut Observation, directory: &Path) {
    for name in tree.names(directory).unwrap_or_default().into_iter().take(MAX_FILES) {
        let path = directory.join(&name);
        let text = path.to_string_lossy().into_owned();
        let Some(stem) = text.strip_suffix(".head") else {
            let Some((bytes, content)) = tree.content(&path, MAX_BODY) else { continue };
            let sha256 = content.map(|it| digest_of(&it).to_string().trim_start_matches("sha256:").to_owned());
            observation.contents.insert(text, Content { bytes, sha256 });
            continue;
        };
        let asked = tree.text(Path::new(&format!("{stem}.ask")), MAX_HEAD);
        let Some(head) = tree.text(&path, MAX_HEAD) else { continue };
        observation.exchanges.insert(stem.to_owned(), Exchange::parse(asked.as_deref(), &head));
    }
}

/// The rows of the panel of exchanges.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for (stem, exchange) in &observation.exchanges {
        let head = format!("{stem}.head");
        let command = format!("cat {}", quote(&head));
        let mut about = sheet.about_thing(Panel::Exchanges, stem.clone());
        if let Some(asked) = &exchange.asked {
            let file = format!("{stem}.ask");
            let command = format!("head -1 {}", quote(&file));
            about.row(
                "request",
                asked.clone(),
                file,
                command,
                "The first line of what was sent: the method, and the path.",
            );
        }
        let meaning = meaning(exchange.code());
        about.row("status", exchange.status.clone(), head.clone(), command.clone(), meaning);
        for (name, meaning) in TOLD {
            if let Some(value) = exchange.header(name) {
                about.row(name, value.to_owned(), head.clone(), command.clone(), meaning);
            }
        }
        let body = format!("{stem}.body");
        let Some(content) = observation.contents.get(&body).filter(|it| it.bytes > 0) else { continue };
        let value = match (&content.sha256, exchange.named(), exchange.code()) {
            (None, ..) => format!("{} bytes", content.bytes),
            (Some(own), Some(named), Some(200)) if own == named => format!("{own}, as the server says"),
            (Some(own), Some(_), Some(200)) => format!("{own}: NOT what the server says"),
            (Some(own), ..) => own.clone(),
        };
        let meaning = "The SHA-256 of the body, computed now from its bytes. With 206 it is a part, and the digest named is that of the whole.";
        about.row("sha256", value, body.clone(), format!("sha256sum {}", quote(&body)), meaning);
    }
    let parts = |path: &str| {
        let stem = path.strip_suffix(".body").or_else(|| path.strip_suffix(".ask"));
        stem.is_some_and(|stem| observation.exchanges.contains_key(stem))
    };
    for (path, content) in observation.contents.iter().filter(|(path, _)| !parts(path)) {
        let mut about = sheet.about_thing(Panel::Exchanges, path.clone());
        let value = content.sha256.clone().unwrap_or_else(|| format!("{} bytes", content.bytes));
        let meaning = "A file that was made of answers, and its SHA-256, computed now.";
        about.row("sha256", value, path.clone(), format!("sha256sum {}", quote(path)), meaning);
    }
}

/// What a status code says in a pull or a push (RFC 9110, section 15).
fn meaning(code: Option<u16>) -> &'static str {
    match code {
        Some(200) => "Here it is.",
        Some(201) => "It is there now; Location says where.",
        Some(202) => "So far, so good: it goes on where Location says.",
        Some(204) => "Well, and there is nothing to send.",
        Some(206) => "Here is the part that was asked for.",
        Some(307 | 302) => "It is elsewhere: Location says where.",
        Some(401) => "Say who you are first; WWW-Authenticate says how.",
        Some(403) => "Known, and not allowed.",
        Some(404) => "There is no such thing here, or it may not be told that there is.",
        Some(400) => "What was sent is not what it should be.",
        Some(416) => {
            "The range is not in it, or, of an upload, does not begin where it has ended; Range says where that is."
        }
        _ => "How it came out: 2xx well, 3xx elsewhere, 4xx the client's fault, 5xx the server's.",
    }
}

impl Tree {
    /// How long a plain file is, and what is in it where that is not more than `most`.
    fn content(&self, path: &Path, most: u64) -> Option<(u64, Option<Vec<u8>>)> {
        let (about, file) = self.plain(path)?;
        let mut bytes = Vec::new();
        let is_short = about.len() <= most && file.take(most).read_to_end(&mut bytes).is_ok();
        Some((about.len(), is_short.then_some(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::probe::{Names, Row};

    fn observed() -> (Observation, Vec<Row>) {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("lab/asked");
        fs::create_dir_all(&directory).expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("a file");
        let digest = digest_of(b"bytes").to_string();
        write("a.ask", "GET /v2/ HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n");
        write("a.head", &format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n\r\n"));
        write("a.body", "bytes");
        write("b.head", &format!("HTTP/1.1 200 OK\r\ndocker-content-digest: {digest}\r\n\r\n"));
        write("b.body", "bytez");
        write("whole", "bytes");
        let mut observation = Observation::default();
        gather(&Tree::at(place.path()).expect("a tree"), &mut observation, Path::new("/lab/asked"));
        let rows = crate::probe::rows(&observation, &Names::default());
        (observation, rows.into_iter().filter(|row| row.panel == Panel::Exchanges).collect())
    }

    #[test]
    fn a_digest_is_computed_and_compared_and_no_token_is_shown() {
        let (observation, rows) = observed();
        let value = |subject: &str, key: &str| {
            rows.iter().find(|row| row.subject == subject && row.key == key).map(|row| row.value.clone())
        };
        assert_eq!(value("/lab/asked/a", "request").expect("a row"), "GET /v2/ HTTP/1.1");
        assert!(value("/lab/asked/a", "sha256").expect("a row").ends_with(", as the server says"));
        assert!(value("/lab/asked/b", "sha256").expect("a row").ends_with("NOT what the server says"));
        assert!(value("/lab/asked/whole", "sha256").is_some());
        assert_eq!(observation.exchanges["/lab/asked/a"].code(), Some(200));
        assert!(rows.iter().all(|row| !row.value.contains("secret")));
    }
}
