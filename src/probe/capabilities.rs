//! Capability sets in words (capabilities(7), `<linux/capability.h>`).

/// The names of all 41 capabilities, by number.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// So few may be missing that "all but" is the shorter way to say it.
const FEW: usize = 6;

/// A set in words: `none`, `all 41`, `all but CAP_SYS_RESOURCE`, or the names. A bit without a name is `CAP_41`.
pub fn words(set: u64) -> String {
    let has = |number: usize| set >> number & 1 == 1;
    let missing: Vec<&str> =
        NAMES.iter().enumerate().filter(|(number, _)| !has(*number)).map(|(_, name)| *name).collect();
    let unknown = (NAMES.len()..64).filter(|number| has(*number)).map(|number| format!("CAP_{number}"));
    let mut words: Vec<String> = match missing.len() {
        0 => vec![format!("all {}", NAMES.len())],
        few if few <= FEW => vec![format!("all but {}", missing.join(" "))],
        _ => NAMES.iter().enumerate().filter(|(number, _)| has(*number)).map(|(_, name)| (*name).to_owned()).collect(),
    };
    let named_only = words.len();
    words.extend(unknown);
    match words.len() {
        0 => "none".to_owned(),
        more if more > named_only && missing.len() <= FEW => words.join(" and "),
        _ => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NAMES, words};

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
        for (number, name) in [
            (0, "CAP_CHOWN"),
            (12, "CAP_NET_ADMIN"),
            (21, "CAP_SYS_ADMIN"),
            (27, "CAP_MKNOD"),
            (40, "CAP_CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(NAMES[number], name);
        }
    }

    proptest! {
        #[test]
        fn different_sets_have_different_words(one in any::<u64>(), bit in 0u32..64) {
            prop_assert_ne!(words(one), words(one ^ (1 << bit)));
        }
    }
}
