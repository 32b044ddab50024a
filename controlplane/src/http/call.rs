//! A request as a handler sees it: parsed, authenticated, within its bounds.
//!
//! It answers questions about the request and nothing else. Invariant: whatever the row asks for was checked before a handler
//! sees the call.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::reply::Refusal;
use super::route::{Scope, Verb};
use super::shared::Shared;
use super::tags::Tags;
use super::url::Url;
use super::{App, throttle};

/// A request.
pub struct Call<A: App> {
    /// The path of the row.
    pub route: &'static str,
    /// The method; HEAD is [`Verb::Get`].
    pub verb: Verb,
    /// Who it comes from; [`Call::caller`] where the row asks for a token.
    pub caller: Option<A::Caller>,
    /// From where: loopback for the local socket, and what a trusted proxy says.
    pub client: IpAddr,
    /// The domain of the path, where the row looks it up; see [`Call::domain`].
    pub domain: Option<A::Domain>,
    /// What came with it.
    pub body: Body,
    /// Which versions of the resource the caller will have changed.
    pub if_match: Option<Tags>,
    /// How long the caller waits until the change is served, at most a minute; 202 after that. None: it did not say.
    pub wait: Option<Duration>,
    /// Under which address the server was asked.
    pub url: Url,
    /// Parameters of the path, percent-decoded.
    pub(super) params: Vec<(String, String)>,
    /// Parameters of the query, decoded, in their order.
    pub(super) query: Vec<(String, String)>,
    /// What all requests share.
    pub(super) shared: Arc<Shared>,
    /// What it counts as; present where throttles hold.
    pub(super) identity: throttle::Identity,
    /// The time of its begin in microseconds since 1970.
    pub(super) now_us: u64,
}

/// What came with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Absent,
    /// JSON.
    Json(Value),
    /// Bytes of any media type, where the row takes them.
    Bytes(Bytes),
}

/// What [`Call::json`] gives where nothing was sent.
static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

impl<A: App> Call<A> {
    /// Who it comes from.
    ///
    /// # Errors
    /// 401 if nobody presented credentials, which the row lets through only if its access is open or optional.
    pub fn caller(&self) -> Result<&A::Caller, Refusal> {
        self.caller.as_ref().ok_or_else(|| Refusal::detail(401, "Authentication credentials were not provided."))
    }

    /// The domain of the path.
    ///
    /// # Errors
    /// 404 if the row looks none up.
    pub fn domain(&self) -> Result<&A::Domain, Refusal> {
        self.domain.as_ref().ok_or_else(|| Refusal::not_found("Not found."))
    }

    /// A parameter of the path, percent-decoded; any text but an empty one. Empty if the path of the row has no such parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The path parameter `subname` in all forms in which an owner may be written in a path: `www`, `www...` and `www@` are the same, and
    /// `@` and `...` are the apex, which is empty here.
    #[must_use]
    pub fn subname(&self) -> &str {
        let segment = self.param("subname");
        segment.strip_suffix("...").or_else(|| segment.strip_suffix('@')).unwrap_or(segment)
    }

    /// A parameter of the query; the last one if it is repeated.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All parameters of the query, decoded, in their order.
    #[must_use]
    pub fn query_pairs(&self) -> &[(String, String)] {
        &self.query
    }

    /// The JSON of the body; an empty object if there was none.
    #[must_use]
    pub fn json(&self) -> &Value {
        match &self.body {
            Body::Json(value) => value,
            Body::Absent | Body::Bytes(_) => &EMPTY,
        }
    }

    /// The time of the begin of the request in microseconds since 1970.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Counters of all requests, for `/metrics`.
    #[must_use]
    pub fn counters(&self) -> &super::counters::Counters {
        &self.shared.counters
    }

    /// Counts the request in `bucket` of `scope`, for handlers that know the bucket only after they read the query.
    ///
    /// # Errors
    /// 429 with `Retry-After` if there is no room.
    pub fn throttle(&self, scope: Scope, bucket: &str) -> Result<(), Refusal> {
        self.shared.admit(&self.identity, &[(scope, bucket)], self.now_us)
    }
}
