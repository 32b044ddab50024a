//! The serials of all domains, for whoever checks secondaries against them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::domains::account_of;
use super::{Api, aside};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Operation, Route, Scope, Success};

/// Serials by name; names have a dot at the end.
#[derive(Debug, Serialize, ToSchema)]
struct Serials(BTreeMap<String, u32>);

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/v1/serials/",
    &[Operation::get(|app, call| Box::pin(list(app, call)))
        .scopes(&[Scope::DnsApiCheap])
        .replies(&[Success::json::<Serials>(200)])
        .summary("The serials of all domains of the account")],
)];

/// GET: those of the account; the operator on this machine sees all.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let caller = call.caller()?;
    let is_everyone = caller.is_admin() && call.query("account").is_none();
    let account = if is_everyone { None } else { Some(account_of(&app, &call, caller)?) };
    let serials = aside(|| app.read(|reader| reader.serials(account)))?;
    let serials = serials.into_iter().map(|(name, serial)| (format!("{name}."), serial)).collect();
    Ok(Reply::json(200, &Serials(serials)))
}
