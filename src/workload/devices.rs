//! Devices of a cgroup of version 2: there is no file for them, so there must be a program that asks the kernel by bpf(2).

use std::fs::{self, File};

use super::say;
use crate::kernel::bpf::words;
use crate::kernel::device::{self, KIND, MOST_RULES, Rule};
use crate::kernel::program::WORK;
use crate::kernel::sys::bpf::prog_query;
use crate::kernel::trace::{CallError, Trace};

/// The lab host's own group.
const LAB: &str = "/lab/cgroup";

/// Lets a group use these devices only, and says what was attached for that.
pub(super) fn put(group: &str, rules: &[&str]) -> Result<(), String> {
    let rules = rules.iter().map(|rule| rule.parse()).collect::<Result<Vec<Rule>, _>>()?;
    if rules.len() > MOST_RULES {
        return Err(format!("these are more than {MOST_RULES} rules"));
    }
    is_below(group)?;
    let put = device::put(&mut Trace::new(WORK), group, &rules).map_err(|error| trouble(group, &error))?;
    say(&format!("program {}, {}, is attached to {group} as {}", put.program.id, put.program.name, KIND.attach_name));
    say(&format!("programs that are asked for its processes, those of the groups above included: {}", put.asked));
    Ok(())
}

/// Tells which programs are on a group.
pub(super) fn tell(group: &str) -> Result<(), String> {
    let mut trace = Trace::new(WORK);
    let directory = File::open(group).map_err(|error| format!("{group}: {error}"))?;
    let told = device::programs(&mut trace, &directory).map_err(|error| trouble(group, &error))?;
    let asked = prog_query(&mut trace, &directory, KIND, true).map_err(|error| trouble(group, &error))?.len();
    for one in &told {
        say(&format!("id {}, {}, tag {}, {} instructions", one.id, one.name, one.tag, one.instructions.len()));
        one.instructions.iter().enumerate().for_each(|(at, it)| say(&format!("{at:>5}: {}", words(*it))));
    }
    say(&format!(
        "attached to {group}: {}; asked for its processes, with those of the groups above: {asked}",
        told.len()
    ));
    Ok(())
}

/// On any other group the program would stay when the lab host ends, or decide for hardway itself.
fn is_below(group: &str) -> Result<(), String> {
    let path = |text: &str| fs::canonicalize(text).map_err(|error| format!("{text}: {error}"));
    let (group_path, lab) = (path(group)?, path(LAB)?);
    let is_below = group_path != lab && group_path.starts_with(lab);
    is_below.then_some(()).ok_or_else(|| format!("{group}: only a group below {LAB} gets a program"))
}

/// Which call failed, and how.
fn trouble(group: &str, error: &CallError) -> String {
    let command = error.call.args.first().filter(|_| error.call.name == "bpf").unwrap_or(&error.call.name);
    format!("{group}: {command}: {}", error.errno)
}
