//! CDS and CDNSKEY records: what the parent zone is asked to publish must lead to a key that is there.
//!
//! The parent is not asked. Invariant: a signed zone whose CDS or CDNSKEY RRset would make its chain of trust end is
//! wrong whether or not DNSSEC is required, because a parent that follows it takes the zone off the air; in an unsigned
//! zone nobody follows it. RFC 7344 section 4.1, RFC 8078 section 4.

use std::collections::BTreeSet;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Rrset, Zone};

use super::super::{Findings, line};
use super::Signed;
use super::crypto::ds_digest;
use super::rdata::{Dnskey, Ds};

/// The one CDS that asks for the removal of all DS (RFC 8078 section 4).
const CDS_DELETE: &[u8] = &[0, 0, 0, 0, 0];
/// The CDNSKEY that does.
const CDNSKEY_DELETE: &[u8] = &[0, 0, 3, 0, 0];
/// The algorithm number of both.
const ALGORITHM_DELETE: u8 = 0;

/// A record of either type, reduced to what the rules need.
struct Request {
    /// Its line.
    line: u32,
    /// Algorithm of the key.
    algorithm: u8,
    /// Whether it asks for the removal, in exactly the form it must have.
    is_delete: bool,
    /// Whether a key fits; `None` if nobody can tell.
    fits: Option<bool>,
}

/// Checks the records of a zone that has no keys: there is nothing they can be about but a removal.
pub(super) fn check_unsigned(zone: &Zone, findings: &mut Findings) {
    let Some(apex) = zone.owner(zone.apex()) else { return };
    for rrset in apex.rrsets().filter(|rrset| matches!(rrset.rtype(), Rtype::CDS | Rtype::CDNSKEY)) {
        let rtype = rrset.rtype();
        let message = format!(
            "{rtype} at {} is of no use: the zone is not signed, so no parent may follow it (RFC 7344 section 4.1)",
            apex.name()
        );
        findings.warning("cds-unsigned", line(&rrset), apex.name(), message);
    }
}

/// Checks the records of a signed zone.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) {
    let name = signed.zone.apex();
    let Some(apex) = signed.zone.owner(name) else { return };
    let cds = apex.rrset(Rtype::CDS);
    let cdnskey = apex.rrset(Rtype::CDNSKEY);
    let canonical = name.to_name().to_canonical();
    let algorithms = signed.keys.iter().map(|key| key.algorithm).collect();
    if let Some(rrset) = &cds {
        check_rrset(rrset, &requests_of_cds(rrset, signed, &canonical), &algorithms, name, findings);
    }
    if let Some(rrset) = &cdnskey {
        check_rrset(rrset, &requests_of_cdnskey(rrset, signed), &algorithms, name, findings);
    }
    if let (Some(cds), Some(cdnskey)) = (&cds, &cdnskey) {
        agree(cds, cdnskey, &canonical, findings);
    }
}

/// Applies the rules to one RRset.
fn check_rrset(
    rrset: &Rrset<'_>,
    requests: &[Request],
    algorithms: &BTreeSet<u8>,
    name: NameRef<'_>,
    findings: &mut Findings,
) {
    let rtype = rrset.rtype();
    if let Some(request) = requests.iter().find(|request| request.algorithm == ALGORITHM_DELETE && !request.is_delete) {
        let form = if rtype == Rtype::CDS { "0 0 0 00" } else { "0 3 0 AA==" };
        let message =
            format!("{rtype} at {name} has algorithm 0 but is not `{form}` (RFC 8078 section 4): write it so");
        return findings.wrong("cds-delete", request.line, name, message);
    }
    if requests.iter().any(|request| request.is_delete) && requests.len() > 1 {
        let message = format!(
            "{rtype} at {name} asks for the removal of all DS and for some of them (RFC 8078 section 4): keep one request"
        );
        return findings.wrong("cds-delete", line(rrset), name, message);
    }
    for request in requests.iter().filter(|request| !request.is_delete) {
        let (line, algorithm) = (request.line, request.algorithm);
        if !algorithms.contains(&algorithm) {
            // A digest may come before its key in a rollover, an algorithm never: the zone must be signed with it first.
            let message = format!(
                "{rtype} at {name} has algorithm {algorithm} and no DNSKEY has: a parent that follows it breaks the zone \
                 (RFC 6781 section 4.1.4); sign with that algorithm first"
            );
            findings.wrong("cds-breaks-chain", line, name, message);
        } else if request.fits == Some(false) {
            let message = format!("{rtype} at {name} fits no DNSKEY of the zone (RFC 7344 section 4.1): remove it");
            findings.insecure("cds-without-key", line, name, message);
        }
    }
}

/// CDS records against the keys.
fn requests_of_cds(rrset: &Rrset<'_>, signed: &Signed<'_>, apex: &Name) -> Vec<Request> {
    let request = |record: snapshot::dns::zone::Record<'_>| {
        let cds = Ds::read(record.rdata)?;
        let keys = || signed.keys.iter().filter(|key| key.algorithm == cds.algorithm && key.tag() == cds.key_tag);
        let fits = match ds_digest(cds.digest_type, &[]) {
            Some(_) => Some(keys().any(|key| digest_of(key, cds.digest_type, apex).as_deref() == Some(cds.digest))),
            None => keys().next().is_none().then_some(false),
        };
        let is_delete = cds.rdata == CDS_DELETE;
        Some(Request { line: record.line, algorithm: cds.algorithm, is_delete, fits })
    };
    rrset.records().filter_map(request).collect()
}

/// CDNSKEY records against the keys: they must be the same but for nothing.
fn requests_of_cdnskey(rrset: &Rrset<'_>, signed: &Signed<'_>) -> Vec<Request> {
    let request = |record: snapshot::dns::zone::Record<'_>| {
        let cdnskey = Dnskey::read(record.rdata)?;
        let fits = Some(signed.keys.iter().any(|key| *key == cdnskey));
        let is_delete = cdnskey.rdata == CDNSKEY_DELETE;
        Some(Request { line: record.line, algorithm: cdnskey.algorithm, is_delete, fits })
    };
    rrset.records().filter_map(request).collect()
}

/// The digest that a DS of a key at the apex has (RFC 4034 section 5.1.4).
fn digest_of(key: &Dnskey<'_>, digest_type: u8, apex: &Name) -> Option<Vec<u8>> {
    ds_digest(digest_type, &[apex.as_ref().as_wire(), key.rdata].concat())
}

/// If both types are there, they must ask for the same (RFC 7344 section 4).
fn agree(cds: &Rrset<'_>, cdnskey: &Rrset<'_>, apex: &Name, findings: &mut Findings) {
    let keys: Vec<Vec<u8>> = cdnskey.records().map(|record| record.rdata.to_vec()).collect();
    let keys: Vec<Dnskey<'_>> = keys.iter().filter_map(|rdata| Dnskey::read(rdata)).collect();
    let digests: Vec<(u32, Vec<u8>)> = cds.records().map(|record| (record.line, record.rdata.to_vec())).collect();
    let is_of = |cds: &Ds<'_>, key: &Dnskey<'_>| {
        let is_removal = cds.algorithm == ALGORITHM_DELETE && key.algorithm == ALGORITHM_DELETE;
        let same = || match ds_digest(cds.digest_type, &[]) {
            Some(_) => digest_of(key, cds.digest_type, apex).as_deref() == Some(cds.digest),
            None => true,
        };
        is_removal || (cds.algorithm == key.algorithm && cds.key_tag == key.tag() && same())
    };
    let requests: Vec<(u32, Ds<'_>)> =
        digests.iter().filter_map(|(line, rdata)| Some((*line, Ds::read(rdata)?))).collect();
    for (line, request) in requests.iter().filter(|(_, cds)| !keys.iter().any(|key| is_of(cds, key))) {
        let message = format!(
            "CDS {} at {apex} has no CDNSKEY beside it, but there are others (RFC 7344 section 4): publish both",
            request.key_tag
        );
        findings.insecure("cds-disagrees", *line, apex.as_ref(), message);
    }
    for key in keys.iter().filter(|key| !requests.iter().any(|(_, cds)| is_of(cds, key))) {
        let message = format!(
            "CDNSKEY {} at {apex} has no CDS beside it, but there are others (RFC 7344 section 4): publish both",
            key.tag()
        );
        findings.insecure("cds-disagrees", line(cdnskey), apex.as_ref(), message);
    }
}
