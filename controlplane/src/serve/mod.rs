//! `/healthz`, `/readyz` and `/metrics`: what `planes` and `http` know, for operators and their machines.
//!
//! They ask nobody and change nothing, so they are open to anyone who reaches the address. Invariant: whatever the data planes
//! do, these pages answer at once.

mod metrics;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::http::App;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Operation, Route, Style, Success};
use crate::planes::{Planes, State};

pub use metrics::Figure;

/// An application that follows data planes.
pub trait Follows: App {
    /// The planes.
    fn planes(&self) -> &Arc<Planes>;

    /// Why nothing is published although all is up, if so.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Figures of its own.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

/// The rows of the pages, for [`Server::new`](crate::http::server::Server::new).
#[must_use]
pub const fn routes<A: Follows>() -> &'static [Route<A>] {
    const {
        &[
            Route::new("/healthz", const { &[page(|_, _| Box::pin(async { Ok(Reply::text(200, "ok\n")) }))] })
                .style(Style::Plain),
            Route::new(
                "/readyz",
                const { &[page(|app: Arc<A>, _| Box::pin(async move { readiness(app.planes(), app.trouble()) }))] },
            )
            .style(Style::Plain),
            Route::new(
                "/metrics",
                const {
                    &[page(|app: Arc<A>, call: Call<A>| {
                        Box::pin(async move {
                            let page = metrics::render(app.planes(), &app.figures()) + &call.counters().render();
                            Ok(Reply::media(200, metrics::CONTENT_TYPE, page))
                        })
                    })]
                },
            )
            .style(Style::Plain),
        ]
    }
}

/// An operation that anyone may use, as often as they like.
const fn page<A: App>(handler: crate::http::route::Handler<A>) -> Operation<A> {
    Operation::get(handler).access(Access::Open).uncounted().replies(const { &[Success::media(200, "text/plain")] })
}

/// What `/readyz` says.
#[derive(Serialize)]
struct Readiness {
    /// Whether every attached plane serves a generation, one is attached if any is configured, and writes are taken.
    ready: bool,
    /// Why nothing is published, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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
/// are detached nobody answers queries, and that is not ready; nor is a control plane that publishes nothing for a `reason`.
fn readiness(planes: &Planes, reason: Option<String>) -> Result<Reply, Refusal> {
    let row = |(path, state): (&Path, State)| {
        let attached = state.attached();
        let generation = attached.and_then(|plane| plane.status.generation);
        PlaneReadiness { path: path.to_string_lossy().into_owned(), attached: attached.is_some(), generation }
    };
    let planes: Vec<_> = planes.states().into_iter().map(row).collect();
    let serving = planes.iter().filter(|plane| plane.attached).all(|plane| plane.generation.is_some());
    let ready = reason.is_none() && serving && (planes.is_empty() || planes.iter().any(|plane| plane.attached));
    let status = if ready { 200 } else { 503 };
    let mut body = serde_json::to_vec(&Readiness { ready, reason, planes }).map_err(|_| Refusal::internal())?;
    body.push(b'\n');
    Ok(Reply::media(status, "application/json", body))
}

#[cfg(test)]
mod tests;
