//! TLS, with certificates that are made for the test and openssl's own server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rootfs_fetch::client::{Client, ClientError, Options, Retry};
use tempfile::TempDir;

use super::lab::skip;
use super::server::{Reply, Server};
use super::{MANIFEST, options};

/// Files, and a server that sends them by https as they are.
struct Secure {
    place: TempDir,
    server: Child,
    port: String,
}

impl Secure {
    /// None where there is no openssl.
    fn start() -> Option<Self> {
        let place = TempDir::new().expect("a temporary directory");
        let directory = place.path();
        openssl(
            directory,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca -addext basicConstraints=critical,CA:TRUE",
        )?;
        openssl(
            directory,
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost",
        )?;
        std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost\n").expect("a file");
        openssl(
            directory,
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out leaf.pem",
        )?;
        let mut server = Command::new("openssl")
            .args("s_server -accept 127.0.0.1:0 -cert leaf.pem -key leaf.key -HTTP".split(' '))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let lines = BufReader::new(server.stdout.take().expect("its output")).lines().map_while(Result::ok);
        // It goes on to write there what it does.
        let mut accepts = lines.filter_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned));
        let port = accepts.next().expect("a port");
        std::thread::spawn(move || accepts.for_each(drop));
        Some(Self { place, server, port })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Lets it answer a manifest's URL so.
    fn answers(&self, tag: &str, answer: &[u8]) {
        let directory = self.file("v2/team/app/manifests");
        std::fs::create_dir_all(&directory).expect("directories");
        std::fs::write(directory.join(tag), answer).expect("a file");
    }

    /// Asks for a manifest by https.
    fn ask(&self, host: &str, tag: &str, certificates: Vec<PathBuf>) -> Result<Vec<u8>, ClientError> {
        let host = format!("{host}:{}", self.port);
        let plain_http = [(host.clone(), false)].into();
        let retry = Retry { count: 0, ..options().retry };
        let client = Client::new(Options { plain_http, certificates, retry, ..options() })?;
        Ok(client.manifest(&format!("{host}/team/app:{tag}").parse().expect("a reference"))?.bytes)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.server.kill().expect("it has not been waited for");
        self.server.wait().expect("a child");
    }
}

fn openssl(directory: &Path, arguments: &str) -> Option<()> {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().ok()?;
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

#[test]
fn only_who_is_trusted_is_asked_and_https_stays_https() {
    let Some(secure) = Secure::start() else { return skip("tls", "there is no openssl") };
    let trusting = || vec![secure.file("ca.pem")];
    let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MANIFEST.len());
    secure.answers("v1", &[ok.as_bytes(), MANIFEST].concat());
    assert_eq!(secure.ask("localhost", "v1", trusting()).expect("a manifest"), MANIFEST);

    let unknown = secure.ask("localhost", "v1", Vec::new()).expect_err("nobody vouches for it");
    assert!(matches!(&unknown, ClientError::Tls { why, .. } if why.contains("UnknownIssuer")), "{unknown:?}");
    let other = secure.ask("127.0.0.1", "v1", trusting()).expect_err("this is not its name");
    assert!(matches!(&other, ClientError::Tls { why, .. } if why.contains("not valid for name")), "{other:?}");

    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    // An address of documentation (RFC 5737).
    secure.answers("down", &moved("http://192.0.2.1/x"));
    let down = secure.ask("localhost", "down", trusting()).expect_err("https would become http");
    assert!(matches!(down, ClientError::Redirect { .. }), "{down:?}");
    let here = Server::start(|_, _| Reply::new(200).body(MANIFEST));
    secure.answers("here", &moved(&format!("http://{}/x", here.host())));
    assert_eq!(secure.ask("localhost", "here", trusting()).expect("a manifest"), MANIFEST);
}
