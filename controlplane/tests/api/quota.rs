//! Quotas and names hold however many ask at once: the database decides, no check before it.

use std::sync::Barrier;

use crate::harness::{Bench, Full, Who};

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
fn t_f15_of_many_creations_below_a_limit_one_succeeds() {
    let bench = Bench::start();
    let mut account = bench.account("a@example.org");
    let token = bench.token(&account, Full);
    account.quotas.domains = Some(2);
    let id = account.id;
    bench.store.write_blocking(move |txn| txn.update_account(&account)).unwrap();
    assert_eq!(bench.post(token.who(), "/api/v1/domains/", r#"{"name":"first.example"}"#).status, 201);
    let statuses = crowd(&bench, &token, |index| format!("d{index}.example"));
    assert_eq!((count(&statuses, 201), count(&statuses, 403)), (1, CROWD - 1), "{statuses:?}");
    assert_eq!(bench.store.read(|reader| reader.domain_count(id)).unwrap(), 2);
}

#[test]
fn t_f15_of_many_creations_of_one_name_one_succeeds() {
    let bench = Bench::start();
    let account = bench.account("a@example.org");
    let token = bench.token(&account, Full);
    let statuses = crowd(&bench, &token, |_| "same.example".to_owned());
    assert_eq!((count(&statuses, 201), count(&statuses, 400)), (1, CROWD - 1), "{statuses:?}");
}

#[test]
fn t_g7_what_is_beyond_a_quota_is_refused_in_the_shapes_that_clients_know() {
    let (bench, token) = Bench::with_domains(&["a.example"]);
    let account = "/api/admin/accounts/jo@mail.example/";
    let limit = |body: &str| bench.call(Who::Operator, "PATCH", account, Some(body));
    let limits = r#"{"limit_records":3,"limit_bytes":1000,"limit_writes_per_hour":3}"#;
    assert_eq!(limit(limits).json()["limit_bytes"], 1000);
    let rrsets = "/api/v1/domains/a.example/rrsets/";
    let body = |subname: &str, records: &str| {
        format!(r#"{{"subname":"{subname}","type":"A","ttl":3600,"records":[{records}]}}"#)
    };
    let refused = bench.post(token.who(), rrsets, &body("a", r#""192.0.2.1","192.0.2.2""#));
    let detail =
        "Record limit exceeded: the account has 2 of 3 records, and this adds 2. Please contact support to have more.";
    assert_eq!((refused.status, refused.json()), (403, serde_json::json!({ "detail": detail })));
    let refused =
        bench.call(token.who(), "PUT", rrsets, Some(&format!("[{}]", body("a", r#""192.0.2.1","192.0.2.2""#))));
    assert_eq!(refused.status, 403, "{}", refused.text);
    let zonefile = r#"{"mode":"merge","zonefile":"www 3600 A 192.0.2.7\nftp 3600 A 192.0.2.7\n"}"#;
    let refused = bench.post(token.who(), "/api/v1/domains/a.example/import/", zonefile);
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(bench.post(token.who(), rrsets, &body("a", r#""192.0.2.1""#)).status, 201);
    assert_eq!(bench.call(token.who(), "DELETE", &format!("{rrsets}a/A/"), None).status, 204);
    let late = bench.post(token.who(), rrsets, &body("a", r#""192.0.2.1""#));
    assert_eq!(late.status, 429, "{}", late.text);
    let secs: u64 = late.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&secs), "{secs}");
    assert!(late.json()["detail"].as_str().unwrap().starts_with("Write limit exceeded: 3 of 3 writes in this hour."));
    let shown = bench.get(Who::Operator, account).json();
    assert_eq!((&shown["records"], &shown["writes_in_hour"]), (&2.into(), &3.into()), "{shown}");
    assert_eq!(limit(r#"{"limit_writes_per_hour":null}"#).status, 200);
    assert_eq!(bench.post(token.who(), rrsets, &body("a", r#""192.0.2.1""#)).status, 201);
    let shown = limit(r#"{"limit_history_per_day":9,"limit_records":null}"#).json();
    assert!(shown["history_in_day"].as_u64().unwrap() > 99 && shown["limit_history_per_day"] == 9, "{shown}");
    let late = bench.post(token.who(), rrsets, &body("b", r#""192.0.2.1""#));
    assert_eq!(late.status, 429, "{}", late.text);
    let secs: u64 = late.header("retry-after").unwrap().parse().unwrap();
    assert!((86_300..=86_400).contains(&secs), "{secs}");
    assert!(late.json()["detail"].as_str().unwrap().starts_with("History limit exceeded: "), "{}", late.text);
    assert_eq!(bench.call(token.who(), "DELETE", &format!("{rrsets}a/A/"), None).status, 204);
    assert_eq!(bench.get(Who::Operator, "/api/admin/doctor/").json()["damages"], serde_json::json!([]));
}

#[test]
fn t_g7_the_last_room_below_a_quota_is_had_once_by_many_that_ask_for_it() {
    let (bench, token) = Bench::with_domains(&["a.example"]);
    let body = r#"{"limit_records":3}"#;
    assert_eq!(bench.call(Who::Operator, "PATCH", "/api/admin/accounts/jo@mail.example/", Some(body)).status, 200);
    let barrier = Barrier::new(CROWD);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |index: usize| {
            let (barrier, bench, token) = (&barrier, &bench, &token);
            scope.spawn(move || {
                let body = format!(r#"{{"subname":"n{index}","type":"A","ttl":3600,"records":["192.0.2.1"]}}"#);
                barrier.wait();
                bench.post(token.who(), "/api/v1/domains/a.example/rrsets/", &body).status
            })
        };
        let asked: Vec<_> = (0..CROWD).map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((count(&statuses, 201), count(&statuses, 403)), (1, CROWD - 1), "{statuses:?}");
}
