//! The line above the keys: a short word, or what one can do now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::lesson::Kind;
use crate::tui::app::{Model, ShellState};
use crate::tui::doc::cut;

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
    let (Some(view), Some(step)) = (&model.view, model.step()) else {
        return match &model.open {
            Some(_) => "the lab host is being made".to_owned(),
            None => "↑ and ↓ choose a lesson, Enter opens it where you left it".to_owned(),
        };
    };
    let done = view.position.done;
    let last = view.position.step + 1 == view.lesson.steps.len();
    if model.capture {
        return match model.shell.state {
            ShellState::Asked => format!("the shell is being opened; {} leaves the pane", model.leave.name()),
            _ => format!("every key goes to the shell; {} leaves the pane", model.leave.name()),
        };
    }
    if model.answer.is_some() {
        return "write the answer, then Enter; Esc leaves it".to_owned();
    }
    let to_type = step.by_hand.len().saturating_sub(model.typed);
    if view.skipped.get(view.position.step).is_some_and(Option::is_some) {
        return "this step can not be done here; n goes on".to_owned();
    }
    let predicted = view.records.get(view.position.step).and_then(|record| record.predicted);
    match (done, &step.predict, &step.question) {
        (true, _, _) if last => "the lesson is done: Esc leads back to the course".to_owned(),
        (true, ..) => "done: n goes on to the next step, b takes it back".to_owned(),
        (false, Some(predict), _) if predicted.is_none() => {
            format!("guess first: 1 to {} · then n does the step, or your own hands do", predict.choices.len())
        }
        (false, _, Some(_)) if step.kind == Kind::Observe && view.answer.is_none() => {
            "look at the state, then a writes the answer".to_owned()
        }
        (false, ..) if to_type > 0 && model.size.0 < 110 => {
            "n does the step by calls · by hand: t types it for you, s is the shell".to_owned()
        }
        (false, ..) if to_type > 0 => {
            "n does the step by system calls · or by hand: t types the commands for you, s is the shell, c checks"
                .to_owned()
        }
        (false, ..) if model.typed > 0 && !step.check.is_empty() => {
            "all is typed: c checks what came of it · n does the step by calls".to_owned()
        }
        (false, ..) => "n does the step by system calls".to_owned(),
    }
}
