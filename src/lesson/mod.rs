//! Lessons: YAML → raw shapes → [`Lesson`]; predicates on observations; the gate that proves them.
//!
//! This file is the meaning of a lesson; [`raw`] is its syntax and the only place that knows YAML.

pub mod builtin;
pub mod check;
pub mod compile;
pub mod fault;
pub mod need;
pub mod raw;
pub mod renumber;
pub mod scaffold;
pub mod schema;
pub mod script;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Check, Value, Verdict};
pub use compile::check_file;
pub use need::Need;

use crate::kernel::cgroup::Version;
use crate::kernel::host::Offer;
use crate::probe::{Names, Observation, Panel};
use crate::runtime::action::Action;
use crate::runtime::process::BOX;

/// One lesson, checked: every name in it refers to something.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// The name of its file without `.yaml`: `05-pid`.
    pub name: String,
    /// Short name: `pid`.
    pub id: String,
    /// The stage that it teaches.
    pub stage: String,
    /// Title, for people.
    pub title: String,
    /// How long it takes, in minutes.
    pub minutes: u32,
    /// What the machine must offer.
    pub needs: Vec<Need>,
    /// What the learner can do afterwards.
    pub goal: String,
    /// The steps, at least one of kind *change*.
    pub steps: Vec<Step>,
}

/// What a step proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The check is false before, true after, false after undo.
    Change,
    /// The last action fails with exactly its errno and changes nothing.
    Fail,
    /// A question whose answer is compared with a probe.
    Observe,
}

/// How far a step goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// For everybody.
    #[default]
    Core,
    /// For those who want more.
    Deep,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Short name, unique in the lesson.
    pub id: String,
    /// What it proves.
    pub kind: Kind,
    /// Title, for people.
    pub title: String,
    /// Markdown.
    pub explain: String,
    /// A guess to make before the effect.
    pub predict: Option<Predict>,
    /// For *observe*: what is asked, and the probe that knows.
    pub question: Option<Question>,
    /// What is done by calls.
    pub actions: Vec<Action>,
    /// What is typed: as the lesson says, or the actions' own shell lines. `^C` and `^D` stand for the keys.
    pub by_hand: Vec<String>,
    /// For *fail*: what the shell must say of the last line.
    pub by_hand_fails: Option<HandFailure>,
    /// Panels to show.
    pub watch: Vec<Panel>,
    /// All must hold after the step.
    pub check: Vec<Check>,
    /// Lines that must not pass the check.
    pub wrong: Vec<Vec<String>>,
    /// From vague to nearly the answer.
    pub hints: Vec<Hint>,
    /// For the instructor.
    pub notes: String,
    /// What to remember.
    pub debrief: String,
    /// For whom.
    pub depth: Depth,
    /// What this step needs beyond the lesson.
    pub needs: Vec<Need>,
    /// Of a step for cgroups of version 1: the one before it, which does the same in version 2.
    pub twin_of: Option<String>,
}

/// A guess to make before the effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    /// The question.
    pub ask: String,
    /// Possible answers.
    pub choices: Vec<String>,
    /// Index of the right one, from 0.
    pub answer: usize,
    /// Why it is right.
    pub because: String,
}

/// A question about the state of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question.
    pub ask: String,
    /// The value that answers it.
    pub value: Value,
}

/// How a failing line ends in a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandFailure {
    /// Exit status, `$?`.
    pub status: i32,
    /// What it writes, at least.
    pub says: String,
}

/// A hint; with `when`, only while that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Hint {
    /// Always.
    Always(String),
    /// Only while a check holds.
    When {
        /// The condition.
        when: Check,
        /// The text.
        say: String,
    },
}

/// A step's twins, which do the same on another kind of machine: what their short names end with, and what their titles say.
pub const TWINS: [(&str, &str); 2] = [("-v1", "version 1"), ("-uplink", "uplink")];

impl Lesson {
    /// The lesson as it is on a machine. Of a step and its twin it has the one that can be done there; both where both can, and the
    /// first, which says why, where none can.
    pub fn on(mut self, offer: &Offer) -> Self {
        let can = |step: &Step| step.needs.iter().all(|need| need.unmet(offer).is_none());
        let dropped: BTreeSet<String> = (self.steps.windows(2))
            .filter_map(|pair| match (&pair[1].twin_of, can(&pair[0]), can(&pair[1])) {
                (Some(_), false, true) => Some(pair[0].id.clone()),
                (Some(_), _, false) => Some(pair[1].id.clone()),
                _ => None,
            })
            .collect();
        self.steps.retain(|step| !dropped.contains(&step.id));
        self
    }

    /// The actions of all steps, in their order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(|step| &step.actions)
    }

    /// Whether it limits what groups get, so that groups of version 2 must have controllers.
    pub fn needs_controllers(&self) -> bool {
        let needs = self.needs.iter().chain(self.steps.iter().flat_map(|step| &step.needs));
        needs.into_iter().any(|need| need.controller().is_some())
    }

    /// The controllers of version 1 that its groups must have.
    pub fn controllers_v1(&self) -> Vec<&'static str> {
        let needs = self.needs.iter().chain(self.steps.iter().flat_map(|step| &step.needs));
        let of_v1 = |need: &Need| need.controller().filter(|(_, version)| *version == Version::V1);
        needs.filter_map(of_v1).map(|(name, _)| name).collect()
    }

    /// Whether a step begins with a new box: by hand, with a shell in which nothing has been done yet. Boxes of other names are
    /// programs in the background.
    pub fn begins_anew(&self, step: usize) -> bool {
        self.steps[step].actions.iter().any(|action| matches!(action, Action::Box(make) if make.name == BOX))
    }

    /// The step from which on a shell has to go along to be where this step begins: the last one that began anew.
    pub fn hands_begin(&self, step: usize) -> usize {
        (0..=step).rev().find(|step| self.begins_anew(*step)).unwrap_or(0)
    }

    /// Whether the steps after it build on what this one makes: a *change*, the making of a new box, or what comes before the last
    /// action of a *fail* step, the only one that is refused.
    pub fn builds(&self, step: usize) -> bool {
        let Step { kind, actions, .. } = &self.steps[step];
        match kind {
            Kind::Change => true,
            Kind::Fail => actions.len() > 1 || self.begins_anew(step),
            Kind::Observe => self.begins_anew(step),
        }
    }

    /// The lines that bring a new shell to where a step begins by hand: those of the steps before it that build something, since the
    /// last one that began anew. Those that are left out on this machine are left out here too; `skipped` has their reasons.
    pub fn lines_before(&self, step: usize, skipped: &[Option<String>]) -> Vec<String> {
        let is_done = |at: &usize| skipped.get(*at).is_none_or(Option::is_none);
        let builds = (self.hands_begin(step)..step).filter(is_done).filter(|at| self.builds(*at));
        builds.flat_map(|at| self.steps[at].by_hand.clone()).collect()
    }

    /// The step with this short name; where this machine has its twin instead ([`Lesson::on`]), that one.
    pub fn step_index(&self, id: &str) -> Option<usize> {
        let is_twin = |step: &Step| {
            step.twin_of.as_deref() == Some(id) || TWINS.iter().any(|(end, _)| id.strip_suffix(end) == Some(&step.id))
        };
        let position = |is: &dyn Fn(&Step) -> bool| self.steps.iter().position(is);
        position(&|step| step.id == id).or_else(|| position(&is_twin))
    }
}

impl Step {
    /// The paths that its checks look at, and the conditions of its hints.
    pub fn paths(&self) -> Vec<String> {
        let conditions = self.hints.iter().filter_map(|hint| match hint {
            Hint::When { when, .. } => Some(when),
            Hint::Always(_) => None,
        });
        self.check.iter().chain(conditions).filter_map(Check::path).map(str::to_owned).collect()
    }
}

impl Hint {
    /// The text, where the hint applies to what is observed.
    pub fn text(&self, observation: &Observation, names: &Names) -> Option<String> {
        match self {
            Self::Always(text) => Some(text.clone()),
            Self::When { when, say } => when.evaluate(observation, names).holds.then(|| say.clone()),
        }
    }
}
