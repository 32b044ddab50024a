//! A database that does not fit what was published, brought back into service by an operator who knows it.
//!
//! Nothing here runs in the control plane: it holds the locks of database and snapshots, so the control plane must be
//! down. Invariants: nothing is published here, the control plane does that at its next start; a database that fits is
//! left as it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use snapshot::handover::{Directory, HandoverError, LockError};

use crate::change::{Republish, republish};
use crate::publish::{Quarantine, accept, compare};
use crate::store::{self, ChangeId, Store, StoreError};

/// How the lock of the snapshot directory names us.
const HOLDER: &str = "dnsctl recover";

/// Why there was no recovery.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot directory.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// Somebody publishes into it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// What a recovery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Why the database was not trusted.
    pub cause: Quarantine,
    /// The number of the last change it has now.
    pub change: u64,
    /// How many domains will be published anew.
    pub domain_count: u64,
    /// Domains that were in service and will be no longer.
    pub gone: Vec<String>,
}

/// Puts a backup in place of the database in `state`; see [`store::replace`].
///
/// # Errors
/// As there.
pub fn restore(state: &Path, backup: &Path, stamp: &str) -> Result<Option<PathBuf>, RecoverError> {
    Ok(store::replace(state, backup, stamp)?)
}

/// Why the database in `state` would not be published into `snapshots`, if so.
///
/// # Errors
/// [`RecoverError`], also while a control plane has the database.
pub fn examine(state: &Path, snapshots: &Path) -> Result<Option<Quarantine>, RecoverError> {
    let Some(current) = Directory::create(snapshots)?.current()? else { return Ok(None) };
    let store = Store::open(state)?;
    Ok(store.read(|reader| compare(reader, &current.manifest))?)
}

/// Takes the database in `state` for the truth, whatever `snapshots` has beyond it; `None` if it has nothing.
///
/// # Errors
/// [`RecoverError`], also while a control plane has either.
pub fn recover(state: &Path, snapshots: &Path, now_us: i64) -> Result<Option<Recovered>, RecoverError> {
    let store = Store::open(state)?;
    let writer = Directory::create(snapshots)?.lock(HOLDER)?;
    let directory = writer.directory();
    let Some(current) = directory.current()? else { return Ok(None) };
    let Some(cause) = store.read(|reader| compare(reader, &current.manifest))? else { return Ok(None) };
    // Serials that cannot be read cannot be in service either.
    let loaded = directory.load(None).ok().flatten();
    let zones = loaded.iter().flat_map(|loaded| loaded.view.zones());
    let name = |apex: String| apex.trim_end_matches('.').to_owned();
    let serials: HashMap<String, u32> = zones.map(|facts| (name(facts.apex.to_string()), facts.serial)).collect();
    let former = store::former_domains(state);
    store
        .write_blocking(move |txn| {
            let mut gone = former;
            // Zones that were compiled from files belong to no database and stay.
            gone.retain(|(_, name)| serials.contains_key(name));
            let mut lost = Vec::new();
            for (id, name) in gone {
                if txn.domain_by_name(&name)?.is_none() {
                    lost.push((id, name));
                }
            }
            let names = lost.iter().map(|(_, name)| name.clone()).collect();
            let domain_count = txn.domain_ids()?.len() as u64;
            let published = ChangeId(current.manifest.change);
            let last = republish(txn, Republish { published, serials, gone: lost, now_us })?;
            accept(txn, &current.manifest)?;
            Ok::<_, StoreError>(Some(Recovered { cause, change: last.0, domain_count, gone: names }))
        })
        .map_err(RecoverError::from)
}
