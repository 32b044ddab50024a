//! Quotas and names hold however many ask at once: the database decides, no check before it.

use std::sync::Barrier;

use crate::harness::{Bench, Full};

/// How many ask at once.
const CROWD: usize = 64;

/// The statuses of `CROWD` requests for domains that are sent at the same time.
fn crowd(bench: &Bench, secret: &crate::harness::Issued, name: impl Fn(usize) -> String + Sync) -> Vec<u16> {
    let barrier = Barrier::new(CROWD);
    std::thread::scope(|scope| {
        let ask = |index| {
            let (barrier, name) = (&barrier, &name);
            scope.spawn(move || {
                barrier.wait();
                bench.post(secret.who(), "/api/v1/domains/", &format!(r#"{{"name":"{}"}}"#, name(index))).status
            })
        };
        let asked: Vec<_> = (0..CROWD).map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// How often a status is in a list.
fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

#[test]
fn of_many_creations_below_a_limit_one_succeeds() {
    let bench = Bench::start();
    let mut account = bench.account("a@example.org");
    let token = bench.token(&account, Full);
    account.limit_domains = Some(2);
    let id = account.id;
    bench.store.write_blocking(move |txn| txn.update_account(&account)).unwrap();
    assert_eq!(bench.post(token.who(), "/api/v1/domains/", r#"{"name":"first.example"}"#).status, 201);
    let statuses = crowd(&bench, &token, |index| format!("d{index}.example"));
    assert_eq!((count(&statuses, 201), count(&statuses, 403)), (1, CROWD - 1), "{statuses:?}");
    assert_eq!(bench.store.read(|reader| reader.domain_count(id)).unwrap(), 2);
}

#[test]
fn of_many_creations_of_one_name_one_succeeds() {
    let bench = Bench::start();
    let account = bench.account("a@example.org");
    let token = bench.token(&account, Full);
    let statuses = crowd(&bench, &token, |_| "same.example".to_owned());
    assert_eq!((count(&statuses, 201), count(&statuses, 400)), (1, CROWD - 1), "{statuses:?}");
}
