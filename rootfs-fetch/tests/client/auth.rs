//! Who asks, and who is told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rootfs_fetch::client::{Client, ClientError, Credentials, Options, Refusal, Secret};

use super::server::{Reply, Request, Server};
use super::{BLOB, MANIFEST, client, descriptor, fetched, observed, options, reference};

const USER: &str = "ann";
const PASSWORD: &str = "pass-hidden-word";
/// The base64 of both.
const BASIC: &str = "Basic YW5uOnBhc3MtaGlkZGVuLXdvcmQ=";

fn given(server: &Server) -> Credentials {
    Credentials::Given([(server.host(), (USER.to_owned(), Secret::new(PASSWORD)))].into())
}

fn with_login(server: &Server) -> Client {
    Client::new(Options { credentials: given(server), ..options() }).expect("a client")
}

/// A registry that wants a token, which it gives out itself: at each request for one the next, `token-hidden-0` first. It takes those
/// that `fits` takes.
fn registry(life: &'static str, fits: impl Fn(&Request, &str) -> bool + Send + Sync + 'static) -> Server {
    let given = AtomicU32::new(0);
    Server::start(move |request, _| {
        let host = request.header("host").expect("a host");
        if request.target.starts_with("/token") {
            let number = given.fetch_add(1, Ordering::SeqCst);
            return Reply::new(200).body(format!(r#"{{"token":"token-hidden-{number}"{life}}}"#));
        }
        match request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if fits(request, token) => Reply::new(200).body(MANIFEST),
            _ => Reply::new(401)
                .header("WWW-Authenticate", "Negotiate")
                .header(
                    "WWW-Authenticate",
                    format!(
                        r#"Bearer realm="http://{host}/token",service="the service",scope="repository:team/app:pull""#
                    ),
                )
                .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
        }
    })
}

const TOKEN: &str = "GET /token?service=the%20service&scope=repository:team/app:pull";
const GET: &str = "GET /v2/team/app/manifests/v1";

#[test]
fn nobody_in_particular_gets_a_token_and_keeps_it() {
    let server = registry("", |_, _| true);
    let (client, reference) = (client(), reference(&server));
    for _ in 0..3 {
        client.manifest(&reference).expect("a manifest");
    }
    assert_eq!(server.lines(), [GET, TOKEN, GET, GET, GET]);
    let seen = server.seen();
    assert_eq!(seen[1].header("authorization"), None);
    assert_eq!(seen[4].header("authorization"), Some("Bearer token-hidden-0"));
}

#[test]
fn who_has_a_login_shows_it_to_the_token_server_only() {
    let server = registry("", |_, _| true);
    with_login(&server).manifest(&reference(&server)).expect("a manifest");
    let shown: Vec<_> =
        server.seen().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(shown, [None, Some(BASIC.into()), Some("Bearer token-hidden-0".into())]);
}

/// What `docker login` leaves after a sign-in of a registry's own; the file is gone with the directory.
fn with_identity_token(server: &Server) -> (tempfile::TempDir, Client) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.json");
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"YW5uOg==","identitytoken":"long&hidden"}}}}}}"#, server.host());
    std::fs::write(&path, auths).expect("a file");
    let client = Client::new(Options { credentials: Credentials::File(path), ..options() }).expect("a client");
    (directory, client)
}

#[test]
fn an_identity_token_is_exchanged_in_a_body_that_goes_nowhere_else() {
    let server = registry("", |_, _| true);
    let (_file, client) = with_identity_token(&server);
    client.manifest(&reference(&server)).expect("a manifest");
    client.manifest(&reference(&server)).expect("a manifest");
    assert_eq!(server.lines(), [GET, "POST /token", GET, GET]);
    let asked = &server.seen()[1];
    let form = "grant_type=refresh_token&client_id=hardway&refresh_token=long%26hidden&service=the+service&scope=repository%3Ateam%2Fapp%3Apull";
    assert_eq!(asked.body, form.as_bytes());
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.header("authorization"), None);

    let elsewhere = Server::start(|_, _| Reply::new(200).body(r#"{"access_token":"x"}"#));
    let leads = format!("http://{}/token", elsewhere.host());
    let server = Server::start(move |request, _| match request.method.as_str() {
        "POST" => Reply::new(307).header("Location", &leads),
        _ => {
            let realm = format!("http://{}/token", request.header("host").expect("a host"));
            Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
        }
    });
    let (_file, client) = with_identity_token(&server);
    let error = client.manifest(&reference(&server)).expect_err("no token");
    assert!(matches!(error, ClientError::Refused { .. }) && !format!("{error:?}").contains("hidden"), "{error:?}");
    assert_eq!(elsewhere.seen().len(), 0);

    // For who wants a name and a password it is neither.
    let server = Server::start(|_, _| Reply::new(401).header("WWW-Authenticate", "Basic realm=x"));
    let (_file, client) = with_identity_token(&server);
    let error = client.manifest(&reference(&server)).expect_err("no manifest");
    assert!(matches!(error, ClientError::Credentials { .. }) && !format!("{error:?}").contains("hidden"), "{error:?}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_token_that_is_over_is_replaced() {
    let short = registry(r#","expires_in":0"#, |_, _| true);
    let one = client();
    one.manifest(&reference(&short)).expect("a manifest");
    one.manifest(&reference(&short)).expect("a manifest");
    assert_eq!(short.lines(), [GET, TOKEN, GET, TOKEN, GET]);
    // A token that the registry does not take any more, whatever was said of its life.
    let revoked = registry("", {
        let taken = Mutex::new(Vec::new());
        move |_, token| {
            let mut taken = taken.lock().expect("no panic");
            let first = !taken.contains(&token.to_owned());
            taken.push(token.to_owned());
            first
        }
    });
    let one = client();
    one.manifest(&reference(&revoked)).expect("a manifest");
    one.manifest(&reference(&revoked)).expect("a manifest");
    assert_eq!(revoked.lines(), [GET, TOKEN, GET, GET, TOKEN, GET]);
}

#[test]
fn a_token_that_is_never_right_is_tried_once() {
    let server = registry("", |_, _| false);
    let error = with_login(&server).manifest(&reference(&server)).expect_err("no manifest");
    assert_eq!(error.refusal(), Some(Refusal::Unauthorized));
    assert!(error.to_string().ends_with("UNAUTHORIZED (authentication required)"), "{error}");
    assert_eq!(server.lines(), [GET, TOKEN, GET]);
}

#[test]
fn what_is_no_token_is_told_without_repeating_it() {
    for body in [r#"{"token":7,"x":"hidden"}"#, "hidden", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#] {
        let server = Server::start(move |request, _| match request.target.starts_with("/token") {
            true => Reply::new(200).body(body),
            false => {
                let realm = format!("http://{}/token", request.header("host").expect("a host"));
                Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
            }
        });
        let error = client().manifest(&reference(&server)).expect_err("no token");
        assert!(matches!(error, ClientError::Protocol { .. } | ClientError::Credentials { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
        assert_eq!(server.seen().len(), 2);
    }
}

#[test]
fn name_and_password_are_shown_where_they_are_asked_for() {
    let server = Server::start(|request, _| match request.header("authorization") {
        Some(BASIC) => Reply::new(200).body(MANIFEST),
        _ => Reply::new(401).header("WWW-Authenticate", "basic realm=\"a \\\"registry\\\"\""),
    });
    let client = with_login(&server);
    client.manifest(&reference(&server)).expect("a manifest");
    client.manifest(&reference(&server)).expect("a manifest");
    assert_eq!(server.lines(), [GET, GET, GET]);
    let wrong = Credentials::Given([(server.host(), (USER.to_owned(), Secret::new("wrong")))].into());
    for credentials in [Credentials::None, wrong] {
        let client = Client::new(Options { credentials, ..options() }).expect("a client");
        let error = client.manifest(&reference(&server)).expect_err("no manifest");
        assert_eq!(error.refusal(), Some(Refusal::Unauthorized));
    }
}

#[test]
fn what_is_sent_is_sent_again_to_who_asks_for_credentials_or_is_elsewhere() {
    let store = Server::start(|request, _| Reply::new(if request.body == MANIFEST { 201 } else { 400 }));
    let leads = format!("http://{}/", store.host());
    let server = Server::start(move |request, _| match request.header("authorization") {
        Some(BASIC) => Reply::new(307).header("Location", &leads),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    });
    with_login(&server).push_manifest(MANIFEST, "a/b", &reference(&server)).expect("pushed");
    assert_eq!(server.seen().iter().map(|request| request.body.as_slice()).collect::<Vec<_>>(), [MANIFEST; 2]);
    assert_eq!(store.seen()[0].header("authorization"), None);
}

#[test]
fn each_scope_has_its_own_token() {
    let server = Server::start(|request, _| {
        let host = request.header("host").expect("a host");
        let scope = request.target.split_once("scope=").map(|(_, scope)| scope.to_owned());
        match (scope, request.header("authorization")) {
            (Some(scope), _) => Reply::new(200).body(format!(r#"{{"access_token":"{scope}"}}"#)),
            (None, None) => Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\"")),
            _ if request.method == "POST" => Reply::new(201),
            _ => Reply::new(202),
        }
    });
    let (client, reference) = (client(), reference(&server));
    let digest = rootfs_fetch::image::digest_of(BLOB);
    assert!(client.mount_blob(&reference, &digest, "team/base").expect("an answer"));
    client.delete_blob(&reference, &digest).expect("deleted");
    let shown: Vec<_> = server.seen().iter().filter_map(|one| one.header("authorization").map(str::to_owned)).collect();
    let both = "Bearer repository:team/app:pull,push&scope=repository:team/base:pull";
    assert_eq!(shown, [both, "Bearer repository:team/app:delete"]);
}

#[test]
fn a_realm_of_plain_http_elsewhere_hears_nothing() {
    // An address of documentation (RFC 5737): nobody is there to hear it either.
    let server = Server::start(|_, _| {
        Reply::new(401).header("WWW-Authenticate", "Bearer realm=\"http://192.0.2.1/token\",service=\"x\"")
    });
    let (options, exchanges) = observed(Options { credentials: given(&server), ..options() });
    let error = Client::new(options).expect("a client").manifest(&reference(&server)).expect_err("no manifest");
    assert!(matches!(error, ClientError::Credentials { .. }), "{error:?}");
    assert_eq!(exchanges.lock().expect("no panic").len(), 1);
}

#[test]
fn hostile_challenges_are_refused() {
    for challenge in [
        &b"Bearer realm=\"http://user:x@127.0.0.1/\""[..],
        b"Bearer realm=\"ftp://x/\"",
        b"Bearer realm=\"",
        b"Bearer",
        b"Bearer \xff\xfe",
        &[b'a'; 20_000],
        &b"Bearer a=b,".repeat(1000),
    ] {
        let theirs = challenge.to_vec();
        let server = Server::start(move |_, _| Reply::new(401).header("WWW-Authenticate", &theirs));
        let error = with_login(&server).manifest(&reference(&server)).expect_err("no manifest");
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn where_a_redirect_leads_no_authorization_goes() {
    let store = Server::start(|request, _| match request.header("authorization") {
        None => Reply::new(200).body(BLOB),
        Some(_) => Reply::new(400),
    });
    let leads = format!("http://{}/store?X-Signature=signature-hidden", store.host());
    let server = Server::start(move |request, _| match request.header("authorization") {
        Some(BASIC) => Reply::new(307).header("Location", &leads).body("moved"),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    });
    let client = with_login(&server);
    assert_eq!(fetched(&client, &server, BLOB).expect("a blob"), BLOB);
    assert_eq!(store.lines(), ["GET /store?X-Signature=signature-hidden"]);
    // What is asked there for credentials gets none.
    let asking = Server::start(|_, _| Reply::new(401).header("WWW-Authenticate", "Basic realm=x"));
    let leads = format!("http://{}/", asking.host());
    let moved = Server::start(move |_, _| Reply::new(302).header("Location", &leads));
    let both = [&moved, &asking].map(|server| (server.host(), (USER.to_owned(), Secret::new(PASSWORD))));
    let client = Client::new(Options { credentials: Credentials::Given(both.into()), ..options() }).expect("a client");
    let error = client.manifest(&reference(&moved)).expect_err("no manifest");
    assert_eq!(error.refusal(), Some(Refusal::Unauthorized));
    assert_eq!(asking.seen().len(), 1);
    assert_eq!(asking.seen()[0].header("authorization"), None);
}

#[test]
fn where_an_upload_or_a_list_goes_on_elsewhere_no_credentials_are_shown() {
    let asking = Server::start(|_, _| Reply::new(401).header("WWW-Authenticate", "Basic realm=x"));
    let elsewhere = format!("http://{}/", asking.host());
    let server = Server::start(move |request, _| match (request.header("authorization"), request.method.as_str()) {
        (None, _) => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        (_, "POST") => Reply::new(202).header("Location", &elsewhere),
        _ => Reply::new(200).header("Link", format!("<{elsewhere}>; rel=next")).body(r#"{"tags":["a"]}"#),
    });
    let both = [&server, &asking].map(|server| (server.host(), (USER.to_owned(), Secret::new(PASSWORD))));
    let client = Client::new(Options { credentials: Credentials::Given(both.into()), ..options() }).expect("a client");
    let pushed = client.push_blob(&reference(&server), &descriptor(BLOB), &mut std::io::Cursor::new(BLOB));
    assert_eq!(pushed.expect_err("not pushed").refusal(), Some(Refusal::Unauthorized));
    let tags = client.tags(&reference(&server), None, None);
    assert_eq!(tags.expect_err("no list").refusal(), Some(Refusal::Unauthorized));
    assert_eq!(asking.seen().len(), 2);
    assert!(asking.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn within_an_origin_the_authorization_stays() {
    let server = Server::start(|request, _| match (request.header("authorization"), request.target.as_str()) {
        (Some(BASIC), "/other") => Reply::new(200).body(MANIFEST),
        (Some(BASIC), _) => Reply::new(308).header("Location", "/other"),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    });
    with_login(&server).manifest(&reference(&server)).expect("a manifest");
}

#[test]
fn nothing_secret_is_shown() {
    let store = Server::start(|_, _| Reply::new(404).body("gone"));
    let leads = format!("http://{}/store?X-Signature=signature-hidden&key-hidden", store.host());
    let server = registry("", move |_, _| false);
    let moved =
        Server::start(move |_, _| Reply::new(307).header("Location", &leads).header("Set-Cookie", "cookie-hidden"));
    let mut shown = String::new();
    for server in [&server, &moved] {
        let (options, exchanges) = observed(Options { credentials: given(server), ..options() });
        shown += &format!("{options:?}");
        let client = Client::new(options).expect("a client");
        let error = client.manifest(&reference(server)).expect_err("no manifest");
        shown += &format!("{client:?} {error:?} {error} {:?}", exchanges.lock().expect("no panic"));
    }
    assert!(shown.contains("Bearer …") && shown.contains("Basic …") && shown.contains("X-Signature=…"), "{shown}");
    assert!(!shown.contains("hidden") && !shown.contains("YW5u"), "{shown}");
}
