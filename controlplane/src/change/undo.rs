//! Taking changes back: one change-set, or everything since a change or a time.

use std::collections::BTreeMap;

use snapshot::dns::rtype::Rtype;

use super::{Actor, Change, Committed, Created, Edit, Edits, NewDomain, Refusal, State, Target, commit, create};
use crate::store::changes::ChangeSet;
use crate::store::domains::{Domain, Soa};
use crate::store::{ChangeId, DomainId, StoreError, Txn};

/// Bytes of remembered edits that one restore reads.
const EDITS_LEN_MAX: u64 = 64 << 20;

/// What is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// This one change-set, provided nothing it touched was changed since.
    Undo(ChangeId),
    /// Everything after this change-set.
    To(ChangeId),
    /// Everything after this time, in microseconds since 1970.
    ToTime(i64),
}

/// Brings a domain back to what it was; with `dry_run` it only tells what that would change.
///
/// # Errors
/// As [`commit`]; [`Refusal::NoChange`] if there is no such change-set, [`Refusal::Overtaken`] if an undo would take back
/// later changes as well.
pub fn restore(
    txn: &Txn<'_>,
    actor: Actor,
    domain: DomainId,
    what: Restore,
    dry_run: bool,
) -> Result<Committed, Refusal> {
    let row = txn.domain(domain)?.filter(|row| row.account == actor.account).ok_or(Refusal::NoDomain)?;
    let (kind, undoes, sets) = match what {
        Restore::Undo(id) => {
            let set = txn.change_set(id)?.filter(|set| set.domain == domain).ok_or(Refusal::NoChange)?;
            ("undo", Some(id), vec![set])
        }
        Restore::To(id) => {
            txn.change_set(id)?.filter(|set| set.domain == domain).ok_or(Refusal::NoChange)?;
            ("restore", Some(id), sets_since(txn, domain, id, i64::MIN)?)
        }
        Restore::ToTime(at_us) => {
            if at_us < row.created_us {
                return Err(Refusal::NoChange);
            }
            ("restore", None, sets_since(txn, domain, ChangeId(0), at_us)?)
        }
    };
    let mut states: BTreeMap<(String, String), Option<State>> = BTreeMap::new();
    let mut soa = None;
    // Newest first, so that what the oldest of them found remains.
    for set in sets {
        if set.kind == "create" {
            return Err(Refusal::Rules(vec!["a domain's making cannot be taken back: delete the domain".into()]));
        }
        for edit in edits_of(&set)? {
            if kind == "undo" {
                is_untouched(txn, &row, &edit)?;
            }
            if edit.is_of_soa() {
                soa = Some(soa_before(&edit)?);
            } else {
                states.insert((edit.subname, edit.rtype), edit.before);
            }
        }
    }
    let target = |((subname, rtype), state): ((String, String), _)| {
        let mut target = target(subname, &rtype, state)?;
        keep_rows(txn, domain, &mut target)?;
        Ok(target)
    };
    let targets = states.into_iter().map(target).collect::<Result<Vec<_>, Refusal>>()?;
    let soa = soa.filter(|soa| *soa != row.soa);
    let edits = Edits::Targets { kind, undoes, note: None, targets, soa };
    commit(txn, Change { actor, domain, precondition: None, edits, dry_run })
}

/// What a change-set remembers.
fn edits_of(set: &ChangeSet) -> Result<Vec<Edit>, Refusal> {
    Ok(serde_json::from_str(&set.edits).map_err(|_| StoreError::Damaged("a change-set"))?)
}

/// The SOA record before an edit of it.
fn soa_before(edit: &Edit) -> Result<Soa, Refusal> {
    let soa = edit.before.as_ref().and_then(State::to_soa);
    Ok(soa.ok_or(StoreError::Damaged("a change-set"))?)
}

/// Has records that are there already written as they are given: what a row has beyond its RDATA goes back as well, and no
/// weight or place that came later stays with it.
fn keep_rows(txn: &Txn<'_>, domain: DomainId, target: &mut Target) -> Result<(), Refusal> {
    let Some((_, records)) = &mut target.state else { return Ok(()) };
    let node = super::apply::node_of(&target.subname)?;
    let Some(mut stored) = txn.rrset(domain, &node, target.rtype)? else { return Ok(()) };
    for record in records {
        if let Some(at) = stored.records.iter().position(|row| row.rdata == record.rdata) {
            record.id = stored.records.swap_remove(at).id;
        }
    }
    Ok(())
}

/// Makes a deleted domain again with all it held, for the account it belonged to; `change` is its deletion. SOA and TTL
/// rules are those of `new`.
///
/// # Errors
/// As [`create`] and [`commit`]; [`Refusal::NoChange`] if the account has no such deletion.
pub fn revive(
    txn: &Txn<'_>,
    actor: &Actor,
    change: ChangeId,
    new: impl FnOnce(String) -> NewDomain,
) -> Result<Created, Refusal> {
    let is_ours = |set: &ChangeSet| set.account == actor.account && set.kind == "delete";
    let set = txn.change_set(change)?.filter(is_ours).ok_or(Refusal::NoChange)?;
    let mut new = new(set.name.clone());
    if let Some((denial, keys)) = txn.released_keys(change)? {
        // The parent may still have its DS records.
        (new.denial, new.keys) = (denial, keys);
    }
    let Created { domain, change: made } = create(txn, actor, new)?;
    txn.recall_keys(domain.id, change)?;
    let targets = edits_of(&set)?.into_iter().map(|edit| target(edit.subname, &edit.rtype, edit.before));
    let mut targets = targets.collect::<Result<Vec<_>, _>>()?;
    if actor.house.locks_ns(&domain.name) {
        // It has the name servers of now.
        targets.retain(|target| target.rtype != Rtype::NS);
    }
    let edits = Edits::Targets { kind: "restore", undoes: Some(change), note: None, targets, soa: None };
    let change = Change { actor: actor.clone(), domain: domain.id, precondition: None, edits, dry_run: false };
    let committed = commit(txn, change)?;
    Ok(Created { domain: committed.domain, change: committed.change.unwrap_or(made) })
}

/// What has to be taken back. One transaction holds everybody up and all of it in memory, so there is a limit.
fn sets_since(txn: &Txn<'_>, domain: DomainId, after: ChangeId, after_us: i64) -> Result<Vec<ChangeSet>, Refusal> {
    if txn.change_sets_len(domain, after, after_us)? > EDITS_LEN_MAX {
        return Err(Refusal::Rules(vec!["too much has changed since then: import the content instead".into()]));
    }
    Ok(txn.change_sets_since(domain, after, after_us)?)
}

/// Makes sure that an RRset is as the change-set left it.
fn is_untouched(txn: &Txn<'_>, domain: &Domain, edit: &Edit) -> Result<(), Refusal> {
    let Edit { subname, rtype, after, .. } = edit;
    let is_same = if edit.is_of_soa() {
        after.as_ref().and_then(State::to_soa).as_ref() == Some(&domain.soa)
    } else {
        let node = super::apply::node_of(subname)?;
        let found = txn.rrset(domain.id, &node, type_of(rtype)?)?;
        found.as_ref().map(State::of) == *after
    };
    if is_same {
        return Ok(());
    }
    let owner = if subname.is_empty() { "@" } else { subname };
    Err(Refusal::Overtaken(format!("{owner} {rtype}")))
}

/// A remembered state as a target.
fn target(subname: String, rtype: &str, state: Option<State>) -> Result<Target, Refusal> {
    let rtype = type_of(rtype)?;
    let damaged = || StoreError::Damaged("a change-set");
    let state = match state {
        None => None,
        Some(state) => Some((state.ttl, state.to_records(rtype).ok_or_else(damaged)?)),
    };
    Ok(Target { subname, rtype, state })
}

/// The type of a mnemonic.
fn type_of(text: &str) -> Result<Rtype, Refusal> {
    let damaged = StoreError::Damaged("a change-set");
    Rtype::parse(text.as_bytes()).ok_or(Refusal::Store(damaged))
}
