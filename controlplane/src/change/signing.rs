//! Whether a domain is signed, with which keys, and how it proves what it lacks.

use snapshot::dns::rtype::Rtype;

use super::commit::{Plan, authorise, book, record};
use super::rolling::{make_moves, rolling_keys};
use super::{Actor, Refusal, owned};
use crate::roll::{self, Key, Move};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{DsTimes, NewKey, Rollover, State, StoredKey};
use crate::store::usage::Delta;
use crate::store::{ChangeId, DomainId, Txn};

/// Has a domain signed, or no longer; `None` if it is so already. `keys` are taken if the domain has none. Keys stay when signing
/// ends, so that whoever ends it by mistake can have the same DS records back. The parent is asked for DS once no cache has
/// anything of the zone without signatures, if it may have been served so.
///
/// # Errors
/// [`Refusal::NoDomain`] if it is gone; [`Refusal::Forbidden`] if the token may not write DNSKEY records at the apex;
/// [`Refusal::Rules`] if it cannot be signed with the records that it has there.
pub fn set_signing(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    denial: Denial,
    keys: impl IntoIterator<Item = NewKey>,
) -> Result<(Domain, Option<ChangeId>), Refusal> {
    let mut domain = txn.domain(domain)?.filter(|row| row.account == actor.account).ok_or(Refusal::NoDomain)?;
    authorise(txn, actor, &domain, [("", Rtype::DNSKEY)].into_iter())?;
    if domain.denial == denial {
        return Ok((domain, None));
    }
    let has_new_keys = denial != Denial::Off && txn.keys(domain.id)?.is_empty();
    if has_new_keys {
        for key in keys {
            txn.add_key(domain.account, domain.id, &key, actor.now_us)?;
        }
    }
    let was_off = domain.denial == Denial::Off;
    if was_off {
        let keys = rolling_keys(txn, domain.id)?;
        // A domain that is not proved yet was not served, so that its keys are in use from the beginning.
        let is_ending = |key: &&Key| key.state == State::Ending;
        let moves = match domain.unproved {
            None => roll::enable(&keys),
            Some(_) => keys.iter().filter(is_ending).map(|key| Move { id: key.id, to: Some(State::Active) }).collect(),
        };
        make_moves(txn, &keys, &moves, actor.now_us)?;
        if has_new_keys && domain.unproved.is_none() {
            // Their DS was never asked for yet, so nobody has it.
            let ds = DsTimes { gone_us: Some(actor.now_us), ..DsTimes::default() };
            keys.iter().try_for_each(|key| txn.note_ds(key.id, &ds))?;
        }
        txn.begin_all_states(domain.id, actor.now_us)?;
    }
    let note = Some(format!("{} to {}", domain.denial.as_str(), denial.as_str()));
    if denial == Denial::Off {
        txn.forget_signatures(domain.id)?;
        let rollover = txn.rollover(domain.id)?;
        if rollover.next_us.is_some() {
            // Nothing goes on until it is signed again, and nobody looks until then.
            txn.put_rollover(&domain, &Rollover { next_us: None, change: None, ..rollover })?;
        }
    }
    domain.denial = denial;
    domain.touched_us = actor.now_us;
    if was_off {
        owned::fits(txn, &domain, &[])?;
    }
    renew(txn, actor, &mut domain)?;
    if was_off {
        await_served(txn, &domain, actor.now_us)?;
    }
    book(txn, actor, &domain, &Plan { note, ..Plan::named("signing") }, &[], None, &Delta::default())?;
    txn.update_domain(&domain)?;
    let change = domain.change;
    Ok((domain, Some(change)))
}

/// Removes keys of a domain that is not signed, for others that take their place.
///
/// # Errors
/// [`Refusal::Overtaken`] if the domain is signed by now.
pub fn give_up_keys(txn: &Txn<'_>, actor: &Actor, domain: DomainId, keys: &[i64]) -> Result<(), Refusal> {
    if !keys.is_empty() && txn.domain(domain)?.is_some_and(|row| row.denial != Denial::Off) {
        return Err(Refusal::Overtaken("whether the zone is signed".into()));
    }
    keys.iter().try_for_each(|id| Ok(txn.move_key(*id, None, actor.now_us)?))
}

/// Has domains signed anew whose signatures have become old; `actor` acts for whatever account has them.
///
/// # Errors
/// [`Refusal::Store`].
pub fn resign(txn: &Txn<'_>, actor: &Actor, domains: &[DomainId]) -> Result<(), Refusal> {
    for id in domains {
        let Some(mut domain) = txn.domain(*id)?.filter(|domain| domain.denial != Denial::Off) else { continue };
        let actor = Actor { account: domain.account, ..actor.clone() };
        renew(txn, &actor, &mut domain)?;
        record(txn, &actor, &domain, &Plan::named("resign"), &[], None)?;
        txn.update_domain(&domain)?;
    }
    Ok(())
}

/// Has the rollovers of a domain that is signed again go on from when that is served.
pub(super) fn await_served(txn: &Txn<'_>, domain: &Domain, now_us: i64) -> Result<(), Refusal> {
    let rests = |key: &StoredKey| matches!(key.key.state, State::Active | State::Generated);
    if !txn.keys(domain.id)?.iter().all(rests) {
        let rollover = txn.rollover(domain.id)?;
        txn.put_rollover(domain, &Rollover { next_us: Some(now_us), change: Some(domain.change), ..rollover })?;
    }
    Ok(())
}

/// A domain that is to be published whole, with the next serial.
pub(super) fn renew(txn: &Txn<'_>, actor: &Actor, domain: &mut Domain) -> Result<(), Refusal> {
    domain.change = txn.next_change()?;
    domain.serial = super::serial::next(domain.serial, domain.serial_policy, actor.now_us);
    domain.published_us = Some(domain.changed_us);
    (domain.changed_us, domain.signed_us) = (actor.now_us, actor.now_us);
    Ok(())
}
