//! The walker on a thread of its own: orders in, news out, one at a time.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};

use super::walker::Walker;
use super::{Look, News, Order, View};
use crate::agent::client::{self, Keeper};
use crate::explain::Explanation;
use crate::lesson::{Lesson, builtin};
use crate::session::store::Store;
use crate::session::{Position, Session};

/// Whoever carries out the learner's orders.
pub struct Actor<Tell: FnMut(News)> {
    /// The keeper while no lesson is open; the walker has it otherwise.
    keeper: Option<Keeper>,
    walker: Option<Walker>,
    store: Option<Store>,
    /// The last view sent: nothing is sent twice.
    sent: Option<Arc<View>>,
    /// Our duplicate of the shell's terminal, to tell it its size.
    terminal: Option<OwnedFd>,
    /// Whether the shell has not shown its first prompt yet.
    shell_is_new: bool,
    /// Whether lines are still to come that only bring the shell to where the step begins.
    is_led: bool,
    tell: Tell,
}

impl<Tell: FnMut(News)> Actor<Tell> {
    /// An actor without a lesson.
    pub fn new(keeper: Keeper, store: Option<Store>, tell: Tell) -> Self {
        Self {
            keeper: Some(keeper),
            walker: None,
            store,
            sent: None,
            terminal: None,
            shell_is_new: false,
            is_led: false,
            tell,
        }
    }

    /// Carries out orders until the last one, [`Order::Quit`], or until nobody can give any; then ends everything.
    pub fn run(mut self, orders: &mpsc::Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            if matches!(order, Order::Quit) {
                break;
            }
            self.carry_out(order);
            if !self.keeper_lives() {
                break;
            }
        }
        self.close();
        drop(self.keeper.take());
        (self.tell)(News::Ended);
    }

    /// Carries out one order and tells what came of it.
    pub fn carry_out(&mut self, order: Order) {
        // No view is made for these. That the lab host is gone is told by the next sample.
        let mut lab = self.walker.as_mut().and_then(|walker| walker.lab().ok());
        match &order {
            Order::Gauge(paths) => {
                let gauged = lab.as_mut().and_then(|lab| lab.gauge(paths).ok());
                return (self.tell)(News::Gauged(gauged.unwrap_or_default()));
            }
            Order::Watch(directories) => {
                let fds = lab.as_mut().filter(|_| !directories.is_empty()).and_then(|lab| lab.watch(directories).ok());
                return (self.tell)(News::Watching(fds.unwrap_or_default()));
            }
            Order::WatchNetworks(watch) => {
                let fds = lab.as_mut().filter(|_| *watch).and_then(|lab| lab.watch_networks().ok());
                return (self.tell)(News::WatchingNetworks(fds.unwrap_or_default()));
            }
            _ => {}
        }
        match self.try_order(order) {
            Ok(Look::Same) => return,
            Ok(_) => {}
            Err(explanation) => (self.tell)(News::Trouble(explanation)),
        }
        self.show();
    }

    /// Whether the keeper lives: without it a session can only end.
    pub fn keeper_lives(&self) -> bool {
        self.walker.as_ref().map_or_else(|| self.keeper.as_ref().is_some_and(Keeper::lives), Walker::keeper_lives)
    }

    /// Carries it out. [`Look::Same`] where it has only found everything as it was.
    fn try_order(&mut self, order: Order) -> Result<Look, Explanation> {
        match order {
            Order::Open { lesson, step } => return self.open(&lesson, step.as_deref()).map(|()| Look::Different),
            Order::Close | Order::Quit => {
                self.close();
                return Ok(Look::Different);
            }
            _ => {}
        }
        let Some(walker) = &mut self.walker else { return Ok(Look::Different) };
        let mut look = Look::Different;
        let mut passed = false;
        match order {
            Order::Next => self.next()?,
            Order::Back => {
                let to = walker.session.before();
                self.go(to)?;
            }
            Order::Reset => self.reset()?,
            Order::Goto(step) => self.go(Position { step, done: false })?,
            Order::Check => {
                walker.check()?;
                if let Some(what) = walker.still_to_do() {
                    (self.tell)(News::Notice(what.into()));
                }
            }
            Order::Hint => {
                if !walker.hint() {
                    (self.tell)(News::Notice("there are no more hints for this step".into()));
                }
            }
            Order::Predict(choice) => {
                let step = walker.session.position.step;
                walker.session.records[step].predicted = Some(choice);
            }
            Order::Answer(text) => {
                if let Some(word) = walker.answer(&text)? {
                    (self.tell)(News::Notice(word.into()));
                }
            }
            Order::OpenShell(rows, columns) => self.open_shell(rows, columns)?,
            Order::ShellForHands(rows, columns) => {
                walker.ready_for_hands()?;
                let is_led = !walker.lines_before().is_empty();
                self.new_shell(rows, columns)?;
                self.is_led = is_led;
            }
            Order::NewShell(rows, columns) => self.new_shell(rows, columns)?,
            Order::Resize(rows, columns) => {
                if let Some(terminal) = &self.terminal {
                    client::resize(terminal, rows, columns);
                }
            }
            Order::ShellPrompt { .. } if std::mem::take(&mut self.shell_is_new) => {
                walker.observe()?;
                walker.shell_came_up();
                (self.tell)(News::Looked);
            }
            // What leads to the step is not the step, though its check may hold on the way.
            Order::ShellPrompt { leads: Some(more), .. } => {
                self.is_led = more > 0;
                walker.come_nearer()?;
                (self.tell)(News::Looked);
            }
            Order::ShellPrompt { status, output, leads: None } => {
                self.is_led = false;
                passed = walker.look()? == Look::Passed || walker.command_ended(status, &output);
                (self.tell)(News::Looked);
            }
            Order::Sample if self.is_led => {
                look = if walker.observe()? { Look::Different } else { Look::Same };
            }
            Order::Sample => {
                look = walker.look()?;
                passed = look == Look::Passed;
            }
            Order::Open { .. } | Order::Close | Order::Gauge(_) => {}
            Order::Watch(_) | Order::WatchNetworks(_) | Order::Quit => {}
        }
        self.save();
        if passed {
            // First what is so, then the word on it: whoever reads that may press a key at once.
            self.show();
            (self.tell)(News::Notice("done by hand: the check holds".into()));
        }
        Ok(look)
    }

    fn open(&mut self, name: &str, step: Option<&str>) -> Result<(), Explanation> {
        self.close();
        let Some(offer) = self.keeper.as_ref().map(Keeper::offer) else { return Ok(()) };
        let lesson = Arc::new(builtin::renumbered(builtin::find(name)?, &offer).on(&offer));
        let steps = lesson.steps.len();
        let mut session =
            self.store.as_ref().and_then(|store| store.load(&lesson)).unwrap_or_else(|| Session::new(steps));
        if let Some(wanted) = step {
            session.go(Position { step: step_number(&lesson, wanted)?, done: false });
        }
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        (self.tell)(News::Busy(format!("making a lab host for {}", lesson.title)));
        match Walker::open(keeper, lesson, session) {
            Ok(walker) => {
                self.walker = Some(walker);
                Ok(())
            }
            Err((keeper, explanation)) => {
                self.keeper = Some(keeper);
                Err(explanation)
            }
        }
    }

    /// Leaves the lesson: its lab host ends.
    fn close(&mut self) {
        self.save();
        self.terminal = None;
        self.sent = None;
        if let Some(walker) = self.walker.take() {
            self.keeper = Some(walker.close());
        }
    }

    fn next(&mut self) -> Result<(), Explanation> {
        let Some(walker) = &mut self.walker else { return Ok(()) };
        let Position { step, done } = walker.session.position;
        if walker.skipped(step).is_some() {
            // Its text says why; there is nothing to be done and to be looked at.
            walker.session.position.done = true;
        } else if !done {
            let lab = walker.lab().ok().map(|lab| lab.pid);
            let report = walker.perform_step();
            self.lab_changed(lab);
            let report = report?;
            if !report.held() {
                (self.tell)(News::Notice("the step did not do what it should: see the checks".into()));
            }
            return Ok(());
        }
        if walker.session.finished() {
            (self.tell)(News::Notice("that was the last step of this lesson".into()));
            return Ok(());
        }
        walker.session.advance();
        let to = walker.session.position;
        walker.stand_before(to.step)
    }

    /// Goes elsewhere; where that takes a new lab host, the shell is gone and is opened anew by the screen.
    fn go(&mut self, to: Position) -> Result<(), Explanation> {
        let Some(walker) = &mut self.walker else { return Ok(()) };
        let lab = walker.lab().ok().map(|lab| lab.pid);
        let gone = walker.go(to);
        self.lab_changed(lab);
        gone
    }

    fn reset(&mut self) -> Result<(), Explanation> {
        let Some(walker) = &mut self.walker else { return Ok(()) };
        let lab = walker.lab().ok().map(|lab| lab.pid);
        walker.session = Session::new(walker.lesson.steps.len());
        let made = walker.rebuild();
        self.lab_changed(lab);
        made
    }

    /// Tells the screen when the lab host is not the one that it was, and so the shell is gone.
    fn lab_changed(&mut self, before: Option<i32>) {
        let now = self.walker.as_mut().and_then(|walker| walker.lab().ok().map(|lab| lab.pid));
        if now != before && self.terminal.take().is_some() {
            (self.tell)(News::ShellEnded);
        }
    }

    fn open_shell(&mut self, rows: u16, columns: u16) -> Result<(), Explanation> {
        let Some(walker) = &mut self.walker else { return Ok(()) };
        let master = walker.lab()?.open_shell(rows, columns)?;
        self.terminal = master.as_fd().try_clone_to_owned().ok();
        (self.shell_is_new, self.is_led) = (true, false);
        (self.tell)(News::Shell(master));
        Ok(())
    }

    fn new_shell(&mut self, rows: u16, columns: u16) -> Result<(), Explanation> {
        if let Some(walker) = &mut self.walker {
            walker.lab()?.end_shell()?;
        }
        self.terminal = None;
        self.open_shell(rows, columns)
    }

    fn save(&mut self) {
        if let (Some(store), Some(walker)) = (&mut self.store, &self.walker)
            && let Err(explanation) = store.save(&walker.lesson, &walker.session)
        {
            // Once: a home that can not be written does not become writable by asking again.
            self.store = None;
            (self.tell)(News::Trouble(explanation));
        }
    }

    /// Sends the state of things, where it is not what was sent last.
    fn show(&mut self) {
        let Some(walker) = &self.walker else { return };
        let view = walker.view();
        if self.sent.as_deref() != Some(&view) {
            let view = Arc::new(view);
            self.sent = Some(Arc::clone(&view));
            (self.tell)(News::View(view));
        }
    }
}

/// A step by its short name, or by its number from 1.
///
/// # Errors
/// Where the lesson has no such step; names those that it has.
pub fn step_number(lesson: &Lesson, wanted: &str) -> Result<usize, Explanation> {
    let by_number = wanted.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < lesson.steps.len());
    lesson.step_index(wanted).or(by_number).ok_or_else(|| {
        let ids: Vec<&str> = lesson.steps.iter().map(|step| step.id.as_str()).collect();
        Explanation::new(
            format!("The lesson {} has no step {wanted:?}", lesson.name),
            format!("it has {} steps: {}", ids.len(), ids.join(", ")),
            format!("for example: hardway {}:{}", lesson.name, ids.first().unwrap_or(&"1")),
        )
    })
}
