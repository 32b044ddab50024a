//! Instructions of BPF one behind the other, with names for the places that are jumped to (RFC 9669).
//!
//! It knows only what the program of this generator uses, and packs for hosts of little-endian byte order.

use std::collections::HashMap;
use std::io;

/// What an arithmetic instruction does, as bits of its opcode.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// Adds.
    Add = 0x00,
    /// Subtracts.
    Sub = 0x10,
    /// Bits of either.
    Or = 0x40,
    /// Bits of both.
    And = 0x50,
    /// Shifts up.
    Up = 0x60,
    /// Shifts down, zeros coming in.
    Down = 0x70,
    /// The rest of an unsigned division.
    Rest = 0x90,
    /// Bits of one.
    Xor = 0xa0,
    /// Copies.
    Copy = 0xb0,
}

/// When a jump is made, as bits of its opcode.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Both are equal.
    Equal = 0x10,
    /// The left one is greater.
    Greater = 0x20,
    /// They are not equal.
    Differ = 0x50,
    /// The left one is no less, both with signs.
    NotLess = 0x70,
}

/// How much is loaded or stored, as bits of the opcode.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    /// Four octets.
    Word = 0x00,
    /// Two.
    Half = 0x08,
    /// One.
    Byte = 0x10,
    /// Eight.
    Double = 0x18,
}

/// The second operand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// A number, extended with its sign.
    Number(i32),
    /// A register.
    Register(u8),
}

use Value::{Number, Register};

/// Class of 64-bit arithmetic.
const ARITHMETIC: u8 = 0x07;
/// Class of jumps.
const JUMP: u8 = 0x05;
/// Bit of an opcode: the second operand is a register.
const FROM_REGISTER: u8 = 0x08;
/// A load of 64 bits that stand in two instructions.
const WIDE: u8 = 0x18;
/// In the source register of [`WIDE`]: the number is a map.
const PSEUDO_MAP: u8 = 1;

/// A program that grows.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The instructions; jumps lack their distance.
    out: Vec<u64>,
    /// Where places are.
    places: HashMap<&'static str, usize>,
    /// Which instructions jump where.
    jumps: Vec<(usize, &'static str)>,
}

impl Assembly {
    /// Adds an instruction.
    fn push(&mut self, opcode: u8, to: u8, from: u8, off: i16, imm: i32) -> &mut Assembly {
        self.out.push(
            u64::from(opcode)
                | u64::from(from << 4 | to) << 8
                | u64::from(off.cast_unsigned()) << 16
                | u64::from(imm.cast_unsigned()) << 32,
        );
        self
    }

    /// `to` becomes what `op` makes of it and `value`.
    pub(super) fn op(&mut self, op: Op, to: u8, value: Value) -> &mut Assembly {
        match value {
            Number(number) => self.push(op as u8 | ARITHMETIC, to, 0, 0, number),
            Register(from) => self.push(op as u8 | ARITHMETIC | FROM_REGISTER, to, from, 0, 0),
        }
    }

    /// `to` becomes a number of 64 bits.
    pub(super) fn wide(&mut self, to: u8, number: u64) -> &mut Assembly {
        let [low, high] = [number, number >> 32].map(|half| u32::try_from(half & 0xffff_ffff).unwrap_or(0));
        self.push(WIDE, to, 0, 0, low.cast_signed()).push(0, 0, 0, 0, high.cast_signed())
    }

    /// `to` becomes a map.
    pub(super) fn map(&mut self, to: u8, map: u32) -> &mut Assembly {
        self.push(WIDE, to, PSEUDO_MAP, 0, map.cast_signed()).push(0, 0, 0, 0, 0)
    }

    /// The lowest `bits` bits of `to` change into network byte order, the others become zero.
    pub(super) fn big_endian(&mut self, to: u8, bits: i32) -> &mut Assembly {
        self.push(0xdc, to, 0, 0, bits)
    }

    /// `to` becomes what lies `off` octets behind `from`.
    pub(super) fn load(&mut self, width: Width, to: u8, from: u8, off: i16) -> &mut Assembly {
        self.push(0x61 | width as u8, to, from, off, 0)
    }

    /// `from` goes where `off` octets behind `to` are.
    pub(super) fn store(&mut self, width: Width, to: u8, off: i16, from: u8) -> &mut Assembly {
        self.push(0x63 | width as u8, to, from, off, 0)
    }

    /// Adds `from` to the eight octets `off` behind `to`, whoever else adds at the same time.
    pub(super) fn add_shared(&mut self, to: u8, off: i16, from: u8) -> &mut Assembly {
        self.push(0xdb, to, from, off, 0)
    }

    /// Goes on at `place` if `when`.
    pub(super) fn jump(&mut self, when: When, left: u8, right: Value, place: &'static str) -> &mut Assembly {
        self.jumps.push((self.out.len(), place));
        match right {
            Number(number) => self.push(when as u8 | JUMP, left, 0, 0, number),
            Register(from) => self.push(when as u8 | JUMP | FROM_REGISTER, left, from, 0, 0),
        }
    }

    /// Calls a helper of the kernel.
    pub(super) fn call(&mut self, helper: i32) -> &mut Assembly {
        self.push(0x85, 0, 0, 0, helper)
    }

    /// Returns register 0.
    pub(super) fn exit(&mut self) -> &mut Assembly {
        self.push(0x95, 0, 0, 0, 0)
    }

    /// Names the place of the next instruction.
    pub(super) fn place(&mut self, name: &'static str) -> &mut Assembly {
        self.places.insert(name, self.out.len());
        self
    }

    /// The finished instructions.
    ///
    /// # Errors
    /// If a place that is jumped to is missing or too far away, which is a fault of the program.
    pub(super) fn finish(mut self) -> io::Result<Vec<u64>> {
        for (idx, place) in &self.jumps {
            let target =
                self.places.get(place).ok_or_else(|| io::Error::other(format!("there is no place {place}")))?;
            let distance = target.checked_sub(idx + 1).and_then(|distance| u16::try_from(distance).ok());
            let distance = distance.ok_or_else(|| io::Error::other(format!("{place} cannot be jumped to")))?;
            self.out[*idx] |= u64::from(distance) << 16;
        }
        Ok(self.out)
    }
}
