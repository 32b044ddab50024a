//! Tokens, the account and the logout, row by row as the contract has them.

use serde_json::{Value, json};

use controlplane::clock::now_us;

use crate::harness::{Bench, Full, Issued, Who};

/// The path of the list.
const TOKENS: &str = "/api/v1/auth/tokens/";

/// A server with an account and its full token.
fn start() -> (Bench, Issued) {
    let bench = Bench::start();
    let account = bench.account("Owner@example.org");
    let token = bench.token(&account, Full);
    (bench, token)
}

#[test]
fn a_token_has_the_fields_of_the_contract_in_their_order() {
    let (bench, full) = start();
    let made = bench.call(full.who(), "POST", TOKENS, None);
    assert_eq!(made.status, 201, "{}", made.text);
    let keys = "id created last_used owner user_override mfa max_age max_unused_period name perm_create_domain \
                perm_delete_domain perm_manage_tokens allowed_subnets auto_policy is_valid token";
    let places = keys.split(' ').map(|key| made.text.find(&format!("\"{key}\":")).expect(key));
    assert!(places.collect::<Vec<_>>().is_sorted(), "{}", made.text);
    let token = made.json();
    assert_eq!(token["owner"], "Owner@example.org");
    assert_eq!(token["allowed_subnets"], json!(["0.0.0.0/0", "::/0"]));
    for (key, value) in [
        ("last_used", Value::Null),
        ("user_override", Value::Null),
        ("mfa", Value::Null),
        ("max_age", Value::Null),
        ("max_unused_period", Value::Null),
        ("name", json!("")),
        ("perm_create_domain", json!(false)),
        ("perm_delete_domain", json!(false)),
        ("perm_manage_tokens", json!(false)),
        ("auto_policy", json!(false)),
        ("is_valid", json!(true)),
    ] {
        assert_eq!(token[key], value, "{key}");
    }
    let secret = token["token"].as_str().unwrap();
    assert!(secret.len() == 28 && !secret.contains(['0', 'O', 'I', 'l']), "{secret}");
    assert_eq!(bench.get(Who::Token(secret), "/api/v1/domains/").status, 200);
    let one = format!("{TOKENS}{}/", token["id"].as_str().unwrap());
    let shown = bench.get(full.who(), &one).json();
    assert!(shown.get("token").is_none() && shown["last_used"].is_string(), "{shown}");
    let list = bench.get(full.who(), TOKENS).json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (2, &token["id"]));
    assert!(list[0].get("token").is_none(), "{list}");
}

/// What POST answers to a field: the field of the token, or the errors.
fn check_field(bench: &Bench, full: &Issued, field: &str, sent: &Value, expected: &Value) {
    let made = bench.post(full.who(), TOKENS, &json!({ field: sent }).to_string());
    let found = match made.status {
        201 | 400 => made.json()[field].clone(),
        _ => json!(made.text),
    };
    assert_eq!(&found, expected, "{field}: {sent}");
}

#[test]
fn fields_are_read_and_refused_as_the_contract_says() {
    let (bench, full) = start();
    let format = "Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].";
    let long = "x".repeat(65);
    for (field, sent, expected) in [
        ("max_age", json!("1 2:3"), json!("1 00:02:03")),
        ("max_age", json!("365 00:00:00"), json!("365 00:00:00")),
        ("max_age", json!(3600), json!("01:00:00")),
        ("max_age", json!("3600.5"), json!("01:00:00.500000")),
        ("max_age", json!(null), json!(null)),
        ("max_age", json!("soon"), json!([format])),
        ("max_age", json!("-1"), json!(["Ensure this value is greater than or equal to 0:00:00."])),
        ("max_unused_period", json!("365000 0"), json!("365000 00:00:00")),
        ("max_unused_period", json!([]), json!([format])),
        ("allowed_subnets", json!(["127.0.0.0/8", "::1"]), json!(["127.0.0.0/8", "::1/128"])),
        ("allowed_subnets", json!([]), json!([])),
        ("allowed_subnets", json!(["10.0.0.1/8"]), json!({"0": ["Must be a network address."]})),
        ("allowed_subnets", json!(["::/0", "x"]), json!({"1": ["Invalid CIDR address."]})),
        ("allowed_subnets", json!(null), json!(["This field may not be null."])),
        ("name", json!(&long[..64]), json!(&long[..64])),
        ("name", json!(long), json!(["Ensure this field has no more than 64 characters."])),
        ("name", json!(null), json!(["This field may not be null."])),
        ("name", json!("\u{0}"), json!(["Null characters are not allowed."])),
        ("perm_create_domain", json!(true), json!(true)),
        ("perm_manage_tokens", json!("maybe"), json!(["Must be a valid boolean."])),
        ("auto_policy", json!(true), json!(true)),
        ("user_override", json!(null), json!(null)),
    ] {
        check_field(&bench, &full, field, &sent, &expected);
    }
    let other = bench.post(full.who(), TOKENS, r#"{"user_override":"else@example.org"}"#);
    assert!(other.status == 400 && other.json()["user_override"].is_array(), "{}", other.text);
    let list = bench.post(full.who(), TOKENS, "[]");
    let told = json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]});
    assert_eq!((list.status, list.json()), (400, told));
}

#[test]
fn what_is_sent_changes_and_what_is_not_stays() {
    let (bench, full) = start();
    let made = bench.post(full.who(), TOKENS, r#"{"name":"a","max_age":"1 0","perm_create_domain":true}"#).json();
    let one = format!("{TOKENS}{}/", made["id"].as_str().unwrap());
    for method in ["PATCH", "PUT"] {
        let changed = bench.call(full.who(), method, &one, Some(r#"{"name":"b"}"#));
        let token = changed.json();
        assert_eq!((changed.status, token["name"].as_str()), (200, Some("b")), "{}", changed.text);
        assert_eq!((&token["max_age"], &token["perm_create_domain"]), (&json!("1 00:00:00"), &json!(true)));
    }
    let other = bench.call(full.who(), "PATCH", &one, Some(r#"{"user_override":"a@example.org"}"#));
    assert_eq!((other.status, other.json()), (400, json!({"user_override": ["Can only be written on create."]})));
    let unknown = format!("{TOKENS}{}/", uuid::Uuid::new_v4());
    let missing = json!({"detail": "No Token matches the given query."});
    for method in ["GET", "PATCH", "PUT"] {
        let body = (method != "GET").then_some("{}");
        let answer = bench.call(full.who(), method, &unknown, body);
        assert_eq!((answer.status, answer.json()), (404, missing.clone()), "{method}");
        let answer = bench.call(full.who(), method, &format!("{TOKENS}nonsense/"), body);
        assert_eq!((answer.status, answer.json()), (404, json!({"detail": "Not found."})), "{method}");
    }
    for path in [one.as_str(), one.as_str(), unknown.as_str()] {
        assert_eq!(bench.call(full.who(), "DELETE", path, None).status, 204, "{path}");
    }
    assert_eq!(bench.get(full.who(), &one).status, 404);
}

#[test]
fn tokens_out_of_their_bounds_are_invalid_and_can_be_revived() {
    let (bench, full) = start();
    let account = bench.store.read(|reader| reader.account_by_email("owner@example.org")).unwrap().unwrap();
    let hour_us = 3_600_000_000;
    let expired = bench.token(&account, |token: &mut controlplane::store::tokens::Token| {
        token.created_us = now_us() - 2 * hour_us;
        token.max_age_us = Some(hour_us);
    });
    let unused = bench.token(&account, |token: &mut controlplane::store::tokens::Token| {
        token.created_us = now_us() - 2 * hour_us;
        token.max_unused_us = Some(hour_us);
    });
    let elsewhere = bench.token(&account, |token: &mut controlplane::store::tokens::Token| {
        token.allowed_subnets = vec!["10.0.0.0/8".into()];
    });
    for (token, is_valid) in [(&expired, false), (&unused, false), (&elsewhere, true)] {
        let answer = bench.get(token.who(), "/api/v1/domains/");
        assert_eq!((answer.status, answer.json()), (401, json!({"detail": "Invalid token."})));
        assert_eq!(answer.header("www-authenticate"), Some("Token"));
        let path = format!("{TOKENS}{}/", token.id);
        assert_eq!(bench.get(full.who(), &path).json()["is_valid"], is_valid);
        let bounds = r#"{"max_age":null,"max_unused_period":null,"allowed_subnets":["127.0.0.1"]}"#;
        assert_eq!(bench.call(full.who(), "PATCH", &path, Some(bounds)).status, 200);
        assert_eq!(bench.get(token.who(), "/api/v1/domains/").status, 200);
    }
}

#[test]
fn more_tokens_than_a_page_need_a_cursor() {
    let (bench, full) = start();
    let account = bench.store.read(|reader| reader.account_by_email("owner@example.org")).unwrap().unwrap();
    // Several of each moment, so that the order within one matters.
    let mut ids = vec![full.id.to_string()];
    for index in 0..1100 {
        let special = |token: &mut controlplane::store::tokens::Token| token.created_us = 1_000_000 + index / 7;
        ids.push(bench.token(&account, special).id.to_string());
    }
    let refused = bench.get(full.who(), TOKENS);
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("(1101 total)") && refused.header("link").is_some(), "{}", refused.text);
    assert_eq!(bench.get(full.who(), &format!("{TOKENS}?cursor=nonsense")).status, 404);
    let (mut path, mut seen, mut back) = (format!("{TOKENS}?cursor="), Vec::new(), 0);
    loop {
        let page = bench.get(full.who(), &path);
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(page.json().as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()));
        let link = page.header("link").unwrap_or("").to_owned();
        let target = |rel: &str| {
            let part = link.split(", ").find(|part| part.ends_with(&format!("rel=\"{rel}\"")))?;
            Some(part[part.find("/api/")?..part.find('>')?].to_owned())
        };
        if let Some(prev) = target("prev") {
            back += bench.get(full.who(), &prev).json().as_array().unwrap().len();
        }
        match target("next") {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(back, 1000);
    assert_eq!(seen.len(), ids.len());
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
}

#[test]
fn the_account_shows_itself_and_changes_one_field_only() {
    let (bench, full) = start();
    let path = "/api/v1/auth/account/";
    let before = bench.get(full.who(), path);
    assert_eq!(before.status, 200, "{}", before.text);
    let keys: Vec<String> = before.json().as_object().unwrap().keys().cloned().collect();
    let expected = ["created", "domains_under_management", "email", "id", "limit_domains", "outreach_preference"];
    assert_eq!(keys, expected);
    let cases = [
        ("PUT", "{}", true),
        ("PATCH", r#"{"outreach_preference":false,"email":"x@example.org","limit_domains":9,"id":1}"#, false),
        ("PUT", r#"{"outreach_preference":"true","created":null}"#, true),
    ];
    for (method, body, outreach) in cases {
        let changed = bench.call(full.who(), method, path, Some(body));
        let mut expected = before.json();
        expected["outreach_preference"] = json!(outreach);
        assert_eq!((changed.status, changed.json()), (200, expected), "{method} {body}");
    }
    let bad = bench.call(full.who(), "PATCH", path, Some(r#"{"outreach_preference":"x"}"#));
    assert_eq!((bad.status, bad.json()), (400, json!({"outreach_preference": ["Must be a valid boolean."]})));
    bench.post(full.who(), "/api/v1/domains/", r#"{"name":"one.example"}"#);
    assert_eq!(bench.get(full.who(), path).json()["domains_under_management"], 1);
}

#[test]
fn logging_out_ends_the_token() {
    let (bench, full) = start();
    assert_eq!(bench.call(full.who(), "POST", "/api/v1/auth/logout/", None).status, 204);
    let answer = bench.call(full.who(), "POST", "/api/v1/auth/logout/", None);
    assert_eq!((answer.status, answer.json()), (401, json!({"detail": "Invalid token."})));
}
