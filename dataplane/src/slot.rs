//! The slot: holds the view that is being served and the thread that puts the next one in.
//!
//! It knows no file format (see [`Source`]) and no sockets. Invariants: generations only grow; a generation that cannot
//! be had changes nothing but the refusal shown in status; an old view is freed here and never on a packet core.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use snapshot::handover::frames::{Parcel, Serving};

use crate::stats::{Block, Event};

/// How often the loader looks whether a generation came without a nudge.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause before a load that failed is tried again; the first pause is one [`POLL`], each next one twice that.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Reload requests that may wait; they are all satisfied by one load.
const REQUESTS_MAX: usize = 64;

/// Where views come from.
pub(crate) trait Source: Send + 'static {
    /// A generation in memory.
    type View: Send + Sync + 'static;

    /// The newest generation, or `None` if none was published yet. `previous` is being served; it is returned itself if
    /// it is the newest.
    ///
    /// # Errors
    /// One line for people.
    fn load(&mut self, previous: Option<&Arc<Self::View>>) -> Result<Option<Found<Self::View>>, String>;

    /// Something that changes when a generation is published: cheap, asked once a second.
    fn stamp(&mut self) -> Stamp;

    /// A view without zones.
    fn empty() -> Self::View;

    /// What is in a view.
    fn facts(view: &Self::View) -> Facts;

    /// What loads packs before a generation names them, if anything does.
    fn larder(&self) -> Option<Arc<dyn Prepare>> {
        None
    }
}

/// Loads packs that a generation will name, beside [`Source::load`], which then need not.
pub(crate) trait Prepare: Send + Sync {
    /// Has a pack in memory when it returns.
    ///
    /// # Errors
    /// One line for people; nothing is worse than before.
    fn prepare(&self, parcel: &Parcel) -> Result<(), String>;

    /// Called after each load, and about once a second: lets go of what nobody has named for long.
    fn tidy(&self);
}

/// What [`Source::load`] found.
pub(crate) struct Found<V> {
    /// The view to serve.
    pub(crate) view: Arc<V>,
    /// Why it is not the newest, if it is an older one.
    pub(crate) refused: Option<String>,
}

/// Identifies the state of a directory: inode and times of its pointer file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp(pub(crate) [i128; 3]);

/// What is in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// Its generation; `None` for the empty view.
    pub(crate) generation: Option<u64>,
    /// How many zones.
    pub(crate) zones: u64,
    /// Bytes of memory.
    pub(crate) bytes: u64,
}

/// A request to load, and where the outcome goes.
struct Ask {
    /// When it was made.
    begun: Instant,
    /// For the outcome.
    outcome: Sender<Result<Serving, String>>,
}

/// What all users of the slot share.
pub(crate) struct Slot<S: Source> {
    /// The view that is served.
    view: Arc<ArcSwap<S::View>>,
    /// Why the newest generation is not served.
    refused: Arc<Mutex<Option<String>>>,
    /// To the loader.
    asks: Sender<Ask>,
    /// What loads packs before they are named.
    larder: Option<Arc<dyn Prepare>>,
}

impl<S: Source> Clone for Slot<S> {
    fn clone(&self) -> Slot<S> {
        let (view, refused) = (Arc::clone(&self.view), Arc::clone(&self.refused));
        Slot { view, refused, asks: self.asks.clone(), larder: self.larder.clone() }
    }
}

impl<S: Source> Slot<S> {
    /// The view, for those who serve it.
    pub(crate) fn view(&self) -> Arc<ArcSwap<S::View>> {
        Arc::clone(&self.view)
    }

    /// What is in the view that is served.
    pub(crate) fn facts(&self) -> Facts {
        S::facts(&self.view.load())
    }

    /// Why the newest generation is not served.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the newest generation taken into service; waits up to `patience` for the outcome.
    ///
    /// # Errors
    /// One line for people; what was served before still is.
    pub(crate) fn reload(&self, patience: Duration) -> Result<Serving, String> {
        let (outcome, answer) = channel::bounded(1);
        let ask = Ask { begun: Instant::now(), outcome };
        self.asks.try_send(ask).map_err(|_| "too many reloads are waiting".to_owned())?;
        answer.recv_timeout(patience).map_err(|_| "the loader is still busy; ask again".to_owned())?
    }

    /// Has a pack loaded that a generation will name.
    ///
    /// # Errors
    /// One line for people; nothing is worse than before.
    pub(crate) fn prepare(&self, parcel: &Parcel) -> Result<(), String> {
        self.larder.as_ref().ok_or("packs are loaded when they are named")?.prepare(parcel)
    }

    /// Asks for a reload without waiting for it.
    pub(crate) fn nudge(&self) {
        let (outcome, _) = channel::bounded(1);
        if self.asks.try_send(Ask { begun: Instant::now(), outcome }).is_err() {
            tracing::debug!("a reload is under way already");
        }
    }
}

/// Loads the first view and starts the loader, which ends when all slots are dropped.
///
/// # Errors
/// If there is a generation but none can be had, or the thread cannot start.
pub(crate) fn open<S: Source>(mut source: S, block: Arc<Block>) -> io::Result<(Slot<S>, JoinHandle<()>)> {
    let stamp = source.stamp();
    let found = source.load(None).map_err(io::Error::other)?;
    let found = found.unwrap_or_else(|| Found { view: Arc::new(S::empty()), refused: None });
    if let Some(reason) = &found.refused {
        tracing::error!("serving an older generation: {reason}");
    }
    let ((asks, requests), larder) = (channel::bounded(REQUESTS_MAX), source.larder());
    let (view, refused) = (Arc::new(ArcSwap::new(found.view)), Arc::new(Mutex::new(found.refused)));
    let slot = Slot { view, refused, asks, larder: larder.clone() };
    let retry = slot.refused().map(|_| (Instant::now() + POLL, POLL));
    let (view, refused) = (slot.view(), Arc::clone(&slot.refused));
    let mut loader = Loader { source, larder, view, refused, graveyard: Vec::new(), stamp, retry, block };
    let thread = thread::Builder::new().name("loader".into()).spawn(move || loader.run(&requests))?;
    Ok((slot, thread))
}

/// The one who swaps.
struct Loader<S: Source> {
    /// Where views come from.
    source: S,
    /// What loads packs before they are named.
    larder: Option<Arc<dyn Prepare>>,
    /// The view that is served.
    view: Arc<ArcSwap<S::View>>,
    /// Why the newest generation is not served.
    refused: Arc<Mutex<Option<String>>>,
    /// Views that a worker may still use.
    graveyard: Vec<Arc<S::View>>,
    /// State of the directory at the last load.
    stamp: Stamp,
    /// When to try again, and the pause before that, if the newest generation is not served: what it lacks may come
    /// later than `CURRENT`, as when a directory is copied.
    retry: Option<(Instant, Duration)>,
    /// Counters.
    block: Arc<Block>,
}

impl<S: Source> Loader<S> {
    /// Loads on request and when the directory changes.
    fn run(&mut self, requests: &Receiver<Ask>) {
        loop {
            match requests.recv_timeout(POLL) {
                Ok(first) => {
                    // All that were made before this load begins are satisfied by it.
                    let asks: Vec<Ask> = std::iter::once(first).chain(requests.try_iter()).collect();
                    let outcome = self.load();
                    for ask in asks {
                        let millis = ask.begun.elapsed().as_secs_f64() * 1000.0;
                        let outcome = outcome.clone().map(|serving| Serving { millis, ..serving });
                        if ask.outcome.send(outcome).is_err() {
                            tracing::debug!("nobody waits for a reload any more");
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let is_due = self.retry.is_some_and(|(due, _)| due <= Instant::now());
                    if (is_due || self.source.stamp() != self.stamp)
                        && let Err(reason) = self.load()
                    {
                        tracing::debug!(reason, "the poll found a generation that is refused");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.larder.iter().for_each(|larder| larder.tidy());
            self.graveyard.retain(|view| Arc::strong_count(view) > 1);
        }
    }

    /// Takes the newest generation into service, or notes when to try again.
    fn load(&mut self) -> Result<Serving, String> {
        let outcome = self.try_load();
        let is_newest = outcome.is_ok() && self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        self.retry = (!is_newest).then(|| {
            let pause = self.retry.map_or(POLL, |(_, pause)| (pause * 2).min(RETRY_MAX));
            (Instant::now() + pause, pause)
        });
        outcome
    }

    /// Takes the newest generation into service.
    fn try_load(&mut self) -> Result<Serving, String> {
        // Taken before the load: what is published meanwhile changes it again.
        self.stamp = self.source.stamp();
        let serving = self.view.load_full();
        let before = S::facts(&serving);
        let previous = before.generation.is_some().then_some(&serving);
        // A panic here is as good as an error: what is in service stays.
        let loaded = panic::catch_unwind(AssertUnwindSafe(|| self.source.load(previous)));
        let loaded = loaded.unwrap_or_else(|_| Err("loading the newest generation panicked".to_owned()));
        let outcome = loaded.and_then(|found| match found {
            Some(Found { refused: Some(reason), .. }) if before.generation.is_some() => Err(reason),
            Some(found) => Ok(found),
            None => Err("the directory holds no generation yet".to_owned()),
        });
        let found = match outcome {
            Ok(found) => found,
            Err(reason) => return Err(self.refuse(reason)),
        };
        let after = S::facts(&found.view);
        if after.generation < before.generation {
            let shown = |facts: Facts| facts.generation.map_or("none".to_owned(), |number| number.to_string());
            let reason = format!("generation {} is older than {}", shown(after), shown(before));
            return Err(self.refuse(reason));
        }
        let fresh = after.generation != before.generation;
        if fresh {
            drop(serving);
            self.graveyard.push(self.view.swap(found.view));
            self.block.add(Event::ReloadOk, 1);
            let generation = after.generation.unwrap_or(0);
            tracing::info!(generation, zones = after.zones, "serving generation {generation}");
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = found.refused;
        Ok(Serving { generation: after.generation.unwrap_or(0), fresh, millis: 0.0 })
    }

    /// Keeps what is served and says why, once for each reason.
    fn refuse(&mut self, reason: String) -> String {
        self.block.add(Event::ReloadFailed, 1);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref() != Some(&reason) {
            tracing::error!("the newest generation is refused, the last good one stays: {reason}");
        }
        *refused = Some(reason.clone());
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays back what a test queued: `Ok(None)` is an empty directory.
    struct Fake(Receiver<Result<Option<u64>, &'static str>>);

    impl Source for Fake {
        type View = u64;

        fn load(&mut self, _: Option<&Arc<u64>>) -> Result<Option<Found<u64>>, String> {
            let next = self.0.try_recv().unwrap()?;
            Ok(next.map(|generation| Found { view: Arc::new(generation), refused: None }))
        }

        fn stamp(&mut self) -> Stamp {
            Stamp::default()
        }

        fn empty() -> u64 {
            0
        }

        fn facts(view: &u64) -> Facts {
            Facts { generation: (*view > 0).then_some(*view), zones: 1, bytes: 8 }
        }
    }

    /// Opens a slot on `outcomes`, reloads for each but the first and shows what each step serves.
    fn check_reloads(outcomes: &[Result<Option<u64>, &'static str>], expected: &[&str]) {
        let (sender, receiver) = channel::unbounded();
        outcomes.iter().for_each(|outcome| sender.send(*outcome).unwrap());
        let (slot, loader) = open(Fake(receiver), Arc::default()).unwrap();
        let mut steps = vec![format!("{}", slot.view().load())];
        for _ in 1..outcomes.len() {
            let outcome = match slot.reload(Duration::from_secs(10)) {
                Ok(serving) => if serving.fresh { "fresh" } else { "same" }.to_owned(),
                Err(reason) => reason,
            };
            let refused = if slot.refused().is_some() { ", refused" } else { "" };
            steps.push(format!("{} {outcome}{refused}", slot.view().load()));
        }
        drop(slot);
        loader.join().unwrap();
        assert_eq!(steps, expected);
    }

    #[test]
    fn generations_only_grow_and_a_refused_one_changes_nothing() {
        check_reloads(
            &[Ok(Some(3)), Ok(Some(4)), Ok(Some(4)), Ok(Some(2)), Err("broken"), Ok(None), Ok(Some(5))],
            &[
                "3",
                "4 fresh",
                "4 same",
                "4 generation 2 is older than 4, refused",
                "4 broken, refused",
                "4 the directory holds no generation yet, refused",
                "5 fresh",
            ],
        );
    }

    #[test]
    fn a_panic_while_loading_changes_nothing() {
        let (sender, receiver) = channel::unbounded();
        sender.send(Ok(Some(1))).unwrap();
        let (slot, loader) = open(Fake(receiver), Arc::default()).unwrap();
        // Nothing is queued, so the fake panics.
        let reason = slot.reload(Duration::from_secs(10)).unwrap_err();
        assert!(reason.contains("panicked"), "{reason}");
        sender.send(Ok(Some(2))).unwrap();
        assert_eq!(slot.reload(Duration::from_secs(10)).unwrap().generation, 2);
        drop(slot);
        loader.join().unwrap();
    }

    #[test]
    fn what_was_refused_is_tried_again_without_being_asked() {
        let (sender, receiver) = channel::unbounded();
        for outcome in [Ok(Some(1)), Err("a pack is missing"), Ok(Some(2))] {
            sender.send(outcome).unwrap();
        }
        let (slot, loader) = open(Fake(receiver), Arc::default()).unwrap();
        assert!(slot.reload(Duration::from_secs(10)).is_err());
        let begun = Instant::now();
        while slot.facts().generation != Some(2) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the load is never tried again");
            thread::yield_now();
        }
        drop(slot);
        loader.join().unwrap();
    }

    #[test]
    fn an_empty_directory_is_served_empty_until_the_first_generation() {
        check_reloads(
            &[Ok(None), Ok(None), Ok(Some(1))],
            &["0", "0 the directory holds no generation yet, refused", "1 fresh"],
        );
    }

    #[test]
    fn a_directory_whose_every_generation_is_broken_is_an_error() {
        let (sender, receiver) = channel::unbounded();
        sender.send(Err("all broken")).unwrap();
        let error = open(Fake(receiver), Arc::default()).err().unwrap();
        assert_eq!(error.to_string(), "all broken");
    }

    #[test]
    fn an_old_view_is_freed_by_the_loader_after_its_last_reader() {
        let (sender, receiver) = channel::unbounded();
        (1..=3).for_each(|generation| sender.send(Ok(Some(generation))).unwrap());
        let (slot, loader) = open(Fake(receiver), Arc::default()).unwrap();
        let reader = slot.view().load_full();
        slot.reload(Duration::from_secs(10)).unwrap();
        assert_eq!(Arc::strong_count(&reader), 2, "the graveyard holds it too");
        let weak = Arc::downgrade(&reader);
        drop(reader);
        slot.reload(Duration::from_secs(10)).unwrap();
        drop(slot);
        loader.join().unwrap();
        assert!(weak.upgrade().is_none());
    }
}
