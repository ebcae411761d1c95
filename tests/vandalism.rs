//! What a learner may type in the lab by hand, out of curiosity or by mistake, does not reach the machine; and `r` gives a
//! fresh lab where everything is back.
//!
//! If the protection failed, this test must not hurt: as root everything runs behind a second wall, a mount namespace
//! where `/etc`, `/home` and `/srv` are copies and the rest is read-only; settings are written with harmless values and put
//! back; nothing destructive is typed before the shell has proved that it is in the lab.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use support::{ANSWER, Machine, Mode, Process, Session, World, am_root, below, bounded, names, skip};

in_each_mode!(vandalism);

const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const PARAMETER: &str = "/sys/module/kernel/parameters/panic";

/// Puts a value back if it was changed after all.
struct PutBack(&'static str, String);

impl Drop for PutBack {
    fn drop(&mut self) {
        if fs::read_to_string(self.0).unwrap_or_default() != self.1 {
            let _ = fs::write(self.0, &self.1);
        }
    }
}

/// A process of the machine's that must live on.
struct Bystander(std::process::Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn vandalism(world: &World) {
    let canary = canary(world);
    let facts = facts_of(&canary);
    let before = Machine::now(world);
    let swappiness = PutBack(SWAPPINESS, fs::read_to_string(SWAPPINESS).unwrap());
    let _hostname = PutBack("/proc/sys/kernel/hostname", fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
    let bystander = Bystander(world.as_person("sleep").arg("1000").spawn().unwrap());
    let bystander_process = Process::read(i32::try_from(bystander.0.id()).unwrap()).unwrap();
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (wall, since) = (clock(), Instant::now());

    let command = world.lab(&["--plain", "05-pid"]);
    let mut session = Session::start(world, &mut behind_a_wall(world, &canary, command));
    session.opened();
    let mut lab = Lab { session, world };
    lab.is_inside();

    // Files. Root owns the machine's files in the lab; without root they belong to nobody there.
    let root = world.mode == Mode::Root;
    if am_root() {
        lab.does("rm -rf /srv/*; ls -A /srv | wc -l", "0");
        lab.does("echo mine > /srv/new; cat /srv/new", "mine");
        lab.tries("rm -rf /home/*; echo gone > /home/new", Some(true));
        lab.tries("rm -f /etc/hostname /etc/hosts", if root { Some(true) } else { None });
        lab.tries("echo x > /etc/passwd", Some(root));
        lab.tries("rm -rf /usr/share/doc/bash /usr/bin/env", Some(root));
        lab.tries("chmod 000 /var", Some(true));
        if root {
            lab.does("cat /etc/passwd; ls /usr/bin/env /etc/hostname 2>&1 | grep -c cannot", "2");
        }
        lab.is_fresh_after_reset();
        lab.does("cat /srv/canary; ls /srv/deep/er", "sings");
        lab.tries("test ! -e /srv/new && test -x /usr/bin/env && grep -q root:x:0:0 /etc/passwd", Some(true));
    }
    lab.tries("mkdir -p /home/hw-canary && rm -rf /home/hw-canary /tmp/* /run/* /root/*", Some(true));

    // Settings of the whole machine.
    let other = swappiness.1.trim().parse::<u32>().unwrap() ^ 1;
    lab.tries(&format!("echo {other} > {SWAPPINESS}"), Some(false));
    lab.tries(&format!("sysctl -w vm.swappiness={other}"), None);
    // The same files once more, as the lesson on pid namespaces has one mount them.
    if root && lab.session.cgroups().is_empty() {
        skip("vandalism::a_new_proc", "no cgroup of version 2 that root may write, so sysctls have no guard");
    } else {
        lab.tries(&format!("mount -t proc proc /mnt; echo {other} > /mnt/sys/vm/swappiness"), Some(false));
        lab.tries("umount /mnt", None);
        lab.tries(&format!("mount -o remount,rw /proc/sys; echo {other} > {SWAPPINESS}"), Some(false));
    }
    lab.tries("echo h > /proc/sysrq-trigger", Some(false));
    lab.tries(&format!("cat {PARAMETER} > {PARAMETER}"), Some(false));
    // Groups of its own the lab may make; those of the machine it sees and leaves alone.
    // The other modes' labs, which are there at the same time, have theirs under other names.
    let group = format!("hw-canary-{}", world.mode.name());
    lab.tries(&format!("mkdir $(find -L /sys/fs/cgroup -maxdepth 2 -type d -printf '%p/{group} ')"), None);
    let made = support::directories_below(Path::new("/sys/fs/cgroup"));
    let made = made.iter().filter(|path| path.ends_with(&group)).map(|path| path.display().to_string());
    let own = lab.session.cgroups();
    assert!(
        made.clone().all(|path| own.contains(&path)),
        "a group outside of the lab's own: {:?}",
        made.collect::<Vec<_>>()
    );
    lab.tries("date -s \"$(date '+%F %T')\"", Some(false));
    lab.tries("hostname vandal", Some(true));
    lab.does("hostname", "vandal");

    // Devices.
    lab.does("find /dev -type b | wc -l", "0");
    lab.tries("mknod /dev/hw-loop b 7 0 && head -c 1 /dev/hw-loop", Some(false));
    lab.tries("mknod /tmp/hw-loop b 7 0 && head -c 1 /tmp/hw-loop", Some(false));
    // A devtmpfs has nodes for all of the machine's devices. A loop device that nothing is behind hurts nobody.
    lab.tries("mount -t devtmpfs d /mnt && head -c 1 /mnt/loop0", Some(false));
    lab.tries("dd if=/dev/zero of=/dev/sda count=1", None);
    lab.does("test -b /dev/sda; echo $?", "1");

    // Links and mounts.
    lab.tries("ip link add hw-canary type bridge || ip link add hw-canary type veth", None);
    lab.tries("ip link set lo up", Some(true));
    lab.tries("mount -t tmpfs canary /mnt && mount --bind /mnt /srv", Some(true));
    lab.tries("mount --make-rshared / && mount --bind /tmp /media", None);
    assert!(!names("/sys/class/net").contains("hw-canary"), "a link reached the machine");
    lab.is_fresh_after_reset();

    // Everything that can be unmounted and everybody who can be killed.
    lab.session.say("! umount -a -l");
    lab.is_fresh_after_reset();
    lab.session.say("! kill -9 -1");
    assert!(bystander_process.lives(), "a process outside of the lab was killed");
    lab.is_fresh_after_reset();
    lab.does("hostname", "lab");
    // Some shells are cruel to themselves.
    lab.session.say("! exec false");
    lab.is_fresh_after_reset();
    let done = lab.session.say("n");
    assert!(done.contains("µs]"), "the lesson goes on: {done}");
    lab.session.quit();
    drop(lab);

    let drift = (clock() - wall).abs_diff(since.elapsed());
    assert!(drift < Duration::from_secs(5), "the machine's clock was set: {drift:?}");
    assert!(bystander_process.lives());
    assert_eq!(facts, facts_of(&canary), "files of the machine have changed");
    before.is_as_before(world);
}

/// Files that stand for the machine's own: as root they are what the lab is made from.
fn canary(world: &World) -> PathBuf {
    let canary = world.path().join("canary");
    fs::create_dir(&canary).unwrap();
    if am_root() {
        let copied = bounded(Command::new("cp").args(["-a", "/etc"]).arg(canary.join("etc")), ANSWER);
        assert!(copied.status.success(), "{}", copied.stderr);
        for place in ["srv", "srv/deep", "home", "home/somebody"] {
            fs::create_dir(canary.join(place)).unwrap();
        }
        for file in ["srv/canary", "srv/deep/er", "home/somebody/thesis", "home/.hidden"] {
            fs::write(canary.join(file), "sings\n").unwrap();
        }
        // The person's own, so that without root as well nothing but the lab stands between them and `rm`.
        for path in below(&canary.join("srv")).into_iter().chain(below(&canary.join("home"))) {
            world.give(&path);
        }
    }
    canary
}

/// What is in a directory: mode, owner, time and text of each file.
fn facts_of(path: &Path) -> BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)> {
    let facts = |path: PathBuf| {
        let it = fs::symlink_metadata(&path).unwrap();
        let text = if it.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        (path, (it.mode(), it.uid(), it.mtime(), text))
    };
    below(path).into_iter().map(facts).collect()
}

/// As root: the same command in a mount namespace where a failing lab could destroy only copies.
fn behind_a_wall(world: &World, canary: &Path, command: Command) -> Command {
    const WALL: &str = r#"
        set -e
        for place in etc home srv; do mount --bind "$CANARY/$place" "/$place"; done
        for place in /*; do
            case $place in /etc|/home|/srv|/tmp|/run|/proc|/sys|/dev) continue ;; esac
            if [ -d "$place" ] && [ ! -L "$place" ]; then
                mount --bind "$place" "$place"
                mount -o remount,bind,ro "$place"
            fi
        done
        exec "$@""#;
    if !am_root() {
        return command;
    }
    let mut walled = Command::new("unshare");
    walled.args(["--mount", "--propagation", "private", "bash", "-c", WALL, "bash"]);
    walled.arg(command.get_program()).args(command.get_args());
    walled.env_clear().env("CANARY", canary).current_dir("/");
    for (name, value) in command.get_envs() {
        walled.env(name, value.unwrap_or_default());
    }
    walled.env("XDG_STATE_HOME", world.home.join(".local/state"));
    walled
}

/// The learner's shell.
struct Lab<'a> {
    session: Session<'a>,
    world: &'a World,
}

impl Lab<'_> {
    /// Types a line; its exit status and what it printed.
    #[track_caller]
    fn types(&mut self, line: &str) -> (i32, String) {
        let text = self.session.say(&format!("! {line}; echo status=$?"));
        let printed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  | ")).collect();
        let status = printed.iter().rev().find_map(|line| line.strip_prefix("status=")?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status of {line:?} in {text}"));
        (status, printed.join("\n"))
    }

    /// A line that succeeds, fails, or may do either.
    #[track_caller]
    fn tries(&mut self, line: &str, succeeds: Option<bool>) {
        let (status, printed) = self.types(line);
        if let Some(succeeds) = succeeds {
            assert_eq!(status == 0, succeeds, "{line:?} in the lab, {:?}: {printed}", self.world.mode);
        }
    }

    /// A line that prints this as a line of its own.
    #[track_caller]
    fn does(&mut self, line: &str, prints: &str) {
        let (_, printed) = self.types(line);
        assert!(printed.lines().any(|one| one.trim() == prints), "{line:?} does not print {prints:?}: {printed}");
    }

    /// Without this nothing else may be typed.
    #[track_caller]
    fn is_inside(&mut self) {
        let (_, printed) = self.types("hostname; cat /proc/1/comm; readlink /proc/self/ns/{mnt,pid,net,uts}");
        let lines: Vec<&str> = printed.lines().map(str::trim).collect();
        assert!(lines.contains(&"lab") && lines.contains(&"hw-agent"), "not in a lab: {printed}");
        for kind in ["mnt", "pid", "net", "uts"] {
            let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            let shown = lines.iter().find(|line| line.starts_with(&format!("{kind}:["))).copied();
            assert!(shown.is_some() && shown != own.to_str(), "{kind} is the machine's: {printed}");
        }
    }

    #[track_caller]
    fn is_fresh_after_reset(&mut self) {
        let text = self.session.say("r");
        assert!(!text.lines().any(|line| line.starts_with("! ")), "{text}");
        self.is_inside();
    }
}
