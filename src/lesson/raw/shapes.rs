//! The shapes: a lesson, its steps and their hints as they are written.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use crate::lesson::check::Check;
use crate::lesson::{Depth, HandFailure, Hint, Kind, Need, Predict, Question};
use crate::probe::Panel;
use crate::runtime::action::Action;

/// A lesson as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLesson {
    /// Version of the format.
    pub format: u32,
    /// Short name.
    pub id: String,
    /// The stage that it teaches.
    pub stage: String,
    /// Title.
    pub title: String,
    /// How long it takes.
    pub minutes: u32,
    /// What the machine must offer.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What the learner can do afterwards.
    pub goal: String,
    /// The steps.
    pub steps: Vec<RawStep>,
}

/// A step as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    /// Short name.
    pub id: String,
    /// What it proves.
    pub kind: Kind,
    /// Title.
    pub title: String,
    /// Markdown.
    pub explain: String,
    /// A guess.
    #[serde(default)]
    pub predict: Option<Predict>,
    /// A question.
    #[serde(default)]
    pub question: Option<Question>,
    /// What is done by calls.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// What is typed; none where the actions' own lines serve.
    #[serde(default)]
    pub by_hand: Option<Vec<String>>,
    /// How the last line fails.
    #[serde(default)]
    pub by_hand_fails: Option<HandFailure>,
    /// Panels; none where the stage's serve.
    #[serde(default)]
    pub watch: Option<Vec<Panel>>,
    /// Predicates.
    #[serde(default)]
    pub check: Vec<Check>,
    /// Wrong answers.
    #[serde(default)]
    pub wrong: Vec<Vec<String>>,
    /// Hints.
    #[serde(default)]
    pub hints: Vec<RawHint>,
    /// For the instructor.
    #[serde(default)]
    pub notes: String,
    /// What to remember.
    #[serde(default)]
    pub debrief: String,
    /// For whom.
    #[serde(default)]
    pub depth: Depth,
    /// What the step needs beyond the lesson.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What is different with cgroups of version 1: it makes a step of its own.
    #[serde(default)]
    pub v1: Option<RawTwin>,
    /// What is different where the host has an uplink of its own: it makes a step of its own.
    #[serde(default)]
    pub uplink: Option<RawTwin>,
    /// In such a step: the one that it was written in.
    #[serde(skip)]
    pub twin_of: Option<String>,
}

/// The same step on another kind of machine, as it is written: what is left out is as in the step itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTwin {
    /// What it needs beyond the lesson.
    pub needs: Vec<Need>,
    /// Markdown.
    #[serde(default)]
    pub explain: Option<String>,
    /// A question.
    #[serde(default)]
    pub question: Option<Question>,
    /// What is done by calls.
    #[serde(default)]
    pub actions: Option<Vec<Action>>,
    /// What is typed.
    #[serde(default)]
    pub by_hand: Option<Vec<String>>,
    /// How the last line fails.
    #[serde(default)]
    pub by_hand_fails: Option<HandFailure>,
    /// Predicates.
    #[serde(default)]
    pub check: Option<Vec<Check>>,
    /// Wrong answers.
    #[serde(default)]
    pub wrong: Option<Vec<Vec<String>>>,
    /// Hints.
    #[serde(default)]
    pub hints: Option<Vec<RawHint>>,
    /// For the instructor.
    #[serde(default)]
    pub notes: Option<String>,
}

impl RawTwin {
    /// The step that it makes beside `step`, under a short name that ends so, and a title that says so.
    pub fn beside(self, step: &RawStep, (end, said): (&str, &str)) -> RawStep {
        let step = step.clone();
        RawStep {
            id: format!("{}{end}", step.id),
            title: format!("{} ({said})", step.title),
            explain: self.explain.unwrap_or(step.explain),
            question: self.question.or(step.question),
            actions: self.actions.unwrap_or(step.actions),
            by_hand: self.by_hand.or(step.by_hand),
            by_hand_fails: self.by_hand_fails.or(step.by_hand_fails),
            check: self.check.unwrap_or(step.check),
            wrong: self.wrong.unwrap_or(step.wrong),
            hints: self.hints.unwrap_or(step.hints),
            notes: self.notes.unwrap_or(step.notes),
            needs: self.needs,
            v1: None,
            uplink: None,
            twin_of: Some(step.id.clone()),
            ..step
        }
    }
}

/// A hint: a text, or `{ when: …, say: … }`. Written out, because serde's `untagged` would lose the place of a fault.
#[derive(Clone, Debug)]
pub struct RawHint(pub Hint);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWhen {
    when: Check,
    say: String,
}

impl<'de> Deserialize<'de> for RawHint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawHint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or `{ when: CHECK, say: TEXT }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawHint, E> {
                Ok(RawHint(Hint::Always(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawHint, A::Error> {
                let RawWhen { when, say } = RawWhen::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RawHint(Hint::When { when, say }))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
