//! Gateways whose kind another field tells: that of IPSECKEY (RFC 4025) and the relay of AMTRELAY (RFC 8777).
//!
//! Kinds are 0 none, 1 IPv4, 2 IPv6, 3 a name, which is never compressed and keeps its case. RDATA with another kind is
//! octets to us: where a gateway of an unknown kind ends cannot be told.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::parse::{Args, text_as};
use super::super::{ParseError, RdataError};
use super::Shape;
use crate::dns::name::NameRef;

/// Gateway type, algorithm and gateway of IPSECKEY.
pub(in super::super) static IPSECKEY: Shape = Shape { parse: parse_ipseckey, len: len_ipseckey, write: write_ipseckey };

/// Discovery bit, relay type and relay of AMTRELAY.
pub(in super::super) static AMTRELAY: Shape = Shape { parse: parse_amtrelay, len: len_amtrelay, write: write_amtrelay };

/// The highest kind.
const KIND_MAX: u8 = 3;
/// The bit of AMTRELAY that says that discovery is optional.
const DISCOVERY: u8 = 0x80;

/// Whether this is an IPSECKEY of a known kind.
pub(in super::super) fn is_known_ipseckey(rdata: &[u8]) -> bool {
    rdata.get(1).is_none_or(|&kind| kind <= KIND_MAX)
}

/// Whether this is an AMTRELAY of a known kind.
pub(in super::super) fn is_known_amtrelay(rdata: &[u8]) -> bool {
    rdata.get(1).is_none_or(|&kind| kind & !DISCOVERY <= KIND_MAX)
}

/// Reads the fields of IPSECKEY.
fn parse_ipseckey(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let kind = args.number_to(KIND_MAX, "a gateway type from 0 to 3")?;
    let algorithm = args.number_8("an algorithm from 0 to 255")?;
    out.extend_from_slice(&[kind, algorithm]);
    push(kind, args, out)
}

/// Reads the fields of AMTRELAY.
fn parse_amtrelay(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let discovery = args.number_to(1, "a discovery bit of 0 or 1")?;
    let kind = args.number_to(KIND_MAX, "a relay type from 0 to 3")?;
    out.push(if discovery == 0 { kind } else { kind | DISCOVERY });
    push(kind, args, out)
}

/// Reads a gateway.
fn push(kind: u8, args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    match kind {
        0 => args.word("a dot, as there is no gateway", |text| (text == b".").then_some(()))?,
        1 => out.extend_from_slice(&args.word("an IPv4 address", text_as::<Ipv4Addr>)?.octets()),
        2 => out.extend_from_slice(&args.word("an IPv6 address", text_as::<Ipv6Addr>)?.octets()),
        _ => args.name(out)?,
    }
    Ok(())
}

/// Validates the fields of IPSECKEY.
fn len_ipseckey(rest: &[u8]) -> Result<usize, RdataError> {
    let [kind, _, gateway @ ..] = rest else { return Err(RdataError::Short) };
    gateway_len(*kind, gateway).map(|len| 2 + len)
}

/// Validates the fields of AMTRELAY.
fn len_amtrelay(rest: &[u8]) -> Result<usize, RdataError> {
    let [kind, relay @ ..] = rest else { return Err(RdataError::Short) };
    gateway_len(kind & !DISCOVERY, relay).map(|len| 1 + len)
}

/// The length of a gateway at the start of `rest`.
fn gateway_len(kind: u8, rest: &[u8]) -> Result<usize, RdataError> {
    match kind {
        0 => Ok(0),
        1 => Ok(4),
        2 => Ok(16),
        3 => Ok(NameRef::prefix_of(rest)?.as_wire().len()),
        _ => Err(RdataError::Field("a gateway type from 0 to 3")),
    }
}

/// Writes the fields of IPSECKEY.
fn write_ipseckey(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let [kind, algorithm, gateway @ ..] = octets else { return Err(fmt::Error) };
    write!(out, "{kind} {algorithm} ")?;
    write_gateway(gateway, *kind, out)
}

/// Writes the fields of AMTRELAY.
fn write_amtrelay(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let [kind, relay @ ..] = octets else { return Err(fmt::Error) };
    write!(out, "{} {} ", kind >> 7, kind & !DISCOVERY)?;
    write_gateway(relay, kind & !DISCOVERY, out)
}

/// Writes a gateway.
fn write_gateway(octets: &[u8], kind: u8, out: &mut dyn fmt::Write) -> fmt::Result {
    match kind {
        0 => out.write_char('.'),
        1 => write!(out, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(octets).map_err(|_| fmt::Error)?)),
        2 => write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(octets).map_err(|_| fmt::Error)?)),
        _ => write!(out, "{}", NameRef::prefix_of(octets).map_err(|_| fmt::Error)?),
    }
}
