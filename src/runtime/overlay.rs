//! Overlays: several directories as one, with a place for what is written (mount(8), Documentation/filesystems/overlayfs.rst).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::overlay;
use crate::kernel::sys::{self, MsFlags};
use crate::kernel::trace::{CallError, Trace};

/// The option by which an overlay keeps its marks in `user.overlay.*`, for who may not write `trusted.overlay.*`.
const USER_ATTRIBUTES: &str = "userxattr";

/// How a shell finds out whether that option is needed: in the initial user namespace all ids stand for themselves.
const CHOSEN_BY_SHELL: &str = "$(grep -q 4294967295 /proc/self/uid_map || echo ,userxattr)";

/// The most layers below: more of them in one call of mount(2) do not fit into the page that its options have.
const MAX_LOWER: usize = 16;

/// Mounts an overlay. The option `userxattr` goes with it by itself where the actor may not write `trusted.*`: without root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Who.
    pub r#in: String,
    /// The directories below, the topmost first. Nothing is written to them.
    pub lower: Vec<String>,
    /// The directory that takes what is written; without one the overlay is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<String>,
    /// An empty directory on the same mount as the upper one, in which the kernel finishes what then appears there at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// Where.
    pub at: String,
    /// More options, as mount(8) takes them after `-o`: `redirect_dir=on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Overlay {
    /// The options that do not depend on who mounts.
    fn options(&self) -> Vec<String> {
        let mut options = vec![format!("lowerdir={}", self.lower.join(":"))];
        options.extend(self.upper.iter().map(|upper| format!("upperdir={upper}")));
        options.extend(self.work.iter().map(|work| format!("workdir={work}")));
        options.extend(self.options.iter().flat_map(|more| more.split(',')).map(str::to_owned));
        options
    }

    fn names_user_attributes(&self) -> bool {
        self.options().iter().any(|option| option == USER_ATTRIBUTES)
    }
}

impl Mechanism for Overlay {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let layers = self.lower.join(" over ");
        let written = match &self.upper {
            Some(upper) => format!("; what is written goes to {upper}"),
            None => ", to be read only".to_owned(),
        };
        format!("{} mounts an overlay on {}: {layers}{written}", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        let options = shell_words(&[self.options().join(",")]);
        let chosen = if self.names_user_attributes() { "" } else { CHOSEN_BY_SHELL };
        Some(format!("mount -t overlay overlay -o {options}{chosen} {}", shell_words(std::slice::from_ref(&self.at))))
    }

    fn once(&self) -> bool {
        // A second one would cover the first.
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("an overlay on {} in the mount namespace of {}", self.at, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let paths = self.lower.iter().map(|path| ("lower", path)).chain(self.upper.iter().map(|path| ("upper", path)));
        let paths = paths.chain(self.work.iter().map(|path| ("work", path)));
        let mut misuses: Vec<Misuse> = misused_path("at", &self.at).into_iter().collect();
        misuses.extend(paths.filter_map(|(field, path)| misused_path(field, path).or_else(|| unreadable(field, path))));
        if self.lower.is_empty() || self.lower.len() > MAX_LOWER {
            let fix = "write 1 to 16 directories, the topmost first";
            misuses.push(Misuse::new("lower", "an overlay has layers below, and not too many", fix));
        }
        if self.upper.is_some() != self.work.is_some() {
            let fix = "write both, on the same mount; or neither, to read only";
            misuses.push(Misuse::new("work", "an upper directory needs a work directory, and it needs an upper", fix));
        }
        misuses
    }
}

/// What is wrong with a path as an option: it would be read as two.
fn unreadable(field: &'static str, path: &str) -> Option<Misuse> {
    let what = "`,`, `:` and `\\` end a path in the options of an overlay";
    path.contains([',', ':', '\\']).then(|| Misuse::new(field, what, "choose a directory without them in its name"))
}

impl Perform for Overlay {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let mut options = self.options();
        if !self.names_user_attributes() && overlay::wants_user_attributes() {
            options.push(USER_ATTRIBUTES.to_owned());
        }
        let text = options.join(",");
        let mounted = sys::mount(trace, "overlay", &self.at, Some("overlay"), MsFlags::empty(), Some(&text));
        if let (Err(error), Some(upper), Some(work)) = (&mounted, &self.upper, &self.work)
            && error.errno.is_invalid()
        {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            if let Some(reason) = overlay::refusal(Path::new(upper), Path::new(work), &options) {
                trace.tell(format!("{reason}\nThe kernel has said that to its log alone (dmesg).\n"));
            }
        }
        mounted.map(|()| Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(lower: &[&str], upper: Option<&str>, work: Option<&str>, options: Option<&str>) -> Overlay {
        Overlay {
            r#in: "box".into(),
            lower: lower.iter().map(|path| (*path).to_owned()).collect(),
            upper: upper.map(String::from),
            work: work.map(String::from),
            at: "/lab/a b".into(),
            options: options.map(String::from),
            fails_with: None,
        }
    }

    #[test]
    fn a_shell_chooses_the_attributes_as_the_call_does() {
        let line = |it: Overlay| it.shell().unwrap_or_default();
        assert_eq!(
            line(overlay(&["/b", "/a"], Some("/u"), Some("/w"), Some("redirect_dir=on"))),
            format!(
                "mount -t overlay overlay -o lowerdir=/b:/a,upperdir=/u,workdir=/w,redirect_dir=on{CHOSEN_BY_SHELL} '/lab/a b'"
            )
        );
        assert_eq!(
            line(overlay(&["/a"], None, None, Some("metacopy=on,userxattr"))),
            "mount -t overlay overlay -o lowerdir=/a,metacopy=on,userxattr '/lab/a b'"
        );
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let fields = |it: Overlay| it.misuses().iter().map(|it| it.field).collect::<Vec<_>>();
        assert_eq!(fields(overlay(&["/a"], Some("/u"), Some("/w"), None)), Vec::<&str>::new());
        assert_eq!(fields(overlay(&[], Some("/u"), Some("/w"), None)), ["lower"]);
        assert_eq!(fields(overlay(&["/a"; 17], None, None, None)), ["lower"]);
        assert_eq!(fields(overlay(&["/a:/b", ""], Some("/u,x"), None, None)), ["lower", "lower", "upper", "work"]);
    }
}
