//! The syntax of lessons: raw shapes as they stand in the YAML, before anybody asked whether they make sense.
//!
//! This is the only place that knows YAML. Unknown fields are rejected. What is wrong is told with its exact place, and as
//! much as possible at once: of a text that is not YAML the first fault, of a text that is, every faulty field.

pub mod pick;
mod shapes;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_yaml::with::singleton_map_recursive;

use super::check::{Check, Value};
use super::fault::{self, Spot};
use super::{Depth, Kind, Need};
use crate::probe::Panel;
use crate::runtime::action::Action;
use pick::{Path, Segment, join};
pub(super) use shapes::RawWhen;
pub use shapes::{RawHint, RawLesson, RawStep, RawTwin};

/// Reads a text.
///
/// # Errors
/// Each fault with its place. Never empty.
pub fn read(text: &str) -> Result<RawLesson, Vec<Spot>> {
    let whole = singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(text));
    let first: serde_yaml::Error = match whole {
        Ok(lesson) => return Ok(lesson),
        Err(error) => error,
    };
    if let Err(syntax) = serde_yaml::from_str::<IgnoredAny>(text) {
        return Err(vec![spot(&syntax)]);
    }
    let mut look = Look { text, spots: Vec::new(), passes: (WORK / text.len().max(1)).clamp(256, 4096) };
    look.fields(&Path::new(), LESSON);
    if look.spots.is_empty() {
        look.spots.push(spot(&first));
    }
    Err(look.spots)
}

/// The format version alone, where it can be read: a file of another version should hear only of that.
pub fn format(text: &str) -> Option<u32> {
    pick::typed(text, &[Segment::Key("format".to_owned())]).ok().flatten()
}

/// How many bytes of text are passed over at most to find the faults of one file.
const WORK: usize = 16 * 1024 * 1024;

/// What a field must be, for a text that has faults: each field is looked at on its own.
struct Field {
    name: &'static str,
    required: bool,
    look: fn(&mut Look<'_>, &Path),
}

const fn must(name: &'static str, look: fn(&mut Look<'_>, &Path)) -> Field {
    Field { name, required: true, look }
}

const fn may(name: &'static str, look: fn(&mut Look<'_>, &Path)) -> Field {
    Field { name, required: false, look }
}

const LESSON: &[Field] = &[
    must("format", one::<u32>),
    must("id", one::<String>),
    must("stage", one::<String>),
    must("title", one::<String>),
    must("minutes", one::<u32>),
    may("needs", each::<Need>),
    must("goal", one::<String>),
    must("steps", |look, path| look.elements::<Vec<RawStep>>(path, Look::step)),
];

const STEP: &[Field] = &[
    must("id", one::<String>),
    must("kind", one::<Kind>),
    must("title", one::<String>),
    must("explain", one::<String>),
    may("predict", |look, path| look.fields(path, PREDICT)),
    may("question", |look, path| look.fields(path, QUESTION)),
    may("actions", each::<Action>),
    may("by_hand", each::<String>),
    may("by_hand_fails", |look, path| look.fields(path, HAND_FAILURE)),
    may("watch", each::<Panel>),
    may("check", each::<Check>),
    may("wrong", |look, path| look.elements::<Vec<Vec<String>>>(path, Look::each::<String>)),
    may("hints", each::<RawHint>),
    may("notes", one::<String>),
    may("debrief", one::<String>),
    may("depth", one::<Depth>),
    may("needs", each::<Need>),
    may("v1", |look, path| look.fields(path, TWIN)),
    may("uplink", |look, path| look.fields(path, TWIN)),
];

const TWIN: &[Field] = &[
    must("needs", each::<Need>),
    may("explain", one::<String>),
    may("question", |look, path| look.fields(path, QUESTION)),
    may("actions", each::<Action>),
    may("by_hand", each::<String>),
    may("by_hand_fails", |look, path| look.fields(path, HAND_FAILURE)),
    may("check", each::<Check>),
    may("wrong", |look, path| look.elements::<Vec<Vec<String>>>(path, Look::each::<String>)),
    may("hints", each::<RawHint>),
    may("notes", one::<String>),
];

const PREDICT: &[Field] = &[
    must("ask", one::<String>),
    must("choices", each::<String>),
    must("answer", one::<usize>),
    must("because", one::<String>),
];

const QUESTION: &[Field] = &[must("ask", one::<String>), must("value", one::<Value>)];

const HAND_FAILURE: &[Field] = &[must("status", one::<i32>), must("says", one::<String>)];

fn one<T: for<'de> Deserialize<'de>>(look: &mut Look<'_>, path: &Path) {
    look.one::<T>(path);
}

fn each<T: for<'de> Deserialize<'de>>(look: &mut Look<'_>, path: &Path) {
    look.each::<T>(path);
}

/// The faults found so far, and how many more passes over the text the search may take.
struct Look<'t> {
    text: &'t str,
    spots: Vec<Spot>,
    passes: usize,
}

impl Look<'_> {
    /// Whether to go on; each question costs a pass.
    fn may_go_on(&mut self) -> bool {
        self.passes = self.passes.saturating_sub(1);
        self.passes > 0 && self.spots.len() < fault::MOST
    }

    /// Looks at each field of a mapping.
    fn fields(&mut self, path: &Path, known: &[Field]) {
        if !self.may_go_on() {
            return;
        }
        let Some(keys) = pick::keys(self.text, path) else {
            return self.one::<BTreeMap<String, IgnoredAny>>(path);
        };
        let names: Vec<&str> = known.iter().map(|field| field.name).collect();
        for (index, key) in keys.iter().enumerate() {
            let before = keys[..index].iter().filter(|other| *other == key).count();
            let at_key = join(path, Segment::AtKey(key.clone(), before));
            let width = key.chars().count();
            match known.iter().find(|field| field.name == key) {
                None => {
                    let what = format!("there is no field `{}` here", key.escape_debug());
                    self.tell(&at_key, width, what, fault::did_you_mean(key, &names));
                }
                Some(_) if before > 0 => {
                    self.tell(&at_key, width, format!("the field `{key}` is written twice"), "keep one of them".into());
                }
                Some(field) => (field.look)(self, &join(path, Segment::Key(key.clone()))),
            }
        }
        for field in known.iter().filter(|field| field.required && !keys.iter().any(|key| key == field.name)) {
            let fix = format!("add `{}: …`", field.name);
            self.tell(path, 1, format!("the field `{}` is missing", field.name), fix);
        }
    }

    fn tell(&mut self, path: &Path, width: usize, what: String, fix: String) {
        if self.may_go_on() {
            self.spots.push(Spot::new(pick::place(self.text, path), width, what, fix));
        }
    }

    /// Looks whether a node is a `T`.
    fn one<T: for<'de> Deserialize<'de>>(&mut self, path: &Path) {
        if self.may_go_on() {
            self.spots.extend(pick::typed::<T>(self.text, path).err().map(|error| spot(&error)));
        }
    }

    /// Looks at a list of `T`s, each element on its own where the whole is none.
    fn each<T: for<'de> Deserialize<'de>>(&mut self, path: &Path) {
        self.elements::<Vec<T>>(path, Self::one::<T>);
    }

    /// Looks at a step: at its fields only where something is wrong with it.
    fn step(&mut self, path: &Path) {
        if self.may_go_on() && pick::typed::<RawStep>(self.text, path).is_err() {
            self.fields(path, STEP);
        }
    }

    /// Looks at the elements of what should be an `L`.
    fn elements<L: for<'de> Deserialize<'de>>(&mut self, path: &Path, look: impl Fn(&mut Self, &Path)) {
        if !self.may_go_on() {
            return;
        }
        let Err(error) = pick::typed::<L>(self.text, path) else { return };
        let before = self.spots.len();
        for index in 0..pick::length(self.text, path).unwrap_or_default().min(fault::MOST) {
            look(self, &join(path, Segment::Index(index)));
        }
        if self.spots.len() == before {
            self.spots.push(spot(&error));
        }
    }
}

/// serde_yaml's words in ours.
fn spot(error: &serde_yaml::Error) -> Spot {
    let place = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let all = error.to_string();
    let message = all.rfind(" at line ").map_or(all.as_str(), |end| &all[..end]);
    // "steps[0].kind: unknown variant …": the place says it better than the path.
    let is_path = |head: &str| head.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]-?\\".contains(c));
    let message = match message.split_once(": ") {
        Some((head, tail)) if is_path(head) && head != "invalid" => tail,
        _ => message,
    };
    let mut ticked = message.split('`').skip(1).step_by(2);
    let name = ticked.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = ticked.collect();
    let width = name.chars().count().max(1);
    if message.starts_with("unknown field") {
        return Spot::new(
            place,
            width,
            format!("there is no field `{}` here", name.escape_debug()),
            fault::did_you_mean(&name, &known),
        );
    }
    if message.starts_with("unknown variant") {
        return Spot::new(
            place,
            width,
            format!("`{}` is not known here", name.escape_debug()),
            fault::did_you_mean(&name, &known),
        );
    }
    if message.starts_with("missing field") {
        return Spot::new(place, 1, format!("the field `{name}` is missing"), format!("add `{name}: …`"));
    }
    let mismatch = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((got, wanted)) = mismatch.and_then(|words| words.split_once(", expected ")) {
        let what = format!("{} is expected here, not {}", plain(wanted), plain(got));
        return Spot::new(place, 1, what, "lessons/README.md describes each field");
    }
    Spot::new(place, 1, message, "lessons/README.md describes each field")
}

/// What serde calls a type, for people who write YAML.
fn plain(name: &str) -> String {
    match name {
        "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "a string" => "a text",
        "sequence" | "a sequence" => "a list",
        "map" | "a map" => "a mapping",
        "struct variant" | "newtype variant" => "`name: { field: value }`",
        "map with a single key" => "one name alone (a further one is a further entry of the list)",
        "enum" => "a tag",
        "unit variant" => "a bare name",
        "unit value" | "null" => "nothing",
        _ if name.starts_with("struct ") => "a mapping",
        _ if name.starts_with("enum ") => "`name: { field: value }`",
        _ => return name.trim_start_matches("string ").trim_start_matches("integer ").to_owned(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::lesson::{HandFailure, Predict, Question};

    /// The fields that serde knows, out of its own mouth.
    fn known_to_serde<T: for<'de> Deserialize<'de>>() -> Vec<String> {
        let error = serde_yaml::from_str::<T>("{ no_such_field: 1 }").err().unwrap().to_string();
        error.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn the_tables_have_the_fields_of_the_shapes() {
        let names = |fields: &[Field]| fields.iter().map(|field| field.name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(LESSON), known_to_serde::<RawLesson>());
        assert_eq!(names(STEP), known_to_serde::<RawStep>());
        assert_eq!(names(TWIN), known_to_serde::<RawTwin>());
        assert_eq!(names(PREDICT), known_to_serde::<Predict>());
        assert_eq!(names(QUESTION), known_to_serde::<Question>());
        assert_eq!(names(HAND_FAILURE), known_to_serde::<HandFailure>());
    }
}
