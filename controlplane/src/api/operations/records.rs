//! Single records by their numbers: list, add, show, change, delete.
//!
//! A record is one of an RRset, and each change of it is one of its RRset, whose TTL all its records share. The SOA record
//! of a zone stands among its records with the negative of the zone's number. Invariant: what a change starts from is read
//! in the transaction that makes it, so that two of them never undo one another.

use std::sync::Arc;

use axum::http::header::ETAG;
use serde::Serialize;
use serde_json::{Map, Value};
use snapshot::dns::rtype::Rtype;
use utoipa::ToSchema;

use super::super::domains::object;
use super::super::rrsets::etags_of;
use super::super::{Api, aside};
use super::field;
use super::zones::Part;
use crate::change::{self, Actor, Change, Committed, Edits, Precondition, Refusal as ChangeRefusal, Target};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::Scope;
use crate::rrset::content::{ContentError, unique};
use crate::rrset::{Content, full_name, lenient};
use crate::store::domains::{Domain, Soa, SoaMode};
use crate::store::rrsets::{Filter, Record, Rrset};
use crate::store::{DomainId, Txn};

/// The TTL in seconds of an RRset for which nobody said one.
const TTL_SECS_DEFAULT: u32 = 3600;

/// A record, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record)]
pub(super) struct View {
    /// Its number; that of an SOA record is negative.
    id: i64,
    /// The zone it is in.
    zone: String,
    /// Its owner below the zone, `@` for the zone's own name.
    name: String,
    /// Its owner, with a dot at the end.
    fqdn: String,
    /// Its type.
    #[serde(rename = "type")]
    rtype: String,
    /// The TTL of its RRset in seconds.
    ttl: u32,
    /// Its RDATA in presentation format.
    rdata: String,
    /// Its share: of records with shares that a client could get, it gets one; 0 is none.
    weight: u32,
    /// The countries and continents that it is for, as `US`, `EU` or `continent:NA`, with commas; without, it is for those whom
    /// no other record is for. For each of them it counts as a record: against the quotas of the account, and among the 64 that
    /// an RRset with weights or regions may have.
    geo: Option<String>,
    /// 1 if it is answered, else 0.
    enabled: u8,
    /// A note for people.
    comment: Option<String>,
}

/// What a client sends to add a record.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct NewRecord {
    /// The owner: `@`, a name below the zone, or one that ends in the zone's.
    name: String,
    /// The type.
    #[serde(rename = "type")]
    rtype: String,
    /// RDATA in presentation format; names are absolute.
    rdata: String,
    /// The TTL of the whole RRset in seconds.
    ttl: Option<u32>,
    /// See the record.
    weight: Option<u32>,
    /// See the record: it counts once for each of these regions.
    geo: Option<String>,
    /// See the record.
    enabled: Option<bool>,
    /// See the record.
    comment: Option<String>,
}

/// What a client sends to change a record; what is absent stays.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct ChangedRecord {
    /// RDATA in presentation format. The serial of an SOA record is not taken from here: it grows by itself.
    rdata: Option<String>,
    /// The TTL of the whole RRset in seconds.
    ttl: Option<u32>,
    /// See the record.
    weight: Option<u32>,
    /// See the record: it counts once for each of these regions.
    geo: Option<String>,
    /// See the record.
    enabled: Option<bool>,
    /// See the record.
    comment: Option<String>,
}

/// A record that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedRecord)]
pub(super) struct Deleted {
    /// Its number.
    deleted: i64,
}

/// What is to become of a record, as far as a body says.
struct Wish {
    /// RDATA.
    content: Option<Content>,
    /// TTL of the RRset in seconds.
    ttl_secs: Option<u32>,
    /// Share.
    weight: Option<Option<u32>>,
    /// Place.
    geo: Option<Option<String>>,
    /// Whether it is answered.
    enabled: Option<bool>,
    /// Note.
    comment: Option<Option<String>>,
}

/// How a change inside a transaction ends: done, or refused before anything was written.
type Outcome = Result<Result<Committed, Refusal>, ChangeRefusal>;

/// How a record is shown.
fn view(domain: &Domain, rrset: &Rrset, record: &Record) -> View {
    View {
        id: record.id,
        zone: domain.name.clone(),
        name: if rrset.subname.is_empty() { "@".to_owned() } else { rrset.subname.clone() },
        fqdn: full_name(&rrset.subname, &domain.name),
        rtype: rrset.rtype.to_string(),
        ttl: rrset.ttl_secs,
        rdata: record.content.clone(),
        weight: record.weight.unwrap_or(0),
        geo: record.geo.clone(),
        enabled: u8::from(record.enabled),
        comment: record.comment.clone(),
    }
}

/// How the SOA record of a zone is shown.
fn soa_view(domain: &Domain) -> View {
    let Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs } = &domain.soa;
    let serial = domain.serial;
    View {
        id: -domain.id.0,
        zone: domain.name.clone(),
        name: "@".to_owned(),
        fqdn: full_name("", &domain.name),
        rtype: Rtype::SOA.to_string(),
        ttl: *ttl_secs,
        rdata: format!("{mname} {rname} {serial} {refresh_secs} {retry_secs} {expire_secs} {minimum_secs}"),
        weight: 0,
        geo: None,
        enabled: 1,
        comment: None,
    }
}

/// There is no such record, or not for this caller.
fn missing() -> Refusal {
    Refusal::not_found("No record matches the given query.")
}

/// GET of the list: RRsets in the order they were made, each with its records.
pub(super) async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let part = Part::of(&call)?;
    let wrong_type = |error: crate::rrset::kinds::KindError| Refusal::field("type", error.to_string());
    // The SOA record has a type that can be asked for, but no row.
    let rtype = call.query("type").map(lenient::kind).transpose().map_err(wrong_type)?;
    let subname = match call.query("name") {
        None => None,
        Some(name) => Some(field::subname(name, &domain.name).ok_or_else(not_in_zone)?),
    };
    let has_soa = rtype.is_none_or(|rtype| rtype == Rtype::SOA) && subname.as_ref().is_none_or(String::is_empty);
    let filter = Filter { subname, rtype };
    aside(|| {
        let rrsets = app.read(|reader| reader.rrsets_after(domain.id, &filter, part.after, part.count_max))?;
        let mut views: Vec<View> = Vec::new();
        if part.is_first() && has_soa {
            views.push(soa_view(domain));
        }
        for rrset in &rrsets {
            views.extend(rrset.records.iter().map(|record| view(domain, rrset, record)));
        }
        let last = rrsets.last().map(|rrset| (rrset.created_us, rrset.id));
        Ok(part.link(&call, Reply::json(200, &views), rrsets.len(), last))
    })
}

/// A name of another zone, or none.
fn not_in_zone() -> Refusal {
    Refusal::field("name", "Must be a name in the zone.")
}

/// What a body says of a record of this type.
fn wish(body: &Map<String, Value>, rtype: Rtype, domain: &Domain) -> Result<Wish, Refusal> {
    let wrong = |error: crate::rrset::canonical::RecordError| Refusal::field("rdata", error.to_string());
    let content = field::text(body, "rdata")?.map(|text| lenient::content(rtype, text)).transpose().map_err(wrong)?;
    Ok(Wish {
        content,
        ttl_secs: field::ttl(body, domain.minimum_ttl_secs)?,
        weight: field::weight(body)?,
        geo: field::geo(body)?,
        enabled: field::enabled(body)?,
        comment: field::comment(body)?,
    })
}

/// POST to the list.
pub(super) async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?.clone();
    let body = object(call.json())?;
    let subname = field::subname(field::required(body, "name")?, &domain.name).ok_or_else(not_in_zone)?;
    let rtype = lenient::kind(field::required(body, "type")?.trim());
    let rtype = rtype.map_err(|error| Refusal::field("type", error.to_string()))?;
    if rtype == Rtype::SOA {
        return Err(Refusal::conflict("a zone has one SOA record; change that."));
    }
    field::required(body, "rdata")?;
    let wish = wish(body, rtype, &domain)?;
    let rdata = wish.content.as_ref().map(|content| content.rdata.clone()).unwrap_or_default();
    let actor = app.actor(&call, "operations")?;
    let (zone, precondition) = (domain.clone(), app.precondition(&call, &domain)?);
    let committed = app.change(move |txn| add(txn, actor, &zone, (subname, rtype), (wish, precondition))).await??;
    let rrset = committed.rrsets.first().ok_or_else(Refusal::internal)?;
    let record = rrset.records.iter().find(|record| record.rdata == rdata).ok_or_else(Refusal::internal)?;
    let reply = Reply::json(201, &view(&domain, rrset, record)).header(ETAG, &change::etag(rrset));
    Ok(app.served(&call, reply, committed.change).await)
}

/// Adds a record to its RRset.
fn add(
    txn: &Txn<'_>,
    actor: Actor,
    domain: &Domain,
    (subname, rtype): (String, Rtype),
    (wish, precondition): (Wish, Option<Precondition>),
) -> Outcome {
    let before = txn.rrset(domain.id, &change::node_of(&subname)?, rtype)?;
    let (before_ttl, records) = before.map(|before| (before.ttl_secs, before.records)).unzip();
    let mut records: Vec<Record> = records.unwrap_or_default();
    let least = domain.minimum_ttl_secs;
    let ttl_secs = wish.ttl_secs.or(before_ttl).unwrap_or_else(|| TTL_SECS_DEFAULT.max(least));
    let mut record = Record {
        id: 0,
        content: String::new(),
        rdata: Vec::new(),
        weight: None,
        geo: None,
        enabled: true,
        comment: None,
    };
    wish.apply(&mut record);
    records.push(record);
    commit(txn, actor, domain, (subname, rtype), (ttl_secs, records), precondition)
}

impl Wish {
    /// Changes a record.
    fn apply(self, record: &mut Record) {
        let Wish { content, weight, geo, enabled, comment, .. } = self;
        if let Some(Content { text, rdata }) = content {
            (record.content, record.rdata) = (text, rdata);
        }
        record.weight = weight.unwrap_or(record.weight);
        record.geo = geo.unwrap_or_else(|| record.geo.take());
        record.enabled = enabled.unwrap_or(record.enabled);
        record.comment = comment.unwrap_or_else(|| record.comment.take());
    }
}

/// Commits an RRset as it shall be, if it can be one.
fn commit(
    txn: &Txn<'_>,
    actor: Actor,
    domain: &Domain,
    (subname, rtype): (String, Rtype),
    (ttl_secs, records): (u32, Vec<Record>),
    precondition: Option<Precondition>,
) -> Outcome {
    let contents = records.iter().map(|record| Content { text: record.content.clone(), rdata: record.rdata.clone() });
    match unique(rtype, contents.collect(), &full_name(&subname, &domain.name)) {
        Ok(_) => {}
        Err(ContentError::Duplicate) => return Ok(Err(Refusal::conflict("the RRset has this record already."))),
        Err(error) => return Ok(Err(Refusal::field("rdata", error.to_string()))),
    }
    let state = (!records.is_empty()).then_some((ttl_secs, records));
    let target = Target { subname, rtype, state };
    commit_targets(txn, actor, domain.id, vec![target], None, precondition)
}

/// Commits RRsets and SOA fields as they shall be.
fn commit_targets(
    txn: &Txn<'_>,
    actor: Actor,
    domain: DomainId,
    targets: Vec<Target>,
    soa: Option<Soa>,
    precondition: Option<Precondition>,
) -> Outcome {
    let edits = Edits::Targets { kind: "record", undoes: None, note: None, targets, soa };
    change::commit(txn, Change { actor, domain, precondition, edits, dry_run: false }).map(Ok)
}

/// The record of a path: which zone it is in, and its RRset unless it is the SOA record.
struct Found {
    /// Its number.
    id: i64,
    /// The zone.
    domain: Domain,
    /// The RRset.
    rrset: Option<Rrset>,
}

impl Found {
    /// Looks the record up; what is another account's does not exist.
    fn of(app: &Api, call: &Call<Api>) -> Result<Found, Refusal> {
        let caller = call.caller()?;
        let id: i64 = call.param("id").parse().map_err(|_| missing())?;
        let found = app.read(|reader| {
            let (domain, rrset) = match reader.rrset_of_record(id)? {
                Some((domain, rrset)) => (domain, Some(rrset)),
                None => (DomainId(id.checked_neg().unwrap_or(0)), None),
            };
            Ok(reader.domain(domain)?.map(|domain| Found { id, domain, rrset }))
        })?;
        found.filter(|found| caller.may_see(&found.domain)).ok_or_else(missing)
    }

    /// Looks the record up for a write, which counts as one into its domain.
    fn to_write(app: &Api, call: &Call<Api>) -> Result<Found, Refusal> {
        let found = Found::of(app, call)?;
        call.throttle(Scope::DnsApiPerDomainExpensive, &found.domain.name)?;
        Ok(found)
    }

    /// What `If-Match` asks for.
    fn precondition(&self, call: &Call<Api>) -> Option<Precondition> {
        let rrset = self.rrset.as_ref().map(|rrset| (rrset.subname.clone(), rrset.rtype));
        call.if_match.as_ref().map(|tags| Precondition { rrset, etags: etags_of(tags) })
    }

    /// Who changes it.
    fn actor(&self, app: &Api, call: &Call<Api>) -> Result<Actor, Refusal> {
        Ok(Actor { account: self.domain.account, ..app.actor(call, "operations")? })
    }

    /// The record, answered.
    fn reply(&self) -> Result<Reply, Refusal> {
        let Some(rrset) = &self.rrset else {
            return Ok(Reply::json(200, &soa_view(&self.domain)).header(ETAG, &change::domain_etag(&self.domain)));
        };
        let record = rrset.records.iter().find(|record| record.id == self.id).ok_or_else(missing)?;
        Ok(Reply::json(200, &view(&self.domain, rrset, record)).header(ETAG, &change::etag(rrset)))
    }
}

/// GET of one.
pub(super) async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Found::of(&app, &call)?.reply()
}

/// PUT of one.
pub(super) async fn change(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let found = Found::to_write(&app, &call)?;
    let body = object(call.json())?;
    let rtype = found.rrset.as_ref().map_or(Rtype::SOA, |rrset| rrset.rtype);
    let subname = found.rrset.as_ref().map_or("", |rrset| &*rrset.subname);
    let fixed = |field: &str| Refusal::field(field, "Can only be written on create.");
    if field::text(body, "type")?.is_some_and(|text| !text.trim().eq_ignore_ascii_case(&rtype.to_string())) {
        return Err(fixed("type"));
    }
    if field::text(body, "name")?
        .is_some_and(|text| field::subname(text, &found.domain.name).as_deref() != Some(subname))
    {
        return Err(fixed("name"));
    }
    let wish = wish(body, rtype, &found.domain)?;
    let (actor, precondition) = (found.actor(&app, &call)?, found.precondition(&call));
    let Found { id, domain, rrset } = found;
    let committed = if rrset.is_none() {
        let soa = new_soa(&domain, &wish)?;
        app.change(move |txn| commit_targets(txn, actor, domain.id, Vec::new(), Some(soa), precondition)).await??
    } else {
        app.change(move |txn| {
            let Some((_, rrset)) = txn.rrset_of_record(id)? else { return Ok(Err(missing())) };
            let Rrset { subname, rtype, ttl_secs, mut records, .. } = rrset;
            let ttl_secs = wish.ttl_secs.unwrap_or(ttl_secs);
            if let Some(record) = records.iter_mut().find(|record| record.id == id) {
                wish.apply(record);
            }
            commit(txn, actor, &domain, (subname, rtype), (ttl_secs, records), precondition)
        })
        .await??
    };
    let Committed { change, domain, rrsets, .. } = committed;
    let reply = Found { id, domain, rrset: rrset.and(rrsets.into_iter().next()) }.reply()?;
    Ok(app.served(&call, reply, change).await)
}

/// The fields of an SOA record that a body asks for.
fn new_soa(domain: &Domain, wish: &Wish) -> Result<Soa, Refusal> {
    if domain.soa_mode == SoaMode::Managed {
        return Err(Refusal::conflict("the SOA record of this zone is managed."));
    }
    let always = || Refusal::field("enabled", "An SOA record is always answered.");
    if wish.enabled == Some(false) {
        return Err(always());
    }
    let mut soa = domain.soa.clone();
    if let Some(content) = &wish.content {
        soa = change::soa_of(&content.text, soa.ttl_secs).ok_or_else(Refusal::internal)?;
    }
    soa.ttl_secs = wish.ttl_secs.unwrap_or(soa.ttl_secs);
    Ok(soa)
}

/// DELETE of one.
pub(super) async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let found = Found::to_write(&app, &call)?;
    if found.rrset.is_none() {
        return Err(Refusal::conflict("a zone has always an SOA record."));
    }
    let (actor, precondition) = (found.actor(&app, &call)?, found.precondition(&call));
    let Found { id, domain, .. } = found;
    let committed = app.change(move |txn| {
        let Some((_, rrset)) = txn.rrset_of_record(id)? else { return Ok(Err(missing())) };
        let Rrset { subname, rtype, ttl_secs, mut records, .. } = rrset;
        records.retain(|record| record.id != id);
        commit(txn, actor, &domain, (subname, rtype), (ttl_secs, records), precondition)
    });
    let committed = committed.await??;
    Ok(app.served(&call, Reply::json(200, &Deleted { deleted: id }), committed.change).await)
}
