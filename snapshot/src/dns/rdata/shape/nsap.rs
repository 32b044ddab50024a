//! Addresses of networks that the Internet replaced: NSAP (RFC 1706) and ATMA (ATM Name System Specification 1.0).
//!
//! Both are hex with dots anywhere between, NSAP after `0x`; ATMA may be a telephone number after `+` instead.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::super::parse::Args;
use super::super::{ParseError, RdataError, codec};
use super::Shape;

/// The address of NSAP.
pub(in super::super) static NSAP: Shape = Shape { parse: parse_nsap, len: len_nsap, write: write_nsap };

/// Format and address of ATMA.
pub(in super::super) static ATMA: Shape = Shape { parse: parse_atma, len: len_atma, write: write_atma };

/// The format of an ATM end system address, in hex.
const END_SYSTEM: u8 = 0;
/// The format of a telephone number (E.164), in digits.
const TELEPHONE: u8 = 1;

/// Appends hex digits with dots between; there must be some.
fn push_dotted(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let base = out.len();
    let digits: Vec<u8> = text.iter().copied().filter(|&octet| octet != b'.').collect();
    codec::push_decoded(&HEXLOWER_PERMISSIVE, &digits, out).ok()?;
    (out.len() > base).then_some(())
}

/// Reads the address of NSAP.
fn parse_nsap(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    args.word("an address in hex after 0x", |text| {
        push_dotted(text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"))?, out)
    })
}

/// All octets, one at least.
fn len_nsap(rest: &[u8]) -> Result<usize, RdataError> {
    if rest.is_empty() { Err(RdataError::Short) } else { Ok(rest.len()) }
}

/// Writes the address of NSAP.
fn write_nsap(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    write!(out, "0x{}", HEXLOWER.encode_display(octets))
}

/// Whether this is an ATMA in a format that has a text.
pub(in super::super) fn is_known_atma(rdata: &[u8]) -> bool {
    match rdata {
        [TELEPHONE, number @ ..] => number.iter().all(u8::is_ascii_digit),
        [format, ..] => *format == END_SYSTEM,
        [] => true,
    }
}

/// Reads the address of ATMA.
fn parse_atma(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    args.word("an address in hex, or a telephone number after +", |text| {
        let Some(number) = text.strip_prefix(b"+") else {
            out.push(END_SYSTEM);
            return push_dotted(text, out);
        };
        out.push(TELEPHONE);
        out.extend(number.iter().filter(|&&octet| octet != b'.'));
        (!number.is_empty() && is_known_atma(out) && out.len() > 1).then_some(())
    })
}

/// A format and one octet at least.
fn len_atma(rest: &[u8]) -> Result<usize, RdataError> {
    if rest.len() < 2 { Err(RdataError::Short) } else { Ok(rest.len()) }
}

/// Writes the address of ATMA.
fn write_atma(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    match octets {
        [TELEPHONE, number @ ..] => {
            out.write_char('+')?;
            number.iter().try_for_each(|&digit| out.write_char(char::from(digit)))
        }
        [_, address @ ..] => write!(out, "{}", HEXLOWER.encode_display(address)),
        [] => Err(fmt::Error),
    }
}
