//! The moves of rollovers: each with what it waits for.
//!
//! A rule looks at states and times only, so that a process that died goes on where the database is. Invariant: a rule is a
//! step that keeps the invariant of [`super`] by itself, in whatever order they are taken.

use std::fmt::Write as _;

use super::{Key, Move, US, Waits, is_first};
use crate::keys::Role;
use crate::store::keys::State;

/// When something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At this time, in microseconds since 1970.
    At(i64),
    /// Once all servers of the parent have the DS of this key.
    Seen(u16),
    /// Once none has it any more.
    Gone(u16),
}

/// A step that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub due: Due,
    /// What happens then; nothing by itself, where the owner has to go on.
    pub moves: Vec<Move>,
    /// Both, for people, but for the time.
    pub text: String,
}

/// What is waited for.
#[must_use]
pub fn waits_of(keys: &[Key], waits: &Waits) -> Vec<Wait> {
    let table = Table { keys, waits };
    let mut all = Vec::new();
    table.comes(&mut all);
    table.goes(&mut all);
    all
}

/// The moves that may be made now; none if there is nothing but to wait.
#[must_use]
pub fn advance(keys: &[Key], waits: &Waits, now_us: i64) -> Option<Wait> {
    waits_of(keys, waits).into_iter().find(|wait| wait.is_due(now_us))
}

impl Wait {
    /// Whether its moves may be made now.
    #[must_use]
    pub fn is_due(&self, now_us: i64) -> bool {
        matches!(self.due, Due::At(at_us) if at_us <= now_us) && !self.moves.is_empty()
    }
}

/// Whether a step waits for the greatest TTL in the zone, which is dear to find.
#[must_use]
pub fn waits_for_zone(keys: &[Key]) -> bool {
    let is_first = is_first(keys);
    keys.iter().any(|key| match key.state {
        State::Signing => true,
        State::Ready => is_first,
        // Where the parent has to do something before, that has no time.
        State::Retired => !key.is_entry_point() || key.ds.gone_us.is_some(),
        _ => false,
    })
}

/// The keys, as rules ask for them.
struct Table<'k> {
    /// The keys.
    keys: &'k [Key],
    /// How long what takes.
    waits: &'k Waits,
}

impl Table<'_> {
    /// The keys in a state.
    fn in_state(&self, state: State) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.state == state)
    }

    /// Those of them that the key takes the place of.
    fn before<'t>(&'t self, key: &'t Key, state: State) -> impl Iterator<Item = &'t Key> {
        self.in_state(state).filter(|old| (old.role, old.algorithm) == (key.role, key.algorithm) && old.id != key.id)
    }

    /// When the caches have forgotten what was before a time: what was served with this TTL.
    fn after(&self, since_us: i64, ttl_secs: u32) -> i64 {
        since_us.saturating_add((i64::from(ttl_secs) + i64::from(self.waits.propagation_secs)) * US)
    }

    /// When they have forgotten what was before all keys in a state came into it; `None` if none is in it.
    fn after_state(&self, state: State, ttl_secs: u32) -> Option<i64> {
        self.in_state(state).map(|key| self.after(key.since_us, ttl_secs)).max()
    }

    /// When no cache has a DS of this key.
    fn without_ds(&self, key: &Key) -> Due {
        match key.ds.gone_us {
            Some(gone_us) => Due::At(self.after(gone_us, key.ds.ttl_secs.unwrap_or(self.waits.ds_secs))),
            None => Due::Gone(key.tag),
        }
    }

    /// How keys come in.
    fn comes(&self, all: &mut Vec<Wait>) {
        if let Some(at_us) = self.after_state(State::Signing, self.waits.zone_secs) {
            let moves = to(self.in_state(State::Signing), State::Ready);
            let text =
                format!("announce {}: its signatures are in all caches then", tags(self.in_state(State::Signing)));
            all.push(Wait { due: Due::At(at_us), moves, text });
        }
        // Of a zone that was served without signatures, caches may hold what nobody could validate if there were a DS.
        let is_first = is_first(self.keys);
        let unready_secs = if is_first { self.waits.zone_secs.max(self.waits.keys_secs) } else { self.waits.keys_secs };
        if let Some(at_us) = self.after_state(State::Ready, unready_secs) {
            let mut moves = to(self.in_state(State::Ready), State::Active);
            moves.extend(to(self.in_state(State::Active), State::Leaving));
            let new = tags(self.in_state(State::Ready));
            let what =
                if is_first { "nothing without signatures is in any cache then" } else { "it is in all caches then" };
            let text = format!("ask the parent for the DS of {new}: {what}");
            all.push(Wait { due: Due::At(at_us), moves, text });
        }
        for key in self.in_state(State::Published) {
            let due = Due::At(self.after(key.since_us, self.waits.keys_secs));
            let (next, last, what) = match key.role {
                Role::Zsk => (State::Active, State::Retired, "sign with"),
                Role::Csk | Role::Ksk => (State::Submitted, State::Leaving, "ask the parent for the DS of"),
            };
            let mut moves = vec![Move { id: key.id, to: Some(next) }];
            moves.extend(to(self.before(key, State::Active), last));
            all.push(Wait { due, moves, text: format!("{what} {}: it is in all caches then", key.tag) });
        }
        for key in self.in_state(State::Submitted) {
            let due = key.ds.seen_us.map_or(Due::Seen(key.tag), Due::At);
            let mut moves = vec![Move { id: key.id, to: Some(State::Active) }];
            moves.extend(to(self.before(key, State::Leaving), State::Retired));
            let text = format!("use {} once all servers of the parent have its DS", key.tag);
            all.push(Wait { due, moves, text });
        }
    }

    /// How keys go.
    fn goes(&self, all: &mut Vec<Wait>) {
        let leaving = || self.in_state(State::Leaving);
        // Where a successor is submitted, they wait for that.
        if leaving().next().is_some() && self.in_state(State::Submitted).next().is_none() {
            let due = latest(leaving().filter(|key| key.is_entry_point()).map(|key| self.without_ds(key)));
            let text = format!("announce {} no longer, once no cache has a DS of it", tags(leaving()));
            // Keys without an entry point among them have no DS to wait for.
            let due = due.unwrap_or(Due::At(0));
            all.push(Wait { due, moves: to(leaving(), State::Withdrawn), text });
        }
        if let Some(at_us) = self.after_state(State::Withdrawn, self.waits.keys_secs) {
            let gone = || self.in_state(State::Withdrawn);
            let moves = gone().map(|key| Move { id: key.id, to: None }).collect();
            let text = format!("sign with {} no longer, and delete it: it is in no cache then", tags(gone()));
            all.push(Wait { due: Due::At(at_us), moves, text });
        }
        let ending = self.in_state(State::Ending).filter(|key| key.is_entry_point());
        if let Some(due) = latest(ending.map(|key| self.without_ds(key))) {
            let text = "end signing by hand: no cache has a DS then".to_owned();
            all.push(Wait { due, moves: Vec::new(), text });
        }
        for key in self.in_state(State::Retired) {
            let unsigned = Due::At(self.after(key.since_us, self.waits.zone_secs));
            let ds = key.is_entry_point().then(|| self.without_ds(key));
            let due = latest([unsigned].into_iter().chain(ds)).unwrap_or(unsigned);
            let text = format!("delete {}: no cache has a signature of it then, nor a DS", key.tag);
            all.push(Wait { due, moves: vec![Move { id: key.id, to: None }], text });
        }
    }
}

/// All these keys go into a state.
fn to<'k>(keys: impl Iterator<Item = &'k Key>, state: State) -> Vec<Move> {
    keys.map(|key| Move { id: key.id, to: Some(state) }).collect()
}

/// The tags of keys, for people.
fn tags<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    let mut text = String::from("key");
    for (idx, key) in keys.enumerate() {
        // Writing to a string does not fail.
        let _written = write!(text, "{} {}", if idx == 0 { "" } else { "," }, key.tag);
    }
    text
}

/// What comes last of all; what the parent has to do has no time, and comes after all that has.
fn latest(dues: impl Iterator<Item = Due>) -> Option<Due> {
    dues.max_by_key(|due| match due {
        Due::At(at_us) => (0, *at_us),
        Due::Seen(_) | Due::Gone(_) => (1, 0),
    })
}
