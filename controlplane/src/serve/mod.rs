//! HTTP/1.1 on the API address: `/healthz`, `/readyz` and `/metrics`.
//!
//! It tells what `planes` knows and asks nobody. Nothing here changes anything, so there is no authentication yet; the
//! default address is this machine only. Invariant: every resource a peer can hold is bounded by
//! [`Limits`], and a peer that is slow loses its connection (RFC 9110, RFC 9112).

mod metrics;

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::warn;

use crate::planes::{Planes, State, stopped};

/// The most header fields in a head.
const HEADER_COUNT_MAX: usize = 100;
/// How long accepting rests after an error such as too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a peer can make us hold or wait for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are held; further ones wait in the kernel's queue.
    pub connection_count: u32,
    /// The longest request head in bytes.
    pub head_len: usize,
    /// How long a peer may take to send a head, also while a kept connection is idle.
    pub head_time: Duration,
    /// The longest request body in bytes; no resource here reads one, but it must be passed over.
    pub body_len: usize,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long one connection may live: it bounds a peer that never reads its answer.
    pub connection_time: Duration,
    /// How long open connections may take to finish once we are told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connection_count: 256,
            head_len: 16 << 10,
            head_time: Duration::from_secs(10),
            body_len: 1 << 20,
            body_time: Duration::from_secs(10),
            connection_time: Duration::from_secs(120),
            drain_time: Duration::from_secs(3),
        }
    }
}

/// Accepts connections until `stop` is true, then lets the open ones finish for at most `limits.drain_time`.
pub async fn accept(listener: TcpListener, planes: Arc<Planes>, stop: watch::Receiver<bool>, limits: Limits) {
    let slots = Arc::new(Semaphore::new(limits.connection_count as usize));
    let mut stopping = stop.clone();
    loop {
        let next = async {
            // The semaphore is never closed, so that a slot always comes.
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((listener.accept().await, slot))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stopped(&mut stopping) => None,
        };
        match accepted {
            Some((Ok((stream, _)), slot)) => {
                tokio::spawn(connection(stream, Arc::clone(&planes), stop.clone(), limits, slot));
            }
            Some((Err(cause), _)) => {
                warn!("accepting a connection: {cause}");
                tokio::time::sleep(ACCEPT_REST).await;
            }
            None => break,
        }
    }
    drop(listener);
    // All slots back means that all connections are closed.
    drop(timeout(limits.drain_time, slots.acquire_many(limits.connection_count)).await);
}

/// Serves one connection; `slot` is given back at its end.
async fn connection(
    stream: TcpStream,
    planes: Arc<Planes>,
    mut stop: watch::Receiver<bool>,
    limits: Limits,
    _slot: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let planes = Arc::clone(&planes);
        async move { Ok::<_, Infallible>(answer(request, &planes, limits).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    // Whoever has sent all may close that half and still gets the answer.
    http.half_close(true).timer(TokioTimer::new()).header_read_timeout(limits.head_time);
    http.max_buf_size(limits.head_len).max_headers(HEADER_COUNT_MAX);
    let mut open = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What a peer does wrong was answered by hyper or ended the connection; it is no fact for the log.
        _ = open.as_mut() => return,
        () = tokio::time::sleep(limits.connection_time) => {}
        () = stopped(&mut stop) => {}
    }
    open.as_mut().graceful_shutdown();
    drop(timeout(limits.drain_time, open).await);
}

/// Passes over the body, then answers.
async fn answer(request: Request<Incoming>, planes: &Planes, limits: Limits) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if let Some(refused) = pass_over(body, limits).await {
        return refused;
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match head.uri.path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => readiness(planes),
        "/metrics" => reply(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(planes).into()),
        _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
    }
}

/// Reads a body to its end; the response if it is too long or too slow.
async fn pass_over(body: Incoming, limits: Limits) -> Option<Response<Full<Bytes>>> {
    let refuse = |status, message| {
        let mut response = text(status, message);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(response)
    };
    if body.size_hint().lower() > limits.body_len as u64 {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n");
    }
    let mut body = Limited::new(body, limits.body_len);
    let read = async {
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    match timeout(limits.body_time, read).await {
        Ok(Ok(())) => None,
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n")
        }
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "the body is broken\n"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "the body is too slow\n"),
    }
}

/// What `/readyz` says.
#[derive(Serialize)]
struct Readiness {
    /// Whether every attached plane serves a generation, and one is attached if any is configured.
    ready: bool,
    /// The planes in the order of the configuration.
    planes: Vec<PlaneReadiness>,
}

/// One plane in `/readyz`.
#[derive(Serialize)]
struct PlaneReadiness {
    /// Its control socket.
    path: String,
    /// Whether it answers.
    attached: bool,
    /// What it serves.
    generation: Option<u64>,
}

/// `/readyz`: 200 if every attached plane serves a generation. A detached plane is not waited for, but when all
/// are detached nobody answers queries, and that is not ready.
fn readiness(planes: &Planes) -> Response<Full<Bytes>> {
    let row = |(path, state): (&Path, State)| {
        let attached = state.attached();
        let generation = attached.and_then(|plane| plane.status.generation);
        PlaneReadiness { path: path.to_string_lossy().into_owned(), attached: attached.is_some(), generation }
    };
    let planes: Vec<_> = planes.states().into_iter().map(row).collect();
    let serving = planes.iter().filter(|plane| plane.attached).all(|plane| plane.generation.is_some());
    let ready = serving && (planes.is_empty() || planes.iter().any(|plane| plane.attached));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(&Readiness { ready, planes }) {
        Ok(mut body) => {
            body.push(b'\n');
            reply(status, "application/json", body.into())
        }
        Err(cause) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{cause}\n")),
    }
}

/// A short answer for people.
fn text(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(message.as_bytes()))
}

/// A whole answer. What is told is of this moment, so nobody may keep it, nor guess another type for it.
fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
