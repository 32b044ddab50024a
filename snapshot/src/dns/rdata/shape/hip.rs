//! RDATA of HIP (RFC 8005 section 5): two lengths and an algorithm in front, then tag, key and rendezvous servers.
//!
//! In text the key is one token, since names follow. Names are never compressed and keep their case.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE, HEXUPPER};

use super::super::parse::Args;
use super::super::{ParseError, RdataError, codec};
use super::Shape;
use crate::dns::name::NameRef;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// The parts in wire format.
struct Parts<'a> {
    /// The algorithm of the key.
    algorithm: u8,
    /// The host identity tag.
    tag: &'a [u8],
    /// The public key.
    key: &'a [u8],
    /// The rendezvous servers.
    servers: &'a [u8],
}

/// Reads it.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let algorithm = args.number_8("an algorithm from 0 to 255")?;
    let mut tag = Vec::new();
    let tag_len = args.word("a host identity tag of 1 to 255 octets in hex", |text| {
        codec::push_decoded(&HEXLOWER_PERMISSIVE, text, &mut tag).ok()?;
        u8::try_from(tag.len()).ok().filter(|&len| len > 0)
    })?;
    let mut key = Vec::new();
    let key_len = args.word("a public key in base64 without spaces", |text| {
        codec::push_decoded(&BASE64, text, &mut key).ok()?;
        u16::try_from(key.len()).ok().filter(|&len| len > 0)
    })?;
    out.extend_from_slice(&[tag_len, algorithm]);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(&tag);
    out.extend_from_slice(&key);
    while args.idx < args.tokens.count() {
        args.name(out)?;
    }
    Ok(())
}

/// Splits the wire format.
fn split(rest: &[u8]) -> Option<Parts<'_>> {
    let [tag_len, algorithm, k0, k1, tail @ ..] = rest else { return None };
    let (tag, tail) = tail.split_at_checked(usize::from(*tag_len))?;
    let (key, servers) = tail.split_at_checked(usize::from(u16::from_be_bytes([*k0, *k1])))?;
    Some(Parts { algorithm: *algorithm, tag, key, servers })
}

/// Validates it.
fn len(rest: &[u8]) -> Result<usize, RdataError> {
    let Parts { tag, key, mut servers, .. } = split(rest).ok_or(RdataError::Short)?;
    if tag.is_empty() || key.is_empty() {
        return Err(RdataError::Field("a host identity tag and a public key"));
    }
    while !servers.is_empty() {
        servers = &servers[NameRef::prefix_of(servers)?.as_wire().len()..];
    }
    Ok(rest.len())
}

/// Writes it.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let Parts { algorithm, tag, key, mut servers } = split(octets).ok_or(fmt::Error)?;
    write!(out, "{algorithm} {} {}", HEXUPPER.encode_display(tag), BASE64.encode_display(key))?;
    while !servers.is_empty() {
        let server = NameRef::prefix_of(servers).map_err(|_| fmt::Error)?;
        write!(out, " {server}")?;
        servers = &servers[server.as_wire().len()..];
    }
    Ok(())
}
