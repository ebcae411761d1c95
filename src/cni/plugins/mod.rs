//! hardway's own plugins: the other side of the interface. All are this same binary, which looks at the name that it is called by, as
//! `/lab/work` is ([`crate::workload`]).
//!
//! They speak with the kernel over netlink and run no other program, but for the plugin that a configuration names for addresses.

mod bandwidth;
mod bridge;
mod cable;
mod firewall;
mod frame;
mod host_local;
mod ipam;
mod loopback;
mod net;
mod portmap;
mod ptp;
mod rules;
mod sbr;
mod static_addresses;
mod tuning;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

use frame::{Outcome, run};

pub use rules::is_of_network;

use crate::explain::Explanation;

/// What a plugin's program is here when no directory has one: this same binary.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// A type that configurations name, and what does it.
type Entry = (&'static str, fn() -> Outcome);

/// The plugins.
const PLUGINS: &[Entry] = &[
    ("bandwidth", run::<bandwidth::Bandwidth>),
    ("bridge", run::<bridge::Bridge>),
    ("firewall", run::<firewall::Firewall>),
    ("host-local", run::<host_local::HostLocal>),
    ("loopback", run::<loopback::Loopback>),
    ("portmap", run::<portmap::Portmap>),
    ("ptp", run::<ptp::Ptp>),
    ("sbr", run::<sbr::Sbr>),
    ("static", run::<static_addresses::Static>),
    ("tuning", run::<tuning::Tuning>),
];

/// The types of all plugins.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLUGINS.iter().map(|(name, _)| *name)
}

/// What came of the plugin, where this process was started as one: its first argument ends in a plugin's type.
pub fn asked() -> Option<ExitCode> {
    let called = std::env::args_os().next()?;
    let name = Path::new(&called).file_name()?;
    let (_, run) = PLUGINS.iter().find(|(own, _)| name == *own)?;
    Some(run().print())
}

/// Makes a link to this program for each plugin, in a directory that is made where there is none. Links that lead elsewhere are replaced;
/// files that are no links stay.
///
/// # Errors
/// A directory or link that can not be made; a file that is in the way.
pub fn install(directory: &Path) -> Result<Vec<&'static str>, Explanation> {
    let bad = |error: io::Error| {
        Explanation::new(
            format!("The plugins could not be put into {}", directory.display().to_string().escape_debug()),
            error.to_string(),
            "name a directory that may be written, as /opt/cni/bin for root",
        )
    };
    let program = std::env::current_exe().map_err(bad)?;
    fs::create_dir_all(directory).map_err(bad)?;
    for name in names() {
        let place = directory.join(name);
        match fs::symlink_metadata(&place) {
            Ok(there) if there.is_symlink() => fs::remove_file(&place).map_err(bad)?,
            Ok(_) => {
                return Err(Explanation::new(
                    format!(
                        "The plugin {name} could not be put into {}",
                        directory.display().to_string().escape_debug()
                    ),
                    "there is a file of that name, which is another one's",
                    "take another directory, and name it with --path",
                ));
            }
            Err(_) => {}
        }
        symlink(&program, &place).map_err(bad)?;
    }
    Ok(names().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn links_are_made_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("bin");
        let first = install(&place).unwrap();
        assert_eq!((install(&place).unwrap(), names().collect::<Vec<_>>()), (first.clone(), first));
        assert_eq!(fs::read_link(place.join("loopback")).unwrap(), std::env::current_exe().unwrap());
        fs::remove_file(place.join("static")).unwrap();
        fs::write(place.join("static"), "x").unwrap();
        assert!(install(&place).unwrap_err().what.contains("static"));
        assert_eq!(fs::read_to_string(place.join("static")).unwrap(), "x");
    }
}
