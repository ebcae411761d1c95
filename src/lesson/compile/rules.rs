//! The rules of a step: what each kind needs, and what an action, a line and a prediction must be.

use super::{Compiler, MAX_LINE, MAX_LIST, MAX_TEXT, MAX_TITLE, at, key};
use crate::lesson::raw::pick::{Segment, join};
use crate::lesson::raw::{RawHint, RawStep};
use crate::lesson::{Hint, Kind, Step};
use crate::runtime::action::Action;

impl Compiler<'_> {
    /// Compiles one step.
    pub(super) fn step(&mut self, path: &[Segment], raw: RawStep) -> Step {
        self.text_of(&join(path, key("title")), "title", &raw.title, MAX_TITLE);
        self.text_of(&join(path, key("explain")), "explanation", &raw.explain, MAX_TEXT);
        let sizes = [
            ("actions", raw.actions.len()),
            ("by_hand", raw.by_hand.as_ref().map_or(0, Vec::len)),
            ("check", raw.check.len()),
            ("wrong", raw.wrong.len()),
            ("hints", raw.hints.len()),
        ];
        for (name, _) in sizes.into_iter().filter(|(_, length)| *length > MAX_LIST) {
            self.fault(&join(path, key(name)), format!("more than {MAX_LIST} entries"), "split the step");
        }
        for (name, text) in [("notes", &raw.notes), ("debrief", &raw.debrief)] {
            if !text.is_empty() {
                self.text_of(&join(path, key(name)), name, text, MAX_TEXT);
            }
        }
        for (index, action) in raw.actions.iter().enumerate().take(MAX_LIST) {
            self.action(&at(path, "actions", index), action);
        }
        if raw.by_hand.as_ref().is_some_and(Vec::is_empty) {
            let fix = "leave the field out for the lines that belong to the actions";
            self.fault(&join(path, key("by_hand")), "`by_hand` has no lines", fix);
        }
        for (index, line) in raw.by_hand.iter().flatten().enumerate().take(MAX_LIST) {
            self.line(&at(path, "by_hand", index), line);
        }
        for (index, lines) in raw.wrong.iter().enumerate().take(MAX_LIST) {
            let here = at(path, "wrong", index);
            if lines.is_empty() {
                self.fault(&here, "a wrong answer has no lines", "write the lines that must not pass the check");
            }
            for (line_index, line) in lines.iter().enumerate().take(MAX_LIST) {
                self.line(&join(&here, Segment::Index(line_index)), line);
            }
        }
        if !raw.wrong.is_empty() && raw.check.is_empty() {
            self.fault(&join(path, key("wrong")), "wrong answers without a check", "add `check: …`");
        }
        for (index, RawHint(hint)) in raw.hints.iter().enumerate() {
            let (Hint::Always(text) | Hint::When { say: text, .. }) = hint;
            self.text_of(&at(path, "hints", index), "hint", text, MAX_TEXT);
        }
        self.predict(path, &raw);
        let own: Vec<String> = raw.actions.iter().filter_map(|action| action.mechanism().shell()).collect();
        let by_hand = raw.by_hand.clone().unwrap_or(own);
        self.by_kind(path, &raw, &by_hand);
        Step {
            id: raw.id,
            kind: raw.kind,
            title: raw.title,
            explain: raw.explain,
            predict: raw.predict,
            question: raw.question,
            actions: raw.actions,
            by_hand,
            by_hand_fails: raw.by_hand_fails,
            watch: raw.watch.unwrap_or_default(),
            check: raw.check,
            wrong: raw.wrong,
            hints: raw.hints.into_iter().map(|RawHint(hint)| hint).collect(),
            notes: raw.notes,
            debrief: raw.debrief,
            depth: raw.depth,
            twin_of: raw.twin_of,
            needs: raw.needs,
        }
    }

    /// The rules of each kind of step.
    fn by_kind(&mut self, path: &[Segment], raw: &RawStep, by_hand: &[String]) {
        let kind = join(path, key("kind"));
        let failing: Vec<usize> = raw
            .actions
            .iter()
            .enumerate()
            .filter(|(_, action)| action.mechanism().is_meant_to_fail())
            .map(|(index, _)| index)
            .collect();
        if raw.kind != Kind::Fail {
            for index in failing.iter().copied() {
                let fix = "make the step `kind: fail`, or leave `fails_with` out";
                self.fault(
                    &at(path, "actions", index),
                    "an action that must fail, in a step that is not of kind `fail`",
                    fix,
                );
            }
            if raw.by_hand_fails.is_some() {
                let fix = "make the step `kind: fail`, or leave the field out";
                self.fault(&join(path, key("by_hand_fails")), "`by_hand_fails` belongs to a step of kind `fail`", fix);
            }
        }
        if raw.kind != Kind::Observe && raw.question.is_some() {
            let fix = "make the step `kind: observe`, or ask with `predict`";
            self.fault(&join(path, key("question")), "`question` belongs to a step of kind `observe`", fix);
        }
        if raw.kind != Kind::Observe && raw.actions.is_empty() {
            self.fault(&kind, "a step of this kind needs `actions`", "say what is done: `actions: [ … ]`");
        }
        if by_hand.is_empty() && !(raw.kind != Kind::Observe && raw.actions.is_empty()) {
            self.fault(&kind, "nothing can be typed for this step", "write the lines: `by_hand: [ … ]`");
        }
        match raw.kind {
            Kind::Change if raw.check.is_empty() => {
                let fix = "add `check: …`: a predicate that is false before the step and true after it";
                self.fault(&kind, "a step of kind `change` needs `check`", fix);
            }
            Kind::Fail => {
                if failing.len() != 1 || failing.last() != raw.actions.len().checked_sub(1).as_ref() {
                    let fix = "give the last action, and no other, `fails_with: ERRNO`";
                    self.fault(&kind, "a step of kind `fail` has exactly one failing action, its last one", fix);
                }
                if raw.by_hand_fails.is_none() {
                    let fix = "add `by_hand_fails: { status: …, says: … }`";
                    self.fault(&kind, "what the shell says of the failing line is missing", fix);
                }
            }
            Kind::Observe if raw.question.is_none() => {
                self.fault(&kind, "a step of kind `observe` needs `question`", "add `question: { ask: …, value: … }`");
            }
            Kind::Change | Kind::Observe => {}
        }
        if let Some(says) = &raw.by_hand_fails {
            let here = join(path, key("by_hand_fails"));
            if !(1..=255).contains(&says.status) {
                self.fault(
                    &join(&here, key("status")),
                    "a failing line ends with a status of 1 to 255",
                    "see `echo $?`",
                );
            }
            self.text_of(&join(&here, key("says")), "message", &says.says, MAX_LINE);
        }
        if let Some(question) = &raw.question {
            self.text_of(&join(&join(path, key("question")), key("ask")), "question", &question.ask, MAX_TEXT);
        }
    }

    fn predict(&mut self, path: &[Segment], raw: &RawStep) {
        let Some(predict) = &raw.predict else { return };
        let here = join(path, key("predict"));
        self.text_of(&join(&here, key("ask")), "question", &predict.ask, MAX_TEXT);
        self.text_of(&join(&here, key("because")), "reason", &predict.because, MAX_TEXT);
        if !(2..=9).contains(&predict.choices.len()) {
            let fix = "one key chooses one: write two to nine";
            self.fault(&join(&here, key("choices")), "a prediction has two to nine choices", fix);
        }
        for (index, choice) in predict.choices.iter().enumerate().take(9) {
            self.text_of(&at(&here, "choices", index), "choice", choice, MAX_LINE);
        }
        if predict.answer >= predict.choices.len() {
            let what = format!("there is no choice {}: they are numbered from 0", predict.answer);
            let fix = format!("write 0 to {}", predict.choices.len().saturating_sub(1));
            self.fault(&join(&here, key("answer")), what, fix);
        }
    }

    /// What the mechanism itself says of an action, which is written `{ name: { field: … } }`.
    fn action(&mut self, path: &[Segment], action: &Action) {
        let misuses = action.mechanism().misuses();
        let Ok(serde_json::Value::Object(written)) = serde_json::to_value(action) else { return };
        for (name, misuse) in written.keys().flat_map(|name| misuses.iter().map(move |misuse| (name, misuse))) {
            let here = join(&join(path, key(name)), key(misuse.field));
            self.fault(&here, misuse.what.clone(), misuse.fix.clone());
        }
    }

    /// A line to type.
    fn line(&mut self, path: &[Segment], line: &str) {
        if line.trim().is_empty() || line.len() > MAX_LINE || line.chars().any(hides) {
            let fix = "write one line of at most 1024 bytes without invisible characters; the keys are `^C` and `^D`";
            self.fault(path, "this can not be typed as one line", fix);
        } else if line.starts_with('^') && !["^C", "^D"].contains(&line) {
            self.fault(path, format!("`{line}` is no key that can be typed"), "the keys are `^C` and `^D`");
        }
    }
}

/// Whether a character would make a line look other than what is typed: control characters, and those that have no width
/// or turn the direction of writing.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
