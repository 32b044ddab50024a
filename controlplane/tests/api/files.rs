//! Domains whose names are served from zone files that were compiled before.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use controlplane::compile::{CompileOptions, compile};
use controlplane::config::{Verification, Whose};
use controlplane::source::{ReadOptions, ZoneSource};
use controlplane::store::accounts::Class;
use serde_json::{Value, json};
use snapshot::handover::{Directory, Keep};

use crate::harness::{Bench, Full, Who};

/// The list of domains.
const DOMAINS: &str = "/api/v1/domains/";

/// Compiles the zones `file.example`, of 203 names, and `other.example`.
fn fill(snapshots: &Path) {
    fill_with(snapshots, &[("file.example", 200), ("other.example", 0)]);
}

/// Compiles zones of these names and numbers of hosts.
fn fill_with(snapshots: &Path, zones: &[(&str, usize)]) {
    let files = tempfile::tempdir().unwrap();
    let source = |name: &str, count: usize| {
        let hosts: String = (0..count).map(|number| format!("n{number} 60 A 192.0.2.1\n")).collect();
        let text = format!("@ 60 SOA ns hm 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.1\n{hosts}");
        let path = files.path().join(format!("{name}.zone"));
        std::fs::write(&path, text).unwrap();
        ZoneSource { path, origin: None }
    };
    let options = CompileOptions {
        keep: Keep::Nothing,
        stay: Default::default(),
        jobs: NonZeroUsize::MIN,
        read: ReadOptions::default(),
        keep_going: false,
        force: None,
        created_unix_secs: 1,
    };
    let sources: Vec<ZoneSource> = zones.iter().map(|(name, count)| source(name, *count)).collect();
    let mut writer = Directory::create(snapshots).unwrap().lock("test").unwrap();
    compile(&mut writer, &sources, &options, &|_| ()).unwrap();
}

/// Makes a domain as the operator.
fn make(bench: &Bench, query: &str, body: &Value) -> (u16, Value) {
    let answer = bench.post(Who::Operator, &format!("{DOMAINS}{query}"), &body.to_string());
    (answer.status, answer.json())
}

#[test]
fn a_new_domain_takes_the_place_of_a_compiled_zone_only_if_told_to() {
    let bench = Bench::start_over(fill);
    let (status, refused) = make(&bench, "", &json!({"name": "file.example"}));
    assert_eq!((status, &refused["names"]["before"]), (409, &json!(203)), "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("served from a zone file") && detail.contains("dnsctl domain import FILE"), "{detail}");
    assert_eq!(bench.call(Who::Operator, "POST", "/api/zones", Some(r#"{"name":"file.example"}"#)).status, 409);
    assert_eq!(bench.served(), "file.example. other.example.");
    // Names that no file has are made as ever, below and beside.
    assert_eq!(make(&bench, "", &json!({"name": "www.file.example"})).0, 201);
    assert_eq!(make(&bench, "?replace_file_zone=maybe", &json!({"name": "file.example"})).0, 400);
    assert_eq!(make(&bench, "?replace_file_zone=true", &json!({"name": "file.example"})).0, 201);
    // The name is the domain's from then on.
    let path = format!("{DOMAINS}file.example/");
    assert_eq!(bench.call(Who::Operator, "DELETE", &path, None).status, 204);
    assert_eq!(make(&bench, "", &json!({"name": "file.example"})).0, 201);
    let zone = "/api/zones?replace_file_zone=1";
    assert_eq!(bench.call(Who::Operator, "POST", zone, Some(r#"{"name":"other.example"}"#)).status, 201);
}

#[test]
fn content_of_its_own_takes_the_place_of_a_compiled_zone_through_the_gate() {
    let bench = Bench::start_over(fill);
    let hosts = |count: usize| (0..count).map(|number| format!("n{number} 60 A 192.0.2.1\n")).collect::<String>();
    let body = |count: usize| json!({"name": "file.example", "zonefile": hosts(count)});
    let (status, refused) = make(&bench, "", &body(101));
    assert_eq!((status, &refused["gate"]), (409, &json!("shrink")), "{refused}");
    assert_eq!(refused["names"], json!({"before": 203, "gone": 101}));
    let (status, dry) = make(&bench, "?dry_run=true", &body(101));
    assert_eq!((status, &dry["gates"], &dry["replaces_names"]), (200, &json!(["shrink"]), &json!(203)), "{dry}");
    let mut forced = body(1);
    forced["force"] = json!({"gate": "other", "reason": "moved"});
    assert_eq!(make(&bench, "", &forced).0, 400);
    assert_eq!(make(&bench, "", &body(102)).0, 201, "a hundred may go");
    let (status, made) = make(&bench, "", &json!({"name": "other.example", "zonefile": "www 60 A 192.0.2.7\n"}));
    assert_eq!(status, 201, "{made}");
}

#[test]
fn tenants_do_not_get_names_that_are_served_from_files_nor_any_within_or_around() {
    let bench = Bench::start_over(|snapshots| fill_with(snapshots, &[("file.example", 0), ("a.b.example.org", 0)]));
    let served = bench.served();
    let tenant = bench.account_of("tenant@example.org", Class::Hosting);
    let token = bench.token(&tenant, Full);
    for query in ["", "?replace_file_zone=true"] {
        let body = json!({"name": "file.example", "zonefile": "www 3600 A 192.0.2.7\n"}).to_string();
        let refused = bench.post(token.who(), &format!("{DOMAINS}{query}"), &body);
        assert_eq!((refused.status, refused.json()["name"].is_array()), (400, true), "{}", refused.text);
    }
    // One account for each name: tenants may not ask as fast as this.
    let other = |name: &str| bench.token(&bench.account_of(&format!("{name}@example.org"), Class::Hosting), Full);
    for name in ["www.file.example", "a.www.file.example", "b.example.org", "example.org", "x.a.b.example.org"] {
        let (token, body) = (other(name), json!({ "name": name }).to_string());
        let refused = bench.post(token.who(), DOMAINS, &body);
        assert_eq!((refused.status, refused.json()["name"].is_array()), (400, true), "{name}: {}", refused.text);
        let refused = bench.post(token.who(), "/api/zones", &body);
        assert_eq!(refused.status, 400, "{name}: {}", refused.text);
    }
    assert_eq!(bench.served(), served);
    for name in ["profile.example", "le.example", "c.example.org"] {
        let body = json!({ "name": name }).to_string();
        assert_eq!(bench.post(other(name).who(), DOMAINS, &body).status, 201, "{name}");
    }
}

#[test]
fn a_dry_run_of_a_new_domain_tells_what_it_would_hold_and_makes_nothing() {
    let bench = Bench::start();
    let zonefile = "$TTL 60\n@ SOA ns.new.example. hm 1 2 3 4 5\n@ NS ns.new.example.\nwww A 192.0.2.1\n\
                    old 99999999 A 192.0.2.2\nmail 7200 MX 5 mx.else.\n";
    let (status, dry) = make(&bench, "?dry_run=true", &json!({"name": "new.example", "zonefile": zonefile}));
    assert_eq!(status, 200, "{dry}");
    assert_eq!((&dry["change"], &dry["dry_run"], &dry["mode"]), (&Value::Null, &json!(true), &json!("create")));
    assert_eq!(dry["counts"], json!({"added": 3, "changed": 0, "removed": 0}));
    assert_eq!(dry["nameservers"], json!(["ns1.petrel.test.", "ns2.petrel.test."]));
    assert_eq!(dry["soa"], json!(["ns1.petrel.test.", "hostmaster.petrel.test."]));
    assert_eq!(dry["report"]["ttls"], json!({"raised": 1, "lowered": 1}));
    assert_eq!((&dry["report"]["ignored"]["count"], &dry["minimum_ttl"]), (&json!(2), &json!(3600)));
    assert_eq!(bench.get(Who::Operator, &format!("{DOMAINS}new.example/")).status, 404);
    let bad = json!({"name": "new.example", "zonefile": "www A here"});
    assert_eq!(make(&bench, "?dry_run=true", &bad).0, 400);
    assert_eq!(make(&bench, "?dry_run=true", &json!({"name": "new.example"})).0, 200);
    assert_eq!(make(&bench, "", &json!({"name": "new.example"})).0, 201);
    assert_eq!(make(&bench, "?dry_run=true", &json!({"name": "new.example"})).0, 400, "it is taken");
}

/// Copies a database in which nothing waits to be published.
fn copy(bench: &Bench, state: &Path) {
    std::fs::create_dir(state).unwrap();
    let to = state.join(bench.store.path().file_name().unwrap());
    let from = rusqlite::Connection::open(bench.store.path()).unwrap();
    from.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    rusqlite::Connection::open(to).unwrap().execute("DELETE FROM outbox", []).unwrap();
}

#[test]
fn a_deleted_domain_comes_back_over_a_compiled_zone_only_if_told_to() {
    let bench = Bench::start();
    let tenant = bench.account_of("tenant@example.org", Class::Hosting);
    let token = bench.token(&tenant, Full);
    let mut deletions = Vec::new();
    for (who, name) in [(Who::Operator, "file.example"), (token.who(), "other.example")] {
        assert_eq!(bench.post(who, DOMAINS, &json!({ "name": name }).to_string()).status, 201);
        let deleted = bench.call(who, "DELETE", &format!("{DOMAINS}{name}/"), None);
        deletions.push((who, deleted.header("petrel-change").unwrap().to_owned()));
    }
    let bench = Bench::start_over(|snapshots| {
        fill(snapshots);
        copy(&bench, &snapshots.with_file_name("state"));
    });
    let revive = |(who, change): &(Who<'_>, String), query: &str| {
        bench.post(*who, &format!("/api/v1/restore/{change}/{query}"), "")
    };
    let refused = revive(&deletions[0], "");
    assert_eq!((refused.status, &refused.json()["gate"]), (409, &json!("shrink")), "{}", refused.text);
    for query in ["", "?replace_file_zone=true"] {
        let refused = revive(&deletions[1], query);
        assert_eq!((refused.status, refused.json()["name"].is_array()), (400, true), "{}", refused.text);
    }
    assert_eq!(bench.served(), "file.example. other.example.");
    assert_eq!(revive(&deletions[0], "?replace_file_zone=true").status, 201);
    // The name is the domain's from then on.
    assert_eq!(bench.call(Who::Operator, "DELETE", &format!("{DOMAINS}file.example/"), None).status, 204);
    assert_eq!(make(&bench, "", &json!({"name": "file.example"})).0, 201);
}

#[test]
fn a_tenants_domain_that_the_operator_puts_over_a_compiled_zone_needs_no_proof() {
    let verification = Verification { whose: Whose::Hosting, ..Verification::default() };
    let bench = Bench::with_over(verification, fill);
    bench.account_of("tenant@example.org", Class::Hosting);
    let query = "?account=tenant@example.org&replace_file_zone=true";
    let body = json!({"name": "file.example"}).to_string();
    let made = bench.post(Who::Operator, &format!("{DOMAINS}{query}"), &body);
    assert_eq!((made.status, made.json().get("verification")), (201, None), "{}", made.text);
    assert_eq!(bench.served(), "file.example. other.example.");
    let history = bench.get(Who::Operator, &format!("{DOMAINS}file.example/history/")).json();
    assert_eq!((&history[0]["kind"], &history[1]["kind"]), (&json!("verify"), &json!("create")), "{history}");
    // Where there was none, the operator vouches in as many words.
    let made = bench.post(Who::Operator, &format!("{DOMAINS}{query}"), &json!({"name": "new.example"}).to_string());
    assert_eq!(made.json()["verification"]["state"], "unverified", "{}", made.text);
}

#[test]
fn no_domain_is_made_while_the_zones_of_files_are_not_known() {
    let moved = tempfile::tempdir().unwrap();
    let mut packs = Vec::new();
    let bench = Bench::start_over(|snapshots| {
        fill(snapshots);
        let names = std::fs::read_dir(snapshots).unwrap().map(|file| file.unwrap().file_name());
        packs.extend(names.filter(|name| name.to_str().unwrap().starts_with("pack-")));
        for pack in &packs {
            std::fs::rename(snapshots.join(pack), moved.path().join(pack)).unwrap();
        }
    });
    for name in ["file.example", "new.example"] {
        let (status, refused) = make(&bench, "", &json!({ "name": name }));
        assert_eq!(status, 503, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("not known"), "{refused}");
    }
    for pack in packs {
        std::fs::rename(moved.path().join(&pack), bench.dir().join("snapshots").join(&pack)).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while make(&bench, "", &json!({"name": "new.example"})).0 != 201 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(make(&bench, "", &json!({"name": "file.example"})).0, 409);
}
