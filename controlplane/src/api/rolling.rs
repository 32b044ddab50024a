//! Rollovers go on by themselves: what is due is looked for each second, and the parent is asked where it has to do something.
//!
//! What may happen when is `roll`'s, each step is `change`'s. Invariants: nothing is waited for in memory, so that a process
//! that died goes on where it was; a step is taken only after all data planes serve the one before; whatever is looked at is
//! due later before it is, so that none of those that cannot go on keeps others from their turn.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use snapshot::dns::name::Name;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::looks::{Bounds, Busy, Look};
use super::{Api, aside, now_us};
use crate::ask::{self, LookupError, ParentDs};
use crate::change::{self, Actor, Seen};
use crate::dnssec;
use crate::keys::{Algorithm, Role};
use crate::roll::{self, RollError, Sight, Successor, Waits, Wanted};
use crate::rrset::Limits;
use crate::store::domains::Domain;
use crate::store::keys::{AGE_US_MIN, AgingKey, DueRollover, NewKey, Rollover, State, StoredKey};
use crate::store::{ChangeId, DomainId, Reader, StoreError, Txn};
use crate::value::Timestamp;

/// Time between two looks for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// How many domains step at once.
const BATCH: usize = 16;
/// How many domains one look takes on.
const LOOK_COUNT_MAX: usize = 256;
/// How many looks lie between two for keys that have become old, unless the last found more than it takes on.
const LOOKS_PER_SEARCH: u32 = 10;
/// How many keys of each role one search takes on.
const SEARCH_COUNT_MAX: usize = 256;
/// How many looks at parents there may be: a look at thirteen servers that answer takes a second, one at servers that do not
/// a quarter of a minute.
pub(super) const BOUNDS: Bounds = Bounds { all: 16, each: 4, each_minute: 60 };

/// Microseconds in a second.
const US: i64 = 1_000_000;
/// When a domain is due again whose look comes to nothing, as the process may end during it: longer than any look takes.
const AGAIN_US: i64 = 60 * US;
/// When a step that is not served yet is looked at again: after this part of the time since it was made.
const UNSERVED_SHARE: i64 = 4;
/// The same at most, which is how long a step waits after a data plane has come back.
const UNSERVED_US_MAX: i64 = 60 * US;
/// Of how many domains is remembered what came of the last look at their parent, before all is forgotten.
const LOOKED_COUNT_MAX: usize = 10_000;
/// When a key that is old is looked at again, if it cannot be rolled.
const OLD_AGAIN_US: i64 = 600 * US;

/// Why a domain's keys stay as they are for now.
#[derive(Debug, thiserror::Error)]
enum RollingError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change.
    #[error(transparent)]
    Change(#[from] change::Refusal),
    /// A key cannot be made.
    #[error(transparent)]
    Key(#[from] dnssec::DnssecError),
    /// It cannot begin.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// Keys are imported of this algorithm, and not made.
    #[error("no keys of algorithm {0} are made here")]
    Algorithm(u8),
}

/// Why there is no place for a look.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others have them.
    #[error("too many looks are under way")]
    Busy(Busy),
}

impl From<Busy> for LookError {
    fn from(busy: Busy) -> LookError {
        LookError::Busy(busy)
    }
}

/// All that is known of a domain's rollovers.
pub(super) struct Standing {
    /// The domain.
    pub(super) domain: Domain,
    /// Its keys.
    pub(super) keys: Vec<StoredKey>,
    /// How far they are.
    pub(super) rollover: Rollover,
    /// How long what takes.
    pub(super) waits: Waits,
}

/// Has rollovers go on, until told to stop.
pub async fn keep(app: Arc<Api>, mut stop: watch::Receiver<bool>) {
    // Parents take their time, so nobody else waits for them.
    let mut parents = JoinSet::new();
    let mut looks_left = 0;
    loop {
        // By a clock that is ahead, waits end too early; what a step needs could not be signed either.
        if app.writable().is_ok() && app.dnssec.clock().trusted().is_ok() {
            go_on(&app, &mut parents).await;
            if looks_left == 0 {
                let is_all = begin_old(&app, &mut parents).await;
                looks_left = if is_all { LOOKS_PER_SEARCH } else { 1 };
            }
            looks_left -= 1;
        }
        while let Some(result) = parents.try_join_next() {
            report(result.unwrap_or(Ok(())));
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // The sender is gone when the process ends.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// What goes on while parents are asked.
type Parents = JoinSet<Result<(), RollingError>>;

/// Looks at the domains that are due.
async fn go_on(app: &Arc<Api>, parents: &mut Parents) {
    let due = match aside(|| app.store.read(|reader| reader.due_rollovers(now_us(), LOOK_COUNT_MAX))) {
        Ok(due) if due.is_empty() => return,
        Ok(due) => due,
        Err(error) => return report(Err(error.into())),
    };
    let (later, ready) = aside(|| app.sorted(due));
    if let Err(error) = app.store.write(move |txn| txn.put_off(&later)).await {
        return report(Err(error.into()));
    }
    let asks = in_batches(app, &ready, |app, id| async move { app.go_on_with(id).await }).await;
    for (standing, look) in asks.into_iter().flatten() {
        let app = Arc::clone(app);
        parents.spawn(async move { app.go_on_after_look(standing, look).await });
    }
}

/// Begins rollovers of keys that have become old; false if there are more.
async fn begin_old(app: &Arc<Api>, parents: &mut Parents) -> bool {
    let lifetimes = &app.settings.keys;
    let mut is_all = true;
    for (role, default_secs) in
        [(Role::Zsk, lifetimes.zsk_secs), (Role::Ksk, lifetimes.ksk_secs), (Role::Csk, lifetimes.ksk_secs)]
    {
        let now_us = now_us();
        let aging = aside(|| app.store.read(|reader| reader.aging_keys(role.name(), now_us, SEARCH_COUNT_MAX)));
        let aging = match aging {
            Ok(aging) if aging.is_empty() => continue,
            Ok(aging) => aging,
            Err(error) => {
                report(Err(error.into()));
                continue;
            }
        };
        is_all &= aging.len() < SEARCH_COUNT_MAX;
        let later: Vec<_> = aging.iter().map(|key| (key.id, looked_at_again_us(key, default_secs, now_us))).collect();
        if let Err(error) = app.store.write(move |txn| txn.put_off_keys(&later)).await {
            report(Err(error.into()));
            continue;
        }
        let mut old: Vec<DomainId> =
            aging.iter().filter(|key| is_to_be_rolled(key, default_secs, now_us)).map(|key| key.domain).collect();
        old.dedup();
        let asks = in_batches(app, &old, move |app, id| async move { app.begin_old_key(id, role).await }).await;
        for (standing, look) in asks.into_iter().flatten() {
            let app = Arc::clone(app);
            parents.spawn(async move { app.begin_old_after_look(standing, role, look).await });
        }
    }
    is_all
}

/// When a key becomes old, in microseconds since 1970; `None` if never.
fn old_us(key: &AgingKey, default_secs: u32) -> Option<i64> {
    let secs = key.lifetime_secs.unwrap_or(default_secs);
    (secs > 0).then(|| key.since_us.saturating_add(i64::from(secs) * US))
}

/// Whether a key is old, and nothing is in the way.
fn is_to_be_rolled(key: &AgingKey, default_secs: u32, now_us: i64) -> bool {
    key.is_signed && !key.is_rolling && old_us(key, default_secs).is_some_and(|old_us| old_us <= now_us)
}

/// When the age of a key is looked at again. A server that is started with other lifetimes finds out within a day.
fn looked_at_again_us(key: &AgingKey, default_secs: u32, now_us: i64) -> i64 {
    let in_a_day = now_us.saturating_add(AGE_US_MIN);
    match old_us(key, default_secs) {
        _ if !key.is_signed => in_a_day,
        Some(old_us) if old_us > now_us => old_us.min(in_a_day),
        Some(_) => now_us.saturating_add(OLD_AGAIN_US + spread(key.id, now_us, OLD_AGAIN_US)),
        None => in_a_day,
    }
}

/// A time within a range that looks random, so that those who come again do not all come together, nor each time when there is
/// no room for them (splitmix64).
fn spread(id: i64, now_us: i64, range_us: i64) -> i64 {
    let mut word = id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ now_us.cast_unsigned();
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let random = ((word ^ (word >> 31)) >> 1).cast_signed();
    random.checked_rem(range_us).unwrap_or(0)
}

/// Says why something does not go on.
fn report(result: Result<(), RollingError>) {
    if let Err(error) = result {
        warn!("a rollover does not go on: {error}");
    }
}

/// Does something with each domain, some at once; what came of it, of those that did not fail.
async fn in_batches<F, T>(app: &Arc<Api>, domains: &[DomainId], act: impl Fn(Arc<Api>, DomainId) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, RollingError>> + Send + 'static,
    T: Send + 'static,
{
    let mut done = Vec::new();
    for batch in domains.chunks(BATCH) {
        let mut acts = JoinSet::new();
        for id in batch {
            acts.spawn(act(Arc::clone(app), *id));
        }
        for result in acts.join_all().await {
            match result {
                Ok(result) => done.push(result),
                Err(error) => report(Err(error)),
            }
        }
    }
    done
}

impl Api {
    /// What is known of a domain's rollovers.
    pub(super) fn standing(&self, reader: &Reader<'_>, domain: Domain) -> Result<Standing, StoreError> {
        let settings = &self.settings.keys;
        let customs = Waits {
            zone_secs: 0,
            keys_secs: settings.ttl_secs,
            ds_secs: settings.ds_ttl_secs,
            propagation_secs: settings.propagation_secs,
        };
        let keys = reader.keys(domain.id)?;
        let rolling: Vec<roll::Key> = keys.iter().filter_map(roll::Key::of).collect();
        let waits = change::waits_for(reader, &domain, &rolling, &customs, now_us())?;
        Ok(Standing { keys, rollover: reader.rollover(domain.id)?, waits, domain })
    }

    /// Time between two looks at a parent in microseconds; `None` if nobody looks.
    pub(super) fn poll_us(&self) -> Option<i64> {
        self.settings.keys.parent.as_ref().map(|_| i64::from(self.settings.keys.poll_secs) * US)
    }

    /// Takes a place for a look at the parent of a domain; `None` if there is nobody to ask.
    fn place_for_look(&self, domain: &Domain) -> Result<Option<Look>, LookError> {
        if self.settings.keys.parent.is_none() {
            return Ok(None);
        }
        let account = self.store.read(|reader| reader.account(domain.account))?;
        let account = account.ok_or(StoreError::Damaged("the account of a domain"))?;
        Ok(Some(self.parents.begin(account.id, account.class, now_us())?))
    }

    /// What the servers of a domain's parent have of its DS; `None` if nobody can be asked.
    ///
    /// # Errors
    /// A refusal if there are too many looks; what the look itself comes to is the answer.
    pub(super) async fn parent_ds(
        &self,
        domain: &Domain,
    ) -> Result<Option<Result<ParentDs, LookupError>>, crate::http::reply::Refusal> {
        match self.place_for_look(domain) {
            Ok(None) => Ok(None),
            Ok(Some(look)) => Ok(self.ask_parent(&domain.name, look).await),
            Err(LookError::Busy(busy)) => Err(busy.into()),
            Err(LookError::Store(error)) => Err(super::refusal::of_store(&error)),
        }
    }

    /// Asks the servers of a domain's parent; `None` if nobody can be asked.
    async fn ask_parent(&self, name: &str, look: Look) -> Option<Result<ParentDs, LookupError>> {
        let servers = self.settings.keys.parent.clone()?;
        let domain = Name::parse(format!("{name}.").as_bytes(), None).ok()?;
        let ask = move || {
            // Whoever waits for it may leave, and this thread does not.
            let _look = look;
            ask::parent_ds(&servers, domain.as_ref())
        };
        tokio::task::spawn_blocking(ask).await.ok()
    }

    /// Whether all data planes that are configured serve a change: one that is away may still answer with what was before, and
    /// a domain that is not proved is served by none.
    pub(super) fn is_served_by_all(&self, change: ChangeId) -> bool {
        self.publisher.progress().is_served_by_all(change) && !self.is_unproved(change)
    }

    /// Who does what is done by itself.
    fn roller(&self, domain: &Domain) -> Actor {
        let (account, house) = (domain.account, Arc::clone(&self.house));
        let now_us = now_us();
        Actor { account, token: None, address: None, via: "roll", now_us, limits: Limits::OPERATOR, house }
    }

    /// A domain with all that is known of its rollovers.
    fn standing_of(&self, id: DomainId) -> Result<Option<Standing>, StoreError> {
        aside(|| self.store.read(|reader| reader.domain(id)?.map(|domain| self.standing(reader, domain)).transpose()))
    }

    /// Those that can go on, and all with when they are due again.
    fn sorted(&self, due: Vec<DueRollover>) -> (Vec<(DueRollover, i64)>, Vec<DomainId>) {
        let now_us = now_us();
        let poll_us = self.poll_us().unwrap_or(0);
        let mut ready = Vec::new();
        let later = due.into_iter().map(|found| {
            let wait_us = match found.step {
                Some((step, at_us)) if !self.is_served_by_all(step) => {
                    (now_us.saturating_sub(at_us) / UNSERVED_SHARE).clamp(US, UNSERVED_US_MAX)
                }
                _ => {
                    ready.push(found.domain);
                    AGAIN_US + spread(found.domain.0, now_us, poll_us)
                }
            };
            (found, now_us.saturating_add(wait_us))
        });
        let later = later.collect();
        (later, ready)
    }

    /// Goes on with one domain as far as it goes now; what is known of it, with a place, where the parent has to be looked at.
    async fn go_on_with(&self, id: DomainId) -> Result<Option<(Standing, Look)>, RollingError> {
        let Some(standing) = self.standing_of(id)? else { return Ok(None) };
        if let Some(change) = standing.rollover.change {
            if self.is_served_by_all(change) {
                self.store.write(move |txn| change::begin_step(txn, id, change, now_us())).await?;
            }
            return Ok(None);
        }
        if standing.keys.iter().any(is_about_parent) {
            match self.place_for_look(&standing.domain) {
                Ok(Some(look)) => return Ok(Some((standing, look))),
                Ok(None) => {}
                // It is due again.
                Err(LookError::Busy(_)) => return Ok(None),
                Err(LookError::Store(error)) => return Err(error.into()),
            }
        }
        self.advance(&standing, Vec::new()).await.map(|()| None)
    }

    /// Goes on with one domain after a look at its parent.
    async fn go_on_after_look(&self, standing: Standing, look: Look) -> Result<(), RollingError> {
        let seen = self.look(&standing, look).await;
        self.advance(&standing, seen).await
    }

    /// Notes what was seen, and takes the step that is due, if one is.
    async fn advance(&self, standing: &Standing, seen: Vec<Seen>) -> Result<(), RollingError> {
        let Standing { domain, waits, .. } = standing;
        let (actor, poll_us, id, waits) = (self.roller(domain), self.poll_us(), domain.id, *waits);
        let advance = move |txn: &Txn<'_>| change::advance_roll(txn, &actor, id, &seen, &waits, poll_us);
        if let Some(change) = self.store.write(advance).await? {
            info!(zone = %domain.name, change = change.0, "the keys of {} take a step", domain.name);
        }
        Ok(())
    }

    /// Looks at the parent of a domain, and remembers for people what came of it.
    async fn look(&self, Standing { domain, keys, .. }: &Standing, look: Look) -> Vec<Seen> {
        let (seen, trouble) = match self.ask_parent(&domain.name, look).await {
            Some(Ok(parent)) => {
                let trouble = (!parent.is_complete).then(|| "not all servers of the parent gave an answer".to_owned());
                (seen(&domain.name, keys, &parent), trouble)
            }
            Some(Err(error)) => {
                warn!(zone = %domain.name, "the DS of {} cannot be seen: {error}", domain.name);
                (Vec::new(), Some(error.to_string()))
            }
            None => (Vec::new(), None),
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.len() >= LOOKED_COUNT_MAX {
            looked.clear();
        }
        looked.insert(domain.id, (now_us(), trouble));
        seen
    }

    /// What came of the last look at the parent of a domain, for people.
    pub(super) fn last_look(&self, domain: &Domain) -> String {
        if self.settings.keys.parent.is_none() {
            return "nobody looks at the parent here, so whoever does has to say it (ds-seen, ds-gone)".to_owned();
        }
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at_us, trouble)) = looked.get(&domain.id) else {
            return "the parent was not looked at yet".to_owned();
        };
        let at = Timestamp::from_micros(*at_us);
        match trouble {
            None => format!("the parent was looked at last at {at}"),
            Some(trouble) => format!("the parent was looked at last at {at}, and {trouble}"),
        }
    }

    /// Begins the rollover of a key that has become old. One that the parent looks at is rolled only if the parent has its DS:
    /// who waits for one would wait for two. What is known of the domain, with a place, if the parent has to be asked.
    async fn begin_old_key(&self, id: DomainId, role: Role) -> Result<Option<(Standing, Look)>, RollingError> {
        let Some(standing) = self.standing_of(id)? else { return Ok(None) };
        if role != Role::Zsk {
            match self.place_for_look(&standing.domain) {
                Ok(Some(look)) => return Ok(Some((standing, look))),
                Ok(None) if active(&standing, role).all(|key| key.ds.seen_us.is_some()) => {}
                // It is looked at again.
                Ok(None) | Err(LookError::Busy(_)) => return Ok(None),
                Err(LookError::Store(error)) => return Err(error.into()),
            }
        }
        self.begin_by_itself(&standing, role).await.map(|()| None)
    }

    /// The same after a look at its parent.
    async fn begin_old_after_look(&self, standing: Standing, role: Role, look: Look) -> Result<(), RollingError> {
        let seen = self.look(&standing, look).await;
        let is_there = |id| seen.iter().any(|seen| seen.id == id && seen.sight == Sight::Everywhere);
        if active(&standing, role).all(|key| is_there(key.id)) {
            self.begin_by_itself(&standing, role).await?;
        }
        Ok(())
    }

    /// Begins a rollover that nobody asked for.
    async fn begin_by_itself(&self, standing: &Standing, role: Role) -> Result<(), RollingError> {
        let domain = &standing.domain;
        let wanted = Wanted { role: Some(role), algorithm: None };
        let made = aside(|| self.successors(standing, wanted))?;
        let (actor, id, offered) = (self.roller(domain), domain.id, made.clone());
        let begun = self.store.write(move |txn| change::begin_roll(txn, &actor, id, wanted, made)).await;
        self.settle_keys(&offered);
        begun?;
        info!(zone = %domain.name, "a {role} of {} is rolled", domain.name);
        Ok(())
    }

    /// New keys for a rollover; none are made if it cannot begin.
    fn successors(&self, standing: &Standing, wanted: Wanted) -> Result<Vec<NewKey>, RollingError> {
        let Standing { domain, keys, rollover, .. } = standing;
        let rolling: Vec<roll::Key> = keys.iter().filter_map(roll::Key::of).collect();
        let successors = roll::start(&rolling, wanted)?;
        if rollover.change.is_some() {
            return Err(RollError::Unserved.into());
        }
        let mut taken: Vec<u16> = keys.iter().map(|key| key.key.tag).collect();
        taken.extend(self.tags_of_others(domain)?);
        let mut made = Vec::new();
        for Successor { role, algorithm, state, kept } in successors {
            if kept.is_none() {
                let algorithm = Algorithm::from_number(algorithm).ok_or(RollingError::Algorithm(algorithm))?;
                let key = self.dnssec.make_key(&domain.name, role, algorithm, state, &taken)?;
                taken.push(key.tag);
                made.push(key);
            }
        }
        Ok(made)
    }

    /// The same, for a client.
    pub(super) fn new_successors(
        &self,
        standing: &Standing,
        wanted: Wanted,
    ) -> Result<Vec<NewKey>, crate::http::reply::Refusal> {
        use crate::http::reply::Refusal;
        self.successors(standing, wanted).map_err(|error| match error {
            RollingError::Roll(error) => Refusal::conflict(&error.to_string()),
            RollingError::Key(error) => super::refusal::of_key(&standing.domain.name, error),
            RollingError::Algorithm(_) => Refusal::field("algorithm", error.to_string()),
            RollingError::Store(error) => super::refusal::of_store(&error),
            other => {
                tracing::error!("a key for {}: {other}", standing.domain.name);
                Refusal::internal()
            }
        })
    }

    /// The tags of the DNSKEY records that a domain's owner has put beside ours.
    pub(super) fn tags_of_others(&self, domain: &Domain) -> Result<Vec<u16>, StoreError> {
        let rrset = self.store.read(|reader| reader.rrset(domain.id, &[], snapshot::dns::rtype::Rtype::DNSKEY))?;
        let tags = rrset.iter().flat_map(crate::store::rrsets::Rrset::enabled);
        Ok(tags.map(|record| crate::keys::key_tag(&record.rdata)).collect())
    }
}

/// The keys of a role that are in use.
fn active(standing: &Standing, role: Role) -> impl Iterator<Item = &StoredKey> {
    standing.keys.iter().filter(move |key| key.key.state == State::Active && key.key.role == role.name())
}

/// Whether a key is one on its way that a DS may lead to.
fn is_about_parent(key: &StoredKey) -> bool {
    key.key.role != Role::Zsk.name() && !matches!(key.key.state, State::Active | State::Generated)
}

/// What a parent has of each key. A DS with a digest that we do not make is taken for the key's if tag and algorithm fit: it
/// does not count as there, but not as gone either.
pub(super) fn seen(name: &str, keys: &[StoredKey], parent: &ParentDs) -> Vec<Seen> {
    let of_key = |key: &StoredKey| {
        let ours = dnssec::ds_of(name, key);
        let [high, low] = key.key.tag.to_be_bytes();
        let is_alike = |ds: &Vec<u8>| ds.starts_with(&[high, low, key.key.algorithm]);
        let sight = if !parent.sets.iter().flatten().any(is_alike) {
            if parent.is_complete { Sight::Nowhere } else { Sight::Mixed }
        } else if parent.is_complete && parent.sets.iter().all(|set| set.iter().any(|ds| ours.contains(ds))) {
            Sight::Everywhere
        } else {
            Sight::Mixed
        };
        Seen { id: key.id, sight, ttl_secs: parent.ttl_secs }
    };
    keys.iter().map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};

    use super::*;
    use crate::store::keys::DsTimes;

    /// The key of RFC 6605 section 6.1, of example.net.
    fn key() -> StoredKey {
        let public = b"GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
        let public = BASE64.decode(public).unwrap();
        let (role, state) = ("csk".to_owned(), State::Submitted);
        let key = NewKey { role, algorithm: 13, tag: 55648, public, sealed: Vec::new(), state };
        StoredKey { id: 1, key, since_us: 0, ds: DsTimes::default(), created_us: 0, is_imported: false }
    }

    /// Its DS with SHA-256, in that RFC.
    const SHA256: &str = "d9600d02b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17";
    /// One with SHA-1, which we do not make.
    const SHA1: &str = "d9600d010000000000000000000000000000000000000000";
    /// That of another key with the same algorithm.
    const OTHER: &str = "d9610d02b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17";

    /// What is seen of the key if the servers of the parent have these.
    fn check(servers: &[&[&str]], is_complete: bool, expected: Sight) {
        let set = |texts: &&[&str]| texts.iter().map(|text| HEXLOWER.decode(text.as_bytes()).unwrap()).collect();
        let parent = ParentDs { sets: servers.iter().map(set).collect(), ttl_secs: Some(60), is_complete };
        let found = seen("example.net", &[key()], &parent);
        assert_eq!(found, [Seen { id: 1, sight: expected, ttl_secs: Some(60) }], "{servers:?}");
    }

    #[test]
    fn a_ds_is_there_if_all_servers_have_it_and_gone_if_none_has_anything_like_it() {
        check(&[&[SHA256], &[OTHER, SHA256]], true, Sight::Everywhere);
        check(&[&[SHA256], &[OTHER]], true, Sight::Mixed);
        check(&[&[OTHER], &[]], true, Sight::Nowhere);
        check(&[&[SHA1], &[]], true, Sight::Mixed);
        // A server that does not answer may have anything.
        check(&[&[SHA256]], false, Sight::Mixed);
        check(&[&[OTHER]], false, Sight::Mixed);
        check(&[], false, Sight::Mixed);
    }
}
