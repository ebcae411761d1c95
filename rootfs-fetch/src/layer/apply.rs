//! One entry after the other.

use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;

use super::Limits;
use super::ahead::Ahead;
use super::archive::{Archive, Member, Type};
use super::below::Overlay;
use super::error::{During, LayerError, lossy};
use super::metadata::{Owner, complete_file, mode, set_mode, set_time, take_xattrs};
use super::name::{Name, Said};
use super::report::{Applied, Counts, Deed, Event, Kind, Reason};
use super::sweep::{Which, list};
use super::tree::{Place, Tree, file_type, is_whiteout};

/// The largest numbers of a device: the kernel has 12 bits for the one and 20 for the other, and cuts off what is beyond.
const MAX_MAJOR: u32 = 0xfff;
const MAX_MINOR: u32 = 0xf_ffff;

/// What a file needs to be written to by its owner.
const WRITABLE: Mode = Mode::RUSR.union(Mode::WUSR);

struct Applier<'a> {
    tree: Tree<'a>,
    owner: Owner,
    overlay: bool,
    limits: &'a Limits,
    counts: Counts,
    has_root: bool,
    observer: &'a mut dyn FnMut(&Event<'_>),
}

/// Applies the next archive that is read ahead, and reads it to its end.
pub(super) fn apply(
    ahead: &mut Ahead,
    path: &Path,
    overlay: Option<Overlay<'_>>,
    limits: &Limits,
    observer: &mut dyn FnMut(&Event<'_>),
) -> Result<Applied, LayerError> {
    let mut applier = Applier::new(path, overlay, limits, observer)?;
    let mut archive = Archive::new(&mut *ahead);
    while let Some(member) = archive.next()? {
        applier.entry(&member, &mut archive)?;
    }
    let diff_id = ahead.finish()?;
    applier.tree.finish().map_err(|(path, error)| LayerError::Io {
        operation: "set default ACL, mode and times of",
        entry: path.to_string_lossy().into_owned(),
        source: error.into(),
    })?;
    Ok(Applied { diff_id, has_root: applier.has_root, counts: applier.counts })
}

impl<'a> Applier<'a> {
    fn new(
        path: &Path,
        overlay: Option<Overlay<'a>>,
        limits: &'a Limits,
        observer: &'a mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, LayerError> {
        let refuse = |why: String| LayerError::Target { path: path.to_owned(), why };
        let errno = |error: Errno| refuse(io::Error::from(error).to_string());
        let is_overlay = overlay.is_some();
        let mut tree = Tree::open(path, overlay).map_err(errno)?;
        let (root, _) = tree.directory(&[]).map_err(errno)?;
        if is_overlay && !list(&root).map_err(errno)?.is_empty() {
            return Err(refuse("a layer of overlayfs begins as an empty directory".into()));
        }
        let (owner, counts) = (Owner::here(), Counts::default());
        Ok(Self { tree, owner, overlay: is_overlay, limits, counts, has_root: false, observer })
    }

    fn entry(&mut self, member: &Member, data: &mut Archive<impl BufRead>) -> Result<(), LayerError> {
        if self.counts.entries == self.limits.entries {
            return Err(LayerError::Limit { what: "entries", limit: self.limits.entries });
        }
        if self.tree.noted > self.limits.names {
            return Err(LayerError::Limit { what: "bytes of names", limit: self.limits.names });
        }
        self.counts.entries += 1;
        let (name, kind, deed) = match Said::read(&member.name)? {
            Said::There(name) => {
                let deed = self.put(&name, member, data)?;
                (name, kind_of(&member.kind), deed)
            }
            Said::Whiteout(name) => {
                let deed = self.whiteout(&name, member)?;
                (name, Kind::Whiteout, deed)
            }
            Said::Opaque(name) => {
                let deed = self.opaque(&name, member)?;
                (name, Kind::Opaque, deed)
            }
            Said::Aufs(name) => (name, Kind::Aufs, Deed::LeftOut(Reason::Aufs)),
        };
        self.counts.count(deed);
        (self.observer)(&Event { path: &name.path(), kind, deed });
        Ok(())
    }

    fn put(&mut self, name: &Name, member: &Member, data: &mut Archive<impl BufRead>) -> Result<Deed, LayerError> {
        let Some((above, last)) = name.split() else { return self.root(member) };
        let (at, id) = self.tree.make_directory(above).during("open the directory of", &member.name)?;
        let place = Place { at, id, name: last.to_owned() };
        let deed = match &member.kind {
            Type::Directory => self.directory(&place, member)?,
            Type::Hardlink => self.hardlink(&place, member)?,
            Type::Symlink => self.symlink(&place, member)?,
            Type::File { size, data: map } => self.file(&place, member, (*size, map), data)?,
            Type::CharacterDevice { major: 0, minor: 0 } => {
                return Err(LayerError::refused(&member.name, "a character device 0/0 would hide a file in overlayfs"));
            }
            Type::CharacterDevice { major, minor } => {
                self.node(&place, member, FileType::CharacterDevice, (*major, *minor))?
            }
            Type::BlockDevice { major, minor } => self.node(&place, member, FileType::BlockDevice, (*major, *minor))?,
            Type::Fifo => self.node(&place, member, FileType::Fifo, (0, 0))?,
        };
        self.tree.mark_made(&place);
        Ok(deed)
    }

    /// The root's own metadata.
    fn root(&mut self, member: &Member) -> Result<Deed, LayerError> {
        if member.kind != Type::Directory {
            return Err(LayerError::refused(&member.name, "it is the root, which is a directory"));
        }
        let (root, _) = self.tree.directory(&[]).during("open", &member.name)?;
        self.directory_metadata(&root, member)?;
        self.has_root = true;
        Ok(Deed::Replaced)
    }

    fn directory(&mut self, place: &Place, member: &Member) -> Result<Deed, LayerError> {
        let found = place.look().during("look at", &member.name)?;
        let deed = match found.map(|found| file_type(&found)) {
            Some(FileType::Directory) => Deed::Replaced,
            Some(_) => {
                self.tree.remove(place, Which::All).during("replace", &member.name)?;
                self.tree.new_directory(place, true).during("make the directory", &member.name)?;
                Deed::Replaced
            }
            None => {
                self.tree.new_directory(place, false).during("make the directory", &member.name)?;
                Deed::Added
            }
        };
        let directory = place.open().during("open", &member.name)?;
        self.directory_metadata(&directory, member)?;
        Ok(deed)
    }

    fn directory_metadata(&mut self, directory: &OwnedFd, member: &Member) -> Result<(), LayerError> {
        self.tree.enter(directory).during("enter", &member.name)?;
        take_xattrs(directory, member, &mut self.counts).during("take the old attributes of", &member.name)?;
        self.owner.give(directory, member, &mut self.counts).during("set the metadata of", &member.name)?;
        self.tree.set_last(directory, mode(member), member.mtime).during("enter", &member.name)
    }

    /// Removes what is in the way.
    fn make_room(&mut self, place: &Place, member: &Member) -> Result<Deed, LayerError> {
        if place.look().during("look at", &member.name)?.is_none() {
            return Ok(Deed::Added);
        }
        self.tree.remove(place, Which::All).during("replace", &member.name)?;
        Ok(Deed::Replaced)
    }

    fn file(
        &mut self,
        place: &Place,
        member: &Member,
        (size, map): (u64, &[(u64, u64)]),
        data: &mut Archive<impl BufRead>,
    ) -> Result<Deed, LayerError> {
        if size > self.limits.file {
            return Err(LayerError::Limit { what: "bytes in one file", limit: self.limits.file });
        }
        // A new file, never the one that was there: that may have another name.
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // To set attributes its owner may need to write to it, whatever its mode will be.
        let first = if member.xattrs.is_empty() { mode(member) & Mode::from_raw_mode(0o777) } else { WRITABLE };
        let (deed, opened) = match openat(&place.at, &place.name, flags, first) {
            Err(Errno::EXIST) => (self.make_room(place, member)?, openat(&place.at, &place.name, flags, first)),
            opened => (Deed::Added, opened),
        };
        let mut file = File::from(opened.during("make the file", &member.name)?);
        let mut end = 0;
        for (offset, length) in map {
            if *offset > end {
                file.seek(SeekFrom::Start(*offset)).during("write", &member.name)?;
            }
            self.write(&mut file, *length, data, member)?;
            end = offset + length;
        }
        if end < size {
            file.set_len(size).during("set the size of", &member.name)?;
        }
        let file = file.into();
        let made = self.owner.give(&file, member, &mut self.counts).during("set the metadata of", &member.name)?;
        complete_file(&file, &made, member).during("set mode and time of", &member.name)?;
        Ok(deed)
    }

    fn write(
        &mut self,
        file: &mut File,
        mut left: u64,
        data: &mut Archive<impl BufRead>,
        member: &Member,
    ) -> Result<(), LayerError> {
        while left > 0 {
            let part = data.data()?;
            let part = &part[..part.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            file.write_all(part).during("write", &member.name)?;
            let count = part.len();
            data.consume(count);
            left -= count as u64;
            self.counts.bytes += count as u64;
        }
        Ok(())
    }

    fn metadata(&mut self, node: &OwnedFd, member: &Member) -> Result<(), LayerError> {
        self.owner.give(node, member, &mut self.counts).during("set the metadata of", &member.name)?;
        if member.kind != Type::Symlink {
            set_mode(node, member).during("set the mode of", &member.name)?;
        }
        set_time(node, member).during("set the time of", &member.name)
    }

    fn symlink(&mut self, place: &Place, member: &Member) -> Result<Deed, LayerError> {
        if member.link.is_empty() || member.link.contains(&0) {
            return Err(LayerError::refused(&member.name, "it is a link to what is no path"));
        }
        let deed = self.make_room(place, member)?;
        symlinkat(&*member.link, &place.at, &place.name).during("make the link", &member.name)?;
        let node = place.open().during("open", &member.name)?;
        self.metadata(&node, member)?;
        Ok(deed)
    }

    /// Another name for a file. It has that file's metadata; what the entry says of them is not applied, as in GNU tar.
    fn hardlink(&mut self, place: &Place, member: &Member) -> Result<Deed, LayerError> {
        let refuse = |why: &str| Err(LayerError::refused(&member.name, format!("{:?}: {why}", lossy(&member.link))));
        let Ok(target) = Name::read(&member.link) else {
            return refuse("that is no path to which there can be a hard link");
        };
        let Some((above, last)) = target.split() else { return refuse("there is no hard link to a directory") };
        // For overlayfs it may be in a directory that only lower layers have.
        let opened = if self.overlay { self.tree.make_directory(above) } else { self.tree.directory(above) };
        let (at, id) = match opened {
            Err(Errno::NOENT) => return refuse("the file to which it is a hard link is not there"),
            found => found.during("open the directory of the file that is linked by", &member.name)?,
        };
        let target = Place { at, id, name: last.to_owned() };
        let mut found = target.look().during("look at the file that is linked by", &member.name)?;
        if found.is_none() {
            let copied = self.tree.copy_up(&target).during("copy the file that is linked by", &member.name)?;
            self.counts.bytes += copied.unwrap_or_default();
            found = target.look().during("look at the file that is linked by", &member.name)?;
        }
        let found = match found {
            Some(found) if file_type(&found) == FileType::Directory => {
                return refuse("there is no hard link to a directory");
            }
            Some(found) if !is_whiteout(&found) => found,
            _ => return refuse("the file to which it is a hard link is not there"),
        };
        let here = place.look().during("look at", &member.name)?;
        if here.is_some_and(|here| (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)) {
            return Ok(Deed::Nothing);
        }
        let deed = self.make_room(place, member)?;
        linkat(&target.at, &target.name, &place.at, &place.name, AtFlags::empty())
            .during("make the hard link", &member.name)?;
        Ok(deed)
    }

    fn node(
        &mut self,
        place: &Place,
        member: &Member,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Result<Deed, LayerError> {
        if major > MAX_MAJOR || minor > MAX_MINOR {
            return Err(LayerError::refused(&member.name, format!("there is no device {major}/{minor}")));
        }
        let deed = self.make_room(place, member)?;
        match mknodat(&place.at, &place.name, kind, WRITABLE, makedev(major, minor)) {
            Err(Errno::PERM) => return Ok(Deed::LeftOut(Reason::Device)),
            result => result.during("make the device", &member.name)?,
        }
        let node = place.open().during("open", &member.name)?;
        self.metadata(&node, member)?;
        Ok(deed)
    }

    fn whiteout(&mut self, name: &Name, member: &Member) -> Result<Deed, LayerError> {
        let Some((above, last)) = name.split() else { return Ok(Deed::Nothing) };
        if !self.overlay {
            let (at, id) = match self.tree.directory(above) {
                Err(Errno::NOENT) => return Ok(Deed::Nothing),
                found => found.during("open the directory of", &member.name)?,
            };
            let place = Place { at, id, name: last.to_owned() };
            return self
                .tree
                .remove(&place, Which::Lower)
                .map(deleted)
                .during("delete what is hidden by", &member.name);
        }
        let (at, id) = self.tree.make_directory(above).during("open the directory of", &member.name)?;
        let place = Place { at, id, name: last.to_owned() };
        match place.look().during("look at", &member.name)? {
            None => {
                let device = makedev(0, 0);
                mknodat(&place.at, &place.name, FileType::CharacterDevice, Mode::empty(), device)
                    .during("make the whiteout", &member.name)?;
            }
            // This layer has a directory there, and only that of lower layers is not to be seen.
            Some(found) if file_type(&found) == FileType::Directory => {
                let directory = place.open().during("open", &member.name)?;
                self.tree.make_opaque(&directory).during("make opaque what is named by", &member.name)?;
            }
            Some(_) => return Ok(Deed::Nothing),
        }
        Ok(Deed::Marked)
    }

    fn opaque(&mut self, name: &Name, member: &Member) -> Result<Deed, LayerError> {
        let components = name.components();
        if !self.overlay {
            let (at, id) = match self.tree.directory(components) {
                Err(Errno::NOENT) => return Ok(Deed::Nothing),
                found => found.during("open the directory of", &member.name)?,
            };
            let removed = self.tree.remove_in(at, id, Which::Lower);
            return removed.map(deleted).during("delete what is hidden by", &member.name);
        }
        if components.is_empty() {
            let why = "overlayfs has no opaque root: the layers below this one have to be left away";
            return Err(LayerError::refused(&member.name, why));
        }
        let (directory, _) = self.tree.make_directory(components).during("open the directory of", &member.name)?;
        self.tree.make_opaque(&directory).during("make opaque the directory of", &member.name)?;
        Ok(Deed::Marked)
    }
}

fn deleted(count: u64) -> Deed {
    if count > 0 { Deed::Deleted(count) } else { Deed::Nothing }
}

/// What a member is, without a look at its name.
pub(super) fn kind_of(kind: &Type) -> Kind {
    match kind {
        Type::File { .. } => Kind::File,
        Type::Directory => Kind::Directory,
        Type::Symlink => Kind::Symlink,
        Type::Hardlink => Kind::Hardlink,
        Type::CharacterDevice { .. } => Kind::CharacterDevice,
        Type::BlockDevice { .. } => Kind::BlockDevice,
        Type::Fifo => Kind::Fifo,
    }
}
