//! Whether a domain is signed, with which keys, and how it proves what it lacks.

use snapshot::dns::rtype::Rtype;

use super::commit::{Plan, authorise, record};
use super::{Actor, Refusal};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::NewKey;
use crate::store::{ChangeId, DomainId, Txn};

/// Has a domain signed, or no longer; `None` if it is so already. `key` is taken if the domain has none. Keys stay when signing
/// ends, so that whoever ends it by mistake can have the same DS records back.
///
/// # Errors
/// [`Refusal::NoDomain`] if it is gone; [`Refusal::Forbidden`] if the token may not write DNSKEY records at the apex.
pub fn set_signing(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    denial: Denial,
    key: Option<NewKey>,
) -> Result<(Domain, Option<ChangeId>), Refusal> {
    let mut domain = txn.domain(domain)?.filter(|row| row.account == actor.account).ok_or(Refusal::NoDomain)?;
    authorise(txn, actor, &domain, [("", Rtype::DNSKEY)].into_iter())?;
    if domain.denial == denial {
        return Ok((domain, None));
    }
    if let Some(key) = key.filter(|_| denial != Denial::Off)
        && txn.keys(domain.id)?.is_empty()
    {
        txn.add_key(domain.account, domain.id, &key, actor.now_us)?;
    }
    let note = Some(format!("{} to {}", domain.denial.as_str(), denial.as_str()));
    domain.denial = denial;
    domain.touched_us = actor.now_us;
    let change = publish_whole(txn, actor, &mut domain, &Plan { note, ..Plan::named("signing") })?;
    Ok((domain, Some(change)))
}

/// Has domains signed anew whose signatures have become old; `actor` acts for whatever account has them.
///
/// # Errors
/// [`Refusal::Store`].
pub fn resign(txn: &Txn<'_>, actor: &Actor, domains: &[DomainId]) -> Result<(), Refusal> {
    for id in domains {
        let Some(mut domain) = txn.domain(*id)?.filter(|domain| domain.denial != Denial::Off) else { continue };
        let actor = Actor { account: domain.account, ..actor.clone() };
        publish_whole(txn, &actor, &mut domain, &Plan::named("resign"))?;
    }
    Ok(())
}

/// Has a domain published whole, with the next serial.
fn publish_whole(txn: &Txn<'_>, actor: &Actor, domain: &mut Domain, plan: &Plan) -> Result<ChangeId, Refusal> {
    domain.change = txn.next_change()?;
    domain.serial = super::serial::next(domain.serial, domain.serial_policy, actor.now_us);
    domain.published_us = Some(domain.changed_us);
    domain.changed_us = actor.now_us;
    record(txn, actor, domain, plan, &[], None)?;
    txn.update_domain(domain)?;
    Ok(domain.change)
}
