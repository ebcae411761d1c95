//! A rootfs, told to a person.

use std::fmt;

use crate::plan::{Applets, Source};
use crate::rootfs::Rootfs;

impl fmt::Display for Rootfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} is a rootfs of {:.1} MB", self.path, bytes_to_megabytes(self.bytes))?;
        let programs = self.plan.programs.len();
        match &self.plan.source {
            Source::Busybox { path, applets } => {
                let names = match applets {
                    Applets::Listed => "every name that `busybox --list` prints",
                    Applets::Common => "common names that occur in the file; it was not run",
                };
                writeln!(f, "  made of {path:?}, which is static, and {programs} links to it: {names}")?;
            }
            Source::Programs => {
                let libraries = self.plan.libraries.len();
                let programs = plural(programs, "program");
                let files = plural(libraries, "file");
                writeln!(f, "  made of {programs} of this machine and {files} of loaders and libraries")?;
            }
        }
        if self.cached + self.repaired > 0 {
            let repaired = if self.repaired > 0 { format!(", {} broken there", self.repaired) } else { String::new() };
            writeln!(f, "  {} of the cache{repaired}, {} of the machine", plural(self.cached, "file"), self.read)?;
        }
        if let Some(trouble) = &self.cache_trouble {
            writeln!(f, "  the cache was of no use: {trouble}")?;
        }
        for note in &self.plan.notes {
            writeln!(f, "  passed over: {note}")?;
        }
        for missing in &self.plan.missing {
            writeln!(f, "  missing {}: {}", missing.program, missing.why)?;
            writeln!(f, "    you will miss: {}", missing.lost)?;
        }
        let Some(program) = self.plan.programs.iter().find(|path| path.ends_with("sh")).or(self.plan.programs.first())
        else {
            return write!(f, "  it has no program");
        };
        write!(f, "  try it: chroot {0:?} {1:?}, or without root: unshare -r -R {0:?} {1:?}", self.path, program)
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// For reading, not for counting.
#[expect(clippy::cast_precision_loss)]
fn bytes_to_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
