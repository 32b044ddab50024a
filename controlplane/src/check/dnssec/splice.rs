//! Whether a changed part of an NSEC3 chain fits into the chain that is in service, of which it has but some records.
//!
//! What the records of the part say of their names is checked by `nsec3`. Invariant: if the chain in service is closed and
//! nothing is found here, the chain is closed with the part in it: every record names the one behind it, none leads to a
//! hash that is gone, and no name above an owner of the part lacks its record. RFC 5155 section 7.1.

use std::collections::BTreeMap;
use std::ops::Bound;

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;

use super::super::Findings;
use super::super::place::Place;
use super::Signed;
use super::crypto::nsec3_hash;
use super::gate::Splice;
use super::nsec3::{Hash, base32hex, hash_of, is_between};
use super::rdata::Nsec3;

/// The chain with the part in it.
struct Joined<'s, 'z> {
    /// What is in service, and what of it goes.
    splice: &'s Splice<'s>,
    /// The records of the part.
    links: BTreeMap<Hash, Record<'z>>,
}

/// Checks the part.
pub(super) fn check(signed: &Signed<'_>, splice: &Splice<'_>, findings: &mut Findings) {
    let apex = signed.zone.apex();
    let mut links = BTreeMap::new();
    for rrset in signed.spots.iter().filter_map(|spot| spot.owner.rrset(Rtype::NSEC3)) {
        for record in rrset.records() {
            links.extend(hash_of(record.owner, apex).map(|hash| (hash, record)));
        }
    }
    let joined = Joined { splice, links };
    joined.check_links(findings);
    joined.check_seams(apex, findings);
    joined.check_above(signed, findings);
}

impl Joined<'_, '_> {
    /// Each record of the part names the one behind it.
    fn check_links(&self, findings: &mut Findings) {
        for (hash, record) in &self.links {
            let (Some(nsec3), next) = (Nsec3::read(record.rdata), self.after(hash)) else { continue };
            if nsec3.next != &next[..] {
                let (owner, named, next) = (record.owner, base32hex(nsec3.next), base32hex(&next));
                let message = format!(
                    "NSEC3 at {owner} names {named} as the next hash, it is {next} (RFC 5155 section 7.1): the chain is \
                     broken; sign again"
                );
                findings.insecure("nsec3-chain", record.line, owner, message);
            }
        }
    }

    /// The records before those that came or went are in the part, because they name another one now.
    fn check_seams(&self, apex: NameRef<'_>, findings: &mut Findings) {
        let came = self.links.keys().filter(|hash| !self.splice.before.has(hash));
        for hash in came.chain(self.splice.gone) {
            let before = self.before(hash);
            if !self.links.contains_key(&before) {
                let (before, hash) = (base32hex(&before), base32hex(hash));
                let message =
                    format!("the NSEC3 {before} before {hash} stays as it is, although that came or went: sign again");
                findings.insecure("nsec3-chain", 0, apex, message);
            }
        }
    }

    /// The names above owners that must be in the chain are in it.
    fn check_above(&self, signed: &Signed<'_>, findings: &mut Findings) {
        let apex = signed.zone.apex();
        for spot in signed.spots.iter().filter(|spot| spot.is_authoritative()) {
            // What is there for these alone may be opted out.
            if spot.place == Place::Cut && spot.owner.rrset(Rtype::DS).is_none() {
                continue;
            }
            let mut above = spot.name.parent().filter(|_| spot.name != apex);
            while let Some(name) = above.filter(|name| name.is_at_or_below(apex)) {
                let hash = nsec3_hash(&name.as_wire().to_ascii_lowercase(), &[], 0, &mut Vec::new());
                if !self.has(&hash) {
                    let message = format!(
                        "{name} above {} has no NSEC3 {} (RFC 5155 section 7.1): sign again",
                        spot.name,
                        base32hex(&hash)
                    );
                    findings.insecure("missing-nsec3", spot.line(), name, message);
                }
                above = name.parent();
            }
        }
    }

    /// Whether a hash has a record.
    fn has(&self, hash: &Hash) -> bool {
        self.links.contains_key(hash) || (self.splice.before.has(hash) && !self.splice.gone.contains(hash))
    }

    /// The hash behind another one.
    fn after(&self, hash: &Hash) -> Hash {
        // No more can be passed over than are gone.
        let mut before = self.splice.before.after(hash);
        for _ in self.splice.gone {
            if before == *hash || self.has(&before) {
                break;
            }
            before = self.splice.before.after(&before);
        }
        let of_part = self.links.range((Bound::Excluded(*hash), Bound::Unbounded)).chain(&self.links).next();
        let of_part = of_part.map_or(before, |(hash, _)| *hash);
        if of_part != *hash && (before == *hash || is_between(hash, &of_part, &before)) { of_part } else { before }
    }

    /// The hash before another one.
    fn before(&self, hash: &Hash) -> Hash {
        // No more can be passed over than are gone.
        let mut before = self.splice.before.before(hash);
        for _ in self.splice.gone {
            if before == *hash || self.has(&before) {
                break;
            }
            before = self.splice.before.before(&before);
        }
        let of_part = self.links.range(..*hash).chain(&self.links).next_back();
        let of_part = of_part.map_or(before, |(hash, _)| *hash);
        if of_part != *hash && (before == *hash || is_between(&before, &of_part, hash)) { of_part } else { before }
    }
}
