//! Domains of any account: published on the operator's word.

use std::sync::Arc;

use utoipa::ToSchema;

use super::super::Api;
use super::super::domains::{View, object};
use super::super::fields::{Fields, REQUIRED};
use super::ACCESS;
use crate::change::Grounds;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Resource, Route, Style, Success};

/// The longest reason in characters.
const REASON_CHAR_COUNT_MAX: usize = 1000;

/// Why a domain is published without a proof.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = AdminVerification)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct FiatBody {
    /// Why; it stays in the history.
    reason: String,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/admin/domains/{name}/verify/",
    &[Operation::post(|app, call| Box::pin(verify(app, call)))
        .access(ACCESS)
        .resource(Resource::PartOfDomain)
        .body::<FiatBody>(Count::One)
        .query(&["wait"])
        .replies(&[Success::json::<View>(200), Success::json::<View>(202)])
        .summary("Publishes a domain of any account without a proof")],
)
.style(Style::Operations)];

/// POST.
async fn verify(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let mut fields = Fields::of(object(call.json())?).only(&["reason"]);
    if fields.value("reason").is_none() {
        fields.refuse("reason", REQUIRED);
    }
    let reason = fields.text("reason", REASON_CHAR_COUNT_MAX).unwrap_or_default();
    if reason.is_empty() && fields.value("reason").is_some_and(serde_json::Value::is_string) {
        fields.refuse("reason", "This field may not be blank.");
    }
    if reason.chars().any(char::is_control) {
        fields.refuse("reason", "A reason is one line.");
    }
    fields.done()?;
    let actor = app.actor(&call, "admin")?;
    app.prove(call, actor, Grounds::Fiat(reason)).await
}
