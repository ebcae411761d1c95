//! What a `WWW-Authenticate` header asks for (RFC 9110, section 11; RFC 7617 Basic; RFC 6750 and the distribution project's token
//! specification, Bearer).
//!
//! ```text
//! challenges = challenge *( "," challenge )
//! challenge  = scheme [ 1*SP ( token68 / parameter *( "," parameter ) ) ]
//! parameter  = token BWS "=" BWS ( token / quoted-string )
//! ```
//!
//! The comma stands between challenges and between parameters alike: what follows one is a parameter if it is a name and `=`, and
//! else the next challenge.

/// The longest header that is read, in bytes.
const MAX_LENGTH: usize = 8192;
/// The most challenges of a header, and the most parameters of a challenge.
const MAX_COUNT: usize = 16;

/// One way in which credentials may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in small letters, since case means nothing in it.
    pub scheme: String,
    /// Names in small letters, and values without quotes. None is there twice.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the challenges of one header, of which there may be several.
///
/// # Errors
/// What is wrong with it: it has not that form, or two readers could understand it in two ways, or it is longer than 8192 bytes.
pub fn read(header: &[u8]) -> Result<Vec<Challenge>, &'static str> {
    if header.len() > MAX_LENGTH {
        return Err("the challenge is longer than 8192 bytes");
    }
    let mut rest = Rest(header);
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        // Lists may have empty elements.
        rest.skip(b" \t,");
        if rest.0.is_empty() {
            return Ok(challenges);
        }
        if challenges.len() == MAX_COUNT {
            return Err("there are more than 16 challenges");
        }
        challenges.push(rest.challenge()?);
    }
}

/// What of a header is not read yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn challenge(&mut self) -> Result<Challenge, &'static str> {
        let scheme = self.token().ok_or("a challenge begins with no scheme")?.to_ascii_lowercase();
        let mut parameters: Vec<(String, String)> = Vec::new();
        let spaced = self.skip(b" \t");
        if !spaced || self.0.is_empty() || self.0.starts_with(b",") {
            self.end_of_element()?;
            return Ok(Challenge { scheme, parameters });
        }
        loop {
            let before = *self;
            let Some(name) = self.parameter_name() else {
                *self = before;
                if parameters.is_empty() {
                    self.token68()?;
                }
                return Ok(Challenge { scheme, parameters });
            };
            let value = self.value()?;
            if parameters.iter().any(|(own, _)| *own == name) {
                return Err("a parameter is there twice");
            }
            if parameters.len() == MAX_COUNT {
                return Err("a challenge has more than 16 parameters");
            }
            parameters.push((name, value));
            self.skip(b" \t");
            self.end_of_element()?;
            self.skip(b" \t,");
            if self.0.is_empty() {
                return Ok(Challenge { scheme, parameters });
            }
        }
    }

    /// A name and `=`, of which a value follows; none where this is something else.
    fn parameter_name(&mut self) -> Option<String> {
        let name = self.token()?.to_ascii_lowercase();
        self.skip(b" \t");
        self.0 = self.0.strip_prefix(b"=")?;
        self.skip(b" \t");
        // `QQ==` is a token68, and not a parameter whose value is `=`.
        (self.0.starts_with(b"\"") || self.0.first().is_some_and(|byte| is_token(*byte))).then_some(name)
    }

    fn value(&mut self) -> Result<String, &'static str> {
        match self.0.strip_prefix(b"\"") {
            Some(quoted) => {
                self.0 = quoted;
                self.quoted()
            }
            None => self.token().map(str::to_owned).ok_or("a parameter has no value"),
        }
    }

    /// The rest of a quoted-string, with its closing quote; a backslash takes the next byte as it is (RFC 9110, section 5.6.4).
    fn quoted(&mut self) -> Result<String, &'static str> {
        let mut value = Vec::new();
        let mut bytes = self.0.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            let byte = match byte {
                b'"' => {
                    self.0 = self.0.get(at + 1..).unwrap_or_default();
                    return String::from_utf8(value).map_err(|_| "a quoted value is not UTF-8");
                }
                b'\\' => *bytes.next().ok_or("a quoted value ends in a backslash")?.1,
                byte => byte,
            };
            if byte != b'\t' && (byte < b' ' || byte == 0x7f) {
                return Err("a quoted value has a control character");
            }
            value.push(byte);
        }
        Err("a quoted value has no end")
    }

    fn token68(&mut self) -> Result<(), &'static str> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)).count();
        self.0 = self.0.get(length..).unwrap_or_default();
        self.skip(b" \t");
        self.end_of_element()
    }

    fn token(&mut self) -> Option<&'a str> {
        let length = self.0.iter().take_while(|byte| is_token(**byte)).count();
        let (token, rest) = self.0.split_at_checked(length).filter(|_| length > 0)?;
        self.0 = rest;
        std::str::from_utf8(token).ok()
    }

    /// Whether there was any of these bytes.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let count = self.0.iter().take_while(|byte| bytes.contains(byte)).count();
        self.0 = self.0.get(count..).unwrap_or_default();
        count > 0
    }

    fn end_of_element(&self) -> Result<(), &'static str> {
        if self.0.is_empty() || self.0.starts_with(b",") {
            Ok(())
        } else {
            Err("something follows a value without a comma")
        }
    }
}

/// A byte of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Challenge { scheme: scheme.into(), parameters: parameters.iter().map(owned).collect() }
    }

    #[test]
    fn bearer_and_basic_are_read() {
        let header = br#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let wanted = [
            ("realm", "https://auth.docker.io/token"),
            ("service", "registry.docker.io"),
            ("scope", "repository:a/b:pull,push"),
        ];
        assert_eq!(read(header), Ok(vec![one("bearer", &wanted)]));
        assert_eq!(read(b"BASIC Realm = x"), Ok(vec![one("basic", &[("realm", "x")])]));
    }

    #[test]
    fn several_challenges_share_a_header() {
        let header = br#"Newauth realm="apps", type=1, title="Login to \"apps\"", , Basic realm="simple""#;
        let first = one("newauth", &[("realm", "apps"), ("type", "1"), ("title", r#"Login to "apps""#)]);
        assert_eq!(read(header), Ok(vec![first, one("basic", &[("realm", "simple")])]));
        assert_eq!(read(b"Negotiate, Basic realm=a"), Ok(vec![one("negotiate", &[]), one("basic", &[("realm", "a")])]));
        let token68 = read(b"Negotiate YWJj==, Bearer realm=r").expect("challenges");
        assert_eq!(token68, [one("negotiate", &[]), one("bearer", &[("realm", "r")])]);
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_ambiguous_or_endless_is_refused() {
        for header in [
            &br#"Bearer realm="a"#[..],
            br#"Bearer realm="a\"#,
            br#"Bearer realm="a" service="b""#,
            br"Bearer realm=a, realm=b",
            b"Bearer realm=\"a\x01\"",
            b"Bearer realm=\"\xff\"",
            b"=x",
            b"\"x\"",
            b"Basic \x80",
        ] {
            assert!(read(header).is_err(), "{}", String::from_utf8_lossy(header));
        }
        assert!(read(&vec![b'a'; MAX_LENGTH + 1]).is_err());
        assert!(read("a,".repeat(MAX_COUNT + 1).as_bytes()).is_err());
        let many: Vec<_> = (0..=MAX_COUNT).map(|number| format!("p{number}=1")).collect();
        assert!(read(format!("a {}", many.join(",")).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn nearly_right_headers_are_read_or_refused(header in r#"([A-Za-z]{1,3}|[ ,="\\]|a=b){0,40}"#) {
            let _ = read(header.as_bytes());
        }

        #[test]
        fn whatever_is_quoted_comes_back(values in prop::collection::vec("[ -~é]{0,20}", 1..8)) {
            let quoted = |value: &String| value.replace('\\', "\\\\").replace('"', "\\\"");
            let parameters: Vec<_> =
                values.iter().enumerate().map(|(number, value)| format!("p{number}=\"{}\"", quoted(value))).collect();
            let challenges = read(format!("Bearer {}", parameters.join(", ")).as_bytes()).expect("challenges");
            prop_assert_eq!(challenges.len(), 1);
            for (number, value) in values.iter().enumerate() {
                prop_assert_eq!(challenges[0].get(&format!("p{number}")), Some(value.as_str()));
            }
        }
    }
}
