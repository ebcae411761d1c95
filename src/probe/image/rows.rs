//! The rows of the image panel.

use super::{Archive, Found, Image, Kind, Layout, Part, short};
use crate::probe::Panel;
use crate::probe::rows::{About, Sheet, quote};

/// How many blobs without a name have rows.
const MAX_UNREACHED: usize = 16;

/// The rows of the image panel: of each layout, and of each name in it.
pub(in crate::probe) fn rows(sheet: &mut Sheet<'_>) {
    for layout in &sheet.observation.layouts {
        let mut about = sheet.about_thing(Panel::Image, layout.path.clone());
        of_layout(&mut about, layout);
        let mut nameless = 0;
        for image in &layout.images {
            let name = if image.name.is_empty() {
                nameless += 1;
                format!("without a name {nameless}")
            } else {
                image.name.clone()
            };
            let mut about = sheet.about_thing(Panel::Image, format!("{name} in {}", layout.path));
            of_image(&mut about, layout, image);
        }
    }
}

fn of_layout(about: &mut About<'_, '_>, layout: &Layout) {
    let file = |name: &str| format!("{}/{name}", layout.path);
    let (version, index, blobs) = (file("oci-layout"), file("index.json"), file("blobs"));
    let cat = |path: &str| format!("cat {}", quote(path));
    let meaning = "The file by which a directory is known to be an image layout, and of which version it is.";
    about.row("oci-layout", layout.version.clone(), version.clone(), cat(&version), meaning);
    let names: Vec<&str> = layout.images.iter().map(|image| image.name.as_str()).collect();
    let names = layout.trouble.clone().unwrap_or_else(|| names.join(" "));
    let meaning = "Where one begins to read: descriptors (media type, digest, size) of indexes and manifests, with names as annotations.";
    about.row("index.json", names, index.clone(), cat(&index), meaning);
    let (count, bytes) = (layout.blobs.len(), layout.blobs.values().sum::<u64>());
    let meaning =
        "All else, each file under the digest of its own bytes: what is the same is there once, whoever needs it.";
    about.row(
        "blobs",
        format!("{count} files, {bytes} bytes"),
        format!("lstat(2) of what is in {blobs}"),
        format!("ls -l {}/*", quote(&blobs)),
        meaning,
    );
    for digest in layout.unreached.iter().take(MAX_UNREACHED) {
        let path = path_of(layout, digest);
        let size = layout.blobs.get(digest).copied().unwrap_or_default();
        let meaning = "Nothing in index.json leads to it, not by way of another blob either: garbage, which stays until somebody collects it.";
        let key = format!("blob {}", short(digest));
        about.row(
            &key,
            format!("{size} bytes, no name leads to it"),
            path.clone(),
            format!("ls -l {}", quote(&path)),
            meaning,
        );
    }
}

fn of_image(about: &mut About<'_, '_>, layout: &Layout, image: &Image) {
    let mut layers = 0;
    for part in &image.parts {
        let path = path_of(layout, &part.digest);
        let is_layer = part.kind == Kind::Layer;
        layers += usize::from(is_layer);
        let (word, meaning) = told(part);
        let key = if is_layer { format!("layer {layers}") } else { word.to_owned() };
        let more = match part.kind {
            Kind::Index => format!("; {}", image.platforms.join(", ")),
            Kind::Config => format!("; {}", image.platforms.first().map_or("no platform", String::as_str)),
            Kind::Manifest | Kind::Layer => String::new(),
        };
        let value = format!(
            "{} {}, {} bytes, {}{more}",
            part.short(),
            words(&part.found),
            part.size,
            kind_of(&part.media_type)
        );
        about.row(&key, value, path.clone(), format!("sha256sum {}", quote(&path)), meaning);
        if let Some(archive) = &part.archive {
            of_archive(about, &key, &path, part, archive);
        }
    }
    for (index, line) in image.history.iter().enumerate() {
        let made = line.layer.map_or_else(|| "no layer".to_owned(), |layer| format!("layer {layer}"));
        let source = image.part(Kind::Config).map_or_else(String::new, |config| path_of(layout, &config.digest));
        let meaning = "A line of the config's history. One with empty_layer has changed the config and no file, so that it has no layer.";
        let (key, command) = (format!("history {}", index + 1), format!("cat {}", quote(&source)));
        about.row(&key, format!("{made}: {}", line.created_by), source, command, meaning);
    }
    if let Some(why) = &image.trouble {
        let index = format!("{}/index.json", layout.path);
        about.row(
            "trouble",
            why.clone(),
            index.clone(),
            format!("cat {}", quote(&index)),
            "What does not fit in this image.",
        );
    }
}

fn of_archive(about: &mut About<'_, '_>, key: &str, path: &str, part: &Part, archive: &Archive) {
    let unpack = match kind_of(&part.media_type) {
        kind if kind.ends_with("gzip") => format!("gzip -dc {}", quote(path)),
        kind if kind.ends_with("zstd") => format!("zstd -dc {}", quote(path)),
        _ => format!("cat {}", quote(path)),
    };
    let value = match &archive.found {
        Ok(found) if *found == archive.said => format!("{} computed: the same", short(found)),
        Ok(found) => format!("{} computed: OTHER, the config says {}", short(found), short(&archive.said)),
        Err(why) => format!("not computed: {why}"),
    };
    let meaning = "The digest of the archive before it was compressed, which the config keeps: however a layer is packed, it stays.";
    about.row(&format!("{key} diff_id"), value, path.to_owned(), format!("{unpack} | sha256sum"), meaning);
    if archive.entries == 0 {
        return;
    }
    let more = if archive.entries > archive.names.len() as u64 { " and more" } else { "" };
    let value = format!("{} entries: {}{more}", archive.entries, archive.names.join(" "));
    let meaning = "What the archive has: what this layer adds and changes, and by names that begin with .wh. what it deletes below.";
    about.row(&format!("{key} has"), value, path.to_owned(), format!("{unpack} | tar -t"), meaning);
}

/// What the bytes are.
fn words(found: &Found) -> String {
    match found {
        Found::Same => "computed: the same".to_owned(),
        Found::Other(digest, size) => format!("computed: OTHER, {} of {size} bytes", short(digest)),
        Found::Absent => "is not there".to_owned(),
        Found::Unread => "was not computed: too much to read".to_owned(),
    }
}

/// A media type without what all of them have.
fn kind_of(media_type: &str) -> &str {
    media_type.strip_prefix("application/").unwrap_or(media_type)
}

fn path_of(layout: &Layout, digest: &str) -> String {
    format!("{}/blobs/{}", layout.path, digest.replacen(':', "/", 1))
}

fn told(part: &Part) -> (&'static str, &'static str) {
    match part.kind {
        Kind::Index => ("index", "A list of manifests, each with its platform: whoever runs the image chooses one."),
        Kind::Manifest => (
            "manifest",
            "What a name leads to: one config and the layers, lowest first, by digests. Its own digest stands for all of it.",
        ),
        Kind::Config => (
            "config",
            "What is run, for which platform, by which history, of which archives. Docker calls its digest the image ID.",
        ),
        Kind::Layer => {
            ("layer", "A tar archive, mostly compressed: what was added and changed, and marks for what was deleted.")
        }
    }
}
