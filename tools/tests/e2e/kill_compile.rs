//! `kill -9` of `dnsctl compile` at random moments: the directory stays whole, the data plane keeps answering, and the
//! next writer cleans up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::common::plane::Plane;
use super::common::random::Random;
use super::common::reader::{Readers, Way};
use super::common::tool::{DNSCTL, compile, document};
use super::common::{soak, take_turn, versions};

/// Names in the zone that makes a compile take its time.
const NAME_COUNT: usize = 20_000;

/// Writes a zone that takes a while; the serial makes its pack another one each time.
fn write_big(path: &Path, serial: usize) {
    let mut text = format!("$ORIGIN big.test.\n$TTL 60\n@ SOA ns mail {serial} 1 1 1 1\n@ NS ns\nns A 127.0.0.1\n");
    for number in 0..NAME_COUNT {
        writeln!(text, "host-{number} A 10.0.0.1\nhost-{number} TXT \"{serial}\"").unwrap();
    }
    std::fs::write(path, text).unwrap();
}

/// Starts a compile whose end shows as the end of its standard output.
fn start(dir: &Path, files: &[PathBuf]) -> Child {
    let mut command = Command::new(DNSCTL);
    command.args(["compile", "--out"]).arg(dir).args(files);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a process ends, for at most `time`.
fn wait_within(child: &Child, time: Duration) {
    let output = child.stdout.as_ref().unwrap();
    let timeout = Timespec::try_from(time).unwrap();
    // No events are asked for, so only the end of the pipe is told and the output stays unread.
    poll(&mut [PollFd::new(output, PollFlags::empty())], Some(&timeout)).unwrap();
}

/// The time that a compile takes if nobody kills it.
fn undisturbed(dir: &Path, files: &[PathBuf], serial: usize) -> Duration {
    write_big(&files[1], serial);
    let begin = Instant::now();
    let mut child = start(dir, files);
    wait_within(&child, Duration::from_secs(60));
    let took = begin.elapsed();
    assert!(child.wait().unwrap().success());
    took
}

/// What `inspect` shows: the current generation, and the standings of all. Nothing may be broken.
fn inspect(dir: &Path) -> (u64, Vec<String>) {
    let shown = document(&["inspect".as_ref(), "--json".as_ref(), dir.as_os_str()]);
    let generations = shown["generations"].as_array().unwrap();
    for generation in generations {
        assert!(generation["broken"].is_null(), "{shown:#}");
    }
    let standings = generations.iter().map(|row| row["standing"].as_str().unwrap().to_owned()).collect();
    (shown["loaded"].as_u64().unwrap(), standings)
}

/// The names of unfinished files.
fn unfinished(dir: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".tmp")).collect()
}

#[test]
fn a_killed_compile_breaks_nothing_and_the_next_one_cleans_up() {
    let _turn = take_turn();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("snap");
    let files = [scratch.path().join("v.test.zone"), scratch.path().join("big.test.zone")];
    versions::write(&files[0], 1);
    write_big(&files[1], 0);
    compile(&dir, &[&files[0], &files[1]]);
    let plane = Plane::start(&dir);
    let readers = Readers::start(plane.addr, 1, &[Way::Udp]);
    let usual = (1..4).map(|serial| undisturbed(&dir, &files, serial)).min().unwrap();
    let mut random = Random::seeded();
    println!("PETREL_SEED={}", random.0);
    let (mut littered, mut published, mut unpublished) = (0, 0, 0);
    let mut current = inspect(&dir).0;
    for round in 0..soak(25, 50) {
        write_big(&files[1], round + 4);
        let mut child = start(&dir, &files);
        // Half of the moments lie where files are written and renamed; the end belongs to collecting old ones.
        let share = if round % 2 == 0 { random.unit() } else { 0.5 + 0.35 * random.unit() };
        wait_within(&child, usual.mul_f64(share));
        // It may have ended just now; then this was an undisturbed compile.
        child.kill().ok();
        child.wait().unwrap();
        littered += usize::from(!unfinished(&dir).is_empty());
        let (loaded, standings) = inspect(&dir);
        assert!(loaded >= current, "generation {loaded} after {current}");
        published += usize::from(loaded > current);
        unpublished += usize::from(standings.iter().any(|standing| standing == "unpublished"));
        current = loaded;
    }
    println!("{usual:?} undisturbed; {littered} kills left files, {unpublished} a manifest, {published} came too late");
    std::fs::write(dir.join(".tmp-1-1"), b"half").unwrap();
    write_big(&files[1], 1_000);
    let generation = compile(&dir, &[&files[0], &files[1]])["generation"].as_u64().unwrap();
    assert!(generation > current);
    assert_eq!(unfinished(&dir), BTreeSet::new());
    let pushed = document(&["push".as_ref(), "--json".as_ref(), dir.as_os_str()]);
    assert_eq!(pushed["generation"], generation);
    println!("{} replies read meanwhile", readers.end());
}
