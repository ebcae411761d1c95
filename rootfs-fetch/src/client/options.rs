//! What a client is told before its first request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::credentials::Credentials;
use super::exchange::Observer;
use super::url::{bare, is_loopback};

/// How a client asks, whom, and how long it waits. The default is for registries of the internet and for such on this machine.
#[derive(Clone)]
pub struct Options {
    /// For a host, or a host and its port: whether it is asked by plain http. Hosts that are not named here are asked by https, but
    /// for this machine itself.
    pub plain_http: BTreeMap<String, bool>,
    /// Files of certificates (PEM) that are trusted besides those that this machine trusts.
    pub certificates: Vec<PathBuf>,
    /// Who is asked to make the connections.
    pub proxies: Proxies,
    /// For a registry (`docker.io`, `localhost:5000`) the URLs that are tried before it when something is fetched, each followed by
    /// `/v2/…`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Where credentials come from.
    pub credentials: Credentials,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// How often something is tried again, and when.
    pub retry: Retry,
    /// The product in the User-Agent header.
    pub user_agent: String,
    /// How many bytes of a blob are pushed by one PATCH. Blobs that are no larger are pushed by one PUT.
    pub chunk: u64,
    /// Who sees the exchanges.
    pub observer: Option<Arc<dyn Observer>>,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a name's addresses; and once more for a connection, with TLS.
    pub connect: Duration,
    /// For the whole head of a request to go, and of its answer to come; and for all of the answer to what was pushed.
    pub head: Duration,
    /// How long nothing may come of what is fetched, or go of what is pushed.
    pub stall: Duration,
}

/// How often what failed in a way that may pass is tried again. A status of 429 or 5xx, a connection that broke or was not had, and a
/// time-out may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often after the first time.
    pub count: u32,
    /// The pause before the second time; each later pause is twice the one before.
    pub first: Duration,
    /// The longest pause, also where a server asks for a longer one by Retry-After.
    pub longest: Duration,
}

/// The proxies, each a URL (`http://proxy:3128`), for targets of either scheme. Connections are made by CONNECT.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http.
    pub http: Option<String>,
    /// For https.
    pub https: Option<String>,
    /// Hosts that are asked without a proxy: names, `.suffix`, or `*`. This machine itself always is.
    pub no_proxy: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain_http: BTreeMap::new(),
            certificates: Vec::new(),
            proxies: Proxies::default(),
            mirrors: BTreeMap::new(),
            credentials: Credentials::None,
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            user_agent: concat!("hardway/", env!("CARGO_PKG_VERSION")).to_owned(),
            chunk: 8 << 20,
            observer: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), head: Duration::from_secs(60), stall: Duration::from_secs(30) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { count: 4, first: Duration::from_millis(500), longest: Duration::from_secs(20) }
    }
}

impl Options {
    /// The defaults, with the proxies and the credentials that the environment names.
    pub fn from_environment() -> Self {
        Self { proxies: Proxies::from_environment(), credentials: Credentials::from_environment(), ..Self::default() }
    }

    /// Whether a host, with or without its port, is asked by plain http.
    pub(super) fn allows_plain_http(&self, host: &str) -> bool {
        let said = self.plain_http.get(host).or_else(|| self.plain_http.get(bare(host)));
        said.copied().unwrap_or_else(|| is_loopback(host))
    }
}

impl Proxies {
    /// From `http_proxy`, `https_proxy` and `no_proxy`; their names in capitals count where the small ones are not set, but for
    /// `HTTP_PROXY`: in a CGI program the header `Proxy` of a request would be in it (CVE-2016-5385).
    pub fn from_environment() -> Self {
        let value = |names: &[&str]| {
            names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        };
        let hosts = value(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            http: value(&["http_proxy"]),
            https: value(&["https_proxy", "HTTPS_PROXY"]),
            no_proxy: hosts.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect(),
        }
    }
}

/// A proxy's URL can have a password in it.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<String>| {
            proxy.as_ref().map(|url| url.rsplit_once('@').map_or(url.clone(), |(_, host)| format!("…@{host}")))
        };
        f.debug_struct("Proxies")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("plain_http", &self.plain_http)
            .field("certificates", &self.certificates)
            .field("proxies", &self.proxies)
            .field("mirrors", &self.mirrors)
            .field("credentials", &self.credentials)
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .field("user_agent", &self.user_agent)
            .field("chunk", &self.chunk)
            .field("observer", &self.observer.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_who_is_named() {
        let named = [("registry.test", true), ("other.test:80", true), ("localhost:5443", false)];
        let plain_http = named.iter().map(|(host, plain)| ((*host).to_owned(), *plain)).collect();
        let options = Options { plain_http, ..Options::default() };
        for host in ["localhost", "127.0.0.1:5000", "registry.test", "registry.test:5000", "other.test:80"] {
            assert!(options.allows_plain_http(host), "{host}");
        }
        for host in ["docker.io", "localhost:5443", "other.test", "other.test:81"] {
            assert!(!options.allows_plain_http(host), "{host}");
        }
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        let proxies = Proxies { https: Some("http://user:hidden@proxy:1".into()), ..Proxies::default() };
        let text = format!("{:?}", Options { proxies, ..Options::default() });
        assert!(text.contains("…@proxy:1") && !text.contains("hidden"), "{text}");
    }
}
