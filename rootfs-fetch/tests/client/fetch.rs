//! Manifests, blobs and lists.

use std::io::Read;

use proptest::prelude::*;
use rootfs_fetch::client::{Client, ClientError, Options, Refusal};
use rootfs_fetch::image::{MAX_DOCUMENT, digest_of};

use super::server::{Reply, Request, Server};
use super::{BLOB, MANIFEST, MANIFEST_TYPE, client, descriptor, fetched, observed, options, reference};

fn manifest() -> Reply {
    Reply::new(200)
        .header("Content-Type", format!("{MANIFEST_TYPE}; charset=utf-8"))
        .header("Docker-Content-Digest", digest_of(MANIFEST).to_string())
        .body(MANIFEST)
}

/// What a server that knows ranges answers.
fn part(request: &Request) -> Reply {
    match request.offset() {
        None => Reply::new(200).body(BLOB),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", BLOB.len() - 1, BLOB.len());
            Reply::new(206).header("Content-Range", range).body(&BLOB[from..])
        }
    }
}

#[test]
fn a_registry_a_manifest_and_a_blob() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/v2/" => Reply::new(200),
        "/v2/team/app/manifests/v1" => manifest(),
        _ => part(request),
    });
    let (options, exchanges) = observed(options());
    let client = Client::new(options).expect("a client");
    client.ping(&server.host()).expect("a registry");
    let found = client.manifest(&reference(&server)).expect("a manifest");
    assert_eq!(found.bytes, MANIFEST);
    assert_eq!(found.media_type.as_deref(), Some(MANIFEST_TYPE));
    assert_eq!(found.digest, digest_of(MANIFEST));
    let head = client.head_manifest(&reference(&server)).expect("a manifest");
    assert_eq!(head.size, Some(MANIFEST.len() as u64));
    assert_eq!((head.digest, head.media_type), (Some(found.digest), found.media_type));
    assert_eq!(fetched(&client, &server, BLOB).expect("a blob"), BLOB);

    let seen = server.seen();
    let accepted = seen[1].header("accept").expect("what is accepted");
    assert_eq!(accepted.split(", ").count(), 4, "{accepted}");
    assert!(seen.iter().all(|request| request.header("authorization").is_none()), "{seen:?}");
    let exchanges = exchanges.lock().expect("no panic");
    let lines: Vec<_> = exchanges.iter().map(|one| format!("{} {}", one.method, one.url)).collect();
    let wanted: Vec<_> =
        seen.iter().map(|one| format!("{} http://{}{}", one.method, server.host(), one.target)).collect();
    assert_eq!(lines, wanted);
    assert_eq!(
        exchanges.iter().map(|one| one.received).collect::<Vec<_>>(),
        [0, MANIFEST.len() as u64, 0, BLOB.len() as u64]
    );
    assert!(exchanges.iter().all(|one| one.status == Some(200) && one.failure.is_none()), "{exchanges:?}");
    let digest = ("docker-content-digest".to_owned(), digest_of(MANIFEST).to_string());
    assert!(exchanges[1].response_headers.contains(&digest));
}

#[test]
fn other_manifests_than_were_asked_for_are_refused() {
    let server = Server::start(|_, _| manifest());
    let other: rootfs_fetch::image::Reference =
        format!("{}/team/app@{}", server.host(), digest_of(b"other")).parse().expect("a reference");
    assert!(matches!(client().manifest(&other), Err(ClientError::Mismatch { .. })));
    assert!(matches!(client().head_manifest(&other), Err(ClientError::Mismatch { .. })));
    let lies = Server::start(|_, _| {
        Reply::new(200).header("Docker-Content-Digest", digest_of(b"x").to_string()).body(MANIFEST)
    });
    assert!(matches!(client().manifest(&reference(&lies)), Err(ClientError::Mismatch { .. })));
    let none = Server::start(|_, _| Reply::new(200).header("Docker-Content-Digest", "sha256:..").body(MANIFEST));
    assert!(matches!(client().manifest(&reference(&none)), Err(ClientError::Protocol { .. })));
    let large = Server::start(|_, _| Reply::new(200).body(vec![b' '; MAX_DOCUMENT as usize + 1]));
    assert!(matches!(client().manifest(&reference(&large)), Err(ClientError::Protocol { .. })));
}

#[test]
fn references_that_lead_elsewhere_are_refused() {
    let client = client();
    for (registry, repository) in [("127.0.0.1:1", "../../x"), ("a b", "x"), ("127.0.0.1:1/v2", "x?y=")] {
        let made = rootfs_fetch::image::Reference::with_tag(registry.into(), repository.into(), "v1".into());
        assert!(matches!(client.manifest(&made), Err(ClientError::Reference { .. })), "{made}");
    }
    let other: rootfs_fetch::image::Reference =
        "127.0.0.1:1/x:é".parse().expect("the parser takes letters of any script");
    assert!(matches!(client.manifest(&other), Err(ClientError::Reference { .. })));
    assert!(matches!(client.ping("127.0.0.1:1/x"), Err(ClientError::Reference { .. })));
}

#[test]
fn a_connection_that_is_cut_at_any_byte_is_followed_by_another() {
    for at in 0..BLOB.len() {
        let server =
            Server::start(move |request, number| if number == 0 { part(request).cut(at) } else { part(request) });
        assert_eq!(fetched(&client(), &server, BLOB).expect("a blob"), BLOB, "cut after {at}");
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "cut after {at}");
        assert_eq!(seen[1].offset(), (at > 0).then_some(at));
    }
}

#[test]
fn who_does_not_know_ranges_sends_all_again() {
    for at in 0..BLOB.len() {
        let server = Server::start(move |_, number| {
            let whole = Reply::new(200).body(BLOB);
            // The second connection is cut within what was there already, where there is something.
            if number < 2 { whole.cut(at >> number) } else { whole }
        });
        assert_eq!(fetched(&client(), &server, BLOB).expect("a blob"), BLOB, "cut after {at}");
        assert_eq!(server.seen().len(), 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn several_cuts_do_no_harm(cuts in prop::collection::vec(0..BLOB.len(), 0..=3), from in 0..=BLOB.len(), ranges: bool) {
        let faults = cuts.clone();
        let server = Server::start(move |request, number| {
            let reply = if ranges { part(request) } else { Reply::new(200).body(BLOB) };
            let length = BLOB.len() - if ranges { request.offset().unwrap_or(0) } else { 0 };
            match faults.get(number) { Some(at) => reply.cut(*at % length), None => reply }
        });
        let client = client();
        let mut blob = client.blob(&reference(&server), &descriptor(BLOB), from as u64).expect("a blob");
        let mut out = Vec::new();
        blob.read_to_end(&mut out).expect("the rest");
        prop_assert_eq!(&out, &BLOB[from..]);
        prop_assert_eq!(server.seen().len(), if from == BLOB.len() { 0 } else { cuts.len() + 1 });
    }
}

#[test]
fn a_server_that_always_cuts_is_given_up() {
    let server = Server::start(|request, _| part(request).cut(0));
    assert!(matches!(fetched(&client(), &server, BLOB), Err(ClientError::Broken { .. })));
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn parts_of_another_place_or_blob_are_refused() {
    let size = BLOB.len();
    for range in [
        format!("bytes 4-{}/{size}", size - 1),
        format!("bytes 6-{}/{size}", size - 1),
        format!("bytes 5-{size}/{size}"),
        format!("bytes 5-4/{size}"),
        format!("bytes 5-{}/{}", size - 1, size + 1),
        format!("bytes */{size}"),
        "bytes 5-".to_owned(),
        "5-6/7".to_owned(),
        "bytes 18446744073709551616-1/2".to_owned(),
        String::new(),
    ] {
        let theirs = range.clone();
        let server = Server::start(move |_, _| {
            let part = Reply::new(206).body(&BLOB[5..]);
            if theirs.is_empty() { part } else { part.header("Content-Range", &theirs) }
        });
        let client = client();
        let blob = client.blob(&reference(&server), &descriptor(BLOB), 5);
        assert!(matches!(blob.map(|_| ()), Err(ClientError::Protocol { .. })), "{range}");
    }
    let unasked = Server::start(|_, _| Reply::new(206).header("Content-Range", "bytes 0-52/53").body(BLOB));
    assert!(matches!(fetched(&client(), &unasked, BLOB), Err(ClientError::Protocol { .. })));
}

#[test]
fn there_are_never_more_bytes_than_announced() {
    let longer = Server::start(|_, _| Reply::new(200).body([BLOB, b"!"].concat()));
    assert!(matches!(fetched(&client(), &longer, BLOB), Err(ClientError::Protocol { .. })));
    // Without a length, nobody knows before.
    let chunked = Server::start(|_, _| {
        let mut body = format!("{:x}\r\n", BLOB.len() + 1000).into_bytes();
        body.extend([BLOB, &[b'!'; 1000], b"\r\n0\r\n\r\n"].concat());
        Reply::new(200).header("Transfer-Encoding", "chunked").body(body)
    });
    assert_eq!(fetched(&client(), &chunked, BLOB).expect("a blob"), BLOB);
    let closed = Server::start(|_, _| Reply::raw([b"HTTP/1.1 200 OK\r\n\r\n", BLOB, b"more"].concat()));
    assert_eq!(fetched(&client(), &closed, BLOB).expect("a blob"), BLOB);
    let client = client();
    let beyond = client.blob(&reference(&closed), &descriptor(BLOB), BLOB.len() as u64 + 1);
    assert!(matches!(beyond.map(|_| ()), Err(ClientError::Reference { .. })));
}

#[test]
fn a_broken_mirror_is_left_for_the_next() {
    let upstream =
        Server::start(|request, _| if request.target.contains("manifests") { manifest() } else { part(request) });
    let broken = Server::start(|_, _| Reply::new(500));
    let cutting = Server::start(
        |request, _| if request.target.contains("manifests") { manifest() } else { part(request).cut(7) },
    );
    let mirrors = [&broken, &cutting].map(|server| format!("http://{}", server.host())).to_vec();
    let options = Options { mirrors: [(upstream.host(), mirrors)].into(), ..options() };
    let client = Client::new(options).expect("a client");
    assert_eq!(client.manifest(&reference(&upstream)).expect("a manifest").bytes, MANIFEST);
    assert_eq!(upstream.lines(), [""; 0]);
    assert_eq!(fetched(&client, &upstream, BLOB).expect("a blob"), BLOB);
    assert_eq!((broken.seen().len(), cutting.seen().len()), (2, 2));
    assert_eq!(upstream.seen().iter().map(Request::offset).collect::<Vec<_>>(), [Some(7)]);
}

#[test]
fn a_connection_does_for_many_blobs() {
    let server = Server::start(|request, _| part(request));
    let client = client();
    for _ in 0..5 {
        fetched(&client, &server, BLOB).expect("a blob");
    }
    assert_eq!((server.seen().len(), server.connections()), (5, 1));
}

#[test]
fn threads_share_a_client() {
    let server = Server::start(|request, _| part(request));
    let client = client();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| fetched(&client, &server, BLOB).expect("a blob"))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic") == BLOB));
    });
    assert_eq!(server.seen().len(), 8);
}

#[test]
fn tags_are_read_page_by_page() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/v2/team/app/tags/list?n=2" => Reply::new(200)
            .header("Link", r#"</v2/team/app/tags/list?n=2&last=b>; rel="next""#)
            .body(r#"{"name":"team/app","tags":["a","b"]}"#),
        "/v2/team/app/tags/list?n=2&last=b" => Reply::new(200).body(r#"{"name":"team/app","tags":["c"]}"#),
        "/v2/team/app/tags/list" => Reply::new(200).body(r#"{"name":"team/app","tags":null}"#),
        "/v2/team/app/tags/list?last=x%26y" => {
            Reply::new(200).header("Link", "<?last=x%26y>; rel=next").body(r#"{"tags":["d"]}"#)
        }
        _ => Reply::new(404).body(r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such\u001b[2J name"}]}"#),
    });
    let (client, reference) = (client(), reference(&server));
    assert_eq!(client.tags(&reference, Some(2), None).expect("tags"), ["a", "b", "c"]);
    assert_eq!(client.tags(&reference, None, None).expect("tags"), [""; 0]);
    let endless = client.tags(&reference, None, Some("x&y")).expect_err("no end");
    assert!(endless.to_string().ends_with("its list has no end"), "{endless}");
    // Two pages, none, and one that names itself.
    assert_eq!(server.seen().len(), 4);
    let unknown = client.tags(&reference, None, Some("z")).expect_err("unknown");
    assert_eq!(unknown.refusal(), Some(Refusal::NotFound));
    assert!(unknown.to_string().ends_with(r"404 Not Found: NAME_UNKNOWN (no such\u{1b}[2J name)"), "{unknown}");
}

#[test]
fn referrers_come_from_the_api_or_from_the_digests_tag() {
    let entry = |kind: &str| {
        let digest = digest_of(kind.as_bytes());
        format!(r#"{{"mediaType":"{MANIFEST_TYPE}","size":3,"digest":"{digest}","artifactType":"{kind}"}}"#)
    };
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, entry("a/sbom"), entry("a/signature"));
    let tag = format!("/v2/team/app/manifests/sha256-{}", digest_of(BLOB).digest());
    let (body, by_tag) = (index.clone(), tag.clone());
    let api = Server::start(move |_, _| Reply::new(200).body(index.clone()));
    let older = Server::start(move |request, _| match request.target == by_tag {
        true => Reply::new(200).body(body.clone()),
        false => Reply::new(404),
    });
    let empty = Server::start(|_, _| Reply::new(404));
    for (server, all, signatures) in [(&api, 2, 1), (&older, 2, 1), (&empty, 0, 0)] {
        let list = |kind| client().referrers(&reference(server), &digest_of(BLOB), kind).expect("a list").len();
        assert_eq!((list(None), list(Some("a/signature"))), (all, signatures));
    }
    assert_eq!(api.lines()[1], format!("GET /v2/team/app/referrers/{}?artifactType=a/signature", digest_of(BLOB)));
    assert_eq!(older.lines()[1], format!("GET {tag}"));
}
