//! One exchange: a request goes, the head of an answer comes, and its body is read as far as somebody wants it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, BodyReader, Proxy, SendBody};

use super::error::{ClientError, quoted};
use super::exchange::{Exchange, Observer, of_request, of_response};
use super::options::{Options, Timeouts};
use super::source::Payload;
use super::url::Url;

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Of the body of an answer that nobody wants, so much is read for the connection's sake, in bytes.
const MAX_SKIPPED: u64 = 64 << 10;
/// The largest file of certificates, in bytes.
const MAX_CERTIFICATES: u64 = 16 << 20;
/// The certificates that a machine trusts, where distributions have them: Debian and Alpine, Fedora, SUSE.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// The HTTP clients, and who is told of what they do.
pub(super) struct Transport {
    http: Agents,
    https: Agents,
    user_agent: HeaderValue,
    timeouts: Timeouts,
    observer: Option<Arc<dyn Observer>>,
}

/// One that fetches, and one that pushes: a registry may think for long about what it was given, so only the first must hear something
/// all the time.
struct Agents {
    fetching: Agent,
    pushing: Agent,
}

/// The head of an answer, and a body to be read.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where it came from, redirects followed.
    pub url: Url,
    pub body: Body,
}

/// The body of an answer. Its exchange is told when nobody reads it any more.
pub(super) struct Body {
    reader: BodyReader<'static>,
    url: Url,
    timeouts: Timeouts,
    began: Instant,
    exchange: Exchange,
    observer: Option<Arc<dyn Observer>>,
}

impl Transport {
    pub fn new(options: &Options) -> Result<Self, ClientError> {
        let roots = trusted(&options.certificates)?;
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agents = |proxy: &Option<String>| -> Result<Agents, ClientError> {
            let proxy = proxy.as_deref().map(|url| proxy_at(url, &options.proxies.no_proxy)).transpose()?;
            let Timeouts { connect, head, stall } = options.timeouts;
            let agent = |fetches: bool| {
                let config = Agent::config_builder()
                    .tls_config(tls.clone())
                    .proxy(proxy.clone())
                    .http_status_as_error(false)
                    // Who follows must know where: credentials are for one origin.
                    .max_redirects(0)
                    .max_redirects_will_error(false)
                    // A proxy is told as well; everybody else by the request's own headers.
                    .user_agent(options.user_agent.as_str())
                    .accept("")
                    .max_response_header_size(MAX_HEAD)
                    .timeout_resolve(Some(connect))
                    .timeout_connect(Some(connect))
                    .timeout_send_request(Some(head))
                    .timeout_recv_response(Some(head))
                    .timeout_per_write(Some(stall));
                let config = match fetches {
                    true => config.timeout_per_read(Some(stall)),
                    false => config.timeout_recv_body(Some(head)),
                };
                config.build().new_agent()
            };
            Ok(Agents { fetching: agent(true), pushing: agent(false) })
        };
        let user_agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|error| ClientError::option(format!("the user agent {:?}", options.user_agent), error))?;
        let (http, https) = (agents(&options.proxies.http)?, agents(&options.proxies.https)?);
        let (timeouts, observer) = (options.timeouts, options.observer.clone());
        Ok(Self { http, https, user_agent, timeouts, observer })
    }

    /// Makes a request and waits for the head of its answer, whatever its status.
    pub fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        payload: &mut Payload,
    ) -> Result<Answer, ClientError> {
        let mut request = http::Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.uri().clone();
        // What is fetched has to be the bytes of its digest, so nobody may encode them.
        let always = [
            (header::USER_AGENT, self.user_agent.clone()),
            (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        request.headers_mut().extend(always.into_iter().chain(headers.iter().cloned()));
        if let Some(length) = payload.length() {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        let began = Instant::now();
        let mut exchange = Exchange {
            method: method.to_string(),
            url: url.to_string(),
            request_headers: of_request(request.headers()),
            sent: 0,
            status: None,
            response_headers: Vec::new(),
            received: 0,
            duration: Duration::ZERO,
            failure: None,
        };
        let agents = if url.is_https() { &self.https } else { &self.http };
        let answer = match payload.open()? {
            None => agents.fetching.run(request),
            Some(mut reader) => {
                let answer = agents.pushing.run(request.map(|()| SendBody::from_reader(&mut reader)));
                exchange.sent = reader.read;
                answer
            }
        };
        match answer {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                exchange.status = Some(head.status.as_u16());
                exchange.response_headers = of_response(&head.headers, url);
                let body = Body {
                    reader: body.into_with_config().limit(u64::MAX).reader(),
                    url: url.clone(),
                    timeouts: self.timeouts,
                    began,
                    exchange,
                    observer: self.observer.clone(),
                };
                Ok(Answer { status: head.status, headers: head.headers, url: url.clone(), body })
            }
            Err(error) => {
                let error =
                    payload.trouble().map_or_else(|| explained(error, url, &self.timeouts), ClientError::Source);
                exchange.failure = Some(error.to_string());
                exchange.duration = began.elapsed();
                if let Some(observer) = &self.observer {
                    observer.exchange(&exchange);
                }
                Err(error)
            }
        }
    }
}

impl Answer {
    /// The one value of a header that is text; none where it is absent.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Reads what is left of a short body, so that the connection can be used again.
    pub fn skip_body(mut self) {
        // A connection that can not be used again is closed.
        let _ = io::copy(&mut (&mut self.body).take(MAX_SKIPPED), &mut io::sink());
    }

    /// What of this answer the specification does not allow.
    pub fn wrong(&self, why: impl Into<String>) -> ClientError {
        ClientError::Protocol { url: self.url.to_string(), why: why.into() }
    }
}

impl Body {
    /// The whole body, where it is no longer than `limit` bytes.
    pub fn whole(&mut self, limit: u64) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let read = self.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.broken(error))?;
        if bytes.len() as u64 > limit {
            let why = format!("the answer is longer than {limit} bytes");
            return Err(ClientError::Protocol { url: self.url.to_string(), why });
        }
        Ok(bytes)
    }

    /// Ends it after the last byte that is wanted, so that its connection can be used again. Where its length was not said, there may be
    /// more to come, and nobody waits for that.
    pub fn end(mut self) {
        let known = self.exchange.response_headers.iter().any(|(name, _)| name == "content-length");
        // Who sends more than it said has its connection closed.
        let _ = known.then(|| self.read(&mut [0]));
    }

    /// The method of the request.
    pub fn method(&self) -> &str {
        &self.exchange.method
    }

    /// What an error while reading it means.
    pub fn broken(&self, error: io::Error) -> ClientError {
        explained(as_ureq(error), &self.url, &self.timeouts)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        match &read {
            Ok(count) => self.exchange.received += *count as u64,
            Err(error) => self.exchange.failure = Some(quoted(error.to_string().as_bytes())),
        }
        read
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.exchange.duration = self.began.elapsed();
        if let Some(observer) = &self.observer {
            observer.exchange(&self.exchange);
        }
    }
}

/// What the HTTP client's error means for who asked this host.
fn explained(error: ureq::Error, url: &Url, timeouts: &Timeouts) -> ClientError {
    use ureq::Timeout;
    let host = url.host();
    let timeout = |what, after| ClientError::Timeout { host: url.host(), what, after };
    match error {
        ureq::Error::Timeout(Timeout::Resolve) => timeout("to look up its name", timeouts.connect),
        ureq::Error::Timeout(Timeout::Connect) => timeout("to connect", timeouts.connect),
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
            ClientError::Stalled { host, after: timeouts.stall }
        }
        ureq::Error::Timeout(Timeout::SendRequest) => timeout("to take the request", timeouts.head),
        ureq::Error::Timeout(_) => timeout("to answer", timeouts.head),
        ureq::Error::HostNotFound => ClientError::Dns { host, why: "there is none of a kind that is used".into() },
        ureq::Error::ConnectionFailed => ClientError::Connect { host, why: "no way there".into() },
        ureq::Error::ConnectProxyFailed(why) => {
            ClientError::Connect { host, why: format!("the proxy: {}", quoted(why.as_bytes())) }
        }
        ureq::Error::Tls(why) => ClientError::Tls { host, why: why.into() },
        ureq::Error::Rustls(error) => ClientError::Tls { host, why: error.to_string() },
        ureq::Error::Io(error) => of_io(error, url),
        other => ClientError::Broken { url: url.to_string(), why: quoted(other.to_string().as_bytes()) },
    }
}

fn of_io(error: io::Error, url: &Url) -> ClientError {
    let (host, why) = (url.host(), quoted(error.to_string().as_bytes()));
    match error.kind() {
        // rustls hands its errors on so, and nobody else does.
        io::ErrorKind::InvalidData if url.is_https() => match why.contains("InvalidContentType") {
            true => ClientError::PlainHttp { host },
            false => ClientError::Tls { host, why },
        },
        // How std begins what getaddrinfo(3) answers.
        _ if why.starts_with("failed to lookup address information") => ClientError::Dns { host, why },
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkDown => ClientError::Connect { host, why },
        _ => ClientError::Broken { url: url.to_string(), why },
    }
}

/// The HTTP client's own error, which it wraps where it has to be one of `io`.
fn as_ureq(error: io::Error) -> ureq::Error {
    error.downcast::<ureq::Error>().unwrap_or_else(ureq::Error::Io)
}

/// What this machine trusts, with some more; where neither is there, what browsers trust.
fn trusted(more: &[impl AsRef<Path>]) -> Result<RootCerts, ClientError> {
    let mut all = Vec::new();
    if let Some(bundle) = TRUSTED.iter().map(Path::new).find(|path| path.is_file()) {
        all.extend(certificates(bundle)?);
    }
    for path in more {
        all.extend(certificates(path.as_ref())?);
    }
    Ok(if all.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&all) })
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, ClientError> {
    let unusable = |why: String| ClientError::option(format!("the file of certificates {}", path.display()), why);
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    file.take(MAX_CERTIFICATES).read_to_end(&mut text).map_err(|error| unusable(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(unusable("there is none in it".into())) } else { Ok(found) }
}

/// A proxy that is not asked for these hosts, nor for this machine.
fn proxy_at(url: &str, no_proxy: &[String]) -> Result<Proxy, ClientError> {
    // The URL can have a password in it.
    let unusable = |error: ureq::Error| ClientError::option("the proxy", error);
    let named = Proxy::new(url).map_err(unusable)?;
    let mut proxy = Proxy::builder(named.protocol()).host(named.host()).port(named.port());
    if let Some(user) = named.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = named.password() {
        proxy = proxy.password(password);
    }
    let here = ["localhost", "127.0.0.1", "[::1]"];
    for host in no_proxy.iter().map(String::as_str).chain(here) {
        proxy = proxy.no_proxy(host);
    }
    proxy.build().map_err(unusable)
}
