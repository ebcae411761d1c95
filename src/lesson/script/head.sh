set -u
shopt -s extglob

usage() {
    sed -n '2,/^$/ s/^# \{0,1\}//p' "$0"
    exit "${1:-2}"
}

pause=no here=no inside=no
for option in "$@"; do
    case $option in
        --pause) pause=yes ;;
        --here) here=yes ;;
        --inside) inside=yes ;;
        --help) usage 0 ;;
        *) usage ;;
    esac
done

trouble() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 2
}

# ---------------------------------------------------------------- a private machine

# Leaves the machine's namespaces for new ones, and starts this file again as PID 1 in there.
leave_the_machine() {
    [ -f "$0" ] || trouble "save this script to a file first: it starts itself a second time"
    local one program ids=()
    for program in unshare setpriv script mount pivot_root hostname; do
        command -v "$program" >/dev/null || trouble "$program is missing (Debian: util-linux, bsdutils, mount, hostname)"
    done
    [ "${wants_work:-no}" = no ] || command -v hardway >/dev/null || trouble "hardway is not in PATH: it does the work of this lesson"
    if [ "$(id -u)" != 0 ]; then
        ids=(--user --map-root-user)
        # With a line in /etc/subuid a range of ids is mapped, else one's own alone.
        unshare "${ids[@]}" --map-auto true 2>/dev/null && ids+=(--map-auto)
        unshare "${ids[@]}" true || trouble "this machine forbids user namespaces: hardway doctor says why; as root it works"
    fi
    group='' hierarchy='' others=''
    [ -n "${private+set}" ] || more_hierarchies "$@"
    for one in $private; do
        mkdir "/sys/fs/cgroup/$one" && { mount -t cgroup -o "$one" cgroup "/sys/fs/cgroup/$one" || rmdir "/sys/fs/cgroup/$one"; }
    done
    [ "${wants_cgroup:-no}" = no ] || own_group
    [ -z "$group" ] || [ "${wants_controllers:-no}" = no ] || other_groups
    # What would reach the machine itself is given up: its clock, modules, kernel log, raw I/O, power, device nodes.
    local give_up='-mac_override,-mac_admin,-syslog,-wake_alarm,-block_suspend,-audit_control'
    give_up+=',-mknod,-sys_time,-sys_boot,-sys_rawio,-sys_module'
    local again=(unshare "${ids[@]}" --mount --uts --ipc --net --cgroup --pid --fork --kill-child --propagation private --
        setpriv "--bounding-set=$give_up" bash "$0" --inside "$@")
    [ -n "$group" ] || exec "${again[@]}"
    # This shell stays behind, to take the group away.
    trap : INT TERM HUP
    group=$group hierarchy=$hierarchy others=$others "${again[@]}"
    local status=$? own
    for own in "$group" $others; do
        own=${own%%:*}
        echo "$$" >"${own%/*}/cgroup.procs"
        take_away "$own" || trouble "$own could not be taken away"
    done
    for one in $private; do
        forget "$one"
    done
    exit "$status"
}

take_away() { # GROUP: with all below it
    local _
    for _ in {1..50}; do
        [ -d "$1" ] || return 0
        # What is frozen in version 1 can not end.
        find "$1" -name freezer.state -exec sh -c 'echo THAWED >"$1"' - {} \; 2>/dev/null
        # The deepest first. What has just been killed may still be on its way out.
        find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null || sleep 0.1
    done
    return 1
}

# Hierarchies of version 1 are made for controllers that the machine has mounted nowhere, in a mount namespace of this script's own:
# it starts itself there, with their names, and the machine's cgroups on a directory in which there is room for more.
more_hierarchies() {
    local one number
    private=''
    all_ids && [ "$(id -u)" = 0 ] && [ -d /sys/fs/cgroup ] || return 0
    # In a container the kernel makes none; before Linux 5.15 one of net_cls was felt on the whole machine.
    [ "$(readlink /proc/self/ns/cgroup)" = 'cgroup:[4026531835]' ] || return 0
    printf '5.15\n%s\n' "$(uname -r)" | sort --check=quiet --version-sort || return 0
    for one in ${wants_hierarchies-}; do
        case $one in
            devices | net_cls | net_prio) ;;
            # Version 2 has these, where they are handed down.
            perf_event) [ -z "$(findmnt --noheadings --types cgroup2)" ] || continue ;;
            hugetlb) ! grep -qsw hugetlb /sys/fs/cgroup/{,unified/}cgroup.subtree_control || continue ;;
            *) continue ;;
        esac
        number=$(awk -v name="$one" '$1 == name && $4 == 1 { print $2 }' /proc/cgroups)
        [ -z "$number" ] || [ -n "$(findmnt --noheadings --types cgroup --options "$one")" ] || private+=" $one"
    done
    [ -n "$private" ] || return 0
    # shellcheck disable=SC2016
    private=$private exec unshare --mount --propagation private bash -c '
        mount -t tmpfs -o mode=755,size=1m lab /mnt || exit 2
        # A machine with version 2 alone has it on that directory itself.
        entries=(/sys/fs/cgroup/*) to=
        [ ! -e /sys/fs/cgroup/cgroup.controllers ] || entries=(/sys/fs/cgroup) to=unified
        for entry in "${entries[@]}"; do
            if [ -L "$entry" ]; then
                cp -P "$entry" /mnt
            else
                place=/mnt/${to:-${entry##*/}}
                mkdir "$place" && mount --rbind "$entry" "$place"
            fi
        done
        umount --recursive --lazy /sys/fs/cgroup && mount --move /mnt /sys/fs/cgroup || exit 2
        exec bash "$@"' more "$0" "$@"
}

# Waits until the kernel has forgotten the groups that were taken away, if nobody else has some: a hierarchy that still knows of one
# when its last mount ends stays for ever.
forget() { # CONTROLLER
    local _
    for _ in {1..50}; do
        [ -z "$(find "/sys/fs/cgroup/$1" -mindepth 1 -type d 2>/dev/null)" ] || return 0
        awk -v name="$1" '$1 == name { exit $3 > 1 }' /proc/cgroups && return 0
        sleep 0.1
    done
}

# Makes a cgroup below this one, in the hierarchy where that matters least: version 2, else one of version 1 without limits.
own_group() {
    local kind path
    name=hardway-$$-$(cut -d ' ' -f 22 "/proc/$$/stat")
    for kind in unified pids freezer perf_event; do
        if [ "$kind" = unified ]; then
            hierarchy=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
            path=$(sed -n 's/^0:://p' /proc/self/cgroup)
        else
            hierarchy=$(findmnt --noheadings --first-only --types cgroup --options "$kind" --output TARGET)
            path=$(sed -n "s/^[0-9]*:$kind://p" /proc/self/cgroup)
        fi
        path=$hierarchy${path%/}
        if [ -n "$hierarchy" ] && [ -w "$path" ] && [ -w "$path/cgroup.procs" ]; then
            group=$path/$name
            mkdir "$group" 2>/dev/null && echo "$$" >"$group/cgroup.procs" && return
            rmdir "$group" 2>/dev/null
        fi
    done
    group='' hierarchy=''
}

# Makes a cgroup in every other hierarchy of version 1 that has a controller and may be changed: GROUP:HIERARCHY, one word each.
other_groups() {
    local mount kind path file
    while read -r mount kind; do
        kind=$(printf '%s' "$kind" | tr , '\n' | grep -vE '^(rw|ro|xattr|noprefix|clone_children|release_agent=.*)$' | paste -sd,)
        path=$(sed -n "s/^[0-9]*:$kind://p" /proc/self/cgroup)
        path=$mount${path%/}
        case $kind in *name=* | '') continue ;; esac
        [ "$mount" != "$hierarchy" ] && [ -w "$path/cgroup.procs" ] && mkdir "$path/$name" 2>/dev/null || continue
        # A new group of cpuset has no processor and no memory node.
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$path/$file" ] || cat "$path/$file" >"$path/$name/$file"
        done
        echo "$$" >"$path/$name/cgroup.procs" && others+=" $path/$name:$mount"
    done < <(findmnt --noheadings --list --types cgroup --output TARGET,FS-OPTIONS)
}

# In version 2 a group that hands controllers down may have no processes of its own: those that are in it move to a leaf.
hand_down() {
    [ -e "$group/cgroup.controllers" ] && [ "${wants_controllers:-no}" = yes ] || return 0
    mkdir "$group/init" && echo 0 >"$group/init/cgroup.procs" &&
        sed 's/[a-z]\+/+&/g' "$group/cgroup.controllers" >"$group/cgroup.subtree_control"
}

# Builds a file tree of its own: each top directory of the machine under an overlay that writes to memory; those of people
# and of running programs fresh; and makes it the root.
build_the_tree() {
    local top name upper work program='' attributes='' tty=,gid=5
    # Opened now: it may be in /tmp, which is covered next.
    ! command -v hardway >/dev/null || exec {program}<"$(command -v hardway)"
    # Group 5 is `tty`; with a single id it is not mapped, and devpts refuses it.
    range_of_ids || tty=''
    # In a user namespace overlayfs may not write attributes of the machine's root.
    all_ids || attributes=,userxattr
    { mount -t tmpfs -o mode=755,size=256m,nodev lab /tmp && mkdir /tmp/root /tmp/layers &&
        mount -t tmpfs -o mode=755,size=1m,nodev lab /tmp/root && cd /tmp/root; } || trouble "no tmpfs could be mounted"
    for top in /*; do
        name=${top#/}
        case $name in proc | sys | dev | tmp | run | home | root | lab | mnt) continue ;; esac
        if [ -L "$top" ]; then
            cp -P "$top" "$name"
        elif [ -d "$top" ]; then
            upper=/tmp/layers/$name/upper work=/tmp/layers/$name/work
            mkdir -p "$name" "$upper" "$work" && chmod --reference="$top" "$name" "$upper"
            # What runtimes of containers keep: in a user namespace nobody may write beside files of the machine's root.
            [ "$name" != var ] || { mkdir "$upper/lib" && ln -s /run/lib/cni /run/lib/hardway "$upper/lib"; }
            # The resolver's file is one, and no link into /run; and ip keeps here what a network namespace has for itself.
            [ "$name" != etc ] || { mkdir "$upper/netns" && : >"$upper/resolv.conf" && cat "$top/resolv.conf" >>"$upper/resolv.conf" 2>/dev/null; }
            mount -t overlay -o "nodev,lowerdir=$top,upperdir=$upper,workdir=$work$attributes" lab "$name" 2>/dev/null ||
                read_only "$top" "$name" || trouble "/$name could not be shown"
        fi
    done
    for name in tmp:1777 run:755 home:755 root:700 lab:755 mnt:755; do
        mkdir "${name%:*}"
        mount -t tmpfs -o "nodev,size=128m,mode=${name#*:}" lab "${name%:*}" || trouble "/${name%:*} could not be mounted"
    done
    mkdir -p proc sys dev run/lib/cni run/lib/hardway
    own_proc
    own_sys sys 2>/dev/null || read_only /sys sys
    # `ip netns exec` takes /sys away before it mounts another, which a user namespace may only where it still sees one.
    all_ids || { mkdir -p run/hardway/sys && own_sys run/hardway/sys 2>/dev/null; }
    [ ! -d sys/fs/cgroup ] || read_only /sys/fs/cgroup sys/fs/cgroup
    if [ -n "${group-}" ]; then
        hand_down
        mount --bind "$group" "${hierarchy#/}" && ln -s "$hierarchy" lab/cgroup
        local one
        for one in ${others-}; do
            mount --bind "${one%%:*}" ".${one#*:}"
        done
    fi
    # The program that works for limits to bite into is hardway itself.
    if [ -n "$program" ]; then
        : >lab/work && mount --no-canonicalize --bind "/proc/self/fd/$program" lab/work && mount -o remount,bind,ro lab/work
        exec {program}<&-
        # And by links under its own name, and under those of its CNI plugins.
        local plugin
        ln -s work lab/hardway && mkdir lab/cni
        for plugin in $wants_plugins; do
            ln -s ../work "lab/cni/$plugin"
        done
    fi
    own_devices
    # A machine's loopback device is up; a new network namespace's is not. Whether it forwards it has from the machine.
    ip link set lo up 2>/dev/null
    { echo 0 >proc/sys/net/ipv4/ip_forward; } 2>/dev/null
    # The old root ends up on top of the new one, and is what `.` leads to (pivot_root(2)).
    { pivot_root . . && umount -l . && cd /; } || trouble "the private file tree could not be made the root"
}

all_ids() { # no user namespace
    local _ count
    read -r _ _ count </proc/self/uid_map && [ "$count" = 4294967295 ]
}

range_of_ids() { # more than one is mapped
    local _ count
    read -r _ _ count </proc/self/uid_map
    [ "$count" -gt 1 ] || [ "$(wc -l </proc/self/uid_map)" -gt 1 ]
}

may_count() { # what groups do (perf_event_open(2))
    all_ids || [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 0 ]
}

controller() { # NAME VERSION: groups of that version can be made that have it
    if [ -w "/sys/fs/cgroup/$1/cgroup.procs" ]; then
        [ "$2" = 1 ]
    else
        [ "$2" = 2 ] && grep -qw "$1" /lab/cgroup/cgroup.subtree_control 2>/dev/null
    fi
}

read_only() { # FROM TO: shows a directory with all that is mounted below it, read-only
    mount --rbind "$1" "$2" && mount -o remount,bind,ro "$2"
}

# A proc of the own pid namespace. Root could reach the whole machine through parts of it: those are read-only.
own_proc() {
    local part
    mount -t proc -o nosuid,nodev,noexec proc proc || trouble "no proc could be mounted"
    all_ids || return 0
    for part in sysrq-trigger irq bus fs acpi mtrr latency_stats timer_list sys; do
        [ ! -e "proc/$part" ] || { mount --bind "proc/$part" "proc/$part" && mount -o remount,bind,ro "proc/$part"; }
    done
    for part in net fs/mqueue kernel/{hostname,domainname,msgmax,msgmnb,msgmni,sem,shmall,shmmax,shmmni,shm_rmid_forced}; do
        [ ! -e "proc/sys/$part" ] || { mount --bind "proc/sys/$part" "proc/sys/$part" && mount -o remount,bind,rw "proc/sys/$part"; }
    done
    # One without such mounts, because the kernel lets a user namespace mount proc only where it sees one that hides nothing.
    mkdir -p run/hardway/proc && mount -t proc -o nosuid,nodev,noexec,subset=pid proc run/hardway/proc
}

# A sysfs of the own network namespace. The mount is read-only and not the file system: ip asks for one that is not.
own_sys() {
    mount -t sysfs -o nosuid,nodev,noexec sysfs "$1" && mount -o remount,bind,ro,nosuid,nodev,noexec "$1"
}

own_devices() {
    local name
    mount -t tmpfs -o mode=755,size=1m,nosuid lab dev
    for name in null zero full random urandom tty; do
        : >"dev/$name" && mount --bind "/dev/$name" "dev/$name"
    done
    ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin && ln -s /proc/self/fd/1 dev/stdout && ln -s /proc/self/fd/2 dev/stderr
    mkdir dev/pts dev/shm dev/mqueue
    mount -t devpts -o "newinstance,ptmxmode=0666,mode=620$tty,nosuid,noexec" devpts dev/pts || trouble "no terminals"
    mount -t tmpfs -o mode=1777,size=64m,nosuid,nodev,noexec tmpfs dev/shm
    mount -t mqueue -o nosuid,nodev,noexec mqueue dev/mqueue
}

# ---------------------------------------------------------------- a shell, and hands

# Its prompt carries the mark OSC 133;D;STATUS, so that the end of a command and its exit status are read from the terminal,
# of shells nested in shells too.
mark=$'\e]133;D;'
prompt="\\[$mark\$?\\a\\]\\u@\\h:\\w\\\$ "
shell_pid='' from='' to=''
# What script(1) starts: by way of a shell that is not interactive, and that would take PS1 away.
# shellcheck disable=SC2016
start='stty rows 50 cols 250 echo; exec env -u PROMPT PS1="$PROMPT" bash --norc -i'

new_shell() {
    end_shell
    coproc SHELL_PANE {
        cd /root 2>/dev/null || cd /
        # A script that runs in the background ignores SIGINT, and so would all that is typed: ^C is a line of some steps.
        exec env -i --default-signal=INT HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LC_ALL=C.UTF-8 TERM=dumb PROMPT="$prompt" \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HISTFILE=/dev/null \
            script --quiet --command "$start" /dev/null 2>&1
    }
    shell_pid=$SHELL_PANE_PID
    exec {from}<&"${SHELL_PANE[0]}" {to}>&"${SHELL_PANE[1]}"
    await_prompt "$line_fifths" || trouble "the shell did not start: $output"
}

end_shell() {
    [ -n "$shell_pid" ] || return 0
    local pids
    mapfile -t pids < <(descendants "$shell_pid")
    kill -KILL "$shell_pid" "${pids[@]}" 2>/dev/null
    wait "$shell_pid" 2>/dev/null
    exec {from}<&- {to}>&-
    shell_pid=''
}

# How long is waited, in fifths of a second: for a line to end, and for a program to have settled in the foreground.
line_fifths=75 settle_fifths=4

# Waits for the next prompt; sets status and output. The mark ends in BEL.
await_prompt() { # FIFTHS
    local chunk ended left=$1
    output='' status=''
    while [ "$left" -gt 0 ]; do
        IFS= read -r -d $'\a' -t 0.2 -u "$from" chunk
        ended=$?
        output+=${chunk//$'\r'/}
        if [ "$ended" = 0 ] && [ "${output%"$mark"+([0-9])}" != "$output" ]; then
            status=${output##*"$mark"}
            output=${output%"$mark$status"}
            return 0
        fi
        # More than 128: the time of one read is up.
        if [ "$ended" -gt 128 ]; then left=$((left - 1)); elif [ "$ended" != 0 ]; then return 1; fi
    done
    return 1
}

# Types a line and Enter, or a key; waits for the prompt.
type_line() { # LINE FIFTHS
    local before
    # What is left of the prompt before. Where the terminal is not known, as in a chroot, it is drawn twice, marks and all.
    while IFS= read -r -d $'\a' -t 0.05 -u "$from" before; do :; done
    case $1 in
        '^C') printf '\003' >&"$to" ;;
        '^D') printf '\004' >&"$to" ;;
        *) printf '%s\r' "$1" >&"$to" ;;
    esac
    await_prompt "$2"
    local ended=$?
    output=${before##*$'\r'}$output
    return "$ended"
}

# The fields of /proc/PID/stat behind the name: state ppid pgrp session tty tpgid …
fields_of() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${line##*) }"
}

descendants() { # PID: all below it, the nearest first
    local -A parent
    local fields process pid next=0 found=("$1")
    for process in /proc/[0-9]*; do
        fields_of "${process#/proc/}" && parent[${process#/proc/}]=${fields[1]}
    done
    while [ "$next" -lt "${#found[@]}" ]; do
        for pid in "${!parent[@]}"; do
            [ "${parent[$pid]}" != "${found[next]}" ] || found+=("$pid")
        done
        next=$((next + 1))
    done
    printf '%s\n' "${found[@]:1}"
}

# ---------------------------------------------------------------- steps

waiting=no held=0 skipped=0 wrong=0
# Steps have their lines on standard input; whoever runs this is asked here.
exec {person}<&0

require() { # NEED: what the whole lesson cannot do without
    offers "$1" || trouble "there is no $1 here"
}

# step NAME TITLE [anew] [stays] [needs NEED]… [fails STATUS SAYS]: types the lines on its standard input
step() {
    local name=$1 title=$2 line lines anew=no stays=no expected='' says='' patience
    mapfile -t lines
    shift 2
    printf '\n── %s: %s\n' "$name" "$title"
    while [ $# -gt 0 ]; do
        case $1 in
            anew) anew=yes ;;
            stays) stays=yes ;;
            needs)
                shift
                offers "$1" || { printf 'skipped: there is no %s here\n' "$1" && skipped=$((skipped + 1)) && pause && return; }
                ;;
            fails) expected=$2 says=$3 && shift 2 ;;
        esac
        shift
    done
    if [ "$anew" = yes ] || [ -z "$shell_pid" ]; then
        new_shell
        waiting=yes
    fi
    for line in "${lines[@]}"; do
        # What an earlier step left in the foreground has done its part.
        if [ "$waiting" = no ] && [ "${line#^}" = "$line" ]; then type_line '^C' "$line_fifths"; fi
        patience=$line_fifths
        [ "$stays" = no ] || [ "$line" != "${lines[-1]}" ] || patience=$settle_fifths
        if type_line "$line" "$patience"; then waiting=yes; else waiting=no; fi
        printf '%s' "$output"
    done
    if [ -n "$expected" ] && { [ "$status" != "$expected" ] || [ "${output#*"$says"}" = "$output" ]; }; then
        printf '✗ the lesson says that it fails with status %s and “%s”; here the status is %s\n' "$expected" "$says" "$status"
        wrong=$((wrong + 1))
    elif [ "$waiting$stays" = nono ] && ! kill -0 "$shell_pid" 2>/dev/null; then
        printf '✗ the shell has ended\n'
        wrong=$((wrong + 1))
    else
        held=$((held + 1))
        [ -z "$expected" ] || printf '✓ it fails with status %s, as the lesson says\n' "$status"
    fi
    pause
}

# After a step. In a lab host somebody looks at the kernel's state meanwhile, and is told whose.
pause() {
    [ "$pause" = yes ] || return 0
    local fields shell=''
    if [ "$here" = yes ]; then
        [ -z "$shell_pid" ] || shell=$(descendants "$shell_pid" | head -n 1)
        [ -n "$shell" ] && fields_of "$shell" || fields=()
        printf '\nshell %s foreground %s%s%s\a' "${shell:-0}" "${fields[5]:-0}" "$mark" "${status:-}"
    else
        printf '\n[Enter: on] '
    fi
    read -r -u "$person" || exit 1
}

# What there is now: each process that the steps have made, and what it has of its own.
reached() {
    local pid kind own name
    printf '\n── reached: %s steps held, %s skipped, %s not as the lesson says\n' "$held" "$skipped" "$wrong"
    local all=1
    # In somebody's lab host PID 1 has others below it.
    [ "$here" = no ] || all=$shell_pid
    [ -z "$shell_pid" ] || for pid in $(descendants "$all"); do
        if [ "$pid" = "$shell_pid" ] || [ ! -e "/proc/$pid/exe" ]; then continue; fi
        own=''
        for kind in mnt uts ipc pid net user cgroup time; do
            [ "$(readlink "/proc/$pid/ns/$kind")" = "$(readlink "/proc/1/ns/$kind")" ] || own+=" $kind"
        done
        read -r name <"/proc/$pid/comm"
        printf 'pid %s %s; namespaces of its own:%s\n' "$pid" "$name" "${own:- none}"
    done
}

trap end_shell EXIT
trap 'exit 130' INT TERM HUP
if [ "$here" = no ]; then
    [ "$inside" = yes ] || leave_the_machine "$@"
    build_the_tree
    hostname lab
fi

