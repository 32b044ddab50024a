//! The numbered checks of the API's contract that need no data plane, by their numbers, and its tables of RRset writes.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued, Who};

/// RRsets of the domain.
const RRSETS: &str = "/api/v1/domains/d.example/rrsets/";

/// A server with an account and, unless told otherwise, its domain `d.example`.
struct Home {
    /// The server.
    bench: Bench,
    /// A token of the account.
    token: Issued,
}

impl Home {
    /// With the domain.
    fn new() -> Home {
        let home = Home::empty();
        assert_eq!(home.post("/api/v1/domains/", &json!({"name": "d.example"})).status, 201);
        home
    }

    /// Without it.
    fn empty() -> Home {
        let bench = Bench::start();
        let token = bench.token(&bench.account("jo@mail.example"), Full);
        Home { bench, token }
    }

    /// GET.
    fn get(&self, path: &str) -> Answer {
        self.bench.get(self.token.who(), path)
    }

    /// POST.
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body)
    }

    /// Any method; a null body is none.
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let text = (!body.is_null()).then(|| body.to_string());
        self.bench.call(self.token.who(), method, path, text.as_deref())
    }

    /// Checks one request: method, path below the RRsets, body, status, and a part of the answer.
    fn check(&self, (method, path, body): (&str, &str, Value), status: u16, part: &str) {
        let answer = self.send(method, &format!("{RRSETS}{path}"), &body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
        assert!(answer.text.contains(part), "{method} {path} {body}: {} lacks {part}", answer.text);
    }

    /// The domain's times of publication and touch, and its serial.
    fn times(&self) -> (Value, Value, Value) {
        let domain = self.get("/api/v1/domains/d.example/").json();
        let serial = self.get("/api/v1/serials/").json()["d.example."].clone();
        (domain["published"].clone(), domain["touched"].clone(), serial)
    }
}

/// An RRset of type A.
fn a(subname: &str, ttl: impl Into<Value>) -> Value {
    json!({"subname": subname, "type": "A", "ttl": ttl.into(), "records": ["192.0.2.1"]})
}

#[test]
fn check_1_the_root_without_a_token_leads_to_registration() {
    let root = Home::empty().bench.get(Who::Nobody, "/api/v1/");
    assert_eq!(root.status, 200);
    for (key, path) in
        [("register", "auth/"), ("login", "auth/login/"), ("reset-password", "auth/account/reset-password/")]
    {
        let link = root.json()[key].as_str().unwrap().to_owned();
        assert!(link.starts_with("http://127.0.0.1:") && link.ends_with(&format!("/api/v1/{path}")), "{link}");
    }
    assert_eq!(root.json().as_object().unwrap().len(), 3);
}

#[test]
fn check_2_without_a_token_there_are_no_domains() {
    let answer = Home::empty().bench.get(Who::Nobody, "/api/v1/domains/");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Token")));
    assert_eq!(answer.json(), json!({"detail": "Authentication credentials were not provided."}));
}

#[test]
fn check_5_a_token_of_another_network_is_invalid() {
    let home = Home::empty();
    let account = home.bench.account("net@mail.example");
    let far = |token: &mut controlplane::store::tokens::Token| token.allowed_subnets = vec!["10.0.0.0/8".into()];
    let answer = home.bench.get(home.bench.token(&account, far).who(), "/api/v1/domains/");
    assert_eq!((answer.status, answer.json()), (401, json!({"detail": "Invalid token."})));
}

#[test]
fn check_7_names_of_domains_have_rules() {
    let home = Home::empty();
    for (name, text) in [
        (json!("Upper.example"), "Invalid value (not lowercase): Upper.example"),
        (json!("a b.example"), "Domain names must be labels separated by dots."),
        (json!("d.example."), "Domain names must be labels separated by dots."),
        (json!("d._e"), "Domain names must be labels separated by dots."),
        (json!(""), "This field may not be blank."),
        (json!(null), "This field may not be null."),
        (json!(["a"]), "Not a valid string."),
    ] {
        let answer = home.post("/api/v1/domains/", &json!({ "name": name }));
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.json()["name"][0].as_str().unwrap().contains(text), "{name}: {}", answer.text);
    }
    assert_eq!(home.post("/api/v1/domains/", &json!({})).json(), json!({"name": ["This field is required."]}));
    let list = home.post("/api/v1/domains/", &json!([])).json();
    assert_eq!(list, json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}));
    for name in ["-foo.example", "1.2.3.4", "_x.foo.example"] {
        assert_eq!(home.post("/api/v1/domains/", &json!({"name": name, "minimum_ttl": 1})).status, 201, "{name}");
    }
    let again = home.post("/api/v1/domains/", &json!({"name": "1.2.3.4"}));
    assert_eq!(again.json(), json!({"name": ["domain with this name already exists."]}));
}

#[test]
fn check_9_a_name_is_owned_by_the_longest_domain() {
    let home = Home::new();
    assert_eq!(home.post("/api/v1/domains/", &json!({"name": "sub.d.example"})).status, 201);
    for (qname, expected) in [
        ("_acme-challenge.www.sub.d.example", "sub.d.example"),
        ("www.d.example", "d.example"),
        ("*.d.example", "d.example"),
        ("WWW.D.example", "d.example"),
        ("xd.example", ""),
        ("example", ""),
        ("", ""),
        ("..", ""),
    ] {
        let answer = home.get(&format!("/api/v1/domains/?owns_qname={qname}"));
        assert_eq!(answer.status, 200, "{qname}");
        assert_eq!(answer.json()[0]["name"].as_str().unwrap_or(""), expected, "{qname}");
    }
}

#[test]
fn check_10_a_domain_is_made_of_a_zone_file() {
    let home = Home::empty();
    let file = "@ 60 IN A 1.2.3.4\nwww 99999 A 1.2.3.5\n@ NS ns.foo.\n*.w CNAME x\n";
    let file = format!("$TTL 60\n{file}");
    let made = home.post("/api/v1/domains/", &json!({"name": "d.example", "zonefile": file}));
    assert_eq!(made.status, 201, "{}", made.text);
    let all = home.get(RRSETS).json();
    let find = |subname: &str, rtype: &str| {
        let is_it = |rrset: &&Value| rrset["subname"] == subname && rrset["type"] == rtype;
        let found = all.as_array().unwrap().iter().find(is_it).unwrap();
        (found["ttl"].as_u64().unwrap(), found["records"].clone())
    };
    assert_eq!(find("", "A"), (3600, json!(["1.2.3.4"])));
    assert_eq!(find("www", "A"), (86400, json!(["1.2.3.5"])));
    assert_eq!(find("", "NS"), (3600, json!(["ns1.petrel.test.", "ns2.petrel.test."])));
    assert_eq!(find("*.w", "CNAME"), (3600, json!(["x.d.example."])));
}

#[test]
fn check_11_ttls_have_bounds_and_may_be_strings() {
    let home = Home::new();
    let least = "Ensure this value is greater than or equal to 3600.";
    for (ttl, status, text) in [
        (json!(3599), 400, least),
        (json!("3600"), 201, "\"ttl\":3600"),
        (json!(86401), 400, "Ensure this value is less than or equal to 86400."),
        (json!(3600.7), 400, "A valid integer is required."),
        (json!(3600.0), 201, "\"ttl\":3600"),
        (json!("x"), 400, "A valid integer is required."),
    ] {
        home.check(("POST", "", a(&format!("t{}", ttl.to_string().replace(['"', '.'], "")), ttl)), status, text);
    }
}

#[test]
fn check_12_one_mistake_in_a_list_and_nothing_is_made() {
    let home = Home::new();
    home.check(("POST", "", a("one", 3600)), 201, "");
    let answer = home.post(RRSETS, &json!([a("one", 3600), a("two", 1), a("three", 3600)]));
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert!(body[0]["non_field_errors"].is_array() && body[1]["ttl"].is_array(), "{body}");
    assert_eq!(body[2], json!({}));
    assert_eq!(home.get(&format!("{RRSETS}three/A/")).status, 404);
}

#[test]
fn check_13_an_rrset_without_records_is_deleted() {
    let home = Home::new();
    home.check(("POST", "", a("www", 3600)), 201, "");
    for (method, body, status) in
        [("PATCH", json!({"records": []}), 204), ("PATCH", json!({"records": []}), 404), ("DELETE", json!(null), 204)]
    {
        home.check((method, "www/A/", body), status, "");
    }
}

#[test]
fn check_14_a_write_without_effect_only_touches() {
    let home = Home::new();
    home.check(("POST", "", a("www", 3600)), 201, "");
    let (published, touched, serial) = home.times();
    home.check(("PATCH", "www/A/", json!({"records": ["192.0.2.1"]})), 200, "192.0.2.1");
    let after = home.times();
    assert_eq!((&after.0, &after.2), (&published, &serial));
    assert_ne!(after.1, touched);
}

#[test]
fn check_15_long_lists_are_paged() {
    let home = Home::new();
    let many: Vec<Value> = (0..501).map(|number| a(&format!("n{number}"), 3600)).collect();
    assert_eq!(home.post(RRSETS, &json!(many)).status, 201);
    let refused = home.get(RRSETS);
    assert_eq!(refused.status, 400);
    assert!(refused.header("link").unwrap().contains("rel=\"first\""));
    assert!(refused.json()["detail"].as_str().unwrap().contains("(502 total)"), "{}", refused.text);
    let (mut path, mut names) = (format!("{RRSETS}?cursor="), Vec::new());
    loop {
        let page = home.get(&path);
        assert_eq!(page.status, 200, "{}", page.text);
        let items = page.json();
        names.extend(items.as_array().unwrap().iter().map(|rrset| format!("{} {}", rrset["name"], rrset["type"])));
        let links = page.header("link").unwrap_or("").to_owned();
        let Some(next) = links.split(", ").find(|link| link.ends_with("rel=\"next\"")) else { break };
        path = next.split(['<', '>']).nth(1).unwrap().splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap();
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!((count, names.len()), (502, 502));
    let garbage = home.get(&format!("{RRSETS}?cursor=garbage"));
    assert_eq!((garbage.status, garbage.json()), (404, json!({"detail": "Invalid cursor"})));
}

#[test]
fn section_6_domains_row_by_row() {
    let home = Home::new();
    let send = |method: &str, path: &str, body: Value| home.send(method, &format!("/api/v1/domains/{path}"), &body);
    let missing = json!({"detail": "No Domain matches the given query."});
    assert!(home.get("/api/v1/domains/").json()[0]["keys"].is_null());
    assert!(home.get("/api/v1/domains/d.example/").json()["keys"].is_array());
    for path in ["D.example/", "d.example./", "no.example/", "*/"] {
        let answer = send("GET", path, json!(null));
        assert_eq!((answer.status, answer.json()), (404, missing.clone()), "{path}");
    }
    for method in ["PATCH", "PUT"] {
        let answer = send(method, "d.example/", json!({}));
        assert_eq!(
            (answer.status, answer.json()),
            (405, json!({"detail": format!("Method \"{method}\" not allowed.")}))
        );
        assert_eq!(answer.header("allow"), Some("GET, DELETE, HEAD, OPTIONS"));
    }
    let file = home.get("/api/v1/domains/d.example/zonefile/");
    assert_eq!((file.status, file.header("content-type")), (200, Some("text/dns")));
    assert!(file.text.starts_with("; Zonefile for d.example exported from "), "{}", file.text);
    for _ in 0..2 {
        assert_eq!(send("DELETE", "d.example/", json!(null)).status, 204);
    }
}

#[test]
fn section_7_rrsets_row_by_row() {
    let home = Home::new();
    let full = |records: Value| json!({"subname": "www", "type": "A", "ttl": 7200, "records": records});
    let txt = |text: &str| json!({"subname": "", "type": "TXT", "ttl": 3600, "records": [text]});
    let of = |rtype: &str, records: Value| json!({"type": rtype, "ttl": 3600, "records": records});
    let missing = "No RRset matches the given query.";
    for (method, path, body, status, part) in [
        (
            "POST",
            "",
            a("www", 3600),
            201,
            r#""domain":"d.example","subname":"www","name":"www.d.example.","records":["192.0.2.1"],"ttl":3600,"type":"A""#,
        ),
        ("POST", "", a("www", 3600), 400, "Another RRset with the same subdomain and type exists for this domain."),
        ("GET", "www/A/", json!(null), 200, "192.0.2.1"),
        ("GET", ".../NS/", json!(null), 200, "ns1.petrel.test."),
        ("GET", "@/NS/", json!(null), 200, "ns1.petrel.test."),
        ("GET", "www.../A/", json!(null), 200, "192.0.2.1"),
        ("GET", "www@/A/", json!(null), 200, "192.0.2.1"),
        ("GET", "www/a/", json!(null), 404, missing),
        ("GET", "WWW/A/", json!(null), 404, missing),
        ("GET", "@/SOA/", json!(null), 404, missing),
        ("GET", "no/A/", json!(null), 404, missing),
        ("GET", "?type=SOA", json!(null), 403, "You cannot tinker with the SOA RRset."),
        ("GET", "?type=NONE", json!(null), 200, "[]"),
        ("GET", "?subname=@", json!(null), 200, "[]"),
        ("GET", "?subname=", json!(null), 200, "ns1.petrel.test."),
        ("PATCH", "www/A/", json!({"ttl": 7200}), 200, "\"ttl\":7200"),
        ("PATCH", "www/A/", json!({"subname": "ftp"}), 400, "Can only be written on create."),
        ("PATCH", "www/A/", json!({"touched": "never", "created": 7}), 200, "192.0.2.1"),
        ("PUT", "www/A/", json!({"records": ["192.0.2.2"]}), 400, "This field is required."),
        ("PUT", "www/A/", full(json!(["192.0.2.2"])), 200, "192.0.2.2"),
        ("PUT", "no/A/", full(json!(["192.0.2.2"])), 404, missing),
        ("PATCH", "", a("www", 3600), 400, "Expected a list of items but got dict."),
        ("PUT", "", json!({}), 400, "Expected a list of items but got dict."),
        ("DELETE", "", json!(null), 405, "Method \\\"DELETE\\\" not allowed."),
        ("POST", "www/A/", json!({}), 405, "Method \\\"POST\\\" not allowed."),
        ("POST", "", a("Www", 3600), 400, "Invalid value (not lowercase): Www"),
        ("POST", "", a("@", 3600), 400, "Subname can only use (lowercase) a-z"),
        ("POST", "", a(&"a".repeat(179), 3600), 400, "Ensure this field has no more than 178 characters."),
        ("POST", "", of("SOA", json!(["x"])), 400, "You cannot tinker with the SOA RR set."),
        ("POST", "", of("TYPE1", json!(["x"])), 400, "Generic type format is not supported."),
        ("POST", "", of("WKS", json!(["x"])), 400, "The WKS RR set type is currently unsupported."),
        ("POST", "", of("A", json!([])), 400, "This field must not be empty when using POST."),
        ("POST", "", json!({"type": "A", "ttl": 3600}), 400, "This field is required."),
        ("POST", "", of("A", json!("x")), 400, "Expected a list of items but got type"),
        ("POST", "", txt("\"a\u{0}b\""), 400, "Null characters are not allowed."),
        ("POST", "", of("CNAME", json!(["a.b."])), 400, "CNAME"),
        ("POST", "", txt("\"v=spf1 -all\""), 201, "\"subname\":\"\""),
        ("PATCH", "@/NS/", json!({"records": ["ns.else.example."]}), 200, "ns.else.example."),
        ("PATCH", "www/A/", json!({"records": []}), 204, ""),
        ("DELETE", "www/A/", json!(null), 204, ""),
    ] {
        home.check((method, path, body), status, part);
    }
    let none = home.bench.call(home.token.who(), "POST", RRSETS, Some("null"));
    assert_eq!(none.json(), json!({"non_field_errors": ["No data provided"]}));
}

#[test]
fn section_9_lists_row_by_row() {
    let home = Home::new();
    let del = |subname: &str| json!({"subname": subname, "type": "A", "records": []});
    let cname = json!({"subname": "c", "type": "CNAME", "ttl": 3600, "records": ["a.b."]});
    for (method, body, status, part) in [
        ("POST", json!([]), 201, "[]"),
        ("PUT", json!([]), 200, "[]"),
        ("PATCH", json!([]), 200, "[]"),
        (
            "POST",
            json!([{"type": "A", "ttl": 3600, "records": ["192.0.2.1"]}]),
            400,
            r#"[{"subname":["This field is required."]}]"#,
        ),
        ("POST", json!([a("c", 3600), a("d", 3600)]), 201, "192.0.2.1"),
        ("PATCH", json!([del("no")]), 200, "[]"),
        ("PUT", json!([del("c")]), 400, r#"[{"ttl":["This field is required."]}]"#),
        (
            "PATCH",
            json!([{"subname": "new", "type": "A", "records": ["192.0.2.1"]}]),
            400,
            r#"[{"ttl":["This field is required."]}]"#,
        ),
        ("PATCH", json!(["x"]), 400, r#"{"non_field_errors":"Expected a dictionary, but got str."}"#),
        ("PATCH", json!([{"subname": 7, "type": "A"}]), 400, r#"{"subname":"Expected a string, but got int."}"#),
        (
            "PUT",
            json!([a("x", 3600), a("x", 3600)]),
            400,
            "Same subname and type as in position(s) 1, but must be unique.",
        ),
        ("PATCH", json!([cname]), 400, "database (A)"),
        ("PATCH", json!([cname, a("c", 3600)]), 400, "1 (A)"),
        ("PATCH", json!([del("c"), cname]), 200, "CNAME"),
        ("PUT", json!([a("d", 7200), a("e", 3600)]), 200, "\"ttl\":7200"),
    ] {
        home.check((method, "", body), status, part);
    }
    let before = home.times().2.as_u64().unwrap();
    home.check(("PUT", "", json!([a("f", 3600), a("g", 3600), a("h", 3600)])), 200, "");
    assert_eq!(home.times().2.as_u64().unwrap(), before + 1);
}

#[test]
fn section_6_name_servers_below_a_shared_suffix_are_not_the_tenants() {
    let home = Home::new();
    let who = || home.token.who();
    let call = |method: &str, path: &str, body: &Value| {
        let path = format!("/api/v1/domains/{path}");
        home.bench.call(who(), method, &path, (!body.is_null()).then(|| body.to_string()).as_deref())
    };
    assert_eq!(call("POST", "", &json!({"name": "me.dyn.petrel.test"})).status, 201);
    let rrsets = "me.dyn.petrel.test/rrsets/";
    let ns = json!({"subname": "sub", "type": "NS", "ttl": 3600, "records": ["ns.else.example."]});
    let locked = json!(["Cannot modify NS records for this domain."]);
    assert_eq!(call("POST", rrsets, &ns).json(), json!({ "type": locked }));
    let list = call("PUT", rrsets, &json!([a("www", 3600), ns]));
    assert_eq!((list.status, list.json()), (400, json!([{}, { "type": locked }])));
    assert_eq!(call("GET", &format!("{rrsets}www/A/"), &Value::Null).status, 404);
    let detail = format!("{rrsets}@/NS/");
    assert_eq!(call("PATCH", &detail, &json!({"records": []})).json(), json!({ "type": locked }));
    let deleted = call("DELETE", &detail, &Value::Null);
    assert_eq!((deleted.status, deleted.json()), (400, locked));
}
