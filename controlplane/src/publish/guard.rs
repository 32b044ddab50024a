//! Whether the database may publish: it must contain what the published manifest was made of.
//!
//! SQLite notices neither a lost write-ahead log nor a backup that was put back, and the data planes would follow it into
//! the past. The manifest names the last change in it and the chain's value there; a database that has another value, or
//! none, has lost or changed something that was acknowledged. An operator can take it for the truth all the same
//! ([`accept`]): that speaks of one published state, so that a further loss is noticed again.

use snapshot::image::Manifest;

use crate::store::{ChangeId, Reader, StoreError, Txn};

/// The setting that names the published state the operator has given up.
const ACCEPTED: &str = "accepted";

/// Why the database is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Quarantine {
    /// Changes that were published are not in it.
    #[error(
        "the database ends with change {database}, but change {published} was published: \
         it has lost changes, or an old copy was put back"
    )]
    Behind {
        /// Its last change.
        database: u64,
        /// The last published one.
        published: u64,
    },
    /// It has another history.
    #[error("change {change} of the database is not the one that was published: it is another database")]
    Diverged {
        /// Where they part at the latest.
        change: u64,
    },
    /// It cannot be used as it is.
    #[error("the database cannot be used: {cause}")]
    Unusable {
        /// What it said.
        cause: String,
    },
}

/// What was asked of the database at the start, or nothing and a quarantine if its file or disk is the cause.
///
/// # Errors
/// Every other one.
pub(super) fn or_quarantine<T>(
    outcome: Result<T, StoreError>,
    quarantine: &mut Option<Quarantine>,
) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.is_of_disk() => {
            quarantine.get_or_insert(Quarantine::Unusable { cause: cause.to_string() });
            Ok(None)
        }
        Err(cause) => Err(cause),
    }
}

/// Compares the database with the manifest in service.
///
/// # Errors
/// [`StoreError`].
pub fn compare(reader: &Reader<'_>, manifest: &Manifest) -> Result<Option<Quarantine>, StoreError> {
    let published = manifest.change;
    if published == 0 {
        // Compiled from files, or nothing yet.
        return Ok(None);
    }
    if reader.setting(ACCEPTED)?.is_some_and(|given_up| given_up == state_of(manifest)) {
        return Ok(None);
    }
    let head = reader.head()?;
    if head.change.0 < published {
        return Ok(Some(Quarantine::Behind { database: head.change.0, published }));
    }
    let is_same = reader.chain_at(ChangeId(published))? == Some(manifest.chain);
    Ok((!is_same).then_some(Quarantine::Diverged { change: published }))
}

/// The change up to which `manifest` goes, if more was published once: the directory was lost since, and an old copy put in
/// its place. The outbox lacks what was published then, so it does not lead from there to the state of the database.
///
/// # Errors
/// [`StoreError`].
pub(super) fn behind(reader: &Reader<'_>, manifest: &Manifest) -> Result<Option<ChangeId>, StoreError> {
    let change = ChangeId(manifest.change);
    // One that was compiled from files gets all domains in any case.
    Ok((change != ChangeId(0) && change < reader.last_published()?).then_some(change))
}

/// Notes that the operator knows what `manifest` has beyond the database, and gives it up.
///
/// # Errors
/// [`StoreError`].
pub fn accept(txn: &Txn<'_>, manifest: &Manifest) -> Result<(), StoreError> {
    txn.set(ACCEPTED, &state_of(manifest))
}

/// The state of the database that a manifest was made of: change and chain.
fn state_of(manifest: &Manifest) -> Vec<u8> {
    [&manifest.change.to_le_bytes()[..], &manifest.chain].concat()
}
