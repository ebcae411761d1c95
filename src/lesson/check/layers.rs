//! Layers of images: what their archives have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View};
use crate::probe::layers::{Entry, Is, Layer};

/// The archive of a layer has an entry of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// The directory of the image layout, in `/lab`.
    pub store: String,
    /// The image's name there.
    pub name: String,
    /// Which of its layers; 1 is the lowest.
    pub layer: usize,
    /// The entry's name, without `/` before and behind it: `etc/.wh.conf`.
    pub entry: String,
}

impl Predicate for Holds {
    fn claim(&self) -> String {
        format!("layer {} of {} has an entry {}", self.layer, self.name, self.entry)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let layer = layer(view, &self.store, &self.name, self.layer)?;
        let names: Vec<&str> = layer.entries.iter().map(|entry| entry.name.as_str()).collect();
        Ok((names.contains(&self.entry.as_str()), format!("it has {}", names.join(", "))))
    }
}

/// How many whiteouts are in the archive of a layer, the opaque ones too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whiteouts {
    /// The directory of the image layout, in `/lab`.
    pub store: String,
    /// The image's name there.
    pub name: String,
    /// Which of its layers; 1 is the lowest.
    pub layer: usize,
}

impl Probe for Whiteouts {
    fn words(&self) -> String {
        format!("the number of whiteouts that layer {} of {} has", self.layer, self.name)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let layer = whole(layer(view, &self.store, &self.name, self.layer)?)?;
        let is_whiteout = |entry: &&Entry| matches!(entry.is, Is::Whiteout | Is::Opaque);
        Ok(layer.entries.iter().filter(is_whiteout).count().to_string())
    }
}

/// The first line of a file in the archive of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The directory of the image layout, in `/lab`.
    pub store: String,
    /// The image's name there.
    pub name: String,
    /// Which of its layers; 1 is the lowest.
    pub layer: usize,
    /// The file's name, without `/` before it.
    pub entry: String,
}

impl Probe for Text {
    fn words(&self) -> String {
        format!("the first line of {} in layer {} of {}", self.entry, self.layer, self.name)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let layer = layer(view, &self.store, &self.name, self.layer)?;
        let entry = layer.entries.iter().find(|entry| entry.name == self.entry);
        entry.and_then(|entry| entry.line.clone()).ok_or_else(|| format!("the layer has no file {}", self.entry))
    }
}

fn layer<'a>(view: &View<'a>, store: &str, name: &str, number: usize) -> Seen<&'a Layer> {
    let found = view.observation.layer(store, name, number);
    found.ok_or_else(|| format!("no image {name} with a layer {number} is in {store}"))
}

fn whole(layer: &Layer) -> Seen<&Layer> {
    layer.trouble.as_ref().map_or(Ok(layer), |why| Err(why.clone()))
}
