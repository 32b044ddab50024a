//! Zones as they were signed last, in memory: signatures over what stays the same are used again.
//!
//! Invariant: they have no more records together than is said here; what was forgotten is signed anew, or read from what is
//! served.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use snapshot::dns::zone::Zone;

use super::{Dnssec, fresh_since};
use crate::store::DomainId;

/// How many records of signed zones are remembered before all are forgotten: some 200 octets each.
const REMEMBERED_RECORDS_MAX: usize = 1 << 20;
/// A signed zone with more records is not remembered: what is served of it can be read. Memory is not believed, so all
/// signatures of a remembered zone are verified each time; files have digests, so those of a served one are not.
const REMEMBERED_ZONE_RECORDS_MAX: usize = 1 << 13;

/// A zone as it was signed last.
#[derive(Clone)]
pub(super) struct Remembered {
    /// The zone.
    pub(super) zone: Arc<Zone>,
    /// Since when nothing older was used for it, in seconds since 1970.
    pub(super) since: u64,
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
    /// Remembers a zone that was signed, for the signatures over what stays the same.
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
        signed.zones.insert(domain, Remembered { zone: Arc::new(zone), since });
    }

    /// A zone that is remembered.
    pub(super) fn remembered(&self, domain: DomainId) -> Option<Remembered> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).zones.get(&domain).cloned()
    }

    /// Forgets a zone that was remembered.
    pub(super) fn forget(&self, domain: DomainId) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = signed.zones.remove(&domain) {
            signed.record_count -= before.zone.record_count_in_all();
        }
    }
}
