//! What the operator does over the local socket.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Bench, Full, Who};

/// The path of the accounts.
const ACCOUNTS: &str = "/api/admin/accounts/";

#[test]
fn the_operator_makes_accounts_and_tokens_and_takes_them_back() {
    let bench = Bench::start();
    let made = bench.post(
        Who::Operator,
        ACCOUNTS,
        r#"{"email":"a@Example.org","class":"hosting","limit_domains":3,"token":true}"#,
    );
    let account = made.json();
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&account["email"], &account["class"], &account["limit_domains"]),
        (&json!("a@example.org"), &json!("hosting"), &json!(3))
    );
    let secret = account["token"].as_str().unwrap().to_owned();
    for path in ["/api/v1/domains/", "/api/v1/auth/tokens/", "/api/v1/auth/account/"] {
        assert_eq!(bench.get(Who::Token(&secret), path).status, 200, "{path}");
    }
    assert_eq!(bench.post(Who::Operator, ACCOUNTS, r#"{"email":"A@example.org"}"#).status, 409);
    let quiet = bench.post(Who::Operator, ACCOUNTS, r#"{"email":"b@example.org"}"#).json();
    assert_eq!((&quiet["class"], quiet.get("token")), (&json!("operator"), None));
    for body in
        ["{}", r#"{"email":"x"}"#, r#"{"email":"c@d.example","class":"king"}"#, r#"{"email":"c@d.example","owner":1}"#]
    {
        assert_eq!(bench.post(Who::Operator, ACCOUNTS, body).status, 400, "{body}");
    }
    let emails = bench.get(Who::Operator, ACCOUNTS).json();
    let emails: Vec<&str> = emails.as_array().unwrap().iter().filter_map(|account| account["email"].as_str()).collect();
    assert_eq!(emails, ["operator@localhost", "a@example.org", "b@example.org"]);
    let tokens = format!("{ACCOUNTS}a@example.org/tokens/");
    let made = bench.post(Who::Operator, &tokens, r#"{"name":"eyes","read_only":true,"perm_manage_tokens":true}"#);
    let token = made.json();
    assert_eq!((made.status, &token["read_only"]), (201, &json!(true)), "{}", made.text);
    let old = token["token"].as_str().unwrap().to_owned();
    let id = token["id"].as_str().unwrap();
    assert_eq!(bench.get(Who::Operator, &tokens).json()[0]["id"], id);
    let rotated = bench.call(Who::Operator, "POST", &format!("/api/admin/tokens/{id}/rotate/"), None);
    let new = rotated.json()["token"].as_str().unwrap().to_owned();
    assert_eq!((rotated.status, rotated.json()["name"].as_str()), (200, Some("eyes")));
    let status = |secret: &str| bench.get(Who::Token(secret), "/api/v1/auth/tokens/").status;
    assert_eq!((status(&old), status(&new)), (401, 200));
    assert_eq!(bench.post(Who::Token(&new), "/api/v1/auth/tokens/", "{}").status, 403);
    let path = format!("/api/admin/tokens/{id}/");
    assert_eq!(bench.call(Who::Operator, "DELETE", &path, None).status, 204);
    assert_eq!(bench.call(Who::Operator, "DELETE", &path, None).status, 404);
    assert_eq!(status(&new), 401);
    assert_eq!(bench.get(Who::Token(&secret), ACCOUNTS).status, 403);
    assert_eq!(bench.get(Who::Nobody, ACCOUNTS).status, 401);
}

#[test]
fn t_g7_a_stopped_account_and_its_hundred_zones_are_gone_within_a_second_and_come_back() {
    let bench = Bench::start();
    let account = bench.account("bad@example.org");
    let token = bench.token(&account, Full);
    let good = bench.account("good@example.org");
    let good = bench.token(&good, Full);
    assert_eq!(bench.post(good.who(), "/api/v1/domains/", r#"{"name":"good.example"}"#).status, 201);
    for index in 0..100 {
        let body = format!(r#"{{"name":"bad{index}.example"}}"#);
        assert_eq!(bench.post(token.who(), "/api/v1/domains/", &body).status, 201);
    }
    assert_eq!(bench.served().split(' ').count(), 101);
    let path = format!("{ACCOUNTS}bad@example.org/");
    let begin = Instant::now();
    let stopped = bench.call(Who::Operator, "PATCH", &path, Some(r#"{"active":false}"#));
    let took = begin.elapsed();
    assert_eq!((stopped.status, &stopped.json()["active"]), (200, &json!(false)), "{}", stopped.text);
    assert_eq!(bench.served(), "good.example.");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let refused = bench.get(token.who(), "/api/v1/domains/");
    assert_eq!((refused.status, refused.json()), (401, json!({"detail": "User inactive or deleted."})));
    assert_eq!(bench.get(good.who(), "/api/v1/domains/").status, 200);
    let begin = Instant::now();
    assert_eq!(bench.call(Who::Operator, "PATCH", &path, Some(r#"{"active":true,"limit_rrsets":7}"#)).status, 200);
    let back = begin.elapsed();
    assert_eq!(bench.served().split(' ').count(), 101);
    assert!(back < Duration::from_secs(1), "{back:?}");
    assert_eq!(bench.get(token.who(), "/api/v1/domains/").json().as_array().unwrap().len(), 100);
    let own = format!("{ACCOUNTS}operator@localhost/");
    assert_eq!(bench.call(Who::Operator, "PATCH", &own, Some(r#"{"active":false}"#)).status, 400);
    assert_eq!(bench.get(Who::Operator, &format!("{ACCOUNTS}nobody@example.org/")).status, 404);
    println!("stopped 100 zones in {took:?}, brought them back in {back:?}");
}

#[test]
fn a_backup_is_a_database_of_its_own_and_overwrites_nothing() {
    let bench = Bench::start();
    bench.account("a@example.org");
    let target = bench.dir().join("copy").join("state");
    std::fs::create_dir_all(&target).unwrap();
    let file = target.join("petrel.db");
    let body = json!({"path": file}).to_string();
    let made = bench.post(Who::Operator, "/api/admin/backup/", &body);
    assert_eq!((made.status, made.json()["path"].as_str()), (201, file.to_str()), "{}", made.text);
    let copy = controlplane::store::Store::open(&target).unwrap();
    assert!(copy.read(|reader| reader.account_by_email("a@example.org")).unwrap().is_some());
    for body in [&body, r#"{"path":"copy.db"}"#, "{}", r#"{"path":7}"#, r#"{"path":"/nonexistent/copy.db"}"#] {
        let refused = bench.post(Who::Operator, "/api/admin/backup/", body);
        assert!(refused.status == 400 && refused.json()["path"].is_array(), "{body}: {}", refused.text);
    }
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_new_server() {
    let bench = Bench::start();
    let found = bench.get(Who::Operator, "/api/admin/doctor/");
    let diagnosis = found.json();
    assert_eq!(found.status, 200, "{}", found.text);
    assert_eq!((&diagnosis["store_broken"], &diagnosis["damages"]), (&json!(false), &json!([])));
    assert_eq!((&diagnosis["quarantine"], &diagnosis["stopped"]), (&json!(null), &json!(null)), "{}", found.text);
    assert_eq!(diagnosis["change"], diagnosis["published_change"]);
}
