//! Zones as they were signed last, in memory: signatures over what stays the same are used again.
//!
//! Invariants: they take no more octets together than is said here; what was forgotten is signed anew, or read from what is
//! served; of what is not, octet by octet, what the gate let pass, every signature is verified again.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, MutexGuard, PoisonError};

use snapshot::dns::zone::Zone;
use tracing::error;

use super::kept::Kept;
use super::{Dnssec, Signed, fresh_since};
use crate::store::DomainId;

/// How many octets the signed zones take together that are remembered: some 80,000 domains with ten RRsets.
const REMEMBERED_LEN_MAX: usize = 256 << 20;
/// Which share of the zones is forgotten when these are full: all are gone through for that. One that takes a larger share is
/// not remembered.
const FORGOTTEN_SHARE: u64 = 16;
/// A signed zone with more records is not remembered: what is served of it can be read.
pub(super) const REMEMBERED_ZONE_RECORDS_MAX: usize = 1 << 13;

/// A zone as it was signed last.
struct Remembered {
    /// The zone.
    kept: Arc<Kept>,
    /// Since when nothing older was used for it, in seconds since 1970.
    since: u64,
}

/// Zones as they were signed last.
#[derive(Default)]
pub(super) struct SignedZones {
    /// The zones.
    zones: HashMap<DomainId, Remembered>,
    /// How many octets they take together.
    len: usize,
    /// How many times there was no room.
    fullness: u64,
}

impl SignedZones {
    /// Keeps a zone, and forgets others if there is no room: by chance, as nobody knows which will change next, and so that
    /// what changes now and then is likely to stay. One that takes too much is not kept.
    fn keep(&mut self, domain: DomainId, zone: Remembered) {
        self.forget(domain);
        let len = zone.kept.memory_len();
        if len as u64 > REMEMBERED_LEN_MAX as u64 / FORGOTTEN_SHARE {
            return;
        }
        while self.len + len > REMEMBERED_LEN_MAX {
            self.fullness += 1;
            let (chance, fullness) = (self.zones.hasher().clone(), self.fullness);
            self.zones.retain(|domain, zone| {
                let stays = !chance.hash_one((domain, fullness)).is_multiple_of(FORGOTTEN_SHARE);
                self.len -= if stays { 0 } else { zone.kept.memory_len() };
                stays
            });
        }
        self.len += len;
        self.zones.insert(domain, zone);
    }

    /// Forgets a zone.
    fn forget(&mut self, domain: DomainId) {
        self.len -= self.zones.remove(&domain).map_or(0, |zone| zone.kept.memory_len());
    }
}

impl Dnssec {
    /// Remembers a zone that was signed and has passed the gate, for the signatures over what stays the same.
    pub fn remember(&self, domain: DomainId, signed: Signed) {
        self.forget(domain);
        // While the time is not known nothing is signed.
        let (Some(digest), Ok(now)) = (signed.digest, self.clock.trusted()) else { return };
        let since = fresh_since(domain, now.unix_secs());
        let kept = Arc::new(Kept::new(Arc::new(signed.zone), digest));
        self.signed_zones().keep(domain, Remembered { kept, since });
    }

    /// Since when nothing older was used for a zone that is remembered, in seconds since 1970.
    pub(super) fn remembered_since(&self, domain: DomainId) -> Option<u64> {
        self.signed_zones().zones.get(&domain).map(|zone| zone.since)
    }

    /// A zone that is remembered, and whether it is what it was. O(octets of the zone), some microseconds for a small one.
    pub(super) fn recalled(&self, domain: DomainId) -> Option<(Arc<Zone>, bool)> {
        let kept = self.signed_zones().zones.get(&domain).map(|zone| Arc::clone(&zone.kept))?;
        let (zone, is_intact) = kept.zone()?;
        if !is_intact {
            error!("the memory of this machine fails: {} is not what it was when it was signed", zone.apex());
        }
        Some((zone, is_intact))
    }

    /// Changes what is remembered of a zone, as memory does that fails.
    #[cfg(test)]
    pub(crate) fn spoil(&self, domain: DomainId, zone: Zone) {
        let mut signed = self.signed_zones();
        let remembered = signed.zones.get_mut(&domain).unwrap();
        remembered.kept = Arc::new(remembered.kept.spoiled(zone));
    }

    /// Forgets a zone that was remembered: it is gone, not signed any more, or wrong.
    pub fn forget(&self, domain: DomainId) {
        self.signed_zones().forget(domain);
    }

    /// What is remembered.
    fn signed_zones(&self) -> MutexGuard<'_, SignedZones> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::name::Name;
    use snapshot::dns::rtype::Rtype;
    use snapshot::dns::zone::{Record, ZoneBuilder};

    use super::*;
    use crate::dnssec::digest_of;

    #[test]
    fn some_are_forgotten_where_there_is_no_room() {
        let apex = Name::parse(b"example.test.", None).unwrap();
        let mut builder = ZoneBuilder::new(apex.clone());
        let rdata = vec![1; 65_000];
        for rtype in (1000..1064).map(Rtype) {
            builder.push(Record { owner: apex.as_ref(), rtype, ttl_secs: 60, rdata: &rdata, line: 0 }).unwrap();
        }
        let zone = Arc::new(builder.finish());
        let digest = digest_of(&zone);
        let kept = Arc::new(Kept::new(zone, digest));
        let mut zones = SignedZones::default();
        let count = 3 * i64::try_from(REMEMBERED_LEN_MAX / kept.memory_len()).unwrap();
        for domain in 0..count {
            zones.keep(DomainId(domain), Remembered { kept: Arc::clone(&kept), since: 0 });
            assert!(zones.zones.contains_key(&DomainId(domain)) && zones.len <= REMEMBERED_LEN_MAX);
        }
        assert!(zones.len > REMEMBERED_LEN_MAX / 2);
        // Whatever was kept last, some of what was kept first are among those that stay.
        let oldest = zones.zones.keys().map(|domain| domain.0).min();
        assert!(oldest.is_some_and(|oldest| oldest < count * 2 / 3), "{oldest:?} of {count}");
        assert_eq!(zones.len, zones.zones.len() * kept.memory_len());
        (0..count).for_each(|domain| zones.forget(DomainId(domain)));
        assert_eq!((zones.len, zones.zones.len()), (0, 0));
    }
}
