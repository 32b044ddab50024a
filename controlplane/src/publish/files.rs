//! The zones of the snapshot directory that no domain is behind: those that were compiled from files.
//!
//! They stay in service beside the domains. A new domain of the same name takes the place of such a zone, so whoever makes
//! one asks here first. While we hold the lock of the directory nobody else adds any: they are found once, at the start.
//! Invariant: a zone whose domain was deleted, but is still served, is none of them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound::Excluded;
use std::sync::{Arc, Mutex, PoisonError};

use snapshot::dns::name::Name;

use crate::store::domains::name_key;
use crate::store::{ChangeId, Reader, StoreError};

/// The zones, each with the number of its names, by [`name_key`]: what lies below a name is one range.
#[derive(Debug, Default)]
pub(super) struct FileZones(Mutex<BTreeMap<Vec<u8>, u32>>);

/// What is known of them.
#[derive(Debug)]
pub(super) enum Knowledge {
    /// Nothing yet: the directory is being read.
    Pending,
    /// Nothing: it could not be read, which is tried again.
    Unknown,
    /// All of them.
    Found(Arc<FileZones>),
}

/// Whether a name is served from a file cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("zones that were compiled from files are not known")]
pub struct FilesUnknown;

impl FileZones {
    /// Those among the `zones` of the current generation that the database does not know. If the generation is an old one,
    /// `behind` is the change it goes up to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn find(
        reader: &Reader<'_>,
        zones: Vec<(Name, u32)>,
        behind: Option<ChangeId>,
    ) -> Result<FileZones, StoreError> {
        let mut own: HashSet<String> = reader.domain_names()?.into_iter().collect();
        // What was deleted may not have left the generation yet.
        own.extend(reader.outbox(ChangeId(0))?.into_iter().map(|waiting| waiting.name));
        if let Some(change) = behind {
            own.extend(reader.changed_after(change)?.into_iter().map(|(_, name)| name));
        }
        let zones = zones.into_iter().map(|(apex, names)| (apex.to_string().trim_end_matches('.').to_owned(), names));
        let zones = zones.filter(|(name, _)| !own.contains(name)).map(|(name, names)| (name_key(&name), names));
        Ok(FileZones(Mutex::new(zones.collect())))
    }

    /// How many names the zone has that is served from a file under this name, if one is.
    pub(super) fn names(&self, name: &str) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name_key(name)).copied()
    }

    /// Whether there is a zone below a name.
    pub(super) fn has_below(&self, name: &str) -> bool {
        let low = name_key(name);
        let mut high = low.clone();
        // Keys below `name` begin with its key; no octet is 255.
        high.push(255);
        let zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        zones.range((Excluded(low), Excluded(high))).next().is_some()
    }

    /// Notes that a domain has taken the place of a zone.
    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name_key(name));
    }
}
