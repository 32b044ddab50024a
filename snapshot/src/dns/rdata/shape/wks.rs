//! Protocol and port bitmap of WKS (RFC 1035 section 3.4.2), deprecated by RFC 1127 and still read.
//!
//! Invariant of the wire format: at most 65,536 bits, and the last octet has one set. RDATA with zero octets at the end is
//! octets to us, because its text would lose them.

use std::fmt;

use super::super::codes::{IP_PROTOCOLS, IP_SERVICES, named};
use super::super::parse::Args;
use super::super::{ParseError, RdataError, codec};
use super::Shape;
use crate::dns::number;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// How many octets there are bits for ports in.
const BITMAP_LEN_MAX: usize = 8192;
/// The octets of the address and the protocol.
const HEAD_LEN: usize = 5;

/// Whether the bitmap of this WKS has no zero octets at its end.
pub(in super::super) fn is_known(rdata: &[u8]) -> bool {
    rdata.len() <= HEAD_LEN || rdata.last() != Some(&0)
}

/// Reads the protocol and the ports.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    out.push(args.word("a protocol, by number or as TCP or UDP", |text| {
        named(IP_PROTOCOLS, text).or_else(|| u8::try_from(number::decimal(text)?).ok())
    })?);
    let base = out.len();
    while args.idx < args.tokens.count() {
        let words = "a port from 0 to 65535, or the name of a service";
        let port = args.word(words, |text| named(IP_SERVICES, text).or_else(|| codec::number_16(text)))?;
        let off = base + usize::from(port >> 3);
        if out.len() <= off {
            out.resize(off + 1, 0);
        }
        out[off] |= 0x80 >> (port & 7);
    }
    Ok(())
}

/// Validates it.
fn len(rest: &[u8]) -> Result<usize, RdataError> {
    match rest {
        [] => Err(RdataError::Short),
        [_, bitmap @ ..] if bitmap.len() > BITMAP_LEN_MAX => Err(RdataError::Field("ports up to 65535")),
        [_, .., 0] => Err(RdataError::Field("a bitmap of ports without zero octets at its end")),
        _ => Ok(rest.len()),
    }
}

/// Writes the protocol and the ports as numbers.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let (protocol, bitmap) = octets.split_first().ok_or(fmt::Error)?;
    write!(out, "{protocol}")?;
    for (idx, octet) in bitmap.iter().enumerate() {
        for bit in (0..8).filter(|bit| octet & 0x80 >> bit != 0) {
            write!(out, " {}", idx * 8 + bit)?;
        }
    }
    Ok(())
}
