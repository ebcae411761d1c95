//! URLs: of a registry, and those to which it leads.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

/// The longest URL that a server may hand out, in bytes.
const MAX_URL: usize = 8192;
/// Parameters whose values say what is asked for. Others may be signatures or keys, and are not shown.
const SHOWN: [&str; 9] = ["artifactType", "digest", "from", "last", "mount", "n", "ns", "scope", "service"];

/// An absolute URL of HTTP, with a host and without a user (RFC 9110, section 4.2.4).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url(Uri);

/// Who answers at a URL (RFC 6454). What is secret for one origin is told to no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_URL {
            return Err("it is longer than 8192 bytes");
        }
        let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("it is neither of http nor of https");
        }
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => Err("it names a user"),
            Some(authority) if authority.host().is_empty() => Err("it names no host"),
            Some(authority) if authority.as_str() != authority.host() && authority.port_u16().is_none() => {
                Err("its port is none")
            }
            Some(_) => Ok(Self(uri)),
            None => Err("it names no host"),
        }
    }

    /// The URL that a `Location` or a link in an answer from here means (RFC 3986, section 5.2).
    pub fn join(&self, location: &str) -> Result<Self, &'static str> {
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        if before_path.contains(':') {
            return Self::parse(location);
        }
        let Some(authority) = self.0.authority() else { return Err("it names no host") };
        let scheme = if self.is_https() { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let (path, query) = location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
        let path = match path {
            "" => self.0.path().to_owned(),
            _ if path.starts_with('/') => without_dots(path),
            _ => {
                let directory = self.0.path().rsplit_once('/').map_or("", |(directory, _)| directory);
                without_dots(&format!("{directory}/{path}"))
            }
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self::parse(&format!("{scheme}://{authority}{path}{query}"))
    }

    /// With one more parameter in its query.
    pub fn with(&self, name: &str, value: &str) -> Result<Self, &'static str> {
        let text = self.0.to_string();
        let sign = match self.0.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        Self::parse(&format!("{text}{sign}{name}={}", encoded(value)))
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    pub fn is_loopback(&self) -> bool {
        is_loopback(self.0.host().unwrap_or_default())
    }

    pub fn origin(&self) -> Origin {
        let https = self.is_https();
        let port = self.0.port_u16().unwrap_or(if https { 443 } else { 80 });
        Origin { https, host: self.0.host().unwrap_or_default().to_ascii_lowercase(), port }
    }

    /// Host and port, as they stand in it.
    pub fn host(&self) -> String {
        self.0.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default()
    }

    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// As people and logs may see it: the values of parameters that could be secrets are not there.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme_str().unwrap_or_default(), self.host(), self.0.path())?;
        for (number, parameter) in self.0.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
            f.write_str(if number == 0 { "?" } else { "&" })?;
            match parameter.split_once('=') {
                Some((name, _)) if !SHOWN.contains(&name) => write!(f, "{name}=…")?,
                Some(_) => f.write_str(parameter)?,
                // Without a name it is a value.
                None => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Whether a host, with or without its port, is this machine by its name or its address (RFC 6761, section 6.3).
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = bare(host).to_ascii_lowercase();
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A host without its port and without the brackets of IPv6.
pub(super) fn bare(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        // More than one colon is an address of IPv6, which has no port where it has no brackets.
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    }
}

/// A value as it may stand in a query (RFC 3986, section 2).
fn encoded(value: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte);
    value.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The path without `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_directory = false;
    for segment in path.trim_start_matches('/').split('/') {
        ends_in_directory = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if ends_in_directory && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(url: &Url) -> String {
        url.0.to_string()
    }

    #[test]
    fn locations_are_resolved_against_where_they_were_met() {
        let base = Url::parse("http://r.example:5000/v2/a/blobs/uploads/?x=1").expect("a URL");
        for (location, wanted) in [
            ("/v2/a/blobs/uploads/7?_state=s", "http://r.example:5000/v2/a/blobs/uploads/7?_state=s"),
            ("7", "http://r.example:5000/v2/a/blobs/uploads/7"),
            ("../../b/./c", "http://r.example:5000/v2/a/b/c"),
            ("?y=2", "http://r.example:5000/v2/a/blobs/uploads/?y=2"),
            ("//other/x", "http://other/x"),
            ("https://other:1/x?y#z", "https://other:1/x?y"),
        ] {
            assert_eq!(base.join(location).map(|url| full(&url)).as_deref(), Ok(wanted), "{location}");
        }
        for refused in ["ftp://x/", "http://user:secret@x/", "http:///x", "javascript:1", "http://x:99999/"] {
            assert!(base.join(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let url = Url::parse("https://s3.example/b?X-Amz-Signature=abc&digest=sha256:1&bare").expect("a URL");
        assert_eq!(url.to_string(), "https://s3.example/b?X-Amz-Signature=…&digest=sha256:1&…");
        assert!(!format!("{url:?}").contains("abc"));
    }

    #[test]
    fn origins_know_the_usual_ports() {
        let origin = |text: &str| Url::parse(text).expect("a URL").origin();
        assert_eq!(origin("https://A.example/x"), origin("https://a.example:443/y"));
        assert_ne!(origin("https://a.example/"), origin("http://a.example:443/"));
        assert_ne!(origin("http://a.example/"), origin("http://a.example:81/"));
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for host in ["localhost", "LOCALHOST:5000", "a.localhost", "127.3.2.1:80", "[::1]:5000", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "127.0.0.1.example", "[::2]:1", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn values_are_encoded() {
        let url = Url::parse("http://a/token?x=1").and_then(|url| url.with("scope", "a b&c=é")).expect("a URL");
        assert_eq!(full(&url), "http://a/token?x=1&scope=a%20b%26c%3D%C3%A9");
    }

    proptest! {
        #[test]
        fn any_location_is_resolved_or_refused(location in ".{0,60}") {
            let base = Url::parse("https://a/v2/b").expect("a URL");
            if let Ok(url) = base.join(&location) {
                let _ = (url.origin(), url.to_string());
            }
        }
    }
}
