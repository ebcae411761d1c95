//! `hardway lesson`: tools for authors.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use hardway::explain::Explanation;
use hardway::lesson::{Lesson, builtin, compile, scaffold, schema, script};
use hardway::stages;
use hardway::walk::actor::step_number;
use hardway::walk::gate;
use serde_json::json;

use super::run::{in_words, mark};
use super::{say, start_keeper, tell};
use crate::cli::Ids;
use crate::report::FAILED;

/// `hardway lesson new`.
pub fn new(id: &str, stage: &str, dir: &Path) -> Result<ExitCode, Explanation> {
    if stages::find(stage).is_none() {
        let known: Vec<&str> = stages::ALL.iter().map(|stage| stage.id).collect();
        let why = format!("the stages are: {}", known.join(", "));
        return Err(Explanation::new(format!("There is no stage {stage:?}"), why, "choose one of them with --stage"));
    }
    let text = scaffold::lesson(id, stage);
    let path = dir.join(format!("{id}.yaml"));
    // A name that is none would be a fault of the new file, or lead to another directory.
    if let Err(faults) = compile::compile(id, &path.display().to_string(), &text) {
        let why = faults.first().map(|fault| fault.what.clone()).unwrap_or_default();
        let fix = "write at most 40 small letters, digits and hyphens: own-tree";
        return Err(Explanation::new("The new lesson was not written", why, fix));
    }
    write_new(&path, &text)?;
    say(&format!("{}: a lesson that passes; next: hardway lesson test {0}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Explanation> {
    let mut file = File::create_new(path).map_err(|error| {
        let fix = match error.kind() {
            ErrorKind::AlreadyExists => "choose another name; hardway never overwrites a lesson",
            _ => "choose a directory that is there and yours",
        };
        Explanation::new(format!("{} was not written", path.display()), error.to_string(), fix)
    })?;
    file.write_all(text.as_bytes()).map_err(|error| {
        Explanation::new(
            format!("{} was not written whole", path.display()),
            error.to_string(),
            "make room, and remove it",
        )
    })
}

/// `hardway lesson check`.
pub fn check(files: &[PathBuf]) -> ExitCode {
    let mut faults = 0;
    for file in files {
        match compile::check_file(file) {
            Ok(lesson) => say(&format!("{}: {} steps, no faults", file.display(), lesson.steps.len())),
            Err(found) => {
                faults += found.len();
                for fault in found {
                    eprintln!("{fault}");
                }
            }
        }
    }
    if faults > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// `hardway lesson test`.
pub fn test(names: &[String], as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    let mut chosen = Vec::new();
    for name in names {
        match named(name)? {
            Ok(lesson) => chosen.push(Arc::new(lesson)),
            Err(code) => return Ok(code),
        }
    }
    let mut keeper = start_keeper(ids)?;
    let (mut proved, mut failed, mut skipped) = (0, 0, 0);
    for lesson in &chosen {
        let result = gate::prove(keeper, lesson, &mut |proof| {
            match (&proof.line.skipped, proof.holds()) {
                (Some(_), _) => skipped += 1,
                (None, true) => proved += 1,
                (None, false) => failed += 1,
            }
            let mut text = match &proof.wrong {
                Some(lines) => {
                    format!("{} {} {}: refuses {lines:?}", mark(proof.holds()), proof.line.lesson, proof.line.step)
                }
                None => in_words(&proof.line),
            };
            for verdict in proof.gate.iter().filter(|verdict| !verdict.holds) {
                text.push_str(&format!("\n    does not hold: {} – {}", verdict.claim, verdict.seen));
            }
            tell(as_json, &json!(proof), &text);
        });
        keeper = result.0;
        if let Err(explanation) = result.1 {
            drop(keeper);
            return Err(explanation);
        }
    }
    drop(keeper);
    tell(
        as_json,
        &json!({ "proved": proved, "failed": failed, "skipped": skipped }),
        &format!("{proved} proved, {failed} failed, {skipped} skipped"),
    );
    Ok(if failed > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// `hardway lesson schema`.
pub fn schema() -> ExitCode {
    say(&format!("{:#}", schema::schema()));
    ExitCode::SUCCESS
}

/// `hardway lesson script`.
pub fn script(name: &str, until: Option<&str>) -> Result<ExitCode, Explanation> {
    let lesson = match named(name)? {
        Ok(lesson) => lesson,
        Err(code) => return Ok(code),
    };
    let until = until.map(|step| step_number(&lesson, step)).transpose()?;
    say(script::of(&lesson, until).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The lesson of a name or a file; of a file with faults the exit status, after they have been told.
fn named(name: &str) -> Result<Result<Lesson, ExitCode>, Explanation> {
    if !name.ends_with(".yaml") {
        return builtin::find(name).map(Ok);
    }
    let path = Path::new(name);
    Ok(compile::check_file(path).map_err(|_| check(&[path.to_owned()])))
}
