//! Change-sets: who changed what when, and who serves it.
//!
//! Invariant: a change-set is shown to the account whose domain it was, also when the domain is no longer, and to the
//! operator on this machine.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::domains::account_of;
use super::{Api, Caller, aside};
use crate::change::{Edit, Refusal as ChangeRefusal};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Operation, Route, Scope, Success};
use crate::publish::Served;
use crate::store::ChangeId;
use crate::store::changes::ChangeSet;
use crate::value::Timestamp;

/// Edits longer than this as JSON are not shown.
pub(super) const EDITS_LEN_MAX: usize = 1 << 20;
/// How many change-sets a page has unless told otherwise.
const PAGE_LEN: usize = 50;
/// The most change-sets of a page.
const PAGE_LEN_MAX: usize = 500;

/// A change-set, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(super) struct View {
    /// Its number; they grow over all domains.
    id: u64,
    /// The domain's name.
    domain: String,
    /// When it was made.
    at: String,
    /// Who made it.
    by: By,
    /// What it is: `create`, `edit`, `import`, `undo`, `restore`, `delete` and so on.
    kind: String,
    /// The change that it takes back.
    undoes: Option<u64>,
    /// What whoever made it said about it.
    note: Option<String>,
    /// The domain's serial after it.
    serial: u32,
    /// The first generation that has it; none before it is published.
    generation: Option<u64>,
    /// `yes` if every data plane that is attached serves it, and one is; else `no`, also if its zone cannot be published as it
    /// is and keeps its last good content, or its domain is not proved yet.
    served: &'static str,
    /// Why its zone cannot be published as it is; only then it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the data planes that are attached serve; only where one change is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    planes: Option<Vec<PlaneView>>,
    /// What it changed; left out of long lists, and if it is very much.
    #[serde(skip_serializing_if = "Option::is_none")]
    edits: Option<Vec<Edit>>,
}

/// Who made a change.
#[derive(Debug, Serialize, ToSchema)]
struct By {
    /// The id of the token; none for the operator on this machine.
    token: Option<String>,
    /// The front door, as `rest` or `dyndns`.
    via: String,
    /// The address it came from.
    address: Option<String>,
}

/// What a data plane serves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangePlane)]
struct PlaneView {
    /// Its control socket; only operators see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Its generation.
    generation: Option<u64>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/v1/changes/",
        &[Operation::get(|app, call| Box::pin(list(app, call)))
            .scopes(&[Scope::DnsApiCheap])
            .query(&["domain", "before", "limit"])
            .replies(&[Success::list::<View>(200)])
            .summary("Changes of all domains of the account, newest first, also of deleted ones")],
    ),
    Route::new(
        "/api/v1/changes/{id}/",
        &[Operation::get(|app, call| Box::pin(show(app, call)))
            .scopes(&[Scope::DnsApiCheap])
            .replies(&[Success::json::<View>(200)])
            .summary("One change, and who serves it")],
    ),
];

impl Api {
    /// How a change-set is shown, in lists.
    pub(super) fn change_view(&self, set: ChangeSet, generation: Option<u64>) -> View {
        let is_published = self.publisher.has(set.id) && !self.is_unproved(set.id);
        let is_served = is_published && self.publisher.served(set.id) == Served::Yes;
        View {
            id: set.id.0,
            domain: set.name,
            at: Timestamp::from_micros(set.at_us).to_string(),
            by: By { token: set.token.map(|token| token.to_string()), via: set.via, address: set.address },
            kind: set.kind,
            undoes: set.undoes.map(|undone| undone.0),
            note: set.note,
            serial: set.serial,
            // The journal is written a moment after the generation is there.
            generation: generation.or(self.publisher.generation()).filter(|_| is_published),
            served: if is_served { "yes" } else { "no" },
            refused: self.publisher.refusal_of_change(set.id),
            planes: None,
            edits: serde_json::from_str(&set.edits).ok(),
        }
    }
}

/// There is no such change.
pub(super) fn missing() -> Refusal {
    Refusal::not_found(ChangeRefusal::NoChange.to_string())
}

/// The change that the path parameter `name` is the number of.
pub(super) fn id_of(call: &Call<Api>, name: &str) -> Result<ChangeId, Refusal> {
    number(call.param(name)).map(ChangeId).ok_or_else(missing)
}

/// A number in plain digits that the database can hold.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= i64::MAX.unsigned_abs())
}

/// The page that `before` and `limit` of the query ask for.
pub(super) fn page_of(call: &Call<Api>) -> Result<(Option<ChangeId>, usize), Refusal> {
    let bad = |name: &str| Refusal::field(name, "A valid integer is required.");
    let before = match call.query("before") {
        None => None,
        Some(text) => Some(ChangeId(number(text).ok_or_else(|| bad("before"))?)),
    };
    let limit = match call.query("limit").map(number) {
        None => PAGE_LEN,
        Some(limit) => limit.and_then(|limit| usize::try_from(limit).ok()).ok_or_else(|| bad("limit"))?,
    };
    Ok((before, limit.clamp(1, PAGE_LEN_MAX)))
}

/// Whether a change-set is the caller's to see.
pub(super) fn may_see(caller: &Caller, set: &ChangeSet) -> bool {
    caller.is_admin() || set.account == caller.account.id
}

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = account_of(&app, &call, call.caller()?)?;
    let (before, limit) = page_of(&call)?;
    let name = call.query("domain");
    aside(|| {
        let sets = app.read(|reader| {
            let sets = reader.change_sets_by(account, name, before, limit)?;
            let with = |set: ChangeSet| Ok((reader.generation_of(set.id)?, set));
            sets.into_iter().map(with).collect::<Result<Vec<_>, _>>()
        })?;
        let views: Vec<View> = sets.into_iter().map(|(generation, set)| app.change_view(set, generation)).collect();
        Ok(Reply::json(200, &views))
    })
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let caller = call.caller()?;
    let id = id_of(&call, "id")?;
    let found = app.read(|reader| match reader.change_set(id)?.filter(|set| may_see(caller, set)) {
        Some(set) => Ok(Some((reader.generation_of(id)?, set))),
        None => Ok(None),
    })?;
    let (generation, mut set) = found.ok_or_else(missing)?;
    if set.edits.len() > EDITS_LEN_MAX {
        set.edits.clear();
    }
    let attached = app.publisher.progress().planes.into_iter().filter(|plane| plane.attached);
    let is_admin = caller.is_admin();
    let plane = |plane: crate::publish::PlaneProgress| PlaneView {
        path: is_admin.then(|| plane.path.display().to_string()),
        generation: plane.generation,
    };
    let planes = Some(attached.map(plane).collect());
    Ok(Reply::json(200, &View { planes, ..app.change_view(set, generation) }))
}
