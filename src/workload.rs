//! Work for limits to bite into: a program that does one thing, just as much of it as it is told, and ends by itself.
//!
//! In a lab host it is `/lab/work`, this same binary under another name, so that lessons need nothing installed. Its bounds make it
//! safe on a small machine, also where somebody types it outside of every limit.

mod devices;
mod follow;
mod http;
mod names;

use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::kernel::memory::{self, Pages};
use crate::kernel::perf::ProcessorTime;
use crate::kernel::program::WORK;
use crate::kernel::sys::{self, Forked, Signal};
use crate::kernel::trace::Trace;
use crate::kernel::{disk, ping, process_name, stdio};

/// After this time every work ends, whatever it was told.
const LONGEST: Duration = Duration::from_secs(600);

/// How long a process that could run waits for a processor on a busy machine, at most.
const TURN: Duration = Duration::from_secs(3);

/// Of the time that two groups share, one part of so many may come in one piece.
const LARGEST_TURN: u32 = 16;

/// The most memory that is taken, in bytes.
const MOST_BYTES: usize = 256 << 20;

/// The most children that are forked.
const MOST_CHILDREN: usize = 200;

/// What is read at once, in bytes: a multiple of every disk's block.
const BLOCK: usize = 64 << 10;

const USAGE: &str = "\
usage: work spin [SECONDS]     have so much of one processor's time, and say how long that took
       work memory SIZE        use so much memory (20M), then end
       work hold SIZE          the same, and keep it
       work huge SIZE          the same in huge pages
       work share SECONDS GROUP GROUP
                               keep one processor busy in both groups at once, until they have had so much of it
                               together, and say how much each had;
                               a GROUP is a directory, or several with commas between them
       work fork N             have N children at once, then end
       work read FILE [SIZE]   read a file past the page cache (O_DIRECT), and say how long it took
       work cached FILE [SIZE] the same, through the page cache
       work disk               say the number of the disk that this program is on
       work devices GROUP [RULE]...
                               let a cgroup of version 2 below /lab/cgroup use these devices only, by a BPF program on it;
                               a RULE is one word, as in devices.allow of version 1: 'c 1:3 rwm'
       work programs GROUP     tell which BPF programs decide on the devices of a cgroup, and their instructions
       work serve ADDRESS:PORT answer whoever connects there, by HTTP, and tell them from which address they come
       work ask HOST:PORT      ask such a server, or find out within a second why not; HOST is an address or a name
       work names ADDRESS:PORT NAME=ADDRESS...
                               be a name server (DNS, over UDP) that knows these names
       work resolve NAME       ask the name servers of /etc/resolv.conf for the addresses of a name
       work ping ADDRESS       ask for an echo, and say how long it took, or within two seconds why there is none
       work follow ADDRESS:PORT
                               connect there, and say where each packet of that was seen on its way, from network namespace to
                               network namespace, and where the last one, if no answer comes within a second
       work count DIR SECONDS  count how much processor time the members of a cgroup use
";

/// What came of the work, where this process was started to do some: its first argument ends in [`WORK`].
pub fn asked() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = Path::new(arguments.first()?).file_name()?;
    (name == WORK).then(|| run(&arguments))
}

/// Does what the arguments say, of which the first is the program's name.
fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let done = match words.as_slice() {
        ["spin"] => spin(LONGEST),
        ["spin", seconds] => duration(seconds).map_or_else(usage, spin),
        ["memory", size] => bytes(size).map_or_else(usage, |bytes| take(bytes, Pages::Small, false)),
        ["hold", size] => bytes(size).map_or_else(usage, |bytes| take(bytes, Pages::Small, true)),
        ["huge", size] => bytes(size).map_or_else(usage, |bytes| take(bytes, Pages::Huge, false)),
        ["share", seconds, one, other] => duration(seconds).map_or_else(usage, |time| share(time, [one, other])),
        ["disk"] => disk(),
        ["fork", count] => count.parse().map_or_else(|_| usage(), fork),
        ["read", file] => read(memory::open_direct(file), file, MOST_BYTES),
        ["read", file, size] => bytes(size).map_or_else(usage, |bytes| read(memory::open_direct(file), file, bytes)),
        ["cached", file] => read(File::open(file), file, MOST_BYTES),
        ["cached", file, size] => bytes(size).map_or_else(usage, |bytes| read(File::open(file), file, bytes)),
        ["devices", group, rules @ ..] => devices::put(group, rules),
        ["programs", group] => devices::tell(group),
        ["serve", at] => at.parse().map_or_else(|_| usage(), http::serve),
        ["ping", to] => to.parse().map_or_else(|_| usage(), ping),
        ["follow", to] => to.parse().map_or_else(|_| usage(), follow::follow),
        ["ask", to] => names::addresses(to).map_or_else(usage, |found| http::ask(to, &found?)),
        ["names", at, words @ ..] => match (at.parse(), names::table(words)) {
            (Ok(at), Some(names)) => names::serve(at, &names),
            _ => usage(),
        },
        ["resolve", name] => names::resolve(name),
        ["count", group, seconds] => duration(seconds).map_or_else(usage, |time| count(group, time)),
        _ => usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("work: {why}");
            ExitCode::from(if why == USAGE { 2 } else { 1 })
        }
    }
}

/// Tells the result to whoever still listens: what works in the background may outlive who started it.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn usage() -> Result<(), String> {
    Err(USAGE.to_owned())
}

/// A number of seconds: `0.3`.
fn duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// A number of bytes with the kernel's own suffixes: `20M`.
fn bytes(text: &str) -> Option<usize> {
    let (digits, unit) = match text.chars().last()? {
        'K' | 'k' => (&text[..text.len() - 1], 1 << 10),
        'M' | 'm' => (&text[..text.len() - 1], 1 << 20),
        'G' | 'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|bytes| *bytes <= MOST_BYTES)
}

/// Asks for an echo.
fn ping(to: IpAddr) -> Result<(), String> {
    let told = ping::ping(&mut Trace::new(WORK), to).map_err(|error| format!("{to}: {}", error.errno.words()))?;
    say(&format!("{to} answers after {} µs", told.as_micros()));
    Ok(())
}

/// Keeps one processor busy until it has had so much of it, and tells how long that took.
fn spin(time: Duration) -> Result<(), String> {
    let begin = Instant::now();
    let had = busy(time);
    say(&format!("{:.3} seconds of a processor in {:.3} seconds", had.as_secs_f64(), begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Works until it has had so much of a processor, counted from now; how much it was.
fn busy(time: Duration) -> Duration {
    let own = || memory::processor_time().unwrap_or_default();
    let (begin, before) = (Instant::now(), own());
    loop {
        for _ in 0..1000 {
            std::hint::spin_loop();
        }
        let had = own().saturating_sub(before);
        if had >= time || begin.elapsed() >= LONGEST {
            return had;
        }
    }
}

/// Keeps one processor busy in two groups: only where both want it do weights tell. Each group may have several directories, of one
/// hierarchy each. It ends when both together have had so much of the processor, however many others want it, and no single turn was
/// more than a [`LARGEST_TURN`]th of that: where a virtual processor stands still, its time is counted to whoever was running, and the
/// scheduler needs a while to give the other what is its due.
fn share(time: Duration, groups: [&str; 2]) -> Result<(), String> {
    let ((mut ready, is_ready), (mut go, hold)) = (stdio::pipe(), stdio::pipe());
    let mut children = Vec::new();
    for group in groups {
        match sys::clone3(&mut Trace::new(WORK), &[]).map_err(|error| error.to_string())? {
            Forked::Child => {
                // With these ends here, neither would see the last of the others closed.
                drop((hold, ready));
                crate::kernel::end_with_parent();
                let join = |one: &str| std::fs::write(Path::new(one).join("cgroup.procs"), "0");
                // In this order: a group that has the controller cpuset gives its new members all of its processors.
                if let Err(error) = group.split(',').try_for_each(join).and_then(|()| memory::one_processor()) {
                    eprintln!("work: {group}: {error}");
                    stdio::exit_now(1);
                }
                drop(is_ready);
                let _ = go.read(&mut [0]);
                busy(LONGEST);
                stdio::exit_now(0);
            }
            Forked::Parent { pid, pidfd } => children.push((group, pid, pidfd)),
        }
    }
    drop(is_ready);
    // Comes to its end when both are where they belong, or have failed.
    let _ = ready.read_to_end(&mut Vec::new());
    let begin = Instant::now();
    drop(hold);
    let worked = |pid| memory::processor_time_of(pid).unwrap_or_default();
    let (mut before, mut largest) = (Duration::ZERO, Duration::ZERO);
    let had = loop {
        let had: Vec<Duration> = children.iter().map(|(_, pid, _)| worked(*pid)).collect();
        let one_ended = children.iter().any(|(_, _, pidfd)| sys::wait_for_end(pidfd, Duration::ZERO));
        let both = had.iter().sum::<Duration>();
        largest = largest.max(both.saturating_sub(before));
        before = both;
        if one_ended || (both >= time && both >= LARGEST_TURN * largest) || begin.elapsed() >= LONGEST {
            break had;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut failed = false;
    for ((group, pid, pidfd), had) in children.iter().zip(had) {
        failed |= sys::wait_for_end(pidfd, Duration::ZERO);
        let _ = sys::pidfd_kill(pidfd, Signal::SIGKILL);
        let _ = sys::wait4(&mut Trace::new(WORK), *pid);
        say(&format!("{group}: {:.3} seconds", had.as_secs_f64()));
    }
    if failed { Err("one of the two failed".to_owned()) } else { Ok(()) }
}

/// Says on which disk this program is, whatever path led to it.
fn disk() -> Result<(), String> {
    let number = disk::of_file(Path::new("/proc/self/exe")).map_err(|error| format!("on no disk: {error}"))?;
    say(&number.to_string());
    Ok(())
}

/// Takes memory and writes to every page of it: only then does it cost anything.
fn take(bytes: usize, pages: Pages, keep: bool) -> Result<(), String> {
    let mut taken = memory::take(bytes, pages).map_err(|error| format!("mmap of {bytes} bytes: {error}"))?;
    taken.touch();
    say(&format!("{} MiB are in use", bytes >> 20));
    if keep {
        std::thread::sleep(LONGEST);
    }
    Ok(())
}

/// Has so many children at once. They end with this process, whoever ends it.
fn fork(count: usize) -> Result<(), String> {
    let mut children = Vec::new();
    let mut refused = None;
    for _ in 0..count.min(MOST_CHILDREN) {
        match sys::clone3(&mut Trace::new(WORK), &[]) {
            Ok(Forked::Child) => {
                crate::kernel::end_with_parent();
                process_name("work-child");
                std::thread::sleep(LONGEST);
                stdio::exit_now(0);
            }
            Ok(Forked::Parent { pidfd, pid }) => children.push((pid, pidfd)),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    say(&format!("{} children", children.len()));
    for (pid, pidfd) in &children {
        let _ = sys::pidfd_kill(pidfd, Signal::SIGKILL);
        let _ = sys::wait4(&mut Trace::new(WORK), *pid);
    }
    refused.map_or(Ok(()), |error| Err(format!("the next one: {error}")))
}

/// Reads a file and tells how long it took.
fn read(file: std::io::Result<File>, path: &str, most: usize) -> Result<(), String> {
    let trouble = |error: std::io::Error| format!("{path}: {error}");
    let mut file = file.map_err(trouble)?;
    // O_DIRECT wants a buffer that begins with a block (open(2)); a mapping begins with a page.
    let mut buffer = memory::take(BLOCK, Pages::Small).map_err(trouble)?;
    let begin = Instant::now();
    let mut done = 0;
    while done < most && begin.elapsed() < LONGEST {
        match file.read(buffer.bytes()).map_err(trouble)? {
            0 => break,
            count => done += count,
        }
    }
    say(&format!("{} KiB in {:.2} seconds", done >> 10, begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Counts what the members of a group do meanwhile, as `perf stat -G` does. On a busy machine their turn may come later than that: as
/// long as none of them has had it, the count goes on.
fn count(group: &str, time: Duration) -> Result<(), String> {
    let trouble = |error: std::io::Error| format!("{group}: {error}");
    let mut counter = ProcessorTime::of(Path::new(group)).map_err(trouble)?;
    let begin = Instant::now();
    let used = loop {
        std::thread::sleep(time.min(LONGEST));
        let used = counter.read().map_err(trouble)?;
        let members = std::fs::read(Path::new(group).join("cgroup.procs")).map_err(trouble)?;
        if !used.is_zero() || members.is_empty() || begin.elapsed() >= TURN {
            break used;
        }
    };
    if used.is_zero() {
        return Err(format!("{group}: nobody in it ran"));
    }
    let took = begin.elapsed();
    say(&format!("{:.2} seconds of processor time in {:.2} seconds", used.as_secs_f64(), took.as_secs_f64()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_kernels_and_bounded() {
        assert_eq!(bytes("20M"), Some(20 << 20));
        assert_eq!(bytes("64k"), Some(64 << 10));
        assert_eq!(bytes("7"), Some(7));
        for odd in ["", "M", "-1", "1T", "257M", "99999999999999999999G"] {
            assert_eq!(bytes(odd), None, "{odd}");
        }
    }
}
