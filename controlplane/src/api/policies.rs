//! Token policies: what a token may write, by domain, subname and type.
//!
//! The rules that span policies of one token are decided in the transaction that writes. Invariants: a token with any
//! policy has exactly one default policy, no two policies of a token speak of the same, and a policy names no domain of
//! another account.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::account::{may_change, subject};
use super::domains::object;
use super::fields::{Fields, REQUIRED};
use super::tokens::{id_of, missing, stored};
use crate::http::Caller as _;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Route, Scope, Success, Verb};
use crate::rrset::fields::{subname_messages, type_messages};
use crate::store::policies::Policy;
use crate::store::tokens::Token;
use crate::store::{AccountId, DomainId, Reader, Txn};

/// The longest text that is looked at.
const TEXT_CHAR_COUNT_MAX: usize = 255;

/// Addresses of the policies of a token.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyLinks {
    /// Policies for RRsets.
    rrsets: String,
}

/// A policy, as clients see it; null means any.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
struct View {
    /// Its number.
    id: String,
    /// The domain.
    domain: Option<String>,
    /// The owner below the domain.
    subname: Option<String>,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Whether writing is allowed.
    perm_write: bool,
}

/// What a client sends of a policy.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct PolicyBody {
    /// The domain.
    domain: Option<String>,
    /// The owner below the domain.
    subname: Option<String>,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Whether writing is allowed.
    perm_write: Option<bool>,
}

/// Who may change policies.
const ACCESS: Access = Access::With(Permission::ManageTokens);
/// What that counts as.
const SCOPES: &[Scope] = &[Scope::AccountManagementPassive];

/// The rows. A token may read its own policies, whatever it may do else: reading is judged by the handlers.
pub(super) static ROUTES: [Route<Api>; 3] = [
    Route::new(
        "/api/v1/auth/tokens/{id}/policies/",
        &[Operation::get(|app, call| Box::pin(links(app, call)))
            .scopes(SCOPES)
            .replies(&[Success::json::<PolicyLinks>(200)])
            .refuses(&[403])
            .summary("Addresses of the policies of a token")],
    ),
    Route::new(
        "/api/v1/auth/tokens/{id}/policies/rrsets/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .scopes(SCOPES)
                .replies(&[Success::list::<View>(200)])
                .refuses(&[403])
                .summary("The policies of a token, the default one first"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<PolicyBody>(Count::One)
                .replies(&[Success::json::<View>(201)])
                .refuses(&[409])
                .summary("Adds a policy to a token"),
        ],
    ),
    Route::new(
        "/api/v1/auth/tokens/{id}/policies/rrsets/{policy}/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .scopes(SCOPES)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[403])
                .summary("One policy"),
            Operation::patch(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<PolicyBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[409])
                .summary("Changes what is sent of a policy"),
            Operation::put(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<PolicyBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[409])
                .summary("Makes a policy what is sent"),
            Operation::delete(|app, call| Box::pin(delete(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .replies(&[Success::empty(204)])
                .summary("Deletes a policy"),
        ],
    ),
];

/// How a policy is shown.
fn view(policy: &Policy) -> View {
    View {
        id: policy.id.to_string(),
        domain: policy.domain.as_ref().map(|(_, name)| name.clone()),
        subname: policy.subname.clone(),
        rtype: policy.rtype.clone(),
        perm_write: policy.perm_write,
    }
}

/// Which fields must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Those that say what the policy is about.
    Scope,
    /// None.
    Nothing,
}

/// What a client sent of a policy; absent fields are not there.
#[derive(Debug)]
struct Sent {
    /// See [`Policy`].
    domain: Option<Option<(DomainId, String)>>,
    /// See [`Policy`].
    subname: Option<Option<String>>,
    /// See [`Policy`].
    rtype: Option<Option<String>>,
    /// See [`Policy`].
    perm_write: Option<bool>,
}

impl Sent {
    /// Reads a body. Domains of others do not exist here.
    fn read(reader: &Reader<'_>, account: AccountId, body: &Map<String, Value>, need: Need) -> Result<Sent, Refusal> {
        let mut fields = Fields::of(body);
        if need == Need::Scope {
            for name in ["domain", "subname", "type"] {
                if fields.value(name).is_none() {
                    fields.refuse(name, REQUIRED);
                }
            }
        }
        let domain = match fields.value("domain") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(name)) => {
                let domain = reader.domain_by_name(name)?.filter(|domain| domain.account == account);
                if domain.is_none() {
                    fields.refuse("domain", format!("Object with name={name} does not exist."));
                }
                domain.map(|domain| Some((domain.id, domain.name)))
            }
            Some(Value::Number(number)) => {
                fields.refuse("domain", format!("Object with name={number} does not exist."));
                None
            }
            Some(_) => {
                fields.refuse("domain", "Invalid value.");
                None
            }
        };
        let mut checked = |name: &str, messages: fn(&str) -> Vec<String>| {
            let text = fields.text_or_null(name, TEXT_CHAR_COUNT_MAX)?;
            let found = text.as_deref().filter(|text| !text.is_empty()).map(messages).unwrap_or_default();
            if found.is_empty() {
                return Some(text);
            }
            fields.refuse_with(name, json!(found));
            None
        };
        let subname = checked("subname", subname_messages);
        let rtype = checked("type", type_messages);
        if rtype.as_ref().is_some_and(|rtype| rtype.as_deref() == Some("")) {
            fields.refuse("type", "This field may not be blank.");
        }
        let perm_write = fields.boolean("perm_write");
        fields.done()?;
        Ok(Sent { domain, subname, rtype, perm_write })
    }

    /// The policy as it shall be; what was not sent stays.
    fn applied_to(self, policy: Policy) -> Policy {
        Policy {
            id: policy.id,
            domain: self.domain.unwrap_or(policy.domain),
            subname: self.subname.unwrap_or(policy.subname),
            rtype: self.rtype.unwrap_or(policy.rtype),
            perm_write: self.perm_write.unwrap_or(policy.perm_write),
        }
    }
}

/// Checks a policy against the others of its token.
fn check(token: &Token, policy: &Policy, others: &[Policy]) -> Result<(), Refusal> {
    if others.iter().any(|other| other.has_scope_of(policy)) {
        return Err(Refusal::conflict("the token has a policy for this domain, subname and type already."));
    }
    if policy.is_default() && policy.perm_write && token.auto_policy {
        return Err(Refusal::field("perm_write", "Must be false when auto_policy is in effect for the token."));
    }
    Ok(())
}

/// The token of the path, for a caller that may read its policies.
fn readable(app: &Api, call: &Call<Api>) -> Result<Token, Refusal> {
    let caller = call.caller()?;
    let is_own = caller.token.as_ref().is_some_and(|token| id_of(call).is_ok_and(|id| id == token.id));
    if !is_own && !caller.may(Permission::ManageTokens) {
        return Err(Refusal::forbidden());
    }
    stored(app, call, &subject(app, call)?)
}

/// The refusal for a policy that is not there.
fn no_policy() -> Refusal {
    Refusal::not_found("No TokenDomainPolicy matches the given query.")
}

/// The number of the policy in the path.
fn policy_id(call: &Call<Api>) -> Result<Uuid, Refusal> {
    call.param("policy").parse().map_err(|_| Refusal::not_found("Not found."))
}

/// The policies of a token, and which of them has a number.
fn found(txn: &Txn<'_>, token: &Token, id: Uuid) -> Result<Option<(Policy, Vec<Policy>)>, Refusal> {
    let mut policies = txn.policies(token.id)?;
    let place = policies.iter().position(|policy| policy.id == id);
    Ok(place.map(|place| (policies.remove(place), policies)))
}

/// GET of the root.
async fn links(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let token = readable(&app, &call)?;
    let rrsets = call.url.absolute(&format!("/api/v1/auth/tokens/{}/policies/rrsets/", token.id));
    Ok(Reply::json(200, &PolicyLinks { rrsets }))
}

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let token = readable(&app, &call)?;
    let policies = app.read(|reader| reader.policies(token.id))?;
    Ok(Reply::json(200, &policies.iter().map(view).collect::<Vec<_>>()))
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let token = readable(&app, &call)?;
    let id = policy_id(&call)?;
    let policies = app.read(|reader| reader.policies(token.id))?;
    let policy = policies.iter().find(|policy| policy.id == id).ok_or_else(no_policy)?;
    Ok(Reply::json(200, &view(policy)))
}

/// POST to the list.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    let token = stored(&app, &call, &account)?.id;
    let body = object(call.json())?.clone();
    let account = account.id;
    let policy = app
        .write(move |txn| {
            let token = txn.token(account, token)?.ok_or_else(missing)?;
            let sent = Sent::read(txn, account, &body, Need::Scope)?;
            let blank = Policy { id: Uuid::new_v4(), domain: None, subname: None, rtype: None, perm_write: false };
            let policy = sent.applied_to(blank);
            let others = txn.policies(token.id)?;
            if !policy.is_default() && !others.iter().any(Policy::is_default) {
                let text = "Policy precedence: The first policy must be the default policy.";
                return Err(Refusal::non_field(text));
            }
            check(&token, &policy, &others)?;
            txn.add_policy(account, token.id, &policy)?;
            Ok(policy)
        })
        .await?;
    Ok(Reply::json(201, &view(&policy)))
}

/// PATCH and PUT of one.
async fn change(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    let token = stored(&app, &call, &account)?.id;
    let id = policy_id(&call)?;
    let body = call.json().clone();
    let need = if call.verb == Verb::Put { Need::Scope } else { Need::Nothing };
    let account = account.id;
    let policy = app
        .write(move |txn| {
            let token = txn.token(account, token)?.ok_or_else(missing)?;
            let (policy, others) = found(txn, &token, id)?.ok_or_else(no_policy)?;
            let was_default = policy.is_default();
            let policy = Sent::read(txn, account, object(&body)?, need)?.applied_to(policy);
            if policy.is_default() != was_default {
                let text = "When using policies, there must be exactly one default policy.";
                return Err(Refusal::non_field(text));
            }
            check(&token, &policy, &others)?;
            txn.update_policy(token.id, &policy)?;
            Ok(policy)
        })
        .await?;
    Ok(Reply::json(200, &view(&policy)))
}

/// DELETE of one; it is no mistake if there is none.
async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?.id;
    let (Ok(token), Ok(id)) = (id_of(&call), policy_id(&call)) else { return Ok(Reply::empty(204)) };
    app.write(move |txn| {
        let Some(token) = txn.token(account, token)? else { return Ok(()) };
        let Some((policy, others)) = found(txn, &token, id)? else { return Ok(()) };
        let text = match policy.is_default() {
            true if !others.is_empty() => "Policy precedence: Can't delete default policy when there exist others.",
            true if token.auto_policy => "Can't delete default policy when auto_policy is in effect for the token.",
            _ => {
                txn.remove_policy(token.id, id)?;
                return Ok(());
            }
        };
        Err(Refusal::non_field(text))
    })
    .await?;
    Ok(Reply::empty(204))
}
