//! `If-Match` at everything that changes a domain as a whole, and what its entity tag speaks of.

use serde_json::json;

use crate::harness::{Answer, Bench, Issued};

/// A request with `If-Match`.
fn conditional(bench: &Bench, token: &Issued, what: (&str, &str), etag: &str, body: &str) -> Answer {
    let (method, path) = what;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: d.test\r\nConnection: close\r\n");
    let head = format!("{head}Authorization: Token {}\r\nIf-Match: {etag}\r\n", token.secret);
    let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    bench.send(format!("{head}{body}").as_bytes())
}

/// The entity tag of what is at a path.
fn etag(bench: &Bench, token: &Issued, path: &str) -> String {
    let shown = bench.get(token.who(), path);
    shown.header("etag").unwrap_or_else(|| panic!("{shown:?}")).to_owned()
}

/// The domain that is asked about.
const DOMAIN: &str = "/api/v1/domains/d.example/";

/// Sets the address of www.
fn set(bench: &Bench, token: &Issued, address: &str) -> u64 {
    let body = json!([{"subname": "www", "type": "A", "ttl": 3600, "records": [address]}]).to_string();
    let answer = bench.call(token.who(), "PUT", &format!("{DOMAIN}rrsets/"), Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("petrel-change").map_or(0, |change| change.parse().unwrap())
}

#[test]
fn nothing_happens_to_a_domain_that_has_changed_since_it_was_seen() {
    let (bench, token) = Bench::with_domains(&["d.example"]);
    set(&bench, &token, "192.0.2.1");
    let stale = etag(&bench, &token, DOMAIN);
    let last = set(&bench, &token, "192.0.2.2");
    let (undo, restore) = (format!("{DOMAIN}history/{last}/undo/"), format!("{DOMAIN}restore/"));
    let to = json!({"change": last - 1}).to_string();
    let list = r#"[{"subname":"x","type":"A","ttl":3600,"records":["192.0.2.9"]}]"#;
    let record = r#"{"name":"y","type":"A","rdata":"192.0.2.9"}"#;
    let import = json!({"zonefile": "z 3600 IN A 192.0.2.9\n", "mode": "merge"}).to_string();
    let writes: [((&str, &str), &str); 8] = [
        (("POST", &undo), "{}"),
        (("POST", &restore), &to),
        (("PATCH", "/api/v1/domains/d.example/rrsets/"), list),
        (("POST", "/api/zones/d.example/records"), record),
        (("POST", "/api/v1/domains/d.example/import/"), &import),
        (("POST", "/api/zones/d.example/import"), "v 3600 IN A 192.0.2.9\n"),
        (("DELETE", "/api/zones/d.example"), ""),
        (("DELETE", DOMAIN), ""),
    ];
    let before = bench.get(token.who(), "/api/v1/domains/d.example/rrsets/").text;
    for (what, body) in writes {
        for tag in [stale.as_str(), "\"x\"", "nonsense", &format!("W/{}", etag(&bench, &token, DOMAIN))] {
            let answer = conditional(&bench, &token, what, tag, body);
            assert_eq!(answer.status, 412, "{what:?} {tag}: {}", answer.text);
        }
    }
    assert_eq!(bench.get(token.who(), "/api/v1/domains/d.example/rrsets/").text, before);
    for (what, body) in writes {
        let fresh = etag(&bench, &token, DOMAIN);
        let answer = conditional(&bench, &token, what, &fresh, body);
        assert!((200..300).contains(&answer.status), "{what:?}: {} {}", answer.status, answer.text);
        if what.1 == "/api/zones/d.example" {
            bench.post(token.who(), "/api/v1/domains/", r#"{"name":"d.example"}"#);
        }
    }
    assert_eq!(bench.get(token.who(), DOMAIN).status, 404);
}

#[test]
fn the_tag_of_a_domain_changes_with_all_that_is_shown() {
    let (bench, token) = Bench::with_domains(&["d.example"]);
    set(&bench, &token, "192.0.2.1");
    let (shown, tag) = (bench.get(token.who(), DOMAIN).text, etag(&bench, &token, DOMAIN));
    assert_eq!(etag(&bench, &token, DOMAIN), tag);
    // A write without effect touches the domain, and `touched` is shown.
    set(&bench, &token, "192.0.2.1");
    assert_ne!(bench.get(token.who(), DOMAIN).text, shown);
    let touched = etag(&bench, &token, DOMAIN);
    assert_ne!(touched, tag);
    assert_eq!(etag(&bench, &token, "/api/zones/d.example"), touched);
    set(&bench, &token, "192.0.2.2");
    assert_ne!(etag(&bench, &token, DOMAIN), touched);
}
