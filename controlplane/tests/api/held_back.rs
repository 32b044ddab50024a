//! What clients hear of a zone that cannot be published as it is: nothing says that it is served.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued};

/// A server with a data plane, and a domain d.example in which the zone of each change is served.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
    /// What reaches around the control plane.
    behind: rusqlite::Connection,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let bench = Bench::with_plane();
        let token = bench.token(&bench.account("jo@mail.example"), Full);
        let behind = rusqlite::Connection::open(bench.store.path()).unwrap();
        let home = Home { bench, token, behind };
        // The plane is found a moment after the start.
        let (_, change) = said(&home.ask("POST", "/api/v1/domains/", &json!({"name": "first.example"})));
        let deadline = Instant::now() + Duration::from_secs(30);
        let shown = || home.ask("GET", &format!("/api/v1/changes/{change}/"), &Value::Null).json();
        while shown()["served"] != "yes" {
            assert!(Instant::now() < deadline);
        }
        home
    }

    /// A request of the owner.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let answer = self.bench.call(self.token.who(), method, path, Some(&body));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
        answer
    }

    /// Sets an A record.
    fn set(&self, domain: &str, subname: &str, address: &str) -> Answer {
        let body = json!([{ "subname": subname, "type": "A", "ttl": 3600, "records": [address] }]);
        self.ask("PUT", &format!("/api/v1/domains/{domain}/rrsets/"), &body)
    }

    /// Flips a bit of a stored address, so that its zone cannot be read any more.
    fn damage(&self, address: &str) {
        let sql = "UPDATE records SET rdata = x'C0000209' WHERE content = ?1";
        assert_eq!(self.behind.execute(sql, [address]).unwrap(), 1);
    }

    /// Whether a change is shown as served.
    fn is_shown_served(&self, change: &str) -> bool {
        let shown = self.ask("GET", &format!("/api/v1/changes/{change}/"), &Value::Null).json();
        let is_served = shown["served"] == "yes";
        assert_eq!(shown["generation"].is_u64(), is_served, "{shown}");
        assert_eq!(shown["refused"].is_null(), is_served, "{shown}");
        is_served
    }
}

/// What a write said: whether it is served, and its change.
fn said(answer: &Answer) -> (bool, String) {
    let is_served = answer.header("petrel-served") != Some("no");
    (is_served, answer.header("petrel-change").unwrap().to_owned())
}

#[test]
fn no_door_promises_that_a_refused_zone_is_served() {
    let home = Home::new();
    let (is_served, made) = said(&home.ask("POST", "/api/v1/domains/", &json!({"name": "d.example"})));
    assert!(is_served && home.is_shown_served(&made));
    let (is_served, first) = said(&home.set("d.example", "www", "192.0.2.1"));
    assert!(is_served && home.is_shown_served(&first));
    let record = home.ask("GET", "/api/zones/d.example/records?type=A", &Value::Null).json()[0]["id"].clone();
    // A page of the stored zone goes bad; other names can still be written, but the zone not published.
    home.damage("192.0.2.1");
    let writes = [
        home.set("d.example", "ftp", "192.0.2.3"),
        home.ask("POST", "/api/zones/d.example/records", &json!({"name": "x", "type": "A", "rdata": "192.0.2.4"})),
        home.ask("GET", "/api/v1/dyndns/update?hostname=d.example&myipv4=192.0.2.5", &Value::Null),
    ];
    for answer in &writes {
        let (is_served, change) = said(answer);
        assert!(!is_served && !home.is_shown_served(&change), "{answer:?}");
        assert!(answer.header("petrel-refused").unwrap().contains("damaged"), "{answer:?}");
    }
    let (_, ftp) = said(&writes[0]);
    let undone = said(&home.ask("POST", &format!("/api/v1/domains/d.example/history/{ftp}/undo/"), &json!({})));
    assert!(!undone.0 && !home.is_shown_served(&undone.1));
    // Records by number have no domain in their path.
    let added = writes[1].json()["id"].clone();
    let changed = said(&home.ask("PUT", &format!("/api/records/{added}"), &json!({"rdata": "192.0.2.6"})));
    assert!(!changed.0, "{record}");
    // Others are not concerned.
    assert!(said(&home.ask("POST", "/api/v1/domains/", &json!({"name": "e.example"}))).0);
    let list = home.ask("GET", "/api/v1/changes/?domain=d.example", &Value::Null).json();
    assert!(list.as_array().unwrap().iter().filter(|change| change["served"] == "no").count() >= 5, "{list}");
}

#[test]
fn creation_tells_that_the_new_zone_is_not_served() {
    let home = Home::new();
    // Every address of this number is stored damaged, as by memory that has a bad bit.
    let trigger = "CREATE TRIGGER bad AFTER INSERT ON records WHEN new.content = '192.0.2.66' BEGIN
        UPDATE records SET rdata = x'C0000209' WHERE rowid = new.rowid; END";
    home.behind.execute_batch(trigger).unwrap();
    let zonefile = "www 3600 IN A 192.0.2.66\n";
    let (is_served, change) =
        said(&home.ask("POST", "/api/v1/domains/", &json!({"name": "d.example", "zonefile": zonefile})));
    assert!(!is_served && !home.is_shown_served(&change));
}
