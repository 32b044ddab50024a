//! Domains are signed anew before their signatures become old.
//!
//! Invariant: the publisher has published what was queued here before more is, and has had a rest for others' changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

use super::{Api, alarms};
use crate::change::{self, Actor};
use crate::dnssec::{PERIOD_SECS, PHASE_STEP};
use crate::rrset::Limits;
use crate::store::{DomainId, StoreError};

/// Time between two looks for old signatures, if nobody tells of some: 100,000 domains have twelve in a minute that become old.
const EVERY: Duration = Duration::from_secs(60);
/// How many domains are signed anew together: a publication of so many small ones takes some ten milliseconds.
const BATCH: usize = 8;
/// How many are looked for at once: finding them reads the index of signed domains.
const FOUND_MAX: usize = 1024;
/// How long the publisher may take for a batch.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(60);
/// How long it rests after a batch, as a multiple of what that took: most writes of others come in between then.
const REST_SHARE: u32 = 3;
/// The same at most.
const REST_MAX: Duration = Duration::from_secs(2);

/// Why a look for old signatures ended.
enum End {
    /// None are left.
    Done,
    /// The process shall end.
    Stopped,
    /// They cannot be renewed.
    Failed(String),
}

/// Has domains signed anew, and tells alarms by the command if there is one, until told to stop.
pub async fn keep(app: Arc<Api>, alarm: Vec<String>, stop: watch::Receiver<bool>) {
    let failure = Mutex::new(None);
    tokio::join!(renew(&app, &failure, stop.clone()), alarms::keep(&app, &failure, alarm, stop));
}

/// Has domains signed anew until told to stop; leaves behind why it cannot.
async fn renew(app: &Api, failure: &Mutex<Option<String>>, mut stop: watch::Receiver<bool>) {
    loop {
        let (count, end) = app.resign(&mut stop).await;
        if count > 0 {
            info!(count, "signed {count} domains anew");
        }
        let cause = match end {
            End::Done => None,
            End::Stopped => return,
            End::Failed(cause) => Some(cause),
        };
        if let Some(cause) = &cause {
            warn!("signatures are not renewed: {cause}");
        }
        *failure.lock().unwrap_or_else(PoisonError::into_inner) = cause;
        tokio::select! {
            () = app.due.notified() => {}
            is_over = rest(EVERY, &mut stop) => {
                if is_over {
                    return;
                }
            }
        }
    }
}

/// Waits; whether the process shall end.
pub(super) async fn rest(time: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        // The sender is gone when the process ends.
        _ = stop.wait_for(|stop| *stop) => true,
    }
}

impl Api {
    /// Has the domains signed anew that are due; how many were.
    async fn resign(&self, stop: &mut watch::Receiver<bool>) -> (usize, End) {
        let mut count = 0;
        loop {
            // A database that is not trusted is not written either; both are told elsewhere.
            let (Ok(()), Ok(now)) = (self.writable(), self.dnssec.clock().trusted()) else { return (count, End::Done) };
            let (now_secs, rhythm) = (now.us() / 1_000_000, (PHASE_STEP.cast_signed(), PERIOD_SECS.cast_signed()));
            let due = self.store.read(|reader| reader.stale_signed(now_secs, rhythm, FOUND_MAX));
            let due = match due.map_err(|error: StoreError| error.to_string()) {
                Ok(due) if due.is_empty() => return (count, End::Done),
                Ok(due) => due,
                Err(cause) => return (count, End::Failed(cause)),
            };
            for batch in due.chunks(BATCH) {
                let begun = Instant::now();
                if let Err(cause) = self.resign_batch(batch.to_vec()).await {
                    return (count, End::Failed(cause));
                }
                count += batch.len();
                if rest((begun.elapsed() * REST_SHARE).min(REST_MAX), stop).await {
                    return (count, End::Stopped);
                }
            }
        }
    }

    /// Has some domains signed anew, and waits until that is published.
    async fn resign_batch(&self, batch: Vec<DomainId>) -> Result<(), String> {
        let now = self.dnssec.clock().trusted().map_err(|doubt| doubt.to_string())?;
        let (account, house, limits) = (self.operator.id, Arc::clone(&self.house), Limits::OPERATOR);
        let actor = Actor { account, token: None, address: None, via: "resign", now_us: now.us(), limits, house };
        let resigned = self.store.write(move |txn| {
            change::resign(txn, &actor, &batch)?;
            Ok::<_, change::Refusal>(txn.head()?.change)
        });
        let change = resigned.await.map_err(|error| error.to_string())?;
        if self.publisher.published(change, PUBLISH_TIME_MAX).await {
            Ok(())
        } else {
            Err(format!("change {} is not published after {} s", change.0, PUBLISH_TIME_MAX.as_secs()))
        }
    }
}
