//! The ZONEMD record: a digest over the whole zone.
//!
//! It is checked whether or not the zone is signed. Invariant: a digest of another serial, scheme or hash is not computed.
//! RFC 8976.

use std::collections::BTreeSet;

use snapshot::dns::name::NameRef;
use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Zone};

use super::super::{Findings, line};
use super::crypto;
use super::rdata::{Rrsig, Zonemd};

/// The SIMPLE scheme, the only one (RFC 8976 section 3.1).
const SCHEME_SIMPLE: u8 = 1;
/// Class IN, which all zones are of.
const CLASS_IN: [u8; 2] = [0, 1];

/// Checks the ZONEMD records at the apex; elsewhere they mean nothing (RFC 8976 section 2).
pub(super) fn check(zone: &Zone, findings: &mut Findings) {
    let name = zone.apex();
    let Some(apex) = zone.owner(name) else { return };
    let Some(rrset) = apex.rrset(Rtype::ZONEMD) else { return };
    let mut seen = BTreeSet::new();
    for record in rrset.records() {
        let Some(zonemd) = Zonemd::read(record.rdata) else { continue };
        let Zonemd { scheme, hash_algorithm, .. } = zonemd;
        if !seen.insert((scheme, hash_algorithm)) {
            let message = format!(
                "{name} has several ZONEMD of scheme {scheme} and hash {hash_algorithm}, so none counts (RFC 8976 section 2)"
            );
            findings.insecure("multiple-zonemd", line(&rrset), name, message);
        } else if let Some((code, message)) = mistake(zone, &apex, &zonemd) {
            findings.insecure(code, record.line, name, message);
        } else if scheme != SCHEME_SIMPLE || crypto::zonemd_hash(hash_algorithm).is_none() {
            let message = format!(
                "ZONEMD of {name} with scheme {scheme} and hash {hash_algorithm} is not verified: it is not known here"
            );
            findings.warning("zonemd-unknown", record.line, name, message);
        }
    }
}

/// What is wrong with one record.
fn mistake(zone: &Zone, apex: &OwnerRecords<'_>, zonemd: &Zonemd<'_>) -> Option<(&'static str, String)> {
    let name = zone.apex();
    let serial = apex.rrset(Rtype::SOA).and_then(|soa| serial(soa.records().next()?.rdata))?;
    if zonemd.serial != serial {
        let message = format!(
            "ZONEMD of {name} is for serial {}, the SOA has {serial} (RFC 8976 section 4): compute it again",
            zonemd.serial
        );
        return Some(("zonemd-serial", message));
    }
    let digest = (zonemd.scheme == SCHEME_SIMPLE).then(|| digest(zone, zonemd.hash_algorithm)).flatten()?;
    (digest != zonemd.digest).then(|| {
        let message = format!(
            "ZONEMD of {name} is not the digest of this zone (RFC 8976 section 4): the zone changed after it was computed"
        );
        ("zonemd-digest", message)
    })
}

/// The serial of a SOA.
pub(crate) fn serial(rdata: &[u8]) -> Option<u32> {
    let numbers = rdata.last_chunk::<20>()?;
    numbers.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
}

/// The digest of the zone by the SIMPLE scheme (RFC 8976 section 3.3.1); `None` for a hash that is not known.
pub(crate) fn digest(zone: &Zone, hash_algorithm: u8) -> Option<Vec<u8>> {
    let mut context = crypto::zonemd_hash(hash_algorithm)?;
    let apex = zone.apex();
    for owner in zone.owners().filter(|owner| owner.name().is_at_or_below(apex)) {
        let name = owner.name().as_wire().to_ascii_lowercase();
        for rrset in owner.rrsets() {
            let mut records: Vec<_> = rrset
                .records()
                .filter(|record| is_digested(record, apex))
                .map(|record| (canonical_rdata(record.rtype, record.rdata), record.ttl_secs))
                .collect();
            records.sort_unstable();
            records.dedup_by(|b, a| a.0 == b.0);
            for (rdata, ttl_secs) in records {
                context.update(&name);
                context.update(&rrset.rtype().0.to_be_bytes());
                context.update(&CLASS_IN);
                context.update(&ttl_secs.to_be_bytes());
                context.update(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
                context.update(&rdata);
            }
        }
    }
    Some(context.finish().as_ref().to_vec())
}

/// Whether a record is part of the digest: the ZONEMD at the apex and its signatures are not.
fn is_digested(record: &Record<'_>, apex: NameRef<'_>) -> bool {
    if record.owner != apex {
        return true;
    }
    let covers_zonemd = || Rrsig::read(record.rdata).is_some_and(|signature| signature.covered == Rtype::ZONEMD);
    record.rtype != Rtype::ZONEMD && !(record.rtype == Rtype::RRSIG && covers_zonemd())
}
