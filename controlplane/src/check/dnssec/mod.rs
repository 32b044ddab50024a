//! Whether the DNSSEC records of a zone are right, each by itself and all together.
//!
//! It signs nothing, asks no parent zone and takes the time from its caller. Signatures are verified by real cryptography,
//! on several threads. Invariant: a zone without findings validates, at the given time, for every name and type in it,
//! and for every denial; what cannot be judged here (an unknown algorithm) is always a warning. RFC 4034, 4035, 5155,
//! 6840, 7344, 8078, 8976, 9276.

mod cds;
mod crypto;
pub mod gate;
mod keys;
mod nsec;
mod nsec3;
pub(crate) mod rdata;
mod signatures;
mod splice;
mod threads;
pub(crate) mod zonemd;

use std::num::NonZeroUsize;

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Rrset, Zone};

use super::place::{Place, Terrain};
use super::{Findings, Severity, first_line};
use keys::Keys;
use rdata::{Bitmap, Rrsig};
use signatures::Tally;

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

/// Whose code verifies: who signs with one implementation lets the other one check it, so that a fault of one is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifier {
    /// ring, all algorithms.
    Ring,
    /// The crate p256 for algorithm 13, five times as slow; for the others ring too.
    RustCrypto,
    /// aws-lc-rs for all algorithms that we sign with, as fast as ring; for the others ring too.
    AwsLc,
}

/// Whose signatures are judged, and so by what standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standard {
    /// Anybody's: what validates is right.
    Any,
    /// Our own, which are about to be published: nothing in them may be there by accident.
    Own {
        /// How long each signature must stay valid at least.
        remaining_secs_min: u32,
    },
}

/// How much of the zone is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of it.
    Whole,
    /// Its apex and some owners; what is above these and hides them is there too.
    Part,
}

/// How a signed zone is judged.
#[derive(Debug, Clone, Copy)]
struct Measure {
    /// By what standard.
    standard: Standard,
    /// How much of it is there.
    scope: Scope,
    /// For which time, as RRSIG has it: modulo 2^32, compared as a serial number (RFC 4034 section 3.1.5).
    at: u32,
    /// Who verifies.
    verifier: Verifier,
    /// How many threads may be used.
    jobs: NonZeroUsize,
}

/// An owner and where it lies.
struct Spot<'z> {
    /// The records.
    owner: OwnerRecords<'z>,
    /// The owner's name.
    name: NameRef<'z>,
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
    /// Whether there is an NSEC anywhere.
    has_nsec: bool,
    /// Whether there is an NSEC3 anywhere.
    has_nsec3: bool,
    /// How it is judged.
    measure: Measure,
    /// What was judged before, if that counts.
    before: Option<&'z dyn gate::Before>,
}

/// The TTLs of denials, told once for all.
struct DenialTtls {
    /// What they should be.
    expected: Option<u32>,
    /// How many are not.
    count: usize,
    /// TTL and line of the first of them.
    first: (u32, u32),
}

impl Dnssec {
    /// How bad mistakes are.
    pub(super) fn severity(&self) -> Severity {
        match self.need {
            Need::Optional => Severity::Warning,
            Need::Required => Severity::Error,
        }
    }
}

impl Measure {
    /// Whether what is judged is our own.
    fn is_own(&self) -> bool {
        self.standard != Standard::Any
    }

    /// Whether owners may be missing because they are not looked at.
    fn is_part(&self) -> bool {
        self.scope == Scope::Part
    }
}

/// A time as RRSIG has it.
fn serial_time(unix_secs: u64) -> u32 {
    let [_, _, _, _, low @ ..] = unix_secs.to_be_bytes();
    u32::from_be_bytes(low)
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
    let measure = Measure {
        standard: Standard::Any,
        scope: Scope::Whole,
        at: serial_time(dnssec.at_unix_secs),
        verifier: Verifier::Ring,
        jobs: dnssec.jobs,
    };
    judge(&Signed::of(zone, measure), findings);
}

/// Applies all rules about signed zones.
fn judge(signed: &Signed<'_>, findings: &mut Findings) -> Tally {
    signed.keys.check(signed.zone.apex(), findings);
    cds::check(signed, findings);
    let tally = signatures::check(signed, findings);
    denial(signed, findings);
    tally
}

/// Checks whichever chain proves what does not exist.
fn denial(signed: &Signed<'_>, findings: &mut Findings) {
    let apex = signed.zone.apex();
    let has_param = signed.apex_has(Rtype::NSEC3PARAM);
    if signed.has_nsec3 || has_param {
        nsec3::check(signed, findings);
    }
    if signed.has_nsec {
        nsec::check(signed, findings);
    }
    if !signed.has_nsec && !signed.has_nsec3 && !has_param {
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
    /// Finds out where each owner lies and which keys there are. One walk over the zone.
    fn of(zone: &'z Zone, measure: Measure) -> Signed<'z> {
        let mut terrain = Terrain::new(zone.apex());
        let (mut has_nsec, mut has_nsec3) = (false, false);
        let visit = |owner: OwnerRecords<'z>| {
            for rrset in owner.rrsets() {
                has_nsec |= rrset.rtype() == Rtype::NSEC;
                has_nsec3 |= rrset.rtype() == Rtype::NSEC3;
            }
            Spot { place: terrain.place(&owner), name: owner.name(), owner }
        };
        let spots = zone.owners().map(visit).collect();
        let apex = zone.owner(zone.apex());
        let keys = Keys::of(apex.as_ref(), measure.verifier);
        let negative_ttl_secs = negative_ttl_secs(apex.as_ref());
        Signed { zone, spots, keys, negative_ttl_secs, has_nsec, has_nsec3, measure, before: None }
    }

    /// Whether the apex has a type.
    fn apex_has(&self, rtype: Rtype) -> bool {
        self.zone.owner(self.zone.apex()).is_some_and(|apex| apex.rrset(rtype).is_some())
    }

    /// Whether records of this type are the zone's own at an owner, so that they are signed: at a zone cut only what is
    /// about the delegation is (RFC 4035 section 2.2). Some signers sign what a DNAME hides, ours does not.
    fn owns(&self, spot: &Spot<'_>, rtype: Rtype) -> bool {
        match spot.place {
            Place::Cut => matches!(rtype, Rtype::DS | Rtype::NSEC),
            Place::BelowCut(_) | Place::Outside => false,
            Place::BelowDname(_) => !self.measure.is_own(),
            Place::Apex | Place::Inside | Place::Hashed => true,
        }
    }

    /// No TTLs of denials yet.
    fn denial_ttls(&self) -> DenialTtls {
        DenialTtls { expected: self.negative_ttl_secs, count: 0, first: (0, 0) }
    }
}

impl DenialTtls {
    /// Takes one in.
    fn note(&mut self, record: &Record<'_>) {
        if self.expected.is_some_and(|expected| expected != record.ttl_secs) {
            if self.count == 0 {
                self.first = (record.ttl_secs, record.line);
            }
            self.count += 1;
        }
    }

    /// Tells if some differ from the TTL of negative answers. Signers choose one for all, so that one finding is enough.
    fn check(&self, rtype: Rtype, apex: NameRef<'_>, findings: &mut Findings) {
        let DenialTtls { expected: Some(expected), count: 1.., first: (ttl_secs, line) } = *self else { return };
        let message = format!(
            "{} {rtype} records have another TTL than negative answers, {ttl_secs} instead of {expected} (RFC 9077 \
             section 3): they are cached for another time",
            self.count
        );
        findings.careless("denial-ttl", line, apex, message);
    }
}

impl<'z> Spot<'z> {
    /// Its first line.
    fn line(&self) -> u32 {
        first_line(&self.owner)
    }

    /// Whether the zone answers for it, so that it needs a proof of its types.
    fn is_authoritative(&self) -> bool {
        matches!(self.place, Place::Apex | Place::Inside | Place::Cut)
    }

    /// The signatures of a type.
    fn signatures(&self, rtype: Rtype) -> impl Iterator<Item = (Record<'z>, Rrsig<'z>)> + use<'z> {
        signatures_in(self.owner.rrset(Rtype::RRSIG), rtype)
    }

    /// The types that a bitmap must list (RFC 4035 section 2.3, RFC 5155 section 7.1), ascending.
    fn types(&self) -> impl Iterator<Item = Rtype> {
        let is_listed = |rtype: Rtype| match self.place {
            Place::Cut => matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG),
            _ => true,
        };
        self.owner.rrsets().map(|rrset| rrset.rtype()).filter(move |&rtype| is_listed(rtype))
    }
}

/// The signatures of a type among those of an owner. O(log n) and what there is, since records are sorted by RDATA, which
/// begins with the type.
fn signatures_in<'z>(
    rrsigs: Option<Rrset<'z>>,
    rtype: Rtype,
) -> impl Iterator<Item = (Record<'z>, Rrsig<'z>)> + use<'z> {
    let records = rrsigs.into_iter().flat_map(move |rrsigs| rrsigs.records_with(rtype.0.to_be_bytes()));
    records.filter_map(|record| Some((record, Rrsig::read(record.rdata)?)))
}

/// Says how a bitmap differs from the types that are there; `None` if it does not, which costs no allocation.
fn types_differ<I: Iterator<Item = Rtype>>(bitmap: Bitmap<'_>, types: impl Fn() -> I) -> Option<String> {
    if bitmap.types().eq(types()) {
        return None;
    }
    let text = |types: Vec<String>| types.join(" ");
    let listed: Vec<Rtype> = bitmap.types().collect();
    let actual: Vec<Rtype> = types().collect();
    let missing: Vec<String> = actual.iter().filter(|&rtype| !listed.contains(rtype)).map(Rtype::to_string).collect();
    let extra: Vec<String> = listed.iter().filter(|&rtype| !actual.contains(rtype)).map(Rtype::to_string).collect();
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("lacks {}", text(missing))),
        (true, false) => Some(format!("lists {}, which is not there", text(extra))),
        (false, false) => Some(format!("lacks {} and lists {}, which is not there", text(missing), text(extra))),
    }
}

#[cfg(test)]
mod tests;
