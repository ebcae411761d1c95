//! The layers of images: what is in their archives, and what that does to the layers below (image-spec, layer.md).

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rootfs_fetch::image::Descriptor;
use rootfs_fetch::layer::{Kind, Layer as Archive, Limits, Listed};
use serde::{Deserialize, Serialize};

use super::layout;
use super::rows::{Sheet, quote};
use super::{Observation, Panel};
use crate::kernel::path::Tree;

/// How many images are looked at, in all layouts.
const MAX_IMAGES: usize = 16;

/// How many layers of an image are looked at: the lowest.
const MAX_LAYERS: usize = 16;

/// The largest blob that is looked through, in bytes.
const MAX_BLOB: u64 = 256 << 10;

/// How much of an archive is decompressed, and how many of its entries are told.
const LIMITS: Limits = Limits { uncompressed: 1 << 20, entries: 48, file: 1 << 40, names: 1 << 20 };

/// How much of a file is read, in bytes.
const MAX_TEXT: usize = 128;

/// The images of one layout, and what is in their layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The directory of the layout.
    pub store: String,
    /// By their names, in the order of its index.
    pub images: Vec<(String, Vec<Layer>)>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its blob.
    pub digest: String,
    /// The size of its blob, in bytes.
    pub size: u64,
    /// What is in its archive, each name once.
    pub entries: Vec<Entry>,
    /// Why that is not all.
    pub trouble: Option<String>,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, without `./` before and `/` behind it.
    pub name: String,
    /// What it is.
    pub is: Is,
    /// The size of a file, in bytes.
    pub size: u64,
    /// The first line of a file, or as much of it as was read.
    pub line: Option<String>,
}

/// What a member of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// A regular file, or another name for one.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device or a named pipe.
    Special,
    /// `.wh.NAME`.
    Whiteout,
    /// `.wh..wh..opq`.
    Opaque,
}

impl Is {
    fn words(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Special => "device or pipe",
            Self::Whiteout => "whiteout",
            Self::Opaque => "opaque whiteout",
        }
    }
}

impl Entry {
    fn of(listed: Listed) -> Self {
        let name = String::from_utf8_lossy(&listed.name);
        let name = name.strip_prefix("./").unwrap_or(&name).trim_end_matches('/');
        let is = match listed.kind {
            Kind::File | Kind::Hardlink | Kind::Aufs => Is::File,
            Kind::Directory => Is::Directory,
            Kind::Symlink => Is::Symlink,
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => Is::Special,
            Kind::Whiteout => Is::Whiteout,
            Kind::Opaque => Is::Opaque,
        };
        let line = || String::from_utf8_lossy(&listed.head).lines().next().unwrap_or_default().to_owned();
        let line = (listed.kind == Kind::File).then(line);
        Self { name: if name.is_empty() { "." } else { name }.to_owned(), is, size: listed.size, line }
    }

    /// The path that it is about: of a whiteout, what that hides.
    fn path(&self) -> String {
        match (self.is, self.name.rsplit_once('/').map_or(("", self.name.as_str()), |both| both)) {
            (Is::Opaque, (above, _)) => above.to_owned(),
            (Is::Whiteout, (above, name)) => {
                let name = name.strip_prefix(".wh.").unwrap_or(name);
                if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
            }
            _ => self.name.clone(),
        }
    }

    /// What it does to the layers below, and why.
    fn told(&self, below: &Below) -> (String, &'static str) {
        let path = self.path();
        let has = below.paths.contains(&path);
        let is_inside = |other: &&String| is_below(other, &path);
        let gone = below.paths.iter().filter(is_inside).count() + usize::from(has && self.is == Is::Whiteout);
        let (words, meaning) = match self.is {
            Is::Whiteout | Is::Opaque if gone == 0 && below.is_part => (
                format!("{} of {path}", self.is.words()),
                "It hides what the layers below have there, and not all of those were looked through.",
            ),
            Is::Whiteout | Is::Opaque if gone == 0 => (
                format!("{}: nothing below", self.is.words()),
                "No layer below has what it would hide, so it does nothing.",
            ),
            Is::Whiteout => (
                format!("deletes {path}"),
                "A whiteout: an empty file whose name says what of the layers below is deleted. Their blobs keep it.",
            ),
            Is::Opaque => (
                format!("deletes all in {path}"),
                "An opaque whiteout: of what layers below have in this directory nothing is left. What this layer has in it stays.",
            ),
            _ if self.name.split('/').any(|part| part == "..") => (
                format!("{} outside", self.is.words()),
                "This name leads out of the root file system. Whoever applies the layer has to refuse it.",
            ),
            Is::Directory if has => (
                "directory, as below".to_owned(),
                "A directory that a layer below has too: it may get another owner, mode or time, and what is in it stays.",
            ),
            _ if has => (
                format!("changes {}", self.is.words()),
                "A layer below has this path too. This one takes its place, as a whole, and both are stored.",
            ),
            _ if below.is_part => (
                self.is.words().to_owned(),
                "It takes the place of what the layers below have there, if they do: not all of those were looked through.",
            ),
            _ => (format!("adds {}", self.is.words()), "No layer below has this path."),
        };
        (if self.is == Is::File { format!("{words}, {} B", self.size) } else { words }, meaning)
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// What the layers below one have.
#[derive(Clone, Default)]
struct Below {
    paths: BTreeSet<String>,
    /// That some of them were not looked through.
    is_part: bool,
}

impl Below {
    /// What there is when this layer was applied, too.
    fn and(mut self, layer: &Layer) -> Self {
        for entry in layer.entries.iter().filter(|entry| matches!(entry.is, Is::Whiteout | Is::Opaque)) {
            let path = entry.path();
            self.paths.retain(|other| !is_below(other, &path) && (entry.is == Is::Opaque || *other != path));
        }
        let own = layer.entries.iter().filter(|entry| !matches!(entry.is, Is::Whiteout | Is::Opaque));
        self.paths.extend(own.map(|entry| entry.name.clone()));
        self.is_part |= layer.trouble.is_some();
        self
    }
}

impl Observation {
    /// A layer of an image, by the directory of its layout, its name and its number; the lowest is 1.
    pub fn layer(&self, store: &str, name: &str, number: usize) -> Option<&Layer> {
        let store = self.layers.iter().find(|layers| layers.store == store)?;
        let (_, layers) = store.images.iter().find(|(own, _)| own == name)?;
        layers.get(number.checked_sub(1)?)
    }
}

/// Reads the layers of the images whose layouts are in this directory, as the first process has it.
pub(super) fn read(proc: &Path, observation: &Observation, directory: &Path) -> Vec<Layers> {
    let Some(first) = observation.processes.first() else { return Vec::new() };
    let Ok(tree) = Tree::at(&proc.join(format!("{}/root", first.pid))) else { return Vec::new() };
    look(&tree, directory)
}

fn look(tree: &Tree, directory: &Path) -> Vec<Layers> {
    let mut known: HashMap<String, Layer> = HashMap::new();
    let mut left = MAX_IMAGES;
    let layers = layout::layouts(tree, directory).into_iter().map(|path| {
        let mut images = layout::images(tree, &path);
        images.truncate(left);
        left -= images.len();
        let images = images.into_iter().map(|(name, descriptors)| {
            let each = descriptors.iter().take(MAX_LAYERS);
            let each = each.map(|it| {
                let layer = known.entry(it.digest().to_string()).or_insert_with(|| list(tree, &path, it));
                layer.clone()
            });
            (name, each.collect())
        });
        let images = images.collect();
        Layers { store: path.to_string_lossy().into_owned(), images }
    });
    layers.collect()
}

/// What is in a blob.
fn list(tree: &Tree, layout: &Path, of: &Descriptor) -> Layer {
    let mut layer = Layer { digest: of.digest().to_string(), size: of.size(), entries: Vec::new(), trouble: None };
    let Some(blob) = tree.file(&layout::blob(layout, of.digest()), MAX_BLOB) else {
        layer.trouble = Some("not here, or too large to be looked through".to_owned());
        return layer;
    };
    let archive = Archive::new(of.media_type().clone()).limits(LIMITS);
    let mut tell = |listed| {
        let entry = Entry::of(listed);
        layer.entries.retain(|other: &Entry| other.name != entry.name);
        layer.entries.push(entry);
        true
    };
    let listed = archive.list(blob, MAX_TEXT, &mut tell);
    layer.trouble = listed.err().map(|error| error.to_string());
    layer
}

/// The rows of the layers panel. An image whose layers are the lowest of another one is shown as that.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for Layers { store, images } in &observation.layers {
        for (index, (name, layers)) in images.iter().enumerate() {
            let mut about = sheet.about_thing(Panel::Layers, format!("{name} in {store}"));
            let is_part = |(other, (_, all)): &(usize, &(String, Vec<Layer>))| {
                all.starts_with(layers) && (all.len() > layers.len() || *other < index)
            };
            let whole = images.iter().enumerate().filter(is_part).max_by_key(|(_, (_, all))| all.len());
            let (source, command) = (
                format!("{store}/index.json"),
                format!("hardway image inspect {} --store {}", quote(name), quote(store)),
            );
            if let Some((_, (whole, _))) = whole {
                let count = layers.len();
                let meaning = "The same blobs, stored once: this image is what is below in the other.";
                about.row("layers", format!("{count}, the lowest of {whole}"), source, command, meaning);
                continue;
            }
            let mut below = vec![Below::default()];
            for layer in layers {
                below.push(below.last().cloned().unwrap_or_default().and(layer));
            }
            for ((number, layer), below) in layers.iter().enumerate().zip(&below).rev() {
                let number = number + 1;
                let (algorithm, hex) = layer.digest.split_once(':').unwrap_or_default();
                let blob = format!("{store}/blobs/{algorithm}/{hex}");
                let command = format!("tar -tvf {}", quote(&blob));
                let short = hex.get(..12).unwrap_or(hex);
                let entries = match (layer.entries.len(), &layer.trouble) {
                    (0, Some(why)) => why.clone(),
                    (1, None) => "1 entry".to_owned(),
                    (count, None) => format!("{count} entries"),
                    (count, Some(why)) => format!("{count} entries; {why}"),
                };
                let value = format!("{short}, {} B, {entries}", layer.size);
                let meaning = "A blob of the layout: a tar archive, mostly compressed, whose name is the digest of its bytes. 1 is the lowest layer.";
                about.row(&format!("layer {number}"), value, blob.clone(), command.clone(), meaning);
                for entry in &layer.entries {
                    let (words, meaning) = entry.told(below);
                    about.row(&format!("{number} {}", entry.name), words, blob.clone(), command.clone(), meaning);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use rootfs_fetch::image::here;
    use rootfs_fetch::pack::{self, Format, ImageBuilder, Options};
    use rootfs_fetch::store::Store;

    use super::*;

    /// A layout with `base`, and `web` with one more layer.
    fn made(place: &Path) {
        for path in ["base/www", "app/www"] {
            fs::create_dir_all(place.join(path)).unwrap();
        }
        for (path, text) in [("base/secret", "hunter2\nmore"), ("base/www/a", "a"), ("base/os", "x"), ("app/os", "xy")]
        {
            fs::write(place.join(path), text).unwrap();
        }
        fs::write(place.join("app/www/c"), "").unwrap();
        let store = Store::open(place.join("images")).unwrap();
        let [base, app] = ["base", "app"].map(|name| place.join(name));
        let lowest = pack::tree(&store, &base, &Options::default()).unwrap();
        let next = pack::diff(&store, &base, &app, &Options::default()).unwrap();
        let image = ImageBuilder::new(&store, &here()).layer(&lowest, "base").write(Format::Oci).unwrap();
        store.tag("base", &image).unwrap();
        let image = ImageBuilder::new(&store, &here()).layer(&lowest, "base").layer(&next, "app");
        store.tag("web", &image.write(Format::Oci).unwrap()).unwrap();
    }

    fn names(place: &Path) -> Vec<String> {
        let mut found = vec![place.to_owned()];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            if path.is_dir() {
                found.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
            next += 1;
        }
        found.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn what_an_entry_does_is_told_by_the_layers_below_and_looking_makes_nothing() {
        let place = tempfile::tempdir().unwrap();
        made(place.path());
        let before = names(place.path());
        let seen = look(&Tree::at(place.path()).unwrap(), Path::new("/"));
        assert_eq!(names(place.path()), before);
        assert_eq!(seen.len(), 1, "base and app are no layouts");
        let observation = Observation { layers: seen, ..Observation::default() };
        let [lowest, next] = [1, 2].map(|number| observation.layer("/images", "web", number).unwrap());
        assert_eq!(Some(lowest), observation.layer("/images", "base", 1));
        let secret = lowest.entries.iter().find(|entry| entry.name == "secret").unwrap();
        assert_eq!((secret.line.as_deref(), secret.size), (Some("hunter2"), 12));
        let below = Below::default().and(lowest);
        let told = |name: &str| next.entries.iter().find(|entry| entry.name == name).unwrap().told(&below).0;
        assert_eq!(told(".wh.secret"), "deletes secret");
        assert_eq!(told("www/.wh.a"), "deletes www/a");
        assert_eq!(told("os"), "changes file, 2 B");
        assert_eq!(told("www/c"), "adds file, 0 B");
        assert_eq!(told("www"), "directory, as below");
        let merged = below.and(next).paths;
        assert!(!merged.contains("secret") && !merged.contains("www/a") && merged.contains("www/c"), "{merged:?}");
    }

    #[test]
    fn whiteouts_of_nothing_and_names_that_lead_out_are_told_as_that() {
        let entry = |name: &str, is| Entry { name: name.into(), is, size: 0, line: None };
        let below = Below { paths: ["www", "www/a", "wwwx"].map(String::from).into(), is_part: false };
        let told = |name: &str, is| entry(name, is).told(&below).0;
        assert_eq!(told(".wh.gone", Is::Whiteout), "whiteout: nothing below");
        assert_eq!(told("www/.wh..wh..opq", Is::Opaque), "deletes all in www");
        assert_eq!(told("etc/.wh..wh..opq", Is::Opaque), "opaque whiteout: nothing below");
        assert_eq!(told("../escape", Is::File), "file outside, 0 B");
        let entries = vec![entry("www/b", Is::File), entry("www/.wh..wh..opq", Is::Opaque)];
        let layer = Layer { digest: String::new(), size: 0, entries, trouble: None };
        let left: Vec<String> = below.clone().and(&layer).paths.into_iter().collect();
        assert_eq!(left, ["www", "www/b", "wwwx"], "what the layer brings itself stays");
        // Where a layer below could not be looked through, nobody knows what is not there.
        let unseen = Layer { trouble: Some("too large".into()), entries: Vec::new(), ..layer };
        let below = below.and(&unseen);
        let told = |name: &str, is| entry(name, is).told(&below).0;
        assert_eq!(told("usr/.wh.gone", Is::Whiteout), "whiteout of usr/gone");
        assert_eq!(told("www/.wh.a", Is::Whiteout), "deletes www/a");
        assert_eq!(told("motd", Is::File), "file, 0 B");
    }

    #[test]
    fn what_is_broken_is_told_and_no_layout_is_nothing() {
        let place = tempfile::tempdir().unwrap();
        assert!(look(&Tree::at(place.path()).unwrap(), Path::new("/")).is_empty());
        made(place.path());
        let tree = Tree::at(place.path()).unwrap();
        let digest = look(&tree, Path::new("/"))[0].images[0].1[0].digest.clone();
        let blob = place.path().join("images/blobs").join(digest.replace(':', "/"));
        fs::write(&blob, "no archive").unwrap();
        assert!(look(&tree, Path::new("/"))[0].images[0].1[0].trouble.is_some());
        fs::remove_file(blob).unwrap();
        assert!(look(&tree, Path::new("/"))[0].images[0].1[0].trouble.as_ref().unwrap().starts_with("not here"));
        fs::write(place.path().join("images/index.json"), "{").unwrap();
        assert!(look(&tree, Path::new("/"))[0].images.is_empty());
    }
}
