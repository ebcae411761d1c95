//! What the findings mean for lessons and steps.

use std::sync::Arc;

use hardway::explain::Explanation;
use hardway::kernel::host::Offer;
use hardway::lesson::Lesson;
use serde::Serialize;

use super::programs::{Wanted, is_here};
use crate::commands::unavailable;

/// A lesson on this machine.
#[derive(Debug, Serialize)]
pub struct LessonState {
    /// The name of its file.
    pub name: String,
    /// Its title.
    pub title: String,
    /// How many steps it has.
    pub steps: usize,
    /// Why nothing of it works here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// The steps that do not work here, or not by hand.
    pub without: Vec<StepState>,
}

/// A step that does not work here, or not by hand.
#[derive(Debug, Serialize)]
pub struct StepState {
    /// Its short name.
    pub step: String,
    /// Why it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// Whether the step beside it does the same on this machine, so that nothing is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub twin: bool,
    /// Programs that its lines need and that are not here. By calls it may work all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

impl LessonState {
    /// Judges a lesson by what there is.
    pub fn of(lesson: &Arc<Lesson>, offer: Result<&Offer, Explanation>, wanted: &Wanted) -> Self {
        let state = |unavailable, without| Self {
            name: lesson.name.clone(),
            title: lesson.title.clone(),
            steps: lesson.steps.len(),
            unavailable,
            without,
        };
        let offer = match offer {
            Ok(offer) => offer,
            Err(trouble) => return state(Some(trouble.what), Vec::new()),
        };
        if let Some(reason) = unavailable(lesson, offer) {
            return state(Some(reason), Vec::new());
        }
        let without = lesson.steps.iter().filter_map(|step| {
            let place = format!("{}:{}", lesson.name, step.id);
            let unmet = step.needs.iter().find_map(|need| Some((*need, need.unmet(offer)?)));
            let twin = unmet.as_ref().is_some_and(|(need, _)| need.has_twin(offer));
            let unavailable = unmet.map(|(_, reason)| reason);
            let skipped = unavailable.is_some();
            let lacks: Vec<String> = wanted
                .iter()
                .filter(|(program, steps)| !skipped && steps.contains(&place) && !is_here(program))
                .map(|(program, _)| program.clone())
                .collect();
            let found = skipped || !lacks.is_empty();
            found.then(|| StepState { step: step.id.clone(), unavailable, twin, lacks })
        });
        state(None, without.collect())
    }

    /// Whether all of it works, by calls and by hand.
    pub fn works(&self) -> bool {
        self.unavailable.is_none() && self.without.iter().all(|step| step.twin)
    }
}
