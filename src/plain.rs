//! The same session as lines: for dumb terminals, screen readers and logs. Nothing is drawn, nothing needs colour.

mod network;
mod show;

use std::io::{BufRead, Write};
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::agent::client::{self, Keeper};
use crate::explain::Explanation;
use crate::session::store::Store;
use crate::walk::actor::Actor;
use crate::walk::entry::CourseEntry;
use crate::walk::hands::Hands;
use crate::walk::{News, Order, View};

/// Rows and columns of the shell's terminal: wide, so that few lines are broken.
const SHELL: (u16, u16) = (50, 160);

/// How long a typed line is waited for.
const LINE_DEADLINE: Duration = Duration::from_secs(15);

/// One command: its short form, its word, what stands behind it, and what it does.
struct Spec(&'static str, &'static str, &'static str, &'static str);

/// All commands, in the order of the help.
const COMMANDS: &[Spec] = &[
    Spec("n", "next", "", "do the step by system calls; when it is done, go on"),
    Spec("b", "back", "", "one step back"),
    Spec("g", "goto", "N", "go to step N; its state is built"),
    Spec("r", "reset", "", "start the lesson again"),
    Spec("p", "predict", "N", "guess what will happen; the number alone does too"),
    Spec("=", "answer", "TEXT", "answer the step's question"),
    Spec("c", "check", "", "check the step, whoever did it"),
    Spec("h", "hint", "", "one more hint"),
    Spec("t", "type", "", "type the step's commands for me"),
    Spec("!", "shell", "LINE", "type a line into your shell in the lab; ! ^C ends what runs there"),
    Spec("ns", "newshell", "", "end the shell, whatever it runs, and start a new one"),
    Spec("s", "state", "[PANEL]", "live state: what the step watches, or one panel, or all"),
    Spec("d", "diff", "[start]", "what changed since the step, or since the start (dd)"),
    Spec("ba", "beside", "[start]", "the same, each value before and now"),
    Spec("e", "explain", "WORDS", "the rows that have these words: source, command, meaning"),
    Spec("k", "calls", "[N]", "the calls of this step, or of step N, and what they made"),
    Spec("l", "steps", "", "the steps of this lesson"),
    Spec("i", "text", "", "the step again: what it is about"),
    Spec("no", "notes", "", "the instructor's notes on this step"),
    Spec("w", "words", "[WORD]", "the words in this step, or what a word means; all lists them"),
    Spec("/", "search", "WORDS", "search the course, its words, and the rows here"),
    Spec("m", "map", "[NAME]", "the course, or the steps of one lesson"),
    Spec("o", "open", "NAME[:STEP]", "open a lesson; alone it lists them"),
    Spec("hi", "history", "", "how containers came about"),
    Spec("?", "help", "", "this help"),
    Spec("q", "quit", "", "take everything back and leave"),
];

/// Reads commands, line by line, until `q` or the end of the input.
///
/// # Errors
/// Where the output can not be written.
pub fn run(
    keeper: Keeper,
    course: &[CourseEntry],
    store: Option<Store>,
    start: Option<(String, Option<String>)>,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<(), Explanation> {
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    // The person may think for an hour before the next line; what the keeper held must not wait for that.
    keeper.when_it_ends(move || {
        if !is_over.load(Ordering::SeqCst) {
            client::revert_dead();
            // To standard error: standard output is locked by whoever waits for the next line.
            eprintln!("\nhardway's keeper was ended from outside, and the lab with it. Start hardway again.");
            std::process::exit(1);
        }
    });
    let (tell, news) = mpsc::channel();
    let actor = Actor::new(keeper, store, move |one| {
        let _ = tell.send(one);
    });
    let mut plain = Plain { actor, news, view: None, hands: None, course: course.to_vec(), output };
    let result = plain.converse(start, input);
    over.store(true, Ordering::SeqCst);
    match result {
        // Whoever read this has seen enough: `hardway --plain | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| {
            let fix = "is there room where the output goes?";
            Explanation::new("The text could not be written", error.to_string(), fix)
        }),
    }
}

struct Plain<'a, Tell: FnMut(News)> {
    actor: Actor<Tell>,
    news: mpsc::Receiver<News>,
    view: Option<Arc<View>>,
    hands: Option<Hands>,
    course: Vec<CourseEntry>,
    output: &'a mut dyn Write,
}

impl<Tell: FnMut(News)> Plain<'_, Tell> {
    fn converse(&mut self, start: Option<(String, Option<String>)>, input: &mut dyn BufRead) -> std::io::Result<()> {
        match start {
            Some((lesson, step)) => self.order(Order::Open { lesson, step })?,
            None => show::list(&self.course, self.output)?,
        }
        loop {
            write!(self.output, "hardway> ")?;
            self.output.flush()?;
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return writeln!(self.output);
            }
            let (word, rest) = split(line.trim());
            if word == "q" || word == "quit" {
                return Ok(());
            }
            self.command(word, rest)?;
        }
    }

    fn command(&mut self, word: &str, rest: &str) -> std::io::Result<()> {
        // The first form of a command stands for all.
        let known = COMMANDS.iter().find(|Spec(short, long, ..)| *short == word || *long == word);
        match known.map_or(word, |Spec(short, ..)| short) {
            "" | "n" => self.order(Order::Next),
            "b" => self.order(Order::Back),
            "r" => self.order(Order::Reset),
            "g" => match number(rest) {
                Some(step) => self.order(Order::Goto(step)),
                None => writeln!(self.output, "which step? for example: g 2"),
            },
            "p" => match number(rest) {
                Some(choice) => self.order(Order::Predict(choice)),
                None => writeln!(self.output, "which guess? for example: p 2"),
            },
            "c" => self.order(Order::Check),
            "h" => self.order(Order::Hint),
            "=" => self.order(Order::Answer(rest.to_owned())),
            "t" => self.type_step(),
            "!" => self.type_line(rest, None),
            "ns" => {
                self.hands = None;
                self.order(Order::NewShell(SHELL.0, SHELL.1))?;
                self.first_prompt()
            }
            "s" => {
                self.order(Order::Sample)?;
                self.with_view(|view, out| show::state(view, rest, out))
            }
            "d" => self.with_view(|view, out| show::differences(view, rest == "start", false, out)),
            "dd" => self.with_view(|view, out| show::differences(view, true, false, out)),
            "ba" => self.with_view(|view, out| show::differences(view, rest == "start", true, out)),
            "e" => {
                self.order(Order::Sample)?;
                self.with_view(|view, out| show::explain(view, rest, out))
            }
            "k" => self.with_view(|view, out| show::calls(view, number(rest).unwrap_or(view.position.step), out)),
            "l" => self.with_view(|view, out| show::steps(&view.lesson, &view.records, &view.skipped, out)),
            "i" => self.with_view(|view, out| show::step(view, out)),
            "no" => self.with_view(|view, out| {
                let notes = view.lesson.steps[view.position.step].notes.trim();
                writeln!(out, "{}", if notes.is_empty() { "there are no notes on this step" } else { notes })
            }),
            "w" => show::words(self.view.as_deref(), rest, self.output),
            "/" => show::search(&self.course, self.view.as_deref(), rest, self.output),
            "m" => show::map(&self.course, rest, self.output),
            "o" if rest.is_empty() => show::list(&self.course, self.output),
            "o" => {
                let (lesson, step) = rest.split_once(':').map_or((rest, None), |(lesson, step)| (lesson, Some(step)));
                self.order(Order::Open { lesson: lesson.to_owned(), step: step.map(str::to_owned) })
            }
            "hi" => show::history(self.output),
            guess if number(guess).is_some() => self.order(Order::Predict(number(guess).unwrap_or(0))),
            _ => show::help(self.output),
        }
    }

    /// Types the current step's lines; into a new shell, first those that lead to the step.
    fn type_step(&mut self) -> std::io::Result<()> {
        let Some(view) = self.view.clone() else { return Ok(()) };
        let step = view.position.step;
        let mut before = Vec::new();
        if self.hands.is_none() || !view.hands_fit {
            // The shell that there is ends with the lab host in which calls have done this or the steps before.
            self.hands = None;
            self.order(Order::ShellForHands(SHELL.0, SHELL.1))?;
            self.first_prompt()?;
            before = view.lesson.lines_before(step, &view.skipped);
        } else if view.lesson.begins_anew(step) && view.shell_at_stake {
            self.hands = None;
            self.order(Order::NewShell(SHELL.0, SHELL.1))?;
            self.first_prompt()?;
        }
        let lines = before.iter().zip((0..before.len()).rev().map(Some));
        lines
            .chain(view.lesson.steps[step].by_hand.iter().zip(iter::repeat(None)))
            .try_for_each(|(line, leads)| self.type_line(line, leads))
    }

    /// Shows something of the open lesson.
    fn with_view(&mut self, show: impl FnOnce(&View, &mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
        match self.view.clone() {
            Some(view) => show(&view, self.output),
            None => writeln!(self.output, "no lesson is open: o NAME opens one"),
        }
    }

    /// Gives an order and tells what came of it.
    fn order(&mut self, order: Order) -> std::io::Result<()> {
        self.actor.carry_out(order);
        let before = self.view.clone();
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::View(view) => {
                    if let Some(entry) = self.course.iter_mut().find(|entry| entry.name == view.lesson.name) {
                        entry.remember(&view.records);
                    }
                    self.view = Some(view);
                }
                News::Shell(master) => self.hands = Some(Hands::new(master)),
                News::ShellEnded => {
                    self.hands = None;
                    writeln!(self.output, "(your shell has ended with the lab host that it was in)")?;
                }
                News::Busy(what) => writeln!(self.output, "({what})")?,
                News::Notice(what) => writeln!(self.output, "* {what}")?,
                News::Trouble(explanation) => writeln!(self.output, "! {explanation}")?,
                News::Looked | News::Gauged(_) | News::Watching(_) | News::WatchingNetworks(_) | News::Ended => {}
            }
        }
        let (Some(view), before) = (self.view.clone(), before.as_deref()) else {
            return Ok(());
        };
        let place = |view: &View| (view.lesson.name.clone(), view.position.step);
        let moved =
            before.is_none_or(|before| place(before) != place(&view) || (before.position.done && !view.position.done));
        if moved {
            show::step(&view, self.output)?;
        }
        let fresh = before.filter(|_| !moved);
        if view.report != fresh.and_then(|before| before.report.clone()) && view.report.is_some() {
            show::calls(&view, view.position.step, self.output)?;
        }
        if view.hints.len() > fresh.map_or(0, |before| before.hints.len()) {
            writeln!(self.output, "hint: {}", view.hints.last().map_or("", String::as_str))?;
        }
        if view.verdicts != fresh.map(|before| before.verdicts.clone()).unwrap_or_default() {
            for verdict in &view.verdicts {
                let mark = if verdict.holds { "ok " } else { "NOT" };
                writeln!(self.output, "  {mark} {} – {}", verdict.claim, verdict.seen)?;
            }
        }
        if let Some((text, right, read)) =
            view.answer.as_ref().filter(|_| view.answer != fresh.and_then(|b| b.answer.clone()))
        {
            match (text.is_empty(), right) {
                (true, _) => writeln!(self.output, "  the probe reads: {read}")?,
                (false, true) => writeln!(self.output, "  {text}: right")?,
                (false, false) => writeln!(self.output, "  {text}: no, the probe reads {read}")?,
            }
        }
        if view.position.done && !fresh.is_some_and(|before| before.position.done) {
            show::differences(&view, false, false, self.output)?;
            show::debrief(&view, self.output)?;
        }
        Ok(())
    }

    /// Waits until a new shell is ready.
    fn first_prompt(&mut self) -> std::io::Result<()> {
        match self.hands.as_mut().and_then(|hands| hands.prompt(LINE_DEADLINE)) {
            Some(ended) => self.order(Order::ShellPrompt { status: ended.status, output: ended.output, leads: None }),
            None => Ok(()),
        }
    }

    /// Opens a shell in the lab host. Its first line may be one of a row that was told for the lab host as it is, so that no other is
    /// made for it, as the screen does.
    fn open_shell(&mut self) -> std::io::Result<()> {
        let leads_on = |view: &View| !view.lesson.lines_before(view.position.step, &view.skipped).is_empty();
        if self.view.as_deref().is_some_and(|view| !view.position.done && leads_on(view)) {
            writeln!(self.output, "(this shell is on the host; t brings one to where the step begins)")?;
        }
        self.order(Order::OpenShell(SHELL.0, SHELL.1))?;
        self.first_prompt()
    }

    /// Types a line into the learner's shell, and tells what the terminal showed. Of one that leads to the step: how many more do.
    fn type_line(&mut self, line: &str, leads: Option<usize>) -> std::io::Result<()> {
        if self.hands.is_none() {
            self.open_shell()?;
        }
        let Some(hands) = &mut self.hands else { return Ok(()) };
        if let Err(explanation) = hands.type_line(line) {
            self.hands = None;
            return writeln!(self.output, "! {explanation}");
        }
        match hands.prompt(Duration::from_secs(2)) {
            Some(ended) => {
                for text in ended.output.lines() {
                    writeln!(self.output, "  | {text}")?;
                }
                self.order(Order::ShellPrompt { status: ended.status, output: ended.output, leads })
            }
            None => {
                writeln!(self.output, "  (still in the foreground; ! ^C ends it)")?;
                self.order(Order::Sample)
            }
        }
    }
}

/// A number from 1, as an index from 0.
fn number(text: &str) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_sub(1)
}

/// The first word, and the rest. A mark as the first character is a word by itself.
fn split(line: &str) -> (&str, &str) {
    for mark in ["!", "=", "/"] {
        if let Some(rest) = line.strip_prefix(mark) {
            return (mark, rest.trim());
        }
    }
    line.split_once(' ').map_or((line, ""), |(command, rest)| (command, rest.trim()))
}
