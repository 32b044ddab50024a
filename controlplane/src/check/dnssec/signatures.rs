//! RRSIG records: that each fits its RRset, key and time, and that none is missing or out of place.
//!
//! Chains of NSEC and NSEC3 are checked elsewhere, their signatures here. Invariant: an RRSIG has at most one finding, the
//! first that applies, so that one mistake is one line; only signatures that are right but for that are verified. RFC 4034
//! sections 3 and 6, RFC 4035 sections 2.2 and 5.3, RFC 6840 section 5.

use std::collections::BTreeSet;

use snapshot::dns::name::NameRef;
use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Rrset;

use super::super::place::Place;
use super::super::{Findings, limits, line};
use super::crypto::{self, Verdict};
use super::rdata::Rrsig;
use super::{Signed, Spot, in_parallel};

/// Class IN, which all zones are of.
const CLASS_IN: [u8; 2] = [0, 1];

/// A signature that has to be verified.
struct Job<'z> {
    /// The records it covers.
    rrset: Rrset<'z>,
    /// Their owner.
    owner: NameRef<'z>,
    /// The signature.
    signature: Rrsig<'z>,
    /// Its line.
    line: u32,
}

/// What is known when signatures are looked at.
struct Context<'s, 'z> {
    /// The zone.
    signed: &'s Signed<'z>,
    /// The algorithms that each RRset must be signed with.
    algorithms: BTreeSet<u8>,
    /// The time to judge for.
    at: u32,
}

/// Applies all rules about signatures.
pub(super) fn check(signed: &Signed<'_>, at: u32, findings: &mut Findings) {
    check_entry_points(signed, findings);
    let context = Context { signed, algorithms: algorithms_in_use(signed, findings), at };
    let mut jobs = Vec::new();
    for spot in &signed.spots {
        context.visit(spot, &mut jobs, findings);
    }
    let verdicts = in_parallel(&jobs, signed.jobs, |job| verify(job, signed));
    for (job, verdict) in jobs.iter().zip(verdicts) {
        let Job { owner, signature, line, .. } = job;
        let covered = signature.covered;
        if verdict == Verdict::Bad {
            let message = format!(
                "the RRSIG of {covered} at {owner} by key {} does not verify: the records changed after they were \
                 signed, or another key signed them (RFC 4035 section 5.3.3); sign again",
                signature.key_tag
            );
            findings.insecure("bad-signature", *line, *owner, message);
        }
    }
}

/// If keys are marked as entry points for validators (RFC 4034 section 2.1.1), one of them must sign the DNSKEY RRset: the
/// DS at the parent are made of them.
fn check_entry_points(signed: &Signed<'_>, findings: &mut Findings) {
    let spot = signed.spots.iter().find(|spot| spot.place == Place::Apex);
    let entry_points: Vec<_> = signed.keys.entry_points().collect();
    let (Some(spot), Some((line, _))) = (spot, entry_points.first()) else { return };
    let mut signatures =
        spot.signatures(Rtype::DNSKEY).map(|(_, _, signature)| (signature.algorithm, signature.key_tag));
    if !signatures.any(|by| entry_points.iter().any(|(_, key)| by == (key.algorithm, key.tag()))) {
        let apex = signed.zone.apex();
        let message = format!(
            "no key of {apex} with flag 257 signs the DNSKEY records, so a DS of it proves nothing (RFC 4035 section 5.2): \
             sign them with it"
        );
        findings.insecure("entry-point-not-used", *line, apex, message);
    }
}

/// The algorithms that each RRset must be signed with. One that does not even sign the SOA is told once and then not
/// asked for.
fn algorithms_in_use(signed: &Signed<'_>, findings: &mut Findings) -> BTreeSet<u8> {
    let apex = signed.zone.apex();
    let spot = signed.spots.iter().find(|spot| spot.place == Place::Apex);
    let of_soa: BTreeSet<u8> = spot
        .into_iter()
        .flat_map(|spot| spot.signatures(Rtype::SOA).map(|(_, _, signature)| signature.algorithm).collect::<Vec<_>>())
        .collect();
    let (used, unused) = signed.keys.algorithms().into_iter().partition(|algorithm| of_soa.contains(algorithm));
    let unused: BTreeSet<u8> = unused;
    if of_soa.is_empty() {
        // The SOA is told to be unsigned, and so is all else.
        return used;
    }
    for algorithm in unused {
        let line = signed.keys.line_of_algorithm(algorithm);
        let message = format!(
            "a DNSKEY of {apex} has algorithm {algorithm}, but the zone is not signed with it (RFC 4035 section 2.2): \
             sign it with that too, or remove the key"
        );
        findings.insecure("algorithm-not-used", line, apex, message);
    }
    used
}

impl<'z> Context<'_, 'z> {
    /// Looks at one owner.
    fn visit(&self, spot: &Spot<'z>, jobs: &mut Vec<Job<'z>>, findings: &mut Findings) {
        if spot.place == Place::Outside {
            return;
        }
        let mut present = BTreeSet::new();
        for rrset in spot.owner.rrsets().filter(|rrset| rrset.rtype() != Rtype::RRSIG) {
            present.insert(rrset.rtype());
            if spot.owns(rrset.rtype()) {
                self.rrset(spot, &rrset, jobs, findings);
            }
        }
        let Some(rrsigs) = spot.owner.rrset(Rtype::RRSIG) else { return };
        let name = spot.name();
        for record in rrsigs.records() {
            let Some(covered) = Rrsig::read(record.rdata).map(|signature| signature.covered) else { continue };
            if !present.contains(&covered) {
                let message = format!(
                    "RRSIG at {name} covers {covered}, which is not there (RFC 4035 section 2.2): remove the signature"
                );
                findings.insecure("rrsig-without-rrset", record.line, name, message);
            } else if !spot.owns(covered) {
                let message = format!(
                    "RRSIG at {name} covers {covered}, which belongs to the delegated zone or is glue and must not be \
                     signed (RFC 4035 section 2.2): remove the signature"
                );
                findings.insecure("rrsig-on-glue", record.line, name, message);
            }
        }
    }

    /// Looks at the signatures of an RRset that must have them.
    fn rrset(&self, spot: &Spot<'z>, rrset: &Rrset<'z>, jobs: &mut Vec<Job<'z>>, findings: &mut Findings) {
        let (owner, rtype) = (spot.name(), rrset.rtype());
        let mut algorithms = BTreeSet::new();
        let mut count = 0;
        for (line, ttl_secs, signature) in spot.signatures(rtype) {
            count += 1;
            algorithms.insert(signature.algorithm);
            if let Some((code, message)) = self.mistake(&signature, ttl_secs, owner, rrset) {
                findings.insecure(code, line, owner, message);
            } else {
                jobs.push(Job { rrset: *rrset, owner, signature, line });
            }
        }
        let is_hidden = matches!(spot.place, Place::BelowDname(_));
        if count == 0 && !is_hidden {
            let message = format!("{rtype} at {owner} is not signed (RFC 4035 section 2.2): sign the zone again");
            return findings.insecure("missing-rrsig", line(rrset), owner, message);
        }
        for algorithm in self.algorithms.difference(&algorithms).filter(|_| !is_hidden) {
            let message = format!(
                "{rtype} at {owner} has no RRSIG of algorithm {algorithm}, which a DNSKEY has (RFC 4035 section 2.2): \
                 sign it with that too, or remove the key"
            );
            findings.insecure("missing-algorithm", line(rrset), owner, message);
        }
    }

    /// What is wrong with a signature before any cryptography.
    fn mistake(
        &self,
        signature: &Rrsig<'_>,
        ttl_secs: u32,
        owner: NameRef<'_>,
        rrset: &Rrset<'_>,
    ) -> Option<(&'static str, String)> {
        let Rrsig { covered, algorithm, key_tag, signer, labels, .. } = *signature;
        let subject = format!("RRSIG of {covered} at {owner} by key {key_tag}");
        let apex = self.signed.zone.apex();
        if signer != apex {
            let message = format!("{subject} names {signer} as signer, it must be {apex} (RFC 4035 section 5.3.1)");
            return Some(("rrsig-signer", message));
        }
        let label_count = owner.label_count() - usize::from(owner.is_wildcard());
        if usize::from(labels) != label_count {
            let message =
                format!("{subject} counts {labels} labels, the owner has {label_count} (RFC 4034 section 3.1.3)");
            return Some(("rrsig-labels", message));
        }
        if let Some(found) = self.ttl_mistake(signature, ttl_secs, rrset, &subject) {
            return Some(found);
        }
        if let Some(found) = self.time_mistake(signature, &subject) {
            return Some(found);
        }
        if self.signed.keys.is_empty() {
            // That there are no keys is said once.
            return None;
        }
        let keys = self.signed.keys.of_signature(signature);
        let may_sign = keys.iter().any(|key| !key.is_revoked() || covered == Rtype::DNSKEY);
        (!may_sign).then(|| {
            let message = format!(
                "{subject}, algorithm {algorithm}, fits no DNSKEY that may sign it (RFC 4035 section 5.3.1): sign with a \
                 key of the zone, or publish that key"
            );
            ("rrsig-without-key", message)
        })
    }

    /// A TTL that differs between a signature and what it covers.
    fn ttl_mistake(
        &self,
        signature: &Rrsig<'_>,
        ttl_secs: u32,
        rrset: &Rrset<'_>,
        subject: &str,
    ) -> Option<(&'static str, String)> {
        let covered_secs = rrset.ttl_secs();
        let original_secs = signature.original_ttl_secs;
        if original_secs != covered_secs {
            let message = format!(
                "{subject} was made for TTL {original_secs}, the records have {covered_secs} (RFC 4034 section 3.1.4): \
                 sign again"
            );
            return Some(("rrsig-original-ttl", message));
        }
        (ttl_secs != covered_secs).then(|| {
            let message = format!(
                "{subject} has TTL {ttl_secs}, the records have {covered_secs} (RFC 4034 section 3): make them equal"
            );
            ("rrsig-ttl", message)
        })
    }

    /// A signature that is not valid at the time in question (RFC 4034 section 3.1.5).
    fn time_mistake(&self, signature: &Rrsig<'_>, subject: &str) -> Option<(&'static str, String)> {
        let Rrsig { expiration, inception, .. } = *signature;
        let message =
            |what: &str| format!("{subject} {what} (RFC 4034 section 3.1.5): sign again, or look at the clock");
        if is_after(inception, expiration) {
            Some(("rrsig-times", message("ends before it begins")))
        } else if is_after(self.at, expiration) {
            let hours = self.at.wrapping_sub(expiration) / 3600;
            Some(("rrsig-expired", message(&format!("has expired, {hours} hours ago"))))
        } else if is_after(inception, self.at) {
            let hours = inception.wrapping_sub(self.at) / 3600;
            Some(("rrsig-not-yet-valid", message(&format!("is not valid yet, only in {hours} hours"))))
        } else {
            None
        }
    }
}

/// Whether `a` is later than `b`, as serial numbers (RFC 1982 section 3.2).
fn is_after(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

/// Verifies one signature with each key that it can be by.
fn verify(job: &Job<'_>, signed: &Signed<'_>) -> Verdict {
    let message = signed_data(job);
    let mut verdict = None;
    // Keys that collide are warned about; here their number is bounded, as validators bound it.
    for key in signed.keys.of_signature(&job.signature).iter().take(2 * limits::COLLIDING_KEYS_MAX) {
        match crypto::verify(key.algorithm, key.public_key, &message, job.signature.signature) {
            Verdict::Good => return Verdict::Good,
            other => verdict = Some(other),
        }
    }
    verdict.unwrap_or(Verdict::Unsupported("there is no key"))
}

/// The octets that a signature is made over (RFC 4034 section 3.1.8.1).
fn signed_data(job: &Job<'_>) -> Vec<u8> {
    let Job { rrset, owner, signature, .. } = job;
    let mut rdata: Vec<_> = rrset.records().map(|record| canonical_rdata(record.rtype, record.rdata)).collect();
    rdata.sort_unstable();
    rdata.dedup();
    let owner = owner.as_wire().to_ascii_lowercase();
    let mut data = signature.fixed.to_vec();
    data.extend(signature.signer.as_wire().iter().map(u8::to_ascii_lowercase));
    for rdata in rdata {
        data.extend_from_slice(&owner);
        data.extend_from_slice(&rrset.rtype().0.to_be_bytes());
        data.extend_from_slice(&CLASS_IN);
        data.extend_from_slice(&signature.original_ttl_secs.to_be_bytes());
        // RDATA of a zone never exceeds 65,535 octets.
        data.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend_from_slice(&rdata);
    }
    data
}
