//! A signed zone, or an owner of one, that is kept in memory with a digest.
//!
//! Files have digests; memory that is believed as they are must have them too. Invariant: the digest is of what the gate was
//! given then, and was taken before it judged, so that no octet that changed since is believed.

use std::sync::Arc;

use snapshot::dns::zone::{Record, Zone};

use super::packed::Packed;

/// What a zone takes besides: its place in a table that may be half empty, and what the allocator adds.
const ZONE_LEN: usize = 256;

/// A zone that is kept, and its digest.
pub struct Kept {
    /// The zone.
    form: Form,
    /// See [`digest_of`].
    digest: blake3::Hash,
}

/// How a zone is kept.
enum Form {
    /// In few octets.
    Packed(Packed),
    /// As it is, because of its alternatives.
    Whole(Arc<Zone>),
}

impl Form {
    /// Of a zone.
    fn of(zone: Arc<Zone>) -> Form {
        Packed::of(&zone).map_or(Form::Whole(zone), Form::Packed)
    }
}

impl Kept {
    /// Keeps a zone that had this digest before it was judged.
    #[must_use]
    pub fn new(zone: Arc<Zone>, digest: blake3::Hash) -> Kept {
        Kept { form: Form::of(zone), digest }
    }

    /// About how many octets of memory it takes.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        ZONE_LEN
            + match &self.form {
                Form::Packed(packed) => packed.len(),
                Form::Whole(zone) => size_of::<Zone>() + zone.memory_len(),
            }
    }

    /// The zone, and whether it is what the gate was given; `None` if nothing can be made of it. O(octets), some
    /// microseconds for a small one.
    #[must_use]
    pub fn zone(&self) -> Option<(Arc<Zone>, bool)> {
        let zone = match &self.form {
            Form::Packed(packed) => Arc::new(packed.zone()?),
            Form::Whole(zone) => Arc::clone(zone),
        };
        let is_intact = digest_of(&zone) == self.digest;
        Some((zone, is_intact))
    }

    /// Changes the zone, as memory does that fails.
    #[cfg(test)]
    pub(crate) fn spoiled(&self, zone: Zone) -> Kept {
        Kept::new(Arc::new(zone), self.digest)
    }
}

/// The digest of all records, those included that may be answered in place of RRsets.
#[must_use]
pub fn digest_of(zone: &Zone) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    add_records(&mut hasher, zone);
    for (owner, rtype, choice) in zone.choices() {
        hasher.update(owner.as_wire()).update(&rtype.0.to_be_bytes());
        choice.alternatives().for_each(|alternative| add_records(&mut hasher, &alternative.zone));
    }
    hasher.finalize()
}

/// Adds the records of a zone, and how many there are.
fn add_records(hasher: &mut blake3::Hasher, zone: &Zone) {
    let len = |octets: &[u8]| u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes();
    hasher.update(&(zone.record_count() as u64).to_be_bytes());
    let mut add = |Record { owner, rtype, ttl_secs, rdata, .. }: Record<'_>| {
        hasher.update(owner.as_wire()).update(&rtype.0.to_be_bytes()).update(&ttl_secs.to_be_bytes());
        hasher.update(&len(rdata)).update(rdata);
    };
    for owner in zone.owners() {
        owner.rrsets().for_each(|rrset| rrset.records().for_each(&mut add));
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::choice::{Choice, Member};
    use snapshot::dns::name::Name;
    use snapshot::dns::rtype::Rtype;
    use snapshot::dns::zone::ZoneBuilder;

    use super::*;

    /// A zone with these TXT RDATA, of which one is answered if some may be chosen.
    fn zone(rdatas: &[Vec<u8>], may_choose: bool) -> Arc<Zone> {
        let apex = Name::parse(b"example.test.", None).unwrap();
        let mut builder = ZoneBuilder::new(apex.clone());
        for rdata in rdatas {
            builder.push(Record { owner: apex.as_ref(), rtype: Rtype::A, ttl_secs: 60, rdata, line: 0 }).unwrap();
        }
        if may_choose {
            let members: Vec<Member<'_>> =
                rdatas.iter().map(|rdata| Member { region: Default::default(), weight: 1, rdata }).collect();
            let choice = Choice::of(apex.as_ref(), apex.as_ref(), Rtype::A, 60, &members).unwrap().unwrap();
            builder.choose(apex.as_ref(), Rtype::A, choice);
        }
        Arc::new(builder.finish())
    }

    #[test]
    fn what_changed_after_the_digest_was_taken_is_told() {
        for may_choose in [false, true] {
            let [before, after] = [zone(&[vec![1; 9]], may_choose), zone(&[vec![2; 9]], may_choose)];
            let digest = digest_of(&before);
            assert!(Kept::new(before, digest).zone().unwrap().1);
            assert!(!Kept::new(after, digest).zone().unwrap().1);
        }
    }

    #[test]
    fn all_octets_count_also_where_some_are_chosen() {
        let rdatas = [vec![1; 60_000], vec![2; 60_000]];
        for (may_choose, times) in [(false, 1), (true, 2)] {
            let zone = zone(&rdatas, may_choose);
            let digest = digest_of(&zone);
            let len = Kept::new(zone, digest).memory_len();
            assert!((times * 120_000..times * 140_000 + 120_000).contains(&len), "{len}");
        }
    }
}
