//! All domains published anew, after the database was taken back to an earlier state knowingly.
//!
//! Change-sets get numbers that were never given, so that no client takes one for another; serials get ahead of those in
//! service, so that secondaries follow (RFC 1982). Invariant: contents stay as they are.

use std::collections::HashMap;

use super::serial;
use crate::store::changes::ChangeSet;
use crate::store::{AccountId, ChangeId, DomainId, StoreError, Txn};

/// What is known of the state that was in service.
#[derive(Debug, Clone, Default)]
pub struct Republish {
    /// The last change that was published.
    pub published: ChangeId,
    /// The serials of the zones in service, by name.
    pub serials: HashMap<String, u32>,
    /// Domains that were in service and are not in the database.
    pub gone: Vec<(DomainId, String)>,
    /// The time, in microseconds since 1970.
    pub now_us: i64,
}

/// Writes a change-set of kind `recover` for each domain that there is and each that is gone; the last one's number.
///
/// # Errors
/// [`StoreError`].
pub fn republish(txn: &Txn<'_>, what: Republish) -> Result<ChangeId, StoreError> {
    let Republish { published, serials, gone, now_us } = what;
    let mut last = published.max(txn.head()?.change);
    let set = |id, account, domain, name: &str, serial| ChangeSet {
        id,
        account,
        domain,
        name: name.to_owned(),
        at_us: now_us,
        via: "recover".into(),
        token: None,
        address: None,
        kind: "recover".into(),
        undoes: None,
        serial,
        edits: "[]".into(),
        note: None,
    };
    for id in txn.domain_ids()? {
        let Some(mut domain) = txn.domain(id)? else { continue };
        last = ChangeId(last.0 + 1);
        let served = serials.get(&domain.name).copied().unwrap_or(domain.serial);
        let newest = if serial::is_ahead(served, domain.serial) { served } else { domain.serial };
        domain.serial = serial::next(newest, domain.serial_policy, now_us);
        (domain.change, domain.changed_us) = (last, now_us);
        txn.update_domain(&domain)?;
        txn.add_change_set(&set(last, domain.account, id, &domain.name, domain.serial), None)?;
    }
    for (id, name) in gone {
        last = ChangeId(last.0 + 1);
        txn.add_change_set(&set(last, AccountId(0), id, &name, 0), None)?;
    }
    Ok(last)
}
