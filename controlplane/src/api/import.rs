//! Import of a zone file into a domain that is there: the domain becomes what the file says, or takes what the file adds.
//!
//! The difference is found on a state that is read beforehand, so that the one writer is not held up by what does not
//! change, and is committed only if that state still holds. Invariant: a file that would remove much, or was signed elsewhere
//! where we do not sign, is taken only with a reason, which stays in the history.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use snapshot::dns::rtype::Rtype;
use utoipa::ToSchema;

use super::domains::object;
use super::gates::{self, Names, Signatures};
use super::history::flag;
use super::{Api, refusal};
use crate::change::{self, Change, Committed, Edits, Precondition, Target};
use crate::gate::{Force, Gate};
use crate::http::call::{Body, Call};
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Resource, Route, Scope, Success, Takes};
use crate::rrset::{Draft, Rules};
use crate::store::domains::{Denial, Domain};
use crate::store::rrsets::Record;
use crate::store::{ChangeId, DomainId, Reader, StoreError};
use crate::zonetext::diff::{Diff, Mode, Rrset, RrsetValue};
use crate::zonetext::{self, Report};

/// How often an import begins anew when somebody else changes the domain meanwhile.
const ATTEMPT_COUNT_MAX: usize = 3;
/// How many RRsets of a difference are shown.
const SHOWN_COUNT_MAX: usize = 10_000;

/// What an import came to, or would come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportOutcome)]
pub(super) struct View {
    /// The change that did it; none if nothing had to change, or nothing was done.
    change: Option<u64>,
    /// Whether this is only what would happen.
    dry_run: bool,
    /// `replace` or `merge`; `create` for a new domain.
    #[schema(value_type = String)]
    mode: Mode,
    /// The serial of the domain after it.
    serial: u32,
    /// How many RRsets are added, changed and removed.
    counts: Counts,
    /// Whether the difference is too long to be shown whole.
    truncated: bool,
    /// The difference: RRsets by `added`, `changed` and `removed`.
    #[schema(value_type = Object)]
    diff: Diff,
    /// Gates that have to be forced.
    gates: Vec<&'static str>,
    /// What became of the records of the file.
    #[schema(value_type = Object)]
    report: Report,
}

/// How many RRsets differ.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportCounts)]
struct Counts {
    /// New ones.
    added: usize,
    /// Those with another TTL or other records.
    changed: usize,
    /// Those that go.
    removed: usize,
}

/// What a client sends; a zone file alone may be sent as `text/dns`, with the rest in the query.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = ImportRequest)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct ImportBody {
    /// The zone file.
    zonefile: String,
    /// `replace` (default): what the file does not have goes. `merge`: it stays.
    mode: Option<String>,
    /// Whether to find out only.
    dry_run: Option<bool>,
    /// Lets it through a gate.
    force: Option<ForceBody>,
}

/// What a gate is forced with.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = ImportForce)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct ForceBody {
    /// The gate, as the refusal names it, or a list of gates.
    #[schema(value_type = Object)]
    gate: Value,
    /// Why; it stays in the history.
    reason: String,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/v1/domains/{name}/import/",
    &[Operation::post(|app, call| Box::pin(import(app, call)))
        .scopes(&[Scope::DnsApiPerDomainExpensive])
        .resource(Resource::PartOfDomain)
        .takes(Takes::JsonOrText)
        .body::<ImportBody>(Count::One)
        .large()
        .query(&["mode", "dry_run", "gate", "reason", "wait"])
        .replies(&[Success::json::<View>(200), Success::json::<View>(202)])
        .refuses(&[403, 409, 412])
        .summary("Makes a domain what a zone file says")],
)];

/// What is asked for.
struct Request {
    /// The zone file.
    text: Vec<u8>,
    /// What becomes of RRsets that are not in it.
    mode: Mode,
    /// Whether to find out only.
    dry_run: bool,
    /// Gates that are forced.
    force: Option<Force>,
}

/// What an import would do, found on one state of the domain.
struct Plan {
    /// What has to be written.
    targets: Vec<Target>,
    /// The same, to be shown.
    diff: Diff,
    /// How many names go.
    names: Names,
}

/// POST.
async fn import(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.writable()?;
    let domain = call.domain()?.clone();
    let Request { text, mode, dry_run, force } = request_of(&call)?;
    let limits = app.rules(&call, &domain)?.limits;
    let (name, ttl_secs_min) = (domain.name.clone(), domain.minimum_ttl_secs);
    // A long file takes seconds, and two threads serve everyone.
    let read =
        tokio::task::spawn_blocking(move || zonetext::import(&text, &Rules { domain: &name, ttl_secs_min, limits }));
    let refuse = |messages: Value| Refusal::json(400, json!({ "zonefile": messages }));
    let read = read.await.map_err(|_| Refusal::internal())?.map_err(|error| refuse(error.messages()))?;
    if let Some(messages) = read.messages() {
        return Err(refuse(messages));
    }
    let report = read.report();
    let signatures = Signatures { dnssec: read.dnssec, is_signed: domain.denial != Denial::Off };
    if !dry_run {
        signatures.pass(force.as_ref())?;
    }
    let drafts = Arc::new(read.drafts);
    let mut attempt = 1;
    loop {
        let plan = planned(&app, domain.id, &drafts, mode).await?;
        let (plan, seen) = plan.ok_or_else(|| Refusal::not_found("Not found."))?;
        // What the client has seen must be what the plan was made from, each time.
        app.precondition(&call, &seen)?;
        if !dry_run {
            plan.names.pass(force.as_ref())?;
        }
        let note = force.as_ref().map(|force| force.reason.as_str().to_owned());
        match commit(&app, &call, &seen, plan.targets, note, dry_run).await {
            Err(change::Refusal::Precondition) if attempt < ATTEMPT_COUNT_MAX => {
                attempt += 1;
            }
            Err(refused) => return Err(refusal::of_change(refused)),
            Ok(committed) => {
                let change = committed.change.filter(|_| !dry_run);
                let gates = [plan.names.gate(), signatures.gate()].into_iter().flatten().map(Gate::name).collect();
                let view = shown(plan.diff, report, (mode, dry_run), gates, (committed.domain.serial, change));
                let reply = Reply::json(200, &view).note(signatures.note().filter(|_| !dry_run).as_deref());
                return Ok(app.served(&call, reply, change).await);
            }
        }
    }
}

/// Commits what was planned, if the domain is still as it was.
async fn commit(
    app: &Api,
    call: &Call<Api>,
    seen: &Domain,
    targets: Vec<Target>,
    note: Option<String>,
    dry_run: bool,
) -> Result<Committed, change::Refusal> {
    let actor = app.actor(call, "rest").map_err(|_| change::Refusal::Forbidden)?;
    let precondition = Some(Precondition { rrset: None, etags: vec![change::domain_etag(seen)] });
    let edits = Edits::Targets { kind: "import", undoes: None, note, targets, soa: None };
    let change = Change { actor, domain: seen.id, precondition, edits, dry_run };
    match app.store.write(move |txn| change::commit(txn, change)).await {
        Err(change::Refusal::DryRun(committed)) => Ok(*committed),
        done => done,
    }
}

/// Reads what is asked for: JSON says all of it, a zone file alone has the rest in the query.
fn request_of(call: &Call<Api>) -> Result<Request, Refusal> {
    let mut fields = Map::new();
    let text = match &call.body {
        Body::Json(body) => {
            fields = object(body)?.clone();
            match fields.remove("zonefile") {
                Some(Value::String(text)) => text.into_bytes(),
                None => return Err(Refusal::field("zonefile", "This field is required.")),
                Some(Value::Null) => return Err(Refusal::field("zonefile", "This field may not be null.")),
                Some(_) => return Err(Refusal::field("zonefile", "Not a valid string.")),
            }
        }
        Body::Bytes(bytes) => {
            query_fields(call, &mut fields)?;
            bytes.to_vec()
        }
        Body::Absent => Vec::new(),
    };
    // An empty file would empty the domain; whoever wants that can delete it.
    if text.trim_ascii().is_empty() {
        return Err(Refusal::field("zonefile", "This field may not be blank."));
    }
    let mode = match fields.get("mode") {
        None | Some(Value::Null) => Mode::Replace,
        Some(Value::String(word)) if word == "replace" => Mode::Replace,
        Some(Value::String(word)) if word == "merge" => Mode::Merge,
        Some(_) => return Err(Refusal::field("mode", "Must be \"replace\" or \"merge\".")),
    };
    let dry_run = flag(&fields, "dry_run")?;
    let force = gates::of_body(fields.get("force"))?;
    Ok(Request { text, mode, dry_run, force })
}

/// What the query says, in the form of a body.
fn query_fields(call: &Call<Api>, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    if let Some(mode) = call.query("mode") {
        fields.insert("mode".into(), mode.into());
    }
    fields.insert("dry_run".into(), query_flag(call, "dry_run")?.into());
    if let Some(force) = gates::of_query(call) {
        fields.insert("force".into(), force);
    }
    Ok(())
}

/// A flag of the query.
pub(super) fn query_flag(call: &Call<Api>, name: &str) -> Result<bool, Refusal> {
    match call.query(name) {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Refusal::field(name, "Must be a valid boolean.")),
    }
}

/// Finds out what has to change, on the state of now.
async fn planned(
    app: &Arc<Api>,
    domain: DomainId,
    drafts: &Arc<Vec<Draft>>,
    mode: Mode,
) -> Result<Option<(Plan, Domain)>, Refusal> {
    let (app, drafts) = (Arc::clone(app), Arc::clone(drafts));
    let work = tokio::task::spawn_blocking(move || {
        let found = app.store.read(|reader| {
            let Some(row) = reader.domain(domain)? else { return Ok::<_, StoreError>(None) };
            Ok(Some((current(reader, domain)?, row)))
        })?;
        Ok::<_, StoreError>(found.map(|(before, row)| (plan(before, &drafts, mode), row)))
    });
    let done = work.await.map_err(|_| Refusal::internal())?;
    done.map_err(|error| refusal::of_store(&error))
}

/// What a domain answers now.
fn current(reader: &Reader<'_>, domain: DomainId) -> Result<Vec<Rrset>, StoreError> {
    let mut all = Vec::new();
    reader.each_rrset::<StoreError>(domain, |rrset| {
        // No zone file has what is disabled, so none can mean to take it away.
        if rrset.enabled().next().is_none() {
            return Ok(());
        }
        let records = rrset.enabled().map(|record| record.content.clone()).collect();
        let value = RrsetValue { ttl: rrset.ttl_secs, records };
        all.push(Rrset { subname: rrset.subname, rtype: rrset.rtype.to_string(), value });
        Ok(())
    })?;
    Ok(all)
}

/// The difference between a domain and a file.
fn plan(before: Vec<Rrset>, drafts: &[Draft], mode: Mode) -> Plan {
    let names_before: HashSet<String> = before.iter().map(|rrset| rrset.subname.clone()).collect();
    let kept = before.iter().filter(|rrset| {
        Rtype::parse(rrset.rtype.as_bytes()).is_some_and(|rtype| zonetext::is_managed(rtype, rrset.subname.is_empty()))
    });
    let mut names_after: HashSet<String> = kept.map(|rrset| rrset.subname.clone()).collect();
    names_after.extend(drafts.iter().map(|draft| draft.subname.clone()));
    let gone = names_before.difference(&names_after).count();
    let names = match mode {
        Mode::Replace => Names { before: names_before.len(), gone },
        Mode::Merge | Mode::Create => Names::default(),
    };
    let diff = Diff::of_import(before, drafts, mode);
    let mut wanted: HashMap<(&str, String), &Draft> = HashMap::with_capacity(drafts.len());
    wanted.extend(drafts.iter().map(|draft| ((&*draft.subname, draft.rtype.to_string()), draft)));
    let added = diff.added.iter().map(|rrset| (&rrset.subname, &rrset.rtype));
    let changed = diff.changed.iter().map(|rrset| (&rrset.subname, &rrset.rtype));
    let written = added.chain(changed).filter_map(|(subname, rtype)| {
        let draft = wanted.get(&(subname, rtype.clone()))?;
        let records = draft
            .records
            .iter()
            .flatten()
            .map(|content| Record::new(content.text.clone(), content.rdata.clone()))
            .collect();
        Some(Target { subname: subname.clone(), rtype: draft.rtype, state: Some((draft.ttl?, records)) })
    });
    let removed = diff.removed.iter().filter_map(|rrset| {
        let rtype = Rtype::parse(rrset.rtype.as_bytes())?;
        Some(Target { subname: rrset.subname.clone(), rtype, state: None })
    });
    let targets = written.chain(removed).collect();
    Plan { targets, diff, names }
}

/// How an import is shown.
pub(super) fn shown(
    mut diff: Diff,
    report: Report,
    (mode, dry_run): (Mode, bool),
    gates: Vec<&'static str>,
    (serial, change): (u32, Option<ChangeId>),
) -> View {
    let counts = Counts { added: diff.added.len(), changed: diff.changed.len(), removed: diff.removed.len() };
    let mut room = SHOWN_COUNT_MAX;
    diff.removed.truncate(room);
    room -= diff.removed.len();
    diff.changed.truncate(room);
    room -= diff.changed.len();
    diff.added.truncate(room);
    let truncated = counts.added + counts.changed + counts.removed > SHOWN_COUNT_MAX;
    View { change: change.map(|change| change.0), dry_run, mode, serial, counts, truncated, diff, gates, report }
}
