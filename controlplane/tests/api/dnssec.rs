//! Signing over the API: what a domain shows of its keys, and how it is signed otherwise or no longer.

use controlplane::dnssec::Dnssec;
use serde_json::{Value, json};
use snapshot::handover::Directory;

use crate::harness::{Answer, Bench, Full, Issued};

/// The signing of the domain, for operators.
const DNSSEC: &str = "/api/zones/d.example/dnssec";

/// An account with the domain d.example.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
}

impl Home {
    /// A fresh one, and the answer to making the domain.
    fn new() -> (Home, Value) {
        let bench = Bench::start();
        let token = bench.token(&bench.account("keys@mail.example"), Full);
        let made = bench.post(token.who(), "/api/v1/domains/", r#"{"name":"d.example"}"#);
        assert_eq!(made.status, 201, "{}", made.text);
        (Home { bench, token }, made.json())
    }

    /// The domain as it is shown.
    fn domain(&self) -> Value {
        self.bench.get(self.token.who(), "/api/v1/domains/d.example/").json()
    }

    /// A request about signing.
    fn ask(&self, method: &str, body: &Value) -> Answer {
        self.bench.call(self.token.who(), method, DNSSEC, Some(&body.to_string()))
    }

    /// Ends signing, whatever the parent has.
    fn disable(&self) -> Answer {
        self.bench.call(self.token.who(), "DELETE", &format!("{DNSSEC}?force=true"), None)
    }
}

#[test]
fn check_8_a_new_domain_has_a_key_and_its_ds_records() {
    let (home, made) = Home::new();
    assert_eq!(made["published"], Value::Null);
    let key = &made["keys"][0];
    assert!(key["dnskey"].as_str().unwrap().starts_with("257 3 13 "), "{key}");
    assert_eq!((&key["flags"], &key["keytype"], &key["managed"]), (&json!(257), &json!("csk"), &json!(true)));
    let ds: Vec<Vec<&str>> =
        key["ds"].as_array().unwrap().iter().map(|ds| ds.as_str().unwrap().split(' ').collect()).collect();
    assert_eq!(ds.iter().map(|ds| (ds[1], ds[2], ds[3].len())).collect::<Vec<_>>(), [("13", "2", 64), ("13", "4", 96)]);
    assert_eq!(ds[0][0], ds[1][0], "one tag");
    let shown = home.domain();
    assert_eq!(shown["keys"], made["keys"]);
    assert!(shown["published"].is_string());
    assert!(home.bench.get(home.token.who(), "/api/v1/domains/").json()[0].get("keys").is_none());
}

#[test]
fn dnskey_records_of_the_owner_stand_beside_ours() {
    let (home, _) = Home::new();
    let foreign = json!({"subname": "", "type": "DNSKEY", "ttl": 3600, "records": [
        "257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="
    ]});
    let refused = home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &foreign.to_string());
    assert_eq!(refused.status, 400, "an algorithm that we would have to sign with: {}", refused.text);
    let theirs = "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
    let body = json!({"subname": "", "type": "DNSKEY", "ttl": 3600, "records": [theirs]}).to_string();
    let added = home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &body);
    assert_eq!((added.status, added.header("petrel-served")), (201, Some("no")), "no data plane: {}", added.text);
    let keys = home.domain()["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert_eq!(
        (&keys[1]["dnskey"], &keys[1]["managed"], &keys[1]["keytype"]),
        (&json!(theirs), &json!(false), &Value::Null)
    );
    assert_eq!(keys[1]["ds"].as_array().unwrap().len(), 2);
}

#[test]
fn s2_118_to_120_signing_begins_changes_and_ends_and_the_key_stays() {
    let (home, made) = Home::new();
    let shown = home.ask("GET", &Value::Null).json();
    assert_eq!((&shown["signed"], &shown["denial"], &shown["keys"]), (&json!(true), &json!("nsec"), &made["keys"]));
    for denial in ["nsec3", "opt-out", "nsec"] {
        let changed = home.ask("POST", &json!({ "denial": denial }));
        assert_eq!((changed.status, &changed.json()["denial"]), (200, &json!(denial)));
        assert!(changed.header("petrel-change").is_some());
        assert_eq!(home.ask("GET", &Value::Null).json()["keys"], made["keys"]);
    }
    assert!(home.ask("POST", &json!({})).header("petrel-change").is_none(), "nothing changed");
    let ended = home.disable();
    assert_eq!(
        (ended.status, ended.json()["signed"].clone(), ended.json()["keys"].clone()),
        (200, json!(false), json!([]))
    );
    assert_eq!(home.domain()["keys"], json!([]));
    home.ask("POST", &json!({ "denial": "nsec3" }));
    assert_eq!(home.domain()["keys"], made["keys"], "whoever ended it by mistake has the same DS records again");
}

#[test]
fn a_deletion_that_is_taken_back_has_its_keys_again() {
    let (home, made) = Home::new();
    home.ask("POST", &json!({ "denial": "nsec3" }));
    let gone = home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/d.example/", None);
    let change = gone.header("petrel-change").unwrap().to_owned();
    let back = home.bench.post(home.token.who(), &format!("/api/v1/restore/{change}/"), "{}");
    assert_eq!((back.status, &back.json()["keys"]), (201, &made["keys"]), "{}", back.text);
    assert_eq!(home.ask("GET", &Value::Null).json()["denial"], "nsec3");
}

#[test]
fn other_keys_take_the_place_of_those_of_a_domain_that_is_not_signed() {
    let (home, made) = Home::new();
    let same = home.ask("POST", &json!({ "keys": "csk", "algorithm": 13 }));
    assert_eq!((same.status, &home.domain()["keys"]), (200, &made["keys"]), "{}", same.text);
    for other in [json!({ "keys": "split" }), json!({ "algorithm": 15 })] {
        let refused = home.ask("POST", &other);
        assert!(refused.status == 409 && refused.text.contains("end signing first"), "{other}: {}", refused.text);
    }
    assert_eq!(home.disable().status, 200);
    let signed = home.ask("POST", &json!({ "keys": "split", "algorithm": 15 }));
    assert_eq!(signed.status, 200, "{}", signed.text);
    let shown = home.domain();
    let kinds: Vec<&Value> = shown["keys"].as_array().unwrap().iter().map(|key| &key["keytype"]).collect();
    assert_eq!(kinds, ["ksk", "zsk"], "{shown}");
    assert!(!shown.to_string().contains(made["keys"][0]["dnskey"].as_str().unwrap()));
}

#[test]
fn a_zone_that_is_signed_denies_as_it_does_unless_told_otherwise() {
    let (home, _) = Home::new();
    home.ask("POST", &json!({ "denial": "opt-out" }));
    let same = home.ask("POST", &json!({}));
    assert_eq!((same.status, &same.json()["denial"]), (200, &json!("opt-out")), "{}", same.text);
    assert!(same.header("petrel-change").is_none(), "nothing changed");
}

#[test]
fn signing_ends_unforced_only_if_the_parent_is_known_to_have_no_ds() {
    let (home, made) = Home::new();
    let refused = home.ask("DELETE", &Value::Null);
    assert!(refused.status == 409 && refused.text.contains("cannot be told"), "{}", refused.text);
    // A parent that is a domain here is known.
    let who = home.token.who();
    assert_eq!(home.bench.post(who, "/api/v1/domains/", r#"{"name":"d2.d.example"}"#).status, 201);
    let child = "/api/zones/d2.d.example/dnssec";
    let ds = made["keys"][0]["ds"][0].clone();
    for (subname, rtype, record) in
        [("d2", "NS", json!("ns1.other.example.")), ("d2", "DS", ds.clone()), ("b", "NS", json!("ns1.other.example."))]
    {
        let body = json!({"subname": subname, "type": rtype, "ttl": 3600, "records": [record]}).to_string();
        let added = home.bench.post(who, "/api/v1/domains/d.example/rrsets/", &body);
        assert_eq!(added.status, 201, "{}", added.text);
    }
    let refused = home.bench.call(who, "DELETE", child, None);
    assert!(refused.status == 409 && refused.text.contains("the parent has DS"), "{}", refused.text);
    home.bench.call(who, "DELETE", "/api/v1/domains/d.example/rrsets/d2/DS/", None);
    let ended = home.bench.call(who, "DELETE", child, None);
    assert_eq!((ended.status, &ended.json()["signed"]), (200, &json!(false)), "{}", ended.text);
    // Below a cut the parent is somebody else.
    assert_eq!(home.bench.post(who, "/api/v1/domains/", r#"{"name":"a.b.d.example"}"#).status, 201);
    let refused = home.bench.call(who, "DELETE", "/api/zones/a.b.d.example/dnssec", None);
    assert!(refused.status == 409 && refused.text.contains("cannot be told"), "{}", refused.text);
    // What is signed for the first time after it was served without asks for no DS yet, so nobody can have one.
    let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
    let sql = "DELETE FROM keys WHERE domain = (SELECT id FROM domains WHERE name = 'd2.d.example')";
    assert_eq!(behind.execute(sql, []).unwrap(), 1);
    home.bench.call(who, "POST", child, Some("{}"));
    assert_eq!(home.bench.call(who, "DELETE", "/api/v1/domains/d.example/", None).status, 204);
    let ended = home.bench.call(who, "DELETE", child, None);
    assert_eq!((ended.status, &ended.json()["signed"]), (200, &json!(false)), "{}", ended.text);
}

#[test]
fn what_is_no_denial_is_refused_and_changes_nothing() {
    let (home, _) = Home::new();
    for bad in [json!({"denial": "off"}), json!({"denial": "NSEC3"}), json!({"denial": 3}), json!([]), json!("nsec")] {
        let refused = home.ask("POST", &bad);
        assert_eq!(refused.status, 400, "{bad}: {}", refused.text);
    }
    assert_eq!(home.ask("GET", &Value::Null).json()["denial"], "nsec");
    let missing = home.bench.get(home.token.who(), "/api/zones/other.example/dnssec");
    assert_eq!(missing.status, 404);
}

#[test]
fn a_key_that_does_not_open_leaves_the_last_zone_and_it_is_said_why() {
    let (home, _) = Home::new();
    let serial = |home: &Home| {
        let directory = Directory::open(&home.bench.dir().join("snapshots")).unwrap();
        directory.load(None).unwrap().unwrap().view.zones()[0].serial
    };
    let before = serial(&home);
    let behind = rusqlite::Connection::open(home.bench.store.path()).unwrap();
    // Under another number it is not the key that is open already.
    let sql = "UPDATE keys SET id = id + 1000, sealed = zeroblob(length(sealed))";
    assert_eq!(behind.execute(sql, []).unwrap(), 1);
    let body = json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.1"]}).to_string();
    let added = home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &body);
    assert_eq!((added.status, added.header("petrel-served")), (201, Some("no")), "{}", added.text);
    let shown = home.ask("GET", &Value::Null).json();
    assert!(shown["refused"].as_str().unwrap().contains("cannot be opened"), "{shown}");
    assert_eq!(serial(&home), before);
}

#[test]
fn csync_is_data_of_the_owner() {
    let (home, _) = Home::new();
    let csync = json!({"subname": "", "type": "CSYNC", "ttl": 3600, "records": ["066 03  NS  AAAA A"]}).to_string();
    let added = home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", &csync);
    assert_eq!((added.status, &added.json()["records"]), (201, &json!(["66 3 A NS AAAA"])), "{}", added.text);
    assert_eq!(home.ask("GET", &Value::Null).json().get("refused"), None);
    let export = home.bench.get(home.token.who(), "/api/v1/domains/d.example/zonefile/");
    assert!(export.text.contains("CSYNC\t66 3 A NS AAAA"), "{}", export.text);
}

#[test]
fn a_signed_domain_goes_on_without_name_servers() {
    let (home, _) = Home::new();
    let serial = || {
        let directory = Directory::open(&home.bench.dir().join("snapshots")).unwrap();
        directory.load(None).unwrap().unwrap().view.zones()[0].serial
    };
    for denial in ["nsec", "nsec3", "opt-out"] {
        home.ask("POST", &json!({ "denial": denial }));
        // Clients that replace a zone take everything away first.
        for records in [json!([]), json!(["ns.example."])] {
            let before = serial();
            let rrset = json!([{"subname": "", "type": "NS", "ttl": 3600, "records": records}]).to_string();
            let path = "/api/v1/domains/d.example/rrsets/";
            let changed = home.bench.call(home.token.who(), "PATCH", path, Some(&rrset));
            assert_eq!(changed.status, 200, "{}", changed.text);
            let shown = home.ask("GET", &Value::Null).json();
            assert!(shown.get("refused").is_none() && serial() > before, "{denial} {records}: {shown}");
        }
    }
}

#[test]
fn nothing_is_sealed_with_the_secret_of_another_installation() {
    let (home, _) = Home::new();
    let latest = home.bench.store.read(|reader| reader.latest_keys(8)).unwrap();
    let open = |file: &str| Dnssec::open(&home.bench.dir().join(file), false).unwrap().tried_on(&latest);
    assert!(open("seal.key").new_key("new.example").is_ok());
    let refused = open("other.key").new_key("new.example").unwrap_err().to_string();
    assert!(refused.contains("opens none of the keys"), "{refused}");
}
