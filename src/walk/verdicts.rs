//! Verdicts that are not a lesson's checks: on errnos, and on what a shell said; and whose names a check by hand uses.

use super::StepReport;
use crate::lesson::{HandFailure, Verdict};
use crate::probe::Names;
use crate::runtime::action::{Action, Performed};

/// The names of a by-hand check: `box` is what hands made.
pub fn by_hand(names: &Names) -> Names {
    let mut names = names.clone();
    names.boxes = names.subject.map(|subject| ("box".to_owned(), subject)).into_iter().collect();
    names
}

/// Whether each action did what the lesson says: succeeded, or failed with just that errno.
pub fn expected_answers(report: &StepReport) -> Vec<Verdict> {
    let told = |(action, performed): &(Action, Performed)| {
        let expected = action.mechanism().fails_with();
        let failed = performed.result.as_ref().err();
        let holds = failed.map(|error| error.errno) == expected;
        let claim = match expected {
            Some(errno) => format!("the kernel refuses with {errno}"),
            None => action.mechanism().sentence(),
        };
        let seen = failed.map_or_else(|| "it succeeded".to_owned(), ToString::to_string);
        // What went as planned needs no line of its own, unless failing was the plan.
        (expected.is_some() || !holds).then_some(Verdict { claim, holds, seen })
    };
    let ended = |(action, performed): &(Action, Performed)| {
        let expected = action.mechanism().ends_with()?;
        let status = performed.result.as_ref().ok()?.status;
        let holds = status == Some(expected);
        let claim = format!("{}; it ends with status {expected}", action.mechanism().sentence());
        let seen = status.map_or_else(|| "it did not run".to_owned(), |status| format!("it ended with {status}"));
        // As above: of ten programs that ended well nobody wants to read.
        (expected != 0 || !holds).then_some(Verdict { claim, holds, seen })
    };
    report.actions.iter().flat_map(|one| [told(one), ended(one)]).flatten().collect()
}

/// The verdict on a line that had to fail in a shell.
pub fn failure_verdict(expected: &HandFailure, status: i32, output: &str) -> Verdict {
    Verdict {
        claim: format!("the shell says {:?} and $? is {}", expected.says, expected.status),
        holds: status == expected.status && output.contains(&expected.says),
        seen: format!("$? is {status}; {}", output.trim()),
    }
}
