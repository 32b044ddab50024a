//! Changes, histories, and ways back; serials; comments.

use controlplane::value::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued, Who};

/// A server, two accounts, and a domain `d.example` of the first.
struct Home {
    /// The server.
    bench: Bench,
    /// A token of the owner.
    owner: Issued,
    /// A token of somebody else.
    other: Issued,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let bench = Bench::start();
        let owner = bench.token(&bench.account("owner@mail.example"), Full);
        let other = bench.token(&bench.account("other@mail.example"), Full);
        assert_eq!(bench.post(owner.who(), "/api/v1/domains/", r#"{"name":"d.example"}"#).status, 201);
        Home { bench, owner, other }
    }

    /// Writes an RRset `A` of one address; the number of the change.
    fn put(&self, subname: &str, address: &str) -> u64 {
        let body = json!([{"subname": subname, "type": "A", "ttl": 3600, "records": [address]}]).to_string();
        let answer = self.bench.call(self.owner.who(), "PUT", "/api/v1/domains/d.example/rrsets/", Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.header("petrel-change").unwrap().parse().unwrap()
    }

    /// The owner's GET.
    fn get(&self, path: &str) -> Answer {
        self.bench.get(self.owner.who(), path)
    }

    /// The owner's POST.
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.bench.post(self.owner.who(), path, &body.to_string())
    }

    /// The A records of the domain.
    fn content(&self) -> String {
        let all = self.get("/api/v1/domains/d.example/rrsets/?type=A").json();
        let shown = |rrset: &Value| format!("{} {}", rrset["subname"], rrset["records"]).replace(['"', '[', ']'], "");
        let mut lines: Vec<String> = all.as_array().unwrap().iter().map(shown).collect();
        lines.sort();
        lines.join("; ")
    }
}

#[test]
fn a_change_tells_who_made_it_and_what_it_was() {
    let home = Home::new();
    let id = home.put("www", "192.0.2.1");
    let path = format!("/api/v1/changes/{id}/");
    let change = home.get(&path).json();
    assert_eq!(change["id"], id);
    assert_eq!(
        (&change["domain"], &change["kind"], &change["served"]),
        (&json!("d.example"), &json!("edit"), &json!("no"))
    );
    assert_eq!(change["by"], json!({"token": home.owner.id.to_string(), "via": "rest", "address": "127.0.0.1"}));
    let edits = json!([{"subname": "www", "type": "A", "before": null, "after": {"ttl": 3600, "records": [{"content": "192.0.2.1"}]}}]);
    assert_eq!(change["edits"], edits);
    assert!(change["generation"].is_u64() && change["planes"].is_array(), "{change}");
    assert_eq!(home.bench.get(Who::Operator, &path).status, 200);
    assert_eq!(home.bench.get(home.other.who(), &path).json(), json!({"detail": "No change matches the given query."}));
    for none in ["0", "999", "-1", "x", "18446744073709551615", "99999999999999999999", "1e1", "%31%00"] {
        let answer = home.get(&format!("/api/v1/changes/{none}/"));
        assert_eq!((answer.status, answer.json()["detail"].is_string()), (404, true), "{none}");
    }
    assert_eq!(home.bench.get(Who::Nobody, &path).status, 401);
}

#[test]
fn a_history_is_paged_newest_first() {
    let home = Home::new();
    let ids: Vec<u64> = (1..=5).map(|octet| home.put("www", &format!("192.0.2.{octet}"))).collect();
    let shown = |query: &str| -> Vec<u64> {
        let answer = home.get(&format!("/api/v1/domains/d.example/history/{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json().as_array().unwrap().iter().map(|change| change["id"].as_u64().unwrap()).collect()
    };
    let all = shown("");
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by(|a, b| a > b));
    assert_eq!(shown("?limit=2"), [ids[4], ids[3]]);
    assert_eq!(shown(&format!("?limit=2&before={}", ids[3])), [ids[2], ids[1]]);
    for query in ["?limit=x", "?before=-1", "?before="] {
        assert_eq!(home.get(&format!("/api/v1/domains/d.example/history/{query}")).status, 400, "{query}");
    }
    let path = "/api/v1/domains/d.example/history/";
    assert_eq!(home.bench.get(home.other.who(), path).json(), json!({"detail": "Not found."}));
}

#[test]
fn one_change_is_undone_unless_another_came_after_it() {
    let home = Home::new();
    home.put("www", "192.0.2.1");
    let second = home.put("www", "192.0.2.2");
    let third = home.put("ftp", "192.0.2.3");
    let undo = |id: u64, body: Value| home.post(&format!("/api/v1/domains/d.example/history/{id}/undo/"), &body);
    let dry = undo(second, json!({"dry_run": true}));
    assert_eq!((dry.status, &dry.json()["change"], &dry.json()["edit_count"]), (200, &Value::Null, &json!(1)));
    assert_eq!(home.content(), "ftp 192.0.2.3; www 192.0.2.2");
    let done = undo(second, json!({}));
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(home.content(), "ftp 192.0.2.3; www 192.0.2.1");
    let id = done.json()["change"].as_u64().unwrap();
    let made = home.get(&format!("/api/v1/changes/{id}/")).json();
    assert_eq!((&made["kind"], &made["undoes"]), (&json!("undo"), &json!(second)));
    home.put("ftp", "192.0.2.4");
    let refused = undo(third, json!({}));
    assert_eq!((refused.status, refused.json()), (409, json!({"detail": "Conflict: ftp A changed since then"})));
    assert_eq!(undo(third, json!({"dry_run": "x"})).status, 400);
    assert_eq!(undo(0, json!({})).status, 404);
    assert_eq!(undo(third, json!([])).status, 400);
}

#[test]
fn a_domain_returns_to_a_change_or_a_time() {
    let home = Home::new();
    let first = home.put("www", "192.0.2.1");
    let at = home.get(&format!("/api/v1/changes/{first}/")).json()["at"].as_str().unwrap().to_owned();
    home.put("www", "192.0.2.2");
    home.put("ftp", "192.0.2.3");
    let restore = |body: Value| home.post("/api/v1/domains/d.example/restore/", &body);
    let dry = restore(json!({"change": first, "dry_run": true}));
    assert_eq!((dry.status, &dry.json()["edit_count"]), (200, &json!(2)));
    assert_eq!(home.content(), "ftp 192.0.2.3; www 192.0.2.2");
    assert_eq!(restore(json!({"change": first})).status, 200);
    assert_eq!(home.content(), "www 192.0.2.1");
    home.put("new", "192.0.2.4");
    assert_eq!(restore(json!({"time": at})).status, 200);
    assert_eq!(home.content(), "www 192.0.2.1");
    for body in [
        json!({}),
        json!({"change": first, "time": at}),
        json!({"change": "x"}),
        json!({"change": -1}),
        json!({"time": "yesterday"}),
        json!({"time": 7}),
        json!([]),
        json!("x"),
    ] {
        assert_eq!(restore(body.clone()).status, 400, "{body}");
    }
    assert_eq!(restore(json!({"change": 999})).status, 404);
    assert_eq!(restore(json!({"time": "1999-01-01T00:00:00Z"})).status, 404);
}

#[test]
fn a_deleted_domain_is_made_again_by_its_account_only() {
    let home = Home::new();
    home.put("www", "192.0.2.1");
    let serial = |home: &Home| home.get("/api/v1/serials/").json()["d.example."].as_u64();
    let before = serial(&home).unwrap();
    let deleted = home.bench.call(home.owner.who(), "DELETE", "/api/v1/domains/d.example/", None);
    assert_eq!(deleted.status, 204);
    assert_eq!(serial(&home), None);
    let found = home.get("/api/v1/changes/?domain=d.example&limit=1").json();
    assert_eq!(found[0]["kind"], "delete");
    let path = format!("/api/v1/restore/{}/", found[0]["id"]);
    assert_eq!(home.bench.post(home.other.who(), &path, "{}").status, 404);
    let made = home.post(&path, &json!({}));
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("d.example")), "{}", made.text);
    assert_eq!(home.content(), "www 192.0.2.1");
    assert!(serial(&home).unwrap() > before);
    let again = home.post(&path, &json!({}));
    assert_eq!((again.status, again.json()), (409, json!({"detail": "Conflict: d.example changed since then"})));
    let edit = home.put("www", "192.0.2.2");
    assert_eq!(home.post(&format!("/api/v1/restore/{edit}/"), &json!({})).status, 404);
}

#[test]
fn serials_are_those_of_the_account_and_the_operator_sees_all() {
    let home = Home::new();
    assert_eq!(home.bench.post(home.other.who(), "/api/v1/domains/", r#"{"name":"o.example"}"#).status, 201);
    let names = |who: Who<'_>, query: &str| {
        let all = home.bench.get(who, &format!("/api/v1/serials/{query}")).json();
        all.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(home.owner.who(), ""), "d.example.");
    assert_eq!(names(home.other.who(), "?account=owner@mail.example"), "o.example.");
    assert_eq!(names(Who::Operator, ""), "d.example. o.example.");
    assert_eq!(names(Who::Operator, "?account=other@mail.example"), "o.example.");
    assert_eq!(home.bench.get(Who::Nobody, "/api/v1/serials/").status, 401);
}

#[test]
fn comments_stay_with_their_record() {
    let home = Home::new();
    home.put("www", "192.0.2.1");
    let path = "/api/v1/domains/d.example/rrsets/www/A/comments/";
    let put = |body: Value| home.bench.call(home.owner.who(), "PUT", path, Some(&body.to_string()));
    let serial = || home.get("/api/v1/serials/").json()["d.example."].clone();
    let before = serial();
    let set = put(json!({"records": [{"content": " 192.0.2.1 ", "comment": "the \"<old>\" one"}]}));
    let expected = json!({"records": [{"content": "192.0.2.1", "comment": "the \"<old>\" one"}]});
    assert_eq!((set.status, set.json()), (200, expected.clone()));
    assert_eq!(home.get(path).json(), expected);
    assert_eq!(serial(), before);
    let both = json!([{"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.2", "192.0.2.1"]}]);
    home.bench.call(home.owner.who(), "PUT", "/api/v1/domains/d.example/rrsets/", Some(&both.to_string()));
    let both = json!({"records": [{"content": "192.0.2.1", "comment": "the \"<old>\" one"}, {"content": "192.0.2.2", "comment": null}]});
    assert_eq!(home.get(path).json(), both);
    assert!(!home.get("/api/v1/domains/d.example/rrsets/").text.contains("comment"));
    for (body, status) in [
        (json!({}), 400),
        (json!({"records": [{"content": "192.0.2.9", "comment": "x"}]}), 400),
        (json!({"records": [{"content": "192.0.2.1", "comment": "a\u{1b}[2Jb"}]}), 400),
        (json!({"records": [{"content": "192.0.2.1", "comment": "x".repeat(1001)}]}), 400),
        (json!({"records": [7]}), 400),
        (json!({"records": "x"}), 400),
    ] {
        assert_eq!(put(body.clone()).status, status, "{body}");
    }
    assert_eq!(home.get(path).json(), both);
    assert_eq!(put(json!({"records": []})).status, 200);
    assert!(home.get(path).json()["records"].as_array().unwrap().iter().all(|record| record["comment"].is_null()));
    let id = home.get("/api/v1/domains/d.example/history/?limit=1").json()[0]["id"].clone();
    assert_eq!(home.post(&format!("/api/v1/domains/d.example/history/{id}/undo/"), &json!({})).status, 200);
    assert_eq!(home.get(path).json(), both);
    assert_eq!(home.get("/api/v1/domains/d.example/rrsets/no/A/comments/").status, 404);
    assert_eq!(home.bench.get(home.other.who(), path).status, 404);
}

#[test]
fn deleted_domains_are_listed_until_somebody_has_their_name_again() {
    let (bench, token) = Bench::with_domains(&["a.example", "b.example", "c.example"]);
    let list = |who: Who<'_>, query: &str| bench.get(who, &format!("/api/v1/restore/{query}")).json();
    let names = |query: &str| {
        let found = list(token.who(), query);
        let names: Vec<&str> = found.as_array().unwrap().iter().map(|item| item["domain"].as_str().unwrap()).collect();
        names.join(" ")
    };
    assert_eq!(names(""), "");
    let make = |name: &str| bench.post(token.who(), "/api/v1/domains/", &json!({ "name": name }).to_string()).status;
    let delete = |name: &str| {
        let gone = bench.call(token.who(), "DELETE", &format!("/api/v1/domains/{name}/"), None);
        gone.header("petrel-change").unwrap().parse::<u64>().unwrap()
    };
    let first = delete("a.example");
    assert_eq!(make("a.example"), 201);
    let [last, _, _] = ["a.example", "c.example", "b.example"].map(delete);
    let all = "b.example c.example a.example a.example".to_owned();
    assert_eq!((names(""), names("?domain=a.example")), (all, "a.example a.example".to_owned()));
    let found = list(token.who(), "?domain=a.example")[0].clone();
    assert_eq!((&found["change"], &found["signed"]), (&json!(last), &json!(true)), "the last deletion");
    assert_eq!(list(token.who(), "?domain=a.example")[1]["change"], json!(first), "the one before");
    let us = |field: &str| found[field].as_str().unwrap().parse::<Timestamp>().unwrap().as_micros();
    assert_eq!(us("kept_until") - us("deleted"), 7 * 86_400_000_000);
    let second = list(token.who(), "?limit=1")[0]["change"].clone();
    assert_eq!(names(&format!("?limit=1&before={second}")), "c.example");
    // Who has nothing sees nothing; the operator sees those of whom is asked for.
    let other = bench.token(&bench.account("other@mail.example"), Full);
    assert_eq!(list(other.who(), "?account=jo@mail.example"), json!([]));
    assert_eq!(list(Who::Operator, "?account=jo@mail.example").as_array().unwrap().len(), 4);
    assert_eq!(bench.post(token.who(), &format!("/api/v1/restore/{last}/"), "{}").status, 201);
    assert_eq!(bench.post(other.who(), "/api/v1/domains/", r#"{"name":"b.example"}"#).status, 201);
    assert_eq!(names(""), "c.example");
}
