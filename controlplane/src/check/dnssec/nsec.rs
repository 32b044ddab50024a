//! The chain of NSEC records: each authoritative owner has one, it names the next, and the last names the apex.
//!
//! Signatures of NSEC are checked by `signatures`. Invariant: an owner without NSEC is one finding; the NSEC before it is
//! not blamed for naming it or for skipping it. RFC 4034 section 4, RFC 4035 section 2.3.

use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;

use super::super::place::Place;
use super::super::{Findings, line};
use super::rdata::Nsec;
use super::{Signed, Spot, types_differ};

/// An owner of the chain.
struct Link<'s, 'z> {
    /// The owner.
    spot: &'s Spot<'z>,
    /// Its NSEC, if it has one.
    nsec: Option<(Record<'z>, Nsec<'z>)>,
}

/// Checks the whole chain.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) {
    let mut links = Vec::new();
    for spot in &signed.spots {
        if let Some(link) = link(spot, findings) {
            links.push(link);
        }
    }
    let ttls: Vec<_> =
        links.iter().filter_map(|link| link.nsec.map(|(record, _)| (record.ttl_secs, record.line))).collect();
    signed.check_denial_ttls(Rtype::NSEC, &ttls, findings);
    for (idx, link) in links.iter().enumerate() {
        let Some((record, nsec)) = &link.nsec else { continue };
        let next = &links[(idx + 1) % links.len()];
        check_types(link.spot, record, nsec, findings);
        if next.nsec.is_some() && nsec.next != next.spot.name() {
            let (owner, next) = (link.spot.name(), next.spot.name());
            let message = format!(
                "NSEC at {owner} names {} as the next owner, it is {next} (RFC 4034 section 4.1.1): the chain is broken; \
                 sign again",
                nsec.next
            );
            findings.insecure("nsec-chain", record.line, owner, message);
        }
    }
}

/// The link of an owner, if it belongs to the chain, with findings about its NSEC by itself.
fn link<'s, 'z>(spot: &'s Spot<'z>, findings: &mut Findings) -> Option<Link<'s, 'z>> {
    let name = spot.name();
    let rrset = spot.owner.rrset(Rtype::NSEC);
    if spot.place == Place::Outside || (spot.place == Place::Hashed && rrset.is_none()) {
        return None;
    }
    let Some(rrset) = rrset else {
        if !spot.is_authoritative() {
            return None;
        }
        let message = format!("{name} has no NSEC (RFC 4035 section 2.3): its types are not proven; sign again");
        findings.insecure("missing-nsec", spot.line(), name, message);
        return Some(Link { spot, nsec: None });
    };
    if matches!(spot.place, Place::BelowCut(_)) {
        let message = format!("{name} is below a zone cut and must not have NSEC (RFC 4035 section 2.3): remove it");
        findings.insecure("nsec-below-cut", line(&rrset), name, message);
        return None;
    }
    if rrset.record_count() > 1 {
        let message = format!("{name} has {} NSEC records, it can have one (RFC 4034 section 4)", rrset.record_count());
        findings.insecure("multiple-nsec", line(&rrset), name, message);
    }
    let record = rrset.records().next()?;
    let nsec = Nsec::read(record.rdata)?;
    Some(Link { spot, nsec: Some((record, nsec)) })
}

/// The bitmap lists the types of its owner.
fn check_types(spot: &Spot<'_>, record: &Record<'_>, nsec: &Nsec<'_>, findings: &mut Findings) {
    if let Some(difference) = types_differ(&nsec.types.types(), &spot.types()) {
        let owner = spot.name();
        let message = format!("NSEC at {owner} {difference} (RFC 4034 section 4.1.2): sign again");
        findings.insecure("nsec-types", record.line, owner, message);
    }
}
