//! The gate before what we sign ourselves is published: a zone that would not validate, or not for long, stays unpublished,
//! and the last good one stays in service.
//!
//! It judges by the rules of `dnsctl check`, but what is a warning there because somebody may have wanted it is a fault
//! here, where only a fault of ours can have caused it. Nobody forces this gate. It is not about what the records say
//! ([`check`](crate::check::check)) or how many there are ([`gate`](crate::gate)). Invariant: a zone that passes has one
//! SOA, the NS and DNSKEY that are expected, a complete chain of denial, and for each RRset that must be signed a good
//! signature of each algorithm, and no signature that is not good; each is valid at the given time and so long after it as
//! is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::HASH_LEN;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Rrset, Zone};

use super::signatures::Tally;
use super::{Measure, Scope, Signed, Standard, Verifier, cds, judge, serial_time, splice, zonemd};
use crate::check::{Finding, Findings, Severity, distinct_count, line};

/// How long signatures must stay valid at least if nobody says otherwise, 7 days: time to notice that nothing is signed
/// any more, and to repair it.
pub const REMAINING_SECS_MIN: u32 = 7 * 86_400;
/// How many faults a refusal shows.
const FAULTS_SHOWN_MAX: usize = 3;

/// What a zone has to be to pass.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'g> {
    /// The time, in seconds since 1970.
    pub at_unix_secs: u64,
    /// How long each signature must stay valid, in seconds; [`REMAINING_SECS_MIN`].
    pub remaining_secs_min: u32,
    /// RDATA of DNSKEY that the zone must have: those that its owner was told of. There may be others.
    pub keys: &'g [&'g [u8]],
    /// RDATA of DNSKEY of keys that sign the zone and are not in it, while its algorithm changes (RFC 6781 section 4.1.4):
    /// what they sign is verified too, and whoever does not know them does not look at it.
    pub unannounced: &'g [&'g [u8]],
    /// Whether the zone names servers: then it must have them. A zone whose owner takes them away is served without, signed or
    /// not: clients replace a zone that way.
    pub has_ns: bool,
    /// Who verifies: not who signed.
    pub verifier: Verifier,
    /// How many threads may be used.
    pub jobs: NonZeroUsize,
}

/// What passed before and is in service.
pub trait Before: Sync {
    /// Whether a DNSKEY with this RDATA was announced, and no other with its algorithm and tag.
    fn has_key(&self, algorithm: u8, tag: u16, dnskey: &[u8]) -> bool;

    /// Whether an RRset was the same, TTL included, and had a signature with this RDATA.
    fn has_signature(&self, owner: NameRef<'_>, rrset: &Rrset<'_>, rrsig: &[u8]) -> bool;
}

/// Nothing passed before.
impl Before for () {
    fn has_key(&self, _algorithm: u8, _tag: u16, _dnskey: &[u8]) -> bool {
        false
    }

    fn has_signature(&self, _owner: NameRef<'_>, _rrset: &Rrset<'_>, _rrsig: &[u8]) -> bool {
        false
    }
}

/// The NSEC3 chain that is in service, which is closed.
pub trait ChainBefore {
    /// Whether a hash has a record.
    fn has(&self, hash: &[u8; HASH_LEN]) -> bool;

    /// The hash behind another one, which need not be there: behind the last one comes the first.
    fn after(&self, hash: &[u8; HASH_LEN]) -> [u8; HASH_LEN];

    /// The hash before another one, likewise.
    fn before(&self, hash: &[u8; HASH_LEN]) -> [u8; HASH_LEN];
}

/// What a part of a zone does to the NSEC3 chain that is in service.
#[derive(Clone, Copy)]
pub struct Splice<'s> {
    /// That chain.
    pub before: &'s dyn ChainBefore,
    /// The hashes whose records go.
    pub gone: &'s BTreeSet<[u8; HASH_LEN]>,
}

/// What is known of a zone that passed.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// When the first signature expires, in seconds since 1970.
    pub earliest_expiry_unix_secs: u64,
    /// How many signatures were verified.
    pub signature_count: usize,
}

/// A zone that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The zone.
    pub apex: Name,
    /// The first few faults, at least one.
    pub faults: Vec<Finding>,
    /// How many there are.
    pub fault_count: usize,
}

impl Gate<'_> {
    /// Lets a zone pass, or tells why not. It costs the verification of all signatures, and little beside.
    ///
    /// # Errors
    /// [`Refused`] with the rules that are broken.
    pub fn pass(&self, zone: &Zone) -> Result<Passed, Refused> {
        self.judge(zone, Scope::Whole, None, None)
    }

    /// As [`Gate::pass`], but signatures that were verified `before`, over the same octets and by the same key, are not
    /// verified again. All other rules are applied to them.
    ///
    /// # Errors
    /// [`Refused`] with the rules that are broken.
    pub fn pass_since(&self, zone: &Zone, before: &dyn Before) -> Result<Passed, Refused> {
        self.judge(zone, Scope::Whole, Some(before), None)
    }

    /// Lets the changed part of a zone pass whose other names are in service. `part` has, with all their records, the apex,
    /// the owners that changed, those whose NSEC or NSEC3 names one of them that came or went, the NSEC3 of each of them, and the
    /// zone cuts and DNAMEs above. What cannot be seen from there is not judged: whether owners are missing, such as
    /// the one before an owner that came or went and was said to stay, empty non-terminals and a digest of the zone. Signatures
    /// that were verified `before` are not verified again.
    ///
    /// # Errors
    /// [`Refused`] with the rules that are broken.
    pub fn pass_part(&self, part: &Zone, before: &dyn Before) -> Result<Passed, Refused> {
        self.judge(part, Scope::Part, Some(before), None)
    }

    /// As [`Gate::pass_part`], for a part that changes an NSEC3 chain: it has the records before those that come and go as well.
    /// The chain must be closed with it, and have all names above its owners.
    ///
    /// # Errors
    /// [`Refused`] with the rules that are broken.
    pub fn pass_splice(&self, part: &Zone, splice: &Splice<'_>, before: &dyn Before) -> Result<Passed, Refused> {
        self.judge(part, Scope::Part, Some(before), Some(splice))
    }

    /// Applies the rules.
    fn judge(
        &self,
        zone: &Zone,
        scope: Scope,
        before: Option<&dyn Before>,
        splice: Option<&Splice<'_>>,
    ) -> Result<Passed, Refused> {
        let mut findings = Findings::strict();
        let measure = Measure {
            standard: Standard::Own { remaining_secs_min: self.remaining_secs_min },
            scope,
            at: serial_time(self.at_unix_secs),
            verifier: self.verifier,
            jobs: self.jobs,
        };
        let mut signed = Signed { before, ..Signed::of(zone, measure) };
        signed.keys.add_unannounced(self.unannounced, self.verifier);
        check_apex(zone, self.has_ns, &mut findings);
        self.check_keys(&signed, &mut findings);
        let mut tally = Tally::default();
        if !signed.keys.is_empty() {
            tally = judge(&signed, &mut findings);
        }
        if let Some(splice) = splice {
            splice::check(&signed, splice, &mut findings);
        }
        if scope == Scope::Whole {
            zonemd::check(zone, &mut findings);
        }
        let mut faults = findings.list;
        faults.retain(|finding| finding.severity == Severity::Error);
        if !faults.is_empty() {
            let of_errors = findings.counts.into_values().filter(|(worst, _)| *worst == Severity::Error);
            let fault_count = of_errors.map(|(_, count)| count).sum();
            faults.truncate(FAULTS_SHOWN_MAX);
            return Err(Refused { apex: zone.apex().to_name(), faults, fault_count });
        }
        let remaining_secs = u64::from(tally.remaining_secs_min.unwrap_or(0));
        let earliest_expiry_unix_secs = self.at_unix_secs.saturating_add(remaining_secs);
        Ok(Passed { earliest_expiry_unix_secs, signature_count: tally.count })
    }

    /// The keys that must be there are, and no two are alike to validators.
    fn check_keys(&self, signed: &Signed<'_>, findings: &mut Findings) {
        let apex = signed.zone.apex();
        if signed.keys.is_empty() {
            let message = format!("{apex} has no DNSKEY, so nobody can verify anything (RFC 4035 section 2.1)");
            return findings.insecure("no-dnskey", 0, apex, message);
        }
        for rdata in self.keys.iter().filter(|rdata| !signed.keys.iter().any(|key| key.rdata == **rdata)) {
            let tag = super::rdata::Dnskey::read(rdata).map_or(0, |key| key.tag());
            let message = format!("DNSKEY {tag} is not among those of {apex}, but its owner was told of it");
            findings.insecure("key-not-there", 0, apex, message);
        }
        check_collisions(signed, findings);
    }
}

/// What is wrong with DNSKEY, CDS and CDNSKEY records by the rules of the gate that need no signatures, for whoever asks before
/// anything is signed. `apex` has these records as they would be published; `unannounced` is as in [`Gate`].
#[must_use]
pub fn faults_of_keys(apex: &Zone, unannounced: &[&[u8]]) -> Vec<Finding> {
    let mut findings = Findings::strict();
    let measure = Measure {
        standard: Standard::Own { remaining_secs_min: 0 },
        scope: Scope::Part,
        at: 0,
        verifier: Verifier::Ring,
        jobs: NonZeroUsize::MIN,
    };
    let mut signed = Signed::of(apex, measure);
    signed.keys.add_unannounced(unannounced, measure.verifier);
    check_collisions(&signed, &mut findings);
    signed.keys.check(apex.apex(), &mut findings);
    cds::check(&signed, &mut findings);
    findings.list.retain(|finding| finding.severity == Severity::Error);
    findings.list
}

/// No two keys are alike to validators.
fn check_collisions(signed: &Signed<'_>, findings: &mut Findings) {
    let apex = signed.zone.apex();
    for (algorithm, tag) in signed.keys.collisions() {
        let message = format!(
            "several DNSKEYs of {apex} have algorithm {algorithm} and tag {tag}: validators must try them all (RFC 4034 \
             appendix B); make another key"
        );
        findings.insecure("colliding-keys", 0, apex, message);
    }
}

/// The apex has what makes it one.
fn check_apex(zone: &Zone, has_ns: bool, findings: &mut Findings) {
    let apex = zone.apex();
    let rrset = |rtype| zone.owner(apex).and_then(|owner| owner.rrset(rtype));
    match rrset(Rtype::SOA).map(|soa| (distinct_count(&soa), line(&soa))) {
        Some((1, _)) => {}
        Some((_, line)) => findings.insecure("multiple-soas", line, apex, format!("{apex} has several SOA records")),
        None => findings.insecure("no-soa", 0, apex, format!("{apex} has no SOA")),
    }
    if has_ns && rrset(Rtype::NS).is_none() {
        findings.insecure("no-ns", 0, apex, format!("{apex} has no NS"));
    }
}

impl Refused {
    /// The rule that the first fault breaks, in kebab-case; those of `dnsctl check` where they have it.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.faults.first().map_or("", |fault| fault.code)
    }
}

/// Writes `zone a.test. does not pass the gate for signed zones: message [rule]; message [rule]; and 5 more`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone {} does not pass the gate for signed zones", self.apex)?;
        for (idx, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{} [{}]", if idx == 0 { ": " } else { "; " }, fault.message, fault.code)?;
        }
        match self.fault_count.saturating_sub(self.faults.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod signed;
#[cfg(test)]
mod spliced;
#[cfg(test)]
mod tests;
