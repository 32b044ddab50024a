//! Secrets are where they belong and nowhere else; what clients cannot write is not written.

use controlplane::store::accounts::Account;
use serde_json::{Value, json};

use crate::harness::{Bench, Full, Who};
use crate::log;

/// Whether bytes contain a text.
fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All requests of the run: many routes, right and wrong bodies.
fn requests(id: &str) -> Vec<(&'static str, String, Option<&'static str>)> {
    let token = format!("/api/v1/auth/tokens/{id}/");
    let policies = format!("{token}policies/rrsets/");
    let mut requests = Vec::new();
    for (path, body) in [
        ("/api/v1/", None),
        ("/api/v1/domains/", Some(r#"{"name":"canary.example"}"#)),
        ("/api/v1/domains/canary.example/", Some("{}")),
        ("/api/v1/domains/canary.example/zonefile/", None),
        (
            "/api/v1/domains/canary.example/rrsets/",
            Some(r#"{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.1"]}"#),
        ),
        ("/api/v1/domains/canary.example/rrsets/www/A/", Some(r#"{"records":["x"]}"#)),
        ("/api/v1/auth/account/", Some(r#"{"outreach_preference":"x"}"#)),
        ("/api/v1/auth/tokens/", Some(r#"{"max_age":"x"}"#)),
        (token.as_str(), Some(r#"{"name":null}"#)),
        (policies.as_str(), Some(r#"{"domain":"x"}"#)),
        ("/api/admin/accounts/", Some("{}")),
        ("/api/admin/doctor/", None),
        ("/api/openapi.json", None),
        ("/metrics", None),
        ("/healthz", None),
        ("/readyz", None),
        ("/no/such/path", None),
    ] {
        for method in ["GET", "POST", "PATCH", "PUT"] {
            let body = if method == "GET" { None } else { body };
            requests.push((method, path.to_owned(), body));
            if body.is_some() {
                requests.push((method, path.to_owned(), Some("{\"broken\":")));
            }
        }
    }
    requests.push(("DELETE", "/api/v1/domains/canary.example/".into(), None));
    requests
}

#[test]
fn secrets_show_in_the_reply_that_makes_them_and_nowhere_else() {
    log::keep();
    let bench = Bench::start();
    let account = bench.account("canary@example.org");
    let full = bench.token(&account, Full);
    let made = bench
        .post(full.who(), "/api/v1/auth/tokens/", r#"{"perm_manage_tokens":true,"perm_create_domain":true}"#)
        .json();
    let (secret, id) = (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned());
    let admin = r#"{"email":"other@example.org","token":true}"#;
    let other = bench.post(Who::Operator, "/api/admin/accounts/", admin).json()["token"].as_str().unwrap().to_owned();
    let wrong = "9CanaryWrongSecretZZZZZZZZZZ";
    let secrets = [full.secret.as_str(), &secret, &other, wrong];
    for who in [Who::Token(&secret), Who::Token(&other), Who::Token(wrong), Who::Nobody, Who::Operator] {
        for (method, path, body) in requests(&id) {
            let answer = bench.call(who, method, &path, body);
            let headers = format!("{:?}", answer.headers);
            for secret in secrets {
                assert!(!answer.text.contains(secret) && !headers.contains(secret), "{method} {path}: {}", answer.text);
            }
            assert!(answer.status < 500 || path == "/readyz", "{method} {path}: {} {}", answer.status, answer.text);
        }
    }
    let hidden = bench.call(Who::Nobody, "GET", &format!("/api/v1/domains/?token={wrong}"), None);
    assert!(!hidden.text.contains(wrong));
    let log = log::kept();
    let state = bench.dir().join("state");
    let files = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let mut places: Vec<(String, Vec<u8>)> = vec![("the log".into(), log)];
    places.extend(files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())));
    assert!(places.len() > 1 && !places[0].1.is_empty(), "nothing to look at");
    for (place, bytes) in &places {
        for secret in secrets {
            assert!(!has(bytes, secret), "{place} has a secret");
        }
    }
}

/// A body with every field that no client may write, and `usual` besides.
fn smuggled(usual: &Value) -> String {
    let mut body = json!({
        "id": "00000000-0000-0000-0000-000000000001",
        "created": "2000-01-01T00:00:00.000000Z",
        "last_used": "2000-01-01T00:00:00.000000Z",
        "published": "2000-01-01T00:00:00.000000Z",
        "touched": "2000-01-01T00:00:00.000000Z",
        "owner": "other@example.org",
        "account": 1,
        "email": "other@example.org",
        "mfa": true,
        "is_valid": false,
        "token": "1111111111111111111111111111",
        "hash": "00",
        "read_only": true,
        "class": "operator",
        "active": false,
        "limit_domains": 1,
        "limit_rrsets": 1,
        "limit_records": 1,
        "limit_bytes": 1,
        "limit_writes_per_hour": 1,
        "limit_history_per_day": 1,
        "verification": null,
        "unproved": null,
        "minimum_ttl": 1,
        "keys": [],
        "serial": 7,
    });
    body.as_object_mut().unwrap().extend(usual.as_object().unwrap().clone());
    body.to_string()
}

#[test]
fn fields_that_clients_cannot_write_are_ignored() {
    let bench = Bench::start();
    let account = bench.account("owner@example.org");
    bench.account("other@example.org");
    let full = bench.token(&account, Full);
    let before = bench.get(full.who(), "/api/v1/auth/account/").json();
    let changed = bench.call(full.who(), "PATCH", "/api/v1/auth/account/", Some(&smuggled(&json!({}))));
    assert_eq!((changed.status, changed.json()), (200, before));
    let made = bench.post(full.who(), "/api/v1/auth/tokens/", &smuggled(&json!({"name": "n"})));
    let token = made.json();
    assert_eq!((made.status, &token["name"], &token["owner"]), (201, &json!("n"), &json!("owner@example.org")));
    assert_eq!((&token["mfa"], &token["is_valid"], token.get("read_only")), (&json!(null), &json!(true), None));
    assert!(token["created"].as_str().unwrap() > "2026" && !token["id"].as_str().unwrap().starts_with("00000000"));
    let path = format!("/api/v1/auth/tokens/{}/", token["id"].as_str().unwrap());
    let stored = bench.get(full.who(), &path).json();
    let put = bench.call(full.who(), "PUT", &path, Some(&smuggled(&json!({}))));
    assert_eq!((put.status, put.json()), (200, stored));
    let name = json!({"name": "one.example"});
    let made = bench.post(full.who(), "/api/v1/domains/", &smuggled(&name));
    assert_eq!((made.status, &made.json()["minimum_ttl"]), (201, &json!(3600)), "{}", made.text);
    assert!(made.json()["created"].as_str().unwrap() > "2026");
    let policy = json!({"domain": null, "subname": null, "type": null});
    let policies = format!("{path}policies/rrsets/");
    let made = bench.post(full.who(), &policies, &smuggled(&policy));
    assert_eq!((made.status, &made.json()["perm_write"]), (201, &json!(false)), "{}", made.text);
    assert!(!made.json()["id"].as_str().unwrap().starts_with("00000000"));
    let id = account.id;
    let now = bench.store.read(|reader| reader.account(id)).unwrap().unwrap();
    // What it has made counts, and that is all that is new.
    let (usage, writes, history) = (account.usage, account.writes, account.history);
    assert_eq!(Account { usage, writes, history, ..now }, account);
    let tokens = bench.store.read(|reader| reader.tokens(id)).unwrap();
    assert!(tokens.iter().all(|token| !token.read_only), "{tokens:?}");
    let admin = bench.post(Who::Operator, "/api/admin/accounts/", &smuggled(&json!({"email": "new@example.org"})));
    assert!(admin.status == 400 && admin.json()["owner"].is_array(), "{}", admin.text);
}
