//! Domains: list, make, show, delete, export.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use snapshot::dns::rtype::Rtype;
use utoipa::ToSchema;

use super::gates::{self, Signatures};
use super::import::query_flag;
use super::preview::{self, Preview};
use super::verify::Missing;
use super::{Api, Caller, aside, now_us, refusal};
use crate::change::{self, NewDomain, Parent};
use crate::config::Dnssec;
use crate::dnssec;
use crate::http::call::Call;
use crate::http::page::{Direction, Paging, Position};
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Resource, Route, Scope, Success};
use crate::keys::{Role, Shown};
use crate::naming::{self, Suffixes};
use crate::rrset::{Draft, Limits, Rules, full_name};
use crate::store::Txn;
use crate::store::accounts::Class;
use crate::store::domains::{Denial, Domain, SerialPolicy, Soa, SoaMode};
use crate::store::keys::NewKey;
use crate::store::rrsets::{Filter, Record, Rrset};
use crate::value::{Timestamp, type_name};
use crate::zonetext::{self, Exported, Header, Import};

/// A domain, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
pub(super) struct View {
    /// When it was made.
    created: String,
    /// When its content was last published.
    published: Option<String>,
    /// Its name, without a dot at the end.
    name: String,
    /// Its DNSSEC keys; only where one domain is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<Key>>,
    /// The least TTL of its RRsets in seconds.
    minimum_ttl: u32,
    /// When it was last written to.
    touched: String,
    /// What is missing until it is published; only where something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Missing>,
}

/// A DNSSEC key of a domain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DnssecKey)]
pub(super) struct Key {
    /// The DNSKEY record.
    dnskey: String,
    /// DS records for the parent.
    ds: Vec<String>,
    /// Its flags.
    flags: u16,
    /// `csk`, `ksk` or `zsk`; none for keys of the domain's owner.
    keytype: Option<&'static str>,
    /// Whether it is ours.
    managed: bool,
}

/// What a client sends to make a domain.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct NewDomainBody {
    /// The name, lower case, without a dot at the end.
    name: String,
    /// Content to begin with, as a zone file.
    zonefile: Option<String>,
    /// Lets the zone file through a gate, where it takes the place of a zone that was compiled from a file.
    force: Option<super::import::ForceBody>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 3] = [
    Route::new(
        "/api/v1/domains/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .scopes(&[Scope::DnsApiCheap])
                .query(&["owns_qname", "cursor"])
                .replies(&[Success::list::<View>(200)])
                .summary("The domains of the account, newest first"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .access(Access::With(Permission::CreateDomain))
                .scopes(&[Scope::DnsApiExpensive])
                .body::<NewDomainBody>(Count::One)
                .large()
                .query(&["dry_run", preview::REPLACE, preview::REFUSE_SIGNED, "wait"])
                .replies(&[Success::json::<View>(201), Success::json::<View>(202), Success::json::<Preview>(200)])
                .refuses(&[409])
                .summary("Makes a domain"),
        ],
    ),
    Route::new(
        "/api/v1/domains/{name}/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::Domain)
                .replies(&[Success::json::<View>(200)])
                .summary("One domain"),
            Operation::delete(|app, call| Box::pin(delete(app, call)))
                .access(Access::With(Permission::DeleteDomain))
                .scopes(&[Scope::DnsApiExpensive])
                .query(&["wait"])
                .replies(&[Success::empty(204), Success::empty(202)])
                .refuses(&[412])
                .summary("Deletes a domain with all it holds"),
        ],
    ),
    Route::new(
        "/api/v1/domains/{name}/zonefile/",
        &[Operation::get(|app, call| Box::pin(export(app, call)))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .replies(&[Success::media(200, "text/dns")])
            .summary("The domain as a zone file")],
    ),
];

impl Api {
    /// How a domain is shown.
    pub(super) fn view(&self, domain: &Domain) -> View {
        let shown = |us| Timestamp::from_micros(us).to_string();
        View {
            created: shown(domain.created_us),
            published: self.published_us(domain).map(shown),
            name: domain.name.clone(),
            keys: None,
            minimum_ttl: domain.minimum_ttl_secs,
            touched: shown(domain.touched_us),
            verification: self.missing_proof(domain),
        }
    }
}

impl Api {
    /// How a domain is shown that was just made.
    pub(super) fn new_view(&self, domain: &Domain) -> Result<View, Refusal> {
        Ok(View { published: None, keys: Some(self.keys_of(domain)?), ..self.view(domain) })
    }

    /// The keys of a domain: ours while it is signed, then those that its owner has put beside them.
    pub(super) fn keys_of(&self, domain: &Domain) -> Result<Vec<Key>, Refusal> {
        let (ours, theirs) = self.read(|reader| {
            let ours = if domain.denial == Denial::Off { Vec::new() } else { reader.keys(domain.id)? };
            Ok((ours, reader.rrset(domain.id, &[], Rtype::DNSKEY)?))
        })?;
        let theirs: Vec<&[u8]> = theirs.iter().flat_map(Rrset::enabled).map(|record| &*record.rdata).collect();
        let keys = dnssec::shown_keys(&domain.name, &ours, &theirs).into_iter();
        Ok(keys
            .map(|Shown { dnskey, ds, flags, role }| Key {
                dnskey,
                ds,
                flags,
                keytype: role.map(Role::name),
                managed: role.is_some(),
            })
            .collect())
    }

    /// A key for a new domain; see [`Api::settle_keys`].
    pub(super) fn new_key(&self, domain: &str) -> Result<NewKey, Refusal> {
        // A device may take its time.
        aside(|| self.dnssec.new_key(domain)).map_err(|error| refusal::of_key(domain, error))
    }

    /// Gives new keys back to the device that made them, unless a domain has them now.
    pub(super) fn settle_keys(&self, offered: &[NewKey]) {
        offered.iter().for_each(|key| self.dnssec.discard(key));
    }

    /// A domain with our name servers and these RRsets.
    pub(super) fn new_domain(&self, name: String, drafts: Vec<Draft>) -> Result<NewDomain, Refusal> {
        let (denial, keys) = self.new_signing(&name)?;
        Ok(NewDomain {
            denial,
            keys,
            name,
            nameservers: self.settings.nameservers.clone(),
            soa: self.new_soa(),
            soa_mode: SoaMode::Managed,
            serial_policy: SerialPolicy::Date,
            minimum_ttl_secs: self.settings.minimum_ttl_secs,
            drafts,
            local_suffixes: self.settings.local_suffixes.clone(),
        })
    }

    /// What is to be said of a new domain below one that is signed here and does not delegate it: that proves that there is none,
    /// and so what the new one answers is bogus (RFC 4035 section 5.2).
    pub(super) fn not_delegated(&self, domain: &Domain) -> Result<Option<String>, Refusal> {
        let parent = self.read(|reader| change::parent_of(reader, &domain.name))?;
        let proves = |parent: &Parent| parent.domain.denial != Denial::Off && !parent.is_cut_between && !parent.has_ns;
        Ok(parent.filter(proves).map(|parent| {
            let (parent, name) = (&parent.domain.name, &domain.name);
            format!(
                "{parent} is signed here and has no NS records at {name}, so it proves that there is no such zone, and validators \
                 take the names of {name} for bogus: add NS records there, and DS records if {name} is signed"
            )
        }))
    }

    /// How a new domain is signed, and with what.
    pub(super) fn new_signing(&self, name: &str) -> Result<(Denial, Vec<NewKey>), Refusal> {
        let denial = match self.settings.dnssec {
            Dnssec::Off => return Ok((Denial::Off, Vec::new())),
            Dnssec::Nsec => Denial::Nsec,
            Dnssec::Nsec3 => Denial::Nsec3,
        };
        Ok((denial, vec![self.new_key(name)?]))
    }
}

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let caller = call.caller()?;
    if let Some(qname) = call.query("owns_qname") {
        let found = app.read(|reader| {
            for candidate in naming::owner_candidates(qname) {
                let domain = reader.domain_by_name(&candidate)?.filter(|domain| caller.may_see(domain));
                if domain.is_some() {
                    return Ok(domain);
                }
            }
            Ok(None)
        })?;
        return Ok(Reply::json(200, &found.iter().map(|domain| app.view(domain)).collect::<Vec<_>>()));
    }
    let paging = Paging::of(&call)?;
    let account = account_of(&app, &call, caller)?;
    let (found, total) = app.read(|reader| {
        let total = reader.domain_count(account)?;
        let Ok(slice) = paging.slice(total) else { return Ok((Vec::new(), total)) };
        let at = slice.cursor.map(|cursor| (at_of(cursor.position), cursor.direction));
        let found = match at {
            None => reader.domains_before(account, None, slice.item_count_max)?,
            Some((at, Direction::Next)) => reader.domains_before(account, Some(at), slice.item_count_max)?,
            Some((at, Direction::Previous)) => reader.domains_after(account, at, slice.item_count_max)?,
        };
        Ok((found, total))
    })?;
    paging.slice(total)?;
    let (domains, link) = paging.finish(found, |domain| position_of(domain.created_us, domain.id.0));
    let views: Vec<View> = domains.iter().map(|domain| app.view(domain)).collect();
    Ok(Reply::json(200, &views).link(link.as_deref()))
}

/// A place in a list, as the database has it.
pub(super) fn at_of(position: Position) -> (i64, i64) {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    (signed(position.created_us), signed(position.id))
}

/// A place in a list, as cursors have it.
pub(super) fn position_of(created_us: i64, id: i64) -> Position {
    Position { created_us: u64::try_from(created_us).unwrap_or(0), id: u64::try_from(id).unwrap_or(0) }
}

/// Whose domains are meant: the caller's, or for the operator those of `?account=`.
pub(super) fn account_of(app: &Api, call: &Call<Api>, caller: &Caller) -> Result<crate::store::AccountId, Refusal> {
    match call.query("account").filter(|_| caller.is_admin()) {
        None => Ok(caller.account.id),
        Some(email) => {
            let account = app.read(|reader| reader.account_by_email(email))?;
            account.map(|account| account.id).ok_or_else(|| Refusal::not_found("No account has this address."))
        }
    }
}

/// POST to the list.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let caller = call.caller()?;
    let account = account_of(&app, &call, caller)?;
    let Some(account) = app.read(|reader| reader.account(account))? else { return Err(Refusal::forbidden()) };
    let body = object(call.json())?;
    let name = naming::name_field(body.get("name")).map_err(|error| Refusal::field("name", error.to_string()))?;
    let is_taken = app.read(|reader| Ok(reader.domain_by_name(&name)?.is_some()))?;
    if is_taken {
        return Err(Refusal::field("name", change::Refusal::Taken.to_string()));
    }
    let suffixes = Suffixes { local: &app.settings.local_suffixes };
    naming::check_policy(&name, account.class, &suffixes).map_err(|error| Refusal::field("name", error.to_string()))?;
    let limits = if account.class == Class::Hosting { Limits::HOSTING } else { Limits::OPERATOR };
    let minimum_ttl_secs = app.settings.minimum_ttl_secs;
    let force = gates::of_body(body.get("force"))?;
    let (body, domain) = (body.get("zonefile").cloned(), name.clone());
    // A long file takes seconds, and two threads serve everyone.
    let drafts = tokio::task::spawn_blocking(move || {
        first_content(body.as_ref(), &Rules { domain: &domain, ttl_secs_min: minimum_ttl_secs, limits })
    });
    let content = drafts.await.map_err(|_| Refusal::internal())??;
    let names_after = content.as_ref().map(|content| preview::name_count(&content.drafts));
    let place = app.place(&call, &account, &name, names_after).await?;
    let dry_run = query_flag(&call, "dry_run")?;
    if !dry_run {
        place.pass(force.as_ref())?;
    }
    let content = content.unwrap_or_default();
    let report = content.report();
    let is_signed = app.settings.dnssec != Dnssec::Off;
    let signatures = Signatures { dnssec: content.dnssec, is_signed };
    if !dry_run && query_flag(&call, preview::REFUSE_SIGNED)? {
        signatures.pass(force.as_ref())?;
    }
    let new = app.new_domain(name, content.drafts)?;
    let shown = dry_run.then(|| new.clone());
    let offered = new.keys.clone();
    let actor = change::Actor { account: account.id, limits, ..app.actor(&call, "rest")? };
    let created = app.make(&place, actor, dry_run, |txn, actor| change::create(txn, actor, new)).await;
    app.settle_keys(&offered);
    let created = created?;
    if let Some(new) = shown {
        let found = (place.replaced.as_ref(), signatures);
        return Ok(Reply::json(200, &Preview::of(&created, &new, report, found)));
    }
    let view = app.new_view(&created.domain)?;
    let notes: Vec<String> = signatures.note().into_iter().chain(app.not_delegated(&created.domain)?).collect();
    let reply = Reply::json(201, &view).note((!notes.is_empty()).then(|| notes.join("; ")).as_deref());
    Ok(app.served_all(&call, reply, &[created.domain.change, created.change]).await)
}

/// What a new domain holds besides the name servers.
fn first_content(zonefile: Option<&Value>, rules: &Rules<'_>) -> Result<Option<Import>, Refusal> {
    match zonefile {
        None => Ok(None),
        Some(Value::Null) => Err(Refusal::field("zonefile", "This field may not be null.")),
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(Refusal::field("zonefile", "This field may not be blank."))
        }
        Some(Value::String(text)) => {
            let refuse = |messages: Value| Refusal::json(400, serde_json::json!({ "zonefile": messages }));
            let import = zonetext::import(text.as_bytes(), rules).map_err(|error| refuse(error.messages()))?;
            import.messages().map_or(Ok(Some(import)), |messages| Err(refuse(messages)))
        }
        Some(_) => Err(Refusal::field("zonefile", "Not a valid string.")),
    }
}

/// The body as an object.
pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    match body {
        Value::Object(object) => return Ok(object),
        Value::Null => return Err(Refusal::non_field("No data provided")),
        _ => {}
    }
    let type_name = type_name(body);
    Err(Refusal::non_field(format!("Invalid data. Expected a dictionary, but got {type_name}.")))
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let view = View { keys: Some(app.keys_of(domain)?), ..app.view(domain) };
    Ok(Reply::json(200, &view).etag(&app.etag_of(domain)))
}

/// DELETE of one; it is no mistake if there is none.
async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let name = call.param("name").to_owned();
    let caller = call.caller()?;
    let found = app.read(|reader| reader.domain_by_name(&name))?.filter(|domain| caller.may_see(domain));
    let Some(domain) = found else { return Ok(Reply::empty(204)) };
    let actor = change::Actor { account: domain.account, ..app.actor(&call, "rest")? };
    let suffixes = app.settings.local_suffixes.clone();
    let precondition = app.precondition(&call, &domain)?;
    let delete = move |txn: &Txn<'_>| {
        change::expect(txn, domain.id, precondition.as_ref())?;
        change::delete(txn, &actor, &name, &suffixes)
    };
    let change = app.change(delete).await?;
    Ok(app.served(&call, Reply::empty(204), change).await)
}

/// GET of the zone file.
async fn export(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let text = app.zone_file(domain)?;
    let name = format!("attachment; filename=\"{}.zone\"", domain.name);
    Ok(Reply::media(200, "text/dns", text).header(axum::http::header::CONTENT_DISPOSITION, &name))
}

impl Api {
    /// A domain as a zone file, with what it holds now.
    pub(super) fn zone_file(&self, domain: &Domain) -> Result<String, Refusal> {
        aside(|| {
            let rrsets = self.read(|reader| reader.rrsets_before(domain.id, &Filter::default(), None, usize::MAX))?;
            zone_file(domain, &rrsets)
        })
    }
}

/// What a zone file cannot say of an RRset, for whoever reads it.
fn unsaid(domain: &Domain, rrset: &Rrset) -> Option<String> {
    let is_chosen = |record: &&Record| record.geo.is_some() || record.weight.unwrap_or(0) > 0;
    let (chosen, enabled) = (rrset.enabled().filter(is_chosen).count(), rrset.enabled().count());
    let disabled = rrset.records.len() - enabled;
    (chosen + disabled > 0).then(|| {
        format!(
            "{} {}: not said here are the weights and regions of {chosen} records, and {disabled} disabled records; an import \
             into this domain leaves both as they are",
            full_name(&rrset.subname, &domain.name),
            rrset.rtype
        )
    })
}

/// A domain and what it holds as a zone file.
fn zone_file(domain: &Domain, rrsets: &[Rrset]) -> Result<String, Refusal> {
    let records_of = |rrset: &Rrset| rrset.enabled().map(|record| record.content.clone()).collect::<Vec<_>>();
    let records: Vec<Vec<String>> = rrsets.iter().map(records_of).collect();
    let Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs } = &domain.soa;
    let serial = domain.serial;
    let soa = [format!("{mname} {rname} {serial} {refresh_secs} {retry_secs} {expire_secs} {minimum_secs}")];
    let first = Exported { subname: "", rtype: Rtype::SOA, ttl_secs: *ttl_secs, records: &soa };
    let others = rrsets.iter().zip(&records).map(|(rrset, records)| Exported {
        subname: &rrset.subname,
        rtype: rrset.rtype,
        ttl_secs: rrset.ttl_secs,
        records,
    });
    let mut notes: Vec<String> = rrsets.iter().filter_map(|rrset| unsaid(domain, rrset)).collect();
    notes.sort_unstable();
    let header =
        Header { domain: &domain.name, service: "petrel", at: Timestamp::from_micros(now_us()), notes: &notes };
    let mut text = String::new();
    zonetext::export(&mut text, &header, std::iter::once(first).chain(others)).map_err(|_| Refusal::internal())?;
    Ok(text)
}
