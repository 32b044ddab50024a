//! Lints of a whole zone: what is wrong with it, and what is probably not meant.
//!
//! It reads no file, changes nothing and knows no policy of accounts. [`check`] asks whether a zone can be served, for
//! `compile`; [`review`] asks whether it is right, for people, and looks at its signatures too. Rule of thumb: what no
//! server loads is an error of both, what most checkers refuse is one of [`review`], what an RFC forbids without harm to
//! others, or only one checker refuses, is a [`Severity::Warning`]. Invariant: a zone without errors has one SOA and can
//! be answered from. Cost: a few walks over the zone, O(n) with hashing. RFC 1034, 1035, 2181, 4034, 4592, 6672.

pub mod dnssec;
mod limits;
mod node;
pub(crate) mod place;
mod target;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Rrset, Zone};

use dnssec::Dnssec;
use place::Terrain;
use target::Targets;

/// How many findings of one code are listed; more are only counted, so that a huge zone with one mistake in every line
/// stays readable.
const PER_CODE_MAX: usize = 1_000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The zone is refused.
    Error,
    /// The zone passes; somebody should look.
    Warning,
}

/// What a finding says of the zone, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// It cannot be answered from.
    Unservable,
    /// It can be answered from, but it is wrong.
    Wrong,
    /// Its DNSSEC records are wrong: as bad as the caller says.
    Insecure,
    /// Its DNSSEC records are right, but nobody should publish them so, or nobody can tell: a signer of ours must not.
    Careless,
    /// It is allowed, and probably not meant.
    Doubtful,
}

/// One thing that is wrong with a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule, in kebab-case; stable, so that scripts can match it.
    pub code: &'static str,
    /// The line of the zone file; 0 if it is about no single line.
    pub line: u32,
    /// The owner it is about.
    pub owner: Name,
    /// What is wrong, for people; one line.
    pub message: String,
}

/// Writes `line 3: message [code]`, without the line if there is none.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Collects findings.
struct Findings {
    /// How bad what is wrong, but can be served, is.
    wrong: Severity,
    /// How bad a mistake in the DNSSEC records is.
    insecure: Severity,
    /// How bad it is if they are right as they should not be.
    careless: Severity,
    /// Those that are listed.
    list: Vec<Finding>,
    /// How many there are of each code.
    counts: HashMap<&'static str, (Severity, usize)>,
}

/// Checks whether a zone can be served: errors are what no server loads. Records outside of the zone are warned about;
/// whoever serves it leaves them out ([`prune`]). Signatures are not verified. The findings come by line; those about no
/// single line come last.
#[must_use]
pub fn check(zone: &Zone) -> Vec<Finding> {
    let mut findings = Findings::new(Severity::Warning, Severity::Warning);
    walk(zone, &mut findings);
    findings.finish(zone.apex())
}

/// Checks whether a zone is right, its DNSSEC records included. The findings are ordered as those of [`check`].
#[must_use]
pub fn review(zone: &Zone, dnssec: &Dnssec) -> Vec<Finding> {
    let mut findings = Findings::new(Severity::Error, dnssec.severity());
    walk(zone, &mut findings);
    dnssec::check(zone, dnssec, &mut findings);
    findings.finish(zone.apex())
}

/// Drops what no server answers with: records outside of the zone (RFC 1035 section 5.2), and all but the first of those
/// that differ only in the case of names in their RDATA (RFC 2181 section 5).
pub fn prune(zone: &mut Zone) {
    let mut copies: HashSet<(Name, Rtype, Vec<u8>)> = HashSet::new();
    for owner in zone.owners() {
        for rrset in owner.rrsets().filter(|rrset| rrset.record_count() > 1) {
            let mut seen = HashSet::new();
            // Almost all RDATA are canonical as they are, and then they differ, because equal records are dropped before.
            if rrset.records().all(|record| matches!(canonical_rdata(record.rtype, record.rdata), Cow::Borrowed(_))) {
                continue;
            }
            for record in rrset.records() {
                if !seen.insert(canonical_rdata(record.rtype, record.rdata)) {
                    copies.insert((owner.name().to_name(), record.rtype, record.rdata.to_vec()));
                }
            }
        }
    }
    let apex = zone.apex().to_name();
    zone.retain(|record| {
        let key = || (record.owner.to_name(), record.rtype, record.rdata.to_vec());
        record.owner.is_at_or_below(apex.as_ref()) && (copies.is_empty() || !copies.contains(&key()))
    });
}

/// Applies all rules but those about signatures.
fn walk(zone: &Zone, findings: &mut Findings) {
    let mut targets = Targets::of(zone);
    let mut terrain = Terrain::new(zone.apex());
    let mut apex = node::ApexState::default();
    for owner in zone.owners() {
        let place = terrain.place(&owner);
        targets.visit(&owner, place);
        node::check(&owner, place, &targets, &mut apex, findings);
        limits::check(&owner, findings);
    }
    apex.check(zone.apex(), findings);
    targets.check(zone, findings);
    let duplicate_count = zone.duplicate_count();
    if duplicate_count > 0 {
        let message = match duplicate_count {
            1 => "1 record is given more than once".to_owned(),
            count => format!("{count} records are given more than once"),
        };
        findings.warning("duplicate-records", 0, zone.apex(), message);
    }
}

impl Findings {
    /// No findings yet.
    fn new(wrong: Severity, insecure: Severity) -> Findings {
        Findings { wrong, insecure, careless: Severity::Warning, list: Vec::new(), counts: HashMap::new() }
    }

    /// No findings yet, and the strictest grades.
    fn strict() -> Findings {
        Findings { careless: Severity::Error, ..Findings::new(Severity::Error, Severity::Error) }
    }

    /// No findings yet, with the grades of these: for a part of the work.
    fn part(&self) -> Findings {
        Findings { careless: self.careless, ..Findings::new(self.wrong, self.insecure) }
    }

    /// Takes in the findings of a part.
    fn absorb(&mut self, part: Findings) {
        for finding in part.list {
            self.count(finding);
        }
        for (code, (severity, count)) in part.counts {
            let (worst, total) = self.counts.entry(code).or_insert((severity, 0));
            *worst = severity.min(*worst);
            // Those that were listed are counted already.
            *total += count.saturating_sub(PER_CODE_MAX);
        }
    }

    /// Adds what no server loads.
    fn unservable(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Grade::Unservable, code, line, owner, message);
    }

    /// Adds what is wrong.
    fn wrong(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Grade::Wrong, code, line, owner, message);
    }

    /// Adds what is wrong with the DNSSEC records.
    fn insecure(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Grade::Insecure, code, line, owner, message);
    }

    /// Adds what must not be so in what we sign ourselves.
    fn careless(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Grade::Careless, code, line, owner, message);
    }

    /// Adds a warning.
    fn warning(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Grade::Doubtful, code, line, owner, message);
    }

    /// Adds a finding.
    fn add(&mut self, grade: Grade, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        let severity = match grade {
            Grade::Unservable => Severity::Error,
            Grade::Wrong => self.wrong,
            Grade::Insecure => self.insecure,
            Grade::Careless => self.careless,
            Grade::Doubtful => Severity::Warning,
        };
        self.count(Finding { severity, code, line, owner: owner.to_name(), message });
    }

    /// Counts a finding, and lists it unless there are enough of its code.
    fn count(&mut self, finding: Finding) {
        let (worst, count) = self.counts.entry(finding.code).or_insert((finding.severity, 0));
        *worst = finding.severity.min(*worst);
        *count += 1;
        if *count <= PER_CODE_MAX {
            self.list.push(finding);
        }
    }

    /// Sorts the findings and says what was left out.
    fn finish(mut self, apex: NameRef<'_>) -> Vec<Finding> {
        for (code, (severity, count)) in self.counts {
            if count > PER_CODE_MAX {
                let message = format!("{} more findings of this kind are not listed", count - PER_CODE_MAX);
                self.list.push(Finding { severity, code, line: 0, owner: apex.to_name(), message });
            }
        }
        self.list.sort_by_key(|finding| (finding.line == 0, finding.line, finding.code));
        self.list
    }
}

/// The first line of an owner's records.
fn first_line(owner: &OwnerRecords<'_>) -> u32 {
    owner.rrsets().map(|rrset| line(&rrset)).min().unwrap_or(0)
}

/// The first line of an RRset's records.
fn line(rrset: &Rrset<'_>) -> u32 {
    rrset.records().map(|record| record.line).min().unwrap_or(0)
}

/// How many records of an RRset differ in more than the case of names: RDATA are compared as RFC 4034 section 6.2 has
/// them, because to everybody who asks they are one record.
fn distinct_count(rrset: &Rrset<'_>) -> usize {
    if rrset.record_count() == 1 {
        return 1;
    }
    let mut rdata: Vec<_> = rrset.records().map(|record| canonical_rdata(record.rtype, record.rdata)).collect();
    rdata.sort_unstable();
    rdata.dedup();
    rdata.len()
}

/// Whether a type may stand beside a CNAME (RFC 4035 section 2.5; KEY by RFC 3007 section 3.1.1 and RFC 4034).
fn is_beside_cname(rtype: Rtype) -> bool {
    const KEY: Rtype = Rtype(25);
    matches!(rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC | KEY)
}

/// Whether a type holds an address.
fn is_address(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA)
}

#[cfg(test)]
mod tests;
