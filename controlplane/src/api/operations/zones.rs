//! Zones: list, make, show, delete, export.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::domains::{account_of, object};
use super::super::{Api, aside};
use super::field;
use crate::change::{self, NewDomain};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::naming::{self, Suffixes};
use crate::rrset::Limits;
use crate::store::Txn;
use crate::store::accounts::{Account, Class};
use crate::store::domains::{Domain, SerialPolicy, Soa, SoaMode};
use crate::value::Timestamp;

/// The most zones or RRsets of one answer.
pub(super) const PAGE_COUNT_MAX: usize = 10_000;

/// A zone, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Zone {
    /// Its number.
    id: i64,
    /// Its name, without a dot at the end.
    name: String,
    /// Its serial.
    serial: u32,
    /// `user` where its SOA record can be changed, `managed` where not.
    soa_mode: &'static str,
    /// How many RRsets it has, the SOA record not counted.
    rrsets: u32,
    /// The least TTL of its records in seconds.
    minimum_ttl: u32,
    /// When it was made.
    created: String,
    /// When it was last written to.
    touched: String,
    /// When its content was last published.
    published: Option<String>,
    /// What is to be said of it when it is made, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What a client sends to make a zone.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct NewZone {
    /// The name.
    name: String,
    /// The name server that the SOA record names, and the only NS record; those of the server if none is given.
    ns: Option<String>,
    /// The mailbox of the SOA record, as an address or a name.
    admin: Option<String>,
}

/// A zone that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedZone)]
pub(super) struct Deleted {
    /// Its name.
    deleted: String,
}

impl Api {
    /// How a zone is shown.
    fn zone(&self, domain: &Domain) -> Zone {
        let shown = |us| Timestamp::from_micros(us).to_string();
        Zone {
            id: domain.id.0,
            name: domain.name.clone(),
            serial: domain.serial,
            soa_mode: if domain.soa_mode == SoaMode::User { "user" } else { "managed" },
            rrsets: domain.rrset_count,
            minimum_ttl: domain.minimum_ttl_secs,
            created: shown(domain.created_us),
            touched: shown(domain.touched_us),
            published: self.published_us(domain).map(shown),
            note: None,
        }
    }
}

/// A part of a list: where it begins and how long it may be.
pub(super) struct Part {
    /// What the last item before it has: time of making and number.
    pub(super) after: (i64, i64),
    /// The most items.
    pub(super) count_max: usize,
}

impl Part {
    /// Reads `after` and `limit`.
    pub(super) fn of(call: &Call<Api>) -> Result<Part, Refusal> {
        let count_max = match call.query("limit") {
            None => PAGE_COUNT_MAX,
            Some(text) => {
                let count = text.parse().ok().filter(|count| (1..=PAGE_COUNT_MAX).contains(count));
                let expected = || Refusal::field("limit", format!("Must be a number from 1 to {PAGE_COUNT_MAX}."));
                count.ok_or_else(expected)?
            }
        };
        let place = |text: &str| {
            let (created, id) = text.split_once('.')?;
            Some((created.parse().ok()?, id.parse().ok()?))
        };
        let after = match call.query("after") {
            None => (i64::MIN, i64::MIN),
            Some(text) => place(text).ok_or_else(|| Refusal::field("after", "Must be from a Link of an answer."))?,
        };
        Ok(Part { after, count_max })
    }

    /// Whether it is the first part of a list.
    pub(super) fn is_first(&self) -> bool {
        self.after == (i64::MIN, i64::MIN)
    }

    /// Adds the address of the next part to an answer whose list ends with `last`, unless the list has come to its end.
    pub(super) fn link(&self, call: &Call<Api>, reply: Reply, count: usize, last: Option<(i64, i64)>) -> Reply {
        let Some((created, id)) = last.filter(|_| count >= self.count_max) else { return reply };
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in call.query_pairs().iter().filter(|(key, _)| key != "after") {
            query.append_pair(key, value);
        }
        query.append_pair("after", &format!("{created}.{id}"));
        let url = call.url.absolute(&call.url.path);
        reply.link(Some(&format!("<{url}?{}>; rel=\"next\"", query.finish())))
    }
}

/// GET of the list.
pub(super) async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = account_of(&app, &call, call.caller()?)?;
    let part = Part::of(&call)?;
    aside(|| {
        let domains = app.read(|reader| reader.domains_after(account, part.after, part.count_max))?;
        let zones: Vec<Zone> = domains.iter().map(|domain| app.zone(domain)).collect();
        let last = domains.last().map(|domain| (domain.created_us, domain.id.0));
        Ok(part.link(&call, Reply::json(200, &zones), zones.len(), last))
    })
}

/// GET of one.
pub(super) async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    Ok(Reply::json(200, &app.zone(domain)).etag(&app.etag_of(domain)))
}

/// POST to the list.
pub(super) async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = account_of(&app, &call, call.caller()?)?;
    let Some(account) = app.read(|reader| reader.account(account))? else { return Err(Refusal::forbidden()) };
    let new = new_zone(&app, object(call.json())?, &account)?;
    let limits = if account.class == Class::Hosting { Limits::HOSTING } else { Limits::OPERATOR };
    let actor = change::Actor { account: account.id, limits, ..app.actor(&call, "operations")? };
    let (name, offered) = (new.name.clone(), new.keys.clone());
    if app.read(|reader| reader.domain_by_name(&name))?.is_some() {
        return Err(Refusal::conflict("there is a zone of this name already."));
    }
    // What a zone made here holds besides its SOA and NS records is yet to come.
    let place = app.place(&call, &account, &new.name, None).await?;
    let created = app.make(&place, actor, false, |txn, actor| change::create(txn, actor, new)).await;
    app.settle_keys(&offered);
    let created = created?;
    let zone = Zone { note: app.not_delegated(&created.domain)?, ..app.zone(&created.domain) };
    let reply = Reply::json(201, &zone).note(zone.note.as_deref());
    Ok(app.served_all(&call, reply, &[created.domain.change, created.change]).await)
}

/// What a body asks for.
fn new_zone(app: &Api, body: &Map<String, Value>, account: &Account) -> Result<NewDomain, Refusal> {
    let written = field::required(body, "name")?.trim().to_ascii_lowercase();
    let name = written.strip_suffix('.').unwrap_or(&written).to_owned();
    let bad = |text: String| Refusal::field("name", text);
    naming::check_form(&name).map_err(|error| bad(error.to_string()))?;
    let is_tenant = account.class == Class::Hosting;
    let suffixes = Suffixes { local: &app.settings.local_suffixes };
    naming::check_policy(&name, account.class, &suffixes).map_err(|error| bad(error.to_string()))?;
    let ns = match field::text(body, "ns")? {
        None => None,
        Some(text) => Some(field::host(text).ok_or_else(|| Refusal::field("ns", "Must be the name of a host."))?),
    };
    let admin = match field::text(body, "admin")? {
        None => None,
        Some(text) => {
            let wrong = || Refusal::field("admin", "Must be a mail address, or the name that stands for one.");
            Some(field::mailbox(text).ok_or_else(wrong)?)
        }
    };
    let nameservers = ns.map_or_else(|| app.settings.nameservers.clone(), |ns| vec![ns]);
    let soa = Soa {
        ttl_secs: 3600,
        mname: nameservers.first().cloned().unwrap_or_else(|| format!("ns1.{name}.")),
        rname: admin.unwrap_or_else(|| app.settings.hostmaster.clone()),
        refresh_secs: 3600,
        retry_secs: 900,
        expire_secs: 604_800,
        minimum_secs: 86_400,
    };
    let (denial, keys) = app.new_signing(&name)?;
    Ok(NewDomain {
        denial,
        keys,
        name,
        nameservers,
        soa,
        soa_mode: SoaMode::User,
        serial_policy: SerialPolicy::Increment,
        // Tenants are under the same rules whichever door they take.
        minimum_ttl_secs: if is_tenant { app.settings.minimum_ttl_secs } else { 0 },
        drafts: Vec::new(),
        local_suffixes: app.settings.local_suffixes.clone(),
    })
}

/// DELETE of one.
pub(super) async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let (domain, name) = (call.domain()?.id, call.domain()?.name.clone());
    let actor = app.actor(&call, "operations")?;
    let precondition = app.precondition(&call, call.domain()?)?;
    let suffixes = app.settings.local_suffixes.clone();
    let deleted = Deleted { deleted: name.clone() };
    let delete = move |txn: &Txn<'_>| {
        change::expect(txn, domain, precondition.as_ref())?;
        change::delete(txn, &actor, &name, &suffixes)
    };
    let change = app.change(delete).await?;
    // Somebody else was faster.
    let change = change.ok_or_else(|| Refusal::not_found("Not found."))?;
    Ok(app.served(&call, Reply::json(200, &deleted), Some(change)).await)
}

/// GET of the zone file.
pub(super) async fn export(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::text(200, app.zone_file(call.domain()?)?))
}
