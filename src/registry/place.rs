//! Which thing of a registry a path names (distribution-spec 1.1, "Endpoints").
//!
//! The name of a repository has slashes in it, so that a path is read from its end: what stands before `/blobs/` or `/tags/` is the name,
//! whatever it looks like.

use std::str::FromStr;

use rootfs_fetch::image::Digest;

/// The longest name of a repository, in bytes. The specification leaves it to the registry; clients count the host's name in 255.
const MAX_NAME: usize = 255;

/// The longest tag, in bytes (distribution-spec, "Pulling manifests").
const MAX_TAG: usize = 128;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/v2/`: whether this is a registry, and whether one is let in (end-1).
    Root,
    /// A blob by its digest (end-2, end-10).
    Blob(Name, Digest),
    /// A manifest or an index (end-3, end-7, end-9).
    Manifest(Name, Which),
    /// Where uploads of blobs begin (end-4).
    Uploads(Name),
    /// An upload that has begun (end-5, end-6, end-13).
    Upload(Name, String),
    /// The tags of a repository (end-8).
    Tags(Name),
    /// The manifests that say that a manifest is their subject (end-12).
    Referrers(Name, Digest),
    /// The repositories: no end point of the specification, but every registry has it.
    Catalog,
    /// Where tokens are given out.
    Token,
}

/// The name of a repository, which has been checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Place {
    /// The repository that it is in; none for what is the registry's.
    pub fn repository(&self) -> Option<&Name> {
        match self {
            Self::Blob(name, _)
            | Self::Manifest(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
            Self::Root | Self::Catalog | Self::Token => None,
        }
    }
}

/// How a manifest is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By a tag, which can be moved.
    Tag(String),
    /// By its digest, which can not.
    Digest(Digest),
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPlace {
    /// It is no end point.
    Unknown,
    /// The repository has no name that a repository may have.
    Name,
    /// What should be a digest is none that is known here.
    Digest,
    /// What should be a tag or a digest is neither.
    Reference,
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(path: &str) -> Result<Self, BadPlace> {
        let inside = match path {
            "/token" => return Ok(Self::Token),
            "/v2" | "/v2/" => return Ok(Self::Root),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => path.strip_prefix("/v2/").ok_or(BadPlace::Unknown)?,
        };
        if let Some(name) = inside.strip_suffix("/tags/list") {
            return Ok(Self::Tags(name.parse()?));
        }
        if let Some(name) = inside.strip_suffix("/blobs/uploads/").or_else(|| inside.strip_suffix("/blobs/uploads")) {
            return Ok(Self::Uploads(name.parse()?));
        }
        let (before, last) = inside.rsplit_once('/').ok_or(BadPlace::Unknown)?;
        if let Some(name) = before.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(name.parse()?, last.to_owned()));
        }
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Self::Blob(name.parse()?, digest(last)?));
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Self::Referrers(name.parse()?, digest(last)?));
        }
        let name = before.strip_suffix("/manifests").ok_or(BadPlace::Unknown)?;
        let which = if last.contains(':') { Which::Digest(digest(last)?) } else { tag(last)? };
        Ok(Self::Manifest(name.parse()?, which))
    }
}

impl FromStr for Name {
    type Err = BadPlace;

    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/…)*`: words of small letters and digits, with separators only between them.
    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let is_valid = text.len() <= MAX_NAME && text.split('/').all(is_component);
        is_valid.then(|| Self(text.to_owned())).ok_or(BadPlace::Name)
    }
}

/// Whether this can stand between two slashes of a name.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_in_words =
        bytes.first().is_some_and(|byte| is_word(*byte)) && bytes.last().is_some_and(|byte| is_word(*byte));
    let mut separators = bytes.split(|byte| is_word(*byte)).filter(|between| !between.is_empty());
    ends_in_words && separators.all(|it| matches!(it, b"." | b"_" | b"__") || it.iter().all(|byte| *byte == b'-'))
}

/// A tag of which it is known that it can be one.
pub(super) fn tag(text: &str) -> Result<Which, BadPlace> {
    if is_tag(text) { Ok(Which::Tag(text.to_owned())) } else { Err(BadPlace::Reference) }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = text.as_bytes();
    (1..=MAX_TAG).contains(&bytes.len())
        && is_word(&bytes[0])
        && bytes.iter().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn digest(text: &str) -> Result<Digest, BadPlace> {
    text.parse().map_err(|_| BadPlace::Digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn place(path: &str) -> Result<Place, BadPlace> {
        path.replace("DIGEST", DIGEST).parse()
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn each_end_point_is_found() {
        let digest: Digest = DIGEST.parse().expect("a digest");
        assert_eq!(place("/v2/"), Ok(Place::Root));
        assert_eq!(place("/v2/a/b/c/blobs/DIGEST"), Ok(Place::Blob(name("a/b/c"), digest.clone())));
        assert_eq!(place("/v2/a/manifests/1.0"), Ok(Place::Manifest(name("a"), Which::Tag("1.0".into()))));
        assert_eq!(place("/v2/a/manifests/DIGEST"), Ok(Place::Manifest(name("a"), Which::Digest(digest.clone()))));
        assert_eq!(place("/v2/a/blobs/uploads/"), Ok(Place::Uploads(name("a"))));
        assert_eq!(place("/v2/a/blobs/uploads/7"), Ok(Place::Upload(name("a"), "7".into())));
        assert_eq!(place("/v2/a/tags/list"), Ok(Place::Tags(name("a"))));
        assert_eq!(place("/v2/a/referrers/DIGEST"), Ok(Place::Referrers(name("a"), digest)));
    }

    #[test]
    fn a_repository_may_be_called_as_an_end_point_is() {
        assert_eq!(place("/v2/blobs/uploads/tags/list"), Ok(Place::Tags(name("blobs/uploads"))));
        assert_eq!(place("/v2/tags/manifests/list"), Ok(Place::Manifest(name("tags"), Which::Tag("list".into()))));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(place("/"), Err(BadPlace::Unknown));
        assert_eq!(place("/v2/a"), Err(BadPlace::Unknown));
        assert_eq!(place("/v2/a/blobs/sha256:zz"), Err(BadPlace::Digest));
        assert_eq!(place("/v2/a/manifests/.hidden"), Err(BadPlace::Reference));
        for bad in ["A", "a//b", "../a", "a/", "-a", "a___b", "a..b", "a/.b", &"a".repeat(256)] {
            assert_eq!(place(&format!("/v2/{bad}/tags/list")), Err(BadPlace::Name), "{bad}");
        }
        for good in ["a", "a/b-c", "a__b", "a.b", "a---b", "0/1"] {
            assert!(place(&format!("/v2/{good}/tags/list")).is_ok(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_a_directory(path in "(/v2/)?[a-z./_:-]{0,40}(/tags/list|/manifests/[a-z.]{1,5})?") {
            if let Ok(Place::Tags(name) | Place::Manifest(name, _)) = path.parse() {
                prop_assert!(name.as_str().split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
