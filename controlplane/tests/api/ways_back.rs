//! Undo and restore of what only the operations API can write: SOA records, weights and places.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued};

/// A zone of the operations API.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
}

impl Home {
    /// A fresh one with the zone z.example.
    fn new() -> Home {
        let bench = Bench::start();
        let token = bench.token(&bench.account("ops@mail.example"), Full);
        let home = Home { bench, token };
        home.ask("POST", "/api/zones", &json!({"name": "z.example", "ns": "ns.z.example"}));
        home
    }

    /// A request that succeeds.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.bench.call(self.token.who(), method, path, Some(&body.to_string()));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
        answer
    }

    /// The only record of a type.
    fn record(&self, rtype: &str) -> Value {
        self.ask("GET", &format!("/api/zones/z.example/records?type={rtype}"), &Value::Null).json()[0].clone()
    }

    /// Changes a record; the number of the change.
    fn change(&self, record: &Value, body: &Value) -> u64 {
        let answer = self.ask("PUT", &format!("/api/records/{}", record["id"]), body);
        answer.header("petrel-change").unwrap().parse().unwrap()
    }

    /// Undoes a change.
    fn undo(&self, change: u64) -> Answer {
        let path = format!("/api/v1/domains/z.example/history/{change}/undo/");
        self.bench.post(self.token.who(), &path, "{}")
    }
}

/// The fields of an SOA record without its serial, and its TTL.
fn fields(soa: &Value) -> (Vec<String>, Value) {
    let mut words: Vec<String> = soa["rdata"].as_str().unwrap().split(' ').map(str::to_owned).collect();
    words.remove(2);
    (words, soa["ttl"].clone())
}

#[test]
fn a_changed_soa_record_can_be_taken_back() {
    let home = Home::new();
    let first = home.record("SOA");
    let body = json!({"rdata": "ns2.z.example. admin.z.example. 0 10 20 30 40", "ttl": 60});
    let change = home.change(&first, &body);
    let second = home.record("SOA");
    assert_ne!(fields(&second), fields(&first));
    // The history shows both.
    let edits = home.ask("GET", &format!("/api/v1/changes/{change}/"), &Value::Null).json()["edits"].clone();
    let content = |when: &str| edits[0][when]["records"][0]["content"].as_str().unwrap().to_owned();
    assert_eq!((&edits[0]["subname"], &edits[0]["type"]), (&json!(""), &json!("SOA")));
    assert_eq!((content("before"), content("after")), (rdata(&first), rdata(&second)));
    let undone = home.undo(change);
    assert_eq!((undone.status, &undone.json()["edit_count"]), (200, &json!(1)), "{}", undone.text);
    assert_eq!(fields(&home.record("SOA")), fields(&first));
    // Serials only grow.
    assert!(serial(&home.record("SOA")) > serial(&second));
    // And the way back can be taken back, or passed by.
    let last = home.change(&first, &json!({"ttl": 90}));
    assert_eq!(home.undo(change).status, 409);
    home.ask("POST", "/api/v1/domains/z.example/restore/", &json!({"change": change}));
    assert_eq!(fields(&home.record("SOA")), fields(&second));
    assert_eq!(home.undo(last).status, 409);
}

/// The RDATA of a record.
fn rdata(record: &Value) -> String {
    record["rdata"].as_str().unwrap().to_owned()
}

/// The serial of an SOA record.
fn serial(soa: &Value) -> u32 {
    rdata(soa).split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_weight_and_a_place_that_were_set_go_again() {
    let home = Home::new();
    home.ask("POST", "/api/zones/z.example/records", &json!({"name": "www", "type": "A", "rdata": "192.0.2.1"}));
    let plain = home.record("A");
    let change = home.change(&plain, &json!({"weight": 7, "geo": "EU", "comment": "near", "ttl": 60}));
    assert_eq!((&home.record("A")["weight"], &home.record("A")["geo"]), (&json!(7), &json!("EU")));
    assert_eq!(home.undo(change).status, 200);
    assert_eq!(home.record("A"), plain);
    // Those that were there come back.
    let with = home.change(&plain, &json!({"weight": 7, "geo": "EU"}));
    let marked = home.record("A");
    home.change(&plain, &json!({"weight": 9, "geo": null}));
    home.ask("POST", "/api/v1/domains/z.example/restore/", &json!({"change": with}));
    assert_eq!(home.record("A"), marked);
    home.ask("POST", "/api/v1/domains/z.example/restore/", &json!({"change": with - 1}));
    assert_eq!(home.record("A"), plain);
}
