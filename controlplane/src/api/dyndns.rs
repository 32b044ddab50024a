//! Updates of addresses by clients that speak dynDNS, and pages that tell a client its address.
//!
//! What a request asks for is read by the pure module `dyndns`; this one finds the account's domains, asks policies and
//! throttle, and commits. Replies are plain text, as such clients read them. Invariant: all hosts of a request change in one
//! transaction or none does, and what policies forbid counts against no throttle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::LOCATION;

use super::{Api, Caller, refusal};
use crate::auth;
use crate::change::{self, Change, Committed, Edits, Verb, node_of};
use crate::dyndns::{Account, Action, Domains, DyndnsError, Family, GOOD, Place, Request, Update, place, update};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Operation, Route, Scope, Style, Success};
use crate::rrset::fields::{check_name_len, subname_messages};
use crate::store::domains::Domain;
use crate::store::{StoreError, Txn};

/// The path that takes updates.
pub(super) const UPDATE: &str = "/api/v1/dyndns/update";
/// The path that tells the client's address.
pub(super) const ADDRESS: &str = "/checkip";
/// What a client hears that is not let in.
const BADAUTH: &str = "badauth";

/// GET of an update.
static UPDATES: [Operation<Api>; 1] = [Operation::get(|app, call| Box::pin(renew(app, call)))
    .query(&["hostname", "host_id", "username", "password", "myip", "myipv4", "ip", "myipv6", "ipv6"])
    .replies(&[Success::media(200, "text/plain")])
    .refuses(&[403, 404])
    .summary("Sets the addresses of hosts to those of the caller")];

/// GET of the client's address.
static ADDRESSES: [Operation<Api>; 1] = [Operation::get(|app, call| Box::pin(tell(app, call)))
    .access(Access::Open)
    .scopes(&[Scope::CheckIp])
    .uncounted()
    .replies(&[Success::media(200, "text/plain"), Success::empty(301)])
    .summary("The address of the caller")];

/// The rows.
pub(super) static ROUTES: [Route<Api>; 4] = [
    Route::new(UPDATE, &UPDATES).style(Style::DynDns),
    Route::new("/nic/update", &UPDATES).style(Style::DynDns),
    Route::new(ADDRESS, &ADDRESSES).style(Style::DynDns),
    Route::new("/nic/checkip.html", &ADDRESSES).style(Style::DynDns),
];

impl Api {
    /// The path of the table for a path on one of the hosts of the service.
    pub(super) fn dyndns_path(&self, host: &str, path: &str) -> Option<&'static str> {
        Some(match place(host, path, &self.settings.local_suffixes)? {
            Place::Update | Place::Refused => UPDATE,
            Place::Address => ADDRESS,
        })
    }

    /// What `path` is on the host of a call, if that is one of the service.
    fn place_of(&self, call: &Call<Api>, path: &str) -> Option<Place> {
        place(&call.url.host, path, &self.settings.local_suffixes)
    }
}

/// Tells the client's address. The hosts that do nothing else are for the secure protocol, as everything else is.
async fn tell(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    if app.place_of(&call, "/") == Some(Place::Address) && call.url.scheme == "http" {
        let secure = format!("https://{}{}", call.url.host, call.url.path);
        return Ok(Reply::empty(301).header(LOCATION, &secure));
    }
    Ok(Reply::text(200, call.client.to_canonical().to_string()))
}

/// An update.
async fn renew(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    if app.place_of(&call, &call.url.path) == Some(Place::Refused) {
        return Err(Refusal::text(401, BADAUTH));
    }
    let caller = call.caller()?;
    let (wanted, domain) = wanted(&app, &call, caller)?;
    may_write(&app, caller, &domain, &wanted)?;
    call.throttle(Scope::DynDns, &wanted.domain)?;
    let actor = change::Actor { account: domain.account, ..app.actor(&call, "dyndns")? };
    app.writable()?;
    let committed = app.store.write(move |txn| commit(txn, actor, &domain, &wanted)).await;
    let committed = committed.map_err(plain)?;
    Ok(app.served(&call, Reply::text(200, GOOD), committed.change).await)
}

/// What a request asks for, and the domain that it is about.
fn wanted(app: &Api, call: &Call<Api>, caller: &Caller) -> Result<(Update, Domain), Refusal> {
    let request = Request { params: call.query_pairs(), basic_user: caller.user.as_deref(), client: call.client };
    let account = caller.account.id;
    let read = app.read(|reader| {
        let failed = RefCell::new(None);
        let own = |name: &str| match reader.domain_by_name(name) {
            Ok(found) => found.filter(|domain| domain.account == account),
            Err(error) => {
                *failed.borrow_mut() = Some(error);
                None
            }
        };
        let some = reader.domains_before(account, None, 2)?;
        let domains = match some.as_slice() {
            [] => Domains::None,
            [domain] => Domains::One(&domain.name),
            _ => Domains::Several,
        };
        let known = Account { email: &caller.account.email, domains, owns: |name: &str| own(name).is_some() };
        let wanted = update(&request, &known);
        let domain = wanted.as_ref().ok().and_then(|wanted| own(&wanted.domain));
        match failed.into_inner() {
            Some(error) => Err::<_, StoreError>(error),
            None => Ok((wanted, domain)),
        }
    })?;
    let (wanted, domain) = read;
    let wanted = wanted.map_err(|error| Refusal::text(error.status(), error.to_string()))?;
    let nohost = || Refusal::text(404, DyndnsError::NoHost.to_string());
    let is_name = |subname: &str| {
        let fits = check_name_len(subname, &wanted.domain).is_ok();
        subname.is_empty() || (subname_messages(subname).is_empty() && fits)
    };
    if !wanted.hosts.iter().all(|host| is_name(&host.subname)) {
        return Err(nohost());
    }
    Ok((wanted, domain.ok_or_else(nohost)?))
}

/// Asks the token's policies, before the throttle counts; the commit asks them again.
fn may_write(app: &Api, caller: &Caller, domain: &Domain, wanted: &Update) -> Result<(), Refusal> {
    let Some(token) = &caller.token else { return Ok(()) };
    let policies = app.read(|reader| reader.policies(token.id))?;
    let may = |subname: &str, action: &Action, rtype| {
        *action == Action::Keep || auth::may_write(&policies, domain.id, subname, rtype)
    };
    let all =
        wanted.hosts.iter().all(|host| may(&host.subname, &host.a, "A") && may(&host.subname, &host.aaaa, "AAAA"));
    if all && !token.read_only { Ok(()) } else { Err(plain(change::Refusal::Forbidden)) }
}

/// Writes the addresses, given those that are there.
fn commit(txn: &Txn<'_>, actor: change::Actor, domain: &Domain, wanted: &Update) -> Result<Committed, change::Refusal> {
    let mut drafts = Vec::new();
    for host in &wanted.hosts {
        let node = node_of(&host.subname)?;
        let mut stored = HashMap::new();
        for family in [Family::V4, Family::V6] {
            let found = txn.rrset(domain.id, &node, family.rtype())?;
            let records = found.into_iter().flat_map(|rrset| rrset.records);
            stored.insert(family, records.filter_map(|record| record.content.parse().ok()).collect::<Vec<IpAddr>>());
        }
        let existing = |family| stored.get(&family).cloned().unwrap_or_default();
        let more = host.drafts(&wanted.domain, actor.limits, existing);
        drafts.extend(more.map_err(|error| change::Refusal::Rules(vec![error.to_string()]))?);
    }
    let edits = Edits::Drafts(Verb::Put, drafts);
    change::commit(txn, Change { actor, domain: domain.id, precondition: None, edits, dry_run: false })
}

/// What these clients are told when a rule says no: text.
fn plain(refused: change::Refusal) -> Refusal {
    let text = refused.to_string();
    match refused {
        change::Refusal::Forbidden => Refusal::text(403, text),
        change::Refusal::Rules(_) => Refusal::text(400, text),
        other => refusal::of_change(other),
    }
}
