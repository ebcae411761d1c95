//! What can be said of lessons without a kernel: the built-in ones keep every rule, faulty ones hear all their faults with
//! exact places, and no text makes the parser panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;

use hardway::lesson::compile::{self, compile};
use hardway::lesson::fault::Fault;
use hardway::lesson::raw::pick;
use hardway::lesson::{Check, Kind, Lesson, Need, Value, builtin, check_file};
use hardway::probe::Panel;
use hardway::runtime::action::Action;
use proptest::prelude::*;

const GOOD: &str = r#"format: 1
id: x
stage: uts
title: A title
minutes: 5
goal: A goal.
steps:
  - id: one
    kind: change
    title: One
    explain: Something.
    actions:
      - box: {}
      - unshare: { in: box, namespaces: [uts] }
    check:
      - namespace_differs: { of: box, kind: uts, from: host }
  - id: two
    kind: observe
    title: Two
    explain: Something.
    question: { ask: What?, value: { hostname: { of: box } } }
    by_hand: [hostname]
"#;

fn faults(text: &str) -> Vec<Fault> {
    compile("x", "x.yaml", text).unwrap_err()
}

/// Compiles GOOD with one text replaced, and compares `line:column what` of each fault.
fn breaks(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    let faults = faults(&GOOD.replacen(from, to, 1));
    let told: Vec<String> = faults.iter().map(|it| format!("{}:{} {}", it.line, it.column, it.what)).collect();
    assert_eq!(told, expected, "{}", faults.iter().map(|it| it.snippet.as_str()).collect::<String>());
    assert!(faults.iter().all(|it| !it.fix.is_empty() && it.snippet.contains(&it.what)));
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn the_example_is_good() {
    let lesson = compile("x", "x.yaml", GOOD).unwrap();
    assert_eq!(lesson.steps[0].by_hand, ["bash --norc", "unshare --uts bash --norc"], "the actions' own lines");
    assert_eq!(lesson.steps[0].watch, hardway::stages::find("uts").unwrap().panels);
}

#[test]
fn built_in_lessons_are_written_as_they_should_be() {
    let lessons = builtin::all();
    assert!(lessons.iter().map(|it| &it.name).eq(support::course().iter().map(|it| &it.name)), "each file is built in");
    for Lesson { name, steps, .. } in &lessons {
        // What is different on other machines is there in the place of a step, and not one more.
        let count = steps.iter().filter(|step| step.twin_of.is_none()).count();
        assert!(steps.len() >= 6 && count <= 16, "{name} has {} steps, {count} of them in one place each", steps.len());
        for kind in [Kind::Change, Kind::Fail, Kind::Observe] {
            assert!(steps.iter().any(|step| step.kind == kind), "{name} has no step of kind {kind:?}");
        }
        for step in steps {
            let at = format!("{name}:{}", step.id);
            assert!(words(&step.explain) <= 125, "{at}: explain has {} words", words(&step.explain));
            assert!(words(&step.debrief) <= 80, "{at}: debrief has {} words", words(&step.debrief));
            assert!(step.hints.len() >= 2, "{at}: hints");
            assert!(!step.notes.is_empty() && !step.debrief.is_empty(), "{at}: notes and debrief");
            // A number of more than five digits is an inode or a time: it differs from machine to machine.
            let texts = [&step.explain, &step.debrief, &step.notes];
            let long = |text: &&&String| text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 5);
            assert!(!texts.iter().any(|text| long(&text)), "{at}: a number that is not everybody's");
            // While a program holds the terminal nothing else can be typed, so there a wrong answer can't be either.
            let held = step.by_hand == ["^C"];
            assert!(step.kind != Kind::Change || held || !step.wrong.is_empty(), "{at}: no wrong answer");
            assert!(
                step.wrong.iter().all(|lines| *lines != step.by_hand),
                "{at}: a wrong answer that is the right one"
            );
        }
    }
}

#[test]
fn a_file_is_checked_by_its_path() {
    for lesson in builtin::all() {
        let path = format!("{}/lessons/{}.yaml", env!("CARGO_MANIFEST_DIR"), lesson.name);
        assert_eq!(check_file(path.as_ref()).unwrap(), lesson);
    }
    let none = check_file("/no/such/lesson.yaml".as_ref()).unwrap_err();
    assert!(none[0].what.contains("No such file"), "{}", none[0].what);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.yaml");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert_eq!(check_file(&file).unwrap_err()[0].what, "the file is not UTF-8 text");
    std::fs::write(&file, vec![b'#'; usize::try_from(compile::MAX_FILE).unwrap() + 1]).unwrap();
    assert!(check_file(&file).unwrap_err()[0].what.contains("longer than 256 KiB"));
    assert!(check_file(dir.path()).is_err(), "a directory");
}

#[test]
fn each_rule_is_told_with_its_place() {
    breaks("format: 1", "format: 2", &["1:9 format 2 is not known here"]);
    breaks("stage: uts", "stage: ust", &["3:8 there is no stage `ust`"]);
    breaks("title: A title", "title: ''", &["4:8 the title is empty"]);
    breaks("minutes: 5", "minutes: 0", &["5:10 a lesson takes 1 to 240 minutes"]);
    breaks("id: two", "id: one", &["17:9 another step is called `one` already"]);
    breaks("id: two", "id: Two!", &["17:9 `Two!` is no short name"]);
    breaks("{ of: box } }", "{ of: bx } }", &["21:54 no box `bx` has been made by here"]);
    breaks(
        "- box: {}",
        "- fork: { in: box }",
        &[
            "13:21 no box `box` has been made by here",
            "14:24 no box `box` has been made by here",
            "16:34 no box `box` has been made by here",
            "21:54 no box `box` has been made by here",
        ],
    );
    breaks(
        "- box: {}",
        "- box: { name: host }",
        &[
            "13:9 a box can not be called `host`",
            "14:24 no box `box` has been made by here",
            "16:34 no box `box` has been made by here",
            "21:54 no box `box` has been made by here",
        ],
    );
    breaks("[uts] }", "[] }", &["14:41 no namespace is named"]);
    breaks(
        "[uts] }",
        "[uts], fails_with: EPERM }",
        &["14:9 an action that must fail, in a step that is not of kind `fail`"],
    );
    breaks("by_hand: [hostname]", "by_hand: [\"a\\nb\"]", &["22:15 this can not be typed as one line"]);
    breaks("by_hand: [hostname]", "by_hand: [\"ls \\u202e\"]", &["22:15 this can not be typed as one line"]);
    breaks("goal: A goal.", "goal: \"\\e[2J\"", &["6:7 the goal has a control character"]);
    breaks("by_hand: [hostname]", "by_hand: [^Z]", &["22:15 `^Z` is no key that can be typed"]);
    breaks(
        "by_hand: [hostname]",
        "by_hand: []",
        &["18:11 nothing can be typed for this step", "22:14 `by_hand` has no lines"],
    );
    breaks("    by_hand: [hostname]\n", "", &["18:11 nothing can be typed for this step"]);
    breaks(
        "kind: change",
        "kind: observe",
        &["8:3 no step of this lesson is of kind `change`", "9:11 a step of kind `observe` needs `question`"],
    );
    breaks(
        "kind: change",
        "kind: fail",
        &[
            "8:3 no step of this lesson is of kind `change`",
            "9:11 a step of kind `fail` has exactly one failing action, its last one",
            "9:11 what the shell says of the failing line is missing",
        ],
    );
    breaks(
        "    question:",
        "    predict: { ask: A?, choices: [a, b], answer: 2, because: B }\n    question:",
        &["21:50 there is no choice 2: they are numbered from 0"],
    );
    breaks(
        "by_hand: [hostname]",
        "by_hand: [hostname]\n    actions: [{ kill: { who: host, from: box, signal: SIGKIL } }]",
        &[
            "23:30 the lab host itself can not be signalled: the lesson would end with it",
            "23:55 `SIGKIL` is not the name of a signal",
        ],
    );
    let long = format!("actions: [{{ set_hostname: {{ in: box, name: {} }} }}]", "x".repeat(65));
    breaks(
        "by_hand: [hostname]",
        &format!("by_hand: [hostname]\n    {long}"),
        &["23:48 a host name has at most 64 bytes; this one has 65"],
    );
    breaks(
        "by_hand: [hostname]",
        "by_hand: [hostname]\n    actions: [{ run: { in: box, argv: [] } }]",
        &["23:39 no program is named"],
    );
}

#[test]
fn faults_of_the_syntax_are_told_all_at_once() {
    let text = GOOD
        .replace("kind: change", "kind: chnage")
        .replace("namespaces: [uts]", "namespace: [uts]")
        .replace("namespace_differs", "namespace_difers")
        .replace("goal: A goal.", "gaol: A goal.\nid: y")
        .replace("minutes: 5", "minutes: five")
        .replace(
            "    by_hand: [hostname]",
            "    by_hand: [hostname, [x]]\n    depth: deeper\n    hints: [{ when: { exists: {} }, say: x }]",
        )
        .replace("    title: Two\n", "");
    let told: Vec<String> = faults(&text).iter().map(|it| format!("{}:{} {}", it.line, it.column, it.what)).collect();
    assert_eq!(
        told,
        [
            "1:1 the field `goal` is missing",
            "5:10 a whole number is expected here, not \"five\"",
            "6:1 there is no field `gaol` here",
            "7:1 the field `id` is written twice",
            "10:11 `chnage` is not known here",
            "15:29 there is no field `namespace` here",
            "17:9 `namespace_difers` is not known here",
            "18:5 the field `title` is missing",
            "22:25 a text is expected here, not a list",
            "23:12 `deeper` is not known here",
            "24:31 the field `of` is missing",
        ]
    );
    let fixes: Vec<String> = faults(&text).into_iter().map(|it| it.fix).collect();
    assert!(fixes[2].starts_with("did you mean `goal`?"), "{}", fixes[2]);
    assert!(fixes[4].starts_with("did you mean `change`?"), "{}", fixes[4]);
    assert!(fixes[5].starts_with("did you mean `namespaces`?"), "{}", fixes[5]);
    assert!(fixes[6].starts_with("did you mean `namespace_differs`?"), "{}", fixes[6]);
}

#[test]
fn shapes_that_do_not_fit_are_told_in_plain_words() {
    let told = |actions: &str| {
        let text = GOOD.replace("    by_hand: [hostname]", &format!("    actions: {actions}"));
        let faults = faults(&text);
        assert!(faults.iter().all(|it| it.line == 22), "{faults:?}");
        faults.into_iter().map(|it| it.what).collect::<Vec<_>>().join("; ")
    };
    for (actions, words) in [
        ("3", "a list is expected here, not `3`"),
        ("[box]", "`name: { field: value }` is expected here, not a bare name"),
        ("[3]", "`name: { field: value }` is expected here, not `3`"),
        ("[{ unshare: { in: box, namespaces: uts } }]", "a list is expected here, not \"uts\""),
        ("[{ unshare: { in: box, namespaces: [utc] } }]", "`utc` is not known here"),
        ("[{ run: { in: box, argv: [x], fails_with: EFOO } }]", "`EFOO` is not the name of an errno, as `EPERM` is"),
        (
            "[{ box: {}, fork: { in: box } }]",
            "one name alone (a further one is a further entry of the list) is expected here, not a mapping",
        ),
        ("[!box {}]", "`name: { field: value }` is expected here, not a tag"),
        ("[{ nothing: 1 }]", "`nothing` is not known here"),
    ] {
        assert_eq!(told(actions), words, "{actions}");
    }
}

#[test]
fn the_readme_names_everything() {
    let readme = include_str!("../lessons/README.md");
    let names = |error: String| -> Vec<String> { error.split('`').skip(3).step_by(2).map(str::to_owned).collect() };
    let all = [
        pick::typed::<Action>("nope: {}", &[]).unwrap_err().to_string(),
        pick::typed::<Check>("nope: {}", &[]).unwrap_err().to_string(),
        pick::typed::<Value>("nope: {}", &[]).unwrap_err().to_string(),
        pick::typed::<Need>("nope", &[]).unwrap_err().to_string(),
        pick::typed::<Panel>("nope", &[]).unwrap_err().to_string(),
    ];
    for name in all.into_iter().flat_map(names) {
        let named = [format!("`{name}`"), format!("`{name}:")].iter().any(|form| readme.contains(form.as_str()));
        assert!(named, "lessons/README.md says nothing of `{name}`");
    }
    for stage in hardway::stages::ALL {
        assert!(readme.contains(&format!("`{}`", stage.id)), "lessons/README.md says nothing of stage {}", stage.id);
    }
}

#[test]
fn what_is_not_yaml_is_one_fault() {
    for (text, line) in [("a: [", 1), ("", 1), ("a: b: c", 1), ("id: x\n\tkind: y", 2), ("--- 1\n--- 2", 1), ("*x", 1)]
    {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
        assert!(faults[0].line.abs_diff(line) <= 1, "{text:?}: {faults:?}");
    }
    for text in ["[]", "3", "null", "{}", "format: 1", "steps: 3", "steps: [3]", "{? [a] : b}", "!tag {a: b}"] {
        assert!(!faults(text).is_empty(), "{text}");
    }
}

#[test]
fn a_hostile_file_takes_no_long_time() {
    let mut text = GOOD.to_owned();
    while text.len() < 250_000 {
        text.push_str("  - { id: a, kind: x, title: [], explain: {}, actions: [1, 2, 3, 4, {box: 1}], wrong: [[[]], 1], zz: 1 }\n");
    }
    let start = std::time::Instant::now();
    let told = faults(&text);
    assert!(told.len() <= hardway::lesson::fault::MOST + 8 && told.len() > 20, "{}", told.len());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![before; 10].join(", ")).unwrap();
    }
    assert!(!faults(&bomb).is_empty());
    // Many times what it takes, on a slow and busy machine without optimisation.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

/// A built-in lesson with some of its text replaced.
fn mutated() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        Just(String::new()),
        "[ \\[\\]{}:,&*!|>'\"%@`#\\-?a-z0-9\n\t]{0,6}",
        Just("- ".to_owned()),
        Just("!box".to_owned()),
        Just("<<: *x".to_owned()),
        Just("\u{1f980}".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("null".to_owned()),
    ];
    let edit = (any::<prop::sample::Index>(), 0usize..40, bits);
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 1..4)).prop_map(|(which, edits)| {
        let lessons = builtin::all();
        let mut text: Vec<char> = builtin::source(&which.get(&lessons).name).unwrap().chars().collect();
        for (at, length, bit) in edits {
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, bit.chars());
        }
        text.into_iter().collect()
    })
}

fn sane(text: &str) {
    if let Err(faults) = compile("x", "x.yaml", text) {
        assert!(!faults.is_empty());
        // YAML has more line breaks than Unix.
        let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
        for fault in faults {
            assert!((1..=lines).contains(&fault.line) && fault.column >= 1, "{fault:?}");
            assert!(!fault.what.is_empty());
            assert!(!fault.snippet.chars().any(|c| c.is_control() && c != '\n'), "{:?}", fault.snippet);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}|[ \\[\\]{}:,&*!|>'\"a-c\n\t-]{0,80}") {
        sane(&text);
    }

    #[test]
    fn no_mutated_lesson_makes_the_parser_panic(text in mutated()) {
        sane(&text);
    }
}
