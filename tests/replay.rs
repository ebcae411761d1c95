//! Ways back and forth: whatever the learner did before, being at a step means the kernel state that walking there makes.
//!
//! Not under the usual harness: the keeper must be forked while this process has one thread.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use hardway::agent::client::Keeper;
use hardway::kernel::host::{Person, Wish};
use hardway::kernel::namespace::Namespace;
use hardway::lesson::{Kind, Lesson, Step, builtin};
use hardway::probe::{Names, Observation};
use hardway::runtime::action::Action;
use hardway::session::{Position, Session};
use hardway::walk::walker::Walker;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// What a learner may do.
#[derive(Clone, Debug)]
enum Deed {
    Next,
    Back,
    Goto(usize),
    Reset,
    /// Something kills the box behind the learner's back; only ways that make a new lab host are taken from there.
    BoxKilled,
    /// Whatever was typed in the lab: a process, a name, a file.
    Typed,
}

/// Pids, inode numbers and times aside, what is in the lab: each process with its name, its parent's, how many pid namespaces it is deep,
/// which namespaces are not the host's, the host name that it sees, and how many mounts.
type Shape = Vec<String>;

fn shape(observation: &Observation, names: &Names) -> Shape {
    let Some(host) = observation.process(names.host) else { return Vec::new() };
    let mut shape: Shape = observation
        .processes
        .iter()
        .filter(|process| process.state != 'Z')
        .map(|process| {
            let own: Vec<_> = Namespace::ALL
                .into_iter()
                .filter(|kind| process.namespaces.inode(*kind) != host.namespaces.inode(*kind))
                .collect();
            let inode = |kind| process.namespaces.inode(kind).unwrap_or(0);
            let hostname = observation.hostnames.get(&inode(Namespace::Uts)).and_then(|name| name.value());
            let mounts = observation.mounts.get(&inode(Namespace::Mnt)).and_then(|mounts| mounts.value()).map(Vec::len);
            let parent = observation.process(process.ppid).map_or("", |parent| parent.comm.as_str());
            let depth = process.nspid.len();
            format!("{} below {parent:?}, depth {depth}, own {own:?}, {hostname:?}, {mounts:?} mounts", process.comm)
        })
        .collect();
    // Hardware addresses, and those that the kernel makes of them, are not the same twice.
    for (inode, network) in &observation.networks {
        let held = observation.members(Namespace::Net, *inode).map(|process| process.comm.as_str()).collect::<Vec<_>>();
        let links = network
            .value()
            .map_or_else(Vec::new, |it| it.links.iter().map(|link| (&link.name, link.is_up())).collect());
        let addresses = network.value().into_iter().flat_map(|it| &it.addresses).filter(|it| !it.is_link_local());
        let given: Vec<_> = addresses.map(|address| address.ip).collect();
        shape.push(format!("network of {held:?}, {links:?}, {given:?}"));
    }
    // Digests are of times too, which are not the same twice; some names are made of them.
    let without = |name: &str| name.split("sha256").next().map(str::to_owned);
    for layout in &observation.layouts {
        let images: Vec<_> = layout.images.iter().map(|image| (without(&image.name), image.parts.len())).collect();
        shape.push(format!("layout {}, {images:?}", layout.path));
    }
    // What they have counted is not the same twice.
    let counted = ["stat", "current", "usage", "pressure", "events", "failcnt", "oom_control", "serviced", "bytes"];
    for (name, group) in &observation.cgroups.groups {
        let set = group
            .files
            .iter()
            .filter(|(file, _)| file.ends_with("limit_in_bytes") || !counted.iter().any(|word| file.contains(word)));
        let members = group.members.value().map(Vec::len).filter(|_| name != "/");
        let programs = group.device_programs.iter().filter_map(|seen| seen.value()).flatten();
        let programs: Vec<_> = programs.map(|one| &one.instructions).collect();
        shape.push(format!("group {name}, {members:?} members, {:?}, {programs:?}", set.collect::<Vec<_>>()));
    }
    shape.sort();
    shape
}

/// The state at a place, once the kernel has come to rest there: two equal looks one after the other.
fn settled(walker: &mut Walker) -> Shape {
    let mut last = Shape::new();
    for _ in 0..200 {
        walker.observe().expect("a sample");
        let sample = walker.sample();
        let now = shape(&sample.observation, &sample.names);
        if now == last {
            break;
        }
        last = now;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    last
}

fn place(walker: &Walker) -> usize {
    walker.session.wanted()
}

fn carry_out(walker: &mut Walker, deed: &Deed) -> Result<(), TestCaseError> {
    let failed = |error: hardway::explain::Explanation| TestCaseError::fail(error.to_string());
    let steps = walker.lesson.steps.len();
    let Position { step, done } = walker.session.position;
    match deed {
        Deed::Next if !done && walker.skipped(step).is_some() => walker.session.position.done = true,
        Deed::Next if !done => {
            let report = walker.perform_step().map_err(failed)?;
            prop_assert!(report.held(), "step {step}: {:?}", report.verdicts);
        }
        Deed::Next => {
            if walker.session.advance() {
                walker.stand_before(walker.session.position.step).map_err(failed)?;
            }
        }
        Deed::Back => {
            let to = walker.session.before();
            walker.go(to).map_err(failed)?;
        }
        Deed::Goto(to) => walker.go(Position { step: to % steps, done: false }).map_err(failed)?,
        Deed::Reset => {
            walker.session = Session::new(steps);
            walker.rebuild().map_err(failed)?;
        }
        Deed::BoxKilled | Deed::Typed => {
            let action = match deed {
                Deed::BoxKilled => r#"{"kill":{"who":"box","from":"host","signal":"KILL"}}"#,
                _ => {
                    r#"{"run":{"in":"host","argv":["sh","-c","hostname typed; echo x > /etc/hostname; sleep 77 & mount -t tmpfs t /mnt"]}}"#
                }
            };
            let action: Action = serde_json::from_str(action).expect("an action");
            // Where there is no box this says so, which is fine.
            let _ = walker.lab().map_err(failed)?.perform(&[action]);
            walker.rebuild().map_err(failed)?;
        }
    }
    Ok(())
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => Just(Deed::Next),
        3 => Just(Deed::Back),
        2 => (0..16_usize).prop_map(Deed::Goto),
        1 => Just(Deed::Reset),
        1 => Just(Deed::BoxKilled),
        1 => Just(Deed::Typed),
    ];
    prop::collection::vec(deed, 1..14)
}

/// Walks a lesson straight through and keeps the state of each place.
fn straight(keeper: Keeper, lesson: &Arc<Lesson>) -> (Keeper, BTreeMap<usize, Shape>) {
    let steps = lesson.steps.len();
    let mut walker = open(keeper, lesson);
    let mut shapes = BTreeMap::from([(0, settled(&mut walker))]);
    for step in 0..steps {
        walker.go(Position { step, done: true }).expect("one on");
        shapes.insert(step + 1, settled(&mut walker));
    }
    (walker.close(), shapes)
}

fn open(keeper: Keeper, lesson: &Arc<Lesson>) -> Walker {
    match Walker::open(keeper, Arc::clone(lesson), Session::new(lesson.steps.len())) {
        Ok(walker) => walker,
        Err((_, explanation)) => panic!("{explanation}"),
    }
}

fn main() -> std::process::ExitCode {
    // Lessons run hardway itself, and this program is not that.
    hardway::agent::tree::show_another(support::program());
    every_lesson();
    std::process::ExitCode::SUCCESS
}

fn every_lesson() {
    let person = Person::current();
    let offer = match person.offer(Wish::default()) {
        Ok(offer) => offer,
        Err(explanation) => panic!("{explanation}"),
    };
    let mut keeper = Some(Keeper::fork(&person, &offer).expect("a keeper"));
    let (mut passed, mut failed) = (0, 0);
    for lesson in builtin::all().into_iter().map(Arc::new) {
        let (mut back, shapes) = straight(keeper.take().expect("given back"), &lesson);
        // A state that never changes would make this prove nothing. Not every change can be made everywhere.
        let possible = |step: &&Step| step.needs.iter().all(|need| need.unmet(&offer).is_none());
        let changes = lesson.steps.iter().filter(possible).filter(|step| step.kind == Kind::Change).count();
        let distinct = shapes.values().collect::<std::collections::BTreeSet<_>>().len();
        // A step may change what was counted alone, and the last one often brings back how it was at first.
        assert!(distinct > changes.min(1), "{changes} steps change something: {shapes:#?}");
        // Where something has to take its time, there are fewer.
        let cases = if lesson.needs_controllers() { 6 } else { 24 };
        let config = Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() };
        let slot = std::cell::RefCell::new(Some(back));
        let result = TestRunner::new(config).run(&deeds(), |deeds| {
            let mut walker = open(slot.borrow_mut().take().expect("given back"), &lesson);
            let result = deeds.iter().try_for_each(|deed| {
                carry_out(&mut walker, deed)?;
                let at = place(&walker);
                let seen = settled(&mut walker);
                prop_assert_eq!(&seen, &shapes[&at], "after {:?}, {} steps on", deed, at);
                Ok(())
            });
            *slot.borrow_mut() = Some(walker.close());
            result
        });
        back = slot.into_inner().expect("given back");
        keeper = Some(back);
        let word = match result {
            Ok(()) => {
                passed += 1;
                "ok"
            }
            Err(error) => {
                failed += 1;
                println!("{}: {error}", lesson.name);
                "FAILED"
            }
        };
        println!("test any_way_to_a_step_leads_to_its_state::{} ... {word}", lesson.name);
    }
    let left = keeper.map(Keeper::end).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    std::process::exit(i32::from(failed > 0));
}
