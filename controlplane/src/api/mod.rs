//! The REST API: what each route does, thin over `store`, `change` and `publish`.
//!
//! One module per resource, each with its rows of the route table. Paths, authentication headers, throttles and the shapes
//! of errors are `http`'s; rules of zones are `change`'s. Invariants: a handler sees rows of its caller's account only;
//! a write is answered after every attached data plane serves it, or says that it is not.

mod account;
mod admin;
mod alarms;
mod caller;
mod changes;
mod comments;
mod domains;
mod dyndns;
mod fields;
mod gates;
mod history;
mod import;
mod looks;
mod metrics;
pub mod objects;
mod operations;
mod policies;
mod preview;
mod refusal;
pub mod rolling;
mod root;
mod rrsets;
mod serials;
pub mod signal;
pub mod signing;
pub mod throttles;
mod tokens;
pub mod verify;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::change::{self, Actor, House, Precondition, Refusal as ChangeRefusal};
use crate::clock::now_us;
use crate::config::{Domains, Whose};
use crate::dnssec::Dnssec;
use crate::http::App;
use crate::http::call::Call;
use crate::http::credentials::{AuthFailure, Credentials};
use crate::http::reply::{Refusal, Reply};
use crate::http::route::Route;
use crate::http::tags::Tags;
use crate::planes::Planes;
use crate::publish::{Publisher, Served};
use crate::rrset::{Limits, Rules};
use crate::serve::{Figure, Follows};
use crate::store::accounts::{Account, Class, NewAccount};
use crate::store::domains::{Domain, Soa};
use crate::store::tokens::Token;
use crate::store::{ChangeId, DomainId, Reader, Store, StoreError, Txn};

pub use caller::Caller;

/// How long a write waits until it is served, unless the client says otherwise.
const SERVED_TIME: Duration = Duration::from_secs(10);
/// The address of the account that the operator on this machine acts for when none is named.
pub const OPERATOR: &str = "operator@localhost";

/// Does what takes its time, while the other tasks of this thread go on elsewhere: two threads serve everyone.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// The application behind the routes.
pub struct Api {
    /// The database.
    store: Arc<Store>,
    /// What makes changes served.
    publisher: Publisher,
    /// What signs domains.
    dnssec: Arc<Dnssec>,
    /// What new domains are made of.
    settings: Domains,
    /// What of them changes obey.
    house: Arc<House>,
    /// The data planes, for readiness and metrics.
    planes: Arc<Planes>,
    /// The account of the operator on this machine.
    operator: Account,
    /// When tokens were last noted as used, so that busy ones are written once a second.
    used: Mutex<std::collections::HashMap<uuid::Uuid, i64>>,
    /// Looks for the proof of a domain that are under way.
    looks: looks::Looks,
    /// Looks at the parents of domains that are under way.
    parents: looks::Looks,
    /// When the parents of domains were last looked at, in microseconds since 1970, and what was wrong.
    looked: Mutex<std::collections::HashMap<DomainId, (i64, Option<String>)>>,
    /// Tells of domains that are due to be signed anew.
    due: tokio::sync::Notify,
}

/// The rows of all resources.
#[must_use]
pub fn tables() -> Vec<&'static [Route<Api>]> {
    let keys: [&'static [Route<Api>]; 3] = [&account::ROUTES, &tokens::ROUTES, &policies::ROUTES];
    let mut tables: Vec<&'static [Route<Api>]> = vec![&root::ROUTES, &domains::ROUTES, &rrsets::ROUTES];
    tables.extend(keys.into_iter().chain(admin::tables()));
    tables.extend([&dyndns::ROUTES as &[_], &serials::ROUTES, &changes::ROUTES, &history::ROUTES]);
    tables.extend([
        &import::ROUTES as &[_],
        &comments::ROUTES,
        &operations::ROUTES,
        &operations::keys::ROUTES,
        &verify::ROUTES,
    ]);
    tables
}

impl Api {
    /// The application; makes the operator's account if it is not there.
    ///
    /// # Errors
    /// Those of the database.
    pub fn new(
        store: Arc<Store>,
        publisher: Publisher,
        planes: Arc<Planes>,
        settings: Domains,
        dnssec: Arc<Dnssec>,
    ) -> Result<Api, StoreError> {
        let new = NewAccount {
            uuid: uuid::Uuid::new_v4(),
            email: OPERATOR.to_owned(),
            class: Class::Operator,
            created_us: now_us(),
            limit_domains: None,
        };
        let operator = match store.read(|reader| reader.account_by_email(OPERATOR))? {
            Some(account) => account,
            None => store
                .write_blocking(move |txn| txn.add_account(&new))?
                .ok_or(StoreError::Damaged("the operator's account"))?,
        };
        let wants_proof = settings.verification.whose == Whose::Hosting;
        let house = Arc::new(House { local_suffixes: settings.local_suffixes.clone(), wants_proof });
        let (looks, parents) = (looks::Looks::new(verify::BOUNDS), looks::Looks::new(rolling::BOUNDS));
        let (due, used, looked) = (tokio::sync::Notify::new(), Mutex::default(), Mutex::default());
        Ok(Api { store, publisher, dnssec, planes, settings, house, operator, used, looks, due, parents, looked })
    }

    /// Asks the database.
    fn read<T>(&self, ask: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, Refusal> {
        self.store.read(ask).map_err(|error| refusal::of_store(&error))
    }

    /// Changes what is no zone's content: accounts, tokens, policies.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Txn<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.writable()?;
        self.store.write(job).await
    }

    /// Changes zones.
    async fn change<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Txn<'_>) -> Result<T, ChangeRefusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.writable()?;
        self.store.write(job).await.map_err(refusal::of_change)
    }

    /// Makes sure that the database may be written.
    fn writable(&self) -> Result<(), Refusal> {
        match self.publisher.quarantine() {
            Some(_) => Err(Refusal::detail(503, "The database is quarantined; only reading is possible.")),
            None => Ok(()),
        }
    }

    /// Whether the time can be believed: what waits for a time is not begun at one that may be wrong.
    fn timely(&self) -> Result<(), Refusal> {
        self.dnssec.clock().trusted().map(drop).map_err(|doubt| Refusal::conflict(&format!("{doubt}.")))
    }

    /// Who a call acts as, for a domain's account or its own.
    fn actor(&self, call: &Call<Api>, via: &'static str) -> Result<Actor, Refusal> {
        let caller = call.caller()?;
        let account = call.domain.as_ref().map_or(caller.account.id, |domain| domain.account);
        let is_tenant = caller.account.class == Class::Hosting;
        Ok(Actor {
            account,
            token: caller.token.as_ref().map(|token| token.id),
            address: Some(call.client),
            via,
            now_us: now_us(),
            limits: if is_tenant { Limits::HOSTING } else { Limits::OPERATOR },
            house: Arc::clone(&self.house),
        })
    }

    /// The rules for RRsets of a domain.
    fn rules<'d>(&self, call: &Call<Api>, domain: &'d Domain) -> Result<Rules<'d>, Refusal> {
        let is_tenant = call.caller()?.account.class == Class::Hosting;
        let limits = if is_tenant { Limits::HOSTING } else { Limits::OPERATOR };
        Ok(Rules { domain: &domain.name, ttl_secs_min: domain.minimum_ttl_secs, limits })
    }

    /// Waits until a change is served, and adds what the client is told of it. `None`: nothing had to change.
    async fn served(&self, call: &Call<Api>, reply: Reply, change: Option<ChangeId>) -> Reply {
        match change {
            Some(change) => self.served_all(call, reply, &[change]).await,
            None => reply,
        }
    }

    /// The same for changes of several domains; the client is told the last one.
    async fn served_all(&self, call: &Call<Api>, reply: Reply, changes: &[ChangeId]) -> Reply {
        let Some(last) = changes.iter().copied().max() else { return reply };
        let deadline = Instant::now() + call.wait.unwrap_or(SERVED_TIME);
        let mut served = Served::Yes;
        for change in changes {
            let found = self.publisher.wait(*change, deadline.saturating_duration_since(Instant::now())).await;
            if served == Served::Yes {
                served = found;
            }
        }
        let mut reply = reply.change(last.0);
        if let Some(cause) = changes.iter().find_map(|change| self.publisher.refusal_of_change(*change)) {
            reply = reply.refused(&cause);
        }
        if served == Served::Yes && !changes.iter().any(|change| self.is_unproved(*change)) {
            return reply;
        }
        if served != Served::Nobody && call.wait.is_some() {
            reply.status = axum::http::StatusCode::ACCEPTED;
        }
        reply.not_served_yet()
    }

    /// Whether the domain of a change must be proved before it is served. A database that cannot tell gives no reason to
    /// promise anything.
    fn is_unproved(&self, change: ChangeId) -> bool {
        let found: Result<bool, StoreError> = self.store.read(|reader| reader.is_unproved(change));
        found.unwrap_or(true)
    }

    /// The SOA record of a new domain.
    fn new_soa(&self) -> Soa {
        let mname = self.settings.nameservers.first().cloned().unwrap_or_else(|| ".".to_owned());
        Soa {
            ttl_secs: 300,
            mname,
            rname: self.settings.hostmaster.clone(),
            refresh_secs: 86_400,
            retry_secs: 3600,
            expire_secs: 2_419_200,
            minimum_secs: 3600,
        }
    }

    /// The entity tag of a domain as it is shown: what is stored, and when it was published.
    fn etag_of(&self, domain: &Domain) -> String {
        let stored = change::domain_etag(domain);
        let published = self.published_us(domain).unwrap_or(0);
        format!("{}-{published:x}", stored.trim_matches('"'))
    }

    /// What `If-Match` asks of a domain. The client's tag is compared here, as it tells more than the database knows; that the
    /// domain is still the same is for the transaction.
    fn precondition(&self, call: &Call<Api>, domain: &Domain) -> Result<Option<Precondition>, Refusal> {
        let Some(theirs) = &call.if_match else { return Ok(None) };
        if !theirs.match_strongly(Some(&self.etag_of(domain))) {
            return Err(Refusal::precondition_failed());
        }
        let etag = if *theirs == Tags::Any { "*".to_owned() } else { change::domain_etag(domain) };
        Ok(Some(Precondition { rrset: None, etags: vec![etag] }))
    }

    /// When a domain's content was published; `None` before the first time.
    fn published_us(&self, domain: &Domain) -> Option<i64> {
        if domain.unproved.is_some() {
            return None;
        }
        if self.publisher.has(domain.change) { Some(domain.changed_us) } else { domain.published_us }
    }

    /// When a token was last used: what is stored can be a second old.
    fn last_used_us(&self, token: &Token) -> Option<i64> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        token.last_used_us.max(used.get(&token.id).copied())
    }

    /// Notes that a token was used, once a second at most.
    fn note_use(&self, id: uuid::Uuid, at_us: i64) {
        /// How many tokens are remembered before all are forgotten; forgetting costs a write each.
        const REMEMBERED_MAX: usize = 10_000;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(&id).is_some_and(|last| at_us - last < 1_000_000) {
            return;
        }
        if used.len() >= REMEMBERED_MAX {
            used.clear();
        }
        used.insert(id, at_us);
        drop(used);
        self.store.write_soon(move |txn| txn.touch_token(id, at_us));
    }
}

impl Follows for Api {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn trouble(&self) -> Option<String> {
        self.publisher.quarantine().map(ToString::to_string)
    }

    fn figures(&self) -> Vec<Figure> {
        metrics::figures(self)
    }
}

impl App for Api {
    type Caller = Caller;
    type Domain = Domain;

    fn now_us(&self) -> u64 {
        u64::try_from(now_us()).unwrap_or(0)
    }

    async fn authenticate(&self, credentials: Credentials<'_>, client: IpAddr) -> Result<Caller, AuthFailure> {
        caller::authenticate(self, credentials, client)
    }

    async fn domain(&self, caller: &Caller, name: &str) -> Result<Option<Domain>, Refusal> {
        let domain = self.read(|reader| reader.domain_by_name(name))?;
        Ok(domain.filter(|domain| caller.may_see(domain)))
    }

    fn path_at_host(&self, host: &str, path: &str) -> Option<&'static str> {
        self.dyndns_path(host, path)
    }
}
