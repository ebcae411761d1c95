//! Deeds that may cost the learner a shell and what it runs: asked about first, and done.

use super::shell::new_shell;
use super::{Effect, course};
use crate::tui::app::{Deed, Model, Popup, ShellState};
use crate::walk::{Order, View};

/// How many seconds after an order that may take a new lab host the end of the shell is put down to it.
const REOPEN: u8 = 4;

/// Does something now, or asks first where the learner would lose something.
pub(super) fn ask_first(model: &mut Model, deed: Deed, effects: &mut Vec<Effect>) {
    let at_stake = model.view.as_ref().is_some_and(|view| view.shell_at_stake);
    let loses_shell = at_stake && (deed != Deed::NewShell || model.shell.state == ShellState::Open);
    let done = |view: &View| view.position.done || view.position.step > 0;
    let forgets = deed == Deed::Reset && model.view.as_ref().is_some_and(|view| done(view));
    if loses_shell || forgets {
        let text = match deed {
            Deed::Reset if forgets => {
                "The lesson begins at its first step, in a new lab host; a shell ends with the old one."
            }
            Deed::NewShell => "Your shell and what it runs will end, and a new one starts.",
            Deed::Quit => "Something runs in your shell. It will end, and everything is taken back.",
            Deed::Close | Deed::Open(..) => "Your shell and what it runs will end with the lab host of this lesson.",
            Deed::Next | Deed::Back | Deed::Reset | Deed::Goto(_) => {
                "A new lab host is built for this: your shell and what it runs will end."
            }
        };
        model.popup = Some(Popup::Confirm { text: text.to_owned(), deed });
    } else {
        carry_out(model, deed, effects);
    }
}

pub(super) fn carry_out(model: &mut Model, deed: Deed, effects: &mut Vec<Effect>) {
    if matches!(deed, Deed::Next | Deed::Back | Deed::Reset | Deed::Goto(_)) {
        model.typed = 0;
        // Where this takes a new lab host, the shell ends with the old one. Another is opened, unless calls go on from here.
        model.shell.reopen = if deed == Deed::Next { 0 } else { REOPEN };
    }
    match deed {
        Deed::Next => effects.push(Effect::Send(Order::Next)),
        Deed::Back => effects.push(Effect::Send(Order::Back)),
        Deed::Reset => effects.push(Effect::Send(Order::Reset)),
        Deed::Goto(step) => effects.push(Effect::Send(Order::Goto(step))),
        Deed::Close => {
            effects.push(Effect::Send(Order::Close));
            let finished = |view: &View| view.position.done && view.position.step + 1 == view.lesson.steps.len();
            if model.view.as_ref().is_some_and(|view| finished(view)) {
                // The way goes on: the next lesson is chosen.
                model.at = (model.at + 1).min(model.course.len().saturating_sub(1));
            }
            course::leave(model);
        }
        Deed::Open(lesson, step) => course::order(model, lesson, step, effects),
        Deed::NewShell => new_shell(model, effects),
        Deed::Quit => end(model, effects),
    }
}

/// Begins to end; asked a second time, leaves at once (the keeper takes everything back in any case).
pub(super) fn end(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.ending {
        effects.push(Effect::Leave);
        return;
    }
    model.ending = true;
    model.capture = false;
    model.popup = None;
    model.busy = Some("ending: everything is taken back".to_owned());
    effects.push(Effect::Send(Order::Quit));
}
