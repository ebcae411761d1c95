//! `hardway lessons`: the course, with progress and what works on this machine.

use std::process::ExitCode;
use std::sync::Arc;

use hardway::explain::Explanation;
use hardway::kernel::host::{Offer, Person};
use hardway::lesson::Lesson;
use hardway::session::Session;
use hardway::session::store::Store;
use hardway::tui::CourseEntry;
use serde_json::json;

use super::{course, open_store, say, unavailable};
use crate::cli::Ids;

/// `hardway lessons`.
pub fn lessons(as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    let offer = Person::current().offer(ids.rootless || ids.single_id, ids.single_id)?;
    let (store, _) = open_store();
    let course = course();
    let list = entries(&course, store.as_ref(), &offer);
    if as_json {
        let all: Vec<_> = list
            .iter()
            .map(|entry| {
                json!({ "name": entry.name, "id": entry.id, "title": entry.title, "goal": entry.goal, "minutes": entry.minutes,
                        "steps": entry.steps, "done": entry.done, "unavailable": entry.unavailable })
            })
            .collect();
        say(&format!("{:#}", json!(all)));
    } else {
        for (entry, lesson) in list.iter().zip(&course) {
            say(&format!("{:<14} {:>2}/{:<2} {}", entry.name, entry.done, entry.steps, entry.title));
            if let Some(reason) = &entry.unavailable {
                say(&format!("               not here: {reason}"));
            }
            for step in &lesson.steps {
                if let Some(reason) = step.needs.iter().find_map(|need| need.unmet(&offer)) {
                    say(&format!("               without the step {}: {reason}", step.id));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The course as a list of what can be opened.
pub fn entries(course: &[Arc<Lesson>], store: Option<&Store>, offer: &Offer) -> Vec<CourseEntry> {
    course
        .iter()
        .map(|lesson| CourseEntry {
            name: lesson.name.clone(),
            id: lesson.id.clone(),
            title: lesson.title.clone(),
            goal: lesson.goal.clone(),
            minutes: lesson.minutes,
            steps: lesson.steps.len(),
            done: steps_done(store.and_then(|store| store.load(lesson))),
            unavailable: unavailable(lesson, offer),
        })
        .collect()
}

fn steps_done(session: Option<Session>) -> usize {
    session.map_or(0, |session| session.records.iter().filter(|record| record.how.is_some()).count())
}
