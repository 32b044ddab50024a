//! Writing RRsets as they shall be, and remembering what was there.

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

use super::commit::Plan;
use super::edits::{Edit, State};
use super::{Actor, Refusal, Target};
use crate::geo;
use crate::store::Txn;
use crate::store::changes::Node;
use crate::store::domains::Domain;
use crate::store::rrsets::{Record, Rrset};
use crate::store::usage::Delta;

/// What applying targets came to.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// RRsets that are there now, in the order of the targets.
    pub(super) rrsets: Vec<Rrset>,
    /// What changed.
    pub(super) edits: Vec<Edit>,
    /// The owners whose answers changed, each once.
    pub(super) nodes: Vec<Node>,
    /// By how much there is more.
    pub(super) delta: Delta,
}

/// The sort key of an owner below the apex (RFC 4034 section 6.1), so that a range of keys is a subtree.
///
/// # Errors
/// [`Refusal::Rules`] if `subname` is no name.
pub fn node_of(subname: &str) -> Result<Vec<u8>, Refusal> {
    let mut key = Vec::new();
    if !subname.is_empty() {
        let absolute = format!("{subname}.");
        let name = Name::parse(absolute.as_bytes(), None);
        let name = name.map_err(|_| Refusal::Rules(vec![format!("{subname} is not a name")]))?;
        name.as_ref().push_sort_key(&mut key);
    }
    Ok(key)
}

/// Makes each RRset what its target says; those that are so already are only touched.
pub(super) fn apply(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &mut Domain,
    targets: Vec<Target>,
    plan: &Plan,
) -> Result<Applied, Refusal> {
    let mut applied = Applied::default();
    for target in targets {
        let node = node_of(&target.subname)?;
        let before = txn.rrset(domain.id, &node, target.rtype)?;
        let before_state = before.as_ref().map(State::of);
        before.iter().for_each(|rrset| applied.delta.count(&domain.name, rrset, -1));
        let answers_before = before.as_ref().and_then(answers);
        let after = match (before, target.state) {
            (None, None) => None,
            (Some(before), None) => {
                txn.remove_rrset(before.id)?;
                domain.rrset_count = domain.rrset_count.saturating_sub(1);
                None
            }
            (before, Some((ttl_secs, mut records))) => {
                let is_new = before.is_none();
                if plan.is_of_answers() {
                    before.iter().for_each(|before| keep_disabled(before, &mut records));
                }
                let rrset = before.unwrap_or_else(|| Rrset {
                    id: 0,
                    node: node.clone(),
                    subname: target.subname.clone(),
                    rtype: target.rtype,
                    ttl_secs,
                    created_us: actor.now_us,
                    touched_us: actor.now_us,
                    records: Vec::new(),
                });
                domain.rrset_count += u32::from(is_new);
                Some(write(txn, actor, domain, rrset, ttl_secs, records)?)
            }
        };
        let after_state = after.as_ref().map(State::of);
        after.iter().for_each(|rrset| applied.delta.count(&domain.name, rrset, 1));
        let answers_after = after.as_ref().and_then(answers);
        if answers_before != answers_after {
            let is_boundary = matches!(target.rtype, Rtype::NS | Rtype::DNAME);
            let stays = answers_before.is_some() && answers_after.is_some();
            applied.nodes.push(Node { key: node, is_boundary, stays });
        }
        if before_state != after_state {
            let rtype = target.rtype.to_string();
            applied.edits.push(Edit { subname: target.subname, rtype, before: before_state, after: after_state });
        }
        applied.rrsets.extend(after);
    }
    applied.nodes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    applied.nodes.dedup_by(|b, a| {
        let is_same = a.key == b.key;
        if is_same {
            (a.is_boundary, a.stays) = (a.is_boundary || b.is_boundary, a.stays && b.stays);
        }
        is_same
    });
    Ok(applied)
}

/// Adds the disabled records of an RRset that are not named: who sees and writes what is answered cannot mean to take them away.
fn keep_disabled(before: &Rrset, records: &mut Vec<Record>) {
    let is_named = |row: &&Record| records.iter().any(|record| record.rdata == row.rdata || record.id == row.id);
    let unnamed = before.records.iter().filter(|row| !row.enabled && !is_named(row));
    let unnamed: Vec<Record> = unnamed.cloned().collect();
    records.extend(unnamed);
}

/// A record as queries see it: RDATA, weight, place.
type Answered = (Vec<u8>, Option<u32>, Option<String>);

/// What queries see of an RRset: TTL and enabled records; `None` without any.
fn answers(rrset: &Rrset) -> Option<(u32, Vec<Answered>)> {
    let answered = |record: &Record| (record.rdata.clone(), record.weight, record.geo.clone());
    let mut records: Vec<Answered> = rrset.enabled().map(answered).collect();
    records.sort_unstable();
    (!records.is_empty()).then_some((rrset.ttl_secs, records))
}

/// Writes one RRset. A record whose RDATA stays keeps its number and, unless the new one says otherwise, what goes
/// with it: weights and comments survive clients that do not know them. An empty comment removes what is there. A record
/// with a number is that row of the RRset, whatever its RDATA becomes, and is written as it is given.
fn write(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &Domain,
    mut rrset: Rrset,
    ttl_secs: u32,
    records: Vec<Record>,
) -> Result<Rrset, Refusal> {
    let mut old = std::mem::take(&mut rrset.records);
    rrset.records = records
        .into_iter()
        .map(|mut record| {
            let is_same = |old: &Record| match record.id {
                0 => old.rdata == record.rdata,
                id => old.id == id,
            };
            let known = old.iter().position(is_same).map(|at| old.swap_remove(at));
            let is_exact = std::mem::replace(&mut record.id, known.as_ref().map_or(0, |old| old.id)) != 0;
            if let Some(old) = known.filter(|_| !is_exact) {
                record.weight = record.weight.or(old.weight);
                record.geo = record.geo.or(old.geo);
                record.comment = record.comment.or(old.comment);
            }
            record.comment = record.comment.filter(|comment| !comment.is_empty());
            record
        })
        .collect();
    // With what stays, it may be more than it seemed.
    geo::check(rrset.rtype, &rrset.records).map_err(|cause| Refusal::Rules(vec![cause]))?;
    rrset.records.sort_by_key(|record| if record.id == 0 { i64::MAX } else { record.id });
    rrset.ttl_secs = ttl_secs;
    rrset.touched_us = actor.now_us;
    if rrset.id == 0 {
        txn.add_rrset(domain.id, domain.account, &mut rrset)?;
    } else {
        txn.update_rrset(&mut rrset)?;
    }
    Ok(rrset)
}
