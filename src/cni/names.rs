//! Which names the specification allows. They become variables, files and links, so they are looked at before anything is run.

use crate::explain::Explanation;

/// The longest name of a link, in bytes (IFNAMSIZ of <linux/if.h>, less the NUL).
const LONGEST_LINK: usize = 15;
/// The longest name of a file, in bytes (NAME_MAX of <linux/limits.h>).
pub(super) const LONGEST_FILE: usize = 255;

/// A network's name (section 1, `name`).
///
/// # Errors
/// Anything but letters, digits, `_`, `.` and `-` after a letter or digit.
pub fn network(name: &str) -> Result<(), Explanation> {
    identifier("name of a network", name)
}

/// A container's id (section 2, `CNI_CONTAINERID`).
///
/// # Errors
/// As [`network`].
pub fn container(id: &str) -> Result<(), Explanation> {
    identifier("container id", id)
}

fn identifier(what: &str, text: &str) -> Result<(), Explanation> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > LONGEST_FILE {
        "it is longer than the name of a file may be"
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "it does not begin with a letter or digit"
    } else if !text.chars().all(allowed) {
        "it has a character that is no letter, digit, `_`, `.` or `-`"
    } else {
        return Ok(());
    };
    Err(bad(what, text, why, "take letters, digits, `_`, `.` and `-`, a letter or digit first"))
}

/// The name of the interface in the container (section 2, `CNI_IFNAME`), by the kernel's rules (`dev_valid_name` in
/// net/core/dev.c).
///
/// # Errors
/// An empty one or one over 15 bytes; `.` and `..`; one with `/`, `:`, spaces or control characters.
pub fn interface(name: &str) -> Result<(), Explanation> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_LINK {
        "it has more than 15 bytes"
    } else if name == "." || name == ".." {
        "in sysfs a link is a directory of that name"
    } else if name.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        "it has a `/`, a `:`, a space or a control character"
    } else {
        return Ok(());
    };
    Err(bad("name of an interface", name, why, "take one as `eth0`"))
}

/// A plugin's type: the name of its program in one of the directories of `CNI_PATH` (section 1, `type`).
///
/// # Errors
/// What is no plain name of a file: an empty one, one with `/`, `\` or NUL, `.` and `..`.
pub fn plugin(kind: &str) -> Result<(), Explanation> {
    let why = if kind.is_empty() {
        "it is empty"
    } else if kind.len() > LONGEST_FILE {
        "it is longer than the name of a file may be"
    } else if kind == "." || kind == ".." || kind.contains(['/', '\\', '\0']) {
        "it would lead out of the directories of CNI_PATH"
    } else {
        return Ok(());
    };
    Err(bad("type of a plugin", kind, why, "give the name of its program alone, as `bridge`"))
}

/// The pairs of `CNI_ARGS`: `K=V;K=V` (section 2).
///
/// # Errors
/// A part without `=`, or with nothing before it.
pub fn args(text: &str) -> Result<Vec<(String, String)>, Explanation> {
    let part = |part: &str| match part.split_once('=') {
        Some((key, value)) if !key.is_empty() && !part.contains('\0') => Ok((key.to_owned(), value.to_owned())),
        _ => Err(bad("argument", part, "it is no KEY=VALUE", "write them as KEY=VALUE;KEY=VALUE")),
    };
    text.split(';').filter(|one| !one.is_empty()).map(part).collect()
}

fn bad(what: &str, text: &str, why: &str, fix: &str) -> Explanation {
    let shown: String = text.chars().take(80).collect();
    Explanation::new(format!("`{}` can not be used as {what}", shown.escape_debug()), why, fix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_of_networks_and_containers() {
        for good in ["a", "0", "dbnet", "a.b-c_d", "A", &"x".repeat(255)] {
            assert_eq!((network(good), container(good)), (Ok(()), Ok(())), "{good}");
        }
        for bad in ["", "-a", ".", "..", "_a", "a/b", "a b", "ä", "a\n", "a\0", &"x".repeat(256)] {
            assert!(network(bad).is_err() && container(bad).is_err(), "{bad:?}");
        }
        let told = network("a\x1b[2J").unwrap_err().to_string();
        assert!(told.contains("`a\\u{1b}[2J`") && !told.contains('\x1b'), "{told}");
    }

    #[test]
    fn names_of_interfaces_and_plugins() {
        assert!(["eth0", "a", "x-y.z@w", "fifteen-bytes-x"].iter().all(|name| interface(name).is_ok()));
        assert!(
            ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "sixteen-bytes-xx", "a\x1b"]
                .iter()
                .all(|name| interface(name).is_err())
        );
        assert!(["bridge", "host-local", "my.plugin", "ü"].iter().all(|name| plugin(name).is_ok()));
        assert!(["", ".", "..", "../x", "/bin/sh", "a\\b", "a\0"].iter().all(|name| plugin(name).is_err()));
    }

    #[test]
    fn arguments_are_pairs() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(args("FOO=BAR;ABC=1=2;"), Ok(vec![pair("FOO", "BAR"), pair("ABC", "1=2")]));
        assert_eq!(args(""), Ok(Vec::new()));
        assert!(args("FOO").is_err() && args("=x").is_err() && args("a=\0").is_err());
    }
}
