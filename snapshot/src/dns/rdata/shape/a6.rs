//! Prefix length and address suffix of A6 (RFC 2874 section 3.1), historic since RFC 6563.
//!
//! The prefix name after them is a field of its own, because it is a name like others. Invariant of the wire format: the
//! suffix has no more octets than it needs, and its bits that belong to the prefix are zero.

use std::fmt;
use std::net::Ipv6Addr;

use super::super::parse::{Args, text_as};
use super::super::{ParseError, RdataError};
use super::Shape;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// The bits of an address.
const ADDRESS_BITS: u8 = 128;

/// Reads the prefix length, and the address unless the prefix is all of it.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let prefix_len = args.number_to(ADDRESS_BITS, "a prefix length from 0 to 128")?;
    out.push(prefix_len);
    if prefix_len < ADDRESS_BITS {
        let address = args.word("an IPv6 address", text_as::<Ipv6Addr>)?;
        let suffix = address.to_bits() & (u128::MAX >> prefix_len);
        out.extend_from_slice(&suffix.to_be_bytes()[usize::from(prefix_len / 8)..]);
    }
    Ok(())
}

/// Validates it.
fn len(rest: &[u8]) -> Result<usize, RdataError> {
    let (&prefix_len, suffix) = rest.split_first().ok_or(RdataError::Short)?;
    if prefix_len > ADDRESS_BITS {
        return Err(RdataError::Field("a prefix length from 0 to 128"));
    }
    let suffix_len = 16 - usize::from(prefix_len / 8);
    let first = suffix.get(..suffix_len).ok_or(RdataError::Short)?.first();
    if first.is_some_and(|&octet| u32::from(octet) >> (8 - prefix_len % 8) != 0) {
        return Err(RdataError::Field("zero bits where the suffix overlaps the prefix"));
    }
    Ok(1 + suffix_len)
}

/// Writes prefix length and address.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let (prefix_len, suffix) = octets.split_first().ok_or(fmt::Error)?;
    write!(out, "{prefix_len}")?;
    if suffix.is_empty() {
        return Ok(());
    }
    let bits = suffix.iter().fold(0u128, |bits, &octet| bits << 8 | u128::from(octet));
    write!(out, " {}", Ipv6Addr::from_bits(bits))
}

/// The rule over the whole RDATA: there is a prefix name exactly if there is a prefix.
pub(in super::super) fn has_name_for_its_prefix(rdata: &[u8]) -> Result<(), &'static str> {
    let has_name = len(rdata).is_ok_and(|len| rdata.len() > len);
    match (rdata.first(), has_name) {
        (Some(0), true) => Err("no prefix name where the prefix has no bits"),
        (Some(1..), false) => Err("a prefix name"),
        _ => Ok(()),
    }
}
