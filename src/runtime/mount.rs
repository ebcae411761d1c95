//! Mounts (mount(2), mount_namespaces(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, MntFlags, MsFlags};
use crate::kernel::trace::{CallError, Trace};

/// Mounts a new proc on `/proc`: it shows the pid namespace of the process that mounts it (pid_namespaces(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountProc {
    /// Who.
    pub r#in: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for MountProc {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} mounts a new proc over /proc, which lists the processes of its own pid namespace", self.r#in)
    }

    fn shell(&self) -> Option<String> {
        Some("mount -t proc proc /proc".to_owned())
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("a mount on /proc in the mount namespace of {}", self.r#in), home: Home::Lab }]
    }
}

impl Perform for MountProc {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::mount(trace, "proc", "/proc", Some("proc"), MsFlags::empty(), None)?;
        Ok(Outcome::default())
    }
}

/// Mounts a file system, or shows a directory at a second place (`MS_BIND`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Who.
    pub r#in: String,
    /// What: the directory of a bind mount, else whatever name the mount shall have.
    pub source: String,
    /// Where.
    pub at: String,
    /// Type of the file system; none for a bind mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
    /// Flags by the names that mount(2) has for them: `MS_BIND`, `MS_RDONLY`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Options of the file system, as mount(8) takes them after `-o`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mount {
    fn flags(&self) -> MsFlags {
        self.flags.iter().filter_map(|name| MsFlags::from_name(name)).fold(MsFlags::empty(), |all, one| all | one)
    }
}

impl Mechanism for Mount {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, source, at, .. } = self;
        match &self.fstype {
            Some(fstype) => format!("{in} mounts a {fstype} on {at}"),
            None if source == at => format!("{in} bind mounts {at} on itself: the same directory, now a mount point"),
            None => format!("{in} shows {source} at {at} as well, by a bind mount"),
        }
    }

    fn shell(&self) -> Option<String> {
        let flags = self.flags();
        let mut words = vec!["mount".to_owned()];
        if flags.contains(MsFlags::MS_BIND) {
            words.push(if flags.contains(MsFlags::MS_REC) { "--rbind" } else { "--bind" }.to_owned());
        }
        if let Some(fstype) = &self.fstype {
            words.extend(["-t".to_owned(), fstype.clone()]);
        }
        let named = (flags - MsFlags::MS_BIND - MsFlags::MS_REC)
            .iter_names()
            .map(|(name, _)| if name == "MS_RDONLY" { "ro".to_owned() } else { name[3..].to_lowercase() });
        let options: Vec<String> = named.chain(self.options.clone()).collect();
        if !options.is_empty() {
            words.extend(["-o".to_owned(), options.join(",")]);
        }
        words.extend([self.source.clone(), self.at.clone()]);
        Some(shell_words(&words))
    }

    fn once(&self) -> bool {
        // A second one would cover the first.
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("a mount on {} in the mount namespace of {}", self.at, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses: Vec<Misuse> = misused_path("at", &self.at).into_iter().collect();
        for name in self.flags.iter().filter(|name| MsFlags::from_name(name).is_none()) {
            let what = format!("`{}` is no flag of mount(2)", name.escape_debug());
            misuses.push(Misuse::new("flags", what, "write its name: `MS_BIND`, `MS_REC`, `MS_RDONLY`"));
        }
        if self.fstype.is_some() == self.flags().contains(MsFlags::MS_BIND) {
            let fix = "write `fstype: tmpfs`, or `flags: [MS_BIND]` for a directory";
            misuses.push(Misuse::new("fstype", "a mount has a type, or is a bind mount, and not both", fix));
        }
        misuses
    }
}

impl Perform for Mount {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::mount(trace, &self.source, &self.at, self.fstype.as_deref(), self.flags(), self.options.as_deref())?;
        Ok(Outcome::default())
    }
}

/// Whether a mount passes on what is mounted below it (mount_namespaces(7), SHARED SUBTREES).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Neither passes on nor receives.
    Private,
    /// Passes on to its peers and receives from them.
    Shared,
    /// Receives, and passes nothing back.
    Slave,
    /// Private, and can not be bind mounted.
    Unbindable,
}

impl Kind {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Slave => "slave",
            Self::Unbindable => "unbindable",
        }
    }

    fn flag(self) -> MsFlags {
        match self {
            Self::Private => MsFlags::MS_PRIVATE,
            Self::Shared => MsFlags::MS_SHARED,
            Self::Slave => MsFlags::MS_SLAVE,
            Self::Unbindable => MsFlags::MS_UNBINDABLE,
        }
    }
}

/// Changes the propagation of a mount, or of a whole tree of mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propagation {
    /// Who.
    pub r#in: String,
    /// Which mount.
    pub at: String,
    /// What it becomes.
    pub becomes: Kind,
    /// With all mounts below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recursive: bool,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Propagation {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let below = if self.recursive { ", and all mounts below it," } else { "" };
        format!("{} makes the mount at {}{below} {}", self.r#in, self.at, self.becomes.word())
    }

    fn shell(&self) -> Option<String> {
        let option = format!("--make-{}{}", if self.recursive { "r" } else { "" }, self.becomes.word());
        Some(shell_words(&["mount".to_owned(), option, self.at.clone()]))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("the propagation of the mount at {} in the mount namespace of {}", self.at, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path("at", &self.at).into_iter().collect()
    }
}

impl Perform for Propagation {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let recursive = if self.recursive { MsFlags::MS_REC } else { MsFlags::empty() };
        // Source and type are not looked at; `none` is what mount(8) writes there.
        sys::mount(trace, "none", &self.at, None, recursive | self.becomes.flag(), None)?;
        Ok(Outcome::default())
    }
}

/// Takes a mount away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Umount {
    /// Who.
    pub r#in: String,
    /// Where.
    pub at: String,
    /// Flags by the names that umount2(2) has for them: `MNT_DETACH`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Umount {
    fn flags(&self) -> MntFlags {
        self.flags.iter().filter_map(|name| MntFlags::from_name(name)).fold(MntFlags::empty(), |all, one| all | one)
    }
}

impl Mechanism for Umount {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        if self.flags().contains(MntFlags::MNT_DETACH) {
            return format!("{} detaches the mount at {} with all below it, in use or not", self.r#in, self.at);
        }
        format!("{} takes the mount at {} away", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        let lazy = self.flags().contains(MntFlags::MNT_DETACH).then(|| "-l".to_owned());
        let words = ["umount".to_owned()].into_iter().chain(lazy).chain([self.at.clone()]);
        Some(shell_words(&words.collect::<Vec<_>>()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("no mount on {} any more in the mount namespace of {}", self.at, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses: Vec<Misuse> = misused_path("at", &self.at).into_iter().collect();
        for name in self.flags.iter().filter(|name| MntFlags::from_name(name).is_none()) {
            let what = format!("`{}` is no flag of umount2(2)", name.escape_debug());
            misuses.push(Misuse::new("flags", what, "write its name: `MNT_DETACH`"));
        }
        misuses
    }
}

impl Perform for Umount {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::umount2(trace, &self.at, self.flags())?;
        Ok(Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let actions: Vec<crate::runtime::action::Action> = serde_json::from_str(text).expect("actions");
        let good = actions.iter().all(|action| action.mechanism().misuses().is_empty());
        assert!(good, "{actions:?}");
        actions.iter().filter_map(|action| action.mechanism().shell()).collect()
    }

    #[test]
    fn shell_lines_are_what_a_person_types() {
        let text = r#"[
            {"mount": {"in": "box", "source": "tmpfs", "at": "/lab/a b", "fstype": "tmpfs"}},
            {"mount": {"in": "box", "source": "t", "at": "/t", "fstype": "tmpfs", "flags": ["MS_RDONLY", "MS_NOSUID"], "options": "size=1m"}},
            {"mount": {"in": "box", "source": "/a", "at": "/b", "flags": ["MS_BIND"]}},
            {"mount": {"in": "box", "source": "/a", "at": "/b", "flags": ["MS_BIND", "MS_REC"]}},
            {"propagation": {"in": "box", "at": "/", "becomes": "private", "recursive": true}},
            {"propagation": {"in": "box", "at": "/x", "becomes": "unbindable"}},
            {"umount": {"in": "box", "at": "/old", "flags": ["MNT_DETACH"]}},
            {"umount": {"in": "box", "at": "/old"}},
            {"pivot_root": {"in": "box", "new_root": ".", "put_old": "."}},
            {"chroot": {"in": "box", "to": "/usr", "as_user": 1000}}
        ]"#;
        let expected = [
            "mount -t tmpfs tmpfs '/lab/a b'",
            "mount -t tmpfs -o ro,nosuid,size=1m t /t",
            "mount --bind /a /b",
            "mount --rbind /a /b",
            "mount --make-rprivate /",
            "mount --make-unbindable /x",
            "umount -l /old",
            "umount /old",
            "pivot_root . .",
            "setpriv --reuid 1000 --regid 1000 --clear-groups chroot /usr",
        ];
        assert_eq!(lines(text), expected);
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let mount = |fstype: Option<&str>, flags: &[&str]| Mount {
            r#in: "box".into(),
            source: "s".into(),
            at: "/t".into(),
            fstype: fstype.map(String::from),
            flags: flags.iter().map(|name| (*name).to_owned()).collect(),
            options: None,
            fails_with: None,
        };
        let fields = |mount: Mount| mount.misuses().iter().map(|it| it.field).collect::<Vec<_>>();
        assert_eq!(fields(mount(Some("tmpfs"), &["MS_BIND"])), ["fstype"]);
        assert_eq!(fields(mount(None, &[])), ["fstype"]);
        assert_eq!(fields(mount(Some("tmpfs"), &["ms_bind"])), ["flags"]);
        assert!(fields(mount(None, &["MS_BIND"])).is_empty());
        let umount = Umount { r#in: "box".into(), at: "\0".into(), flags: vec!["-l".into()], fails_with: None };
        assert_eq!(umount.misuses().iter().map(|it| it.field).collect::<Vec<_>>(), ["at", "flags"]);
    }
}
