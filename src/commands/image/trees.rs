//! Root file systems of images: unpacked, mounted, and taken away.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hardway::explain::Explanation;
use hardway::kernel::overlay::wants_user_attributes;
use hardway::kernel::sys::{self, MsFlags};
use hardway::kernel::trace::Trace;
use hardway::probe::mounts::parse_mountinfo;
use rootfs_fetch::image::Verified;
use rootfs_fetch::layer::{Counts, Deed, Event, Kind, Layer, Target, Xattrs};
use rootfs_fetch::store::Image;
use rootfs_fetch::unpack::{Progress, Snapshots, Unpack as Unpacking};

use super::progress::{self, Bars, bytes};
use super::{What, directory, find, open, platform};
use crate::cli::image::{Apply, Mount, Place, Unpack};
use crate::commands::say;

/// `hardway image unpack`.
pub fn unpack(options: &Unpack) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be unpacked", options.name);
    let store = open(&options.place)?;
    let image = store.image(&find(&store, &options.name)?, &platform(&options.platforms)?).what(&what)?;
    let bars = Bars::new();
    let unpacked = unpacking(&image, &bars).what(&what)?.flat(&store, &image, &options.directory).what(&what)?;
    say(&format!("{}: {}", options.directory.display(), told(&unpacked.counts)));
    Ok(ExitCode::SUCCESS)
}

/// Which is shown, and can be cancelled.
fn unpacking<'a>(image: &'a Image, bars: &'a Bars) -> io::Result<Unpacking<'a>> {
    let tell = |at: Progress| bars.unpacked(&image.layers[at.layer], at);
    Ok(Unpacking::new().cancel(progress::cancelled_by_signals()?).progress(tell))
}

/// `hardway image apply`: one layer, entry by entry.
pub fn apply(options: &Apply) -> Result<ExitCode, Explanation> {
    let what = format!("Layer {} of {} can not be applied", options.layer, options.name);
    let store = open(&options.place)?;
    let image = store.image(&find(&store, &options.name)?, &platform(&options.platforms)?).what(&what)?;
    let layer = image.layers.get(usize::from(options.layer) - 1).ok_or_else(|| {
        let why = format!("it has {} of them", image.layers.len());
        Explanation::new(&what, why, "1 is the lowest; hardway image inspect tells of all")
    })?;
    let directory = options.directory.clone();
    let target = match options.overlay {
        false => Target::Flat(directory),
        true => {
            let xattrs = if wants_user_attributes() { Xattrs::User } else { Xattrs::Trusted };
            Target::Overlay { directory, xattrs, lower: options.lower.clone() }
        }
    };
    let descriptor = &layer.descriptor;
    let blob = store.blob(descriptor.digest()).what(&what)?;
    let blob = Verified::new(io::BufReader::new(blob), descriptor.digest(), descriptor.size()).what(&what)?;
    let how = Layer::new(descriptor.media_type().clone()).diff_id(layer.diff_id.clone());
    let applied = how.apply(blob, &target, &mut |event| say(&done(event))).what(&what)?;
    say(&format!("{}: {}", options.directory.display(), told(&applied.counts)));
    Ok(ExitCode::SUCCESS)
}

/// What one entry did, in a line.
fn done(event: &Event<'_>) -> String {
    let (verb, how) = match (event.deed, event.kind) {
        (Deed::Added, _) => ("adds", ""),
        (Deed::Replaced, _) => ("changes", ""),
        (Deed::Deleted(_), Kind::Opaque) => ("deletes", ", all that was in it"),
        (Deed::Deleted(_), _) => ("deletes", ""),
        (Deed::Marked, Kind::Opaque) => ("marks", " as opaque"),
        (Deed::Marked, _) => ("marks", " as deleted"),
        (Deed::LeftOut(_), _) => ("leaves", " out"),
        (Deed::Nothing, _) => ("keeps", ""),
    };
    format!("{verb:8}/{}{how}", event.path.display())
}

/// `hardway image mount`: one overlay of the layers, each of which was unpacked once for all images that have it.
pub fn mount(options: &Mount) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be mounted", options.name);
    let store = open(&options.place)?;
    let image = store.image(&find(&store, &options.name)?, &platform(&options.platforms)?).what(&what)?;
    let beside = snapshots(&options.place)?;
    let snapshots = Snapshots::open(&beside).what(&what)?;
    let bars = Bars::new();
    let taken = unpacking(&image, &bars).what(&what)?.take(&snapshots, &store, &image).what(&what)?;
    let mut lower: Vec<String> = taken.directories().iter().rev().map(|path| path.display().to_string()).collect();
    if lower.len() == 1 && options.upper.is_none() {
        // An overlay of one directory is none (fs/overlayfs/params.c).
        lower.push(nothing(&beside)?);
    }
    let mut words = vec![format!("lowerdir={}", lower.join(":"))];
    if let (Some(upper), Some(work)) = (&options.upper, &options.work) {
        words.push(format!("upperdir={}", upper.display()));
        words.push(format!("workdir={}", work.display()));
    }
    if taken.xattrs() == Xattrs::User {
        words.push("userxattr".to_owned());
    }
    let at = options.directory.display().to_string();
    let mounted = sys::mount(
        &mut Trace::new("hardway"),
        "overlay",
        &at,
        Some("overlay"),
        MsFlags::empty(),
        Some(&words.join(",")),
    );
    mounted.map_err(|error| {
        let fix = match error.errno.is_invalid() {
            true => {
                "the kernel says more to its log (dmesg): upper and work have to be on one mount, and that no overlay; hardway image unpack needs none"
            }
            false => {
                "mounts are for root, or for root of a user namespace in a mount namespace of its own: unshare -rm"
            }
        };
        Explanation::new(&what, error.to_string(), fix)
    })?;
    say(&format!("{at}: {} layers; umount {at} ends it", image.layers.len()));
    Ok(ExitCode::SUCCESS)
}

/// `hardway image gc`: blobs, and then layers of images that have no name any more.
pub fn collect(now: bool, place: &Place) -> Result<ExitCode, Explanation> {
    let what = "The store can not be cleared";
    let store = open(place)?;
    let collected = if now { store.gc_older_than(Duration::ZERO) } else { store.gc() }.what(what)?;
    let freed = bytes(collected.bytes);
    say(&format!("{} blobs and {} broken downloads are gone, {freed}", collected.blobs, collected.unfinished));
    let snapshots = snapshots(place)?;
    if snapshots.exists() {
        let snapshots = Snapshots::open(snapshots).what(what)?.mounted(mounted().what(what)?);
        let removed = snapshots.gc(&store).what(what)?;
        say(&format!("{} unpacked layers are gone, and {} are in use", removed.layers, removed.in_use));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where unpacked layers are: beside the store, in which other tools would wonder about them. As the kernel will name it.
fn snapshots(place: &Place) -> Result<PathBuf, Explanation> {
    let store = directory(place)?.canonicalize().what("The store can not be looked up")?;
    let mut beside = store.into_os_string();
    beside.push(".layers");
    Ok(beside.into())
}

/// An empty directory.
fn nothing(beside: &Path) -> Result<String, Explanation> {
    let path = beside.join("empty");
    fs::create_dir_all(&path).what("An empty directory can not be made")?;
    Ok(path.display().to_string())
}

/// The layers of all overlays that are mounted here. (What another mount namespace has mounted can not be seen.)
fn mounted() -> Result<HashSet<PathBuf>, String> {
    let text = fs::read("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    let mounts = parse_mountinfo(&text)?;
    let overlays = mounts.iter().filter(|mount| mount.fstype == "overlay");
    let options = overlays.flat_map(|mount| mount.super_options.split(','));
    let lower = options.filter_map(|option| option.strip_prefix("lowerdir="));
    Ok(lower.flat_map(|list| list.split(':')).map(PathBuf::from).collect())
}

fn told(counts: &Counts) -> String {
    let mut told = format!("{} entries, {}", counts.entries, bytes(counts.bytes));
    for (reason, count) in &counts.not_applied {
        told.push_str(&format!("; {count} times {reason}"));
    }
    told
}
