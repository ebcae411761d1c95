//! Who asks: nobody first, and where that is not enough, whoever has credentials; by the challenge of the registry (distribution-spec,
//! "Authentication"; the distribution project's token specification).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use form_urlencoded::Serializer;
use serde::Deserialize;
use ureq::http::{HeaderValue, Method, StatusCode, header};

use super::challenge::{self, Challenge};
use super::credentials::{Login, Secret, basic};
use super::error::ClientError;
use super::place::Scope;
use super::send::Ask;
use super::source::Payload;
use super::transport::Answer;
use super::url::Url;
use super::{Client, send};

/// The longest answer of a token server, in bytes.
const MAX_TOKEN: u64 = 1 << 20;
/// How long a token counts that does not say it, as the token specification has it; and the longest that is believed.
const USUAL_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The most headers with challenges, and the most scopes of one.
const MAX_COUNT: usize = 16;
/// Who asks, where a token server wants to know.
const CLIENT: &str = "hardway";
/// So many tokens are kept.
const MAX_KEPT: usize = 256;

/// What was good enough for whom, and for what.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<Scope, Good>>);

#[derive(Clone)]
struct Good {
    authorization: HeaderValue,
    /// Until when it counts, and what to ask for another one with; none where it does not end by itself.
    until: Option<(Instant, Challenge)>,
}

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Kept {
    fn get(&self, scope: &Scope) -> Option<Good> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    fn put(&self, scope: Scope, good: Good) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(scope, good);
    }

    fn forget(&self, scope: &Scope) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(scope);
    }
}

impl Client {
    /// Asks as nobody, or with what was good enough before; and once more as the registry wants it, where that is not enough.
    pub(super) fn authorised(&self, ask: &mut Ask) -> Result<Answer, ClientError> {
        let scope = ask.scope.clone();
        // An upload, say, may go on elsewhere.
        if ask.url.origin() != scope.origin {
            return self.followed(ask, None);
        }
        let known = match self.kept.get(&scope) {
            // To ask without it would mean to send a body for nothing.
            Some(Good { until: Some((until, challenge)), .. }) if until <= Instant::now() => {
                let good = self.token(&ask.url, challenge, &scope)?;
                self.kept.put(scope.clone(), good.clone());
                Some(good.authorization)
            }
            known => known.map(|good| good.authorization),
        };
        let first = self.followed(ask, known.as_ref())?;
        // Where a redirect led, nobody is owed an answer to a challenge.
        if first.status != StatusCode::UNAUTHORIZED || first.url.origin() != scope.origin {
            return Ok(first);
        }
        self.kept.forget(&scope);
        let Some(good) = self.answer_to(&first, &scope)? else { return Ok(first) };
        // So that one connection does for both.
        first.skip_body();
        let second = self.followed(ask, Some(&good.authorization))?;
        if second.status != StatusCode::UNAUTHORIZED {
            self.kept.put(scope, good);
        }
        Ok(second)
    }

    /// What the challenges of an answer ask for; none where nobody here can show it.
    fn answer_to(&self, refused: &Answer, scope: &Scope) -> Result<Option<Good>, ClientError> {
        let mut challenges = Vec::new();
        for header in refused.headers.get_all(header::WWW_AUTHENTICATE).iter().take(MAX_COUNT) {
            challenges.extend(challenge::read(header.as_bytes()).map_err(|why| refused.wrong(why))?);
        }
        if let Some(bearer) = challenges.iter().position(|challenge| challenge.scheme == "bearer") {
            return self.token(&refused.url, challenges.swap_remove(bearer), scope).map(Some);
        }
        if !challenges.iter().any(|challenge| challenge.scheme == "basic") {
            return Ok(None);
        }
        let (user, password) = match self.login(scope)? {
            None => return Ok(None),
            Some(Login::Password { user, password }) => (user, password),
            Some(Login::IdentityToken(_)) => {
                let why = "an identity token is kept, and the registry asks for a name and a password".to_owned();
                return Err(ClientError::Credentials { host: scope.host.clone(), why });
            }
        };
        self.may_hear(&refused.url, &scope.host)?;
        Ok(Some(Good { authorization: as_header(&basic(&user, &password), &scope.host)?, until: None }))
    }

    fn login(&self, scope: &Scope) -> Result<Option<Login>, ClientError> {
        self.options.credentials.look_up(&scope.host, &scope.repository)
    }

    /// Gets a token where the challenge of an answer from `url` says; for nobody in particular where there is no login.
    fn token(&self, url: &Url, challenge: Challenge, scope: &Scope) -> Result<Good, ClientError> {
        let wrong = |why: &str| ClientError::Protocol {
            url: url.to_string(),
            why: format!("the realm of its challenge can not be used: {why}"),
        };
        let realm = challenge.get("realm").ok_or_else(|| wrong("there is none"))?;
        let realm = Url::parse(realm).map_err(wrong)?;
        self.may_hear(&realm, &scope.host)?;
        // The registry knows best what it wants; it may want nothing in particular.
        let own = scope.words().join(" ");
        let words = challenge.get("scope").unwrap_or(&own).split(' ').filter(|word| !word.is_empty()).take(MAX_COUNT);
        let service = challenge.get("service").map(|service| ("service", service));
        let mut answer = match self.login(scope)? {
            Some(Login::IdentityToken(token)) => {
                let words = words.collect::<Vec<_>>().join(" ");
                let scopes = (!words.is_empty()).then_some(("scope", words.as_str()));
                self.exchange_for_token(&realm, &token, service.into_iter().chain(scopes))?
            }
            login => {
                let parameters = service.into_iter().chain(words.map(|word| ("scope", word)));
                let url = parameters.into_iter().try_fold(realm, |url, (name, value)| url.with(name, value));
                let header = match login {
                    Some(Login::Password { user, password }) => Some(as_header(&basic(&user, &password), &scope.host)?),
                    _ => None,
                };
                let mut ask = Ask::new(Method::GET, url.map_err(wrong)?, scope.clone(), Payload::Nothing);
                self.followed(&mut ask, header.as_ref()).and_then(send::succeeded)?
            }
        };
        let began = Instant::now();
        let body = answer.body.whole(MAX_TOKEN)?;
        // What serde_json says of a wrong value may repeat it.
        let read: TokenAnswer = serde_json::from_slice(&body).map_err(|_| answer.wrong("this is no token"))?;
        let token = read.token.or(read.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| answer.wrong("there is no token in the answer"))?;
        let life = read.expires_in.map_or(USUAL_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let authorization = as_header(&Secret::new(format!("Bearer {token}")), &scope.host)?;
        Ok(Good { authorization, until: Some((began + life, challenge)) })
    }

    /// Asks for a token by an identity token (the distribution project's specification of OAuth 2.0). A redirect is not followed: the secret is in
    /// the body, which would go along.
    fn exchange_for_token<'p>(
        &self,
        realm: &Url,
        token: &'p Secret,
        parameters: impl Iterator<Item = (&'p str, &'p str)>,
    ) -> Result<Answer, ClientError> {
        let known = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token.reveal())];
        let form = Serializer::new(String::new()).extend_pairs(known.into_iter().chain(parameters)).finish();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let answer = self.transport.exchange(&Method::POST, realm, &[kind], &mut Payload::Bytes(form.as_bytes()))?;
        send::succeeded(answer)
    }

    /// Whether secrets may be told there: nobody on the way can listen, or somebody has allowed it.
    fn may_hear(&self, url: &Url, host: &str) -> Result<(), ClientError> {
        if url.is_https() || self.options.allows_plain_http(&url.host()) {
            return Ok(());
        }
        let why = format!("{url} asks for them by plain http, where everybody on the way could read them");
        Err(ClientError::Credentials { host: host.to_owned(), why })
    }
}

/// As the value of a header that is never shown.
fn as_header(secret: &Secret, host: &str) -> Result<HeaderValue, ClientError> {
    let unfit = |_| ClientError::Credentials { host: host.to_owned(), why: "they do not fit into a header".into() };
    let mut value = HeaderValue::from_str(secret.reveal()).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}
