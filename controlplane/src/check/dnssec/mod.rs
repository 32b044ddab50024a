//! Whether the DNSSEC records of a zone are right, each by itself and all together.
//!
//! It signs nothing, asks no parent zone and takes the time from its caller. Signatures are verified by real cryptography,
//! on several threads. Invariant: a zone without findings validates, at the given time, for every name and type in it,
//! and for every denial; what cannot be judged here (an unknown algorithm) is always a warning. RFC 4034, 4035, 5155,
//! 6840, 7344, 8078, 8976, 9276.

mod cds;
mod crypto;
mod keys;
mod nsec;
mod nsec3;
pub(crate) mod rdata;
mod signatures;
pub(crate) mod zonemd;

use std::num::NonZeroUsize;

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Zone};

use super::place::{Place, Terrain};
use super::{Findings, Severity, first_line};
use keys::Keys;
use rdata::Rrsig;

/// Whether a zone has to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// An unsigned zone is fine, mistakes in a signed one are warnings.
    Optional,
    /// An unsigned zone is an error, and so are mistakes.
    Required,
}

/// How to judge the DNSSEC records.
#[derive(Debug, Clone, Copy)]
pub struct Dnssec {
    /// Whether the zone has to be signed.
    pub need: Need,
    /// The time to judge for, in seconds since 1970.
    pub at_unix_secs: u64,
    /// How many threads verify.
    pub jobs: NonZeroUsize,
}

/// An owner and where it lies.
struct Spot<'z> {
    /// The records.
    owner: OwnerRecords<'z>,
    /// Where it lies.
    place: Place<'z>,
}

/// What all rules look at.
struct Signed<'z> {
    /// The zone.
    zone: &'z Zone,
    /// Its owners in canonical order.
    spots: Vec<Spot<'z>>,
    /// The keys at its apex.
    keys: Keys<'z>,
    /// What NSEC and NSEC3 records should have as TTL (RFC 9077).
    negative_ttl_secs: Option<u32>,
    /// How many threads may be used.
    jobs: NonZeroUsize,
}

impl Dnssec {
    /// How bad mistakes are.
    pub(super) fn severity(&self) -> Severity {
        match self.need {
            Need::Optional => Severity::Warning,
            Need::Required => Severity::Error,
        }
    }

    /// The time as RRSIG has it: modulo 2^32, compared as a serial number (RFC 4034 section 3.1.5).
    fn at(&self) -> u32 {
        let [_, _, _, _, low @ ..] = self.at_unix_secs.to_be_bytes();
        u32::from_be_bytes(low)
    }
}

/// Applies all rules about DNSSEC.
pub(super) fn check(zone: &Zone, dnssec: &Dnssec, findings: &mut Findings) {
    let apex = zone.owner(zone.apex());
    zonemd::check(zone, findings);
    let has_keys = apex.is_some_and(|apex| apex.rrset(Rtype::DNSKEY).is_some());
    let has_signatures = zone.owners().any(|owner| owner.rrset(Rtype::RRSIG).is_some());
    if !has_keys && !has_signatures {
        cds::check_unsigned(zone, findings);
        if dnssec.need == Need::Required {
            let message = format!("{} is not signed: it has neither DNSKEY nor RRSIG records", zone.apex());
            findings.insecure("not-signed", 0, zone.apex(), message);
        }
        return;
    }
    let mut terrain = Terrain::new(zone.apex());
    let spots = zone.owners().map(|owner| Spot { place: terrain.place(&owner), owner }).collect();
    let keys = Keys::of(apex.as_ref());
    let signed = Signed { zone, spots, keys, negative_ttl_secs: negative_ttl_secs(apex.as_ref()), jobs: dnssec.jobs };
    signed.keys.check(zone.apex(), findings);
    cds::check(&signed, findings);
    signatures::check(&signed, dnssec.at(), findings);
    denial(&signed, findings);
}

/// Checks whichever chain proves what does not exist.
fn denial(signed: &Signed<'_>, findings: &mut Findings) {
    let apex = signed.zone.apex();
    let has = |rtype| signed.spots.iter().any(|spot| spot.owner.rrset(rtype).is_some());
    let has_nsec3 = has(Rtype::NSEC3);
    let has_param = signed.apex_has(Rtype::NSEC3PARAM);
    let has_nsec = has(Rtype::NSEC);
    if has_nsec3 || has_param {
        nsec3::check(signed, findings);
    }
    if has_nsec {
        nsec::check(signed, findings);
    }
    if !has_nsec && !has_nsec3 && !has_param {
        let message = format!(
            "{apex} is signed but has no NSEC and no NSEC3 records, so nothing proves what does not exist (RFC 4035 \
             section 2.3): sign it again"
        );
        findings.insecure("no-denial", 0, apex, message);
    }
}

/// The TTL of denials: the lesser of the SOA's TTL and its last field (RFC 9077 section 3).
pub(crate) fn negative_ttl_secs(apex: Option<&OwnerRecords<'_>>) -> Option<u32> {
    let soa = apex?.rrset(Rtype::SOA)?;
    let minimum = soa.records().next()?.rdata.last_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))?;
    Some(soa.ttl_secs().min(minimum))
}

impl<'z> Signed<'z> {
    /// Whether the apex has a type.
    fn apex_has(&self, rtype: Rtype) -> bool {
        self.zone.owner(self.zone.apex()).is_some_and(|apex| apex.rrset(rtype).is_some())
    }

    /// Warns if denials, given as TTL and line, have another TTL than negative answers. Signers choose one for all, so
    /// that one finding is enough.
    fn check_denial_ttls(&self, rtype: Rtype, denials: &[(u32, u32)], findings: &mut Findings) {
        let Some(expected) = self.negative_ttl_secs else { return };
        let mut others = denials.iter().filter(|(ttl_secs, _)| *ttl_secs != expected);
        let Some((ttl_secs, line)) = others.next() else { return };
        let count = 1 + others.count();
        let message = format!(
            "{count} {rtype} records have another TTL than negative answers, {ttl_secs} instead of {expected} \
             (RFC 9077 section 3): they are cached for another time"
        );
        findings.warning("denial-ttl", *line, self.zone.apex(), message);
    }
}

impl<'z> Spot<'z> {
    /// The owner's name.
    fn name(&self) -> NameRef<'z> {
        self.owner.name()
    }

    /// Its first line.
    fn line(&self) -> u32 {
        first_line(&self.owner)
    }

    /// Whether the zone answers for it, so that it needs a proof of its types.
    fn is_authoritative(&self) -> bool {
        matches!(self.place, Place::Apex | Place::Inside | Place::Cut)
    }

    /// Whether records of this type are the zone's own here: at a zone cut only what is about the delegation is
    /// (RFC 4035 section 2.2).
    fn owns(&self, rtype: Rtype) -> bool {
        match self.place {
            Place::Cut => matches!(rtype, Rtype::DS | Rtype::NSEC),
            Place::BelowCut(_) | Place::Outside => false,
            Place::Apex | Place::Inside | Place::Hashed | Place::BelowDname(_) => true,
        }
    }

    /// The signatures of a type, with their lines.
    fn signatures(&self, rtype: Rtype) -> impl Iterator<Item = (u32, u32, Rrsig<'z>)> {
        let records = self.owner.rrset(Rtype::RRSIG).into_iter().flat_map(|rrset| rrset.records().collect::<Vec<_>>());
        records
            .filter_map(|record| Some((record.line, record.ttl_secs, Rrsig::read(record.rdata)?)))
            .filter(move |(_, _, signature)| signature.covered == rtype)
    }

    /// The types that a bitmap must list (RFC 4035 section 2.3, RFC 5155 section 7.1), ascending.
    fn types(&self) -> Vec<Rtype> {
        let is_listed = |rtype: Rtype| match self.place {
            Place::Cut => matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG),
            _ => true,
        };
        self.owner.rrsets().map(|rrset| rrset.rtype()).filter(|&rtype| is_listed(rtype)).collect()
    }
}

/// Says how two lists of types differ; `None` if they do not.
fn types_differ(listed: &[Rtype], actual: &[Rtype]) -> Option<String> {
    let text = |types: Vec<String>| types.join(" ");
    let missing: Vec<String> = actual.iter().filter(|&rtype| !listed.contains(rtype)).map(Rtype::to_string).collect();
    let extra: Vec<String> = listed.iter().filter(|&rtype| !actual.contains(rtype)).map(Rtype::to_string).collect();
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("lacks {}", text(missing))),
        (true, false) => Some(format!("lists {}, which is not there", text(extra))),
        (false, false) => Some(format!("lacks {} and lists {}, which is not there", text(missing), text(extra))),
    }
}

/// Runs `work` over `items` on several threads and returns the results in order.
fn in_parallel<T: Sync, R: Send>(items: &[T], jobs: NonZeroUsize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let chunk_len = items.len().div_ceil(jobs.get()).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items
            .chunks(chunk_len)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the work does not panic")).collect()
    })
}

#[cfg(test)]
mod tests;
