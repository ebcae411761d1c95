//! Images made of directories, and indexes made of images.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hardway::explain::Explanation;
use hardway::kernel::overlay::wants_user_attributes;
use rootfs_fetch::image::{Descriptor, Document, ImageConfiguration, Platform};
use rootfs_fetch::layer::Xattrs;
use rootfs_fetch::pack::{self, Compression, Format, ImageBuilder, Options, PackedLayer};
use rootfs_fetch::store::{Image, Store};
use serde_json::json;

use super::progress::bytes;
use super::{What, find, open, platform};
use crate::cli::image::{Index, Kind, Pack, Squeeze};
use crate::commands::say;

/// `hardway image pack`.
pub fn pack(options: &Pack) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be made", options.name);
    if options.compression == Squeeze::Gzip && options.level.is_some_and(|level| level > 9) {
        return Err(Explanation::new(what, "gzip has the levels 0 to 9", "name one of them, or --compression zstd"));
    }
    let store = open(&options.place)?;
    let platform = platform(&options.platforms)?;
    let from = match &options.from {
        Some(name) => Some(store.image(&find(&store, name)?, &platform).what(&what)?),
        None => None,
    };
    let layer = match &options.tree {
        Some(tree) => Some(layer(&store, tree, options).what(&what)?),
        None => None,
    };
    let builder = match &from {
        Some(image) => ImageBuilder::on(&store, image).what(&what)?,
        None => ImageBuilder::new(&store, &platform),
    };
    let builder = match source_date_epoch()? {
        Some(time) => builder.created(time).what(&what)?,
        None => builder,
    };
    let builder = match (&layer, &options.tree) {
        (Some(layer), Some(tree)) if layer.counts.entries > 0 => builder.layer(layer, created_by(options, tree)),
        (_, Some(tree)) => builder.history(created_by(options, tree)),
        _ => builder,
    };
    let descriptor = configured(builder, options)?.write(format(options.format, from.as_ref())).what(&what)?;
    store.tag(&options.name, &descriptor).what(&what)?;
    for line in told(&options.name, &descriptor, layer.as_ref()) {
        say(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The layer that the options ask for: of all of a tree, of what differs in it from another, of what an overlay kept.
fn layer(store: &Store, tree: &Path, options: &Pack) -> Result<PackedLayer, pack::PackError> {
    let how = Options { compression: compression(options), ..Options::default() };
    match (&options.lower, options.upper) {
        (Some(lower), _) => pack::diff(store, lower, tree, &how),
        (None, true) => {
            pack::upper(store, tree, if wants_user_attributes() { Xattrs::User } else { Xattrs::Trusted }, &how)
        }
        (None, false) => pack::tree(store, tree, &how),
    }
}

fn compression(options: &Pack) -> Compression {
    match options.compression {
        Squeeze::None => Compression::None,
        Squeeze::Gzip => Compression::Gzip(options.level.map_or(6, u32::from)),
        Squeeze::Zstd => Compression::Zstd(options.level.map_or(3, i32::from)),
    }
}

fn created_by(options: &Pack, tree: &Path) -> String {
    options.created_by.clone().unwrap_or_else(|| format!("COPY {} /", tree.display()))
}

/// The builder, told what is run in the image. What changes no file is a line of the history, as with Dockerfiles.
fn configured(mut builder: ImageBuilder, options: &Pack) -> Result<ImageBuilder, Explanation> {
    for pair in &options.env {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Explanation::new(format!("{pair} is no variable"), "there is no = in it", "write NAME=VALUE")
        })?;
        builder = builder.env(name, value).history(format!("ENV {pair}"));
    }
    for pair in &options.label {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        builder = builder.label(name, value).history(format!("LABEL {pair}"));
    }
    if let Some(user) = &options.user {
        builder = builder.user(user).history(format!("USER {user}"));
    }
    if let Some(directory) = &options.working_dir {
        builder = builder.working_dir(directory).history(format!("WORKDIR {directory}"));
    }
    if !options.entrypoint.is_empty() {
        let words = json!(options.entrypoint);
        builder = builder.entrypoint(options.entrypoint.clone()).history(format!("ENTRYPOINT {words}"));
    }
    if !options.cmd.is_empty() {
        builder = builder.cmd(options.cmd.clone()).history(format!("CMD {}", json!(options.cmd)));
    }
    Ok(builder)
}

/// As asked for, or as the image below is.
fn format(asked: Option<Kind>, from: Option<&Image>) -> Format {
    match (asked, from) {
        (Some(Kind::Docker), _) => Format::Docker,
        (None, Some(image)) => Format::of(&image.manifest),
        _ => Format::Oci,
    }
}

/// The time that is written into what is made: the variable of reproducible-builds.org, or nothing.
fn source_date_epoch() -> Result<Option<SystemTime>, Explanation> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds: Option<u64> = text.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds.ok_or_else(|| {
        Explanation::new("SOURCE_DATE_EPOCH is no time", "it is not a number of seconds since 1970", "unset it")
    })?;
    Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn told(name: &str, descriptor: &Descriptor, layer: Option<&PackedLayer>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(layer) = layer {
        let counts = &layer.counts;
        lines.push(match counts.entries {
            0 => "no layer: nothing differs".to_owned(),
            _ => format!(
                "layer    {}\n         {} entries, {} whiteouts, {}; {} uncompressed\ndiff_id  {}",
                layer.digest,
                counts.entries,
                counts.whiteouts,
                bytes(layer.size),
                bytes(layer.uncompressed),
                layer.diff_id
            ),
        });
        if counts.sockets > 0 {
            lines.push(format!("{} sockets were left out", counts.sockets));
        }
    }
    lines.push(format!("{name}: {}", descriptor.digest()));
    lines
}

/// `hardway image index`: what is there under the names, each for the platform that its config says.
pub fn index(options: &Index) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be made", options.name);
    let store = open(&options.place)?;
    let mut manifests = Vec::new();
    for name in &options.images {
        let descriptor = find(&store, name)?;
        match store.document(descriptor.digest()).what(&what)?.1 {
            Document::Index(index) => manifests.extend(index.manifests().iter().cloned()),
            Document::Manifest(_) => {
                // Of a manifest there is no choice, so that any platform will do.
                let image = store.image(&descriptor, &rootfs_fetch::image::here()).what(&what)?;
                let mut entry =
                    Descriptor::new(descriptor.media_type().clone(), descriptor.size(), descriptor.digest().clone());
                entry.set_platform(Some(platform_of(&image.config)));
                manifests.push(entry);
            }
        }
    }
    let format = if options.format == Kind::Docker { Format::Docker } else { Format::Oci };
    let descriptor = pack::index(&store, &manifests, format).what(&what)?;
    store.tag(&options.name, &descriptor).what(&what)?;
    say(&format!("{}: {}, {} images", options.name, descriptor.digest(), manifests.len()));
    Ok(ExitCode::SUCCESS)
}

fn platform_of(config: &ImageConfiguration) -> Platform {
    let mut platform = Platform::default();
    platform.set_os(config.os().clone());
    platform.set_architecture(config.architecture().clone());
    platform.set_variant(config.variant().clone());
    platform
}
