//! What much work of one client costs the others, and what each write counts as.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use controlplane::clock::now_us;
use controlplane::store::accounts::{Class, NewAccount};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Bench, Full};

/// How many exports run at a time: more than there are threads that answer.
const EXPORT_COUNT: usize = 4;

#[test]
fn long_exports_do_not_hold_up_a_short_request() {
    let (bench, token) = Bench::with_domains(&["big.example", "small.example"]);
    let mut text = String::new();
    for n in 0..60_000 {
        writeln!(text, "n{n} 3600 IN A 192.0.2.1").unwrap();
    }
    let import = json!({"zonefile": text, "mode": "merge"}).to_string();
    assert_eq!(bench.post(token.who(), "/api/v1/domains/big.example/import/", &import).status, 200);
    for path in ["/api/v1/domains/big.example/zonefile/", "/api/zones/big.example/export"] {
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut answered = 0;
        std::thread::scope(|scope| {
            for _ in 0..EXPORT_COUNT {
                scope.spawn(|| {
                    begun.fetch_add(1, SeqCst);
                    let export = bench.get(token.who(), path);
                    ended.fetch_add(1, SeqCst);
                    assert_eq!((export.status, export.text.lines().count() > 60_000), (200, true));
                });
            }
            while begun.load(SeqCst) < EXPORT_COUNT {
                std::thread::yield_now();
            }
            loop {
                assert_eq!(bench.get(token.who(), "/api/v1/domains/small.example/").status, 200);
                if ended.load(SeqCst) > 0 {
                    break;
                }
                answered += 1;
            }
        });
        println!("{path}: {answered} short requests while {EXPORT_COUNT} exports ran");
        assert!(answered >= 5, "{path}: {answered}");
    }
}

#[test]
fn writes_of_single_records_count_for_their_own_domain() {
    let bench = Bench::start();
    let (uuid, email) = (Uuid::new_v4(), "tenant@example.org".to_owned());
    let new = NewAccount { uuid, email, class: Class::Hosting, created_us: now_us(), limit_domains: None };
    let account = bench.store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap();
    let token = bench.token(&account, Full);
    let [a, b] = ["petrel-a.org", "petrel-b.org"].map(|name| {
        let made = bench.post(token.who(), "/api/v1/domains/", &json!({ "name": name }).to_string());
        assert_eq!(made.status, 201, "{}", made.text);
        let list = bench.get(token.who(), &format!("/api/zones/{name}/records?type=NS")).json();
        format!("/api/records/{}", list[0]["id"])
    });
    let write = |path: &str, note: usize| {
        let body: Value = json!({"comment": note.to_string()});
        bench.call(token.who(), "PUT", path, Some(&body.to_string())).status
    };
    let statuses: Vec<u16> = (0..16).map(|note| write(&a, note)).collect();
    // As for RRsets: two in a second, fifteen in a minute.
    assert!(statuses[0] == 200 && statuses.contains(&429), "{statuses:?}");
    assert_eq!(write(&b, 0), 200);
}
