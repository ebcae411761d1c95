#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::explain::Explanation;
use crate::probe::cgroups::gauges::Gauged;
use crate::tui::app::{Base, List};
use crate::tui::command::COMMANDS;
use crate::tui::fixture::{cgroups_view, in_lesson, model, press, view, with_shell};

/// Effects as text, because orders can not be compared.
fn told(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(|effect| format!("{effect:?}")).collect()
}

fn written(effects: &[Effect]) -> Vec<u8> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Write(bytes) = effect { Some(bytes.clone()) } else { None })
        .flatten()
        .collect()
}

fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let kind = MouseEventKind::Down(MouseButton::Left);
    update(model, Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

/// The place of a text on the drawn screen.
fn find(model: &Model, text: &str) -> (u16, u16) {
    let backend = ratatui::backend::TestBackend::new(model.size.0, model.size.1);
    let mut terminal = ratatui::Terminal::new(backend).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer();
    for y in 0..model.size.1 {
        let cells: Vec<&str> = (0..model.size.0).map(|x| buffer.cell((x, y)).unwrap().symbol()).collect();
        for x in 0..cells.len() {
            if cells[x..].concat().starts_with(text) {
                return (u16::try_from(x).unwrap(), y);
            }
        }
    }
    panic!("{text:?} is not on the screen");
}

#[test]
fn keys_give_their_orders() {
    let cases = [
        ("n", "[\"Send(Next)\"]"),
        ("enter", "[\"Send(Next)\"]"),
        ("b", "[\"Send(Back)\"]"),
        ("r y", "[\"Send(Reset)\"]"),
        ("c", "[\"Send(Check)\"]"),
        ("h", "[\"Send(Hint)\"]"),
        ("2", "[\"Send(Predict(1))\"]"),
        ("7", "[]"),
        ("s", "[\"Send(ShellForHands(10, 58))\"]"),
        ("q", "[\"Send(Quit)\"]"),
        ("ctrl-c", "[\"Send(Quit)\"]"),
        ("esc", "[\"Send(Close)\"]"),
        ("ctrl-z", "[\"Suspend\"]"),
        ("g down enter", "[\"Send(Goto(2))\"]"),
        ("/ c o u n t enter", "[\"Send(Goto(3))\"]"),
        (": c h e c k enter", "[\"Send(Check)\"]"),
        ("f f", "[\"Send(Sample)\"]"),
    ];
    for (keys, expected) in cases {
        let mut model = in_lesson(120, 40, view(1, false));
        let effects = press(&mut model, keys);
        assert_eq!(format!("{:?}", told(&effects)), expected, "{keys}");
    }
}

#[test]
fn the_course_opens_lessons() {
    let mut model = model(80, 24);
    let effects = press(&mut model, "down enter");
    assert_eq!(told(&effects), ["Send(Open { lesson: \"04-mount\", step: None })"]);
    assert!(model.busy.is_some());
    // A late view of another lesson does not come in between.
    update(&mut model, Message::News(News::View(Arc::new(view(1, false)))));
    assert!(model.view.is_none());
}

#[test]
fn every_key_in_the_shell_pane_goes_to_the_shell() {
    let mut model = in_lesson(120, 40, view(1, false));
    with_shell(&mut model);
    let mut keys: Vec<KeyEvent> = Vec::new();
    for modifiers in [KeyModifiers::NONE, KeyModifiers::ALT, KeyModifiers::CONTROL, KeyModifiers::SHIFT] {
        let letters = (' '..='~').filter(|c| !modifiers.contains(KeyModifiers::CONTROL) || c.is_ascii_lowercase());
        keys.extend(letters.map(|c| KeyEvent::new(KeyCode::Char(c), modifiers)));
        let named = [
            KeyCode::Enter,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Backspace,
            KeyCode::Esc,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Insert,
            KeyCode::Delete,
        ];
        keys.extend(named.into_iter().chain((1..=12).map(KeyCode::F)).map(|code| KeyEvent::new(code, modifiers)));
    }
    for key in keys {
        let effects = update(&mut model, Message::Key(key));
        assert!(!written(&effects).is_empty(), "{key:?}");
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Write(_) | Effect::SampleSoon)), "{key:?}");
        assert!(model.capture && model.popup.is_none(), "{key:?}");
    }
    // The leave key, as terminals send it.
    let effects = update(&mut model, Message::Key(KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL)));
    // The text gets room for the guess that it asks for.
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Send(Order::Resize(..)))) && !model.capture);
    assert_eq!(told(&press(&mut model, "n")), ["Send(Next)"]);
}

#[test]
fn cursor_keys_and_pastes_follow_the_program() {
    let mut model = in_lesson(120, 40, view(1, false));
    with_shell(&mut model);
    assert_eq!(written(&press(&mut model, "up")), b"\x1b[A");
    assert_eq!(written(&update(&mut model, Message::Paste("a\nb".into()))), b"a\rb");
    update(&mut model, Message::Output(b"\x1b[?1h\x1b[?2004h".to_vec()));
    assert_eq!(written(&press(&mut model, "up")), b"\x1bOA");
    assert_eq!(written(&update(&mut model, Message::Paste("a\nb".into()))), b"\x1b[200~a\rb\x1b[201~");
}

#[test]
fn lines_are_typed_once_the_shell_is_ready() {
    let mut model = in_lesson(80, 24, view(2, false));
    let effects = press(&mut model, "t t");
    assert!(matches!(effects.as_slice(), [Effect::Send(Order::ShellForHands(_, 80))]), "{effects:?}");
    assert_eq!(model.focus, Pane::Shell);
    assert!(!model.capture, "the next t is still for hardway");
    assert!(written(&update(&mut model, Message::ShellOpened)).is_empty());
    let effects = update(&mut model, Message::Output(b"\x1b]133;D;0\x07$ ".to_vec()));
    // Not before what hands had made by then was seen.
    assert!(written(&effects).is_empty());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(Order::ShellPrompt { .. }))));
    // First what brings the shell to where the step begins, a line at each prompt; then the step's own.
    assert_eq!(written(&update(&mut model, Message::News(News::Looked))), b"bash --norc\r");
    let mut typed = Vec::new();
    while !model.shell.pending.is_empty() {
        assert!(written(&update(&mut model, Message::Output(b"\x1b]133;D;0\x07$ ".to_vec()))).is_empty());
        typed.push(written(&update(&mut model, Message::News(News::Looked))));
    }
    assert_eq!(typed[typed.len() - 2..], [b"true; /bin/true\r".to_vec(), b"/bin/true\r".to_vec()]);
    // Beyond the last line there is nothing to type.
    assert!(press(&mut model, "t").is_empty());
    assert!(model.notice.as_ref().is_some_and(|notice| notice.text.contains("last line")));
    // Whoever presses Enter after what was typed means the shell's line, which has had its own, and not the step by calls.
    assert!(press(&mut model, "enter").is_empty());
    assert!(model.notice.as_ref().is_some_and(|notice| notice.text.contains("has pressed Enter")));
    assert_eq!(told(&press(&mut model, "n")), ["Send(Next)"]);
}

#[test]
fn a_prompt_ends_all_lines_since_the_one_before() {
    let leads = |effects: &[Effect]| {
        let prompts = effects.iter().filter_map(|effect| match effect {
            Effect::Send(Order::ShellPrompt { leads, .. }) => Some(*leads),
            _ => None,
        });
        prompts.collect::<Vec<_>>()
    };
    let prompt = || Message::Output(b"\x1b]133;D;0\x07$ ".to_vec());
    let mut model = in_lesson(80, 24, view(2, false));
    press(&mut model, "t");
    update(&mut model, Message::ShellOpened);
    let before = model.shell.leading;
    assert!(before >= 2 && model.shell.pending.len() == before + 1, "{before}");
    assert_eq!(leads(&update(&mut model, prompt())), [None], "the first one ends no line");
    // None of these leaves a prompt, as of a program and the key that ends it.
    for _ in 0..before {
        assert!(!written(&update(&mut model, Message::Tick)).is_empty());
    }
    assert_eq!(leads(&update(&mut model, prompt())), [Some(0)]);
    // What comes now is the step's own.
    update(&mut model, Message::News(News::Looked));
    assert_eq!(leads(&update(&mut model, prompt())), [None]);
}

#[test]
fn a_shell_without_marks_gets_its_line_with_the_next_second() {
    let mut model = in_lesson(120, 40, view(1, false));
    press(&mut model, "t");
    update(&mut model, Message::ShellOpened);
    assert_eq!(written(&update(&mut model, Message::Tick)), b"bash --norc\r");
    assert_eq!(written(&update(&mut model, Message::Tick)), b"unshare --pid bash --norc\r");
}

#[test]
fn what_would_be_lost_is_asked_about() {
    for (keys, order) in [("b", "Back"), ("r", "Reset"), ("g enter", "Goto(1)"), ("q", "Quit"), ("esc", "Close")] {
        let mut shown = view(1, true);
        shown.shell_at_stake = true;
        let mut model = in_lesson(120, 40, shown);
        assert!(press(&mut model, keys).is_empty(), "{keys}");
        assert!(matches!(model.popup, Some(Popup::Confirm { .. })), "{keys}");
        assert!(press(&mut model, "n").is_empty());
        assert!(model.popup.is_none());
        press(&mut model, keys);
        assert_eq!(told(&press(&mut model, "y")), [format!("Send({order})")]);
    }
}

#[test]
fn samples_are_taken_in_a_lesson_unless_frozen() {
    let mut outside = model(120, 40);
    assert!(update(&mut outside, Message::Tick).is_empty());
    let mut model = in_lesson(120, 40, view(1, false));
    assert_eq!(told(&update(&mut model, Message::Tick)), ["Send(Sample)"]);
    press(&mut model, "f");
    assert!(update(&mut model, Message::Tick).is_empty());
}

#[test]
fn graphs_are_sampled_only_while_one_is_seen() {
    let asks = |model: &mut Model| told(&update(model, Message::Beat));
    let mut small = in_lesson(80, 24, cgroups_view(false));
    // The tab of the step is in front.
    assert!(asks(&mut small).is_empty());
    press(&mut small, "shift-tab shift-tab home");
    assert_eq!(small.focus, Pane::State);
    let asked = asks(&mut small);
    assert!(asked.len() == 1 && asked[0].contains("/lab/cgroup/web/memory.current"), "{asked:?}");
    assert!(!asked[0].contains("cpuset") && !asked[0].contains("memory.max"), "{asked:?}");
    // No second request before the answer.
    assert!(asks(&mut small).is_empty());
    update(&mut small, Message::News(News::Gauged(Gauged::default())));
    assert!(!asks(&mut small).is_empty());
    update(&mut small, Message::News(News::Gauged(Gauged::default())));
    press(&mut small, "f");
    assert!(asks(&mut small).is_empty(), "frozen panels stand still");
    press(&mut small, "f");
    assert!(!asks(&mut small).is_empty());
    update(&mut small, Message::News(News::Gauged(Gauged::default())));
    press(&mut small, "tab");
    // The list of changes stands below the state; from there it is one more to the next tab.
    press(&mut small, "tab");
    assert!(asks(&mut small).is_empty(), "another tab");
    // A step that does not watch cgroups, and one without groups.
    let mut other = in_lesson(120, 40, view(1, true));
    assert!(asks(&mut other).is_empty());
    let mut none = cgroups_view(false);
    Arc::make_mut(&mut none.observation).cgroups.groups.clear();
    let mut none = in_lesson(120, 40, none);
    assert!(asks(&mut none).is_empty());
    // All panes side by side; the map of the course covers them.
    let mut wide = in_lesson(120, 40, cgroups_view(true));
    assert!(!asks(&mut wide).is_empty());
    update(&mut wide, Message::News(News::Gauged(Gauged::default())));
    press(&mut wide, "m");
    assert!(wide.map && asks(&mut wide).is_empty());
}

#[test]
fn the_kernel_is_asked_to_tell_of_the_groups_that_there_are() {
    let shown = cgroups_view(true);
    let mut model = model(80, 24);
    press(&mut model, "enter");
    let mut news = |shown: &View| told(&update(&mut model, Message::News(News::View(Arc::new(shown.clone())))));
    let all = ["/lab/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/lab/cgroup/web"];
    let asked = news(&shown);
    assert!(asked.len() == 1 && asked[0].starts_with("Send(Watch("), "{asked:?}");
    assert!(all.iter().all(|directory| asked[0].contains(&format!("{directory:?}"))), "{asked:?}");
    assert!(news(&shown).is_empty(), "they are watched already");
    // A group goes.
    let mut fewer = shown.clone();
    Arc::make_mut(&mut fewer.observation).cgroups.groups.remove("/web");
    assert!(!news(&fewer)[0].contains("/lab/cgroup/web"));
    // Another lab host has groups of the same names.
    let mut other = fewer.clone();
    Arc::make_mut(&mut other.observation).processes[0].start_time += 1;
    assert_eq!(news(&other).len(), 1);
    assert_eq!(told(&update(&mut model, Message::Notified { groups: false })), ["Send(Sample)"]);
    let again = told(&update(&mut model, Message::Notified { groups: true }));
    assert!(again.len() == 2 && again[0] == "Send(Sample)" && again[1].starts_with("Send(Watch("), "{again:?}");
    // Frozen panels stand still, and with the lesson nothing is watched any more.
    press(&mut model, "f");
    assert!(update(&mut model, Message::Notified { groups: false }).is_empty());
    press(&mut model, "f");
    let left = told(&press(&mut model, "esc esc"));
    assert_eq!(left.last().map(String::as_str), Some("Send(Watch([]))"), "{left:?}");
}

#[test]
fn the_kernel_is_asked_to_tell_of_networks_where_the_step_is_about_them() {
    let mut shown = crate::tui::fixture::network::network_view();
    let mut model = model(80, 24);
    press(&mut model, "enter");
    let mut news = |shown: &View| told(&update(&mut model, Message::News(News::View(Arc::new(shown.clone())))));
    assert_eq!(news(&shown), ["Send(WatchNetworks(true))"]);
    assert!(news(&shown).is_empty(), "they are watched already");
    Arc::make_mut(&mut shown.observation).processes[0].start_time += 1;
    assert_eq!(news(&shown), ["Send(WatchNetworks(true))"], "another lab host");
    Arc::make_mut(&mut shown.lesson).steps[1].watch = vec![crate::probe::Panel::Processes];
    assert_eq!(news(&shown), ["Send(WatchNetworks(false))"]);
}

#[test]
fn the_shell_follows_the_size_of_its_pane() {
    let mut model = in_lesson(120, 40, view(1, false));
    with_shell(&mut model);
    let effects = update(&mut model, Message::Resized(200, 60));
    assert!(matches!(effects.as_slice(), [Effect::Send(Order::Resize(_, _))]), "{effects:?}");
    let place = *layout::layout(&model).place(Pane::Shell).unwrap();
    assert_eq!(model.shell.parser.screen().size(), (place.inner.height, place.inner.width));
    assert!(update(&mut model, Message::Resized(200, 60)).is_empty());
    let zoomed = press(&mut model, "ctrl-] +");
    assert!(matches!(zoomed.as_slice(), [Effect::Send(Order::Resize(55, 198))]), "{zoomed:?}");
    // Too small for anything: the shell keeps its size.
    assert!(update(&mut model, Message::Resized(20, 5)).is_empty());
}

#[test]
fn answers_are_written_and_sent() {
    let mut model = in_lesson(80, 24, view(3, false));
    press(&mut model, "enter");
    assert_eq!(model.answer.as_deref(), Some(""));
    let effects = press(&mut model, "q backspace 4 1 enter");
    assert_eq!(told(&effects), ["Send(Answer(\"41\"))"]);
    press(&mut model, "a x esc");
    assert!(model.answer.is_none());
}

#[test]
fn a_click_types_a_command_explains_a_row_and_offers_a_step() {
    let mut model = in_lesson(120, 40, view(1, true));
    let (x, y) = find(&model, "$ unshare");
    let effects = click(&mut model, x, y);
    assert!(matches!(effects.as_slice(), [Effect::Send(Order::ShellForHands(..))]), "{effects:?}");
    // Whoever opens a shell by it is brought to where the step begins first.
    let lines: Vec<&[u8]> = model.shell.pending.iter().map(Vec::as_slice).collect();
    assert_eq!(lines.last(), Some(&b"unshare --pid bash --norc\r".as_slice()));

    let (x, y) = find(&model, "32201");
    click(&mut model, x, y);
    let Some(Popup::Explain { rows, at }) = &model.popup else { panic!("no explanation") };
    assert_eq!((rows[*at].subject.as_str(), rows[*at].key.as_str()), ("box (pid 12)", "pid_for_children"));

    // Outside of the popup: it closes.
    click(&mut model, 1, 38);
    assert!(model.popup.is_none());
    let (x, y) = find(&model, "· How many");
    click(&mut model, x, y);
    assert_eq!(model.popup, Some(Popup::Picker { list: List::Steps, query: String::new(), at: 3 }));
    assert_eq!(told(&press(&mut model, "enter")), ["Send(Goto(3))"]);
}

#[test]
fn a_click_chooses_a_guess_a_tab_and_a_key() {
    let mut model = in_lesson(80, 24, view(1, false));
    let (x, y) = find(&model, "2 pid_for_children");
    assert_eq!(told(&click(&mut model, x, y)), ["Send(Predict(1))"]);
    let (x, y) = find(&model, "State");
    click(&mut model, x, y);
    assert_eq!(model.focus, Pane::State);
    let (x, y) = find(&model, "n next");
    assert_eq!(told(&click(&mut model, x, y)), ["Send(Next)"]);
}

#[test]
fn rows_are_chosen_by_keys_and_stay_chosen() {
    let mut model = in_lesson(120, 40, view(1, true));
    model.focus = Pane::State;
    press(&mut model, "j j");
    let chosen = model.selected.clone().unwrap();
    assert_eq!(chosen.1, "box (pid 12)");
    update(&mut model, Message::News(News::View(Arc::new(view(1, true)))));
    assert_eq!(model.selected, Some(chosen));
    press(&mut model, "e");
    assert!(matches!(&model.popup, Some(Popup::Explain { rows, .. }) if rows[0].subject == "box (pid 12)"));
    assert_eq!(told(&press(&mut model, "y")), ["Copy(\"readlink /proc/12/comm\")"]);
    press(&mut model, "esc d");
    assert_eq!(model.base, Base::Start);
}

#[test]
fn news_are_shown_and_the_end_is_awaited() {
    let mut model = in_lesson(120, 40, view(1, false));
    update(&mut model, Message::News(News::Busy("building the lab host".into())));
    assert!(model.busy.is_some());
    update(&mut model, Message::News(News::Notice("done by hand".into())));
    assert!(model.busy.is_none() && model.notice.is_some());
    for _ in 0..6 {
        update(&mut model, Message::Tick);
    }
    assert!(model.notice.is_none());
    with_shell(&mut model);
    update(&mut model, Message::News(News::ShellEnded));
    assert_eq!((model.shell.state, model.capture), (ShellState::Ended, true));
    assert_eq!(told(&update(&mut model, Message::Terminate)), ["Send(Quit)"]);
    assert_eq!(told(&update(&mut model, Message::News(News::Ended))), ["Leave"]);
}

#[test]
fn what_is_typed_after_the_end_of_a_shell_orders_nothing() {
    let mut model = in_lesson(120, 40, view(1, false));
    with_shell(&mut model);
    update(&mut model, Message::News(News::ShellEnded));
    assert!(press(&mut model, "n b r q esc").is_empty() && model.capture);
    find(&model, "ended · Enter opens a new one · Ctrl-] leaves");
    let effects = press(&mut model, "enter");
    assert!(matches!(effects.as_slice(), [Effect::Send(Order::ShellForHands(..))]), "{effects:?}");
    assert!(model.capture);
    update(&mut model, Message::ShellOpened);
    update(&mut model, Message::News(News::ShellEnded));
    assert_eq!(told(&press(&mut model, "ctrl-] n")), ["Send(Next)"]);
}

#[test]
fn the_lesson_begins_again_unasked_only_where_nothing_is_done() {
    let mut model = in_lesson(120, 40, view(0, false));
    assert_eq!(told(&press(&mut model, "r")), ["Send(Reset)"]);
    for shown in [view(0, true), view(1, false)] {
        let mut model = in_lesson(120, 40, shown);
        assert!(press(&mut model, "r").is_empty());
        assert!(matches!(model.popup, Some(Popup::Confirm { deed: Deed::Reset, .. })));
        assert_eq!(told(&press(&mut model, "y")), ["Send(Reset)"]);
    }
}

#[test]
fn a_shell_that_ends_with_its_lab_host_is_opened_anew() {
    let mut model = in_lesson(120, 40, view(1, true));
    with_shell(&mut model);
    press(&mut model, "ctrl-] b");
    // Not before it is known where the learner is now: the lines that lead there are typed into it.
    assert!(update(&mut model, Message::News(News::ShellEnded)).is_empty());
    let effects = update(&mut model, Message::News(News::View(Arc::new(view(1, false)))));
    assert!(matches!(effects.as_slice(), [Effect::Send(Order::ShellForHands(..))]), "{effects:?}");
    assert!(!model.shell.pending.is_empty());
    update(&mut model, Message::ShellOpened);
    // Long after, the learner ends it: it stays ended.
    for _ in 0..5 {
        update(&mut model, Message::Tick);
    }
    assert!(update(&mut model, Message::News(News::ShellEnded)).is_empty());
    assert_eq!(model.shell.state, ShellState::Ended);
}

#[test]
fn escape_leads_to_the_step_first_and_q_closes_what_is_in_front() {
    let mut model = in_lesson(80, 24, view(1, true));
    press(&mut model, "shift-tab e");
    assert!(matches!(model.popup, Some(Popup::Explain { .. })));
    assert!(press(&mut model, "q").is_empty() && model.popup.is_none());
    assert!(press(&mut model, "esc").is_empty());
    assert_eq!(model.focus, Pane::Text);
    assert_eq!(told(&press(&mut model, "esc")), ["Send(Close)"]);
}

#[test]
fn a_hint_that_was_asked_for_is_seen_and_another_step_comes_to_the_front() {
    let mut model = in_lesson(80, 24, view(1, false));
    press(&mut model, "tab h");
    assert_eq!((model.focus, model.scroll_of(Pane::Text)), (Pane::Text, 0));
    let mut hinted = view(1, false);
    hinted.hints = vec!["Which program makes namespaces?".to_owned()];
    update(&mut model, Message::News(News::View(Arc::new(hinted))));
    find(&model, "Which program makes namespaces?");
    assert!(model.scroll_of(Pane::Text) > 0);
    press(&mut model, "tab tab tab");
    update(&mut model, Message::News(News::View(Arc::new(view(2, false)))));
    assert_eq!(model.focus, Pane::Text);
}

#[test]
fn texts_in_front_are_not_scrolled_beyond_their_end() {
    let mut model = in_lesson(80, 24, view(1, false));
    press(&mut model, "? pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn");
    let Some(Popup::Help { scroll: last }) = model.popup else { panic!("no help") };
    press(&mut model, "up");
    assert_eq!(model.popup, Some(Popup::Help { scroll: last - 1 }));
}

/// Types a query into a list, letter by letter.
fn query(model: &mut Model, opens: &str, text: &str) {
    press(model, opens);
    for c in text.chars() {
        update(model, Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    }
}

#[test]
fn every_command_is_reached_by_its_name_with_its_key() {
    for spec in COMMANDS {
        for mut model in [model(80, 24), in_lesson(80, 24, view(1, false))] {
            query(&mut model, ":", spec.name);
            let Some(Popup::Picker { list, query, .. }) = &model.popup else { panic!("no list") };
            let (shown, keys, pick) = matches(&model, *list, query).swap_remove(0);
            assert_eq!(pick, crate::tui::app::Pick::Command(spec.command), "{}", spec.name);
            assert!(shown.starts_with(spec.name) && keys == spec.all_keys(&model.keys), "{shown} {keys}");
            let reason = spec.why_not(&model);
            press(&mut model, "enter");
            // What makes no sense now says why.
            if let Some(reason) = reason {
                assert_eq!(model.notice.map(|notice| notice.text).as_deref(), Some(reason));
            }
        }
    }
}

#[test]
fn what_is_found_in_another_lesson_is_opened_there() {
    for (keys, text, order) in [
        ("/", "step 3 of uts", "Open { lesson: \"02-uts\", step: Some(\"step-2\") }"),
        ("/", "host name own", "Open { lesson: \"02-uts\", step: None }"),
        ("/", "not enough", "Goto(2)"),
    ] {
        let mut model = in_lesson(80, 24, view(1, false));
        query(&mut model, keys, text);
        let effects = press(&mut model, "enter");
        assert_eq!(told(&effects), [format!("Send({order})")], "{text}");
    }
    // Without a lesson all is to be opened.
    let mut outside = model(80, 24);
    query(&mut outside, "/", "not enough");
    assert_eq!(
        told(&press(&mut outside, "enter")),
        ["Send(Open { lesson: \"03-pid\", step: Some(\"without-fork\") })"]
    );
    // What would be lost is asked about.
    let mut shown = view(1, true);
    shown.shell_at_stake = true;
    let mut model = in_lesson(80, 24, shown);
    query(&mut model, "/", "host name own");
    assert!(press(&mut model, "enter").is_empty());
    assert_eq!(told(&press(&mut model, "y")), ["Send(Open { lesson: \"02-uts\", step: None })"]);
    assert!(model.view.is_none() && model.open.as_deref() == Some("02-uts"));
    // A late word of the lesson that was left does not come in between.
    update(&mut model, Message::News(News::View(Arc::new(view(1, true)))));
    assert!(model.view.is_none());
}

#[test]
fn rows_and_words_are_found_too() {
    let mut model = in_lesson(80, 24, view(1, true));
    query(&mut model, "/", "box pid_for");
    press(&mut model, "enter");
    assert!(matches!(&model.popup, Some(Popup::Explain { rows, .. }) if rows[0].key == "pid_for_children"));
    press(&mut model, "esc");
    query(&mut model, "/", "zombie");
    press(&mut model, "enter");
    assert!(matches!(&model.popup, Some(Popup::Text { title, .. }) if title == "zombie"));
    press(&mut model, "esc w");
    let Some(Popup::Picker { list: List::Words, .. }) = model.popup else { panic!("no words") };
    find(&model, "in this step");
    query(&mut model, "esc w", "uidm");
    press(&mut model, "enter");
    find(&model, "user_namespaces(7)");
    press(&mut model, "esc H");
    find(&model, "chroot in BSD");
}

#[test]
fn the_course_is_looked_at_without_leaving_the_lesson() {
    let mut model = in_lesson(80, 24, view(1, false));
    press(&mut model, "m");
    find(&model, "Namespaces: the OS lies");
    assert_eq!(model.at, 2);
    // The lesson goes on behind it.
    assert_eq!(told(&update(&mut model, Message::Tick)), ["Send(Sample)"]);
    assert!(press(&mut model, "n 1").is_empty());
    assert!(press(&mut model, "esc").is_empty() && !model.map);
    // Its own step, and then another lesson's.
    assert_eq!(told(&press(&mut model, "m tab down down enter")), ["Send(Goto(3))"]);
    assert!(!model.map);
    assert_eq!(told(&press(&mut model, "m up enter")), ["Send(Open { lesson: \"02-uts\", step: None })"]);
    let mut model = self::model(80, 24);
    let effects = press(&mut model, "down tab down enter");
    assert_eq!(told(&effects), ["Send(Open { lesson: \"04-mount\", step: Some(\"step-1\") })"]);
}

#[test]
fn steps_of_the_course_are_opened_by_clicks() {
    let mut model = model(80, 24);
    let (x, y) = find(&model, "Tab steps");
    click(&mut model, x, y);
    assert!(model.step_at.is_some());
    let (x, y) = find(&model, "unshare alone");
    model.step_at = None;
    assert!(click(&mut model, x, y).is_empty());
    assert_eq!(model.step_at, Some(2));
    assert_eq!(told(&click(&mut model, x, y)), ["Send(Open { lesson: \"03-pid\", step: Some(\"without-fork\") })"]);
}

#[test]
fn calls_of_earlier_steps_can_be_paged_to() {
    let mut shown = view(2, true);
    shown.history.insert(0, view(1, true).report.unwrap());
    let mut model = in_lesson(80, 24, shown);
    press(&mut model, "[");
    assert_eq!((model.focus, model.traced()), (Pane::Trace, 1));
    find(&model, "unshare(CLONE_NEWPID)");
    find(&model, "made  a pid namespace, held by box");
    press(&mut model, "[");
    find(&model, "Done by hand");
    press(&mut model, "[");
    assert!(model.notice.is_some() && model.traced() == 0);
    press(&mut model, "] ]");
    assert_eq!((model.traced(), model.trace_of), (2, None));
    press(&mut model, "]");
    assert!(model.notice.is_some());
    // Another step is not hidden behind an earlier one.
    press(&mut model, "[");
    update(&mut model, Message::News(News::View(Arc::new(view(3, false)))));
    assert_eq!(model.trace_of, None);
}

#[test]
fn frozen_panels_stand_still_and_say_since_when() {
    let mut model = in_lesson(120, 40, view(1, false));
    press(&mut model, "f");
    for _ in 0..7 {
        assert!(update(&mut model, Message::Tick).is_empty());
    }
    find(&model, "frozen for 7 s");
    let before = model.view.clone().unwrap();
    update(&mut model, Message::News(News::View(Arc::new(view(1, true)))));
    let now = model.view.clone().unwrap();
    assert!(now.position.done && now.rows == before.rows && now.since_step.is_empty());
    for _ in 0..120 {
        update(&mut model, Message::Tick);
    }
    find(&model, "frozen for 2 min");
    assert_eq!(told(&press(&mut model, "f")), ["Send(Sample)"]);
    assert_eq!(model.view.unwrap().since_step.len(), 2);
}

#[test]
fn keys_of_the_learners_own_are_in_force_and_shown() {
    let mut model = in_lesson(80, 24, view(1, false));
    let (keys, faults) = crate::tui::keys::Keys::read("next = f5\nfreeze = n\nleave = ctrl-g");
    assert_eq!(faults, []);
    model.keys = keys;
    find(&model, "F5 next");
    assert!(press(&mut model, "n").is_empty() && model.frozen.is_some());
    assert_eq!(told(&press(&mut model, "f5")), ["Send(Next)"]);
    press(&mut model, "?");
    find(&model, "F5        ");
    press(&mut model, "esc");
    with_shell(&mut model);
    find(&model, "Ctrl-G leaves the pane");
    press(&mut model, "ctrl-]");
    assert!(model.capture);
    press(&mut model, "ctrl-g");
    assert!(!model.capture);
}

#[test]
fn a_theme_is_chosen_and_kept() {
    let mut model = model(80, 24);
    query(&mut model, "ctrl-t", "light");
    assert_eq!(told(&press(&mut model, "enter")), ["KeepTheme(\"light\")"]);
    assert_eq!(model.theme.name, "light");
}

#[test]
fn each_pane_can_have_the_whole_small_screen() {
    let mut model = in_lesson(80, 24, view(1, true));
    press(&mut model, "+");
    for pane in Pane::ALL {
        model.focus = pane;
        let place = *layout::layout(&model).place(pane).unwrap();
        assert_eq!((place.outer.y, place.inner.height), (0, 21), "{pane:?}");
        find(&model, "step 2/5");
    }
    let seen: Vec<Pane> = (0..Pane::ALL.len())
        .map(|_| {
            press(&mut model, "tab");
            model.focus
        })
        .collect();
    assert!(Pane::ALL.iter().all(|pane| seen.contains(pane)), "{seen:?}");
    press(&mut model, "-");
    assert!(layout::layout(&model).tabs.is_some());
}

#[test]
fn trouble_of_the_start_is_told_one_after_the_other() {
    let trouble = |what: &str| Explanation::new(what, "why", "fix");
    let mut model = model(80, 24);
    model.troubles.extend([trouble("first"), trouble("second")]);
    update(&mut model, Message::Tick);
    assert_eq!(model.popup, Some(Popup::Trouble(trouble("first"))));
    press(&mut model, "esc");
    assert_eq!(model.popup, Some(Popup::Trouble(trouble("second"))));
    press(&mut model, "esc");
    assert!(model.popup.is_none());
}
