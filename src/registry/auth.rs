//! Who may do what, and how a registry asks who it is: the challenge, twice.
//!
//! With basic authentication (RFC 7617) each request has name and password. With tokens (the Docker registry's token specification) a
//! request without one is answered with 401 and with where tokens are given out; there name and password are shown once, and what
//! is given is good for some minutes, for one repository, and for what was asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rootfs_fetch::image::digest_of;
use rootfs_fetch::store::random_name;
use serde_json::{Value, json};

use super::place::Name;
use super::trouble::Trouble;

/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The most tokens at a time; the oldest go first.
const MAX_TOKENS: usize = 10_000;

/// The most repositories that one token is for. A mount needs two.
const MAX_SCOPES: usize = 16;

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
    /// What may be done in which repository.
    allowed: Vec<(String, Vec<Access>)>,
}

impl Doorkeeper {
    /// One who asks in this way.
    pub fn new(scheme: Scheme, account: Account, anyone_may_pull: bool) -> Self {
        Self { scheme, account, anyone_may_pull, tokens: Mutex::default() }
    }

    /// Lets a request pass that wants this of these repositories, or says how to come back. What is no repository's is for everybody who
    /// says who it is.
    ///
    /// # Errors
    /// 401 with a challenge.
    pub fn admit(&self, headers: &HeaderMap, wanted: &[(Name, Access)], host: &str) -> Result<(), Trouble> {
        let only_pulls = !wanted.is_empty() && wanted.iter().all(|(_, access)| *access == Access::Pull);
        match self.scheme {
            Scheme::None => Ok(()),
            Scheme::Basic if (self.anyone_may_pull && only_pulls) || self.knows(headers) => Ok(()),
            Scheme::Basic => Err(unauthorized(r#"Basic realm="hardway""#)),
            Scheme::Token if self.has_token(headers, wanted) => Ok(()),
            Scheme::Token => {
                let scopes: Vec<String> = wanted.iter().map(|(name, access)| scope(name, *access)).collect();
                let scope = if scopes.is_empty() { String::new() } else { format!(r#",scope="{}""#, scopes.join(" ")) };
                Err(unauthorized(&format!(r#"Bearer realm="http://{host}/token",service="{host}"{scope}"#)))
            }
        }
    }

    /// Whether everybody who may push to one repository may also read all others.
    pub fn sees_all(&self) -> bool {
        self.scheme != Scheme::Token
    }

    /// Gives out a token for the scopes that a query asks for: with name and password for all of it, without them for reading at most,
    /// where anyone may read.
    ///
    /// # Errors
    /// 401 for a wrong password, and for nobody where nobody may read.
    pub fn token(&self, headers: &HeaderMap, scopes: impl Iterator<Item = String>) -> Result<Value, Trouble> {
        let is_known = self.knows(headers);
        if !is_known && (headers.contains_key(header::AUTHORIZATION) || !self.anyone_may_pull) {
            return Err(unauthorized(r#"Basic realm="hardway""#));
        }
        let mut allowed = Vec::new();
        for scope in scopes {
            // Several come as parameters of one name or, as a challenge has them, with spaces between.
            let asked = scope.split(' ').filter_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'));
            allowed.extend(asked.map(|(name, words)| (name.to_owned(), accesses(words, is_known))));
        }
        allowed.truncate(MAX_SCOPES);
        let grant = Grant { until: Instant::now() + TOKEN_LIFE, allowed };
        let token = random_name().map_err(Trouble::own)?;
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

    fn has_token(&self, headers: &HeaderMap, wanted: &[(Name, Access)]) -> bool {
        let Some(token) = credentials(headers, "bearer") else { return false };
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = tokens.get(token.trim()).filter(|grant| grant.until > Instant::now());
        let allows = |grant: &Grant, name: &Name, access: &Access| {
            grant.allowed.iter().any(|(of, all)| of == name.as_str() && all.contains(access))
        };
        grant.is_some_and(|grant| wanted.iter().all(|(name, access)| allows(grant, name, access)))
    }
}

/// What a token has to be for. Whoever pushes also asks what is there.
fn scope(name: &Name, access: Access) -> String {
    let also = if access == Access::Pull { "" } else { "pull," };
    format!("repository:{}:{also}{}", name.as_str(), access.word())
}

/// What of `ACTION,ACTION` somebody may do.
fn accesses(words: &str, is_known: bool) -> Vec<Access> {
    let mut all = vec![Access::Pull, Access::Push, Access::Delete];
    let wanted = |access: Access| words.split(',').any(|word| word == access.word() || word == "*");
    all.retain(|access| wanted(*access) && (is_known || *access == Access::Pull));
    all
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

    fn of(name: &str, access: Access) -> (Name, Access) {
        (name.parse().expect("a name"), access)
    }

    fn challenge(trouble: Trouble) -> String {
        let response = trouble.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        response.headers()[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned()
    }

    #[test]
    fn basic_wants_name_and_password_each_time() {
        let keeper = keeper(Scheme::Basic, false);
        let refused = keeper.admit(&HeaderMap::new(), &[of("web", Access::Pull)], HOST).expect_err("a challenge");
        assert_eq!(challenge(refused), r#"Basic realm="hardway""#);
        let right = with(&format!("bAsIc {}", STANDARD.encode("learner:s3cret")));
        assert!(keeper.admit(&right, &[of("web", Access::Push)], HOST).is_ok());
        let wrong = with(&format!("Basic {}", STANDARD.encode("learner:s3cre")));
        assert!(keeper.admit(&wrong, &[of("web", Access::Pull)], HOST).is_err());
    }

    #[test]
    fn a_token_opens_what_it_was_given_for() {
        let keeper = keeper(Scheme::Token, true);
        let refused = keeper.admit(&HeaderMap::new(), &[of("web", Access::Push)], HOST).expect_err("a challenge");
        assert_eq!(
            challenge(refused),
            r#"Bearer realm="http://127.0.0.1:5000/token",service="127.0.0.1:5000",scope="repository:web:pull,push""#
        );
        let token_of = |headers: &HeaderMap| {
            let given = keeper.token(headers, ["repository:web:pull,push".to_owned()].into_iter()).expect("a token");
            with(&format!("Bearer {}", given["token"].as_str().expect("a text")))
        };
        let learners = token_of(&with(&format!("Basic {}", STANDARD.encode("learner:s3cret"))));
        assert!(keeper.admit(&learners, &[of("web", Access::Push)], HOST).is_ok());
        assert!(keeper.admit(&learners, &[of("other", Access::Pull)], HOST).is_err());
        assert!(keeper.admit(&learners, &[of("web", Access::Push), of("other", Access::Pull)], HOST).is_err());
        let nobodys = token_of(&HeaderMap::new());
        assert!(keeper.admit(&nobodys, &[of("web", Access::Pull)], HOST).is_ok());
        assert!(keeper.admit(&nobodys, &[of("web", Access::Push)], HOST).is_err());
        assert!(keeper.admit(&with("Bearer 0"), &[of("web", Access::Pull)], HOST).is_err());
    }

    #[test]
    fn a_mount_needs_a_token_for_both_repositories() {
        let keeper = keeper(Scheme::Token, false);
        let wanted = [of("web", Access::Push), of("base", Access::Pull)];
        let asked = challenge(keeper.admit(&HeaderMap::new(), &wanted, HOST).expect_err("a challenge"));
        let scope = "repository:web:pull,push repository:base:pull";
        assert!(asked.ends_with(&format!(r#",scope="{scope}""#)), "{asked}");
        let learner = with(&format!("Basic {}", STANDARD.encode("learner:s3cret")));
        let in_one = vec![scope.to_owned()];
        let in_two = scope.split(' ').map(str::to_owned).collect();
        for scopes in [in_one, in_two] {
            let given = keeper.token(&learner, scopes.into_iter()).expect("a token");
            let bearer = with(&format!("Bearer {}", given["token"].as_str().expect("a text")));
            assert!(keeper.admit(&bearer, &wanted, HOST).is_ok());
            assert!(keeper.admit(&bearer, &[of("base", Access::Push)], HOST).is_err());
        }
    }

    #[test]
    fn a_wrong_password_buys_nothing_and_is_not_shown() {
        let keeper = keeper(Scheme::Token, true);
        let wrong = with(&format!("Basic {}", STANDARD.encode("learner:other")));
        assert!(keeper.token(&wrong, ["repository:web:pull".to_owned()].into_iter()).is_err());
        assert!(!format!("{keeper:?}").contains("s3cret"));
    }
}
