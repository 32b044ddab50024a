//! Signals of name servers (RFC 9615) that changes did not bring into line: those about domains that were there before the
//! domain with the signals, or about whatever a database that was brought back no longer has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::{Api, aside};
use crate::change::{self, Actor, Due, Refusal};
use crate::clock::now_us;
use crate::rrset::Limits;
use crate::store::DomainId;
use crate::store::domains::Domain;

/// Time between two looks for domains with signals that are new.
const EVERY: Duration = Duration::from_secs(5);
/// So many looks lie between two sweeps: 100,000 domains take some ten seconds of a core.
const SWEEP_EVERY: u32 = 720;
/// How many domains or RRsets are looked at together, and how many signals are made by one transaction.
const BATCH: usize = 256;

/// Has signals brought into line, until told to stop.
pub async fn keep(app: Arc<Api>, mut stop: watch::Receiver<bool>) {
    let (mut known, mut looks) = (Vec::new(), 0);
    loop {
        let found = app.store.read(|reader| reader.signal_domains()).unwrap_or_default();
        let names: Vec<(DomainId, String)> = found.iter().map(|domain| (domain.id, domain.name.clone())).collect();
        if names != known || looks >= SWEEP_EVERY {
            // What fails is found again by the next sweep.
            match app.sweep_signals(&found, &stop).await {
                Ok(count) if count > 0 => info!(count, "brought {count} signals of name servers into line"),
                Ok(_) => {}
                Err(error) => warn!("signals of name servers stay as they are: {error}"),
            }
            (known, looks) = (names, 0);
        }
        looks += 1;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // The sender is gone when the process ends.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Api {
    /// Looks at all signed domains and all signals; how many were not right.
    async fn sweep_signals(&self, signals: &[Domain], stop: &watch::Receiver<bool>) -> Result<usize, Refusal> {
        let mut count = 0;
        if signals.is_empty() || self.writable().is_err() {
            return Ok(count);
        }
        let suffixes = &self.settings.local_suffixes;
        let mut after = Some(DomainId(0));
        while let Some(from) = after.filter(|_| !*stop.borrow()) {
            let read = || self.store.read(|reader| change::due_children(reader, suffixes, from, BATCH));
            let (due, next) = aside(read)?;
            count += self.heal_signals(due).await?;
            after = next;
        }
        for signal in signals {
            let mut after = Some((i64::MIN, i64::MIN));
            while let Some(from) = after.filter(|_| !*stop.borrow()) {
                let read = || self.store.read(|reader| change::due_records(reader, suffixes, signal, from, BATCH));
                let (due, next) = aside(read)?;
                count += self.heal_signals(due).await?;
                after = next;
            }
        }
        Ok(count)
    }

    /// Makes signals right; how many.
    async fn heal_signals(&self, due: Vec<Due>) -> Result<usize, Refusal> {
        let count = due.len();
        if count > 0 {
            let (account, house) = (self.operator.id, Arc::clone(&self.house));
            let limits = Limits::OPERATOR;
            let actor = Actor { account, token: None, address: None, via: "signal", now_us: now_us(), limits, house };
            self.store.write(move |txn| change::heal(txn, &actor, &due)).await?;
        }
        Ok(count)
    }
}
