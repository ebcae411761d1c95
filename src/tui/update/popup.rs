//! Keys while something is in front of the panes, or while an answer is written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Effect, ask_first, carry_out, commands, end};
use crate::tui::app::{Deed, List, Model, Pick, Popup};
use crate::tui::command::COMMANDS;
use crate::tui::view::{self, text};
use crate::walk::Order;

/// The items of a list that match what was typed: what is shown, and what choosing it does.
pub fn matches(model: &Model, list: List, query: &str) -> Vec<(String, String, Pick)> {
    let mut items = Vec::new();
    if let (List::Steps | List::Everything, Some(view)) = (list, &model.view) {
        for (index, step) in view.lesson.steps.iter().enumerate() {
            let state = match (view.skipped.get(index).and_then(Option::as_ref), view.records.get(index)) {
                (Some(reason), _) => reason.clone(),
                (None, Some(record)) if record.how.is_some() => format!("{} ✓", step.id),
                _ => format!("{}  ", step.id),
            };
            items.push((format!("{:>2}  {}", index + 1, step.title), state, Pick::Step(index)));
        }
        if list == List::Everything {
            for row in view.rows.iter() {
                let what = format!("{}  {} {}", row.panel, row.subject, row.key);
                items.push((what, row.value.clone(), Pick::Row(Box::new(row.clone()))));
            }
        }
    }
    if list == List::Commands {
        for spec in COMMANDS.iter().filter(|spec| spec.valid(model)) {
            let what = format!("{:<14} {}", spec.name, spec.help);
            items.push((what, spec.all_keys(&model.keys), Pick::Command(spec.command)));
        }
    }
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    items.retain(|(what, more, _)| {
        let text = format!("{what} {more}").to_lowercase();
        words.iter().all(|word| text.contains(word))
    });
    items
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
        Pick::Command(command) => commands::perform(model, command, effects),
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
