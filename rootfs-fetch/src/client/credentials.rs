//! Credentials, and where people keep them: files as docker and podman write them (config.json of docker(1), containers-auth.json(5)),
//! and the programs that such files name (docker-credential-helpers).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::error::{ClientError, quoted};

/// The largest file of credentials, and the longest output of a program.
const MAX_BYTES: u64 = 1 << 20;
/// A helper may have to ask a person to unlock a key.
const HELPER_PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
/// The user's name that helpers give to an identity token.
const TOKEN_USER: &str = "<token>";
/// The same registry by other names.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Files have it with and without `=` at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where credentials come from.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// There are none: who asks is nobody in particular.
    #[default]
    None,
    /// For a registry's host, with its port where it has one: a name and a password.
    Given(BTreeMap<String, (String, Secret)>),
    /// A file as `docker login` or `podman login` writes it; it need not be there. It is read at each need, since people log in meanwhile.
    File(PathBuf),
}

/// Something that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// By what somebody is known to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// A name and a password (RFC 7617).
    Password { user: String, password: Secret },
    /// What is kept instead of a password where a sign-in of the registry's own gave one: it is exchanged for a token (the distribution
    /// project's specification of OAuth 2.0; RFC 6749, section 6).
    IdentityToken(Secret),
}

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for a header.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The value of an Authorization header for a name and a password.
pub(super) fn basic(user: &str, password: &Secret) -> Secret {
    Secret(format!("Basic {}", BASE64.encode(format!("{user}:{}", password.0))))
}

impl Credentials {
    /// The file that the environment names: `$REGISTRY_AUTH_FILE`, else `config.json` in `$DOCKER_CONFIG`, else in `~/.docker`.
    pub fn from_environment() -> Self {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        named("REGISTRY_AUTH_FILE")
            .or_else(|| named("DOCKER_CONFIG").map(|directory| directory.join("config.json")))
            .or_else(|| named("HOME").map(|home| home.join(".docker/config.json")))
            .map_or(Self::None, Self::File)
    }

    /// The login for a repository of a registry's host; none where nobody has one.
    pub(super) fn look_up(&self, host: &str, repository: &str) -> Result<Option<Login>, ClientError> {
        match self {
            Self::None => Ok(None),
            Self::Given(logins) => {
                let found = names(host).find_map(|name| logins.get(name));
                Ok(found.map(|(user, password)| Login::Password { user: user.clone(), password: password.clone() }))
            }
            Self::File(path) => {
                let unusable = |why: String| ClientError::Credentials {
                    host: host.to_owned(),
                    why: format!("the file {}: {why}", path.display()),
                };
                let Some(config) = Config::read(path).map_err(unusable)? else { return Ok(None) };
                config.look_up(host, repository).map_err(unusable)
            }
        }
    }
}

/// What is read of such a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

/// What a program answers to `get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Config {
    /// None where there is no such file.
    fn read(path: &Path) -> Result<Option<Self>, String> {
        let mut text = Vec::new();
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| error.to_string())?,
        };
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        // What serde_json says of a wrong value may repeat it, and it may be a password: only the place is told.
        let config = serde_json::from_slice(&text);
        config
            .map(Some)
            .map_err(|error| format!("line {}, column {} is not as it should be", error.line(), error.column()))
    }

    /// A helper for this host before the store for all, and that before what stands in the file itself, as docker has it.
    fn look_up(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        if let Some((server, helper)) = names(host).find_map(|name| self.cred_helpers.get_key_value(name)) {
            return ask(helper, server);
        }
        if let Some(store) = self.creds_store.as_deref().filter(|store| !store.is_empty()) {
            let stored = self.auths.keys().find(|key| covers(key, host, repository).is_some());
            if let Some(login) = ask(store, stored.map_or(host, String::as_str))? {
                return Ok(Some(login));
            }
        }
        let covering = self.auths.iter().filter_map(|(key, entry)| Some((covers(key, host, repository)?, entry)));
        // The narrowest entry counts.
        let Some((_, entry)) = covering.max_by_key(|(length, _)| *length) else { return Ok(None) };
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(Secret::new(&entry.identitytoken))));
        }
        if entry.auth.is_empty() {
            return Ok(None);
        }
        let decoded = BASE64.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
            return Err("its `auth` for this host is not the base64 of a name, a colon and a password".into());
        };
        // docker pads old entries with zero bytes.
        let password = Secret::new(password.trim_end_matches('\0'));
        Ok(Some(Login::Password { user: user.to_owned(), password }))
    }
}

/// The names under which a host's credentials may be kept.
fn names(host: &str) -> impl Iterator<Item = &str> {
    let others = if DOCKER_HUB.contains(&host) { &DOCKER_HUB[..] } else { &[] };
    std::iter::once(host).chain(others.iter().copied())
}

/// How narrowly an entry's key covers a repository: `https://index.docker.io/v1/`, `localhost:5000`, `quay.io/namespace`. None where it
/// does not.
fn covers(key: &str, host: &str, repository: &str) -> Option<usize> {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (own, path) = key.split_once('/').unwrap_or((key, ""));
    let path = path.trim_end_matches('/');
    if !names(host).any(|name| name.eq_ignore_ascii_case(own)) {
        return None;
    }
    let within = repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if matches!(path, "" | "v1" | "v2") { Some(0) } else { within.then_some(path.len()) }
}

/// Asks `docker-credential-NAME get` for a server's login; none where it has none.
fn ask(name: &str, server: &str) -> Result<Option<Login>, String> {
    // A path here would be a program that nobody installed for this.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!("{name:?} names no credential helper"));
    }
    let program = format!("docker-credential-{name}");
    answer_of(Command::new(&program).arg("get"), server).map_err(|why| format!("{program} get: {why}"))
}

fn answer_of(helper: &mut Command, server: &str) -> Result<Option<Login>, String> {
    let (success, output) = run(helper, server, HELPER_PATIENCE).map_err(|error| error.to_string())?;
    if !success {
        // It says so on its output, in these words.
        if output.starts_with(b"credentials not found") {
            return Ok(None);
        }
        return Err(format!("it failed: {}", quoted(&output)));
    }
    // Neither the output nor what serde_json says of it is repeated: a password may be in both.
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| "its answer is not understood")?;
    let secret = Secret(answer.secret);
    Ok(Some(match answer.username {
        user if user == TOKEN_USER => Login::IdentityToken(secret),
        user => Login::Password { user, password: secret },
    }))
}

/// Runs a program with this input; tells whether it succeeded, and its output.
fn run(command: &mut Command, input: &str, patience: Duration) -> io::Result<(bool, Vec<u8>)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let result = converse(&mut child, input, patience);
    if result.is_err() {
        // It may have ended by itself in the meantime.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn converse(child: &mut Child, input: &str, patience: Duration) -> io::Result<(bool, Vec<u8>)> {
    let until = Instant::now() + patience;
    let (send, receive) = mpsc::channel();
    if let Some(mut stdin) = child.stdin.take() {
        // A host's name is shorter than what a pipe takes without a reader. A helper that does not read has closed it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = child.stdout.take();
    thread::spawn(move || {
        let mut output = Vec::new();
        let read = stdout.map(|stdout| stdout.take(MAX_BYTES + 1).read_to_end(&mut output)).transpose();
        // Nobody listens any more when the patience is over.
        let _ = send.send(read.map(|_| output));
    });
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
    let output = receive.recv_timeout(patience).map_err(|_| late())??;
    if output.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("its answer is longer than {MAX_BYTES} bytes")));
    }
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), output));
        }
        if Instant::now() > until {
            return Err(late());
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(config: &str, host: &str, repository: &str) -> Result<Option<Login>, String> {
        serde_json::from_str::<Config>(config).expect("a configuration").look_up(host, repository)
    }

    fn login(user: &str, password: &str) -> Result<Option<Login>, String> {
        Ok(Some(Login::Password { user: user.into(), password: Secret::new(password) }))
    }

    #[test]
    fn entries_are_found_as_docker_and_podman_write_them() {
        // The base64 of `ann:pass:word`, of `bob:x` without its padding, and of `hub:y`.
        let config = r#"{"auths":{"localhost:5000":{"auth":"YW5uOnBhc3M6d29yZA=="},"localhost:5000/team":{"auth":"Ym9iOng"},
            "https://index.docker.io/v1/":{"auth":"aHViOnk="}, "empty.test":{}}}"#;
        assert_eq!(look_up(config, "localhost:5000", "a"), login("ann", "pass:word"));
        assert_eq!(look_up(config, "localhost:5000", "team/a"), login("bob", "x"));
        assert_eq!(look_up(config, "localhost:5000", "teams"), login("ann", "pass:word"));
        assert_eq!(look_up(config, "docker.io", "library/alpine"), login("hub", "y"));
        assert_eq!(look_up(config, "localhost", "a"), Ok(None));
        assert_eq!(look_up(config, "empty.test", "a"), Ok(None));
        // As docker login leaves it: the base64 of a name without a password, and a token beside it.
        let token = r#"{"auths":{"a":{"auth":"YW5uOg==","identitytoken":"long"}}}"#;
        assert_eq!(look_up(token, "a", "x"), Ok(Some(Login::IdentityToken(Secret::new("long")))));
    }

    #[test]
    fn broken_entries_are_told_without_repeating_them() {
        let config = r#"{"auths":{"a":{"auth":"c2VjcmV0"},"b":{"auth":"%"}}}"#;
        for host in ["a", "b"] {
            let why = look_up(config, host, "x").expect_err("no login");
            assert!(!why.contains("secret") && !why.contains("c2Vj"), "{why}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.json");
        std::fs::write(&path, r#"{"auths":{"a":{"auth":["secret"]}}}"#).expect("a file");
        let why = Config::read(&path).err().expect("not understood");
        assert!(why.contains("line 1") && !why.contains("secret"), "{why}");
        assert!(matches!(Config::read(&directory.path().join("none")), Ok(None)));
    }

    #[test]
    fn helpers_must_be_names() {
        for name in ["", "../evil", "a b", "/bin/sh"] {
            assert!(ask(name, "a").is_err(), "{name}");
        }
    }

    #[test]
    fn helpers_are_understood() {
        let helper = |script: &str| answer_of(Command::new("sh").args(["-c", script]), "registry.test");
        let answer =
            r#"read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"ann\",\"Secret\":\"for $server\"}""#;
        assert_eq!(helper(answer), login("ann", "for registry.test"));
        assert_eq!(helper("echo credentials not found in native keychain; exit 1"), Ok(None));
        assert_eq!(helper("echo locked; exit 1"), Err("it failed: locked".into()));
        let token = Login::IdentityToken(Secret::new("long"));
        assert_eq!(helper(r#"echo '{"Username":"<token>","Secret":"long"}'"#), Ok(Some(token)));
        for broken in ["echo hidden", r#"echo '{"Username":"ann","Secret":["hidden"]}'"#, "true"] {
            assert_eq!(helper(broken), Err("its answer is not understood".into()));
        }
    }

    #[test]
    fn programs_are_given_their_input_and_bounded() {
        let shell = |script: &str, patience| run(Command::new("sh").args(["-c", script]), "host", patience);
        let long = Duration::from_secs(20);
        assert_eq!(shell("cat; exit 1", long).ok(), Some((false, b"host".to_vec())));
        assert_eq!(shell("exec </dev/null; echo x", long).ok(), Some((true, b"x\n".to_vec())));
        assert!(shell("yes", long).is_err());
        let began = Instant::now();
        assert!(shell("exec sleep 60", Duration::from_millis(50)).is_err());
        assert!(shell("exec sleep 60 >&-", Duration::from_millis(50)).is_err());
        assert!(began.elapsed() < long);
    }

    #[test]
    fn secrets_are_not_shown() {
        let given = Credentials::Given([("a".to_owned(), ("ann".to_owned(), Secret::new("hidden")))].into());
        let login = given.look_up("a", "x").expect("no error").expect("a login");
        let header = basic("ann", &Secret::new("hidden"));
        assert_eq!(header.reveal(), "Basic YW5uOmhpZGRlbg==");
        let text = format!("{given:?} {login:?} {header:?}");
        assert!(!text.contains("hidden") && !text.contains("YW5u"), "{text}");
    }
}
