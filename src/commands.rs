//! What each command does.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use hardway::agent::client::{self, Keeper};
use hardway::explain::Explanation;
use hardway::kernel::host::{Invoker, Offer, Person, home_of};
use hardway::kernel::leftover::Footprint;
use hardway::lesson::{Lesson, builtin, compile};
use hardway::probe::{Names, Panel, Reader, Wanted, rows};
use hardway::runtime::ledger;
use hardway::session::Session;
use hardway::session::store::{self, Store};
use hardway::tui::{self, CourseEntry, Setup};
use hardway::walk::actor::{Actor, step_number};
use hardway::walk::run::{StepLine, Via, walk};
use hardway::walk::{News, gate};
use serde_json::json;

use crate::cli::{self, Cli, Command, Ids, LessonCommand, Open};
use crate::report::{FAILED, NOT_AVAILABLE};

/// Carries out the command line.
pub fn run(cli: Cli) -> Result<ExitCode, Explanation> {
    match cli.command {
        None => open(cli.open),
        Some(Command::Lessons { json, ids }) => lessons(json, ids),
        Some(Command::Run(options)) => run_lessons(&options),
        Some(Command::Lesson(LessonCommand::Check { files })) => Ok(check(&files)),
        Some(Command::Lesson(LessonCommand::Test { lessons, json, ids })) => test(&lessons, json, ids),
        Some(Command::State { pid, json }) => state(pid, json),
        Some(Command::Cleanup { dry_run }) => Ok(cleanup(dry_run)),
    }
}

/// Becomes the caller of sudo where that is wished, and forks the keeper. No thread exists yet.
fn start_keeper(ids: Ids) -> Result<Keeper, Explanation> {
    let invoker = Invoker::current();
    if ids.rootless || ids.single_id {
        invoker.become_them()?;
    }
    let person = Person::current();
    let offer = person.offer(ids.rootless || ids.single_id, ids.single_id)?;
    client::revert_dead();
    let keeper = Keeper::fork(&person, &offer)?;
    // The keeper needs root for as long as it lives, the ui never: what it writes belongs to the person.
    invoker.become_them()?;
    Ok(keeper)
}

/// Opens the store of progress, with what is wrong with it; the course goes on without.
fn open_store() -> (Option<Store>, Option<Explanation>) {
    match store::directory(|name| std::env::var_os(name), home_of) {
        Some(directory) => {
            let (store, notice) = Store::open(directory);
            (Some(store), notice)
        }
        None => {
            let why = "neither XDG_STATE_HOME nor HOME is set";
            (None, Some(Explanation::new("Your progress can not be kept", why, "set HOME; the lessons work without")))
        }
    }
}

fn course() -> Vec<Arc<Lesson>> {
    builtin::all().into_iter().map(Arc::new).collect()
}

/// `hardway [LESSON[:STEP]]`.
fn open(options: Open) -> Result<ExitCode, Explanation> {
    let course = course();
    let start = options.lesson.map(|text| match text.split_once(':') {
        Some((lesson, step)) => (lesson.to_owned(), Some(step.to_owned())),
        None => (text, None),
    });
    if let Some((name, step)) = &start {
        let lesson = builtin::find(name)?;
        step.as_ref().map(|step| step_number(&lesson, step)).transpose()?;
    }
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let plain = options.plain || dumb;
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !plain && !on_terminal {
        return Err(Explanation::new(
            "The screen needs a terminal",
            "standard input or output is not one",
            "hardway --plain works with lines of text; hardway run --all walks the lessons without a person",
        ));
    }
    let keeper = start_keeper(options.ids)?;
    let (store, notice) = open_store();
    if plain {
        if let Some(explanation) = notice {
            eprintln!("hardway: {explanation}");
        }
        hardway::plain::run(
            keeper,
            &course,
            store,
            start,
            &mut std::io::stdin().lock(),
            &mut std::io::stdout().lock(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let offer = keeper.offer();
    let setup = Setup {
        course: entries(&course, store.as_ref(), &offer),
        start,
        mode: offer.mode.words().to_owned(),
        notice,
        present: options.present,
        ..Setup::default()
    };
    let (order, orders) = mpsc::channel();
    let (tell, news) = tokio::sync::mpsc::unbounded_channel();
    let walker = std::thread::spawn(move || {
        Actor::new(keeper, store, move |one: News| {
            let _ = tell.send(one);
        })
        .run(&orders);
    });
    let result = tui::run(setup, order, news);
    // Not before everything in the lab has ended may the person's prompt come back.
    let _ = walker.join();
    result.map(|()| ExitCode::SUCCESS)
}

fn entries(course: &[Arc<Lesson>], store: Option<&Store>, offer: &Offer) -> Vec<CourseEntry> {
    course
        .iter()
        .map(|lesson| CourseEntry {
            name: lesson.name.clone(),
            id: lesson.id.clone(),
            title: lesson.title.clone(),
            goal: lesson.goal.clone(),
            minutes: lesson.minutes,
            steps: lesson.steps.len(),
            done: steps_done(store.and_then(|store| store.load(lesson))),
            unavailable: unavailable(lesson, offer),
        })
        .collect()
}

fn steps_done(session: Option<Session>) -> usize {
    session.map_or(0, |session| session.records.iter().filter(|record| record.how.is_some()).count())
}

/// Why a whole lesson is not available here.
fn unavailable(lesson: &Lesson, offer: &Offer) -> Option<String> {
    lesson.needs.iter().find_map(|need| need.unmet(offer))
}

/// `hardway lessons`.
fn lessons(as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    let offer = Person::current().offer(ids.rootless || ids.single_id, ids.single_id)?;
    let (store, _) = open_store();
    let course = course();
    let list = entries(&course, store.as_ref(), &offer);
    if as_json {
        let all: Vec<_> = list
            .iter()
            .map(|entry| {
                json!({ "name": entry.name, "id": entry.id, "title": entry.title, "goal": entry.goal, "minutes": entry.minutes,
                        "steps": entry.steps, "done": entry.done, "unavailable": entry.unavailable })
            })
            .collect();
        say(&format!("{:#}", json!(all)));
    } else {
        for (entry, lesson) in list.iter().zip(&course) {
            say(&format!("{:<14} {:>2}/{:<2} {}", entry.name, entry.done, entry.steps, entry.title));
            if let Some(reason) = &entry.unavailable {
                say(&format!("               not here: {reason}"));
            }
            for step in &lesson.steps {
                if let Some(reason) = step.needs.iter().find_map(|need| need.unmet(&offer)) {
                    say(&format!("               without the step {}: {reason}", step.id));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `hardway run`.
fn run_lessons(options: &cli::Run) -> Result<ExitCode, Explanation> {
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
    };
    let before = Footprint::take();
    let mut keeper = start_keeper(options.ids)?;
    let offer = keeper.offer();
    let (mut failed, mut missing) = (0, BTreeSet::new());
    for (index, lesson) in chosen.iter().enumerate() {
        if let Some(reason) = unavailable(lesson, &offer) {
            missing.insert(lesson.name.clone());
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
    } else if !missing.is_empty() && missing.len() == chosen.len() {
        ExitCode::from(NOT_AVAILABLE)
    } else {
        ExitCode::SUCCESS
    })
}

fn mark(holds: bool) -> &'static str {
    if holds { "✓" } else { "✗" }
}

fn in_words(line: &StepLine) -> String {
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

/// `hardway lesson check`.
fn check(files: &[std::path::PathBuf]) -> ExitCode {
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
fn test(names: &[String], as_json: bool, ids: Ids) -> Result<ExitCode, Explanation> {
    let mut chosen = Vec::new();
    for name in names {
        if name.ends_with(".yaml") {
            let path = std::path::Path::new(name);
            let Ok(lesson) = compile::check_file(path) else { return Ok(check(&[path.to_owned()])) };
            chosen.push(Arc::new(lesson));
        } else {
            chosen.push(Arc::new(builtin::find(name)?));
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

/// `hardway state`.
fn state(pid: Option<i32>, as_json: bool) -> Result<ExitCode, Explanation> {
    let pid = pid.unwrap_or_else(|| i32::try_from(std::os::unix::process::parent_id()).unwrap_or(1));
    let observation = Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid));
    if observation.process(pid).is_none() {
        return Err(Explanation::new(
            format!("There is no process {pid}"),
            format!("/proc/{pid} does not exist"),
            "ps -e lists the processes there are",
        ));
    }
    let rows = rows(&observation, &Names::default());
    if as_json {
        say(&format!("{:#}", json!({ "pid": pid, "observation": observation, "rows": rows })));
    } else {
        for row in rows {
            say(&format!(
                "{:<12} {:<24} {:<18} {}   [{}]",
                row.panel.to_string(),
                row.subject,
                row.key,
                row.value,
                row.source
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `hardway cleanup`.
fn cleanup(dry_run: bool) -> ExitCode {
    let dead = ledger::dead(&ledger::base());
    if dead.is_empty() {
        say("nothing was left behind");
        return ExitCode::SUCCESS;
    }
    let mut left = 0;
    for directory in dead {
        if dry_run {
            say(&format!("would revert {}: {:?}", directory.display(), ledger::entries(&directory)));
            continue;
        }
        let reverted = ledger::revert(&directory);
        say(&format!("{}: taken away", directory.display()));
        for one in reverted {
            say(&format!("  {}: {}", one.what, if one.gone { "ended" } else { "still there" }));
            left += usize::from(!one.gone);
        }
    }
    if left > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn tell(as_json: bool, object: &serde_json::Value, text: &str) {
    say(&if as_json { object.to_string() } else { text.to_owned() });
}

/// Writes a line; a reader that has gone (`hardway run | head`) is no error worth a panic.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
