//! Capability sets in words (capabilities(7), `<linux/capability.h>`).

/// All 41 capabilities by number: the name, and what it lets a process do.
const KNOWN: [(&str, &str); 41] = [
    ("CAP_CHOWN", "give files to other users"),
    ("CAP_DAC_OVERRIDE", "pass over the permissions of files"),
    ("CAP_DAC_READ_SEARCH", "read any file, search any directory"),
    ("CAP_FOWNER", "do what only the owner of a file may"),
    ("CAP_FSETID", "keep set-uid and set-gid bits of files that it changes"),
    ("CAP_KILL", "signal processes of other users"),
    ("CAP_SETGID", "change group ids and groups, write gid_map"),
    ("CAP_SETUID", "become any user, write uid_map"),
    ("CAP_SETPCAP", "drop from the bounding set, change securebits"),
    ("CAP_LINUX_IMMUTABLE", "set files immutable or append-only"),
    ("CAP_NET_BIND_SERVICE", "listen on ports below 1024"),
    ("CAP_NET_BROADCAST", "unused"),
    ("CAP_NET_ADMIN", "configure devices, addresses, routes and firewall"),
    ("CAP_NET_RAW", "raw and packet sockets: ping, tcpdump, spoofing"),
    ("CAP_IPC_LOCK", "lock memory"),
    ("CAP_IPC_OWNER", "pass over the permissions of System V IPC objects"),
    ("CAP_SYS_MODULE", "load kernel modules"),
    ("CAP_SYS_RAWIO", "reach ports and memory of the hardware"),
    ("CAP_SYS_CHROOT", "chroot, enter mount namespaces"),
    ("CAP_SYS_PTRACE", "trace and read any process"),
    ("CAP_SYS_PACCT", "switch process accounting"),
    ("CAP_SYS_ADMIN", "mount, make and enter namespaces, name the host, and much more"),
    ("CAP_SYS_BOOT", "reboot, load another kernel"),
    ("CAP_SYS_NICE", "raise priorities, pin to CPUs"),
    ("CAP_SYS_RESOURCE", "exceed limits and quotas"),
    ("CAP_SYS_TIME", "set the clock; in a time namespace its offsets"),
    ("CAP_SYS_TTY_CONFIG", "hang up terminals"),
    ("CAP_MKNOD", "make device nodes"),
    ("CAP_LEASE", "lease any file"),
    ("CAP_AUDIT_WRITE", "write to the audit log"),
    ("CAP_AUDIT_CONTROL", "configure auditing"),
    ("CAP_SETFCAP", "give capabilities to files, map the id 0 of the namespace above"),
    ("CAP_MAC_OVERRIDE", "pass over Smack's policy"),
    ("CAP_MAC_ADMIN", "change Smack's policy"),
    ("CAP_SYSLOG", "read the kernel log and kernel addresses"),
    ("CAP_WAKE_ALARM", "timers that wake the machine"),
    ("CAP_BLOCK_SUSPEND", "keep the machine from suspending"),
    ("CAP_AUDIT_READ", "read the audit log"),
    ("CAP_PERFMON", "performance events of the whole machine"),
    ("CAP_BPF", "privileged BPF programs"),
    ("CAP_CHECKPOINT_RESTORE", "checkpoint and restore: choose pids, read maps"),
];

/// With no more than these missing, "all but" is the shorter way to say it.
const FEW: usize = 20;

/// A set in words: `none`, `all 41`, `all but CAP_SYS_RESOURCE`, or the names. A bit without a name is `CAP_41`.
pub fn words(set: u64) -> String {
    let has = |number: usize| set >> number & 1 == 1;
    let missing: Vec<&str> =
        KNOWN.iter().enumerate().filter(|(number, _)| !has(*number)).map(|(_, known)| known.0).collect();
    let unknown = (KNOWN.len()..64).filter(|number| has(*number)).map(|number| format!("CAP_{number}"));
    let mut words: Vec<String> = match missing.len() {
        0 => vec![format!("all {}", KNOWN.len())],
        few if few <= FEW => vec![format!("all but {}", missing.join(" "))],
        _ => KNOWN.iter().enumerate().filter(|(number, _)| has(*number)).map(|(_, known)| known.0.to_owned()).collect(),
    };
    let named_only = words.len();
    words.extend(unknown);
    match words.len() {
        0 => "none".to_owned(),
        more if more > named_only && missing.len() <= FEW => words.join(" and "),
        _ => words.join(" "),
    }
}

/// What each capability that [`words`] names for this set lets a process do; empty where it names none.
pub fn meanings(set: u64) -> String {
    let names = words(set);
    let named = |name: &str| names.split(' ').any(|word| word == name);
    let list: Vec<String> = KNOWN
        .iter()
        .filter(|(name, _)| named(name))
        .map(|(name, meaning)| format!("{}: {meaning}", name.trim_start_matches("CAP_")))
        .collect();
    list.join("; ")
}

/// The number of a capability, by its name with or without `CAP_`, in any case, as capsh(1) takes them.
pub fn number(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    let at = KNOWN.iter().position(|(known, _)| known.strip_prefix("CAP_") == Some(name))?;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KNOWN, meanings, number, words};

    const ALL: u64 = (1 << 41) - 1;

    #[test]
    fn sets_in_words() {
        assert_eq!(words(0), "none");
        assert_eq!(words(ALL), "all 41");
        assert_eq!(words(0x1ff_feff_ffff), "all but CAP_SYS_RESOURCE");
        assert_eq!(words(1 | 1 << 21), "CAP_CHOWN CAP_SYS_ADMIN");
        assert_eq!(words(1 << 41), "CAP_41");
        assert_eq!(words(u64::MAX >> 22), "all 41 and CAP_41");
    }

    #[test]
    fn numbers_are_those_of_the_header() {
        for (at, name) in [
            (0, "CAP_CHOWN"),
            (12, "CAP_NET_ADMIN"),
            (21, "CAP_SYS_ADMIN"),
            (27, "CAP_MKNOD"),
            (40, "CAP_CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(KNOWN[at].0, name);
        }
        assert_eq!((number("cap_sys_admin"), number("SETUID"), number("CAP_41")), (Some(21), Some(7), None));
    }

    #[test]
    fn what_is_named_is_explained() {
        assert_eq!(meanings(ALL), "");
        assert_eq!(meanings(0), "");
        assert_eq!(meanings(1), "CHOWN: give files to other users");
        assert_eq!(meanings(ALL & !1), "CHOWN: give files to other users");
        assert!(KNOWN.iter().all(|(name, meaning)| name.starts_with("CAP_") && !meaning.is_empty()));
    }

    proptest! {
        #[test]
        fn different_sets_have_different_words(one in any::<u64>(), bit in 0u32..64) {
            prop_assert_ne!(words(one), words(one ^ (1 << bit)));
        }
    }
}
