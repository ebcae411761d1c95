//! hardway: chooses the role of this process before any thread exists.
use hardway::agent::client::Keeper;
use hardway::kernel::host::Person;
use hardway::runtime::action::Action;
use std::time::Instant;

fn main() {
    let person = Person::current();
    let single = std::env::args().any(|a| a == "--single");
    let mode = person.mode(false, single).unwrap_or_else(|e| { eprintln!("{e}"); std::process::exit(1) });
    println!("{mode:?} {person:?}");
    let mut keeper = Keeper::fork(&person, mode).unwrap();
    for _ in 0..3 {
        let t = Instant::now();
        let lab = keeper.start_lab();
        println!("{:?}", t.elapsed());
        let mut lab = match lab { Ok(l) => l, Err(e) => { println!("{e}"); return; } };
        for text in [
            r#"{"box":{}}"#,
            r#"{"unshare":{"in":"box","namespaces":["uts"]}}"#,
            r#"{"set_hostname":{"in":"box","name":"hi"}}"#,
            r#"{"set_hostname":{"in":"box","name":"no","as_user":1000}}"#,
            r#"{"run":{"in":"box","argv":["sh","-c","hostname; id; mount | wc -l; ls -ld /dev/null /root /tmp /etc/shadow; cat /proc/sys/vm/swappiness; sysctl -w vm.swappiness=61; touch /etc/xx; ls -l /etc/xx; ps ax | tail -5"]}}"#,
            r#"{"run":{"in":"box","argv":["/no/such"]}}"#,
            r#"{"unshare":{"in":"box","namespaces":["pid"]}}"#,
            r#"{"run":{"in":"box","argv":["true"]}}"#,
            r#"{"run":{"in":"box","argv":["true"]}}"#,
            r#"{"box":{}}"#,
            r#"{"unshare":{"in":"box","namespaces":["pid"]}}"#,
            r#"{"fork":{"in":"box"}}"#,
            r#"{"unshare":{"in":"box","namespaces":["mnt"]}}"#,
            r#"{"mount_proc":{"in":"box"}}"#,
            r#"{"run":{"in":"box","argv":["sh","-c","sleep 1000 & ps ax"]}}"#,
            r#"{"kill":{"who":"box","from":"box","signal":"KILL"}}"#,
            r#"{"kill":{"who":"box","from":"host","signal":"KILL"}}"#,
            r#"{"kill":{"who":"box","from":"host","signal":"KILL"}}"#,
            r#"{"box":{}}"#,
            r#"{"exec":{"in":"box","argv":["/no/x"]}}"#,
            r#"{"exec":{"in":"box","argv":["sleep", "1000"]}}"#,
            r#"{"run":{"in":"host","argv":["ps", "axf"]}}"#,
        ] {
            let action: Action = serde_json::from_str(text).unwrap();
            match lab.perform(&action) {
                Ok(p) => { for c in &p.calls { println!("   {:12} {c} {}us", c.by, c.nanos/1000); } match p.result { Ok(o) => println!(" ok {:?}\n{}", o.status, o.output), Err(e) => println!(" ERR {e}") } }
                Err(e) => println!("{text}: {e}"),
            }
        }
        if std::env::args().any(|a| a == "--once") { break }
    }
}
