//! Rollovers go on by themselves: what is due is looked for each second, and the parent is asked where it has to do something.
//!
//! What may happen when is `roll`'s, each step is `change`'s. Invariant: nothing is waited for in memory, so that a process
//! that died goes on where it was; a step is taken only after all data planes serve the one before.

use std::sync::Arc;
use std::time::Duration;

use snapshot::dns::name::Name;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{Api, aside, now_us};
use crate::ask::{self, LookupError, ParentDs};
use crate::change::{self, Actor, Seen};
use crate::dnssec;
use crate::keys::{Algorithm, Role};
use crate::roll::{self, RollError, Sight, Successor, Waits, Wanted};
use crate::rrset::Limits;
use crate::store::domains::Domain;
use crate::store::keys::{NewKey, Rollover, State, StoredKey};
use crate::store::{ChangeId, DomainId, Reader, StoreError};

/// Time between two looks for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// How many looks lie between two for keys that have become old.
const LOOKS_PER_SEARCH: u32 = 600;
/// How many domains are looked at at once: each may hold a thread for seconds, while its parent does not answer.
const BATCH: usize = 16;
/// How many domains one look takes on.
const LOOK_COUNT_MAX: usize = 256;
/// How many rollovers one search begins for each role.
const BEGIN_COUNT_MAX: usize = 256;

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
    let mut looks = 0;
    loop {
        // By a clock that is ahead, waits end too early; what a step needs could not be signed either.
        if app.writable().is_ok() && app.dnssec.clock().trusted().is_ok() {
            go_on(&app).await;
            if looks == 0 {
                begin_old(&app).await;
            }
            looks = (looks + 1) % LOOKS_PER_SEARCH;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // The sender is gone when the process ends.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Looks at the domains that are due.
async fn go_on(app: &Arc<Api>) {
    let due = aside(|| app.store.read(|reader| reader.due_rollovers(now_us(), LOOK_COUNT_MAX)));
    let due = due.unwrap_or_else(|error: StoreError| {
        warn!("rollovers do not go on: {error}");
        Vec::new()
    });
    in_batches(app, &due, |app, id| async move { app.go_on_with(id).await }).await;
}

/// Begins rollovers of keys that have become old.
async fn begin_old(app: &Arc<Api>) {
    let lifetimes = app.settings.keys;
    for (role, secs) in
        [(Role::Zsk, lifetimes.zsk_secs), (Role::Ksk, lifetimes.ksk_secs), (Role::Csk, lifetimes.ksk_secs)]
    {
        let old = aside(|| app.store.read(|reader| reader.old_keys(role.name(), secs, now_us(), BEGIN_COUNT_MAX)));
        let old = old.unwrap_or_else(|error: StoreError| {
            warn!("no rollover begins: {error}");
            Vec::new()
        });
        in_batches(app, &old, move |app, id| async move { app.begin_old_key(id, role).await }).await;
    }
}

/// Does something with each domain, some at once.
async fn in_batches<F>(app: &Arc<Api>, domains: &[DomainId], act: impl Fn(Arc<Api>, DomainId) -> F)
where
    F: Future<Output = Result<(), RollingError>> + Send + 'static,
{
    for batch in domains.chunks(BATCH) {
        let mut acts = JoinSet::new();
        for id in batch {
            acts.spawn(act(Arc::clone(app), *id));
        }
        for result in acts.join_all().await {
            if let Err(error) = result {
                warn!("a rollover does not go on: {error}");
            }
        }
    }
}

impl Api {
    /// What is known of a domain's rollovers.
    pub(super) fn standing(&self, reader: &Reader<'_>, domain: Domain) -> Result<Standing, StoreError> {
        let keys = self.settings.keys;
        let zone_secs = reader.ttl_secs_max(domain.id, now_us())?.max(domain.soa.ttl_secs).max(keys.ttl_secs);
        let waits = Waits {
            zone_secs,
            keys_secs: keys.ttl_secs,
            ds_secs: keys.ds_ttl_secs,
            propagation_secs: keys.propagation_secs,
        };
        Ok(Standing { keys: reader.keys(domain.id)?, rollover: reader.rollover(domain.id)?, waits, domain })
    }

    /// Time between two looks at a parent in microseconds; `None` if nobody looks.
    pub(super) fn poll_us(&self) -> Option<i64> {
        self.settings.keys.parent.map(|_| i64::from(self.settings.keys.poll_secs) * 1_000_000)
    }

    /// What the servers of a domain's parent have of its DS; `None` if nobody can be asked.
    pub(super) async fn parent_ds(&self, name: &str) -> Option<Result<ParentDs, LookupError>> {
        let servers = self.settings.keys.parent?;
        let domain = Name::parse(format!("{name}.").as_bytes(), None).ok()?;
        tokio::task::spawn_blocking(move || ask::parent_ds(&servers, domain.as_ref())).await.ok()
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

    /// Goes on with one domain as far as it goes now.
    async fn go_on_with(&self, id: DomainId) -> Result<(), RollingError> {
        let Some(Standing { domain, keys, rollover, waits }) = self.standing_of(id)? else { return Ok(()) };
        if let Some(change) = rollover.change {
            if self.is_served_by_all(change) {
                self.store.write(move |txn| change::begin_step(txn, id, change, now_us())).await?;
            }
            return Ok(());
        }
        let seen = if keys.iter().any(is_about_parent) { self.look(&domain, &keys).await } else { Vec::new() };
        let actor = self.roller(&domain);
        let poll_us = self.poll_us();
        let advance = move |txn: &crate::store::Txn<'_>| change::advance_roll(txn, &actor, id, &seen, &waits, poll_us);
        if let Some(change) = self.store.write(advance).await? {
            info!(zone = %domain.name, change = change.0, "the keys of {} take a step", domain.name);
        }
        Ok(())
    }

    /// Looks at the parent of a domain.
    async fn look(&self, domain: &Domain, keys: &[StoredKey]) -> Vec<Seen> {
        match self.parent_ds(&domain.name).await {
            Some(Ok(parent)) => seen(&domain.name, keys, &parent),
            Some(Err(error)) => {
                warn!(zone = %domain.name, "the DS of {} cannot be seen: {error}", domain.name);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Begins the rollover of a key that has become old. One that the parent looks at is rolled only if the parent has its DS:
    /// who waits for one would wait for two.
    async fn begin_old_key(&self, id: DomainId, role: Role) -> Result<(), RollingError> {
        let Some(Standing { domain, keys, .. }) = self.standing_of(id)? else { return Ok(()) };
        if role != Role::Zsk {
            let seen = self.look(&domain, &keys).await;
            let has_ds = |key: &&StoredKey| match self.settings.keys.parent {
                Some(_) => seen.iter().any(|seen| seen.id == key.id && seen.sight == Sight::Everywhere),
                None => key.ds.seen_us.is_some(),
            };
            if !keys
                .iter()
                .filter(|key| key.key.state == State::Active && key.key.role == role.name())
                .all(|key| has_ds(&key))
            {
                return Ok(());
            }
        }
        let wanted = Wanted { role: Some(role), algorithm: None };
        let made = aside(|| self.successors(&domain, &keys, wanted))?;
        let actor = self.roller(&domain);
        let offered = made.clone();
        let begun = self.store.write(move |txn| change::begin_roll(txn, &actor, id, wanted, made)).await;
        self.settle_keys(&offered, begun.as_ref().ok().map(|(domain, _)| domain));
        begun?;
        info!(zone = %domain.name, "a {role} of {} is rolled", domain.name);
        Ok(())
    }

    /// New keys for a rollover.
    fn successors(&self, domain: &Domain, keys: &[StoredKey], wanted: Wanted) -> Result<Vec<NewKey>, RollingError> {
        let rolling: Vec<roll::Key> = keys.iter().filter_map(roll::Key::of).collect();
        let mut taken: Vec<u16> = keys.iter().map(|key| key.key.tag).collect();
        taken.extend(self.tags_of_others(domain)?);
        let mut made = Vec::new();
        for Successor { role, algorithm, state, kept } in roll::start(&rolling, wanted)? {
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
        self.successors(&standing.domain, &standing.keys, wanted).map_err(|error| match error {
            RollingError::Roll(error) => Refusal::conflict(&error.to_string()),
            RollingError::Key(dnssec::DnssecError::Make(error)) => Refusal::field("algorithm", error.to_string()),
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
        StoredKey { id: 1, key, since_us: 0, ds: DsTimes::default(), created_us: 0 }
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
