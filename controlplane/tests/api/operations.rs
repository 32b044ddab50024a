//! The operations API: zones and records with numbers, over the same domains as the REST API.

use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Full, Issued, Who};

/// A key of the operations API: which of its token's permissions it lacks.
fn key(bench: &Bench, email: &str, kind: &str) -> Issued {
    let known = bench.store.read(|reader| reader.account_by_email(email)).unwrap();
    let account = known.unwrap_or_else(|| bench.account(email));
    let is_admin = kind == "admin";
    let (is_read, may_create) = (kind == "read", kind != "read");
    bench.token(&account, move |token: &mut controlplane::store::tokens::Token| {
        token.read_only = is_read;
        token.perm_create_domain = may_create;
        token.perm_delete_domain = is_admin;
        token.perm_manage_tokens = is_admin;
    })
}

/// One request with a Bearer key.
fn bearer(bench: &Bench, key: &Issued, method: &str, path: &str, body: Option<(&str, &str)>) -> Answer {
    let (media, text) = body.unwrap_or(("", ""));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: ops.test\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
        key.secret
    );
    let content = if body.is_some() {
        format!("Content-Type: {media}\r\nContent-Length: {}\r\n", text.len())
    } else {
        String::new()
    };
    bench.send(format!("{head}{content}\r\n{text}").as_bytes())
}

/// One request with JSON.
fn json_to(bench: &Bench, key: &Issued, method: &str, path: &str, body: &Value) -> Answer {
    bearer(bench, key, method, path, Some(("application/json", &body.to_string())))
}

/// The records of a zone as lines `name type ttl rdata`, without SOA.
fn lines(bench: &Bench, key: &Issued, zone: &str) -> Vec<String> {
    let answer = bearer(bench, key, "GET", &format!("/api/zones/{zone}/records"), None);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |record: &Value| {
        let fields = ["name", "type", "ttl", "rdata"].map(|field| text(&record[field]));
        fields.join(" ")
    };
    let records = answer.json();
    records.as_array().unwrap().iter().filter(|record| record["type"] != "SOA").map(line).collect()
}

#[test]
fn s2_098_a_zone_is_made_with_its_soa_record_and_deleted_with_all() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    let body = json!({"name": "Demo.Local.", "ns": "ns1.demo.local", "admin": "admin@demo.local"});
    let made = json_to(&bench, &admin, "POST", "/api/zones", &body);
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.header("petrel-change").is_some());
    let zone = made.json();
    assert_eq!((&zone["name"], &zone["serial"], &zone["soa_mode"]), (&json!("demo.local"), &json!(1), &json!("user")));
    assert_eq!(bench.served(), "demo.local.");
    let records = bearer(&bench, &admin, "GET", "/api/zones/demo.local/records", None).json();
    assert_eq!(records[0]["type"], "SOA");
    assert_eq!(records[0]["rdata"], "ns1.demo.local. admin.demo.local. 1 3600 900 604800 86400");
    assert_eq!(lines(&bench, &admin, "demo.local"), ["@ NS 3600 ns1.demo.local."]);
    assert_eq!(json_to(&bench, &admin, "POST", "/api/zones", &body).status, 409);
    for wrong in
        [json!({}), json!({"name": 5}), json!({"name": "a..b"}), json!({"name": "x.test", "ns": "a..b"}), json!([])]
    {
        let refused = json_to(&bench, &admin, "POST", "/api/zones", &wrong);
        assert_eq!(refused.status, 400, "{wrong} {}", refused.text);
    }
    let listed = bearer(&bench, &admin, "GET", "/api/zones", None).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let deleted = bearer(&bench, &admin, "DELETE", "/api/zones/demo.local", None);
    assert_eq!((deleted.status, deleted.json()), (200, json!({"deleted": "demo.local"})));
    assert_eq!(bearer(&bench, &admin, "DELETE", "/api/zones/demo.local", None).status, 404);
    assert_eq!(bearer(&bench, &admin, "GET", "/api/zones/demo.local/records", None).status, 404);
    assert_eq!(bench.served(), "");
}

#[test]
fn s2_101_to_103_a_record_is_added_changed_and_deleted_under_one_number() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let records = "/api/zones/demo.local/records";
    let made = json_to(&bench, &admin, "POST", records, &json!({"name": "www", "type": "A", "rdata": "192.0.2.1"}));
    assert_eq!(made.status, 201, "{}", made.text);
    let record = made.json();
    let id = record["id"].as_i64().unwrap();
    assert_eq!((&record["weight"], &record["geo"], &record["enabled"]), (&json!(0), &Value::Null, &json!(1)));
    assert_eq!(
        (&record["ttl"], &record["name"], &record["fqdn"]),
        (&json!(3600), &json!("www"), &json!("www.demo.local."))
    );
    let path = format!("/api/records/{id}");
    let body = json!({"rdata": "192.0.2.2", "ttl": 5, "weight": 7, "geo": "EU", "enabled": 0, "comment": "spare"});
    let changed = json_to(&bench, &admin, "PUT", &path, &body);
    assert_eq!(changed.status, 200, "{}", changed.text);
    let record = changed.json();
    for (field, value) in [
        ("id", json!(id)),
        ("rdata", json!("192.0.2.2")),
        ("ttl", json!(5)),
        ("weight", json!(7)),
        ("geo", json!("EU")),
        ("enabled", json!(0)),
        ("comment", json!("spare")),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(bearer(&bench, &admin, "GET", &path, None).json(), record);
    // What is absent stays, and null takes away.
    let changed =
        json_to(&bench, &admin, "PUT", &path, &json!({"weight": null, "geo": null, "comment": "", "enabled": true}));
    let record = changed.json();
    assert_eq!((&record["weight"], &record["geo"], &record["comment"]), (&json!(0), &Value::Null, &Value::Null));
    assert_eq!((&record["rdata"], &record["enabled"]), (&json!("192.0.2.2"), &json!(1)));
    let serial =
        |bench: &Bench| bearer(bench, &admin, "GET", "/api/zones/demo.local", None).json()["serial"].as_u64().unwrap();
    let before = serial(&bench);
    assert_eq!(json_to(&bench, &admin, "PUT", &path, &json!({})).status, 200);
    assert_eq!(serial(&bench), before, "nothing changed");
    for (wrong, status) in [
        (json!({"rdata": "x"}), 400),
        (json!({"type": "AAAA"}), 400),
        (json!({"name": "other"}), 400),
        (json!({"ttl": -1}), 400),
        (json!({"enabled": "yes"}), 400),
        (json!("x"), 400),
    ] {
        let refused = json_to(&bench, &admin, "PUT", &path, &wrong);
        assert_eq!(refused.status, status, "{wrong} {}", refused.text);
    }
    let second =
        json_to(&bench, &admin, "POST", records, &json!({"name": "www.demo.local", "type": "a", "rdata": "192.0.2.1"}));
    assert_eq!(second.json()["ttl"], 5, "the TTL is the RRset's");
    let twice = json_to(&bench, &admin, "POST", records, &json!({"name": "www", "type": "A", "rdata": "192.0.2.1"}));
    assert_eq!(twice.status, 409, "{}", twice.text);
    assert_eq!(json_to(&bench, &admin, "PUT", &path, &json!({"rdata": "192.0.2.1"})).status, 409);
    let deleted = bearer(&bench, &admin, "DELETE", &path, None);
    assert_eq!((deleted.status, deleted.json()), (200, json!({"deleted": id})));
    assert_eq!(bearer(&bench, &admin, "DELETE", &path, None).status, 404);
    assert_eq!(lines(&bench, &admin, "demo.local").last().unwrap(), "www A 5 192.0.2.1");
}

#[test]
fn records_of_every_kind_are_taken_as_people_write_them() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local", "ns": "ns1.demo.local"}));
    let records = "/api/zones/demo.local/records";
    for (name, rtype, rdata, expected) in [
        ("@", "MX", "10 mail.demo.local", "@ MX 3600 10 mail.demo.local."),
        ("_sip._tcp", "SRV", "10 60 5060 sip.demo.local", "_sip._tcp SRV 3600 10 60 5060 sip.demo.local."),
        ("txt", "TXT", "v=spf1 -all", "txt TXT 3600 \"v=spf1 -all\""),
        ("*.w", "CNAME", "www.demo.local.", "*.w CNAME 3600 www.demo.local."),
        ("demo.local", "NS", "ns2.demo.local", "@ NS 3600 ns2.demo.local."),
        ("old", "WKS", "192.0.2.1 6 25", "old WKS 3600 192.0.2.1 6 25"),
        ("0/25", "PTR", "a.demo.local", "0/25 PTR 3600 a.demo.local."),
        ("x", "TYPE65400", "\\# 1 ff", "x TYPE65400 3600 \\# 1 ff"),
    ] {
        let made = json_to(&bench, &admin, "POST", records, &json!({"name": name, "type": rtype, "rdata": rdata}));
        assert_eq!(made.status, 201, "{name} {rtype} {}", made.text);
        let lines = lines(&bench, &admin, "demo.local");
        assert!(lines.iter().any(|line| line.eq_ignore_ascii_case(expected)), "{expected}: {lines:?}");
    }
    for (name, rtype, rdata, status) in [
        ("@", "SOA", "a. b. 1 2 3 4 5", 409),
        ("@", "CNAME", "www.demo.local.", 400),
        ("txt", "CNAME", "www.demo.local.", 400),
        ("www.example.org.", "A", "192.0.2.1", 400),
        ("www", "RRSIG", "x", 400),
        ("www", "ANY", "x", 400),
        ("www", "A", "192.0.2", 400),
    ] {
        let refused = json_to(&bench, &admin, "POST", records, &json!({"name": name, "type": rtype, "rdata": rdata}));
        assert_eq!(refused.status, status, "{name} {rtype} {}", refused.text);
    }
    let of_type = bearer(&bench, &admin, "GET", "/api/zones/demo.local/records?type=MX&name=@", None);
    assert_eq!(of_type.json().as_array().unwrap().len(), 1, "{}", of_type.text);
}

#[test]
fn s2_048_the_soa_record_is_a_record_whose_timers_can_be_changed() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let soa = bearer(&bench, &admin, "GET", "/api/zones/demo.local/records", None).json()[0].clone();
    let path = format!("/api/records/{}", soa["id"]);
    let body = json!({"rdata": "ns9.demo.local. admin.demo.local. 77 1 2 3 4", "ttl": 60});
    let changed = json_to(&bench, &admin, "PUT", &path, &body);
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["rdata"], "ns9.demo.local. admin.demo.local. 2 1 2 3 4");
    assert_eq!(changed.json()["ttl"], 60);
    assert_eq!(bearer(&bench, &admin, "DELETE", &path, None).status, 409);
    assert_eq!(json_to(&bench, &admin, "PUT", &path, &json!({"enabled": false})).status, 400);
    // Zones of the REST API have one that is managed.
    let made = bench.post(Who::Operator, "/api/v1/domains/?account=ops@example.org", r#"{"name":"one.example"}"#);
    assert_eq!(made.status, 201, "{}", made.text);
    let soa = bearer(&bench, &admin, "GET", "/api/zones/one.example/records?type=SOA", None).json()[0].clone();
    let path = format!("/api/records/{}", soa["id"]);
    assert_eq!(json_to(&bench, &admin, "PUT", &path, &json!({"ttl": 7200})).status, 409);
}

#[test]
fn both_apis_show_the_same_records_and_spare_what_the_other_set() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let records = "/api/zones/demo.local/records";
    let body =
        json!({"name": "www", "type": "A", "rdata": "192.0.2.1", "ttl": 60, "weight": 3, "geo": "EU", "comment": "a"});
    let first = json_to(&bench, &admin, "POST", records, &body).json()["id"].clone();
    let rrset = "/api/v1/domains/demo.local/rrsets/www/A/";
    let seen = bench.get(admin.who(), rrset);
    assert_eq!((&seen.json()["records"], &seen.json()["ttl"]), (&json!(["192.0.2.1"]), &json!(60)), "{}", seen.text);
    let body = r#"{"subname":"www","type":"A","ttl":120,"records":["192.0.2.9","192.0.2.1"]}"#;
    let put = bench.call(admin.who(), "PUT", rrset, Some(body));
    assert_eq!(put.status, 200, "{}", put.text);
    let record = bearer(&bench, &admin, "GET", &format!("/api/records/{first}"), None).json();
    assert_eq!(
        (&record["weight"], &record["geo"], &record["comment"], &record["ttl"]),
        (&json!(3), &json!("EU"), &json!("a"), &json!(120))
    );
    json_to(&bench, &admin, "PUT", &format!("/api/records/{first}"), &json!({"enabled": 0}));
    assert_eq!(bench.get(admin.who(), rrset).json()["records"], json!(["192.0.2.9"]));
    let export = bearer(&bench, &admin, "GET", "/api/zones/demo.local/export", None);
    assert!(export.text.contains("www.demo.local.\t120\tIN\tA\t192.0.2.9\n"), "{}", export.text);
    assert!(!export.text.contains("192.0.2.1\n"), "{}", export.text);
}

#[test]
fn s2_011_keys_read_write_or_administer() {
    let bench = Bench::start();
    let [admin, write, read] = ["admin", "write", "read"].map(|kind| key(&bench, "ops@example.org", kind));
    assert_eq!(json_to(&bench, &write, "POST", "/api/zones", &json!({"name": "demo.local"})).status, 201);
    let records = "/api/zones/demo.local/records";
    let body = json!({"name": "www", "type": "A", "rdata": "192.0.2.1"});
    assert_eq!(json_to(&bench, &read, "POST", records, &body).status, 403);
    let made = json_to(&bench, &write, "POST", records, &body);
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/api/records/{}", made.json()["id"]);
    for (key, method, path, body, status) in [
        (&read, "GET", "/api/zones", "", 200),
        (&read, "GET", records, "", 200),
        (&read, "GET", "/api/stats", "", 200),
        (&read, "GET", "/api/zones/demo.local/export", "", 200),
        (&read, "GET", &*path, "", 200),
        (&read, "PUT", &*path, "{}", 403),
        (&read, "DELETE", &*path, "", 403),
        (&read, "POST", "/api/zones/demo.local/import", "", 403),
        (&read, "POST", "/api/zones", "{\"name\":\"x.test\"}", 403),
        (&read, "DELETE", "/api/zones/demo.local", "", 403),
        (&write, "PUT", &*path, "{\"ttl\":60}", 200),
        (&write, "DELETE", &*path, "", 200),
        (&write, "DELETE", "/api/zones/demo.local", "", 403),
        (&write, "GET", "/api/v1/auth/tokens/", "", 403),
        (&admin, "DELETE", "/api/zones/demo.local", "", 200),
    ] {
        let body = (!body.is_empty()).then_some(("application/json", body));
        let answer = bearer(&bench, key, method, path, body);
        // A path of the REST API knows no Bearer.
        let expected = if path.starts_with("/api/v1/") { answer.status.clamp(401, 404) } else { status };
        assert_eq!(answer.status, expected, "{method} {path} {}", answer.text);
    }
    assert_eq!(bench.get(Who::Nobody, "/api/zones").status, 401);
    assert_eq!(bench.get(Who::Nobody, "/api/zones").header("www-authenticate"), Some("Bearer"));
    assert_eq!(bench.get(admin.who(), "/api/zones").status, 200, "`Token` is as good as `Bearer`");
}

#[test]
fn t_f2_what_is_anothers_does_not_exist() {
    let bench = Bench::start();
    let [owner, stranger] = ["owner@example.org", "stranger@example.org"].map(|email| key(&bench, email, "admin"));
    json_to(&bench, &owner, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let body = json!({"name": "www", "type": "A", "rdata": "192.0.2.1"});
    let id = json_to(&bench, &owner, "POST", "/api/zones/demo.local/records", &body).json()["id"].clone();
    let soa = bearer(&bench, &owner, "GET", "/api/zones/demo.local/records", None).json()[0]["id"].clone();
    let before = bearer(&bench, &owner, "GET", "/api/zones/demo.local/export", None).text;
    let number = [
        id.to_string(),
        soa.to_string(),
        "0".into(),
        "x".into(),
        i64::MIN.to_string(),
        i64::MAX.to_string(),
        "99999999999999999999".into(),
    ];
    for id in number {
        let path = format!("/api/records/{id}");
        for (method, body) in [("GET", None), ("PUT", Some(("application/json", "{\"ttl\":1}"))), ("DELETE", None)] {
            let answer = bearer(&bench, &stranger, method, &path, body);
            assert_eq!(
                (answer.status, answer.text.contains("No record")),
                (404, true),
                "{method} {path} {}",
                answer.text
            );
        }
    }
    for (method, path) in [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/records"),
        ("POST", "/records"),
        ("POST", "/import"),
        ("GET", "/export"),
    ] {
        let body = (method == "POST").then_some(("application/json", "{}"));
        let answer = bearer(&bench, &stranger, method, &format!("/api/zones/demo.local{path}"), body);
        assert_eq!(answer.status, 404, "{method} {path} {}", answer.text);
    }
    assert_eq!(bearer(&bench, &stranger, "GET", "/api/zones?account=owner@example.org", None).json(), json!([]));
    let after = bearer(&bench, &owner, "GET", "/api/zones/demo.local/export", None).text;
    // The first line has the time.
    assert_eq!(before.lines().skip(1).collect::<Vec<_>>(), after.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn policies_hold_for_records_and_the_soa_record() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let scoped = key(&bench, "ops@example.org", "write");
    let account = bench.store.read(|reader| reader.account_by_email("ops@example.org")).unwrap().unwrap();
    let policy = |subname: Option<&str>, rtype: Option<&str>, perm_write| controlplane::store::policies::Policy {
        id: uuid::Uuid::new_v4(),
        domain: None,
        subname: subname.map(str::to_owned),
        rtype: rtype.map(str::to_owned),
        perm_write,
    };
    let policies = [policy(None, None, false), policy(Some("www"), Some("A"), true)];
    let token = scoped.id;
    bench
        .store
        .write_blocking(move |txn| {
            policies.iter().try_for_each(|policy| txn.add_policy(account.id, token, policy).map(|_| ()))
        })
        .unwrap();
    let records = "/api/zones/demo.local/records";
    let soa = bearer(&bench, &scoped, "GET", records, None).json()[0]["id"].clone();
    for (name, status) in [("www", 201), ("mail", 403)] {
        let made = json_to(&bench, &scoped, "POST", records, &json!({"name": name, "type": "A", "rdata": "192.0.2.1"}));
        assert_eq!(made.status, status, "{name} {}", made.text);
    }
    assert_eq!(json_to(&bench, &scoped, "PUT", &format!("/api/records/{soa}"), &json!({"ttl": 1})).status, 403);
    let zone = Some(("text/plain", "www 60 A 192.0.2.2\n"));
    assert_eq!(bearer(&bench, &scoped, "POST", "/api/zones/demo.local/import", zone).status, 200);
    assert_eq!(bearer(&bench, &scoped, "POST", "/api/zones/demo.local/import?replace=1", zone).status, 200);
    let zone = Some(("text/plain", "mail 60 A 192.0.2.2\n"));
    assert_eq!(bearer(&bench, &scoped, "POST", "/api/zones/demo.local/import", zone).status, 403);
}

#[test]
fn s2_116_and_117_zones_go_in_and_out_as_zone_files() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let file = "$TTL 600\n@ IN SOA ns.demo.local. hm.demo.local. 9 1 2 3 4\n@ NS ns.demo.local.\nns A 192.0.2.1\n\
                WWW 0 A 192.0.2.2\nmail 200000 MX 5 ns\nold WKS 192.0.2.1 6 25\nelse.example. A 192.0.2.9\n";
    let path = "/api/zones/demo.local/import";
    let done = bearer(&bench, &admin, "POST", path, Some(("text/plain", file)));
    assert_eq!(done.status, 200, "{}", done.text);
    let report = done.json();
    assert_eq!(
        (&report["rrsets"], &report["ignored"], &report["removed"]),
        (&json!(6), &json!(1), &json!(0)),
        "{report}"
    );
    assert_eq!(report["serial"], 2, "one change, one serial");
    let expected =
        ["mail MX 200000 5 ns.demo.local.", "ns A 600 192.0.2.1", "old WKS 600 192.0.2.1 6 25", "www A 0 192.0.2.2"];
    for line in expected {
        assert!(lines(&bench, &admin, "demo.local").iter().any(|found| found == line), "{line}");
    }
    let export = bearer(&bench, &admin, "GET", "/api/zones/demo.local/export", None);
    assert_eq!(export.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(export.text.contains("\tSOA\tns.demo.local. hm.demo.local. 2 1 2 3 4\n"), "{}", export.text);
    assert!(export.text.contains("demo.local.\t600\tIN\tNS\tns.demo.local.\n"), "{}", export.text);
    // What was exported changes nothing.
    let again =
        bearer(&bench, &admin, "POST", "/api/zones/demo.local/import?replace=1", Some(("text/plain", &export.text)));
    let report = again.json();
    assert_eq!(
        (&report["changed"], &report["removed"], &report["serial"]),
        (&json!(0), &json!(0), &json!(2)),
        "{report}"
    );
    let replaced = bearer(
        &bench,
        &admin,
        "POST",
        "/api/zones/demo.local/import?replace=1",
        Some(("text/plain", "a 60 A 192.0.2.3\n")),
    );
    assert_eq!(replaced.json()["removed"], 4, "{}", replaced.text);
    assert_eq!(lines(&bench, &admin, "demo.local"), ["@ NS 600 ns.demo.local.", "a A 60 192.0.2.3"]);
    for wrong in ["a 60 A 192.0.2\n", "a 60 A 192.0.2.1\na 60 CNAME b\n", "$INCLUDE /etc/passwd\n", "@ 60 CNAME b\n"] {
        let refused = bearer(&bench, &admin, "POST", path, Some(("text/plain", wrong)));
        assert_eq!(refused.status, 400, "{wrong} {}", refused.text);
    }
    assert_eq!(bearer(&bench, &admin, "POST", "/api/zones/demo.local/import?replace=x", None).status, 400);
    assert_eq!(bearer(&bench, &admin, "POST", path, None).status, 200, "nothing to import");
}

#[test]
fn s2_096_statistics_count_the_accounts_zones() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    let other = bench.token(&bench.account("other@example.org"), Full);
    bench.post(other.who(), "/api/v1/domains/", r#"{"name":"other.example"}"#);
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local", "ns": "ns1.demo.local"}));
    let body = json!({"name": "www", "type": "A", "rdata": "192.0.2.1"});
    let made = json_to(&bench, &admin, "POST", "/api/zones/demo.local/records", &body);
    let stats = bearer(&bench, &admin, "GET", "/api/stats", None).json();
    assert_eq!((&stats["zones"], &stats["rrsets"], &stats["records"]), (&json!(1), &json!(2), &json!(2)), "{stats}");
    assert_eq!(stats["change"].to_string(), made.header("petrel-change").unwrap());
    assert_eq!(stats["published_change"], stats["change"]);
    assert!(stats["generation"].is_u64() && stats["published"].is_string(), "{stats}");
    assert_eq!((&stats["queries"], &stats["planes"]["attached"]), (&json!(0), &json!(0)));
}

#[test]
fn long_lists_come_in_parts() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    for idx in 0..5 {
        json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": format!("z{idx}.test"), "ns": "ns.test"}));
    }
    let file: String = (0..7).map(|idx| format!("h{idx} 60 A 192.0.2.{idx}\n")).collect();
    bearer(&bench, &admin, "POST", "/api/zones/z0.test/import", Some(("text/plain", &file)));
    for (path, expected) in [("/api/zones?limit=2", 5), ("/api/zones/z0.test/records?limit=3", 9)] {
        let (mut next, mut found) = (Some(path.to_owned()), Vec::new());
        while let Some(path) = next {
            let answer = bearer(&bench, &admin, "GET", &path, None);
            let items = answer.json();
            found.extend(items.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
            let link = answer.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
            next = link.map(|url| url.split_once("ops.test").unwrap().1.to_owned());
        }
        let distinct: std::collections::BTreeSet<i64> = found.iter().copied().collect();
        assert_eq!((found.len(), distinct.len()), (expected, expected), "{path}");
    }
    for query in ["limit=0", "limit=x", "limit=10001", "after=x", "after=1"] {
        assert_eq!(bearer(&bench, &admin, "GET", &format!("/api/zones?{query}"), None).status, 400, "{query}");
    }
}

#[test]
fn a_change_can_be_made_to_depend_on_what_was_seen() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let body = json!({"name": "www", "type": "A", "rdata": "192.0.2.1"});
    let made = json_to(&bench, &admin, "POST", "/api/zones/demo.local/records", &body);
    let path = format!("/api/records/{}", made.json()["id"]);
    let etag = made.header("etag").unwrap().to_owned();
    let conditional = |method: &str, etag: &str, body: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: ops.test\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
            admin.secret
        );
        let rest = format!(
            "If-Match: {etag}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        bench.send(format!("{head}{rest}").as_bytes())
    };
    assert_eq!(conditional("PUT", &etag, "{\"ttl\":60}").status, 200);
    assert_eq!(conditional("PUT", &etag, "{\"ttl\":90}").status, 412);
    assert_eq!(conditional("DELETE", &etag, "").status, 412);
    assert_eq!(conditional("DELETE", "*", "").status, 200);
}

/// A zone of records with weights and regions, some of them disabled, and its key.
fn placed() -> (Bench, Issued) {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local", "ns": "ns.elsewhere.test"}));
    for (name, octet, weight, geo, enabled) in [
        ("www", 1, 90, "", true),
        ("www", 2, 10, "", true),
        ("www", 3, 5, "", false),
        ("off", 4, 0, "", false),
        ("geo", 5, 0, "US,EU", true),
        ("geo", 6, 0, "", true),
        ("plain", 7, 0, "", true),
    ] {
        let rdata = format!("192.0.2.{octet}");
        let body = json!({"name": name, "type": "A", "rdata": rdata, "weight": weight, "geo": geo, "enabled": enabled});
        assert_eq!(json_to(&bench, &admin, "POST", "/api/zones/demo.local/records", &body).status, 201);
    }
    (bench, admin)
}

/// The addresses of that zone with all that is known of them.
fn rows(bench: &Bench, admin: &Issued) -> Vec<String> {
    let records = bearer(bench, admin, "GET", "/api/zones/demo.local/records", None).json();
    let line = |record: &Value| {
        let fields = ["name", "rdata", "weight", "geo", "enabled"].map(|field| record[field].to_string());
        fields.join(" ").replace('"', "")
    };
    let addresses = records.as_array().unwrap().iter().filter(|record| record["type"] == "A");
    let mut lines: Vec<String> = addresses.map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_zone_file_says_what_it_cannot_hold_and_takes_nothing_of_it_away() {
    let (bench, admin) = placed();
    let before = rows(&bench, &admin);
    assert_eq!(before.len(), 7);
    let export = bearer(&bench, &admin, "GET", "/api/zones/demo.local/export", None).text;
    let notes: Vec<&str> = export.lines().filter(|line| line.contains("not said here")).collect();
    let note = |name: &str, chosen: usize, disabled: usize| {
        format!(
            "; {name}.demo.local. A: not said here are the weights and regions of {chosen} records, and {disabled} disabled \
             records; an import into this domain leaves both as they are"
        )
    };
    assert_eq!(notes, [note("geo", 1, 0), note("off", 0, 1), note("www", 2, 1)]);
    let import = "/api/zones/demo.local/import?replace=1";
    let done = bearer(&bench, &admin, "POST", import, Some(("text/plain", &export)));
    assert_eq!((done.status, done.json()["removed"].clone()), (200, json!(0)), "{}", done.text);
    assert_eq!(rows(&bench, &admin), before);
    let body = json!({"zonefile": export, "mode": "replace"});
    let done = bench.post(admin.who(), "/api/v1/domains/demo.local/import/", &body.to_string());
    assert_eq!((done.status, rows(&bench, &admin)), (200, before), "{}", done.text);
}

#[test]
fn weights_regions_and_disabled_records_survive_those_who_do_not_know_them() {
    let (bench, admin) = placed();
    let rows = || rows(&bench, &admin);
    let before = rows();
    let rest = "/api/v1/domains/demo.local";
    let www = format!("{rest}/rrsets/www/A/");
    assert_eq!(bench.get(admin.who(), &www).json()["records"], json!(["192.0.2.1", "192.0.2.2"]));
    for (method, body) in [
        (
            "PUT",
            json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.1", "192.0.2.2", "192.0.2.8"]}),
        ),
        ("PATCH", json!({"records": ["192.0.2.1", "192.0.2.2"]})),
        ("PATCH", json!({"ttl": 7200})),
    ] {
        let done = bench.call(admin.who(), method, &www, Some(&body.to_string()));
        assert_eq!(done.status, 200, "{}", done.text);
        let mut found = rows();
        found.retain(|line| !line.contains("192.0.2.8"));
        assert_eq!(found, before, "{body}");
    }
    // One that is named is answered again; what is deleted is gone with all it had.
    let done = bench.call(admin.who(), "PATCH", &www, Some(r#"{"records":["192.0.2.3"]}"#));
    assert_eq!((done.status, rows().iter().filter(|line| line.starts_with("www ")).count()), (200, 1), "{}", done.text);
    assert!(rows().contains(&"www 192.0.2.3 5 null 1".to_owned()), "{:?}", rows());
    for name in ["www", "off"] {
        assert_eq!(bench.call(admin.who(), "DELETE", &format!("{rest}/rrsets/{name}/A/"), None).status, 204);
        assert!(!rows().iter().any(|line| line.starts_with(name)));
    }
}

#[test]
fn a_zone_file_that_replaces_much_needs_a_reason() {
    let bench = Bench::start();
    let admin = key(&bench, "ops@example.org", "admin");
    json_to(&bench, &admin, "POST", "/api/zones", &json!({"name": "demo.local"}));
    let file = |count: usize| {
        let lines = (0..count).map(|number| format!("n{number} 60 A 192.0.2.1\n"));
        lines.collect::<String>()
    };
    let import = |query: &str, count: usize| {
        let path = format!("/api/zones/demo.local/import{query}");
        bearer(&bench, &admin, "POST", &path, Some(("text/plain", &file(count))))
    };
    assert_eq!(import("", 500).status, 200);
    assert_eq!(import("?replace=1", 400).status, 200, "a fifth may go");
    let refused = import("?replace=1", 299);
    assert_eq!((refused.status, &refused.json()["gate"]), (409, &json!("shrink")), "{}", refused.text);
    assert_eq!(import("?replace=1", 300).status, 200, "a hundred may go");
    assert_eq!(import("", 1).status, 200, "nothing goes");
    for wrong in ["&gate=shrink", "&gate=shrink&reason=", "&gate=other&reason=x"] {
        assert_eq!(import(&format!("?replace=1{wrong}"), 1).status, 400, "{wrong}");
    }
    let done = import("?replace=1&gate=shrink&reason=moved%20away", 1);
    assert_eq!((done.status, &done.json()["removed"]), (200, &json!(299)), "{}", done.text);
    let history = bench.get(admin.who(), "/api/v1/domains/demo.local/history/").json();
    assert_eq!(history[0]["note"], "moved away");
}
