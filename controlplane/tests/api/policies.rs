//! Token policies, row by row as the contract has them, and that they hold.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued};

/// A server with a domain, a full token, and a token to be restricted.
struct Setting {
    /// The server.
    bench: Bench,
    /// May everything.
    full: Issued,
    /// Gets policies.
    scoped: Issued,
    /// The list of its policies.
    path: String,
}

impl Setting {
    /// Makes one; the domains `one.example` and `two.example` are the account's, `foreign.example` is another's.
    fn new() -> Setting {
        let bench = Bench::start();
        let account = bench.account("owner@example.org");
        let full = bench.token(&account, Full);
        let scoped = bench.token(&account, |token: &mut controlplane::store::tokens::Token| {
            token.perm_manage_tokens = false;
        });
        let other = bench.account("other@example.org");
        let other = bench.token(&other, Full);
        for (token, name) in [(&full, "one"), (&full, "two"), (&other, "foreign")] {
            let body = format!(r#"{{"name":"{name}.example"}}"#);
            assert_eq!(bench.post(token.who(), "/api/v1/domains/", &body).status, 201);
        }
        let path = format!("/api/v1/auth/tokens/{}/policies/rrsets/", scoped.id);
        Setting { bench, full, scoped, path }
    }

    /// POST of a policy.
    fn add(&self, domain: Value, subname: Value, rtype: Value, perm_write: bool) -> Answer {
        let body: Value =
            [("domain", domain), ("subname", subname), ("type", rtype), ("perm_write", perm_write.into())]
                .into_iter()
                .collect();
        self.bench.post(self.full.who(), &self.path, &body.to_string())
    }

    /// POST of an A or TXT RRset by the restricted token.
    fn write(&self, domain: &str, subname: &str, rtype: &str) -> u16 {
        let record = if rtype == "A" { "192.0.2.1" } else { "\"x\"" };
        let body = json!({"subname": subname, "type": rtype, "ttl": 3600, "records": [record]});
        let path = format!("/api/v1/domains/{domain}/rrsets/");
        self.bench.post(self.scoped.who(), &path, &body.to_string()).status
    }
}

/// Compares status and body.
fn check(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status, &answer.json()), (status, body));
}

/// The body that says `text` of no field in particular.
fn non_field(text: &str) -> Value {
    json!({"non_field_errors": [text]})
}

#[test]
fn the_default_policy_comes_first_and_goes_last() {
    let setting = Setting::new();
    let Setting { bench, full, path, .. } = &setting;
    let first = "Policy precedence: The first policy must be the default policy.";
    check(&setting.add(json!("one.example"), json!(null), json!(null), true), 400, &non_field(first));
    let default = setting.add(json!(null), json!(null), json!(null), false);
    assert_eq!(default.status, 201, "{}", default.text);
    let default = default.json();
    let keys: Vec<&String> = default.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 5);
    let specific = setting.add(json!("one.example"), json!("www"), json!("A"), true);
    assert_eq!(specific.status, 201, "{}", specific.text);
    let specific = specific.json();
    assert_eq!(specific["domain"], "one.example");
    assert_eq!((&specific["subname"], &specific["type"]), (&json!("www"), &json!("A")));
    check(&bench.get(full.who(), path), 200, &json!([default, specific]));
    let at = |policy: &Value| format!("{path}{}/", policy["id"].as_str().unwrap());
    check(&bench.get(full.who(), &at(&specific)), 200, &specific);
    let one = "When using policies, there must be exactly one default policy.";
    let specific_body = r#"{"domain":"one.example","subname":null,"type":null}"#;
    check(&bench.call(full.who(), "PATCH", &at(&default), Some(specific_body)), 400, &non_field(one));
    let default_body = r#"{"domain":null,"subname":null,"type":null}"#;
    check(&bench.call(full.who(), "PUT", &at(&specific), Some(default_body)), 400, &non_field(one));
    let last = "Policy precedence: Can't delete default policy when there exist others.";
    check(&bench.call(full.who(), "DELETE", &at(&default), None), 400, &non_field(last));
    for policy in [&specific, &specific, &default, &default] {
        assert_eq!(bench.call(full.who(), "DELETE", &at(policy), None).status, 204);
    }
    check(&bench.get(full.who(), path), 200, &json!([]));
}

#[test]
fn bad_policies_are_refused_by_field() {
    let setting = Setting::new();
    let Setting { bench, full, path, .. } = &setting;
    let required = json!(["This field is required."]);
    let all = json!({"domain": required, "subname": required, "type": required});
    check(&bench.post(full.who(), path, "{}"), 400, &all);
    for name in ["foreign.example", "unknown.example"] {
        let told = json!({"domain": [format!("Object with name={name} does not exist.")]});
        check(&setting.add(json!(name), json!(null), json!(null), true), 400, &told);
    }
    let default = setting.add(json!(null), json!(null), json!(null), true).json();
    for (subname, rtype, field) in [
        (json!("UPPER"), json!(null), "subname"),
        (json!("a..b"), json!(null), "subname"),
        (json!(null), json!("a"), "type"),
        (json!(null), json!(""), "type"),
        (json!(null), json!(true), "type"),
    ] {
        let refused = setting.add(json!("one.example"), subname, rtype, true);
        assert!(refused.status == 400 && refused.json()[field].is_array(), "{}", refused.text);
    }
    for (domain, subname, rtype) in [
        (json!(null), json!(null), json!(null)),
        (json!("one.example"), json!("www"), json!(null)),
        (json!(null), json!("www"), json!("A")),
    ] {
        let add = || setting.add(domain.clone(), subname.clone(), rtype.clone(), true);
        if !domain.is_null() || !subname.is_null() {
            assert_eq!(add().status, 201);
        }
        let conflict = add();
        let detail = conflict.json()["detail"].as_str().unwrap().to_owned();
        assert!(conflict.status == 409 && detail.starts_with("Conflict: "), "{}", conflict.text);
        assert!(!detail.contains("constraint") && !detail.contains("token_policies"), "{detail}");
    }
    let at = format!("{path}{}/", default["id"].as_str().unwrap());
    check(&bench.call(full.who(), "PUT", &at, Some("{}")), 400, &all);
    assert_eq!(bench.call(full.who(), "PATCH", &at, Some("{}")).json(), default);
    let unknown = format!("{path}{}/", uuid::Uuid::new_v4());
    assert_eq!(bench.get(full.who(), &unknown).status, 404);
    assert_eq!(bench.call(full.who(), "DELETE", &unknown, None).status, 204);
}

#[test]
fn auto_policy_needs_a_restrictive_default() {
    let setting = Setting::new();
    let Setting { bench, full, scoped, path } = &setting;
    let token = format!("/api/v1/auth/tokens/{}/", scoped.id);
    let permissive = setting.add(json!(null), json!(null), json!(null), true).json();
    let told = json!({"auto_policy": ["Auto policy requires a restrictive default policy."]});
    check(&bench.call(full.who(), "PATCH", &token, Some(r#"{"auto_policy":true}"#)), 400, &told);
    let at = format!("{path}{}/", permissive["id"].as_str().unwrap());
    assert_eq!(bench.call(full.who(), "DELETE", &at, None).status, 204);
    assert_eq!(bench.call(full.who(), "PATCH", &token, Some(r#"{"auto_policy":true}"#)).status, 200);
    let policies = bench.get(scoped.who(), path).json();
    assert_eq!((&policies[0]["domain"], &policies[0]["perm_write"]), (&json!(null), &json!(false)));
    let at = format!("{path}{}/", policies[0]["id"].as_str().unwrap());
    let told = json!({"perm_write": ["Must be false when auto_policy is in effect for the token."]});
    check(&bench.call(full.who(), "PATCH", &at, Some(r#"{"perm_write":true}"#)), 400, &told);
    let told = "Can't delete default policy when auto_policy is in effect for the token.";
    check(&bench.call(full.who(), "DELETE", &at, None), 400, &non_field(told));
    assert_eq!(bench.post(scoped.who(), "/api/v1/domains/", r#"{"name":"auto.example"}"#).status, 201);
    let policies = bench.get(scoped.who(), path).json();
    assert_eq!((&policies[1]["domain"], &policies[1]["perm_write"]), (&json!("auto.example"), &json!(true)));
    assert_eq!((setting.write("auto.example", "a", "A"), setting.write("one.example", "a", "A")), (201, 403));
    let made = bench.post(full.who(), "/api/v1/auth/tokens/", r#"{"auto_policy":true}"#).json();
    let path = format!("/api/v1/auth/tokens/{}/policies/rrsets/", made["id"].as_str().unwrap());
    assert_eq!(bench.get(full.who(), &path).json().as_array().unwrap().len(), 1);
}

#[test]
fn the_most_specific_policy_decides_and_one_denial_refuses_a_whole_list() {
    let setting = Setting::new();
    let Setting { bench, full, scoped, .. } = &setting;
    assert_eq!(setting.write("one.example", "before", "A"), 201);
    setting.add(json!(null), json!(null), json!(null), false);
    setting.add(json!("one.example"), json!("www"), json!("A"), true);
    assert_eq!(setting.write("one.example", "www", "A"), 201);
    assert_eq!(setting.write("one.example", "www", "TXT"), 403);
    assert_eq!(setting.write("two.example", "www", "A"), 403);
    setting.add(json!(null), json!("www"), json!(null), true);
    assert_eq!(setting.write("two.example", "www", "A"), 201);
    setting.add(json!("two.example"), json!(null), json!(null), false);
    assert_eq!(setting.write("two.example", "www", "TXT"), 403);
    let list = "/api/v1/domains/one.example/rrsets/";
    let both = r#"[{"subname":"www","type":"A","ttl":7200,"records":["192.0.2.9"]},
                   {"subname":"mail","type":"TXT","ttl":3600,"records":["\"x\""]}]"#;
    let refused = bench.call(scoped.who(), "PUT", list, Some(both));
    check(&refused, 403, &json!({"detail": "Insufficient token permissions."}));
    assert_eq!(bench.get(full.who(), &format!("{list}www/A/")).json()["ttl"], 3600);
    assert_eq!(bench.call(scoped.who(), "DELETE", &format!("{list}before/A/"), None).status, 403);
    assert_eq!(bench.call(scoped.who(), "DELETE", &format!("{list}nothing/A/"), None).status, 204);
    assert_eq!(bench.get(scoped.who(), &format!("{list}before/A/")).status, 200);
    for domain in ["one", "two"] {
        let path = format!("/api/v1/domains/{domain}.example/");
        assert_eq!(bench.call(scoped.who(), "DELETE", &path, None).status, 403, "{domain}");
    }
    setting.add(json!("one.example"), json!(null), json!(null), true);
    assert_eq!(bench.call(scoped.who(), "DELETE", "/api/v1/domains/one.example/", None).status, 204);
}

#[test]
fn a_token_reads_its_own_policies_and_changes_none() {
    let setting = Setting::new();
    let Setting { bench, full, scoped, path } = &setting;
    let default = setting.add(json!(null), json!(null), json!(null), false).json();
    let at = format!("{path}{}/", default["id"].as_str().unwrap());
    let root = path.trim_end_matches("rrsets/");
    let links = bench.get(scoped.who(), root);
    assert!(links.status == 200 && links.json()["rrsets"].as_str().unwrap().ends_with(path.as_str()), "{links:?}");
    assert_eq!(bench.get(scoped.who(), path).status, 200);
    assert_eq!(bench.get(scoped.who(), &at).status, 200);
    let body = r#"{"domain":null,"subname":null,"type":null,"perm_write":true}"#;
    assert_eq!(bench.post(scoped.who(), path, body).status, 403);
    for (method, body) in [("PATCH", Some(body)), ("PUT", Some(body)), ("DELETE", None)] {
        assert_eq!(bench.call(scoped.who(), method, &at, body).status, 403, "{method}");
    }
    let others = format!("/api/v1/auth/tokens/{}/policies/rrsets/", full.id);
    assert_eq!(bench.get(scoped.who(), &others).status, 403);
    assert_eq!(bench.get(full.who(), &at).json(), default);
}
