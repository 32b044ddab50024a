//! Compiling whole directories of small zones.

use std::path::Path;
use std::sync::Mutex;

use snapshot::handover::{Current, Directory};
use tempfile::TempDir;

use super::*;
use crate::source::sources_in;

/// Zone files and a directory of generations in a temporary place.
struct Bench {
    /// Removed at the end.
    root: TempDir,
}

impl Bench {
    /// Without any file.
    fn new() -> Bench {
        let root = TempDir::new().unwrap();
        std::fs::create_dir(root.path().join("zones")).unwrap();
        Bench { root }
    }

    /// The directory of generations.
    fn out(&self) -> Directory {
        Directory::create(&self.root.path().join("out")).unwrap()
    }

    /// Where the zone files are.
    fn zones(&self) -> std::path::PathBuf {
        self.root.path().join("zones")
    }

    /// Writes a zone file.
    fn write(&self, file_name: &str, text: &str) {
        std::fs::write(self.zones().join(file_name), text).unwrap();
    }

    /// Compiles all zone files.
    fn compile(&self, keep: Keep, jobs: usize) -> Result<Compiled, CompileError> {
        self.compile_sources(&sources_in(&self.zones()).unwrap(), keep, jobs)
    }

    /// Compiles these files.
    fn compile_sources(&self, sources: &[ZoneSource], keep: Keep, jobs: usize) -> Result<Compiled, CompileError> {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let options = CompileOptions {
            keep,
            stay: HashSet::new(),
            jobs,
            read: ReadOptions::default(),
            keep_going: false,
            force: None,
            created_unix_secs: 7,
        };
        let mut writer = self.out().lock("test").unwrap();
        compile(&mut writer, sources, &options, &|_| ())
    }

    /// Compiles all zone files that are sound: how many, and the messages of the others.
    fn compile_sound(&self) -> (u64, Vec<String>) {
        let (jobs, read) = (NonZeroUsize::new(2).unwrap(), ReadOptions::default());
        let options = CompileOptions {
            keep: Keep::Nothing,
            stay: HashSet::new(),
            jobs,
            read,
            keep_going: true,
            force: None,
            created_unix_secs: 7,
        };
        let mut writer = self.out().lock("test").unwrap();
        let sources = sources_in(&self.zones()).unwrap();
        let compiled = compile(&mut writer, &sources, &options, &|_| ()).unwrap();
        let place = |failure: &ZoneFailure| failure.to_string().replace(self.zones().to_str().unwrap(), "Z");
        (compiled.zones, compiled.failures.iter().map(place).collect())
    }

    /// What is served: apexes with serials.
    fn served(&self) -> String {
        let Some(loaded) = self.out().load(None).unwrap() else { return "nothing".into() };
        let zones = loaded.view.zones();
        zones.iter().map(|zone| format!("{}{}", zone.apex, zone.serial)).collect::<Vec<_>>().join(" ")
    }
}

/// A sound zone with a serial.
fn zone(serial: u32) -> String {
    format!("@ 60 SOA ns hm {serial} 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n")
}

/// The digests of the packs of a generation.
fn packs(current: &Current) -> Vec<String> {
    current.manifest.packs.iter().map(|pack| pack.digest.to_string()).collect()
}

#[test]
fn zones_become_a_generation_and_warnings_name_their_source() {
    let bench = Bench::new();
    bench.write("a.test.zone", &zone(1));
    bench.write("b.test.zone", &format!("{}x 1 TXT a\nx 2 TXT b\n", zone(2)));
    let compiled = bench.compile(Keep::Nothing, 2).unwrap();
    assert_eq!((compiled.zones, compiled.published.current.manifest.created_unix_secs), (2, 7));
    assert_eq!(compiled.warnings.len(), 1);
    let (source_idx, finding) = &compiled.warnings[0];
    assert_eq!((*source_idx, finding.code, finding.line), (1, "ttl-mismatch", 5));
    assert_eq!(bench.served(), "a.test.1 b.test.2");
}

#[test]
fn the_zones_given_replace_all_or_are_merged() {
    let bench = Bench::new();
    bench.write("a.zone", &zone(1));
    bench.write("b.zone", &zone(1));
    bench.compile(Keep::Nothing, 1).unwrap();
    std::fs::remove_file(bench.zones().join("a.zone")).unwrap();
    bench.write("b.zone", &zone(2));
    bench.compile(Keep::Others, 1).unwrap();
    assert_eq!(bench.served(), "a.1 b.2");
    bench.compile(Keep::Nothing, 1).unwrap();
    assert_eq!(bench.served(), "b.2");
}

#[test]
fn the_same_zones_give_the_same_packs_whatever_the_jobs_and_the_order() {
    let bench = Bench::new();
    for count in 0..200 {
        bench
            .write(&format!("z{count}.zone"), &format!("{}{}", zone(count), "x 60 TXT x\n".repeat(count as usize % 7)));
    }
    let one = bench.compile(Keep::Nothing, 1).unwrap();
    let mut sources = sources_in(&bench.zones()).unwrap();
    sources.reverse();
    let many = bench.compile_sources(&sources, Keep::Nothing, 4).unwrap();
    assert_eq!(packs(&one.published.current), packs(&many.published.current));
    assert_eq!(many.published.current.manifest.generation.0, 2);
}

#[test]
fn one_bad_zone_stops_everything_and_all_bad_ones_are_told() {
    let bench = Bench::new();
    bench.write("good.zone", &zone(1));
    bench.compile(Keep::Nothing, 2).unwrap();
    let files = || {
        let mut names: Vec<_> =
            std::fs::read_dir(bench.out().path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let before = files();
    bench.write("bad-1.zone", "@ 60 NS ns.example.\n");
    bench.write("bad-2.zone", &format!("{}a 60 CNAME b\na 60 TXT x\n", zone(1)));
    bench.write("bad-3.zone", "@ 60 A 192.0.2.256\n");
    bench.write("good.zone", &zone(2));
    let error = bench.compile(Keep::Nothing, 2).unwrap_err();
    let text = error.to_string().replace(bench.zones().to_str().unwrap(), "Z");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Z/bad-1.zone: bad-1. has no SOA (RFC 1035 section 5.2) [no-soa]");
    assert_eq!(
        lines[1],
        "Z/bad-2.zone:5: a.bad-2. has a CNAME and also TXT (RFC 1034 section 3.6.2) [cname-and-other-data]"
    );
    assert!(lines[2].starts_with("Z/bad-3.zone:1:"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(files(), before);
    assert_eq!(bench.served(), "good.1");
}

#[test]
fn two_files_for_one_zone_are_refused() {
    let bench = Bench::new();
    bench.write("a.zone", &zone(1));
    bench.write("b.zone", &format!("$ORIGIN A.\n{}", zone(2)));
    let error = bench.compile(Keep::Nothing, 2).unwrap_err();
    let text = error.to_string().replace(bench.zones().to_str().unwrap(), "Z");
    assert_eq!(text, "Z/b.zone: zone a. is also in Z/a.zone");
    assert_eq!(bench.served(), "nothing");
    let none = bench.compile_sources(&[], Keep::Nothing, 1).unwrap_err();
    assert_eq!(none.to_string(), "no zone was given");
}

#[test]
fn sound_zones_are_published_without_the_others_if_so_wanted() {
    let bench = Bench::new();
    assert_eq!(bench.compile_sound(), (0, vec![]));
    bench.write("bad.zone", "@ 60 NS ns.example.\n");
    assert_eq!(bench.compile_sound(), (0, vec!["Z/bad.zone: bad. has no SOA (RFC 1035 section 5.2) [no-soa]".into()]));
    assert_eq!(bench.served(), "");
    bench.write("good.zone", &zone(2));
    bench.write("other.zone", &format!("$ORIGIN good.\n{}", zone(3)));
    let messages = vec![
        "Z/bad.zone: bad. has no SOA (RFC 1035 section 5.2) [no-soa]".into(),
        "Z/other.zone: zone good. is also in Z/good.zone".into(),
    ];
    assert_eq!(bench.compile_sound(), (1, messages));
    assert_eq!(bench.served(), "good.2");
}

#[test]
fn missing_files_are_failures_and_long_lists_are_cut() {
    let bench = Bench::new();
    let source = |count| ZoneSource { path: Path::new("/nonexistent").join(format!("{count}.zone")), origin: None };
    let sources: Vec<ZoneSource> = (0..60).map(source).collect();
    let text = bench.compile_sources(&sources, Keep::Nothing, 2).unwrap_err().to_string();
    assert_eq!(text.lines().count(), MESSAGE_LINES_MAX + 1);
    assert!(text.starts_with("cannot read /nonexistent/0.zone: "), "{text}");
    assert!(text.ends_with("\nand 10 more errors"), "{text}");
}

#[test]
fn progress_ends_with_everything_done() {
    let bench = Bench::new();
    bench.write("a.zone", &zone(1));
    bench.write("b.zone", &zone(1));
    let seen = Mutex::new(Vec::new());
    let sources = sources_in(&bench.zones()).unwrap();
    let (keep, read) = (Keep::Nothing, ReadOptions::default());
    let options = CompileOptions {
        keep,
        stay: HashSet::new(),
        jobs: NonZeroUsize::MIN,
        read,
        keep_going: false,
        force: None,
        created_unix_secs: 0,
    };
    let mut writer = bench.out().lock("test").unwrap();
    compile(&mut writer, &sources, &options, &|progress| seen.lock().unwrap().push(progress)).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].bytes_done <= pair[1].bytes_done));
    let last = seen.last().unwrap();
    assert_eq!((last.phase, last.zones_done, last.zones_total), ("publishing", 2, 2));
    assert_eq!((last.bytes_done, last.bytes_total), (2 * zone(1).len() as u64, 2 * zone(1).len() as u64));
}

/// A zone with this many names.
fn zone_of(names: usize) -> String {
    let hosts: String = (2..names).map(|number| format!("n{number} 60 A 192.0.2.1\n")).collect();
    zone(1) + &hosts
}

/// Compiles all zone files; the losses that were refused or forced, or the error.
fn gated(bench: &Bench, keep: Keep, force: Option<Force>) -> (String, String) {
    let (jobs, read) = (NonZeroUsize::MIN, ReadOptions::default());
    let options =
        CompileOptions { keep, stay: HashSet::new(), jobs, read, keep_going: true, force, created_unix_secs: 7 };
    let mut writer = bench.out().lock("test").unwrap();
    let done = compile(&mut writer, &sources_in(&bench.zones()).unwrap(), &options, &|_| ());
    let told = match done {
        Err(error) => error.to_string(),
        Ok(Compiled { refused, forced, uncompared, .. }) => {
            let lines = |losses: Vec<Loss>| losses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{}|{}|{}", lines(refused), lines(forced), uncompared.is_some())
        }
    };
    let loaded = bench.out().load(None).unwrap().unwrap();
    let zones = loaded.view.zones().iter().map(|facts| format!("{}{}", facts.apex, facts.names)).collect::<Vec<_>>();
    (told, zones.join(" "))
}

/// What a zone is told that shrinks.
fn shrinks(from: usize, to: usize) -> String {
    format!("zone big. would shrink from {from} to {to} names")
}

#[test]
fn a_zone_that_shrinks_keeps_what_it_has_while_the_others_go_out() {
    use crate::gate::{Gate, Reason};
    let bench = Bench::new();
    bench.write("big.zone", &zone_of(1000));
    bench.write("other.zone", &zone_of(2));
    bench.write("small.zone", &zone_of(5));
    assert_eq!(gated(&bench, Keep::Nothing, None), ("||false".into(), "big.1000 other.2 small.5".into()));
    bench.write("big.zone", &zone_of(800));
    assert_eq!(gated(&bench, Keep::Nothing, None).1, "big.800 other.2 small.5");
    bench.write("big.zone", &zone_of(639));
    bench.write("other.zone", &zone_of(3));
    std::fs::remove_file(bench.zones().join("small.zone")).unwrap();
    let expected = (format!("{}||false", shrinks(800, 639)), "big.800 other.3".into());
    assert_eq!(gated(&bench, Keep::Nothing, None), expected);
    // What is kept can be compared with again, also where zones are merged.
    assert_eq!(gated(&bench, Keep::Others, None), expected);
    // Nothing else is left to publish: no generation is made.
    std::fs::remove_file(bench.zones().join("other.zone")).unwrap();
    let generation = || bench.out().current().unwrap().unwrap().manifest.generation;
    let before = generation();
    assert_eq!(gated(&bench, Keep::Others, None).0, format!("{} (gate `shrink`)", shrinks(800, 639)));
    assert_eq!(generation(), before);
    let force = Force { gates: vec![Gate::Shrink], reason: Reason::new("moved").unwrap() };
    let expected = (format!("|{}|false", shrinks(800, 639)), "big.639 other.3".into());
    assert_eq!(gated(&bench, Keep::Others, Some(force)), expected);
}

#[test]
fn a_large_zone_that_is_broken_or_not_given_stays_and_small_ones_go_together_only_if_forced() {
    use crate::gate::{Gate, Reason};
    let bench = Bench::new();
    bench.write("big.zone", &zone_of(101));
    for number in 0..40 {
        bench.write(&format!("z{number}.zone"), &zone_of(10));
    }
    gated(&bench, Keep::Nothing, None);
    bench.write("big.zone", "broken");
    bench.write("z0.zone", "broken");
    let (told, zones) = gated(&bench, Keep::Nothing, None);
    // What is broken is no loss: it keeps what it has.
    assert_eq!(told, "||false");
    assert!(zones.starts_with("big.101 z0.10 z1.10"), "{zones}");
    std::fs::remove_file(bench.zones().join("big.zone")).unwrap();
    for number in 2..40 {
        std::fs::remove_file(bench.zones().join(format!("z{number}.zone"))).unwrap();
    }
    let (told, same) = gated(&bench, Keep::Nothing, None);
    let total = "all zones together would shrink from 491 to 111 names (gate `shrink-total`)";
    assert_eq!(told, format!("zone big. would go with its 101 names (gate `shrink`)\n{total}"));
    assert_eq!(same, zones);
    let force = Force { gates: Gate::ALL.to_vec(), reason: Reason::new("moved").unwrap() };
    let (told, zones) = gated(&bench, Keep::Nothing, Some(force));
    assert!(told.starts_with("|all zones together would shrink from 390 to 10 names, zone big."), "{told}");
    assert_eq!(zones, "z0.10 z1.10");
}

#[test]
fn a_damaged_generation_is_compiled_anew_without_a_comparison() {
    let bench = Bench::new();
    bench.write("big.zone", &zone_of(1000));
    gated(&bench, Keep::Nothing, None);
    std::fs::remove_file(bench.root.path().join("out/CURRENT")).unwrap();
    std::fs::write(bench.root.path().join("out/CURRENT"), "garbage\n").unwrap();
    bench.write("big.zone", &zone_of(10));
    assert_eq!(gated(&bench, Keep::Nothing, None), ("||true".into(), "big.10".into()));
}
