//! A new process takes the place of the old one under load: nothing is lost, and no old content comes back.

use std::time::Duration;

use super::common::load::Load;
use super::common::plane::Plane;
use super::common::reader::{Readers, Way};
use super::common::tool::compile;
use super::common::{soak, take_turn, versions};

/// The time from one upgrade to the next.
const UPGRADE_EACH: Duration = Duration::from_millis(700);

#[test]
fn upgrades_under_load_lose_nothing() {
    let _turn = take_turn();
    let scratch = tempfile::tempdir().unwrap();
    let (dir, zone) = (scratch.path().join("snap"), scratch.path().join("v.test.zone"));
    versions::write(&zone, 1);
    compile(&dir, &[&zone]);
    let mut plane = Plane::start(&dir);
    let load = Load::start(plane.addr, soak(6, 24), scratch.path());
    let readers = Readers::start(plane.addr, 1, &[Way::Udp, Way::TcpEach]);
    for round in 0..soak(5, 20) {
        let ended_early = load.ended_within(UPGRADE_EACH);
        assert_eq!(ended_early, None, "the load ended before upgrade {round}");
        let successor = Plane::start_at(&dir, plane.addr);
        assert_eq!(successor.addr, plane.addr);
        assert_eq!(successor.status()["pid"], successor.pid());
        let predecessor = std::mem::replace(&mut plane, successor);
        let ended = predecessor.wait_for_end();
        assert!(ended.success(), "{ended}");
    }
    let counted = load.end();
    let replies = readers.end();
    println!("{counted:?}; {replies} replies read");
    assert_eq!((counted.lost, counted.completed), (0, counted.sent));
}
