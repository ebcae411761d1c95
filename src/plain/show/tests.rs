#![allow(clippy::unwrap_used)]

use super::*;
use crate::tui::fixture::{panel_view, setup, view};

fn told(show: impl FnOnce(&mut dyn Write) -> Result<()>) -> String {
    let mut out = Vec::new();
    show(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
}

#[test]
fn the_course_is_told_by_parts_and_a_lesson_by_its_steps() {
    let course = setup().course;
    let text = told(|out| list(&course, out));
    has(
        &text,
        &[" I  A process and its root\n", " II  Namespaces: the OS lies\n", "2/7 steps done", "not here: the kernel"],
    );
    let text = told(|out| map(&course, "pid", out));
    has(
        &text,
        &["03-pid: A process tree", "1 done", "unshare alone is not enough (without-fork, fails)", "a question"],
    );
    has(&told(|out| map(&course, "nothing", out)), &["there is no lesson nothing"]);
}

#[test]
fn calls_of_any_step_are_told_with_what_they_made() {
    let shown = view(1, true);
    let text = told(|out| calls(&shown, 1, out));
    has(&text, &["unshare(CLONE_NEWPID)", "made: a pid namespace, held by box; it ends with the lab host"]);
    has(&told(|out| calls(&shown, 0, out)), &["step 1: A process to work on", "done by hand"]);
    has(&told(|out| calls(&shown, 3, out)), &["makes no system call"]);
    has(&told(|out| calls(&shown, 99, out)), &["the lesson has 5 steps"]);
}

#[test]
fn every_panel_is_told_by_name_and_changes_in_two_ways() {
    for panel in Panel::ALL {
        let shown = panel_view(panel);
        for name in ["", &panel.to_string(), "all"] {
            let text = told(|out| state(&shown, name, out));
            has(&text, &[&format!("{panel}: box (pid 12) · changed = after   (/proc/12/changed)   [was before]")]);
            has(&text, &["= (empty)", "added = new   (/proc/12/added)   [new]"]);
        }
        has(&told(|out| state(&shown, "nothing", out)), &["there is no panel nothing", &panel.to_string()]);
        has(&told(|out| differences(&shown, false, false, out)), &["~ box (pid 12) · changed = after (was before)"]);
        let text = told(|out| differences(&shown, true, true, out));
        has(
            &text,
            &["changed\n    before: before\n    now:    after", "removed\n    before: gone\n    now:    nothing"],
        );
        has(&told(|out| explain(&shown, "", out)), &["prints it: cat /proc/12/changed", "means: what a probe says"]);
        has(&told(|out| explain(&shown, "box OTHER", out)), &["other = of the box"]);
        has(&told(|out| explain(&shown, "nothing like it", out)), &["there is no such row"]);
    }
    let mut empty = view(1, true);
    empty.rows = std::sync::Arc::default();
    has(&told(|out| state(&empty, "", out)), &["holds nothing of this kind"]);
}

#[test]
fn words_are_told_and_everything_can_be_found() {
    let shown = view(1, true);
    has(&told(|out| step(&shown, out)), &["words (w WORD explains): ", "pid namespace", "unshare"]);
    has(
        &told(|out| words(Some(&shown), "", out)),
        &["pid namespace: Numbers its processes from 1", "pid_namespaces(7)"],
    );
    has(&told(|out| words(None, "ZOMBIE", out)), &["zombie: A process that has ended"]);
    has(&told(|out| words(None, "nonsense", out)), &["the glossary has no word nonsense"]);
    let course = setup().course;
    let text = told(|out| search(&course, Some(&shown), "enough", out));
    has(&text, &["g 3", "unshare alone is not enough"]);
    let text = told(|out| search(&course, None, "enough", out));
    has(&text, &["o 03-pid:without-fork"]);
    has(&told(|out| search(&course, Some(&shown), "box CapEff", out)), &["e box (pid 12) CapEff"]);
    has(&told(|out| search(&course, Some(&shown), "sdjkfh", out)), &["nothing has all these words"]);
    has(&told(history), &["1979: chroot.", "2013: Docker."]);
}

#[test]
fn each_command_has_a_word_of_its_own() {
    let mut words: Vec<&str> = COMMANDS.iter().flat_map(|Spec(short, word, ..)| [*short, *word]).collect();
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count);
    has(&told(help), &["state [PANEL]", "empty line"]);
}

#[test]
fn networks_are_told_with_where_their_cables_lead() {
    let shown = crate::tui::fixture::network::network_view();
    let text = told(|out| state(&shown, "", out));
    insta::assert_snapshot!("networks", text);
    assert!(!text.contains("RTM_GETLINK") && told(|out| state(&shown, "network", out)).contains("RTM_GETLINK"));
}
