//! Rollovers of a domain's keys: their begin, each step, their end, each in one transaction.
//!
//! What may happen when is `roll`'s. A step is published as a signing of the whole domain is, and its states begin when it
//! is served by all, which [`begin_step`] notes: until then nothing else happens, so that no wait is cut short by a zone that
//! could not be published. Invariant: the keys of a domain change only together with a change-set that says why.

use snapshot::dns::rtype::Rtype;

use super::commit::{Plan, authorise, book, record};
use super::signing::renew;
use super::{Actor, Refusal, owned};
use crate::roll::{self, Due, Key, Move, RollError, Sight, Successor, Waits, Wanted};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{NewKey, Rollover, State};
use crate::store::usage::Delta;
use crate::store::{ChangeId, DomainId, Reader, StoreError, Txn};

/// When a step is looked at again that records of the owner stand in the way of, in microseconds; a change of these has it
/// looked at as well.
const HELD_AGAIN_US: i64 = 600 * 1_000_000;

/// What a look at the parent found of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The key's number.
    pub id: i64,
    /// Who has its DS.
    pub sight: Sight,
    /// The TTL it was seen with, in seconds.
    pub ttl_secs: Option<u32>,
}

impl From<RollError> for Refusal {
    fn from(error: RollError) -> Refusal {
        Refusal::Rules(vec![error.to_string()])
    }
}

/// The keys of a domain as rollovers see them.
///
/// # Errors
/// [`StoreError`], also if one has a role that we do not know.
pub fn rolling_keys(reader: &Reader<'_>, domain: DomainId) -> Result<Vec<Key>, StoreError> {
    let keys = reader.keys(domain)?;
    keys.iter().map(|key| Key::of(key).ok_or(StoreError::Damaged("the role of a key"))).collect()
}

/// How long steps of a domain with these keys wait; `customs` is what the server says. O(RRsets) if one waits for the greatest
/// TTL in the zone, else that is 0.
///
/// # Errors
/// [`StoreError`].
pub fn waits_for(
    reader: &Reader<'_>,
    domain: &Domain,
    keys: &[Key],
    customs: &Waits,
    now_us: i64,
) -> Result<Waits, StoreError> {
    if !roll::waits_for_zone(keys) {
        return Ok(Waits { zone_secs: 0, ..*customs });
    }
    let zone_secs = reader.ttl_secs_max(domain.id, now_us)?.max(domain.soa.ttl_secs).max(customs.keys_secs);
    Ok(Waits { zone_secs, ..*customs })
}

/// Begins a rollover; `made` are new keys for those successors that were not kept, as [`roll::start`] named them to the caller.
///
/// # Errors
/// [`Refusal::Rules`] if it cannot begin, [`Refusal::Overtaken`] if the keys are others by now, [`Refusal::Forbidden`] if the
/// token may not write DNSKEY records at the apex.
pub fn begin_roll(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    wanted: Wanted,
    made: Vec<NewKey>,
) -> Result<(Domain, ChangeId), Refusal> {
    let mut domain = signed_domain(txn, actor, domain)?;
    let keys = rolling_keys(txn, domain.id)?;
    let successors = roll::start(&keys, wanted)?;
    if txn.rollover(domain.id)?.change.is_some() {
        return Err(RollError::Unserved.into());
    }
    is_only_algorithm(txn, &domain, &keys, &successors)?;
    let mut moves = Vec::new();
    let mut made = made.into_iter();
    for Successor { role, algorithm, state, kept } in successors {
        if let Some(id) = kept {
            moves.push(Move { id, to: Some(state) });
            continue;
        }
        let fits = |key: &NewKey| (&*key.role, key.algorithm, key.state) == (role.name(), algorithm, state);
        let key = made.next().filter(fits).ok_or_else(|| Refusal::Overtaken("a key".into()))?;
        if !txn.add_key(domain.account, domain.id, &key, actor.now_us)? {
            return Err(Refusal::Overtaken("the tag of a key".into()));
        }
    }
    let text = match wanted.algorithm {
        Some(algorithm) => format!("rollover to algorithm {algorithm}"),
        None => "rollover begins".to_owned(),
    };
    step(txn, actor, &mut domain, &keys, &moves, text, By::Request)
}

/// Ends what is under way by going back; `None` if there is nothing to stop.
///
/// # Errors
/// As [`begin_roll`].
pub fn stop_roll(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<(Domain, Option<ChangeId>), Refusal> {
    let mut domain = signed_domain(txn, actor, domain)?;
    let keys = rolling_keys(txn, domain.id)?;
    let Ok(moves) = roll::stop(&keys) else { return Ok((domain, None)) };
    let (domain, change) = step(txn, actor, &mut domain, &keys, &moves, "rollover stopped".to_owned(), By::Request)?;
    Ok((domain, Some(change)))
}

/// Has the parent asked to remove all DS (RFC 8078 section 4); [`stop_roll`] takes that back.
///
/// # Errors
/// As [`begin_roll`].
pub fn withdraw_ds(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<(Domain, ChangeId), Refusal> {
    let mut domain = signed_domain(txn, actor, domain)?;
    let keys = rolling_keys(txn, domain.id)?;
    let moves = roll::withdraw(&keys)?;
    step(txn, actor, &mut domain, &keys, &moves, "the parent is asked to remove all DS".to_owned(), By::Request)
}

/// Notes what is known of the parent, and makes the step that is due, if one is, unless records of the owner stand in its way.
/// Without one, the next look is when the next is, or after `poll_us` where only the parent can tell; `None`: nobody looks at it.
///
/// # Errors
/// [`Refusal::Store`].
pub fn advance_roll(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    seen: &[Seen],
    waits: &Waits,
    poll_us: Option<i64>,
) -> Result<Option<ChangeId>, Refusal> {
    let Some(mut domain) = txn.domain(domain)?.filter(|domain| domain.denial != Denial::Off) else { return Ok(None) };
    let rollover = txn.rollover(domain.id)?;
    if rollover.change.is_some() {
        return Ok(None);
    }
    let actor = Actor { account: domain.account, ..actor.clone() };
    let keys = noted(txn, domain.id, seen, actor.now_us)?;
    // The keys may have gone on since the caller looked, and what was seen of the parent may be what a step waited for.
    let waits = if waits.zone_secs == 0 { &waits_for(txn, &domain, &keys, waits, actor.now_us)? } else { waits };
    let all = roll::waits_of(&keys, waits);
    for wait in all.iter().filter(|wait| wait.is_due(actor.now_us)) {
        if owned::held_by(txn, &domain, &wait.moves)?.is_empty() {
            let text = wait.text.clone();
            let (_, change) = step(txn, &actor, &mut domain, &keys, &wait.moves, text, By::Itself)?;
            return Ok(Some(change));
        }
    }
    let looks = all.into_iter().filter_map(|wait| match wait.due {
        Due::At(_) if wait.moves.is_empty() => None,
        Due::At(at_us) if at_us <= actor.now_us => Some(actor.now_us.saturating_add(HELD_AGAIN_US)),
        Due::At(at_us) => Some(at_us),
        Due::Seen(_) | Due::Gone(_) => poll_us.map(|poll_us| actor.now_us.saturating_add(poll_us)),
    });
    let next_us = looks.min();
    if next_us != rollover.next_us {
        txn.put_rollover(&domain, &Rollover { next_us, ..rollover })?;
    }
    Ok(None)
}

/// Takes the word of the operator that the parent has the DS of this key at all its servers, and of no other key of ours.
///
/// # Errors
/// [`Refusal::Rules`] if there is no such key, else as [`begin_roll`].
pub fn note_parent(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    tag: u16,
    ttl_secs: Option<u32>,
) -> Result<Domain, Refusal> {
    let domain = signed_domain(txn, actor, domain)?;
    let keys = rolling_keys(txn, domain.id)?;
    if !keys.iter().any(|key| key.tag == tag && key.duties().signs_keys) {
        return Err(Refusal::Rules(vec![format!("no key with tag {tag} is announced that a DS can lead to.")]));
    }
    let seen = |key: &Key| {
        let sight = if key.tag == tag { Sight::Everywhere } else { Sight::Nowhere };
        Seen { id: key.id, sight, ttl_secs }
    };
    take_word(txn, actor, &domain, &keys.iter().map(seen).collect::<Vec<_>>())?;
    Ok(domain)
}

/// Takes the word of the operator that no server of the parent has a DS of any key of ours. While the parent is asked for one,
/// that says only that none was seen: it may come at any moment.
///
/// # Errors
/// As [`begin_roll`].
pub fn note_no_ds(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<Domain, Refusal> {
    let domain = signed_domain(txn, actor, domain)?;
    let seen = |key: &Key| Seen { id: key.id, sight: Sight::Nowhere, ttl_secs: None };
    let seen: Vec<Seen> = rolling_keys(txn, domain.id)?.iter().map(seen).collect();
    take_word(txn, actor, &domain, &seen)?;
    Ok(domain)
}

/// Notes what the operator says of the parent, and has the keys looked at now.
fn take_word(txn: &Txn<'_>, actor: &Actor, domain: &Domain, seen: &[Seen]) -> Result<(), Refusal> {
    noted(txn, domain.id, seen, actor.now_us)?;
    let rollover = txn.rollover(domain.id)?;
    Ok(txn.put_rollover(domain, &Rollover { next_us: Some(actor.now_us), ..rollover })?)
}

/// Whether a domain is to be signed, and the database lacks the keys for it: what is in service was signed with others, and
/// whatever is signed with none of those is bogus. So it is until there are keys for the zone and for the keys.
///
/// # Errors
/// [`StoreError`].
pub fn is_keyless(reader: &Reader<'_>, domain: &Domain) -> Result<bool, StoreError> {
    let keys = rolling_keys(reader, domain.id)?;
    let is_any = |does: fn(&Key) -> bool| keys.iter().any(does);
    let is_whole = is_any(|key| key.duties().signs_zone) && is_any(|key| key.duties().signs_keys);
    Ok(domain.denial != Denial::Off && !is_whole)
}

/// Notes that all serve the last step of a domain: the waits after it begin now.
///
/// # Errors
/// [`Refusal::Store`].
pub fn begin_step(txn: &Txn<'_>, domain: DomainId, served: ChangeId, now_us: i64) -> Result<(), Refusal> {
    let rollover = txn.rollover(domain)?;
    let Some(domain) = txn.domain(domain)?.filter(|_| rollover.change == Some(served)) else { return Ok(()) };
    txn.begin_states(domain.id, now_us)?;
    txn.put_rollover(&domain, &Rollover { next_us: Some(now_us), change: None, ..rollover })?;
    Ok(())
}

/// Says after how many seconds keys are rolled by themselves; `None` leaves it as it is.
///
/// # Errors
/// As [`begin_roll`].
pub fn set_lifetimes(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    [zsk_secs, ksk_secs]: [Option<Option<u32>>; 2],
) -> Result<Domain, Refusal> {
    let domain = owned_domain(txn, actor, domain)?;
    let rollover = txn.rollover(domain.id)?;
    let zsk_secs = zsk_secs.unwrap_or(rollover.zsk_secs);
    let ksk_secs = ksk_secs.unwrap_or(rollover.ksk_secs);
    txn.put_rollover(&domain, &Rollover { zsk_secs, ksk_secs, ..rollover })?;
    txn.look_at_keys(domain.id, actor.now_us)?;
    Ok(domain)
}

/// Keeps a key from elsewhere. A domain that is not signed has it in use from when it is, in place of keys it had before,
/// which are kept; of one that is signed it is the key of the next rollover to its algorithm.
///
/// # Errors
/// As [`begin_roll`].
pub fn import_key(txn: &Txn<'_>, actor: &Actor, domain: DomainId, key: NewKey) -> Result<Domain, Refusal> {
    let domain = owned_domain(txn, actor, domain)?;
    // Nor does anything depend on the keys of a domain that lost those that it was signed with.
    let is_idle = domain.denial == Denial::Off || is_keyless(txn, &domain)?;
    let state = if is_idle { State::Active } else { State::Generated };
    if state == State::Active {
        let is_replaced = |old: &Key| old.role.name() == key.role || old.role.name() == "csk" || key.role == "csk";
        for old in rolling_keys(txn, domain.id)?.iter().filter(|old| is_replaced(old)) {
            txn.move_key(old.id, Some(State::Generated), actor.now_us)?;
        }
    }
    let key = NewKey { state, ..key };
    if !txn.add_key(domain.account, domain.id, &key, actor.now_us)? {
        return Err(Refusal::Rules(vec!["a key with this tag is there already.".to_owned()]));
    }
    txn.note_imported(domain.id, key.tag)?;
    Ok(domain)
}

/// Who has something done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Whoever asked for it, to whose account it is charged.
    Request,
    /// Nobody: it was time.
    Itself,
}

/// Makes moves, and has the domain published with them.
fn step(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &mut Domain,
    keys: &[Key],
    moves: &[Move],
    text: String,
    by: By,
) -> Result<(Domain, ChangeId), Refusal> {
    if by == By::Request {
        let faults = owned::held_by(txn, domain, moves)?;
        if !faults.is_empty() {
            return Err(Refusal::Rules(faults));
        }
    }
    make_moves(txn, keys, moves, actor.now_us)?;
    renew(txn, actor, domain)?;
    let plan = Plan { note: Some(text), ..Plan::named("roll") };
    match by {
        By::Request => book(txn, actor, domain, &plan, &[], None, &Delta::default())?,
        By::Itself => record(txn, actor, domain, &plan, &[], None)?,
    }
    txn.update_domain(domain)?;
    let rollover = txn.rollover(domain.id)?;
    let rollover = Rollover { next_us: Some(actor.now_us), change: Some(domain.change), ..rollover };
    txn.put_rollover(domain, &rollover)?;
    Ok((domain.clone(), domain.change))
}

/// Brings keys into other states.
pub(super) fn make_moves(txn: &Txn<'_>, keys: &[Key], moves: &[Move], now_us: i64) -> Result<(), StoreError> {
    for Move { id, to } in moves {
        if let (Some(key), Some(to)) = (keys.iter().find(|key| key.id == *id), to) {
            txn.note_ds(*id, &roll::ds_after(key, *to))?;
        }
        txn.move_key(*id, *to, now_us)?;
    }
    Ok(())
}

/// The keys of a domain after what was seen is noted.
fn noted(txn: &Txn<'_>, domain: DomainId, seen: &[Seen], now_us: i64) -> Result<Vec<Key>, Refusal> {
    let mut keys = rolling_keys(txn, domain)?;
    for key in keys.iter_mut().filter(|key| key.role != crate::keys::Role::Zsk) {
        let Some(seen) = seen.iter().find(|seen| seen.id == key.id) else { continue };
        let ds = roll::observe(key, seen.sight, seen.ttl_secs, now_us);
        if ds != key.ds {
            txn.note_ds(key.id, &ds)?;
            key.ds = ds;
        }
    }
    Ok(keys)
}

/// The domain of the actor, who may change its keys.
fn owned_domain(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<Domain, Refusal> {
    let domain = txn.domain(domain)?.filter(|row| row.account == actor.account).ok_or(Refusal::NoDomain)?;
    authorise(txn, actor, &domain, [("", Rtype::DNSKEY)].into_iter())?;
    Ok(domain)
}

/// The same, if it is signed.
fn signed_domain(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<Domain, Refusal> {
    let domain = owned_domain(txn, actor, domain)?;
    if domain.denial == Denial::Off {
        return Err(Refusal::Rules(vec!["the zone is not signed.".to_owned()]));
    }
    Ok(domain)
}

/// Makes sure that nobody else's keys need the algorithm that goes.
fn is_only_algorithm(txn: &Txn<'_>, domain: &Domain, keys: &[Key], new: &[Successor]) -> Result<(), Refusal> {
    let Some(algorithm) = new.first().map(|successor| successor.algorithm) else { return Ok(()) };
    let is_change = keys.iter().any(|key| key.state == State::Active && key.algorithm != algorithm);
    let Some(theirs) = txn.rrset(domain.id, &[], Rtype::DNSKEY)?.filter(|_| is_change) else { return Ok(()) };
    let other = theirs.enabled().filter_map(|record| record.rdata.get(3)).find(|theirs| **theirs != algorithm);
    match other {
        Some(other) => {
            let text = format!("the zone has a DNSKEY record of its own with algorithm {other}: take it out before.");
            Err(Refusal::Rules(vec![text]))
        }
        None => Ok(()),
    }
}
