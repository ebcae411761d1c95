//! The step: what it is about, the prediction, what came of it, hints, and what to remember.

use std::ops::Range;

use ratatui::text::{Line, Span};

use super::{diff, markdown, trace};
use crate::lesson::{Depth, Kind, Step};
use crate::session::How;
use crate::tui::app::{Base, Model};
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean, width};
use crate::tui::layout;
use crate::walk::View;

/// Longer lines are hard to read.
const READABLE: u16 = 104;

/// The heading of the check's verdicts.
pub const CHECKED: &str = "Checked in the kernel";
/// The heading of the question.
pub const QUESTION: &str = "Question";
/// The heading of the hints.
pub const HINTS: &str = "Hints";

/// Before the step is done: text, then prediction. Afterwards what came of it leads, and the text follows.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns.min(READABLE));
    let (Some(view), Some(step)) = (&model.view, model.step()) else {
        doc.text("no lesson is open", theme.dim);
        return doc;
    };
    title(&mut doc, model, view, step);
    if let Some(Some(reason)) = view.skipped.get(view.position.step) {
        doc.wrap(
            &Line::from(vec![Span::styled("Not available here: ", theme.warn), Span::raw(clean(reason))]),
            0,
            None,
        );
        doc.gap();
    }
    if view.position.done {
        if layout::alone(model) {
            summary(&mut doc, model, view);
        }
        prediction(&mut doc, model, view, step);
        question(&mut doc, model, view, step);
        checks(&mut doc, model, view);
        hints(&mut doc, model, view);
        if !step.debrief.trim().is_empty() {
            doc.heading("To remember", theme.heading, theme.border);
            markdown::add(&mut doc, &step.debrief, theme);
        }
        doc.heading("The step", theme.heading, theme.border);
        markdown::add(&mut doc, &step.explain, theme);
    } else {
        markdown::add(&mut doc, &step.explain, theme);
        prediction(&mut doc, model, view, step);
        question(&mut doc, model, view, step);
        checks(&mut doc, model, view);
        hints(&mut doc, model, view);
    }
    words(&mut doc, model);
    doc
}

/// The words of the step that the glossary explains.
fn words(doc: &mut Doc, model: &Model) {
    let theme = &model.theme;
    let words: Vec<&str> = model.derived.words().iter().map(|term| term.name).collect();
    if words.is_empty() {
        return;
    }
    let key = Span::styled(format!("{} explains", model.key(Command::Words)), theme.dim);
    doc.heading_with("Words in this step", key, theme.dim, theme.border);
    doc.wrap(&Line::styled(words.join(" · "), theme.dim), 0, Some(Target::Words));
}

fn title(doc: &mut Doc, model: &Model, view: &View, step: &Step) {
    let theme = &model.theme;
    let mut right = match step.kind {
        Kind::Change => String::new(),
        Kind::Fail => "this will fail".to_owned(),
        Kind::Observe => "look and answer".to_owned(),
    };
    if step.depth == Depth::Deep {
        right = if right.is_empty() { "deep".to_owned() } else { format!("deep · {right}") };
    }
    let left = format!("{}  {}", view.position.step + 1, clean(&step.title));
    let gap = doc.width.saturating_sub(width(&left) + width(&right));
    if gap >= 2 {
        let spans = vec![Span::styled(left, theme.strong), Span::raw(" ".repeat(gap)), Span::styled(right, theme.warn)];
        doc.cut(Line::from(spans), None);
    } else {
        doc.wrap(&Line::styled(left, theme.strong), 3, None);
    }
    doc.gap();
}

/// The lines of the section whose heading begins so.
pub fn section(doc: &Doc, heading: &str) -> Option<Range<usize>> {
    let first =
        doc.lines.iter().position(|(line, _)| line.spans.first().is_some_and(|it| it.content.starts_with(heading)))?;
    let lines = doc.lines[first..].iter().take_while(|(line, _)| line.width() > 0).count();
    Some(first..first + lines)
}

/// What was done and what it changed, in a line: both are in other panes.
fn summary(doc: &mut Doc, model: &Model, view: &View) {
    let theme = &model.theme;
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (calls, refused) = trace::counts(view);
    let by_hand = view.records.get(view.position.step).is_some_and(|record| record.how == Some(How::Hands));
    let acts = model.step().is_some_and(|step| !step.actions.is_empty());
    let mut told = Vec::new();
    match (calls, refused) {
        (0, _) if by_hand && acts => told.push("done by hand".to_owned()),
        (0, _) => {}
        (_, 0) => told.push(count(calls, "call")),
        _ => told.push(format!("{}, {refused} refused", count(calls, "call"))),
    }
    let changes = diff::count(model);
    match model.base {
        Base::Step if changes > 0 => told.push(count(changes, "change")),
        Base::Step if !told.is_empty() => told.push("no panel shows a change".to_owned()),
        _ => {}
    }
    if told.is_empty() {
        return;
    }
    let holds = view.verdicts.iter().all(|verdict| verdict.holds);
    let (mark, style) = if holds { ("✓ ", theme.good) } else { ("✗ ", theme.bad) };
    let mut spans = vec![Span::styled(mark, style), Span::styled(told.join(" · "), style)];
    if calls > 0 || changes > 0 {
        spans.push(Span::styled(format!("  {} shows them", model.key(Command::NextPane)), theme.dim));
    }
    // Right below the title.
    if doc.lines.last().is_some_and(|(line, _)| line.width() == 0) {
        doc.lines.pop();
    }
    doc.cut(Line::from(spans), None);
    doc.gap();
}

fn prediction(doc: &mut Doc, model: &Model, view: &View, step: &Step) {
    let Some(predict) = &step.predict else { return };
    let theme = &model.theme;
    let guess = view.records.get(view.position.step).and_then(|record| record.predicted);
    let done = view.position.done;
    if done && guess.is_none() {
        // Nobody guessed: the question is told with its answer.
        doc.heading("What happens", theme.heading, theme.border);
    } else {
        doc.heading(if done { "Your guess" } else { "What will happen?" }, theme.heading, theme.border);
    }
    doc.wrap(&Line::from(markdown::inline(&predict.ask, theme.text, theme)), 0, None);
    for (index, choice) in predict.choices.iter().enumerate() {
        let (mine, right) = (guess == Some(index), done && index == predict.answer);
        let (mark, style) = match (done, mine) {
            (true, _) if right => ("✓", theme.good),
            (true, true) => ("✗", theme.bad),
            (true, false) => (" ", theme.dim),
            (false, true) => ("▸", theme.strong),
            (false, false) => (" ", theme.text),
        };
        let mut spans = vec![
            Span::styled(format!("{mark} "), style),
            Span::styled(format!("{} ", index + 1), if done { theme.dim } else { theme.key }),
        ];
        spans.extend(markdown::inline(choice, style, theme));
        if mine {
            spans.push(Span::styled("  your guess", theme.dim));
        }
        doc.wrap(&Line::from(spans), 4, (!done).then_some(Target::Choice(index)));
    }
    if done {
        doc.gap();
        let verdict = match guess {
            Some(guess) if guess == predict.answer => Span::styled("Right. ", theme.good),
            Some(_) => Span::styled("Not so. ", theme.bad),
            None => Span::raw(""),
        };
        let mut because = vec![verdict];
        because.extend(markdown::inline(&predict.because, theme.text, theme));
        doc.wrap(&Line::from(because), 0, None);
    }
}

fn question(doc: &mut Doc, model: &Model, view: &View, step: &Step) {
    let Some(question) = &step.question else { return };
    let theme = &model.theme;
    doc.heading(QUESTION, theme.heading, theme.border);
    doc.wrap(&Line::from(markdown::inline(&question.ask, theme.text, theme)), 0, None);
    match (&model.answer, &view.answer) {
        (Some(writing), _) => {
            let line = Line::from(vec![
                Span::styled("› ", theme.key),
                Span::raw(clean(writing)),
                Span::styled("▏", theme.key),
            ]);
            doc.wrap(&line, 2, Some(Target::Answer));
        }
        (None, Some((answer, agrees, seen))) => {
            let (mark, style) = match agrees {
                true => ("✓ ", theme.good),
                false if answer.is_empty() => ("› ", theme.dim),
                false => ("✗ ", theme.bad),
            };
            let answer = if answer.is_empty() { "nobody answered" } else { answer };
            let spans = vec![Span::styled(mark, style), Span::styled(clean(answer), style)];
            doc.wrap(&Line::from(spans), 2, Some(Target::Answer));
            let read = format!("read from the kernel: {}", clean(seen));
            doc.wrap(&Line::from(vec![Span::raw("  "), Span::styled(read, theme.dim)]), 2, None);
        }
        (None, None) => {
            let spans = vec![
                Span::styled("› ", theme.key),
                Span::styled(format!("{} writes the answer", model.key(Command::Answer)), theme.dim),
            ];
            doc.wrap(&Line::from(spans), 2, Some(Target::Answer));
        }
    }
}

fn checks(doc: &mut Doc, model: &Model, view: &View) {
    if view.verdicts.is_empty() {
        return;
    }
    let theme = &model.theme;
    doc.heading(CHECKED, theme.heading, theme.border);
    for verdict in &view.verdicts {
        let (mark, style) = if verdict.holds { ("✓ ", theme.good) } else { ("✗ ", theme.bad) };
        doc.wrap(&Line::from(vec![Span::styled(mark, style), Span::raw(clean(&verdict.claim))]), 2, None);
        if !verdict.seen.is_empty() {
            doc.wrap(&Line::from(vec![Span::raw("  "), Span::styled(clean(&verdict.seen), theme.dim)]), 2, None);
        }
    }
}

fn hints(doc: &mut Doc, model: &Model, view: &View) {
    if view.hints.is_empty() {
        return;
    }
    let theme = &model.theme;
    doc.heading(HINTS, theme.heading, theme.border);
    for (index, hint) in view.hints.iter().enumerate() {
        let mut spans = vec![Span::styled(format!("{}  ", index + 1), theme.warn)];
        spans.extend(markdown::inline(hint, theme.text, theme));
        doc.wrap(&Line::from(spans), 3, None);
    }
}
