//! Zone files into domains that are there.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Issued};

/// The path of imports.
const PATH: &str = "/api/v1/domains/d.example/import/";

/// A server with the domain `d.example`.
struct Home {
    /// The server.
    bench: Bench,
    /// A token of the account.
    token: Issued,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let (bench, token) = Bench::with_domains(&["d.example"]);
        Home { bench, token }
    }

    /// An import as JSON.
    fn import(&self, body: &Value) -> Answer {
        self.bench.post(self.token.who(), PATH, &body.to_string())
    }

    /// An import as a zone file alone.
    fn import_text(&self, query: &str, text: &str) -> Answer {
        let secret = &self.token.secret;
        let len = text.len();
        let request = format!(
            "POST {PATH}{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Token {secret}\r\n\
             Content-Type: text/dns\r\nContent-Length: {len}\r\n\r\n{text}"
        );
        self.bench.send(request.as_bytes())
    }

    /// The RRsets but the name servers.
    fn content(&self) -> String {
        let text = self.bench.get(self.token.who(), "/api/v1/domains/d.example/zonefile/").text;
        let is_shown = |line: &&str| !line.starts_with(';') && !line.contains("\tSOA\t") && !line.contains("\tNS\t");
        let lines: Vec<String> = text.lines().filter(is_shown).map(|line| line.replace('\t', " ")).collect();
        lines.join("; ").replace(".d.example.", "")
    }
}

#[test]
fn a_file_replaces_or_adds() {
    let home = Home::new();
    let done = home.import_text("", "$TTL 3600\nwww A 192.0.2.1\nftp A 192.0.2.2\n@ NS ns.else.\n");
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json()["counts"], json!({"added": 2, "changed": 0, "removed": 0}));
    assert_eq!(done.json()["report"]["ignored"]["count"], 1);
    assert_eq!(home.content(), "ftp 3600 IN A 192.0.2.2; www 3600 IN A 192.0.2.1");
    let merged = home.import(&json!({"zonefile": "www 7200 A 192.0.2.3\nnew 3600 A 192.0.2.4", "mode": "merge"}));
    assert_eq!(merged.json()["counts"], json!({"added": 1, "changed": 1, "removed": 0}));
    assert_eq!(home.content(), "ftp 3600 IN A 192.0.2.2; new 3600 IN A 192.0.2.4; www 7200 IN A 192.0.2.3");
    let file = "www 7200 A 192.0.2.3\n";
    let dry = home.import_text("?dry_run=true", file);
    assert_eq!((dry.status, &dry.json()["change"], dry.header("petrel-change")), (200, &Value::Null, None));
    let removed = dry.json()["diff"]["removed"].as_array().unwrap().len();
    assert_eq!((removed, dry.json()["dry_run"].as_bool()), (2, Some(true)));
    assert!(home.content().contains("ftp"));
    let done = home.import_text("", file).json();
    assert_eq!(home.content(), "www 7200 IN A 192.0.2.3");
    let change = home.bench.get(home.token.who(), &format!("/api/v1/changes/{}/", done["change"])).json();
    assert_eq!(change["kind"], "import");
    let same = home.import_text("", file);
    assert_eq!((same.status, &same.json()["change"]), (200, &Value::Null));
    let export = home.bench.get(home.token.who(), "/api/v1/domains/d.example/zonefile/").text;
    assert_eq!(home.import_text("", &export).json()["change"], Value::Null);
}

#[test]
fn what_is_wrong_changes_nothing() {
    let home = Home::new();
    home.import_text("", "www 3600 A 192.0.2.1\n");
    for (body, field) in [
        (json!({}), "zonefile"),
        (json!({"zonefile": null}), "zonefile"),
        (json!({"zonefile": 7}), "zonefile"),
        (json!({"zonefile": " \n"}), "zonefile"),
        (json!({"zonefile": "www A"}), "zonefile"),
        (json!({"zonefile": "www 3600 WKS 192.0.2.1 6 25"}), "zonefile"),
        (json!({"zonefile": "Upper 3600 A 192.0.2.1"}), "zonefile"),
        (json!({"zonefile": "$INCLUDE /etc/passwd"}), "zonefile"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "mode": "destroy"}), "mode"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "dry_run": 1}), "dry_run"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "force": {"gate": "x", "reason": "y"}}), "force"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "force": {"gate": "shrink", "reason": " "}}), "force"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "force": 7}), "force"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "force": {"gate": [], "reason": "y"}}), "force"),
        (json!({"zonefile": "a 3600 A 192.0.2.1", "force": {"gate": ["shrink", "x"], "reason": "y"}}), "force"),
        (json!([]), "non_field_errors"),
    ] {
        let answer = home.import(&body);
        assert_eq!((answer.status, answer.json()[field].is_null()), (400, false), "{body}: {}", answer.text);
    }
    let conflict = home.import(&json!({"zonefile": "www 3600 CNAME a.b.", "mode": "merge"}));
    assert_eq!(conflict.status, 400, "{}", conflict.text);
    assert_eq!(home.import_text("?dry_run=maybe", "a 3600 A 192.0.2.1").status, 400);
    assert_eq!(home.content(), "www 3600 IN A 192.0.2.1");
}

#[test]
fn a_file_that_removes_much_needs_a_reason() {
    let home = Home::new();
    let mut all = "$TTL 3600\n".to_owned();
    for number in 0..500 {
        writeln!(all, "n{number} A 192.0.2.1").unwrap();
    }
    let first = |count: usize| all.lines().take(count + 1).collect::<Vec<_>>().join("\n");
    assert_eq!(home.import_text("", &all).status, 200);
    assert_eq!(home.import_text("", &first(400)).status, 200, "a fifth may go");
    let refused = home.import_text("", &first(299));
    assert_eq!((refused.status, &refused.json()["gate"]), (409, &json!("shrink")), "{}", refused.text);
    assert_eq!(refused.json()["names"], json!({"before": 401, "gone": 101}));
    let dry = home.import_text("?dry_run=1", &first(299)).json();
    assert_eq!((&dry["gates"], &dry["counts"]["removed"]), (&json!(["shrink"]), &json!(101)));
    assert_eq!(home.import_text("", &first(300)).status, 200, "a hundred may go");
    assert_eq!(home.import_text("?mode=merge", &first(1)).status, 200);
    let force = json!({"gate": ["shrink-total"], "reason": "moved away"});
    assert_eq!(home.import(&json!({"zonefile": first(1), "force": force})).status, 409, "another gate");
    let force = json!({"gate": ["shrink"], "reason": "moved away"});
    let done = home.import(&json!({"zonefile": first(1), "force": force}));
    assert_eq!(done.status, 200, "{}", done.text);
    let change = home.bench.get(home.token.who(), &format!("/api/v1/changes/{}/", done.json()["change"])).json();
    assert_eq!(change["note"], "moved away");
    assert_eq!(home.content(), "n0 3600 IN A 192.0.2.1");
}
