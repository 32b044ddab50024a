//! Content that arrives whole and shrinks: refused with what it would cost and how to force it, and forced.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapshot::handover::{Directory, Keep, Publication};

use super::common::tool::{Ended, dnsctl};

/// Zone files and a snapshot directory.
struct Fixture {
    /// Everything lies in it.
    scratch: tempfile::TempDir,
}

impl Fixture {
    /// Without any file.
    fn new() -> Fixture {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("zones")).unwrap();
        Fixture { scratch }
    }

    /// A path.
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes a zone with this many names.
    fn write(&self, zone: &str, names: usize) {
        let hosts: String = (1..names).map(|number| format!("n{number} A 192.0.2.1\n")).collect();
        let text = format!("$TTL 60\n@ SOA ns.else. hm 1 2 3 4 5\n@ NS ns.else.\n{hosts}");
        fs::write(self.path(&format!("zones/{zone}.zone")), text).unwrap();
    }

    /// Compiles all zone files.
    fn compile(&self, options: &[&str]) -> Ended {
        let (out, zones) = (self.path("snap"), self.path("zones"));
        let words = ["compile", "--out", text(&out), "--zones", text(&zones)];
        dnsctl(&[&words[..], options].concat())
    }

    /// What is served: names of each zone.
    fn served(&self) -> String {
        let ended = dnsctl(&["inspect", "--json", text(&self.path("snap"))]);
        let document: Value = serde_json::from_str(&ended.out).unwrap();
        let zones = document["zones"].as_array().unwrap().iter();
        let words = zones.map(|zone| format!("{}{}", zone["zone"].as_str().unwrap(), zone["names"]));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A path as a word.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks how a command ended, and that it says all of `texts` on either stream.
fn check(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    for text in texts {
        assert!(ended.out.contains(text) || ended.err.contains(text), "{text:?} is not in {ended:?}");
    }
}

#[test]
fn a_zone_that_shrinks_is_refused_alone_and_the_command_shown_forces_it() {
    let fixture = Fixture::new();
    fixture.write("big.test", 1000);
    fixture.write("other.test", 2);
    check(&fixture.compile(&[]), 0, &[]);
    fixture.write("big.test", 10);
    fixture.write("other.test", 3);
    let refused = fixture.compile(&[]);
    let told = "zone big.test. would shrink from 1000 to 10 names (gate `shrink`)";
    check(&refused, 1, &[told, "1 zone refused", "the other zones are published; to force it: dnsctl compile --out"]);
    assert_eq!(fixture.served(), "big.test.1000 other.test.3");
    let document = fixture.compile(&["--json"]);
    let found: Value = serde_json::from_str(&document.out).unwrap();
    let loss = json!([{"gate": "shrink", "zone": "big.test.", "before": 1000, "after": 10}]);
    assert_eq!((document.code, &found["refused"], &found["zones"]), (1, &loss, &json!(1)), "{document:?}");
    assert!(found["error"].as_str().unwrap().starts_with(told), "{found}");
    check(&fixture.compile(&["--keep-going"]), 0, &["refused: zone big.test. would shrink from 1000 to 10 names"]);
    check(&fixture.compile(&["--force", "shrink-total", "--reason", "x"]), 1, &[told]);
    check(&fixture.compile(&["--force", "shrunk", "--reason", "x"]), 2, &["there is no gate `shrunk`"]);
    // What is shown can be given to a shell.
    let line = refused.err.split_once("to force it: dnsctl ").unwrap().1.trim();
    let words: Vec<String> = line.replace("TEXT", "moved-away").split(' ').map(str::to_owned).collect();
    check(
        &dnsctl(&words),
        0,
        &["forced: zone big.test. would shrink from 1000 to 10 names (gate `shrink`): moved-away"],
    );
    assert_eq!(fixture.served(), "big.test.10 other.test.3");
}

#[test]
fn zones_that_vanish_are_kept_or_nothing_is_published() {
    let fixture = Fixture::new();
    fixture.write("big.test", 101);
    for number in 0..30 {
        fixture.write(&format!("z{number}.test"), 20);
    }
    check(&fixture.compile(&[]), 0, &[]);
    let before = fixture.served();
    for number in 3..30 {
        fs::remove_file(fixture.path(&format!("zones/z{number}.test.zone"))).unwrap();
    }
    let refused = fixture.compile(&["--json"]);
    let found: Value = serde_json::from_str(&refused.out).unwrap();
    let loss = json!([{"gate": "shrink-total", "zone": null, "before": 701, "after": 161}]);
    assert_eq!((refused.code, &found["refused"], &found["exit"]), (1, &loss, &json!(1)), "{refused:?}");
    assert!(found["force_with"].as_str().unwrap().ends_with("--json --force shrink-total --reason TEXT"), "{found}");
    assert_eq!(fixture.served(), before);
    fs::remove_file(fixture.path("zones/big.test.zone")).unwrap();
    let refused = fixture.compile(&["--force", "shrink-total", "--reason", "fewer customers"]);
    check(
        &refused,
        1,
        &["zone big.test. would go with its 101 names (gate `shrink`)", "the other zones are published"],
    );
    assert_eq!(fixture.served(), "big.test.101 z0.test.20 z1.test.20 z2.test.20");
    let forced = fixture.compile(&["--json", "--force", "shrink", "--reason", "fewer customers"]);
    let found: Value = serde_json::from_str(&forced.out).unwrap();
    let loss = json!([{"gate": "shrink", "zone": "big.test.", "before": 101, "after": 0}]);
    assert_eq!((&found["forced"], &found["reason"]), (&loss, &json!("fewer customers")), "{forced:?}");
    assert_eq!(fixture.served(), "z0.test.20 z1.test.20 z2.test.20");
}

#[test]
fn up_does_not_start_with_a_zone_that_shrinks() {
    let fixture = Fixture::new();
    fixture.write("big.test", 200);
    check(&fixture.compile(&[]), 0, &[]);
    fixture.write("big.test", 9);
    let (dir, zone) = (fixture.path("snap"), fixture.path("zones/big.test.zone"));
    let words = ["up", "--dir", text(&dir), "--dns", "127.0.0.1:0", "--api", "127.0.0.1:0", "--zone", text(&zone)];
    let told = "zone big.test. would shrink from 200 to 9 names (gate `shrink`)";
    check(&dnsctl(&words), 1, &[told, "nothing is published; to force it: dnsctl up --dir"]);
    assert_eq!(fixture.served(), "big.test.200");
}

#[test]
fn a_zone_whose_file_has_a_mistake_keeps_its_content_when_others_go_on() {
    let fixture = Fixture::new();
    fixture.write("small.test", 10);
    fixture.write("other.test", 20);
    check(&fixture.compile(&[]), 0, &[]);
    fs::write(fixture.path("zones/small.test.zone"), "x A bad\n").unwrap();
    fixture.write("other.test", 21);
    check(&fixture.compile(&["--keep-going"]), 0, &["small.test"]);
    assert_eq!(fixture.served(), "other.test.21 small.test.10");
    // A file that is no longer there is another thing: its zone goes.
    fs::remove_file(fixture.path("zones/small.test.zone")).unwrap();
    check(&fixture.compile(&["--keep-going"]), 0, &[]);
    assert_eq!(fixture.served(), "other.test.21");
}

#[test]
fn a_directory_of_a_control_plane_is_compiled_into_only_with_its_domains_kept() {
    let fixture = Fixture::new();
    fixture.write("file.test", 10);
    fs::create_dir(fixture.path("snap")).unwrap();
    // As a control plane publishes: with the last change of its database.
    let directory = Directory::open(&fixture.path("snap")).unwrap();
    let publication = Publication::of(vec![], Keep::Nothing, 0);
    directory.lock("test").unwrap().publish(Publication { change: 7, ..publication }).unwrap();
    check(&fixture.compile(&[]), 1, &["has domains of a control plane", "--merge", "dnsctl domain import"]);
    check(&fixture.compile(&["--merge"]), 0, &[]);
    assert_eq!(fixture.served(), "file.test.10");
}
