//! Images: what a name leads to in an image layout, and what two of them share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View};
use crate::probe::Layout;
use crate::probe::image::{Archive, Image, Kind, Part, short};

/// A name leads to an image that is whole: every digest is that of the bytes, and every archive is the one that the config means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Is {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name.
    pub name: String,
    /// How many layers it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// How many lines its history has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<usize>,
    /// For which platforms it is, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    /// Whose words its manifest has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// Whose media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// OCI's.
    Oci,
    /// Docker's.
    Docker,
}

impl Predicate for Is {
    fn claim(&self) -> String {
        let mut claim = format!("{} in {} is whole", self.name, self.store);
        if let Some(layers) = self.layers {
            claim.push_str(&format!(", has {}", counted(layers, "layer", "layers")));
        }
        if let Some(lines) = self.history {
            claim.push_str(&format!(", has {}", counted(lines, "line of history", "lines of history")));
        }
        if let Some(platforms) = &self.platforms {
            claim.push_str(&format!(", is for {}", platforms.join(", ")));
        }
        if let Some(format) = self.format {
            claim.push_str(&format!(", has a manifest of {}", format.word()));
        }
        claim
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let image = image(view, &self.store, &self.name)?;
        if let Some(fault) = image.fault() {
            return Ok((false, format!("{}: {fault}", self.name)));
        }
        let (layers, lines) = (image.layers().count(), image.history.len());
        let manifest = image.part(Kind::Manifest);
        let format = if manifest.is_some_and(Part::is_docker) { Format::Docker } else { Format::Oci };
        let fits = self.layers.is_none_or(|wanted| wanted == layers)
            && self.history.is_none_or(|wanted| wanted == lines)
            && self.platforms.as_ref().is_none_or(|wanted| *wanted == image.platforms)
            && self.format.is_none_or(|wanted| wanted == format);
        let platforms = image.platforms.join(", ");
        let (layers, lines) =
            (counted(layers, "layer", "layers"), counted(lines, "line of history", "lines of history"));
        Ok((fits, format!("{layers}, {lines}, for {platforms}, a manifest of {}", format.word())))
    }
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Oci => "OCI",
            Self::Docker => "Docker",
        }
    }
}

/// A name leads to an image that is not whole: bytes are others than their digest says, or are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name.
    pub name: String,
}

impl Predicate for Broken {
    fn claim(&self) -> String {
        format!("{} in {} is broken", self.name, self.store)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let fault = image(view, &self.store, &self.name)?.fault();
        Ok((fault.is_some(), fault.unwrap_or_else(|| format!("every digest of {} is right", self.name))))
    }
}

/// A layout has no such name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unnamed {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name.
    pub name: String,
}

impl Predicate for Unnamed {
    fn claim(&self) -> String {
        format!("{} has no image {}", self.store, self.name)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let layout = layout(view, &self.store)?;
        Ok((!layout.images.iter().any(|image| image.name == self.name), names(layout)))
    }
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartWord {
    /// Its manifest.
    Manifest,
    /// Its config.
    Config,
    /// The blob of its lowest layer.
    Layer,
    /// The archive in that.
    DiffId,
}

impl PartWord {
    fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "lowest layer",
            Self::DiffId => "diff_id of the lowest layer",
        }
    }

    /// Its digest, of an image in which that is the bytes' own.
    fn digest(self, image: &Image) -> Seen<&str> {
        if let Some(fault) = image.fault() {
            return Err(format!("{}: {fault}", image.name));
        }
        let of = |kind: Kind| image.part(kind).map(|part| part.digest.as_str());
        let digest = match self {
            Self::Manifest => of(Kind::Manifest),
            Self::Config => of(Kind::Config),
            Self::Layer => of(Kind::Layer),
            Self::DiffId => archive(image, 1).map(|archive| archive.said.as_str()),
        };
        digest.ok_or_else(|| format!("{} has no {}", image.name, self.word()))
    }
}

/// Two images have the same part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Same {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name of one image.
    pub one: String,
    /// That of the other.
    pub other: String,
    /// Which part.
    pub part: PartWord,
}

impl Predicate for Same {
    fn claim(&self) -> String {
        format!("{} and {} have the same {}", self.one, self.other, self.part.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        compare(view, &self.store, [&self.one, &self.other], self.part)
    }
}

/// Two images differ in a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name of one image.
    pub one: String,
    /// That of the other.
    pub other: String,
    /// Which part.
    pub part: PartWord,
}

impl Predicate for Differs {
    fn claim(&self) -> String {
        format!("{} and {} differ in the {}", self.one, self.other, self.part.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let (is_same, seen) = compare(view, &self.store, [&self.one, &self.other], self.part)?;
        Ok((!is_same, seen))
    }
}

fn compare(view: &View<'_>, store: &str, names: [&str; 2], part: PartWord) -> Seen<(bool, String)> {
    let one = part.digest(image(view, store, names[0])?)?;
    let other = part.digest(image(view, store, names[1])?)?;
    Ok((one == other, format!("{} {}, {} {}", names[0], short(one), names[1], short(other))))
}

/// How many blobs a layout has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blobs {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
}

impl Probe for Blobs {
    fn words(&self) -> String {
        format!("the number of blobs that {} has", self.store)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(layout(view, &self.store)?.blobs.len().to_string())
    }
}

/// The first twelve digits of the digest of a part of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageDigest {
    /// The directory with the layout, right below `/lab`.
    pub store: String,
    /// The name of the image.
    pub name: String,
    /// Which part.
    pub part: PartWord,
}

impl Probe for ImageDigest {
    fn words(&self) -> String {
        format!("the first twelve digits of the digest: {} of {} in {}", self.part.word(), self.name, self.store)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(short(self.part.digest(image(view, &self.store, &self.name)?)?).to_owned())
    }
}

fn layout<'a>(view: &View<'a>, store: &str) -> Seen<&'a Layout> {
    view.observation.layout(store).ok_or_else(|| format!("there is no image layout {store}"))
}

fn image<'a>(view: &View<'a>, store: &str, name: &str) -> Seen<&'a Image> {
    let layout = layout(view, store)?;
    let image = layout.images.iter().find(|image| image.name == name);
    image.ok_or_else(|| format!("no image {name}; {}", names(layout)))
}

fn names(layout: &Layout) -> String {
    let names: Vec<&str> = layout.images.iter().map(|image| image.name.as_str()).collect();
    let has = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
    layout.trouble.clone().unwrap_or_else(|| format!("{} has {has}", layout.path))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn archive(image: &Image, layer: usize) -> Option<&Archive> {
    image.layers().nth(layer.checked_sub(1)?)?.archive.as_ref()
}
