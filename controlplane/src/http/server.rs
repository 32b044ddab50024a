//! The server: a table of routes, the application, and the conventions of paths and headers.
//!
//! Requests get here parsed by hyper and leave as whole replies; connections are `listen`'s, the steps of one request
//! `dispatch`'s. Invariant: every reply has what all replies have in common, and a handler that panics costs its request
//! only, which is answered with 500 and counted (RFC 9110 sections 9 and 15, Fetch standard for CORS).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, rejection::RawPathParamsRejection};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response, Uri};
use axum::routing::any;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tracing::error;

use super::counters::Counters;
use super::listen::Limits;
use super::origin::{Origin, Peer};
use super::reply::{Refusal, Reply};
use super::route::{Route, Style, Verb};
use super::shared::Shared;
use super::throttle::Entry;
use super::url::{V1, V2};
use super::{App, body, openapi};

/// What the operator sets and what a former process left.
#[derive(Debug, Default)]
pub struct Settings {
    /// Networks of proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What bounds peers.
    pub limits: Limits,
    /// What throttles have let through so far.
    pub throttles: Vec<Entry>,
}

/// A request that has just arrived, as it was sent; paths are rewritten for routing afterwards.
#[derive(Clone)]
pub(super) struct Arrival {
    /// From where, to which address.
    pub(super) origin: Arc<Origin>,
    /// The other end of the connection.
    pub(super) peer: Peer,
    /// The path, slashes merged, still percent-encoded.
    pub(super) path: Arc<str>,
    /// The query, still encoded; empty without one.
    pub(super) query: Arc<str>,
}

/// What is behind every request.
pub(super) struct Inner<A: App> {
    /// The application.
    pub(super) app: Arc<A>,
    /// The rows of all tables, in order.
    pub(super) rows: Vec<&'static Route<A>>,
    /// See there.
    pub(super) shared: Arc<Shared>,
    /// Networks of proxies that are believed.
    trusted: Vec<IpNet>,
    /// What bounds peers.
    pub(super) limits: Limits,
}

/// See the module.
pub struct Server<A: App> {
    /// What is behind every request.
    inner: Arc<Inner<A>>,
    /// Finds the row of a path.
    router: TowerToHyperService<Router>,
}

impl<A: App> Clone for Server<A> {
    fn clone(&self) -> Server<A> {
        Server { inner: Arc::clone(&self.inner), router: self.router.clone() }
    }
}

impl<A: App> Server<A> {
    /// A server for these tables.
    ///
    /// # Panics
    /// If two rows have the same path: the tables are part of the program.
    #[must_use]
    pub fn new(app: Arc<A>, tables: &[&'static [Route<A>]], settings: Settings) -> Server<A> {
        let rows: Vec<&'static Route<A>> = tables.iter().flat_map(|table| table.iter()).collect();
        let counters = Counters::new(rows.iter().map(|row| row.path).collect());
        let document = openapi::document(&rows).to_json().unwrap_or_default();
        let shared = Shared::new(counters, document.into(), settings.throttles, app.now_us());
        let Settings { trusted_proxies: trusted, limits, .. } = settings;
        let inner = Arc::new(Inner { app, rows, shared: Arc::new(shared), trusted, limits });
        let router = TowerToHyperService::new(router(&inner));
        Server { inner, router }
    }

    /// Throttles and counters, for whoever stores or shows them.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// What bounds peers.
    pub(super) fn limits(&self) -> Limits {
        self.inner.limits
    }

    /// Answers a request. `here` is the address of the listener.
    pub(super) async fn answer(&self, request: Request<Body>, peer: Peer, here: &str) -> Response<Body> {
        let inner = &self.inner;
        let begun = Instant::now();
        let (mut head, body) = request.into_parts();
        let method = head.method.clone();
        let cross_origin = CrossOrigin::read(&method, &head.headers);
        let named = (&head.uri, head.version, &head.headers);
        let mut response = match Origin::read(peer, &inner.trusted, named, here) {
            Ok(origin) => {
                let path = merged(head.uri.path());
                let routed = routed_path(&path, inner.app.path_at_host(&origin.bare_host(), &path));
                let query = head.uri.query().unwrap_or("").into();
                let arrival = Arrival { origin: Arc::new(origin), peer, path: path.as_ref().into(), query };
                match Uri::try_from(routed.as_ref()) {
                    Ok(routed) => head.uri = routed,
                    // A path that was a path before remains one; whatever it is now has no row.
                    Err(_) => head.uri = Uri::from_static("/"),
                }
                head.extensions.insert(arrival);
                let routed = hyper::service::Service::call(&self.router, Request::from_parts(head, body));
                routed.await.unwrap_or_else(|never| match never {})
            }
            Err(refusal) => {
                // What is wrong with the head is wrong with what follows it.
                refusal.header(header::CONNECTION, "close").into_response(Style::Api)
            }
        };
        let route = response.extensions_mut().remove::<RowIdx>();
        finish(response.headers_mut(), cross_origin);
        let status = response.status().as_u16();
        inner.shared.counters.request(route.map(|RowIdx(idx)| idx), method.as_str(), status, begun.elapsed());
        response
    }
}

/// The row that answered, for the counters.
#[derive(Clone, Copy)]
struct RowIdx(usize);

/// A router that knows all paths, and those that lack their slash.
fn router<A: App>(inner: &Arc<Inner<A>>) -> Router {
    let mut router = Router::new();
    for (idx, row) in inner.rows.iter().enumerate() {
        let behind = Arc::clone(inner);
        let serve = move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
            let inner = Arc::clone(&behind);
            async move {
                // What is not UTF-8 once it is decoded names nothing.
                let Ok(params) = params else { return not_found(request).await };
                let params = params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                inner.serve(idx, params, request).await
            }
        };
        router = router.route(row.path, any(serve));
        if let Some(unslashed) = row.path.strip_suffix('/').filter(|path| !path.is_empty()) {
            router = router.route(unslashed, any(redirect));
        }
    }
    router.fallback(not_found)
}

/// 404 as a page.
async fn not_found(request: Request) -> Response<Body> {
    without_body(Refusal::no_such_path().into_response(Style::Api), request).await
}

/// 301 to the same path with its slash, whatever the method.
async fn redirect(request: Request) -> Response<Body> {
    let location = request.extensions().get::<Arrival>().map_or_else(String::new, |Arrival { path, query, .. }| {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}/{mark}{query}")
    });
    let reply = Reply::empty(301).header(header::LOCATION, &location);
    without_body(reply.into_response(), request).await
}

/// A response for which the body was not needed.
async fn without_body(mut response: Response<Body>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !body::pass_over(body, &head.headers, Limits::default().head_time).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl<A: App> Inner<A> {
    /// Has one request to a row worked on, in a task of its own: it runs to its end even if the client goes away, so that
    /// no work is cut off in its middle, and a panic ends there.
    async fn serve(self: Arc<Self>, row_idx: usize, params: Vec<(String, String)>, request: Request) -> Response<Body> {
        let row = self.rows[row_idx];
        // The semaphore is never closed.
        let slot = Arc::clone(&self.shared.handlers).acquire_owned().await.ok();
        let inner = Arc::clone(&self);
        let worked = tokio::spawn(async move {
            let response = inner.work(row, params, request).await;
            drop(slot);
            response
        });
        let mut response = worked.await.unwrap_or_else(|_| {
            let id = uuid::Uuid::new_v4();
            self.shared.counters.panicked();
            error!(%id, route = row.path, "a handler panicked: {id} at {}", row.path);
            Refusal::internal().header(header::CONNECTION, "close").into_response(row.style)
        });
        if let Ok(allow) = HeaderValue::from_str(&allow(row)) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response.extensions_mut().insert(RowIdx(row_idx));
        response
    }

    /// Takes one request through all steps; a body that no step wanted is passed over.
    async fn work(&self, row: &'static Route<A>, params: Vec<(String, String)>, request: Request) -> Response<Body> {
        let (head, incoming) = request.into_parts();
        let mut incoming = Some(incoming);
        let mut response = match self.steps(row, params, &head, &mut incoming).await {
            Ok(reply) => reply.into_response(),
            Err(refusal) => refusal.into_response(row.style),
        };
        if let Some(rest) = incoming
            && !body::pass_over(rest, &head.headers, self.limits.head_time).await
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A path with repeated slashes merged.
fn merged(path: &str) -> Cow<'_, str> {
    if !path.starts_with('/') {
        // The target of CONNECT or `OPTIONS *`: no row has it.
        return Cow::Borrowed("/*");
    }
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Cow::Owned(merged)
}

/// The path by which the row is looked for: what the host stands for, or the path in the first version of the API.
fn routed_path<'p>(path: &'p str, of_host: Option<&'static str>) -> Cow<'p, str> {
    match (of_host, path.strip_prefix(V2)) {
        (Some(path), _) => Cow::Borrowed(path),
        (None, Some(rest)) => Cow::Owned(format!("{V1}{rest}")),
        // Its root without the slash.
        (None, None) if Some(path) == V2.strip_suffix('/') => Cow::Borrowed(&V1[..V1.len() - 1]),
        (None, None) => Cow::Borrowed(path),
    }
}

/// `Allow` of a row.
fn allow<A: App>(row: &Route<A>) -> String {
    let mut methods = Vec::new();
    for (verb, name) in VERBS {
        if row.operations.iter().any(|operation| operation.verb == *verb) {
            methods.push(*name);
        }
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// Verbs by their names, in the order of `Allow`.
pub(super) const VERBS: &[(Verb, &str)] =
    &[(Verb::Get, "GET"), (Verb::Post, "POST"), (Verb::Put, "PUT"), (Verb::Patch, "PATCH"), (Verb::Delete, "DELETE")];

/// What a browser asks on behalf of a page of another origin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CrossOrigin {
    /// Nothing.
    No,
    /// A request.
    Request,
    /// Whether it may send one, and whether conditional headers belong to it.
    Preflight {
        /// As it says.
        conditional: bool,
    },
}

impl CrossOrigin {
    /// Reads the head.
    fn read(method: &Method, headers: &HeaderMap) -> CrossOrigin {
        if !headers.contains_key(header::ORIGIN) {
            CrossOrigin::No
        } else if method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
            let conditional = asked.is_some_and(|asked| {
                let asked = asked.to_ascii_lowercase();
                asked.contains("if-match") || asked.contains("if-none-match")
            });
            CrossOrigin::Preflight { conditional }
        } else {
            CrossOrigin::Request
        }
    }
}

/// Adds what all replies have in common. Tokens alone open doors here, never cookies, so any origin may ask.
fn finish(headers: &mut HeaderMap, cross_origin: CrossOrigin) {
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::VARY, "origin");
    // What is told is of this moment and for this caller.
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if cross_origin == CrossOrigin::No {
        return;
    }
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Link, Retry-After, ETag, Petrel-Change, Petrel-Served, Petrel-Refused");
    if let CrossOrigin::Preflight { conditional } = cross_origin {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "DELETE, GET, OPTIONS, PATCH, POST, PUT");
        // The usual list is what clients compare; who needs more asks for it.
        let usual = "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with";
        let more =
            "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with, if-match, if-none-match";
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, if conditional { more } else { usual });
        set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    }
}

#[cfg(test)]
mod tests;
