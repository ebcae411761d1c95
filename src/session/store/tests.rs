#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::lesson::builtin;
use crate::session::{How, Position, Record};

fn lessons() -> Vec<Lesson> {
    builtin::all()
}

fn started(lesson: &Lesson) -> Session {
    let mut session = Session::new(lesson.steps.len());
    session.did(How::Hands);
    session.advance();
    session
}

#[test]
fn progress_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".local/state/hardway");
    let lessons = lessons();
    let (mut store, trouble) = Store::open(&dir);
    assert_eq!(trouble, None);
    assert_eq!(store.load(&lessons[0]), None);
    let session = started(&lessons[0]);
    store.save(&lessons[0], &session).unwrap();
    let (again, trouble) = Store::open(&dir);
    assert_eq!(trouble, None);
    assert_eq!(again.load(&lessons[0]), Some(session));
    assert_eq!(again.load(&lessons[1]), None);
    assert_eq!(again.done_counts(&lessons), [(lessons[0].name.clone(), 1)].into());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.join(FILE)), 0o600);
    assert_eq!(mode(&dir), 0o700);
    assert!(!dir.join(NEW).exists());
}

#[test]
fn progress_of_a_changed_lesson_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let mut lesson = lessons().remove(0);
    let (mut store, _) = Store::open(home.path());
    store.save(&lesson, &started(&lesson)).unwrap();
    lesson.steps[0].title.push('!');
    assert!(store.load(&lesson).is_some(), "a better text is the same lesson");
    lesson.steps[0].id.push('2');
    assert_eq!(store.load(&lesson), None);
    assert!(store.done_counts(&[lesson]).is_empty());
}

#[test]
fn what_can_not_be_understood_is_kept_aside() {
    let lesson = lessons().remove(0);
    for content in ["{", "", "[]", r#"{"format":2,"more":true}"#, r#"{"format":1,"lessons":7}"#, "\u{0}"] {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        fs::write(&file, content).unwrap();
        fs::write(home.path().join("progress.json.broken-1"), "an older one").unwrap();
        let (mut store, trouble) = Store::open(home.path());
        assert!(trouble.unwrap().fix.contains("progress.json.broken-2"));
        assert_eq!(store.load(&lesson), None);
        assert_eq!(fs::read_to_string(&file).unwrap(), content, "looking changes nothing");
        store.save(&lesson, &started(&lesson)).unwrap();
        assert!(store.load(&lesson).is_some());
        assert_eq!(fs::read_to_string(home.path().join("progress.json.broken-1")).unwrap(), "an older one");
        assert_eq!(fs::read_to_string(home.path().join("progress.json.broken-2")).unwrap(), content);
        // What is kept already is not written again.
        fs::write(&file, content).unwrap();
        store.save(&lesson, &started(&lesson)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
        // A file that breaks while hardway runs is told of, and the progress is saved all the same.
        let mut further = started(&lesson);
        further.go(Position { step: 1, done: true });
        assert!(store.save(&lesson, &further).is_err());
        assert_eq!(store.load(&lesson), Some(further));
    }
}

#[test]
fn trouble_with_saving_is_told_once() {
    let home = tempfile::tempdir().unwrap();
    let blocked = home.path().join("file");
    fs::write(&blocked, "not a directory").unwrap();
    let lesson = lessons().remove(0);
    let (mut store, _) = Store::open(blocked.join("hardway"));
    store.told = false;
    let told = store.save(&lesson, &started(&lesson)).unwrap_err();
    assert_eq!(told.what, "your progress is not being saved");
    store.save(&lesson, &started(&lesson)).unwrap();
}

#[test]
fn a_link_is_not_written_through() {
    let home = tempfile::tempdir().unwrap();
    let victim = home.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, home.path().join(NEW)).unwrap();
    let lesson = lessons().remove(0);
    let (mut store, _) = Store::open(home.path());
    store.save(&lesson, &started(&lesson)).unwrap();
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    assert!(store.load(&lesson).is_some());
}

#[test]
fn two_hardways_do_not_lose_each_others_progress() {
    let home = tempfile::tempdir().unwrap();
    let lessons = lessons();
    std::thread::scope(|scope| {
        for lesson in &lessons {
            let dir = home.path().join("state");
            scope.spawn(move || {
                let (mut store, _) = Store::open(dir);
                for _ in 0..20 {
                    store.save(lesson, &started(lesson)).unwrap();
                }
            });
        }
    });
    let (store, trouble) = Store::open(home.path().join("state"));
    assert_eq!(trouble, None);
    assert_eq!(store.done_counts(&lessons).len(), lessons.len());
}

#[test]
fn the_directory_belongs_to_the_person() {
    let of = |vars: &[(&str, &str)]| {
        let vars: BTreeMap<String, String> = vars.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        directory(|name| vars.get(name).map(OsString::from), |uid| (uid == 1000).then(|| PathBuf::from("/home/ada")))
    };
    let ada = Some(PathBuf::from("/home/ada/.local/state/hardway"));
    assert_eq!(of(&[("HOME", "/root"), ("XDG_STATE_HOME", "/root/state"), ("SUDO_UID", "1000")]), ada);
    assert_eq!(of(&[("HOME", "/home/ada")]), ada);
    assert_eq!(of(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/s")]), Some("/s/hardway".into()));
    assert_eq!(of(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "relative")]), ada);
    assert_eq!(of(&[("HOME", "/home/ada"), ("SUDO_UID", "4711")]), ada);
    assert_eq!(of(&[]), None);
    let vars = [("HOME", "/root"), ("XDG_CONFIG_HOME", "/root/config"), ("SUDO_UID", "1000")];
    let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    assert_eq!(config(var, |_| Some("/home/ada".into())), Some("/home/ada/.config/hardway".into()));
    assert_eq!(config(var, |_| None), Some("/root/config/hardway".into()));
}

proptest! {
    #[test]
    fn any_session_comes_back(step in 0usize..8, done: bool, hows in prop::collection::vec(0u8..3, 8), hint in 0usize..9) {
        let home = tempfile::tempdir().unwrap();
        let lesson = lessons().remove(0);
        let records: Vec<Record> = lesson.steps.iter().zip(hows).map(|(_, how)| Record {
            how: [None, Some(How::Calls), Some(How::Hands)][usize::from(how)],
            predicted: (how > 0).then_some(hint),
            hints: hint,
        }).collect();
        let step = step.min(records.len() - 1);
        let session = Session { position: Position { step, done }, records };
        let (mut store, _) = Store::open(home.path());
        store.save(&lesson, &session).unwrap();
        prop_assert_eq!(store.load(&lesson), Some(session));
    }

    #[test]
    fn no_file_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), &bytes).unwrap();
        let lesson = lessons().remove(0);
        let (mut store, trouble) = Store::open(home.path());
        prop_assert!(trouble.is_some());
        prop_assert_eq!(store.load(&lesson), None);
        store.save(&lesson, &started(&lesson)).unwrap();
        prop_assert_eq!(fs::read(home.path().join("progress.json.broken-1")).unwrap(), bytes);
    }
}
