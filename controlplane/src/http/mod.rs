//! The HTTP server below the REST API: a table of routes, and everything that is the same for all of them.
//!
//! It knows no SQL, no zones and no accounts: the application is whatever implements [`App`]. What it does for every
//! request, in this order: path conventions, `Accept`, authentication, permission, the domain in the path, throttles,
//! media type, body, handler. Invariants: a route that is not in the table does not exist, no operation runs without its
//! row's [`Access`](route::Access) being satisfied, and everything a peer can hold or repeat is bounded by
//! [`Limits`](listen::Limits) and [`throttle`] (RFC 9110, RFC 9112, RFC 6585).
//!
//! # How to write a handler
//! A handler is an `async fn` from the application and a [`Call`](call::Call) to a [`Reply`](reply::Reply) or a
//! [`Refusal`](reply::Refusal); both say what is written on the wire and nothing else does. By then the caller is known and may
//! do it, the domain of the path exists, the throttles had room, and the body is JSON if the row says so.
//! ```
//! # use controlplane::http::{App, Caller, call, credentials::{AuthFailure, Credentials}, route::*, reply::*, throttle::Class};
//! # use std::{net::IpAddr, sync::Arc};
//! # struct Pets; struct Someone;
//! # impl Caller for Someone {
//! #     fn identity(&self) -> String { "someone".into() }
//! #     fn class(&self) -> Class { Class::Operator }
//! #     fn may(&self, _: Permission) -> bool { true }
//! # }
//! # impl App for Pets {
//! #     type Caller = Someone; type Domain = ();
//! #     fn now_us(&self) -> u64 { 0 }
//! #     async fn authenticate(&self, _: Credentials<'_>, _: IpAddr) -> Result<Someone, AuthFailure> { Ok(Someone) }
//! #     async fn domain(&self, _: &Someone, _: &str) -> Result<Option<()>, Refusal> { Ok(Some(())) }
//! # }
//! #[derive(serde::Serialize, utoipa::ToSchema)]
//! struct Pet { name: String }
//!
//! async fn show(app: Arc<Pets>, call: call::Call<Pets>) -> Result<Reply, Refusal> {
//!     let name = call.param("name");
//!     if name != "tom" {
//!         return Err(Refusal::not_found("No Pet matches the given query."));
//!     }
//!     Ok(Reply::json(200, &Pet { name: name.into() }).etag("1"))
//! }
//!
//! // One row per path; a path that ends in `/` is redirected to from the one that does not.
//! static ROUTES: &[Route<Pets>] = &[Route::new("/api/v1/pets/{name}/", &[
//!     Operation::get(|app, call| Box::pin(show(app, call)))
//!         .access(Access::Token)
//!         .scopes(&[Scope::DnsApiCheap])
//!         .replies(&[Success::json::<Pet>(200)])
//!         .refuses(&[404])
//!         .summary("One pet"),
//! ])];
//! # assert_eq!(list(ROUTES), [("/api/v1/pets/{name}/", Verb::Get, Access::Token)]);
//! ```
//! Blocking work (SQL, files) belongs into `tokio::task::spawn_blocking` or behind a channel: two threads serve everyone.

mod body;
pub mod call;
pub mod counters;
pub mod credentials;
mod crowd;
mod dispatch;
mod framing;
pub mod listen;
pub mod openapi;
mod origin;
pub mod page;
pub mod reply;
pub mod route;
mod sending;
pub mod server;
pub mod shared;
pub mod tags;
pub mod throttle;
pub mod url;

use std::future::Future;
use std::net::IpAddr;

use credentials::{AuthFailure, Credentials};
use reply::Refusal;
use route::Permission;
use throttle::Class;

/// What the server asks of the application behind the routes.
///
/// Implementations may write the methods as `async fn`.
pub trait App: Send + Sync + Sized + 'static {
    /// Who a request turned out to come from.
    type Caller: Caller;
    /// A domain of a path, as handlers want it.
    type Domain: Send + Sync + 'static;

    /// The time in microseconds since 1970: throttles and cursors go by it.
    fn now_us(&self) -> u64;

    /// Finds out who presents these credentials from `client` (loopback for peers on the local socket).
    ///
    /// # Errors
    /// [`AuthFailure`]: unknown, expired, not from this address, or inactive.
    fn authenticate(
        &self,
        credentials: Credentials<'_>,
        client: IpAddr,
    ) -> impl Future<Output = Result<Self::Caller, AuthFailure>> + Send;

    /// The domain that a row with a [`Resource`](route::Resource) has in its path; `None` if the caller has no such domain.
    ///
    /// `name` is as in the path, percent-decoded and otherwise untouched: it can be any text.
    ///
    /// # Errors
    /// A [`Refusal`] is sent as it is.
    fn domain(
        &self,
        caller: &Self::Caller,
        name: &str,
    ) -> impl Future<Output = Result<Option<Self::Domain>, Refusal>> + Send;

    /// The path of the table that stands for `path` at this host (lower case, without port), for hosts that serve one thing
    /// only, such as those of dynamic updates. It has no parameters.
    fn path_at_host(&self, _host: &str, _path: &str) -> Option<&'static str> {
        None
    }

    /// Which rates hold for callers without credentials; they are told apart by address.
    fn anonymous_class(&self) -> Class {
        Class::Hosting
    }
}

/// What the server asks of whoever was authenticated.
pub trait Caller: Send + Sync + 'static {
    /// Tells one account from another in throttles.
    fn identity(&self) -> String;

    /// Which rates hold.
    fn class(&self) -> Class;

    /// The account's own bound of requests per day, where it has one.
    fn requests_per_day(&self) -> Option<u32> {
        None
    }

    /// Whether the token grants this.
    fn may(&self, permission: Permission) -> bool;
}

#[cfg(test)]
mod toy;
