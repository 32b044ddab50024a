//! The open connections of a listener, and which one gives way when there are too many.
//!
//! A connection that sends nothing costs its peer nothing, so whoever comes must not wait for those: the one that has been
//! waited for longest gives way, first of those that never asked for anything. It knows no sockets. Invariant: there are
//! never more than so many at a time, and one whose request is under way or whose answer is being taken is never told to go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long a connection that was told to go is waited for before another one is.
const LEAVE_TIME: Duration = Duration::from_millis(20);
/// How long a peer may take nothing of its answer before its connection counts as idle; one that is merely slow takes some.
const STALL_TIME: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Crowd {
    /// How many there may be.
    count_max: usize,
    /// Those that are there, by number.
    members: Mutex<Members>,
    /// Told whenever one has gone.
    gone: Notify,
}

/// Who is there.
#[derive(Default)]
struct Members {
    /// By number.
    all: HashMap<u64, Member>,
    /// The number of the next one.
    next: u64,
}

/// A connection.
struct Member {
    /// How many requests are under way: one, or none.
    under_way: u32,
    /// Whether there ever was one.
    has_asked: bool,
    /// Whether an answer is being sent.
    is_sending: bool,
    /// Since when it is idle, if it is; else when the peer last took something.
    since: Instant,
    /// Tells it to go.
    leave: Arc<Notify>,
    /// Whether it was told.
    is_told: bool,
}

impl Member {
    /// Whether a request is under way or its answer being taken.
    fn is_busy(&self) -> bool {
        self.under_way > 0 || (self.is_sending && self.since.elapsed() < STALL_TIME)
    }
}

/// The place of a connection; it is free again when this is dropped.
pub(super) struct Place {
    /// Where.
    crowd: Arc<Crowd>,
    /// Its number.
    number: u64,
    /// Told when it shall go.
    leave: Arc<Notify>,
}

/// A request that is under way at a place.
pub(super) struct UnderWay<'p>(&'p Place);

impl Crowd {
    /// An empty one.
    pub(super) fn new(count_max: u32) -> Arc<Crowd> {
        Arc::new(Crowd { count_max: count_max as usize, members: Mutex::default(), gone: Notify::new() })
    }

    /// A place for one more, as soon as there is one.
    pub(super) async fn enter(self: &Arc<Crowd>) -> Place {
        loop {
            // Made before the look, so that nobody leaves unnoticed in between.
            let gone = self.gone.notified();
            if let Some(place) = self.place_now() {
                return place;
            }
            self.members().tell_idlest();
            timeout(LEAVE_TIME, gone).await.ok();
        }
    }

    /// Waits until nobody is there.
    pub(super) async fn empty(&self) {
        loop {
            let gone = self.gone.notified();
            if self.members().all.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// A place, if there is one.
    fn place_now(self: &Arc<Crowd>) -> Option<Place> {
        let mut members = self.members();
        if members.all.len() >= self.count_max {
            return None;
        }
        let (number, leave) = (members.next, Arc::new(Notify::new()));
        members.next += 1;
        let told = Arc::clone(&leave);
        let member = Member {
            under_way: 0,
            has_asked: false,
            is_sending: false,
            since: Instant::now(),
            leave: told,
            is_told: false,
        };
        members.all.insert(number, member);
        Some(Place { crowd: Arc::clone(self), number, leave })
    }

    /// Who is there; a panic while this was locked left a count wrong at worst.
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    /// Tells the one to go that has been idle for longest.
    fn tell_idlest(&mut self) {
        let idle = self.all.values_mut().filter(|member| !member.is_busy() && !member.is_told);
        if let Some(idlest) = idle.min_by_key(|member| (member.has_asked, member.since)) {
            idlest.is_told = true;
            idlest.leave.notify_one();
        }
    }
}

impl Place {
    /// Completes when the connection shall go; whether it ever asked for anything.
    pub(super) async fn left(&self) -> bool {
        self.leave.notified().await;
        self.crowd.members().all.get(&self.number).is_some_and(|member| member.has_asked)
    }

    /// Notes that a request has arrived; it is under way until what this returns is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        if let Some(member) = self.crowd.members().all.get_mut(&self.number) {
            member.under_way += 1;
            member.has_asked = true;
        }
        UnderWay(self)
    }

    /// Whether a request is under way or its answer being taken.
    pub(super) fn is_busy(&self) -> bool {
        self.crowd.members().all.get(&self.number).is_some_and(Member::is_busy)
    }

    /// Notes that something is sent, and that the peer takes it.
    pub(super) fn sends(&self) {
        if let Some(member) = self.crowd.members().all.get_mut(&self.number) {
            (member.is_sending, member.since) = (true, Instant::now());
        }
    }

    /// Notes that all there is to send was sent.
    pub(super) fn has_sent(&self) {
        if let Some(member) = self.crowd.members().all.get_mut(&self.number) {
            (member.is_sending, member.since) = (false, Instant::now());
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(member) = self.0.crowd.members().all.get_mut(&self.0.number) {
            member.under_way = member.under_way.saturating_sub(1);
            // Its answer is about to be sent, and nobody must find it idle in between.
            (member.is_sending, member.since) = (true, Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.members().all.remove(&self.number);
        self.crowd.gone.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_gives_way_and_whoever_works_stays() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let crowd = Crowd::new(3);
            let kept = crowd.enter().await;
            drop(kept.begin());
            kept.has_sent();
            let silent = crowd.enter().await;
            let busy = crowd.enter().await;
            let work = busy.begin();
            // Who never asked goes before who did, and that before nobody.
            for (goes, expected) in [(silent, false), (kept, true)] {
                let (place, has_asked) = tokio::join!(crowd.enter(), async {
                    let has_asked = goes.left().await;
                    drop(goes);
                    has_asked
                });
                assert_eq!(has_asked, expected);
                // The new ones work.
                std::mem::forget(place.begin());
                std::mem::forget(place);
            }
            assert!(timeout(LEAVE_TIME * 3, crowd.enter()).await.is_err());
            drop(work);
            assert!(busy.is_busy() && timeout(LEAVE_TIME * 3, crowd.enter()).await.is_err(), "its answer is not sent");
            busy.has_sent();
            assert!(!busy.is_busy());
            drop(busy);
            assert!(timeout(Duration::from_secs(30), crowd.enter()).await.is_ok());
        });
    }
}
