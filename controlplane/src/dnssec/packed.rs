//! A signed zone in few octets, to be remembered: half of what is left are signatures.
//!
//! Of each owner its labels below the apex are kept, and of RDATA what is before and behind the name of the zone, which most
//! RDATA of a signed zone has (RFC 4034 sections 3.1.7 and 4.1.1). Invariant: what is unpacked has the same records, octet by
//! octet.

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

/// A zone without alternatives: its apex, then each owner with its records.
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    /// Packs a zone; `None` if alternatives may be answered in it, or if one name has several spellings, which would be lost.
    pub(super) fn of(zone: &Zone) -> Option<Packed> {
        if zone.choices().next().is_some() {
            return None;
        }
        let apex = zone.apex().as_wire();
        let mut octets = Vec::new();
        push_part(&mut octets, apex)?;
        for owner in zone.owners() {
            let name = owner.name().as_wire();
            push_part(&mut octets, name.strip_suffix(apex)?)?;
            let count = owner.rrsets().map(|rrset| rrset.records().count()).sum::<usize>();
            octets.extend(u16::try_from(count).ok()?.to_le_bytes());
            for rrset in owner.rrsets() {
                let mut records = rrset.records();
                records.try_for_each(|record| {
                    if record.owner.as_wire() == name { push_record(&mut octets, &record, apex) } else { None }
                })?;
            }
        }
        Some(Packed(octets.into()))
    }

    /// How many octets it takes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The zone; `None` if it is damaged.
    pub(super) fn zone(&self) -> Option<Zone> {
        let mut rest = &*self.0;
        let apex = Name::from_wire(take_part(&mut rest)?).ok()?;
        let mut builder = ZoneBuilder::new(apex.clone());
        let mut wire = Vec::new();
        let mut rdata = Vec::new();
        while !rest.is_empty() {
            wire.clear();
            wire.extend_from_slice(take_part(&mut rest)?);
            wire.extend_from_slice(apex.as_wire());
            let owner = NameRef::prefix_of(&wire).ok()?;
            for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
                let rtype = Rtype(u16::from_le_bytes(take(&mut rest)?));
                let ttl_secs = u32::from_le_bytes(take(&mut rest)?);
                let [has_apex] = take(&mut rest)?;
                rdata.clear();
                rdata.extend_from_slice(take_part(&mut rest)?);
                if has_apex != 0 {
                    rdata.extend_from_slice(apex.as_wire());
                    rdata.extend_from_slice(take_part(&mut rest)?);
                }
                builder.push(Record { owner, rtype, ttl_secs, rdata: &rdata, line: 0 }).ok()?;
            }
        }
        Some(builder.finish())
    }
}

/// Adds octets with their length before them; `None` if they are too many for any RDATA.
fn push_part(octets: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    octets.extend(u16::try_from(part.len()).ok()?.to_le_bytes());
    octets.extend_from_slice(part);
    Some(())
}

/// Adds a record: type, TTL, whether the apex is in its RDATA, and what is before and behind that.
fn push_record(octets: &mut Vec<u8>, record: &Record<'_>, apex: &[u8]) -> Option<()> {
    octets.extend(record.rtype.0.to_le_bytes());
    octets.extend(record.ttl_secs.to_le_bytes());
    let at = record.rdata.windows(apex.len()).position(|window| window == apex);
    octets.push(u8::from(at.is_some()));
    push_part(octets, &record.rdata[..at.unwrap_or(record.rdata.len())])?;
    at.map_or(Some(()), |at| push_part(octets, &record.rdata[at + apex.len()..]))
}

/// Takes octets of a fixed number.
fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

/// Takes octets with their length before them.
fn take_part<'o>(rest: &mut &'o [u8]) -> Option<&'o [u8]> {
    let len = u16::from_le_bytes(take(rest)?);
    let (part, behind) = rest.split_at_checked(usize::from(len))?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All records of a zone.
    fn records(zone: &Zone) -> Vec<(Name, Rtype, u32, Vec<u8>)> {
        let mut all = Vec::new();
        for rrset in zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>()) {
            all.extend(rrset.records().map(|record| {
                let Record { owner, rtype, ttl_secs, rdata, .. } = record;
                (owner.to_name(), rtype, ttl_secs, rdata.to_vec())
            }));
        }
        all
    }

    #[test]
    fn a_zone_comes_back_as_it_was() {
        let apex = b"\x07Example\x04test\0";
        for apex in [&apex[..], b"\0"] {
            let name = |below: &[u8]| Name::from_wire(&[below, apex].concat()).unwrap();
            let mut builder = ZoneBuilder::new(name(b""));
            let rdatas = [apex.to_vec(), [&b"\x01a"[..], apex, apex, b"behind"].concat(), Vec::new(), vec![7; 65_535]];
            for (ttl_secs, rdata) in (60..).zip(&rdatas) {
                for (below, rtype) in
                    [(&b""[..], Rtype::TXT), (b"\x01A\x02bb", Rtype(65_280)), (b"\x01*", Rtype::RRSIG)]
                {
                    let owner = name(below);
                    builder.push(Record { owner: owner.as_ref(), rtype, ttl_secs, rdata, line: 0 }).unwrap();
                }
            }
            let zone = builder.finish();
            let packed = Packed::of(&zone).unwrap();
            assert_eq!(records(&packed.zone().unwrap()), records(&zone));
            for len in 1..200 {
                // Where it ends between two owners nobody can tell, which is what the digest is for.
                drop(Packed(packed.0[..packed.len() - len].into()).zone());
            }
        }
    }

    #[test]
    fn names_of_several_spellings_are_not_packed() {
        for owners in [[&b"\x01a\x04TEST\0"[..]; 2], [b"\x01a\x04test\0", b"\x01A\x04test\0"]] {
            let mut builder = ZoneBuilder::new(Name::from_wire(b"\x04test\0").unwrap());
            for (rdata, owner) in [[1], [2]].iter().zip(owners) {
                let owner = Name::from_wire(owner).unwrap();
                builder
                    .push(Record { owner: owner.as_ref(), rtype: Rtype::TXT, ttl_secs: 60, rdata, line: 0 })
                    .unwrap();
            }
            assert!(Packed::of(&builder.finish()).is_none());
        }
    }
}
