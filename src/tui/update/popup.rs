//! Keys while something is in front of the panes, or while an answer is written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::deeds::{ask_first, carry_out, end};
use super::{Effect, course};
use crate::course::glossary;
use crate::course::search::{Hit, Place};
use crate::probe::Row;
use crate::tui::app::{Deed, List, Model, Pick, Popup};
use crate::tui::command::COMMANDS;
use crate::tui::doc::fit;
use crate::tui::fuzzy;
use crate::tui::theme::Theme;
use crate::tui::view::{self, text};
use crate::walk::Order;

/// The items of a list that match what was typed, the best first: what is shown, and what choosing it does.
pub fn matches(model: &Model, list: List, query: &str) -> Vec<(String, String, Pick)> {
    match list {
        List::Steps => steps(model, query),
        List::Everything => everything(model, query),
        List::Commands => commands(model, query),
        List::Words => words(model, query),
        List::Themes => {
            let mark = |name: &str| if name == model.theme.name { "in force" } else { "" }.to_owned();
            let items = Theme::NAMES.iter().map(|name| ((*name).to_owned(), mark(name), Pick::Theme(name)));
            items.filter(|(name, ..)| fuzzy::score(query, name).is_some()).collect()
        }
    }
}

fn steps(model: &Model, query: &str) -> Vec<(String, String, Pick)> {
    let Some(view) = &model.view else { return Vec::new() };
    let mut items = Vec::new();
    for (index, step) in view.lesson.steps.iter().enumerate() {
        let state = match (view.skipped.get(index).and_then(Option::as_ref), view.records.get(index)) {
            (Some(reason), _) => reason.clone(),
            (None, Some(record)) if record.how.is_some() => format!("{} ✓", step.id),
            _ => format!("{}  ", step.id),
        };
        let what = format!("{:>2}  {}", index + 1, step.title);
        if let Some(score) = fuzzy::score(query, &format!("{what} {}", step.id)) {
            items.push((score, (what, state, Pick::Step(index))));
        }
    }
    best(items)
}

/// All commands: those that are called so, then those whose sentence has the words. Of both, those that make no sense now
/// come last, with the reason.
fn commands(model: &Model, query: &str) -> Vec<(String, String, Pick)> {
    let mut items = Vec::new();
    for spec in COMMANDS {
        let score = fuzzy::score(query, spec.name);
        if score.is_none() && !has_words(query, spec.help) {
            continue;
        }
        let why_not = spec.why_not(model);
        let what = format!("{:<16} {}", spec.name, why_not.unwrap_or(spec.help));
        let item = (what, spec.all_keys(&model.keys), Pick::Command(spec.command));
        items.push(((score.is_some(), why_not.is_none(), score), item));
    }
    best(items)
}

/// The words of the glossary: those of the step first.
fn words(model: &Model, query: &str) -> Vec<(String, String, Pick)> {
    let mut items = Vec::new();
    for term in glossary::all() {
        let Some(score) =
            fuzzy::score(query, term.name).or_else(|| has_words(query, &term.also.join(" ")).then_some(0))
        else {
            continue;
        };
        let here = model.derived.words().contains(&term);
        let more = if here { "in this step".to_owned() } else { String::new() };
        let what = format!("{:<18} {}", term.name, term.says.replace('`', ""));
        let score = if here && query.is_empty() { 1 } else { score };
        items.push((score, (what, more, Pick::Place(Place::Term(term)))));
    }
    best(items)
}

/// The whole course and the rows: what is called so, then rows, then texts in which it stands.
fn everything(model: &Model, query: &str) -> Vec<(String, String, Pick)> {
    let here = model.lesson_at();
    let (called, told): (Vec<Hit>, Vec<Hit>) =
        model.texts().search(query, here).into_iter().partition(|hit| hit.in_title);
    let item = |hit: Hit| {
        let place = match hit.place {
            Place::Lesson(_) => "lesson".to_owned(),
            Place::Step(lesson, step) if Some(lesson) == here => format!("step {}", step + 1),
            Place::Step(lesson, step) => format!("{} {}", model.course[lesson].name, step + 1),
            Place::Term(_) => "word".to_owned(),
            Place::History(_) => "history".to_owned(),
        };
        (format!("{} {}", fit(&place, 14), hit.title), hit.excerpt, Pick::Place(hit.place))
    };
    let rows = model.view.iter().flat_map(|view| view.rows.iter());
    let row = |row: &Row| {
        let what = format!("{} {} {}", fit(&row.panel.to_string(), 14), row.subject, row.key);
        has_words(query, &format!("{what} {}", row.value))
            .then(|| (what, row.value.clone(), Pick::Row(Box::new(row.clone()))))
    };
    called.into_iter().map(item).chain(rows.filter_map(row)).chain(told.into_iter().map(item)).collect()
}

/// Whether every word of the query stands in the text.
fn has_words(query: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// The items by their scores; those that fit alike stay in their order.
fn best<S: Ord + Copy, T>(mut items: Vec<(S, T)>) -> Vec<T> {
    items.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    items.into_iter().map(|(_, item)| item).collect()
}

pub(super) fn on_key(model: &mut Model, key: &KeyEvent, effects: &mut Vec<Effect>) {
    let Some(mut popup) = model.popup.take() else { return };
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        // Ctrl-C always leads out: of the popup; asked again, of the program.
        if let Popup::Confirm { deed: Deed::Quit, .. } = popup {
            end(model, effects);
        }
        return;
    }
    let keep = match &mut popup {
        Popup::Help { scroll } | Popup::Text { scroll, .. } => scroll_key(key, scroll),
        Popup::Trouble(_) => !matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char(_)),
        Popup::Explain { rows, at } => explain_key(key, rows.len(), at),
        Popup::Confirm { deed, .. } => match key.code {
            KeyCode::Char('y' | 'Y') | KeyCode::Enter => {
                carry_out(model, *deed, effects);
                false
            }
            // Whoever presses the key of the next step again means that step, and not "no".
            KeyCode::Char('n') if *deed == Deed::Next => true,
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => false,
            _ => true,
        },
        Popup::Picker { list, query, at } => return picker_key(model, key, *list, query.clone(), *at, effects),
    };
    if keep {
        model.popup = Some(popup);
        clamp(model);
    }
    if let (Some(Popup::Explain { rows, at }), KeyCode::Char('y')) = (&model.popup, key.code) {
        effects.push(Effect::Copy(rows[*at].command.clone()));
        model.say("the command is copied, where your terminal allows it (OSC 52)");
    }
}

/// A text in front is not scrolled beyond its end.
pub(super) fn clamp(model: &mut Model) {
    let last = view::popup::last_scroll(model);
    if let Some(Popup::Help { scroll } | Popup::Text { scroll, .. }) = &mut model.popup {
        *scroll = (*scroll).min(last);
    }
}

fn scroll_key(key: &KeyEvent, scroll: &mut usize) -> bool {
    match key.code {
        KeyCode::Down | KeyCode::Char('j') => *scroll += 1,
        KeyCode::Up | KeyCode::Char('k') => *scroll = scroll.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => *scroll += 10,
        KeyCode::PageUp => *scroll = scroll.saturating_sub(10),
        KeyCode::Home => *scroll = 0,
        _ => return false,
    }
    true
}

fn explain_key(key: &KeyEvent, rows: usize, at: &mut usize) -> bool {
    match key.code {
        KeyCode::Down | KeyCode::Right | KeyCode::Tab | KeyCode::Char('j') => *at = (*at + 1) % rows.max(1),
        KeyCode::Up | KeyCode::Left | KeyCode::BackTab | KeyCode::Char('k') => {
            *at = (*at + rows.max(1) - 1) % rows.max(1);
        }
        KeyCode::Char('y') => {}
        _ => return false,
    }
    true
}

fn picker_key(
    model: &mut Model,
    key: &KeyEvent,
    list: List,
    mut query: String,
    mut at: usize,
    effects: &mut Vec<Effect>,
) {
    let count = matches(model, list, &query).len();
    match key.code {
        KeyCode::Esc => return,
        KeyCode::Enter => return picked(model, list, &query, at, effects),
        KeyCode::Down | KeyCode::Tab => at = (at + 1).min(count.saturating_sub(1)),
        KeyCode::Up | KeyCode::BackTab => at = at.saturating_sub(1),
        KeyCode::PageDown => at = (at + 10).min(count.saturating_sub(1)),
        KeyCode::PageUp => at = at.saturating_sub(10),
        KeyCode::Backspace => {
            query.pop();
            at = 0;
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            query.clear();
            at = 0;
        }
        KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
            query.push(c);
            at = 0;
        }
        _ => {}
    }
    model.popup = Some(Popup::Picker { list, query, at });
}

/// Does what the chosen item of a list stands for.
pub(super) fn picked(model: &mut Model, list: List, query: &str, at: usize, effects: &mut Vec<Effect>) {
    let Some((_, _, pick)) = matches(model, list, query).into_iter().nth(at) else { return };
    match pick {
        Pick::Step(step) => ask_first(model, Deed::Goto(step), effects),
        Pick::Row(row) => {
            model.selected = Some((row.panel, row.subject.clone(), row.key.clone()));
            model.popup = Some(Popup::Explain { rows: vec![*row], at: 0 });
        }
        Pick::Command(command) => super::commands::perform(model, command, effects),
        Pick::Place(place) => course::visit(model, place, effects),
        Pick::Theme(name) => {
            let Some(theme) = Theme::named(name, model.depth) else { return };
            model.theme = theme;
            effects.push(Effect::KeepTheme(name));
        }
    }
}

/// A key while the answer to the step's question is written.
pub(super) fn on_answer_key(model: &mut Model, key: &KeyEvent, effects: &mut Vec<Effect>) {
    let Some(mut answer) = model.answer.take() else { return };
    match key.code {
        KeyCode::Esc => return,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return,
        KeyCode::Enter => {
            if !answer.trim().is_empty() {
                effects.push(Effect::Send(Order::Answer(answer.trim().to_owned())));
                model.reveal = Some(text::QUESTION);
            }
            return;
        }
        KeyCode::Backspace => {
            answer.pop();
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => answer.clear(),
        KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => answer.push(c),
        _ => {}
    }
    model.answer = Some(answer);
}
