//! Looks for what the operator must know about signing, and keeps what is known of the clock.
//!
//! When it is told, and how, is `alarm`'s.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Api, aside, signing};
use crate::alarm::{Alarms, Kind, Trouble};
use crate::clock::Anchor;
use crate::store::StoreError;
use crate::store::domains::Denial;
use crate::store::signatures::Ending;
use crate::value::Timestamp;

/// Time between two looks; so old can the mark be after a crash.
const EVERY: Duration = Duration::from_secs(60);
/// Signatures that end earlier than in so many seconds are told: all are renewed when 15 days are left.
pub(super) const EXPIRING_SECS: u64 = 10 * 86_400;
/// How many domains are looked at of each kind of trouble.
const LOOKED_MAX: usize = 1000;

/// Looks until told to stop; `failure` is why signatures are not renewed, if so.
pub(super) async fn keep(
    app: &Api,
    failure: &Mutex<Option<String>>,
    command: Vec<String>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut alarms, mut kept) = (Alarms::new(command), (None, None));
    loop {
        let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        aside(|| app.watch_signatures(&mut alarms, failed));
        app.keep_clock(&mut kept);
        if signing::rest(EVERY, &mut stop).await {
            return;
        }
    }
}

impl Api {
    /// Looks for everything that can be wrong.
    fn watch_signatures(&self, alarms: &mut Alarms, failed: Option<String>) {
        let now = Instant::now();
        let doubt = self.dnssec.clock().trusted().err();
        // Where nothing is signed, nobody need care.
        let signs = self.store.read(|reader| reader.has_keys()).unwrap_or(false);
        let clock = alone(doubt.filter(|_| signs).map(|doubt| doubt.to_string()));
        alarms.tell(Kind::Clock, &clock, 1, now);
        alarms.tell(Kind::Renewal, &alone(failed), 1, now);
        let before = self.expiring_before();
        let found = self.store.read(|reader| {
            Ok::<_, StoreError>((
                reader.signatures_ending(before, LOOKED_MAX)?,
                reader.count_signatures_ending(before)?,
            ))
        });
        // A database that cannot be read is told of elsewhere.
        if let Ok((ending, count)) = found {
            let ending: Vec<Trouble> = ending.into_iter().map(trouble).collect();
            alarms.tell(Kind::Expiring, &ending, count, now);
        }
        if doubt.is_none() {
            let refused = self.refused_signed();
            alarms.tell(Kind::Refused, &refused, u64::try_from(refused.len()).unwrap_or(u64::MAX), now);
        }
    }

    /// Signatures that end before this time, in seconds since 1970, are told.
    pub(super) fn expiring_before(&self) -> u64 {
        let likely_secs = u64::try_from(self.dnssec.clock().likely_us() / 1_000_000).unwrap_or(0);
        likely_secs.saturating_add(EXPIRING_SECS)
    }

    /// Signed domains that keep older content.
    fn refused_signed(&self) -> Vec<Trouble> {
        let refused = self.publisher.progress().refused;
        let found = self.store.read(|reader| {
            let mut found = Vec::new();
            for (name, cause) in refused.into_iter().take(LOOKED_MAX) {
                if reader.domain_by_name(&name)?.is_some_and(|domain| domain.denial != Denial::Off) {
                    found.push(Trouble { subject: name, text: cause });
                }
            }
            Ok(found)
        });
        found.unwrap_or_else(|_: StoreError| Vec::new())
    }

    /// Keeps mark and anchor of the clock with the next transaction, if they are others than before.
    fn keep_clock(&self, kept: &mut (Option<i64>, Option<Anchor>)) {
        let clock = self.dnssec.clock();
        let found = (clock.mark_us(), clock.anchor());
        if let (Some(mark_us), anchor) = found
            && found != *kept
            && self.writable().is_ok()
        {
            let anchor = anchor.map(|anchor| anchor.octets());
            self.store.write_soon(move |txn| txn.set_clock(mark_us, anchor.as_ref().map(<[u8; _]>::as_slice)));
            *kept = found;
        }
    }
}

/// The one trouble of its kind.
fn alone(text: Option<String>) -> Vec<Trouble> {
    text.into_iter().map(|text| Trouble { subject: String::new(), text }).collect()
}

/// A domain whose signatures end.
fn trouble(ending: Ending) -> Trouble {
    let at_us = i64::try_from(ending.at_unix_secs.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    Trouble { subject: ending.name, text: format!("the first ends at {}", Timestamp::from_micros(at_us)) }
}
