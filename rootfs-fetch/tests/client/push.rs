//! Pushing: blobs at once and in chunks, whatever gets lost, and manifests.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rootfs_fetch::client::{Client, ClientError, Options, Refusal, Retry, Timeouts};
use rootfs_fetch::image::{Descriptor, MediaType, digest_of};

use super::server::{Reply, Request, Server};
use super::{BLOB, MANIFEST, MANIFEST_TYPE, client, descriptor, options, reference};

/// What a registry keeps of uploads and blobs.
#[derive(Default)]
struct Kept {
    uploads: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// A registry that keeps blobs. `fault` sees what it would answer to each request, and says what comes instead.
fn registry(fault: impl Fn(&Request, usize, Reply) -> Reply + Send + Sync + 'static) -> (Server, Arc<Mutex<Kept>>) {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let theirs = Arc::clone(&kept);
    let server = Server::start(move |request, number| {
        let reply = answer(request, number, &mut theirs.lock().expect("no panic"));
        fault(request, number, reply)
    });
    (server, kept)
}

fn answer(request: &Request, number: usize, kept: &mut Kept) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    // Each Location is another, relative, and has a query of its own.
    let at = |name: &str, has: usize| {
        let reply = Reply::new(202).header("Location", format!("/v2/team/app/blobs/uploads/{name}?_state=s{number}"));
        reply.header("Range", format!("0-{}", has.saturating_sub(1)))
    };
    match request.method.as_str() {
        "HEAD" => Reply::new(if kept.blobs.contains_key(&name) { 200 } else { 404 }),
        "POST" => {
            let name = format!("u{number}");
            kept.uploads.insert(name.clone(), Vec::new());
            at(&name, 0)
        }
        "PATCH" => {
            let Some(upload) = kept.uploads.get_mut(&name) else { return Reply::new(404) };
            let range = format!("{}-{}", upload.len(), (upload.len() + request.body.len()).saturating_sub(1));
            if request.header("content-range") != Some(&range) {
                return Reply::new(416);
            }
            upload.extend(&request.body);
            at(&name, upload.len())
        }
        "GET" => match kept.uploads.get(&name) {
            Some(upload) => Reply::new(204).header("Range", format!("0-{}", upload.len().saturating_sub(1))),
            None => Reply::new(404),
        },
        "PUT" => {
            let Some(mut upload) = kept.uploads.remove(&name) else { return Reply::new(404) };
            upload.extend(&request.body);
            let digest = query.rsplit("digest=").next().unwrap_or_default().to_owned();
            if digest != digest_of(&upload).to_string() {
                return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            kept.blobs.insert(digest, upload);
            Reply::new(201)
        }
        _ => Reply::new(405),
    }
}

fn pushed(kept: &Mutex<Kept>) -> Option<Vec<u8>> {
    kept.lock().expect("no panic").blobs.get(&digest_of(BLOB).to_string()).cloned()
}

fn in_chunks(chunk: u64) -> Client {
    Client::new(Options { chunk, ..options() }).expect("a client")
}

#[test]
fn a_small_blob_goes_at_once() {
    let (server, kept) = registry(|_, _, reply| reply);
    let client = client();
    assert!(!client.has_blob(&reference(&server), &digest_of(BLOB)).expect("an answer"));
    client.push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB)).expect("pushed");
    assert!(client.has_blob(&reference(&server), &digest_of(BLOB)).expect("an answer"));
    assert_eq!(pushed(&kept).as_deref(), Some(BLOB));
    let lines = server.lines();
    assert_eq!(lines[1], "POST /v2/team/app/blobs/uploads/");
    assert_eq!(lines[2], format!("PUT /v2/team/app/blobs/uploads/u1?_state=s1&digest={}", digest_of(BLOB)));
    assert_eq!(lines.len(), 4);
    assert_eq!(server.seen()[2].header("content-length"), Some("53"));
}

#[test]
fn a_blob_of_no_bytes_is_pushed_too() {
    let (server, kept) = registry(|_, _, reply| reply);
    client().push_blob(&reference(&server), &descriptor(b""), &mut Cursor::new(b"")).expect("pushed");
    assert_eq!(kept.lock().expect("no panic").blobs.get(&digest_of(b"").to_string()).map(Vec::len), Some(0));
}

#[test]
fn a_large_blob_goes_in_chunks() {
    let (server, kept) = registry(|_, _, reply| reply);
    in_chunks(20).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB)).expect("pushed");
    assert_eq!(pushed(&kept).as_deref(), Some(BLOB));
    let seen = server.seen();
    let ranges: Vec<_> = seen.iter().filter_map(|request| request.header("content-range")).collect();
    assert_eq!(ranges, ["0-19", "20-39", "40-52"]);
    assert_eq!(
        seen.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(),
        ["POST", "PATCH", "PATCH", "PATCH", "PUT"]
    );
    assert_eq!(seen[4].body, b"");
}

#[test]
fn a_registry_may_want_larger_chunks() {
    let (server, _) = registry(|_, _, reply| reply.header("OCI-Chunk-Min-Length", "30"));
    in_chunks(7).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB)).expect("pushed");
    let seen = server.seen();
    assert_eq!(
        seen.iter().filter_map(|request| request.header("content-range")).collect::<Vec<_>>(),
        ["0-29", "30-52"]
    );
}

#[test]
fn whatever_answer_is_lost_the_blob_arrives_once_and_whole() {
    for chunk in [20, 100] {
        for lost in 0..5 {
            for fault in [Reply::gone(), Reply::new(503)] {
                let (server, kept) =
                    registry(move |_, number, reply| if number == lost { fault.clone() } else { reply });
                let outcome =
                    in_chunks(chunk).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB));
                outcome.unwrap_or_else(|error| panic!("answer {lost} lost, {chunk}: {error}\n{:?}", server.lines()));
                assert_eq!(pushed(&kept).as_deref(), Some(BLOB));
                // What the registry has is not sent again, but where nobody knows that it has it.
                let sent: usize = server.seen().iter().map(|request| request.body.len()).sum();
                assert!(sent <= BLOB.len() + if chunk == 20 { 0 } else { BLOB.len() }, "{sent}: {:?}", server.lines());
            }
        }
    }
}

#[test]
fn a_registry_that_is_busy_is_left_alone() {
    let (server, kept) = registry(|_, number, reply| match number {
        1 => Reply::new(429).header("Retry-After", "1"),
        _ => reply,
    });
    let longest = Duration::from_millis(200);
    let retry = Retry { longest, ..options().retry };
    let client = Client::new(Options { retry, ..options() }).expect("a client");
    let began = Instant::now();
    client.push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB)).expect("pushed");
    assert!(began.elapsed() >= longest);
    assert_eq!(pushed(&kept).as_deref(), Some(BLOB));
}

#[test]
fn an_upload_that_the_registry_forgot_is_begun_anew() {
    let forgetting = Mutex::new(true);
    let (server, kept) = registry(move |request, _, reply| {
        let mut once = forgetting.lock().expect("no panic");
        match request.method == "PATCH"
            && request.header("content-range") == Some("20-39")
            && std::mem::take(&mut *once)
        {
            true => Reply::new(404),
            false => reply,
        }
    });
    in_chunks(20).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB)).expect("pushed");
    assert_eq!(pushed(&kept).as_deref(), Some(BLOB));
}

#[test]
fn a_registry_that_loses_all_is_given_up() {
    let (server, _) = registry(|request, _, reply| match request.method.as_str() {
        "PATCH" => Reply::new(503),
        "GET" => Reply::new(404),
        _ => reply,
    });
    let outcome = in_chunks(20).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB));
    assert_eq!(outcome.expect_err("not pushed").refusal(), Some(Refusal::Server));
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("POST")).count(), 4);
}

#[test]
fn a_push_that_nobody_takes_is_stalled() {
    /// More zeros than the kernel keeps for a connection.
    struct Zeros(u64);
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(0);
            Ok(buffer.len())
        }
    }
    impl Seek for Zeros {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            if let SeekFrom::Start(at) = to {
                self.0 = at;
            }
            Ok(self.0)
        }
    }
    // The kernel makes its connections, and nobody reads from them.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let location = format!("http://{}/upload", deaf.local_addr().expect("an address"));
    let server = Server::start(move |request, _| match request.method.as_str() {
        "POST" => Reply::new(202).header("Location", &location),
        _ => Reply::new(404),
    });
    let timeouts = Timeouts { stall: Duration::from_millis(200), ..options().timeouts };
    let retry = Retry { count: 0, ..options().retry };
    let client = Client::new(Options { timeouts, retry, chunk: 1 << 30, ..options() }).expect("a client");
    let large = Descriptor::new(MediaType::ImageLayer, 256 << 20, digest_of(BLOB));
    let outcome = client.push_blob(&reference(&server), &large, &mut Zeros(0));
    assert!(matches!(outcome, Err(ClientError::Stalled { .. })), "{outcome:?}");
}

#[test]
fn lies_about_what_is_there_are_refused() {
    for range in ["0-5", "0-200", "5-19", "x", "0-18446744073709551615"] {
        let (server, _) = registry(move |request, _, reply| match request.header("content-range") {
            Some("20-39") => Reply::new(202).header("Location", "/x").header("Range", range),
            _ => reply,
        });
        let outcome = in_chunks(20).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(BLOB));
        assert!(matches!(outcome, Err(ClientError::Protocol { .. })), "{range}: {outcome:?}");
    }
}

#[test]
fn a_source_that_is_too_short_is_its_own_fault() {
    let (server, _) = registry(|_, _, reply| reply);
    let outcome = in_chunks(20).push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new(&BLOB[..30]));
    assert!(matches!(outcome, Err(ClientError::Source(_))), "{outcome:?}");
    let other = client().push_blob(&reference(&server), &descriptor(BLOB), &mut Cursor::new([b'x'; 53]));
    let error = other.expect_err("another digest");
    assert!(error.to_string().ends_with("DIGEST_INVALID"), "{error}");
}

#[test]
fn blobs_are_mounted_where_the_registry_does_it() {
    let server = Server::start(|request, _| match request.target.contains("from=team/base") {
        true => Reply::new(201).header("Location", "/v2/team/app/blobs/x"),
        false => Reply::new(202).header("Location", "/v2/team/app/blobs/uploads/1"),
    });
    let mount = |from| client().mount_blob(&reference(&server), &digest_of(BLOB), from).expect("an answer");
    assert!(mount("team/base"));
    assert!(!mount("team/other"));
    let line = format!("POST /v2/team/app/blobs/uploads/?mount={}&from=team/base", digest_of(BLOB));
    assert_eq!(server.lines()[0], line);
    assert_eq!(server.seen()[0].header("content-length"), Some("0"));
}

#[test]
fn manifests_are_put_and_taken_away() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "PUT" if request.body == MANIFEST => Reply::new(201)
            .header("Docker-Content-Digest", digest_of(MANIFEST).to_string())
            .header("OCI-Subject", "sha256:s"),
        "PUT" => Reply::new(201).header("Docker-Content-Digest", digest_of(MANIFEST).to_string()),
        _ if request.target.ends_with("v1") => Reply::new(405),
        _ => Reply::new(202),
    });
    let (client, reference) = (client(), reference(&server));
    let pushed = client.push_manifest(MANIFEST, MANIFEST_TYPE, &reference).expect("pushed");
    assert_eq!((pushed.digest, pushed.subject.as_deref()), (digest_of(MANIFEST), Some("sha256:s")));
    let put = &server.seen()[0];
    assert_eq!((put.line(), put.header("content-type")), ("PUT /v2/team/app/manifests/v1".into(), Some(MANIFEST_TYPE)));
    let other = client.push_manifest(b"{}", MANIFEST_TYPE, &reference);
    assert!(matches!(other, Err(ClientError::Mismatch { .. })), "{other:?}");
    let named = reference.clone_with_digest(digest_of(b"x").to_string());
    assert!(matches!(client.push_manifest(b"{}", MANIFEST_TYPE, &named), Err(ClientError::Mismatch { .. })));
    assert!(matches!(client.push_manifest(b"{}", "a\nb", &reference), Err(ClientError::Reference { .. })));

    assert_eq!(client.delete_manifest(&reference).expect_err("405").refusal(), Some(Refusal::Other));
    client.delete_manifest(&reference.clone_with_digest(digest_of(MANIFEST).to_string())).expect("deleted");
    client.delete_blob(&reference, &digest_of(BLOB)).expect("deleted");
    assert_eq!(server.lines().last(), Some(&format!("DELETE /v2/team/app/blobs/{}", digest_of(BLOB))));
}
