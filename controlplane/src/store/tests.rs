//! The store on a real disk: durability, isolation of jobs, ownership, tenancy by schema.

use uuid::Uuid;

use super::accounts::{Class, NewAccount};
use super::*;

/// A store in a directory of its own.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    (dir, store)
}

/// Adds an account and returns its number.
fn add_account(store: &Store, email: &'static str) -> AccountId {
    let new = NewAccount {
        uuid: Uuid::new_v4(),
        email: email.to_owned(),
        class: Class::Hosting,
        created_us: 1,
        limit_domains: Some(15),
    };
    let added = store.write_blocking(move |txn| txn.add_account(&new)).unwrap();
    added.unwrap().id
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let (dir, store) = store();
    add_account(&store, "A@example.test");
    drop(store);
    let store = Store::open(&dir.path().join("state")).unwrap();
    let found = store.read(|reader| reader.account_by_email("a@EXAMPLE.test")).unwrap().unwrap();
    assert_eq!((found.email.as_str(), found.class), ("A@example.test", Class::Hosting));
}

#[test]
fn the_directory_has_one_owner_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = store();
    let path = dir.path().join("state");
    let refused = Store::open(&path).err().unwrap().to_string();
    assert!(refused.contains(&format!("in use by pid {}", std::process::id())), "{refused}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn a_job_that_fails_or_panics_leaves_nothing_and_harms_no_other() {
    let (_dir, store) = store();
    let failed = store.write_blocking(|txn| {
        txn.set("k", b"failed")?;
        Err::<(), StoreError>(StoreError::Damaged("test"))
    });
    assert!(matches!(failed, Err(StoreError::Damaged(_))));
    let panicked = store.write_blocking(|txn| {
        txn.set("k", b"panicked")?;
        assert!(txn.setting("k")?.is_none(), "on purpose");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(panicked, Err(StoreError::Broken)));
    assert_eq!(store.read(|reader| reader.setting("k")).unwrap(), None);
    store.write_blocking(|txn| txn.set("k", b"kept")).unwrap();
    assert_eq!(store.read(|reader| reader.setting("k")).unwrap().unwrap(), b"kept");
}

#[test]
fn deferred_work_goes_with_the_next_transaction_and_with_the_end() {
    let (dir, store) = store();
    store.write_soon(|txn| txn.set("first", b"1"));
    store.write_blocking(|txn| txn.set("second", b"2")).unwrap();
    assert!(store.read(|reader| reader.setting("first")).unwrap().is_some());
    store.write_soon(|txn| txn.set("last", b"3"));
    drop(store);
    let store = Store::open(&dir.path().join("state")).unwrap();
    assert!(store.read(|reader| reader.setting("last")).unwrap().is_some());
}

#[test]
fn the_schema_itself_keeps_tenants_apart() {
    let (_dir, store) = store();
    let (one, other) = (add_account(&store, "one@example.test"), add_account(&store, "other@example.test"));
    let refused = store.write_blocking(move |txn| {
        let domain = txn.add_domain(&crate::change::testing::domain(one, "one.test"))?.unwrap();
        let mut foreign = crate::change::testing::rrset("www", "192.0.2.1");
        txn.add_rrset(domain, other, &mut foreign)
    });
    assert!(matches!(refused, Err(StoreError::Sqlite(_))), "{refused:?}");
}
