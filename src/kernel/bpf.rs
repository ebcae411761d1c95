//! Small BPF programs for cgroups, put together by hand: the instruction set of RFC 9669, and its instructions in words.
//! [`super::sys::bpf`] loads and attaches them.

/// What a program is for: its type and its place in `enum bpf_prog_type` and `enum bpf_attach_type` of <linux/bpf.h>.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The number of its type.
    pub program: u32,
    /// The name of that.
    pub program_name: &'static str,
    /// The number of the place where it is attached.
    pub attach: u32,
    /// The name of that.
    pub attach_name: &'static str,
}

/// The operations that the programs are made of.
#[allow(missing_docs)]
pub mod code {
    pub const MOVE: u8 = 0xbf;
    pub const MOVE_VALUE: u8 = 0xb7;
    pub const ADD_VALUE: u8 = 0x07;
    pub const AND_VALUE: u8 = 0x57;
    pub const SHIFT_RIGHT_VALUE: u8 = 0x77;
    pub const LOAD_WORD: u8 = 0x61;
    pub const LOAD_BYTE: u8 = 0x71;
    pub const STORE_DOUBLE: u8 = 0x7a;
    pub const JUMP_UNLESS: u8 = 0x55;
    pub const CALL: u8 = 0x85;
    pub const EXIT: u8 = 0x95;
}

/// `r0 = 1; exit`: what was asked for may be done.
pub const ALLOW: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

/// `r0 = 0; exit`: it fails with EPERM.
pub const DENY: [u64; 2] = [0x0000_0000_0000_00b7, 0x95];

/// One instruction: operation, destination and source register, offset, immediate value.
pub fn instruction(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> u64 {
    u64::from(code)
        | u64::from(destination) << 8
        | u64::from(source) << 12
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(value.cast_unsigned()) << 32
}

/// An instruction in words, as bpftool(8) writes it; one that hardway's own programs do not have in hexadecimal.
pub fn words(instruction: u64) -> String {
    let [code, registers, low, high, a, b, c, d] = instruction.to_le_bytes();
    let (destination, source) = (registers & 0xf, registers >> 4);
    let (offset, value) = (i16::from_le_bytes([low, high]), i32::from_le_bytes([a, b, c, d]));
    match code {
        code::MOVE => format!("r{destination} = r{source}"),
        code::MOVE_VALUE => format!("r{destination} = {value}"),
        code::ADD_VALUE => format!("r{destination} += {value}"),
        code::AND_VALUE => format!("r{destination} &= {:#x}", value.cast_unsigned()),
        code::SHIFT_RIGHT_VALUE => format!("r{destination} >>= {value}"),
        code::LOAD_WORD => format!("r{destination} = *(u32 *)(r{source} {offset:+})"),
        code::LOAD_BYTE => format!("r{destination} = *(u8 *)(r{source} {offset:+})"),
        code::STORE_DOUBLE => format!("*(u64 *)(r{destination} {offset:+}) = {value}"),
        code::JUMP_UNLESS => format!("if r{destination} != {value:#x} goto pc{offset:+}"),
        code::CALL => format!("call helper {value}"),
        code::EXIT => "exit".to_owned(),
        _ => format!("{instruction:#018x}"),
    }
}

/// That every jump of a program lands inside of it.
#[cfg(test)]
pub(super) fn assert_jumps_land_inside(program: &[u64]) {
    let jump = u64::from(code::JUMP_UNLESS);
    for (at, one) in program.iter().enumerate().filter(|(_, one)| **one & 0xff == jump) {
        let over = usize::from(u16::try_from(one >> 16 & 0xffff).expect("masked"));
        assert!(at + 1 + over < program.len(), "instruction {at} jumps over {over}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        assert_eq!([instruction(code::MOVE_VALUE, 0, 0, 0, 1), instruction(code::EXIT, 0, 0, 0, 0)], ALLOW);
        // r7 = *(u8 *)(r10 - 64)
        assert_eq!(instruction(code::LOAD_BYTE, 7, 10, -64, 0), 0x0000_0000_ffc0_a771);
    }

    #[test]
    fn instructions_are_told_in_words() {
        assert_eq!(DENY.map(words), ["r0 = 0", "exit"]);
        assert_eq!(words(instruction(code::LOAD_BYTE, 7, 10, -64, 0)), "r7 = *(u8 *)(r10 -64)");
        assert_eq!(words(instruction(code::JUMP_UNLESS, 3, 0, 3, 136)), "if r3 != 0x88 goto pc+3");
        assert_eq!(words(instruction(code::AND_VALUE, 2, 0, 0, -8)), "r2 &= 0xfffffff8");
        assert_eq!(words(0x18), "0x0000000000000018");
    }
}
