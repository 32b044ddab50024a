//! Zone files in, drafts and messages out; and back.

use proptest::prelude::*;

use super::*;
use crate::rrset::{Draft, Limits, Rules};
use crate::value::Timestamp;

/// The rules of a tenant's domain.
const RULES: Rules<'_> = Rules { domain: "x.example", ttl_secs_min: 3600, limits: Limits::HOSTING };

/// A draft in one line.
fn shown(draft: &Draft) -> String {
    let records: Vec<&str> = draft.records.iter().flatten().map(|content| content.text.as_str()).collect();
    format!("{} {} {} {}", draft.subname, draft.rtype, draft.ttl.unwrap_or(0), records.join(" | "))
}

/// Reads `text` and shows drafts, or messages.
fn read(text: &str) -> Vec<String> {
    match import(text.as_bytes(), &RULES) {
        Err(error) => vec![error.to_string()],
        Ok(import) if import.rejected.count > 0 => import.rejected.first.iter().map(ToString::to_string).collect(),
        Ok(import) => import.drafts.iter().map(shown).collect(),
    }
}

/// Checks drafts or messages of `text`.
fn check_import(text: &str, expected: &[&str]) {
    assert_eq!(read(text), expected, "{text}");
}

#[test]
fn relative_names_and_ttls_are_completed() {
    check_import(
        "@ 60 IN A 1.2.3.4\nwww 99999 A 1.2.3.5\n@ NS ns.foo.\n*.w CNAME x\n",
        &[" A 3600 1.2.3.4", "www A 86400 1.2.3.5", "*.w CNAME 86400 x.x.example."],
    );
    check_import(
        "$TTL 7200\na A 1.2.3.4\n$ORIGIN b\nc A 1.2.3.4\n$ORIGIN c\nd MX 10 @",
        &["a A 7200 1.2.3.4", "c.b A 7200 1.2.3.4", "d.c.b MX 7200 10 c.b.x.example."],
    );
    check_import(
        "$TTL 2h\na A 1.2.3.4\n$ORIGIN b.x.example.\nc 1d A 1.2.3.4\n MX 10 @",
        &["a A 7200 1.2.3.4", "c.b A 86400 1.2.3.4", "c.b MX 7200 10 b.x.example."],
    );
    check_import("", &[]);
    check_import("; nothing\n\n", &[]);
}

#[test]
fn a_ttl_has_to_be_told() {
    check_import("a A 1.2.3.4\n", &["Zonefile contains syntax error in line 1."]);
    check_import("a 0 A 1.2.3.4\nb A 1.2.3.4\n", &["a A 3600 1.2.3.4", "b A 3600 1.2.3.4"]);
    check_import("@ SOA a. b. 1 2 3 4 7000\na A 1.2.3.4\n", &["a A 7000 1.2.3.4"]);
    check_import("@ 5000 SOA a. b. 1 2 3 4 7000\na A 1.2.3.4\n", &["a A 5000 1.2.3.4"]);
    check_import("\na 5 A 1.2.3.4\n$TTL 5000\nb A 1.2.3.4\n", &["a A 3600 1.2.3.4", "b A 5000 1.2.3.4"]);
}

#[test]
fn records_of_an_rrset_are_a_set_with_the_least_ttl() {
    check_import("a 9000 A 1.2.3.5\na 8000 A 1.2.3.4\nA.X.example. 8500 A 1.2.3.5\n", &["a A 8000 1.2.3.4 | 1.2.3.5"]);
    check_import(
        "a 9000 MX 10 B.c.\nb 9000 A 1.2.3.4\na 9000 MX 010 b.C.\n",
        &["a MX 9000 10 B.c.", "b A 9000 1.2.3.4"],
    );
}

#[test]
fn what_is_managed_or_outside_is_left_out() {
    let text = "$TTL 3600\n@ SOA a. b. 1 2 3 4 5\n@ NS ns.a.\nsub NS ns.a.\nsub DS 1 8 2 \
                0000000000000000000000000000000000000000000000000000000000000000\n@ DNSKEY 257 3 13 AAAA\n\
                @ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n\
                a.other. A 1.2.3.4\nexample. A 1.2.3.4\nxx.example. A 1.2.3.4\na OPT whatever\na KEY 256 3 13 AAAA\n\
                @ NSEC a.x.example. A\n@ NSEC3PARAM 1 0 0 -\nother. SOA a. b. 1 2 3 4 5\n\
                @ RRSIG A 13 2 3600 20300101000000 20200101000000 1 x.example. AAAA\n";
    let import = import(text.as_bytes(), &RULES).unwrap();
    let drafts: Vec<String> = import.drafts.iter().map(shown).collect();
    assert_eq!(
        drafts,
        ["sub NS 3600 ns.a.", "sub DS 3600 1 8 2 0000000000000000000000000000000000000000000000000000000000000000",]
    );
    let outside = import.ignored.first.iter().filter(|ignored| ignored.reason == Reason::OutOfZone).count();
    assert_eq!((import.ignored.count, outside), (14, 4));
    let report = serde_json::to_value(import.report()).unwrap();
    assert_eq!(report["applied"], serde_json::json!({"rrsets": 2, "records": 2}));
    let first = serde_json::json!({"line": 2, "name": "x.example.", "type": "SOA", "reason": "managed"});
    assert_eq!((&report["ignored"]["count"], &report["ignored"]["first"][0]), (&14.into(), &first));
    assert_eq!(report["rejected"], serde_json::json!({"count": 0, "first": []}));
    assert_eq!(import.messages(), None);
}

#[test]
fn mistakes_of_the_file_have_their_messages() {
    const CNAME: &str = "No other records with the same name are allowed alongside a CNAME record.";
    for (text, expected) in [
        ("$TTL 5\na CNAME b\nA A 1.2.3.4", CNAME),
        ("$TTL 5\na TXT b\na.x.example. CNAME b", CNAME),
        ("$TTL 5\n@ SOA a. b. 1 2 3 4 5\n@ CNAME b", CNAME),
        ("$TTL 5\na SOA a. b. 1 2 3 4 5", "Zonefile includes an SOA record for a name different from x.example."),
        ("$TTL 5\na A 1.2.3\n", "Zonefile contains syntax error in line 2."),
        ("$TTL 5\n\na FOO 1.2.3\n", "Zonefile contains syntax error in line 3."),
        ("$TTL 5\na CH A 1.2.3.4\n", "Zonefile contains syntax error in line 2."),
        ("$TTL 5\na TXT \"b\n", "Zonefile contains syntax error in line 2."),
        ("$TTL 5\na TXT (\nb\n", "Zonefile contains syntax error in line 2."),
        ("$TTL 5\na MX ( 10\n b c )\n", "Zonefile contains syntax error in line 3."),
        ("$FOO\n", "Zonefile contains syntax error in line 1."),
        (" A 1.2.3.4\n", "Zonefile contains syntax error in line 1."),
    ] {
        check_import(text, &[expected]);
    }
    // Signatures and proofs may be beside a CNAME.
    check_import("$TTL 3600\na NSEC b CNAME\na CNAME b", &["a CNAME 3600 b.x.example."]);
}

#[test]
fn mistakes_of_rrsets_are_all_told_with_their_names() {
    check_import(
        "$TTL 5\n@ MX 10 _foo.bar.\ny WKS 1.2.3.4 6 25\nz TYPE65534 \\# 1 00\nWWW A 1.2.3.4\nok A 1.2.3.4\n\
         c CNAME a\nc CNAME b\nd.e DNSKEY 257 3 13 AAAA\n",
        &[
            "x.example/MX: Cannot parse record contents: invalid exchange: _foo.bar.",
            "y.x.example/WKS: The WKS RR set type is currently unsupported.",
            "z.x.example/TYPE65534: Generic type format is not supported.",
            "WWW.x.example/A: Invalid value (not lowercase): WWW",
            "WWW.x.example/A: Subname can only use (lowercase) a-z, 0-9, ., -, and _, may start with a '*.', or just be \
             '*'. Components may not exceed 63 characters.",
            "c.x.example/CNAME: CNAME RRset cannot have multiple records.",
        ],
    );
    check_import("$TTL 5\n@ CNAME a\n", &["x.example/CNAME: CNAME RRset cannot have empty subname."]);
    let long = format!("$TTL 5\n{} A 1.2.3.4\n", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."));
    assert!(read(&long)[0].ends_with("/A: Ensure this field has no more than 178 characters."));
}

#[test]
fn other_scripts_become_a_labels() {
    check_import(
        "$TTL 3600\nB\u{fc}cher A 1.2.3.4\nwww.b\u{fc}cher CNAME b\u{fc}cher\nt TXT \"b\u{fc}\"\n$ORIGIN \u{e4}.x.example.\n@ A 1.2.3.4",
        &[
            "xn--bcher-kva A 3600 1.2.3.4",
            "www.xn--bcher-kva CNAME 3600 xn--bcher-kva.x.example.",
            "t TXT 3600 \"b\\195\\188\"",
            "xn--4ca A 3600 1.2.3.4",
        ],
    );
    // Octets that were written as numbers in plain ASCII are octets.
    check_import("$TTL 3600\na PTR b\\195\\188.\n", &["a PTR 3600 b\\195\\188."]);
    let rules = Rules { domain: "xn--bcher-kva.example", ..RULES };
    let import = import("$TTL 5\nwww.b\u{fc}cher.example. A 1.2.3.4".as_bytes(), &rules).unwrap();
    assert_eq!(import.drafts[0].subname, "www");
}

#[test]
fn t_c3_includes_and_generators_are_refused_and_nothing_of_the_file_is_told() {
    for text in [
        "$TTL 5\n$INCLUDE /etc/passwd\n",
        "$TTL 5\n$include /etc/hostname a.\n",
        "$TTL 5\n$GENERATE 1-4294967295 a$ A 1.2.3.4\n",
        "$TTL 5\nsecretsecret\n",
        "$TTL 5\na A secretsecret\n",
        "$TTL 5\na secretsecret A\n",
    ] {
        check_import(text, &["Zonefile contains syntax error in line 2."]);
    }
}

#[test]
fn t_c3_big_files_are_read_in_bounded_time() {
    let mut text = String::from("$TTL 3600\n");
    for idx in 0..200_000 {
        text.push_str(&format!("n{idx} CNAME target\n"));
    }
    let import = import(text.as_bytes(), &RULES).unwrap();
    assert_eq!((import.drafts.len(), import.rejected.count), (200_000, 0));
    // This takes a second without much optimization; what is quadratic would take minutes.
}

#[test]
fn t_c3_bombs_end_early() {
    // A line of ten octets is a record of more than a hundred.
    let origin = ["a".repeat(60), "b".repeat(60), "c".repeat(50)].join(".");
    let mut text = format!("$TTL 5\n$ORIGIN {origin}.x.example.\na NS b\n");
    text.push_str(&" NS b\n".repeat(RECORD_COUNT_MAX));
    assert_eq!(import(text.as_bytes(), &RULES).unwrap_err(), ImportError::Large);
    for text in ["(".repeat(2 << 20), format!("a 5 TXT ( {} )", "\"a\" ".repeat(1 << 19)), "a\\".repeat(1 << 20)] {
        assert_eq!(read(&text), ["Zonefile contains syntax error in line 1."]);
    }
}

#[test]
fn t_c2_records_of_an_rrset_and_types_of_a_name_are_bound() {
    let mut text = String::from("$TTL 5\n");
    for idx in 0..101 {
        text.push_str(&format!("a A 10.0.0.{idx}\n"));
    }
    check_import(&text, &["a.x.example/A: Ensure this RRset has no more than 100 records."]);
    assert_eq!(read(&text.replace("a A 10.0.0.100\n", "a A 10.0.0.99\n")).len(), 1);
    let limits = Limits { record_count_max: 1, type_count_max: 2 };
    let import = import(b"$TTL 5\na A 1.2.3.4\na TXT b\na MX 1 c\n", &Rules { limits, ..RULES }).unwrap();
    assert_eq!((import.drafts.len(), import.rejected.count), (0, 3));
    assert_eq!(import.rejected.first[0].message, "Ensure this subname has no more than 2 RRsets.");
}

/// The export of drafts, with an SOA and apex NS.
fn exported(drafts: &[Draft]) -> String {
    let soa = ["get.desec.io. get.desec.io. 2026112200 86400 3600 2419200 3600".to_owned()];
    let ns = ["ns1.example.".to_owned(), "ns2.example.".to_owned()];
    let texts: Vec<Vec<String>> = drafts
        .iter()
        .map(|draft| draft.records.iter().flatten().map(|content| content.text.clone()).collect())
        .collect();
    let mut rrsets: Vec<Exported<'_>> = drafts
        .iter()
        .zip(&texts)
        .map(|(draft, records)| Exported {
            subname: &draft.subname,
            rtype: draft.rtype,
            ttl_secs: draft.ttl.unwrap(),
            records,
        })
        .collect();
    rrsets.push(Exported { subname: "", rtype: Rtype::NS, ttl_secs: 3600, records: &ns });
    rrsets.push(Exported { subname: "", rtype: Rtype::SOA, ttl_secs: 300, records: &soa });
    let at = Timestamp::from_micros(1);
    let header = Header { domain: "x.example", service: "desec.example.net", at, notes: &[] };
    let mut out = String::new();
    export(&mut out, &header, rrsets).unwrap();
    out
}

#[test]
fn an_export_is_sorted_and_leaves_out_what_signing_adds() {
    let text = "$TTL 3600\nwww A 1.2.3.5\nwww A 1.2.3.4\n@ TXT \"a\" b\n@ MX 10 m\na.www TXT c\n*.b 4000 AAAA ::1\n";
    let mut drafts = import(text.as_bytes(), &RULES).unwrap().drafts;
    let mut dnskey = drafts[0].clone();
    dnskey.rtype = Rtype::DNSKEY;
    drafts.push(dnskey);
    assert_eq!(
        exported(&drafts),
        "; Zonefile for x.example exported from desec.example.net at 1970-01-01T00:00:00.000001+00:00\n\
         x.example.\t300\tIN\tSOA\tget.desec.io. get.desec.io. 2026112200 86400 3600 2419200 3600\n\
         x.example.\t3600\tIN\tNS\tns1.example.\n\
         x.example.\t3600\tIN\tNS\tns2.example.\n\
         x.example.\t3600\tIN\tMX\t10 m.x.example.\n\
         x.example.\t3600\tIN\tTXT\t\"a\" \"b\"\n\
         *.b.x.example.\t4000\tIN\tAAAA\t::1\n\
         www.x.example.\t3600\tIN\tA\t1.2.3.4\n\
         www.x.example.\t3600\tIN\tA\t1.2.3.5\n\
         a.www.x.example.\t3600\tIN\tTXT\t\"c\"\n"
    );
}

#[test]
fn an_export_that_is_imported_is_exported_again_octet_by_octet() {
    let text = r#"$TTL 3600
@ TXT "\000\255 \"x\" ; y" "" "ü"
@ CAA 0 issue "ca.example; a=b"
_443._tcp TLSA 3 1 1 ABCDEF00
h HTTPS 1 . alpn="h2,h3" ipv4hint=1.2.3.4 ech="AAA="
l LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
n NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:a@b.example!" .
s SRV 0 1 5060 Foo.Example.
p PTR \000a\.b.c.
u URI 10 1 "https://a.example/;x"
d DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
o OPENPGPKEY AAAA BBBB
x 90000 HINFO cpu os
* APL 1:10.0.0.0/8 !2:ff00::/8
"#;
    let drafts = import(text.as_bytes(), &RULES).unwrap();
    assert_eq!(drafts.messages(), None);
    let first = exported(&drafts.drafts);
    let second = import(first.as_bytes(), &RULES).unwrap();
    assert_eq!(second.messages(), None);
    assert_eq!(exported(&second.drafts), first);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|[ \\n\\t().;\\\\\"$@*]|A |CNAME |IN |60 |\\$TTL 5\\n|\\$ORIGIN ){0,60}") {
        let result = import(text.as_bytes(), &RULES);
        // Whatever is fine can be exported and read again.
        if let Ok(import) = result {
            let again = exported(&import.drafts);
            prop_assert_eq!(super::import(again.as_bytes(), &RULES).unwrap().drafts.len(), import.drafts.len());
        }
    }

    #[test]
    fn no_octets_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _result = import(&text, &RULES);
    }
}
