//! Tokens of any account: list, make, replace the secret, delete.

use std::sync::Arc;

use utoipa::ToSchema;

use super::super::Api;
use super::super::domains::object;
use super::super::tokens::{self, Sent, View, id_of, missing, new_secret};
use super::ACCESS;
use super::accounts::stored;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Route, Style, Success};
use crate::value::SecretHash;

/// What the operator sends to make a token.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct AdminTokenBody {
    /// What everybody may send.
    #[serde(flatten)]
    usual: tokens::TokenBody,
    /// Whether it may change nothing at all.
    read_only: Option<bool>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 3] = [
    Route::new(
        "/api/admin/accounts/{email}/tokens/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .access(ACCESS)
                .replies(&[Success::list::<View>(200)])
                .summary("All tokens of an account, newest first"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .access(ACCESS)
                .body::<AdminTokenBody>(Count::One)
                .replies(&[Success::json::<View>(201)])
                .summary("Makes a token; the reply alone has its secret"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/admin/tokens/{id}/",
        &[Operation::delete(|app, call| Box::pin(delete(app, call)))
            .access(ACCESS)
            .replies(&[Success::empty(204)])
            .summary("Deletes a token")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/admin/tokens/{id}/rotate/",
        &[Operation::post(|app, call| Box::pin(rotate(app, call)))
            .access(ACCESS)
            .replies(&[Success::json::<View>(200)])
            .summary("Gives a token another secret; the old one is refused from now on")],
    )
    .style(Style::Operations),
];

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = stored(&app, &call)?;
    let tokens = app.read(|reader| reader.tokens(account.id))?;
    let views = tokens.iter().map(|token| app.token_view_for_operator(token, &account.email));
    Ok(Reply::json(200, &views.collect::<Vec<_>>()))
}

/// POST to the list.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = stored(&app, &call)?;
    let (token, secret) = Sent::read_as_operator(object(call.json())?)?.into_token(account.id)?;
    let view = app.token_view_for_operator(&token, &account.email).with(&secret);
    let hash = SecretHash::of(secret.expose());
    app.write(move |txn| tokens::add(txn, &token, hash)).await?;
    Ok(Reply::json(201, &view))
}

/// DELETE of one.
async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let id = id_of(&call)?;
    app.write(move |txn| {
        let token = txn.any_token(id)?.ok_or_else(missing)?;
        Ok(txn.remove_token(token.account, id)?)
    })
    .await?;
    Ok(Reply::empty(204))
}

/// POST to the rotation.
async fn rotate(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let id = id_of(&call)?;
    let secret = new_secret()?;
    let hash = SecretHash::of(secret.expose());
    let (token, account) = app
        .write(move |txn| {
            let token = txn.any_token(id)?.ok_or_else(missing)?;
            txn.rehash_token(token.account, id, &hash.0)?;
            let account = txn.account(token.account)?.ok_or_else(missing)?;
            Ok((token, account))
        })
        .await?;
    Ok(Reply::json(200, &app.token_view_for_operator(&token, &account.email).with(&secret)))
}
