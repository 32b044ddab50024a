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

#[test]
fn a_domain_in_service_whose_proof_the_database_lost_stays_in_service() {
    for content in [Content::Database, Content::Snapshot] {
        check_stays_in_service(content);
    }
}
