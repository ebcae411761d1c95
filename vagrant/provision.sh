#!/usr/bin/env bash
# Makes a Debian (12, 13) or Ubuntu (24.04) machine one on which hardway teaches offline. Run as root, as often as you like:
# what is there already is left alone, and then no network is needed.
#
#   HARDWAY_SOURCE   hardway's sources                      (this script's repository)
#   HARDWAY_BINARY   a hardway that is built already, absolute or below the sources; nothing is compiled then. A rootfs-fetch
#                    beside it is installed too
#   HARDWAY_USER     who is to use hardway without root     (vagrant, or the user who called sudo)
#   HARDWAY_PACKAGES none: install no packages, as on a machine that can not reach an archive; say which are missing

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=${HARDWAY_SOURCE:-$(dirname "$here")}
program=/usr/local/bin/hardway
fetch=/usr/local/bin/rootfs-fetch
# Toolchain, crates and what was compiled stay here, out of everybody's home, so that the next time needs no network.
build=/var/cache/hardway
toolchain=$build/toolchain
export DEBIAN_FRONTEND=noninteractive

say() { printf '== %s\n' "$*"; }
die() {
    printf 'provision: %s\n' "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- packages

# What the shells of lessons and hardway itself call.
needed=(bash coreutils util-linux procps iproute2 hostname grep sed uidmap busybox-static tmux)
# What single lessons look at or compare with; a distribution that has not all of them is none the worse.
wished=(man-db bash-completion iputils-ping nftables iptables strace jq less libcap2-bin attr cgroup-tools netcat-openbsd runc crun podman skopeo umoci)
to_build=(build-essential ca-certificates curl)

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
is_offered() { apt-cache policy "$1" 2>/dev/null | grep -q '^ *Candidate: [^(]'; }
missing_of() {
    local package
    for package; do
        is_installed "$package" || printf '%s\n' "$package"
    done
}

packages() {
    local want=("${needed[@]}") missing optional package
    [ -n "${HARDWAY_BINARY:-}" ] || want+=("${to_build[@]}")
    mapfile -t missing < <(missing_of "${want[@]}")
    mapfile -t optional < <(missing_of "${wished[@]}")
    if [ "${HARDWAY_PACKAGES:-}" = none ]; then
        say "packages: none are installed, as asked; missing: ${missing[*]:-none}; lessons could use: ${optional[*]:-all there}"
        return
    fi
    if [ ${#missing[@]} = 0 ] && { [ ${#optional[@]} = 0 ] || [ -e "$build/packages" ]; }; then
        say "packages: all there"
        return
    fi
    say "packages: apt-get update"
    # Without a network apt-get would wait for minutes, and say that all is well.
    if ! timeout 180 apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -o Acquire::http::Timeout=20 update -qq; then
        [ ${#missing[@]} = 0 ] || die "no archive of packages can be reached, and these are missing: ${missing[*]}"
        say "packages: no archive can be reached; what must be there is there"
        return
    fi
    for package in "${optional[@]}"; do
        if is_offered "$package"; then missing+=("$package"); else say "packages: $package is not offered here"; fi
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "packages: installing ${missing[*]}"
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    # What is not offered is not asked for again.
    install -d "$build"
    touch "$build/packages"
}

# ---------------------------------------------------------------- hardway

# The distributions' compilers are older than hardway's edition of Rust (Debian 12 has 1.63, Ubuntu 24.04 1.75, Debian 13
# 1.85), so the toolchain that rust-toolchain.toml names comes by rustup: from the distribution's package where there is
# one, else the published rustup-init with its published checksum.
rust() {
    local version url sum
    version=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$source/rust-toolchain.toml")
    [ -n "$version" ] || die "$source/rust-toolchain.toml names no channel"
    export RUSTUP_HOME=$toolchain/rustup CARGO_HOME=$toolchain/cargo RUSTUP_TOOLCHAIN=$version
    PATH=$CARGO_HOME/bin:$PATH
    if ls -d "$RUSTUP_HOME/toolchains/$version"-* >/dev/null 2>&1; then
        say "rust: $version is there"
    else
        say "rust: installing $version"
        if ! command -v rustup >/dev/null && is_offered rustup; then
            apt-get install -y -qq --no-install-recommends rustup >/dev/null
        fi
        if ! command -v rustup >/dev/null; then
            url=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
            install -d "$toolchain"
            curl --proto '=https' -fsSL -o "$toolchain/rustup-init" "$url"
            sum=$(curl --proto '=https' -fsSL "$url.sha256" | cut -d' ' -f1)
            echo "$sum  $toolchain/rustup-init" | sha256sum --check --quiet
            chmod 755 "$toolchain/rustup-init"
            "$toolchain/rustup-init" -y --no-modify-path --profile minimal --default-toolchain none
        fi
        rustup toolchain install "$version" --profile minimal --no-self-update
    fi
    # The toolchain's own programs, whichever rustup brought them.
    PATH=$(echo "$RUSTUP_HOME/toolchains/$version"-*/bin):$PATH
}

# What the binary is made of: another digest, another build.
digest() {
    local parts
    if [ -n "${HARDWAY_BINARY:-}" ]; then
        parts=("$binary")
        [ ! -f "$(dirname "$binary")/rootfs-fetch" ] || parts+=("$(dirname "$binary")/rootfs-fetch")
        cat "${parts[@]}" | sha256sum
        return
    fi
    (
        cd "$source"
        find Cargo.toml Cargo.lock rust-toolchain.toml src lessons benches rootfs-fetch -type f -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    ) | sha256sum
}

hardway() {
    local stamp=$build/installed now
    if [ -n "${HARDWAY_BINARY:-}" ]; then
        binary=$HARDWAY_BINARY
        [[ $binary = /* ]] || binary=$source/$binary
        [ -f "$binary" ] || die "HARDWAY_BINARY: there is no $binary"
    fi
    now=$(digest)
    if [ -x "$program" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
        say "hardway: the one that is installed is of these sources"
        return
    fi
    if [ -z "${HARDWAY_BINARY:-}" ]; then
        rust
        say "hardway: building"
        export CARGO_TARGET_DIR=$build/target
        # The crates of this Cargo.lock may be there from the last time.
        crates=(cargo fetch --locked --quiet --target "$(uname -m)-unknown-linux-gnu" --manifest-path "$source/Cargo.toml")
        "${crates[@]}" --offline 2>/dev/null || "${crates[@]}"
        # One rustc at a time where there is little memory.
        jobs=$(($(awk '/^MemTotal:/ { print int($2 / 1000000) }' /proc/meminfo) > 1 ? $(nproc) : 1))
        cargo build --workspace --bins --release --locked --offline --quiet --jobs "$jobs" --manifest-path "$source/Cargo.toml"
        binary=$build/target/release/hardway
    fi
    place "$binary" "$program"
    if [ -f "$(dirname "$binary")/rootfs-fetch" ]; then place "$(dirname "$binary")/rootfs-fetch" "$fetch"; fi
    install -d "$build"
    printf '%s\n' "$now" >"$stamp"
}

# By a name of its own and rename: one who uses the old one just now can go on.
place() {
    install -m 755 "$1" "$2.new"
    mv -f "$2.new" "$2"
    say "hardway: installed $("$2" --version)"
}

# Man page and completions, where this hardway can write them.
documents() {
    local commands
    commands=$("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p')
    if grep -qx man <<<"$commands"; then
        install -d /usr/local/share/man/man1
        "$program" man >/usr/local/share/man/man1/hardway.1
        say "documents: man hardway"
    fi
    if grep -qx completions <<<"$commands"; then
        install -d /usr/local/share/bash-completion/completions
        "$program" completions bash >/usr/local/share/bash-completion/completions/hardway
        say "documents: completions for bash"
    fi
}

# ---------------------------------------------------------------- the user

# A range of ids for newuidmap(1), behind all ranges that others have: subuid(5).
subordinate_ids() {
    local user=$1 kind file first
    for kind in uid gid; do
        file=/etc/sub$kind
        [ -f "$file" ] || install -m 644 /dev/null "$file"
        if grep -q "^$user:[0-9]*:[0-9]" "$file"; then
            say "$file: $user has a range"
            continue
        fi
        first=$(awk -F: 'BEGIN { next_id = 100000 } $2 + $3 > next_id { next_id = $2 + $3 } END { print next_id }' "$file")
        usermod "--add-sub${kind}s" "$first-$((first + 65535))" "$user"
        say "$file: $user has 65536 ids from $first on"
    done
}

# Ubuntu lets only programs with an AppArmor profile that says so have capabilities in a user namespace of their own. hardway
# gets such a profile; the restriction stays as it is for all others.
apparmor() {
    local profile=/etc/apparmor.d/usr.local.bin.hardway new
    if [ ! -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]; then
        say "apparmor: it does not restrict user namespaces here"
        return
    fi
    if ! command -v apparmor_parser >/dev/null; then
        # Without the program that loads profiles no profile restricts anything, unless the switch is on.
        [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns)" = 0 ] ||
            die "AppArmor restricts user namespaces, and there is no apparmor_parser: apt-get install apparmor"
        say "apparmor: it does not restrict user namespaces here"
        return
    fi
    new=$(mktemp)
    cat >"$new" <<PROFILE
# hardway makes user namespaces to teach in. Apart from that it is not confined, as without a profile.
abi <abi/4.0>,
include <tunables/global>

profile hardway $program flags=(unconfined) {
  userns,

  include if exists <local/usr.local.bin.hardway>
}
PROFILE
    if cmp -s "$new" "$profile" && grep -q '^hardway ' /sys/kernel/security/apparmor/profiles 2>/dev/null; then
        say "apparmor: the profile is loaded"
    else
        install -m 644 "$new" "$profile"
        apparmor_parser --replace "$profile"
        say "apparmor: hardway may make user namespaces"
    fi
    rm -f "$new"
}

# ---------------------------------------------------------------- and does it work?

# One lesson as the user, in whatever mode that gives, and one as root.
proof() {
    local user=$1
    say "proof: as $user"
    runuser -l "$user" -c "$program run 00-process" || die "hardway does not work for $user; see above"
    say "proof: as root"
    "$program" run 00-process || die "hardway does not work for root; see above"
}

[ "$(id -u)" = 0 ] || die "run it as root"
command -v apt-get >/dev/null || die "this is for Debian and Ubuntu: there is no apt-get"
user=${HARDWAY_USER:-}
if [ -z "$user" ]; then
    if id vagrant >/dev/null 2>&1; then user=vagrant; else user=${SUDO_USER:-}; fi
fi
id "${user:-nobody is named}" >/dev/null 2>&1 || die "name the user who is to use hardway: HARDWAY_USER"

packages
hardway
documents
subordinate_ids "$user"
apparmor
proof "$user"
say "done: hardway, as $user or with sudo"
