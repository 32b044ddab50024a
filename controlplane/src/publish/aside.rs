//! Threads that compile a zone whole, beside the publishing.
//!
//! Each reads the state of the database that it finds when it begins, which is not older than any that was published before.
//! What is served of the zone it reads too: signatures over what stayed the same are used again. What is large comes back as a
//! pack that data planes have loaded. Invariant: every zone that was begun comes back, compiled or with a cause.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{self, Receiver, Sender};
use rustix::process::setpriority_process;
use snapshot::handover::{Directory, Shelf, explain};
use snapshot::image::Segment;
use tracing::debug;

use super::Settings;
use super::deliver::deliver;
use super::piece::{Base, Piece};
use super::served::ServedZone;
use super::threads::spawn;
use super::zone::{self, ZoneError};
use crate::dnssec::Dnssec;
use crate::store::{DomainId, Store};

/// How many big zones are compiled at a time: each takes the memory of a whole zone twice, and all cores.
const BIG_AT_ONCE_MAX: usize = 2;
/// The same of others, which wait for a device most of the time.
const SMALL_AT_ONCE_MAX: usize = 4;
/// How much lower their priority is: who answers questions on the same core, or waits for a smaller change, is not kept from it
/// for whole time slices.
const NICE: i32 = 19;

/// Tells what is begun apart: a zone that was compiled otherwise meanwhile takes nothing from an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobId(u64);

/// Which zones wait for one another: those that take long must not keep others waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Reading and compiling them takes long.
    Big,
    /// Signing them may.
    Small,
}

/// A zone that was compiled.
pub(super) struct Compiled {
    /// Which job.
    pub(super) id: JobId,
    /// The domain.
    pub(super) domain: DomainId,
    /// Its size.
    pub(super) size: Size,
    /// What came of it.
    pub(super) base: Result<Base, ZoneError>,
}

/// A zone that waits for a thread.
struct Waiting {
    /// Which job.
    id: JobId,
    /// The domain.
    domain: DomainId,
}

/// The threads.
pub(super) struct Aside {
    /// What they work with.
    tools: Arc<Tools>,
    /// Where they put what they made.
    done: Sender<Compiled>,
    /// What they made.
    compiled: Receiver<Compiled>,
    /// How many were begun.
    begun: u64,
    /// Those of big zones.
    big: Lane,
    /// Those of others.
    small: Lane,
}

/// What all threads work with.
struct Tools {
    /// The database.
    store: Arc<Store>,
    /// What signs.
    signer: Option<Arc<Dnssec>>,
    /// The snapshot directory.
    snapshots: PathBuf,
    /// Where large packs are made ready.
    shelf: Shelf,
    /// The control sockets of the data planes.
    planes: Vec<PathBuf>,
}

/// Zones of one size.
struct Lane {
    /// How many threads there may be.
    at_once_max: usize,
    /// How many there are.
    running: usize,
    /// Zones that wait until there are fewer.
    waiting: VecDeque<Waiting>,
}

impl Lane {
    /// Nothing yet.
    fn new(at_once_max: usize) -> Lane {
        Lane { at_once_max, running: 0, waiting: VecDeque::new() }
    }

    /// Whether a zone would be begun at once.
    fn has_room(&self) -> bool {
        self.running < self.at_once_max
    }

    /// The next zone to begin, if there is room.
    fn next(&mut self) -> Option<Waiting> {
        let next = if self.has_room() { self.waiting.pop_front() } else { None };
        self.running += usize::from(next.is_some());
        next
    }
}

impl Aside {
    /// None yet.
    pub(super) fn new(store: Arc<Store>, settings: &Settings, shelf: Shelf) -> Aside {
        let Settings { snapshots, planes, dnssec: signer, .. } = settings.clone();
        let tools = Arc::new(Tools { store, signer, snapshots, shelf, planes });
        let (done, compiled) = channel::unbounded();
        let (big, small) = (Lane::new(BIG_AT_ONCE_MAX), Lane::new(SMALL_AT_ONCE_MAX));
        Aside { tools, done, compiled, begun: 0, big, small }
    }

    /// What comes of it.
    pub(super) fn compiled(&self) -> Receiver<Compiled> {
        self.compiled.clone()
    }

    /// Whether a big zone would be begun at once.
    pub(super) fn has_room(&self) -> bool {
        self.big.has_room()
    }

    /// Has a zone compiled, as soon as there is room.
    pub(super) fn begin(&mut self, domain: DomainId, size: Size) -> JobId {
        self.begun += 1;
        let id = JobId(self.begun);
        self.lane(size).waiting.push_back(Waiting { id, domain });
        self.start(size);
        id
    }

    /// Takes note that a thread has ended, so that the next zone can begin.
    pub(super) fn ended(&mut self, size: Size) {
        self.lane(size).running -= 1;
        self.start(size);
    }

    /// The zones of a size.
    fn lane(&mut self, size: Size) -> &mut Lane {
        match size {
            Size::Big => &mut self.big,
            Size::Small => &mut self.small,
        }
    }

    /// Starts what waits, if there is room.
    fn start(&mut self, size: Size) {
        while let Some(Waiting { id, domain }) = self.lane(size).next() {
            let (tools, done) = (Arc::clone(&self.tools), self.done.clone());
            let compile = move || {
                setpriority_process(None, NICE).ok();
                let base = tools.compile(domain).and_then(|segment| tools.make_ready(segment));
                // Whoever publishes may have ended.
                done.send(Compiled { id, domain, size, base }).ok();
            };
            if let Err(cause) = spawn("compile", compile) {
                self.done.send(Compiled { id, domain, size, base: Err(ZoneError::Thread(cause)) }).ok();
            }
        }
    }
}

impl Tools {
    /// Compiles a zone whole. The state of the database is held only while it is read: the log cannot be moved meanwhile.
    fn compile(&self, domain: DomainId) -> Result<Segment, ZoneError> {
        let prepared = self.store.read(|reader| {
            let row = reader.domain(domain)?.ok_or(ZoneError::Gone)?;
            zone::prepare(reader, &row, self.signer.as_deref())
        })?;
        if !prepared.is_signed() || prepared.is_remembered() {
            return prepared.compile(());
        }
        let served =
            Directory::open(&self.snapshots).and_then(|directory| ServedZone::load(&directory, prepared.apex()));
        match served {
            Ok(Some(served)) if self.store.read(|reader| served.is_of(reader, domain))? => prepared.compile(served),
            Ok(_) => prepared.compile(()),
            Err(error) => {
                debug!("all of {} is signed anew: {}", prepared.apex(), explain(&error));
                prepared.compile(())
            }
        }
    }

    /// Has a large segment on the disk and in the memory of the data planes, so that publishing it takes nobody's time.
    fn make_ready(&self, segment: Segment) -> Result<Base, ZoneError> {
        let base = Base::put(segment, &self.shelf).map_err(|error| ZoneError::NotReady(explain(&error)))?;
        if let Piece::Ready(_, ready) = &base.piece {
            deliver(&self.planes, &[ready.parcel()]);
        }
        Ok(base)
    }
}
