//! What was published before, as the signer asks for it: signatures over RRsets that did not change are used again. The gate
//! asks for it too, and does not verify those again.
//!
//! It does not say what may be used, see `rrsig`.

use std::ops::Range;

use snapshot::dns::choice::Choice;
use snapshot::dns::name::NameRef;
use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Rrset, Zone};

use super::Set;
use crate::check::dnssec::gate;
use crate::check::dnssec::rdata::Dnskey;

/// A zone as it was published before. `()` knows nothing.
pub trait Published: Sync {
    /// Hands all records of `owner` to `each`, in any order, signatures and NSEC among them; none if it has none. Names
    /// are compared without regard to case. Whatever cannot be read may be missing: it is signed anew then.
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>));

    /// What could be answered in place of an RRset, with signatures; whatever is not known is signed anew.
    fn choice(&self, _owner: NameRef<'_>, _rtype: Rtype) -> Option<&Choice> {
        None
    }
}

impl Published for () {
    fn records(&self, _owner: NameRef<'_>, _each: &mut dyn FnMut(Record<'_>)) {}
}

impl Published for Zone {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) {
        for rrset in self.owner(owner).iter().flat_map(|owner| owner.rrsets()) {
            rrset.records().for_each(&mut *each);
        }
    }

    fn choice(&self, owner: NameRef<'_>, rtype: Rtype) -> Option<&Choice> {
        Zone::choice(self, owner, rtype)
    }
}

/// What was published before, for the gate, which it has passed.
pub struct Before<'p> {
    /// All of it.
    published: &'p dyn Published,
    /// Algorithm, tag and RDATA of its DNSKEY.
    keys: Vec<(u8, u16, Vec<u8>)>,
}

impl<'p> Before<'p> {
    /// The zone with this apex.
    #[must_use]
    pub fn new(published: &'p dyn Published, apex: NameRef<'_>) -> Before<'p> {
        let records = Previous::read(published, apex);
        let keys = records.of_type(Rtype::DNSKEY).filter_map(|(_, rdata)| {
            let key = Dnskey::read(rdata)?;
            Some((key.algorithm, key.tag(), rdata.to_vec()))
        });
        Before { published, keys: keys.collect() }
    }
}

impl gate::Before for Before<'_> {
    fn has_key(&self, algorithm: u8, tag: u16, dnskey: &[u8]) -> bool {
        let mut alike = self.keys.iter().filter(|key| (key.0, key.1) == (algorithm, tag));
        alike.next().is_some_and(|(.., rdata)| rdata == dnskey) && alike.next().is_none()
    }

    fn has_signature(&self, owner: NameRef<'_>, rrset: &Rrset<'_>, rrsig: &[u8]) -> bool {
        let previous = Previous::read(self.published, owner);
        let has_it = previous.of_type(Rtype::RRSIG).any(|(_, rdata)| rdata == rrsig);
        let set = Set::of(rrset);
        has_it && previous.has(&set, &set.canonical())
    }
}

/// The published records of one owner.
#[derive(Default)]
pub(super) struct Previous {
    /// RDATA, one after the other.
    octets: Vec<u8>,
    /// Type, TTL and where the RDATA is.
    records: Vec<(Rtype, u32, Range<usize>)>,
}

impl Previous {
    /// Asks for the records of an owner.
    pub(super) fn read(published: &dyn Published, owner: NameRef<'_>) -> Previous {
        let mut previous = Previous::default();
        published.records(owner, &mut |record| {
            let start = previous.octets.len();
            previous.octets.extend_from_slice(record.rdata);
            previous.records.push((record.rtype, record.ttl_secs, start..previous.octets.len()));
        });
        previous
    }

    /// The RDATA of one type, with TTL.
    pub(super) fn of_type(&self, rtype: Rtype) -> impl Iterator<Item = (u32, &[u8])> {
        let records = self.records.iter().filter(move |(of, ..)| *of == rtype);
        records.map(|(_, ttl_secs, range)| (*ttl_secs, &self.octets[range.clone()]))
    }

    /// Whether an RRset was published as it is now; `canonical` is its RDATA as they are signed.
    pub(super) fn has(&self, set: &Set<'_>, canonical: &[impl AsRef<[u8]>]) -> bool {
        if self.of_type(set.rtype).any(|(ttl_secs, _)| ttl_secs != set.ttl_secs) {
            return false;
        }
        let mut before: Vec<_> = self.of_type(set.rtype).map(|(_, rdata)| canonical_rdata(set.rtype, rdata)).collect();
        before.sort_unstable();
        before.dedup();
        before.len() == canonical.len() && before.iter().zip(canonical).all(|(before, now)| **before == *now.as_ref())
    }
}
