//! The shell pane: opening a shell, typing into it, its size and what it writes.

use std::sync::Arc;

use super::Effect;
use crate::tui::app::{Model, Pane, Shell, ShellState};
use crate::tui::layout::{self, Layout};
use crate::tui::pty;
use crate::walk::Order;
use crate::walk::hands::{self, Ended};

/// Types bytes into the shell, or keeps them until it has printed its prompt.
pub(super) fn to_shell(model: &mut Model, bytes: Vec<u8>, effects: &mut Vec<Effect>) {
    match model.shell.state {
        ShellState::Open if model.shell.pending.is_empty() => {
            if bytes.contains(&b'\r') {
                effects.push(Effect::SampleSoon);
            }
            effects.push(Effect::Write(bytes));
        }
        ShellState::Open | ShellState::Asked => model.shell.pending.push_back(bytes),
        ShellState::Closed | ShellState::Ended => {}
    }
}

/// Types a line for the learner, opening a shell where there is none. Keys still go to hardway.
pub(super) fn type_line(model: &mut Model, line: &str, effects: &mut Vec<Effect>) {
    if !layout::layout(model).panes.iter().any(|place| place.pane == Pane::Shell) {
        model.focus = Pane::Shell;
    }
    if let Some(view) = model.view.clone() {
        let (step, lesson, at_stake) = (view.position.step, Arc::clone(&view.lesson), view.shell_at_stake);
        let before = lesson.lines_before(step, &view.skipped);
        if no_shell(model) || (model.typed == 0 && !view.hands_fit) {
            if !no_shell(model) {
                model
                    .say("calls have done these things already: this is a new shell, brought to where the step begins");
            }
            shell_at_step(model, &before, effects);
        } else if at_stake && model.typed == 0 && lesson.begins_anew(step) {
            model.say("the step begins with a new process, so this is a new shell");
            new_shell(model, effects);
        }
    }
    model.shell.parser.screen_mut().set_scrollback(0);
    to_shell(model, hands::keys(line), effects);
}

/// Orders a new shell in the place of the one that runs.
pub(super) fn new_shell(model: &mut Model, effects: &mut Vec<Effect>) {
    let (rows, columns) = ask_for_shell(model);
    effects.push(Effect::Send(Order::NewShell(rows, columns)));
}

/// From here on a shell is waited for; the size that it is to have.
fn ask_for_shell(model: &mut Model) -> (u16, u16) {
    // First, because the pane of a shell is larger than that without one.
    model.shell.state = ShellState::Asked;
    let (rows, columns) = shell_size(model);
    model.shell = Shell::new(ShellState::Asked, rows, columns);
    (rows, columns)
}

fn no_shell(model: &Model) -> bool {
    matches!(model.shell.state, ShellState::Closed | ShellState::Ended)
}

/// Orders a shell where none runs, brought to where the step begins, which may be in a box. After the effect of a step that calls
/// have done it is only there to look around, on the host.
pub(super) fn open_shell(model: &mut Model, effects: &mut Vec<Effect>) {
    if !no_shell(model) {
        return;
    }
    let before = match &model.view {
        Some(view) if !view.position.done => view.lesson.lines_before(view.position.step, &view.skipped),
        _ => Vec::new(),
    };
    if before.is_empty() {
        let (rows, columns) = ask_for_shell(model);
        effects.push(Effect::Send(Order::OpenShell(rows, columns)));
    } else {
        let leave = model.keys.leave.name();
        model.say(format!("brought to where the step begins; {leave} leaves the pane"));
        shell_at_step(model, &before, effects);
    }
}

/// Orders a shell for the current step's lines, into which first those before it are typed.
fn shell_at_step(model: &mut Model, before: &[String], effects: &mut Vec<Effect>) {
    let (rows, columns) = ask_for_shell(model);
    effects.push(Effect::Send(Order::ShellForHands(rows, columns)));
    model.shell.pending.extend(before.iter().map(|line| hands::keys(line)));
    model.shell.leading = before.len();
}

/// Rows and columns of the shell pane, as it is or as it would be if it were shown.
pub(super) fn shell_size(model: &mut Model) -> (u16, u16) {
    let shown = |layout: &Layout| layout.place(Pane::Shell).map(|place| place.inner);
    let inner = shown(&layout::layout(model)).or_else(|| {
        let focus = std::mem::replace(&mut model.focus, Pane::Shell);
        let inner = shown(&layout::layout(model));
        model.focus = focus;
        inner
    });
    inner.map_or((24, 80), |inner| (inner.height.max(1), inner.width.max(1)))
}

pub(super) fn follow_shell_size(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.shell.state != ShellState::Open || model.view.is_none() || !layout::fits(model.size) {
        return;
    }
    if let Some(place) = layout::layout(model).place(Pane::Shell) {
        let size = (place.inner.height.max(1), place.inner.width.max(1));
        if model.shell.parser.screen().size() != size {
            if !pty::emulate(&mut model.shell.parser, |parser| pty::resize(parser, size.0, size.1)) {
                model.shell.parser = pty::terminal(size.0, size.1);
            }
            effects.push(Effect::Send(Order::Resize(size.0, size.1)));
        }
    }
}

pub(super) fn on_shell_opened(model: &mut Model, effects: &mut Vec<Effect>) {
    let (pending, leading) = (std::mem::take(&mut model.shell.pending), model.shell.leading);
    let (rows, columns) = model.shell.parser.screen().size();
    model.shell = Shell { pending, leading, ..Shell::new(ShellState::Open, rows, columns) };
    effects.push(Effect::SampleSoon);
}

pub(super) fn on_output(model: &mut Model, bytes: &[u8], effects: &mut Vec<Effect>) {
    if !pty::emulate(&mut model.shell.parser, |parser| parser.process(bytes)) {
        model.say("the shell's terminal lost its way in what a program wrote, and was cleared");
    }
    let marks = model.shell.parser.callbacks_mut();
    let replies = std::mem::take(&mut marks.replies);
    model.shell.endings.push(bytes);
    if !replies.is_empty() {
        effects.push(Effect::Write(replies));
    }
    while let Some(Ended { status, output }) = model.shell.endings.next_ended() {
        // A program in the foreground leaves no prompt between its line and the key that ends it: that counts as one.
        let leads = model.shell.led.then_some(model.shell.leading);
        model.shell.led = model.shell.led && model.shell.leading > 0;
        effects.push(Effect::Send(Order::ShellPrompt { status, output, leads }));
    }
}

pub(super) fn flush_pending(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.shell.state == ShellState::Open
        && let Some(bytes) = model.shell.pending.pop_front()
    {
        model.shell.led = model.shell.leading > 0;
        model.shell.leading = model.shell.leading.saturating_sub(1);
        effects.push(Effect::Write(bytes));
        effects.push(Effect::SampleSoon);
    }
}
