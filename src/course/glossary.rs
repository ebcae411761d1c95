//! The words of the course: each in a few sentences, with the manual pages that say more. They stand in `terms.txt`.

use std::sync::OnceLock;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// As it is written.
    pub name: &'static str,
    /// Other ways to write it, by which it is found in texts.
    pub also: Vec<&'static str>,
    /// What it means, in Markdown.
    pub says: String,
    /// Manual pages, `name(section)`, and other places.
    pub see: Vec<&'static str>,
    /// Whether the word means something else in most texts, and so is found there by its other spellings alone.
    pub common: bool,
}

/// All words, in the order of letters.
pub fn all() -> &'static [Term] {
    static TERMS: OnceLock<Vec<Term>> = OnceLock::new();
    TERMS.get_or_init(|| read(include_str!("glossary/terms.txt")))
}

/// Reads the words: a line for each, and what it means below, indented. `#` begins a remark.
fn read(text: &'static str) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(more) = line.strip_prefix("    ") {
            if let Some(term) = terms.last_mut() {
                let gap = if term.says.is_empty() { "" } else { " " };
                term.says = format!("{}{gap}{more}", term.says);
            }
            continue;
        }
        let mut fields = line.split('|').map(str::trim);
        let name = fields.next().unwrap_or_default();
        let (name, common) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
        let mut list = || fields.next().unwrap_or_default().split(", ").filter(|it| !it.is_empty()).collect();
        terms.push(Term { name, also: list(), says: String::new(), see: list(), common });
    }
    terms
}

impl Term {
    /// The word with what it means, as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.says);
        if !self.also.is_empty() {
            text.push_str(&format!("\nAlso: {}.\n", self.also.join(", ")));
        }
        format!("{text}\nSee also: {}.\n", self.see.join(", "))
    }

    /// All ways to write it.
    fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }
}

/// The word that is written so, in large or small letters.
pub fn find(word: &str) -> Option<&'static Term> {
    let word = word.trim();
    all().iter().find(|term| term.spellings().any(|it| it.eq_ignore_ascii_case(word)))
}

/// The words that stand in texts, each once, in the order in which they come. Of `user namespace` it is that one, and not
/// `namespace` as well.
pub fn words_in<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<&'static Term> {
    let mut found: Vec<&'static Term> = Vec::new();
    for text in texts {
        let text = text.to_ascii_lowercase();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some((term, length)) = longest(rest) {
                if !found.contains(&term) {
                    found.push(term);
                }
                at += length;
            }
            // On to the next beginning of a word.
            at += text[at..].find(|c| !is_word(c)).unwrap_or(text.len() - at);
            at += text[at..].find(is_word).unwrap_or(text.len() - at);
        }
    }
    found
}

/// The longest word that a text begins with, and its length.
fn longest(text: &str) -> Option<(&'static Term, usize)> {
    let fits = |spelling: &str| {
        let rest = text.get(..spelling.len()).filter(|start| start.eq_ignore_ascii_case(spelling))?;
        let behind = &text[rest.len()..];
        let behind = behind.strip_prefix('s').unwrap_or(behind);
        (!behind.starts_with(is_word)).then_some(spelling.len())
    };
    let lengths = |term: &'static Term| {
        term.spellings().skip(usize::from(term.common)).filter_map(fits).max().map(|length| (term, length))
    };
    all().iter().filter_map(lengths).max_by_key(|(_, length)| *length)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        words_in([text]).into_iter().map(|term| term.name).collect()
    }

    #[test]
    fn the_longest_word_counts_and_each_once() {
        let text = "A new UTS namespace: unlike other namespaces, it is small. Zombies; a zombie's parent.";
        assert_eq!(names(text), ["UTS namespace", "namespace", "zombie"]);
        assert_eq!(names("unsharers remount; `unshare` and **chroot**, ÄÖ 漢字"), ["unshare", "chroot"]);
        assert_eq!(names("what is shared; a shared mount"), ["shared"]);
        assert_eq!(names("nothing private"), Vec::<&str>::new());
    }

    #[test]
    fn words_are_found_by_every_spelling() {
        assert_eq!(find("pid 1").unwrap().name, "PID 1");
        assert_eq!(find("ns").map(|term| term.name), None);
        let mut words: Vec<String> = all().iter().flat_map(Term::spellings).map(str::to_ascii_lowercase).collect();
        let count = words.len();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), count, "a word is there twice");
    }

    #[test]
    fn every_word_is_explained_shortly_and_leads_on() {
        assert!(all().is_sorted_by_key(|term| term.name.to_ascii_lowercase()), "not in the order of letters");
        for term in all() {
            let sentences = term.says.matches(". ").count() + 1;
            assert!((1..=3).contains(&sentences) && term.says.ends_with('.'), "{}: {sentences} sentences", term.name);
            assert!(!term.see.is_empty(), "{}: where does it lead?", term.name);
            for page in &term.see {
                let section = page.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                let manual = section.is_some_and(|section| ["1", "2", "3", "4", "5", "7", "8"].contains(&section));
                assert!(manual || page.contains("specification") || page.contains("Documentation/"), "{page}");
            }
        }
    }

    #[test]
    fn the_course_has_the_words_that_it_needs() {
        let needed = "process, PID 1, zombie, orphan, namespace, mount namespace, UTS namespace, IPC namespace, pid namespace, \
                      network namespace, user namespace, cgroup namespace, time namespace, chroot, pivot_root, put_old, mount, \
                      bind mount, propagation, shared, private, slave, unbindable, mountinfo, rootfs, loader, ELF, setns, \
                      unshare, clone3, capability, uid_map, gid_map, setgroups, subordinate ids, newuidmap, cgroup, cgroup v1, \
                      hybrid, cgroup v2, controller, SysV IPC, message queue, veth, loopback, netlink, clock offsets, pidfd, \
                      procfs, sysfs, errno, system call, runtime, OCI, image, layer";
        for word in needed.split(", ") {
            assert!(find(word).is_some(), "no {word}");
        }
    }
}
