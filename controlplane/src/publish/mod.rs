//! From committed to served: compiles what changed, publishes a generation, and knows when the data planes serve it.
//!
//! One thread takes what waits in the outbox, all of it at once, so that a burst becomes one generation while a change
//! alone waits for nothing. Links (one thread per data plane) nudge and take the acknowledgements. Not here: what a zone
//! may contain (`change`). Invariants: what is published is one committed state of the database, and its manifest names
//! the last change in it; a zone that cannot be compiled, or is being signed by a thread of its own, keeps its last good
//! segment and holds up no other; a database that is behind the published manifest publishes nothing.

mod aside;
mod big;
mod deliver;
mod files;
mod guard;
mod held;
mod link;
mod parts;
mod piece;
mod places;
mod resting;
mod round;
mod rows;
mod served;
mod signed;
mod threads;
mod worker;
mod zone;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::handover::{Directory, HandoverError, LockError};
use snapshot::image::Segment;
use tokio::sync::watch;

use crate::dnssec::Dnssec;
use crate::geo::Watch;
use crate::sign::Published;
use crate::store::{ChangeId, Store, StoreError};

pub use files::FilesUnknown;
use files::{FileZones, Knowledge};
pub use guard::{Quarantine, accept, compare};
use held::HeldChanges;
use round::{Held, Refused};

/// How the publisher starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The snapshot directory.
    pub snapshots: PathBuf,
    /// The control sockets of the data planes.
    pub planes: Vec<PathBuf>,
    /// The key that signs what is published, for data planes that ask for it.
    pub sign: Option<PathBuf>,
    /// What signs domains; without it those that shall be signed keep what is published.
    pub dnssec: Option<Arc<Dnssec>>,
}

/// How far publishing is, for whoever waits for it.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The last change that is in a published generation.
    pub change: ChangeId,
    /// That generation; `None` before the first.
    pub generation: Option<u64>,
    /// When it was published, in microseconds since 1970.
    pub at_us: i64,
    /// What each data plane serves, in the order of the settings.
    pub planes: Vec<PlaneProgress>,
    /// Zones that keep an older segment, by name, and why.
    pub refused: HashMap<String, String>,
    /// Changes up to that one which are not published yet, because their zones are being signed or refused.
    held: HeldChanges,
    /// Why nothing is published at all, if so.
    pub stopped: Option<String>,
    /// Counters for the metrics.
    pub counts: Counts,
}

/// Counters since start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Generations published.
    pub generations: u64,
    /// Changes in them.
    pub changes: u64,
    /// Zones compiled.
    pub zones: u64,
    /// Overlays among them.
    pub overlays: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Time from taking the outbox to `CURRENT`, summed, in microseconds.
    pub publish_us: u64,
    /// Packs of the newest generation.
    pub packs: u64,
}

/// What is known of a data plane.
#[derive(Debug, Clone)]
pub struct PlaneProgress {
    /// Its control socket.
    pub path: PathBuf,
    /// Whether it answers.
    pub attached: bool,
    /// The last change it serves.
    pub change: ChangeId,
    /// The generation it serves.
    pub generation: Option<u64>,
}

/// Who serves a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Every data plane that is attached, and one is.
    Yes,
    /// Not all of them, in the time that was given.
    NotYet,
    /// No data plane is attached.
    Nobody,
    /// Nobody, as its zone cannot be published as it is and keeps what was before.
    Refused,
}

/// Why the publisher did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process publishes into the directory, or it cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The directory.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(std::io::Error),
}

/// The publisher, as the rest of the process sees it. Dropping it ends its threads.
pub struct Publisher {
    /// How far it is.
    progress: watch::Receiver<Progress>,
    /// Why the database is not trusted, if it is not.
    quarantine: Option<Quarantine>,
    /// The zones that were compiled from files, once they are known.
    files: watch::Receiver<Knowledge>,
    /// The threads.
    threads: worker::Threads,
    /// Where tables of places go.
    tables: Sender<Option<Segment>>,
    /// What reads them, if anything does.
    watch: Option<Watch>,
    /// The snapshot directory.
    snapshots: PathBuf,
}

impl Publisher {
    /// Becomes the writer of the snapshot directory, compares it with the database, and starts publishing.
    ///
    /// # Errors
    /// [`StartError`]. A database that is behind the directory is no error: see [`Publisher::quarantine`].
    pub fn start(store: Arc<Store>, settings: &Settings) -> Result<Publisher, StartError> {
        worker::start(store, settings)
    }

    /// Publishes where addresses are, as the database of places in a file says, now and whenever that changes; without a
    /// file, a table that is published goes.
    ///
    /// # Errors
    /// That of the system, if there is no thread to be had. What ails the file is told in the log.
    pub fn follow_places(&mut self, file: Option<PathBuf>) -> std::io::Result<()> {
        self.watch = match file {
            Some(file) => Some(Watch::start(file, self.tables.clone())?),
            None => {
                // The worker ends after us.
                self.tables.send(None).ok();
                None
            }
        };
        Ok(())
    }

    /// How far it is now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Whether a change is in a published generation.
    #[must_use]
    pub fn has(&self, change: ChangeId) -> bool {
        self.progress.borrow().has(change)
    }

    /// Who serves a change now.
    #[must_use]
    pub fn served(&self, change: ChangeId) -> Served {
        self.progress.borrow().served(change)
    }

    /// The newest generation.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.progress.borrow().generation
    }

    /// Why a zone keeps an older segment, if it does.
    #[must_use]
    pub fn refusal_of(&self, name: &str) -> Option<String> {
        self.progress.borrow().refused.get(name).cloned()
    }

    /// Why a change is not published, if that is because its zone keeps an older segment.
    #[must_use]
    pub fn refusal_of_change(&self, change: ChangeId) -> Option<String> {
        let progress = self.progress.borrow();
        progress.held.refused(change).and_then(|zone| progress.refused.get(zone)).cloned()
    }

    /// RDATA of the DNSKEY records of a zone in service; none if it is not signed, or not in service. Reads the directory.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn dnskeys_served(&self, apex: NameRef<'_>) -> Result<Vec<Vec<u8>>, HandoverError> {
        let zone = served::ServedZone::load(&Directory::open(&self.snapshots)?, apex)?;
        let mut rdatas = Vec::new();
        zone.iter().for_each(|zone| {
            zone.records(apex, &mut |record| {
                if record.rtype == Rtype::DNSKEY {
                    rdatas.push(record.rdata.to_vec());
                }
            });
        });
        Ok(rdatas)
    }

    /// Why the database is not trusted, if it is not: nothing is published then, and nothing should be written.
    #[must_use]
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.as_ref()
    }

    /// How many names the zone has that is served from a file under this name, if one is. Right after the start this waits
    /// until the snapshot directory is read.
    ///
    /// # Errors
    /// [`FilesUnknown`] while it cannot be read, and if it is not published into.
    pub async fn file_zone(&self, name: &str) -> Result<Option<u32>, FilesUnknown> {
        Ok(self.file_zones().await?.names(name))
    }

    /// Whether a zone is served from a file below this name, or under one of its `ancestors`.
    ///
    /// # Errors
    /// [`FilesUnknown`].
    pub async fn is_near_file_zone(&self, name: &str, ancestors: &[&str]) -> Result<bool, FilesUnknown> {
        let files = self.file_zones().await?;
        Ok(files.has_below(name) || ancestors.iter().any(|ancestor| files.names(ancestor).is_some()))
    }

    /// The zones that are served from files.
    async fn file_zones(&self) -> Result<Arc<FileZones>, FilesUnknown> {
        let mut files = self.files.clone();
        let known = files.wait_for(|known| !matches!(known, Knowledge::Pending)).await;
        match known.as_deref() {
            Ok(Knowledge::Found(files)) => Ok(Arc::clone(files)),
            _ => Err(FilesUnknown),
        }
    }

    /// Notes that a domain has taken the place of a zone that was compiled from a file.
    pub fn forget_file_zone(&self, name: &str) {
        if let Knowledge::Found(files) = &*self.files.borrow() {
            files.forget(name);
        }
    }

    /// Waits until all attached data planes serve a change or it is refused, at most for `patience`.
    pub async fn wait(&self, change: ChangeId, patience: Duration) -> Served {
        let deadline = tokio::time::Instant::from_std(Instant::now() + patience);
        let mut progress = self.progress.clone();
        let mut last = progress.borrow_and_update().served(change);
        while last != Served::Yes {
            // Nobody to wait for: the change is published, or will be without us.
            if last == Served::Refused || (last == Served::Nobody && progress.borrow().has(change)) {
                return last;
            }
            let changed = tokio::time::timeout_at(deadline, progress.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return last;
            }
            last = progress.borrow_and_update().served(change);
        }
        last
    }

    /// Waits until a change is in a published generation, at most for `patience`; whether it is.
    pub async fn published(&self, change: ChangeId, patience: Duration) -> bool {
        let mut progress = self.progress.clone();
        let published = progress.wait_for(|progress| progress.change >= change);
        matches!(tokio::time::timeout(patience, published).await, Ok(Ok(_)))
    }

    /// Waits until all data planes serve a change, for so long at most; whether they do.
    pub async fn served_by_all(&self, change: ChangeId, patience: Duration) -> bool {
        let mut progress = self.progress.clone();
        let served = progress.wait_for(|progress| progress.is_served_by_all(change));
        matches!(tokio::time::timeout(patience, served).await, Ok(Ok(_)))
    }

    /// Ends the threads and waits for them.
    pub fn stop(self) {
        self.threads.stop();
    }
}

impl Progress {
    /// Whether a change is in a published generation.
    #[must_use]
    pub fn has(&self, change: ChangeId) -> bool {
        self.change >= change && !self.held.waits(change)
    }

    /// Who serves a change.
    #[must_use]
    pub fn served(&self, change: ChangeId) -> Served {
        let mut attached = self.planes.iter().filter(|plane| plane.attached).peekable();
        if self.held.refused(change).is_some() {
            Served::Refused
        } else if attached.peek().is_none() {
            Served::Nobody
        } else if attached.all(|plane| self.is_served_by(plane, change)) {
            Served::Yes
        } else {
            Served::NotYet
        }
    }

    /// Whether all data planes that are configured serve a change: one that is away may still answer with what was before.
    #[must_use]
    pub fn is_served_by_all(&self, change: ChangeId) -> bool {
        self.has(change) && self.planes.iter().all(|plane| plane.attached && self.is_served_by(plane, change))
    }

    /// Whether a data plane serves a change, if it is there.
    fn is_served_by(&self, plane: &PlaneProgress, change: ChangeId) -> bool {
        plane.change >= change && self.held.is_in(change, plane.generation)
    }

    /// Takes up zones that keep what is published of them.
    fn refuse(&mut self, refused: &[Refused]) {
        for Refused { name, changes, cause, .. } in refused {
            self.held.refuse(name, changes);
            self.refused.insert(name.clone(), cause.clone());
        }
    }

    /// Takes up a generation that has these zones, and changes that are `held` while their zones are signed.
    fn hold(&mut self, held: &[Held], zones: &[String], generation: u64) {
        for Held { zone, changes, after } in held {
            self.held.hold(zone, changes);
            self.held.release(zone, *after, generation);
        }
        let is_held = |zone: &String| held.iter().any(|held| held.zone == *zone);
        zones.iter().filter(|zone| !is_held(zone)).for_each(|zone| self.held.release(zone, self.change, generation));
        let attached = self.planes.iter().filter(|plane| plane.attached);
        let least = attached.map(|plane| plane.generation.unwrap_or(0)).min().unwrap_or(generation);
        self.held.forget_before(least.saturating_add(1));
    }
}

#[cfg(test)]
mod tests;
