//! `hardway completions` and `hardway man`: made from the definition of the command line.

use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, ValueParser};
use clap::{Arg, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use hardway::lesson::Lesson;

use super::course;
use crate::cli::help::{ABOUT, ENVIRONMENT, EXAMPLES, EXIT_STATUS, FILES};
use crate::cli::{Cli, CompletionShell};

const NAME: &str = "hardway";

/// Options that many commands share.
const IDS: [&str; 3] = ["rootless", "single_id", "real_host"];

/// `hardway completions`.
pub fn completions(shell: CompletionShell) -> ExitCode {
    let course = course();
    let lessons: Vec<PossibleValue> =
        course.iter().map(|lesson| PossibleValue::new(lesson.name.clone()).help(lesson.title.clone())).collect();
    let mut steps: Vec<&str> =
        course.iter().flat_map(|lesson| lesson.steps.iter().map(|step| step.id.as_str())).collect();
    steps.sort_unstable();
    steps.dedup();
    let steps: Vec<PossibleValue> = steps.into_iter().map(|id| PossibleValue::new(id.to_owned())).collect();
    let one_of = |values: &[PossibleValue]| ValueParser::from(PossibleValuesParser::new(values.iter().cloned()));
    let lesson = |arg: Arg| arg.value_parser(one_of(&lessons));
    let mut command = Cli::command()
        .mut_arg("lesson", lesson)
        .mut_subcommand("run", |run| {
            run.mut_arg("lessons", lesson).mut_arg("until", |arg| arg.value_parser(one_of(&steps)))
        })
        .mut_subcommand("lesson", |author| {
            author.mut_subcommand("test", |test| test.mut_arg("lessons", lesson)).mut_subcommand("script", |script| {
                script.mut_arg("lesson", lesson).mut_arg("until", |arg| arg.value_parser(one_of(&steps)))
            })
        });
    let places: Vec<String> = course.iter().flat_map(|lesson| places(lesson)).collect();
    let names: Vec<&str> = course.iter().map(|lesson| lesson.name.as_str()).collect();
    let mut text = Vec::new();
    let (shell, with_steps) = match shell {
        CompletionShell::Bash => (Shell::Bash, BASH),
        CompletionShell::Zsh => (Shell::Zsh, ZSH),
        CompletionShell::Fish => (Shell::Fish, FISH),
    };
    if shell != Shell::Bash {
        command = without_lesson(&command);
    }
    clap_complete::generate(shell, &mut command, NAME, &mut text);
    let text = String::from_utf8_lossy(&text);
    super::say(&format!(
        "{}\n{}",
        text.trim_end(),
        with_steps.replace("PLACES", &places.join(" ")).replace("LESSONS", &names.join(" "))
    ));
    ExitCode::SUCCESS
}

/// The command line without the lesson that may stand first: zsh would take every command for one, and fish looks at no
/// such words. They are offered by what is added to the generated text.
fn without_lesson(command: &clap::Command) -> clap::Command {
    clap::Command::new(NAME)
        .args(command.get_arguments().filter(|arg| arg.get_id() != "lesson"))
        .subcommands(command.get_subcommands())
}

/// Where a lesson can be opened: `05-pid:fork`.
fn places(lesson: &Lesson) -> Vec<String> {
    lesson.steps.iter().map(|step| format!("{}:{}", lesson.name, step.id)).collect()
}

/// A colon parts words in bash: what follows it is all that may be offered.
const BASH: &str = r#"
# LESSON:STEP, once there is a colon.
_hardway_steps() {
    local line=${COMP_LINE:0:COMP_POINT}
    local word=${line##*[[:space:]]}
    if [[ $word == *:* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "PLACES" -- "$word")
        COMPREPLY=("${COMPREPLY[@]#"${word%%:*}:"}")
    else
        _hardway "$@"
    fi
}
complete -F _hardway_steps -o bashdefault -o default hardway"#;

const ZSH: &str = r#"
# LESSON, and LESSON:STEP once there is a colon.
_hardway_steps() {
    if [[ $PREFIX == *:* ]]; then
        compadd -- PLACES
    else
        (( CURRENT > 2 )) || compadd -- LESSONS
        _hardway "$@"
    fi
}
compdef _hardway_steps hardway"#;

const FISH: &str = r#"
# LESSON, and LESSON:STEP once there is a colon.
complete -c hardway -n "string match -q '*:*' -- (commandline -ct)" -f -a "PLACES"
complete -c hardway -n "not string match -q '*:*' -- (commandline -ct); and __fish_hardway_needs_command" -f -a "LESSONS"
complete -c hardway -n "__fish_hardway_using_subcommand run" -f -a "LESSONS"
complete -c hardway -n "__fish_hardway_using_subcommand lesson; and __fish_seen_subcommand_from test script" -a "LESSONS""#;

/// `hardway man`.
pub fn man() -> ExitCode {
    let mut command = Cli::command();
    command.build();
    let mut page = Roff::new();
    page.control("TH", [NAME, "1"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{NAME} - {}", about(&command)))]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(NAME), roman(" ["), italic("OPTIONS"), roman("] ["), italic("LESSON[:STEP]"), roman("]")]);
    page.control("br", []);
    page.text([bold(NAME), roman(" "), italic("COMMAND"), roman(" ...")]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in ABOUT.split("\n\n") {
        page.control("PP", []);
        page.text([roman(paragraph)]);
    }
    let mut options = Vec::new();
    // Writing to memory does not fail.
    let _ = Man::new(command.clone()).render_options_section(&mut options);
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    commands_of(&command, &mut commands);
    let mut rest = Roff::new();
    table(&mut rest, "EXIT STATUS", EXIT_STATUS, bold);
    table(&mut rest, "FILES", FILES, italic);
    table(&mut rest, "ENVIRONMENT", ENVIRONMENT, bold);
    table(&mut rest, "EXAMPLES", EXAMPLES, bold);
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(
        "namespaces(7), cgroups(7), capabilities(7), user_namespaces(7), unshare(1), nsenter(1), lsns(8), subuid(5)",
    )]);
    let texts = [page.to_roff(), String::from_utf8_lossy(&options).into_owned(), commands.to_roff(), rest.render()];
    texts.iter().for_each(|text| super::say(text.trim_end()));
    ExitCode::SUCCESS
}

fn about(command: &clap::Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// A part for each command that does something, those of `lesson` included.
fn commands_of(command: &clap::Command, page: &mut Roff) {
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        if one.has_subcommands() {
            commands_of(one, page);
            continue;
        }
        let usage = one.clone().render_usage().to_string();
        page.control("SS", [usage.trim_start_matches("Usage: ")]);
        page.text([roman(format!("{}.", about(one)))]);
        let own = one.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
        let (told, own): (Vec<&Arg>, Vec<&Arg>) = own.partition(|arg| IDS.contains(&arg.get_id().as_str()));
        for arg in own {
            page.control("TP", []);
            page.text([bold(arg.to_string())]);
            page.text([roman(help_of(arg))]);
        }
        if !told.is_empty() {
            page.control("PP", []);
            page.text([roman("The options on ids are those above.")]);
        }
        if let Some(examples) = one.get_after_help() {
            page.control("PP", []);
            page.control("nf", []);
            page.text([roman(examples.to_string())]);
            page.control("fi", []);
        }
    }
}

/// What an option does, and the words that it takes.
fn help_of(arg: &Arg) -> String {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if arg.get_action().takes_values() && !words.is_empty() {
        help.push_str(&format!(": {}", words.join(", ")));
    }
    help
}

fn table(page: &mut Roff, title: &str, rows: &[(&str, &str)], style: impl Fn(String) -> Inline) {
    page.control("SH", [title]);
    for (left, right) in rows {
        page.control("TP", []);
        page.text([style((*left).to_owned())]);
        page.text([roman(*right)]);
    }
}
