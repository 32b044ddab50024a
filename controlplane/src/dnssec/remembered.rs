//! Zones as they were signed last, in memory: signatures over what stays the same are used again.
//!
//! Invariants: they have no more records together than is said here; what was forgotten is signed anew, or read from what is
//! served; of what is not, octet by octet, what the gate let pass, every signature is verified again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use snapshot::dns::zone::{Record, Zone};
use tracing::error;

use super::{Dnssec, fresh_since};
use crate::store::DomainId;

/// How many records of signed zones are remembered before all are forgotten: some 200 octets each.
const REMEMBERED_RECORDS_MAX: usize = 1 << 20;
/// A signed zone with more records is not remembered: what is served of it can be read.
const REMEMBERED_ZONE_RECORDS_MAX: usize = 1 << 13;

/// A zone as it was signed last.
#[derive(Clone)]
pub(super) struct Remembered {
    /// The zone.
    pub(super) zone: Arc<Zone>,
    /// Since when nothing older was used for it, in seconds since 1970.
    pub(super) since: u64,
    /// See [`digest_of`]. Files have digests; memory that is believed as they are must have them too.
    digest: blake3::Hash,
}

/// Zones as they were signed last.
#[derive(Default)]
pub(super) struct SignedZones {
    /// The zones.
    zones: HashMap<DomainId, Remembered>,
    /// How many records they have together.
    record_count: usize,
}

impl Dnssec {
    /// Remembers a zone that was signed and has passed the gate, for the signatures over what stays the same.
    pub fn remember(&self, domain: DomainId, zone: Zone) {
        self.forget(domain);
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let record_count = zone.record_count_in_all();
        if record_count > REMEMBERED_ZONE_RECORDS_MAX {
            return;
        }
        if signed.record_count + record_count > REMEMBERED_RECORDS_MAX {
            *signed = SignedZones::default();
        }
        // While the time is not known nothing is signed.
        let Ok(now) = self.clock.trusted() else { return };
        signed.record_count += record_count;
        let since = fresh_since(domain, now.unix_secs());
        let digest = digest_of(&zone);
        signed.zones.insert(domain, Remembered { zone: Arc::new(zone), since, digest });
    }

    /// A zone that is remembered.
    pub(super) fn remembered(&self, domain: DomainId) -> Option<Remembered> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).zones.get(&domain).cloned()
    }

    /// A zone that is remembered, and whether it is what it was. O(octets of the zone), a few microseconds for a small one.
    pub(super) fn recalled(&self, domain: DomainId) -> Option<(Arc<Zone>, bool)> {
        let Remembered { zone, digest, .. } = self.remembered(domain)?;
        let is_intact = digest_of(&zone) == digest;
        if !is_intact {
            error!("the memory of this machine fails: {} is not what it was when it was signed", zone.apex());
        }
        Some((zone, is_intact))
    }

    /// Changes what is remembered of a zone, as memory does that fails.
    #[cfg(test)]
    pub(crate) fn spoil(&self, domain: DomainId, zone: Zone) {
        let mut signed = self.signed.lock().unwrap();
        signed.zones.get_mut(&domain).unwrap().zone = Arc::new(zone);
    }

    /// Forgets a zone that was remembered.
    pub(super) fn forget(&self, domain: DomainId) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = signed.zones.remove(&domain) {
            signed.record_count -= before.zone.record_count_in_all();
        }
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
