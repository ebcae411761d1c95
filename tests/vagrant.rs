//! The virtual machine: what the Vagrantfile asks for, and its provisioning, which is run for real where nobody else sees it.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::skip;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Prints each call that a Vagrantfile makes, with its arguments; answers to everything.
const RECORDER: &str = r##"
class Node
  def initialize(path) = @path = path
  def respond_to_missing?(*) = true
  def method_missing(name, *arguments, **named, &block)
    path = [@path, name.to_s.delete_suffix("=")].compact.join(".")
    told = arguments + (named.empty? ? [] : [named])
    puts "#{path} #{told.map(&:inspect).join(" ")}" unless told.empty?
    inner = arguments.first.is_a?(String) && block ? "#{path}[#{arguments.first}]" : path
    block&.call(*Array.new(block.arity.abs) { |number| Node.new(number.zero? ? inner : "#{inner}.override") })
    Node.new(path)
  end
end
module Vagrant
  def self.configure(version) = (puts "version #{version}"; yield Node.new(nil))
end
load ARGV.fetch(0)
"##;

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the Vagrantfile asks Vagrant for, with these variables of the environment.
fn asked(variables: &[(&str, &str)]) -> String {
    let mut ruby = Command::new("ruby");
    ruby.args(["-w", "-e", RECORDER, &format!("{ROOT}/Vagrantfile")]).envs(variables.iter().copied());
    let output = ruby.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    text(&output)
}

#[test]
fn the_vagrantfile_asks_for_what_it_promises() {
    if !has("ruby") {
        return skip("the_vagrantfile_asks_for_what_it_promises", "there is no ruby");
    }
    let plain = asked(&[]);
    for name in ["trixie", "bookworm", "noble"] {
        for provider in ["virtualbox", "libvirt"] {
            let machine = format!("vm.define[{name}].vm.provider[{provider}]");
            assert!(plain.contains(&format!("{machine}.cpus 2\n")), "{machine}: {plain}");
            let memory = plain.lines().find_map(|line| line.strip_prefix(&format!("{machine}.memory ")));
            assert!((1024..=2048).contains(&memory.unwrap().parse::<u32>().unwrap()), "{machine}: {plain}");
        }
        let provisioned = format!("vm.define[{name}].vm.provision \"shell\"");
        assert!(plain.lines().any(|line| line.starts_with(&provisioned) && line.contains("vagrant/provision.sh")));
        assert!(plain.lines().any(|line| line.starts_with(&format!("vm.define[{name}].vm.box \""))), "{plain}");
    }
    assert!(plain.contains("box_check_update false"), "{plain}");
    assert!(!plain.contains("forwarded_port") && !plain.contains("public_network"), "nobody gets in from outside");
    let other = asked(&[("HARDWAY_MEMORY", "1024"), ("HARDWAY_BOX", "mine"), ("HARDWAY_BOX_URL", "file:///a.box")]);
    assert!(other.contains("memory 1024\n") && !other.contains("debian/"), "{other}");
    assert_eq!(other.matches("vm.box_url \"file:///a.box\"").count(), 3, "{other}");
}

#[test]
fn the_scripts_have_no_faults_that_can_be_seen() {
    let scripts = ["vagrant/provision.sh", "fuzz/run", "tests/vm/run", "tests/vm/inside", "tests/vm/run-in-vm"]
        .map(|script| format!("{ROOT}/{script}"));
    for script in &scripts {
        let output = Command::new("bash").args(["-n", script]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    if !has("shellcheck") {
        return skip("the_scripts_have_no_faults_that_can_be_seen", "there is no shellcheck");
    }
    let output = Command::new("shellcheck").args(&scripts).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

/// Runs lines of a shell where `/etc` and all else that provisioning writes to is for them alone, and goes away with them.
fn privately(work: &Path, lines: &str) -> Output {
    let private = format!(
        "set -eu
        cd '{0}'
        mount -t tmpfs -o mode=755,size=256m provision-test .
        cd '{0}'
        # A copy and no overlay: the lab's own overlay may be the second and last that the kernel stacks.
        cp -a /etc etc
        mount --bind etc /etc
        for place in /usr/local/bin /usr/local/share /var/cache /home /run; do
            mount -t tmpfs -o mode=755,size=256m provision-test $place
        done
        echo 'attendee:x:61235:61235::/home/attendee:/bin/bash' >>/etc/passwd
        echo 'attendee:x:61235:' >>/etc/group
        echo 'attendee:*:19000:0:99999:7:::' >>/etc/shadow
        install -d -o 61235 -g 61235 /home/attendee
        {lines}",
        work.display()
    );
    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=5", "120", "unshare", "--mount", "--propagation", "private", "bash", "-c", &private]);
    for variable in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HARDWAY_TEST_USER", "SUDO_USER", "SUDO_UID"] {
        shell.env_remove(variable);
    }
    shell
        .env("HARDWAY_PACKAGES", "none")
        .env("HARDWAY_USER", "attendee")
        .env("PROVISION", format!("{ROOT}/vagrant/provision.sh"));
    shell.env("HARDWAY_BINARY", env!("CARGO_BIN_EXE_hardway")).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn provisioning_makes_hardway_work_and_the_second_time_changes_nothing() {
    let name = "provisioning_makes_hardway_work_and_the_second_time_changes_nothing";
    let work = tempfile::TempDir::new().unwrap();
    let possible = privately(work.path(), "command -v runuser usermod apt-get dpkg-query");
    if !possible.status.success() {
        return skip(name, text(&possible).lines().last().unwrap_or("a program is missing"));
    }
    let output = privately(
        work.path(),
        r#"
        echo 'other:100000:70000' >/etc/subuid; : >/etc/subgid
        "$PROVISION"
        state() { stat -c '%n %i %Y %s' /usr/local/bin/* /var/cache/hardway/installed /etc/sub[ug]id; }
        before=$(state)
        echo "-- again"
        "$PROVISION"
        [ "$before" = "$(state)" ] || { echo "-- changed"; state; }
        echo "-- ids"; cat /etc/subuid /etc/subgid
        echo "-- without a binary"
        HARDWAY_BINARY=/nowhere "$PROVISION" || echo "status $?"
        HARDWAY_USER=no-such-user "$PROVISION" || echo "status $?"
        echo "-- documents"
        mkdir other
        printf '%s\n' '#!/bin/sh' 'case $1 in' '--help) printf "Commands:\n  man  M\n  completions  C\n\n" ;;' \
            'man | completions) echo "$@" ;;' 'esac' >other/hardway
        HARDWAY_BINARY=$PWD/other/hardway "$PROVISION"
        cat /usr/local/share/man/man1/hardway.1 /usr/local/share/bash-completion/completions/hardway
        "#,
    );
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let (first, rest) = told.split_once("-- again").unwrap();
    assert!(first.contains("hardway: installed hardway ") && first.contains("done: hardway, as attendee"), "{told}");
    assert!(first.contains("/etc/subuid: attendee has 65536 ids from 170000 on"), "behind the other's: {told}");
    assert!(first.contains("/etc/subgid: attendee has 65536 ids from 100000 on"), "{told}");
    let (second, rest) = rest.split_once("-- ids").unwrap();
    assert!(second.contains("the one that is installed is of these sources"), "{told}");
    assert!(second.contains("attendee has a range") && second.contains("done:"), "{told}");
    assert!(!second.contains("-- changed"), "{told}");
    assert!(rest.contains("attendee:170000:65536") && rest.contains("attendee:100000:65536"), "{told}");
    assert!(rest.contains("there is no /nowhere") && rest.contains("name the user"), "{told}");
    assert_eq!(rest.matches("status 1").count(), 2, "{told}");
    assert!(rest.contains("documents: man hardway") && rest.contains("\nman\ncompletions bash\n"), "{told}");
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    assert!(!passwd.contains("attendee:x:61235"), "the machine is as it was");
}
