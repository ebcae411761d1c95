//! Made-up ELF files and machines.

// Each test file takes what it needs of this.
#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// An ELF file to be made up, of 64 or 32 bits, in either byte order.
#[derive(Clone, Debug)]
pub struct Made {
    /// 64 bits.
    pub wide: bool,
    /// Big-endian.
    pub big: bool,
    /// `e_type`: 2 is ET_EXEC, 3 is ET_DYN.
    pub kind: u16,
    /// `e_machine`: 62 is EM_X86_64.
    pub machine: u16,
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// DT_RPATH.
    pub rpath: Option<String>,
    /// DT_RUNPATH.
    pub runpath: Option<String>,
    /// What comes after all that.
    pub rest: Vec<u8>,
}

impl Made {
    /// A library without needs.
    pub fn library() -> Self {
        Self {
            wide: true,
            big: false,
            kind: 3,
            machine: 62,
            interpreter: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            rest: Vec::new(),
        }
    }

    /// A program that is started by `/lib/ld.so`.
    pub fn program() -> Self {
        Self { interpreter: Some("/lib/ld.so".into()), ..Self::library() }
    }

    /// Needs these libraries.
    pub fn needs(mut self, names: &[&str]) -> Self {
        self.needed = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let (head, entry, word) = if self.wide { (64, 56, 8) } else { (52, 32, 4) };
        let count = 2 + usize::from(self.interpreter.is_some());
        let mut strings = vec![0];
        let mut dynamic = Vec::new();
        let mut add = |tag: u64, text: &str| {
            dynamic.push((tag, strings.len() as u64));
            strings.extend(text.bytes().chain([0]));
        };
        self.needed.iter().for_each(|name| add(1, name));
        self.rpath.iter().for_each(|path| add(15, path));
        self.runpath.iter().for_each(|path| add(29, path));
        let mut body = Vec::new();
        let base = head + entry * count;
        let interpreter = base;
        body.extend(self.interpreter.iter().flat_map(|name| name.bytes().chain([0])));
        let interpreter_size = body.len();
        let strings_at = base + body.len();
        body.extend(&strings);
        // Loaded at another address than its offset, so that mixing the two up is noticed.
        let shift = 0x10000;
        dynamic.push((5, (strings_at + shift) as u64));
        dynamic.push((10, strings.len() as u64));
        dynamic.push((0, 0));
        let dynamic_at = base + body.len();
        for (tag, value) in &dynamic {
            self.put(&mut body, *tag, word);
            self.put(&mut body, *value, word);
        }
        let dynamic_size = base + body.len() - dynamic_at;

        let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(self.wide), 1 + u8::from(self.big), 1];
        file.resize(16, 0);
        for (value, length) in [
            (u64::from(self.kind), 2),
            (u64::from(self.machine), 2),
            (1, 4),
            (0, word),
            (head as u64, word),
            (0, word),
            (0, 4),
            (head as u64, 2),
            (entry as u64, 2),
            (count as u64, 2),
            (0, 2),
            (0, 2),
            (0, 2),
        ] {
            self.put(&mut file, value, length);
        }
        let mut segments = vec![(1, 0, shift, base + body.len()), (2, dynamic_at, dynamic_at + shift, dynamic_size)];
        if self.interpreter.is_some() {
            segments.insert(0, (3, interpreter, interpreter + shift, interpreter_size));
        }
        for (kind, offset, address, size) in segments {
            let (offset, address, size) = (offset as u64, address as u64, size as u64);
            let fields = if self.wide {
                vec![(kind, 4), (4, 4), (offset, 8), (address, 8), (address, 8), (size, 8), (size, 8), (1, 8)]
            } else {
                vec![(kind, 4), (offset, 4), (address, 4), (address, 4), (size, 4), (size, 4), (4, 4), (1, 4)]
            };
            fields.into_iter().for_each(|(value, length)| self.put(&mut file, value, length));
        }
        file.extend(body);
        file.extend(&self.rest);
        file
    }

    fn put(&self, to: &mut Vec<u8>, value: u64, length: usize) {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..length];
        if self.big { to.extend(bytes.iter().rev()) } else { to.extend(bytes) }
    }
}

/// Puts a file on the made-up machine in `root`, with the directories above it.
pub fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let at = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(at.parent().expect("a file has a parent")).expect("directories");
    fs::write(&at, bytes).expect("a file");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// Puts a symbolic link there.
pub fn link(root: &Path, path: &str, to: &str) {
    let at = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(at.parent().expect("a link has a parent")).expect("directories");
    symlink(to, at).expect("a link");
}
