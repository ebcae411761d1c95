//! From raw shapes to a [`Lesson`]: every rule that a lesson must keep, and every breach of one told at once.

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use serde::Serialize;

use super::fault::{self, Fault, Spot};
use super::raw::pick::{self, Path, Segment, join};
use super::raw::{self, RawHint, RawLesson, RawStep};
use super::{Hint, Kind, Lesson, Step};
use crate::runtime::action::{Action, HOST};
use crate::stages;

/// The version of the format that this hardway reads.
pub const FORMAT: u32 = 1;
/// The longest file, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;
/// The longest host name, in bytes (`__NEW_UTS_LEN` of the kernel).
const MAX_HOSTNAME: usize = 64;
const MAX_STEPS: usize = 64;
const MAX_LIST: usize = 32;
const MAX_LINE: usize = 1024;
const MAX_TITLE: usize = 80;
const MAX_TEXT: usize = 8 * 1024;
const MAX_MINUTES: u32 = 240;

/// Words that stand for processes which no lesson makes.
const RESERVED: [&str; 3] = [HOST, "shell", "subject"];

/// Reads and compiles a lesson file.
///
/// # Errors
/// Everything that is wrong with it; an unreadable file is one fault at line 1.
pub fn check_file(path: &FilePath) -> Result<Lesson, Vec<Fault>> {
    use std::io::Read;
    let file = path.display().to_string();
    let whole = |what: String, fix: &str| vec![Spot::new((1, 1), 1, what, fix).in_file(&file, "")];
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(format!("the file can not be read: {error}"), "check its name and its permissions"))?;
    let text = String::from_utf8(bytes).map_err(|_| whole("the file is not UTF-8 text".into(), "save it as UTF-8"))?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    compile(&name, &file, &text)
}

/// Compiles the text of a lesson. `name` is the name of its file without `.yaml`; `file` is what faults call it.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn compile(name: &str, file: &str, text: &str) -> Result<Lesson, Vec<Fault>> {
    let faults = |spots: Vec<Spot>| {
        let mut faults: Vec<Fault> = spots.into_iter().take(fault::MOST).map(|spot| spot.in_file(file, text)).collect();
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults
    };
    if text.len() as u64 > MAX_FILE {
        let spot = Spot::new((1, 1), 1, "the file is longer than 256 KiB", "split it into several lessons");
        return Err(vec![spot.in_file(file, "")]);
    }
    let mut compiler = Compiler { text, spots: Vec::new() };
    if let Some(version) = raw::format(text).filter(|version| *version != FORMAT) {
        compiler.fault(
            &[key("format")],
            format!("format {version} is not known here"),
            format!("write `format: {FORMAT}`, or use a hardway that knows format {version}"),
        );
        return Err(faults(compiler.spots));
    }
    let raw = raw::read(text).map_err(faults)?;
    let lesson = compiler.lesson(name, raw);
    if compiler.spots.is_empty() { Ok(lesson) } else { Err(faults(compiler.spots)) }
}

struct Compiler<'t> {
    text: &'t str,
    spots: Vec<Spot>,
}

fn key(name: &str) -> Segment {
    Segment::Key(name.to_owned())
}

fn at(path: &[Segment], name: &str, index: usize) -> Path {
    join(&join(path, key(name)), Segment::Index(index))
}

impl Compiler<'_> {
    fn fault(&mut self, path: &[Segment], what: impl Into<String>, fix: impl Into<String>) {
        // Each place costs a pass over the text.
        if self.spots.len() < fault::MOST {
            self.spots.push(Spot::new(pick::place(self.text, path), 1, what, fix));
        }
    }

    fn lesson(&mut self, name: &str, raw: RawLesson) -> Lesson {
        self.short_name(&[key("id")], &raw.id);
        self.text_of(&[key("title")], "title", &raw.title, MAX_TITLE);
        self.text_of(&[key("goal")], "goal", &raw.goal, MAX_TEXT);
        let stage = stages::find(&raw.stage);
        if stage.is_none() {
            let known: Vec<&str> = stages::ALL.iter().map(|stage| stage.id).collect();
            let fix = fault::did_you_mean(&raw.stage, &known);
            self.fault(&[key("stage")], format!("there is no stage `{}`", raw.stage), fix);
        }
        if !(1..=MAX_MINUTES).contains(&raw.minutes) {
            self.fault(&[key("minutes")], "a lesson takes 1 to 240 minutes", "estimate how long a learner needs");
        }
        if raw.steps.len() > MAX_STEPS {
            self.fault(&[key("steps")], format!("more than {MAX_STEPS} steps"), "split it into several lessons");
        } else if !raw.steps.iter().any(|step| step.kind == Kind::Change) {
            let fix = "add a step of `kind: change`: a lesson that changes nothing in the kernel teaches little";
            self.fault(&[key("steps")], "no step of this lesson is of kind `change`", fix);
        }
        let mut ids = BTreeSet::new();
        let mut boxes = BTreeSet::new();
        let panels = stage.map_or(&[][..], |stage| stage.panels);
        let steps = raw
            .steps
            .into_iter()
            .take(MAX_STEPS)
            .enumerate()
            .map(|(index, step)| {
                let path = [key("steps"), Segment::Index(index)];
                self.short_name(&join(&path, key("id")), &step.id);
                if !ids.insert(step.id.clone()) {
                    let what = format!("another step is called `{}` already", step.id);
                    self.fault(&join(&path, key("id")), what, "progress is kept by this name: choose another one");
                }
                self.people(&path, &step, &mut boxes);
                let mut step = self.step(&path, step);
                if step.watch.is_empty() {
                    step.watch = panels.to_vec();
                }
                step
            })
            .collect();
        Lesson {
            name: name.to_owned(),
            id: raw.id,
            stage: raw.stage,
            title: raw.title,
            minutes: raw.minutes,
            needs: raw.needs,
            goal: raw.goal,
            steps,
        }
    }

    /// Every word for a process must stand for the host or for a box that has been made by then.
    fn people(&mut self, path: &[Segment], step: &RawStep, boxes: &mut BTreeSet<String>) {
        for (index, action) in step.actions.iter().enumerate() {
            self.refer(&at(path, "actions", index), action, &["in", "who", "from"], boxes);
            if let Action::Box(made) = action {
                let here = at(path, "actions", index);
                self.short_name(&here, &made.name);
                if RESERVED.contains(&made.name.as_str()) {
                    let what = format!("a box can not be called `{}`", made.name);
                    self.fault(&here, what, "that word stands for something else: choose another one");
                }
                boxes.insert(made.name.clone());
            }
        }
        for (index, check) in step.check.iter().enumerate() {
            self.refer(&at(path, "check", index), check, &["of", "from", "as", "by"], boxes);
        }
        if let Some(question) = &step.question {
            let here = join(&join(path, key("question")), key("value"));
            self.refer(&here, &question.value, &["of", "from"], boxes);
        }
        for (index, RawHint(hint)) in step.hints.iter().enumerate() {
            if let Hint::When { when, .. } = hint {
                let here = join(&at(path, "hints", index), key("when"));
                self.refer(&here, when, &["of", "from", "as", "by"], boxes);
            }
        }
    }

    /// The words in these fields of `thing`, which is written `{ name: { field: word, … } }`.
    fn refer(&mut self, path: &[Segment], thing: &impl Serialize, fields: &[&str], boxes: &BTreeSet<String>) {
        let Ok(serde_json::Value::Object(outer)) = serde_json::to_value(thing) else { return };
        for (name, inner) in &outer {
            for field in fields {
                let Some(word) = inner.get(*field).and_then(serde_json::Value::as_str) else { continue };
                if word != HOST && !boxes.contains(word) {
                    let here = join(&join(path, key(name)), key(field));
                    let known: Vec<&str> = [HOST].into_iter().chain(boxes.iter().map(String::as_str)).collect();
                    let mut fix = fault::did_you_mean(word, &known);
                    if fault::nearest(word, &known).is_none() {
                        fix = format!("make it before with `- box: {{ name: {word} }}`; {fix}");
                    }
                    self.fault(&here, format!("no box `{word}` has been made by here"), fix);
                }
            }
        }
    }

    fn step(&mut self, path: &[Segment], raw: RawStep) -> Step {
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
        if raw.steps_texts_too_long() {
            self.fault(path, format!("a text of this step is longer than {MAX_TEXT} bytes"), "a step says one thing");
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
            .filter(|(_, action)| action.mechanism().fails_with().is_some())
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

    fn action(&mut self, path: &[Segment], action: &Action) {
        let argv = match action {
            Action::Exec(it) => Some(("exec", &it.argv)),
            Action::Run(it) => Some(("run", &it.argv)),
            _ => None,
        };
        if let Some((name, argv)) = argv {
            let here = join(&join(path, key(name)), key("argv"));
            if argv.first().is_none_or(String::is_empty) {
                self.fault(&here, "no program is named", "write the program and its arguments: `[sleep, \"1000\"]`");
            } else if argv.iter().any(|word| word.contains('\0') || word.len() > MAX_LINE) || argv.len() > MAX_LIST {
                self.fault(
                    &here,
                    "an argument has a NUL or is too long, or there are too many",
                    "write fewer, shorter ones",
                );
            }
        }
        match action {
            Action::Kill(it) => {
                let here = |field| join(&join(path, key("kill")), key(field));
                if it.signal().is_none() {
                    let known = ["TERM", "KILL", "INT", "HUP", "QUIT", "STOP", "CONT", "USR1", "USR2", "CHLD"];
                    let plain = it.signal.trim_start_matches("SIG").to_uppercase();
                    let fix = match known.contains(&plain.as_str()) {
                        true => format!("did you mean `{plain}`?"),
                        false => fault::did_you_mean(&plain, &known),
                    };
                    self.fault(&here("signal"), format!("`{}` is not the name of a signal", it.signal), fix);
                }
                if it.who == HOST {
                    let fix = "send the signal to a box";
                    self.fault(
                        &here("who"),
                        "the lab host itself can not be signalled: the lesson would end with it",
                        fix,
                    );
                }
            }
            Action::SetHostname(it) => {
                let here = join(&join(path, key("set_hostname")), key("name"));
                if it.name.is_empty() || it.name.contains('\0') || it.name.len() > MAX_LINE {
                    self.fault(&here, "this is no host name", "write one of 1 to 64 bytes");
                } else if it.name.len() > MAX_HOSTNAME && it.fails_with.is_none() {
                    let what = format!("a host name has at most {MAX_HOSTNAME} bytes; this one has {}", it.name.len());
                    self.fault(&here, what, "shorten it, or say that it must fail: `fails_with: EINVAL`");
                }
            }
            Action::Unshare(it) if it.namespaces.is_empty() => {
                let here = join(&join(path, key("unshare")), key("namespaces"));
                self.fault(&here, "no namespace is named", "write which: `namespaces: [uts]`");
            }
            Action::Unshare(_)
            | Action::Box(_)
            | Action::Fork(_)
            | Action::Exec(_)
            | Action::Run(_)
            | Action::MountProc(_) => {}
        }
    }

    /// A line to type.
    fn line(&mut self, path: &[Segment], line: &str) {
        if line.trim().is_empty() || line.len() > MAX_LINE || line.chars().any(char::is_control) {
            let fix = "write one line of at most 1024 bytes; the keys are `^C` and `^D`";
            self.fault(path, "this can not be typed as one line", fix);
        } else if line.starts_with('^') && !["^C", "^D"].contains(&line) {
            self.fault(path, format!("`{line}` is no key that can be typed"), "the keys are `^C` and `^D`");
        }
    }

    fn text_of(&mut self, path: &[Segment], what: &str, text: &str, most: usize) {
        if text.trim().is_empty() {
            self.fault(path, format!("the {what} is empty"), "write it");
        } else if text.len() > most {
            self.fault(path, format!("the {what} is longer than {most} bytes"), "shorten it");
        }
    }

    fn short_name(&mut self, path: &[Segment], name: &str) {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(good) {
            let fix = "write at most 40 small letters, digits and hyphens: `own-tree`";
            self.fault(path, format!("`{}` is no short name", name.escape_debug()), fix);
        }
    }
}

impl RawStep {
    fn steps_texts_too_long(&self) -> bool {
        self.notes.len() > MAX_TEXT || self.debrief.len() > MAX_TEXT
    }
}
