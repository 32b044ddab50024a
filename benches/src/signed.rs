//! Puts a chain of NSEC or NSEC3 records into a zone, with signatures of the right size that sign nothing: what a proof
//! of denial costs to serve does not depend on whether it is true.

use std::collections::BTreeSet;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::{HASH_LEN, Params, text};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

/// How the zone denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// By names.
    Nsec,
    /// By hashes, as RFC 9276 wants them: no salt, no more than one round.
    Nsec3,
}

/// The parameters of the NSEC3 chain.
const PARAMS: Params<'static> = Params { iterations: 0, salt: &[] };
/// The same as the RDATA of NSEC3PARAM.
const NSEC3PARAM: [u8; 5] = [1, 0, 0, 0, 0];
/// The types of every name, as a bitmap: A, NS, SOA, MX, TXT, RRSIG. Its size is what matters.
const TYPES: [u8; 8] = [0, 6, 0x62, 0x01, 0x80, 0, 0, 0x02];
/// Octets of a P-256 signature.
const SIGNATURE_LEN: usize = 64;

/// The zone with a chain over all its names and signatures for SOA and chain.
///
/// # Panics
/// If the zone is larger than a zone can be.
#[must_use]
pub(crate) fn signed(zone: &Zone, chain: Chain) -> Zone {
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    for owner in zone.owners() {
        for rrset in owner.rrsets() {
            for Record { owner, rtype, rdata, .. } in rrset.records() {
                push(&mut builder, owner, rtype, rdata);
            }
        }
    }
    let apex = zone.apex();
    push(&mut builder, apex, Rtype::RRSIG, &signature(apex, Rtype::SOA));
    match chain {
        Chain::Nsec => nsec(zone, &mut builder),
        Chain::Nsec3 => nsec3(zone, &mut builder),
    }
    builder.finish()
}

/// Adds one record.
fn push(builder: &mut ZoneBuilder, owner: NameRef<'_>, rtype: Rtype, rdata: &[u8]) {
    builder.push(Record { owner, rtype, ttl_secs: 300, rdata, line: 0 }).expect("a few hundred megabytes fit");
}

/// An RRSIG over a type.
fn signature(apex: NameRef<'_>, covered: Rtype) -> Vec<u8> {
    let mut rdata = covered.0.to_be_bytes().to_vec();
    // Algorithm, labels, TTL, expiration, inception, key tag: of no meaning to who serves them.
    rdata.extend_from_slice(&[13, 2, 0, 0, 1, 44, 0x71, 0, 0, 0, 0x60, 0, 0, 0, 0, 1]);
    rdata.extend_from_slice(apex.as_wire());
    rdata.extend_from_slice(&[0x5a; SIGNATURE_LEN]);
    rdata
}

/// Adds the NSEC records.
fn nsec(zone: &Zone, builder: &mut ZoneBuilder) {
    let owners: Vec<Name> = zone.owners().map(|owner| owner.name().to_name()).collect();
    for (owner, next) in owners.iter().zip(owners.iter().cycle().skip(1)) {
        let rdata = [next.as_wire(), &TYPES].concat();
        push(builder, owner.as_ref(), Rtype::NSEC, &rdata);
        push(builder, owner.as_ref(), Rtype::RRSIG, &signature(zone.apex(), Rtype::NSEC));
    }
}

/// Adds the NSEC3 records, those of empty non-terminals too.
fn nsec3(zone: &Zone, builder: &mut ZoneBuilder) {
    let apex = zone.apex();
    let mut hashes: BTreeSet<[u8; HASH_LEN]> = BTreeSet::new();
    for owner in zone.owners() {
        let mut name = Some(owner.name());
        while let Some(at) = name.filter(|name| name.is_at_or_below(apex)) {
            hashes.insert(PARAMS.hash(&at.as_wire().to_ascii_lowercase()));
            name = at.parent();
        }
    }
    push(builder, apex, Rtype::NSEC3PARAM, &NSEC3PARAM);
    for (hash, next) in hashes.iter().zip(hashes.iter().cycle().skip(1)) {
        let owner = [&[32], &text(hash)[..], apex.as_wire()].concat();
        let owner = NameRef::prefix_of(&owner).expect("hashes are labels");
        let rdata = [&NSEC3PARAM[..], &[20], next, &TYPES].concat();
        push(builder, owner, Rtype::NSEC3, &rdata);
        push(builder, owner, Rtype::RRSIG, &signature(apex, Rtype::NSEC3));
    }
}
