//! What a lab host has in `/etc` for the names of hosts, beside what the machine has there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{failed, make_dir};
use crate::explain::Explanation;
use crate::kernel::names::CONF;

/// Where ip keeps the files that a network namespace has for itself (ip-netns(8)). It is there from the beginning: in a user namespace
/// nobody may make a directory beside files of the machine's root.
const NETNS: &str = "netns";

/// Adds that directory, and `resolv.conf`, to what is written of the top directory `etc`; nothing to others. It is a file, whatever it
/// is on the machine, so that another can be mounted on it: a link into `/run` would lead nowhere here, and engines give each container
/// a file of its own as well.
pub(super) fn add(top: &str, upper: &Path) -> Result<(), Explanation> {
    if top != "etc" {
        return Ok(());
    }
    make_dir(&upper.join(NETNS), 0o755)?;
    let file = upper.join("resolv.conf");
    fs::write(&file, fs::read(CONF).unwrap_or_default())
        .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o644)))
        .map_err(|error| failed(&format!("make the file {CONF}"), &error))
}
