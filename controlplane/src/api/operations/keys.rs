//! The keys of a signed zone: where each is in its life, what happens next, and rollovers.
//!
//! Public halves only: what is secret comes in over the local socket (`api::admin`) and never goes out. Dates are texts as
//! elsewhere, lifetimes are days.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::domains::object;
use super::super::history::flag;
use super::super::rolling::{Standing, seen};
use super::super::{Api, aside, now_us};
use super::dnssec::own_parent_has_ds;
use super::field;
use crate::change::{self, Seen};
use crate::dnssec;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Resource, Route, Scope, Style, Success};
use crate::keys::{Algorithm, Role};
use crate::roll::{self, Due, Sight, Wanted};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::StoredKey;
use crate::store::{ChangeId, Txn};
use crate::value::Timestamp;

/// Seconds of a day.
const DAY_SECS: u32 = 86_400;
/// How long a rollover waits for the last step to be served before it is refused.
const STEP_PATIENCE: Duration = Duration::from_secs(5);
/// The longest lifetime in days, a hundred years.
const LIFETIME_DAYS_MAX: u64 = 36_500;

/// The keys of a zone, as clients see them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneKeys)]
pub(in crate::api) struct Keys {
    /// The zone.
    zone: String,
    /// Whether it is signed.
    signed: bool,
    /// Its keys, the oldest first.
    keys: Vec<KeyView>,
    /// What happens next; nothing if no rollover is under way.
    next: Vec<Next>,
    /// After how many days a ZSK is rolled by itself; 0: never.
    zsk_lifetime: u32,
    /// The same for a KSK or CSK.
    ksk_lifetime: u32,
    /// What else asks the parent for something, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneKey)]
struct KeyView {
    /// Its tag.
    tag: u16,
    /// `csk`, `ksk` or `zsk`.
    keytype: &'static str,
    /// Its algorithm, a number.
    algorithm: u8,
    /// Where it is in its life: `generated`, `signing`, `published`, `ready`, `submitted`, `active`, `leaving`, `retired`,
    /// `withdrawn` or `ending`.
    state: &'static str,
    /// Since when.
    since: String,
    /// Whether it is among the DNSKEY records.
    announced: bool,
    /// Whether it signs the zone.
    signs: bool,
    /// Whether the parent should have its DS.
    wanted: bool,
    /// The DNSKEY record.
    dnskey: String,
    /// The DS records, by digest.
    ds: Vec<String>,
    /// Since when all servers of the parent have its DS, as far as that is known.
    ds_seen: Option<String>,
    /// Since when none has it.
    ds_gone: Option<String>,
}

/// A step that waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneKeyStep)]
struct Next {
    /// When; null if it waits for something without a time.
    at: Option<String>,
    /// What for, and what happens then.
    what: String,
}

/// What a client sends to begin a rollover.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = KeyNewRoll)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct NewRoll {
    /// Keys of this type only: `csk`, `ksk` or `zsk`.
    keytype: Option<String>,
    /// To another algorithm, all keys together: 13, 14 or 15; 8 with imported keys.
    algorithm: Option<u8>,
}

/// What a client sends to say that the parent has a DS, and no other of this zone.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = KeySeenDs)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct SeenDs {
    /// The tag of the key; without it, that of the key which the parent is asked for.
    tag: Option<u16>,
    /// The TTL of the DS records in seconds.
    ttl: Option<u32>,
    /// Whether to believe it although a look at the parent says otherwise.
    force: Option<bool>,
}

/// What a client sends to say that the parent has no DS of this zone.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = KeyGoneDs)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct GoneDs {
    /// Whether to believe it although a look at the parent says otherwise.
    force: Option<bool>,
}

/// What a client sends to say when keys are rolled by themselves.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = KeyLifetimes)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct Lifetimes {
    /// After how many days a ZSK; 0 never, null as the server says.
    zsk_lifetime: Option<u32>,
    /// The same for a KSK or CSK.
    ksk_lifetime: Option<u32>,
}

/// The rows.
pub(in crate::api) static ROUTES: [Route<Api>; 5] = [
    Route::new(
        "/api/zones/{name}/keys",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .replies(&[Success::json::<Keys>(200)])
                .summary("The keys of the zone, their states, and what happens next"),
            Operation::patch(|app, call| Box::pin(set(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<Lifetimes>(Count::One)
                .replies(&[Success::json::<Keys>(200)])
                .summary("Says when keys are rolled by themselves"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/keys/roll",
        &[
            Operation::post(|app, call| Box::pin(roll(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<NewRoll>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<Keys>(200), Success::json::<Keys>(202)])
                .refuses(&[409, 507])
                .summary("Begins a rollover"),
            Operation::delete(|app, call| Box::pin(stop(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .query(&["wait"])
                .replies(&[Success::json::<Keys>(200), Success::json::<Keys>(202)])
                .refuses(&[409, 507])
                .summary("Ends a rollover by going back, if one is under way"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/keys/withdraw",
        &[Operation::post(|app, call| Box::pin(withdraw(app, call)))
            .access(Access::With(Permission::Write))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .query(&["wait"])
            .replies(&[Success::json::<Keys>(200), Success::json::<Keys>(202)])
            .refuses(&[409, 507])
            .summary("Asks the parent to remove all DS records, so that signing can end")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/keys/ds-seen",
        &[Operation::post(|app, call| Box::pin(ds_seen(app, call)))
            .access(Access::With(Permission::Write))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .body::<SeenDs>(Count::One)
            .query(&["wait"])
            .replies(&[Success::json::<Keys>(200), Success::json::<Keys>(202)])
            .refuses(&[409, 507])
            .summary("Says that all servers of the parent have the DS of a key, and of no other")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/keys/ds-gone",
        &[Operation::post(|app, call| Box::pin(ds_gone(app, call)))
            .access(Access::With(Permission::Write))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .body::<GoneDs>(Count::One)
            .query(&["wait"])
            .replies(&[Success::json::<Keys>(200), Success::json::<Keys>(202)])
            .refuses(&[409, 507])
            .summary("Says that no server of the parent has a DS of the zone")],
    )
    .style(Style::Operations),
];

impl KeyView {
    /// How a key is shown.
    fn of(domain: &Domain, stored: &StoredKey) -> Option<KeyView> {
        let shown = dnssec::shown_key(&domain.name, stored)?;
        // Without signing no key does anything, whatever it does when that begins.
        let duties = match domain.denial {
            Denial::Off => roll::Duties::default(),
            _ => roll::duties(stored.key.state, shown.role?),
        };
        let text = |us: i64| Timestamp::from_micros(us).to_string();
        Some(KeyView {
            tag: stored.key.tag,
            keytype: shown.role?.name(),
            algorithm: stored.key.algorithm,
            state: stored.key.state.as_str(),
            since: text(stored.since_us),
            announced: duties.is_announced,
            signs: duties.signs_zone,
            wanted: duties.is_asked_for,
            dnskey: shown.dnskey,
            ds: shown.ds,
            ds_seen: stored.ds.seen_us.map(text),
            ds_gone: stored.ds.gone_us.map(text),
        })
    }
}

impl Api {
    /// The keys of a domain.
    pub(in crate::api) fn keys_view(&self, domain: &Domain) -> Result<Keys, Refusal> {
        let Standing { keys, rollover, waits, .. } = self.read(|reader| self.standing(reader, domain.clone()))?;
        let rolling: Vec<roll::Key> = keys.iter().filter_map(roll::Key::of).collect();
        let mut next: Vec<Next> = Vec::new();
        if let Some(ChangeId(change)) = rollover.change {
            let what = match self.publisher.refusal_of(&domain.name) {
                Some(cause) => format!("goes on once change {change} is served, which it is not, as {cause}"),
                None => format!("goes on once all data planes serve change {change}"),
            };
            next.push(Next { at: None, what });
        }
        let parent = self.last_look(domain);
        for wait in roll::waits_of(&rolling, &waits) {
            let held = self.read(|reader| change::held_by(reader, domain, &wait.moves))?;
            let (at, what) = match wait.due {
                Due::At(at_us) => (Some(Timestamp::from_micros(at_us).to_string()), wait.text),
                Due::Seen(tag) => {
                    (None, format!("waits for the DS of key {tag} at the parent, to {}; {parent}", wait.text))
                }
                Due::Gone(tag) => {
                    (None, format!("waits until the parent has no DS of key {tag}, to {}; {parent}", wait.text))
                }
            };
            if held.is_empty() {
                next.push(Next { at, what });
            } else {
                let what = format!("held up by records of the zone's owner: {} Then: {what}", held.join(" "));
                next.push(Next { at: None, what });
            }
        }
        let settings = &self.settings.keys;
        let is_signed = domain.denial != Denial::Off;
        Ok(Keys {
            zone: domain.name.clone(),
            signed: is_signed,
            keys: keys.iter().filter_map(|key| KeyView::of(domain, key)).collect(),
            next: if is_signed { next } else { Vec::new() },
            zsk_lifetime: rollover.zsk_secs.unwrap_or(settings.zsk_secs) / DAY_SECS,
            ksk_lifetime: rollover.ksk_secs.unwrap_or(settings.ksk_secs) / DAY_SECS,
            note: self.removal_note(domain)?,
        })
    }

    /// The answer to a change of keys: how they are then.
    async fn keys_reply(&self, call: &Call<Api>, domain: &Domain, change: Option<ChangeId>) -> Result<Reply, Refusal> {
        let served = self.served(call, Reply::empty(200), change).await;
        let mut reply = Reply::json(served.status.as_u16(), &self.keys_view(domain)?);
        reply.headers.extend(served.headers);
        Ok(reply)
    }

    /// What a look at the parent finds of the keys of a domain; `None` if there is nobody to ask.
    async fn look_for_ds(&self, standing: &Standing) -> Result<Option<Vec<Seen>>, Refusal> {
        let domain = &standing.domain;
        let Some(parent) = self.parent_ds(domain).await? else { return Ok(None) };
        let refused = |error| Refusal::conflict(&format!("the parent cannot be looked at: {error}."));
        parent.map(|parent| Some(seen(&domain.name, &standing.keys, &parent))).map_err(refused)
    }

    /// Whether the parent may have a DS of a domain, as far as it can be looked at.
    async fn has_ds(&self, standing: &Standing) -> Result<bool, Refusal> {
        match self.look_for_ds(standing).await? {
            Some(found) => Ok(found.iter().any(|seen| seen.sight != Sight::Nowhere)),
            None => Ok(self.read(|reader| own_parent_has_ds(reader, &standing.domain.name))? == Some(true)),
        }
    }
}

/// GET.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &app.keys_view(call.domain()?)?))
}

/// PATCH: lifetimes.
async fn set(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let (domain, actor) = (call.domain()?.id, app.actor(&call, "operations")?);
    let body = object(call.json())?;
    let lifetimes = [days(body.get("zsk_lifetime"), "zsk_lifetime")?, days(body.get("ksk_lifetime"), "ksk_lifetime")?];
    let domain = app.change(move |txn: &Txn<'_>| change::set_lifetimes(txn, &actor, domain, lifetimes)).await?;
    Ok(Reply::json(200, &app.keys_view(&domain)?))
}

/// POST: begins a rollover.
async fn roll(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.timely()?;
    let body = object(call.json())?;
    let role = match field::text(body, "keytype")? {
        None => None,
        Some(text) => Some(Role::from_name(text).ok_or_else(|| Refusal::field("keytype", "Must be csk, ksk or zsk."))?),
    };
    let algorithm = algorithm(body.get("algorithm"))?.map(Algorithm::number);
    let wanted = Wanted { role, algorithm };
    let (domain, actor) = (call.domain()?.clone(), app.actor(&call, "operations")?);
    let id = domain.id;
    // What was stepped a moment ago is served in the next.
    if let Some(step) = app.read(|reader| reader.rollover(id))?.change
        && app.publisher.served_by_all(step, STEP_PATIENCE).await
    {
        app.change(move |txn: &Txn<'_>| change::begin_step(txn, id, step, now_us())).await?;
    }
    let standing = app.read(|reader| app.standing(reader, domain))?;
    let made = aside(|| app.new_successors(&standing, wanted))?;
    let offered = made.clone();
    let begun = app.change(move |txn: &Txn<'_>| change::begin_roll(txn, &actor, id, wanted, made)).await;
    app.settle_keys(&offered);
    let (domain, change) = begun?;
    app.keys_reply(&call, &domain, Some(change)).await
}

/// DELETE: ends what is under way by going back.
async fn stop(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.timely()?;
    let (domain, actor) = (call.domain()?.id, app.actor(&call, "operations")?);
    let (domain, change) = app.change(move |txn: &Txn<'_>| change::stop_roll(txn, &actor, domain)).await?;
    app.keys_reply(&call, &domain, change).await
}

/// POST: the parent is asked to remove all DS.
async fn withdraw(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.timely()?;
    let (domain, actor) = (call.domain()?.id, app.actor(&call, "operations")?);
    let (domain, change) = app.change(move |txn: &Txn<'_>| change::withdraw_ds(txn, &actor, domain)).await?;
    app.keys_reply(&call, &domain, Some(change)).await
}

/// POST: the parent has the DS of a key, and no other of the zone.
async fn ds_seen(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.timely()?;
    let body = object(call.json())?;
    let number = |field: &str, max: u64| match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().filter(|number| *number <= max);
            number.map(Some).ok_or_else(|| Refusal::field(field, format!("Must be a number up to {max}.")))
        }
    };
    let ttl_secs = number("ttl", u64::from(u32::MAX >> 1))?.and_then(|ttl| u32::try_from(ttl).ok());
    let tag = number("tag", u64::from(u16::MAX))?.and_then(|tag| u16::try_from(tag).ok());
    let (domain, actor) = (call.domain()?.clone(), app.actor(&call, "operations")?);
    let id = domain.id;
    let standing = app.read(|reader| app.standing(reader, domain))?;
    let is_meant = |key: &&StoredKey| match tag {
        Some(tag) => key.key.tag == tag,
        None => roll::Key::of(key).is_some_and(|key| key.duties().is_asked_for),
    };
    let key = standing.keys.iter().find(is_meant).ok_or_else(|| Refusal::field("tag", "The zone has no such key."))?;
    if body.get("force") != Some(&Value::Bool(true))
        && let Some(found) = app.look_for_ds(&standing).await?
        && !found.iter().any(|seen| seen.id == key.id && seen.sight == Sight::Everywhere)
    {
        let text =
            format!("not all servers of the parent have the DS of key {}; force says that they do.", key.key.tag);
        return Err(Refusal::conflict(&text));
    }
    let (tag, waits, poll_us) = (key.key.tag, standing.waits, app.poll_us());
    // The step that waits for this is taken with it, before another look at the parent says otherwise.
    let note = move |txn: &Txn<'_>| {
        change::note_parent(txn, &actor, id, tag, ttl_secs)?;
        let change = change::advance_roll(txn, &actor, id, &[], &waits, poll_us)?;
        Ok((txn.domain(id)?.ok_or(change::Refusal::NoDomain)?, change))
    };
    let (domain, change) = app.change(note).await?;
    app.keys_reply(&call, &domain, change).await
}

/// POST: the parent has no DS of the zone.
async fn ds_gone(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.timely()?;
    let is_forced = flag(object(call.json())?, "force")?;
    let (domain, actor) = (call.domain()?.clone(), app.actor(&call, "operations")?);
    let id = domain.id;
    let standing = app.read(|reader| app.standing(reader, domain))?;
    if !is_forced && app.has_ds(&standing).await? {
        let text = "not all servers of the parent are without a DS of the zone; force says that they are.";
        return Err(Refusal::conflict(text));
    }
    let (waits, poll_us) = (standing.waits, app.poll_us());
    let note = move |txn: &Txn<'_>| {
        change::note_no_ds(txn, &actor, id)?;
        let change = change::advance_roll(txn, &actor, id, &[], &waits, poll_us)?;
        Ok((txn.domain(id)?.ok_or(change::Refusal::NoDomain)?, change))
    };
    let (domain, change) = app.change(note).await?;
    app.keys_reply(&call, &domain, change).await
}

/// A lifetime in a body: not there, null for that of the server, or days.
fn days(value: Option<&Value>, name: &str) -> Result<Option<Option<u32>>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    if value.is_null() {
        return Ok(Some(None));
    }
    let days = value.as_u64().filter(|days| *days <= LIFETIME_DAYS_MAX).and_then(|days| u32::try_from(days).ok());
    let days = days.ok_or_else(|| Refusal::field(name, format!("Must be null or days up to {LIFETIME_DAYS_MAX}.")))?;
    Ok(Some(Some(days * DAY_SECS)))
}

/// An algorithm in a body: a number, or its mnemonic.
pub(super) fn algorithm(value: Option<&Value>) -> Result<Option<Algorithm>, Refusal> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.parse()
        .map(Some)
        .map_err(|error: crate::keys::AlgorithmUnknown| Refusal::field("algorithm", error.to_string()))
}
