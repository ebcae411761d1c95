//! Both truths of a step: the system calls as they were made, and the lines that do the same in a shell.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::markdown;
use crate::kernel::trace::{Answer, Call, Part, folded};
use crate::lesson::Step;
use crate::runtime::action::{Effect, Performed};
use crate::runtime::iptables;
use crate::session::How;
use crate::tui::app::Model;
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean, width};
use crate::tui::theme::Theme;
use crate::walk::View;

/// So many lines of what a program said are shown at first.
const OUTPUT_LINES: usize = 8;

/// Before the step: what will be done. Afterwards: each action with its calls and effects. The shell lines in both. Of an
/// earlier step: what was done in this lab host.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let Some(view) = &model.view else { return doc };
    let at = model.traced();
    let Some(step) = view.lesson.steps.get(at) else { return doc };
    let current = at == view.position.step;
    if !current {
        let title = format!("{}  {}", at + 1, clean(&step.title));
        doc.wrap(&Line::styled(title, theme.heading), 3, None);
    }
    let report = view.history.iter().rfind(|report| report.step == at).filter(|report| !report.actions.is_empty());
    let how = view.records.get(at).and_then(|record| record.how);
    // To whoever types, the lines come first: a small pane has room for one of the two.
    let types = model.capture && current && report.is_none() && !step.actions.is_empty() && !step.by_hand.is_empty();
    if types {
        by_hand(&mut doc, model, step, false);
        doc.heading("By system calls", theme.dim, theme.border);
    }
    match report {
        Some(report) => {
            for (action, performed) in &report.actions {
                let mechanism = action.mechanism();
                doc.wrap(&sentence(&mechanism.sentence(), theme.strong, theme), 2, None);
                if let Some(line) = mechanism.shell() {
                    shell_line(&mut doc, model, &line, true);
                }
                deeds(&mut doc, model, performed);
                if performed.result.is_ok() {
                    effects(&mut doc, theme, &mechanism.effects());
                }
                // Below the calls: they are what the pane is for.
                if let Some(line) = iptables::line(action, view.lesson.actions()) {
                    shell_line(&mut doc, model, &format!("{line}  # the same, with iptables"), false);
                }
            }
        }
        None if step.actions.is_empty() => {
            doc.text("This step makes no system call: it looks at what is there.", theme.dim);
        }
        None if current && view.position.done => {
            let (back, next) = (model.key(Command::Back), model.key(Command::Next));
            let text = format!(
                "Done by hand: the calls were your shell's, and hardway made none. {back}, then {next}, makes them here."
            );
            doc.text(&text, theme.dim);
        }
        None if current => {
            for action in &step.actions {
                doc.wrap(&sentence(&action.mechanism().sentence(), theme.text, theme), 2, None);
            }
        }
        None => {
            let text = match (view.skipped.get(at).and_then(Option::as_ref), how) {
                (Some(reason), _) => format!("not here: {reason}"),
                (None, Some(How::Hands)) => {
                    "Done by hand: the calls were your shell's, and hardway made none.".to_owned()
                }
                (None, _) => "Not done by calls in this lab host.".to_owned(),
            };
            doc.text(&text, theme.dim);
        }
    }
    if !types {
        by_hand(&mut doc, model, step, report.is_some());
    }
    doc
}

fn sentence(text: &str, ground: Style, theme: &Theme) -> Line<'static> {
    Line::from(markdown::inline(text, ground, theme))
}

/// What an action has made, and when that ends.
fn effects(doc: &mut Doc, theme: &Theme, effects: &[Effect]) {
    for effect in effects {
        let spans = vec![
            Span::styled("  made  ", theme.dim),
            Span::raw(clean(&effect.what)),
            Span::styled(format!(" · {}", effect.home.end()), theme.dim),
        ];
        doc.wrap(&Line::from(spans), 8, None);
    }
}

/// How many calls the step made, and how many of them the kernel refused.
pub fn counts(view: &View) -> (usize, usize) {
    let report = view.report.as_ref().filter(|report| report.step == view.position.step);
    let calls = || report.iter().flat_map(|report| &report.actions).flat_map(|(_, performed)| &performed.calls);
    (calls().count(), calls().filter(|call| matches!(call.answer, Answer::Failed(_))).count())
}

/// The lines to type, unless they have just been shown beside their actions.
fn by_hand(doc: &mut Doc, model: &Model, step: &Step, performed: bool) {
    let generated: Vec<String> = step.actions.iter().filter_map(|action| action.mechanism().shell()).collect();
    if step.by_hand.is_empty() || (performed && generated == step.by_hand) {
        return;
    }
    doc.heading("By hand", model.theme.dim, model.theme.border);
    for (index, line) in step.by_hand.iter().enumerate() {
        let typed = index < model.typed && model.trace_of.is_none();
        shell_line(doc, model, line, !typed);
    }
}

fn shell_line(doc: &mut Doc, model: &Model, line: &str, bright: bool) {
    let theme = &model.theme;
    let style = if bright { theme.shell } else { theme.dim };
    let (mark, text) = match line {
        "^C" => ("  ⌨ ", "Ctrl-C".to_owned()),
        "^D" => ("  ⌨ ", "Ctrl-D".to_owned()),
        line => ("  $ ", clean(line)),
    };
    let spans = vec![Span::styled(mark, theme.dim), Span::styled(text, style)];
    doc.wrap(&Line::from(spans), 6, Some(Target::Type(line.to_owned())));
}

/// The beginning of what a program said; unfolded, all of it.
fn output(doc: &mut Doc, model: &Model, performed: &Performed) {
    let (theme, text) = (&model.theme, performed.output());
    let most = if model.unfolded { usize::MAX } else { OUTPUT_LINES };
    for line in text.lines().take(most) {
        doc.wrap(&Line::from(vec![Span::styled("  │ ", theme.border), Span::raw(clean(line))]), 4, None);
    }
    let more = text.lines().count().saturating_sub(most);
    if more > 0 {
        let text = format!("  │ … {more} more lines; {} unfolds", model.key(Command::Unfold));
        doc.wrap(&Line::styled(text, theme.dim), 4, Some(Target::Unfold));
    }
    if let Ok(outcome) = &performed.result
        && let Some(status) = outcome.status.filter(|status| *status != 0)
    {
        doc.cut(
            Line::from(vec![
                Span::styled("  │ ", theme.border),
                Span::styled(format!("exit status {status}"), theme.bad),
            ]),
            None,
        );
    }
}

/// The calls, and what a program said: where that is short, as under its line in a terminal, else below them, since it would hide them.
fn deeds(doc: &mut Doc, model: &Model, performed: &Performed) {
    let theme = &model.theme;
    let is_short = performed.output().lines().count() <= OUTPUT_LINES;
    if is_short {
        output(doc, model, performed);
    }
    let who = performed.calls.iter().map(|call| width(&call.by)).max().unwrap_or(0);
    let parts =
        if model.unfolded { performed.calls.iter().map(Part::Call).collect() } else { folded(&performed.calls) };
    for part in parts {
        match part {
            Part::Call(call) => call_line(doc, model, call, who),
            Part::Folded { count, kinds } => {
                let text = format!("  … {count} more: {kinds}; {} unfolds", model.key(Command::Unfold));
                doc.wrap(&Line::styled(text, theme.dim), 4, Some(Target::Unfold));
            }
        }
    }
    if !is_short {
        output(doc, model, performed);
    }
}

/// One call: who made it, as in C, the answer, and how long it took at the right where there is room.
fn call_line(doc: &mut Doc, model: &Model, call: &Call, who: usize) {
    let theme = &model.theme;
    let by = format!("{:<who$}  ", clean(&call.by));
    let mut spans = vec![
        Span::raw("  "),
        Span::styled(by, theme.who(first_word(&call.by))),
        Span::styled(clean(&call.name), theme.call),
        Span::styled("(", theme.dim),
        Span::styled(clean(&call.args.join(", ")), theme.argument),
        Span::styled(") = ", theme.dim),
    ];
    match call.answer {
        Answer::Returned(value) => spans.push(Span::styled(value.to_string(), theme.good)),
        Answer::Failed(errno) => {
            spans.push(Span::styled("-1 ", theme.bad));
            spans.push(Span::styled(errno.name(), theme.errno));
            spans.push(Span::styled(format!(" {}", errno.words()), theme.bad));
        }
    }
    let time = duration(call.nanos);
    let used: usize = spans.iter().map(Span::width).sum();
    let line = Line::from(spans);
    if used + width(&time) + 2 <= doc.width {
        let mut line = line;
        line.push_span(Span::raw(" ".repeat(doc.width - used - width(&time))));
        line.push_span(Span::styled(time, theme.dim));
        doc.lines.push((line, None));
    } else {
        let mut line = line;
        line.push_span(Span::styled(format!("  {time}"), theme.dim));
        doc.wrap(&line, who + 6, None);
    }
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// Microseconds, as the trace has always them; none where the time is not known.
fn duration(nanos: u64) -> String {
    match nanos {
        0 => String::new(),
        1..1_000 => "<1 µs".to_owned(),
        1_000..10_000_000 => format!("{} µs", nanos / 1_000),
        _ => format!("{} ms", nanos / 1_000_000),
    }
}
