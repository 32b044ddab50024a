//! A database that does not fit what was published, brought back into service by an operator who knows it.
//!
//! Nothing here runs in the control plane: it holds the locks of database and snapshots, so the control plane must be
//! down. Invariants: nothing is published here, the control plane does that at its next start; a database that fits is
//! left as it is.

mod salvage;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshot::handover::{Directory, HandoverError, LockError};

use crate::api::OPERATOR;
use crate::change::{Actor, Grounds, House, Refusal, Republish, prove, republish};
use crate::publish::{Quarantine, accept, compare};
use crate::rrset::Limits;
use crate::store::accounts::{Class, NewAccount};
use crate::store::{self, AccountId, ChangeId, Store, StoreError, Txn};

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
    /// What was read back cannot be written.
    #[error("the content of the snapshot cannot be taken over: {0}")]
    Content(String),
}

/// Which content is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// That of the database.
    Database,
    /// That of the snapshot in service, which has all that was acknowledged; accounts and tokens stay the database's.
    Snapshot,
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
    /// Domains that the database lacked and were made for the operator's account.
    pub made: Vec<String>,
    /// Domains that are signed in service with keys that the database lacks: they stay in service as they are, and what changes in
    /// them waits until their operator has decided.
    pub keyless: Vec<String>,
    /// Signed zones that the database knows nothing of: they stay in service as they are, and nobody can change or renew them.
    pub unknown: Vec<String>,
    /// Domains that were not in service, and are again: the database is from before they were deleted.
    pub returned: Vec<String>,
    /// Domains that were in service while the database waits for a proof of them: they stay in service and count as proved.
    pub proved: Vec<String>,
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

/// Brings the database in `state` back into service with the content that is right, although `snapshots` has something beyond
/// it; `None` if that has nothing.
///
/// # Errors
/// [`RecoverError`], also while a control plane has either.
pub fn recover(
    state: &Path,
    snapshots: &Path,
    content: Content,
    now_us: i64,
) -> Result<Option<Recovered>, RecoverError> {
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
    let former = if content == Content::Database { store::former_domains(state) } else { Vec::new() };
    let signed = loaded.as_ref().map(|loaded| salvage::signed(&loaded.view)).unwrap_or_default();
    let salvaged = match (content, &loaded) {
        (Content::Snapshot, Some(loaded)) => salvage::read(&loaded.view)?,
        _ => Vec::new(),
    };
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
            let served = serials.keys().cloned().collect::<HashSet<String>>();
            let last = republish(txn, Republish { published, serials, gone: lost, now_us })?;
            let proved = keep_proofs(txn, &served, now_us)?;
            accept(txn, &current.manifest)?;
            let keyless = salvage::protect(txn, signed)?;
            let adopted = if salvaged.is_empty() {
                salvage::Adopted::default()
            } else {
                salvage::adopt(txn, salvaged, operator(txn, now_us)?, now_us)?
            };
            let change = last.0.max(txn.head()?.change.0);
            let salvage::Adopted { made, unknown, returned } = adopted;
            let domain_count = domain_count + made.len() as u64;
            let gone = names;
            Ok::<_, Refusal>(Some(Recovered {
                cause,
                change,
                domain_count,
                gone,
                made,
                keyless,
                unknown,
                returned,
                proved,
            }))
        })
        .map_err(|refused| match refused {
            Refusal::Store(error) => error.into(),
            other => RecoverError::Content(other.to_string()),
        })
}

/// Takes for proved what is in service: it was proved after the state that the database is in, and to wait for that again
/// would take it out of service. The names of those domains.
fn keep_proofs(txn: &Txn<'_>, served: &HashSet<String>, now_us: i64) -> Result<Vec<String>, Refusal> {
    let mut proved = Vec::new();
    for id in txn.domain_ids()? {
        let waits = txn.domain(id)?.filter(|domain| domain.unproved.is_some() && served.contains(&domain.name));
        let Some(domain) = waits else { continue };
        let grounds = Grounds::Fiat("it was in service".to_owned());
        prove(txn, &actor(domain.account, &Arc::default(), now_us), id, grounds)?;
        proved.push(domain.name);
    }
    proved.sort();
    Ok(proved)
}

/// Whoever recovers, in the place of an account.
fn actor(account: AccountId, house: &Arc<House>, now_us: i64) -> Actor {
    let (limits, house) = (Limits::OPERATOR, Arc::clone(house));
    Actor { account, token: None, address: None, via: "recover", now_us, limits, house }
}

/// The operator's account, made if it is not there.
fn operator(txn: &Txn<'_>, now_us: i64) -> Result<AccountId, StoreError> {
    if let Some(account) = txn.account_by_email(OPERATOR)? {
        return Ok(account.id);
    }
    let new = NewAccount {
        uuid: uuid::Uuid::new_v4(),
        email: OPERATOR.to_owned(),
        class: Class::Operator,
        created_us: now_us,
        limit_domains: None,
    };
    let made = txn.add_account(&new)?;
    made.map(|account| account.id).ok_or(StoreError::Damaged("the operator's account"))
}

#[cfg(test)]
mod tests;
