//! The thread that publishes.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use snapshot::dns::name::Name;
use snapshot::handover::{Directory, HandoverError, Keep, Publication, Published, Writer, explain};
use snapshot::image::{PackFile, Segment};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::link::{Link, News};
use super::{PlaneProgress, Progress, Publisher, Settings, StartError, guard, zone};
use crate::store::changes::{Head, PublishedGeneration};
use crate::store::{ChangeId, Reader, Store, StoreError};

/// How the lock of the snapshot directory names us.
const HOLDER: &str = "dns-controlplane";
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
    let worker = Worker { store, writer, done, progress, links, collected: 0, is_whole };
    let is_stopped = quarantine.is_some();
    if let Some(cause) = &quarantine {
        error!("nothing is published: {cause}");
    }
    let worker = spawn("publish", move || worker.run(&wakes, &stopping, is_stopped))?;
    Ok(Publisher { progress: watching, quarantine, threads: Threads { stop, worker } })
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
}

/// What a round found in the database: one committed state.
struct Round {
    /// The last change in it.
    head: Head,
    /// Zones to publish.
    segments: Vec<Segment>,
    /// Zones that are gone.
    removed: Vec<Name>,
    /// Zones that cannot be compiled, by name, and why.
    refused: Vec<(String, String)>,
    /// How many changes it takes.
    changes: u64,
}

/// What is known of one zone that changed.
#[derive(Default)]
struct Touched {
    /// The sort keys of the owners that changed; `None` for all.
    nodes: Option<HashSet<Vec<u8>>>,
    /// The domain's numbers: more than one if it was deleted and made anew.
    domains: HashSet<i64>,
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
            crossbeam::select! {
                recv(stopping) -> _ => return,
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
        let (done, is_whole) = (self.done, self.is_whole);
        let round = self.store.read(|reader| collect(reader, done, is_whole));
        let round = round.map_err(|error: StoreError| error.to_string())?;
        if round.changes == 0 && round.head.change == done && self.progress.borrow().generation.is_some() {
            return Ok(());
        }
        for (name, cause) in &round.refused {
            error!("zone {name} keeps its last good content: {cause}");
        }
        let now_us = now_us();
        let Round { head, segments, removed, refused, changes } = round;
        let zones = segments.len() as u64;
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
            counts.publish_us += u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            counts.packs = manifest.packs.len() as u64;
        });
        for link in &self.links {
            link.send(News { generation, change: head.change }).ok();
        }
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
        Ok(())
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
        if let Err(error) = self.writer.collect(GENERATIONS_KEPT, &pinned) {
            warn!("old generations stay: {}", explain(&error));
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

/// Reads what waits, and compiles it: all from one state of the database.
fn collect(reader: &Reader<'_>, done: ChangeId, is_whole: bool) -> Result<Round, StoreError> {
    let head = reader.head()?;
    let mut touched: BTreeMap<String, Touched> = BTreeMap::new();
    let mut changes = 0;
    for waiting in reader.outbox(done)? {
        changes += 1;
        let zone = touched
            .entry(waiting.name)
            .or_insert_with(|| Touched { nodes: Some(HashSet::new()), domains: HashSet::new() });
        zone.domains.insert(waiting.domain.0);
        match waiting.nodes {
            Some(nodes) => {
                if let Some(all) = &mut zone.nodes {
                    all.extend(nodes);
                }
            }
            None => zone.nodes = None,
        }
    }
    if is_whole {
        for id in reader.domain_ids()? {
            if let Some(domain) = reader.domain(id)? {
                touched.entry(domain.name).or_default();
            }
        }
    }
    let mut round = Round { head, segments: Vec::new(), removed: Vec::new(), refused: Vec::new(), changes };
    for name in touched.into_keys() {
        if let Err(cause) = one(reader, &name, &mut round) {
            round.refused.push((name, cause.to_string()));
        }
    }
    Ok(round)
}

/// Compiles one zone, or finds that it is gone.
fn one(reader: &Reader<'_>, name: &str, round: &mut Round) -> Result<(), zone::ZoneError> {
    let domain = reader.domain_by_name(name)?;
    let is_active = match &domain {
        Some(domain) => reader.account(domain.account)?.is_some_and(|account| account.active),
        None => false,
    };
    match domain {
        Some(domain) if is_active => round.segments.push(zone::compile(reader, &domain)?),
        _ => round.removed.push(zone::absolute(name)?),
    }
    Ok(())
}

/// The time, in microseconds since 1970.
fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
