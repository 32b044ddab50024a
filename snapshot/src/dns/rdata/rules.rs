//! Rules that span the fields of RDATA: digest lengths and service parameters.
//!
//! Only what makes RDATA malformed or contradictory by its own RFC; no policy. Each rule is called after the fields were
//! found well formed, and answers what was expected instead.

use crate::dns::name::NameRef;

use super::svcb;

/// DS and CDS: the digest has the length of its type (RFC 4034 section 5.1, RFC 4509, RFC 5933, RFC 6605).
///
/// A DS with a digest cut short matches no key, and the zone is then bogus for every validating resolver.
pub(super) fn ds_digest(rdata: &[u8]) -> Result<(), &'static str> {
    let [_, _, _, digest_type, digest @ ..] = rdata else { return Err("a key tag, an algorithm and a digest type") };
    match (digest_type, digest.len()) {
        (1, 20) | (2 | 3, 32) | (4, 48) => Ok(()),
        (1, _) => Err("a SHA-1 digest of 20 octets"),
        (2, _) => Err("a SHA-256 digest of 32 octets"),
        (3, _) => Err("a GOST digest of 32 octets"),
        (4, _) => Err("a SHA-384 digest of 48 octets"),
        _ => Ok(()),
    }
}

/// ZONEMD: the digest has at least 12 octets (RFC 8976 section 2.2.4), and in the one scheme that is defined the length
/// of its algorithm; what another scheme makes of an algorithm is not ours to say.
pub(super) fn zonemd_digest(rdata: &[u8]) -> Result<(), &'static str> {
    let [_, _, _, _, scheme, algorithm, digest @ ..] = rdata else {
        return Err("a serial, a scheme and a hash algorithm");
    };
    match (scheme, algorithm, digest.len()) {
        (1, 1, 48) | (1, 2, 64) => Ok(()),
        (1, 1, _) => Err("a SHA-384 digest of 48 octets"),
        (1, 2, _) => Err("a SHA-512 digest of 64 octets"),
        (_, _, 12..) => Ok(()),
        _ => Err("a digest of 12 octets or more"),
    }
}

/// KEY: there is a key unless the flags say that there is none (RFC 2535 section 3.1.2).
pub(super) fn key_unless_none(rdata: &[u8]) -> Result<(), &'static str> {
    match rdata {
        [0xc0..=0xff, ..] | [_, _, _, _, _, ..] => Ok(()),
        _ => Err("a public key, as the flags do not say that there is none"),
    }
}

/// X25: an address of four digits or more (RFC 1183 section 3.1).
pub(super) fn x25_address(rdata: &[u8]) -> Result<(), &'static str> {
    match rdata {
        [4..=255, address @ ..] if address.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err("an address of four digits or more"),
    }
}

/// SVCB and HTTPS: consistent parameters (RFC 9460 section 8), which those of AliasMode need not be, because whoever
/// reads them must ignore them (section 2.4.2).
pub(super) fn service(rdata: &[u8]) -> Result<(), &'static str> {
    let Some((priority, rest)) = rdata.split_at_checked(2) else { return Err("a priority") };
    let target = NameRef::prefix_of(rest).map_err(|_| "a target name")?;
    let params = &rest[target.as_wire().len()..];
    if priority == [0, 0] { Ok(()) } else { svcb::consistent(params) }
}
