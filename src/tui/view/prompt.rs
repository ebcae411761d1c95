//! The line above the keys: a short word, or what one can do now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::lesson::Kind;
use crate::tui::app::{Model, ShellState};
use crate::tui::command::Command;
use crate::tui::doc::cut;
use crate::tui::layout::alone;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = &model.theme;
    let room = usize::from(area.width).saturating_sub(4);
    let line = match &model.notice {
        Some(notice) => {
            Line::from(vec![Span::styled(" ● ", theme.warn), Span::styled(cut(&notice.text, room), theme.strong)])
        }
        None => Line::from(vec![Span::styled(" › ", theme.focus), Span::styled(cut(&guide(model), room), theme.dim)]),
    };
    frame.render_widget(line, area);
}

/// What one can do now, in a sentence.
fn guide(model: &Model) -> String {
    let key = |command| model.key(command);
    let (Some(view), Some(step), false) = (&model.view, model.step(), model.map) else {
        let (open, steps, back) = (key(Command::Open), key(Command::Steps), key(Command::Return));
        return match (&model.open, model.step_at) {
            (Some(_), _) if !model.map => "the lab host is being made".to_owned(),
            (_, Some(_)) => {
                format!("↑ and ↓ choose a step, {open} opens the lesson there, {back} leads to the lessons")
            }
            (_, None) if model.map && model.lesson_at() == Some(model.at) => {
                format!("{back} leads back to your lesson · {steps} shows its steps")
            }
            (_, None) if model.map => format!("{back} leads back to your lesson · {open} leaves it for the chosen one"),
            (_, None) => format!("↑ and ↓ choose a lesson, {open} opens it where you left it · {steps}: its steps"),
        };
    };
    let done = view.position.done;
    let last = view.position.step + 1 == view.lesson.steps.len();
    let leave = model.keys.leave.name();
    if model.capture {
        let to_type = step.by_hand.get(model.typed..).unwrap_or_default();
        return match model.shell.state {
            ShellState::Asked => format!("the shell is being opened; {leave} leaves the pane"),
            ShellState::Ended if !done => {
                format!("your shell has ended; Enter opens a new one, {leave} leaves the pane")
            }
            _ if done && !last => format!("done: {leave} leaves the shell, then {} goes on", key(Command::Next)),
            // Where the pane with these lines isn't to be seen.
            _ if alone(model) && !done && !to_type.is_empty() => format!("to type: {}", to_type.join(" · ")),
            _ => format!("every key goes to the shell; {leave} leaves the pane"),
        };
    }
    if model.answer.is_some() {
        return "write the answer, then Enter; Esc leaves it".to_owned();
    }
    let (next, back, types) = (key(Command::Next), key(Command::Back), key(Command::Type));
    let (shell, check, answer) = (key(Command::Shell), key(Command::Check), key(Command::Answer));
    let to_type = step.by_hand.len().saturating_sub(model.typed);
    if view.skipped.get(view.position.step).is_some_and(Option::is_some) {
        return match last {
            true => {
                format!("this step can not be done here, and is the last: {} leads to the course", key(Command::Course))
            }
            false => format!("this step can not be done here; {next} goes on"),
        };
    }
    let predicted = view.records.get(view.position.step).and_then(|record| record.predicted);
    match (done, &step.predict, &step.question) {
        (true, _, _) if last => format!("the lesson is done: {} leads back to the course", key(Command::Course)),
        (true, ..) => format!("done: {next} goes on to the next step, {back} takes it back"),
        (false, _, Some(_))
            if step.kind == Kind::Observe && to_type == 0 && model.typed > 0 && view.answer.is_none() =>
        {
            format!("all is typed: {answer} writes the answer")
        }
        (false, Some(predict), _) if predicted.is_none() => {
            format!("guess first: 1 to {} · then {next} does the step, or your own hands do", predict.choices.len())
        }
        (false, _, Some(_)) if step.kind == Kind::Observe && view.answer.is_none() => {
            format!("look at the state, then {answer} writes the answer")
        }
        (false, _, Some(_)) if step.kind == Kind::Observe && step.actions.is_empty() => {
            format!("{answer} answers once more · {next} leaves it at that")
        }
        (false, ..) if to_type > 0 && model.size.0 < 110 => {
            format!("{next} does the step by calls · by hand: {types} types it for you, {shell} is the shell")
        }
        (false, ..) if to_type > 0 => {
            let checks = if step.check.is_empty() { String::new() } else { format!(", {check} checks") };
            format!(
                "{next} does the step by system calls · or by hand: {types} types the commands for you, {shell} is the \
                 shell{checks}"
            )
        }
        (false, ..) if model.typed > 0 && !step.check.is_empty() => {
            format!("all is typed: {check} checks what came of it · {next} does the step by calls")
        }
        (false, ..) => format!("{next} does the step by system calls"),
    }
}
