//! Keeps what throttles have counted, so that a restart gives nobody a fresh allowance.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::now_us;
use crate::http::shared::Shared;
use crate::http::throttle::{Entry, Scope};
use crate::store::Store;
use crate::store::housekeeping::Throttled;

/// How often they are stored; a crash forgets at most what was counted since.
const INTERVAL: Duration = Duration::from_secs(5);

/// A stored request as the log has it; `None` for a scope that is no longer.
#[must_use]
pub fn entry((scope, bucket, identity, at): Throttled) -> Option<Entry> {
    Some(Entry { scope: Scope::of_name(&scope)?, bucket, identity, at_us: u64::try_from(at).ok()? })
}

/// An entry as it is stored.
fn row(entry: Entry) -> Throttled {
    let Entry { scope, bucket, identity, at_us } = entry;
    (scope.name().to_owned(), bucket, identity, i64::try_from(at_us).unwrap_or(i64::MAX))
}

/// Stores the log now and then until told to end, and then once more.
pub async fn keep(store: Arc<Store>, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut stored = 0;
    loop {
        let is_end = tokio::select! {
            () = tokio::time::sleep(INTERVAL) => false,
            // A sender that is gone can never say stop, and that is an end too.
            _ = stop.wait_for(|stop| *stop) => true,
        };
        let entries = shared.throttles(u64::try_from(now_us()).unwrap_or(0));
        // An idle server need not write that there is nothing to write.
        if !entries.is_empty() || stored > 0 {
            stored = entries.len();
            let rows: Vec<Throttled> = entries.into_iter().map(row).collect();
            store.write_soon(move |txn| txn.replace_throttled(&rows));
        }
        if is_end {
            return;
        }
    }
}
