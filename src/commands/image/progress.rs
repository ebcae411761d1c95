//! What a person sees of a transfer: a bar for each blob on a terminal, a line for each elsewhere; and the requests, where they are wanted.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::thread;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rootfs_fetch::Cancel;
use rootfs_fetch::client::{Exchange, Observer};
use rootfs_fetch::image::Digest;
use rootfs_fetch::store::ImageLayer;
use rootfs_fetch::transfer::{Event, Item, Kind, Progress, There};
use rootfs_fetch::unpack;
use tokio::signal::unix::{SignalKind, signal};

/// So many digits of a digest tell blobs apart for people, as in the output of other tools.
const SHORT: usize = 12;

/// Tells a transfer on standard error.
pub struct Bars {
    all: MultiProgress,
    one: Mutex<BTreeMap<String, ProgressBar>>,
    is_terminal: bool,
}

impl Bars {
    pub fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { all: MultiProgress::new(), one: Mutex::default(), is_terminal }
    }

    fn begin(&self, item: &Item, from: u64) {
        if !self.is_terminal {
            let resumed = if from == 0 { String::new() } else { format!(", from byte {from} on") };
            eprintln!("{} {} {}{resumed}", item.kind, item.digest, bytes(item.size));
        }
        // Where there is no terminal it draws nothing.
        let bar = ProgressBar::new(item.size).with_style(style()).with_prefix(label(item)).with_position(from);
        let bar = self.all.add(bar);
        bar.tick();
        self.bars().insert(item.digest.to_string(), bar);
    }

    /// How far a layer is unpacked.
    pub fn unpacked(&self, layer: &ImageLayer, at: unpack::Progress) {
        let digest = layer.descriptor.digest();
        if !self.bars().contains_key(digest.as_ref()) {
            self.begin(&Item { digest: digest.clone(), size: at.size, kind: Kind::Layer }, 0);
        }
        self.bar(digest, |bar| bar.set_position(at.read));
        if at.done {
            self.bar(digest, ProgressBar::finish);
        }
    }

    fn bars(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        self.one.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn bar(&self, digest: &Digest, deed: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bars().get(digest.as_ref()) {
            deed(bar);
        }
    }

    fn line(&self, line: &str) {
        if self.is_terminal {
            // Where the terminal does not take it, nobody reads it.
            let _ = self.all.println(line);
        } else {
            eprintln!("{line}");
        }
    }
}

impl Progress for Bars {
    fn tell(&self, event: &Event) {
        match event {
            Event::Begun { item, from } => self.begin(item, *from),
            Event::Moved { digest, at } => self.bar(digest, |bar| bar.set_position(*at)),
            Event::Done { digest } => self.bar(digest, ProgressBar::finish),
            Event::There { item, how } => {
                let how = match how {
                    There::Already => "there already".to_owned(),
                    There::Meanwhile => "brought by another meanwhile".to_owned(),
                    There::Mounted(repository) => format!("taken from {repository}"),
                };
                self.line(&format!("{} {how}", label(item)));
            }
            _ => {}
        }
    }
}

/// Tells each exchange on standard error, as curl -v does.
pub struct Verbose;

impl Observer for Verbose {
    fn exchange(&self, exchange: &Exchange) {
        let Exchange { method, url, request_headers, sent, status, response_headers, received, .. } = exchange;
        let mut lines = vec![format!("> {method} {url}")];
        lines.extend(request_headers.iter().map(|(name, value)| format!("> {name}: {value}")));
        if *sent > 0 {
            lines.push(format!("> ({sent} bytes)"));
        }
        if let Some(status) = status {
            lines.push(format!("< {status}"));
        }
        lines.extend(response_headers.iter().map(|(name, value)| format!("< {name}: {value}")));
        if *received > 0 {
            lines.push(format!("< ({received} bytes)"));
        }
        lines.extend(exchange.failure.iter().map(|why| format!("< nothing more: {why}")));
        // One write, since several blobs come at once.
        eprintln!("{}\n", lines.join("\n").chars().map(shown).collect::<String>());
    }
}

/// What a registry says is shown, not obeyed by the terminal.
fn shown(char: char) -> char {
    if char.is_control() && char != '\n' { char::REPLACEMENT_CHARACTER } else { char }
}

/// What is cancelled by Ctrl-C, or by SIGTERM. A second one ends the program at once: nothing that is in the store is harmed by that.
pub fn cancelled_by_signals() -> std::io::Result<Cancel> {
    let cancel = Cancel::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupted, mut told) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let cancels = cancel.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupted.recv() => {} _ = told.recv() => {} }
            cancels.cancel();
            tokio::select! { _ = interrupted.recv() => {} _ = told.recv() => {} }
            std::process::exit(130);
        });
    })?;
    Ok(cancel)
}

/// A number of bytes as people say it.
pub fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// The first digits of a digest.
pub fn short(digest: &Digest) -> &str {
    digest.digest().get(..SHORT).unwrap_or_else(|| digest.digest())
}

fn label(item: &Item) -> String {
    format!("{:<8} {}", item.kind.to_string(), short(&item.digest))
}

fn style() -> ProgressStyle {
    let template = "{prefix} {bar:24} {decimal_bytes:>10} of {decimal_total_bytes:>10} {decimal_bytes_per_sec:>12}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
