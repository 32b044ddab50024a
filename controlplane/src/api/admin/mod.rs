//! What only the operator does: accounts, their tokens and domains, and the care of the server.
//!
//! Nothing here is for tenants: every row asks for [`Permission::Admin`](crate::http::route::Permission), which no token
//! has; the local socket does. Invariant: unknown fields are refused, because a misspelt limit would be no limit.

mod accounts;
mod care;
mod clock;
mod domains;
mod keys;
mod tokens;

use super::Api;
use crate::http::route::{Access, Permission, Route};

/// Who may.
const ACCESS: Access = Access::With(Permission::Admin);

/// The rows of all modules.
pub(super) fn tables() -> [&'static [Route<Api>]; 6] {
    [&accounts::ROUTES, &tokens::ROUTES, &domains::ROUTES, &keys::ROUTES, &care::ROUTES, &clock::ROUTES]
}
