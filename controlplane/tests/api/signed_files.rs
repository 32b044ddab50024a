//! Zone files that were signed elsewhere, and domains below signed ones: what would be bogus is refused or told.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Issued};

/// A zone file that is signed.
const SIGNED: &str = "\
$TTL 3600
@ DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==
@ RRSIG DNSKEY 13 2 3600 20300101000000 20200101000000 55648 d.example. AAAA
@ NSEC www.d.example. DNSKEY RRSIG NSEC
www A 192.0.2.1
www RRSIG A 13 3 3600 20300101000000 20200101000000 55648 d.example. AAAA
";
/// What of it is not enough for a signed zone.
const HALF: &str = "$TTL 3600\n@ NSEC www.d.example. NSEC\nwww A 192.0.2.9\n";

/// An account with the domain d.example.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
}

impl Home {
    /// A fresh one, whose domain is signed.
    fn new() -> Home {
        let (bench, token) = Bench::with_domains(&["d.example"]);
        Home { bench, token }
    }

    /// Ends signing.
    fn end_signing(&self) {
        assert_eq!(
            self.bench.call(self.token.who(), "DELETE", "/api/zones/d.example/dnssec?force=true", None).status,
            200
        );
    }

    /// An import through the operations API.
    fn import(&self, query: &str, text: &str) -> Answer {
        let (secret, len) = (&self.token.secret, text.len());
        let request = format!(
            "POST /api/zones/d.example/import{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer \
             {secret}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\r\n{text}"
        );
        self.bench.send(request.as_bytes())
    }

    /// An import as `dnsctl` makes it.
    fn import_json(&self, more: &Value) -> Answer {
        let mut body = json!({ "zonefile": SIGNED });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.bench.post(self.token.who(), "/api/v1/domains/d.example/import/", &body.to_string())
    }
}

/// Makes sure that an answer closes the gate.
fn check_closed(answer: &Answer) {
    assert_eq!((answer.status, &answer.json()["gate"]), (409, &json!("unsign")), "{}", answer.text);
    assert!(answer.text.contains("its 4 DNSSEC records"), "{}", answer.text);
}

#[test]
fn a_file_that_is_signed_does_not_become_an_unsigned_domain_without_a_reason() {
    let home = Home::new();
    home.end_signing();
    check_closed(&home.import("", SIGNED));
    check_closed(&home.import_json(&json!({})));
    let plan = home.import_json(&json!({ "dry_run": true }));
    assert_eq!((plan.status, &plan.json()["gates"]), (200, &json!(["unsign"])), "{}", plan.text);
    assert_eq!(home.import("", HALF).status, 200, "that is no signed zone");
    let forced = home.import("?gate=unsign&reason=no%20DS", SIGNED);
    assert_eq!(forced.status, 200, "{}", forced.text);
    assert!(forced.json()["note"].as_str().unwrap().contains("4 DNSSEC records of the file were left out"));
    let forced = home.import_json(&json!({ "force": { "gate": "unsign", "reason": "no DS" } }));
    assert_eq!(forced.status, 200, "{}", forced.text);
    let history = home.bench.get(home.token.who(), "/api/v1/domains/d.example/history/").json();
    assert!(history.to_string().contains(r#""note":"no DS""#), "{history}");
}

#[test]
fn where_we_sign_it_is_told_that_other_signatures_were_left_out() {
    let home = Home::new();
    let done = home.import("", SIGNED);
    let note = done.json()["note"].as_str().unwrap().to_owned();
    assert_eq!((done.status, done.header("petrel-note")), (200, Some(&*note)));
    assert!(note.starts_with("4 DNSSEC records of the file were left out: the domain is signed here"), "{note}");
    let done = home.import_json(&json!({}));
    assert_eq!((done.status, done.header("petrel-note")), (200, Some(&*note)), "{}", done.text);
    assert_eq!(home.import("", "www 3600 A 192.0.2.2\n").json().get("note"), None);
    let new = json!({ "name": "e.example", "zonefile": SIGNED }).to_string();
    let made = home.bench.post(home.token.who(), "/api/v1/domains/?refuse_signed=true", &new);
    assert_eq!((made.status, made.header("petrel-note")), (201, Some(&*note)), "{}", made.text);
}

#[test]
fn a_domain_below_a_signed_one_that_does_not_delegate_it_is_told_so() {
    let home = Home::new();
    let make = |name: &str| home.bench.post(home.token.who(), "/api/v1/domains/", &json!({ "name": name }).to_string());
    let made = make("a.b.d.example");
    let note = made.header("petrel-note").unwrap();
    assert!(note.starts_with("d.example is signed here and has no NS records at a.b.d.example"), "{note}");
    assert_eq!(made.json().get("note"), None, "the contract of that API has no such field");
    let zone = json!({ "name": "c.d.example" }).to_string();
    let made = home.bench.post(home.token.who(), "/api/zones", &zone);
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.json()["note"].as_str().unwrap().contains("no NS records at c.d.example"), "{}", made.text);
    let ns = json!([{ "subname": "b", "type": "NS", "ttl": 3600, "records": ["ns.else.example."] }]).to_string();
    assert_eq!(home.bench.call(home.token.who(), "PATCH", "/api/v1/domains/d.example/rrsets/", Some(&ns)).status, 200);
    assert_eq!(make("x.b.d.example").header("petrel-note"), None, "below another's zone cut");
    assert_eq!(make("other.example").header("petrel-note"), None);
    home.end_signing();
    assert_eq!(make("e.d.example").header("petrel-note"), None, "nothing is proved");
}
