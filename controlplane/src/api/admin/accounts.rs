//! Accounts: list, make, limit, stop and let go on.
//!
//! An account that is stopped can do nothing, and its zones are not served: both take effect before the reply is sent.
//! Invariant: the operator's own account cannot be stopped.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::domains::object;
use super::super::fields::{Fields, REQUIRED};
use super::super::tokens::{self, Sent};
use super::super::{Api, now_us};
use super::ACCESS;
use crate::change::{self, Actor};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Route, Style, Success};
use crate::rrset::Limits;
use crate::store::accounts::{Account, Class, NewAccount};
use crate::store::usage::Quotas;
use crate::value::{Email, SecretHash, Timestamp};

/// The longest mail address that is looked at, in characters.
const EMAIL_CHAR_COUNT_MAX: usize = 320;

/// An account, as the operator sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminAccount)]
struct View {
    /// Its number.
    id: String,
    /// Its mail address.
    email: String,
    /// `operator` or `hosting`.
    class: &'static str,
    /// Whether it may do anything and its zones are served.
    active: bool,
    /// When it was made.
    created: String,
    /// How many domains it may have.
    limit_domains: Option<u32>,
    /// How many RRsets all its domains may have together.
    limit_rrsets: Option<u32>,
    /// How many records all its domains may have together; one with several regions in `geo` counts once for each of them.
    limit_records: Option<u32>,
    /// How many bytes of RDATA and comments all its domains may have together.
    limit_bytes: Option<u32>,
    /// How many changes it may publish in an hour.
    limit_writes_per_hour: Option<u32>,
    /// How many bytes of history its changes may add in a day.
    limit_history_per_day: Option<u32>,
    /// How many domains it has.
    domains: u64,
    /// How many RRsets all its domains have together.
    rrsets: u64,
    /// How many records all its domains have together; one with several regions in `geo` counts once for each of them.
    records: u64,
    /// How many bytes of RDATA and comments all its domains have together.
    bytes: u64,
    /// How many changes it has published in its hour.
    writes_in_hour: u32,
    /// How many bytes of history its changes have added in its day.
    history_in_day: u64,
    /// How many tokens it has.
    tokens: usize,
    /// The secret of its first token; only in the reply that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// What the operator sends to make an account.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct NewAccountBody {
    /// Its mail address.
    email: String,
    /// `operator` (the default) or `hosting`.
    class: Option<String>,
    /// How many domains it may have.
    limit_domains: Option<u32>,
    /// Whether to make a token with all permissions as well.
    token: Option<bool>,
}

/// What the operator may change of an account.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct AdminAccountBody {
    /// `operator` or `hosting`.
    class: Option<String>,
    /// Whether it may do anything and its zones are served.
    active: Option<bool>,
    /// How many domains it may have.
    limit_domains: Option<u32>,
    /// How many RRsets all its domains may have together.
    limit_rrsets: Option<u32>,
    /// How many records all its domains may have together; one with several regions in `geo` counts once for each of them.
    limit_records: Option<u32>,
    /// How many bytes of RDATA and comments all its domains may have together.
    limit_bytes: Option<u32>,
    /// How many changes it may publish in an hour.
    limit_writes_per_hour: Option<u32>,
    /// How many bytes of history its changes may add in a day.
    limit_history_per_day: Option<u32>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/admin/accounts/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .access(ACCESS)
                .replies(&[Success::list::<View>(200)])
                .summary("All accounts, in the order they were made"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .access(ACCESS)
                .body::<NewAccountBody>(Count::One)
                .replies(&[Success::json::<View>(201)])
                .refuses(&[409])
                .summary("Makes an account"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/admin/accounts/{email}/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .access(ACCESS)
                .replies(&[Success::json::<View>(200)])
                .summary("One account"),
            Operation::patch(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .body::<AdminAccountBody>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<View>(200), Success::json::<View>(202)])
                .summary("Limits an account, stops it, or lets it go on"),
        ],
    )
    .style(Style::Operations),
];

/// The account of the path.
pub(super) fn stored(app: &Api, call: &Call<Api>) -> Result<Account, Refusal> {
    app.read(|reader| reader.account_by_email(call.param("email")))?.ok_or_else(missing)
}

/// The refusal for an account that is not there.
fn missing() -> Refusal {
    Refusal::not_found("No account has this address.")
}

/// How an account is shown.
fn view(app: &Api, account: &Account) -> Result<View, Refusal> {
    let tokens = app.read(|reader| reader.tokens(account.id))?.len();
    let (quotas, usage) = (&account.quotas, &account.usage);
    Ok(View {
        id: account.uuid.to_string(),
        email: account.email.clone(),
        class: account.class.as_str(),
        active: account.active,
        created: Timestamp::from_micros(account.created_us).to_string(),
        limit_domains: quotas.domains,
        limit_rrsets: quotas.rrsets,
        limit_records: quotas.records,
        limit_bytes: quotas.bytes,
        limit_writes_per_hour: quotas.writes_per_hour,
        limit_history_per_day: quotas.history_per_day,
        domains: usage.domains,
        rrsets: usage.rrsets,
        records: usage.records,
        bytes: usage.bytes,
        writes_in_hour: account.writes.at(now_us()).count,
        history_in_day: account.history.at(now_us()).bytes,
        tokens,
        token: None,
    })
}

/// GET of the list.
async fn list(app: Arc<Api>, _: Call<Api>) -> Result<Reply, Refusal> {
    let accounts = app.read(|reader| reader.accounts())?;
    let views = accounts.iter().map(|account| view(&app, account)).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::json(200, &views))
}

/// Reads the class of an account.
fn class_field(fields: &mut Fields<'_>) -> Option<Class> {
    let class = fields.value("class").map(|value| value.as_str().and_then(Class::parse))?;
    if class.is_none() {
        fields.refuse("class", "Must be operator or hosting.");
    }
    class
}

/// Reads the mail address of a new account.
fn email_field(fields: &mut Fields<'_>) -> String {
    if fields.value("email").is_none() {
        fields.refuse("email", REQUIRED);
    }
    let Some(text) = fields.text("email", EMAIL_CHAR_COUNT_MAX) else { return String::new() };
    match text.parse::<Email>() {
        Ok(email) => email.as_str().to_owned(),
        Err(error) => {
            fields.refuse("email", error.to_string());
            String::new()
        }
    }
}

/// POST to the list.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let mut fields = Fields::of(object(call.json())?).only(&["email", "class", "limit_domains", "token"]);
    let email = email_field(&mut fields);
    let class = class_field(&mut fields).unwrap_or(Class::Operator);
    let limit_domains = fields.count("limit_domains").flatten();
    let with_token = fields.boolean("token").unwrap_or(false);
    fields.done()?;
    let new = NewAccount { uuid: Uuid::new_v4(), email, class, created_us: now_us(), limit_domains };
    let (account, secret) = app
        .write(move |txn| {
            let taken = || Refusal::conflict("an account with this address exists already.");
            let account = txn.add_account(&new)?.ok_or_else(taken)?;
            if !with_token {
                return Ok((account, None));
            }
            let (token, secret) = Sent::full().into_token(account.id)?;
            tokens::add(txn, &token, SecretHash::of(secret.expose()))?;
            Ok((account, Some(secret)))
        })
        .await?;
    let token = secret.map(|secret| secret.expose().to_owned());
    Ok(Reply::json(201, &View { token, ..view(&app, &account)? }))
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &view(&app, &stored(&app, &call)?)?))
}

/// What may be limited of an account.
const LIMITS: [&str; 6] =
    ["limit_domains", "limit_rrsets", "limit_records", "limit_bytes", "limit_writes_per_hour", "limit_history_per_day"];
/// What may be changed of an account.
const CHANGEABLE: [&str; 8] = ["class", "active", LIMITS[0], LIMITS[1], LIMITS[2], LIMITS[3], LIMITS[4], LIMITS[5]];

/// Quotas after new [`LIMITS`]; what is not said stays.
fn limited(quotas: Quotas, [domains, rrsets, records, bytes, writes, history]: [Option<Option<u32>>; 6]) -> Quotas {
    Quotas {
        domains: domains.unwrap_or(quotas.domains),
        rrsets: rrsets.unwrap_or(quotas.rrsets),
        records: records.unwrap_or(quotas.records),
        bytes: bytes.unwrap_or(quotas.bytes),
        writes_per_hour: writes.unwrap_or(quotas.writes_per_hour),
        history_per_day: history.unwrap_or(quotas.history_per_day),
    }
}

/// PATCH of one.
async fn change(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let id = stored(&app, &call)?.id;
    let mut fields = Fields::of(object(call.json())?).only(&CHANGEABLE);
    let class = class_field(&mut fields);
    let active = fields.boolean("active");
    let limits = LIMITS.map(|name| fields.count(name));
    let is_own = id == app.operator.id;
    if is_own && (active == Some(false) || class == Some(Class::Hosting)) {
        fields.refuse_with("email", Value::from(vec!["The operator's own account cannot be bound."]));
    }
    fields.done()?;
    let (address, house) = (Some(call.client), Arc::clone(&app.house));
    let (account, change) = app
        .write(move |txn| {
            let mut account = txn.account(id)?.ok_or_else(missing)?;
            let was_active = account.active;
            account.class = class.unwrap_or(account.class);
            account.active = active.unwrap_or(was_active);
            account.quotas = limited(account.quotas, limits);
            txn.update_account(&account)?;
            if account.active == was_active {
                return Ok((account, None));
            }
            let (now_us, limits) = (now_us(), Limits::OPERATOR);
            let actor = Actor { account: id, token: None, address, via: "admin", now_us, limits, house };
            let change = change::withdraw(txn, &actor)?;
            Ok((account, change))
        })
        .await?;
    Ok(app.served(&call, Reply::json(200, &view(&app, &account)?), change).await)
}
