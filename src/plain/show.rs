//! What plain mode writes: each thing as lines that can be read aloud, without colour or columns.

use std::io::{Result, Write};

use super::{COMMANDS, Spec};
use crate::course::glossary::{self, Term};
use crate::course::search::{Index, Place};
use crate::course::{heading, history as timeline, part_of};
use crate::kernel::trace::{Part, folded};
use crate::lesson::{Depth, Kind, Lesson};
use crate::probe::diff::groups;
use crate::probe::{Change, ChangeKind, Panel, Row};
use crate::runtime::iptables;
use crate::session::{How, Record};
use crate::walk::View;
use crate::walk::entry::CourseEntry;

/// How many hits of a search are written.
const HITS: usize = 20;

pub(super) fn help(out: &mut dyn Write) -> Result<()> {
    for Spec(short, word, rest, what) in COMMANDS {
        let word = if rest.is_empty() { (*word).to_owned() } else { format!("{word} {rest}") };
        writeln!(out, "{short:<3} {word:<18} {what}")?;
    }
    writeln!(out, "1 2 3 … guess; an empty line is n")
}

/// The course, part by part.
pub(super) fn list(course: &[CourseEntry], out: &mut dyn Write) -> Result<()> {
    writeln!(out, "The course:")?;
    let mut last = None;
    for entry in course {
        let part = part_of(&entry.name);
        if last.replace(part) != Some(part) {
            writeln!(out, " {}", heading(part))?;
        }
        let done = format!("{}/{} steps done", entry.done, entry.steps);
        writeln!(out, "  {:<14} {} ({done}, {} minutes)", entry.name, entry.title, entry.minutes)?;
        if let Some(reason) = &entry.unavailable {
            writeln!(out, "                 not here: {reason}")?;
        }
    }
    writeln!(out, "o NAME opens a lesson; m NAME shows its steps; ? helps.")
}

/// The course, or one lesson of it with its steps.
pub(super) fn map(course: &[CourseEntry], name: &str, out: &mut dyn Write) -> Result<()> {
    if name.is_empty() {
        return list(course, out);
    }
    let Some(entry) = course.iter().find(|entry| entry.name == name || entry.id == name) else {
        return writeln!(out, "there is no lesson {name}; o lists them");
    };
    writeln!(out, "{}: {} ({} minutes)\n{}", entry.name, entry.title, entry.minutes, entry.goal)?;
    if let Some(reason) = &entry.unavailable {
        writeln!(out, "not here: {reason}")?;
    }
    steps(&entry.lesson, &entry.records, &entry.skipped, out)
}

/// The steps of a lesson: done or not, of which kind, and why one can not be done here.
pub(super) fn steps(
    lesson: &Lesson,
    records: &[Record],
    skipped: &[Option<String>],
    out: &mut dyn Write,
) -> Result<()> {
    for (index, step) in lesson.steps.iter().enumerate() {
        let done = match records.get(index).and_then(|record| record.how) {
            Some(How::Calls) => "done",
            Some(How::Hands) => "by hand",
            None => "",
        };
        let kind = match step.kind {
            Kind::Change => "",
            Kind::Fail => ", fails",
            Kind::Observe => ", a question",
        };
        let deep = if step.depth == Depth::Deep { ", deep" } else { "" };
        writeln!(out, "  {:>2} {:<8} {} ({}{kind}{deep})", index + 1, done, step.title, step.id)?;
        if let Some(Some(reason)) = skipped.get(index) {
            writeln!(out, "              not here: {reason}")?;
        }
    }
    Ok(())
}

/// The current step: what it is about, what is to be guessed, answered and typed.
pub(super) fn step(view: &View, out: &mut dyn Write) -> Result<()> {
    let at = view.position.step;
    let step = &view.lesson.steps[at];
    let of = view.lesson.steps.len();
    writeln!(out, "\n== {} · step {} of {of}: {} ==", view.lesson.title, at + 1, step.title)?;
    writeln!(out, "{}", step.explain.trim_end())?;
    if let Some(reason) = &view.skipped[at] {
        writeln!(out, "(not here: {reason})")?;
    }
    if let Some(predict) = &step.predict {
        writeln!(out, "predict: {}", predict.ask)?;
        for (index, choice) in predict.choices.iter().enumerate() {
            writeln!(out, "  {} {choice}", index + 1)?;
        }
    }
    if let Some(question) = &step.question {
        writeln!(out, "question: {} (answer with = TEXT)", question.ask)?;
    }
    for line in &step.by_hand {
        writeln!(out, "  by hand: $ {line}")?;
    }
    let words: Vec<&str> = words_of(view).iter().map(|term| term.name).collect();
    if !words.is_empty() {
        writeln!(out, "words (w WORD explains): {}", words.join(", "))?;
    }
    Ok(())
}

/// What was done by calls in a step, in this lab host: each action with its calls and what it made.
pub(super) fn calls(view: &View, at: usize, out: &mut dyn Write) -> Result<()> {
    let Some(step) = view.lesson.steps.get(at) else {
        return writeln!(out, "the lesson has {} steps", view.lesson.steps.len());
    };
    if at != view.position.step {
        writeln!(out, "step {}: {}", at + 1, step.title)?;
    }
    let Some(report) = view.history.iter().rfind(|report| report.step == at) else {
        let hands = view.records.get(at).and_then(|record| record.how) == Some(How::Hands);
        let why = match (step.actions.is_empty(), hands) {
            (true, _) => "this step makes no system call: it looks at what is there",
            (false, true) => "done by hand: the calls were your shell's, and hardway made none",
            (false, false) => "not done by calls in this lab host",
        };
        return writeln!(out, "{why}");
    };
    for (action, performed) in &report.actions {
        writeln!(out, "- {}", action.mechanism().sentence())?;
        for part in folded(&performed.calls) {
            match part {
                Part::Call(call) => writeln!(out, "    {}: {call}   [{} µs]", call.by, call.nanos / 1000)?,
                Part::Folded { count, kinds } => {
                    writeln!(out, "    … {count} more: {kinds}; `hardway run --json` has each")?;
                }
            }
        }
        if let Some(line) = action.mechanism().shell() {
            writeln!(out, "    in a shell: $ {line}")?;
        }
        if let Some(line) = iptables::line(action, view.lesson.actions()) {
            writeln!(out, "    with iptables: $ {line}")?;
        }
        if performed.result.is_ok() {
            for effect in action.mechanism().effects() {
                writeln!(out, "    made: {}; {}", effect.what, effect.home.end())?;
            }
        }
        for line in performed.output().lines() {
            writeln!(out, "    | {line}")?;
        }
    }
    Ok(())
}

/// What is to be remembered of the step, and what the guess should have been.
pub(super) fn debrief(view: &View, out: &mut dyn Write) -> Result<()> {
    let step = &view.lesson.steps[view.position.step];
    if let Some(predict) = &step.predict {
        let right = predict.choices.get(predict.answer).map_or("", String::as_str);
        let verdict = match view.records[view.position.step].predicted {
            Some(choice) if choice == predict.answer => "you predicted that: ",
            Some(_) => "you predicted something else; it is ",
            None => "the prediction would have been ",
        };
        writeln!(out, "{verdict}{right}. {}", predict.because.trim())?;
    }
    if step.kind == Kind::Fail {
        writeln!(out, "(this step is there to fail)")?;
    }
    writeln!(out, "{}", step.debrief.trim_end())
}

/// The live state: the panels that the step watches, the one of this name, or all. A changed row says what it was.
pub(super) fn state(view: &View, name: &str, out: &mut dyn Write) -> Result<()> {
    let watch = &view.lesson.steps[view.position.step].watch;
    let panels: Vec<Panel> = match name {
        "" => watch.clone(),
        "all" => Panel::ALL.to_vec(),
        name => Panel::ALL.into_iter().filter(|panel| panel.to_string() == name).collect(),
    };
    if panels.is_empty() {
        let names: Vec<String> = Panel::ALL.iter().map(ToString::to_string).collect();
        return writeln!(out, "there is no panel {name}; there are {}, all", names.join(", "));
    }
    for panel in panels {
        // Where networks are asked for by name, each value comes with its source.
        if panel == Panel::Network && super::network::picture(view, out)? && name.is_empty() {
            continue;
        }
        let mut rows = view.rows.iter().filter(|row| row.panel == panel).peekable();
        if rows.peek().is_none() {
            writeln!(out, "{panel}: the last sample holds nothing of this kind")?;
        }
        for row in rows {
            let change = view.since_step.iter().find(|change| change.row.identity() == row.identity());
            let mark = match change.map(|change| &change.kind) {
                Some(ChangeKind::Added) => "   [new]".to_owned(),
                Some(ChangeKind::Changed { before }) => format!("   [was {}]", said(before)),
                Some(ChangeKind::Removed) | None => String::new(),
            };
            let Row { panel, subject, key, value, source, .. } = row;
            writeln!(out, "{panel}: {subject} · {key} = {}   ({source}){mark}", said(value))?;
        }
    }
    Ok(())
}

/// What changed in the panels that the step watches; beside each other, each value before and now.
pub(super) fn differences(view: &View, since_start: bool, beside: bool, out: &mut dyn Write) -> Result<()> {
    let changes = if since_start { &view.since_start } else { &view.since_step };
    let watch = &view.lesson.steps[view.position.step].watch;
    let mut watched: Vec<Change> = changes.iter().filter(|change| watch.contains(&change.row.panel)).cloned().collect();
    watched.sort_by_key(|change| watch.iter().position(|panel| *panel == change.row.panel));
    for group in groups(&watched) {
        if beside {
            for index in group {
                let Change { kind, row } = &watched[index];
                let (before, now) = match kind {
                    ChangeKind::Added => ("nothing", said(&row.value)),
                    ChangeKind::Removed => (said(&row.value), "nothing"),
                    ChangeKind::Changed { before } => (said(before), said(&row.value)),
                };
                writeln!(
                    out,
                    "  {}: {} · {}\n    before: {before}\n    now:    {now}",
                    row.panel, row.subject, row.key
                )?;
            }
            continue;
        }
        let (change, row) = (&watched[group[0]], &watched[group[0]].row);
        let (came, count) = (change.kind == ChangeKind::Added, group.len());
        if count > 1 {
            let sign = if came { '+' } else { '-' };
            writeln!(out, "  {sign} {} · {}: {count} values", row.subject, row.panel)?;
            continue;
        }
        let value = said(&row.value);
        match &change.kind {
            ChangeKind::Added => writeln!(out, "  + {} · {} = {value}", row.subject, row.key)?,
            ChangeKind::Removed => writeln!(out, "  - {} · {} = {value}", row.subject, row.key)?,
            ChangeKind::Changed { before } => {
                writeln!(out, "  ~ {} · {} = {value} (was {})", row.subject, row.key, said(before))?;
            }
        }
    }
    if watched.is_empty() {
        writeln!(out, "  nothing that this step watches has changed")?;
    }
    Ok(())
}

/// The rows that have all these words, with what is to be said of them.
pub(super) fn explain(view: &View, words: &str, out: &mut dyn Write) -> Result<()> {
    let watch = &view.lesson.steps[view.position.step].watch;
    // Without a word: what has changed, which is what one wants to know of.
    let changed = |row: &Row| view.since_step.iter().any(|change| change.row.identity() == row.identity());
    let wanted = |row: &&Row| match words {
        "" => watch.contains(&row.panel) && changed(row),
        words => has_words(words, &format!("{} {} {} {}", row.panel, row.subject, row.key, row.value)),
    };
    let mut found = view.rows.iter().filter(wanted).peekable();
    if found.peek().is_none() {
        return writeln!(out, "there is no such row; s shows them, and e WORDS explains those that have the words");
    }
    for row in found.by_ref().take(HITS) {
        writeln!(out, "{}: {} · {} = {}", row.panel, row.subject, row.key, said(&row.value))?;
        let told = [("read from", &row.source), ("prints it", &row.command), ("means", &row.meaning)];
        for (what, text) in told.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(out, "    {what}: {text}")?;
        }
    }
    more(found.count(), out)
}

/// The words of the step, one word, or all.
pub(super) fn words(view: Option<&View>, word: &str, out: &mut dyn Write) -> Result<()> {
    let names = |terms: &[&Term]| terms.iter().map(|term| term.name).collect::<Vec<_>>().join(", ");
    match (word, view) {
        ("all", _) | ("", None) => {
            writeln!(out, "{}\nw WORD says what one means", names(&glossary::all().iter().collect::<Vec<_>>()))
        }
        ("", Some(view)) => {
            let terms = words_of(view);
            if terms.is_empty() {
                return writeln!(out, "no word of this step is in the glossary; w all lists it");
            }
            terms.iter().try_for_each(|term| self::term(term, out))
        }
        (word, _) => match glossary::find(word) {
            Some(found) => term(found, out),
            None => writeln!(out, "the glossary has no word {word}; w all lists it, / {word} searches the course"),
        },
    }
}

fn term(term: &Term, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{}: {} (see {})", term.name, term.says, term.see.join(", "))
}

fn words_of(view: &View) -> Vec<&'static Term> {
    let step = &view.lesson.steps[view.position.step];
    glossary::words_in([&step.title, &step.explain, &step.debrief].into_iter().map(String::as_str))
}

/// Everything in the course that has all these words, with how to come there; then rows.
pub(super) fn search(course: &[CourseEntry], view: Option<&View>, words: &str, out: &mut dyn Write) -> Result<()> {
    if words.is_empty() {
        return writeln!(out, "search for what? for example: / zombie");
    }
    let here = view.and_then(|view| course.iter().position(|entry| entry.name == view.lesson.name));
    let hits = Index::of(course.iter().map(|entry| &entry.lesson)).search(words, here);
    for hit in hits.iter().take(HITS) {
        let way = match hit.place {
            Place::Lesson(lesson) => format!("o {}", course[lesson].name),
            Place::Step(lesson, step) if Some(lesson) == here => format!("g {}", step + 1),
            Place::Step(lesson, step) => format!("o {}:{}", course[lesson].name, course[lesson].lesson.steps[step].id),
            Place::Term(term) => format!("w {}", term.name),
            Place::History(_) => "history".to_owned(),
        };
        writeln!(out, "  {way:<28} {} – {}", hit.title, hit.excerpt)?;
    }
    more(hits.len().saturating_sub(HITS), out)?;
    let rows = view.map_or(&[][..], |view| &view.rows[..]);
    let row = |row: &&Row| has_words(words, &format!("{} {} {} {}", row.panel, row.subject, row.key, row.value));
    let mut rows = rows.iter().filter(row).peekable();
    if hits.is_empty() && rows.peek().is_none() {
        return writeln!(out, "nothing has all these words");
    }
    for row in rows.by_ref().take(HITS) {
        writeln!(out, "  {:<28} {} = {}", format!("e {} {}", row.subject, row.key), row.panel, said(&row.value))?;
    }
    more(rows.count(), out)
}

/// How many more there are.
fn more(count: usize, out: &mut dyn Write) -> Result<()> {
    if count > 0 { writeln!(out, "  … {count} more: more words find fewer") } else { Ok(()) }
}

/// The timeline.
pub(super) fn history(out: &mut dyn Write) -> Result<()> {
    for entry in timeline::TIMELINE {
        writeln!(out, "{}: {}. {}", entry.when, entry.what, entry.brought)?;
    }
    Ok(())
}

/// A value, or that it is empty.
fn said(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}

fn has_words(words: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    words.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
