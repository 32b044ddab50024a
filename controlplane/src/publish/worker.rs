//! The thread that publishes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use snapshot::dns::name::Name;
use snapshot::handover::{Compacted, Directory, HandoverError, Keep, Publication, Published, Writer, explain};
use snapshot::image::{PackFile, SigningKey};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::big::BigZones;
use super::deliver::deliver;
use super::files::{FileZones, Knowledge};
use super::held::HeldChanges;
use super::link::{Link, News};
use super::piece::{self, Piece};
use super::places::PlaceTable;
use super::resting::RestingZones;
use super::round::{Due, Refused, Round};
use super::threads::spawn;
use super::{PlaneProgress, Progress, Publisher, Settings, StartError, guard};
use crate::clock::now_us;
use crate::dnssec::Dnssec;
use crate::store::changes::{Head, PublishedGeneration};
use crate::store::{ChangeId, DomainId, Store, StoreError};

/// How the lock of the snapshot directory names us.
const HOLDER: &str = "dns-controlplane";
/// How long a failed publication rests before the next attempt, at least.
const RETRY: Duration = Duration::from_millis(500);
/// The same at most.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The same as a multiple of what it took.
const RETRY_SHARE: u32 = 4;
/// How long it rests, at most, before a directory is read again whose zones are not known: no domains are made meanwhile.
const REREAD: Duration = Duration::from_secs(2);
/// How many generations are kept on disk.
const GENERATIONS_KEPT: usize = 8;
/// Old generations are collected after so many new ones.
const COLLECT_EVERY: u64 = 64;
/// Bytes of segments that go into one pack.
const PACK_SEGMENTS_LEN_MAX: u64 = 256 << 20;

/// Where the zones go that were compiled from files.
type FilesSender = watch::Sender<Knowledge>;

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
pub(super) fn start(store: Arc<Store>, settings: &Settings) -> Result<Publisher, StartError> {
    let mut writer = Directory::create(&settings.snapshots)?.lock(HOLDER)?;
    if let Some(path) = &settings.sign {
        writer = writer.with_key(SigningKey::read(path)?);
    }
    let of_directory = writer.epoch();
    // A database that cannot be written or read is no reason to serve no reader.
    let mut quarantine = None;
    let epoch = store.write_blocking(move |txn| txn.next_epoch(of_directory));
    let epoch = guard::or_quarantine(epoch, &mut quarantine)?;
    store.fence(epoch.unwrap_or(0));
    let writer = writer.with_epoch(epoch.unwrap_or(of_directory))?;
    let current = writer.directory().current()?;
    let mut behind = None;
    if let Some(current) = &current {
        let compared = store.read(|reader| guard::compare(reader, &current.manifest));
        let compared = guard::or_quarantine(compared, &mut quarantine)?.flatten();
        quarantine = quarantine.or(compared);
        behind = guard::or_quarantine(store.read(|reader| guard::behind(reader, &current.manifest)), &mut quarantine)?;
    }
    let behind = behind.flatten();
    let done = current.as_ref().map_or(ChangeId(0), |current| ChangeId(current.manifest.change));
    // What the published generation lacks, and after a crash something that it has: the first round tells them apart.
    let left = guard::or_quarantine(store.read(|reader| reader.waiting(done)), &mut quarantine)?;
    let (progress, watching) = watch::channel(Progress {
        change: done,
        held: HeldChanges::left(left.unwrap_or_default()),
        generation: current.as_ref().map(|current| current.manifest.generation.0),
        planes: settings.planes.iter().map(|path| unknown(path)).collect(),
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
        spawn("link", move || link.run()).map_err(StartError::Thread)?;
        links.push(news);
    }
    let ((stop, stopping), (tables, places)) = (channel::bounded(0), channel::unbounded());
    let wakes = store.wakes();
    let (found, files) = watch::channel(Knowledge::Pending);
    // A directory that is empty, or was compiled from files, gets all domains.
    let is_whole = done == ChangeId(0) || behind.is_some();
    let worker = Worker {
        big: BigZones::new(Arc::clone(&store), settings, writer.shelf()),
        dnssec: settings.dnssec.clone(),
        store,
        writer,
        done,
        progress,
        links,
        planes: settings.planes.as_slice().into(),
        collected: 0,
        // Zones that an earlier process could not compile are still in the outbox.
        taken: ChangeId(0),
        is_whole,
        behind,
        refused: RestingZones::default(),
        ready: Vec::new(),
        compactions: channel::unbounded(),
        is_compacting: false,
        places: PlaceTable::new(places),
    };
    let is_stopped = quarantine.is_some();
    if let Some(cause) = &quarantine {
        error!("nothing is published: {cause}");
    }
    let worker = spawn("publish", move || worker.run(found, &wakes, &stopping, is_stopped));
    let worker = worker.map_err(StartError::Thread)?;
    let (threads, snapshots) = (Threads { stop, worker }, settings.snapshots.clone());
    Ok(Publisher { progress: watching, quarantine, files, threads, tables, watch: None, snapshots })
}

/// A plane that was not asked yet.
fn unknown(path: &Path) -> PlaneProgress {
    PlaneProgress { path: path.to_owned(), attached: false, change: ChangeId(0), generation: None }
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
    /// Their control sockets.
    planes: Arc<[PathBuf]>,
    /// The generation at which old ones were collected.
    collected: u64,
    /// The last change whose owners were taken from the outbox.
    taken: ChangeId,
    /// Zones that keep older content.
    refused: RestingZones,
    /// Whether the next generation needs every domain, not only those that changed.
    is_whole: bool,
    /// The change up to which the published generation goes, if that is older than what was published before.
    behind: Option<ChangeId>,
    /// Zones that are not compiled whole for each change.
    big: BigZones,
    /// What signs them.
    dnssec: Option<Arc<Dnssec>>,
    /// Domains of which something was compiled beside the publishing.
    ready: Vec<DomainId>,
    /// Where compactions put what they made, and what they made.
    compactions: (Sender<Option<Compacted>>, Receiver<Option<Compacted>>),
    /// Whether a compaction is under way.
    is_compacting: bool,
    /// Where addresses are.
    places: PlaceTable,
}

impl Worker {
    /// Finds the zones that were compiled from files, and whether it could.
    fn find_files(&mut self, found: &FilesSender) -> bool {
        let zones = self.writer.zones().map_err(|error| explain(&error));
        let files = zones.and_then(|zones| {
            let files = self.store.read(|reader| FileZones::find(reader, zones, self.behind));
            files.map_err(|error: StoreError| error.to_string())
        });
        let (knowledge, cause) = match files {
            Ok(files) => (Knowledge::Found(Arc::new(files)), None),
            Err(cause) => (Knowledge::Unknown, Some(cause)),
        };
        let before = found.send_replace(knowledge);
        if let (Some(cause), Knowledge::Pending) = (&cause, before) {
            warn!("no domains are made, as zones that were compiled from files are not known: {cause}");
        }
        cause.is_none()
    }

    /// Publishes until the publisher is dropped, once it has told what it `found`.
    fn run(mut self, found: FilesSender, wakes: &Receiver<()>, stopping: &Receiver<()>, is_stopped: bool) {
        if !is_stopped {
            if let Some(ChangeId(change)) = self.behind {
                warn!("the snapshots are an old copy that goes up to change {change}: everything is published anew");
            }
            // Before the zones are looked for, so that the packs are read once.
            self.survey();
        }
        let mut unread = Some(found).filter(|_| !is_stopped);
        // What a crash left in the outbox comes first.
        let mut is_due = !is_stopped;
        loop {
            if unread.as_ref().is_some_and(|found| self.find_files(found)) {
                unread = None;
            }
            let begun = Instant::now();
            if is_due && let Err(cause) = self.round() {
                error!("publishing failed: {cause}");
                self.progress.send_modify(|progress| progress.counts.failures += 1);
                // What fails for long must not keep a core and the disk busy: it may have read all packs.
                let rest = begun.elapsed().saturating_mul(RETRY_SHARE).clamp(RETRY, RETRY_MAX);
                if stopping.recv_timeout(rest) != Err(channel::RecvTimeoutError::Timeout) {
                    return;
                }
                continue;
            }
            let (compiled, compacted) = (self.big.compiled(), self.compactions.1.clone());
            let tables = self.places.tables();
            let again = self.refused.next().map_or_else(channel::never, channel::at);
            let reread = if unread.is_none() { channel::never() } else { channel::after(REREAD) };
            is_due = false;
            crossbeam::select! {
                recv(reread) -> _ => {}
                recv(stopping) -> _ => return,
                recv(compiled) -> compiled => {
                    self.ready.extend(compiled.ok().and_then(|compiled| self.big.accept(compiled)));
                    is_due = !self.ready.is_empty();
                }
                recv(compacted) -> compacted => self.adopt(compacted.ok().flatten()),
                recv(tables) -> table => is_due = self.places.take(table) && !is_stopped,
                recv(again) -> _ => is_due = true,
                recv(wakes) -> woken => {
                    if woken.is_err() {
                        return;
                    }
                    is_due = !is_stopped;
                }
            }
        }
    }

    /// Publishes all that waits, if anything does. What was compiled for a generation that did not come about is
    /// forgotten: an overlay must never lie on a base that nobody has.
    fn round(&mut self) -> Result<(), String> {
        let ready = std::mem::take(&mut self.ready);
        let outcome = self.round_with(ready.clone());
        if outcome.is_err() {
            self.big.forget_fresh();
            if let Some(dnssec) = &self.dnssec {
                // What was signed for it is signed again.
                drop(dnssec.take_ends());
            }
            // Of these the outbox says nothing any more.
            self.ready.extend(ready);
        } else {
            self.big.keep_fresh();
        }
        outcome
    }

    /// Reads the published generation, so that the first change of a big zone need not compile all of it. What fails here
    /// shows again, and is told, when something is published.
    fn survey(&mut self) {
        // What is compiled whole needs no base, and those of an old copy are none.
        if self.is_whole {
            return;
        }
        let survey = match self.writer.survey() {
            Ok(Some(survey)) => survey,
            Ok(None) => return,
            Err(error) => return warn!("the published generation cannot be read: {}", explain(&error)),
        };
        self.places.learn(&survey.view);
        let big = &mut self.big;
        let learnt = self.store.read(|reader| big.learn(reader, &survey));
        learnt.unwrap_or_else(|error: StoreError| warn!("big zones are compiled whole once: {error}"));
    }

    /// As [`Worker::round`], with domains that are `ready`.
    fn round_with(&mut self, ready: Vec<DomainId>) -> Result<(), String> {
        let begun = Instant::now();
        let again = self.refused.due(begun);
        let (is_whole, behind) = (self.is_whole, self.behind);
        let due = Due { after: self.taken, is_whole, behind, ready, again: &again };
        let (epoch, big) = (self.writer.epoch(), &mut self.big);
        let round = self.store.read(|reader| {
            let found = reader.epoch()?;
            if found > epoch {
                Err(StoreError::Fenced { found, own: epoch })
            } else {
                Round::collect(reader, &due, big)
            }
        });
        let round = round.map_err(|error: StoreError| error.to_string())?;
        self.refuse(&round.refused);
        self.refused.rest_again(&again, begun);
        let is_same = round.changes == 0 && round.head.change == self.done && round.pieces.is_empty();
        if is_same && round.removed.is_empty() && !self.places.is_due() && self.progress.borrow().generation.is_some() {
            return Ok(());
        }
        let now_us = now_us();
        let Round { head, mut pieces, mut removed, held, changes, .. } = round;
        let zones = pieces.len() as u64;
        let overlays = pieces.iter().filter(|piece| piece.facts().base.is_some()).count() as u64;
        let names = pieces.iter().map(|piece| &piece.facts().apex).chain(&removed);
        let names: Vec<String> = names.map(|apex| apex.to_string().trim_end_matches('.').to_owned()).collect();
        self.places.add_to(&mut pieces, &mut removed);
        let published = self.publish(pieces, removed, &head, now_us).map_err(|error| explain(&error))?;
        let manifest = &published.current.manifest;
        let generation = manifest.generation.0;
        self.places.keep();
        self.done = head.change;
        self.taken = head.change;
        (self.is_whole, self.behind) = (false, None);
        names.iter().for_each(|name| self.refused.forget(name));
        self.progress.send_modify(|progress| {
            progress.change = head.change;
            progress.generation = Some(generation);
            progress.at_us = now_us;
            for name in &names {
                progress.refused.remove(name);
            }
            progress.hold(&held, &names, generation);
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
        self.note(row);
        self.collect(generation);
        self.compact();
        Ok(())
    }

    /// Has the database note what was published, beside whoever writes next.
    fn note(&self, row: PublishedGeneration) {
        let kept = self.progress.borrow();
        let waiting: BTreeSet<String> = self.refused.names().chain(kept.held.zones()).cloned().collect();
        drop(kept);
        let waiting: Vec<String> = waiting.into_iter().collect();
        let ends = self.dnssec.as_ref().map_or_else(Vec::new, |dnssec| dnssec.take_ends());
        self.store.write_soon(move |txn| {
            txn.note_published(&row, &waiting)?;
            txn.note_signatures(&ends)?;
            txn.trim_generations(row.generation)
        });
    }

    /// Notes and reports the zones that could not be compiled.
    fn refuse(&mut self, refused: &[Refused]) {
        let now = Instant::now();
        for refused in refused {
            if self.refused.refuse(refused, now) {
                error!("zone {} keeps its last good content: {}", refused.name, refused.cause);
            }
        }
        // Also if nothing is published now: what was signed aside may be refused when nothing else changes.
        if !refused.is_empty() {
            self.progress.send_modify(|progress| progress.refuse(refused));
        }
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
        let (done, planes) = (self.compactions.0.clone(), Arc::clone(&self.planes));
        let run = move || {
            let compacted = compaction.run();
            compacted.iter().for_each(|compacted| deliver(&planes, &compacted.parcels()));
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
        pieces: Vec<Piece>,
        remove: Vec<Name>,
        head: &Head,
        now_us: i64,
    ) -> Result<Published, HandoverError> {
        let (ready, segments) = piece::part(pieces);
        let packs = PackFile::encode_all(segments, PACK_SEGMENTS_LEN_MAX).map_err(HandoverError::Encode)?;
        let created_unix_secs = u64::try_from(now_us / 1_000_000).unwrap_or(0);
        let (change, chain) = (head.change.0, head.chain);
        let keep = Keep::Others;
        self.writer.publish(Publication { ready, packs, keep, remove, created_unix_secs, change, chain })
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
            Ok((_, garbage)) if self.is_compacting => drop(spawn("garbage", move || drop(garbage))),
            Ok((_, garbage)) => drop(spawn("garbage", move || garbage.reuse())),
            Err(error) => warn!("old generations stay: {}", explain(&error)),
        }
    }
}
