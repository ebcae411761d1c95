//! Where a repository is: at its registry, and at the mirrors of that.

use super::Client;
use super::error::ClientError;
use super::url::{Origin, Url};
use crate::image::{Digest, Reference};

/// The host of Docker Hub's registry, which has another name in references.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A repository at one registry.
pub(super) struct Place {
    /// What stands before `/v2/`.
    base: String,
    /// Who answers there.
    origin: Origin,
    /// The host under which credentials for it are kept.
    host: String,
    repository: String,
    /// Whether it only has copies of what another has.
    pub mirror: bool,
}

/// What is to be done in which repository, in the words of tokens: `repository:NAME:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// The registry's own. Only there its credentials are shown, whatever it may lead to.
    pub origin: Origin,
    /// The registry's host under which its credentials are kept.
    pub host: String,
    /// The repository; empty for the registry as a whole.
    pub repository: String,
    /// `pull`; `pull,push`; `delete`.
    pub actions: &'static str,
    /// A repository that is only read from, where there is one.
    pub from: Option<String>,
}

impl Place {
    /// The URL of something in the repository.
    pub fn url(&self, rest: &str) -> Result<Url, ClientError> {
        self.parse(format!("{}/v2/{}/{rest}", self.base, self.repository))
    }

    /// The URL where the API begins.
    pub fn root(&self) -> Result<Url, ClientError> {
        self.parse(format!("{}/v2/", self.base))
    }

    /// What is to be done there.
    pub fn scope(&self, actions: &'static str) -> Scope {
        let (origin, host, repository) = (self.origin.clone(), self.host.clone(), self.repository.clone());
        Scope { origin, host, repository, actions, from: None }
    }

    fn parse(&self, url: String) -> Result<Url, ClientError> {
        Url::parse(&url).map_err(|why| ClientError::reference(url, why))
    }
}

impl Scope {
    /// In the words of tokens.
    pub fn words(&self) -> Vec<String> {
        let own = (!self.repository.is_empty()).then(|| format!("repository:{}:{}", self.repository, self.actions));
        let from = self.from.as_ref().map(|from| format!("repository:{from}:pull"));
        own.into_iter().chain(from).collect()
    }
}

impl Client {
    /// The repository at its own registry.
    pub(super) fn home(&self, reference: &Reference) -> Result<Place, ClientError> {
        let reference = checked(reference)?;
        self.at(reference.registry(), reference.repository())
    }

    /// The registry, and no repository.
    pub(super) fn registry(&self, host: &str) -> Result<Place, ClientError> {
        let named: Reference = format!("{host}/x").parse().map_err(|why| ClientError::reference(host, why))?;
        if named.registry() != host {
            return Err(ClientError::reference(host, "this is not a host"));
        }
        self.at(host, "")
    }

    /// Tries what is only fetched at each mirror, and then at the repository's own registry. What is wrong at a mirror is only seen by
    /// the observer.
    pub(super) fn somewhere<T>(
        &self,
        reference: &Reference,
        fetch: impl Fn(&Place) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mirrors = self.mirrors(reference)?;
        let found = mirrors.iter().find_map(|mirror| fetch(mirror).ok());
        found.map_or_else(|| fetch(&self.home(reference)?), Ok)
    }

    /// The repository at the mirrors of its registry.
    pub(super) fn mirrors(&self, reference: &Reference) -> Result<Vec<Place>, ClientError> {
        let reference = checked(reference)?;
        let bases = self.options.mirrors.get(reference.registry()).map_or(&[][..], Vec::as_slice);
        let places = bases.iter().map(|base| {
            let url = Url::parse(base).map_err(|why| ClientError::option(format!("the mirror {base:?}"), why))?;
            Ok(Place {
                base: base.trim_end_matches('/').to_owned(),
                origin: url.origin(),
                host: url.host(),
                repository: reference.repository().to_owned(),
                mirror: true,
            })
        });
        places.collect()
    }

    fn at(&self, host: &str, repository: &str) -> Result<Place, ClientError> {
        let real = if host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { host };
        let scheme = if self.options.allows_plain_http(real) { "http" } else { "https" };
        let base = format!("{scheme}://{real}");
        let origin = Url::parse(&base).map_err(|why| ClientError::reference(host, why))?.origin();
        Ok(Place { base, origin, host: host.to_owned(), repository: repository.to_owned(), mirror: false })
    }
}

/// References can be put together from parts of any kind: what its text means is what counts. The parser takes a tag of letters of any
/// script; the specification's have ASCII's only.
pub(super) fn checked(reference: &Reference) -> Result<Reference, ClientError> {
    let text = reference.whole();
    if !text.is_ascii() {
        return Err(ClientError::reference(text, "there are letters in it that no reference has"));
    }
    text.parse().map_err(|why| ClientError::reference(text, why))
}

/// The digest of a reference, where it has one.
pub(super) fn digest_in(reference: &Reference) -> Result<Option<Digest>, ClientError> {
    let parse = |text: &str| text.parse().map_err(|why| ClientError::reference(text, why));
    reference.digest().map(parse).transpose()
}
