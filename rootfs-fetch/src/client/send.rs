//! A request until it is answered: redirects are followed, and what may pass is tried again.

use std::io::Read;
use std::thread;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::Client;
use super::error::{ClientError, Refusal, said};
use super::options::Retry;
use super::place::Scope;
use super::source::Payload;
use super::transport::Answer;
use super::url::Url;

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// The longest body of a refusal that is read, in bytes.
const MAX_REFUSAL: u64 = 64 << 10;

/// A request, as often as it has to be made.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub payload: Payload<'a>,
    pub scope: Scope,
    /// How often it may be tried again. What changes something each time is tried once.
    pub retries: u32,
}

/// The pauses between attempts.
pub(super) struct Pauses {
    retry: Retry,
    taken: u32,
}

impl<'a> Ask<'a> {
    pub fn new(method: Method, url: Url, scope: Scope, payload: Payload<'a>) -> Self {
        Self { method, url, headers: Vec::new(), payload, scope, retries: u32::MAX }
    }

    /// With one more header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(value).map_err(|error| ClientError::reference(value, error))?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Made once only.
    pub fn once(mut self) -> Self {
        self.retries = 0;
        self
    }
}

impl Pauses {
    pub fn new(retry: Retry) -> Self {
        Self { retry, taken: 0 }
    }

    /// The pause before the next attempt; none when there were enough of them.
    pub fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.taken >= self.retry.count {
            return None;
        }
        let own = self.retry.first.saturating_mul(2_u32.saturating_pow(self.taken));
        self.taken += 1;
        Some(asked.unwrap_or_default().max(own).min(self.retry.longest))
    }

    /// Counts attempts from the beginning again.
    pub fn reset(&mut self) {
        self.taken = 0;
    }
}

impl Client {
    /// Asks until there is an answer that is worth it, or as often as the options say.
    pub(super) fn send(&self, ask: &mut Ask) -> Result<Answer, ClientError> {
        let count = self.options.retry.count.min(ask.retries);
        let mut pauses = Pauses::new(Retry { count, ..self.options.retry });
        loop {
            let outcome = self.authorised(ask);
            let asked = match &outcome {
                Ok(answer) if Refusal::of(answer.status.as_u16()).may_pass() => retry_after(answer),
                Err(error) if error.may_pass() => error.retry_after(),
                _ => return outcome,
            };
            let Some(pause) = pauses.next(asked) else { return outcome };
            drop(outcome);
            thread::sleep(pause);
        }
    }

    /// Asks, and goes where redirects lead (RFC 9110, section 15.4). Who is not the origin of the URL is not told the authorization.
    pub(super) fn followed(&self, ask: &mut Ask, authorization: Option<&HeaderValue>) -> Result<Answer, ClientError> {
        let origin = ask.url.origin();
        let mut url = ask.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = ask.headers.clone();
            if let Some(authorization) = authorization.filter(|_| url.origin() == origin) {
                headers.push((header::AUTHORIZATION, authorization.clone()));
            }
            let answer = self.transport.exchange(&ask.method, &url, &headers, &mut ask.payload)?;
            let moved = match answer.status.as_u16() {
                307 | 308 => true,
                // Who has sent something would have to ask without it now; no registry means that.
                301..=303 => matches!(ask.payload, Payload::Nothing),
                _ => false,
            };
            if !moved {
                return Ok(answer);
            }
            url = location(&answer)?;
            answer.skip_body();
        }
        let why = "that was the eleventh redirect";
        Err(ClientError::Redirect { url: ask.url.to_string(), to: url.to_string(), why })
    }
}

/// Where an answer leads. What was asked by https is never asked by http instead, but from this machine to itself.
pub(super) fn location(answer: &Answer) -> Result<Url, ClientError> {
    let named = answer.header(header::LOCATION).ok_or_else(|| answer.wrong("it names no Location that is text"))?;
    leads_to(&answer.url, named)
}

/// The URL that an answer from `url` names.
pub(super) fn leads_to(url: &Url, named: &str) -> Result<Url, ClientError> {
    let refused = |to: String, why| ClientError::Redirect { url: url.to_string(), to, why };
    // What is no URL may be anything, and have a password in it.
    let next = url.join(named).map_err(|why| refused("…".into(), why))?;
    if url.is_https() && !next.is_https() && !(url.is_loopback() && next.is_loopback()) {
        return Err(refused(next.to_string(), "https would become plain http"));
    }
    Ok(next)
}

/// The answer, where its status is one of success; else what was said.
pub(super) fn succeeded(mut answer: Answer) -> Result<Answer, ClientError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let mut body = Vec::new();
    // The status is what counts: a body that breaks off says less.
    let _ = (&mut answer.body).take(MAX_REFUSAL).read_to_end(&mut body);
    Err(ClientError::Refused {
        refusal: Refusal::of(answer.status.as_u16()),
        status: answer.status.to_string(),
        method: answer.body.method().to_owned(),
        url: answer.url.to_string(),
        said: said(&body),
        retry_after: retry_after(&answer),
    })
}

/// The answer, where its status is this one.
pub(super) fn expected(answer: Answer, status: StatusCode) -> Result<Answer, ClientError> {
    let answer = succeeded(answer)?;
    if answer.status == status {
        return Ok(answer);
    }
    Err(answer.wrong(format!("the status is {} and should be {status}", answer.status)))
}

/// How long the server asks to be left alone: so many seconds, or until a time of day (RFC 9110, section 10.2.3).
fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.header(header::RETRY_AFTER)?.trim();
    let until = || httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok();
    value.parse().map(Duration::from_secs).ok().or_else(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_never_becomes_plain_http_elsewhere() {
        let leads = |from: &str, to: &str| leads_to(&Url::parse(from).expect("a URL"), to).is_ok();
        assert!(leads("https://a/x", "/y") && leads("https://a/x", "https://b/y") && leads("http://a/x", "http://b/y"));
        assert!(leads("http://a/x", "https://b/y") && leads("https://localhost/x", "http://127.0.0.1:1/y"));
        assert!(!leads("https://a/x", "http://a/y") && !leads("https://a/x", "http://localhost/y"));
        assert!(!leads("https://localhost/x", "http://a/y"));
    }

    #[test]
    fn pauses_grow_and_end() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(Retry { count: 4, first: second, longest: 5 * second });
        assert_eq!(pauses.next(None), Some(second));
        assert_eq!(pauses.next(Some(3 * second)), Some(3 * second));
        assert_eq!(pauses.next(Some(Duration::from_secs(u64::MAX))), Some(5 * second));
        assert_eq!(pauses.next(None), Some(5 * second));
        assert_eq!(pauses.next(None), None);
        let mut long = Pauses::new(Retry { count: 100, first: second, longest: 5 * second });
        assert_eq!(std::iter::from_fn(|| long.next(None)).last(), Some(5 * second));
    }
}
