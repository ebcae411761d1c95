//! The same session as lines: for dumb terminals, screen readers and logs. Nothing is drawn, nothing needs colour.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::agent::client::{self, Keeper};
use crate::explain::Explanation;
use crate::kernel::trace::{Part, folded};
use crate::lesson::{Kind, Lesson};
use crate::probe::diff::groups;
use crate::probe::{Change, ChangeKind};
use crate::session::store::Store;
use crate::walk::actor::Actor;
use crate::walk::hands::Hands;
use crate::walk::{News, Order, View};

/// How long a typed line is waited for.
const LINE_DEADLINE: Duration = Duration::from_secs(15);

const HELP: &str = "\
n        do the step; when it is done, go on    b        one step back
r        start the lesson again                 g N      go to step N
c        check the step                         h        a hint
1 2 3 …  predict                                = TEXT   answer the step's question
t        type the step's commands for you       ! LINE   type a line into your shell in the lab
s        live state                             d        what changed since the step · dd since the start
o NAME   open a lesson · o lists them           ? or q   help · quit";

/// Reads commands, line by line, until `q` or the end of the input.
///
/// # Errors
/// Where the output can not be written.
pub fn run(
    keeper: Keeper,
    course: &[Arc<Lesson>],
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
    let mut plain = Plain { actor, news, view: None, hands: None, course, output };
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
    course: &'a [Arc<Lesson>],
    output: &'a mut dyn Write,
}

impl<Tell: FnMut(News)> Plain<'_, Tell> {
    fn converse(&mut self, start: Option<(String, Option<String>)>, input: &mut dyn BufRead) -> std::io::Result<()> {
        match start {
            Some((lesson, step)) => self.order(Order::Open { lesson, step })?,
            None => self.list()?,
        }
        loop {
            write!(self.output, "hardway> ")?;
            self.output.flush()?;
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return writeln!(self.output);
            }
            let (command, rest) = split(line.trim());
            match command {
                "" | "n" => self.order(Order::Next)?,
                "b" => self.order(Order::Back)?,
                "r" => self.order(Order::Reset)?,
                "g" => match rest.parse::<usize>() {
                    Ok(step) if step > 0 => self.order(Order::Goto(step - 1))?,
                    _ => writeln!(self.output, "which step? for example: g 2")?,
                },
                "c" => self.order(Order::Check)?,
                "h" => self.order(Order::Hint)?,
                "=" => self.order(Order::Answer(rest.to_owned()))?,
                "t" => {
                    let Some(view) = self.view.clone() else { continue };
                    let step = view.position.step;
                    let mut lines = view.lesson.steps[step].by_hand.clone();
                    if self.hands.is_none() {
                        self.order(Order::ReadyForHands)?;
                        lines.splice(0..0, view.lesson.lines_before(step));
                    }
                    for line in lines {
                        self.type_line(&line)?;
                    }
                }
                "!" => self.type_line(rest)?,
                "s" => self.state()?,
                "d" => self.differences(false)?,
                "dd" => self.differences(true)?,
                "o" if rest.is_empty() => self.list()?,
                "o" => self.order(Order::Open { lesson: rest.to_owned(), step: None })?,
                "q" => return Ok(()),
                number if number.parse::<usize>().is_ok_and(|n| n > 0) => {
                    self.order(Order::Predict(number.parse::<usize>().unwrap_or(1) - 1))?;
                }
                _ => writeln!(self.output, "{HELP}")?,
            }
        }
    }

    fn list(&mut self) -> std::io::Result<()> {
        writeln!(self.output, "The course:")?;
        for lesson in self.course {
            writeln!(
                self.output,
                "  {:<14} {} ({} steps, {} minutes)",
                lesson.name,
                lesson.title,
                lesson.steps.len(),
                lesson.minutes
            )?;
        }
        writeln!(self.output, "o NAME opens a lesson; ? helps.")
    }

    /// Gives an order and tells what came of it.
    fn order(&mut self, order: Order) -> std::io::Result<()> {
        self.actor.carry_out(order);
        let before = self.view.clone();
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::View(view) => self.view = Some(view),
                News::Shell(master) => self.hands = Some(Hands::new(master)),
                News::ShellEnded => {
                    self.hands = None;
                    writeln!(self.output, "(your shell has ended with the lab host that it was in)")?;
                }
                News::Busy(what) => writeln!(self.output, "({what})")?,
                News::Notice(what) => writeln!(self.output, "* {what}")?,
                News::Trouble(explanation) => writeln!(self.output, "! {explanation}")?,
                News::Ended => {}
            }
        }
        let (Some(view), before) = (self.view.clone(), before.as_deref()) else {
            return Ok(());
        };
        let place = |view: &View| (view.lesson.name.clone(), view.position.step);
        let moved =
            before.is_none_or(|before| place(before) != place(&view) || (before.position.done && !view.position.done));
        if moved {
            self.step(&view)?;
        }
        let fresh = before.filter(|_| !moved);
        if view.report != fresh.and_then(|before| before.report.clone()) && view.report.is_some() {
            self.trace(&view)?;
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
            self.differences(false)?;
            self.debrief(&view)?;
        }
        Ok(())
    }

    fn step(&mut self, view: &View) -> std::io::Result<()> {
        let step = &view.lesson.steps[view.position.step];
        writeln!(
            self.output,
            "\n== {} · step {} of {}: {} ==",
            view.lesson.title,
            view.position.step + 1,
            view.lesson.steps.len(),
            step.title
        )?;
        writeln!(self.output, "{}", step.explain.trim_end())?;
        if let Some(reason) = &view.skipped[view.position.step] {
            writeln!(self.output, "(not here: {reason})")?;
        }
        if let Some(predict) = &step.predict {
            writeln!(self.output, "predict: {}", predict.ask)?;
            for (index, choice) in predict.choices.iter().enumerate() {
                writeln!(self.output, "  {} {choice}", index + 1)?;
            }
        }
        if let Some(question) = &step.question {
            writeln!(self.output, "question: {} (answer with = TEXT)", question.ask)?;
        }
        for line in &step.by_hand {
            writeln!(self.output, "  by hand: $ {line}")?;
        }
        Ok(())
    }

    fn trace(&mut self, view: &View) -> std::io::Result<()> {
        let Some(report) = &view.report else { return Ok(()) };
        for (action, performed) in &report.actions {
            writeln!(self.output, "- {}", action.mechanism().sentence())?;
            for part in folded(&performed.calls) {
                match part {
                    Part::Call(call) => {
                        writeln!(self.output, "    {}: {call}   [{} µs]", call.by, call.nanos / 1000)?;
                    }
                    Part::Folded { count, kinds } => {
                        writeln!(self.output, "    … {count} more: {kinds}; `hardway run --json` has each")?;
                    }
                }
            }
            if let Some(line) = action.mechanism().shell() {
                writeln!(self.output, "    in a shell: $ {line}")?;
            }
            if let Ok(outcome) = &performed.result {
                for effect in action.mechanism().effects() {
                    writeln!(self.output, "    made: {}; {}", effect.what, effect.home.end())?;
                }
                for line in outcome.output.lines() {
                    writeln!(self.output, "    | {line}")?;
                }
            }
        }
        Ok(())
    }

    fn debrief(&mut self, view: &View) -> std::io::Result<()> {
        let step = &view.lesson.steps[view.position.step];
        if let Some(predict) = &step.predict {
            let right = predict.choices.get(predict.answer).map_or("", String::as_str);
            let verdict = match view.records[view.position.step].predicted {
                Some(choice) if choice == predict.answer => "you predicted that: ",
                Some(_) => "you predicted something else; it is ",
                None => "the prediction would have been ",
            };
            writeln!(self.output, "{verdict}{right}. {}", predict.because.trim())?;
        }
        if step.kind == Kind::Fail {
            writeln!(self.output, "(this step is there to fail)")?;
        }
        writeln!(self.output, "{}", step.debrief.trim_end())
    }

    fn state(&mut self) -> std::io::Result<()> {
        self.order(Order::Sample)?;
        let Some(view) = self.view.clone() else { return writeln!(self.output, "no lesson is open: o NAME opens one") };
        let watch = &view.lesson.steps[view.position.step].watch;
        for row in view.rows.iter().filter(|row| watch.contains(&row.panel)) {
            writeln!(self.output, "{}: {} · {} = {}   ({})", row.panel, row.subject, row.key, row.value, row.source)?;
        }
        Ok(())
    }

    fn differences(&mut self, since_start: bool) -> std::io::Result<()> {
        let Some(view) = self.view.clone() else { return writeln!(self.output, "no lesson is open: o NAME opens one") };
        let changes = if since_start { &view.since_start } else { &view.since_step };
        let watch = &view.lesson.steps[view.position.step].watch;
        let watched: Vec<Change> = changes.iter().filter(|change| watch.contains(&change.row.panel)).cloned().collect();
        for group in groups(&watched) {
            let (change, row) = (&watched[group[0]], &watched[group[0]].row);
            let (came, count) = (change.kind == ChangeKind::Added, group.len());
            if count > 1 {
                let sign = if came { '+' } else { '-' };
                writeln!(self.output, "  {sign} {} · {}: {count} values", row.subject, row.panel)?;
                continue;
            }
            match &change.kind {
                ChangeKind::Added => writeln!(self.output, "  + {} · {} = {}", row.subject, row.key, row.value)?,
                ChangeKind::Removed => writeln!(self.output, "  - {} · {} = {}", row.subject, row.key, row.value)?,
                ChangeKind::Changed { before } => {
                    writeln!(self.output, "  ~ {} · {} = {} (was {before})", row.subject, row.key, row.value)?;
                }
            }
        }
        if watched.is_empty() {
            writeln!(self.output, "  nothing that this step watches has changed")?;
        }
        Ok(())
    }

    /// Types a line into the learner's shell, and tells what the terminal showed.
    fn type_line(&mut self, line: &str) -> std::io::Result<()> {
        if self.hands.is_none() {
            self.order(Order::OpenShell(50, 160))?;
            if let Some(ended) = self.hands.as_mut().and_then(|hands| hands.prompt(LINE_DEADLINE)) {
                self.order(Order::ShellPrompt { status: ended.status, output: ended.output })?;
            }
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
                self.order(Order::ShellPrompt { status: ended.status, output: ended.output })
            }
            None => {
                writeln!(self.output, "  (still in the foreground; ! ^C ends it)")?;
                self.order(Order::Sample)
            }
        }
    }
}

/// The first word, and the rest. A mark as the first character is a word by itself.
fn split(line: &str) -> (&str, &str) {
    for mark in ["!", "="] {
        if let Some(rest) = line.strip_prefix(mark) {
            return (mark, rest.trim());
        }
    }
    line.split_once(' ').map_or((line, ""), |(command, rest)| (command, rest.trim()))
}
