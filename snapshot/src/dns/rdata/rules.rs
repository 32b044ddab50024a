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

/// ZONEMD: the digest has the length of its algorithm, and at least 12 octets (RFC 8976 section 2.2.4).
pub(super) fn zonemd_digest(rdata: &[u8]) -> Result<(), &'static str> {
    let [_, _, _, _, _, algorithm, digest @ ..] = rdata else { return Err("a serial, a scheme and a hash algorithm") };
    match (algorithm, digest.len()) {
        (1, 48) | (2, 64) => Ok(()),
        (1, _) => Err("a SHA-384 digest of 48 octets"),
        (2, _) => Err("a SHA-512 digest of 64 octets"),
        (_, 12..) => Ok(()),
        _ => Err("a digest of 12 octets or more"),
    }
}

/// SVCB and HTTPS: no parameters in AliasMode (RFC 9460 section 2.4.2), else consistent ones (section 8).
pub(super) fn service(rdata: &[u8]) -> Result<(), &'static str> {
    let Some((priority, rest)) = rdata.split_at_checked(2) else { return Err("a priority") };
    let target = NameRef::prefix_of(rest).map_err(|_| "a target name")?;
    let params = &rest[target.as_wire().len()..];
    if priority == [0, 0] && !params.is_empty() {
        return Err("no parameters in AliasMode (priority 0)");
    }
    svcb::consistent(params)
}
