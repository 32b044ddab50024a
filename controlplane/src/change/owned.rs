//! DNSKEY, CDS and CDNSKEY records that the owner of a signed domain has at its apex, beside ours.
//!
//! They are published together with ours. Where the gate would refuse that, nothing of the domain could be published any more: so
//! they are refused when they are written, and a step of a rollover after which they would be wrong waits until they are gone. The
//! rules are the gate's, as [`dnssec::faults_of`] has them; here is only what it cannot know, which is what our keys are about
//! to do. Invariant: what was wrong before keeps nobody from mending a part of it: only what is newly wrong counts.

use std::collections::BTreeSet;

use snapshot::dns::rtype::Rtype;

use super::rolling::rolling_keys;
use super::{Refusal, Target};
use crate::dnssec;
use crate::keys::key_tag;
use crate::roll::{self, Key, Move};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{Rollover, State, StoredKey};
use crate::store::rrsets::Rrset;
use crate::store::{DomainId, Reader, StoreError, Txn};

/// The types that are published together with ours.
const TYPES: [Rtype; 3] = [Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY];

/// Whether RRsets of these types at the apex are among the targets of a change.
pub(super) fn is_touched(targets: &[Target]) -> bool {
    targets.iter().any(|target| target.subname.is_empty() && TYPES.contains(&target.rtype))
}

/// The RRsets of these types at the apex.
pub(super) fn at_apex(reader: &Reader<'_>, domain: DomainId) -> Result<Vec<Rrset>, StoreError> {
    let mut rrsets = reader.rrsets_of(domain, &[])?;
    rrsets.retain(|rrset| TYPES.contains(&rrset.rtype));
    Ok(rrsets)
}

/// Whether the owner of a signed domain asks the parent to remove all DS records, whatever our keys ask for.
///
/// # Errors
/// [`StoreError`].
pub fn asks_for_removal(reader: &Reader<'_>, domain: &Domain) -> Result<bool, StoreError> {
    Ok(domain.denial != Denial::Off && dnssec::wants_removal(&at_apex(reader, domain.id)?))
}

/// Makes sure that a signed domain can be published with what a change made of these records, and while its rollovers go on;
/// `before` is what [`at_apex`] gave before it.
///
/// # Errors
/// [`Refusal::Rules`] with what is newly wrong.
pub(super) fn fits(reader: &Reader<'_>, domain: &Domain, before: &[Rrset]) -> Result<(), Refusal> {
    if domain.denial == Denial::Off {
        return Ok(());
    }
    let after = at_apex(reader, domain.id)?;
    let keys = reader.keys(domain.id)?;
    let [gone, new] = [(before, &*after), (&*after, before)].map(|(these, others)| {
        let others = dnskeys(others);
        dnskeys(these).into_iter().filter(|rdata| !others.contains(rdata)).collect::<Vec<_>>()
    });
    let mut faults = new_faults(&dnssec::faults_of(domain, &keys, before), dnssec::faults_of(domain, &keys, &after));
    let is_request = |fault: &String| fault.starts_with("CDS ") || fault.starts_with("CDNSKEY ");
    if !gone.is_empty() && faults.iter().any(is_request) {
        let text =
            "A DNSKEY goes together with the CDS and CDNSKEY records that refer to it, in one request, or after them.";
        faults.push(text.to_owned());
    }
    let rolling = rolling_keys(reader, domain.id)?;
    faults.extend(new.into_iter().filter_map(|rdata| fault_to_come(rdata, &keys, &rolling)));
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Rules(faults)) }
}

/// What is wrong with a new DNSKEY of the owner although it could be published now.
fn fault_to_come(rdata: &[u8], keys: &[StoredKey], rolling: &[Key]) -> Option<String> {
    let (algorithm, public) = (*rdata.get(3)?, rdata.get(4..)?);
    let tag = key_tag(rdata);
    let is_alike = |key: &&StoredKey| (key.key.algorithm, key.key.tag) == (algorithm, tag) && key.key.public != public;
    // Of keys that sign or are announced the gate says so itself.
    if keys.iter().filter(|key| key.key.state == State::Generated).any(|key| is_alike(&key)) {
        return Some(format!(
            "a key that is kept for this domain has algorithm {algorithm} and tag {tag} as well: make another key."
        ));
    }
    let is_used = |key: &Key| key.algorithm == algorithm && key.state != State::Generated;
    (rolling.iter().any(is_used) && !staying(rolling).contains(&algorithm)).then(|| {
        format!(
            "the keys of this domain change their algorithm: a DNSKEY of algorithm {algorithm} can be added once that is over."
        )
    })
}

/// The algorithms that our keys sign with whatever becomes of the rollovers that are under way.
fn staying(keys: &[Key]) -> BTreeSet<u8> {
    let is_first = roll::is_first(keys);
    // Until the new algorithm has taken the place of the old one, it may have to go back.
    let is_changing = keys.iter().any(|key| key.state == State::Signing || (key.state == State::Ready && !is_first));
    let stays = |key: &&Key| match key.state {
        // Who has the place of another key has its algorithm; see `roll::start`.
        State::Active | State::Ending | State::Submitted | State::Published => !is_changing,
        State::Ready => is_first,
        _ => false,
    };
    keys.iter().filter(stays).map(|key| key.algorithm).collect()
}

/// Why moves of our keys must wait: what would be newly wrong with the owner's records after them.
///
/// # Errors
/// [`StoreError`].
pub fn held_by(reader: &Reader<'_>, domain: &Domain, moves: &[Move]) -> Result<Vec<String>, StoreError> {
    let own = at_apex(reader, domain.id)?;
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let before = reader.keys(domain.id)?;
    let mut after = before.clone();
    for Move { id, to } in moves {
        match to {
            None => after.retain(|key| key.id != *id),
            Some(state) => after.iter_mut().filter(|key| key.id == *id).for_each(|key| key.key.state = *state),
        }
    }
    Ok(new_faults(&dnssec::faults_of(domain, &before, &own), dnssec::faults_of(domain, &after, &own)))
}

/// Has a rollover that may have waited for a change of these records looked at.
pub(super) fn look_again(txn: &Txn<'_>, domain: &Domain, now_us: i64) -> Result<(), StoreError> {
    let rollover = txn.rollover(domain.id)?;
    if rollover.next_us.is_some_and(|next_us| next_us > now_us) && rollover.change.is_none() {
        txn.put_rollover(domain, &Rollover { next_us: Some(now_us), ..rollover })?;
    }
    Ok(())
}

/// The faults that were not there before.
fn new_faults(before: &[String], after: Vec<String>) -> Vec<String> {
    after.into_iter().filter(|fault| !before.contains(fault)).collect()
}

/// RDATA of the DNSKEY records that are published.
fn dnskeys(rrsets: &[Rrset]) -> Vec<&[u8]> {
    let rrsets = rrsets.iter().filter(|rrset| rrset.rtype == Rtype::DNSKEY);
    rrsets.flat_map(Rrset::enabled).map(|record| &*record.rdata).collect()
}
