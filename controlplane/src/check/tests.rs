//! Every rule with a zone that breaks it and one that does not.

use snapshot::dns::zone::ZoneBuilder;
use snapshot::dns::zonefile::{Options, Reader};

use std::fmt::Write as _;

use super::*;

/// Reads a zone "test." with SOA and NS in lines 1 to 3; the given records begin in line 4.
fn sound_zone(records: &str) -> Zone {
    zone(&format!("@ 60 SOA ns hm 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n{records}"))
}

/// Reads a zone "test.".
fn zone(text: &str) -> Zone {
    let apex: Name = "test.".parse().unwrap();
    let options = Options { origin: Some(apex.clone()), default_ttl: Some(60), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut builder = ZoneBuilder::new(apex);
    while let Some(record) = reader.read().unwrap() {
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// Applies all rules but those about signatures, which have tests of their own.
fn rules(zone: &Zone) -> Vec<Finding> {
    let mut findings = Findings::new(Severity::Error, Severity::Warning);
    walk(zone, &mut findings);
    findings.finish(zone.apex())
}

/// Checks a zone; findings as "E4 code" or "W4 code", with the line.
fn findings(zone: &Zone) -> String {
    let line = |finding: &Finding| {
        let severity = if finding.severity == Severity::Error { 'E' } else { 'W' };
        format!("{severity}{} {}", finding.line, finding.code)
    };
    rules(zone).iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Checks many additions to a sound zone.
fn check_all(cases: &[(&str, &str)]) {
    for (records, expected) in cases {
        assert_eq!(findings(&sound_zone(records)), *expected, "{records:?}");
    }
}

#[test]
fn a_zone_needs_one_soa_and_an_ns_at_its_apex() {
    assert_eq!(findings(&zone("")), "E0 no-ns, E0 no-soa");
    assert_eq!(findings(&zone("a A 192.0.2.1\n")), "E0 no-ns, E0 no-soa");
    check_all(&[
        ("", ""),
        ("@ SOA ns hm 2 2 3 4 5\n", "E4 multiple-soas"),
        ("a SOA ns hm 1 2 3 4 5\n", "E4 soa-not-at-apex"),
        ("a.test.com. A 192.0.2.1\n", "W4 out-of-zone"),
        ("xtest. A 192.0.2.1\n", "W4 out-of-zone"),
        ("@ DS 1 8 1 000102030405060708090a0b0c0d0e0f10111213\n", "W4 ds-at-apex"),
    ]);
}

#[test]
fn aliases_stand_alone() {
    check_all(&[
        ("a CNAME b\n", ""),
        ("a CNAME b\na RRSIG CNAME 8 2 60 20300101000000 20200101000000 1 test. AAAA\n", "W5 partly-signed"),
        ("a CNAME b\na TXT x\n", "E5 cname-and-other-data"),
        ("a CNAME b\na CNAME c\n", "E4 multiple-cnames"),
        ("@ CNAME b\n", "E4 cname-at-apex"),
        ("a DNAME b.example.\na DNAME c.example.\n", "E4 multiple-dnames"),
        ("a DNAME b.example.\nx.a A 192.0.2.1\ny.x.a TXT x\n", "E5 below-dname, E6 below-dname"),
        ("a DNAME b.example.\na NS ns\n", "W4 dname-and-ns, W4 occluded"),
    ]);
}

#[test]
fn asterisks_must_be_whole_first_labels_and_no_delegations() {
    check_all(&[
        ("*.a A 192.0.2.1\n", ""),
        ("*.a NS ns\n", "W4 wildcard-ns"),
        ("*.a DNAME b.example.\n", "W4 wildcard-dname"),
        ("*a A 192.0.2.1\n", "W4 asterisk-in-label"),
        ("a.*.b A 192.0.2.1\n", "W4 asterisk-not-first"),
    ]);
}

#[test]
fn rrsets_have_one_ttl_and_fit_into_a_message() {
    let txt = |len: usize| format!("a 60 TXT {}\n", vec![format!("\"{}\"", "x".repeat(250)); len].join(" "));
    check_all(&[
        ("a 60 TXT x\na 60 TXT y\n", ""),
        ("a 60 TXT x\na 61 TXT y\n", "W5 ttl-mismatch"),
        ("a TXT x\na TXT x\n", "W0 duplicate-records"),
        ("a TYPE99 \\# 2 0178\n", "W4 spf-type"),
        (&txt(250), ""),
        (&format!("{}a 60 TXT {}\n", txt(250), vec!["\"123456789\""; 290].join(" ")), "W4 rrset-too-large"),
    ]);
}

#[test]
fn apex_name_servers_need_addresses_and_may_be_no_aliases() {
    check_all(&[
        ("@ NS ns.elsewhere.\n", ""),
        ("@ NS none\n", "E4 target-without-address"),
        ("@ NS alias\nalias CNAME ns\n", "E4 target-is-alias"),
        ("@ NS x.a\na DNAME b.example.\n", "E4 target-below-dname"),
        ("@ NS x.w\n*.w A 192.0.2.1\n", ""),
        ("@ NS x.w\n*.w TXT x\n", "E4 target-without-address"),
        ("@ NS x.y.w\n*.w A 192.0.2.1\ny.w TXT x\n", "E4 target-without-address"),
        ("@ NS ns.sub\nsub NS ns.sub\nns.sub A 192.0.2.1\n", ""),
        ("@ NS NS2\nns2 AAAA 2001:db8::1\n", ""),
    ]);
}

#[test]
fn other_targets_are_only_warned_about() {
    check_all(&[
        ("@ MX 0 .\n_a._tcp SRV 0 0 0 .\n", ""),
        ("@ MX 1 none\n", "W4 target-without-address"),
        ("@ MX 1 alias\nalias CNAME ns\n", "W4 target-is-alias"),
        ("_a._tcp SRV 1 1 1 none\n", "W4 target-without-address"),
        ("@ MX 1 mail.sub\nsub NS ns\n", ""),
        ("sub NS none\n", "W4 target-without-address"),
        ("sub NS ns.sub\n", "W4 missing-glue"),
        ("sub NS sub\n", "W4 missing-glue"),
        ("sub NS sub\nsub A 192.0.2.1\n", ""),
        ("sub NS ns.other\nother NS ns\n", "W4 missing-sibling-glue"),
        ("sub NS ns.other\nother NS ns\nns.other A 192.0.2.1\n", ""),
    ]);
}

#[test]
fn what_a_delegation_hides_is_named_unless_it_is_glue() {
    check_all(&[
        ("sub NS ns.sub\nns.sub A 192.0.2.1\n", ""),
        ("sub NS ns\nsub DS 1 8 1 000102030405060708090a0b0c0d0e0f10111213\n", ""),
        ("sub NS ns\nsub TXT x\n", "W5 occluded"),
        ("sub NS ns\nx.sub A 192.0.2.1\n", "W5 occluded"),
        ("sub NS ns\nx.sub NS none\n", "W5 occluded"),
        ("sub NS ns.sub\nns.sub A 192.0.2.1\nns.sub TXT x\n", "W6 occluded"),
        ("a DS 1 8 1 000102030405060708090a0b0c0d0e0f10111213\n", "W4 ds-without-delegation"),
    ]);
}

#[test]
fn a_half_signed_zone_is_reported_once() {
    let rrsig = |covered| format!("@ RRSIG {covered} 8 1 60 20300101000000 20200101000000 1 test. AAAA\n");
    let dnskey = "@ DNSKEY 257 3 8 AAAA\n";
    check_all(&[
        (&format!("{dnskey}{}", rrsig("SOA")), ""),
        (dnskey, "W4 partly-signed"),
        (&format!("{dnskey}{}", rrsig("NS")), "W4 partly-signed"),
        (&format!("{}a NSEC b A\n", rrsig("SOA")), "W4 partly-signed"),
    ]);
}

#[test]
fn a_flood_of_findings_is_counted_instead_of_listed() {
    let mut records = String::new();
    for count in 0..PER_CODE_MAX + 5 {
        records += &format!("*{count} A 192.0.2.1\n");
    }
    let found = check(&sound_zone(&records));
    assert_eq!(found.len(), PER_CODE_MAX + 1);
    assert_eq!(found.last().unwrap().to_string(), "5 more findings of this kind are not listed [asterisk-in-label]");
}

/// What stands in the way of serving a zone, and nothing else.
fn unservable(records: &str) -> Vec<&'static str> {
    let found = check(&sound_zone(records));
    found.iter().filter(|finding| finding.severity == Severity::Error).map(|finding| finding.code).collect()
}

#[test]
fn a_wrong_zone_can_be_served_unless_no_server_would() {
    for records in ["@ NS none\n", "a DNAME b\nx.a A 192.0.2.1\n", "a SOA ns hm 1 2 3 4 5\n", "x.y.z. A 192.0.2.1\n"] {
        assert_eq!(unservable(records), [""; 0], "{records}");
    }
    for (records, code) in [
        ("@ SOA ns hm 2 2 3 4 5\n", "multiple-soas"),
        ("a CNAME b\na TXT x\n", "cname-and-other-data"),
        ("a CNAME b\na CNAME c\n", "multiple-cnames"),
        ("a DNAME b\na DNAME c\n", "multiple-dnames"),
        ("@ CNAME b\n", "cname-at-apex"),
    ] {
        assert_eq!(unservable(records), [code], "{records}");
    }
    assert_eq!(check(&zone("@ 60 SOA ns hm 1 2 3 4 5\n")).first().map(|found| found.severity), Some(Severity::Warning));
}

#[test]
fn names_that_differ_in_case_are_one_record() {
    check_all(&[("a CNAME b\na CNAME B\n", ""), ("a DNAME b\na DNAME B\n", ""), ("@ SOA NS HM 1 2 3 4 5\n", "")]);
}

#[test]
fn what_no_server_answers_with_is_pruned() {
    let mut zone =
        sound_zone("a CNAME b\na CNAME B\nx.example. A 192.0.2.1\nxtest. TXT x\nm MX 1 B\nm MX 1 c\nm MX 2 b\n");
    prune(&mut zone);
    let owners: Vec<String> = zone
        .owners()
        .map(|owner| format!("{} {}", owner.name(), owner.rrsets().map(|set| set.record_count()).sum::<usize>()))
        .collect();
    assert_eq!(owners, ["test. 2", "a.test. 1", "m.test. 3", "ns.test. 1"]);
}

#[test]
fn hashed_owners_are_hidden_by_nothing() {
    check_all(&[(
        "@ DNAME b.example.\n2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A\n",
        "E2 target-below-dname, E3 below-dname, W5 partly-signed",
    )]);
}

#[test]
fn t_c2_huge_rrsets_and_owners_of_many_types_are_warned_about() {
    let mut records = String::new();
    for count in 0..=100 {
        writeln!(records, "many A 192.0.2.{count}").unwrap();
    }
    for count in 0..=100 {
        writeln!(records, "wide TYPE{} \\# 1 00", 65_280 + count).unwrap();
    }
    assert_eq!(findings(&sound_zone(&records)), "W4 many-records, W105 many-types");
}

#[test]
fn t_c4_data_that_is_not_served_is_never_silently_accepted() {
    check_all(&[
        // Out of zone: left out, and said so.
        ("a.test.org. A 192.0.2.1\n", "W4 out-of-zone"),
        ("\\.test. A 192.0.2.1\n", "W4 out-of-zone"),
        // Occluded by a cut, also below a second one and for a whole zone pasted in.
        ("sub NS ns\nsub A 192.0.2.1\n", "W5 occluded"),
        ("sub NS ns\nx.sub NS y.x.sub\ny.x.sub A 192.0.2.1\n", "W5 occluded, W6 occluded"),
        ("sub NS ns\nx.sub MX 1 ns\nx.sub TXT x\n", "W5 occluded"),
        ("sub NS ns\nsub SOA ns hm 1 2 3 4 5\n", "W5 occluded, E5 soa-not-at-apex"),
        ("sub NS ns\nx.sub SOA ns hm 1 2 3 4 5\n", "W5 occluded, E5 soa-not-at-apex"),
        ("sub NS ns\nd.sub DNAME e\nx.d.sub A 192.0.2.1\n", "W5 occluded, E6 below-dname"),
        // Hidden by a DNAME.
        ("d DNAME e\n*.d A 192.0.2.1\n", "E5 below-dname"),
        ("d DNAME e\nx.d NS ns\n", "E5 below-dname"),
        // Glue is what a delegation needs, no more.
        ("sub NS ns.sub\nns.sub A 192.0.2.1\nns.sub AAAA 2001:db8::1\n", ""),
        ("sub NS ns.sub\nns.sub A 192.0.2.1\nns2.sub A 192.0.2.1\n", "W6 occluded"),
        // A CNAME is alone, whatever the other type and wherever it is.
        ("a CNAME b\na NS ns\n", "W4 occluded, E5 cname-and-other-data"),
        ("a CNAME b\na DNAME c\n", "E5 cname-and-other-data"),
        ("a CNAME b\na TYPE65280 \\# 0\n", "E5 cname-and-other-data"),
        ("*.a CNAME b\n*.a A 192.0.2.1\n", "E5 cname-and-other-data"),
        ("a CNAME b\na NSEC b A\na KEY \\# 8 0100030500010203\n", "W5 partly-signed"),
    ]);
}

#[test]
fn t_c5_keys_and_signatures_that_keep_validators_busy_are_warned_about() {
    // Swapping two 16-bit words of the key changes it but not its tag.
    let key = |at: usize| {
        let mut octets = [0u8; 32];
        octets[2 * at] = 1;
        let hex: String = octets.iter().fold(String::new(), |mut hex, octet| {
            write!(hex, "{octet:02x}").unwrap();
            hex
        });
        format!("@ DNSKEY \\# 36 0100030f{hex}\n")
    };
    let keys = |count: usize| (0..count).map(key).collect::<String>();
    let codes = |records: &str| findings(&sound_zone(records));
    assert_eq!(codes(&keys(limits::COLLIDING_KEYS_MAX)), "W4 partly-signed");
    assert_eq!(codes(&keys(limits::COLLIDING_KEYS_MAX + 1)), "W4 colliding-keys, W4 partly-signed");
    let signatures = |count: usize| {
        let line = |tag| format!("@ RRSIG SOA 15 1 60 20300101000000 20200101000000 {tag} test. AAAA\n");
        (0..count).map(line).collect::<String>() + &key(0)
    };
    assert_eq!(codes(&signatures(limits::SIGNATURES_MAX)), "");
    assert_eq!(codes(&signatures(limits::SIGNATURES_MAX + 1)), "W4 many-signatures");
}
