//! The clock that signing goes by: whether it is believed, and the word of the operator that it is right.

use std::sync::Arc;

use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::super::Api;
use super::ACCESS;
use crate::clock::now_us;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Operation, Route, Style, Success};
use crate::store::Txn;
use crate::value::Timestamp;

/// The clock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClockShown)]
struct Shown {
    /// What it shows.
    time: String,
    /// Whether that is believed; nothing is signed otherwise.
    trusted: bool,
    /// Why not.
    doubt: Option<String>,
    /// The latest time that was believed.
    mark: Option<String>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/admin/clock/",
        &[Operation::get(|app, call| Box::pin(show(app, call)))
            .access(ACCESS)
            .replies(&[Success::json::<Shown>(200)])
            .summary("Whether the time is believed, so that domains are signed")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/admin/clock/accept/",
        &[Operation::post(|app, call| Box::pin(accept(app, call)))
            .access(ACCESS)
            .replies(&[Success::json::<Shown>(200)])
            .refuses(&[409, 507])
            .summary("Takes the time of this moment for right")],
    )
    .style(Style::Operations),
];

impl Api {
    /// How the clock is shown.
    fn clock(&self) -> Shown {
        let clock = self.dnssec.clock();
        let doubt = clock.trusted().err();
        let shown = |us| Timestamp::from_micros(us).to_string();
        Shown {
            time: shown(now_us()),
            trusted: doubt.is_none(),
            doubt: doubt.map(|doubt| doubt.to_string()),
            mark: clock.mark_us().map(shown),
        }
    }
}

/// GET.
async fn show(app: Arc<Api>, _: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &app.clock()))
}

/// POST. What was refused for the clock is tried again by the publisher. What was signed by a clock that was ahead is not valid
/// yet by this one, so it is due to be signed anew with what has become old.
async fn accept(app: Arc<Api>, _: Call<Api>) -> Result<Reply, Refusal> {
    app.writable()?;
    let now = app.dnssec.clock().accept().map_err(|doubt| Refusal::detail(409, format!("{doubt}.")))?;
    warn!("the operator takes the clock for right: {}", Timestamp::from_micros(now.us()));
    let anchor = app.dnssec.clock().anchor().map(|anchor| anchor.octets());
    let note = move |txn: &Txn<'_>| {
        txn.turn_back(now.us())?;
        Ok::<_, Refusal>(txn.set_clock(now.us(), anchor.as_ref().map(<[u8; _]>::as_slice))?)
    };
    app.write(note).await?;
    app.due.notify_one();
    Ok(Reply::json(200, &app.clock()))
}
