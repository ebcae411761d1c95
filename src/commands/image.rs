//! `hardway image`: images in a store, and on their way from and to registries.

mod make;
mod progress;
mod show;
mod sign;
mod transport;
mod trees;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use hardway::explain::Explanation;
use hardway::kernel::host::{effective_uid, home_of};
use rootfs_fetch::image::{Descriptor, Platform, here};
use rootfs_fetch::store::Store;

use super::say;
use crate::cli::image::{ImageCommand, Place, Platforms};
use crate::report::FAILED;

/// Root's images: with owners and devices, for the whole machine.
const ROOTS: &str = "/var/lib/hardway/images";

/// `hardway image`.
pub fn run(command: &ImageCommand) -> Result<ExitCode, Explanation> {
    match command {
        ImageCommand::Pull(options) => transport::pull(options),
        ImageCommand::Push(options) => transport::push(options),
        ImageCommand::Copy(options) => transport::copy(options),
        ImageCommand::Save(options) => transport::save(options),
        ImageCommand::Load { input, place } => transport::load(input.as_deref(), place),
        ImageCommand::Ls { place, json } => show::list(place, *json),
        ImageCommand::Inspect(one) => show::inspect(one),
        ImageCommand::Pack(options) => make::pack(options),
        ImageCommand::Index(options) => make::index(options),
        ImageCommand::History(one) => show::history(one),
        ImageCommand::Unpack(options) => trees::unpack(options),
        ImageCommand::Apply(options) => trees::apply(options),
        ImageCommand::Mount(options) => trees::mount(options),
        ImageCommand::Rm { names, place } => remove(names, place),
        ImageCommand::Gc { now, place } => trees::collect(*now, place),
        ImageCommand::Keygen { file } => sign::keygen(file),
        ImageCommand::Sign(options) => sign::sign(options),
        ImageCommand::Verify { name: Some(name), key: Some(key), place } => sign::verify(name, key, place),
        ImageCommand::Verify { place, .. } => verify(place),
    }
}

fn remove(names: &[String], place: &Place) -> Result<ExitCode, Explanation> {
    let store = open(place)?;
    for name in names {
        find(&store, name)?;
    }
    for name in names {
        store.untag(name).what(format!("{name} can not be taken away"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(place: &Place) -> Result<ExitCode, Explanation> {
    let faults = open(place)?.verify();
    for fault in &faults {
        say(&format!("{}: {}", fault.path.display(), fault.why));
    }
    if faults.is_empty() {
        say("everything is what its digest says");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(FAILED))
}

/// The directory of the store: as the options say, or as the environment does.
fn directory(place: &Place) -> Result<PathBuf, Explanation> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = place.store.clone().or_else(|| named("HARDWAY_IMAGES")) {
        return Ok(directory);
    }
    if effective_uid() == 0 {
        return Ok(ROOTS.into());
    }
    let home = || named("HOME").or_else(|| home_of(effective_uid())).map(|home| home.join(".local/share"));
    let data = named("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(home);
    let none =
        || Explanation::new("There is no place for images", "HOME is not set", "set it, or name a store with --store");
    Ok(data.ok_or_else(none)?.join("hardway/images"))
}

/// Opens the store, which is made where it is absent.
fn open(place: &Place) -> Result<Store, Explanation> {
    let directory = directory(place)?;
    let trouble = |why: String| {
        let what = format!("The store {} can not be used", directory.display());
        Explanation::new(what, why, "name a directory that is an image layout, or a new one, with --store")
    };
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent).map_err(|error| trouble(error.to_string()))?;
    }
    Store::open(&directory).map_err(|error| trouble(error.to_string()))
}

/// What has this name in the store, or would with the tag `latest`.
fn find(store: &Store, name: &str) -> Result<Descriptor, Explanation> {
    let what = format!("{name} can not be looked up");
    for name in [name, &format!("{name}:latest")] {
        if let Some(descriptor) = store.resolve(name).what(&what)? {
            return Ok(descriptor);
        }
    }
    let names = store.names().what(&what)?;
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let why = match names.as_slice() {
        [] => "the store is empty".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    Err(Explanation::new(format!("The store has no image {name}"), why, "pull it: hardway image pull REFERENCE"))
}

fn platform(options: &Platforms) -> Result<Platform, Explanation> {
    options.platform.as_deref().map_or_else(|| Ok(here()), read_platform)
}

/// A platform, as `linux/arm64` or `linux/arm/v7`.
fn read_platform(words: &str) -> Result<Platform, Explanation> {
    let parts: Vec<&str> = words.split('/').collect();
    let object = match parts.as_slice() {
        [os, architecture] => serde_json::json!({"os": os, "architecture": architecture}),
        [os, architecture, variant] => serde_json::json!({"os": os, "architecture": architecture, "variant": variant}),
        _ => serde_json::Value::Null,
    };
    serde_json::from_value(object).map_err(|_| {
        Explanation::new(
            format!("{words} is not a platform"),
            "it is not OS/ARCHITECTURE[/VARIANT]",
            "write linux/arm64",
        )
    })
}

/// Errors of libraries as people are told them.
trait What<T> {
    /// With what could not be done.
    fn what(self, what: impl Into<String>) -> Result<T, Explanation>;
}

impl<T, E: Display> What<T> for Result<T, E> {
    fn what(self, what: impl Into<String>) -> Result<T, Explanation> {
        self.map_err(|error| Explanation::new(what, error.to_string(), ""))
    }
}
