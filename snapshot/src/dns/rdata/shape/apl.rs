//! Address prefixes of APL (RFC 3123): `[!]family:address/prefix`, any number of them.
//!
//! Invariant of the wire format: families are IPv4 and IPv6, and an address has no trailing zero octets (section 4). RDATA
//! with another family is octets to us, because it has no text.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::parse::{Args, text_as};
use super::super::{ParseError, RdataError};
use super::Shape;
use crate::dns::number;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// The address family of IPv4.
const IP4: u16 = 1;
/// The address family of IPv6.
const IP6: u16 = 2;
/// The bit that excludes the prefix from the list.
const NEGATION: u8 = 0x80;

/// One prefix in wire format.
struct Item<'a> {
    /// The address family.
    family: u16,
    /// The length of the prefix in bits.
    prefix_len: u8,
    /// Whether it is excluded.
    is_negated: bool,
    /// The address without its trailing zero octets.
    address: &'a [u8],
}

/// Reads prefixes to the end.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    while args.idx < args.tokens.count() {
        args.word("an address prefix as 1:192.0.2.0/24 or !2:2001:db8::/32", |text| push_item(text, out))?;
    }
    Ok(())
}

/// Reads one prefix and appends it.
fn push_item(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (negation, text) = text.strip_prefix(b"!").map_or((0, text), |rest| (NEGATION, rest));
    let colon = text.iter().position(|&octet| octet == b':')?;
    let slash = text.iter().position(|&octet| octet == b'/')?;
    let address = text.get(colon + 1..slash)?;
    let (family, octets) = match number::decimal(&text[..colon])? {
        1 => (IP4, text_as::<Ipv4Addr>(address)?.octets().to_vec()),
        2 => (IP6, text_as::<Ipv6Addr>(address)?.octets().to_vec()),
        _ => return None,
    };
    let prefix_len = u8::try_from(number::decimal(&text[slash + 1..])?).ok()?;
    if usize::from(prefix_len) > octets.len() * 8 {
        return None;
    }
    let len = octets.iter().rposition(|&octet| octet != 0).map_or(0, |idx| idx + 1);
    out.extend_from_slice(&family.to_be_bytes());
    out.extend_from_slice(&[prefix_len, negation | u8::try_from(len).ok()?]);
    out.extend_from_slice(&octets[..len]);
    Some(())
}

/// Takes the first prefix off the list.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let [f0, f1, prefix_len, len, tail @ ..] = *rest else { return None };
    let (address, after) = tail.split_at_checked(usize::from(len & !NEGATION))?;
    *rest = after;
    let family = u16::from_be_bytes([*f0, *f1]);
    Some(Item { family, prefix_len: *prefix_len, is_negated: len & NEGATION != 0, address })
}

/// Whether all families are ones that have a text.
pub(in super::super) fn is_known(rdata: &[u8]) -> bool {
    let mut rest = rdata;
    std::iter::from_fn(|| next(&mut rest)).all(|item| matches!(item.family, IP4 | IP6))
}

/// Validates a list; an empty one passes.
fn len(mut rest: &[u8]) -> Result<usize, RdataError> {
    let whole_len = rest.len();
    while !rest.is_empty() {
        let item = next(&mut rest).ok_or(RdataError::Short)?;
        let address_len = if item.family == IP4 { 4 } else { 16 };
        if usize::from(item.prefix_len) > address_len * 8 {
            return Err(RdataError::Field("a prefix no longer than the address"));
        }
        if item.address.len() > address_len || item.address.last() == Some(&0) {
            return Err(RdataError::Field("an address without trailing zero octets"));
        }
    }
    Ok(whole_len)
}

/// Writes a list.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut rest = octets;
    while !rest.is_empty() {
        let space = if rest.len() < octets.len() { " " } else { "" };
        let Item { family, prefix_len, is_negated, address } = next(&mut rest).ok_or(fmt::Error)?;
        let mut whole = [0u8; 16];
        whole.get_mut(..address.len()).ok_or(fmt::Error)?.copy_from_slice(address);
        write!(out, "{space}{}{family}:", if is_negated { "!" } else { "" })?;
        match whole {
            [a, b, c, d, ..] if family == IP4 => write!(out, "{}/{prefix_len}", Ipv4Addr::new(a, b, c, d))?,
            _ => write!(out, "{}/{prefix_len}", Ipv6Addr::from(whole))?,
        }
    }
    Ok(())
}
