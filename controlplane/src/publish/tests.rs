//! Publishing on a real disk, with the snapshot directory read back as a data plane would.

mod damage;
mod hashed;
mod held;
mod overlays;
mod places;
mod restart;
mod signed;
mod slow;

use snapshot::handover::Directory;

use super::*;
use crate::change::{Actor, Change, Edits, Target, commit, create, delete, resign, set_signing, testing};
use crate::rrset::Limits;
use crate::store::accounts::{Class, NewAccount};
use crate::store::{DomainId, Store};

/// A database, a directory, and who writes.
struct Bench {
    /// Where both lie.
    dir: tempfile::TempDir,
    /// The database.
    store: Arc<Store>,
    /// Who writes.
    actor: Actor,
}

impl Bench {
    /// A fresh one.
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("state")).unwrap());
        let uuid = uuid::Uuid::new_v4();
        let new = NewAccount { uuid, email: "a@b".into(), class: Class::Operator, created_us: 1, limit_domains: None };
        let account = store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap().id;
        let limits = Limits::OPERATOR;
        let house = std::sync::Arc::default();
        let actor = Actor { account, token: None, address: None, via: "test", now_us: 1_000_000, limits, house };
        Bench { dir, store, actor }
    }

    /// Starts a publisher without data planes.
    fn publisher(&self) -> Publisher {
        let settings =
            Settings { snapshots: self.dir.path().join("snapshots"), planes: Vec::new(), sign: None, dnssec: None };
        Publisher::start(Arc::clone(&self.store), &settings).unwrap()
    }

    /// Makes a domain.
    fn create(&self, name: &str) -> (DomainId, ChangeId) {
        let actor = self.actor.clone();
        let new = testing::new_domain(name);
        let created = self.store.write_blocking(move |txn| create(txn, &actor, new)).unwrap();
        (created.domain.id, created.change)
    }

    /// Sets an A record.
    fn set(&self, domain: DomainId, subname: &str, address: &str) -> ChangeId {
        self.set_for(domain, subname, address, 60)
    }

    /// The same with a TTL in seconds.
    fn set_for(&self, domain: DomainId, subname: &str, address: &str, ttl_secs: u32) -> ChangeId {
        let rrset = testing::rrset(subname, address);
        let target = Target { subname: subname.into(), rtype: rrset.rtype, state: Some((ttl_secs, rrset.records)) };
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets: vec![target], soa: None };
        let change = Change { actor: self.actor.clone(), domain, precondition: None, edits, dry_run: false };
        self.store.write_blocking(move |txn| commit(txn, change)).unwrap().change.unwrap()
    }

    /// Sets A records, or deletes them.
    fn edit(&self, domain: DomainId, edits: &[(&str, Option<&str>)]) -> ChangeId {
        let target = |(subname, address): &(&str, Option<&str>)| {
            let state = address.map(|address| (60, testing::rrset(subname, address).records));
            Target { subname: (*subname).into(), rtype: snapshot::dns::rtype::Rtype::A, state }
        };
        let targets = edits.iter().map(target).collect();
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets, soa: None };
        let change = Change { actor: self.actor.clone(), domain, precondition: None, edits, dry_run: false };
        self.store.write_blocking(move |txn| commit(txn, change)).unwrap().change.unwrap()
    }

    /// Sets A records of so many names: n0, n1 and so on.
    fn fill(&self, domain: DomainId, count: usize) -> ChangeId {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let edits: Vec<_> = names.iter().map(|name| (name.as_str(), Some("192.0.2.1"))).collect();
        self.edit(domain, &edits)
    }

    /// The names of the zone big.test with their types and the octets of their records.
    fn nodes(&self) -> String {
        let directory = Directory::open(&self.dir.path().join("snapshots")).unwrap();
        let view = directory.load(None).unwrap().unwrap().view;
        let apex = snapshot::dns::name::Name::parse(b"big.test.", None).unwrap();
        let zone = view.zone(apex.as_ref()).unwrap();
        let mut lines: Vec<String> = zone
            .nodes()
            .map(|node| {
                let rrsets = node.rrsets().map(|body| format!("{:?} {:?}", body.rtype, body.records));
                format!(
                    "{} {}",
                    snapshot::dns::name::Name::from_wire(node.name()).unwrap(),
                    rrsets.collect::<Vec<_>>().join(" ")
                )
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }

    /// What a data plane would serve: "name serial" of each zone.
    fn served(&self) -> String {
        let directory = Directory::open(&self.dir.path().join("snapshots")).unwrap();
        let Some(loaded) = directory.load(None).unwrap() else { return "nothing".into() };
        let zones = loaded.view.zones().into_iter().map(|facts| format!("{}{}", facts.apex, facts.serial));
        zones.collect::<Vec<_>>().join(" ")
    }
}

/// Waits until a change is published.
fn published(publisher: &Publisher, change: ChangeId) {
    assert_eq!(outcome(publisher, change), Served::Nobody);
    assert!(publisher.has(change));
}

/// What comes of waiting for a change.
fn outcome(publisher: &Publisher, change: ChangeId) -> Served {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(publisher.wait(change, Duration::from_secs(30)))
}

#[test]
fn what_is_committed_is_published_and_deleted_zones_go() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("one.test");
    let (_, change) = bench.create("two.test");
    published(&publisher, change);
    assert_eq!(bench.served(), "one.test.1 two.test.1");
    published(&publisher, bench.set(domain, "www", "192.0.2.1"));
    assert_eq!(bench.served(), "one.test.2 two.test.1");
    let actor = bench.actor.clone();
    let gone = bench.store.write_blocking(move |txn| delete(txn, &actor, "one.test", &[])).unwrap().unwrap();
    published(&publisher, gone);
    assert_eq!(bench.served(), "two.test.1");
    publisher.stop();
}

#[test]
fn what_was_committed_while_nobody_published_is_published_at_the_start() {
    let bench = Bench::new();
    let (domain, first) = bench.create("one.test");
    let publisher = bench.publisher();
    published(&publisher, first);
    publisher.stop();
    let change = bench.set(domain, "www", "192.0.2.1");
    assert_eq!(bench.served(), "one.test.1");
    let publisher = bench.publisher();
    published(&publisher, change);
    assert_eq!(bench.served(), "one.test.2");
    publisher.stop();
}

#[test]
fn a_lost_snapshot_directory_is_made_anew_from_the_database() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (_, change) = bench.create("one.test");
    published(&publisher, change);
    publisher.stop();
    std::fs::remove_dir_all(bench.dir.path().join("snapshots")).unwrap();
    let publisher = bench.publisher();
    published(&publisher, change);
    assert_eq!(bench.served(), "one.test.1");
    publisher.stop();
}

#[test]
fn a_database_that_lost_changes_publishes_nothing() {
    let mut bench = Bench::new();
    let (domain, _) = bench.create("one.test");
    let copy = bench.dir.path().join("copy.db");
    bench.store.back_up(&copy).unwrap();
    let publisher = bench.publisher();
    published(&publisher, bench.set(domain, "www", "192.0.2.1"));
    publisher.stop();
    let state = bench.dir.path().join("restored");
    std::fs::create_dir(&state).unwrap();
    std::fs::rename(&copy, state.join("petrel.db")).unwrap();
    bench.store = Arc::new(Store::open(&state).unwrap());
    let publisher = bench.publisher();
    assert_eq!(publisher.quarantine(), Some(&Quarantine::Behind { database: 1, published: 2 }));
    publisher.stop();
    // With other changes instead of the lost ones it is found out as well.
    bench.set(domain, "other", "192.0.2.1");
    let publisher = bench.publisher();
    assert_eq!(publisher.quarantine(), Some(&Quarantine::Diverged { change: 2 }));
    assert_eq!(bench.served(), "one.test.2");
    publisher.stop();
}

#[test]
fn a_zone_that_cannot_be_compiled_keeps_its_content_and_holds_up_no_other() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (one, _) = bench.create("one.test");
    let (two, change) = bench.create("two.test");
    published(&publisher, change);
    let path = bench.store.path().to_owned();
    bench.set(one, "www", "192.0.2.1");
    // A bit of the stored record flips behind SQLite's back.
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute("UPDATE records SET rdata = x'C0000209' WHERE content = '192.0.2.1'", []).unwrap();
    assert_eq!(outcome(&publisher, bench.set(one, "ftp", "192.0.2.3")), Served::Refused);
    published(&publisher, bench.set(two, "www", "192.0.2.2"));
    assert!(publisher.progress().refused["one.test"].contains("damaged"));
    assert!(bench.served().ends_with("two.test.2"), "{}", bench.served());
    publisher.stop();
}

#[test]
fn a_big_zone_gets_overlays_that_are_worth_a_whole_compile() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    let many: Vec<String> = (0..400).map(|n| format!("n{n}")).collect();
    published(
        &publisher,
        bench.edit(domain, &many.iter().map(|name| (name.as_str(), Some("192.0.2.1"))).collect::<Vec<_>>()),
    );
    // New names, changed ones, deleted ones, a wildcard, an empty non-terminal that comes and one that goes.
    for edits in [
        &[("new", Some("192.0.2.2")), ("n3", Some("192.0.2.3"))][..],
        &[("n4", None), ("a.b.c", Some("192.0.2.4")), ("*.w", Some("192.0.2.5"))],
        &[("a.b.c", None), ("n5", None), ("deep.n5", Some("192.0.2.6"))],
    ] {
        published(&publisher, bench.edit(domain, edits));
    }
    assert!(publisher.progress().counts.overlays >= 3, "{:?}", publisher.progress().counts);
    let overlaid = bench.nodes();
    publisher.stop();
    std::fs::remove_dir_all(bench.dir.path().join("snapshots")).unwrap();
    let publisher = bench.publisher();
    published(&publisher, ChangeId(5));
    assert_eq!(publisher.progress().counts.overlays, 0);
    assert_eq!(overlaid, bench.nodes());
    assert!(overlaid.contains("deep.n5.big.test.") && !overlaid.contains("a.b.c"), "{overlaid}");
    publisher.stop();
}

#[test]
fn an_overlay_that_has_grown_is_folded_while_changes_go_on() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    let name = |n: usize| format!("n{n}");
    let edit = |range: std::ops::Range<usize>, address: &str| {
        let names: Vec<String> = range.map(name).collect();
        bench.edit(domain, &names.iter().map(|name| (name.as_str(), Some(address))).collect::<Vec<_>>())
    };
    published(&publisher, edit(0..2000, "192.0.2.1"));
    for round in 0..40 {
        published(&publisher, edit(round * 40..round * 40 + 40, "192.0.2.2"));
    }
    let overlaid = bench.nodes();
    publisher.stop();
    std::fs::remove_dir_all(bench.dir.path().join("snapshots")).unwrap();
    let publisher = bench.publisher();
    published(&publisher, ChangeId(42));
    assert_eq!(overlaid, bench.nodes());
    publisher.stop();
}

#[test]
fn a_zone_that_could_not_be_read_is_published_later_without_another_change() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (one, change) = bench.create("one.test");
    published(&publisher, change);
    bench.set(one, "www", "192.0.2.1");
    let other = rusqlite::Connection::open(bench.store.path()).unwrap();
    other.execute("UPDATE records SET rdata = x'C0000209' WHERE content = '192.0.2.1'", []).unwrap();
    let change = bench.set(one, "ftp", "192.0.2.3");
    assert_eq!(outcome(&publisher, change), Served::Refused);
    let (_, other_change) = bench.create("two.test");
    published(&publisher, other_change);
    publisher.stop();
    // The page can be read again, as after an error of the bus; what was refused is still in the outbox.
    other.execute("UPDATE records SET rdata = x'C0000201' WHERE content = '192.0.2.1'", []).unwrap();
    let publisher = bench.publisher();
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.served() != "one.test.3 two.test.1" {
        assert!(Instant::now() < deadline, "{}", bench.served());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(publisher.refusal_of("one.test"), None);
    publisher.stop();
}

#[test]
fn a_publication_that_failed_leaves_no_overlay_without_its_base() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, change) = bench.create("big.test");
    published(&publisher, change);
    // The change that makes the zone big compiles it whole; that base does not get through.
    let current = bench.dir.path().join("snapshots/CURRENT");
    let aside = bench.dir.path().join("aside");
    std::fs::rename(&current, &aside).unwrap();
    std::fs::create_dir(&current).unwrap();
    bench.fill(domain, 400);
    let deadline = Instant::now() + Duration::from_secs(30);
    while publisher.progress().counts.failures == 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_dir(&current).unwrap();
    std::fs::rename(&aside, &current).unwrap();
    published(&publisher, bench.edit(domain, &[("n2", Some("192.0.2.3"))]));
    let after = bench.nodes();
    assert!(after.contains("192, 0, 2, 3") && after.contains("n399.big.test."), "{after}");
    publisher.stop();
}
