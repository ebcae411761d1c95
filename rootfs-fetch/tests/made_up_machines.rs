//! Rootfs from machines that are made up, broken or hostile.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;
use rootfs_fetch::{Applets, Error, Extent, Machine, Plan, Recipe, Source, What};

mod lab;
mod support;
use lab::{Lab, paths};
use support::{Made, link};

#[test]
fn links_and_merged_usr_are_kept() {
    let lab = Lab::empty();
    lab.link("/bin", "usr/bin");
    lab.link("/lib", "/usr/lib");
    lab.put("/usr/lib/ld.so", Made::library().bytes());
    lab.put("/usr/lib/libx.so.1.2", Made::library().bytes());
    lab.link("/usr/lib/libx.so.1", "libx.so.1.2");
    lab.put("/opt/mawk", Made::program().needs(&["libx.so.1"]).bytes());
    lab.link("/etc/alternatives/awk", "/opt/mawk");
    lab.link("/usr/bin/awk", "../../../../../etc/alternatives/awk");
    let rootfs = lab.make(&["awk"]).expect("a rootfs");
    assert_eq!(rootfs.plan.programs, paths(&["/usr/bin/awk"]));
    assert_eq!(rootfs.plan.libraries, paths(&["/usr/lib/ld.so", "/usr/lib/libx.so.1.2"]));
    for (at, to) in [
        ("/bin", "usr/bin"),
        ("/lib", "usr/lib"),
        ("/usr/lib/libx.so.1", "libx.so.1.2"),
        ("/usr/bin/awk", "../../etc/alternatives/awk"),
        ("/etc/alternatives/awk", "../../opt/mawk"),
    ] {
        assert_eq!(lab.link_text(at), Path::new(to), "{at}");
    }
    // From outside as well as from inside, the links lead to files of the rootfs.
    assert!(fs::canonicalize(lab.target().join("bin/awk")).expect("a file").starts_with(lab.target()));
}

#[test]
fn the_skeleton_is_there_with_its_modes() {
    let lab = Lab::new();
    lab.put("/bin/a", Made::program().bytes());
    fs::set_permissions(lab.root().join("bin/a"), fs::Permissions::from_mode(0o6751)).expect("a mode");
    lab.make(&["a"]).expect("a rootfs");
    for (path, mode) in [
        ("", 0o755),
        ("proc", 0o755),
        ("sys", 0o755),
        ("dev", 0o755),
        ("run", 0o755),
        ("home", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("bin/a", 0o751),
        ("etc/passwd", 0o644),
        ("etc/group", 0o644),
        ("etc/hosts", 0o644),
        ("etc/hostname", 0o644),
    ] {
        let metadata = fs::symlink_metadata(lab.target().join(path)).expect("it is there");
        assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
    }
}

#[test]
fn libraries_are_searched_as_the_loader_does() {
    let lab = Lab::new();
    lab.put("/etc/ld.so.conf", "include ld.so.conf.d/*.conf # all of them\n");
    lab.put("/etc/ld.so.conf.d/x.conf", "relative\n/srv/lib\n");
    // Passed over: another class, another machine.
    lab.put("/srv/lib/libb.so", Made { wide: false, ..Made::library() }.bytes());
    lab.put("/lib64/libb.so", Made { machine: 183, ..Made::library() }.bytes());
    lab.put("/usr/lib/libb.so", Made::library().bytes());
    lab.put("/srv/lib/liba.so", Made::library().needs(&["libb.so", "liba.so", "libr.so"]).bytes());
    // DT_RPATH of the program counts for its libraries too; with DT_RUNPATH it does not.
    lab.put("/opt/x/lib/libr.so", Made::library().bytes());
    let program = Made::program().needs(&["liba.so"]);
    lab.put("/opt/x/bin/old", Made { rpath: Some("$ORIGIN/../lib".into()), ..program.clone() }.bytes());
    lab.put("/opt/x/bin/new", Made { runpath: Some("${ORIGIN}/../lib".into()), ..program.clone() }.bytes());
    assert!(lab.refused("/opt/x/bin/new").contains(r#""/srv/lib/liba.so" needs the library "libr.so""#));
    let rootfs = lab.make(&["/opt/x/bin/old"]).expect("a rootfs");
    let wanted = ["/lib/ld.so", "/opt/x/lib/libr.so", "/srv/lib/liba.so", "/usr/lib/libb.so"];
    assert_eq!(rootfs.plan.libraries, paths(&wanted));
    // The loader in the rootfs knows no ld.so.conf: a link in its own directory leads there.
    assert_eq!(lab.link_text("/lib/liba.so"), Path::new("../srv/lib/liba.so"));
    assert!(!lab.has("/lib/libb.so"));
}

#[test]
fn two_architectures_do_not_mix() {
    let lab = Lab::empty();
    lab.link("/lib", "usr/lib");
    lab.link("/lib64", "usr/lib64");
    let narrow = |made: Made| Made { wide: false, machine: 3, ..made };
    for (arch, made) in [("x86_64", Made::library()), ("i386", narrow(Made::library()))] {
        lab.put(&format!("/usr/lib/{arch}-linux-gnu/ld.so"), made.bytes());
        lab.put(&format!("/usr/lib/{arch}-linux-gnu/libc.so.6"), made.bytes());
    }
    lab.link("/usr/lib64/ld-64.so", "/lib/x86_64-linux-gnu/ld.so");
    lab.link("/usr/lib/ld-32.so", "i386-linux-gnu/ld.so");
    // The configuration of one comes first for both, as ldconfig writes it.
    lab.put("/etc/ld.so.conf", "/lib/i386-linux-gnu\n/lib/x86_64-linux-gnu\n");
    let program = |loader: &str| Made { interpreter: Some(loader.into()), ..Made::program() }.needs(&["libc.so.6"]);
    lab.put("/usr/bin/wide", program("/lib64/ld-64.so").bytes());
    lab.put("/usr/bin/narrow", narrow(program("/lib/ld-32.so")).bytes());
    let rootfs = lab.make(&["wide", "narrow"]).expect("a rootfs");
    let of = |arch: &str| ["ld.so", "libc.so.6"].map(|name| format!("/usr/lib/{arch}-linux-gnu/{name}"));
    let libraries: Vec<String> = [of("i386"), of("x86_64")].concat();
    assert_eq!(rootfs.plan.libraries, libraries.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert_eq!(lab.link_text("/lib64"), Path::new("usr/lib64"));
    assert_eq!(lab.link_text("/usr/lib64/ld-64.so"), Path::new("../../lib/x86_64-linux-gnu/ld.so"));
    assert!(fs::canonicalize(lab.target().join("lib64/ld-64.so")).expect("a file").starts_with(lab.target()));
}

#[test]
fn musl_has_its_own_search_path() {
    let lab = Lab::new();
    lab.put("/lib/ld-musl-x86_64.so.1", Made::library().bytes());
    lab.put("/etc/ld-musl-x86_64.path", "/m1:/m2\n");
    lab.put("/m2/libz.so", Made::library().bytes());
    let made = Made { interpreter: Some("/lib/ld-musl-x86_64.so.1".into()), ..Made::program() };
    lab.put("/bin/m", made.needs(&["libc.so", "libz.so"]).bytes());
    let rootfs = lab.make(&["m"]).expect("a rootfs");
    assert_eq!(rootfs.plan.libraries, paths(&["/lib/ld-musl-x86_64.so.1", "/m2/libz.so"]));
    assert!(lab.has("/etc/ld-musl-x86_64.path"));
}

#[test]
fn scripts_bring_what_runs_them() {
    let lab = Lab::new();
    for name in ["/bin/sh", "/usr/bin/env", "/bin/python"] {
        lab.put(name, Made::program().bytes());
    }
    lab.put("/bin/one", "#! /bin/sh -e\necho\n");
    lab.put("/bin/two", "#!/usr/bin/env -S A=b python\n");
    lab.put("/bin/round", "#!/bin/round\n");
    lab.put("/bin/lost", "#!/bin/nothing\n");
    lab.put("/bin/text", "no program\n");
    assert!(lab.refused("round").contains("run by scripts"));
    assert!(lab.refused("lost").contains(r#""/bin/lost" is to be started by "/bin/nothing""#));
    assert!(lab.refused("text").contains(r#""/bin/text" is not a usable ELF file"#));
    lab.make(&["one", "two"]).expect("a rootfs");
    assert!(["/bin/sh", "/usr/bin/env", "/bin/python", "/bin/one", "/bin/two"].iter().all(|path| lab.has(path)));
}

#[test]
fn tricks_are_refused_with_the_name_of_the_file() {
    let lab = Lab::new();
    let outside = lab.place.path().join("secret.so");
    fs::write(&outside, Made::library().bytes()).expect("a file outside of the machine");
    let program = Made::program();
    lab.link("/bin/a", "b");
    lab.link("/bin/b", "a");
    assert!(lab.refused("/bin/a").contains("symbolic links"));
    lab.link("/lib/libloop.so", "libloop.so");
    lab.put("/bin/loop", program.clone().needs(&["libloop.so"]).bytes());
    assert!(lab.refused("loop").contains("libloop.so"));
    for (name, needed) in [
        ("n1", ".."),
        ("n2", "../../secret.so"),
        ("n3", "./x.so"),
        ("n4", "/../../../../secret.so"),
        ("n5", "$ORIGIN/../../secret.so"),
        ("n6", "/proc"),
        ("n7", outside.to_str().expect("a path in UTF-8")),
    ] {
        lab.put(&format!("/bin/{name}"), program.clone().needs(&[needed]).bytes());
        let message = lab.refused(name);
        assert!(message.contains("needs the library") && message.contains(name), "{needed}: {message}");
    }
    // A link of the machine that leads out of it ends at its root.
    lab.link("/lib/libout.so", outside.to_str().expect("a path in UTF-8"));
    lab.link("/lib/libup.so", "../../../../../../secret.so");
    for needed in ["libout.so", "libup.so"] {
        lab.put("/bin/out", program.clone().needs(&[needed]).bytes());
        assert!(lab.refused("out").contains("needs the library"), "{needed}");
    }
    lab.put("/bin/interp", Made { interpreter: Some("ld.so".into()), ..program.clone() }.bytes());
    assert!(lab.refused("interp").contains(r#"is to be started by "ld.so""#));
    lab.put("/lib/other.so", Made { machine: 8, ..Made::library() }.bytes());
    lab.put("/bin/other", Made { interpreter: Some("/lib/other.so".into()), ..program.clone() }.bytes());
    assert!(lab.refused("other").contains("for another machine"));
    lab.put("/lib/libtext.so", "GROUP ( libc.so.6 )");
    lab.put("/bin/text", program.clone().needs(&["libtext.so"]).bytes());
    assert!(lab.refused("text").contains("libtext.so"));
    lab.put("/bin/esc", program.needs(&["\x1b[2Jx.so"]).bytes());
    assert!(!lab.refused("esc").contains('\x1b'), "what comes from files is escaped");
    assert!(lab.refused("../bin/esc").contains("by its name or by its absolute path"));
    assert!(lab.refused("nothing").contains(r#"no program "nothing""#));
    lab.put("/etc/ld.so.conf", "include /etc/ld.so.conf\n");
    assert!(lab.refused("esc").contains("includes itself"));
}

#[test]
fn a_path_with_dots_stays_what_it_is() {
    let lab = Lab::new();
    lab.put("/opt/lib/libx.so", Made::library().bytes());
    let made = Made { runpath: Some("/opt/x/../../../lib:/opt/bin/../lib".into()), ..Made::program() };
    lab.put("/opt/bin/p", made.needs(&["libx.so"]).bytes());
    let rootfs = lab.make(&["/opt/bin/p"]).expect("a rootfs");
    assert_eq!(rootfs.plan.libraries, paths(&["/lib/ld.so", "/opt/lib/libx.so"]));
}

#[test]
fn busybox_is_not_run_when_it_is_not_the_machines_own() {
    let lab = Lab::new();
    let rest = b"\0[\0ash\0cat\0ls\0sh\0\0not an applet\0".to_vec();
    // Were it run, this would not be ELF for any kernel.
    lab.put("/usr/lib/initramfs-tools/bin/busybox", Made { rest: rest.clone(), ..Made::library() }.bytes());
    lab.put("/bin/busybox", Made { rest, ..Made::program() }.bytes());
    let rootfs = lab.automatic().expect("a rootfs");
    let path = "/usr/lib/initramfs-tools/bin/busybox".into();
    assert_eq!(rootfs.plan.source, Source::Busybox { path, applets: Applets::Common });
    assert_eq!(rootfs.plan.programs, paths(&["/bin/[", "/bin/ash", "/bin/cat", "/bin/ls", "/bin/sh"]));
    assert!(rootfs.plan.missing.iter().any(|missing| missing.program == "ps"));
    assert!(rootfs.to_string().contains("it was not run"));
    assert_eq!(lab.link_text("/bin/sh"), Path::new("busybox"));
    assert_eq!(lab.link_text("/usr/bin"), Path::new("../bin"));
}

#[test]
fn without_busybox_programs_are_taken_and_the_missing_named() {
    let lab = Lab::new();
    lab.put("/bin/busybox", Made::program().bytes());
    assert!(lab.automatic().expect_err("no shell").to_string().contains(r#"no program "sh""#));
    assert!(!lab.target().exists());
    lab.put("/usr/local/bin/sh", Made::program().bytes());
    lab.put("/bin/ls", Made::program().needs(&["libgone.so"]).bytes());
    let rootfs = lab.automatic().expect("a rootfs");
    assert_eq!(rootfs.plan.source, Source::Programs);
    assert_eq!(lab.link_text("/bin/sh"), Path::new("../usr/local/bin/sh"));
    let report = rootfs.to_string();
    assert!(report.contains("passed over: \"/bin/busybox\""), "{report}");
    assert!(report.contains("missing ls: \"/bin/ls\" needs the library \"libgone.so\""), "{report}");
    assert!(report.contains("missing ps") && report.contains("the list of processes"), "{report}");
    assert!(!lab.has("/bin/ls"), "a program that can not run is not taken");
}

#[test]
fn only_an_empty_or_absent_directory_is_taken() {
    let lab = Lab::new();
    lab.put("/bin/a", Made::program().bytes());
    let target = lab.target();
    fs::create_dir(&target).expect("a directory");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o711)).expect("a mode");
    lab.make(&["gone"]).expect_err("no such program");
    assert_eq!(fs::metadata(&target).expect("it stays").mode() & 0o777, 0o711);
    lab.make(&["a"]).expect("an empty directory will do");
    let again = lab.make(&["a"]).expect_err("it is full now");
    assert!(matches!(&again, Error::Target { .. }) && again.to_string().contains("not empty"), "{again}");
    assert!(lab.has("/bin/a"), "a rootfs that was there stays");

    let place = lab.place.path();
    let to = |name: &str| Recipe::programs(["a"]).from(Machine::at(lab.root())).make(place.join(name));
    fs::create_dir(place.join("real")).expect("a directory");
    link(place, "link", "real");
    for name in ["link", "link/", "machine/bin/a", "no/such/place", ".."] {
        let error = to(name).expect_err(name);
        assert!(matches!(error, Error::Target { .. }), "{name}: {error}");
    }
    assert_eq!(fs::read_dir(place.join("real")).expect("a directory").count(), 0);
}

#[test]
fn a_failure_in_the_middle_leaves_nothing() {
    let lab = Lab::new();
    // Too large to copy, and known only when everything before it was written.
    lab.put("/bin/a", Made::program().bytes());
    lab.put("/opt/z", Made::program().bytes());
    let big = fs::OpenOptions::new().write(true).open(lab.root().join("opt/z")).expect("a file");
    big.set_len(600 << 20).expect("a long file with a hole");
    for existed in [false, true] {
        if existed {
            fs::create_dir(lab.target()).expect("a directory");
        }
        let error = lab.make(&["a", "/opt/z"]).expect_err("too large");
        assert!(error.to_string().contains(r#""/opt/z" can not be used"#), "{error}");
        assert_eq!(lab.target().exists(), existed);
        assert!(!lab.has("/bin"), "nothing is left");
    }
}

/// The paths of a plan, one word each.
fn planned(plan: &Plan) -> String {
    let paths: Vec<_> = plan.entries.iter().map(|entry| entry.path.to_string_lossy()).collect();
    paths.join(" ")
}

#[test]
fn a_plan_holds_as_much_of_a_program_as_is_asked_for() {
    let lab = Lab::empty();
    lab.link("/bin", "usr/bin");
    lab.link("/lib", "usr/lib");
    lab.put("/usr/lib/ld.so", Made::library().bytes());
    lab.put("/usr/lib/libx.so.1", Made::library().bytes());
    lab.put("/usr/bin/a", Made::program().needs(&["libx.so.1"]).bytes());
    lab.put("/usr/bin/script", "#!/bin/a\n");
    let plan = |name: &str, extent| {
        let recipe = Recipe::programs([name]).from(Machine::at(lab.root())).bare();
        recipe.extent(extent).plan().expect("a plan")
    };
    let [alone, loader, whole] = [Extent::Program, Extent::Loader, Extent::Libraries].map(|extent| plan("a", extent));
    assert_eq!(planned(&alone), "/bin /usr /usr/bin /usr/bin/a");
    assert_eq!(planned(&loader), "/bin /lib /usr /usr/bin /usr/bin/a /usr/lib /usr/lib/ld.so");
    assert_eq!(planned(&loader.clone().beyond(&alone)), "/lib /usr/lib /usr/lib/ld.so");
    assert_eq!(planned(&whole.clone().beyond(&loader)), "/usr/lib/libx.so.1");
    assert_eq!(whole.libraries, paths(&["/usr/lib/ld.so", "/usr/lib/libx.so.1"]));
    assert_eq!(planned(&plan("script", Extent::Program)), "/bin /usr /usr/bin /usr/bin/script");
    assert!(planned(&plan("script", Extent::Loader)).contains("/usr/lib/ld.so"));
    assert!(!planned(&plan("script", Extent::Loader)).contains("libx"));
}

/// What is promised of every plan, of one of this machine.
#[test]
fn a_plan_of_this_machine_can_be_performed_in_its_order() {
    let plan = Recipe::lessons().plan().expect("a plan of this machine");
    let mut made: HashMap<&Path, &What> = HashMap::new();
    for entry in &plan.entries {
        let path = entry.path.as_path();
        assert!(path.components().skip(1).all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        let parent = path.parent().expect("no entry is the root itself");
        let there = parent == Path::new("/") || matches!(made.get(parent), Some(What::Directory { .. }));
        assert!(path.is_absolute() && there, "{path:?} comes before its directory");
        if let What::Link { to } = &entry.what {
            let climbs = to.components().take_while(|part| *part == Component::ParentDir).count();
            assert!(to.is_relative() && climbs < path.components().count() - 1, "{path:?} → {to:?}");
        }
        assert!(made.insert(path, &entry.what).is_none(), "{path:?} comes twice");
    }
    assert!(["/tmp", "/etc/passwd", "/proc"].iter().all(|path| made.contains_key(Path::new(path))));
    assert!(plan.bytes() > 100_000);
    let told = serde_json::to_string(&plan).expect("JSON");
    assert_eq!(serde_json::from_str::<Plan>(&told).expect("a plan"), plan);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn broken_programs_and_libraries_leave_no_trace(
        library in any::<bool>(), cut in any::<Option<prop::sample::Index>>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let lab = Lab::new();
        let mut program = Made::program().needs(&["libx.so"]).bytes();
        let mut made = Made { runpath: Some("$ORIGIN".into()), ..Made::library() }.needs(&["libx.so"]).bytes();
        let broken = if library { &mut made } else { &mut program };
        for (at, value) in changes {
            let at = at.index(broken.len());
            broken[at] = value;
        }
        if let Some(at) = cut {
            broken.truncate(at.index(broken.len()));
        }
        lab.put("/lib/libx.so", &made);
        lab.put("/bin/p", &program);
        match lab.make(&["p"]) {
            Ok(_) => prop_assert!(lab.has("/bin/p")),
            Err(_) => prop_assert!(!lab.target().exists()),
        }
    }
}
