//! What an image is made of, and how it came to be.

use std::io;
use std::process::ExitCode;

use hardway::explain::Explanation;
use rootfs_fetch::image::{Descriptor, Document, ImageConfiguration, MediaType, Verified, platform_words};
use rootfs_fetch::layer::Layer;
use rootfs_fetch::store::{Image, ImageLayer, Store};
use serde_json::{Value, json};

use super::progress::{bytes, short};
use super::{What, find, open, platform};
use crate::cli::image::{One, Place};
use crate::commands::say;
use crate::report::FAILED;

/// `hardway image ls`.
pub fn list(place: &Place, as_json: bool) -> Result<ExitCode, Explanation> {
    let store = open(place)?;
    let names = store.names().what("The store can not be read")?;
    if as_json {
        let rows = names.iter().map(|(name, descriptor)| {
            json!({"name": name, "digest": descriptor.digest(), "media_type": descriptor.media_type(), "size": whole(&store, descriptor)})
        });
        say(&Value::Array(rows.collect()).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let width = names.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, descriptor) in &names {
        let (kind, size) = (kind(descriptor.media_type()), whole(&store, descriptor));
        say(&format!(
            "{name:width$}  {}  {:>10}  {kind}",
            short(descriptor.digest()),
            size.map_or_else(|| "?".into(), bytes)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of all that an image needs, each blob once; none where something is missing.
fn whole(store: &Store, descriptor: &Descriptor) -> Option<u64> {
    let mut sizes = std::collections::BTreeMap::new();
    let mut ahead = vec![descriptor.digest().clone()];
    while let Some(digest) = ahead.pop() {
        if sizes.insert(digest.to_string(), store.size(&digest)?).is_some() {
            continue;
        }
        let (_, document) = store.document(&digest).ok()?;
        for entry in document.needs() {
            match document {
                Document::Index(_) => ahead.push(entry.digest().clone()),
                Document::Manifest(_) => {
                    sizes.insert(entry.digest().to_string(), store.size(entry.digest())?);
                }
            }
        }
    }
    Some(sizes.values().sum())
}

/// `hardway image inspect`. Nothing is taken from a name: each digest is computed of the bytes that are there now.
pub fn inspect(options: &One) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be looked at", options.name);
    let store = open(&options.place)?;
    let descriptor = find(&store, &options.name)?;
    let image = store.image(&descriptor, &platform(&options.platforms)?).what(&what)?;
    let mut seen = Vec::new();
    if let (_, Document::Index(index)) = store.document(descriptor.digest()).what(&what)? {
        let mut one = Seen::new("index", &store, &descriptor);
        let platforms = index.manifests().iter().map(|entry| {
            let platform = entry.platform().as_ref().map_or_else(|| "any platform".to_owned(), platform_words);
            json!({"platform": platform, "digest": entry.digest(), "here": store.has(entry.digest())})
        });
        one.more.push(("manifests", Value::Array(platforms.collect())));
        seen.push(one);
    }
    seen.push(Seen::new("manifest", &store, &image.descriptor));
    seen.push(Seen::new("config", &store, image.manifest.config()));
    seen.extend(image.layers.iter().map(|layer| Seen::layer(&store, layer)));
    let wrong = seen.iter().any(|one| one.wrong.is_some());
    if options.json {
        let parts: Vec<Value> = seen.iter().map(Seen::json).collect();
        say(&json!({"format": 1, "name": options.name, "parts": parts, "config": image.config}).to_string());
    } else {
        for one in &seen {
            say(&one.text());
        }
        for line in run_by(&image.config) {
            say(&line);
        }
    }
    Ok(if wrong { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// A part of an image, and whether it is what its digest says.
struct Seen {
    part: &'static str,
    descriptor: Descriptor,
    wrong: Option<String>,
    more: Vec<(&'static str, Value)>,
}

impl Seen {
    fn new(part: &'static str, store: &Store, descriptor: &Descriptor) -> Self {
        Self { part, descriptor: descriptor.clone(), wrong: digest_again(store, descriptor).err(), more: Vec::new() }
    }

    fn layer(store: &Store, layer: &ImageLayer) -> Self {
        let mut one = Self::new("layer", store, &layer.descriptor);
        if one.wrong.is_none() {
            one.wrong = diff_id_again(store, layer).err();
        }
        one.more = vec![("diff_id", json!(layer.diff_id)), ("chain_id", json!(layer.chain_id))];
        one
    }

    fn json(&self) -> Value {
        let Self { part, descriptor, wrong, more } = self;
        let mut object = json!({
            "part": part, "digest": descriptor.digest(), "size": descriptor.size(),
            "media_type": descriptor.media_type(), "wrong": wrong,
        });
        for (name, value) in more {
            object[name] = value.clone();
        }
        object
    }

    fn text(&self) -> String {
        let Self { part, descriptor, wrong, more } = self;
        let verdict =
            wrong.as_ref().map_or_else(|| "computed anew: the same".to_owned(), |why| format!("WRONG: {why}"));
        let mut lines = vec![
            format!("{part:9} {}", descriptor.digest()),
            format!("          {}, {}, {verdict}", descriptor.media_type(), bytes(descriptor.size())),
        ];
        for (name, value) in more {
            match value {
                Value::Array(entries) => lines.extend(entries.iter().map(|entry| {
                    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
                    let here = if entry["here"] == true { "" } else { ", not in this store" };
                    format!("          {:16} {}{here}", text("platform"), text("digest"))
                })),
                other => lines.push(format!("          {name:9} {}", other.as_str().unwrap_or_default())),
            }
        }
        lines.join("\n")
    }
}

fn digest_again(store: &Store, descriptor: &Descriptor) -> Result<(), String> {
    let blob = store.blob(descriptor.digest()).map_err(|error| error.to_string())?;
    let mut verified =
        Verified::new(blob, descriptor.digest(), descriptor.size()).map_err(|error| error.to_string())?;
    io::copy(&mut verified, &mut io::sink()).map(drop).map_err(|error| error.to_string())
}

fn diff_id_again(store: &Store, layer: &ImageLayer) -> Result<(), String> {
    let blob = store.blob(layer.descriptor.digest()).map_err(|error| error.to_string())?;
    let wanted = Layer::new(layer.descriptor.media_type().clone()).diff_id(layer.diff_id.clone());
    wanted.measure(blob).map(drop).map_err(|error| error.to_string())
}

/// What is run in a container of this image, in the words of a Dockerfile.
fn run_by(config: &ImageConfiguration) -> Vec<String> {
    let Some(run) = config.config() else { return Vec::new() };
    let list = |words: &Option<Vec<String>>| {
        words.as_ref().filter(|words| !words.is_empty()).map(|words| json!(words).to_string())
    };
    let text = |word: &Option<String>| word.clone().filter(|word| !word.is_empty());
    let rows = [
        ("entrypoint", list(run.entrypoint())),
        ("cmd", list(run.cmd())),
        ("env", list(run.env())),
        ("workdir", text(run.working_dir())),
        ("user", text(run.user())),
    ];
    rows.into_iter().filter_map(|(name, value)| Some(format!("{name:10}{}", value?))).collect()
}

/// `hardway image history`: the entries of the config's history, and the layers that they made: an entry with `empty_layer` made none.
pub fn history(options: &One) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be looked at", options.name);
    let store = open(&options.place)?;
    let image = store.image(&find(&store, &options.name)?, &platform(&options.platforms)?).what(&what)?;
    let rows = rows(&image);
    if options.json {
        let entries = rows.iter().map(|row| {
            let layer = row.layer.map(|layer| &layer.descriptor);
            json!({
                "created": row.created, "created_by": row.created_by,
                "layer": layer.map(Descriptor::digest), "size": layer.map(Descriptor::size),
            })
        });
        let entries: Vec<Value> = entries.collect();
        say(&json!({"format": 1, "name": options.name, "entries": entries}).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        let layer = row.layer.map_or_else(
            || format!("{:12}  {:>10}", "no layer", ""),
            |layer| format!("{:12}  {:>10}", short(layer.descriptor.digest()), bytes(layer.descriptor.size())),
        );
        say(&format!("{layer}  {}", row.created_by.escape_debug()));
    }
    Ok(ExitCode::SUCCESS)
}

struct Row<'a> {
    created: Option<String>,
    created_by: String,
    layer: Option<&'a ImageLayer>,
}

fn rows(image: &Image) -> Vec<Row<'_>> {
    let mut layers = image.layers.iter();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for entry in image.config.history().iter().flatten() {
        let made = !entry.empty_layer().unwrap_or(false);
        let created_by = entry.created_by().clone().unwrap_or_else(|| "(nobody says)".to_owned());
        rows.push(Row { created: entry.created().clone(), created_by, layer: if made { layers.next() } else { None } });
    }
    // A config need not have a history, or not a whole one.
    rows.extend(layers.map(|layer| Row {
        created: None,
        created_by: "(not in the history)".to_owned(),
        layer: Some(layer),
    }));
    rows
}

fn kind(media_type: &MediaType) -> &'static str {
    let text = media_type.to_string();
    match () {
        () if text.contains("docker") && text.contains("list") => "Docker manifest list",
        () if text.contains("docker") => "Docker manifest",
        () if text.contains("index") => "OCI index",
        () => "OCI manifest",
    }
}
