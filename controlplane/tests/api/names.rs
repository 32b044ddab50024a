//! Names that mean something to other programs: to a file system, a shell, a database, a terminal.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Issued};
use crate::log;

/// What is sent wherever a name is taken, and none is a name.
const HOSTILE: [&str; 16] = [
    "../../etc/passwd",
    "..",
    ".",
    "%2e%2e",
    "a\0b",
    "a\r\nX-Injected: yes",
    "\u{1b}[2J",
    "'; DROP TABLE domains; --",
    "\" OR 1=1 --",
    "a\\b",
    "$(id)",
    "<script>",
    "a b",
    "\u{202e}gnp.exe",
    "*",
    "{name}",
];

/// A server with `d.example`.
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

    /// One request.
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.bench.call(self.token.who(), method, path, Some(&body.to_string()))
    }
}

/// Everything but letters and digits, percent-encoded.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An answer is one that clients know how to read, and echoes no control byte.
fn check_shape(answer: &Answer, about: &str) {
    assert!((200..500).contains(&answer.status), "{about}: {} {}", answer.status, answer.text);
    assert!(answer.header("x-injected").is_none(), "{about}");
    let is_json = answer.header("content-type") == Some("application/json");
    let is_page = answer.status == 404 && answer.text.starts_with("<!doctype html>");
    let is_text = answer.header("content-type").is_some_and(|media| media.starts_with("text/"));
    assert!(
        answer.status == 204 || answer.status == 301 || is_page || is_text || (is_json && !answer.json().is_null()),
        "{about}: {}",
        answer.text
    );
    assert!(!answer.text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{about}: {:?}", answer.text);
}

/// All that is sent: the list, and names too long to be names.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = HOSTILE.iter().map(ToString::to_string).collect();
    all.extend([
        format!("{}.example", "a".repeat(245)),
        "a.".repeat(126) + "b",
        "x".repeat(4000),
        "\u{fffd}".repeat(64),
    ]);
    all
}

#[test]
fn t_f3_and_t_f4_no_path_of_the_table_stumbles_over_a_name() {
    let home = Home::new();
    let mut count = 0;
    for table in controlplane::api::tables() {
        for row in table {
            let parameters: Vec<&str> = row.path.split('/').filter(|part| part.starts_with('{')).collect();
            for name in hostile() {
                for parameter in &parameters {
                    let path = row.path.replace(parameter, &encoded(&name));
                    let path = path.replace("{name}", "d.example").replace("{subname}", "www").replace("{type}", "A");
                    let path = path.replace("{id}", "1").replace("{change}", "1").replace("{pid}", "1");
                    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                        let answer = home.send(method, &path, &json!({"records": []}));
                        check_shape(&answer, &format!("{method} {path}"));
                        count += 1;
                    }
                }
            }
        }
    }
    assert!(count > 1000, "{count}");
    assert_eq!(home.bench.get(home.token.who(), "/api/v1/domains/").json().as_array().map(Vec::len), Some(1));
}

#[test]
fn t_f3_and_t_f4_no_field_and_no_query_stumbles_over_a_name() {
    let home = Home::new();
    for name in hostile() {
        let text = encoded(&name);
        for path in [
            format!("/api/v1/domains/?owns_qname={text}"),
            format!("/api/v1/domains/?cursor={text}"),
            format!("/api/v1/domains/?account={text}"),
            format!("/api/v1/domains/d.example/rrsets/?subname={text}"),
            format!("/api/v1/domains/d.example/rrsets/?type={text}"),
            format!("/api/v1/domains/d.example/rrsets/?cursor={text}"),
            format!("/api/v1/domains/d.example/history/?before={text}"),
            format!("/api/v1/changes/?domain={text}"),
            format!("/api/v1/serials/?account={text}"),
            format!("/nic/update?hostname={text}"),
            format!("/nic/update?hostname={text}.d.example&myip={text}"),
            format!("/nic/update?myip=192.0.2.1&myipv4:{text}.d.example=1.2.3.4"),
        ] {
            check_shape(&home.send("GET", &path, &Value::Null), &path);
        }
        let created = home.send("POST", "/api/v1/domains/", &json!({ "name": name }));
        check_shape(&created, &name);
        assert_eq!(created.status, 400, "{name}");
        for (subname, rtype, record) in
            [(&*name, "A", "192.0.2.1"), ("www", &*name, "192.0.2.1"), ("www", "A", &*name), ("www", "MX", &*name)]
        {
            let body = json!({"subname": subname, "type": rtype, "ttl": 3600, "records": [record]});
            for body in [body.clone(), json!([body])] {
                let answer = home.send("POST", "/api/v1/domains/d.example/rrsets/", &body);
                check_shape(&answer, &body.to_string());
                // The one name among them that may be one.
                assert!(answer.status == 400 || subname == "*", "{body}: {}", answer.text);
            }
        }
        let file = json!({"zonefile": format!("{name} 3600 A 192.0.2.1\n"), "dry_run": true});
        check_shape(&home.send("POST", "/api/v1/domains/d.example/import/", &file), &file.to_string());
    }
}

#[test]
fn t_f11_control_bytes_never_reach_the_log() {
    log::keep();
    let home = Home::new();
    let marked = "\u{1b}]0;owned\u{7}";
    for (method, path, body) in [
        ("POST", "/api/v1/domains/".to_owned(), json!({ "name": marked })),
        ("GET", format!("/api/v1/domains/{}/", encoded(marked)), Value::Null),
        ("DELETE", format!("/api/v1/domains/{}/", encoded(marked)), Value::Null),
        ("GET", format!("/nic/update?hostname={}.d.example", encoded(marked)), Value::Null),
        (
            "POST",
            "/api/v1/domains/d.example/rrsets/".to_owned(),
            json!({"subname": "t", "type": "TXT", "ttl": 3600, "records": [format!("\"{marked}\"")]}),
        ),
        (
            "PUT",
            "/api/v1/domains/d.example/rrsets/t/TXT/comments/".to_owned(),
            json!({"records": [{"content": format!("\"{marked}\""), "comment": marked}]}),
        ),
        (
            "POST",
            "/api/v1/domains/d.example/import/".to_owned(),
            json!({"zonefile": format!("{marked} 3600 A 192.0.2.1")}),
        ),
    ] {
        check_shape(&home.send(method, &path, &body), &path);
    }
    drop(home);
    let lines = log::kept();
    assert!(!lines.iter().any(|byte| byte.is_ascii_control() && *byte != b'\n'), "{}", String::from_utf8_lossy(&lines));
}
