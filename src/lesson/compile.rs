//! From raw shapes to a [`Lesson`]: every rule that a lesson must keep, and every breach of one told at once.

mod rules;

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use serde::Serialize;

use super::fault::{self, Fault, Spot};
use super::raw::pick::{self, Path, Segment, join};
use super::raw::{self, RawHint, RawLesson, RawStep};
use super::{Hint, Kind, Lesson, TWINS};
use crate::runtime::action::{Action, HOST};
use crate::stages;

/// The version of the format that this hardway reads.
pub const FORMAT: u32 = 1;
/// The longest file, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;
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
            let (line, column) = pick::place(self.text, path);
            let rest = self.text.lines().nth(line - 1).unwrap_or_default().chars().skip(column - 1);
            let width = rest.take_while(|c| !c.is_whitespace() && !",]}".contains(*c)).count().max(1);
            self.spots.push(Spot::new((line, column), width, what, fix));
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
            .flat_map(|(index, mut step)| {
                let path = vec![key("steps"), Segment::Index(index)];
                let twins = [("v1", step.v1.take()), ("uplink", step.uplink.take())].into_iter().zip(TWINS);
                let twins = twins
                    .filter_map(|((field, twin), words)| Some((join(&path, key(field)), twin?.beside(&step, words))));
                [(path.clone(), step.clone())].into_iter().chain(twins.collect::<Vec<_>>()).collect::<Vec<_>>()
            })
            .map(|(path, step)| {
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
            self.refer(&here, &question.value, &["of", "from", "by"], boxes);
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

    fn text_of(&mut self, path: &[Segment], what: &str, text: &str, most: usize) {
        if text.trim().is_empty() {
            self.fault(path, format!("the {what} is empty"), "write it");
        } else if text.len() > most {
            self.fault(path, format!("the {what} is longer than {most} bytes"), "shorten it");
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.fault(path, format!("the {what} has a control character"), "leave it out: it would reach a terminal");
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
