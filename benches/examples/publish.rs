//! What publishing one small zone into many costs: `publish DIR ZONES PUBLICATIONS`. DIR is made if it is not there; in a
//! second run it is, and what memory the writer takes can be told.
//!
//! Each publication replaces one zone of ten names by a new version, as one pack; a view follows each of them, as a data
//! plane does; garbage is collected every 32 publications, and packs are rewritten on another thread when that is due.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use benches::label;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, ZoneBuilder};
use snapshot::handover::{Compacted, Directory, HandoverError, Keep, Publication};
use snapshot::image::{PackFile, Segment, View};

/// Names of a zone.
const NAMES: u32 = 10;
/// Publications between two collections.
const COLLECT_EVERY: usize = 256;

/// Reads the arguments and writes to stdout.
fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, zones, publications] = arguments[..] else { std::process::exit(2) };
    let (Ok(zones), Ok(publications)) = (zones.parse(), publications.parse()) else { std::process::exit(2) };
    measure(Path::new(dir), zones, publications).map_err(io::Error::other)
}

/// Publishes, follows, and tells how long it took.
fn measure(dir: &Path, zones: u32, publications: usize) -> Result<(), HandoverError> {
    let directory = Directory::create(dir)?;
    if directory.current()?.is_none() {
        let mut writer = directory.lock("bench").expect("nobody else has the directory");
        let base: Vec<Segment> = (0..zones).map(|number| segment(number, 1)).collect();
        let base = PackFile::encode(base).map_err(HandoverError::Encode)?;
        writer.publish(Publication::of(vec![base], Keep::Nothing, 0))?;
    }
    let before = resident_kib();
    let mut writer = directory.lock("bench").expect("nobody else has the directory");
    let begin = Instant::now();
    writer.publish(Publication::of(vec![pack(0, 2)], Keep::Others, 0))?;
    let learnt = begin.elapsed();
    let writer_kib = resident_kib().saturating_sub(before);
    let begin = Instant::now();
    let mut view = directory.load(None)?.expect("a generation was published").view;
    let mut out = io::stdout().lock();
    let cold = begin.elapsed();
    let mut times = Times::default();
    let mut rewriting: Option<JoinHandle<Result<Compacted, HandoverError>>> = None;
    let mut packs_max = 0;
    for at in 0..publications {
        let number = u32::try_from(at).unwrap_or(0).wrapping_mul(7_919) % zones;
        let begin = Instant::now();
        let pack = pack(number, u32::try_from(at).unwrap_or(0) + 3);
        let built = Instant::now();
        let published = writer.publish(Publication::of(vec![pack], Keep::Others, 0))?;
        let done = Instant::now();
        packs_max = packs_max.max(published.current.manifest.packs.len());
        view = follow(&directory, &view)?;
        times.load.push(done.elapsed());
        times.both.push(built.elapsed());
        times.build.push(built - begin);
        times.publish.push(done - built);
        let begin = Instant::now();
        if at % COLLECT_EVERY == 0 {
            writer.collect(2, &[])?;
            times.collect.push(begin.elapsed());
        }
        rewriting = match rewriting {
            None => writer.plan_compaction()?.map(|due| std::thread::spawn(|| due.run())),
            Some(thread) if thread.is_finished() => {
                let begin = Instant::now();
                writer.adopt(thread.join().expect("it does not panic")?, 0)?;
                times.adopt.push(begin.elapsed());
                None
            }
            running => running,
        };
    }
    writeln!(
        out,
        "{zones} zones of {NAMES} names; first publication {learnt:.1?}, writer {writer_kib} KiB; cold load {cold:.1?}; \
         at most {packs_max} packs\n{times}"
    )
    .map_err(|source| HandoverError::Io { doing: "write to", path: "stdout".into(), source })
}

/// Loads the newest generation.
fn follow(directory: &Directory, view: &Arc<View>) -> Result<Arc<View>, HandoverError> {
    Ok(directory.load(Some(view))?.expect("a generation was published").view)
}

/// A pack of one zone.
fn pack(number: u32, serial: u32) -> PackFile {
    PackFile::encode(vec![segment(number, serial)]).expect("a small zone fits")
}

/// Compiles a zone.
fn segment(number: u32, serial: u32) -> Segment {
    let apex: Name = format!("{}.test.", label(number)).parse().expect("a label is a name");
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut soa = b"\x02ns\x04test\0\x02hm\x04test\0".to_vec();
    soa.extend_from_slice(&serial.to_be_bytes());
    soa.extend_from_slice(&[0, 0, 14, 16, 0, 0, 7, 8, 0, 9, 58, 128, 0, 0, 0, 60]);
    let mut push = |owner: &Name, rtype, rdata: &[u8]| {
        let record = Record { owner: owner.as_ref(), rtype, ttl_secs: 300, rdata, line: 1 };
        builder.push(record).expect("a small zone fits");
    };
    push(&apex, Rtype::SOA, &soa);
    push(&apex, Rtype::NS, b"\x02ns\x04test\0");
    for host in 1..NAMES {
        let owner: Name = format!("host{host}.{}.test.", label(number)).parse().expect("a label is a name");
        push(&owner, Rtype::A, &[192, 0, 2, u8::try_from(host).unwrap_or(0)]);
    }
    Segment::build(&builder.finish()).expect("the zone is well-formed")
}

/// KiB of memory that this process uses; 0 where the system does not say.
fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4
}

/// How long each step took.
#[derive(Default)]
struct Times {
    /// Compiling and packing the zone.
    build: Vec<Duration>,
    /// Publishing it.
    publish: Vec<Duration>,
    /// Making the view.
    load: Vec<Duration>,
    /// Publishing it and making the view.
    both: Vec<Duration>,
    /// Collecting garbage.
    collect: Vec<Duration>,
    /// Adopting rewritten packs.
    adopt: Vec<Duration>,
}

impl std::fmt::Display for Times {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, times) in [
            ("build", &self.build),
            ("publish", &self.publish),
            ("load", &self.load),
            ("publish and load", &self.both),
            ("collect", &self.collect),
            ("adopt", &self.adopt),
        ] {
            let mut times = times.clone();
            times.sort_unstable();
            let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1)));
            if let (Some(median), Some(p99), Some(max)) = (at(50), at(99), times.last()) {
                writeln!(out, "{what:<18}{:>5} times, median {median:.1?}, p99 {p99:.1?}, max {max:.1?}", times.len())?;
            }
        }
        Ok(())
    }
}
