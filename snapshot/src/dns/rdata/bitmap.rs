//! Type bitmaps of NSEC, NSEC3 and CSYNC (RFC 4034 section 4.1.2, RFC 5155 section 3.2.1), and that of NXT, which has no
//! windows and only the first 128 types (RFC 2535 section 5.2).
//!
//! Invariant of a valid bitmap: windows ascend, each has 1..=32 octets of which the last is not zero. So one set of types
//! has one bitmap.

use std::fmt;

use crate::dns::rtype::Rtype;

use super::parse::Args;
use super::shape::Shape;
use super::{ParseError, RdataError};

/// The most octets in a window: 256 types.
const WINDOW_LEN_MAX: usize = 32;

/// The most octets in the bitmap of NXT.
const NXT_LEN_MAX: usize = 16;

/// The bitmap of NXT.
pub(super) static NXT: Shape = Shape { parse: parse_nxt, len: nxt_len, write: write_nxt };

/// Reads the types to the end and appends their bitmap. There may be none: RFC 4034 section 4.1.2 has NSEC list itself, but
/// zones without are found, and other servers take them.
pub(super) fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let mut types = Vec::with_capacity(args.tokens.count() - args.idx);
    while args.idx < args.tokens.count() {
        types.push(args.word("an RR type", Rtype::parse)?);
    }
    push(&mut types, out);
    Ok(())
}

/// Appends the bitmap of `types`, which get sorted and may hold a type twice.
pub fn push(types: &mut [Rtype], out: &mut Vec<u8>) {
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a.0 >> 8 == b.0 >> 8) {
        let mut bits = [0u8; WINDOW_LEN_MAX];
        let mut len = 0u8;
        for rtype in window {
            let [_, low] = rtype.0.to_be_bytes();
            bits[usize::from(low >> 3)] |= 0x80 >> (low & 7);
            len = len.max((low >> 3) + 1);
        }
        let [number, _] = window.first().map_or([0, 0], |rtype| rtype.0.to_be_bytes());
        out.extend_from_slice(&[number, len]);
        out.extend_from_slice(&bits[..usize::from(len)]);
    }
}

/// Validates a bitmap; an empty one passes.
pub(super) fn check(mut rest: &[u8]) -> Result<(), &'static str> {
    let mut previous = None;
    while !rest.is_empty() {
        let [number, len, tail @ ..] = rest else { return Err("a type bitmap window and its length") };
        if previous >= Some(*number) {
            return Err("type bitmap windows in ascending order");
        }
        previous = Some(*number);
        if !(1..=WINDOW_LEN_MAX).contains(&usize::from(*len)) {
            return Err("a type bitmap window of 1 to 32 octets");
        }
        let (bits, after) = tail.split_at_checked(usize::from(*len)).ok_or("a whole type bitmap window")?;
        if bits.last() == Some(&0) {
            return Err("a type bitmap window without trailing zero octets");
        }
        rest = after;
    }
    Ok(())
}

/// Writes the types of a valid bitmap, each after a space.
pub(super) fn write(mut rest: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    while let [number, len, tail @ ..] = rest {
        let (bits, after) = tail.split_at_checked(usize::from(*len)).ok_or(fmt::Error)?;
        for (idx, octet) in (0u8..).zip(bits) {
            for bit in (0..8u8).filter(|bit| octet & 0x80 >> bit != 0) {
                write!(out, " {}", Rtype(u16::from_be_bytes([*number, idx << 3 | bit])))?;
            }
        }
        rest = after;
    }
    Ok(())
}

/// Reads the types of NXT to the end: what a bitmap with windows has in its first half, if they are all there is.
fn parse_nxt(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let mut windows = Vec::new();
    parse(args, &mut windows)?;
    match windows.as_slice() {
        [] => return Err(args.fail_last("RR types")),
        [0, _, bits @ ..] if bits.len() <= NXT_LEN_MAX => out.extend_from_slice(bits),
        _ => return Err(args.fail_last("RR types up to 127")),
    }
    Ok(())
}

/// Validates the bitmap of NXT.
fn nxt_len(rest: &[u8]) -> Result<usize, RdataError> {
    match rest {
        [] => Err(RdataError::Short),
        [.., 0] => Err(RdataError::Field("a type bitmap without trailing zero octets")),
        _ if rest.len() > NXT_LEN_MAX => Err(RdataError::Field("a type bitmap of at most 16 octets")),
        _ => Ok(rest.len()),
    }
}

/// Writes the types of NXT.
fn write_nxt(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut space = "";
    for (idx, octet) in (0u16..).zip(octets) {
        for bit in (0..8u16).filter(|bit| octet & 0x80 >> bit != 0) {
            write!(out, "{space}{}", Rtype(idx << 3 | bit))?;
            space = " ";
        }
    }
    Ok(())
}
