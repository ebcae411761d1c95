//! The rules, as functions of tables and sources: nothing here knows which modules hardway has.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// What is allowed.
pub struct Tables {
    /// A module, and the modules that it may import; `*` stands for all.
    pub may_import: &'static [(&'static str, &'static [&'static str])],
    /// A crate, the beginnings of the paths of the files that may use it, and why no others.
    pub only_under: &'static [(&'static str, &'static [&'static str], &'static str)],
    /// The most lines of a file, without its tests.
    pub max_lines: usize,
    /// A file, what it may do against the tables, and why.
    pub exceptions: &'static [(&'static str, &'static str, &'static str)],
}

/// Who imports whom.
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// All faults of the sources, each with file and line.
pub fn check(tables: &Tables, sources: &[(String, String)]) -> Vec<String> {
    let read: Vec<(&str, Source)> = sources.iter().map(|(path, text)| (path.as_str(), Source::read(text))).collect();
    let tests: Vec<String> = read.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let is_test =
        |path: &str| tests.iter().any(|test| path == format!("{test}.rs") || path.starts_with(&format!("{test}/")));
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let mut edges = Edges::new();
    for (path, source) in read.iter().filter(|(path, _)| !is_test(path)) {
        let mut excused = |what: &str| {
            let found = tables.exceptions.iter().position(|(file, it, _)| file == path && *it == what);
            used.extend(found);
            found.is_some()
        };
        if source.lines > tables.max_lines && !excused("lines") {
            faults.push(format!("{path}: {} lines without tests, more than {}", source.lines, tables.max_lines));
        }
        let own = module_path(path);
        let top = own[0].clone();
        let Some((_, allowed)) = tables.may_import.iter().find(|(module, _)| *module == top) else {
            faults.push(format!("{path}: the module `{top}` is in no table"));
            continue;
        };
        for (line, written) in &source.paths {
            for (name, dirs, why) in tables.only_under {
                if written[0] == *name && !dirs.iter().any(|dir| path.starts_with(dir)) && !excused(name) {
                    faults.push(format!("{path}:{line}: {name} belongs under {}: {why}", dirs.join(", ")));
                }
            }
            let Some(target) = resolve(tables, &own, written) else { continue };
            if target[0] == top {
                continue;
            }
            edges.entry(top.clone()).or_default().insert(target[0].clone());
            let full = target.join("::");
            let below = |rule: &str| full == rule || full.starts_with(&format!("{rule}::"));
            let short: Vec<&str> = target.iter().take(2).map(String::as_str).collect();
            if !allowed.iter().any(|rule| *rule == "*" || below(rule)) && !excused(&short.join("::")) {
                faults.push(format!("{path}:{line}: {top} may not import {full}"));
            }
        }
    }
    for (at, (file, what, _)) in tables.exceptions.iter().enumerate() {
        if !used.contains(&at) {
            faults.push(format!("{file}: the exception for {what} is not needed any more"));
        }
    }
    if let Some(cycle) = cycle(&edges) {
        faults.push(format!("modules import each other: {}", cycle.join(" → ")));
    }
    faults
}

/// What the table allows, as edges; `*` is left out, because nothing may import who has it.
pub fn table_edges(tables: &Tables) -> Edges {
    let top = |rule: &&str| rule.split("::").next().unwrap_or_default().to_owned();
    tables
        .may_import
        .iter()
        .map(|(module, allowed)| ((*module).to_owned(), allowed.iter().filter(|it| **it != "*").map(top).collect()))
        .collect()
}

/// A way that leads back to where it began, where there is one.
pub fn cycle(edges: &Edges) -> Option<Vec<String>> {
    fn walk(edges: &Edges, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        let here = way.last()?.clone();
        for next in edges.get(&here).into_iter().flatten() {
            if let Some(from) = way.iter().position(|it| it == next) {
                way.push(next.clone());
                return Some(way.split_off(from));
            }
            if !done.contains(next) {
                way.push(next.clone());
                if let Some(found) = walk(edges, way, done) {
                    return Some(found);
                }
                way.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(edges, &mut vec![start.clone()], &mut done))
}

/// The module of a file: `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`; the member crate is one module.
fn module_path(path: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    match stem.strip_prefix("src/") {
        Some(stem) => stem.split('/').map(str::to_owned).collect(),
        None => {
            let mut parts: Vec<String> = stem.split('/').map(str::to_owned).collect();
            parts[0] = parts[0].replace('-', "_");
            parts.retain(|part| !["src", "lib", "main"].contains(&part.as_str()));
            parts
        }
    }
}

/// Which module of ours a path means, from the top; none for everything else.
fn resolve(tables: &Tables, own: &[String], written: &[String]) -> Option<Vec<String>> {
    let known = |name: &str| tables.may_import.iter().any(|(module, _)| *module == name);
    let in_member = own[0] == "rootfs_fetch";
    let rest = match written[0].as_str() {
        "rootfs_fetch" => written,
        // In the member crate `crate` is that crate itself, and nothing of ours may be named at all.
        "crate" if in_member => return None,
        "crate" | "hardway" => &written[1..],
        "super" => {
            let ups = written.iter().take_while(|it| *it == "super").count();
            let mut absolute = own.get(..own.len().saturating_sub(ups))?.to_vec();
            absolute.extend_from_slice(&written[ups..]);
            return absolute.first().is_some_and(|it| known(it)).then_some(absolute);
        }
        _ => return None,
    };
    match rest.first() {
        // `a::{self, b}` names `a` itself.
        Some(first) if known(first) => Some(rest.iter().filter(|it| *it != "self").cloned().collect()),
        // The whole library in the hands of a lower crate.
        _ if in_member && written[0] == "hardway" => Some(vec!["hardway".to_owned()]),
        _ => None,
    }
}

/// The paths, without `.rs`, of the modules that a file declares for tests only.
fn test_files(path: &str, source: &Source) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let dir = match stem.rsplit_once('/') {
        Some((dir, "mod" | "lib" | "main")) => dir,
        _ => stem,
    };
    source.test_modules.iter().map(|name| format!("{dir}/{name}")).collect()
}

#[cfg(test)]
mod tests;
