//! Keys over the API: their states, rollovers that begin and stop, the word about the parent, keys from elsewhere.

use std::time::{Duration, Instant};

use controlplane::clock::now_us;
use controlplane::value::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Issued, Who};

/// The keys of the domain.
const KEYS: &str = "/api/zones/d.example/keys";
/// A key in PEM.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIC66bWlPO3AE1oh9AQXZORVuhw0calX8QSDmhA9X7zdo\n-----END PRIVATE KEY-----\n";

/// An account with the domain d.example, which is signed with a CSK.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let (bench, token) = Bench::with_domains(&["d.example"]);
        Home { bench, token }
    }

    /// A request about keys; null for no body.
    fn ask(&self, method: &str, rest: &str, body: &Value) -> Answer {
        let body = (!body.is_null()).then(|| body.to_string());
        self.bench.call(self.token.who(), method, &format!("{KEYS}{rest}"), body.as_deref())
    }

    /// Type, algorithm and state of each key.
    fn states(&self) -> Vec<String> {
        let keys = self.ask("GET", "", &Value::Null).json();
        let text = |key: &Value| format!("{} {} {}", key["keytype"].as_str().unwrap(), key["algorithm"], key["state"]);
        keys["keys"].as_array().unwrap().iter().map(|key| text(key).replace('"', "")).collect()
    }

    /// Why the domain's newest content is not served; null if it is.
    fn refused(&self) -> Value {
        self.bench.get(self.token.who(), "/api/zones/d.example/dnssec").json()["refused"].clone()
    }

    /// Brings a key to the domain, as the operator.
    fn import(&self, body: &Value) -> Answer {
        self.bench.post(Who::Operator, "/api/admin/domains/d.example/keys/", &body.to_string())
    }
}

#[test]
fn a_rollover_begins_once_and_is_told_with_what_it_waits_for() {
    let home = Home::new();
    let first = home.ask("GET", "", &Value::Null).json();
    assert_eq!((&first["signed"], &first["next"], &first["zsk_lifetime"]), (&json!(true), &json!([]), &json!(90)));
    let key = &first["keys"][0];
    assert_eq!((&key["state"], &key["wanted"], &key["ds_seen"]), (&json!("active"), &json!(true), &Value::Null));
    let begun = home.ask("POST", "/roll", &json!({}));
    assert_eq!(begun.status, 200, "{}", begun.text);
    assert!(begun.header("petrel-change").is_some());
    assert_eq!((home.states(), home.refused()), (vec!["csk 13 active".into(), "csk 13 published".into()], Value::Null));
    let next = begun.json()["next"].clone();
    assert!(next[0]["what"].as_str().unwrap().contains("once all data planes serve change"), "{next}");
    assert!(next[1]["what"].as_str().unwrap().starts_with("ask the parent for the DS of"), "{next}");
    assert_eq!(home.ask("POST", "/roll", &json!({"algorithm": 15})).status, 409);
    // What is announced shows, with the DS of both; the parent should have that of the first alone.
    let shown = home.bench.get(home.token.who(), "/api/v1/domains/d.example/").json();
    assert_eq!(shown["keys"].as_array().unwrap().len(), 2);
    let stopped = home.ask("DELETE", "/roll", &Value::Null);
    assert_eq!((stopped.status, home.states()), (200, vec!["csk 13 active".into(), "csk 13 retired".into()]));
    let again = home.ask("DELETE", "/roll", &Value::Null);
    assert_eq!((again.status, again.header("petrel-change")), (200, None), "nothing is left to stop");
}

#[test]
fn another_algorithm_begins_with_signatures_that_nobody_was_told_of() {
    let home = Home::new();
    assert_eq!(home.ask("POST", "/roll", &json!({"algorithm": "ED25519"})).status, 200);
    assert_eq!((home.states(), home.refused()), (vec!["csk 13 active".into(), "csk 15 signing".into()], Value::Null));
    let shown = home.bench.get(home.token.who(), "/api/v1/domains/d.example/").json();
    assert_eq!(shown["keys"].as_array().unwrap().len(), 1, "only what is announced shows");
    home.ask("DELETE", "/roll", &Value::Null);
    assert_eq!(home.states(), ["csk 13 active"], "what nobody knows of goes at once");
}

#[test]
fn what_cannot_be_rolled_is_refused_with_words() {
    let home = Home::new();
    for (body, status, words) in [
        (json!({"keytype": "zsk"}), 409, "no key of this kind"),
        (json!({"keytype": "zone"}), 400, "Must be csk"),
        (json!({"algorithm": 8}), 400, "imported, not made"),
        (json!({"algorithm": 5}), 400, "expected an algorithm"),
        (json!({"algorithm": 15, "keytype": "csk"}), 409, "leave the role out"),
        (json!([]), 400, "Expected a dictionary"),
    ] {
        let refused = home.ask("POST", "/roll", &body);
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    let theirs = json!({"subname": "", "type": "DNSKEY", "ttl": 3600, "records": [
        "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="
    ]});
    home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &theirs.to_string());
    let refused = home.ask("POST", "/roll", &json!({"algorithm": 15}));
    assert!(refused.text.contains("take it out before"), "{}", refused.text);
    assert_eq!(home.states(), ["csk 13 active"]);
}

#[test]
fn the_word_about_the_parent_is_kept_and_guards_the_end_of_signing() {
    let home = Home::new();
    let tag = home.ask("GET", "", &Value::Null).json()["keys"][0]["tag"].clone();
    let seen = home.ask("POST", "/ds-seen", &json!({"tag": tag, "ttl": 7200}));
    assert!(seen.json()["keys"][0]["ds_seen"].is_string(), "{}", seen.text);
    for bad in [json!({"tag": 70_000}), json!({"tag": tag.as_u64().unwrap() ^ 1}), json!({"ttl": -1})] {
        assert_eq!(home.ask("POST", "/ds-seen", &bad).status, 400, "{bad}");
    }
    let dnssec = "/api/zones/d.example/dnssec";
    let refused = home.bench.call(home.token.who(), "DELETE", dnssec, None);
    assert_eq!(refused.status, 409, "{}", refused.text);
    let forced = home.bench.call(home.token.who(), "DELETE", &format!("{dnssec}?force=true"), None);
    assert_eq!((forced.status, &forced.json()["signed"]), (200, &json!(false)));
}

#[test]
fn the_parent_is_asked_to_remove_all_ds_which_can_be_taken_back() {
    let home = Home::new();
    let asked = home.ask("POST", "/withdraw", &Value::Null);
    assert_eq!((asked.status, home.states()), (200, vec!["csk 13 ending".to_owned()]), "{}", asked.text);
    assert_eq!((&asked.json()["keys"][0]["wanted"], home.refused()), (&json!(false), Value::Null));
    assert_eq!(home.ask("POST", "/roll", &json!({})).status, 409);
    home.ask("DELETE", "/roll", &Value::Null);
    assert_eq!((home.states(), home.refused()), (vec!["csk 13 active".to_owned()], Value::Null), "taken back");
}

#[test]
fn a_zone_that_was_served_unsigned_asks_for_its_ds_once_no_cache_has_anything_of_that() {
    let home = Home::new();
    let path = "/api/v1/domains/d.example/rrsets/";
    let body = json!({"subname": "www", "type": "A", "ttl": 86_400, "records": ["192.0.2.1"]}).to_string();
    assert_eq!(home.bench.post(home.token.who(), path, &body).status, 201);
    home.ask("POST", "/withdraw", &Value::Null);
    let dnssec = "/api/zones/d.example/dnssec";
    assert_eq!(
        home.bench.call(home.token.who(), "DELETE", dnssec, None).status,
        409,
        "the parent may have its DS still"
    );
    let gone = home.ask("POST", "/ds-gone", &json!({}));
    assert!(gone.json()["keys"][0]["ds_gone"].is_string(), "{}", gone.text);
    assert_eq!(home.bench.call(home.token.who(), "DELETE", dnssec, None).status, 200);
    let before_us = now_us();
    let signed = home.bench.call(home.token.who(), "POST", dnssec, Some("{}")).json();
    assert_eq!((home.states(), home.refused()), (vec!["csk 13 ready".to_owned()], Value::Null));
    let keys = home.ask("GET", "", &Value::Null).json();
    assert_eq!(
        (&keys["keys"][0]["announced"], &keys["keys"][0]["signs"], &keys["keys"][0]["wanted"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert!(keys["next"].to_string().contains("nothing without signatures is in any cache then"), "{keys}");
    // The longest TTL in the zone, and what secondaries take.
    let from = signed["ds_from"].as_str().unwrap().parse::<Timestamp>().unwrap().as_micros();
    let waited_secs = (from - before_us) / 1_000_000;
    assert!((90_000..90_100).contains(&waited_secs), "{waited_secs}");
    for (rest, status) in [("/roll", 409), ("/withdraw", 400)] {
        let refused = home.ask("POST", rest, &json!({}));
        assert_eq!((refused.status, refused.text.contains("wait until its keys are active")), (status, true));
    }
    let until = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds(&home.ask("GET", "", &Value::Null).json()) {
            assert!(Instant::now() < end, "{what}: {:?}", home.states());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    };
    home.bench.keep_rolling();
    until("it is served", &|keys| keys["next"][0]["at"].is_string());
    // A day and some hours go by.
    let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
    behind.execute("UPDATE keys SET since = since - 90100000000", []).unwrap();
    behind.execute("UPDATE rollovers SET next = 0", []).unwrap();
    until("the parent is asked", &|keys| keys["keys"][0]["wanted"] == json!(true));
    assert_eq!(home.states(), ["csk 13 active"]);
    assert_eq!(home.bench.get(home.token.who(), dnssec).json().get("ds_from"), None);
}

#[test]
fn lifetimes_are_days_or_those_of_the_server() {
    let home = Home::new();
    let set = home.ask("PATCH", "", &json!({"ksk_lifetime": 365, "zsk_lifetime": 0})).json();
    assert_eq!((&set["ksk_lifetime"], &set["zsk_lifetime"]), (&json!(365), &json!(0)));
    let set = home.ask("PATCH", "", &json!({"zsk_lifetime": null})).json();
    assert_eq!((&set["ksk_lifetime"], &set["zsk_lifetime"]), (&json!(365), &json!(90)));
    for bad in [json!({"zsk_lifetime": "90"}), json!({"ksk_lifetime": -1}), json!({"ksk_lifetime": 40_000})] {
        assert_eq!(home.ask("PATCH", "", &bad).status, 400, "{bad}");
    }
}

#[test]
fn a_zone_can_have_two_keys_from_the_beginning() {
    let home = Home::new();
    let dnssec = "/api/zones/two.example/dnssec";
    let enable = |body: Value| home.bench.call(home.token.who(), "POST", dnssec, Some(&body.to_string()));
    let unsigned = json!({"name": "two.example"}).to_string();
    assert_eq!(home.bench.post(home.token.who(), "/api/v1/domains/", &unsigned).status, 201);
    assert_eq!(enable(json!({"keys": "split"})).status, 409, "it has a key already");
    assert_eq!(enable(json!({"keys": "three"})).status, 400);
}

#[test]
fn a_key_from_elsewhere_waits_for_a_rollover_or_is_used_from_the_beginning() {
    let home = Home::new();
    let pem = json!({"private": PEM, "keytype": "csk", "algorithm": "15"});
    let kept = home.import(&pem);
    assert_eq!(kept.status, 201, "{}", kept.text);
    assert!(!kept.text.contains("C66bWlPO3AE1oh9AQXZORVuhw0calX8QSDmhA9X7zdo"), "no secret comes back");
    assert_eq!(home.states(), ["csk 13 active", "csk 15 generated"]);
    assert_eq!(home.import(&pem).status, 409, "its tag is taken");
    home.ask("POST", "/roll", &json!({"algorithm": 15}));
    assert_eq!(home.states(), ["csk 13 active", "csk 15 signing"], "the rollover takes what was kept");
    for (body, words) in [
        (json!({"private": PEM}), "csk, ksk or zsk"),
        (json!({"private": PEM, "keytype": "csk"}), "8, 13, 14 or 15"),
        (json!({"private": PEM, "keytype": "csk", "algorithm": "13"}), "none for"),
        (json!({"private": "x", "keytype": "zsk", "algorithm": "13"}), "private"),
        (json!({"private": "x", "key": "d.example. IN DNSKEY 257 3 13 AAAA"}), ".private file"),
        (json!({"keytype": "csk"}), "required"),
        (json!({"private": PEM, "secret": 1}), "secret"),
    ] {
        let refused = home.import(&body);
        assert_eq!(refused.status, 400, "{body}: {}", refused.text);
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    let as_owner = home.bench.post(home.token.who(), "/api/admin/domains/d.example/keys/", &pem.to_string());
    assert_eq!(as_owner.status, 403, "secrets come over the local socket only");
}

#[test]
fn a_domain_that_is_not_signed_takes_over_the_key_it_had_elsewhere() {
    let home = Home::new();
    let dnssec = "/api/zones/d.example/dnssec";
    home.bench.call(home.token.who(), "DELETE", &format!("{dnssec}?force=true"), None);
    let imported = home.import(&json!({"private": PEM, "keytype": "csk", "algorithm": "15"}));
    assert_eq!(imported.status, 201, "{}", imported.text);
    assert_eq!(home.states(), ["csk 13 generated", "csk 15 active"]);
    let enable = |body: &Value| home.bench.call(home.token.who(), "POST", dnssec, Some(&body.to_string()));
    let refused = enable(&json!({ "keys": "split" }));
    assert!(refused.status == 409 && refused.text.contains("would be deleted for good"), "{}", refused.text);
    assert_eq!(home.states().len(), 2, "both are there");
    let signed = home.bench.call(home.token.who(), "POST", "/api/zones/d.example/dnssec", Some("{}")).json();
    let keys = signed["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &signed["refused"]), (1, &Value::Null), "{signed}");
    assert!(keys[0]["dnskey"].as_str().unwrap().starts_with("257 3 15 "));
    home.bench.call(home.token.who(), "DELETE", &format!("{dnssec}?force=true"), None);
    assert_eq!(enable(&json!({ "keys": "split", "force": true })).status, 200);
    assert_eq!(home.states(), ["ksk 13 ready", "zsk 13 ready"]);
}

#[test]
fn only_keys_of_the_zone_in_service_are_taken_by_a_domain_that_lost_its_own() {
    let home = Home::new();
    let pem = json!({"private": PEM, "keytype": "csk", "algorithm": "15"});
    let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
    // As a recovery leaves keys that are none of those in service.
    behind.execute("UPDATE keys SET state = 'generated'", []).unwrap();
    let refused = home.import(&pem);
    assert!(refused.status == 409 && refused.text.contains("is none of them"), "{}", refused.text);
    assert_eq!(home.states(), ["csk 13 generated"]);
    behind.execute("UPDATE keys SET state = 'active'", []).unwrap();
    assert_eq!(home.import(&pem).status, 201, "a domain with keys keeps it for its next rollover");
    // The key in service is taken: here it is that of a domain that moved here.
    home.bench.call(home.token.who(), "DELETE", "/api/zones/d.example/dnssec?force=true", None);
    behind.execute("DELETE FROM keys", []).unwrap();
    assert_eq!(home.import(&pem).status, 201);
    let signed = home.bench.call(home.token.who(), "POST", "/api/zones/d.example/dnssec", Some("{}")).json();
    assert_eq!(signed["refused"], Value::Null, "{signed}");
    behind.execute("DELETE FROM keys", []).unwrap();
    assert_eq!(home.import(&pem).status, 201);
    assert_eq!(home.states(), ["csk 15 active"]);
}

/// A key for Ed25519 in PEM (RFC 8410 section 7), the secret of which is this octet again and again.
fn pem_of(octet: u8) -> String {
    let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let text = data_encoding::BASE64.encode(&[&head[..], &[octet; 32]].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[test]
fn a_domain_that_lost_two_keys_waits_for_both() {
    let home = Home::new();
    let dnssec = "/api/zones/d.example/dnssec";
    let import = |octet: u8, keytype: &str| {
        home.import(&json!({"private": pem_of(octet), "keytype": keytype, "algorithm": "15"})).status
    };
    home.bench.call(home.token.who(), "DELETE", &format!("{dnssec}?force=true"), None);
    let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
    behind.execute("DELETE FROM keys", []).unwrap();
    assert_eq!((import(1, "ksk"), import(2, "zsk")), (201, 201));
    home.bench.call(home.token.who(), "POST", dnssec, Some("{}"));
    assert_eq!((home.states(), home.refused()), (vec!["ksk 15 ready".into(), "zsk 15 ready".into()], Value::Null));
    behind.execute("DELETE FROM keys", []).unwrap();
    assert_eq!((import(3, "ksk"), import(1, "zsk"), import(1, "ksk"), import(3, "zsk")), (409, 409, 201, 409));
    let body = json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.1"]}).to_string();
    assert_eq!(home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &body).status, 201);
    assert!(home.refused().is_string(), "nothing is published with one of two keys");
    assert_eq!(import(2, "zsk"), 201);
    assert_eq!(home.states(), ["ksk 15 active", "zsk 15 active"]);
    home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/d.example/rrsets/www/A/", None);
    assert_eq!(home.refused(), Value::Null);
}

#[test]
fn what_is_known_of_the_parent_outlives_a_deletion_that_is_taken_back() {
    let home = Home::new();
    let tag = home.ask("GET", "", &Value::Null).json()["keys"][0]["tag"].clone();
    home.ask("POST", "/ds-seen", &json!({ "tag": tag, "ttl": 7200 }));
    home.import(&json!({"private": PEM, "keytype": "csk", "algorithm": "15"}));
    let row = || {
        let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
        let sql = "SELECT group_concat(seen || gone || ttl || imported) FROM (SELECT algorithm, imported,
            ifnull(ds_seen, '-') AS seen, ifnull(ds_gone, '-') AS gone, ifnull(ds_ttl, '-') AS ttl FROM keys ORDER BY tag)";
        behind.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let before = row();
    let gone = home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/d.example/", None);
    let change = gone.header("petrel-change").unwrap().to_owned();
    assert_eq!(home.bench.post(home.token.who(), &format!("/api/v1/restore/{change}/"), "{}").status, 201);
    assert_eq!(row(), before);
    let refused = home.bench.call(home.token.who(), "DELETE", "/api/zones/d.example/dnssec", None);
    assert!(refused.status == 409 && refused.text.contains("the parent has DS"), "{}", refused.text);
}

#[test]
fn a_deletion_in_the_middle_of_a_rollover_is_taken_back_into_it() {
    let home = Home::new();
    home.ask("POST", "/roll", &json!({}));
    let before = home.states();
    let gone = home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/d.example/", None);
    let change = gone.header("petrel-change").unwrap().to_owned();
    let back = home.bench.post(home.token.who(), &format!("/api/v1/restore/{change}/"), "{}");
    assert_eq!(back.status, 201, "{}", back.text);
    let mut after = home.states();
    after.sort();
    assert_eq!(after, before);
    assert!(!home.ask("GET", "", &Value::Null).json()["next"][0].is_null());
}
