//! `hardway [LESSON[:STEP]]`: the workbench, on the screen or as lines.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc;

use hardway::explain::Explanation;
use hardway::kernel::host::home_of;
use hardway::lesson::builtin;
use hardway::session::store;
use hardway::tui::{self, Setup};
use hardway::walk::News;
use hardway::walk::actor::{Actor, step_number};

use super::lessons::entries;
use super::{open_store, start_keeper};
use crate::cli::Open;

/// `hardway [LESSON[:STEP]]`.
pub fn open(options: Open) -> Result<ExitCode, Explanation> {
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
    let offer = keeper.offer();
    let course = entries(store.as_ref(), &offer);
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
    let setup = Setup {
        course,
        start,
        mode: offer.words().to_owned(),
        notice,
        present: options.present,
        config: store::config(|name| std::env::var_os(name), home_of),
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
