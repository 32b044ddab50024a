//! Keys that no domain needs are removed from the device that has them, after a while.
//!
//! Which those are is `store::objects`'s. Invariant: nothing is removed by a clock in doubt, nor for a database in doubt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::signing::rest;
use super::{Api, aside};

/// Time between two looks for such keys; the first is at the start.
const EVERY: Duration = Duration::from_secs(60);
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Has keys removed that nobody has needed for so many days, until told to stop.
pub async fn keep(app: Arc<Api>, keep_days: u32, mut stop: watch::Receiver<bool>) {
    loop {
        if app.writable().is_ok()
            && let Ok(now) = app.dnssec.clock().trusted()
            && let Err(error) = aside(|| app.dnssec.sweep_device(now.us(), i64::from(keep_days) * DAY_US))
        {
            warn!("keys of no use stay in the device for now: {error}");
        }
        if rest(EVERY, &mut stop).await {
            return;
        }
    }
}
