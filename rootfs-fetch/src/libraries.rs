//! Which libraries the loader would map for a program, found as ld.so(8) finds them, by reading.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::directories;
use crate::draft::Draft;
use crate::elf::Elf;
use crate::error::Error;
use crate::machine::{Found, Machine};
use crate::plan::Extent;

/// More libraries than any program maps.
const MAX_LIBRARIES: usize = 512;
/// More places than any loader looks in for one library.
const MAX_PLACES: usize = 1024;
/// More lookups than any program makes its loader do. A file made to do harm could else ask for millions.
const MAX_LOOKUPS: usize = 20_000;
/// As many lookups are remembered from program to program.
const MAX_KNOWN: usize = 4096;
/// PATH_MAX: the kernel takes no longer one.
const MAX_PATH: usize = 4096;

/// Finds the loaders and libraries of programs on one machine.
pub(crate) struct Libraries<'a> {
    machine: &'a Machine,
    extent: Extent,
    /// The directories of `/etc/ld.so.conf`.
    configured: Vec<PathBuf>,
    /// What was looked for, and what was there: most programs need the same few libraries.
    known: RefCell<HashMap<PathBuf, Option<Rc<Known>>>>,
}

/// A file that was looked at.
struct Known {
    found: Found,
    elf: Elf,
}

/// A file that the loader has mapped.
struct Object {
    /// As the loader knows it.
    path: PathBuf,
    /// What `$ORIGIN` stands for.
    origin: PathBuf,
    file: Rc<Known>,
    /// Who needed it first.
    parent: Option<usize>,
}

impl<'a> Libraries<'a> {
    /// # Errors
    /// The loader's configuration can not be read.
    pub fn of(machine: &'a Machine, extent: Extent) -> Result<Self, Error> {
        Ok(Self { machine, extent, configured: directories::configured(machine)?, known: RefCell::default() })
    }

    /// Adds the loader and the libraries of a program to `draft`, as far as they are wanted.
    ///
    /// # Errors
    /// One of them is not there, or is broken.
    pub fn add(&self, program: Found, elf: Elf, draft: &mut Draft) -> Result<(), Error> {
        if self.extent < Extent::Loader {
            return Ok(());
        }
        let Some(interpreter) = elf.interpreter.clone().map(PathBuf::from) else { return Ok(()) };
        // The kernel takes a relative name from the directory in which the program is started; here there is none.
        let loader = if interpreter.is_absolute() { self.known(&interpreter)? } else { None };
        let Some(loader) = loader else { return Err(Error::NoInterpreter { path: program.real, interpreter }) };
        same_machine(&loader.elf, &elf, &loader.found.real)?;
        draft.add(&loader.found);
        draft.libraries.insert(loader.found.real.clone());
        if self.extent < Extent::Libraries {
            return Ok(());
        }
        let name = interpreter.file_name().unwrap_or_default().to_owned();
        let own = parent(&loader.found.real);
        let mut search = Search { libraries: self, musl: false, own, directories: Vec::new(), lookups: Cell::new(0) };
        if let Some(arch) = musl_arch(&name) {
            search.musl = true;
            let (named, file) = directories::musl(self.machine, &arch)?;
            search.directories = named;
            if let Some(file) = file {
                draft.take(self.machine, &file)?;
            }
        } else {
            search.directories = self.configured.clone();
            search.directories.push(search.own.clone());
            search.directories.extend(directories::DEFAULT.map(PathBuf::from));
        }
        // The loader is mapped already when the first library is looked for.
        let seen = HashSet::from([name]);
        let (path, origin) = (program.real.clone(), parent(&program.real));
        search.closure(Object { path, origin, file: Rc::new(Known { found: program, elf }), parent: None }, seen, draft)
    }

    /// The ELF file at `path`, if there is a file.
    fn known(&self, path: &Path) -> Result<Option<Rc<Known>>, Error> {
        if let Some(known) = self.known.borrow().get(path) {
            return Ok(known.clone());
        }
        let known = match self.machine.find_file(path)? {
            Some(found) => Some(Rc::new(Known { elf: self.machine.elf(&found)?, found })),
            None => None,
        };
        if self.known.borrow().len() < MAX_KNOWN {
            self.known.borrow_mut().insert(path.to_owned(), known.clone());
        }
        Ok(known)
    }
}

struct Search<'a> {
    libraries: &'a Libraries<'a>,
    musl: bool,
    /// The loader's own directory.
    own: PathBuf,
    /// Where is looked for every program.
    directories: Vec<PathBuf>,
    /// How many files were looked for.
    lookups: Cell<usize>,
}

impl Search<'_> {
    /// Breadth first, each name once, as the loader does it: so a library that needs itself comes to an end.
    fn closure(&self, first: Object, mut seen: HashSet<OsString>, draft: &mut Draft) -> Result<(), Error> {
        let mut objects = vec![first];
        let mut at = 0;
        while at < objects.len() {
            let needing = Rc::clone(&objects[at].file);
            for name in &needing.elf.needed {
                if !seen.insert(name.clone()) || self.musl && is_musl_itself(name) {
                    continue;
                }
                if objects.len() > MAX_LIBRARIES {
                    let why = format!("it needs more than {MAX_LIBRARIES} libraries");
                    return Err(Error::unusable(&objects[0].path, why));
                }
                let (path, file, configured) = self.locate(name, at, &objects)?;
                draft.add(&file.found);
                // The rootfs has no cache of ld.so.conf's directories, so a link leads there from one that the
                // loader always searches.
                if configured && !self.always_searched(&parent(&file.found.real))? {
                    draft.link(&self.own.join(name), &path);
                }
                draft.libraries.insert(file.found.real.clone());
                objects.push(Object { origin: parent(&path), path, file, parent: Some(at) });
            }
            at += 1;
        }
        Ok(())
    }

    /// Where `name`, needed by `objects[by]`, is; and whether only the general directories led there.
    fn locate(&self, name: &OsStr, by: usize, objects: &[Object]) -> Result<(PathBuf, Rc<Known>, bool), Error> {
        let needed_by = &objects[by];
        let program = &needed_by.file.elf;
        let not_found = || Error::NoLibrary { name: name.to_owned(), needed_by: needed_by.path.clone() };
        if name.as_bytes().contains(&b'/') {
            // A name with a slash is a path, and nothing is searched.
            let path = expand(name.as_bytes(), &needed_by.origin).into_iter().next().ok_or_else(not_found)?;
            let file = self.fitting(&path, program)?.ok_or_else(not_found)?;
            return Ok((path, file, false));
        }
        for directory in self.own_paths(by, objects)? {
            let path = directory.join(name);
            if let Some(file) = self.fitting(&path, program)? {
                return Ok((path, file, false));
            }
        }
        for directory in &self.directories {
            let path = directory.join(name);
            if let Some(file) = self.fitting(&path, program)? {
                return Ok((path, file, !self.musl));
            }
        }
        Err(not_found())
    }

    /// DT_RPATH of the one that needs and of those that needed it, unless it has DT_RUNPATH, which is its alone.
    /// musl makes no difference between the two and inherits both.
    fn own_paths(&self, by: usize, objects: &[Object]) -> Result<Vec<PathBuf>, Error> {
        let mut paths = Vec::new();
        let mut add = |list: &Option<OsString>, origin: &Path| {
            for word in list.iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b':')) {
                if paths.len() <= MAX_PLACES {
                    paths.extend(expand(word, origin));
                }
            }
        };
        let mut next = Some(by);
        while let Some(object) = next.and_then(|at| objects.get(at)) {
            if self.musl {
                add(
                    if object.file.elf.runpath.is_some() { &object.file.elf.runpath } else { &object.file.elf.rpath },
                    &object.origin,
                );
            } else if objects[by].file.elf.runpath.is_none() && object.file.elf.runpath.is_none() {
                add(&object.file.elf.rpath, &object.origin);
            }
            next = object.parent;
        }
        if !self.musl {
            add(&objects[by].file.elf.runpath, &objects[by].origin);
        }
        if paths.len() > MAX_PLACES {
            let why = format!("its libraries are to be looked for in more than {MAX_PLACES} places");
            return Err(Error::unusable(&objects[by].path, why));
        }
        Ok(paths)
    }

    /// The library at `path`, if there is one for the program's class and machine. Others are passed over, as the
    /// loader does; a file that is no ELF file ends the search, as it ends the loader's.
    fn fitting(&self, path: &Path, program: &Elf) -> Result<Option<Rc<Known>>, Error> {
        self.lookups.set(self.lookups.get() + 1);
        if self.lookups.get() > MAX_LOOKUPS {
            let why = format!("it is the {MAX_LOOKUPS}th file that one program's loader looks for");
            return Err(Error::unusable(path, why));
        }
        let Some(file) = self.libraries.known(path)? else { return Ok(None) };
        if (file.elf.wide, file.elf.machine) != (program.wide, program.machine) {
            return Ok(None);
        }
        if !file.elf.shared {
            return Err(Error::unusable(path, "it is a program where a library is needed"));
        }
        Ok(Some(file))
    }

    fn always_searched(&self, directory: &Path) -> Result<bool, Error> {
        for known in directories::DEFAULT.iter().map(Path::new).chain([self.own.as_path()]) {
            if self.libraries.machine.find(known)?.is_some_and(|known| known.real == directory) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn same_machine(loader: &Elf, program: &Elf, path: &Path) -> Result<(), Error> {
    if (loader.wide, loader.machine) == (program.wide, program.machine) {
        return Ok(());
    }
    let (theirs, ours) = (loader.machine, program.machine);
    Err(Error::unusable(path, format!("it is for another machine (e_machine {theirs}) than the program ({ours})")))
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// `x86_64` of `ld-musl-x86_64.so.1`.
fn musl_arch(loader: &OsStr) -> Option<OsString> {
    let rest = loader.as_bytes().strip_prefix(b"ld-musl-")?;
    let end = rest.iter().position(|byte| *byte == b'.')?;
    Some(OsString::from_vec(rest[..end].to_vec()))
}

/// The names that musl's loader answers itself.
fn is_musl_itself(name: &OsStr) -> bool {
    let names = ["libc.so", "libpthread.so", "librt.so", "libm.so", "libdl.so", "libutil.so", "libxnet.so"];
    let bytes = name.as_bytes();
    names.iter().any(|own| bytes == own.as_bytes())
}

/// One entry of a search path with `$ORIGIN` and `$LIB` filled in; `$LIB` may stand for more than one name. An entry
/// that is relative, or has a token that is not known here, counts for nothing: it would depend on who starts the
/// program, and where.
fn expand(word: &[u8], origin: &Path) -> Vec<PathBuf> {
    let mut done = vec![Vec::new()];
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let token = (*first == b'$').then(|| token(after)).flatten();
        let (values, length): (Vec<&[u8]>, usize) = match token {
            Some((b"ORIGIN", length)) => (vec![origin.as_os_str().as_bytes()], length),
            // Each `$LIB` doubles the list; once is all that anyone writes.
            Some((b"LIB", length)) if done.len() == 1 => (vec![b"lib64", b"lib"], length),
            Some(_) => return Vec::new(),
            None => (vec![std::slice::from_ref(first)], 0),
        };
        done = done.iter().flat_map(|begin| values.iter().map(|value| [begin.as_slice(), value].concat())).collect();
        rest = &after[length..];
        done.retain(|begin: &Vec<u8>| begin.len() < MAX_PATH);
    }
    let paths = done.into_iter().map(|bytes| PathBuf::from(OsString::from_vec(bytes)));
    paths.filter(|path| path.is_absolute()).collect()
}

/// The name of the token that follows a `$`, and its length with braces. `$ORIGINAL` is not `$ORIGIN`.
fn token(after: &[u8]) -> Option<(&[u8], usize)> {
    let name = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let (name, length) = match after.strip_prefix(b"{") {
        Some(inner) => {
            let end = name(inner);
            (inner.get(end) == Some(&b'}')).then_some((&inner[..end], end + 2))?
        }
        None => (&after[..name(after)], name(after)),
    };
    matches!(name, b"ORIGIN" | b"LIB" | b"PLATFORM").then_some((name, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_filled_in() {
        let origin = Path::new("/opt/x/bin");
        for (word, paths) in [
            ("$ORIGIN/../lib", &["/opt/x/bin/../lib"][..]),
            ("${ORIGIN}/lib", &["/opt/x/bin/lib"]),
            ("/a/$LIB", &["/a/lib64", "/a/lib"]),
            ("/a/$PLATFORM", &[]),
            ("/a/$ORIGINAL", &["/a/$ORIGINAL"]),
            ("/a/${ORIGIN", &["/a/${ORIGIN"]),
            ("lib", &[]),
            ("", &[]),
            ("$LIB/$LIB", &[]),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(expand(word.as_bytes(), origin), paths, "{word}");
        }
    }
}
