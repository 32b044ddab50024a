//! The root of the API: what there is.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Operation, Route, Success};

/// What is here for whom.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Root {
    /// For everybody.
    Anonymous {
        /// Address of the registration.
        register: String,
        /// Address of the login.
        login: String,
        /// Address where a forgotten password is replaced.
        #[serde(rename = "reset-password")]
        reset_password: String,
    },
    /// For holders of a token.
    Known {
        /// Addresses around the account.
        account: AccountLinks,
        /// Address of the logout.
        logout: String,
        /// Address of the tokens.
        tokens: String,
        /// Address of the domains.
        domains: String,
    },
}

/// Addresses around the account.
#[derive(Debug, Serialize, ToSchema)]
struct AccountLinks {
    /// The account itself.
    show: String,
    /// Deletes it.
    delete: String,
    /// Changes its mail address.
    #[serde(rename = "change-email")]
    change_email: String,
    /// Replaces a forgotten password.
    #[serde(rename = "reset-password")]
    reset_password: String,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/v1/",
    &[Operation::get(|app, call| Box::pin(show(app, call)))
        .access(Access::Optional)
        .uncounted()
        .replies(&[Success::json::<Root>(200)])
        .summary("Addresses of what there is")],
)];

/// GET.
async fn show(_: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let at = |path: &str| call.url.absolute(&format!("/api/v1/{path}"));
    let root = if call.caller.is_none() {
        Root::Anonymous {
            register: at("auth/"),
            login: at("auth/login/"),
            reset_password: at("auth/account/reset-password/"),
        }
    } else {
        let account = AccountLinks {
            show: at("auth/account/"),
            delete: at("auth/account/delete/"),
            change_email: at("auth/account/change-email/"),
            reset_password: at("auth/account/reset-password/"),
        };
        Root::Known { account, logout: at("auth/logout/"), tokens: at("auth/tokens/"), domains: at("domains/") }
    };
    Ok(Reply::json(200, &root))
}
