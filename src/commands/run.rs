//! `hardway run`: lessons without a screen.

use std::process::ExitCode;
use std::sync::Arc;

use hardway::explain::Explanation;
use hardway::kernel::leftover::Footprint;
use hardway::lesson::{Lesson, builtin};
use hardway::walk::actor::step_number;
use hardway::walk::run::{StepLine, Via, walk};
use serde_json::json;

use super::{course, start_keeper, tell, unavailable};
use crate::cli;
use crate::report::{FAILED, NOT_AVAILABLE};

/// `hardway run`.
pub fn run(options: &cli::Run) -> Result<ExitCode, Explanation> {
    let chosen: Vec<Arc<Lesson>> = if options.all {
        course()
    } else {
        options.lessons.iter().map(|name| builtin::find(name).map(Arc::new)).collect::<Result<_, _>>()?
    };
    let until = match (&options.until, chosen.last()) {
        (Some(step), Some(lesson)) => Some(step_number(lesson, step)?),
        _ => None,
    };
    let via = match options.via {
        cli::Via::Calls => Via::Calls,
        cli::Via::Shell => Via::Shell,
        cli::Via::Script => Via::Script,
    };
    if options.ids.real_host && via == Via::Shell {
        return Err(Explanation::new(
            "On the machine itself lessons can not be walked by shell",
            "their lines name the lab host's PID 1, and there PID 1 is the machine's own init",
            "walk them by calls, or without --real-host",
        ));
    }
    let before = Footprint::take();
    let mut keeper = start_keeper(options.ids)?;
    let offer = keeper.offer();
    let (mut failed, mut walked) = (0, 0);
    for (index, lesson) in chosen.iter().enumerate() {
        let lesson = &Arc::new(builtin::renumbered(Lesson::clone(lesson), &offer));
        if let Some(reason) = unavailable(lesson, &offer) {
            tell(
                options.json,
                &json!({ "lesson": lesson.name, "not_available": reason }),
                &format!("{}: not here: {reason}", lesson.name),
            );
            continue;
        }
        let until = until.filter(|_| index + 1 == chosen.len());
        let result = walk(keeper, lesson, via, until, &mut |line| {
            failed += usize::from(line.skipped.is_none() && !line.held);
            walked += usize::from(line.skipped.is_none());
            tell(options.json, &json!(line), &in_words(&line));
        });
        keeper = result.0;
        if let Err(explanation) = result.1 {
            drop(keeper);
            return Err(explanation);
        }
    }
    let mut left = keeper.end();
    left.extend(before.compare());
    tell(
        options.json,
        &json!({ "mode": offer.mode, "via": via, "failed": failed, "left_behind": left }),
        &format!(
            "{failed} steps failed; {} left behind{}",
            left.len(),
            left.iter().map(|one| format!("\n  {one}")).collect::<String>()
        ),
    );
    Ok(if failed > 0 || !left.is_empty() {
        ExitCode::from(FAILED)
    } else if walked == 0 {
        ExitCode::from(NOT_AVAILABLE)
    } else {
        ExitCode::SUCCESS
    })
}

/// A sign for what holds or does not.
pub fn mark(holds: bool) -> &'static str {
    if holds { "✓" } else { "✗" }
}

/// A step in words.
pub fn in_words(line: &StepLine) -> String {
    let sign = if line.skipped.is_some() { "–" } else { mark(line.held) };
    let mut text = format!("{sign} {} {}", line.lesson, line.step);
    if let Some(reason) = &line.skipped {
        text.push_str(&format!(": skipped: {reason}"));
    }
    for call in &line.calls {
        text.push_str(&format!("\n    {}: {call}", call.by));
    }
    for typed in &line.typed {
        text.push_str(&format!("\n    $ {}", typed.line));
    }
    for verdict in line.verdicts.iter().filter(|verdict| !verdict.holds) {
        text.push_str(&format!("\n    does not hold: {} – {}", verdict.claim, verdict.seen));
    }
    text
}
