//! The embedded registry, asked as clients ask it: every end point, what is refused, and what is left when a connection is cut.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hardway::registry::{self, Account, Doorkeeper, Limits, Registry, Scheme};
use rootfs_fetch::image::{Descriptor, Digest, Hasher, MediaType, digest_of};
use rootfs_fetch::store::Store;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use ureq::http::{HeaderMap, Request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry on a port of its own, over a store of its own.
struct Served {
    address: SocketAddr,
    store: PathBuf,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

struct Said {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Said {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

impl Served {
    fn open() -> Self {
        Self::asking(Scheme::None, false)
    }

    fn asking(scheme: Scheme, anyone_may_pull: bool) -> Self {
        Self::with(scheme, anyone_may_pull, Limits::default())
    }

    fn with(scheme: Scheme, anyone_may_pull: bool, limits: Limits) -> Self {
        Self::which(scheme, anyone_may_pull, limits, |registry| registry)
    }

    fn which(scheme: Scheme, anyone_may_pull: bool, limits: Limits, made: fn(Registry) -> Registry) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let account = Account { name: "learner".into(), password: "s3cret".into() };
        let doorkeeper = Doorkeeper::new(scheme, account, anyone_may_pull);
        let registry = made(Registry::new(Store::open(&store).unwrap(), doorkeeper, limits));
        let (end, ended) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let until = async { drop(ended.await) };
                registry::serve(listener, registry, until).await.unwrap();
            });
        });
        let address = told.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { address, store, end: Some(end), thread: Some(thread), _directory: directory }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .build()
            .into();
        let uri = if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.address) };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = agent.run(request.body(body).unwrap()).unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        Said { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    fn get(&self, path: &str) -> Said {
        self.ask("GET", path, &[], b"")
    }

    /// Pushes a blob in one request.
    fn push(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        let said = self.ask("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes);
        assert_eq!(said.status, 201, "{}", String::from_utf8_lossy(&said.body));
        assert_eq!(said.header("location"), format!("/v2/{name}/blobs/{digest}"));
        digest
    }

    /// Pushes an image of one layer under a tag.
    fn push_image(&self, name: &str, tag: &str, layer: &[u8], subject: Option<&Digest>) -> Digest {
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = serde_json::to_vec(&config).unwrap();
        let entry = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "size": bytes.len(), "digest": self.push(name, bytes).to_string() });
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": entry(CONFIG, &config), "layers": [entry(LAYER, layer)],
        });
        if let Some(subject) = subject {
            manifest["subject"] = json!({ "mediaType": MANIFEST, "size": 2, "digest": subject.to_string() });
            manifest["artifactType"] = json!("application/example");
            manifest["annotations"] = json!({ "said": "something" });
        }
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let said = self.put_manifest(name, tag, &bytes, MANIFEST);
        assert_eq!(said.status, 201, "{}", String::from_utf8_lossy(&said.body));
        assert_eq!(said.header("docker-content-digest"), digest_of(&bytes).to_string());
        if let Some(subject) = subject {
            assert_eq!(said.header("oci-subject"), subject.to_string());
        }
        digest_of(&bytes)
    }

    fn put_manifest(&self, name: &str, reference: &str, bytes: &[u8], kind: &str) -> Said {
        self.ask("PUT", &format!("/v2/{name}/manifests/{reference}"), &[("content-type", kind)], bytes)
    }

    fn begin(&self, name: &str) -> String {
        let said = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
        assert_eq!(said.status, 202);
        said.header("location").to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|it| it.is_ok()));
    }
}

#[test]
fn what_was_pushed_is_pulled() {
    let served = Served::open();
    assert_eq!(served.get("/v2/").status, 200);
    let digest = served.push_image("library/web", "1", b"layer", None);
    for reference in ["1", digest.as_ref()] {
        let said = served.get(&format!("/v2/library/web/manifests/{reference}"));
        assert_eq!((said.status, said.header("content-type")), (200, MANIFEST));
        assert_eq!(digest_of(&said.body), digest);
        let head = served.ask("HEAD", &format!("/v2/library/web/manifests/{reference}"), &[], b"");
        assert_eq!(head.header("content-length"), said.body.len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.to_string());
    }
    let blob = served.get(&format!("/v2/library/web/blobs/{}", digest_of(b"layer")));
    assert_eq!((blob.status, blob.body.as_slice()), (200, &b"layer"[..]));
    // And it is in the layout, under its name.
    let names = Store::open(&served.store).unwrap().names().unwrap();
    assert_eq!(names[0].0, "library/web:1");
    assert_eq!(*names[0].1.digest(), digest);
}

#[test]
fn a_blob_is_had_from_any_byte_on() {
    let served = Served::open();
    let digest = served.push("a", b"0123456789");
    let path = format!("/v2/a/blobs/{digest}");
    for (range, part, told) in [
        ("bytes=3-", &b"3456789"[..], "bytes 3-9/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
    ] {
        let said = served.ask("GET", &path, &[("range", range)], b"");
        assert_eq!((said.status, said.body.as_slice(), said.header("content-range")), (206, part, told), "{range}");
    }
    let beyond = served.ask("GET", &path, &[("range", "bytes=10-")], b"");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */10"));
    assert_eq!(served.ask("GET", &path, &[("range", "bytes=5-3")], b"").status, 416);
    assert_eq!(served.ask("GET", &path, &[("range", "bytes=1-2,4-5")], b"").status, 200);
}

#[test]
fn an_upload_in_chunks_goes_on_where_it_was() {
    let served = Served::open();
    let place = served.begin("a");
    let first = served.ask("PATCH", &place, &[("content-range", "0-4")], b"01234");
    assert_eq!((first.status, first.header("range")), (202, "0-4"));
    let early = served.ask("PATCH", first.header("location"), &[("content-range", "7-9")], b"789");
    assert_eq!((early.status, early.header("range")), (416, "0-4"));
    let status = served.get(&place);
    assert_eq!((status.status, status.header("range")), (204, "0-4"));
    let digest = digest_of(b"0123456789");
    let done = served.ask("PUT", &format!("{place}?digest={digest}"), &[("content-range", "5-9")], b"56789");
    assert_eq!(done.status, 201);
    assert_eq!(served.get(&format!("/v2/a/blobs/{digest}")).body, b"0123456789");
    assert_eq!(served.get(&place).status, 404);
}

#[test]
fn what_is_not_what_it_says_is_refused_and_not_kept() {
    let served = Served::open();
    let other = digest_of(b"other");
    let said = served.ask("POST", &format!("/v2/a/blobs/uploads/?digest={other}"), &[], b"bytes");
    assert_eq!((said.status, said.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(served.ask("HEAD", &format!("/v2/a/blobs/{other}"), &[], b"").status, 404);
    assert_eq!(served.put_manifest("a", other.as_ref(), br#"{"schemaVersion":2,"manifests":[]}"#, INDEX).status, 400);
    let nothing = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": { "mediaType": CONFIG, "size": 5, "digest": other.to_string() } });
    let said = served.put_manifest("a", "x", &serde_json::to_vec(&nothing).unwrap(), MANIFEST);
    assert_eq!((said.status, said.code().as_str()), (404, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(served.put_manifest("a", "x", b"{}", MANIFEST).code(), "MANIFEST_INVALID");
    assert_eq!(served.put_manifest("a", "x", &vec![b' '; (4 << 20) + 1], MANIFEST).status, 413);
    assert_eq!(served.get("/v2/A/tags/list").code(), "NAME_INVALID");
    assert_eq!(served.get("/v2/a/manifests/x").code(), "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/v2/a/tags/list").code(), "NAME_UNKNOWN");
    assert_eq!(served.ask("POST", "/v2/a/tags/list", &[], b"").status, 405);
    assert_eq!(Store::open(&served.store).unwrap().names().unwrap(), []);
}

#[test]
fn a_cut_upload_keeps_what_came() {
    let served = Served::open();
    let place = served.begin("a");
    let mut stream = TcpStream::connect(served.address).unwrap();
    write!(stream, "PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234").unwrap();
    drop(stream);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while served.get(&place).header("range") != "0-4" {
        assert!(std::time::Instant::now() < deadline, "{}", served.get(&place).header("range"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let digest = digest_of(b"0123456789");
    assert_eq!(served.ask("PUT", &format!("{place}?digest={digest}"), &[], b"56789").status, 201);
}

#[test]
fn another_repository_mounts_without_a_byte() {
    let served = Served::open();
    let digest = served.push("a", b"bytes");
    let said = served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"");
    assert_eq!((said.status, said.header("location")), (201, &*format!("/v2/b/blobs/{digest}")));
    let unknown = digest_of(b"unknown");
    assert_eq!(served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={unknown}&from=a"), &[], b"").status, 202);
    // distribution-spec, "Mounting a blob from another repository": without one it may be found by itself, and not where it is not.
    assert_eq!(served.ask("POST", &format!("/v2/c/blobs/uploads/?mount={digest}"), &[], b"").status, 201);
    assert_eq!(served.ask("POST", &format!("/v2/e/blobs/uploads/?mount={digest}&from=d"), &[], b"").status, 202);
}

#[test]
fn a_blob_is_seen_where_it_was_pushed_or_mounted() {
    let served = Served::open();
    let digest = served.push("a", b"bytes");
    let of = |name: &str| format!("/v2/{name}/blobs/{digest}");
    assert_eq!((served.get(&of("a")).status, served.get(&of("b")).code()), (200, "BLOB_UNKNOWN".into()));
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": { "mediaType": CONFIG, "size": 5, "digest": digest.to_string() } });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(served.put_manifest("b", "x", &manifest, MANIFEST).code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"").status, 201);
    assert_eq!(served.put_manifest("b", "x", &manifest, MANIFEST).status, 201);
    // Taken from one, it stays with the other.
    assert_eq!(served.ask("DELETE", &of("b"), &[], b"").status, 405);
    assert_eq!(served.ask("DELETE", &of("a"), &[], b"").status, 202);
    assert_eq!((served.get(&of("a")).status, served.get(&of("b")).status), (404, 200));
    assert_eq!(served.ask("DELETE", &of("a"), &[], b"").status, 404);
}

#[test]
fn what_another_program_has_put_into_the_store_is_served() {
    let served = Served::open();
    let store = Store::open(&served.store).unwrap();
    let layer = store.add(b"layer").unwrap();
    let entry = |kind: &str, size: usize, digest: &Digest| json!({ "mediaType": kind, "size": size, "digest": digest.to_string() });
    let manifest =
        json!({ "schemaVersion": 2, "config": entry(CONFIG, 5, &layer), "layers": [entry(LAYER, 5, &layer)] });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let child = store.add(&manifest).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [entry(MANIFEST, manifest.len(), &child)] });
    let index = serde_json::to_vec(&index).unwrap();
    let descriptor = Descriptor::new(MediaType::ImageIndex, index.len() as u64, store.add(&index).unwrap());
    store.tag("web:1", &descriptor).unwrap();
    // The manifest of an index has no name of its own; it is known by its digest.
    let said = served.get(&format!("/v2/web/manifests/{child}"));
    assert_eq!((said.header("content-type"), &said.body), (MANIFEST, &manifest));
    assert_eq!(served.get(&format!("/v2/web/blobs/{layer}")).body, b"layer");
    assert_eq!(served.ask("DELETE", &format!("/v2/web/manifests/{child}"), &[], b"").status, 405);
    store.untag("web:1").unwrap();
    assert_eq!(served.get(&format!("/v2/web/manifests/{child}")).status, 404);
    assert_eq!(served.get(&format!("/v2/web/blobs/{layer}")).status, 404);
}

#[test]
fn sha512_does_what_sha256_does() {
    let served = Served::open();
    let sha512 = |bytes: &[u8]| {
        let some: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        let mut hasher = Hasher::new(some.algorithm()).unwrap();
        hasher.update(bytes);
        hasher.finish()
    };
    let digest = sha512(b"bytes");
    let begin = "/v2/a/blobs/uploads/";
    assert_eq!(served.ask("POST", &format!("{begin}?digest={digest}"), &[], b"bytes").status, 201);
    assert_eq!(served.ask("POST", &format!("{begin}?digest={digest}"), &[], b"other").code(), "DIGEST_INVALID");
    assert_eq!(served.get(&format!("/v2/a/blobs/{digest}")).body, b"bytes");
    assert_eq!(served.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"").status, 201);
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": { "mediaType": CONFIG, "size": 5, "digest": digest.to_string() } });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let own = sha512(&manifest);
    // distribution-spec, "Pushing Manifests": tags that come along with the digest, end-7b.
    let said = served.put_manifest("b", &format!("{own}?tag=1&tag=1.0"), &manifest, MANIFEST);
    assert_eq!((said.status, said.header("docker-content-digest")), (201, own.as_ref()));
    assert_eq!(said.headers.get_all("oci-tag").iter().collect::<Vec<_>>(), ["1", "1.0"]);
    for reference in ["1", "1.0", own.as_ref()] {
        assert_eq!(served.get(&format!("/v2/b/manifests/{reference}")).header("docker-content-digest"), own.as_ref());
    }
    assert_eq!(served.put_manifest("b", &format!("{own}?tag=.x"), &manifest, MANIFEST).status, 400);
    let many: Vec<String> = (0..33).map(|tag| format!("tag={tag}")).collect();
    assert_eq!(served.put_manifest("b", &format!("{own}?{}", many.join("&")), &manifest, MANIFEST).status, 414);
}

#[test]
fn a_manifest_that_lost_its_tag_is_known_by_its_digest() {
    let served = Served::open();
    let (old, new) = (served.push_image("web", "1", b"old", None), served.push_image("web", "1", b"new", None));
    let get = |reference: &str| served.get(&format!("/v2/web/manifests/{reference}"));
    assert_eq!((get("1").header("docker-content-digest"), get(old.as_ref()).status), (new.as_ref(), 200));
    assert_eq!(served.ask("DELETE", "/v2/web/manifests/1", &[], b"").status, 202);
    assert_eq!((get("1").status, get(new.as_ref()).status), (404, 200));
    assert_eq!(served.get("/v2/web/tags/list").json()["tags"], json!([]));
}

#[test]
fn a_strict_one_has_only_what_is_accepted() {
    let lenient = Served::open();
    let strict = Served::which(Scheme::None, false, Limits::default(), Registry::strict);
    for (served, is_strict) in [(&lenient, false), (&strict, true)] {
        served.push_image("web", "1", b"layer", None);
        let asked = |accept: &str| served.ask("GET", "/v2/web/manifests/1", &[("accept", accept)], b"");
        let index = "application/vnd.oci.image.index.v1+json";
        for accept in [MANIFEST, "*/*", "application/*;q=0.1", &format!("{index}, {MANIFEST};q=0.5")] {
            assert_eq!(asked(accept).status, 200, "{accept}");
        }
        let other = asked(index);
        assert_eq!(other.status, if is_strict { 404 } else { 200 });
        assert!(!is_strict || other.code() == "MANIFEST_UNKNOWN");
        assert_eq!(served.get("/v2/web/manifests/1").status, 200);
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let limits = Limits { upload: 10, uploads: 2, silence: Duration::from_millis(300) };
    let served = Served::with(Scheme::None, false, limits);
    let eleven = served.ask("POST", &format!("/v2/a/blobs/uploads/?digest={}", digest_of(&[0; 11])), &[], &[0; 11]);
    assert_eq!((eleven.status, eleven.code().as_str()), (413, "SIZE_INVALID"));
    let place = served.begin("a");
    assert_eq!(served.ask("PATCH", &place, &[], b"0123456").status, 202);
    assert_eq!(served.ask("PATCH", &place, &[], b"7890").status, 413);
    // What can not end is not kept.
    assert_eq!(served.get(&place).status, 404);
    let (first, second) = (served.begin("a"), served.begin("a"));
    let third = served.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((third.status, third.code().as_str()), (429, "TOOMANYREQUESTS"));
    assert_eq!(served.ask("DELETE", &first, &[], b"").status, 204);
    let place = served.begin("a");
    // What nobody has gone on with for a day makes room.
    let file = served.store.join(".rootfs-fetch/upload").join(second.rsplit_once('/').unwrap().1);
    let before = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(before).unwrap();
    served.begin("a");
    assert_eq!((served.get(&second).status, served.get(&place).status), (404, 204));
    // A client that falls silent is told so, and what it sent is kept.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234").unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 408");
    assert_eq!(served.get(&place).header("range"), "0-4");
}

#[test]
fn who_is_refused_may_send_to_the_end() {
    let served = Served::asking(Scheme::Token, false);
    let said = served.put_manifest("web", "1", &vec![b' '; 4 << 20], MANIFEST);
    assert_eq!((said.status, said.code().as_str()), (401, "UNAUTHORIZED"));
}

#[test]
fn tags_come_in_pages() {
    let served = Served::open();
    for tag in ["c", "a", "d", "b"] {
        served.push_image("web", tag, b"layer", None);
    }
    assert_eq!(served.get("/v2/web/tags/list").json(), json!({ "name": "web", "tags": ["a", "b", "c", "d"] }));
    let page = served.get("/v2/web/tags/list?n=3");
    assert_eq!(page.json()["tags"], json!(["a", "b", "c"]));
    let next = page.header("link").strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(next.1, "; rel=\"next\"");
    let last = served.get(next.0);
    assert_eq!((last.json()["tags"].clone(), last.header("link")), (json!(["d"]), ""));
    assert_eq!(served.get("/v2/web/tags/list?n=0").json()["tags"], json!([]));
    assert_eq!(served.get("/v2/_catalog").json(), json!({ "repositories": ["web"] }));
}

#[test]
fn who_refers_to_a_manifest_is_listed() {
    let served = Served::open();
    let image = served.push_image("web", "1", b"layer", None);
    let path = format!("/v2/web/referrers/{image}");
    assert_eq!(served.get(&path).json()["manifests"], json!([]));
    let signature = served.push_image("web", "signature", b"signature", Some(&image));
    let said = served.get(&path);
    assert_eq!(said.header("content-type"), INDEX);
    let entry = &said.json()["manifests"][0];
    assert_eq!(
        (entry["digest"].as_str().unwrap(), entry["artifactType"].as_str()),
        (&*signature.to_string(), Some("application/example"))
    );
    assert_eq!(entry["annotations"], json!({ "said": "something" }));
    let other = served.get(&format!("{path}?artifactType=application/other"));
    assert_eq!((other.json()["manifests"].clone(), other.header("oci-filters-applied")), (json!([]), "artifactType"));
}

#[test]
fn what_is_deleted_is_gone_and_what_is_in_use_stays() {
    let served = Served::open();
    let digest = served.push_image("web", "1", b"layer", None);
    served.push_image("web", "2", b"layer", None);
    let layer = format!("/v2/web/blobs/{}", digest_of(b"layer"));
    assert_eq!(served.ask("DELETE", &layer, &[], b"").status, 405);
    assert_eq!(served.ask("DELETE", "/v2/web/manifests/1", &[], b"").status, 202);
    assert_eq!(served.get("/v2/web/manifests/1").status, 404);
    assert_eq!(served.get("/v2/web/manifests/2").status, 200);
    assert_eq!(served.ask("DELETE", &format!("/v2/web/manifests/{digest}"), &[], b"").status, 202);
    assert_eq!(served.get("/v2/web/manifests/2").status, 404);
    assert_eq!(served.ask("DELETE", &layer, &[], b"").status, 202);
    assert_eq!(served.get(&layer).status, 404);
}

#[test]
fn a_token_is_bought_and_shown() {
    let served = Served::asking(Scheme::Token, true);
    let refused = served.ask("POST", "/v2/web/blobs/uploads/", &[], b"");
    assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHORIZED"));
    let challenge = refused.header("www-authenticate");
    let realm = format!("http://{}/token", served.address);
    assert!(challenge.starts_with(&format!("Bearer realm=\"{realm}\"")), "{challenge}");
    let scope = "scope=repository:web:pull,push";
    // learner:s3cret, as RFC 7617 writes it.
    let given = served.ask("GET", &format!("{realm}?{scope}"), &[("authorization", "Basic bGVhcm5lcjpzM2NyZXQ=")], b"");
    let bearer = format!("Bearer {}", given.json()["token"].as_str().unwrap());
    assert_eq!(served.ask("POST", "/v2/web/blobs/uploads/", &[("authorization", &bearer)], b"").status, 202);
    assert_eq!(served.ask("POST", "/v2/other/blobs/uploads/", &[("authorization", &bearer)], b"").status, 401);
    let nobodys = served.get(&format!("{realm}?{scope}")).json();
    let bearer = format!("Bearer {}", nobodys["token"].as_str().unwrap());
    assert_eq!(served.ask("POST", "/v2/web/blobs/uploads/", &[("authorization", &bearer)], b"").status, 401);
}

#[test]
fn hostile_requests_are_answered_and_the_registry_goes_on() {
    let served = Served::open();
    for request in [
        "GET /v2/../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "GET /v2/a/blobs/uploads/..%2f..%2findex.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        format!("GET /v2/a/manifests/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "x".repeat(10_000)),
        "PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n{}"
            .to_owned(),
        "\0\0\0".to_owned(),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    assert_eq!(served.get("/v2/").status, 200);
}
