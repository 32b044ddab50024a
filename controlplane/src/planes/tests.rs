//! Tests of `planes` against a data plane played by a thread.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use snapshot::handover::frames::{Counter, Reply, Request, Status, read_frame, write_frame};
use tokio::sync::watch;

use super::{Pace, Planes, State};

/// Seconds would only make the tests slow.
const FAST: Pace = Pace { interval: Duration::from_millis(1), reply_time: Duration::from_millis(50) };

/// A status with the given generation.
fn status(generation: Option<u64>) -> Status {
    Status {
        protocol: 1,
        version: "0".into(),
        pid: 7,
        uptime_secs: 1,
        directory: "d".into(),
        generation,
        zones: 1,
        bytes: 2,
        refused: None,
        engine: "memory".into(),
        engine_notes: vec![],
        listen: vec![],
        workers: 1,
        retiring: false,
        quarantine: Vec::new(),
    }
}

/// What [`play_plane`] does instead of serving a generation: close every connection.
const AWAY: u64 = 0;
/// What ends [`play_plane`] at the next connection or question.
const END: u64 = u64::MAX;

/// Serves the generation that `phase` holds, which is also the value of its counter.
fn play_plane(listener: &UnixListener, phase: &AtomicU64) {
    while phase.load(SeqCst) != END {
        let (mut stream, _) = listener.accept().unwrap();
        while let Ok(Some(request)) = read_frame(&mut stream) {
            let generation = phase.load(SeqCst);
            if generation == AWAY || generation == END {
                break;
            }
            let reply = match request {
                Request::Status => Reply::Status(Box::new(status(Some(generation)))),
                Request::Stats => {
                    Reply::Stats(vec![Counter { name: "queries_total".into(), label: None, value: generation }])
                }
                other => Reply::Error { message: format!("{other:?}") },
            };
            // The asker may have given up.
            write_frame(&mut stream, &reply).ok();
        }
    }
}

/// Waits until `seen` is true of the only plane.
async fn wait_until(planes: &Planes, seen: impl Fn(&State) -> bool) {
    let wait = async {
        while !seen(&planes.states()[0].1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

#[test]
fn a_plane_is_attached_detached_when_it_goes_and_attached_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    let phase = Arc::new(AtomicU64::new(5));
    let plane = std::thread::spawn({
        let phase = Arc::clone(&phase);
        move || play_plane(&listener, &phase)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, stop) = watch::channel(false);
        let planes = Arc::new(Planes::new(dir.path().to_owned(), vec![path.clone()], FAST));
        let tasks = planes.spawn(&stop);
        wait_until(&planes, |state| state.attached().is_some_and(|plane| plane.status.generation == Some(5))).await;
        phase.store(AWAY, SeqCst);
        wait_until(&planes, |state| matches!(state, State::Detached(_))).await;
        phase.store(6, SeqCst);
        wait_until(&planes, |state| state.attached().is_some_and(|plane| plane.counters[0].value == 6)).await;
        sender.send_replace(true);
        for task in tasks {
            task.await.unwrap();
        }
    });
    phase.store(END, SeqCst);
    // It may be waiting for a connection.
    drop(UnixStream::connect(&path));
    plane.join().unwrap();
}

#[test]
fn nobody_there_a_silent_plane_and_a_hostile_one_are_detached_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let silent = UnixListener::bind(dir.path().join("silent")).unwrap();
    let hostile = UnixListener::bind(dir.path().join("hostile")).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let plane = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(SeqCst) {
                let (mut stream, _) = hostile.accept().unwrap();
                std::io::Write::write_all(&mut stream, &[0xff; 64]).ok();
                // It stays open until the other side has read and judged it.
                std::io::Read::read_to_end(&mut stream, &mut Vec::new()).ok();
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, stop) = watch::channel(false);
        let paths = ["silent", "hostile", "absent"].map(|name| dir.path().join(name)).to_vec();
        let planes = Arc::new(Planes::new(dir.path().to_owned(), paths, FAST));
        let tasks = planes.spawn(&stop);
        let asked = async {
            while planes.states().iter().any(|(_, state)| *state == State::Unknown) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
        for ((_, state), expected) in planes.states().iter().zip(["no answer within 50 ms", "too long", "No such file"])
        {
            assert!(matches!(state, State::Detached(why) if why.contains(expected)), "{state:?} is not {expected}");
        }
        sender.send_replace(true);
        for task in tasks {
            task.await.unwrap();
        }
    });
    over.store(true, SeqCst);
    // It is waiting for a connection.
    drop(UnixStream::connect(dir.path().join("hostile")));
    plane.join().unwrap();
    drop(silent);
}
