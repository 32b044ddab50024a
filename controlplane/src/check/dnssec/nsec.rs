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
#[derive(Clone, Copy)]
struct Link<'s, 'z> {
    /// The owner.
    spot: &'s Spot<'z>,
    /// Its NSEC, if it has one.
    nsec: Option<(Record<'z>, Nsec<'z>)>,
}

/// Checks the whole chain.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) {
    let mut ttls = signed.denial_ttls();
    let mut ends: Option<(Link<'_, '_>, Link<'_, '_>)> = None;
    for spot in &signed.spots {
        let Some(link) = link(signed, spot, findings) else { continue };
        if let Some((record, nsec)) = &link.nsec {
            ttls.note(record);
            check_types(spot, record, nsec, findings);
        }
        if let Some((_, previous)) = ends {
            check_next(signed, previous, link, findings);
        }
        ends = Some((ends.map_or(link, |(first, _)| first), link));
    }
    if let Some((first, last)) = ends {
        check_next(signed, last, first, findings);
    }
    ttls.check(Rtype::NSEC, signed.zone.apex(), findings);
}

/// The link of an owner, if it belongs to the chain, with findings about its NSEC by itself.
fn link<'s, 'z>(signed: &Signed<'z>, spot: &'s Spot<'z>, findings: &mut Findings) -> Option<Link<'s, 'z>> {
    let name = spot.name;
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
    if !signed.owns(spot, Rtype::NSEC) {
        let what = if matches!(spot.place, Place::BelowDname(_)) { "DNAME" } else { "zone cut" };
        let message = format!("{name} is below a {what} and must not have NSEC (RFC 4035 section 2.3): remove it");
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

/// An NSEC names the next owner. In a part of a zone that may be one that is not there, but only one before the next that is.
fn check_next(signed: &Signed<'_>, link: Link<'_, '_>, next: Link<'_, '_>, findings: &mut Findings) {
    let Some((record, nsec)) = link.nsec else { return };
    let (owner, next_owner) = (link.spot.name, next.spot.name);
    if next.nsec.is_none() || nsec.next == next_owner {
        return;
    }
    let is_last = next_owner <= owner;
    if signed.measure.is_part() && owner < nsec.next && (is_last || nsec.next < next_owner) {
        return;
    }
    let message = format!(
        "NSEC at {owner} names {} as the next owner, it is {next_owner} (RFC 4034 section 4.1.1): the chain is broken; sign \
         again",
        nsec.next
    );
    findings.insecure("nsec-chain", record.line, owner, message);
}

/// The bitmap lists the types of its owner.
fn check_types(spot: &Spot<'_>, record: &Record<'_>, nsec: &Nsec<'_>, findings: &mut Findings) {
    if let Some(difference) = types_differ(nsec.types, || spot.types()) {
        let owner = spot.name;
        let message = format!("NSEC at {owner} {difference} (RFC 4034 section 4.1.2): sign again");
        findings.insecure("nsec-types", record.line, owner, message);
    }
}
