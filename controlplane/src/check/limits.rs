//! Amounts that are allowed but do harm: RRsets and owners so large that answers are slow, and sets of keys and
//! signatures that make validators work for nothing.
//!
//! All are warnings: nothing here is forbidden by an RFC, and the zone's owner may have reasons. Invariant: each limit is
//! a named constant. The attack behind the last two became known as KeyTrap (CVE-2023-50387).

use std::collections::HashMap;

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Rrset};

use super::dnssec::rdata::{Dnskey, Rrsig};
use super::{Findings, first_line, line};

/// Records of an RRset; BIND 9.20 refuses more by default.
const RECORDS_MAX: usize = 100;
/// Types of an owner; BIND 9.20 refuses more by default.
const TYPES_MAX: usize = 100;
/// Keys of one tag and algorithm: validators cannot tell them apart and try them all.
pub(super) const COLLIDING_KEYS_MAX: usize = 4;
/// Signatures of one RRset: two algorithms, each with an outgoing and an incoming key, twice over.
pub(super) const SIGNATURES_MAX: usize = 8;

/// Applies the limits to one owner.
pub(super) fn check(owner: &OwnerRecords<'_>, findings: &mut Findings) {
    let name = owner.name();
    let mut type_count = 0;
    for rrset in owner.rrsets() {
        type_count += 1;
        match rrset.rtype() {
            Rtype::RRSIG => signatures(&rrset, name, findings),
            Rtype::DNSKEY => keys(&rrset, name, findings),
            _ => {}
        }
        let count = rrset.record_count();
        if count > RECORDS_MAX && rrset.rtype() != Rtype::RRSIG {
            let message = format!(
                "{} at {name} has {count} records: every answer carries them all; secondaries may refuse more than {RECORDS_MAX}",
                rrset.rtype()
            );
            findings.warning("many-records", line(&rrset), name, message);
        }
    }
    if type_count > TYPES_MAX {
        let message = format!("{name} has {type_count} types: secondaries may refuse more than {TYPES_MAX}");
        findings.warning("many-types", first_line(owner), name, message);
    }
}

/// Keys that only trying tells apart.
fn keys(rrset: &Rrset<'_>, name: NameRef<'_>, findings: &mut Findings) {
    let mut counts: HashMap<(u8, u16), usize> = HashMap::new();
    for key in rrset.records().filter_map(|record| Dnskey::read(record.rdata)) {
        *counts.entry((key.algorithm, key.tag())).or_default() += 1;
    }
    let worst = counts.into_iter().max_by_key(|&(key, count)| (count, key));
    if let Some(((algorithm, tag), count)) = worst.filter(|&(_, count)| count > COLLIDING_KEYS_MAX) {
        let message = format!(
            "{count} DNSKEYs of {name} have algorithm {algorithm} and tag {tag}: validators give up on so many \
             (RFC 4034 appendix B); replace all but one"
        );
        findings.warning("colliding-keys", line(rrset), name, message);
    }
}

/// More signatures than keys in use can explain.
fn signatures(rrset: &Rrset<'_>, name: NameRef<'_>, findings: &mut Findings) {
    if rrset.record_count() <= SIGNATURES_MAX {
        return;
    }
    let mut counts: HashMap<Rtype, usize> = HashMap::new();
    for signature in rrset.records().filter_map(|record| Rrsig::read(record.rdata)) {
        *counts.entry(signature.covered).or_default() += 1;
    }
    let worst = counts.into_iter().max_by_key(|&(covered, count)| (count, covered));
    if let Some((covered, count)) = worst.filter(|&(_, count)| count > SIGNATURES_MAX) {
        let message = format!(
            "{covered} at {name} has {count} RRSIGs: validators give up on more than a few; remove those of keys that \
             are gone"
        );
        findings.warning("many-signatures", line(rrset), name, message);
    }
}
