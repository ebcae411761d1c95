//! What happens to the model: model × message → effects. No input or output here; the loop carries effects out.

pub(in crate::tui) mod commands;
mod course;
mod deeds;
mod graphs;
mod mouse;
mod popup;
mod shell;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};

use self::deeds::end;
use self::shell::{flush_pending, follow_shell_size, on_output, on_shell_opened, open_shell, to_shell};
use super::app::{Deed, Follow, Model, Pane, Popup, ShellState};
use super::command::{self, Command};
use super::doc::{Doc, Target};
use super::event::Message;
use super::keymap::{self, Chord};
use super::layout;
use super::view;
use crate::probe::{Change, ChangeKind, Row};
use crate::walk::{News, Order, View};

pub use popup::matches;

/// What the loop must do.
#[derive(Debug)]
pub enum Effect {
    /// Tell the walker.
    Send(Order),
    /// Type into the shell.
    Write(Vec<u8>),
    /// Put text into the clipboard.
    Copy(String),
    /// A sample soon, rather than when the second is over.
    SampleSoon,
    /// Stop this process until somebody continues it.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Keep the theme of this name for the next start.
    KeepTheme(&'static str),
    /// Leave the screen.
    Leave,
}

/// Takes a message in. The effects are to be carried out in their order.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let mut effects = Vec::new();
    // What only goes on changes nothing of what is seen.
    let goes_on =
        matches!(message, Message::Output(_) | Message::Tick | Message::Beat | Message::News(News::Gauged(_)));
    match message {
        Message::Key(key) => on_key(model, &key, &mut effects),
        Message::Paste(text) => on_paste(model, &text, &mut effects),
        Message::Mouse(event) => mouse::on_mouse(model, event, &mut effects),
        Message::Resized(columns, rows) => {
            model.size = (columns, rows);
            model.follow_again();
            clamp(model);
            popup::clamp(model);
        }
        Message::News(news) => on_news(model, news, &mut effects),
        Message::ShellOpened => on_shell_opened(model, &mut effects),
        Message::Output(bytes) => on_output(model, &bytes, &mut effects),
        Message::Tick => on_tick(model, &mut effects),
        Message::Beat => graphs::on_beat(model, &mut effects),
        Message::Notified { groups } => graphs::on_notice(model, groups, &mut effects),
        Message::Terminate => end(model, &mut effects),
    }
    model.tell_trouble();
    follow_shell_size(model, &mut effects);
    follow_changes(model);
    if !goes_on {
        graphs::follow(model, &mut effects);
    }
    effects
}

/// Scrolls the step's text so that what was asked for is seen.
fn reveal(model: &mut Model) {
    let (Some(heading), Some((doc, height))) = (model.reveal, doc(model, Pane::Text)) else { return };
    if let Some(lines) = view::text::section(&doc, heading) {
        let scroll = &mut model.scroll[Pane::Text as usize];
        *scroll = (*scroll).max(lines.end.saturating_sub(height)).min(lines.start);
    }
}

/// Scrolls the state panels so that what changed is seen: all of it, or at least its beginning.
fn follow_changes(model: &mut Model) {
    if model.follow != Follow::Wanted || model.view.is_none() {
        return;
    }
    let Some((doc, height)) = doc(model, Pane::State) else { return };
    model.follow = Follow::Done;
    let Some((first, last)) = view::state::changed_lines(&doc) else { return };
    let scroll = &mut model.scroll[Pane::State as usize];
    if first < *scroll || last >= *scroll + height {
        *scroll = (last + 1).saturating_sub(height).min(first.saturating_sub(2));
    }
}

fn on_key(model: &mut Model, key: &KeyEvent, effects: &mut Vec<Effect>) {
    let chord = Chord::of(key);
    if model.popup.is_some() {
        return popup::on_key(model, key, effects);
    }
    if model.capture {
        if chord == model.keys.leave {
            model.capture = false;
        } else if model.shell.state == ShellState::Ended {
            // What was being typed when the shell ended was never meant for hardway.
            if key.code == KeyCode::Enter {
                open_shell(model, effects);
            }
        } else if let Some(bytes) = keymap::bytes(key, model.shell.parser.screen().application_cursor()) {
            model.shell.parser.screen_mut().set_scrollback(0);
            to_shell(model, bytes, effects);
        }
        return;
    }
    model.notice = None;
    if model.answer.is_some() {
        return popup::on_answer_key(model, key, effects);
    }
    if let (Some(choice), Some(step), false) = (chord.digit(), model.step(), model.map)
        && step.predict.as_ref().is_some_and(|predict| (1..=predict.choices.len()).contains(&choice))
    {
        return commands::predict(model, choice - 1, effects);
    }
    match command::of_key(chord, model) {
        // Where a question is open, Enter answers it; n still goes on.
        Some(Command::Next) if key.code == KeyCode::Enter && unanswered(model) => {
            commands::perform(model, Command::Answer, effects);
        }
        // Its Enter was typed with a line; one more would have the step begun anew, by calls.
        Some(Command::Next) if key.code == KeyCode::Enter && was_typed(model) => {
            let (types, next) = (model.key(Command::Type), model.key(Command::Next));
            model.say(format!("{types} has pressed Enter, too · {next} does the step by calls"));
        }
        // One Esc too many must not end the lab: it leads to the step first.
        Some(Command::Course) if !model.zoom && model.focus != Pane::Text => commands::show(model, Pane::Text),
        Some(command) => commands::perform(model, command, effects),
        None => {}
    }
}

/// Whether the step asks something that has no right answer yet.
fn unanswered(model: &Model) -> bool {
    let right = |view: &View| view.answer.as_ref().is_some_and(|(_, agrees, _)| *agrees);
    model.step().is_some_and(|step| step.question.is_some())
        && model.view.as_ref().is_some_and(|view| !view.position.done && !right(view))
}

/// Whether lines of this step have been typed for the learner, and it is not done yet.
fn was_typed(model: &Model) -> bool {
    model.typed > 0 && model.view.as_ref().is_some_and(|view| !view.position.done)
}

fn on_paste(model: &mut Model, text: &str, effects: &mut Vec<Effect>) {
    if model.capture && model.popup.is_none() {
        let bytes = keymap::paste(text, model.shell.parser.screen().bracketed_paste());
        return to_shell(model, bytes, effects);
    }
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    match (&mut model.popup, &mut model.answer) {
        (Some(Popup::Picker { query, at, .. }), _) => {
            query.push_str(&line);
            *at = 0;
        }
        (None, Some(answer)) => answer.push_str(&line),
        _ => {}
    }
}

fn on_tick(model: &mut Model, effects: &mut Vec<Effect>) {
    // A shell whose prompt carries no mark still gets what was to be typed.
    flush_pending(model, effects);
    model.shell.reopen = model.shell.reopen.saturating_sub(1);
    if let Some(notice) = &mut model.notice {
        notice.left = notice.left.saturating_sub(1);
        if notice.left == 0 {
            model.notice = None;
        }
    }
    if let Some(frozen) = &mut model.frozen {
        frozen.seconds += 1;
    } else if model.view.is_some() && model.busy.is_none() && !model.ending {
        effects.push(Effect::Send(Order::Sample));
    }
}

fn on_news(model: &mut Model, news: News, effects: &mut Vec<Effect>) {
    match news {
        News::View(view) => {
            on_view(model, view);
            // Only now is it known where the learner is.
            if model.shell.state == ShellState::Ended && std::mem::take(&mut model.shell.reopen) > 0 {
                open_shell(model, effects);
            }
        }
        News::Shell(_) | News::Watching(_) | News::WatchingNetworks(_) => {}
        News::ShellEnded => {
            if matches!(model.shell.state, ShellState::Open) {
                model.shell.state = ShellState::Ended;
                model.shell.pending.clear();
            }
        }
        News::Gauged(gauged) => model.graphs.take(&gauged),
        News::Looked => flush_pending(model, effects),
        News::Busy(what) => model.busy = Some(what),
        News::Trouble(trouble) => {
            model.busy = None;
            if model.view.is_none() {
                model.open = None;
            }
            if model.shell.state == ShellState::Asked {
                model.shell.state = ShellState::Closed;
                model.shell.pending.clear();
                model.capture = false;
            }
            model.popup = Some(Popup::Trouble(trouble));
        }
        News::Notice(text) => {
            model.busy = None;
            model.say(text);
        }
        News::Ended => effects.push(Effect::Leave),
    }
}

fn on_view(model: &mut Model, view: Arc<View>) {
    let lesson = &view.lesson;
    // A late word of a lesson that was left in the meantime.
    if !model.open.as_ref().is_some_and(|open| *open == lesson.name || *open == lesson.id) {
        return;
    }
    model.busy = None;
    if let Some(entry) = model.course.iter_mut().find(|entry| entry.name == lesson.name) {
        entry.remember(&view.records);
    }
    let before = model.view.as_ref().map(|view| view.position);
    if model.view.as_ref().is_some_and(|had| had.since_step != view.since_step) {
        model.follow_again();
    }
    let had = |had: &Arc<View>| had.hints == view.hints && had.verdicts == view.verdicts && had.answer == view.answer;
    let told = !model.view.as_ref().is_some_and(had);
    if before != Some(view.position) {
        model.scroll[Pane::State as usize] = 0;
        model.follow = Follow::Wanted;
        model.scroll[Pane::Text as usize] = 0;
        model.scroll[Pane::Trace as usize] = 0;
        model.scroll[Pane::Diff as usize] = 0;
        model.answer = None;
        model.reveal = None;
        model.trace_of = None;
        // One pane at a time: the text of another step comes to the front, and what n did where a shell would hide it.
        let moved = before.is_none_or(|before| before.step != view.position.step);
        if moved && before.is_some() {
            // What was said was said of the step that is left.
            model.notice = None;
        }
        if !layout::wide(model) && !model.zoom && !model.capture && (moved || model.focus == Pane::Shell) {
            let by_calls = view.report.is_some();
            if moved || by_calls {
                model.focus = Pane::Text;
            }
        }
        // What waits to be typed is what the step was begun anew for.
        let waits = !model.shell.pending.is_empty();
        if before.is_none_or(|before| before.step != view.position.step || (before.done && !waits)) {
            model.typed = 0;
        }
    }
    if view.position.done && matches!(model.popup, Some(Popup::Confirm { deed: Deed::Next, .. })) {
        // Hands have done meanwhile what was asked about.
        model.popup = None;
    }
    model.set_view(view);
    if before != model.view.as_ref().map(|view| view.position) {
        model.change_at = first_change(model);
    }
    // A sample that comes before what was asked for is not it.
    if told {
        reveal(model);
        model.reveal = None;
    }
    clamp(model);
}

/// The change that stands first in the list.
fn first_change(model: &Model) -> usize {
    model.index().groups.first().map_or(0, |group| group.changes[0])
}

/// Which of the rows of a line is what one wants to know of: the one that has another value now, or the first.
fn telling(model: &Model, rows: &[Row]) -> usize {
    let changed = |row: &Row| {
        let same = |change: &&Change| change.row.identity() == row.identity();
        matches!(model.changes().iter().find(same), Some(Change { kind: ChangeKind::Changed { .. }, .. }))
    };
    rows.iter().position(changed).unwrap_or(0)
}

/// The document of a pane at its present width, for panes that have one.
fn doc(model: &Model, pane: Pane) -> Option<(Doc, usize)> {
    let place = *layout::layout(model).place(pane)?;
    Some((view::doc(model, pane, place.inner.width)?, usize::from(place.inner.height)))
}

/// No pane is scrolled beyond its end.
fn clamp(model: &mut Model) {
    let shown = layout::layout(model).panes;
    for place in shown {
        // A pane that stands at its start needs no look at its end.
        if model.scroll_of(place.pane) > 0 {
            let lines = view::doc(model, place.pane, place.inner.width).map_or(0, |doc| doc.len());
            let scroll = &mut model.scroll[place.pane as usize];
            *scroll = (*scroll).min(lines.saturating_sub(usize::from(place.inner.height)));
        }
    }
}

/// Scrolls a pane by lines.
fn scroll(model: &mut Model, pane: Pane, by: isize) {
    let Some((doc, height)) = doc(model, pane) else { return };
    let last = doc.len().saturating_sub(height);
    if pane == Pane::State {
        model.follow = Follow::Never;
    }
    let scroll = &mut model.scroll[pane as usize];
    *scroll = scroll.saturating_add_signed(by).min(last);
}

/// The rows that a line of the state stands for.
fn rows_of(model: &Model, target: &Target) -> Vec<Row> {
    let Some(view) = &model.view else { return Vec::new() };
    match target {
        Target::Rows(rows) => rows.iter().filter_map(|(_, index)| view.rows.get(*index)).cloned().collect(),
        Target::Changes(list) => {
            list.iter().filter_map(|index| model.changes().get(*index)).map(|change| change.row.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// Performs a command; the palette, the mouse and tests come this way too.
pub fn perform(model: &mut Model, command: Command) -> Vec<Effect> {
    let mut effects = Vec::new();
    commands::perform(model, command, &mut effects);
    follow_shell_size(model, &mut effects);
    follow_changes(model);
    graphs::follow(model, &mut effects);
    effects
}

#[cfg(test)]
mod tests;
