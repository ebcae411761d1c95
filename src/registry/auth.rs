//! Who may do what, and how a registry asks who it is: the challenge, twice.
//!
//! With basic authentication (RFC 7617) each request has name and password. With tokens (the Docker registry's token specification) a
//! request without one is answered with 401 and with where tokens are given out; there name and password are shown once, and what
//! is given is good for some minutes, for one repository, and for what was asked.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rootfs_fetch::image::digest_of;
use serde_json::{Value, json};

use super::place::{Name, Place};
use super::trouble::Trouble;

/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The most tokens at a time; the oldest go first.
const MAX_TOKENS: usize = 10_000;

/// How a registry asks who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Not at all: everybody may do everything.
    #[default]
    None,
    /// Name and password with each request.
    Basic,
    /// A token, which name and password buy.
    Token,
}

/// What is wanted of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To read.
    Pull,
    /// To write.
    Push,
    /// To take away.
    Delete,
}

impl Access {
    /// As a scope has it.
    fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// The registry's one account, and the tokens that it has given out.
#[derive(Debug)]
pub struct Doorkeeper {
    scheme: Scheme,
    account: Account,
    /// Whether one may read without being asked.
    anyone_may_pull: bool,
    tokens: Mutex<HashMap<String, Grant>>,
}

/// A name and a password, which no error, trace or `Debug` shows.
#[derive(Clone, Default)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Grant {
    until: Instant,
    repository: String,
    access: Vec<Access>,
}

impl Doorkeeper {
    /// One who asks in this way.
    pub fn new(scheme: Scheme, account: Account, anyone_may_pull: bool) -> Self {
        Self { scheme, account, anyone_may_pull, tokens: Mutex::default() }
    }

    /// Lets a request pass, or says how to come back.
    ///
    /// # Errors
    /// 401 with a challenge.
    pub fn admit(&self, headers: &HeaderMap, place: &Place, access: Access, host: &str) -> Result<(), Trouble> {
        let name = repository(place);
        let is_free = self.anyone_may_pull && access == Access::Pull && name.is_some();
        match self.scheme {
            Scheme::None => Ok(()),
            Scheme::Basic if is_free || self.knows(headers) => Ok(()),
            Scheme::Basic => Err(unauthorized(r#"Basic realm="hardway""#)),
            Scheme::Token if self.has_token(headers, name, access) => Ok(()),
            Scheme::Token => {
                let scope = name.map_or_else(String::new, |name| {
                    // Whoever pushes also asks what is there.
                    let words =
                        if access == Access::Pull { "pull".to_owned() } else { format!("pull,{}", access.word()) };
                    format!(r#",scope="repository:{}:{words}""#, name.as_str())
                });
                Err(unauthorized(&format!(r#"Bearer realm="http://{host}/token",service="{host}"{scope}"#)))
            }
        }
    }

    /// Gives out a token for the scope that a query asks for: with name and password for all of it, without them for reading at most,
    /// where anyone may read.
    ///
    /// # Errors
    /// 401 for a wrong password, and for nobody where nobody may read.
    pub fn token(&self, headers: &HeaderMap, scope: Option<&str>) -> Result<Value, Trouble> {
        let is_known = self.knows(headers);
        if !is_known && (headers.contains_key(header::AUTHORIZATION) || !self.anyone_may_pull) {
            return Err(unauthorized(r#"Basic realm="hardway""#));
        }
        // repository:NAME:ACTION,ACTION; the name of a host with a port may be part of NAME.
        let asked = scope.and_then(|scope| scope.strip_prefix("repository:")).and_then(|rest| rest.rsplit_once(':'));
        let (repository, words) = asked.unwrap_or_default();
        let all = [Access::Pull, Access::Push, Access::Delete];
        let wanted = |access: &Access| words.split(',').any(|word| word == access.word() || word == "*");
        let allowed = |access: &Access| is_known || *access == Access::Pull;
        let access: Vec<Access> = all.into_iter().filter(|access| wanted(access) && allowed(access)).collect();
        let grant = Grant { until: Instant::now() + TOKEN_LIFE, repository: repository.to_owned(), access };
        let token = random().map_err(Trouble::own)?;
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        tokens.retain(|_, grant| grant.until > now);
        if tokens.len() >= MAX_TOKENS
            && let Some(oldest) = tokens.iter().min_by_key(|(_, grant)| grant.until).map(|(token, _)| token.clone())
        {
            tokens.remove(&oldest);
        }
        tokens.insert(token.clone(), grant);
        Ok(json!({ "token": token, "access_token": token, "expires_in": TOKEN_LIFE.as_secs() }))
    }

    /// Whether a request has name and password of the account.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = credentials(headers, "basic").and_then(|text| STANDARD.decode(text.trim()).ok());
        let wanted = format!("{}:{}", self.account.name, self.account.password);
        // By their digests, so that how long it takes says nothing of how much was right.
        given.is_some_and(|given| digest_of(&given) == digest_of(wanted.as_bytes()))
    }

    fn has_token(&self, headers: &HeaderMap, name: Option<&Name>, access: Access) -> bool {
        let Some(token) = credentials(headers, "bearer") else { return false };
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = tokens.get(token.trim()).filter(|grant| grant.until > Instant::now());
        // What is no repository's, any token opens.
        let opens = |grant: &Grant, name: &Name| grant.repository == name.as_str() && grant.access.contains(&access);
        grant.is_some_and(|grant| name.is_none_or(|name| opens(grant, name)))
    }
}

/// The repository that a place is in.
fn repository(place: &Place) -> Option<&Name> {
    match place {
        Place::Blob(name, _)
        | Place::Manifest(name, _)
        | Place::Uploads(name)
        | Place::Upload(name, _)
        | Place::Tags(name)
        | Place::Referrers(name, _) => Some(name),
        Place::Root | Place::Catalog | Place::Token => None,
    }
}

/// What stands behind the name of a scheme, which is written in letters of any size.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, rest) = text.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn unauthorized(challenge: &str) -> Trouble {
    Trouble::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "it has to be said who asks")
        .with(header::WWW_AUTHENTICATE, challenge)
}

/// 16 random bytes, as hexadecimal digits.
fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::response::IntoResponse;

    use super::*;

    const HOST: &str = "127.0.0.1:5000";

    fn with(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("a header"))])
    }

    fn keeper(scheme: Scheme, anyone_may_pull: bool) -> Doorkeeper {
        let account = Account { name: "learner".into(), password: "s3cret".into() };
        Doorkeeper::new(scheme, account, anyone_may_pull)
    }

    fn place() -> Place {
        "/v2/web/tags/list".parse().expect("a place")
    }

    fn challenge(trouble: Trouble) -> String {
        let response = trouble.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        response.headers()[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned()
    }

    #[test]
    fn basic_wants_name_and_password_each_time() {
        let keeper = keeper(Scheme::Basic, false);
        let refused = keeper.admit(&HeaderMap::new(), &place(), Access::Pull, HOST).expect_err("a challenge");
        assert_eq!(challenge(refused), r#"Basic realm="hardway""#);
        let right = with(&format!("bAsIc {}", STANDARD.encode("learner:s3cret")));
        assert!(keeper.admit(&right, &place(), Access::Push, HOST).is_ok());
        let wrong = with(&format!("Basic {}", STANDARD.encode("learner:s3cre")));
        assert!(keeper.admit(&wrong, &place(), Access::Pull, HOST).is_err());
    }

    #[test]
    fn a_token_opens_what_it_was_given_for() {
        let keeper = keeper(Scheme::Token, true);
        let refused = keeper.admit(&HeaderMap::new(), &place(), Access::Push, HOST).expect_err("a challenge");
        assert_eq!(
            challenge(refused),
            r#"Bearer realm="http://127.0.0.1:5000/token",service="127.0.0.1:5000",scope="repository:web:pull,push""#
        );
        let token_of = |headers: &HeaderMap| {
            let given = keeper.token(headers, Some("repository:web:pull,push")).expect("a token");
            with(&format!("Bearer {}", given["token"].as_str().expect("a text")))
        };
        let learners = token_of(&with(&format!("Basic {}", STANDARD.encode("learner:s3cret"))));
        assert!(keeper.admit(&learners, &place(), Access::Push, HOST).is_ok());
        assert!(keeper.admit(&learners, &"/v2/other/tags/list".parse().expect("a place"), Access::Pull, HOST).is_err());
        let nobodys = token_of(&HeaderMap::new());
        assert!(keeper.admit(&nobodys, &place(), Access::Pull, HOST).is_ok());
        assert!(keeper.admit(&nobodys, &place(), Access::Push, HOST).is_err());
        assert!(keeper.admit(&with("Bearer 0"), &place(), Access::Pull, HOST).is_err());
    }

    #[test]
    fn a_wrong_password_buys_nothing_and_is_not_shown() {
        let keeper = keeper(Scheme::Token, true);
        let wrong = with(&format!("Basic {}", STANDARD.encode("learner:other")));
        assert!(keeper.token(&wrong, Some("repository:web:pull")).is_err());
        assert!(!format!("{keeper:?}").contains("s3cret"));
    }
}
