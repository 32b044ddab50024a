//! What all requests share: throttles and counters.
//!
//! Invariant: locks are held for no longer than a look at a table, and never over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reply::Refusal;
use super::throttle::{Entry, Full, HOSTING, Identity, Log, Rates, Scope};

/// See the module.
pub struct Shared {
    /// The rates that hold.
    rates: Rates,
    /// What was let through.
    log: Mutex<Log>,
}

impl Shared {
    /// Begins with what a former process let through.
    #[must_use]
    pub fn new(entries: Vec<Entry>, now_us: u64) -> Shared {
        Shared { rates: HOSTING, log: Mutex::new(Log::import(&HOSTING, entries, now_us)) }
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
