//! The zones of the snapshot directory that no domain is behind: those that were compiled from files.
//!
//! They stay in service beside the domains. A new domain of the same name takes the place of such a zone, so whoever makes
//! one asks here first. While we hold the lock of the directory nobody else adds any: they are found once, at the start.
//! Invariant: a zone whose domain was deleted, but is still served, is none of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use snapshot::dns::name::Name;

use crate::store::{ChangeId, Reader, StoreError};

/// The zones, each with the number of its names, by name without the dot at its end.
#[derive(Debug, Default)]
pub(super) struct FileZones(Mutex<HashMap<String, u32>>);

impl FileZones {
    /// Those among the `zones` of the current generation that the database does not know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn find(reader: &Reader<'_>, zones: Vec<(Name, u32)>) -> Result<FileZones, StoreError> {
        let mut own: HashSet<String> = reader.domain_names()?.into_iter().collect();
        // What was deleted may not have left the generation yet.
        own.extend(reader.outbox(ChangeId(0))?.into_iter().map(|waiting| waiting.name));
        let zones = zones.into_iter().map(|(apex, names)| (apex.to_string().trim_end_matches('.').to_owned(), names));
        Ok(FileZones(Mutex::new(zones.filter(|(name, _)| !own.contains(name)).collect())))
    }

    /// How many names the zone has that is served from a file under this name, if one is.
    pub(super) fn names(&self, name: &str) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Notes that a domain has taken the place of a zone.
    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
