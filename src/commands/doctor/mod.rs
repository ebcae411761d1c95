//! `hardway doctor`: what this machine offers, which lessons and steps work here, and how to fix the rest.
//!
//! Each finding is read or tried now, and says where. `docs/json.md` describes the JSON.

mod cgroups;
mod ids;
mod lessons;
mod machine;
mod programs;
mod show;
mod surroundings;

use std::process::ExitCode;

use hardway::agent::client::Keeper;
use hardway::explain::Explanation;
use hardway::kernel::host::{Mode, Person};
use hardway::runtime::ledger;
use serde::Serialize;

use super::{course, say, start_keeper};
use crate::cli::Ids;
use crate::report::FAILED;
use lessons::LessonState;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As lessons want it.
    Good,
    /// Something is less than it could be.
    Limited,
    /// Lessons that want it do not work.
    Missing,
    /// Worth knowing, neither good nor bad.
    Note,
}

/// What a finding is about; the parts of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Kernel, person, lab host.
    Machine,
    /// Which kinds there are, and whether they can be made.
    Namespaces,
    /// What may forbid things that the kernel could do.
    Security,
    /// Hierarchies and controllers.
    Cgroups,
    /// User and group ids.
    Ids,
    /// Programs that lessons have people type.
    Programs,
    /// Terminal, home, container, room.
    Surroundings,
}

/// One thing found out.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// Its name, unique in its topic.
    pub name: String,
    /// How good it is.
    pub state: State,
    /// What was found, for people.
    pub value: String,
    /// The file or call that told.
    pub source: String,
    /// How to get more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn new(topic: Topic, name: impl Into<String>, state: State, value: impl Into<String>, source: &str) -> Self {
        Self { topic, name: name.into(), state, value: value.into(), source: source.to_owned(), fix: None }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// All that was found out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this shape. Fields may join it; none leaves it or changes its meaning without a new version.
    pub format: u32,
    /// How ids would be mapped in the lab host; none where there can be none.
    pub mode: Option<Mode>,
    /// Whether every lesson and every step works here, by calls and by hand.
    pub works: bool,
    /// What was found, topic by topic.
    pub findings: Vec<Finding>,
    /// What that means for each lesson.
    pub lessons: Vec<LessonState>,
}

/// Finds everything out and tells it. Exit status 0 where everything works here, else 1.
///
/// # Errors
/// None: what can not be found out is a finding.
pub fn run(as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    // Before a lab host is tried, which takes them away.
    let left = ledger::dead(&ledger::base()).len();
    let person = Person::current();
    let mut findings = machine::kernel();
    findings.extend(machine::namespaces(&person));
    findings.extend(machine::security());
    findings.extend(ids::findings(&person));
    // The last that may fork: from here on this process belongs to the person.
    let (lab, keeper) = machine::lab_host(start_keeper(ids), left);
    findings.extend(lab);
    // What lessons can do is told while the keeper holds its groups.
    let offer = keeper.as_ref().map(Keeper::offer).map_err(Clone::clone);
    let places = offer.as_ref().map_or(&person.cgroups, |offer| &offer.cgroups);
    let unmounted = offer.as_ref().map_or(&[][..], |offer| &offer.unmounted);
    findings.extend(cgroups::findings(places, unmounted, keeper.as_ref().ok().map(Keeper::scope)));
    findings.extend(surroundings::findings());
    let course = course();
    let wanted = programs::wanted(&course);
    findings.extend(programs::findings(&wanted));
    findings.sort_by_key(|finding| finding.topic);
    let lessons: Vec<LessonState> =
        course.iter().map(|lesson| LessonState::of(lesson, offer.as_ref().map_err(Clone::clone), &wanted)).collect();
    let works = lessons.iter().all(LessonState::works);
    let report = Report { format: 1, mode: offer.ok().map(|offer| offer.mode), works, findings, lessons };
    if as_json {
        say(&format!("{:#}", serde_json::json!(report)));
    } else {
        show::text(&report).iter().for_each(|line| say(line));
    }
    Ok(if report.works { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
