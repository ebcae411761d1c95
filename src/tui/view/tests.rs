#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::explain::Explanation;
use crate::kernel::namespace::Namespace;
use crate::probe::mounts::parse_mountinfo;
use crate::probe::{Change, ChangeKind, Panel, Reading, Row};
use crate::tui::app::{Model, Pane, Popup};
use crate::tui::doc::Target;
use crate::tui::event::Message;
use crate::tui::fixture::{cgroups_view, in_lesson, model, panel_view, press, sampled, view, with_shell};
use crate::tui::theme::{Depth, Theme};
use crate::tui::update::update;
use crate::walk::{News, View};

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
fn calls_with_what_they_made() {
    let mut model = in_lesson(80, 24, view(1, true));
    press(&mut model, "tab");
    insta::assert_snapshot!("calls", drawn(&model).backend());
}

#[test]
fn changes_side_by_side() {
    let mut model = in_lesson(80, 24, panel_view(Panel::Credentials));
    press(&mut model, "D +");
    insta::assert_snapshot!("beside", drawn(&model).backend());
}

#[test]
fn words_and_timeline() {
    let mut model = in_lesson(80, 24, view(1, true));
    press(&mut model, "w");
    insta::assert_snapshot!("words", drawn(&model).backend());
    press(&mut model, "enter");
    insta::assert_snapshot!("word", drawn(&model).backend());
    press(&mut model, "esc H");
    insta::assert_snapshot!("history", drawn(&model).backend());
}

#[test]
fn search_of_the_course() {
    let mut model = in_lesson(120, 40, view(1, true));
    press(&mut model, "/ n a m e");
    insta::assert_snapshot!("search", drawn(&model).backend());
}

#[test]
fn steps_of_the_course() {
    let mut model = model(160, 45);
    press(&mut model, "tab");
    insta::assert_snapshot!("course_steps", drawn(&model).backend());
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
fn values_are_folded_unless_they_differ_from_the_host() {
    let mut shown = view(1, true);
    let lesson = Arc::make_mut(&mut shown.lesson);
    lesson.steps[1].watch = vec![Panel::Hostname, Panel::Credentials];
    let mut model = in_lesson(80, 24, shown);
    model.focus = Pane::State;
    insta::assert_snapshot!("folded", drawn(&model).backend());
    press(&mut model, "x");
    insta::assert_snapshot!("unfolded", drawn(&model).backend());
}

#[test]
fn panel_as_a_table() {
    snap("table", |columns, rows| {
        let mut model = in_lesson(columns, rows, panel_view(Panel::Credentials));
        model.focus = Pane::State;
        model
    });
}

/// A new panel needs a probe, and nothing here.
#[test]
fn every_panel_shows_its_rows_at_every_size() {
    for panel in Panel::ALL {
        for (columns, rows) in SIZES {
            let mut model = in_lesson(columns, rows, panel_view(panel));
            model.focus = Pane::State;
            press(&mut model, "x");
            drawn(&model);
            let doc = super::state::doc(&model, columns / 3);
            assert!(doc.lines.iter().all(|(line, _)| line.width() <= doc.width), "{panel}: too wide");
            let text: String = doc.lines.iter().map(|(line, _)| format!("{line}\n")).collect();
            // Two panels have shapes that are drawn from the observation itself.
            let own = matches!(panel, Panel::Processes | Panel::Namespaces);
            assert!(text.starts_with(&format!("{panel} ─")), "{text}");
            let words = ["host (pid 1)", "box (pid 12)", "changed", "+", "added", "−", "pid 17 ls"];
            for word in words.into_iter().filter(|_| !own) {
                assert!(text.contains(word), "{panel}: no {word}\n{text}");
            }
        }
    }
}

#[test]
fn groups_with_graphs() {
    for (name, hybrid) in [("groups", false), ("groups_hybrid", true)] {
        snap(name, |columns, rows| {
            let mut model = in_lesson(columns, rows, cgroups_view(hybrid));
            model.focus = Pane::State;
            press(&mut model, "home");
            sampled(&mut model, 50);
            model
        });
    }
    let mut model = in_lesson(120, 40, cgroups_view(false));
    press(&mut model, "shift-tab shift-tab +");
    sampled(&mut model, 70);
    insta::assert_snapshot!("groups_zoomed", drawn(&model).backend());
    model.theme = Theme::mono();
    assert!(drawn(&model).backend().buffer().content().iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    for (columns, rows) in [(1, 1), (80, 24), (119, 50), (120, 32), (133, 37), (500, 200)] {
        update(&mut model, Message::Resized(columns, rows));
        for key in ["x", "p", "x", "p"] {
            press(&mut model, key);
            drawn(&model);
            let doc = super::state::doc(&model, columns / 3);
            assert!(doc.lines.iter().all(|(line, _)| line.width() <= doc.width));
        }
    }
}

#[test]
fn every_row_of_every_group_can_be_chosen() {
    for hybrid in [false, true] {
        let mut model = in_lesson(80, 24, cgroups_view(hybrid));
        model.focus = Pane::State;
        press(&mut model, "x");
        let doc = super::state::doc(&model, 78);
        let reached: BTreeSet<usize> = doc
            .lines
            .iter()
            .filter_map(|(_, target)| if let Some(Target::Rows(rows)) = target { Some(rows) } else { None })
            .flat_map(|rows| rows.iter().map(|(_, index)| *index))
            .collect();
        let all = model.view.as_ref().unwrap().rows.len();
        assert_eq!(reached, (0..all).collect());
        press(&mut model, "j e");
        assert!(matches!(model.popup, Some(Popup::Explain { .. })));
    }
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

/// What is measured for contrast is what is seen: no cell has the terminal's own colours, whatever they are.
#[test]
fn every_cell_stands_on_the_ground_of_the_theme() {
    for name in ["dark", "light", "colour-blind"] {
        let mut with_popup = in_lesson(120, 40, view(1, true));
        press(&mut with_popup, "?");
        let mut in_shell = in_lesson(80, 24, view(1, true));
        with_shell(&mut in_shell);
        for mut model in [model(80, 24), model(60, 20), in_lesson(120, 40, view(1, true)), with_popup, in_shell] {
            model.theme = Theme::named(name, Depth::Many).unwrap();
            for cell in drawn(&model).backend().buffer().content() {
                assert_ne!(cell.fg, ratatui::style::Color::Reset, "{name}: {cell:?}");
                assert_ne!(cell.bg, ratatui::style::Color::Reset, "{name}: {cell:?}");
            }
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
                for keys in [
                    "tab", "tab", "tab", "ctrl-]", "tab", "+", "-", "p", "pgdn", "d", "D", "[", "]", "f", "g", "esc",
                    "N", "esc", "w", "esc", "/", "esc", "H", "esc", "m", "tab", "esc", "esc",
                ] {
                    press(&mut model, keys);
                    drawn(&model);
                }
            }
        }
    }
}

/// Mounts in the namespaces of the host and of the box, which has one more.
fn with_mounts(shown: &mut View, count: usize) {
    let mut observation = (*shown.observation).clone();
    let mut rows = (*shown.rows).clone();
    let mut added = Vec::new();
    for (pid, subject, inode, more) in [(1, "host (pid 1)", 4_026_531_841, 0), (12, "box (pid 12)", 4_026_532_300, 1)] {
        let process = observation.processes.iter_mut().find(|process| process.pid == pid).unwrap();
        process.namespaces.0.insert(Namespace::Mnt, Reading::Value(inode));
        let line = |at: usize| match at {
            0 => "24 1 0:22 / / rw,nodev,relatime - tmpfs lab rw,size=1024k,mode=755".to_owned(),
            _ if at == count => "99 24 0:99 / /proc rw,relatime shared:7 - proc proc rw".to_owned(),
            _ => format!("{at} 24 0:{at} / /usr/lib/{at} rw,nodev,relatime - overlay lab rw,lowerdir=/usr,upperdir=/x"),
        };
        let text: String = (0..count + more).map(|at| line(at) + "\n").collect();
        let mounts = parse_mountinfo(text.as_bytes()).unwrap();
        for mount in &mounts {
            let row = Row {
                panel: Panel::Mounts,
                subject: subject.to_owned(),
                key: mount.target.clone(),
                value: mount.summary(),
                ..rows[0].clone()
            };
            if pid != 1 {
                added.push(Change { kind: ChangeKind::Added, row: row.clone() });
            }
            rows.push(row);
        }
        observation.mounts.insert(inode, Reading::Value(mounts));
    }
    shown.observation = Arc::new(observation);
    shown.rows = Arc::new(rows);
    shown.since_step = Arc::new(added);
    Arc::make_mut(&mut shown.lesson).steps[1].watch = vec![Panel::Processes, Panel::Namespaces, Panel::Mounts];
}

#[test]
fn mounts_are_folded_to_what_sets_a_namespace_apart() {
    let mut shown = view(1, true);
    with_mounts(&mut shown, 60);
    let mut model = in_lesson(80, 24, shown.clone());
    press(&mut model, "shift-tab");
    insta::assert_snapshot!("mounts_folded", drawn(&model).backend());
    // A mount of the host that was not there before, one that is another now, and one that is gone.
    let host =
        |key: &str| shown.rows.iter().find(|row| row.subject == "host (pid 1)" && row.key == key).unwrap().clone();
    let before = "overlay old rw private".to_owned();
    shown.since_step = Arc::new(vec![
        Change { kind: ChangeKind::Added, row: host("/usr/lib/58") },
        Change { kind: ChangeKind::Changed { before }, row: host("/usr/lib/59") },
        Change { kind: ChangeKind::Removed, row: Row { key: "/farm".to_owned(), ..host("/") } },
    ]);
    shown.since_start = Arc::clone(&shown.since_step);
    let mut model = in_lesson(120, 40, shown);
    insta::assert_snapshot!("mounts_changed", drawn(&model).backend());
    press(&mut model, "x");
    let lines = super::state::doc(&model, 60).lines;
    assert!((1..60).all(|at| lines.iter().any(|(line, _)| line.to_string().contains(&format!("/usr/lib/{at} ")))));
}

#[test]
fn what_changed_comes_into_view_unless_the_learner_scrolls() {
    let mut shown = view(1, true);
    hundreds(&mut shown);
    let last = shown.rows.iter().rfind(|row| row.panel == Panel::Processes).unwrap().clone();
    let mut model = in_lesson(120, 40, view(1, false));
    let changed = Arc::new(vec![Change { kind: ChangeKind::Added, row: last }]);
    shown.since_step = Arc::clone(&changed);
    update(&mut model, Message::News(News::View(Arc::new(shown.clone()))));
    let state = Pane::State;
    assert!(model.scroll_of(state) > 400);
    model.focus = state;
    press(&mut model, "home");
    shown.since_step = Arc::new(Vec::new());
    update(&mut model, Message::News(News::View(Arc::new(shown.clone()))));
    shown.since_step = changed;
    update(&mut model, Message::News(News::View(Arc::new(shown))));
    assert_eq!(model.scroll_of(state), 0);
}

fn hundreds(shown: &mut View) {
    let mut observation = (*shown.observation).clone();
    let mut rows = (*shown.rows).clone();
    for pid in 100..600 {
        let mut process = observation.processes[3].clone();
        process.pid = pid;
        process.ppid = if pid % 7 == 0 { 1 } else { pid - 1 };
        for row in shown.rows.iter().filter(|row| row.subject.starts_with("pid 19")) {
            rows.push(Row { subject: format!("pid {pid} sleep"), ..row.clone() });
        }
        observation.processes.push(process);
    }
    shown.observation = Arc::new(observation);
    shown.rows = Arc::new(rows);
}

#[test]
fn hundreds_of_processes_and_mounts_are_drawn_in_a_frame() {
    let mut shown = view(1, true);
    hundreds(&mut shown);
    with_mounts(&mut shown, 200);
    let mut model = in_lesson(200, 60, shown);
    model.focus = Pane::State;
    model.unfolded = true;
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

/// What a hostile program may write: sequences that move, scroll, erase and switch, wide and combining characters, noise.
fn terminal_output() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0u16..30, Just(9999u16), Just(u16::MAX)];
    let piece = prop_oneof![
        (number.clone(), number, "[ABCDEFGHJKLMPSTXdfrhlmst@`]")
            .prop_map(|(one, two, end)| format!("\x1b[{one};{two}{end}").into_bytes()),
        "[?=>]?[0-9]{1,4}[hl]".prop_map(|mode| format!("\x1b[{mode}").into_bytes()),
        "\\PC{0,12}".prop_map(String::into_bytes),
        prop_oneof![Just("漢字"), Just("e\u{301}"), Just("👩‍👩‍👧"), Just("\r\n\n\n"), Just("\x08\t\x0b\x0c")]
            .prop_map(|text| text.as_bytes().to_vec()),
        prop_oneof![
            Just("\x1b7"),
            Just("\x1b8"),
            Just("\x1bM"),
            Just("\x1bc"),
            Just("\x1b[?1049h"),
            Just("\x1b[?1049l")
        ]
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..16),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_output_of_the_shell_is_survived(
        chunks in prop::collection::vec((terminal_output(), 80u16..130, 24u16..40), 1..5),
    ) {
        let mut model = in_lesson(120, 40, view(1, false));
        with_shell(&mut model);
        for (bytes, columns, rows) in chunks {
            update(&mut model, Message::Output(bytes));
            drawn(&model);
            update(&mut model, Message::Resized(columns, rows));
            drawn(&model);
        }
    }
}
