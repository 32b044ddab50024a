//! Every command that goes through the control plane, as people and scripts run it, with its exit codes.

use std::fs;

use crate::common::client::Client;
use crate::common::control::Up;
use crate::common::tool::{Ended, dnsctl};

/// Checks how a command ended, and that it says `text` on either stream.
fn check(ended: &Ended, code: i32, text: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.out.contains(text) || ended.err.contains(text), "{text:?} is not in {ended:?}");
}

/// Whether DNS answers `rdata`, as four octets, for `name A`.
fn answers(up: &Up, name: &str, rdata: [u8; 4]) -> bool {
    let reply = Client::new(up.dns).udp(name, "A").unwrap();
    reply.answers.iter().any(|record| record.rdata == rdata)
}

#[test]
fn accounts_and_tokens_are_made_limited_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let made = up.json(&["account", "add", "a@example.org", "--token"]);
    let token = made["token"].as_str().unwrap();
    assert_eq!(made.as_object().unwrap().len(), 1);
    check(&up.ctl(&["account", "add", "a@example.org"]), 1, "");
    check(&up.ctl(&["account", "add", "no address"]), 1, "");
    let bare = up.ctl(&["account", "add", "b@example.org", "--class", "hosting", "--limit", "1", "--token"]);
    assert!(bare.code == 0 && bare.out.trim().len() == 28, "{bare:?}");
    check(&up.ctl(&["account", "list"]), 0, "b@example.org");
    check(&up.with_token(token, &["domain", "add", "a.example.org"]), 0, "a.example.org");
    check(&up.with_token("wrong", &["domain", "list"]), 1, "Invalid token");
    check(&up.with_token(token, &["account", "list"]), 1, "");
    assert_eq!(up.json(&["account", "limit", "a@example.org", "1"])["limit_domains"], 1);
    check(&up.with_token(token, &["domain", "add", "b.example.org"]), 1, "limit");
    assert!(up.json(&["account", "limit", "a@example.org", "none"])["limit_domains"].is_null());
    let limits = ["--domains", "9", "--records", "3", "--bytes", "900", "--writes-per-hour", "50"];
    let limited = up.json(&[&["account", "limit", "a@example.org"], &limits[..]].concat());
    assert_eq!((&limited["limit_domains"], &limited["limit_writes_per_hour"]), (&9.into(), &50.into()), "{limited}");
    let several = ["rrset", "set", "a.example.org", "many", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
    check(&up.with_token(token, &several), 1, "Record limit exceeded");
    assert_eq!(up.json(&["account", "show", "a@example.org"])["records"], 2);
    check(&up.with_token(token, &["rrset", "set", "a.example.org", "www", "A", "192.0.2.1"]), 0, "192.0.2.1");
    assert!(answers(&up, "www.a.example.org.", [192, 0, 2, 1]));
    assert_eq!(up.json(&["account", "suspend", "a@example.org"])["active"], false);
    check(&up.with_token(token, &["domain", "list"]), 1, "");
    assert!(!answers(&up, "www.a.example.org.", [192, 0, 2, 1]));
    assert_eq!(up.json(&["account", "resume", "a@example.org"])["active"], true);
    assert!(answers(&up, "www.a.example.org.", [192, 0, 2, 1]));
    tokens(&up);
    up.stop();
}

/// The commands about tokens.
fn tokens(up: &Up) {
    let reader = up.json(&["token", "add", "reader", "--read-only"]);
    assert_eq!(reader["read_only"], true, "{reader}");
    let reads = reader["token"].as_str().unwrap();
    check(&up.with_token(reads, &["domain", "list"]), 0, "");
    check(&up.with_token(reads, &["domain", "add", "r.example.org"]), 1, "");
    check(&up.with_token(reads, &["token", "add", "more", "--read-only"]), 2, "--account");
    check(&up.ctl(&["token", "list"]), 0, "only reads");
    let own = ["--account", "a@example.org"];
    let made = up.json(&[&["token", "add", "acme", "--allow", "127.0.0.0/8", "--max-age", "3600"], &own[..]].concat());
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    check(&up.with_token(secret, &["domain", "list"]), 0, "a.example.org");
    check(&up.ctl(&[&["token", "list"], &own[..]].concat()), 0, "acme");
    let audit = up.json(&[&["token", "audit"], &own[..]].concat());
    let found = audit.as_array().unwrap().iter().find(|token| token["id"] == id).unwrap();
    assert!(!found["findings"].to_string().contains("expires"), "{found}");
    check(&up.ctl(&[&["token", "audit"], &own[..]].concat()), 0, "works from everywhere");
    let rotated = up.json(&["token", "rotate", id]);
    check(&up.with_token(secret, &["domain", "list"]), 1, "Invalid token");
    let secret = rotated["token"].as_str().unwrap();
    check(&up.with_token(secret, &["domain", "list"]), 0, "a.example.org");
    check(&up.ctl(&["token", "rm", id]), 0, "");
    check(&up.with_token(secret, &["domain", "list"]), 1, "Invalid token");
}

#[test]
fn rrsets_are_served_when_the_command_returns() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    check(&up.ctl(&["domain", "add", "Example.ORG."]), 0, "example.org");
    check(&up.ctl(&["domain", "add", "example.org"]), 1, "already exists");
    check(&up.ctl(&["rrset", "set", "example.org", "www", "a", "192.0.2.1", "--ttl", "7200"]), 0, "7200");
    assert!(answers(&up, "www.example.org.", [192, 0, 2, 1]));
    check(&up.ctl(&["rrset", "add", "example.org", "www", "A", "192.0.2.2"]), 0, "192.0.2.2");
    assert!(answers(&up, "www.example.org.", [192, 0, 2, 2]));
    check(&up.ctl(&["rrset", "add", "example.org", "@", "TXT", "\"x\""]), 0, "3600");
    let both = up.json(&["rrset", "get", "example.org", "www", "A"]);
    assert_eq!((both["ttl"].as_u64(), both["records"].as_array().unwrap().len()), (Some(7200), 2));
    check(&up.ctl(&["rrset", "get", "example.org", "@"]), 0, "TXT");
    check(&up.ctl(&["rrset", "rm", "example.org", "www", "A", "192.0.2.9"]), 1, "no record");
    check(&up.ctl(&["rrset", "rm", "example.org", "www", "A", "192.0.2.1"]), 0, "192.0.2.2");
    check(&up.ctl(&["rrset", "rm", "example.org", "www", "A"]), 0, "");
    check(&up.ctl(&["rrset", "rm", "example.org", "www", "A"]), 1, "No RRset");
    check(&up.ctl(&["rrset", "get", "example.org", "www", "A"]), 1, "No RRset");
    for bad in [["www", "A", "here"], ["www", "NOPE", "x"], ["a..b", "A", "192.0.2.1"], ["../../x", "A", "192.0.2.1"]] {
        let ended = up.ctl(&[&["rrset", "set", "example.org"], &bad[..]].concat());
        assert!(ended.code == 1 && ended.err.starts_with("error: "), "{bad:?}: {ended:?}");
    }
    check(&up.ctl(&["domain", "list"]), 0, "example.org");
    check(&up.ctl(&["domain", "show", "example.org"]), 0, "least TTL");
    check(&up.ctl(&["domain", "rm", "example.org"]), 0, "");
    check(&up.ctl(&["domain", "rm", "example.org"]), 1, "No Domain");
    check(&up.ctl(&["domain", "deleted"]), 0, "example.org");
    check(&up.ctl(&["domain", "revive", "Example.ORG."]), 0, "example.org");
    check(&up.ctl(&["domain", "revive", "example.org"]), 1, "was not deleted, or the name is taken again");
    check(&up.ctl(&["domain", "deleted"]), 0, "no deleted domains");
    check(&up.ctl(&["domain", "rm", "example.org"]), 0, "");
    // The sample zone was compiled from a file.
    check(&up.ctl(&["domain", "add", "example.test"]), 1, "--replace-file-zone");
    assert!(answers(&up, "example.test.", [192, 0, 2, 10]));
    check(&up.ctl(&["domain", "add", "example.test", "--replace-file-zone"]), 0, "example.test");
    let refused =
        up.ctl(&["compile", "--out", up.dir.to_str().unwrap(), up.dir.join("example.test.zone").to_str().unwrap()]);
    check(&refused, 3, "domain import");
    up.stop();
    check(&dnsctl(&["--dir", dir.path().to_str().unwrap(), "domain", "list"]), 3, "no control plane answers on");
}

#[test]
fn zone_files_are_planned_applied_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(&dir.path().join("data"));
    let path = dir.path().join("pets.test.zone");
    let file = path.to_str().unwrap();
    let zone =
        |address: &str| fs::write(&path, format!("$TTL 3600\n@ NS ns.pets.test.\nns A 127.0.0.1\ntom A {address}\n"));
    zone("192.0.2.1").unwrap();
    let plan = up.ctl(&["plan", file]);
    check(&plan, 2, "pets.test is not there; it would be made\n+");
    check(&plan, 2, "+tom.pets.test. 3600 IN A 192.0.2.1\n");
    check(&plan, 2, "note: the NS records of pets.test are the server's");
    let planned = up.ctl(&["plan", "--json", file]);
    let planned: serde_json::Value = serde_json::from_str(&planned.out).unwrap();
    assert_eq!((&planned["exists"], &planned["counts"]["added"]), (&false.into(), &2.into()));
    check(&up.ctl(&["domain", "show", "pets.test"]), 1, "");
    check(&up.ctl(&["apply", file]), 0, "pets.test");
    check(&up.ctl(&["plan", file]), 0, "is what the file says");
    assert!(answers(&up, "tom.pets.test.", [192, 0, 2, 1]));
    zone("192.0.2.2").unwrap();
    check(&up.ctl(&["plan", file]), 2, "+tom.pets.test. 3600 IN A 192.0.2.2");
    check(&up.ctl(&["domain", "import", file, "--dry-run"]), 0, "-tom.pets.test. 3600 IN A 192.0.2.1");
    assert!(answers(&up, "tom.pets.test.", [192, 0, 2, 1]));
    check(&up.ctl(&["apply", file]), 0, "+tom.pets.test. 3600 IN A 192.0.2.2");
    assert!(answers(&up, "tom.pets.test.", [192, 0, 2, 2]));
    let history = up.json(&["domain", "history", "pets.test"]);
    let (newest, first) = (&history[0]["id"].to_string(), &history[1]["id"].to_string());
    check(&up.ctl(&["domain", "history", "pets.test"]), 0, "+tom.pets.test. 3600 IN A 192.0.2.2");
    check(&up.ctl(&["domain", "restore", "pets.test", "--change", first, "--dry-run"]), 0, "-tom");
    check(&up.ctl(&["domain", "undo", "pets.test", newest]), 0, "+tom.pets.test. 3600 IN A 192.0.2.1");
    assert!(answers(&up, "tom.pets.test.", [192, 0, 2, 1]));
    check(&up.ctl(&["domain", "undo", "pets.test", "999999"]), 1, "");
    check(&up.ctl(&["domain", "export", "pets.test"]), 0, "tom.pets.test.\t3600\tIN\tA\t192.0.2.1");
    fs::write(&path, "tom A here\n").unwrap();
    check(&up.ctl(&["plan", file]), 1, "");
    let bad = dir.path().join("new.test.zone");
    fs::write(&bad, "tom A here\n").unwrap();
    check(&up.ctl(&["plan", bad.to_str().unwrap()]), 1, "line 1");
    for wrong in [&["plan"][..], &["plan", "--fly"], &["plan", "/nonexistent.zone", "--origin", "a..b"]] {
        assert!(matches!(up.ctl(wrong).code, 1 | 3), "{wrong:?}");
    }
    check(&up.ctl(&["apply"]), 2, "FILE");
    up.stop();
}

#[test]
fn a_backup_that_lacks_changes_serves_again_only_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (at, backup) = (data.to_str().unwrap(), dir.path().join("backup"));
    let file = backup.to_str().unwrap();
    let up = Up::start(&data);
    up.json(&["domain", "add", "old.test"]);
    up.json(&["rrset", "set", "old.test", "www", "A", "192.0.2.1"]);
    check(&up.ctl(&["backup", file]), 0, "");
    check(&up.ctl(&["backup", file]), 1, "");
    up.json(&["rrset", "set", "old.test", "www", "A", "192.0.2.2"]);
    up.json(&["domain", "add", "new.test"]);
    up.json(&["rrset", "set", "new.test", "www", "A", "192.0.2.3"]);
    check(&up.ctl(&["doctor"]), 0, "");
    check(&up.ctl(&["restore", file]), 3, "stop the control plane first");
    up.stop();
    let changed = |words: &[&str]| dnsctl(&[&["--dir", at], words].concat());
    check(&changed(&["recover"]), 0, "nothing to recover");
    check(&changed(&["restore", data.join("example.test.zone").to_str().unwrap()]), 1, "is no backup");
    check(&changed(&["restore", file]), 0, "recover");

    let up = Up::start(&data);
    check(&up.ctl(&["doctor"]), 1, "");
    check(&up.ctl(&["rrset", "set", "old.test", "www", "A", "192.0.2.4"]), 3, "quarantined");
    assert!(answers(&up, "www.old.test.", [192, 0, 2, 2]));
    up.stop();
    check(&changed(&["recover"]), 0, "no longer served: new.test");
    let up = Up::start(&data);
    // A write is answered after what waits before it is served too.
    up.json(&["rrset", "set", "old.test", "ftp", "A", "192.0.2.5"]);
    assert!(answers(&up, "ftp.old.test.", [192, 0, 2, 5]));
    assert!(answers(&up, "www.old.test.", [192, 0, 2, 1]));
    assert!(!answers(&up, "www.new.test.", [192, 0, 2, 3]));
    assert!(answers(&up, "www.example.test.", [127, 0, 0, 1]) || up.ctl(&["doctor"]).code == 0);
    up.stop();
    check(&changed(&["recover"]), 0, "nothing to recover");
}

#[test]
fn what_a_lost_log_lacks_comes_back_from_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (at, backup) = (data.to_str().unwrap(), dir.path().join("backup"));
    let file = backup.to_str().unwrap();
    let up = Up::start(&data);
    up.json(&["domain", "add", "old.test"]);
    up.json(&["rrset", "set", "old.test", "www", "A", "192.0.2.1"]);
    up.json(&["rrset", "set", "old.test", "gone", "A", "192.0.2.9"]);
    check(&up.ctl(&["backup", file]), 0, "");
    up.json(&["rrset", "set", "old.test", "www", "A", "192.0.2.2"]);
    check(&up.ctl(&["rrset", "rm", "old.test", "gone", "A"]), 0, "");
    up.json(&["domain", "add", "new.test"]);
    // Keys are in the database alone: what was signed with some that are lost stays as it is.
    check(&up.ctl(&["dnssec", "disable", "new.test"]), 1, "force ends signing all the same");
    check(&up.ctl(&["dnssec", "disable", "new.test", "--force"]), 0, "");
    up.json(&["rrset", "set", "new.test", "@", "MX", "10 mail.new.test."]);
    up.json(&["rrset", "set", "new.test", "mail", "A", "192.0.2.3"]);
    up.stop();
    let changed = |words: &[&str]| dnsctl(&[&["--dir", at], words].concat());
    check(&changed(&["restore", file]), 0, "--from-snapshot");
    check(&changed(&["recover", "--from-snapshot"]), 0, "made for the operator's account: new.test");

    let up = Up::start(&data);
    up.json(&["rrset", "set", "old.test", "ftp", "A", "192.0.2.5"]);
    assert!(answers(&up, "www.old.test.", [192, 0, 2, 2]));
    assert!(answers(&up, "mail.new.test.", [192, 0, 2, 3]));
    assert!(!answers(&up, "gone.old.test.", [192, 0, 2, 9]));
    check(&up.ctl(&["rrset", "get", "new.test", "@", "MX"]), 0, "10 mail.new.test.");
    check(&up.ctl(&["doctor"]), 0, "");
    up.stop();
}

#[test]
fn domains_stay_in_service_when_up_is_given_its_zone_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let (data, zone) = (dir.path().join("data"), dir.path().join("file.test.zone"));
    fs::write(&zone, "$TTL 60\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n").unwrap();
    let up = Up::start_with(&data, &["--zone", zone.to_str().unwrap()]);
    // More names than a zone may lose without being asked about.
    let domain = dir.path().join("made.test.zone");
    let hosts: String = (0..150).map(|host| format!("n{host} A 192.0.2.2\n")).collect();
    fs::write(&domain, format!("$TTL 3600\n{hosts}")).unwrap();
    check(&up.ctl(&["apply", domain.to_str().unwrap()]), 0, "made.test");
    up.stop();
    let up = Up::start_with(&data, &["--zone", zone.to_str().unwrap()]);
    assert!(answers(&up, "n149.made.test.", [192, 0, 2, 2]));
    assert!(answers(&up, "ns.file.test.", [192, 0, 2, 1]));
    up.stop();
}
