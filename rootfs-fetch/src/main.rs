//! `rootfs-fetch`: the library at a prompt.

mod cli;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use rootfs_fetch::{Cache, Cleared, Entry, Error, Held, Machine, Plan, Recipe, What};
use serde::Serialize;

use cli::{CacheCommand, CachePlace, Cli, Command, Kind, Wish};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Build { directory, wish, place, no_cache, json } => build(&directory, wish, place, no_cache, json),
        Command::Plan { wish, json } => recipe(wish)
            .plan()
            .map_err(Trouble::from)
            .and_then(|plan| if json { as_json(&plan) } else { Ok(listed(&plan)) }),
        Command::Cache(CacheCommand::Ls { place, json }) => list(place, json),
        Command::Cache(CacheCommand::Gc { place, limit, json }) => clear(place, limit, json),
    };
    match done {
        Ok(text) => {
            // A reader that has gone away, as in `rootfs-fetch … | head -1`, does not undo what was made.
            let _ = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("rootfs-fetch: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Library(#[from] Error),
    #[error("it can not be told as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "there is no place for a cache: neither XDG_CACHE_HOME nor a HOME of yours is set; name one with --cache DIR"
    )]
    NoCache,
}

fn recipe(wish: Wish) -> Recipe {
    let mut recipe = match (wish.programs.is_empty(), wish.recipe) {
        (false, _) => Recipe::programs(wish.programs),
        (true, Kind::Automatic) => Recipe::automatic(),
        (true, Kind::Lessons) => Recipe::lessons(),
    };
    recipe = recipe.from(Machine::at(wish.from)).extent(wish.extent.into());
    if wish.bare { recipe.bare() } else { recipe }
}

fn build(directory: &PathBuf, wish: Wish, place: CachePlace, no_cache: bool, json: bool) -> Result<String, Trouble> {
    let recipe = recipe(wish);
    let cache = match (no_cache, place.cache) {
        (true, _) => None,
        (false, Some(named)) => Some(Cache::open(named)?),
        // Nobody has asked for this one: a rootfs can be made without.
        (false, None) => Cache::usual_directory().and_then(|usual| {
            Cache::open(usual).map_err(|error| eprintln!("rootfs-fetch: making it without a cache: {error}")).ok()
        }),
    };
    let rootfs = match cache {
        Some(cache) => recipe.make_with(directory, &cache)?,
        None => recipe.make(directory)?,
    };
    if json { as_json(&rootfs) } else { Ok(rootfs.to_string()) }
}

fn open(place: CachePlace) -> Result<Cache, Trouble> {
    let directory = place.cache.or_else(Cache::usual_directory).ok_or(Trouble::NoCache)?;
    Ok(Cache::open(directory)?)
}

fn list(place: CachePlace, json: bool) -> Result<String, Trouble> {
    let held = open(place)?.held()?;
    if json {
        return as_json(&held);
    }
    let now = SystemTime::now();
    let line = |held: &Held| {
        let age = now.duration_since(held.used).unwrap_or_default().as_secs();
        let files: Vec<String> = held.files.iter().map(|file| format!("{file:?}")).collect();
        let (digest, bytes) = (held.digest.get(..12).unwrap_or(&held.digest), held.bytes);
        format!("{digest}  {bytes:>10} bytes  used {age:>8} s ago  {}\n", files.join(" "))
    };
    let total: u64 = held.iter().map(|held| held.bytes).sum();
    Ok(format!("{}contents: {}, bytes: {total}", held.iter().map(line).collect::<String>(), held.len()))
}

fn clear(place: CachePlace, limit: u64, json: bool) -> Result<String, Trouble> {
    let cleared: Cleared = open(place)?.clear(limit)?;
    if json {
        return as_json(&cleared);
    }
    Ok(format!(
        "contents cleared: {}, bytes cleared: {}, bytes left: {}",
        cleared.contents, cleared.bytes, cleared.left
    ))
}

fn listed(plan: &Plan) -> String {
    let line = |entry: &Entry| {
        let path = &entry.path;
        match &entry.what {
            What::Directory { mode } => format!("directory {mode:04o}  {path:?}\n"),
            What::Link { to } => format!("link            {path:?} → {to:?}\n"),
            What::Copy { from, mode, bytes } => format!("copy      {mode:04o}  {path:?} ← {from:?}, {bytes} bytes\n"),
            What::Text { text, mode } => format!("text      {mode:04o}  {path:?} ← {text:?}\n"),
        }
    };
    let mut text: String = plan.entries.iter().map(line).collect();
    for note in &plan.notes {
        text.push_str(&format!("passed over: {note}\n"));
    }
    for missing in &plan.missing {
        text.push_str(&format!("missing {}: {}; you will miss: {}\n", missing.program, missing.why, missing.lost));
    }
    let (programs, libraries) = (plan.programs.len(), plan.libraries.len());
    text + &format!("programs: {programs}, loaders and libraries: {libraries}, bytes: {}", plan.bytes())
}

fn as_json(value: &impl Serialize) -> Result<String, Trouble> {
    Ok(serde_json::to_string(value)?)
}
