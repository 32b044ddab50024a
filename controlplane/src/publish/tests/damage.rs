//! Disks that change what was written: a bit flips in each page of the database, the write-ahead log is lost or torn.
//!
//! What may follow: the database is refused, zones keep what they had, or nothing at all. What may not: a data plane gets
//! content that nobody wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

/// How many domains there are: enough that each table has several pages.
const DOMAIN_COUNT: usize = 8;
/// How many names each has.
const NAME_COUNT: usize = 24;
/// Bits that flip in each page, far apart.
const FLIPS_PER_PAGE: usize = 3;
/// A page of the database in bytes.
const PAGE_LEN: usize = 4096;

/// The records of each published zone, but for SOA, in a form that can be compared.
type Content = BTreeMap<String, Vec<String>>;

/// What a data plane would serve of a directory.
fn content(snapshots: &Path) -> Content {
    let loaded = Directory::open(snapshots).unwrap().load(None).unwrap().unwrap();
    let mut zones = Content::new();
    for facts in loaded.view.zones() {
        let zone = loaded.view.zone(facts.apex.as_ref()).unwrap();
        let mut lines = Vec::new();
        for node in zone.nodes() {
            for body in node.rrsets().filter(|body| body.rtype != snapshot::dns::rtype::Rtype::SOA) {
                lines.push(format!("{:?} {:?} {:?}", node.name(), body.rtype, body.records));
            }
        }
        lines.sort();
        zones.insert(facts.apex.to_string(), lines);
    }
    zones
}

/// Copies a directory without those in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The domains of a bench with their names.
fn fill(bench: &Bench) -> Vec<(DomainId, String)> {
    let make = |n: usize| {
        let name = format!("zone{n}.test");
        let (domain, _) = bench.create(&name);
        let owners: Vec<(String, String)> =
            (0..NAME_COUNT).map(|k| (format!("n{k}"), format!("192.0.2.{}", n * NAME_COUNT + k))).collect();
        let edits: Vec<_> = owners.iter().map(|(owner, address)| (owner.as_str(), Some(address.as_str()))).collect();
        bench.edit(domain, &edits);
        (domain, name)
    };
    (0..DOMAIN_COUNT).map(make).collect()
}

/// Opens what is in `dir` and touches every domain, so that each is compiled anew. `None`: it was refused with a message.
fn revive(bench: &Bench, dir: &Path, domains: &[(DomainId, String)]) -> Option<Content> {
    let store = match Store::open(&dir.join("state")) {
        Ok(store) => Arc::new(store),
        Err(cause) => {
            assert!(!cause.to_string().is_empty());
            return None;
        }
    };
    let settings = Settings { snapshots: dir.join("snapshots"), planes: Vec::new(), sign: None, dnssec: None };
    let Ok(publisher) = Publisher::start(Arc::clone(&store), &settings) else { return None };
    let mut last = None;
    for &(domain, _) in domains {
        let state = Some((60, testing::rrset("touch", "203.0.113.1").records));
        let target = Target { subname: "touch".into(), rtype: snapshot::dns::rtype::Rtype::A, state };
        let edits = Edits::Targets { kind: "edit", undoes: None, targets: vec![target], soa: None, note: None };
        let change = Change { actor: bench.actor.clone(), domain, precondition: None, edits, dry_run: false };
        if publisher.quarantine().is_none()
            && let Ok(committed) = store.write_blocking(move |txn| commit(txn, change))
        {
            last = committed.change.or(last);
        }
    }
    if let Some(last) = last {
        let deadline = Instant::now() + Duration::from_secs(5);
        while publisher.progress().change < last
            && publisher.progress().counts.failures == 0
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    publisher.stop();
    Some(content(&dir.join("snapshots")))
}

/// Zones have what they had, or that and the touch.
fn assert_nothing_else(before: &Content, after: &Content, point: &str) {
    let names = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after), "{point}");
    for (name, lines) in after {
        let old = &before[name];
        let added: Vec<&String> = lines.iter().filter(|line| !old.contains(line)).collect();
        let missing: Vec<&String> = old.iter().filter(|line| !lines.contains(line)).collect();
        let is_touch = added.iter().all(|line| line.contains("203, 0, 113, 1") || line.contains("[203"));
        assert!(added.len() <= 1 && is_touch && missing.is_empty(), "{point}: {name} has {added:?}, lost {missing:?}");
    }
}

/// A filled bench whose database is one file, and what is published of it.
fn settled() -> (Bench, Vec<(DomainId, String)>, Content) {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let domains = fill(&bench);
    let head = bench.store.read(|reader| reader.head()).unwrap();
    published(&publisher, head.change);
    publisher.stop();
    let connection = rusqlite::Connection::open(bench.store.path()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let before = content(&bench.dir.path().join("snapshots"));
    (bench, domains, before)
}

/// Fault 21.
#[test]
fn a_flipped_bit_in_any_page_publishes_nothing_that_nobody_wrote() {
    let (bench, domains, before) = settled();
    let file = fs::read(bench.store.path()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let mut refused = 0;
    // Steps that share no factor with the length of a page reach all parts of it over the pages.
    let points = (0..file.len() / PAGE_LEN).flat_map(|page| {
        (0..FLIPS_PER_PAGE).map(move |k| (page, (page * 1_237 + k * 1_571 + 24) % PAGE_LEN, (page + 3 * k) % 8))
    });
    for (page, at, bit) in points {
        let dir = scratch.path().join(format!("{page}-{at}"));
        fs::create_dir_all(dir.join("state")).unwrap();
        copy(&bench.dir.path().join("snapshots"), &dir.join("snapshots"));
        let mut damaged = file.clone();
        damaged[page * PAGE_LEN + at] ^= 1 << bit;
        fs::write(dir.join("state/petrel.db"), damaged).unwrap();
        match revive(&bench, &dir, &domains) {
            Some(after) => assert_nothing_else(&before, &after, &format!("page {page} octet {at} bit {bit}")),
            None => refused += 1,
        }
        fs::remove_dir_all(dir).unwrap();
    }
    assert!(refused < file.len() / PAGE_LEN, "{refused} starts refused: not every damage needs a refusal");
}

/// Fault 22: the process died, and what it had written last is lost or torn.
#[test]
fn a_lost_or_torn_log_is_quarantined_or_whole() {
    let (bench, domains, _) = settled();
    // From here on everything is in the log only: the file stays as it is.
    let publisher = bench.publisher();
    published(&publisher, bench.edit(domains[0].0, &[("late", Some("198.51.100.1"))]));
    published(&publisher, bench.edit(domains[1].0, &[("late", Some("198.51.100.2"))]));
    publisher.stop();
    let before = content(&bench.dir.path().join("snapshots"));
    let log = fs::read(bench.store.path().with_extension("db-wal")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let cut = |len: usize| Some(log[..len].to_vec());
    let flipped = |at: usize| {
        let mut log = log.clone();
        log[at] ^= 4;
        Some(log)
    };
    let mut cases = vec![None, cut(0), cut(31), cut(log.len() / 2), cut(log.len() - 1)];
    cases.extend((0..12).map(|k| flipped(log.len() * k / 12 + 5)));
    let mut quarantined = 0;
    for (idx, case) in cases.into_iter().enumerate() {
        let dir = scratch.path().join(idx.to_string());
        copy(&bench.dir.path().join("snapshots"), &dir.join("snapshots"));
        fs::create_dir_all(dir.join("state")).unwrap();
        fs::copy(bench.store.path(), dir.join("state/petrel.db")).unwrap();
        if let Some(log) = case {
            fs::write(dir.join("state/petrel.db-wal"), log).unwrap();
        }
        let store = Arc::new(Store::open(&dir.join("state")).unwrap());
        let settings = Settings { snapshots: dir.join("snapshots"), planes: Vec::new(), sign: None, dnssec: None };
        let publisher = Publisher::start(store, &settings).unwrap();
        let is_quarantined = publisher.quarantine().is_some();
        publisher.stop();
        quarantined += usize::from(is_quarantined);
        let after = revive(&bench, &dir, &domains).unwrap();
        if is_quarantined {
            assert_eq!(after, before, "case {idx}");
        } else {
            assert_nothing_else(&before, &after, &format!("case {idx}"));
        }
    }
    assert!(quarantined >= 4, "{quarantined}");
}

/// Fault 24: a control plane that slept while another one took its place finds out when it wants to write or publish.
#[test]
fn a_control_plane_that_was_replaced_neither_writes_nor_publishes() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, change) = bench.create("one.test");
    published(&publisher, change);
    let before = publisher.progress().generation;
    // The second one is refused as long as the locks are there.
    let state = bench.dir.path().join("state");
    assert!(matches!(Store::open(&state), Err(StoreError::Held { .. })));
    fs::remove_file(state.join("lock")).unwrap();
    let store = Arc::new(Store::open(&state).unwrap());
    let settings =
        Settings { snapshots: bench.dir.path().join("snapshots"), planes: Vec::new(), sign: None, dnssec: None };
    assert!(matches!(Publisher::start(Arc::clone(&store), &settings), Err(StartError::Lock(_))));
    fs::remove_file(settings.snapshots.join("lock")).unwrap();
    let second = Publisher::start(Arc::clone(&store), &settings).unwrap();
    let refused = bench.store.write_blocking(|txn| txn.set("k", b"late"));
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(store.read(|reader| reader.setting("k")).unwrap(), None);
    // Woken all the same, the first one publishes nothing.
    let replacement = Bench { dir: tempfile::tempdir().unwrap(), store, actor: bench.actor.clone() };
    published(&second, replacement.set(domain, "www", "192.0.2.1"));
    assert_eq!(publisher.progress().generation, before);
    assert!(second.progress().generation > before);
    assert_eq!(bench.served(), "one.test.2");
    publisher.stop();
    second.stop();
}
