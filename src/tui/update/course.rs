//! The course: choosing lessons and steps, opening them, and looking at the course from within a lesson.

use super::deeds::ask_first;
use super::{Effect, commands};
use crate::course::search::Place;
use crate::tui::app::{Deed, Model, Pane, Popup, Shell, ShellState};
use crate::walk::Order;

/// Opens the chosen lesson, at the chosen step where there is one.
pub(super) fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    go(model, model.at, model.step_at, effects);
}

/// Goes to a lesson, or to a step of it; a lesson that is open is gone on with.
fn go(model: &mut Model, lesson: usize, step: Option<usize>, effects: &mut Vec<Effect>) {
    let current = model.view.as_ref().map(|view| view.position.step);
    if model.lesson_at() != Some(lesson) {
        return ask_first(model, Deed::Open(lesson, step), effects);
    }
    model.map = false;
    model.step_at = None;
    match step.filter(|step| Some(*step) != current) {
        Some(step) => ask_first(model, Deed::Goto(step), effects),
        None => commands::show(model, Pane::Text),
    }
}

/// Goes to a place that a search has found.
pub(super) fn visit(model: &mut Model, place: Place, effects: &mut Vec<Effect>) {
    match place {
        Place::Lesson(lesson) => go(model, lesson, None, effects),
        Place::Step(lesson, step) => go(model, lesson, Some(step), effects),
        Place::Term(term) => {
            model.popup = Some(Popup::Text { title: term.name.to_owned(), text: term.markdown(), scroll: 0 });
        }
        Place::History(_) => model.popup = Some(commands::timeline()),
    }
}

/// Orders a lesson to be opened.
pub(super) fn order(model: &mut Model, lesson: usize, step: Option<usize>, effects: &mut Vec<Effect>) {
    let Some(entry) = model.course.get(lesson) else { return };
    let (name, title) = (entry.name.clone(), entry.title.clone());
    let step = step.and_then(|step| entry.lesson.steps.get(step)).map(|step| step.id.clone());
    leave(model);
    model.at = lesson;
    model.open = Some(name.clone());
    model.busy = Some(format!("opening {title}"));
    model.focus = Pane::Text;
    effects.push(Effect::Send(Order::Open { lesson: name, step }));
}

/// Forgets the lesson that was open.
pub(super) fn leave(model: &mut Model) {
    model.view = None;
    model.open = None;
    model.map = false;
    model.step_at = None;
    model.trace_of = None;
    model.capture = false;
    model.zoom = false;
    model.frozen = None;
    model.answer = None;
    model.shell = Shell::new(ShellState::Closed, 24, 80);
}

/// Begins to choose among the steps of the chosen lesson, or goes back to the lessons.
pub(super) fn choose_step(model: &mut Model) {
    model.step_at = match model.step_at {
        Some(_) => None,
        None => {
            let done = |step: &usize| model.course[model.at].records.get(*step).is_some_and(|it| it.how.is_some());
            let steps = model.course.get(model.at).map_or(0, |entry| entry.steps);
            // The first that was not done is where one would go on.
            (steps > 0).then(|| (0..steps).find(|step| !done(step)).unwrap_or(0))
        }
    };
}

/// From the steps to the lessons, from there to the lesson that is open.
pub(super) fn back(model: &mut Model) {
    if model.step_at.take().is_none() {
        model.map = false;
    }
}

/// Shows the course from within a lesson.
pub(super) fn map(model: &mut Model) {
    model.at = model.lesson_at().unwrap_or(model.at);
    model.map = true;
    model.step_at = None;
    model.capture = false;
}

/// Chooses another lesson, or another of its steps.
pub(super) fn vertical(model: &mut Model, by: isize) {
    let steps = model.course.get(model.at).map_or(0, |entry| entry.steps);
    match &mut model.step_at {
        Some(step) => *step = step.saturating_add_signed(by).min(steps.saturating_sub(1)),
        None => model.at = model.at.saturating_add_signed(by).min(model.course.len().saturating_sub(1)),
    }
}
