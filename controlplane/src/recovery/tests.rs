//! Recovery on a real disk: a database put back, a snapshot that has more, and what is served afterwards.

use std::sync::Arc;
use std::time::Duration;

use snapshot::dns::rtype::Rtype;
use snapshot::handover::Directory;

use super::*;
use crate::change::{Change, Edits, NewDomain, Target, commit, create, delete, set_signing, testing};
use crate::dnssec::Dnssec;
use crate::publish::{Publisher, Settings};
use crate::store::domains::Denial;
use crate::store::rrsets::{Record, Rrset};

/// The serial of the zone in service, once all that waits is published; `None` if it is not served.
fn serial_served(state: &Path, snapshots: &Path) -> Option<u32> {
    let store = Arc::new(Store::open(state).unwrap());
    let head = store.read(|reader| reader.head()).unwrap().change;
    let settings = Settings { snapshots: snapshots.to_owned(), planes: Vec::new(), sign: None, dnssec: None };
    let publisher = Publisher::start(store, &settings).unwrap();
    assert_eq!(publisher.quarantine(), None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(publisher.wait(head, Duration::from_secs(30)));
    assert!(publisher.has(head));
    publisher.stop();
    let view = Directory::open(snapshots).unwrap().load(None).unwrap().unwrap().view;
    view.zones().first().map(|facts| facts.serial)
}

/// Makes a domain that has to be proved, copies the database, proves the domain, publishes it, loses that by the copy,
/// and recovers with this content.
fn check_stays_in_service(content: Content) {
    let dir = tempfile::tempdir().unwrap();
    let (state, snapshots, backup) =
        (dir.path().join("state"), dir.path().join("snapshots"), dir.path().join("backup"));
    let store = Store::open(&state).unwrap();
    let (uuid, email) = (uuid::Uuid::new_v4(), "a@example.test".to_owned());
    let new = NewAccount { uuid, email, class: Class::Hosting, created_us: 1, limit_domains: None };
    let account = store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap().id;
    let house = Arc::new(House { wants_proof: true, ..House::default() });
    let tenant = actor(account, &house, 1_000_000);
    let new = testing::new_domain("proved.test");
    let who = tenant.clone();
    let made = store.write_blocking(move |txn| create(txn, &who, new)).unwrap().domain;
    assert!(made.unproved.is_some());
    store.back_up(&backup).unwrap();
    let grounds = Grounds::Fiat("by a test".into());
    store.write_blocking(move |txn| prove(txn, &tenant, made.id, grounds)).unwrap();
    drop(store);
    let before = serial_served(&state, &snapshots).unwrap();

    restore(&state, &backup, "1").unwrap();
    assert!(examine(&state, &snapshots).unwrap().is_some());
    let recovered = recover(&state, &snapshots, content, 2_000_000).unwrap().unwrap();
    assert_eq!((recovered.proved, recovered.gone), (vec!["proved.test".to_owned()], Vec::new()));
    let after = serial_served(&state, &snapshots).expect("it is served on");
    assert!(after > before, "{after} after {before}");
}

#[test]
fn signed_zones_whose_keys_the_database_lacks_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (state, snapshots, backup) =
        (dir.path().join("state"), dir.path().join("snapshots"), dir.path().join("backup"));
    let dnssec = Arc::new(Dnssec::open(&dir.path().join("seal"), false).unwrap());
    let store = Arc::new(Store::open(&state).unwrap());
    let account = store.write_blocking(|txn| operator(txn, 1)).unwrap();
    let who = actor(account, &Arc::default(), 1_000_000);
    let make = |name: &str, denial: Denial| {
        let keys = if denial == Denial::Off { Vec::new() } else { vec![dnssec.new_key(name).unwrap()] };
        let (who, new) = (who.clone(), NewDomain { denial, keys, ..testing::new_domain(name) });
        store.write_blocking(move |txn| create(txn, &who, new)).unwrap().domain.id
    };
    let (before, _) = (make("before.test", Denial::Off), make("deleted.test", Denial::Off));
    store.back_up(&backup).unwrap();
    make("after.test", Denial::Nsec);
    let (setter, key) = (who.clone(), dnssec.new_key("before.test").unwrap());
    let set = move |txn: &Txn<'_>| {
        let signed = set_signing(txn, &setter, before, Denial::Nsec, vec![key])?;
        let record = Record::new("192.0.2.1".to_owned(), vec![192, 0, 2, 1]);
        let targets = vec![Target { subname: "www".to_owned(), rtype: Rtype::A, state: Some((3600, vec![record])) }];
        let edits = Edits::Targets { kind: "test", undoes: None, note: None, targets, soa: None };
        let change = Change { actor: setter.clone(), domain: before, precondition: None, edits, dry_run: false };
        commit(txn, change)?;
        delete(txn, &setter, "deleted.test", &[])?;
        Ok::<_, Refusal>(signed)
    };
    store.write_blocking(set).unwrap();
    let head = store.read(|reader| reader.head()).unwrap().change;
    let settings =
        Settings { snapshots: snapshots.clone(), planes: Vec::new(), sign: None, dnssec: Some(Arc::clone(&dnssec)) };
    let publisher = Publisher::start(Arc::clone(&store), &settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(publisher.wait(head, Duration::from_secs(30)));
    assert!(publisher.has(head) && publisher.progress().refused.is_empty());
    publisher.stop();
    drop(store);

    restore(&state, &backup, "1").unwrap();
    let recovered = recover(&state, &snapshots, Content::Snapshot, 2_000_000).unwrap().unwrap();
    assert_eq!(recovered.keyless, ["before.test"]);
    assert_eq!(recovered.unknown, ["after.test"]);
    assert_eq!(recovered.returned, ["deleted.test"]);
    assert_eq!(recovered.made, Vec::<String>::new());

    // What was in service stays, and it is told why; the content is all there.
    let store = Arc::new(Store::open(&state).unwrap());
    let row = store.read(|reader| reader.domain_by_name("before.test")).unwrap().unwrap();
    let mut subnames = Vec::new();
    let each = |rrset: Rrset| {
        subnames.push(rrset.subname);
        Ok::<_, StoreError>(())
    };
    store.read(|reader| reader.each_rrset(row.id, each)).unwrap();
    assert!(subnames.contains(&"www".to_owned()), "{subnames:?}");
    let publisher = Publisher::start(Arc::clone(&store), &settings).unwrap();
    let head = store.read(|reader| reader.head()).unwrap().change;
    runtime.block_on(publisher.wait(head, Duration::from_secs(30)));
    let refusal = publisher.refusal_of("before.test").unwrap();
    assert!(refusal.contains("no key"), "{refusal}");
    publisher.stop();
    let loaded = Directory::open(&snapshots).unwrap().load(None).unwrap().unwrap();
    assert!(loaded.view.zones().iter().any(|zone| zone.apex.to_string() == "before.test." && zone.signed));
}

/// Octet, weight, region of a record, and whether it is enabled.
type Row<'r> = (u8, Option<u32>, Option<&'r str>, bool);

/// What is answered for each RRset of the zone in service, with all that may be in its place.
fn answered(snapshots: &Path) -> Vec<String> {
    let view = Directory::open(snapshots).unwrap().load(None).unwrap().unwrap().view;
    let apex = view.zones().first().unwrap().apex.clone();
    let nodes: Vec<_> = view.zone(apex.as_ref()).unwrap().nodes().collect();
    let bodies = nodes.iter().flat_map(|node| node.rrsets().map(move |body| (node.name(), body)));
    let shown = bodies.map(|(name, body)| {
        let groups = body.choices().into_iter().flat_map(|choices| choices.groups().collect::<Vec<_>>());
        let sets = groups.map(|(region, sets)| {
            let sets = sets.iter().map(|(weight, body)| format!("{weight} {:?}", body.records));
            format!("{} {}", region.unwrap(), sets.collect::<Vec<_>>().join(" "))
        });
        format!("{name:?} {:?} {:?} {}", body.rtype, body.records, sets.collect::<Vec<_>>().join("; "))
    });
    shown.collect()
}

#[test]
fn weights_and_regions_come_back_from_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (state, snapshots, backup) =
        (dir.path().join("state"), dir.path().join("snapshots"), dir.path().join("backup"));
    let store = Store::open(&state).unwrap();
    let account = store.write_blocking(|txn| operator(txn, 1)).unwrap();
    let who = actor(account, &Arc::default(), 1_000_000);
    let (new, maker) = (testing::new_domain("w.test"), who.clone());
    let domain = store.write_blocking(move |txn| create(txn, &maker, new)).unwrap().domain.id;
    let write = |store: &Store, subname: &str, rows: &[Row<'_>]| {
        let record = |(octet, weight, geo, enabled): &Row<'_>| Record {
            weight: *weight,
            geo: geo.map(str::to_owned),
            enabled: *enabled,
            comment: Some(format!("of {octet}")),
            ..Record::new(format!("192.0.2.{octet}"), vec![192, 0, 2, *octet])
        };
        let state = Some((60, rows.iter().map(record).collect()));
        let targets = vec![Target { subname: subname.to_owned(), rtype: Rtype::A, state }];
        let edits = Edits::Targets { kind: "test", undoes: None, note: None, targets, soa: None };
        let change = Change { actor: who.clone(), domain, precondition: None, edits, dry_run: false };
        store.write_blocking(move |txn| commit(txn, change)).unwrap();
    };
    write(&store, "plain", &[(1, Some(9), None, true), (2, Some(1), None, true)]);
    write(&store, "off", &[(1, None, None, true), (2, Some(1), None, false)]);
    store.back_up(&backup).unwrap();
    // A weight that is gone in the snapshot, and what the backup has nothing of.
    write(&store, "plain", &[(1, Some(0), None, true), (2, Some(0), None, true)]);
    write(&store, "off", &[(1, None, None, true), (2, Some(1), None, false), (3, None, None, true)]);
    write(&store, "www", &[(1, Some(90), Some("US,DE"), true), (2, Some(10), Some("US"), true), (3, None, None, true)]);
    write(&store, "half", &[(1, Some(1), None, true), (2, None, None, true)]);
    drop(store);
    serial_served(&state, &snapshots).unwrap();
    let before = answered(&snapshots);
    assert!(before.iter().any(|line| line.contains("US")), "{before:?}");

    restore(&state, &backup, "1").unwrap();
    recover(&state, &snapshots, Content::Snapshot, 2_000_000).unwrap().unwrap();
    serial_served(&state, &snapshots).unwrap();
    assert_eq!(answered(&snapshots), before);
    let store = Store::open(&state).unwrap();
    let mut rows = Vec::new();
    let each = |rrset: Rrset| {
        let shown = |row: &Record| {
            let Record { content, weight, geo, enabled, comment, .. } = row;
            format!("{content} {weight:?} {geo:?} {enabled} {comment:?}")
        };
        rows.extend(rrset.records.iter().filter(|_| rrset.subname == "off").map(shown));
        Ok::<_, StoreError>(())
    };
    store.read(|reader| reader.each_rrset(domain, each)).unwrap();
    rows.sort();
    assert_eq!(
        rows,
        [
            "192.0.2.1 None None true Some(\"of 1\")",
            "192.0.2.2 Some(1) None false Some(\"of 2\")",
            "192.0.2.3 None None true None",
        ]
    );
}

#[test]
fn a_domain_in_service_whose_proof_the_database_lost_stays_in_service() {
    for content in [Content::Database, Content::Snapshot] {
        check_stays_in_service(content);
    }
}
