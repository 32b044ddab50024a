//! What all requests share: throttles, counters, the document of the API.
//!
//! Invariant: locks are held for no longer than a look at a table, and never over an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::Semaphore;

use super::body::LARGE_BODY_COUNT_MAX;
use super::counters::Counters;
use super::reply::Refusal;
use super::throttle::{Entry, Full, HOSTING, Identity, Log, Rates, Scope};

/// How many requests are worked on at a time. A handler runs to its end even if its client is gone, so that connections alone
/// do not bound them.
const HANDLER_COUNT_MAX: usize = 512;

/// See the module.
pub struct Shared {
    /// The rates that hold.
    rates: Rates,
    /// What was let through.
    log: Mutex<Log>,
    /// Counts requests.
    pub counters: Counters,
    /// The OpenAPI document as JSON.
    pub(super) document: Bytes,
    /// Slots for bodies that are longer than usual.
    pub(super) large: Semaphore,
    /// Slots for requests that are worked on.
    pub(super) handlers: Arc<Semaphore>,
}

impl Shared {
    /// Begins with what a former process let through.
    pub(super) fn new(counters: Counters, document: Bytes, entries: Vec<Entry>, now_us: u64) -> Shared {
        Shared {
            rates: HOSTING,
            log: Mutex::new(Log::import(&HOSTING, entries, now_us)),
            counters,
            document,
            large: Semaphore::new(LARGE_BODY_COUNT_MAX),
            handlers: Arc::new(Semaphore::new(HANDLER_COUNT_MAX)),
        }
    }

    /// What was let through and still counts, to be stored.
    #[must_use]
    pub fn throttles(&self, now_us: u64) -> Vec<Entry> {
        self.log().export(&self.rates, now_us)
    }

    /// Lets a request through, or says how long to wait.
    pub(super) fn admit(&self, identity: &Identity, asked: &[(Scope, &str)], now_us: u64) -> Result<(), Refusal> {
        let admitted = self.log().admit(&self.rates, identity, asked, now_us);
        admitted.map_err(|Full { wait_secs }| Refusal::throttled(wait_secs))
    }

    /// The log; a panic while it was locked left at worst one request uncounted.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
