//! The history of a domain, and ways back: undo of one change, return to a former state, a deleted domain made again.
//!
//! Invariant: going back is a change like any other, judged by the same rules and kept in the same history.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::changes::{EDITS_LEN_MAX, View, id_of, may_see, missing, page_of};
use super::domains::{self, account_of, object};
use super::{Api, aside, gates, preview, refusal};
use crate::change::{self, Committed, Edit, Refusal as ChangeRefusal, Restore};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Resource, Route, Scope, Success};
use crate::store::changes::{ChangeSet, Deleted};
use crate::store::{ChangeId, Txn};
use crate::value::Timestamp;

/// How many edits an outcome shows.
const SHOWN_COUNT_MAX: usize = 1000;
/// How many bytes of edits a page of the history has at most, all changes together.
const PAGE_EDITS_LEN_MAX: usize = 4 * EDITS_LEN_MAX;

/// What going back came to, or would come to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// The change that did it; none if nothing had to change, or nothing was done.
    change: Option<u64>,
    /// Whether this is only what would happen.
    dry_run: bool,
    /// The serial of the domain after it.
    serial: u32,
    /// How many RRsets change.
    edit_count: usize,
    /// The first of them.
    edits: Vec<Edit>,
}

/// A deleted domain that can be made again with all it held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedDomain)]
struct DeletedView {
    /// The change that deleted it, which `/api/v1/restore/{change}/` takes.
    change: u64,
    /// Its name, which nobody has now.
    domain: String,
    /// When it was deleted.
    deleted: String,
    /// Until when no tenant gets the name but whoever had it; it can be made again as long as nobody has it.
    kept_until: String,
    /// Whether it comes back signed, with the keys and DS records it had.
    signed: bool,
}

/// What an undo can be told.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct UndoBody {
    /// Whether to find out only.
    dry_run: Option<bool>,
}

/// What a return to a former state has to be told: `change` or `time`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct RestoreBody {
    /// The last change that stays.
    change: Option<u64>,
    /// The time that is returned to, as `2026-01-31T12:00:00Z`.
    time: Option<String>,
    /// Whether to find out only.
    dry_run: Option<bool>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 5] = [
    Route::new(
        "/api/v1/domains/{name}/history/",
        &[Operation::get(|app, call| Box::pin(list(app, call)))
            .scopes(&[Scope::DnsApiCheap])
            .resource(Resource::PartOfDomain)
            .query(&["before", "limit"])
            .replies(&[Success::list::<View>(200)])
            .summary("Changes of a domain, newest first")],
    ),
    Route::new(
        "/api/v1/domains/{name}/history/{id}/undo/",
        &[Operation::post(|app, call| Box::pin(undo(app, call)))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .body::<UndoBody>(Count::One)
            .query(&["wait"])
            .replies(&[Success::json::<Outcome>(200), Success::json::<Outcome>(202)])
            .refuses(&[403, 409, 412])
            .summary("Takes one change back, if nothing it touched was changed since")],
    ),
    Route::new(
        "/api/v1/domains/{name}/restore/",
        &[Operation::post(|app, call| Box::pin(restore(app, call)))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .body::<RestoreBody>(Count::One)
            .query(&["wait"])
            .replies(&[Success::json::<Outcome>(200), Success::json::<Outcome>(202)])
            .refuses(&[403, 409, 412])
            .summary("Returns a domain to a former state")],
    ),
    Route::new(
        "/api/v1/restore/",
        &[Operation::get(|app, call| Box::pin(deleted(app, call)))
            .scopes(&[Scope::DnsApiCheap])
            .query(&["domain", "before", "limit"])
            .replies(&[Success::list::<DeletedView>(200)])
            .summary("Deletions of the account's domains that can be taken back, newest first")],
    ),
    Route::new(
        "/api/v1/restore/{change}/",
        &[Operation::post(|app, call| Box::pin(revive(app, call)))
            .access(Access::With(Permission::CreateDomain))
            .scopes(&[Scope::DnsApiExpensive])
            .query(&["wait", "gate", "reason", preview::REPLACE])
            .replies(&[Success::json::<domains::View>(201), Success::json::<domains::View>(202)])
            .refuses(&[403, 409])
            .summary("Makes a deleted domain again with all it held")],
    ),
];

/// GET of the history.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?.id;
    let (before, limit) = page_of(&call)?;
    aside(|| {
        let sets = app.read(|reader| {
            let sets = reader.change_sets_of(domain, before, limit, PAGE_EDITS_LEN_MAX / limit.max(4))?;
            let with = |set: ChangeSet| Ok((reader.generation_of(set.id)?, set));
            sets.into_iter().map(with).collect::<Result<Vec<_>, _>>()
        })?;
        let views: Vec<View> = sets.into_iter().map(|(generation, set)| app.change_view(set, generation)).collect();
        Ok(Reply::json(200, &views))
    })
}

/// GET of the deletions that can be taken back.
async fn deleted(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = account_of(&app, &call, call.caller()?)?;
    let (before, limit) = page_of(&call)?;
    let found = aside(|| app.read(|reader| reader.deleted_domains(account, call.query("domain"), before, limit)))?;
    let time = |us: i64| Timestamp::from_micros(us).to_string();
    let view = |deleted: Deleted| DeletedView {
        change: deleted.change.0,
        domain: deleted.name,
        deleted: time(deleted.at_us),
        kept_until: time(change::kept_until(deleted.at_us)),
        signed: deleted.is_signed,
    };
    Ok(Reply::json(200, &found.into_iter().map(view).collect::<Vec<_>>()))
}

/// POST: undo.
async fn undo(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let id = id_of(&call, "id")?;
    let dry_run = flag(object(call.json())?, "dry_run")?;
    go_back(&app, &call, Restore::Undo(id), dry_run).await
}

/// POST: return.
async fn restore(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let body = object(call.json())?;
    let dry_run = flag(body, "dry_run")?;
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let what = match (given("change"), given("time")) {
        (Some(change), None) => {
            let id = change.as_u64().filter(|id| *id <= i64::MAX.unsigned_abs());
            Restore::To(ChangeId(id.ok_or_else(|| Refusal::field("change", "A valid integer is required."))?))
        }
        (None, Some(time)) => {
            let text = time.as_str().ok_or_else(|| Refusal::field("time", "Not a valid string."))?;
            Restore::ToTime(moment(text).ok_or_else(|| Refusal::field("time", NO_TIME))?)
        }
        _ => return Err(Refusal::non_field("Either change or time is required.")),
    };
    go_back(&app, &call, what, dry_run).await
}

/// What is said of a text that is no time.
const NO_TIME: &str = "Datetime has wrong format. Use YYYY-MM-DDTHH:MM:SS[.ffffff]Z.";

/// A time in microseconds since 1970; the fraction may be missing or shorter.
fn moment(text: &str) -> Option<i64> {
    let plain = text.strip_suffix('Z')?;
    let (seconds, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    if fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let time: Timestamp = format!("{seconds}.{fraction:0<6}Z").parse().ok()?;
    Some(time.as_micros())
}

/// A yes or no of a body; no if it is not said.
pub(super) fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::field(name, "Must be a valid boolean.")),
    }
}

/// Goes back, or finds out what that would be.
async fn go_back(app: &Api, call: &Call<Api>, what: Restore, dry_run: bool) -> Result<Reply, Refusal> {
    let domain = call.domain()?.id;
    let actor = app.actor(call, "rest")?;
    let precondition = app.precondition(call, call.domain()?)?;
    let restore = move |txn: &Txn<'_>| {
        change::expect(txn, domain, precondition.as_ref())?;
        change::restore(txn, actor, domain, what, dry_run)
    };
    let committed = app.attempt(restore).await?;
    let change = committed.change.filter(|_| !dry_run);
    let reply = Reply::json(200, &outcome(committed, dry_run));
    Ok(app.served(call, reply, change).await)
}

/// How an outcome is shown.
fn outcome(committed: Committed, dry_run: bool) -> Outcome {
    let Committed { change, domain, mut edits, .. } = committed;
    let edit_count = edits.len();
    edits.truncate(SHOWN_COUNT_MAX);
    let change = change.filter(|_| !dry_run).map(|change| change.0);
    Outcome { change, dry_run, serial: domain.serial, edit_count, edits }
}

impl Api {
    /// Changes a zone, or finds out only: what a dry run came to is a success here.
    pub(super) async fn attempt(
        &self,
        job: impl FnOnce(&Txn<'_>) -> Result<Committed, ChangeRefusal> + Send + 'static,
    ) -> Result<Committed, Refusal> {
        self.writable()?;
        match self.store.write(job).await {
            Err(ChangeRefusal::DryRun(committed)) => Ok(*committed),
            done => done.map_err(refusal::of_change),
        }
    }
}

/// POST: makes a deleted domain again.
async fn revive(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let caller = call.caller()?;
    let id = id_of(&call, "change")?;
    let set = app.read(|reader| reader.change_set(id))?.filter(|set| may_see(caller, set)).ok_or_else(missing)?;
    let actor = change::Actor { account: set.account, ..app.actor(&call, "rest")? };
    let Some(account) = app.read(|reader| reader.account(set.account))? else { return Err(Refusal::forbidden()) };
    let force = gates::of_body(gates::of_query(&call).as_ref())?;
    let names_after = aside(|| name_count(&set));
    let place = app.place(&call, &account, &set.name, Some(names_after)).await?;
    place.pass(force.as_ref())?;
    let blank = app.new_domain(set.name.clone(), Vec::new())?;
    let offered = blank.keys.clone();
    let made = app.make(&place, actor, false, move |txn, actor| match change::revive(txn, actor, id, |_| blank) {
        Err(ChangeRefusal::Taken) => Err(ChangeRefusal::Overtaken(set.name)),
        made => made,
    });
    let made = made.await;
    app.settle_keys(&offered);
    let made = made?;
    let view = app.new_view(&made.domain)?;
    Ok(app.served_all(&call, Reply::json(201, &view), &[made.domain.change, made.change]).await)
}

/// How many names a deleted domain had; its own always had records.
fn name_count(deletion: &ChangeSet) -> usize {
    let edits: Vec<Edit> = serde_json::from_str(&deletion.edits).unwrap_or_default();
    edits.iter().map(|edit| &*edit.subname).chain([""]).collect::<HashSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_no_fraction() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T00:00:01.5Z", Some(1_500_000)),
            ("1970-01-01T00:00:01.000001Z", Some(1_000_001)),
            ("1970-01-01T00:00:01.Z", None),
            ("1970-01-01T00:00:01.0000001Z", None),
            ("1970-01-01T00:00:01", None),
            ("1970-01-01T00:00:01.-1Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }
}
