//! A name server in a lab host, and who asks it: hardway, and the C library as its oracle.
//!
//! Not under the usual harness: the keeper must be forked while this process has one thread.

#[path = "support/labs.rs"]
mod labs;

use std::process::ExitCode;

use hardway::agent::client::Lab;
use hardway::runtime::action::Performed;
use labs::{actions, perform, printed, run};

fn main() -> ExitCode {
    labs::in_each_mode(
        "names",
        ready,
        &[
            ("the_resolvers_file_is_one", the_resolvers_file_is_one),
            ("the_c_library_hears_the_same", the_c_library_hears_the_same),
            ("a_name_that_is_none_is_told_by_whom", a_name_that_is_none_is_told_by_whom),
            ("a_namespace_has_a_file_of_its_own", a_namespace_has_a_file_of_its_own),
            ("without_a_server_the_port_is_refused", without_a_server_the_port_is_refused),
        ],
    )
}

/// A name server on the lab host's loopback device.
fn ready(lab: &mut Lab) -> Result<(), String> {
    let built = r#"[{"box":{"name":"names"}},
        {"serve_names":{"in":"names","at":"127.0.0.1:53","names":{"db":"10.12.0.3","six.lab":"fd00:12::6"}}},
        {"write":{"in":"host","at":"/etc/resolv.conf","text":"nameserver 127.0.0.1"}}]"#;
    perform(lab, &actions(built));
    let (status, said) = run(lab, "command -v getent");
    if status == Some(0) { Ok(()) } else { Err(format!("there is no getent here: {said}")) }
}

fn resolve(lab: &mut Lab, who: &str, name: &str) -> Performed {
    let action = serde_json::json!([{ "resolve": { "in": who, "name": name } }]);
    lab.perform(&actions(&action.to_string())).expect("performed").remove(0)
}

/// Another can be mounted on it, whatever the machine has there.
fn the_resolvers_file_is_one(lab: &mut Lab) {
    printed(
        lab,
        "test -f /etc/resolv.conf && test ! -L /etc/resolv.conf && mkdir /etc/netns/any && rmdir /etc/netns/any",
    );
}

fn the_c_library_hears_the_same(lab: &mut Lab) {
    for (name, address) in [("db", "10.12.0.3"), ("six.lab", "fd00:12::6"), ("DB", "10.12.0.3")] {
        assert_eq!(resolve(lab, "host", name).output(), format!("{name} is {address}, says 127.0.0.1:53"));
        assert_eq!(
            printed(lab, &format!("/lab/work resolve {name}")).trim_end(),
            format!("{name} is {address}, says 127.0.0.1:53")
        );
        // By gethostbyname2(3), which does not look whether the machine has an address of that family.
        assert!(printed(lab, &format!("getent hosts {name}")).starts_with(address), "{name}");
    }
}

fn a_name_that_is_none_is_told_by_whom(lab: &mut Lab) {
    let performed = resolve(lab, "host", "web");
    assert_eq!(performed.output(), "web is no name (NXDOMAIN), says 127.0.0.1:53");
    assert!(performed.has_failed());
    assert_eq!(run(lab, "getent hosts web").0, Some(2), "no such key (getent(1))");
    assert_eq!(run(lab, "/lab/work ask web:80").0, Some(1));
    assert!(resolve(lab, "host", &"x".repeat(64)).output().contains("can be no name"));
}

/// Mounted by hand as `ip netns exec` does it, in one box alone.
fn a_namespace_has_a_file_of_its_own(lab: &mut Lab) {
    let own = r#"[{"box":{"name":"web"}}, {"unshare":{"in":"web","namespaces":["mnt"]}},
        {"mkdir":{"in":"host","at":"/etc/netns/web"}},
        {"write":{"in":"host","at":"/etc/netns/web/resolv.conf","text":"nameserver 127.0.0.2"}},
        {"mount":{"in":"web","source":"/etc/netns/web/resolv.conf","at":"/etc/resolv.conf","flags":["MS_BIND"]}}]"#;
    perform(lab, &actions(own));
    let performed = resolve(lab, "web", "db");
    assert_eq!(performed.result.as_ref().map_err(|error| error.errno.name()), Err("ECONNREFUSED".to_owned()));
    assert_eq!(performed.output(), "127.0.0.2:53: Connection refused");
    assert!(!resolve(lab, "host", "db").has_failed(), "the host's own is what it was");
}

/// The server's child ends with its box.
fn without_a_server_the_port_is_refused(lab: &mut Lab) {
    perform(lab, &actions(r#"[{"kill":{"who":"names","from":"host","signal":"KILL"}}]"#));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !resolve(lab, "host", "db").has_failed() {
        assert!(std::time::Instant::now() < deadline, "it still answers");
    }
    assert_eq!(resolve(lab, "host", "db").output(), "127.0.0.1:53: Connection refused");
}
