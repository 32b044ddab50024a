//! What was published before, as the signer asks for it: signatures over RRsets that did not change are used again. The gate
//! asks for it too, and does not verify those again.
//!
//! It does not say what may be used, see `rrsig`.

use std::ops::Range;

use snapshot::dns::choice::ALTERNATIVES_MAX;
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

    /// Hands the records of what could be answered in place of an RRset to `each`, signatures among them, with the place of
    /// the alternative that each record is of; whatever is not known is signed anew.
    fn alternatives(&self, _owner: NameRef<'_>, _rtype: Rtype, _each: &mut dyn FnMut(usize, Record<'_>)) {}
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

    fn alternatives(&self, owner: NameRef<'_>, rtype: Rtype, each: &mut dyn FnMut(usize, Record<'_>)) {
        let alternatives = self.choice(owner, rtype).into_iter().flat_map(|choice| choice.alternatives());
        for (at, alternative) in alternatives.enumerate() {
            Published::records(&alternative.zone, owner, &mut |record| each(at, record));
        }
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
        let set = Set::of(rrset);
        let has_it = |previous: &Previous| {
            let has_rrsig = previous.of_type(Rtype::RRSIG).any(|(_, rdata)| rdata == rrsig);
            has_rrsig && previous.has(&set, &set.canonical())
        };
        // Either was verified with its signatures then, and it is the same octets that count.
        has_it(&Previous::read(self.published, owner))
            || Previous::read_alternatives(self.published, owner, rrset.rtype()).iter().any(has_it)
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
        published.records(owner, &mut |record| previous.push(&record));
        previous
    }

    /// Asks for what could be answered in place of an RRset: each alternative by itself.
    pub(super) fn read_alternatives(published: &dyn Published, owner: NameRef<'_>, rtype: Rtype) -> Vec<Previous> {
        let mut alternatives: Vec<Previous> = Vec::new();
        published.alternatives(owner, rtype, &mut |at, record| {
            if at < ALTERNATIVES_MAX {
                alternatives.resize_with(alternatives.len().max(at + 1), Previous::default);
                alternatives[at].push(&record);
            }
        });
        alternatives
    }

    /// Takes in a record.
    fn push(&mut self, record: &Record<'_>) {
        let start = self.octets.len();
        self.octets.extend_from_slice(record.rdata);
        self.records.push((record.rtype, record.ttl_secs, start..self.octets.len()));
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
