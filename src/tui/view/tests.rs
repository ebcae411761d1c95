#![allow(clippy::unwrap_used)]

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::explain::Explanation;
use crate::tui::app::Model;
use crate::tui::event::Message;
use crate::tui::fixture::{in_lesson, model, press, view, with_shell};
use crate::tui::theme::Theme;
use crate::tui::update::update;
use crate::walk::News;

/// The sizes that the design names.
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn drawn(model: &Model) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| super::draw(frame, model)).unwrap();
    terminal
}

fn snap(name: &str, make: impl Fn(u16, u16) -> Model) {
    for (columns, rows) in SIZES {
        let model = make(columns, rows);
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), drawn(&model).backend());
    }
}

#[test]
fn course_list() {
    snap("course", model);
}

#[test]
fn step_before() {
    snap("before", |columns, rows| in_lesson(columns, rows, view(1, false)));
}

#[test]
fn step_after() {
    snap("after", |columns, rows| in_lesson(columns, rows, view(1, true)));
}

#[test]
fn failing_step() {
    snap("fail", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(2, true));
        press(&mut model, "tab");
        model
    });
}

#[test]
fn question() {
    snap("question", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(3, false));
        press(&mut model, "a 1");
        model
    });
}

#[test]
fn shell_pane() {
    snap("shell", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(1, false));
        with_shell(&mut model);
        model
    });
}

#[test]
fn state_pane() {
    snap("state", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(1, true));
        press(&mut model, "shift-tab shift-tab j j");
        model
    });
}

#[test]
fn help_popup() {
    snap("help", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(1, false));
        press(&mut model, "?");
        model
    });
}

#[test]
fn explain_popup() {
    snap("explain", |columns, rows| {
        let mut model = in_lesson(columns, rows, view(1, true));
        press(&mut model, "shift-tab e");
        model
    });
}

#[test]
fn trouble_popup() {
    let mut model = in_lesson(80, 24, view(1, false));
    let trouble = Explanation::new(
        "The box could not be made.",
        "clone3({flags=CLONE_PIDFD}) = -1 EAGAIN (Resource temporarily unavailable)",
        "Raise the limit of processes: ulimit -u.",
    );
    update(&mut model, Message::News(News::Trouble(trouble)));
    insta::assert_snapshot!(drawn(&model).backend());
}

#[test]
fn list_of_commands() {
    let mut model = in_lesson(120, 40, view(1, false));
    press(&mut model, ": s h e l l");
    insta::assert_snapshot!(drawn(&model).backend());
}

#[test]
fn presenter() {
    let mut model = in_lesson(120, 40, view(1, true));
    press(&mut model, "p");
    insta::assert_snapshot!(drawn(&model).backend());
}

#[test]
fn too_small() {
    insta::assert_snapshot!(drawn(&model(60, 20)).backend());
}

#[test]
fn mono_has_no_colour_at_all() {
    for mut model in [model(120, 40), in_lesson(120, 40, view(1, true))] {
        model.theme = Theme::mono();
        for cell in drawn(&model).backend().buffer().content() {
            assert_eq!(cell.fg, ratatui::style::Color::Reset, "{cell:?}");
            assert_eq!(cell.bg, ratatui::style::Color::Reset, "{cell:?}");
        }
    }
}

#[test]
fn any_size_and_any_state_can_be_drawn() {
    for (columns, rows) in
        [(1, 1), (79, 24), (80, 24), (81, 25), (119, 50), (120, 31), (120, 32), (133, 37), (500, 200)]
    {
        for done in [false, true] {
            for at in 0..5 {
                let mut model = in_lesson(columns, rows, view(at, done));
                drawn(&model);
                for keys in
                    ["tab", "tab", "tab", "ctrl-]", "tab", "+", "-", "p", "pgdn", "d", "f", "g", "esc", "N", "esc"]
                {
                    press(&mut model, keys);
                    drawn(&model);
                }
            }
        }
    }
}

#[test]
fn hundreds_of_processes_are_drawn_in_a_frame() {
    let mut shown = view(1, true);
    let mut observation = (*shown.observation).clone();
    let mut rows = (*shown.rows).clone();
    for pid in 100..600 {
        let mut process = observation.processes[3].clone();
        process.pid = pid;
        process.ppid = if pid % 7 == 0 { 1 } else { pid - 1 };
        for row in shown.rows.iter().filter(|row| row.subject.starts_with("pid 19")) {
            rows.push(crate::probe::Row { subject: format!("pid {pid} sleep"), ..row.clone() });
        }
        observation.processes.push(process);
    }
    shown.observation = std::sync::Arc::new(observation);
    shown.rows = std::sync::Arc::new(rows);
    let mut model = in_lesson(200, 60, shown);
    model.focus = crate::tui::app::Pane::State;
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
    let rounds = 20;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        press(&mut model, "j");
        terminal.draw(|frame| super::draw(frame, &model)).unwrap();
    }
    let each = start.elapsed() / rounds;
    eprintln!("key to frame: {each:?}");
    // Without optimisation and on a busy machine; the budget of 16 ms is measured by the benches.
    assert!(each < std::time::Duration::from_millis(500), "{each:?}");
}
