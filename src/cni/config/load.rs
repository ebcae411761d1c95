//! Network configurations from files: one by its path, or the one of a name in a directory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{MAX_FILE, NetworkList};
use crate::cni::error::shown;
use crate::cni::json::Object;
use crate::explain::Explanation;

/// The most files of a directory that are looked at.
const MAX_FILES: usize = 4096;

/// A file, and the plugins that are configured beside it, in the directory of the network's name (section 1, `loadOnlyInlinedPlugins`).
///
/// # Errors
/// A file that can not be read, what is wrong with it, and that there is no plugin.
pub fn file(path: &Path) -> Result<NetworkList, Explanation> {
    let origin = path.display().to_string();
    let mut list = NetworkList::parse(&read(path)?, &origin)?;
    if !list.load_only_inlined_plugins {
        let beside = path.parent().unwrap_or(Path::new(".")).join(&list.name);
        for path in files(&beside, &["conf"])? {
            let origin = path.display().to_string();
            let bad = |why: String, fix: String| {
                Explanation::new(format!("{} is no configuration of a plugin", origin.escape_debug()), why, fix)
            };
            let object = Object::parse(&read(&path)?)
                .map_err(|error| bad(shown(&error.to_string()), "write an object with a `type`".into()))?;
            list.push(object).map_err(|(why, fix)| bad(shown(&why), fix))?;
        }
    }
    if list.plugins.is_empty() {
        let directory = path.parent().unwrap_or(Path::new(".")).join(&list.name);
        return Err(Explanation::new(
            format!("The network `{}` has no plugin", list.name),
            format!(
                "{} has no `plugins`, and {} no .conf",
                origin.escape_debug(),
                directory.display().to_string().escape_debug()
            ),
            "add one",
        ));
    }
    Ok(list)
}

/// The network of a name among the files of a directory, in the order of their names: first the lists (`.conflist`), then what
/// configures a single plugin (`.conf`, `.json`), as libcni looks. A file that can not be used is passed over, but told where the name is
/// not found.
///
/// # Errors
/// That there is none of the name.
pub fn find(directory: &Path, name: &str) -> Result<NetworkList, Explanation> {
    let (mut others, mut faults) = (Vec::new(), Vec::new());
    for extensions in [&["conflist"][..], &["conf", "json"]] {
        for path in files(directory, extensions)? {
            match file(&path) {
                Ok(list) if list.name == name => return Ok(list),
                Ok(list) => others.push(list.name),
                Err(fault) => faults.push(format!("{}: {}", fault.what, fault.why)),
            }
        }
    }
    let mut why = match others.len() {
        0 => format!("{} has no network", directory.display().to_string().escape_debug()),
        _ => format!("{} has {}", directory.display().to_string().escape_debug(), others.join(", ")),
    };
    faults.iter().for_each(|fault| why.push_str(&format!("\n  {fault}")));
    Err(Explanation::new(
        format!("There is no network `{}`", name.escape_debug()),
        why,
        "name one that is there, a file, or another directory with --conf-dir",
    ))
}

/// The files of a directory with one of these extensions, in the order of their names. None where there is no such directory.
fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Explanation> {
    let bad = |why: String| {
        let what = format!("{} can not be listed", directory.display().to_string().escape_debug());
        Explanation::new(what, why, "look at the directory's owner and permissions")
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(bad(error.to_string())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| bad(error.to_string()))?.path();
        let fits = path.extension().is_some_and(|own| extensions.iter().any(|one| own == *one));
        if fits && !path.is_dir() {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(bad(format!("it has more than {MAX_FILES} configurations")));
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of a file, but one more than are allowed at most, so that a longer one is noticed and not taken in.
fn read(path: &Path) -> Result<Vec<u8>, Explanation> {
    let bad = |why: String| {
        let what = format!("{} can not be read", path.display().to_string().escape_debug());
        Explanation::new(what, why, "name a file that is there and that you may read")
    };
    // A FIFO would be waited for until somebody writes.
    if !std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.is_file() {
        return Err(bad("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() > MAX_FILE {
        return Err(bad(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn plugin(kind: &str) -> String {
        format!(r#"{{"type":"{kind}"}}"#)
    }

    fn list(name: &str, more: &str) -> String {
        format!(r#"{{"cniVersion":"1.1.0","name":"{name}"{more}}}"#)
    }

    fn kinds(list: &NetworkList) -> Vec<&str> {
        list.plugins.iter().map(|plugin| plugin.kind.as_str()).collect()
    }

    #[test]
    fn a_network_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        let inlined = |kind: &str| format!(r#","plugins":[{}]"#, plugin(kind));
        write("20-b.conflist", list("net", &inlined("late")));
        write("10-a.conflist", list("net", &inlined("early")));
        write("00-single.conf", list("net", r#","type":"single""#));
        write("05-one.json", list("one", r#","type":"alone""#));
        write("00-broken.conflist", "{".to_owned());
        write("99-other.txt", list("other", &inlined("x")));
        fs::create_dir(dir.path().join("00-dir.conflist")).unwrap();
        assert_eq!(kinds(&find(dir.path(), "net").unwrap()), ["early"], "lists first, by the order of their names");
        assert_eq!(kinds(&find(dir.path(), "one").unwrap()), ["alone"]);
        let told = find(dir.path(), "other").unwrap_err();
        assert!(told.why.contains("has net, net, net, one") && told.why.contains("00-broken.conflist"), "{told}");
        let told = find(&dir.path().join("nowhere"), "net").unwrap_err();
        assert!(told.why.ends_with("nowhere has no network"), "{told}");
    }

    #[test]
    fn plugins_come_from_the_directory_of_the_name_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.conflist");
        fs::create_dir(dir.path().join("net")).unwrap();
        for (name, text) in [("2.conf", plugin("second")), ("1.conf", plugin("first")), ("3.txt", "{".to_owned())] {
            fs::write(dir.path().join("net").join(name), text).unwrap();
        }
        let load = |more: &str| {
            fs::write(&path, list("net", more)).unwrap();
            file(&path)
        };
        assert_eq!(kinds(&load("").unwrap()), ["first", "second"]);
        assert_eq!(kinds(&load(r#","plugins":[{"type":"own"}]"#).unwrap()), ["own", "first", "second"]);
        let only = r#","plugins":[{"type":"own"}],"loadOnlyInlinedPlugins":true"#;
        let only = load(only).unwrap();
        assert_eq!(kinds(&only), ["own"]);
        // What is kept for DEL is complete, whatever becomes of that directory.
        let whole = load("").unwrap().to_text();
        assert_eq!(kinds(&NetworkList::parse(whole.as_bytes(), "kept").unwrap()), ["first", "second"]);
        fs::write(dir.path().join("net/0.conf"), plugin("../x")).unwrap();
        assert!(load("").unwrap_err().what.ends_with("0.conf is no configuration of a plugin"));
        fs::remove_dir_all(dir.path().join("net")).unwrap();
        assert!(load("").unwrap_err().what.contains("has no plugin"));
    }

    #[test]
    fn what_can_not_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conflist");
        assert!(file(&path).unwrap_err().why.contains("No such file"));
        fs::write(&path, " ".repeat(MAX_FILE + 1)).unwrap();
        assert!(file(&path).unwrap_err().why.contains("more than 1048576 bytes"));
        assert!(file(dir.path()).unwrap_err().why.contains("no regular file"));
    }
}
