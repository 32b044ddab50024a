//! Rules about unsigned and odd zones; signed ones are made and broken in `tests/signed_zones.rs`.

use snapshot::dns::name::Name;
use snapshot::dns::zone::ZoneBuilder;
use snapshot::dns::zonefile::{Options, Reader};

use super::super::{Finding, review};
use super::*;

/// Reads a zone "test." with SOA and NS in lines 1 and 2; the given records begin in line 3.
fn zone(records: &str) -> Zone {
    let text = format!("@ 60 SOA ns.example. hm 1 2 3 4 60\n@ 60 NS ns.example.\n{records}");
    let apex: Name = "test.".parse().unwrap();
    let options = Options { origin: Some(apex.clone()), default_ttl: Some(60), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut builder = ZoneBuilder::new(apex);
    while let Some(record) = reader.read().unwrap() {
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// The findings of a zone as "E4 code" or "W4 code".
fn findings(records: &str, need: Need) -> String {
    let dnssec = Dnssec { need, at_unix_secs: 1_800_000_000, jobs: NonZeroUsize::MIN };
    let line = |finding: &Finding| {
        let severity = if finding.severity == Severity::Error { 'E' } else { 'W' };
        format!("{severity}{} {}", finding.line, finding.code)
    };
    review(&zone(records), &dnssec).iter().map(line).collect::<Vec<_>>().join(", ")
}

#[test]
fn an_unsigned_zone_is_fine_unless_it_must_be_signed() {
    assert_eq!(findings("", Need::Optional), "");
    assert_eq!(findings("", Need::Required), "E0 not-signed");
}

#[test]
fn the_same_mistakes_are_warnings_or_errors() {
    let records = "@ NSEC3PARAM 1 0 0 -\n@ DNSKEY 256 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n";
    let optional = findings(records, Need::Optional);
    assert!(optional.starts_with("W1 missing-rrsig, W2 missing-rrsig, "), "{optional}");
    assert!(!optional.contains('E'), "{optional}");
    let required = findings(records, Need::Required);
    assert!(required.contains("E3 nsec3param-without-nsec3"), "{required}");
    assert!(required.contains("W4 partly-signed"), "{required}");
}

#[test]
fn requests_to_the_parent_are_removals_in_one_form_or_fit_a_key() {
    let key = "@ DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n";
    let cds = |text: &str| {
        let all = findings(&format!("{key}{text}"), Need::Optional);
        all.split(", ").filter(|finding| finding.contains("cds-")).collect::<Vec<_>>().join(", ")
    };
    for (records, expected) in [
        ("@ CDS 0 0 0 00\n", ""),
        ("@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n", ""),
        ("@ CDS 0 0 0 01\n", "E4 cds-delete"),
        ("@ CDNSKEY 0 3 0 AQ==\n", "E4 cds-delete"),
        ("@ CDNSKEY 256 3 0 AA==\n", "E4 cds-delete"),
        ("@ CDS 0 0 0 00\n@ CDS 1 15 1 0000000000000000000000000000000000000000\n", "E4 cds-delete"),
        ("@ CDS 1 15 1 0000000000000000000000000000000000000000\n", "W4 cds-without-key"),
        ("@ CDS 1 13 1 0000000000000000000000000000000000000000\n", "E4 cds-breaks-chain"),
        ("@ CDNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n", ""),
        ("@ CDNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA8=\n", "W4 cds-without-key"),
        (
            "@ CDNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n@ CDS 0 0 0 00\n",
            "W4 cds-disagrees, W5 cds-disagrees",
        ),
    ] {
        assert_eq!(cds(records), expected, "{records}");
    }
    assert_eq!(findings("@ CDS 0 0 0 00\n", Need::Optional), "W3 cds-unsigned");
}

#[test]
fn the_digest_of_a_zone_is_computed_in_canonical_order_and_case() {
    // The simple zone of RFC 8976 appendix A.1, under the names it has there.
    let text = "example. 86400 SOA ns1 admin 2018031900 1800 900 604800 86400\n\
                example. 86400 NS ns1.example.\nexample. 86400 NS ns2.example.\n\
                example. 86400 ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3\
                a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c\n\
                ns1.example. 3600 A 203.0.113.63\nns2.example. 3600 AAAA 2001:db8::63\n";
    let check = |text: &str| {
        let apex: Name = "example.".parse().unwrap();
        let options = Options { origin: Some(apex.clone()), ..Options::default() };
        let mut reader = Reader::new(text.as_bytes(), options);
        let mut builder = ZoneBuilder::new(apex);
        while let Some(record) = reader.read().unwrap() {
            builder.push(record).unwrap();
        }
        let mut findings = Findings::new(Severity::Error, Severity::Error);
        zonemd::check(&builder.finish(), &mut findings);
        findings.list.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(check(text), "");
    assert_eq!(check(&text.replace("NS2.example. 3600", "NS2.EXAMPLE. 3600")), "");
    assert_eq!(check(&text.replace("203.0.113.63", "203.0.113.64")), "zonemd-digest");
    assert_eq!(check(&text.replace("ns2.example. 3600", "ns2.example. 3601")), "zonemd-digest");
    assert_eq!(check(&text.replace("ZONEMD 2018031900", "ZONEMD 2018031901")), "zonemd-serial");
    assert_eq!(check(&text.replace("ZONEMD 2018031900 1 1", "ZONEMD 2018031900 1 240")), "zonemd-unknown");
    let twice = text.replace(
        "ns1.example. 3600 A",
        "example. 86400 ZONEMD 2018031900 1 1 \
                a68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c\n\
                ns1.example. 3600 A",
    );
    assert!(check(&twice).contains("multiple-zonemd"));
}
