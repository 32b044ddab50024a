//! The steps of one request, in their order.
//!
//! Who asks comes before what is asked for, and that before what was sent: so nobody learns from a refusal what they may not know,
//! and what is refused counts against no throttle. Invariant: the handler is the last step.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as Incoming;
use axum::http::header::{ACCEPT, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use axum::http::{Method, StatusCode, request};

use super::body::{self, Bounds};
use super::call::{Body, Call};
use super::credentials::{AuthFailure, Presented, unauthorized};
use super::reply::{Refusal, Reply};
use super::route::{Access, Operation, Resource, Route, Scope, Style, Takes, Verb};
use super::server::{Arrival, Inner, VERBS};
use super::tags::Tags;
use super::throttle::{Class, Identity};
use super::url::Url;
use super::{App, Caller};

/// The longest that `?wait=` may ask for, in seconds.
pub(super) const WAIT_SECS_MAX: u64 = 60;
/// The query parameter that says so.
pub(super) const WAIT: &str = "wait";
/// The media type of all JSON.
const JSON: &str = "application/json";

/// Parameters of a query.
type Query = Vec<(String, String)>;

impl<A: App> Inner<A> {
    /// Takes a request from its head to the reply of its handler.
    pub(super) async fn steps(
        &self,
        row: &'static Route<A>,
        params: Vec<(String, String)>,
        head: &request::Parts,
        incoming: &mut Option<Incoming>,
    ) -> Result<Reply, Refusal> {
        // The server puts it there for every request.
        let arrival = head.extensions.get::<Arrival>().ok_or_else(Refusal::internal)?;
        if head.method == Method::OPTIONS {
            return Ok(Reply::empty(200));
        }
        let operation = operation_of(row, &head.method);
        if !accepts(row, operation, &head.headers) {
            return Err(Refusal::detail(406, "Could not satisfy the request Accept header."));
        }
        let query: Query = form_urlencoded::parse(arrival.query.as_bytes()).into_owned().collect();
        let now_us = self.app.now_us();
        let access = operation.map_or_else(|| access_without_operation(row), |operation| operation.access);
        let caller = self.authenticate(row.style, access, (head, arrival, &query), now_us).await?;
        let Some(operation) = operation else {
            return Err(Refusal::detail(405, format!("Method \"{}\" not allowed.", head.method)));
        };
        if let (Access::With(permission), Some(caller)) = (access, &caller)
            && !caller.may(permission)
        {
            return Err(Refusal::forbidden());
        }
        let domain = self.domain(operation, caller.as_ref(), &params).await?;
        let identity = self.identity(caller.as_ref(), arrival.origin.client);
        self.throttle(row.style, operation, &identity, &params, now_us)?;
        let body = self.body(operation, &head.headers, incoming).await?;
        let wait = if operation.verb == Verb::Get { None } else { wait(&query)? };
        let Arrival { origin, path, .. } = arrival;
        let call = Call {
            route: row.path,
            verb: operation.verb,
            caller,
            client: origin.client,
            domain,
            body,
            if_match: Tags::read(&head.headers, &IF_MATCH),
            wait,
            url: Url { scheme: origin.scheme, host: origin.host.clone(), path: path.to_string() },
            params,
            query,
            shared: Arc::clone(&self.shared),
            identity,
            now_us,
        };
        let reply = (operation.handler)(Arc::clone(&self.app), call).await?;
        Ok(if operation.verb == Verb::Get { unless_known(reply, &head.headers) } else { reply })
    }

    /// Finds out who asks. Wrong credentials count against the client's address; right ones are let in however many wrong ones came from
    /// there, because addresses are shared and tokens are too long to be guessed.
    async fn authenticate(
        &self,
        style: Style,
        access: Access,
        (head, arrival, query): (&request::Parts, &Arrival, &Query),
        now_us: u64,
    ) -> Result<Option<A::Caller>, Refusal> {
        if access == Access::Open {
            return Ok(None);
        }
        let presented = Presented::read(style, &head.headers, query);
        if let Presented::Broken(text) = presented {
            return Err(unauthorized(style, text));
        }
        let client = arrival.origin.client;
        let Some(credentials) = presented.credentials(arrival.peer.uid()) else {
            let missing = unauthorized(style, "Authentication credentials were not provided.");
            return if access == Access::Optional { Ok(None) } else { Err(missing) };
        };
        match self.app.authenticate(credentials, client).await {
            Ok(caller) => Ok(Some(caller)),
            Err(AuthFailure::Wrong) => {
                let address = Identity { name: of_address(client), class: Class::Hosting, per_day: None };
                self.shared.admit(&address, &[(Scope::WrongCredentials, "")], now_us)?;
                Err(unauthorized(style, presented.wrong()))
            }
            Err(AuthFailure::Inactive) => Err(unauthorized(style, "User inactive or deleted.")),
            Err(AuthFailure::Unavailable(refusal)) => Err(refusal),
        }
    }

    /// Looks up the domain in the path, where the row says so.
    async fn domain(
        &self,
        operation: &Operation<A>,
        caller: Option<&A::Caller>,
        params: &[(String, String)],
    ) -> Result<Option<A::Domain>, Refusal> {
        let missing = match operation.resource {
            Resource::Nothing => return Ok(None),
            Resource::Domain => "No Domain matches the given query.",
            Resource::PartOfDomain => "Not found.",
        };
        let (Some(caller), Some(name)) = (caller, name_of(params)) else { return Err(Refusal::not_found(missing)) };
        match self.app.domain(caller, name).await? {
            Some(domain) => Ok(Some(domain)),
            None => Err(Refusal::not_found(missing)),
        }
    }

    /// Who is counted.
    fn identity(&self, caller: Option<&A::Caller>, client: IpAddr) -> Identity {
        match caller {
            Some(caller) => {
                let name = format!("account {}", caller.identity());
                Identity { name, class: caller.class(), per_day: caller.requests_per_day() }
            }
            None => Identity { name: of_address(client), class: self.app.anonymous_class(), per_day: None },
        }
    }

    /// Asks all throttles of the operation at once.
    fn throttle(
        &self,
        style: Style,
        operation: &Operation<A>,
        identity: &Identity,
        params: &[(String, String)],
        now_us: u64,
    ) -> Result<(), Refusal> {
        let bucket = name_of(params).unwrap_or("");
        let mut asked: Vec<_> = operation.scopes.iter().map(|scope| (*scope, bucket)).collect();
        if operation.counted && style != Style::Plain {
            asked.push((Scope::User, ""));
        }
        self.shared.admit(identity, &asked, now_us)
    }

    /// Reads the body, where the row takes one.
    async fn body(
        &self,
        operation: &Operation<A>,
        headers: &HeaderMap,
        incoming: &mut Option<Incoming>,
    ) -> Result<Body, Refusal> {
        if operation.takes == Takes::Nothing {
            return Ok(Body::Absent);
        }
        let Some(stream) = incoming.take() else { return Ok(Body::Absent) };
        let bounds = Bounds {
            takes: operation.takes,
            len_max: operation.body_len_max.min(self.limits.body_len),
            time_max: self.limits.body_time,
            large: &self.shared.large,
        };
        body::read(stream, headers, bounds).await
    }
}

/// The operation of a method; HEAD is that of GET.
fn operation_of<A: App>(row: &'static Route<A>, method: &Method) -> Option<&'static Operation<A>> {
    let name = if method == Method::HEAD { "GET" } else { method.as_str() };
    let (verb, _) = VERBS.iter().find(|(_, known)| *known == name)?;
    row.operations.iter().find(|operation| operation.verb == *verb)
}

/// Who may learn that a method is not allowed: where every operation asks for a token, whoever has one.
fn access_without_operation<A: App>(row: &Route<A>) -> Access {
    let open = |operation: &Operation<A>| matches!(operation.access, Access::Open | Access::Optional);
    if row.operations.iter().any(open) { Access::Open } else { Access::Token }
}

/// Whether the client takes what the operation has to say. Operations that never speak JSON do not ask.
fn accepts<A: App>(row: &Route<A>, operation: Option<&Operation<A>>, headers: &HeaderMap) -> bool {
    let speaks_json =
        |operation: &Operation<A>| operation.replies.iter().any(|reply| reply.media == JSON || reply.media.is_empty());
    if matches!(row.style, Style::DynDns | Style::Plain) || !operation.is_none_or(speaks_json) {
        return true;
    }
    let mut ranges = headers.get_all(ACCEPT).iter().flat_map(|field| field.to_str().unwrap_or("").split(','));
    let fits = |range: &str| {
        let essence = range.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        matches!(essence.as_str(), "*/*" | "application/*" | JSON | "")
    };
    !headers.contains_key(ACCEPT) || ranges.any(fits)
}

/// The path parameter `name`, which is the domain wherever there is one.
fn name_of(params: &[(String, String)]) -> Option<&str> {
    params.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str())
}

/// How a client without account is told from others: by address, and of IPv6 by the network of one host.
fn of_address(client: IpAddr) -> String {
    match client {
        IpAddr::V4(addr) => format!("address {addr}"),
        IpAddr::V6(addr) => {
            let network = u128::from(addr) & (u128::MAX << 64);
            format!("address {}", Ipv6Addr::from(network))
        }
    }
}

/// Reads `?wait=SECONDS`.
fn wait(query: &Query) -> Result<Option<Duration>, Refusal> {
    let Some((_, text)) = query.iter().rev().find(|(key, _)| key == WAIT) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(secs) if digits && secs <= WAIT_SECS_MAX => Ok(Some(Duration::from_secs(secs))),
        _ => Err(Refusal::field(WAIT, format!("Must be a number of seconds from 0 to {WAIT_SECS_MAX}."))),
    }
}

/// 304 instead of a reply whose entity tag the client has (RFC 9110 section 13.1.2).
fn unless_known(mut reply: Reply, headers: &HeaderMap) -> Reply {
    let tag = reply.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(|tag| tag.trim_matches('"'));
    let known = Tags::read(headers, &IF_NONE_MATCH).zip(tag).is_some_and(|(known, tag)| known.match_weakly(tag));
    if known && reply.status == StatusCode::OK {
        reply.status = StatusCode::NOT_MODIFIED;
        reply.body = Incoming::empty();
        reply.headers.remove(axum::http::header::CONTENT_TYPE);
        // A length would be that of the body that is not sent.
        reply.headers.remove(axum::http::header::CONTENT_LENGTH);
    }
    reply
}
