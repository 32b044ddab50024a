//! The conventions of the API, asked of a toy application over a real socket.

use std::net::SocketAddr;

use super::super::toy::{Toy, ask, with_server};
use super::*;

/// What a good token looks like.
const GOOD: &str = "Authorization: Token good";

/// Asks, and expects this status, and these parts in the reply.
fn check(addr: SocketAddr, what: &str, head: &[&str], body: &str, expected: (u16, &[&str])) {
    let reply = ask(addr, what, head, body);
    let (status, parts) = expected;
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{what} {head:?} got {reply}");
    for part in parts {
        assert!(reply.contains(part), "{what} {head:?} has no {part:?} in {reply}");
    }
}

/// Method and target, lines of header, body; status, parts of the reply.
type Case<'c> = (&'c str, &'c [&'c str], &'c str, u16, &'c [&'c str]);

/// A table of requests to one server.
fn check_all(cases: &[Case<'_>]) {
    with_server(Settings::default(), |addr, _: &Server<Toy>| {
        for (what, head, body, status, parts) in cases {
            check(addr, what, head, body, (*status, parts));
        }
    });
}

#[test]
fn paths_are_merged_slashed_or_unknown() {
    check_all(&[
        ("GET /api//v1///domains//example/", &[GOOD], "", 200, &[r#""domain":"example""#]),
        ("GET /api/v1/domains?x=1&y=%20", &[], "", 301, &["location: /api/v1/domains/?x=1&y=%20\r\n"]),
        ("POST //api/v1/domains", &[], "{}", 301, &["location: /api/v1/domains/\r\n"]),
        ("GET /api/v1", &[], "", 301, &["location: /api/v1/\r\n"]),
        ("GET /api/v2", &[], "", 301, &["location: /api/v2/\r\n"]),
        ("GET /api/v2/", &[], "", 200, &[r#""here":"http://pets.test/api/v2/here/""#]),
        ("GET /api/v1/", &[], "", 200, &[r#""here":"http://pets.test/api/v1/here/""#]),
        ("GET /", &[], "", 404, &["content-type: text/html; charset=utf-8\r\n"]),
        ("GET /api/v1/nothing", &[], "", 404, &["text/html"]),
        ("GET /api/v1/nothing/", &[GOOD], "", 404, &["text/html"]),
        ("GET /api/v1/dyndns/update/", &[GOOD], "", 404, &["text/html"]),
        // The last of two slashes is that of an unknown path.
        ("GET //", &[], "", 404, &[]),
    ]);
}

#[test]
fn owners_have_many_forms_in_paths() {
    let rows =
        [("www", "www"), ("www...", "www"), ("www@", "www"), ("@", ""), ("...", ""), ("*.a", "*.a"), ("%2A", "*")];
    with_server(Settings::default(), |addr, _| {
        for (form, subname) in rows {
            let what = format!("GET /api/v1/domains/example/rrsets/{form}/TXT/");
            let part = format!(r#""subname":"{subname}","type":"TXT""#);
            check(addr, &what, &[GOOD], "", (200, &[&part]));
        }
    });
}

/// T-F4: what is in a path is a name to look up, and nothing else.
#[test]
fn hostile_names_are_not_found() {
    let long = "x".repeat(253);
    let names =
        ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%00b", "%ff", "%C3%BC", "%", "%zz", "a%0d%0aX:y", &long, "%22"];
    with_server(Settings::default(), |addr, _| {
        for name in names {
            for path in [format!("/api/v1/domains/{name}/"), format!("/api/v1/domains/{name}/zonefile/")] {
                let reply = ask(addr, &format!("GET {path}"), &[GOOD], "");
                assert!(reply.starts_with("HTTP/1.1 404 "), "{path} got {reply}");
            }
        }
        check(addr, "GET /api/v1/domains/../../../etc/passwd", &[GOOD], "", (404, &[]));
    });
}

#[test]
fn methods_are_told_and_refused() {
    check_all(&[
        ("DELETE /api/v1/domains/", &[GOOD], "", 405, &[r#"{"detail":"Method \"DELETE\" not allowed."}"#]),
        ("DELETE /api/v1/domains/", &[GOOD], "", 405, &["allow: GET, POST, HEAD, OPTIONS\r\n"]),
        ("DELETE /api/v1/domains/", &[], "", 401, &["allow: GET, POST, HEAD, OPTIONS\r\n"]),
        ("PATCH /api/v1/", &[], "", 405, &["allow: GET, HEAD, OPTIONS\r\n"]),
        ("POST /api/v1/dyndns/update", &[GOOD], "", 405, &["Method \"POST\" not allowed."]),
        ("HEAD /api/v1/domains/example/", &[GOOD], "", 200, &["content-length: ", "etag: \"e\""]),
        ("OPTIONS /api/v1/domains/", &[], "", 200, &["content-length: 0", "allow: GET, POST, HEAD, OPTIONS\r\n"]),
        ("OPTIONS /api/v1/domains/", &[GOOD], "", 200, &[]),
    ]);
}

#[test]
fn other_origins_may_ask_and_read_what_they_need() {
    let usual = "access-control-allow-headers: accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with\r\n";
    let asks = "Access-Control-Request-Method: PUT";
    check_all(&[
        (
            "OPTIONS /api/v1/domains/",
            &["Origin: http://x", asks],
            "",
            200,
            &["access-control-allow-methods: DELETE, GET, OPTIONS, PATCH, POST, PUT\r\n", usual],
        ),
        (
            "OPTIONS /api/v1/domains/",
            &["Origin: http://x", asks, "Access-Control-Request-Headers: if-match"],
            "",
            200,
            &["x-requested-with, if-match, if-none-match\r\n"],
        ),
        (
            "GET /api/v1/domains/",
            &["Origin: http://x"],
            "",
            401,
            &[
                "access-control-allow-origin: *\r\n",
                "access-control-expose-headers: Link, Retry-After, ETag, Petrel-Change, Petrel-Served, Petrel-Refused\r\n",
            ],
        ),
    ]);
    with_server(Settings::default(), |addr, _| {
        let reply = ask(addr, "GET /nothing", &[], "");
        assert!(reply.contains("vary: origin\r\n") && !reply.contains("access-control"), "{reply}");
    });
}

#[test]
fn accept_must_leave_json() {
    let refused = r#"{"detail":"Could not satisfy the request Accept header."}"#;
    check_all(&[
        ("GET /api/v1/", &["Accept: text/html"], "", 406, &[refused]),
        ("GET /api/v1/domains/", &["Accept: text/html"], "", 406, &[refused]),
        ("GET /api/v1/", &["Accept: text/html, */*;q=0.8"], "", 200, &[]),
        ("GET /api/v1/", &["Accept: text/html", "Accept: application/*"], "", 200, &[]),
        ("GET /api/v1/", &["Accept: application/json; charset=utf-8"], "", 200, &[]),
        ("GET /api/v1/domains/example/zonefile/", &[GOOD, "Accept: text/dns"], "", 200, &[]),
    ]);
}

#[test]
fn authentication_comes_first_and_says_what_was_wrong() {
    let missing = r#"{"detail":"Authentication credentials were not provided."}"#;
    let token = "www-authenticate: Token\r\n";
    check_all(&[
        ("GET /api/v1/domains/", &[], "", 401, &[missing, token]),
        ("GET /api/v1/domains/", &["Authorization: Bearer good"], "", 401, &[missing, token]),
        ("GET /api/v1/domains/", &["Authorization: Token bad"], "", 401, &[r#"{"detail":"Invalid token."}"#, token]),
        (
            "GET /api/v1/domains/",
            &["Authorization: Token"],
            "",
            401,
            &["Invalid token header. No credentials provided."],
        ),
        ("GET /api/v1/domains/", &["Authorization: Token a b"], "", 401, &["Token string should not contain spaces."]),
        ("GET /api/v1/domains/", &["Authorization: Token locked"], "", 401, &["User inactive or deleted."]),
        ("GET /api/v1/domains/", &["Authorization: Token busy"], "", 503, &["Not now."]),
        ("GET /api/v1/domains/example/", &["X-API-Key: good"], "", 200, &[r#""caller":"good""#]),
        ("GET /api/v1/domains/none/", &[], "", 401, &[missing]),
        ("GET /api/v1/", &["Authorization: Token bad"], "", 401, &["Invalid token."]),
        ("GET /api/v1/", &[GOOD], "", 200, &[r#""caller":"good""#]),
        ("GET /api/v1/", &[], "", 200, &[r#""caller":null"#]),
        ("POST /api/zones/example/import", &["Authorization: Bearer good"], "x", 200, &[r#""body":1"#]),
        ("POST /api/zones/example/import", &["Authorization: Bearer bad"], "x", 401, &["www-authenticate: Bearer\r\n"]),
        ("POST /api/zones/example/import", &["Authorization: Bearer poor"], "x", 403, &[]),
    ]);
}

#[test]
fn then_permission_domain_and_body_in_this_order() {
    let json = "Content-Type: application/json";
    let forbidden = r#"{"detail":"You do not have permission to perform this action."}"#;
    let poor = "Authorization: Token poor";
    let rrsets = "POST /api/v1/domains/none/rrsets/";
    check_all(&[
        ("POST /api/v1/domains/", &[poor], "not json", 403, &[forbidden]),
        ("GET /api/v1/domains/none/", &[GOOD], "", 404, &[r#"{"detail":"No Domain matches the given query."}"#]),
        (rrsets, &[GOOD], "not json", 404, &[r#"{"detail":"Not found."}"#]),
        (
            "POST /api/v1/domains/",
            &[GOOD, "Content-Type: text/plain"],
            "{}",
            415,
            &[r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#],
        ),
        ("POST /api/v1/domains/", &[GOOD, json], "{", 400, &[r#"{"detail":"JSON parse error - "#]),
        ("POST /api/v1/domains/", &[GOOD, json], r#"{"a":1}"#, 200, &[r#"{"body":{"a":1},"caller""#]),
        ("POST /api/v1/domains/", &[GOOD], "", 200, &[r#""body":null"#, r#""wait":null"#]),
        ("POST /api/v1/domains/?wait=60", &[GOOD], "", 200, &[r#""wait":60"#]),
        ("POST /api/v1/domains/?wait=61", &[GOOD], "", 400, &[r#"{"wait":["#]),
        ("POST /api/v1/domains/?wait=%2B1", &[GOOD], "", 400, &[r#"{"wait":["#]),
        ("POST /api/v1/domains/?wait=", &[GOOD], "", 400, &[r#"{"wait":["#]),
    ]);
}

#[test]
fn long_bodies_are_for_rows_that_take_them() {
    let json = "Content-Type: application/json";
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    with_server(Settings::default(), |addr, _| {
        check(addr, "POST /api/v1/domains/", &[GOOD, json], &long, (200, &[]));
        let refused = r#"{"detail":"Payload too large."}"#;
        check(addr, "PUT /api/v1/domains/example/rrsets/a/A/", &[GOOD, json], &long, (413, &[refused]));
        check(addr, "POST /api/zones/example/import", &["Authorization: Bearer good"], &long, (200, &[]));
    });
}

#[test]
fn headers_of_handlers_reach_the_client_and_tags_are_heeded() {
    check_all(&[
        (
            "GET /api/v1/domains/example/",
            &[GOOD],
            "",
            200,
            &["etag: \"e\"\r\n", "petrel-change: 7\r\n", "petrel-served: no\r\n"],
        ),
        ("GET /api/v1/domains/example/", &[GOOD, "If-None-Match: \"x\", W/\"e\""], "", 304, &["etag: \"e\"\r\n"]),
        ("GET /api/v1/domains/example/", &[GOOD, "If-None-Match: \"x\""], "", 200, &[]),
        ("POST /api/v1/domains/", &[GOOD, "If-None-Match: *"], "", 200, &[]),
    ]);
}

#[test]
fn lists_are_paged_with_absolute_links() {
    let first = "link: <http://pets.test/api/v1/domains/?cursor=>; rel=\"first\"\r\n";
    check_all(&[
        ("GET /api/v1/domains/", &[GOOD], "", 400, &[first, "Pagination required."]),
        (
            "GET /api/v1/domains/?cursor=&b=2&a=%26",
            &[GOOD],
            "",
            200,
            &[
                "<http://pets.test/api/v1/domains/?a=%26&b=2&cursor=>; rel=\"first\", <http://",
                "&cursor=bjAuMTAw>; rel=\"next\"\r\n",
            ],
        ),
        ("GET /api/v1/domains/?cursor=x", &[GOOD], "", 404, &[r#"{"detail":"Invalid cursor"}"#]),
    ]);
}

#[test]
fn throttles_count_what_passed_and_nothing_else() {
    let hosted = "Authorization: Token hosted";
    with_server(Settings::default(), |addr, server| {
        let write = |head: &[&str], status: u16, parts: &[&str]| {
            check(addr, "POST /api/v1/domains/example/rrsets/", head, "", (status, parts));
        };
        write(&["Authorization: Token bad"], 401, &[]);
        check(addr, "POST /api/v1/domains/none/rrsets/", &[hosted], "", (404, &[]));
        write(&[hosted], 200, &[]);
        // What the body says comes after the throttles, so that this counts.
        check(addr, "POST /api/v1/domains/example/rrsets/", &[hosted], "text", (415, &[]));
        let told = r#"{"detail":"Request was throttled. Expected available in 1 second."}"#;
        write(&[hosted], 429, &["retry-after: 1\r\n", told]);
        // Others are not concerned, and operators never.
        for _ in 0..20 {
            write(&[GOOD], 200, &[]);
        }
        let kept = server.shared().throttles(0);
        assert_eq!(kept.iter().filter(|entry| entry.identity == "account hosted").count(), 4);
        assert!(kept.iter().any(|entry| entry.bucket == "example"));
    });
}

#[test]
fn throttles_are_kept_over_a_restart() {
    let hosted = "Authorization: Token hosted";
    let mut kept = Vec::new();
    let what = "POST /api/v1/domains/example/rrsets/";
    with_server(Settings::default(), |addr, server| {
        for _ in 0..2 {
            check(addr, what, &[hosted], "", (200, &[]));
        }
        kept = server.shared().throttles(0);
    });
    let settings = Settings { throttles: kept, ..Settings::default() };
    with_server(settings, |addr, _| check(addr, what, &[hosted], "", (429, &[])));
}

#[test]
fn wrong_credentials_are_throttled_by_address_and_right_ones_are_not() {
    with_server(Settings::default(), |addr, _| {
        for _ in 0..300 {
            check(addr, "GET /api/v1/domains/example/", &["Authorization: Token bad"], "", (401, &[]));
        }
        check(addr, "GET /api/v1/domains/example/", &["Authorization: Token bad"], "", (429, &["retry-after: 60\r\n"]));
        check(addr, "GET /api/v1/domains/example/", &[GOOD], "", (200, &[]));
        check(addr, "GET /api/v1/domains/example/", &[], "", (401, &[]));
    });
}

#[test]
fn dynamic_updates_speak_plain_text() {
    let text = "content-type: text/plain; charset=utf-8\r\n";
    check_all(&[
        (
            "GET /api/v1/dyndns/update",
            &[],
            "",
            401,
            &[text, "\r\n\r\nNo username URL parameter provided.", "Token\r\n"],
        ),
        ("GET /api/v1/dyndns/update?username=a&password=bad", &[], "", 401, &[text, "\r\n\r\nbadauth"]),
        ("GET /api/v1/dyndns/update", &["Authorization: Token bad"], "", 401, &["\r\n\r\nInvalid token."]),
        (
            "GET /api/v1/dyndns/update?username=a&password=hosted",
            &["Accept: text/html"],
            "",
            200,
            &[text, "\r\n\r\ngood"],
        ),
        ("GET /api/v1/dyndns/update", &["Authorization: Basic YTpob3N0ZWQ="], "", 200, &["good"]),
        (
            "GET /api/v1/dyndns/update",
            &["Authorization: Token hosted"],
            "",
            429,
            &["\r\n\r\nRequest was throttled. Expected available in 120 seconds."],
        ),
    ]);
}

#[test]
fn a_host_can_stand_for_one_path() {
    with_server(Settings::default(), |addr, _| {
        let request = "GET /any/path?username=a&password=good HTTP/1.1\r\nHost: Update.test:80\r\n\r\n";
        let reply = super::super::toy::talk(addr, request.as_bytes());
        assert!(reply.ends_with("\r\n\r\ngood"), "{reply}");
        let other = super::super::toy::talk(addr, b"GET /nothing HTTP/1.1\r\nHost: update.test\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
    });
}

#[test]
fn a_handler_that_panics_costs_its_request_only() {
    with_server(Settings::default(), |addr, server| {
        check(addr, "GET /api/v1/bug/?really", &[], "", (500, &["\r\n\r\n{\"detail\":\"Internal error.\"}"]));
        check(addr, "GET /api/v1/bug/", &[], "", (204, &[]));
        let page = server.shared().counters.render();
        assert!(page.contains("\ndns_http_panics_total 1\n"), "{page}");
        assert!(page.contains("{route=\"/api/v1/bug/\",method=\"GET\",status=\"5xx\"} 1\n"), "{page}");
    });
}

/// T-F14, through the whole server.
#[test]
fn the_client_is_who_the_trusted_proxy_says() {
    let forwarded = ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: desec.test"];
    let near = ["Authorization: Token near", forwarded[0]];
    with_server(Settings::default(), |addr, _| {
        check(addr, "GET /api/v1/", &forwarded, "", (200, &[r#""client":"127.0.0.1","#, "http://pets.test/"]));
        check(addr, "GET /api/v1/", &near, "", (200, &[]));
    });
    let settings = Settings { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() };
    with_server(settings, |addr, _| {
        check(addr, "GET /api/v1/", &forwarded, "", (200, &[r#""client":"192.0.2.7","#, "https://desec.test/"]));
        check(addr, "GET /api/v1/", &near, "", (401, &[]));
    });
}

#[test]
fn the_document_is_served() {
    with_server(Settings::default(), |addr, _| {
        check(
            addr,
            "GET /api/openapi.json",
            &[],
            "",
            (200, &["content-type: application/json\r\n", "\"openapi\":\"3.1"]),
        );
    });
}
