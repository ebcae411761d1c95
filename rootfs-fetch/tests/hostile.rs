//! Files that are made to hang, to fill the memory, or to be mistaken for others.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rootfs_fetch::{Machine, Recipe};

mod lab;
mod support;
use lab::Lab;
use support::Made;

/// Longer than any of these may take, on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(20);

fn in_time<T>(what: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = what();
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    done
}

fn fifo(lab: &Lab, path: &str) {
    lab.put(path, "");
    let at = lab.root().join(path.trim_start_matches('/'));
    fs::remove_file(&at).expect("the file that was just made");
    assert!(Command::new("mkfifo").arg(at).status().expect("mkfifo").success());
}

#[test]
fn what_is_no_file_is_never_opened() {
    let lab = Lab::new();
    // Whoever opened one of these would wait for ever.
    for path in ["/bin/p", "/lib/libf.so", "/lib/fifo.so", "/etc/ld.so.conf", "/usr/bin/busybox"] {
        fifo(&lab, path);
    }
    let program = Made::program();
    lab.put("/bin/q", program.clone().needs(&["libf.so"]).bytes());
    lab.put("/bin/r", Made { interpreter: Some("/lib/fifo.so".into()), ..program }.bytes());
    lab.put("/bin/s", "#!/bin/p\n");
    in_time(|| {
        assert!(lab.refused("p").contains(r#"no program "p""#));
        assert!(lab.refused("q").contains("needs the library"));
        assert!(lab.refused("r").contains("is to be started by"));
        assert!(lab.refused("s").contains("is to be started by"));
        assert!(lab.automatic().expect_err("no shell").to_string().contains(r#"no program "sh""#));
    });
}

#[test]
fn search_paths_that_multiply_come_to_an_end() {
    let lab = Lab::new();
    // Every library hands its search path on to those that it needs, down a chain that gets longer and longer.
    let places = |length: usize| vec!["/lib/usr"; length].join(":");
    let count = 20;
    for number in 0..count {
        let next = format!("libc{}.so", number + 1);
        let made = Made { rpath: Some(places(400)), ..Made::library() }.needs(&[&next]);
        lab.put(&format!("/lib/libc{number}.so"), made.bytes());
    }
    lab.put("/bin/chain", Made { rpath: Some(places(400)), ..Made::program() }.needs(&["libc0.so"]).bytes());
    assert!(in_time(|| lab.refused("chain")).contains("more than 1024 places"));

    // Wide instead of deep: as many libraries as one may need, each looked for in as many places as are taken.
    let names: Vec<String> = (0..256).map(|number| format!("libw{number}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.iter().for_each(|name| lab.put(&format!("/lib/{name}"), Made::library().bytes()));
    lab.put("/bin/wide", Made { runpath: Some(places(400)), ..Made::program() }.needs(&names).bytes());
    assert!(in_time(|| lab.refused("wide")).contains("20000th file"));

    // Tokens that grow: nothing of PATH_MAX bytes or more is looked for.
    let deep = format!("/{}", ["d".repeat(200).as_str(); 15].join("/"));
    let origin = "$ORIGIN".repeat(500);
    lab.put(&format!("{deep}/p"), Made { runpath: Some(origin), ..Made::program() }.needs(&["libno.so"]).bytes());
    assert!(in_time(|| lab.refused(&format!("{deep}/p"))).contains("needs the library"));
}

#[test]
fn a_circle_of_needs_is_gone_round_once() {
    let lab = Lab::new();
    for (name, needs) in [("liba.so", "libb.so"), ("libb.so", "libc.so"), ("libc.so", "liba.so")] {
        lab.put(&format!("/lib/{name}"), Made::library().needs(&[needs, name]).bytes());
    }
    lab.put("/bin/p", Made::program().needs(&["liba.so"]).bytes());
    assert_eq!(in_time(|| lab.make(&["p"])).expect("a rootfs").plan.libraries.len(), 4);
}

#[test]
fn gigabytes_are_not_read() {
    let lab = Lab::new();
    let mut bytes = Made::program().needs(&["libx.so"]).bytes();
    // The length of what is loaded and DT_STRSZ say: everything up to the end of a file of eight gigabytes.
    let load = 64 + 56;
    bytes[load + 32..load + 40].copy_from_slice(&(8_u64 << 30).to_le_bytes());
    let size = bytes.windows(8).rposition(|word| word == 10_u64.to_le_bytes()).expect("DT_STRSZ") + 8;
    bytes[size..size + 8].copy_from_slice(&(7_u64 << 30).to_le_bytes());
    lab.put("/bin/p", &bytes);
    let file = OpenOptions::new().write(true).open(lab.root().join("bin/p")).expect("a file");
    file.set_len(8 << 30).expect("a long file with a hole");
    assert!(in_time(|| lab.refused("p")).contains(r#"needs the library "libx.so""#));
    lab.put("/lib/libx.so", Made::library().bytes());
    assert!(in_time(|| lab.refused("p")).contains("larger than anyone wants"));
}

#[test]
fn headers_that_overlap_are_read_as_what_they_are() {
    let lab = Lab::new();
    let whole = Made::program().needs(&["libx.so"]).bytes();
    // Each program header in turn describes the table of headers, or the whole file, or nothing.
    for header in 0..3 {
        for (offset, size) in [(64_u64, 168_u64), (0, whole.len() as u64), (0, 0), (u64::MAX - 1, 4)] {
            let mut bytes = whole.clone();
            let at = 64 + 56 * header;
            bytes[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 32..at + 40].copy_from_slice(&size.to_le_bytes());
            lab.put("/bin/p", &bytes);
            match in_time(|| lab.make(&["p"])) {
                Ok(_) => fs::remove_dir_all(lab.target()).expect("the rootfs that was just made"),
                Err(error) => assert!(error.to_string().contains("/bin/p"), "{error}"),
            }
        }
    }
}

#[test]
fn names_that_are_no_text_are_taken_as_they_are() {
    let lab = Lab::new();
    let name = OsStr::from_bytes(b"lib\xff.so");
    fs::write(lab.root().join("lib").join(name), Made::library().bytes()).expect("a library");
    let mut bytes = Made::program().needs(&["lib?.so"]).bytes();
    let at = bytes.windows(7).position(|word| word == b"lib?.so").expect("the name") + 3;
    bytes[at] = 0xff;
    lab.put("/bin/p", bytes);
    let rootfs = lab.make(&["p"]).expect("a rootfs");
    assert!(lab.target().join("lib").join(name).exists());
    assert!(rootfs.plan.libraries.contains(&Path::new("/lib").join(name)));
    // JSON is text: it says that it can not, and does not make up another name.
    assert!(serde_json::to_string(&rootfs.plan).expect_err("no text").to_string().contains("UTF-8"));
    assert!(rootfs.to_string().contains("is a rootfs"));
    let plan = Recipe::programs(["p"]).from(Machine::at(lab.root())).plan().expect("a plan");
    assert_eq!(plan, rootfs.plan);
}
