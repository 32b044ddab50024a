//! The caller's account, and the end of a token by its own hand.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::domains::{account_of, object};
use super::fields::Fields;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Route, Scope, Success};
use crate::store::accounts::Account;
use crate::value::Timestamp;

/// An account, as its holder sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct View {
    /// When it was made.
    created: String,
    /// How many domains it has.
    domains_under_management: u64,
    /// Its mail address.
    email: String,
    /// Its number.
    id: String,
    /// How many domains it may have.
    limit_domains: Option<u32>,
    /// Whether it wants news.
    outreach_preference: bool,
}

/// What a client may change of it.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct AccountBody {
    /// Whether it wants news.
    outreach_preference: Option<bool>,
}

/// Who may see and change the account.
const ACCESS: Access = Access::With(Permission::ManageTokens);
/// What that counts as.
const SCOPES: &[Scope] = &[Scope::AccountManagementPassive];

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/v1/auth/account/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[404])
                .summary("The account"),
            Operation::patch(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<AccountBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[404])
                .summary("Changes what may be changed of the account"),
            Operation::put(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<AccountBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .refuses(&[404])
                .summary("Changes what may be changed of the account"),
        ],
    ),
    Route::new(
        "/api/v1/auth/logout/",
        &[Operation::post(|app, call| Box::pin(log_out(app, call)))
            .uncounted()
            .replies(&[Success::empty(204)])
            .refuses(&[403])
            .summary("Deletes the token that is used")],
    ),
];

/// The account that a call is about: the caller's, or for the operator that of `?account=`.
pub(super) fn subject(app: &Api, call: &Call<Api>) -> Result<Account, Refusal> {
    let id = account_of(app, call, call.caller()?)?;
    app.read(|reader| reader.account(id))?.ok_or_else(Refusal::forbidden)
}

/// Refuses callers that may change nothing.
pub(super) fn may_change(call: &Call<Api>) -> Result<(), Refusal> {
    if call.caller()?.is_read_only() { Err(Refusal::forbidden()) } else { Ok(()) }
}

/// The account as it is shown.
fn view(account: &Account) -> View {
    View {
        created: Timestamp::from_micros(account.created_us).to_string(),
        domains_under_management: account.usage.domains,
        email: account.email.clone(),
        id: account.uuid.to_string(),
        limit_domains: account.quotas.domains,
        outreach_preference: account.outreach,
    }
}

/// GET.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &view(&subject(&app, &call)?)))
}

/// PATCH and PUT; all fields but one are ignored.
async fn change(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    let mut fields = Fields::of(object(call.json())?);
    let outreach = fields.boolean("outreach_preference");
    fields.done()?;
    let id = account.id;
    let account = app
        .write(move |txn| {
            let mut account = txn.account(id)?.ok_or_else(Refusal::forbidden)?;
            account.outreach = outreach.unwrap_or(account.outreach);
            txn.update_account(&account)?;
            Ok(account)
        })
        .await?;
    Ok(Reply::json(200, &view(&account)))
}

/// POST to the logout.
async fn log_out(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let Some(token) = &call.caller()?.token else { return Err(Refusal::forbidden()) };
    let (account, id) = (token.account, token.id);
    app.write(move |txn| Ok(txn.remove_token(account, id)?)).await?;
    Ok(Reply::empty(204))
}
