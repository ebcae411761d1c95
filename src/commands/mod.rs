//! What each command does: one file a family.

mod cleanup;
mod cni;
mod doctor;
mod enter;
mod image;
mod lesson;
mod lessons;
mod open;
mod pages;
mod registry;
mod run;
mod state;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use hardway::agent::client::{self, Keeper};
use hardway::agent::scope::Scope;
use hardway::explain::Explanation;
use hardway::kernel::host::{Invoker, Offer, Person, Wish, home_of};
use hardway::lesson::{Lesson, builtin};
use hardway::session::store::{self, Store};

use crate::cli::{Cli, Command, Ids, LessonCommand};

/// Where a registry's password comes from: not from the command line, which everybody on the machine can read.
const PASSWORD: &str = "HARDWAY_REGISTRY_PASSWORD";

/// Carries out the command line.
pub fn run(cli: Cli) -> Result<ExitCode, Explanation> {
    match cli.command {
        None => open::open(cli.open),
        Some(Command::Lessons { json, ids }) => lessons::lessons(json, ids),
        Some(Command::Run(options)) => run::run(&options),
        Some(Command::Lesson(LessonCommand::New { id, stage, dir })) => lesson::new(&id, &stage, &dir),
        Some(Command::Lesson(LessonCommand::Check { files })) => Ok(lesson::check(&files)),
        Some(Command::Lesson(LessonCommand::Test { lessons, json, ids })) => lesson::test(&lessons, json, ids),
        Some(Command::Lesson(LessonCommand::Schema)) => Ok(lesson::schema()),
        Some(Command::Lesson(LessonCommand::Script { lesson, until })) => lesson::script(&lesson, until.as_deref()),
        Some(Command::Cni(command)) => cni::run(&command),
        Some(Command::Image(command)) => image::run(&command),
        Some(Command::Registry(command)) => registry::run(&command),
        Some(Command::Doctor { json, ids }) => doctor::run(json, ids),
        Some(Command::State { pid, json }) => state::state(pid, json),
        Some(Command::Enter { whom, lab }) => enter::enter(whom.as_deref(), lab),
        Some(Command::Completions { shell }) => Ok(pages::completions(shell)),
        Some(Command::Man) => Ok(pages::man()),
        Some(Command::Cleanup { dry_run }) => Ok(cleanup::cleanup(dry_run)),
    }
}

/// Becomes the caller of sudo where that is wished, and forks the keeper. No thread exists yet.
fn start_keeper(ids: Ids) -> Result<Keeper, Explanation> {
    let invoker = Invoker::current();
    let wish = Wish::from(ids);
    if wish.rootless {
        invoker.become_them()?;
    }
    client::revert_dead();
    let (scope, person) = settle();
    let offer = person.offer(wish)?;
    let keeper = Keeper::fork_in(&person, &offer, scope)?;
    // The keeper needs root for as long as it lives, the ui never: what it writes belongs to the person.
    invoker.become_them()?;
    Ok(keeper)
}

/// Makes the cgroup that hardway runs in its own, where that can be, and looks at the machine as it is then. No thread exists yet.
fn settle() -> (Scope, Person) {
    let scope = Scope::settle();
    let person = Person::current().in_group(scope.group());
    (scope, person)
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

/// Why a whole lesson is not available here.
fn unavailable(lesson: &Lesson, offer: &Offer) -> Option<String> {
    lesson.needs.iter().find_map(|need| need.unmet(offer))
}

fn tell(as_json: bool, object: &serde_json::Value, text: &str) {
    say(&if as_json { object.to_string() } else { text.to_owned() });
}

/// Writes a line; a reader that has gone (`hardway run | head`) is no error worth a panic.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
