//! What each command does.

use super::deeds::{ask_first, end};
use super::shell::{open_shell, type_line};
use super::{Effect, clamp, course, doc, first_change, reveal, rows_of, scroll, telling};
use crate::course::history;
use crate::probe::Row;
use crate::session::How;
use crate::tui::app::{Base, Deed, Follow, Frozen, List, Model, Pane, Popup};
use crate::tui::command::{COMMANDS, Command};
use crate::tui::doc::Target;
use crate::tui::layout::{self, TABS};
use crate::tui::theme::Theme;
use crate::tui::view::text;
use crate::walk::{Order, View};

pub(super) fn perform(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    if let Some(reason) = COMMANDS.iter().find(|spec| spec.command == command).and_then(|spec| spec.why_not(model)) {
        return model.say(reason);
    }
    let send = |effects: &mut Vec<Effect>, order| effects.push(Effect::Send(order));
    match command {
        Command::Open => course::open(model, effects),
        Command::Steps => course::choose_step(model),
        Command::Return => course::back(model),
        Command::Map => course::map(model),
        Command::Next if model.view.as_ref().is_some_and(|view| view.next_is_anew) => {
            ask_first(model, Deed::Next, effects);
        }
        Command::Next => send(effects, Order::Next),
        Command::Back => ask_first(model, Deed::Back, effects),
        Command::Reset => ask_first(model, Deed::Reset, effects),
        Command::Goto => pick(model, List::Steps),
        Command::Type => type_next(model, effects),
        Command::Check => {
            show_section(model, text::CHECKED);
            send(effects, Order::Check);
        }
        Command::Hint => {
            show_section(model, text::HINTS);
            send(effects, Order::Hint);
        }
        Command::Shell => {
            show(model, Pane::Shell);
            model.capture = true;
            open_shell(model, effects);
        }
        Command::Explain => explain(model),
        Command::Diff => {
            model.base = if model.base == Base::Step { Base::Start } else { Base::Step };
            model.change_at = first_change(model);
            model.follow_again();
            show(model, Pane::Diff);
            clamp(model);
        }
        Command::Beside => {
            model.beside = !model.beside;
            show(model, Pane::Diff);
        }
        Command::EarlierCalls => page_calls(model, -1),
        Command::LaterCalls => page_calls(model, 1),
        Command::Unfold => {
            model.unfolded = !model.unfolded;
            // Long traces are folded too.
            if model.focus != Pane::Trace {
                show(model, Pane::State);
            }
            clamp(model);
        }
        Command::Freeze => {
            if model.frozen.is_some() {
                model.thaw();
                model.follow_again();
                send(effects, Order::Sample);
            } else {
                model.frozen = Some(Frozen::default());
            }
        }
        Command::NextPane => step_pane(model, 1),
        Command::PreviousPane => step_pane(model, -1),
        Command::Zoom => model.zoom = true,
        Command::Unzoom => model.zoom = false,
        Command::Presenter => {
            model.presenter = !model.presenter;
            if model.presenter && !layout::wide(model) {
                let (columns, rows) = layout::WIDE;
                model.say(format!("the presenter's view is for terminals of {columns} × {rows} and more"));
            }
            clamp(model);
        }
        Command::Search => pick(model, List::Everything),
        Command::Words => pick(model, List::Words),
        Command::Theme => pick(model, List::Themes),
        Command::History => model.popup = Some(timeline()),
        Command::Palette => pick(model, List::Commands),
        Command::Help => model.popup = Some(Popup::Help { scroll: 0 }),
        Command::Quit => {
            if model.ending {
                end(model, effects);
            } else {
                ask_first(model, Deed::Quit, effects);
            }
        }
        Command::Course if model.zoom => model.zoom = false,
        Command::Course => ask_first(model, Deed::Close, effects),
        Command::Predict => model.say("press the number of your guess"),
        Command::Answer => {
            show(model, Pane::Text);
            model.answer = Some(String::new());
            // The line that is written must be seen.
            if let Some((doc, height)) = doc(model, Pane::Text) {
                let line = doc.lines.iter().rposition(|(_, target)| *target == Some(Target::Answer)).unwrap_or(0);
                let scroll = &mut model.scroll[Pane::Text as usize];
                *scroll = (*scroll).max((line + 2).saturating_sub(height));
            }
            clamp(model);
        }
        Command::Interrupt => effects.push(Effect::Write(vec![0x03])),
        Command::NewShell => ask_first(model, Deed::NewShell, effects),
        Command::Notes => notes(model),
        Command::Copy => copy(model, effects),
        Command::Down => vertical(model, 1),
        Command::Up => vertical(model, -1),
        Command::PageDown => page(model, 1),
        Command::PageUp => page(model, -1),
        Command::Top => edge(model, isize::MIN / 2),
        Command::Bottom => edge(model, isize::MAX / 2),
        Command::Suspend => effects.push(Effect::Suspend),
        Command::Redraw => effects.push(Effect::Redraw),
    }
}

/// The timeline, as a text in front.
pub(super) fn timeline() -> Popup {
    Popup::Text { title: "How containers came about".to_owned(), text: history::markdown(), scroll: 0 }
}

/// Shows the calls of another step, of those up to the current one.
fn page_calls(model: &mut Model, by: isize) {
    let Some(current) = model.view.as_ref().map(|view| view.position.step) else { return };
    let to = model.traced().checked_add_signed(by).filter(|to| *to <= current);
    match to {
        Some(to) => {
            model.trace_of = (to != current).then_some(to);
            model.scroll[Pane::Trace as usize] = 0;
        }
        None if by < 0 => model.say("these are the calls of the first step"),
        None => model.say("these are the calls of the current step"),
    }
    if layout::layout(model).place(Pane::Trace).is_none() {
        show(model, Pane::Trace);
    }
}

pub(super) fn predict(model: &mut Model, choice: usize, effects: &mut Vec<Effect>) {
    if model.view.as_ref().is_some_and(|view| !view.position.done) {
        effects.push(Effect::Send(Order::Predict(choice)));
    } else {
        let back = model.key(Command::Back);
        model.say(format!("the step is done: a guess now would be none; {back} goes back before it"));
    }
}

fn type_next(model: &mut Model, effects: &mut Vec<Effect>) {
    let by_hand = |view: &View| view.position.done && view.records[view.position.step].how == Some(How::Hands);
    if model.typed == 0 && model.view.as_deref().is_some_and(by_hand) {
        return model.say("your hands have done this step");
    }
    let Some(line) = model.step().and_then(|step| step.by_hand.get(model.typed)).cloned() else {
        return model.say("that was the last line of this step");
    };
    type_line(model, &line, effects);
    model.typed += 1;
}

fn pick(model: &mut Model, list: List) {
    let at = match (list, &model.view) {
        (List::Steps, Some(view)) => view.position.step,
        (List::Themes, _) => Theme::NAMES.iter().position(|name| *name == model.theme.name).unwrap_or(0),
        _ => 0,
    };
    model.popup = Some(Popup::Picker { list, query: String::new(), at });
}

/// Brings a pane to the front without giving it the keys.
pub(super) fn show(model: &mut Model, pane: Pane) {
    model.capture = false;
    model.focus = pane;
    clamp(model);
}

/// Brings a section of the step's text into view, now where it is there, or else as soon as it comes.
fn show_section(model: &mut Model, heading: &'static str) {
    show(model, Pane::Text);
    model.reveal = Some(heading);
    reveal(model);
}

/// Focuses a pane; the shell's gets all keys from here on.
pub(super) fn focus(model: &mut Model, pane: Pane, effects: &mut Vec<Effect>) {
    show(model, pane);
    if pane == Pane::Shell {
        open_shell(model, effects);
        model.capture = true;
    }
    clamp(model);
}

fn step_pane(model: &mut Model, by: isize) {
    let tabs = !layout::wide(model);
    let order: Vec<Pane> = if model.zoom {
        Pane::ALL.to_vec()
    } else if tabs || model.presenter {
        TABS.iter().map(|(pane, _)| *pane).chain([Pane::Diff]).collect()
    } else {
        Pane::ALL.into_iter().filter(|pane| *pane != Pane::Steps).collect()
    };
    let at = order.iter().position(|pane| *pane == model.focus).unwrap_or(0);
    let to = at.cast_signed() + by;
    let to = order[to.rem_euclid(order.len().cast_signed()).cast_unsigned()];
    // A pane that Tab can not leave would be a trap: keys go to a shell after `s` or a click.
    show(model, to);
}

/// The lines of a pane that can be chosen, and which is.
pub(in crate::tui) fn choices(model: &Model, pane: Pane) -> (Vec<(usize, Target)>, usize) {
    let Some((doc, _)) = doc(model, pane) else { return (Vec::new(), 0) };
    let mut lines: Vec<(usize, Target)> = Vec::new();
    // Of what stands side by side first all that is at the left.
    let mut beside: Vec<(u16, usize, Target)> = Vec::new();
    for (at, target) in doc.lines.into_iter().enumerate().map(|(at, (_, target))| (at, target)) {
        if let Some(Target::Beside(targets)) = target {
            beside.extend(targets.into_iter().map(|(column, target)| (column, at, target)));
            continue;
        }
        flush(&mut lines, &mut beside);
        lines.extend(target.filter(|it| matches!(it, Target::Rows(_) | Target::Changes(_))).map(|it| (at, it)));
    }
    flush(&mut lines, &mut beside);
    // A wrapped line is one choice.
    lines.dedup_by(|next, line| next.1 == line.1);
    let at = match pane {
        Pane::State => lines.iter().position(|(_, target)| crate::tui::view::state::is_selected(model, target)),
        _ => lines
            .iter()
            .position(|(_, target)| matches!(target, Target::Changes(list) if list.contains(&model.change_at))),
    };
    (lines, at.unwrap_or(0))
}

/// Puts what stands side by side below each other, column by column.
fn flush(lines: &mut Vec<(usize, Target)>, beside: &mut Vec<(u16, usize, Target)>) {
    beside.sort_by_key(|(column, at, _)| (*column, *at));
    lines.extend(beside.drain(..).map(|(_, at, target)| (at, target)));
}

/// Chooses a line, and scrolls so that it can be seen.
pub(super) fn choose(model: &mut Model, pane: Pane, line: usize, target: &Target) {
    match (pane, target) {
        (Pane::State, _) => {
            model.follow = Follow::Never;
            model.selected =
                rows_of(model, target).first().map(|row| (row.panel, row.subject.clone(), row.key.clone()));
        }
        (_, Target::Changes(list)) => model.change_at = list.first().copied().unwrap_or(0),
        _ => {}
    }
    let Some(height) = layout::layout(model).place(pane).map(|place| usize::from(place.inner.height)) else { return };
    let scroll = &mut model.scroll[pane as usize];
    *scroll = (*scroll).min(line).max((line + 1).saturating_sub(height));
}

fn vertical(model: &mut Model, by: isize) {
    if model.on_course() {
        return course::vertical(model, by);
    }
    match model.focus {
        pane @ (Pane::State | Pane::Diff) => {
            let (lines, at) = choices(model, pane);
            // The first press chooses the first line; only then one moves.
            let to = if model.selected.is_none() && pane == Pane::State { 0 } else { at.saturating_add_signed(by) };
            if let Some((line, target)) = lines.get(to.min(lines.len().saturating_sub(1))).cloned() {
                choose(model, pane, line, &target);
                if to == 0 {
                    model.scroll[pane as usize] = 0;
                }
            }
        }
        Pane::Shell => scroll_shell(model, -by),
        pane => scroll(model, pane, by),
    }
}

fn page(model: &mut Model, by: isize) {
    if model.on_course() {
        return vertical(model, by * 5);
    }
    let height = layout::layout(model).place(model.focus).map_or(10, |place| place.inner.height);
    let lines = by * isize::try_from(height.saturating_sub(2).max(1)).unwrap_or(1);
    match model.focus {
        Pane::Shell => scroll_shell(model, -lines),
        pane @ (Pane::State | Pane::Diff) => {
            let (choices, at) = choices(model, pane);
            let to = at.saturating_add_signed(lines).min(choices.len().saturating_sub(1));
            if let Some((line, target)) = choices.get(to).cloned() {
                choose(model, pane, line, &target);
            }
        }
        pane => scroll(model, pane, lines),
    }
}

fn edge(model: &mut Model, by: isize) {
    if model.on_course() {
        return vertical(model, by);
    }
    match model.focus {
        Pane::Shell => scroll_shell(model, -by),
        pane => scroll(model, pane, by),
    }
}

/// Scrolls the shell's past; up is positive.
pub(super) fn scroll_shell(model: &mut Model, by: isize) {
    let screen = model.shell.parser.screen_mut();
    let to = screen.scrollback().saturating_add_signed(by);
    screen.set_scrollback(to.min(1 << 16));
}

fn explain(model: &mut Model) {
    let pane = if model.focus == Pane::Diff { Pane::Diff } else { Pane::State };
    if doc(model, pane).is_none() {
        // Not on this screen: bring it there, so that what is explained can be seen.
        show(model, pane);
    }
    let (lines, mut at) = choices(model, pane);
    if pane == Pane::State && model.selected.is_none() {
        // Nothing was chosen: what changed is what one wants to know of.
        let changed = |row: &Row| model.changes().iter().any(|change| change.row.identity() == row.identity());
        at = lines.iter().position(|(_, target)| rows_of(model, target).iter().any(changed)).unwrap_or(at);
    }
    match lines.get(at).cloned() {
        Some((line, target)) => {
            choose(model, pane, line, &target);
            let rows = rows_of(model, &target);
            let at = telling(model, &rows);
            model.popup = (!rows.is_empty()).then_some(Popup::Explain { rows, at });
        }
        None => model.say("there is no row to explain"),
    }
}

fn notes(model: &mut Model) {
    if let Some(step) = model.step() {
        let (title, text) = (format!("Notes: {}", step.title), step.notes.clone());
        model.popup = Some(Popup::Text { title, text, scroll: 0 });
    }
}

fn copy(model: &mut Model, effects: &mut Vec<Effect>) {
    let text = match model.focus {
        pane @ (Pane::State | Pane::Diff) => {
            let (lines, at) = choices(model, pane);
            lines.get(at).and_then(|(_, target)| rows_of(model, target).first().map(|row| row.value.clone()))
        }
        Pane::Shell => Some(model.shell.parser.screen().contents()),
        _ => model.step().map(|step| step.by_hand.join("\n")),
    };
    match text.filter(|text| !text.is_empty()) {
        Some(text) => {
            model.say("copied, where your terminal allows it (OSC 52)");
            effects.push(Effect::Copy(text));
        }
        None => model.say("nothing to copy here"),
    }
}
