//! RRsets: list, make, change, delete, one or many at a time.

use std::sync::Arc;

use axum::http::header::ETAG;
use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;
use utoipa::ToSchema;

use super::domains::{at_of, position_of};
use super::{Api, aside, now_us};
use crate::change::{self, Change, Committed, Edits, NS_LOCKED, Precondition, Verb};
use crate::http::call::Call;
use crate::http::page::{Direction, Paging};
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Resource, Route, Scope, Success, Verb as HttpVerb};
use crate::http::tags::Tags;
use crate::rrset::bulk::Bulk;
use crate::rrset::view::View;
use crate::rrset::{Draft, Method, Rules, bulk, full_name, item, kinds};
use crate::store::domains::Domain;
use crate::store::rrsets::{Filter, Rrset};
use crate::value::Timestamp;

/// A longer subname is none.
const SUBNAME_LEN_MAX: usize = 178;
/// RRsets of a list that are read on the thread that answers; moving its other tasks away pays for longer ones only.
const READ_HERE_MAX: usize = 32;

/// What a client sends of an RRset.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "bodies are read field by field for their error messages; this is their description")]
struct RrsetBody {
    /// The owner below the domain; empty for the apex.
    subname: Option<String>,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// TTL in seconds.
    ttl: Option<u32>,
    /// The records in presentation format.
    records: Option<Vec<String>>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/v1/domains/{name}/rrsets/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .query(&["subname", "type", "cursor"])
                .replies(&[Success::list::<View>(200)])
                .refuses(&[403])
                .summary("RRsets of a domain, newest first"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<RrsetBody>(Count::OneOrList)
                .query(&["wait"])
                .replies(&[Success::one_or_list::<View>(201), Success::one_or_list::<View>(202)])
                .refuses(&[403, 412])
                .summary("Makes an RRset, or many"),
            Operation::patch(|app, call| Box::pin(change_list(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<RrsetBody>(Count::List)
                .query(&["wait"])
                .replies(&[Success::list::<View>(200), Success::list::<View>(202)])
                .refuses(&[403, 412])
                .summary("Changes what is sent of many RRsets"),
            Operation::put(|app, call| Box::pin(change_list(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<RrsetBody>(Count::List)
                .query(&["wait"])
                .replies(&[Success::list::<View>(200), Success::list::<View>(202)])
                .refuses(&[403, 412])
                .summary("Makes many RRsets what is sent"),
        ],
    ),
    Route::new(
        "/api/v1/domains/{name}/rrsets/{subname}/{type}/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .replies(&[Success::json::<View>(200)])
                .summary("One RRset"),
            Operation::patch(|app, call| Box::pin(change_one(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<RrsetBody>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<View>(200), Success::json::<View>(202), Success::empty(204)])
                .refuses(&[403, 412])
                .summary("Changes what is sent of an RRset"),
            Operation::put(|app, call| Box::pin(change_one(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<RrsetBody>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<View>(200), Success::json::<View>(202), Success::empty(204)])
                .refuses(&[403, 412])
                .summary("Makes an RRset what is sent"),
            Operation::delete(|app, call| Box::pin(delete(app, call)))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .query(&["wait"])
                .replies(&[Success::empty(204), Success::empty(202)])
                .refuses(&[403, 412])
                .summary("Deletes an RRset"),
        ],
    ),
];

/// How an RRset is shown: its enabled records.
pub(super) fn view(rrset: &Rrset, domain: &str) -> View {
    View {
        created: Timestamp::from_micros(rrset.created_us).to_string(),
        domain: domain.to_owned(),
        subname: rrset.subname.clone(),
        name: full_name(&rrset.subname, domain),
        records: rrset.enabled().map(|record| record.content.clone()).collect(),
        ttl: rrset.ttl_secs,
        rtype: rrset.rtype.to_string(),
        touched: Timestamp::from_micros(rrset.touched_us).to_string(),
    }
}

/// How what was committed is shown.
fn views(committed: &Committed) -> Vec<View> {
    committed.rrsets.iter().map(|rrset| view(rrset, &committed.domain.name)).collect()
}

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let rtype = match call.query("type") {
        None => None,
        Some(text) if kinds::AUTOMATIC.contains(&text) => {
            return Err(Refusal::detail(403, format!("You cannot tinker with the {text} RRset.")));
        }
        Some(text) => match kinds::accepted(text) {
            Ok(rtype) => Some(rtype),
            Err(_) => return Ok(Reply::json(200, &[(); 0])),
        },
    };
    let filter = Filter { subname: call.query("subname").map(str::to_owned), rtype };
    let paging = Paging::of(&call)?;
    let (found, total) = app.read(|reader| {
        let total = reader.rrset_count(domain.id, &filter)?;
        let Ok(slice) = paging.slice(total) else { return Ok((Vec::new(), total)) };
        let at = slice.cursor.map(|cursor| (at_of(cursor.position), cursor.direction));
        let found = match at {
            None => reader.rrsets_before(domain.id, &filter, None, slice.item_count_max)?,
            Some((at, Direction::Next)) => reader.rrsets_before(domain.id, &filter, Some(at), slice.item_count_max)?,
            Some((at, Direction::Previous)) => reader.rrsets_after(domain.id, &filter, at, slice.item_count_max)?,
        };
        Ok((found, total))
    })?;
    paging.slice(total)?;
    let (rrsets, link) = paging.finish(found, |rrset| position_of(rrset.created_us, rrset.id));
    let views: Vec<View> = rrsets.iter().map(|rrset| view(rrset, &domain.name)).collect();
    Ok(Reply::json(200, &views).link(link.as_deref()))
}

impl Api {
    /// Refuses bodies with NS records where those are ours to decide.
    fn check_ns(&self, domain: &Domain, body: &Value) -> Result<(), Refusal> {
        if !self.house.locks_ns(&domain.name) {
            return Ok(());
        }
        let wrong = |item: &Value| item.get("type").and_then(Value::as_str).is_some_and(|rtype| rtype.trim() == "NS");
        let error = |item: &Value| if wrong(item) { json!({ "type": [NS_LOCKED] }) } else { json!({}) };
        match body {
            Value::Array(items) if items.iter().any(wrong) => {
                Err(Refusal::json(400, items.iter().map(error).collect::<Value>()))
            }
            body if wrong(body) => Err(Refusal::field("type", NS_LOCKED)),
            _ => Ok(()),
        }
    }
}

/// POST to the list: one RRset, or many.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let rules = app.rules(&call, domain)?;
    app.check_ns(domain, call.json())?;
    let bad = |body| Refusal::json(400, body);
    if call.json().is_array() {
        let edits = Edits::List(read_list(&call, &rules)?);
        let committed = app.commit(&call, edits, None).await?;
        return Ok(app.served(&call, Reply::json(201, &views(&committed)), committed.change).await);
    }
    let edits = Edits::New(item::create(call.json(), &rules).map_err(bad)?);
    let committed = app.commit(&call, edits, None).await?;
    let reply = match committed.rrsets.first() {
        Some(rrset) => Reply::json(201, &view(rrset, &committed.domain.name)).header(ETAG, &change::etag(rrset)),
        None => Reply::empty(204),
    };
    Ok(app.served(&call, reply, committed.change).await)
}

/// PATCH and PUT of the list.
async fn change_list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let rules = app.rules(&call, domain)?;
    app.check_ns(domain, call.json())?;
    let edits = Edits::List(read_list(&call, &rules)?);
    let committed = app.commit(&call, edits, None).await?;
    Ok(app.served(&call, Reply::json(200, &views(&committed)), committed.change).await)
}

/// The RRsets of a list. A long one is read aside; for a short one moving the other tasks would cost more than it.
fn read_list(call: &Call<Api>, rules: &Rules<'_>) -> Result<Bulk, Refusal> {
    let read = || bulk::read(call.json(), method_of(call), rules);
    let is_long = call.json().as_array().is_some_and(|items| items.len() > READ_HERE_MAX);
    let list = if is_long { aside(read) } else { read() };
    list.map_err(|body| Refusal::json(400, body))
}

/// The method as `rrset` knows it.
fn method_of(call: &Call<Api>) -> Method {
    match call.verb {
        HttpVerb::Put => Method::Put,
        HttpVerb::Patch => Method::Patch,
        _ => Method::Post,
    }
}

/// The RRset that the path names, as far as it can be one.
pub(super) fn key_of(call: &Call<Api>) -> Result<(String, Rtype), Refusal> {
    let missing = || Refusal::not_found(change::Refusal::NoRrset.to_string());
    let subname = call.subname();
    // An escape would be another spelling of a name, which policies do not know.
    if subname.len() > SUBNAME_LEN_MAX || subname.contains('\\') {
        return Err(missing());
    }
    let rtype = kinds::accepted(call.param("type")).map_err(|_| missing())?;
    Ok((subname.to_owned(), rtype))
}

/// The RRset that the path names.
pub(super) fn stored(app: &Api, domain: &Domain, (subname, rtype): &(String, Rtype)) -> Result<Option<Rrset>, Refusal> {
    if *subname != subname.to_ascii_lowercase() {
        return Ok(None);
    }
    let Ok(node) = change::node_of(subname) else { return Ok(None) };
    app.read(|reader| reader.rrset(domain.id, &node, *rtype))
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let missing = || Refusal::not_found(change::Refusal::NoRrset.to_string());
    let rrset = stored(&app, domain, &key_of(&call)?)?.ok_or_else(missing)?;
    Ok(Reply::json(200, &view(&rrset, &domain.name)).header(ETAG, &change::etag(&rrset)))
}

/// PATCH and PUT of one.
async fn change_one(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let key = key_of(&call)?;
    let missing = || Refusal::not_found(change::Refusal::NoRrset.to_string());
    stored(&app, domain, &key)?.ok_or_else(missing)?;
    if key.1 == Rtype::NS && app.house.locks_ns(&domain.name) {
        return Err(Refusal::field("type", NS_LOCKED));
    }
    let rules = app.rules(&call, domain)?;
    let read = item::change(call.json(), method_of(&call), (&key.0, key.1), &rules);
    let edits = Edits::Known(key.clone(), read.map_err(|body| Refusal::json(400, body))?);
    let committed = app.commit(&call, edits, Some(key)).await?;
    let reply = match committed.rrsets.first() {
        Some(rrset) => Reply::json(200, &view(rrset, &committed.domain.name)).header(ETAG, &change::etag(rrset)),
        None => Reply::empty(204),
    };
    Ok(app.served(&call, reply, committed.change).await)
}

/// DELETE of one; it is no mistake if there is none.
async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let Ok(key) = key_of(&call) else { return Ok(Reply::empty(204)) };
    if stored(&app, domain, &key)?.is_none() {
        return Ok(Reply::empty(204));
    }
    if key.1 == Rtype::NS && app.house.locks_ns(&domain.name) {
        return Err(Refusal::list(400, NS_LOCKED));
    }
    let draft = Draft { subname: key.0.clone(), rtype: key.1, ttl: None, records: Some(Vec::new()) };
    let committed = app.commit(&call, Edits::Drafts(Verb::Put, vec![draft]), Some(key)).await?;
    Ok(app.served(&call, Reply::empty(204), committed.change).await)
}

impl Api {
    /// Commits a change of the domain in the path; `rrset` is what `If-Match` speaks of.
    pub(super) async fn commit(
        &self,
        call: &Call<Api>,
        edits: Edits,
        rrset: Option<(String, Rtype)>,
    ) -> Result<Committed, Refusal> {
        let precondition = match rrset {
            None => self.precondition(call, call.domain()?)?,
            rrset => call.if_match.as_ref().map(|tags| Precondition { rrset, etags: etags_of(tags) }),
        };
        let actor = change::Actor { now_us: now_us(), ..self.actor(call, "rest")? };
        let change = Change { actor, domain: call.domain()?.id, precondition, edits, dry_run: false };
        self.change(move |txn| change::commit(txn, change)).await
    }
}

/// The strong tags of a header, with their quotes.
pub(super) fn etags_of(tags: &Tags) -> Vec<String> {
    match tags {
        Tags::Any => vec!["*".to_owned()],
        Tags::List(tags) => tags.iter().filter(|tag| !tag.weak).map(|tag| format!("\"{}\"", tag.text)).collect(),
    }
}
