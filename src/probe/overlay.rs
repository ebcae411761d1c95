//! Overlays: their layers, what these cost, and which of them has what (Documentation/filesystems/overlayfs.rst).

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rows::{Sheet, quote};
use super::{Mount, Observation, Panel, Process};
use crate::kernel::namespace::Namespace;
use crate::kernel::overlay::Mark;
use crate::kernel::path::Tree;

/// How many overlays are looked at.
const MAX_OVERLAYS: usize = 8;

/// How many files and directories are looked at, in all layers of all overlays.
const MAX_ENTRIES: usize = 4096;

/// How deep the directories of a layer are followed.
const MAX_DEPTH: usize = 32;

/// Up to this many files each has a row of its own; of more only those that the upper directory has.
const FEW: usize = 24;

/// How many files of one overlay have rows.
const MAX_FILES: usize = 64;

/// One overlay, and what its layers have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// `major:minor` of the overlay itself, the same wherever it is mounted.
    pub device: String,
    /// The process through which it was seen, and with whose root directory its layers were found.
    pub seen_by: i32,
    /// Where that process has it.
    pub target: String,
    /// The layers from the top: the upper directory, where there is one, then those below.
    pub layers: Vec<Layer>,
    /// The work directory.
    pub work: Option<String>,
    /// Its other options, as mountinfo has them.
    pub options: String,
    /// By paths in the overlay: which layers, by their places in the list, have what there.
    pub files: BTreeMap<String, Vec<(usize, Has)>>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its directory.
    pub path: String,
    /// Whether it is the upper one.
    pub is_upper: bool,
    /// How many files and directories are in it.
    pub entries: usize,
    /// How many of these hide what is below: whiteouts, and directories with a mark.
    pub hiding: usize,
    /// What they take on the disk, and the directory itself, in KiB, as du(1) counts.
    pub kib: u64,
    /// Whether there was more than could be looked at.
    pub is_cut: bool,
}

/// What a layer has at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    /// A directory, which is merged with those below.
    Directory,
    /// Anything else, which covers what is below.
    File,
    /// What hides what has this name below.
    Hiding(Mark),
}

impl Has {
    fn words(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Hiding(Mark::Whiteout) => "whiteout",
            Self::Hiding(Mark::Opaque(_)) => "opaque directory",
            Self::Hiding(Mark::Redirect(_)) => "renamed directory",
        }
    }
}

/// The options of an overlay, taken apart.
struct Options {
    upper: Option<String>,
    lower: Vec<String>,
    work: Option<String>,
    more: Vec<String>,
}

impl Options {
    /// From those of the file system in mountinfo.
    fn of(mount: &Mount) -> Self {
        let mut options = Self { upper: None, lower: Vec::new(), work: None, more: Vec::new() };
        for option in mount.super_options.split(',') {
            match option.split_once('=') {
                Some(("upperdir", path)) => options.upper = Some(path.to_owned()),
                Some(("workdir", path)) => options.work = Some(path.to_owned()),
                Some(("lowerdir", paths)) => options.lower.extend(paths.split(':').map(str::to_owned)),
                // One by one, as fsconfig(2) sets them since Linux 6.7.
                Some(("lowerdir+", path)) => options.lower.push(path.to_owned()),
                _ => options.more.push(option.to_owned()),
            }
        }
        options
    }
}

impl Observation {
    /// The overlay that a process sees at a place.
    pub fn overlay(&self, process: &Process, at: &str) -> Option<&Overlay> {
        let mounts = self.mounts.get(&process.namespaces.inode(Namespace::Mnt)?)?.value()?;
        let mount = mounts.iter().rfind(|mount| mount.target == at)?;
        self.overlays.iter().find(|overlay| overlay.device == mount.device)
    }
}

/// Reads the overlays of all mount namespaces whose layers are all below this directory, each once.
pub(super) fn read(proc: &Path, observation: &Observation, below: &Path) -> Vec<Overlay> {
    let (mut namespaces, mut devices) = (HashSet::new(), HashSet::new());
    let mut overlays = Vec::new();
    let mut left = MAX_ENTRIES;
    for process in &observation.processes {
        let Some(inode) = process.namespaces.inode(Namespace::Mnt).filter(|inode| namespaces.insert(*inode)) else {
            continue;
        };
        let Some(seen_by) = observation.representative(Namespace::Mnt, inode) else { continue };
        let mounts = observation.mounts.get(&inode).and_then(|mounts| mounts.value()).into_iter().flatten();
        for mount in mounts.filter(|mount| mount.fstype == "overlay") {
            let options = Options::of(mount);
            let paths: Vec<&String> = options.upper.iter().chain(&options.lower).collect();
            let is_wanted = paths.iter().all(|path| Path::new(path).starts_with(below));
            if overlays.len() == MAX_OVERLAYS || devices.contains(&mount.device) || !is_wanted {
                continue;
            }
            // A container whose root is the overlay has no path to its layers: they are the host's.
            let finders = [Some(seen_by), observation.processes.first()].into_iter().flatten();
            let trees = finders.filter_map(|it| Tree::at(&proc.join(format!("{}/root", it.pid))).ok());
            let Some(tree) = trees.into_iter().find(|tree| paths.iter().all(|path| tree.has(Path::new(path)))) else {
                continue;
            };
            devices.insert(mount.device.clone());
            overlays.push(look(&tree, mount, seen_by.pid, &options, &mut left));
        }
    }
    overlays
}

/// Looks through the layers of an overlay.
fn look(tree: &Tree, mount: &Mount, seen_by: i32, options: &Options, left: &mut usize) -> Overlay {
    let mut files: BTreeMap<String, Vec<(usize, Has)>> = BTreeMap::new();
    let paths = options.upper.iter().map(|path| (path, true)).chain(options.lower.iter().map(|path| (path, false)));
    let layers = paths.enumerate().map(|(index, (path, is_upper))| {
        let mut layer = Layer { path: path.clone(), is_upper, entries: 0, hiding: 0, kib: 0, is_cut: false };
        walk(tree, &mut layer, left, |path, has| files.entry(path).or_default().push((index, has)));
        layer
    });
    let layers: Vec<Layer> = layers.collect();
    let is_many = files.len() > FEW;
    let has_upper = options.upper.is_some();
    files.retain(|_, layers| !is_many || (has_upper && layers[0].0 == 0));
    let files = files.into_iter().take(MAX_FILES).collect();
    let (device, target) = (mount.device.clone(), mount.target.clone());
    let options = (options.work.clone(), options.more.join(","));
    Overlay { device, seen_by, target, layers, work: options.0, options: options.1, files }
}

/// Looks through one layer, and tells of each file by its path in the overlay.
fn walk(tree: &Tree, layer: &mut Layer, left: &mut usize, mut tell: impl FnMut(String, Has)) {
    let top = PathBuf::from(&layer.path);
    let Ok(about) = tree.metadata(&top) else { return };
    let device = about.dev();
    let mut blocks = about.blocks();
    let mut linked = HashSet::new();
    let mut rest = vec![(top.clone(), 1)];
    while let Some((directory, depth)) = rest.pop() {
        for name in tree.names(&directory).unwrap_or_default() {
            let path = directory.join(name);
            let Ok(about) = tree.metadata(&path) else { continue };
            if *left == 0 {
                layer.is_cut = true;
                break;
            }
            *left -= 1;
            layer.entries += 1;
            // A file with several names costs once, and what is mounted there belongs to another file system.
            if about.dev() == device && (about.is_dir() || about.nlink() == 1 || linked.insert(about.ino())) {
                blocks += about.blocks();
            }
            let mark = Mark::at(tree, &path);
            layer.hiding += usize::from(mark.is_some());
            let inside = path.strip_prefix(&top).unwrap_or(&path).to_string_lossy().into_owned();
            let has = mark.map_or(if about.is_dir() { Has::Directory } else { Has::File }, Has::Hiding);
            tell(format!("/{inside}"), has);
            if about.is_dir() && about.dev() == device {
                if depth < MAX_DEPTH { rest.push((path, depth + 1)) } else { layer.is_cut = true }
            }
        }
    }
    // stat(2) counts in units of 512 bytes.
    layer.kib = blocks.div_ceil(2);
}

/// The rows of the overlay panel.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for overlay in &observation.overlays {
        let Some(process) = observation.process(overlay.seen_by) else { continue };
        let subject = format!("{} of {}", overlay.target, sheet.subject(process));
        let mut about = sheet.about_thing(Panel::Overlay, subject);
        let source = format!("/proc/{}/mountinfo", overlay.seen_by);
        let command = format!("findmnt --task {} -n -o OPTIONS {}", overlay.seen_by, quote(&overlay.target));
        about.row(
            "merged",
            format!("{}: {}", overlay.target, overlay.options),
            source.clone(),
            command.clone(),
            "Where the layers are shown as one, and the options. Without an upper directory it is ro. With userxattr its marks are attributes user.overlay.*, without it trusted.overlay.*.",
        );
        for (index, layer) in overlay.layers.iter().enumerate() {
            let hiding = match layer.hiding {
                0 => String::new(),
                count => format!(", {count} to hide others"),
            };
            let entries = if layer.entries == 1 { "entry" } else { "entries" };
            let more = if layer.is_cut { " and more" } else { "" };
            let value = format!("{}: {} KiB, {} {entries}{more}{hiding}", layer.path, layer.kib, layer.entries);
            let meaning = match layer.is_upper {
                true => {
                    "The upper directory: all that was written, and entries that only hide what is below. Only this one is written to."
                }
                false => "A directory below: it is read and never written to, so any number of overlays can have it.",
            };
            let command = format!("du -sk {}", quote(&layer.path));
            about.row(&overlay.name(index), value, format!("lstat(2) of what is in {}", layer.path), command, meaning);
        }
        if let Some(work) = &overlay.work {
            let meaning = "Where the kernel finishes a file before it appears in the upper directory, at once and whole, by rename(2).";
            about.row("work", work.clone(), source, command, meaning);
        }
        for (path, layers) in &overlay.files {
            let (words, meaning) = overlay.told(path, layers);
            let places: Vec<String> =
                layers.iter().map(|(index, _)| format!("{}{path}", overlay.layers[*index].path)).collect();
            let command =
                format!("stat -c '%F %n' {}", places.iter().map(|it| quote(it)).collect::<Vec<_>>().join(" "));
            about.row(path, words, format!("lstat(2) of {}", places.join(" ")), command, &meaning);
        }
    }
}

impl Overlay {
    /// How a layer is called: `upper`, or by its number from the top.
    fn name(&self, index: usize) -> String {
        let uppers = usize::from(self.layers.first().is_some_and(|layer| layer.is_upper));
        if index < uppers { "upper".to_owned() } else { format!("lower {}", index + 1 - uppers) }
    }

    /// The directory above a path that hides layers, with the last layer that is seen through it.
    fn cover<'a>(&self, path: &'a str) -> Option<(&'a str, usize)> {
        let mut cover = None;
        for (end, _) in path.match_indices('/').skip(1) {
            let above = &path[..end];
            let layers = self.files.get(above).into_iter().flatten();
            let mut seen = layers.take_while(|(index, _)| cover.is_none_or(|(_, last)| *index <= last));
            // A directory lets those below through, and nothing else does.
            if let Some((index, _)) = seen.find(|(_, has)| *has != Has::Directory) {
                cover = Some((above, *index));
            }
        }
        cover
    }

    /// Which layers have something at a path, and what it shows, and why.
    fn told(&self, path: &str, layers: &[(usize, Has)]) -> (String, String) {
        let words = |layers: &[(usize, Has)]| {
            let words = layers.iter().map(|(index, has)| format!("{}: {}", self.name(*index), has.words()));
            words.collect::<Vec<_>>().join("; ")
        };
        let cover = self.cover(path);
        let seen = layers.iter().take_while(|(index, _)| cover.is_none_or(|(_, last)| *index <= last)).count();
        let (seen, hidden) = layers.split_at(seen);
        let Some(((top, has), below)) = seen.split_first() else {
            let (above, last) = cover.unwrap_or_default();
            let by = format!("{above} of {}", self.name(last));
            let meaning = format!("Not shown: {by} lets nothing of the layers below through.");
            return (format!("{}, hidden by {by}", words(hidden)), meaning);
        };
        let is_directory = |has: &Has| !matches!(has, Has::File | Has::Hiding(Mark::Whiteout));
        let (name, first) = (self.name(*top), words(&seen[..1]));
        let (verb, meaning) = match (has, below.first().map(|(_, has)| has), self.layers[*top].is_upper) {
            (Has::Hiding(Mark::Whiteout), ..) => (
                "hides",
                format!("Deleted: a character device 0,0 in {name} hides what is below, and isn't shown itself."),
            ),
            (Has::Hiding(Mark::Opaque(attribute)), ..) => (
                "hides",
                format!("Made anew: by its attribute {attribute} nothing of the directories below is shown in it."),
            ),
            (Has::Hiding(Mark::Redirect(from)), ..) => (
                "hides",
                format!(
                    "Renamed: an attribute says that it is merged with {from} of the layers below, and with no other."
                ),
            ),
            (Has::Directory, Some(other), _) if is_directory(other) => (
                "merged with",
                "Merged: it shows the names of all of them; of each name the uppermost has it.".to_owned(),
            ),
            (Has::File, Some(Has::File), true) => (
                "covers",
                "Copied up, as a whole, when it was first changed; or deleted and made again. Below it is as before."
                    .to_owned(),
            ),
            (_, None, true) => ("covers", "New: no layer below shows anything here.".to_owned()),
            (_, Some(_), _) => ("covers", format!("Read from {name}, which covers those below it.")),
            (_, None, false) => ("covers", format!("Read from {name}: no other layer has it.")),
        };
        (if below.is_empty() { first } else { format!("{first}, {verb} {}", words(below)) }, meaning)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::probe::mounts::parse_mountinfo;

    fn overlay(place: &Path, options: &str) -> Overlay {
        let line = format!("9 1 0:9 / /m rw - overlay overlay rw,{options},userxattr");
        let mount = parse_mountinfo(line.as_bytes()).unwrap().remove(0);
        look(&Tree::at(place).unwrap(), &mount, 1, &Options::of(&mount), &mut MAX_ENTRIES.clone())
    }

    #[test]
    fn of_each_name_it_is_known_which_layer_has_it() {
        let place = tempfile::tempdir().unwrap();
        for directory in ["u", "w", "a", "b", "a/etc", "b/etc", "u/etc"] {
            fs::create_dir(place.path().join(directory)).unwrap();
        }
        for file in ["b/os", "b/motd", "a/motd", "u/os", "u/new", "b/etc/conf"] {
            fs::write(place.path().join(file), "x").unwrap();
        }
        fs::hard_link(place.path().join("b/os"), place.path().join("b/os2")).unwrap();
        let seen = overlay(place.path(), "lowerdir=/a:/b,upperdir=/u,workdir=/w");
        assert_eq!((seen.options.as_str(), seen.work.as_deref()), ("rw,userxattr", Some("/w")));
        let told = |path: &str| {
            let (words, meaning) = seen.told(path, &seen.files[path]);
            format!("{words} | {}", meaning.split([':', '.', ',']).next().unwrap())
        };
        assert_eq!(told("/os"), "upper: file, covers lower 2: file | Copied up");
        assert_eq!(told("/new"), "upper: file | New");
        assert_eq!(told("/motd"), "lower 1: file, covers lower 2: file | Read from lower 1");
        assert_eq!(told("/etc"), "upper: directory, merged with lower 1: directory; lower 2: directory | Merged");
        assert_eq!(told("/etc/conf"), "lower 2: file | Read from lower 2");
        let below = &seen.layers[2];
        assert_eq!((below.path.as_str(), below.entries, below.is_upper, below.is_cut), ("/b", 5, false, false));
        let disk = |path: &str| fs::metadata(place.path().join(path)).unwrap().blocks();
        let once = ["b", "b/os", "b/motd", "b/etc", "b/etc/conf"].map(disk).iter().sum::<u64>();
        assert_eq!(below.kib, once.div_ceil(2), "a file with two names costs once");
    }

    /// Layers that need not be on a disk.
    fn made_up(files: &[(&str, &[(usize, Has)])]) -> Overlay {
        let place = tempfile::tempdir().unwrap();
        let nothing = overlay(place.path(), "lowerdir=/a:/b,upperdir=/u,workdir=/w");
        Overlay { files: files.iter().map(|(path, layers)| ((*path).to_owned(), layers.to_vec())).collect(), ..nothing }
    }

    #[test]
    fn what_is_above_a_path_decides_what_is_seen_of_it() {
        let opaque = Has::Hiding(Mark::Opaque("user.overlay.opaque".into()));
        let (directory, file) = (Has::Directory, Has::File);
        let overlay = made_up(&[
            ("/etc", &[(0, directory.clone()), (1, opaque), (2, directory.clone())]),
            ("/etc/conf", &[(2, file.clone())]),
            ("/etc/conf.d", &[(0, directory.clone()), (2, directory.clone())]),
            ("/etc/conf.d/own", &[(0, file.clone()), (2, file.clone())]),
            ("/gone", &[(0, Has::Hiding(Mark::Whiteout)), (1, directory.clone()), (2, file.clone())]),
            ("/gone/file", &[(1, file.clone())]),
            ("/moved", &[(0, Has::Hiding(Mark::Redirect("/var".into()))), (2, directory)]),
            ("/moved/file", &[(2, file)]),
        ]);
        let told = |path: &str| overlay.told(path, &overlay.files[path]);
        let words = |path: &str| told(path).0;
        assert_eq!(words("/etc"), "upper: directory, merged with lower 1: opaque directory; lower 2: directory");
        assert_eq!(words("/etc/conf"), "lower 2: file, hidden by /etc of lower 1");
        assert!(told("/etc/conf").1.starts_with("Not shown"));
        assert_eq!(words("/etc/conf.d"), "upper: directory", "what is below /etc of lower 1 is no part of it");
        assert!(told("/etc/conf.d/own").1.starts_with("New"));
        assert_eq!(words("/gone"), "upper: whiteout, hides lower 1: directory; lower 2: file");
        assert_eq!(words("/gone/file"), "lower 1: file, hidden by /gone of upper");
        assert!(told("/moved").1.contains("merged with /var"), "{:?}", told("/moved"));
        assert_eq!(words("/moved/file"), "lower 2: file, hidden by /moved of upper");
    }

    #[test]
    fn there_is_an_end_to_what_is_looked_at() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("a").join(vec!["d"; MAX_DEPTH + 3].join("/"))).unwrap();
        fs::create_dir(place.path().join("b")).unwrap();
        for number in 0..FEW + MAX_FILES {
            fs::write(place.path().join(format!("b/{number}")), "").unwrap();
        }
        let deep = overlay(place.path(), "lowerdir=/a");
        assert!(deep.layers[0].is_cut && deep.layers[0].entries == MAX_DEPTH, "{:?}", deep.layers);
        assert!(overlay(place.path(), "lowerdir=/b").files.is_empty());
        assert_eq!(overlay(place.path(), "lowerdir+=/a,upperdir=/b,workdir=/w").files.len(), MAX_FILES);
    }
}
