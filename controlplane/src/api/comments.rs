//! Comments on records: notes for people that stand beside an RRset and are never answered.
//!
//! They have a resource of their own, so that clients of the API proper see RRsets as they always were. Invariant: a comment
//! belongs to RDATA; it stays while that stays, whoever rewrites the RRset.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::domains::object;
use super::rrsets::{key_of, stored};
use super::{Api, refusal};
use crate::change::{self, Change, Edits, Precondition, Target};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Resource, Route, Scope, Success};
use crate::rrset::canonical::canonical;
use crate::store::rrsets::{Record, Rrset};

/// The longest comment in characters.
const COMMENT_LEN_MAX: usize = 1000;

/// Records with their comments.
#[derive(Debug, Serialize, serde::Deserialize, ToSchema)]
struct Comments {
    /// The records; what is sent may leave out those that shall have none.
    records: Vec<Commented>,
}

/// A record with its comment.
#[derive(Debug, Serialize, serde::Deserialize, ToSchema)]
struct Commented {
    /// Presentation format.
    content: String,
    /// One line for people.
    comment: Option<String>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/v1/domains/{name}/rrsets/{subname}/{type}/comments/",
    &[
        Operation::get(|app, call| Box::pin(show(app, call)))
            .scopes(&[Scope::DnsApiCheap])
            .resource(Resource::PartOfDomain)
            .replies(&[Success::json::<Comments>(200)])
            .summary("The comments of an RRset, record by record"),
        Operation::put(|app, call| Box::pin(write(app, call)))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .body::<Comments>(Count::One)
            .query(&["wait"])
            .replies(&[Success::json::<Comments>(200), Success::json::<Comments>(202)])
            .refuses(&[403, 412])
            .summary("Sets the comments of an RRset"),
    ],
)];

/// The RRset that the path names.
fn rrset_of(app: &Api, call: &Call<Api>) -> Result<Rrset, Refusal> {
    let missing = || Refusal::not_found(change::Refusal::NoRrset.to_string());
    stored(app, call.domain()?, &key_of(call)?)?.ok_or_else(missing)
}

/// How comments are shown.
fn view(rrset: &Rrset) -> Comments {
    let commented = |record: &Record| Commented { content: record.content.clone(), comment: record.comment.clone() };
    Comments { records: rrset.enabled().map(commented).collect() }
}

/// GET.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &view(&rrset_of(&app, &call)?)))
}

/// PUT. The records must not change meanwhile: what is written is the RRset that was read, with its comments.
async fn write(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let mut rrset = rrset_of(&app, &call)?;
    let wanted = comments_of(call.json(), &rrset)?;
    let seen = change::etag(&rrset);
    for record in rrset.records.iter_mut().filter(|record| record.enabled) {
        let comment = wanted.iter().find(|(rdata, _)| *rdata == record.rdata).map(|(_, comment)| comment.clone());
        record.comment = Some(comment.unwrap_or_default());
    }
    let key = (rrset.subname.clone(), rrset.rtype);
    if let Some(theirs) = &call.if_match
        && !theirs.match_strongly(Some(seen.trim_matches('"')))
    {
        return Err(refusal::of_change(change::Refusal::Precondition));
    }
    let precondition = Some(Precondition { rrset: Some(key), etags: vec![seen] });
    let Rrset { subname, rtype, ttl_secs, records, .. } = rrset;
    let records = records.into_iter().map(|record| Record { id: 0, ..record }).collect();
    let targets = vec![Target { subname, rtype, state: Some((ttl_secs, records)) }];
    let edits = Edits::Targets { kind: "comment", undoes: None, note: None, targets, soa: None };
    let actor = app.actor(&call, "rest")?;
    let change = Change { actor, domain: call.domain()?.id, precondition, edits, dry_run: false };
    let committed = app.change(move |txn| change::commit(txn, change)).await?;
    let shown = committed.rrsets.first().map_or(Comments { records: Vec::new() }, view);
    Ok(app.served(&call, Reply::json(200, &shown), committed.change).await)
}

/// The comments of a body by RDATA; an empty one is none.
fn comments_of(body: &Value, rrset: &Rrset) -> Result<Vec<(Vec<u8>, String)>, Refusal> {
    let refuse = |text: &str| Refusal::field("records", text);
    let items = match object(body)?.get("records") {
        None => return Err(refuse("This field is required.")),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(refuse("Expected a list of items.")),
    };
    let mut comments = Vec::new();
    let mut errors: Vec<Value> = Vec::new();
    for item in items {
        match comment_of(item, rrset) {
            Ok(comment) => {
                comments.push(comment);
                errors.push(json!({}));
            }
            Err((field, text)) => errors.push(json!({ field: [text] })),
        }
    }
    if errors.iter().any(|error| *error != json!({})) {
        return Err(Refusal::json(400, json!({ "records": errors })));
    }
    Ok(comments)
}

/// One comment, or the field that is wrong and why.
fn comment_of(item: &Value, rrset: &Rrset) -> Result<(Vec<u8>, String), (&'static str, String)> {
    let content =
        item.get("content").and_then(Value::as_str).ok_or(("content", "This field is required.".to_owned()))?;
    let comment = match item.get("comment") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(("comment", "Not a valid string.".to_owned())),
    };
    if comment.chars().count() > COMMENT_LEN_MAX {
        return Err(("comment", format!("Ensure this field has no more than {COMMENT_LEN_MAX} characters.")));
    }
    if comment.chars().any(char::is_control) {
        return Err(("comment", "Control characters are not allowed.".to_owned()));
    }
    let rdata = canonical(rrset.rtype, content).map_err(|error| ("content", error.to_string()))?.rdata;
    if !rrset.enabled().any(|record| record.rdata == rdata) {
        return Err(("content", "The RRset has no such record.".to_owned()));
    }
    Ok((rdata, comment.to_owned()))
}
