//! Whatever is wrong on the way: time, connections, TLS, redirects, proxies, and servers that are hostile.

use std::io::Read;
use std::time::{Duration, Instant};

use rootfs_fetch::client::{Client, ClientError, Options, Proxies, Refusal, Retry, Timeouts};

use super::server::{Reply, Server};
use super::{BLOB, MANIFEST, client, descriptor, fetched, observed, options, reference};

/// Waits for little. Who is stalled must end long before a test would be.
fn impatient(stall: Duration, head: Duration) -> Client {
    let timeouts = Timeouts { stall, head, ..options().timeouts };
    let retry = Retry { count: 1, ..options().retry };
    Client::new(Options { timeouts, retry, ..options() }).expect("a client")
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn who_stalls_is_asked_again() {
    for at in [0, 1, BLOB.len() - 1] {
        let server = Server::start(move |request, number| match (number, request.offset()) {
            (0, _) => Reply::new(200).body(BLOB).stall(at),
            (_, None) => Reply::new(200).body(BLOB),
            (_, Some(from)) => {
                Reply::new(206).header("Content-Range", format!("bytes {from}-52/53")).body(&BLOB[from..])
            }
        });
        assert_eq!(fetched(&impatient(Duration::from_secs(2), LONG), &server, BLOB).expect("a blob"), BLOB);
        assert_eq!(server.seen().len(), 2);
    }
}

#[test]
fn who_always_stalls_is_told() {
    let began = Instant::now();
    let server = Server::start(|_, _| Reply::new(200).body(BLOB).stall(7));
    let error = fetched(&impatient(SHORT, LONG), &server, BLOB).expect_err("no blob");
    assert!(matches!(error, ClientError::Stalled { after: SHORT, .. }), "{error:?}");
    let silent = Server::start(|_, _| Reply::silent());
    let error = impatient(SHORT, LONG).manifest(&reference(&silent)).expect_err("no manifest");
    assert!(matches!(error, ClientError::Stalled { after: SHORT, .. }), "{error:?}");
    assert!(began.elapsed() < LONG);
}

#[test]
fn a_head_that_drips_takes_too_long() {
    let server = Server::start(|_, _| Reply::new(200).body(MANIFEST).drip(Duration::from_millis(20)));
    let error = impatient(LONG, SHORT).manifest(&reference(&server)).expect_err("no manifest");
    assert!(matches!(error, ClientError::Timeout { after: SHORT, .. }), "{error:?}");
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let server = Server::start(|_, number| match number {
        0 => Reply::new(429).header("Retry-After", "3600"),
        1 => Reply::new(503).header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
        2 => Reply::new(503).header("Retry-After", "soon"),
        _ => Reply::new(200).body(MANIFEST),
    });
    let longest = Duration::from_millis(300);
    let retry = Retry { count: 3, first: Duration::from_millis(1), longest };
    let client = Client::new(Options { retry, ..options() }).expect("a client");
    let began = Instant::now();
    client.manifest(&reference(&server)).expect("a manifest");
    assert!(began.elapsed() >= 2 * longest && began.elapsed() < LONG);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn refusals_are_told_apart_and_only_what_may_pass_is_tried_again() {
    for (status, refusal, times) in [
        (401, Refusal::Unauthorized, 1),
        (403, Refusal::Forbidden, 1),
        (404, Refusal::NotFound, 1),
        (418, Refusal::Other, 1),
        (429, Refusal::TooManyRequests, 4),
        (500, Refusal::Server, 4),
        (503, Refusal::Server, 4),
    ] {
        let server =
            Server::start(move |_, _| Reply::new(status).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#));
        let error = client().manifest(&reference(&server)).expect_err("no manifest");
        assert_eq!(error.refusal(), Some(refusal));
        assert!(error.to_string().ends_with(": DENIED (no)"), "{error}");
        assert_eq!(server.seen().len(), times, "{status}");
    }
}

#[test]
fn redirects_have_an_end() {
    let server = Server::start(|_, number| Reply::new(302).header("Location", format!("/{number}")));
    assert!(matches!(client().manifest(&reference(&server)), Err(ClientError::Redirect { .. })));
    assert_eq!(server.seen().len(), 11);
    let ten = Server::start(|_, number| match number {
        0..10 => Reply::new(302).header("Location", "again"),
        _ => Reply::new(200).body(MANIFEST),
    });
    assert_eq!(client().manifest(&reference(&ten)).expect("a manifest").bytes, MANIFEST);
    for location in [&b"ftp://x/"[..], b"http://user:word@127.0.0.1/", b"\xff", &[b'a'; 10_000], b"http://"] {
        let server = Server::start(move |_, _| Reply::new(302).header("Location", location));
        let error = client().manifest(&reference(&server)).expect_err("no manifest");
        assert!(matches!(error, ClientError::Redirect { .. } | ClientError::Protocol { .. }), "{error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn hostile_answers_are_errors_and_no_more() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let long = format!("{ok}X: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("{ok}{}\r\n", "X: y\r\n".repeat(20_000));
    let length = |length: &str| format!("{ok}Content-Length: {length}\r\n\r\n").into_bytes();
    for raw in [
        long.into_bytes(),
        many.into_bytes(),
        length("-1"),
        length("18446744073709551616"),
        length("99999999999999"),
        length("5, 6"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n").into_bytes(),
        format!("{ok}\x00: \x01\r\n\r\n").into_bytes(),
        b"\x00\xff\xfe garbage \r\n\r\n".to_vec(),
        b"HTTP/1.1 999999 x\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        Vec::new(),
    ] {
        let theirs = raw.clone();
        let server = Server::start(move |_, _| Reply::raw(theirs.clone()));
        let error = fetched(&client(), &server, BLOB).expect_err("no blob");
        let text = String::from_utf8_lossy(&raw[..raw.len().min(60)]).into_owned();
        assert!(matches!(error, ClientError::Broken { .. } | ClientError::Protocol { .. }), "{text:?}: {error:?}");
        assert!(error.to_string().len() < 1000, "{error}");
    }
    let binary =
        Server::start(|_, _| Reply::new(200).header("Content-Type", b"\xff\xfe").header("X", b"\x80").body(MANIFEST));
    let found = client().manifest(&reference(&binary)).expect("a manifest");
    assert_eq!((found.bytes.as_slice(), found.media_type), (MANIFEST, None));
}

#[test]
fn nobody_there_no_such_name_and_no_tls_are_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let error = client().ping(&free.to_string()).expect_err("nobody there");
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");

    let plain = Server::start(|_, _| Reply::new(200));
    let options = Options { plain_http: [(plain.host(), false)].into(), ..options() };
    let error = Client::new(options).expect("a client").ping(&plain.host()).expect_err("no TLS");
    assert!(matches!(error, ClientError::PlainHttp { .. }), "{error:?}");

    // A name that nobody has (RFC 6761, section 6.4). Where no name server answers, time is over.
    let error = impatient(LONG, LONG).ping("nobody.invalid").expect_err("no such name");
    assert!(
        matches!(error, ClientError::Dns { .. } | ClientError::Timeout { what: "to look up its name", .. }),
        "{error:?}"
    );
}

#[test]
fn a_proxy_makes_the_connections_but_to_this_machine() {
    let proxy = Server::start(|_, _| Reply::new(200).body(MANIFEST));
    let proxies = Proxies {
        http: Some(format!("http://user:word-hidden@{}", proxy.host())),
        no_proxy: vec![".direct.test".into()],
        ..Proxies::default()
    };
    let plain_http = [("registry.test".to_owned(), true)].into();
    let (options, exchanges) = observed(Options { proxies, plain_http, ..options() });
    let shown = format!("{options:?}");
    let client = Client::new(options).expect("a client");
    let far = "registry.test/team/app:v1".parse().expect("a reference");
    assert_eq!(client.manifest(&far).expect("a manifest").bytes, MANIFEST);
    assert_eq!(proxy.lines(), ["CONNECT registry.test:80", "GET /v2/team/app/manifests/v1"]);
    assert!(proxy.seen()[0].header("proxy-authorization").is_some());
    let here = Server::start(|_, _| Reply::new(200).body(MANIFEST));
    client.manifest(&reference(&here)).expect("a manifest");
    assert_eq!((here.seen().len(), proxy.seen().len()), (1, 2));
    assert!(!format!("{shown}{client:?}{exchanges:?}").contains("hidden"));
}

#[test]
fn options_that_can_not_be_used_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").expect("a file");
    let proxies = Proxies { http: Some("gopher://user:word-hidden@x".into()), ..Proxies::default() };
    for options in [
        Options { certificates: vec![directory.path().join("none")], ..options() },
        Options { certificates: vec![empty], ..options() },
        Options { user_agent: "a\nb".into(), ..options() },
        Options { proxies, ..options() },
    ] {
        let error = Client::new(options).expect_err("not usable");
        assert!(matches!(error, ClientError::Option { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }
}

#[test]
fn an_exchange_is_told_when_nobody_wants_the_rest() {
    let server = Server::start(|_, _| Reply::new(200).body(BLOB));
    let (options, exchanges) = observed(options());
    let client = Client::new(options).expect("a client");
    let mut blob = client.blob(&reference(&server), &descriptor(BLOB), 0).expect("a blob");
    blob.read_exact(&mut [0; 5]).expect("five bytes");
    assert_eq!(exchanges.lock().expect("no panic").len(), 0);
    drop(blob);
    assert_eq!(exchanges.lock().expect("no panic").iter().map(|one| one.received).collect::<Vec<_>>(), [5]);
}
