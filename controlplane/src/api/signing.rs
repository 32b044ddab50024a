//! Domains are signed anew before their signatures become old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::Api;
use crate::change::{self, Actor};
use crate::clock::now_us;
use crate::dnssec::{PERIOD_SECS, PHASE_STEP};
use crate::rrset::Limits;
use crate::store::StoreError;

/// Time between two looks for old signatures: 100,000 domains have twelve in a minute that become old.
const EVERY: Duration = Duration::from_secs(60);
/// How many domains one transaction has signed anew, so that no write waits for long behind it.
const BATCH: usize = 32;
/// How many batches one look brings: the rest is found by the next.
const BATCHES_MAX: usize = 64;

/// Has domains signed anew, until told to stop.
pub async fn keep(app: Arc<Api>, mut stop: watch::Receiver<bool>) {
    loop {
        app.resign().await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // The sender is gone when the process ends.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Api {
    /// Has the domains signed anew that are due.
    async fn resign(&self) {
        let mut count = 0;
        for _ in 0..BATCHES_MAX {
            // A database that is not trusted is not written either.
            if self.writable().is_err() {
                return;
            }
            let now_us = now_us();
            let rhythm = (PHASE_STEP.cast_signed(), PERIOD_SECS.cast_signed());
            let due = self.store.read(|reader| reader.stale_signed(now_us / 1_000_000, rhythm, BATCH));
            let due = due.unwrap_or_else(|error: StoreError| {
                warn!("signatures are not renewed: {error}");
                Vec::new()
            });
            if due.is_empty() {
                break;
            }
            let (account, house) = (self.operator.id, Arc::clone(&self.house));
            let actor =
                Actor { account, token: None, address: None, via: "resign", now_us, limits: Limits::OPERATOR, house };
            count += due.len();
            if let Err(error) = self.store.write(move |txn| change::resign(txn, &actor, &due)).await {
                return warn!("signatures are not renewed: {error}");
            }
        }
        if count > 0 {
            info!(count, "signing {count} domains anew");
        }
    }
}
