//! The gate: proves that a lesson is true on this kernel. A lesson that passes can not have rotted.
//!
//! *change*: the check is false before, true after, false after undo, by calls and by shell; both lead to the same state;
//! known wrong lines do not pass. *fail*: exactly that errno by calls, that status and message by shell, and the failing
//! call changes nothing. *observe*: a probe knows the answer, and the shell prints the same.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::run::{StepLine, Via, Walk, walk};
use super::verdicts::by_hand;
use super::walker::Walker;
use crate::agent::client::Keeper;
use crate::explain::Explanation;
use crate::kernel::namespace::Namespace;
use crate::kernel::nftables::Rule;
use crate::lesson::{Kind, Lesson, Verdict};
use crate::probe::cgroups::files::is_use;
use crate::probe::{Change, ChangeKind, IdMap, Names, Observation, Panel};
use crate::runtime::action::{Action, Performed};
use crate::session::{Position, Session};

/// How long a wrong line is given to make a check true that it must not make true.
const SETTLE: Duration = Duration::from_millis(150);

/// How long a wrong line may stay in the foreground until it is judged there.
const WRONG_DEADLINE: Duration = Duration::from_secs(3);

/// What the gate found out about one step.
#[derive(Debug, Serialize)]
pub struct Proof {
    /// The step as it was walked.
    #[serde(flatten)]
    pub line: StepLine,
    /// Lines that are known to be wrong and were typed instead of the right ones; their check must not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<Vec<String>>,
    /// What the gate claims beyond the walk.
    pub gate: Vec<Verdict>,
}

impl Proof {
    /// Whether all holds, or the step is skipped for a reason.
    pub fn holds(&self) -> bool {
        let walked = if self.wrong.is_some() { !self.line.held } else { self.line.held };
        self.line.skipped.is_some() || (walked && self.gate.iter().all(|verdict| verdict.holds))
    }
}

/// What a process has of its own: the namespaces that differ from the host's, its root directory, the host name that it sees,
/// the maps of its user namespace, its cgroup, and its network: links with their state, and the addresses that somebody gave
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    own: Vec<Namespace>,
    root: Option<String>,
    hostname: Option<String>,
    uid_map: Option<Vec<IdMap>>,
    gid_map: Option<Vec<IdMap>>,
    cgroup: Option<String>,
    network: Option<Vec<String>>,
}

/// Proves a lesson, by calls, by shell and by its exported script.
///
/// # Errors
/// Where the lab host could not be made or was lost.
pub fn prove(
    mut keeper: Keeper,
    lesson: &Arc<Lesson>,
    tell: &mut dyn FnMut(Proof),
) -> (Keeper, Result<(), Explanation>) {
    let mut shapes: Vec<Option<Shape>> = vec![None; lesson.steps.len()];
    for via in [Via::Calls, Via::Shell] {
        for (step, shape) in shapes.iter_mut().enumerate() {
            let proved = with_walk(keeper, lesson, |walk| prove_step(walk, step, via, shape));
            keeper = proved.0;
            match proved.1 {
                Ok(proof) => tell(proof),
                Err(explanation) => return (keeper, Err(explanation)),
            }
        }
    }
    if !keeper.offer().real_host {
        // One walk: what the script does, hands have done before it, step by step.
        let mut tell = |line| tell(Proof { line, wrong: None, gate: Vec::new() });
        let walked = walk(keeper, lesson, Via::Script, None, &mut tell);
        keeper = walked.0;
        if let Err(explanation) = walked.1 {
            return (keeper, Err(explanation));
        }
    }
    for (index, step) in lesson.steps.iter().enumerate() {
        for wrong in &step.wrong {
            let proved = with_walk(keeper, lesson, |walk| prove_wrong(walk, index, wrong));
            keeper = proved.0;
            match proved.1 {
                Ok(Some(proof)) => tell(proof),
                Ok(None) => {}
                Err(explanation) => return (keeper, Err(explanation)),
            }
        }
    }
    (keeper, Ok(()))
}

/// Walks in a lab host of its own.
fn with_walk<T>(
    keeper: Keeper,
    lesson: &Arc<Lesson>,
    deed: impl FnOnce(&mut Walk) -> Result<T, Explanation>,
) -> (Keeper, Result<T, Explanation>) {
    match Walker::open(keeper, Arc::clone(lesson), Session::new(lesson.steps.len())) {
        Ok(walker) => {
            let mut walk = Walk::new(walker);
            let result = deed(&mut walk);
            (walk.walker.close(), result)
        }
        Err((keeper, explanation)) => (keeper, Err(explanation)),
    }
}

/// Comes to a step in the way that is to be proved, then does it.
fn prove_step(walk: &mut Walk, step: usize, via: Via, shape: &mut Option<Shape>) -> Result<Proof, Explanation> {
    come_to(walk, step, via)?;
    let mut gate = Vec::new();
    if via == Via::Calls && walk.walker.step().kind == Kind::Fail && walk.walker.skipped(step).is_none() {
        gate.push(changes_nothing(walk, step)?);
        come_to(walk, step, via)?;
    }
    let line = walk.step(step, via)?;
    if line.skipped.is_none() && line.kind == Kind::Change {
        let names = &walk.walker.sample().names;
        let names = if via == Via::Calls { names.clone() } else { by_hand(names) };
        let seen = shape_of(&walk.walker.sample().observation, &names);
        match via {
            Via::Calls => *shape = seen,
            Via::Shell | Via::Script => gate.push(Verdict {
                claim: "calls and shell lead to the same state".into(),
                holds: *shape == seen,
                seen: format!("by calls {shape:?}, by shell {seen:?}"),
            }),
        }
        gate.push(undone(walk, step)?);
    }
    Ok(Proof { line, wrong: None, gate })
}

fn come_to(walk: &mut Walk, step: usize, via: Via) -> Result<(), Explanation> {
    match via {
        Via::Calls => walk.walker.go(Position { step, done: false }),
        // A step that only waits in vain is proved when it is its own turn.
        Via::Shell | Via::Script => {
            let lesson = Arc::clone(&walk.walker.lesson);
            let acts = |action: &Action| !action.mechanism().only_asks();
            let is_needed = |actions: &[Action]| actions.is_empty() || actions.iter().any(acts);
            let mut before = (0..step).filter(|before| is_needed(&lesson.steps[*before].actions));
            before.try_for_each(|before| walk.step(before, via).map(drop))
        }
    }
}

/// One step back takes the effect away.
fn undone(walk: &mut Walk, step: usize) -> Result<Verdict, Explanation> {
    walk.walker.go(Position { step, done: true })?;
    walk.walker.go(Position { step, done: false })?;
    let verdicts = walk.walker.evaluate(&walk.walker.sample().names);
    Ok(Verdict {
        claim: "one step back, the check does not hold any more".into(),
        holds: !verdicts.iter().all(|verdict| verdict.holds),
        seen: verdicts.iter().map(|verdict| verdict.seen.clone()).collect::<Vec<_>>().join("; "),
    })
}

/// Whether a rule of nftables is what it was, but for its counters.
fn is_counted(change: &Change) -> bool {
    let rule = |text: &str| text.parse::<Rule>().map(|rule| rule.bare());
    match &change.kind {
        ChangeKind::Changed { before } => rule(before).is_ok_and(|before| rule(&change.row.value) == Ok(before)),
        _ => false,
    }
}

/// Whether somebody on this machine has mounted a hierarchy of version 1, or taken it away: all processes there are get a line for it, with
/// its root (cgroups(7)).
fn is_of_the_machine(change: &Change) -> bool {
    let row = &change.row;
    let comes_or_goes = !matches!(change.kind, ChangeKind::Changed { .. });
    comes_or_goes && row.panel == Panel::Cgroups && row.key.starts_with("v1 ") && row.value == "/"
}

/// The failing action of a *fail* step, alone: the live state is the same before and after.
fn changes_nothing(walk: &mut Walk, step: usize) -> Result<Verdict, Explanation> {
    let lesson = Arc::clone(&walk.walker.lesson);
    let Some((failing, before)) = lesson.steps[step].actions.split_last() else {
        return Ok(Verdict { claim: "a failing action".into(), holds: false, seen: "there is none".into() });
    };
    walk.walker.lab()?.perform(before)?;
    walk.walker.settle()?;
    let rows = Arc::clone(walk.walker.rows());
    let failed = walk.walker.lab()?.perform(std::slice::from_ref(failing))?.iter().any(Performed::has_failed);
    walk.walker.observe()?;
    let mut changes = crate::probe::diff(&rows, walk.walker.rows());
    // Where the box is in a group, to fail takes processor time too.
    changes.retain(|change| change.row.panel != Panel::Cgroups || !is_use(&change.row.key));
    // A packet that a rule has counted on its way to nobody is no effect either.
    changes.retain(|change| !is_counted(change) && !is_of_the_machine(change));
    walk.walker.rebuild()?;
    Ok(Verdict {
        claim: "the failing call changes nothing".into(),
        holds: failed && changes.is_empty(),
        seen: format!("failed: {failed}; changes: {changes:?}"),
    })
}

/// Lines that are known to be wrong must not make the check true.
fn prove_wrong(walk: &mut Walk, step: usize, lines: &[String]) -> Result<Option<Proof>, Explanation> {
    if walk.walker.skipped(step).is_some() {
        return Ok(None);
    }
    come_to(walk, step, Via::Shell)?;
    walk.walker.stand_before(step)?;
    if walk.walker.lesson.begins_anew(walk.walker.session.position.step) {
        walk.new_shell()?;
    }
    walk.patience = WRONG_DEADLINE;
    let typed = walk.type_lines(lines)?;
    std::thread::sleep(SETTLE);
    walk.walker.observe()?;
    let verdicts = walk.walker.evaluate(&by_hand(&walk.walker.sample().names));
    let passed = verdicts.iter().all(|verdict| verdict.holds);
    let current = walk.walker.step();
    let line = StepLine {
        lesson: walk.walker.lesson.name.clone(),
        step: current.id.clone(),
        kind: current.kind,
        via: Via::Shell,
        held: passed,
        skipped: None,
        verdicts,
        calls: Vec::new(),
        effects: Vec::new(),
        typed,
        changes: walk.walker.since_step().len(),
        micros: 0,
    };
    let gate = vec![Verdict {
        claim: format!("{lines:?} does not pass"),
        holds: !passed,
        seen: if passed { "it passed".into() } else { "it did not".into() },
    }];
    Ok(Some(Proof { line, wrong: Some(lines.to_vec()), gate }))
}

fn shape_of(observation: &Observation, names: &Names) -> Option<Shape> {
    let (process, host) = (observation.process(*names.boxes.get("box")?)?, observation.process(names.host)?);
    let differs = |kind: &Namespace| process.namespaces.inode(*kind) != host.namespaces.inode(*kind);
    let uts = process.namespaces.inode(Namespace::Uts)?;
    let cgroups = observation.cgroups.memberships.get(&process.pid).and_then(|list| list.value());
    let net = process.namespaces.inode(Namespace::Net)?;
    let network = observation.networks.get(&net).and_then(|network| network.value()).map(|network| {
        let links =
            network.links.iter().map(|link| format!("{} {}", link.name, if link.is_up() { "up" } else { "down" }));
        let given = network.addresses.iter().filter(|it| !it.is_link_local());
        links.chain(given.map(|it| format!("{}/{}", it.ip, it.prefix))).collect()
    });
    Some(Shape {
        own: Namespace::ALL.into_iter().filter(differs).collect(),
        root: process.root.value().cloned(),
        hostname: observation.hostnames.get(&uts).and_then(|name| name.value().cloned()),
        uid_map: process.credentials.uid_map.value().cloned(),
        gid_map: process.credentials.gid_map.value().cloned(),
        cgroup: cgroups.and_then(|list| observation.cgroups.own_path(list)).map(str::to_owned),
        network,
    })
}
