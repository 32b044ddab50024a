//! What the control socket of a running plane says.
//!
//! It reads counters and asks the slot; only retiring changes anything.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use snapshot::handover::frames::{PROTOCOL, Reply, Request, Status};

use crate::control::Desk;
use crate::engine::xdp::Watch;
use crate::slot::{Slot, Source};
use crate::stats::Stats;
use crate::stream::Stream;
use crate::worker::Order;

/// How long a reload may take before its client is told to ask again: a large snapshot on a slow disk.
const RELOAD_PATIENCE: Duration = Duration::from_secs(25);

/// Facts that do not change while the process lives.
#[derive(Debug, Clone, Default)]
pub(super) struct Fixed {
    /// The directory that is followed.
    pub(super) directory: String,
    /// The engine of the workers.
    pub(super) engine: String,
    /// Why better engines are not used.
    pub(super) engine_notes: Vec<String>,
    /// The addresses.
    pub(super) listen: Vec<String>,
    /// How many workers.
    pub(super) workers: u32,
}

impl Fixed {
    /// Adds how the interfaces of AF_XDP do.
    pub(super) fn tell(&mut self, watch: &Watch) {
        if watch.is_serving() {
            "xdp".clone_into(&mut self.engine);
        }
        self.engine_notes.extend(watch.notes());
    }
}

/// Answers requests about a plane.
pub(super) struct PlaneDesk<S: Source> {
    /// What does not change.
    pub(super) fixed: Fixed,
    /// The interfaces of AF_XDP, until the end.
    pub(super) watch: Mutex<Option<Watch>>,
    /// When the plane started.
    pub(super) started: Instant,
    /// The view and its loader.
    pub(super) slot: Slot<S>,
    /// The counters.
    pub(super) stats: Arc<Stats>,
    /// Listeners for a successor.
    pub(super) listeners: Mutex<Vec<TcpListener>>,
    /// To the workers.
    pub(super) order: Arc<Order>,
    /// To the TCP thread.
    pub(super) stream: Arc<Stream>,
    /// Whether a successor was told that we retire.
    pub(super) retiring: AtomicBool,
    /// Tells the main thread that a successor has taken over.
    pub(super) retired: Box<dyn Fn() + Send + Sync>,
}

impl<S: Source> PlaneDesk<S> {
    /// The present status.
    fn status(&self) -> Status {
        let facts = self.slot.facts();
        let mut fixed = self.fixed.clone();
        if let Some(watch) = self.watch.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            fixed.tell(watch);
        }
        Status {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_secs: self.started.elapsed().as_secs(),
            directory: fixed.directory,
            generation: facts.generation,
            zones: facts.zones,
            bytes: facts.bytes,
            refused: self.slot.refused(),
            engine: fixed.engine,
            engine_notes: fixed.engine_notes,
            listen: fixed.listen,
            workers: fixed.workers,
            retiring: self.retiring.load(Ordering::Acquire),
            quarantine: self.stats.quarantine.list(),
        }
    }
}

impl<S: Source> Desk for PlaneDesk<S> {
    fn reply(&self, request: Request) -> Reply {
        match request {
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Stats => Reply::Stats(self.stats.counters(self.slot.facts().generation)),
            Request::Reload => match self.slot.reload(RELOAD_PATIENCE) {
                Ok(serving) => Reply::Serving(serving),
                Err(message) => Reply::Error { message },
            },
            Request::Prepare(parcel) => match self.slot.prepare(&parcel) {
                Ok(()) => Reply::Prepared,
                Err(message) => Reply::Error { message },
            },
            Request::Retire if self.retiring.swap(true, Ordering::AcqRel) => {
                Reply::Error { message: "another successor has taken over already".to_owned() }
            }
            Request::Retire => {
                tracing::info!("a successor takes over");
                Reply::Retiring
            }
        }
    }

    fn hand_over(&self) -> Vec<TcpListener> {
        std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn retire(&self) {
        self.order.retire();
        self.stream.retire();
        (self.retired)();
    }
}
