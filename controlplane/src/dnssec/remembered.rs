//! Zones as they were signed last, in memory: signatures over what stays the same are used again.
//!
//! Invariants: they take no more octets together than is said here; what was forgotten is signed anew, or read from what is
//! served; of what is not, octet by octet, what the gate let pass, every signature is verified again.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use snapshot::dns::zone::{Record, Zone};
use tracing::error;

use super::packed::Packed;
use super::{Dnssec, fresh_since};
use crate::store::DomainId;

/// How many octets the signed zones take together that are remembered: some 80,000 domains with ten RRsets.
const REMEMBERED_LEN_MAX: usize = 256 << 20;
/// How many are made free when these are full: all zones are gone through for that. A zone that takes more is not remembered.
const SPARE_LEN: usize = REMEMBERED_LEN_MAX / 16;
/// A signed zone with more records is not remembered: what is served of it can be read.
const REMEMBERED_ZONE_RECORDS_MAX: usize = 1 << 13;
/// What a zone takes besides the octets that it is packed in.
const ZONE_LEN: usize = 128;
/// What a record takes in a zone that is not packed.
const RECORD_LEN: usize = 200;

/// The records of a zone.
#[derive(Clone)]
enum Kept {
    /// In few octets.
    Packed(Arc<Packed>),
    /// As it is, because of its alternatives.
    Whole(Arc<Zone>),
}

/// A zone as it was signed last.
#[derive(Clone)]
pub(super) struct Remembered {
    /// The zone.
    kept: Kept,
    /// Since when nothing older was used for it, in seconds since 1970.
    pub(super) since: u64,
    /// Of all records. Files have digests; memory that is believed as they are must have them too.
    digest: blake3::Hash,
}

/// Zones as they were signed last.
#[derive(Default)]
pub(super) struct SignedZones {
    /// The zones.
    zones: HashMap<DomainId, Remembered>,
    /// How many octets they take together.
    len: usize,
}

impl Kept {
    /// Keeps a zone.
    fn of(zone: Zone) -> Kept {
        Packed::of(&zone).map_or_else(|| Kept::Whole(Arc::new(zone)), |packed| Kept::Packed(Arc::new(packed)))
    }

    /// How many octets it takes.
    fn len(&self) -> usize {
        ZONE_LEN
            + match self {
                Kept::Packed(packed) => packed.len(),
                Kept::Whole(zone) => zone.record_count_in_all() * RECORD_LEN,
            }
    }

    /// Its digest.
    fn digest(&self) -> blake3::Hash {
        match self {
            Kept::Packed(packed) => packed.digest(),
            Kept::Whole(zone) => digest_of(zone),
        }
    }
}

impl SignedZones {
    /// Keeps a zone, and forgets others if there is no room: any of them, as nobody knows which will change next. One
    /// that takes too much is not kept.
    fn keep(&mut self, domain: DomainId, zone: Remembered) {
        self.forget(domain);
        let len = zone.kept.len();
        if len > SPARE_LEN {
            return;
        }
        if self.len + len > REMEMBERED_LEN_MAX {
            let mut left = REMEMBERED_LEN_MAX - SPARE_LEN;
            self.zones.retain(|_, zone| match left.checked_sub(zone.kept.len()) {
                Some(behind) => {
                    left = behind;
                    true
                }
                None => false,
            });
            self.len = REMEMBERED_LEN_MAX - SPARE_LEN - left;
        }
        self.len += len;
        self.zones.insert(domain, zone);
    }

    /// Forgets a zone.
    fn forget(&mut self, domain: DomainId) {
        self.len -= self.zones.remove(&domain).map_or(0, |zone| zone.kept.len());
    }
}

impl Dnssec {
    /// Remembers a zone that was signed and has passed the gate, for the signatures over what stays the same.
    pub fn remember(&self, domain: DomainId, zone: Zone) {
        self.forget(domain);
        if zone.record_count_in_all() > REMEMBERED_ZONE_RECORDS_MAX {
            return;
        }
        // While the time is not known nothing is signed.
        let Ok(now) = self.clock.trusted() else { return };
        let since = fresh_since(domain, now.unix_secs());
        let kept = Kept::of(zone);
        let digest = kept.digest();
        self.signed_zones().keep(domain, Remembered { kept, since, digest });
    }

    /// Since when nothing older was used for a zone that is remembered, in seconds since 1970.
    pub(super) fn remembered_since(&self, domain: DomainId) -> Option<u64> {
        self.signed_zones().zones.get(&domain).map(|zone| zone.since)
    }

    /// A zone that is remembered, and whether it is what it was. O(octets of the zone), some microseconds for a small one.
    pub(super) fn recalled(&self, domain: DomainId) -> Option<(Arc<Zone>, bool)> {
        let Remembered { kept, digest, .. } = self.signed_zones().zones.get(&domain).cloned()?;
        let is_intact = kept.digest() == digest;
        let zone = match kept {
            Kept::Packed(packed) => packed.zone().map(Arc::new),
            Kept::Whole(zone) => Some(zone),
        };
        if !is_intact {
            let name = zone.as_ref().map_or_else(|| "a zone".to_owned(), |zone| zone.apex().to_string());
            error!("the memory of this machine fails: {name} is not what it was when it was signed");
        }
        Some((zone?, is_intact))
    }

    /// Changes what is remembered of a zone, as memory does that fails.
    #[cfg(test)]
    pub(crate) fn spoil(&self, domain: DomainId, zone: Zone) {
        self.signed_zones().zones.get_mut(&domain).unwrap().kept = Kept::of(zone);
    }

    /// Forgets a zone that was remembered.
    pub(super) fn forget(&self, domain: DomainId) {
        self.signed_zones().forget(domain);
    }

    /// What is remembered.
    fn signed_zones(&self) -> MutexGuard<'_, SignedZones> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
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
    use snapshot::dns::name::Name;
    use snapshot::dns::rtype::Rtype;
    use snapshot::dns::zone::ZoneBuilder;

    use super::*;

    #[test]
    fn some_are_forgotten_where_there_is_no_room() {
        let apex = Name::parse(b"example.test.", None).unwrap();
        let mut builder = ZoneBuilder::new(apex.clone());
        let rdata = vec![1; 65_000];
        for rtype in (1000..1064).map(Rtype) {
            builder.push(Record { owner: apex.as_ref(), rtype, ttl_secs: 60, rdata: &rdata, line: 0 }).unwrap();
        }
        let kept = Kept::of(builder.finish());
        let digest = kept.digest();
        let mut zones = SignedZones::default();
        let count = 3 * i64::try_from(REMEMBERED_LEN_MAX / kept.len()).unwrap();
        for domain in 0..count {
            zones.keep(DomainId(domain), Remembered { kept: kept.clone(), since: 0, digest });
            assert!(zones.zones.contains_key(&DomainId(domain)) && zones.len <= REMEMBERED_LEN_MAX);
        }
        assert!(zones.len > REMEMBERED_LEN_MAX / 10 * 9);
        assert_eq!(zones.len, zones.zones.len() * kept.len());
        (0..count).for_each(|domain| zones.forget(DomainId(domain)));
        assert_eq!((zones.len, zones.zones.len()), (0, 0));
    }
}
