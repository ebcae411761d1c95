//! What the credentials panel says, against cat, grep, ps, id, stat, getpcaps and capsh.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use hardway::probe::{Names, Observation, Panel, Reader, Row, Wanted, capabilities, rows};

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ended {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

fn printed(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A process that `unshare` with these options has become; none, with a word why, where that is not allowed.
fn unshared(test: &str, options: &[&str], first: &str) -> Option<Ended> {
    let script = format!("{first}echo ready; exec sleep 60");
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Ended(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "ready\n" {
        return Some(child);
    }
    let mut why = String::new();
    let _ = std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut why);
    support::skip(test, why.trim());
    None
}

/// The panel of this process, called host, and of another, called box.
fn panel(other: i32, wanted: Wanted) -> (Observation, Vec<Row>) {
    let seen = Reader::new("/proc").observe(&wanted.only(own()).only(other));
    let names = Names { host: own(), boxes: [("box".to_owned(), other)].into(), ..Names::default() };
    let rows = rows(&seen, &names);
    (seen, rows)
}

fn credentials() -> Wanted {
    Wanted::panels(&[Panel::Credentials])
}

fn value<'a>(rows: &'a [Row], subject: &str, key: &str) -> &'a Row {
    rows.iter()
        .find(|row| row.panel == Panel::Credentials && row.subject.starts_with(subject) && row.key == key)
        .unwrap_or_else(|| panic!("no row {subject} {key}"))
}

/// Each row that a command prints as it stands.
fn as_printed(rows: &[Row], subject: &str) {
    let own = rows.iter().filter(|row| row.panel == Panel::Credentials && row.subject.starts_with(subject));
    let mut compared = 0;
    for row in own {
        let said = printed(&row.command);
        let fields = words(&said);
        match row.key.as_str() {
            "Uid" | "Gid" => {
                let ids: BTreeSet<&str> = fields[1..].iter().copied().collect();
                let shown: BTreeSet<&str> =
                    row.value.split([' ', ',']).filter(|word| word.parse::<u32>().is_ok()).collect();
                assert_eq!(shown, ids, "{row:?}");
            }
            "Groups" if row.value == "none" => assert_eq!(fields.len(), 1, "{row:?}"),
            "Groups" | "NoNewPrivs" => assert_eq!(words(&row.value), fields[1..], "{row:?}"),
            "Seccomp" => assert_eq!(words(&row.value)[0], fields[1], "{row:?}"),
            "uid inside" | "gid inside" => assert_eq!(row.value, fields[2], "{row:?}"),
            "uid_map" | "gid_map" if row.value == "empty" => assert_eq!(said, "", "{row:?}"),
            "uid_map" | "gid_map" => assert_eq!(words(&row.value.replace(',', "")), fields, "{row:?}"),
            "setgroups" => assert_eq!(row.value, said),
            set if set.starts_with("Cap") => {
                assert_eq!(names(&row.value), decoded(fields[1]), "{row:?}");
                let named = !row.value.starts_with("all 4") && row.value != "none";
                assert_eq!(row.meaning.contains("Named here: "), named, "{row:?}");
            }
            other => panic!("a row that nothing is compared with: {other}"),
        }
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} rows of {subject}");
}

/// The names that a set's words stand for, in the words of capsh.
fn names(words: &str) -> BTreeSet<String> {
    let all = || (0..41).map(|number| decoded(&format!("{:x}", 1u64 << number)).pop_first().unwrap()).collect();
    let listed = |text: &str| -> BTreeSet<String> {
        text.split(' ').filter(|word| word.starts_with("CAP_")).map(str::to_lowercase).collect()
    };
    match words {
        "none" => BTreeSet::new(),
        "all 41" => all(),
        text if text.starts_with("all but ") => &all() - &listed(text),
        text => listed(text),
    }
}

/// A set as capsh(1) decodes it.
fn decoded(hex: &str) -> BTreeSet<String> {
    let said = printed(&format!("PATH=$PATH:/usr/sbin:/sbin capsh --decode={hex}"));
    let list = said.split_once('=').map_or("", |(_, list)| list).to_owned();
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Effective, inheritable and permitted set in what getpcaps(1) prints, `12: =ep cap_sys_resource-ep` (cap_from_text(3)).
fn getpcaps(pid: i32) -> [u64; 3] {
    let said = printed(&format!("PATH=$PATH:/usr/sbin:/sbin getpcaps {pid} 2>&1"));
    let mut sets = [0u64; 3];
    let clauses = said.rsplit_once(": ").map_or("", |(_, clauses)| clauses).to_owned();
    for clause in words(&clauses) {
        let operator = clause.find(['=', '+', '-']).unwrap();
        let (list, rest) = clause.split_at(operator);
        let all = list.is_empty() || list == "all";
        let mask = if all {
            (1 << 41) - 1
        } else {
            list.split(',').fold(0, |mask, name| mask | 1 << capabilities::number(name).unwrap())
        };
        let mut operation = '=';
        for letter in rest.chars() {
            match letter {
                '=' => {
                    operation = letter;
                    sets.iter_mut().for_each(|set| *set &= !mask);
                }
                '+' | '-' => operation = letter,
                flag => {
                    let set = &mut sets["eip".find(flag).unwrap()];
                    if operation == '-' { *set &= !mask } else { *set |= mask }
                }
            }
        }
    }
    sets
}

fn capabilities_agree(seen: &Observation, pid: i32) {
    let [inheritable, permitted, effective, ..] = seen.process(pid).unwrap().credentials.caps;
    assert_eq!([effective, inheritable, permitted], getpcaps(pid), "pid {pid}");
}

#[test]
fn without_a_map_everybody_is_the_overflow_id() {
    let Some(child) = unshared("oracle_credentials::without_a_map", &["--user", "--keep-caps"], "") else { return };
    let (seen, rows) = panel(child.pid(), credentials());
    as_printed(&rows, "host ");
    as_printed(&rows, "box ");
    capabilities_agree(&seen, child.pid());
    capabilities_agree(&seen, own());
    let overflow = printed("cat /proc/sys/kernel/overflowuid");
    assert_eq!(value(&rows, "box ", "uid inside").value, overflow);
    assert_eq!(value(&rows, "box ", "uid_map").value, "empty");
    assert_eq!(value(&rows, "box ", "CapEff").value, "all 41");
    assert_eq!(value(&rows, "box ", "Uid").value, printed(&format!("ps -o uid= -p {}", child.pid())).trim());
}

#[test]
fn one_file_has_two_owners() {
    let dir = tempfile::Builder::new().prefix("hwtest-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let file = dir.path().join("mine");
    let touch = format!("touch {}; ", file.display());
    let Some(child) = unshared("oracle_credentials::one_file", &["--user", "--map-root-user"], &touch) else { return };
    let (seen, rows) = panel(child.pid(), credentials().files(dir.path()));
    as_printed(&rows, "box ");
    capabilities_agree(&seen, child.pid());
    assert_eq!(value(&rows, "box ", "uid inside").value, "0");
    assert_eq!(value(&rows, "box ", "setgroups").value, "deny");
    let inside = format!("nsenter --target {} --user --preserve-credentials id -u", child.pid());
    assert_eq!(value(&rows, "box ", "uid inside").value, printed(&inside));

    let subject = file.to_str().unwrap();
    for key in ["owner", "owner for box"] {
        let row = value(&rows, subject, key);
        assert_eq!(row.value, printed(&row.command), "{row:?}");
    }
    assert_eq!(value(&rows, subject, "owner").value, printed("id -u"));
    assert_eq!(value(&rows, subject, "owner for box").value, "0");
}

#[test]
fn what_setpriv_takes_away_is_gone() {
    let test = "oracle_credentials::what_setpriv_takes_away";
    let options =
        ["--user", "--map-root-user", "setpriv", "--no-new-privs", "--bounding-set", "-all,+chown,+sys_admin"];
    let Some(child) = unshared(test, &options, "") else { return };
    let (seen, rows) = panel(child.pid(), credentials());
    as_printed(&rows, "box ");
    capabilities_agree(&seen, child.pid());
    assert_eq!(value(&rows, "box ", "NoNewPrivs").value, "1");
    let bounding = value(&rows, "box ", "CapBnd");
    assert_eq!(bounding.value, "CAP_CHOWN CAP_SYS_ADMIN");
    assert!(bounding.meaning.contains("CHOWN: give files to other users"), "{}", bounding.meaning);
}
