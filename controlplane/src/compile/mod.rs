//! Zone files become a generation: read, check, build segments, pack, publish.
//!
//! All or nothing, unless the caller wants what is sound: one zone that fails stops the compile before anything is
//! written, with the errors of all zones. A zone that loses much keeps what it has ([`crate::gate`]), and the others are
//! published.
//! Zones are worked on side by side by a fixed number of threads. Invariant: the same files give the same packs, whatever
//! the number of threads and the order of the files, because segments are packed in canonical order of their apexes.

mod shrink;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use snapshot::dns::name::Name;
use snapshot::handover::{HandoverError, Keep, Publication, Published, Writer, explain};
use snapshot::image::{BuildError, PackFile, Segment};

use crate::check::{Finding, Severity, check, prune};
use crate::gate::{Force, Loss};
use crate::source::{ReadError, ReadOptions, ZoneSource, meant_by, read_zone_counted};
use shrink::Verdict;

/// Bytes of segments in one pack: half of what the format allows, so that a pack is copied and hashed in good time.
const PACK_SEGMENTS_LEN_MAX: u64 = 512 << 20;
/// How many lines the message of a failed compile has.
const MESSAGE_LINES_MAX: usize = 50;

/// How to compile.
#[derive(Debug, Clone)]
pub struct CompileOptions {
    /// What stays of the current generation.
    pub keep: Keep,
    /// Zones that stay in any case, unless they are given: those of a database, which no file speaks for.
    pub stay: HashSet<Name>,
    /// How many threads work on zones.
    pub jobs: NonZeroUsize,
    /// What zone files may do.
    pub read: ReadOptions,
    /// Whether to publish the sound zones when others fail, even if none is left; those that fail keep what they have.
    pub keep_going: bool,
    /// Gates that are forced.
    pub force: Option<Force>,
    /// The time to write into the manifest, in seconds since 1970.
    pub created_unix_secs: u64,
}

/// How far a compile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done: `reading`, `packing` or `publishing`.
    pub phase: &'static str,
    /// Bytes of zone files read so far.
    pub bytes_done: u64,
    /// Bytes of all zone files.
    pub bytes_total: u64,
    /// Zones compiled so far.
    pub zones_done: usize,
    /// All zones.
    pub zones_total: usize,
}

/// What a compile made.
#[derive(Debug)]
pub struct Compiled {
    /// The generation.
    pub published: Published,
    /// How many zones were compiled.
    pub zones: u64,
    /// Their records.
    pub records: u64,
    /// Their names.
    pub names: u64,
    /// Bytes of their segments.
    pub bytes: u64,
    /// What should be looked at, by position of the source.
    pub warnings: Vec<(usize, Finding)>,
    /// Zones that were left out; empty unless the options say to keep going.
    pub failures: Vec<ZoneFailure>,
    /// Zones that keep what they have, because they would lose too much.
    pub refused: Vec<Loss>,
    /// What would have been refused, had it not been forced.
    pub forced: Vec<Loss>,
    /// Why nothing could be compared with what was there before, if so.
    pub uncompared: Option<HandoverError>,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Zones are wrong; each failure is one or more lines of the message. None at all means that no zone was given.
    #[error("{}", Lines(.0))]
    Zones(Vec<ZoneFailure>),
    /// Too much would be lost. If it is zones that lose it, there was nothing else to publish.
    #[error("{}", Losses(.0))]
    Gates(Vec<Loss>),
    /// The generation could not be written.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

/// A zone that cannot be compiled.
#[derive(Debug)]
pub struct ZoneFailure {
    /// Position of the source.
    pub source_idx: usize,
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub cause: ZoneError,
}

/// Why a zone cannot be compiled.
#[derive(Debug)]
pub enum ZoneError {
    /// Its file cannot be read.
    Read(ReadError),
    /// It breaks rules of the DNS; errors only.
    Check(Vec<Finding>),
    /// It has no form as a segment.
    Build(BuildError),
    /// Another file holds the same zone.
    Duplicate {
        /// The apex.
        apex: Name,
        /// The other file.
        other: PathBuf,
    },
}

/// A zone that was compiled.
struct Ready {
    /// Position of the source.
    source_idx: usize,
    /// The canonical sort key of its apex.
    key: Vec<u8>,
    /// The zone.
    segment: Segment,
}

/// All results.
#[derive(Default)]
struct Results {
    /// Compiled zones.
    ready: Vec<Ready>,
    /// Zones that failed.
    failures: Vec<ZoneFailure>,
    /// Warnings of all zones.
    warnings: Vec<(usize, Finding)>,
}

/// What one zone came to.
type Outcome = Result<Ready, ZoneError>;

/// What the threads share.
struct Work<'w> {
    /// The files.
    sources: &'w [ZoneSource],
    /// How to read them.
    read: &'w ReadOptions,
    /// Positions of the sources, the largest file first, so that no thread begins a big one when the others are done.
    order: Vec<usize>,
    /// How many of `order` are taken.
    taken: AtomicUsize,
    /// Bytes of all files.
    bytes_total: u64,
    /// Bytes read.
    bytes_done: AtomicU64,
    /// Zones finished.
    zones_done: AtomicUsize,
    /// Is told about progress, from any thread.
    progress: &'w (dyn Fn(Progress) + Sync),
}

/// Compiles zone files into a new generation and makes it current.
///
/// # Errors
/// [`CompileError`]; the directory then serves what it served before.
pub fn compile(
    writer: &mut Writer,
    sources: &[ZoneSource],
    options: &CompileOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Compiled, CompileError> {
    let work = Work::new(sources, options, progress);
    let mut results = work.run(options.jobs);
    results.refuse_duplicates(sources);
    let Results { ready, failures, warnings } = results;
    if !options.keep_going && (!failures.is_empty() || sources.is_empty()) {
        return Err(CompileError::Zones(failures));
    }
    let (before, uncompared) = match writer.zones() {
        Ok(zones) => (zones, None),
        // What is damaged is no content to keep; compiling it anew is the remedy.
        Err(damage) if options.keep == Keep::Nothing => (Vec::new(), Some(damage)),
        Err(damage) => return Err(damage.into()),
    };
    let mut segments: Vec<Segment> = ready.into_iter().map(|ready| ready.segment).collect();
    let after: Vec<(Name, u32)> =
        segments.iter().map(|Segment { facts, .. }| (facts.apex.clone(), facts.names)).collect();
    // A zone whose file has a mistake now keeps what it has.
    let failed = failures.iter().filter_map(|failure| meant_by(&sources[failure.source_idx]));
    let stay: HashSet<Name> = options.stay.iter().cloned().chain(failed).collect();
    let verdict = shrink::judge(&before, &after, (options.keep, &stay), options.force.as_ref());
    let Verdict { refused, forced, remove, keep } = verdict.map_err(CompileError::Gates)?;
    let stay: HashSet<&Name> = refused.iter().filter_map(|loss| loss.zone.as_ref()).collect();
    segments.retain(|segment| !stay.contains(&segment.facts.apex));
    if !refused.is_empty() && segments.is_empty() && remove.is_empty() {
        return Err(CompileError::Gates(refused));
    }
    let zones = segments.len() as u64;
    let (mut records, mut names, mut bytes) = (0, 0, 0);
    for facts in segments.iter().map(|segment| &segment.facts) {
        records += u64::from(facts.records);
        names += u64::from(facts.names);
        bytes += facts.bytes;
    }
    work.report("packing");
    let packs = PackFile::encode_all(segments, PACK_SEGMENTS_LEN_MAX).map_err(HandoverError::Encode)?;
    work.report("publishing");
    let publication = Publication::of(packs, keep, options.created_unix_secs);
    let published = writer.publish(Publication { remove, ..publication })?;
    Ok(Compiled { published, zones, records, names, bytes, warnings, failures, refused, forced, uncompared })
}

impl<'w> Work<'w> {
    /// Measures the files. One that cannot be measured counts nothing; reading it will tell why.
    fn new(
        sources: &'w [ZoneSource],
        options: &'w CompileOptions,
        progress: &'w (dyn Fn(Progress) + Sync),
    ) -> Work<'w> {
        let len_of = |source: &ZoneSource| std::fs::metadata(&source.path).map_or(0, |metadata| metadata.len());
        let lens: Vec<u64> = sources.iter().map(len_of).collect();
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by_key(|&source_idx| std::cmp::Reverse(lens[source_idx]));
        Work {
            sources,
            read: &options.read,
            order,
            taken: AtomicUsize::new(0),
            bytes_total: lens.iter().sum(),
            bytes_done: AtomicU64::new(0),
            zones_done: AtomicUsize::new(0),
            progress,
        }
    }

    /// Works on all zones with at most `jobs` threads and collects what they came to.
    fn run(&self, jobs: NonZeroUsize) -> Results {
        let jobs = jobs.get().min(self.sources.len());
        let mut results = Results::default();
        std::thread::scope(|scope| {
            // Each thread keeps what it made until the end: waking somebody for each of many small zones costs more than
            // reading one.
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(|| self.work())).collect();
            for thread in threads {
                match thread.join() {
                    Ok(part) => results.append(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        results.sort();
        results
    }

    /// Takes one zone after the other until none is left.
    fn work(&self) -> Results {
        let mut results = Results::default();
        while let Some(&source_idx) = self.order.get(self.taken.fetch_add(1, Ordering::Relaxed)) {
            let (outcome, warnings) = self.compile_zone(source_idx);
            results.add(source_idx, outcome, warnings, self.sources);
        }
        results
    }

    /// Reads, checks and builds one zone.
    fn compile_zone(&self, source_idx: usize) -> (Outcome, Vec<Finding>) {
        let (outcome, warnings) = match self.read_and_check(source_idx) {
            Err(error) => (Err(error), Vec::new()),
            Ok((zone, warnings)) => {
                let mut key = Vec::new();
                zone.apex().push_sort_key(&mut key);
                let segment = Segment::build(&zone).map_err(ZoneError::Build);
                (segment.map(|segment| Ready { source_idx, key, segment }), warnings)
            }
        };
        self.zones_done.fetch_add(1, Ordering::Relaxed);
        self.report("reading");
        (outcome, warnings)
    }

    /// Reads and checks one zone; the findings are warnings.
    fn read_and_check(&self, source_idx: usize) -> Result<(snapshot::dns::zone::Zone, Vec<Finding>), ZoneError> {
        let on_read = |bytes| {
            self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
            self.report("reading");
        };
        let mut zone = read_zone_counted(&self.sources[source_idx], self.read, &on_read).map_err(ZoneError::Read)?;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            check(&zone).into_iter().partition(|finding| finding.severity == Severity::Error);
        prune(&mut zone);
        if errors.is_empty() { Ok((zone, warnings)) } else { Err(ZoneError::Check(errors)) }
    }

    /// Tells how far the compile is.
    fn report(&self, phase: &'static str) {
        (self.progress)(Progress {
            phase,
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total,
            zones_done: self.zones_done.load(Ordering::Relaxed),
            zones_total: self.sources.len(),
        });
    }
}

impl Results {
    /// Adds what one zone came to.
    fn add(&mut self, source_idx: usize, outcome: Outcome, warnings: Vec<Finding>, sources: &[ZoneSource]) {
        match outcome {
            Ok(ready) => self.ready.push(ready),
            Err(cause) => {
                self.failures.push(ZoneFailure { source_idx, path: sources[source_idx].path.clone(), cause });
            }
        }
        self.warnings.extend(warnings.into_iter().map(|finding| (source_idx, finding)));
    }

    /// Adds what another thread made.
    fn append(&mut self, other: Results) {
        self.ready.extend(other.ready);
        self.failures.extend(other.failures);
        self.warnings.extend(other.warnings);
    }

    /// Brings everything into an order that does not depend on the threads.
    fn sort(&mut self) {
        self.ready.sort_unstable_by(|a, b| (&a.key, a.source_idx).cmp(&(&b.key, b.source_idx)));
        self.failures.sort_by_key(|failure| failure.source_idx);
        // Stable, so that the findings of one zone stay in their order.
        self.warnings.sort_by_key(|(source_idx, _)| *source_idx);
    }

    /// Makes every second file for one zone a failure.
    fn refuse_duplicates(&mut self, sources: &[ZoneSource]) {
        let failures = &mut self.failures;
        self.ready.dedup_by(|second, first| {
            let is_duplicate = first.key == second.key;
            if is_duplicate {
                let source_idx = second.source_idx;
                let other = sources[first.source_idx].path.clone();
                let cause = ZoneError::Duplicate { apex: second.segment.facts.apex.clone(), other };
                failures.push(ZoneFailure { source_idx, path: sources[source_idx].path.clone(), cause });
            }
            is_duplicate
        });
    }
}

/// Writes one line per mistake, each beginning with the file.
impl fmt::Display for ZoneFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            // These messages name the file themselves, maybe an included one.
            ZoneError::Read(error) => write!(f, "{}", explain(error)),
            ZoneError::Build(error) => write!(f, "{path}: {}", explain(error)),
            ZoneError::Duplicate { apex, other } => write!(f, "{path}: zone {apex} is also in {}", other.display()),
            ZoneError::Check(errors) => {
                for (idx, Finding { line, message, code, .. }) in errors.iter().enumerate() {
                    let separator = if idx == 0 { "" } else { "\n" };
                    match line {
                        0 => write!(f, "{separator}{path}: {message} [{code}]")?,
                        line => write!(f, "{separator}{path}:{line}: {message} [{code}]")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Writes failures, one line per mistake, and how many lines there would be more.
struct Lines<'f>(&'f [ZoneFailure]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no zone was given");
        }
        let text: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        let lines: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
        let shown = lines.len().min(MESSAGE_LINES_MAX);
        f.write_str(&lines[..shown].join("\n"))?;
        match lines.len() - shown {
            0 => Ok(()),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

/// Writes losses, a line each, with the gate, and how many lines there would be more.
struct Losses<'l>(&'l [Loss]);

impl fmt::Display for Losses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |loss: &Loss| format!("{loss} (gate `{}`)", loss.gate.name());
        let shown: Vec<String> = self.0.iter().take(MESSAGE_LINES_MAX).map(line).collect();
        f.write_str(&shown.join("\n"))?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
