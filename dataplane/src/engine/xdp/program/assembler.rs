//! Assembles the filter for the test that compares its text with its instructions.
//!
//! It knows only what the filter uses: 64-bit arithmetic, loads, stores, jumps, calls (RFC 9669 has the encodings, as
//! they lie on hosts of little-endian byte order). A `;` begins a comment, `name:` a place to jump to.

use std::collections::HashMap;

/// Opcode of each mnemonic with an immediate or without an operand; with a register as source, arithmetic and jumps set
/// [`FROM_REGISTER`].
const OPCODES: [(&str, u8); 25] = [
    ("add", 0x07),
    ("and", 0x57),
    ("mov", 0xb7),
    ("be16", 0xdc),
    ("ldmap", 0x18),
    ("ldxw", 0x61),
    ("ldxh", 0x69),
    ("ldxb", 0x71),
    ("ldxdw", 0x79),
    ("stw", 0x62),
    ("sth", 0x6a),
    ("stdw", 0x7a),
    ("stxw", 0x63),
    ("stxh", 0x6b),
    ("stxb", 0x73),
    ("stxdw", 0x7b),
    ("ja", 0x05),
    ("jeq", 0x15),
    ("jgt", 0x25),
    ("jge", 0x35),
    ("jne", 0x55),
    ("call", 0x85),
    ("exit", 0x95),
    ("jlt", 0xa5),
    ("jle", 0xb5),
];
/// Bit of an opcode: the second operand is a register.
const FROM_REGISTER: u8 = 0x08;
/// In the source register of `ldmap`: the immediate is a map.
const PSEUDO_MAP: u8 = 1;

/// The fields of an instruction before they are packed.
#[derive(Clone, Copy, Default)]
struct Fields {
    /// What to do.
    opcode: u8,
    /// Destination register.
    to: u8,
    /// Source register.
    from: u8,
    /// Distance of a jump or in memory.
    off: i16,
    /// Immediate.
    imm: i32,
}

impl Fields {
    /// The instruction as a number whose bytes lie in memory in little-endian order.
    fn pack(&self) -> u64 {
        u64::from(self.opcode)
            | u64::from(self.from << 4 | self.to) << 8
            | u64::from(self.off.cast_unsigned()) << 16
            | u64::from(self.imm.cast_unsigned()) << 32
    }
}

/// Assembles a whole text.
pub(super) fn assemble(text: &str) -> Vec<u64> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut places = HashMap::new();
    let mut count = 0;
    for line in text.lines() {
        let mut code = line.split(';').next().unwrap().trim();
        if let Some((place, rest)) = code.split_once(':') {
            places.insert(place.to_owned(), count);
            code = rest.trim();
        }
        let words: Vec<String> = code.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        if let Some(mnemonic) = words.first() {
            count += if mnemonic == "ldmap" { 2 } else { 1 };
            lines.push(words);
        }
    }
    let mut out: Vec<u64> = Vec::new();
    for words in &lines {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let jump = |place: &str| i16::try_from(places[place]).unwrap() - i16::try_from(out.len()).unwrap() - 1;
        let fields = encode(&words, jump);
        out.push(fields.pack());
        if words[0] == "ldmap" {
            // The upper half of a 64-bit immediate.
            out.push(0);
        }
    }
    out
}

/// One instruction; `jump` knows how far places are.
fn encode(words: &[&str], jump: impl Fn(&str) -> i16) -> Fields {
    let opcode = OPCODES.iter().find(|(name, _)| *name == words[0]).unwrap_or_else(|| panic!("{words:?}")).1;
    let fields = Fields { opcode, ..Fields::default() };
    match *words {
        ["exit"] => fields,
        ["call", function] => Fields { imm: immediate(function), ..fields },
        ["ja", place] => Fields { off: jump(place), ..fields },
        ["be16", to] => Fields { to: register(to).unwrap(), imm: 16, ..fields },
        ["ldmap", to, map] => Fields { to: register(to).unwrap(), from: PSEUDO_MAP, imm: immediate(map), ..fields },
        [_, left, place] if place.starts_with('[') => {
            let (from, off) = memory(place);
            Fields { to: register(left).unwrap(), from, off, ..fields }
        }
        [_, place, right] if place.starts_with('[') => {
            let (to, off) = memory(place);
            second(Fields { to, off, ..fields }, right, 0)
        }
        [_, to, right] => second(Fields { to: register(to).unwrap(), ..fields }, right, FROM_REGISTER),
        [_, to, right, place] => {
            second(Fields { to: register(to).unwrap(), off: jump(place), ..fields }, right, FROM_REGISTER)
        }
        _ => panic!("{words:?}"),
    }
}

/// Adds the second operand: a register, which sets `bit` in the opcode, or an immediate.
fn second(fields: Fields, operand: &str, bit: u8) -> Fields {
    match register(operand) {
        Some(from) => Fields { from, opcode: fields.opcode | bit, ..fields },
        None => Fields { imm: immediate(operand), ..fields },
    }
}

/// The number of `r7`.
fn register(word: &str) -> Option<u8> {
    word.strip_prefix('r')?.parse().ok()
}

/// Register and distance of `[r10-24]`.
fn memory(word: &str) -> (u8, i16) {
    let inner = word.trim_matches(['[', ']']);
    let sign = inner.find(['+', '-']).unwrap();
    (register(&inner[..sign]).unwrap(), inner[sign..].parse().unwrap())
}

/// A number, decimal or hexadecimal.
fn immediate(word: &str) -> i32 {
    word.strip_prefix("0x").map_or_else(|| word.parse().unwrap(), |digits| i32::from_str_radix(digits, 16).unwrap())
}
