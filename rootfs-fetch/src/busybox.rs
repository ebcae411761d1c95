//! The machine's own static busybox: one file that is a shell and most other programs.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::draft::{Draft, copy, link};
use crate::error::Error;
use crate::machine::{Found, Machine};
use crate::plan::Applets;
use crate::wanted::WANTED;

/// Where distributions put it.
const PLACES: [&str; 9] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/sbin/busybox",
    "/usr/local/bin/busybox",
    "/usr/lib/initramfs-tools/bin/busybox",
    "/usr/lib/initcpio/busybox",
    "/bin/busybox.static",
    "/usr/bin/busybox-static",
    "/usr/local/sbin/busybox",
];
/// Applets that most builds have, besides those that are wanted anyway.
const COMMON: &str = "[ ash awk base64 basename clear cmp cut date diff dirname dmesg du egrep expr false find \
    fgrep fold hexdump ifconfig killall less md5sum mktemp more mountpoint nc netstat nice nohup nproc od pgrep pidof \
    pkill printenv printf pwd realpath renice route seq setsid sha256sum stty sync tar tee time timeout top traceroute \
    tty uniq uptime usleep vi watch wget which xargs yes";
/// More than any busybox weighs.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_LIST: u64 = 64 * 1024;
const MAX_APPLETS: usize = 1000;
/// `busybox --list` takes a millisecond.
const DEADLINE: Duration = Duration::from_secs(5);

/// A static busybox that has a shell.
pub(crate) struct Busybox {
    pub found: Found,
    pub names: BTreeSet<String>,
    pub applets: Applets,
}

/// Finds it; else says of each file that was passed over why.
pub(crate) fn find(machine: &Machine) -> Result<Busybox, Vec<String>> {
    let mut notes = Vec::new();
    let mut seen = BTreeSet::new();
    for place in PLACES.map(Path::new) {
        match machine.find_file(place) {
            Ok(None) => {}
            Ok(Some(found)) if !seen.insert(found.real.clone()) => {}
            Ok(Some(found)) => match examine(machine, found) {
                Ok(busybox) => return Ok(busybox),
                Err(error) => notes.push(error.to_string()),
            },
            Err(error) => notes.push(error.to_string()),
        }
    }
    Err(notes)
}

/// Plans `/bin` with a link for each applet, and the other directories of programs as links to it.
pub(crate) fn add(busybox: &Busybox, draft: &mut Draft) -> Result<(), Error> {
    draft.put("/bin/busybox", copy(&busybox.found))?;
    for name in &busybox.names {
        draft.put(&format!("/bin/{name}"), link("busybox"))?;
    }
    draft.put("/sbin", link("bin"))?;
    draft.put("/usr/bin", link("../bin"))?;
    draft.put("/usr/sbin", link("../bin"))
}

fn examine(machine: &Machine, found: Found) -> Result<Busybox, Error> {
    if !machine.elf(&found)?.is_static() {
        return Err(Error::unusable(&found.real, "this busybox needs a loader (PT_INTERP) or libraries"));
    }
    if found.metadata.permissions().mode() & 0o111 == 0 {
        return Err(Error::unusable(&found.real, "this busybox is not executable"));
    }
    let listed = if may_be_run(machine, &found) { list(&machine.outside(&found.real)) } else { None };
    let (names, applets) = match listed {
        Some(names) => (names, Applets::Listed),
        None => (common(machine, &found)?, Applets::Common),
    };
    if !names.contains("sh") {
        return Err(Error::unusable(&found.real, "this busybox has no applet `sh`"));
    }
    Ok(Busybox { found, names, applets })
}

/// Only the machine's own installed program is ever run: root's file, and nobody else can write to it. A directory
/// that plays a machine has none.
fn may_be_run(machine: &Machine, found: &Found) -> bool {
    machine.is_this() && found.metadata.uid() == 0 && found.metadata.permissions().mode() & 0o022 == 0
}

/// What `busybox --list` prints; nothing where it can not be run, fails, or takes longer than it should.
fn list(path: &Path) -> Option<BTreeSet<String>> {
    let mut child = Command::new(path)
        .arg("--list")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (send, receive) = mpsc::channel();
    let output = child.stdout.take();
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.map(|output| output.take(MAX_LIST).read_to_string(&mut text));
        // Nobody listens any more when the deadline has passed.
        let _ = send.send(matches!(read, Some(Ok(_))).then_some(text));
    });
    let text = receive.recv_timeout(DEADLINE).ok().flatten();
    if text.is_none() {
        // It may have ended by itself in the meantime.
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    let names = text?.lines().filter(|name| is_name(name)).take(MAX_APPLETS).map(str::to_owned).collect();
    status.success().then_some(names)
}

/// The wanted and common names that stand in the file by themselves, between zero bytes: busybox keeps its applets'
/// names so.
fn common(machine: &Machine, found: &Found) -> Result<BTreeSet<String>, Error> {
    if found.metadata.len() > MAX_BYTES {
        return Err(Error::unusable(&found.real, format!("this busybox is larger than {MAX_BYTES} bytes")));
    }
    let bytes = machine.beginning(found, MAX_BYTES)?;
    let known: BTreeSet<&str> = WANTED.iter().map(|(name, _)| *name).chain(COMMON.split_whitespace()).collect();
    let within = bytes.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    Ok(within.filter_map(|word| known.get(word)).map(|name| (*name).to_owned()).collect())
}

/// `busybox` itself is the file to which the others lead.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"[._+-".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits) && !matches!(name, "." | ".." | "busybox")
}
