//! `hardway lessons`: the course, with progress and what works on this machine.

use std::process::ExitCode;
use std::sync::Arc;

use hardway::explain::Explanation;
use hardway::kernel::host::Offer;
use hardway::lesson::builtin;
use hardway::session::store::Store;
use hardway::tui::CourseEntry;
use serde_json::json;

use super::{open_store, say, settle, unavailable};
use crate::cli::Ids;

/// `hardway lessons`.
pub fn lessons(as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    // Left again at the end, as a lesson would leave it.
    let (_scope, person) = settle();
    let offer = person.offer(ids.into())?;
    let (store, _) = open_store();
    let list = entries(store.as_ref(), &offer);
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
        for entry in &list {
            say(&format!("{:<14} {:>2}/{:<2} {}", entry.name, entry.done, entry.steps, entry.title));
            if let Some(reason) = &entry.unavailable {
                say(&format!("               not here: {reason}"));
            }
            for (step, reason) in entry.lesson.steps.iter().zip(&entry.skipped) {
                if let Some(reason) = reason {
                    say(&format!("               without the step {}: {reason}", step.id));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The course as a list of what can be opened, as it is on this machine.
pub fn entries(store: Option<&Store>, offer: &Offer) -> Vec<CourseEntry> {
    builtin::all()
        .into_iter()
        .map(|lesson| Arc::new(lesson.on(offer)))
        .map(|lesson| CourseEntry {
            name: lesson.name.clone(),
            id: lesson.id.clone(),
            title: lesson.title.clone(),
            goal: lesson.goal.clone(),
            minutes: lesson.minutes,
            steps: lesson.steps.len(),
            done: 0,
            unavailable: unavailable(&lesson, offer),
            records: Vec::new(),
            skipped: lesson.steps.iter().map(|step| step.needs.iter().find_map(|need| need.unmet(offer))).collect(),
            lesson,
        })
        .map(|mut entry| {
            if let Some(session) = store.and_then(|store| store.load(&entry.lesson)) {
                entry.remember(&session.records);
            }
            entry
        })
        .collect()
}
