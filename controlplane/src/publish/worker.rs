//! The thread that publishes.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use snapshot::dns::name::Name;
use snapshot::handover::{Compacted, Directory, HandoverError, Keep, Publication, Published, Writer, explain};
use snapshot::image::{PackFile, Segment};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::big::BigZones;
use super::link::{Link, News};
use super::round::Round;
use super::{PlaneProgress, Progress, Publisher, Settings, StartError, guard};
use crate::store::changes::{Head, PublishedGeneration};
use crate::store::{ChangeId, DomainId, Store, StoreError};

/// How the lock of the snapshot directory names us.
const HOLDER: &str = "dns-controlplane";
/// The setting that holds the fencing epoch.
const EPOCH: &str = "epoch";
/// How long a failed publication rests before the next attempt.
const RETRY: Duration = Duration::from_millis(500);
/// How many generations are kept on disk.
const GENERATIONS_KEPT: usize = 8;
/// Old generations are collected after so many new ones.
const COLLECT_EVERY: u64 = 64;
/// Bytes of segments that go into one pack.
const PACK_SEGMENTS_LEN_MAX: u64 = 256 << 20;

/// The threads of the publisher.
pub(super) struct Threads {
    /// Ends the worker, and with it the links.
    stop: Sender<()>,
    /// The worker.
    worker: JoinHandle<()>,
}

impl Threads {
    /// Ends them and waits.
    pub(super) fn stop(self) {
        drop(self.stop);
        // A panic has been printed.
        self.worker.join().ok();
    }
}

/// See [`Publisher::start`].
pub(super) fn start(store: Arc<Store>, settings: Settings) -> Result<Publisher, StartError> {
    let writer = Directory::create(&settings.snapshots)?.lock(HOLDER)?;
    let epoch = next_epoch(&store, writer.epoch())?;
    let writer = writer.with_epoch(epoch)?;
    let current = writer.directory().current()?;
    let quarantine = match &current {
        Some(current) => store.read(|reader| guard::compare(reader, &current.manifest))?,
        None => None,
    };
    let done = current.as_ref().map_or(ChangeId(0), |current| ChangeId(current.manifest.change));
    let (progress, watching) = watch::channel(Progress {
        change: done,
        generation: current.as_ref().map(|current| current.manifest.generation.0),
        planes: settings.planes.iter().map(unknown).collect(),
        stopped: quarantine.as_ref().map(ToString::to_string),
        ..Progress::default()
    });
    let mut links = Vec::new();
    for (idx, path) in settings.planes.iter().enumerate() {
        let (news, inbox) = channel::unbounded();
        if let Some(generation) = progress.borrow().generation {
            news.send(News { generation, change: done }).ok();
        }
        let link = Link { idx, path: path.clone(), news: inbox, progress: progress.clone() };
        spawn("link", move || link.run())?;
        links.push(news);
    }
    let (stop, stopping) = channel::bounded(0);
    let wakes = store.wakes();
    // A directory that is empty, or was compiled from files, gets all domains.
    let is_whole = done == ChangeId(0);
    let worker = Worker {
        big: BigZones::new(Arc::clone(&store)),
        store,
        writer,
        done,
        progress,
        links,
        collected: 0,
        is_whole,
        ready: Vec::new(),
        compactions: channel::unbounded(),
        is_compacting: false,
    };
    let is_stopped = quarantine.is_some();
    if let Some(cause) = &quarantine {
        error!("nothing is published: {cause}");
    }
    let worker = spawn("publish", move || worker.run(&wakes, &stopping, is_stopped))?;
    Ok(Publisher { progress: watching, quarantine, threads: Threads { stop, worker } })
}

/// Takes a fencing epoch that no control plane had before, neither with this database nor with this directory.
fn next_epoch(store: &Store, of_directory: u64) -> Result<u64, StoreError> {
    store.write_blocking(move |txn| {
        let stored = txn.setting(EPOCH)?.and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_le_bytes);
        let epoch = stored.max(of_directory).saturating_add(1);
        txn.set(EPOCH, &epoch.to_le_bytes())?;
        Ok(epoch)
    })
}

/// A plane that was not asked yet.
fn unknown(path: &PathBuf) -> PlaneProgress {
    PlaneProgress { path: path.clone(), attached: false, change: ChangeId(0), generation: None }
}

/// Starts a thread.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new().name(name.into()).spawn(run).map_err(StartError::Thread)
}

/// The state of the thread.
struct Worker {
    /// The database.
    store: Arc<Store>,
    /// The snapshot directory.
    writer: Writer,
    /// The last change that is published.
    done: ChangeId,
    /// Where to report.
    progress: watch::Sender<Progress>,
    /// The data planes.
    links: Vec<Sender<News>>,
    /// The generation at which old ones were collected.
    collected: u64,
    /// Whether the next generation needs every domain, not only those that changed.
    is_whole: bool,
    /// Zones that are not compiled whole for each change.
    big: BigZones,
    /// Domains whose new base is ready.
    ready: Vec<DomainId>,
    /// Where compactions put what they made, and what they made.
    compactions: (Sender<Option<Compacted>>, Receiver<Option<Compacted>>),
    /// Whether a compaction is under way.
    is_compacting: bool,
}

impl Worker {
    /// Publishes until the publisher is dropped.
    fn run(mut self, wakes: &Receiver<()>, stopping: &Receiver<()>, is_stopped: bool) {
        // What a crash left in the outbox comes first.
        let mut is_due = !is_stopped;
        loop {
            if is_due && let Err(cause) = self.round() {
                error!("publishing failed: {cause}");
                self.progress.send_modify(|progress| progress.counts.failures += 1);
                if stopping.recv_timeout(RETRY) != Err(channel::RecvTimeoutError::Timeout) {
                    return;
                }
                continue;
            }
            let (folded, compacted) = (self.big.folded(), self.compactions.1.clone());
            is_due = false;
            crossbeam::select! {
                recv(stopping) -> _ => return,
                recv(folded) -> folded => {
                    self.ready.extend(folded.ok().and_then(|folded| self.big.accept(folded)));
                    is_due = !self.ready.is_empty();
                }
                recv(compacted) -> compacted => self.adopt(compacted.ok().flatten()),
                recv(wakes) -> woken => {
                    if woken.is_err() {
                        return;
                    }
                    is_due = !is_stopped;
                }
            }
        }
    }

    /// Publishes all that waits, if anything does.
    fn round(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let (done, is_whole, big) = (self.done, self.is_whole, &mut self.big);
        let ready = std::mem::take(&mut self.ready);
        let round = self.store.read(|reader| Round::collect(reader, done, is_whole, &ready, big));
        let round = round.map_err(|error: StoreError| error.to_string())?;
        let is_same = round.changes == 0 && round.head.change == done && round.segments.is_empty();
        if is_same && self.progress.borrow().generation.is_some() {
            return Ok(());
        }
        for (name, cause) in &round.refused {
            error!("zone {name} keeps its last good content: {cause}");
        }
        let now_us = now_us();
        let Round { head, segments, removed, refused, changes } = round;
        let zones = segments.len() as u64;
        let overlays = segments.iter().filter(|segment| segment.facts.base.is_some()).count() as u64;
        let names: Vec<Name> = segments.iter().map(|segment| segment.facts.apex.clone()).collect();
        let published = self.publish(segments, removed, &head, now_us).map_err(|error| explain(&error))?;
        let manifest = &published.current.manifest;
        let generation = manifest.generation.0;
        self.done = head.change;
        self.is_whole = false;
        self.progress.send_modify(|progress| {
            progress.change = head.change;
            progress.generation = Some(generation);
            progress.at_us = now_us;
            for apex in names {
                progress.refused.remove(apex.to_string().trim_end_matches('.'));
            }
            progress.refused.extend(refused);
            let counts = &mut progress.counts;
            counts.generations += 1;
            counts.changes += changes;
            counts.zones += zones;
            counts.overlays += overlays;
            counts.publish_us += u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            counts.packs = manifest.packs.len() as u64;
        });
        self.tell(generation);
        info!(generation, change = head.change.0, zones, "published generation {generation}");
        let row = PublishedGeneration {
            generation,
            epoch: manifest.epoch,
            change: head.change,
            digest: published.current.digest.0,
            at_us: now_us,
        };
        self.store.write_soon(move |txn| {
            txn.note_published(&row)?;
            txn.trim_generations(row.generation)
        });
        self.collect(generation);
        self.compact();
        Ok(())
    }

    /// Tells the data planes of a generation.
    fn tell(&self, generation: u64) {
        for link in &self.links {
            // A link ends only with the publisher.
            link.send(News { generation, change: self.done }).ok();
        }
    }

    /// Has packs rewritten beside the publishing, if that is due.
    fn compact(&mut self) {
        if self.is_compacting {
            return;
        }
        let planned = self.writer.plan_compaction();
        let compaction = match planned {
            Ok(Some(compaction)) => compaction,
            Ok(None) => return,
            Err(error) => return warn!("packs stay as they are: {}", explain(&error)),
        };
        let done = self.compactions.0.clone();
        let run = move || {
            let compacted = compaction.run();
            let compacted = compacted.inspect_err(|error| warn!("packs stay as they are: {}", explain(error)));
            // Whoever publishes may have ended.
            done.send(compacted.ok()).ok();
        };
        self.is_compacting = spawn("compact", run).is_ok();
    }

    /// Makes rewritten packs a generation.
    fn adopt(&mut self, compacted: Option<Compacted>) {
        self.is_compacting = false;
        let Some(compacted) = compacted else { return };
        let created_unix_secs = u64::try_from(now_us() / 1_000_000).unwrap_or(0);
        match self.writer.adopt(compacted, created_unix_secs) {
            Ok(Some(published)) => {
                let generation = published.current.manifest.generation.0;
                let packs = published.current.manifest.packs.len() as u64;
                self.progress.send_modify(|progress| {
                    progress.generation = Some(generation);
                    progress.counts.packs = packs;
                });
                self.tell(generation);
                info!(generation, packs, "compacted into generation {generation}");
            }
            Ok(None) => {}
            Err(error) => warn!("packs stay as they are: {}", explain(&error)),
        }
    }

    /// Makes a generation.
    fn publish(
        &mut self,
        segments: Vec<Segment>,
        remove: Vec<Name>,
        head: &Head,
        now_us: i64,
    ) -> Result<Published, HandoverError> {
        let packs = pack(segments)?;
        let created_unix_secs = u64::try_from(now_us / 1_000_000).unwrap_or(0);
        let (change, chain) = (head.change.0, head.chain);
        self.writer.publish(Publication { packs, keep: Keep::Others, remove, created_unix_secs, change, chain })
    }

    /// Removes old generations now and then, but none that a data plane may still load.
    fn collect(&mut self, generation: u64) {
        if generation < self.collected + COLLECT_EVERY {
            return;
        }
        self.collected = generation;
        let planes = self.progress.borrow().planes.iter().filter_map(|plane| plane.generation).collect::<Vec<_>>();
        let pinned: Vec<_> = planes.into_iter().map(snapshot::image::Generation).collect();
        match self.writer.collect_aside(GENERATIONS_KEPT, &pinned) {
            // Removing files takes tens of milliseconds on some disks: nobody should wait for that.
            Ok((_, garbage)) => drop(spawn("garbage", move || drop(garbage))),
            Err(error) => warn!("old generations stay: {}", explain(&error)),
        }
    }
}

/// Packs segments, each pack up to [`PACK_SEGMENTS_LEN_MAX`] or one zone.
fn pack(segments: Vec<Segment>) -> Result<Vec<PackFile>, HandoverError> {
    let mut packs = Vec::new();
    let mut waiting: Vec<Segment> = Vec::new();
    let mut len = 0;
    for segment in segments {
        if len + segment.facts.bytes > PACK_SEGMENTS_LEN_MAX && !waiting.is_empty() {
            packs.push(PackFile::encode(std::mem::take(&mut waiting)).map_err(HandoverError::Encode)?);
            len = 0;
        }
        len += segment.facts.bytes;
        waiting.push(segment);
    }
    if !waiting.is_empty() {
        packs.push(PackFile::encode(waiting).map_err(HandoverError::Encode)?);
    }
    Ok(packs)
}

/// The time, in microseconds since 1970.
fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
