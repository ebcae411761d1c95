//! Which devices the processes of a cgroup may use: lines as in `devices.allow` of version 1, and the BPF program that says the
//! same in version 2 (BPF_PROG_TYPE_CGROUP_DEVICE), which has no such file.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bpf::{ALLOW, DENY, Kind, code, instruction};
use super::sys::bpf::{Info, prog_attach, prog_by_id, prog_info, prog_load, prog_query};
use super::sys::{OFlag, open};
use super::trace::{CallError, Trace};

/// The kind of the program.
pub const KIND: Kind =
    Kind { program: 15, program_name: "BPF_PROG_TYPE_CGROUP_DEVICE", attach: 6, attach_name: "BPF_CGROUP_DEVICE" };

/// The name of the programs that [`put`] makes, at most 15 bytes.
pub const NAME: &str = "device_rules";

/// The most rules of a program.
pub const MOST_RULES: usize = 64;

// Of <linux/bpf.h>: the low half of `access_type` is the type of the device, the high half what is asked for.
const BPF_DEVCG_DEV_BLOCK: i32 = 1;
const BPF_DEVCG_DEV_CHAR: i32 = 2;
const BPF_DEVCG_ACC_MKNOD: u8 = 1;
const BPF_DEVCG_ACC_READ: u8 = 2;
const BPF_DEVCG_ACC_WRITE: u8 = 4;

/// The letters of what may be done, in the order in which they are written.
const LETTERS: [(char, u8); 3] = [('r', BPF_DEVCG_ACC_READ), ('w', BPF_DEVCG_ACC_WRITE), ('m', BPF_DEVCG_ACC_MKNOD)];

/// All of it.
const ALL: u8 = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;

/// Devices that may be used, and how: `c 1:3 rwm`, `b 8:* r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// Block devices, and not character devices.
    is_block: bool,
    /// The major number; none for all.
    major: Option<i32>,
    /// The minor number; none for all.
    minor: Option<i32>,
    /// What may be done, as bits of `BPF_DEVCG_ACC_…`.
    access: u8,
}

impl Rule {
    /// A character device for reading, writing and mknod; without a minor number all of that major one.
    pub const fn character(major: i32, minor: Option<i32>) -> Self {
        Self { is_block: false, major: Some(major), minor, access: ALL }
    }

    /// Its part of a program: allows, or goes on behind that part.
    fn instructions(self) -> Vec<u64> {
        use code::{AND_VALUE, JUMP_UNLESS, MOVE};
        let kind = if self.is_block { BPF_DEVCG_DEV_BLOCK } else { BPF_DEVCG_DEV_CHAR };
        let numbers = [Some((2, kind)), self.major.map(|major| (4, major)), self.minor.map(|minor| (5, minor))];
        let mut unless: Vec<(u8, i32)> = numbers.into_iter().flatten().collect();
        // What is asked for besides is more than may be done.
        let besides = (self.access != ALL)
            .then_some([instruction(MOVE, 1, 3, 0, 0), instruction(AND_VALUE, 1, 0, 0, i32::from(ALL & !self.access))]);
        unless.extend(besides.map(|_| (1, 0)));
        let mut part: Vec<u64> = besides.into_iter().flatten().collect();
        for (at, (register, value)) in unless.iter().enumerate() {
            // Over the comparisons that are left, and over ALLOW.
            let over = unless.len() - at - 1 + ALLOW.len();
            part.push(instruction(JUMP_UNLESS, *register, 0, i16::try_from(over).unwrap_or(0), *value));
        }
        part.extend(ALLOW);
        part
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| {
            let text: String = text.chars().take(60).collect();
            format!(
                "`{}` is no rule for devices: write type, major:minor and access, as `c 1:3 rwm` or `b *:* r`",
                text.escape_debug()
            )
        })
    }
}

fn parse(text: &str) -> Option<Rule> {
    let words: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, letters] = words.as_slice() else { return None };
    let (major, minor) = numbers.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    let bit = |letter: char| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, bit)| *bit);
    let access = letters.chars().try_fold(0, |all, letter| bit(letter).map(|bit| all | bit)).filter(|all| *all != 0)?;
    let is_block = match *kind {
        "b" => true,
        "c" => false,
        _ => return None,
    };
    Some(Rule { is_block, major: number(major)?, minor: number(minor)?, access })
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_block { 'b' } else { 'c' };
        let number = |number: Option<i32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let letters: String =
            LETTERS.iter().filter(|(_, bit)| self.access & bit != 0).map(|(letter, _)| *letter).collect();
        write!(f, "{kind} {}:{} {letters}", number(self.major), number(self.minor))
    }
}

impl TryFrom<String> for Rule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

/// The program of these rules. It is asked whenever a device is opened or made: 1 allows, 0 makes that fail with EPERM. What no rule
/// allows is refused.
pub fn program(rules: &[Rule]) -> Vec<u64> {
    use code::{AND_VALUE, LOAD_WORD, MOVE, SHIFT_RIGHT_VALUE};
    // struct bpf_cgroup_dev_ctx: access_type, major, minor.
    let mut program = vec![
        // r2 = the type of the device, r3 = what is asked for
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND_VALUE, 2, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_VALUE, 3, 0, 0, 16),
        // r4 = major, r5 = minor
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    program.extend(rules.iter().flat_map(|rule| rule.instructions()));
    program.extend(DENY);
    program
}

impl Info {
    /// Whether it is the program of these rules.
    pub fn allows_just(&self, rules: &[Rule]) -> bool {
        self.instructions == program(rules)
    }
}

/// A program that was put on a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The program, as the kernel tells of it.
    pub program: Info,
    /// How many programs the kernel asks for the group's processes, those of the groups above included.
    pub asked: usize,
}

/// Puts the program of these rules on a group, in place of what was put there by this before.
///
/// # Errors
/// `ENOENT` and others of the directory, else as [`prog_load`] and [`prog_attach`].
pub fn put(trace: &mut Trace, directory: &str, rules: &[Rule]) -> Result<Put, CallError> {
    let group = open(trace, Path::new(directory), OFlag::O_RDONLY | OFlag::O_DIRECTORY, None)?;
    let fresh = prog_load(trace, KIND, NAME, &program(rules))?;
    let mut old = None;
    for id in prog_query(trace, &group, KIND, false)? {
        let program = prog_by_id(trace, id)?;
        if prog_info(trace, &program)?.name == NAME {
            old = Some(program);
        }
    }
    prog_attach(trace, &group, &fresh, KIND, old.as_ref())?;
    let asked = prog_query(trace, &group, KIND, true)?.len();
    Ok(Put { program: prog_info(trace, &fresh)?, asked })
}

/// Whether this process may put programs on a group: the kernel has such programs, and answers it when it asks for them.
pub fn are_offered(directory: &Path) -> bool {
    let may_ask = |group| prog_query(&mut Trace::new("trial"), &group, KIND, false).is_ok();
    File::open(directory).is_ok_and(may_ask)
}

/// The programs on a group, in the order in which the kernel asks them.
///
/// # Errors
/// As [`prog_query`] and [`prog_by_id`].
pub fn programs(trace: &mut Trace, group: &impl AsFd) -> Result<Vec<Info>, CallError> {
    let ids = prog_query(trace, group, KIND, false)?;
    ids.into_iter().map(|id| prog_by_id(trace, id).and_then(|program| prog_info(trace, &program))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::kernel::bpf::{assert_jumps_land_inside, words};

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    /// What a program answers: a machine for the few operations that it is made of.
    fn answer(program: &[u64], access_type: u32, major: u32, minor: u32) -> u64 {
        let (mut registers, mut at) = ([0_u64; 11], 0);
        loop {
            let [code, pair, low, high, a, b, c, d] = program[at].to_le_bytes();
            let (to, from) = (usize::from(pair & 0xf), usize::from(pair >> 4));
            let offset = usize::from(u16::from_le_bytes([low, high]));
            let value = u64::from(u32::from_le_bytes([a, b, c, d]));
            at += 1;
            match code {
                code::MOVE => registers[to] = registers[from],
                code::MOVE_VALUE => registers[to] = value,
                code::AND_VALUE => registers[to] &= value,
                code::SHIFT_RIGHT_VALUE => registers[to] >>= value,
                code::LOAD_WORD => registers[to] = u64::from([access_type, major, minor][offset / 4]),
                code::JUMP_UNLESS if registers[to] != value => at += offset,
                code::JUMP_UNLESS => {}
                code::EXIT => return registers[0],
                _ => panic!("no operation of ours: {code:#x}"),
            }
        }
    }

    #[test]
    fn a_rule_is_its_text() {
        for text in ["c 1:3 rwm", "b *:* r", "c 136:* rw", "b 8:0 m"] {
            assert_eq!(rule(text).to_string(), text);
        }
        assert_eq!(rule("c 1:3 mrwr").to_string(), "c 1:3 rwm");
        assert_eq!(rule("c 1:3 rwm"), Rule::character(1, Some(3)));
        for odd in [
            "",
            "a",
            "a *:* rwm",
            "c 1:3",
            "c 1:3 ",
            "c 1:3 x",
            "c 1 rwm",
            "c -1:3 r",
            "c 1:3 r w",
            "c :3 r",
            "c 9999999999:1 r",
        ] {
            assert!(odd.parse::<Rule>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_program_can_be_read() {
        let told: Vec<String> = program(&[rule("c 1:3 rw")]).into_iter().map(words).collect();
        let expected = [
            "r2 = *(u32 *)(r1 +0)",
            "r3 = r2",
            "r2 &= 0xffff",
            "r3 >>= 16",
            "r4 = *(u32 *)(r1 +4)",
            "r5 = *(u32 *)(r1 +8)",
            "r1 = r3",
            "r1 &= 0x1",
            "if r2 != 0x2 goto pc+5",
            "if r4 != 0x1 goto pc+4",
            "if r5 != 0x3 goto pc+3",
            "if r1 != 0x0 goto pc+2",
            "r0 = 1",
            "exit",
            "r0 = 0",
            "exit",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_kernel_verifies_it_and_tells_it_back() {
        let rules = [rule("c 1:3 rwm"), rule("b *:* r"), rule("c 136:* rw")];
        let mut trace = Trace::new("test");
        let loaded = match prog_load(&mut trace, KIND, NAME, &program(&rules)) {
            // An ordinary user.
            Err(error) if error.errno.name() == "EPERM" => return,
            loaded => loaded.unwrap(),
        };
        let info = prog_info(&mut trace, &loaded).unwrap();
        assert_eq!((info.name.as_str(), info.tag.len()), (NAME, 16));
        assert!(info.allows_just(&rules) && !info.allows_just(&rules[..2]));
        let again = prog_by_id(&mut trace, info.id).unwrap();
        assert_eq!(prog_info(&mut trace, &again).unwrap(), info);
        drop((loaded, again));
        let gone = || prog_by_id(&mut trace, info.id).is_err_and(|error| error.errno.name() == "ENOENT");
        assert!(std::iter::repeat_with(gone).take(1000).any(|gone| gone), "it ends with its last descriptor");
    }

    #[test]
    fn no_rules_refuse_everything() {
        assert_eq!(answer(&program(&[]), 0x0002_0002, 1, 3), 0);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), close in "[abc*0-9: rwm]{0,12}") {
            for text in [text, close] {
                if let Ok(rule) = text.parse::<Rule>() {
                    prop_assert_eq!(rule.to_string().parse(), Ok(rule));
                }
            }
        }

        #[test]
        fn a_program_allows_what_a_rule_allows(
            rules in proptest::collection::vec((any::<bool>(), proptest::option::of(0..3), proptest::option::of(0..3), 1..8u8), 0..5),
            (is_block, major, minor, asked) in (any::<bool>(), 0..3, 0..3, 1..8u8),
        ) {
            let rules: Vec<Rule> = rules
                .into_iter()
                .map(|(is_block, major, minor, access)| Rule { is_block, major, minor, access })
                .collect();
            let allows = |rule: &Rule| {
                rule.is_block == is_block
                    && rule.major.is_none_or(|it| it == major)
                    && rule.minor.is_none_or(|it| it == minor)
                    && asked & !rule.access == 0
            };
            let program = program(&rules);
            assert_jumps_land_inside(&program);
            let kind = if is_block { 1 } else { 2 };
            let number = |number: i32| u32::try_from(number).unwrap();
            let seen = answer(&program, u32::from(asked) << 16 | kind, number(major), number(minor));
            prop_assert_eq!(seen, u64::from(rules.iter().any(allows)));
        }
    }
}
