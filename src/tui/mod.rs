//! The terminal screen: model, messages, commands, drawing; and the loop that feeds them.
//!
//! [`app::Model`] is plain data. [`update`] changes it by messages and answers with effects, without input or output.
//! [`view`] draws it and changes nothing. Only this file and [`terminal`], [`pty`] and [`notices`] touch the world.

pub mod app;
pub mod command;
pub mod derived;
pub mod doc;
pub mod event;
pub mod front;
pub mod fuzzy;
pub mod graphs;
pub mod keymap;
pub mod keys;
pub mod layout;
pub mod notices;
pub mod pty;
pub mod settings;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;

#[cfg(test)]
pub(crate) mod fixture;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crossterm::event::EventStream;
use futures::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio::time::{Instant, sleep_until};

use self::app::Model;
use self::event::Message;
use self::notices::Notices;
use self::pty::{FromPty, Pty};
use self::settings::Settings;
use self::terminal::Screen;
use self::update::{Effect, update};
use crate::explain::Explanation;
use crate::kernel::sys;
pub use crate::walk::entry::CourseEntry;
use crate::walk::{News, Order};

/// How often live state is sampled.
const SAMPLE: Duration = Duration::from_secs(1);
/// How often what is drawn over time is sampled, while it is seen.
const BEAT: Duration = Duration::from_millis(250);
/// How long after Enter in the shell the next sample is taken.
const SOON: Duration = Duration::from_millis(150);
/// How long the end may take before the screen closes without it; the keeper goes on by itself.
const END: Duration = Duration::from_secs(3);
/// How many messages are taken in before a frame is drawn.
const AT_ONCE: usize = 64;
/// How many pieces of the shell's output may wait for the screen.
const OUTPUT: usize = 16;

/// What the screen starts with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The lessons.
    pub course: Vec<CourseEntry>,
    /// The lesson, and the step in it, to open at once.
    pub start: Option<(String, Option<String>)>,
    /// How ids are mapped, in words: `root`, `rootless, id range`.
    pub mode: String,
    /// Something to tell before all else.
    pub notice: Option<Explanation>,
    /// Whether to start in the presenter's view.
    pub present: bool,
    /// Where the learner's own keys and theme are kept; none where they can not be.
    pub config: Option<PathBuf>,
}

/// Runs the screen until the learner quits. The walker lives on another thread; orders go to it, news come from it.
///
/// # Errors
/// Where there is no terminal, where a setting can not be understood, and where the walker ended by itself.
pub fn run(setup: Setup, orders: Sender<Order>, news: UnboundedReceiver<News>) -> Result<(), Explanation> {
    let settings = Settings::read(setup.config.as_deref(), |name| std::env::var(name).ok())?;
    let trouble = |error: io::Error| {
        Explanation::new(
            "The screen can not be shown.",
            format!("The terminal: {error}."),
            "Run hardway in a terminal, or with --plain for lines instead of a screen.",
        )
    };
    let mut screen = Screen::enter().map_err(trouble)?;
    let size = screen.size().map_err(trouble)?;
    let model = Model::new(&setup, settings, size);
    // Before anything else, the runtime included: a frame.
    screen.draw(&model).map_err(trouble)?;
    if let Some((lesson, step)) = setup.start {
        let _ = orders.send(Order::Open { lesson, step });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(trouble)?;
    runtime.block_on(async {
        let mut work = Loop::new(screen, model, setup.config, orders, news).map_err(trouble)?;
        work.run().await.map_err(trouble)?
    })
}

/// Everything outside the model that the loop holds.
struct Loop {
    screen: Screen,
    model: Model,
    /// Where the learner's own choices are kept.
    config: Option<PathBuf>,
    orders: Sender<Order>,
    news: UnboundedReceiver<News>,
    events: EventStream,
    output: Receiver<FromPty>,
    to_loop: mpsc::Sender<FromPty>,
    pty: Option<Pty>,
    /// Counts the shells, so that the last words of an old one are not taken for those of the new one.
    shells: u64,
    /// What the kernel tells by itself, and who listens.
    told: Receiver<bool>,
    to_told: mpsc::Sender<bool>,
    notices: Notices,
    of_networks: Notices,
    next_sample: Instant,
    next_beat: Instant,
    deadline: Option<Instant>,
    ends: [Signal; 2],
    stops: Signal,
}

/// What woke the loop.
enum Woken {
    Message(Message),
    Shell(std::os::fd::OwnedFd),
    Watching(Vec<std::os::fd::OwnedFd>),
    WatchingNetworks(Vec<std::os::fd::OwnedFd>),
    Stop,
    Nothing,
    TerminalGone,
    WalkerGone,
    Overdue,
}

impl Loop {
    fn new(
        screen: Screen,
        model: Model,
        config: Option<PathBuf>,
        orders: Sender<Order>,
        news: UnboundedReceiver<News>,
    ) -> io::Result<Self> {
        let (to_loop, output) = mpsc::channel(OUTPUT);
        let (to_told, told) = mpsc::channel(OUTPUT);
        Ok(Self {
            screen,
            model,
            config,
            orders,
            news,
            events: EventStream::new(),
            output,
            to_loop,
            pty: None,
            shells: 0,
            told,
            to_told,
            notices: Notices::default(),
            of_networks: Notices::default(),
            next_sample: Instant::now() + SAMPLE,
            next_beat: Instant::now(),
            deadline: None,
            ends: [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?],
            stops: signal(SignalKind::from_raw(sys::TERMINAL_STOP))?,
        })
    }

    async fn run(&mut self) -> io::Result<Result<(), Explanation>> {
        let mut next = None;
        loop {
            let mut woken = match next.take() {
                Some(woken) => woken,
                None => self.wait().await,
            };
            let mut changed = false;
            // Takes in what has come meanwhile, so that a flood of output costs one frame and not hundreds.
            for taken in 1.. {
                if let Some(end) = self.take(woken, &mut changed)? {
                    return Ok(end);
                }
                // With this task's own waker: the event stream keeps the one of the first time it had nothing.
                let come = tokio::select! {
                    biased;
                    come = self.wait() => come,
                    () = std::future::ready(()) => break,
                };
                if taken == AT_ONCE {
                    next = Some(come);
                    break;
                }
                woken = come;
            }
            if changed {
                self.screen.draw(&self.model)?;
            }
        }
    }

    /// The next thing that happens; the learner's keys before all else.
    async fn wait(&mut self) -> Woken {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let [terminate, hangup] = &mut self.ends;
        tokio::select! {
            biased;
            _ = terminate.recv() => Woken::Message(Message::Terminate),
            _ = hangup.recv() => Woken::Message(Message::Terminate),
            _ = self.stops.recv() => Woken::Stop,
            event = self.events.next() => match event {
                Some(Ok(event)) => Message::from_terminal(event).map_or(Woken::Nothing, Woken::Message),
                Some(Err(_)) | None => Woken::TerminalGone,
            },
            news = self.news.recv() => match news {
                Some(News::Shell(master)) => Woken::Shell(master),
                Some(News::Watching(fds)) => Woken::Watching(fds),
                Some(News::WatchingNetworks(fds)) => Woken::WatchingNetworks(fds),
                Some(news) => Woken::Message(Message::News(news)),
                None => Woken::WalkerGone,
            },
            Some(output) = self.output.recv() => match output {
                FromPty::Bytes(shell, bytes) if shell == self.shells => Woken::Message(Message::Output(bytes)),
                FromPty::End(shell) if shell == self.shells => Woken::Message(Message::News(News::ShellEnded)),
                _ => Woken::Nothing,
            },
            Some(groups) = self.told.recv() => Woken::Message(Message::Notified { groups }),
            () = sleep_until(self.next_sample) => {
                self.next_sample = Instant::now() + SAMPLE;
                Woken::Message(Message::Tick)
            }
            () = sleep_until(self.next_beat), if self.model.graphs.any() => {
                self.next_beat = Instant::now() + BEAT;
                Woken::Message(Message::Beat)
            }
            () = sleep_until(deadline) => Woken::Overdue,
        }
    }

    /// Takes one thing in; says how the screen ends where it does.
    fn take(&mut self, woken: Woken, changed: &mut bool) -> io::Result<Option<Result<(), Explanation>>> {
        let message = match woken {
            Woken::Nothing => return Ok(None),
            Woken::Overdue => return Ok(Some(Ok(()))),
            Woken::WalkerGone if self.model.ending => return Ok(Some(Ok(()))),
            Woken::WalkerGone => {
                let why = "The part of hardway that holds the lab host has ended by itself.";
                let fix = "The keeper takes everything back; `hardway cleanup` makes sure. Then start again.";
                return Ok(Some(Err(Explanation::new("The lesson can not go on.", why, fix))));
            }
            Woken::Stop => {
                self.perform(Effect::Suspend)?;
                *changed = true;
                return Ok(None);
            }
            Woken::TerminalGone if self.model.ending => return Ok(None),
            Woken::TerminalGone => Message::Terminate,
            Woken::Shell(master) => {
                self.shells += 1;
                self.pty = Some(Pty::start(master, self.shells, self.to_loop.clone())?);
                Message::ShellOpened
            }
            Woken::Watching(fds) => {
                self.notices = Notices::start(fds, &self.to_told);
                return Ok(None);
            }
            Woken::WatchingNetworks(fds) => {
                self.of_networks = Notices::of_networks(fds, &self.to_told);
                return Ok(None);
            }
            Woken::Message(message) => message,
        };
        // A second that passed shows nothing by itself, unless a word on the screen goes away.
        let still = self.model.notice.is_none() && self.model.frozen.is_none();
        let graphs = matches!(message, Message::Beat | Message::Notified { .. } | Message::News(News::Gauged(_)));
        let quiet = graphs || (matches!(message, Message::Tick) && still);
        *changed |= !quiet;
        let drawn = self.model.graphs.version();
        let ending = self.model.ending;
        for effect in update(&mut self.model, message) {
            if matches!(effect, Effect::Leave) {
                return Ok(Some(Ok(())));
            }
            self.perform(effect)?;
        }
        *changed |= drawn != self.model.graphs.version();
        if self.model.ending && !ending {
            self.deadline = Some(Instant::now() + END);
        }
        Ok(None)
    }

    fn perform(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Send(order) => {
                // A walker that is gone is noticed where its news are awaited.
                let _ = self.orders.send(order);
            }
            Effect::Write(bytes) => {
                if let Some(pty) = &self.pty {
                    pty.write(bytes);
                }
            }
            Effect::Copy(text) => self.screen.copy(&text)?,
            Effect::SampleSoon => self.next_sample = self.next_sample.min(Instant::now() + SOON),
            Effect::Suspend => {
                self.screen.aside(sys::stop_self)?;
                let (columns, rows) = self.screen.size()?;
                update(&mut self.model, Message::Resized(columns, rows));
            }
            Effect::KeepTheme(name) => match self.config.as_ref().map(|dir| settings::keep_theme(dir, name)) {
                Some(Ok(())) => self.model.say(format!("the theme {name}, from now on")),
                Some(Err(error)) => self.model.say(format!("the theme {name}; it could not be kept: {error}")),
                None => self.model.say(format!("the theme {name}; there is no place to keep it")),
            },
            Effect::Redraw => self.screen.forget()?,
            Effect::Leave => {}
        }
        Ok(())
    }
}
