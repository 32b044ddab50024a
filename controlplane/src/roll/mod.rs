//! Rollovers: what each key of a domain does, and when it may do something else, so that no resolver finds a chain broken.
//!
//! Pure: keys and times in, moves out; `change` makes them, and `api::rolling` looks when it is time. A ZSK is published
//! before it signs (RFC 7583 section 3.2.1). A KSK or CSK is doubled (section 3.3.1, "Double-KSK"): both are announced and
//! sign the keys while the parent goes from one DS to the other, which it is asked for once, by CDS of the new one alone,
//! where doubling the DS would ask it twice and wait for it twice. A CSK signs the zone from when the parent knows it, in
//! one step, for the keys of before are in every cache. Another algorithm comes signatures first, then keys, then DS, and
//! the old one goes the other way round (RFC 6781 section 4.1.4), for validators may want every algorithm of the DS to sign
//! the keys, and every algorithm of the keys to sign the zone. The first keys of a zone that was served without signatures are
//! ready from the beginning, and the parent is asked for their DS once no cache has anything unsigned. Invariant, for states
//! that were each served as long as [`Waits`] asks: whatever mixture of DS, keys and zone a cache holds, old and new, validates
//! so strictly (`tests`).

mod rules;
#[cfg(test)]
mod tests;

use crate::keys::Role;
use crate::store::keys::{DsTimes, State, StoredKey};

pub use rules::{Due, Wait, advance, waits_for_zone, waits_of};

/// Microseconds in a second.
const US: i64 = 1_000_000;

/// What a key does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Duties {
    /// It is in the DNSKEY RRset.
    pub is_announced: bool,
    /// It signs what is in the zone but keys.
    pub signs_zone: bool,
    /// It signs DNSKEY, CDS and CDNSKEY.
    pub signs_keys: bool,
    /// CDS and CDNSKEY ask the parent for its DS.
    pub is_asked_for: bool,
}

/// What a key in a state does.
#[must_use]
pub fn duties(state: State, role: Role) -> Duties {
    let (signs, is_announced, is_asked_for) = match state {
        State::Generated => (false, false, false),
        State::Signing | State::Withdrawn => (true, false, false),
        State::Published | State::Retired => (false, true, false),
        State::Ready | State::Leaving | State::Ending => (true, true, false),
        State::Submitted => (false, true, true),
        State::Active => (true, true, true),
    };
    let is_entry_point = role != Role::Zsk;
    Duties {
        is_announced,
        signs_zone: signs && role != Role::Ksk,
        // A DS may lead to it whenever it is announced.
        signs_keys: is_announced && is_entry_point,
        is_asked_for: is_asked_for && is_entry_point,
    }
}

/// A key as rollovers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its number.
    pub id: i64,
    /// Its tag, for people.
    pub tag: u16,
    /// What it is for.
    pub role: Role,
    /// Its algorithm.
    pub algorithm: u8,
    /// Where it is in its life.
    pub state: State,
    /// Since when that is served, in microseconds since 1970.
    pub since_us: i64,
    /// Its DS at the parent.
    pub ds: DsTimes,
}

impl Key {
    /// A key of the database; `None` if its role is none that we know.
    #[must_use]
    pub fn of(stored: &StoredKey) -> Option<Key> {
        let StoredKey { id, key, since_us, ds, .. } = stored;
        let role = Role::from_name(&key.role)?;
        let (tag, algorithm, state) = (key.tag, key.algorithm, key.state);
        Some(Key { id: *id, tag, role, algorithm, state, since_us: *since_us, ds: *ds })
    }

    /// Whether a DS may be made of it.
    fn is_entry_point(&self) -> bool {
        self.role != Role::Zsk
    }

    /// What it does.
    #[must_use]
    pub fn duties(&self) -> Duties {
        duties(self.state, self.role)
    }
}

/// How long caches hold what was served before, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// The greatest TTL in the zone, of denials and the SOA too; 0 where no step waits for it, and nobody asked.
    pub zone_secs: u32,
    /// The TTL of DNSKEY.
    pub keys_secs: u32,
    /// The TTL of DS, where it was not seen.
    pub ds_secs: u32,
    /// Until what is served is served everywhere, secondaries and those of the parent included.
    pub propagation_secs: u32,
}

/// A key goes into a state; `None`: it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Its number.
    pub id: i64,
    /// The state.
    pub to: Option<State>,
}

/// What is to be rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Keys of this role; `None`: all that sign, one of each role.
    pub role: Option<Role>,
    /// To this algorithm; `None`: the one they have.
    pub algorithm: Option<u8>,
}

/// A key that a rollover begins with: one that was kept, or a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    /// The role.
    pub role: Role,
    /// The algorithm.
    pub algorithm: u8,
    /// Where it begins.
    pub state: State,
    /// The number of the one that was kept, if one was.
    pub kept: Option<i64>,
}

/// Why a rollover does not begin or end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollError {
    /// Nothing to roll.
    #[error("no key of this kind is in use.")]
    NoKey,
    /// It is under way.
    #[error("a rollover is under way; see it through, or stop it before.")]
    UnderWay,
    /// Waits begin when a step is served: another one would take the place of what is waited for.
    #[error("not all data planes serve the last step yet; wait until they do, as the status of the keys tells.")]
    Unserved,
    /// The parent was not asked for anything yet.
    #[error(
        "the zone is signed since a short time only; wait until its keys are active, as the status of the keys tells."
    )]
    First,
    /// All algorithms change together.
    #[error("another algorithm is for all keys of a zone: leave the role out.")]
    RoleWithAlgorithm,
    /// Nothing can be stopped.
    #[error("nothing is under way that can be stopped.")]
    NothingToStop,
}

/// Whether the keys that are ready are the first: those of another algorithm become ready beside the ones in use.
#[must_use]
pub fn is_first(keys: &[Key]) -> bool {
    let is_any = |state: State| keys.iter().any(|key| key.state == state);
    is_any(State::Ready) && !is_any(State::Active)
}

/// The moves with which a zone is signed that was served without signatures; its keys may be those it was signed with before.
/// Of a rollover that was under way remains what its parent may have a DS of: it is gone back from, as by [`stop`].
#[must_use]
pub fn enable(keys: &[Key]) -> Vec<Move> {
    let back = stop(keys).unwrap_or_default();
    let moved = |key: &Key| back.iter().find(|back| back.id == key.id).map_or(Some(key.state), |back| back.to);
    let ends = keys.iter().map(|key| {
        let to = match (key.state, moved(key)) {
            // What the parent was not asked for is kept for another time.
            (State::Signing | State::Published, _) | (State::Ready, Some(State::Withdrawn)) | (_, None) => {
                State::Generated
            }
            (_, Some(State::Active | State::Ending)) => State::Ready,
            (_, Some(state)) => state,
        };
        Move { id: key.id, to: Some(to) }
    });
    let states = keys.iter().map(|key| Some(key.state));
    ends.zip(states).filter(|(end, state)| end.to != *state).map(|(end, _)| end).collect()
}

/// What a rollover begins with.
///
/// # Errors
/// [`RollError`].
pub fn start(keys: &[Key], wanted: Wanted) -> Result<Vec<Successor>, RollError> {
    let active = || keys.iter().filter(|key| key.state == State::Active);
    let is_resting = |key: &Key| matches!(key.state, State::Active | State::Generated);
    let is_other = |key: &Key| wanted.algorithm.is_some_and(|algorithm| algorithm != key.algorithm);
    let is_change = active().any(is_other);
    if is_change && wanted.role.is_some() {
        return Err(RollError::RoleWithAlgorithm);
    }
    let mut roles: Vec<Role> = active().map(|key| key.role).collect();
    roles.sort_unstable();
    roles.dedup();
    roles.retain(|role| wanted.role.is_none_or(|wanted| wanted == *role));
    if is_first(keys) {
        return Err(RollError::First);
    }
    if roles.is_empty() {
        return Err(RollError::NoKey);
    }
    // Keys of another algorithm go together, and so no rollover runs beside theirs; else each role has its own.
    let is_changing = |key: &Key| matches!(key.state, State::Signing | State::Ready | State::Withdrawn);
    let algorithms = keys.iter().filter(|key| key.duties().signs_zone).map(|key| key.algorithm);
    let is_mixed = algorithms.clone().min() != algorithms.max() || keys.iter().any(is_changing);
    let is_busy = |key: &Key| !is_resting(key) && (is_change || roles.contains(&key.role));
    if is_mixed || keys.iter().any(is_busy) {
        return Err(RollError::UnderWay);
    }
    let state = if is_change { State::Signing } else { State::Published };
    let successors = roles.into_iter().filter_map(|role| {
        let algorithm = wanted.algorithm.or_else(|| active().find(|key| key.role == role).map(|key| key.algorithm))?;
        let fits = |key: &&Key| key.state == State::Generated && key.role == role && key.algorithm == algorithm;
        Some(Successor { role, algorithm, state, kept: keys.iter().find(fits).map(|key| key.id) })
    });
    Ok(successors.collect())
}

/// Ends what is under way by going back: what comes in goes, what was about to leave stays. The way back is as safe as the
/// way there: a key whose DS may be at the parent stays announced until none has it.
///
/// # Errors
/// [`RollError::NothingToStop`], also once the old keys are not in use any more: then only another rollover helps.
pub fn stop(keys: &[Key]) -> Result<Vec<Move>, RollError> {
    let is_leaving = |key: &Key| key.state == State::Leaving;
    // There is nothing to go back to but a zone that is not signed.
    if is_first(keys) {
        return Err(RollError::NothingToStop);
    }
    let is_submitted = keys.iter().any(|key| key.state == State::Submitted);
    let goes_back = |key: &Key| {
        Some(match key.state {
            State::Signing => None,
            State::Ready => Some(State::Withdrawn),
            State::Published | State::Submitted => Some(State::Retired),
            State::Leaving | State::Ending => Some(State::Active),
            // Its algorithm has the place of one that is leaving.
            State::Active if !is_submitted && keys.iter().any(is_leaving) => Some(State::Leaving),
            _ => return None,
        })
    };
    let moves: Vec<Move> = keys.iter().filter_map(|key| Some(Move { id: key.id, to: goes_back(key)? })).collect();
    if moves.is_empty() { Err(RollError::NothingToStop) } else { Ok(moves) }
}

/// Has the parent asked to remove all DS; [`stop`] takes that back.
///
/// # Errors
/// [`RollError`].
pub fn withdraw(keys: &[Key]) -> Result<Vec<Move>, RollError> {
    if is_first(keys) {
        return Err(RollError::First);
    }
    if keys.iter().any(|key| !matches!(key.state, State::Active | State::Generated)) {
        return Err(RollError::UnderWay);
    }
    let active = keys.iter().filter(|key| key.state == State::Active);
    let moves: Vec<Move> = active.map(|key| Move { id: key.id, to: Some(State::Ending) }).collect();
    if moves.is_empty() { Err(RollError::NoKey) } else { Ok(moves) }
}

/// What the servers of the parent have of a key's DS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All have it.
    Everywhere,
    /// None has it.
    Nowhere,
    /// Some have it, or some did not say.
    Mixed,
}

/// What is known of a key's DS after a look at the parent, or the word of its operator. That none has the DS of a key counts
/// only once it is not asked for any more: before that it may come at any moment.
#[must_use]
pub fn observe(key: &Key, sight: Sight, ttl_secs: Option<u32>, now_us: i64) -> DsTimes {
    let asked = key.duties().is_asked_for;
    DsTimes {
        seen_us: (sight == Sight::Everywhere).then(|| key.ds.seen_us.unwrap_or(now_us)),
        gone_us: (sight == Sight::Nowhere && !asked).then(|| key.ds.gone_us.unwrap_or(now_us)),
        ttl_secs: if sight == Sight::Nowhere { key.ds.ttl_secs } else { key.ds.ttl_secs.max(ttl_secs) },
    }
}

/// What is known of a key's DS when it goes into a state: once it is asked for, nobody knows that it is nowhere.
#[must_use]
pub fn ds_after(key: &Key, to: State) -> DsTimes {
    let was_asked = key.duties().is_asked_for;
    let is_asked = duties(to, key.role).is_asked_for;
    let gone_us = if is_asked || was_asked { None } else { key.ds.gone_us };
    DsTimes { gone_us, ..key.ds }
}
