//! A push replaces a zone under load: nothing is lost or mixed, and what is sent after it returns sees the new version.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::common::load::Load;
use super::common::plane::Plane;
use super::common::reader::{Readers, Way};
use super::common::tool::{compile, document};
use super::common::{soak, take_turn, versions};

/// The time from one push to the next.
const PUSH_EACH: Duration = Duration::from_millis(200);

#[test]
fn pushes_under_load_lose_and_mix_nothing_and_are_served_when_they_return() {
    let _turn = take_turn();
    let scratch = tempfile::tempdir().unwrap();
    let (dir, zone) = (scratch.path().join("snap"), scratch.path().join("v.test.zone"));
    let mut version = 1;
    versions::write(&zone, version);
    compile(&dir, &[&zone]);
    let plane = Plane::start(&dir);
    let load = Load::start(plane.addr, soak(5, 60), scratch.path());
    let readers = Readers::start(plane.addr, version, &[Way::Udp, Way::TcpEach, Way::TcpKept]);
    let window = readers.window.clone();
    let mut millis = Vec::new();
    let counted = loop {
        let next = Instant::now() + PUSH_EACH;
        version += 1;
        versions::write(&zone, version);
        window.begun.store(version, Ordering::SeqCst);
        compile(&dir, &[&zone]);
        let pushed = document(&["push".as_ref(), "--json".as_ref(), dir.as_os_str()]);
        window.acknowledged.store(version, Ordering::SeqCst);
        assert_eq!(pushed["generation"], version);
        millis.push(pushed["millis"].as_f64().unwrap());
        if let Some(counted) = load.ended_within(next.saturating_duration_since(Instant::now())) {
            break counted;
        }
    };
    let replies = readers.end();
    millis.sort_by(f64::total_cmp);
    let (pushes, slowest) = (millis.len(), millis.last().copied().unwrap_or_default());
    println!("{pushes} pushes, the slowest served after {slowest} ms; {counted:?}; {replies} replies read");
    assert!(pushes >= soak(1, 100), "only {pushes} pushes");
    assert_eq!((counted.lost, counted.completed), (0, counted.sent));
}
