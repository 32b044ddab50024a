//! Tests of RDATA in all its formats.

use std::borrow::Cow;

use proptest::prelude::*;

use super::table::{Empty, Field, Format, NameUse, ROWS};
use super::*;
use crate::dns::name::{Name, NameError};
use crate::dns::rtype::Rtype;

/// Reads text relative to `example.`.
pub(super) fn read(rtype: Rtype, text: &str) -> Result<Vec<u8>, ParseError> {
    let origin: Name = "example.".parse().unwrap();
    parse_text(rtype, text.as_bytes(), Some(origin.as_ref()))
}

/// Reads text, expects it to print as `printed`, and the print to read to the same octets.
pub(super) fn check_text(rtype: Rtype, text: &str, printed: &str) {
    let rdata = read(rtype, text).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
    check(rtype, &rdata).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
    assert_eq!(Text { rtype, rdata: &rdata }.to_string(), printed, "{rtype} {text}");
    assert_eq!(read(rtype, printed).as_ref(), Ok(&rdata), "{rtype} {printed}");
    let generic = format!("\\# {} {}", rdata.len(), data_encoding::HEXLOWER.encode(&rdata));
    assert_eq!(read(rtype, &generic).as_ref(), Ok(&rdata), "{rtype} {generic}");
}

/// Text that is refused, at which token, and what the message says.
pub(super) fn check_refused(rtype: Rtype, text: &str, token_idx: usize, message: &str) {
    let error = read(rtype, text).expect_err(text);
    assert_eq!((error.token_idx, error.to_string().as_str()), (token_idx, message), "{rtype} {text}");
}

#[test]
fn addresses_names_and_numbers_are_printed_in_canonical_text() {
    for (rtype, text, printed) in [
        (Rtype::A, "192.0.2.1", "192.0.2.1"),
        (Rtype::AAAA, "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        (Rtype::AAAA, "::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        (Rtype::AAAA, "2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
        (Rtype::NS, "ns1", "ns1.example."),
        (Rtype::NS, "@", "example."),
        (Rtype::NS, ".", "."),
        (Rtype::CNAME, "a\\.b.C\\000\\255.", "a\\.b.C\\000\\255."),
        (Rtype::CNAME, "\u{fc}.", "\\195\\188."),
        (Rtype::SOA, "ns hostmaster 1 2h 30m 2W 5m", "ns.example. hostmaster.example. 1 7200 1800 1209600 300"),
        (Rtype::SOA, ". . 4294967295 0 0 0 4294967295", ". . 4294967295 0 0 0 4294967295"),
        (Rtype::MX, "10 mail", "10 mail.example."),
        (Rtype::SRV, "0 65535 5060 sip", "0 65535 5060 sip.example."),
        (Rtype::RP, "a b", "a.example. b.example."),
        (Rtype::AFSDB, "1 db", "1 db.example."),
        (Rtype::DNAME, "other.", "other."),
        (Rtype::NAPTR, "100 10 u E2U+sip \"!^.*$!sip:\\\\1!\" .", "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:\\\\1!\" ."),
        (Rtype::URI, "10 1 \"ftp://ftp1.example.com/public\"", "10 1 \"ftp://ftp1.example.com/public\""),
        (Rtype::CAA, "0 issue \"ca.example; a=b\"", "0 issue \"ca.example; a=b\""),
        (Rtype::CAA, "0 \"issue\" \"ca\"", "0 issue \"ca\""),
        (Rtype::CAA, "128 iSSue ca", "128 iSSue \"ca\""),
        (Rtype::CAA, "0 issue \"\"", "0 issue \"\""),
        (Rtype::EUI48, "00-00-5E-00-53-2a", "00-00-5e-00-53-2a"),
        (Rtype::EUI64, "00-00-5e-ef-10-00-00-2a", "00-00-5e-ef-10-00-00-2a"),
        (Rtype::NID, "10 14:4fff:FF20:ee64", "10 0014:4fff:ff20:ee64"),
        (Rtype::L32, "10 10.1.2.0", "10 10.1.2.0"),
        (Rtype::LP, "10 l64", "10 l64.example."),
    ] {
        check_text(rtype, text, printed);
    }
}

#[test]
fn strings_keep_every_octet() {
    let long = "x".repeat(255);
    for (text, printed) in [
        ("a", "\"a\""),
        ("a b \"c d\"", "\"a\" \"b\" \"c d\""),
        ("\"\"", "\"\""),
        ("\"a\"\"b\"", "\"a\" \"b\""),
        ("a\"b\"", "\"a\" \"b\""),
        ("a\\;b", "\"a;b\""),
        ("a\\ b", "\"a b\""),
        ("\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""),
        ("\\255\\210\\000\\127", "\"\\255\\210\\000\\127\""),
        ("\u{e9}", "\"\\195\\169\""),
        ("( \"in (parens)\"\n ; comment\n two )", "\"in (parens)\" \"two\""),
        (&long, &format!("\"{long}\"")),
    ] {
        check_text(Rtype::TXT, text, printed);
        check_text(Rtype::SPF, text, printed);
    }
    check_text(Rtype::HINFO, "PC-Intel-700mhz \"Redhat Linux\"", "\"PC-Intel-700mhz\" \"Redhat Linux\"");
    check_refused(Rtype::TXT, "", 0, "expected a string of at most 255 octets, found the end of the record");
    let wanted = format!("expected a string of at most 255 octets, found `{}...`", "x".repeat(48));
    check_refused(Rtype::TXT, &format!("a {long}x"), 1, &wanted);
    check_refused(Rtype::TXT, "a \\256", 1, "expected a string with escapes \\X or \\DDD up to 255, found `\\256`");
    check_refused(Rtype::TXT, "\\25", 0, "expected a string with escapes \\X or \\DDD up to 255, found `\\25`");
}

#[test]
fn dnssec_types_are_read_and_printed() {
    let digest = "2BB183AF5F22588179A53B0A98631FAD1A292118";
    let sha256 = "AB".repeat(32);
    for (rtype, text, printed) in [
        (
            Rtype::DS,
            "60485 RSASHA1 SHA-1 ( 2BB183AF5F22588179A5\n 3B0A98631FAD1A292118 )".to_owned(),
            format!("60485 5 1 {digest}"),
        ),
        (Rtype::CDS, "0 0 0 00".to_owned(), "0 0 0 00".to_owned()),
        (Rtype::CDS, format!("1 13 2 {sha256}"), format!("1 13 2 {sha256}")),
        (Rtype::DLV, format!("1 ecdsap256sha256 2 {sha256}"), format!("1 13 2 {sha256}")),
        (Rtype::CDNSKEY, "0 3 0 AA==".to_owned(), "0 3 0 AA==".to_owned()),
        (Rtype::DNSKEY, "257 3 ED25519 AQ P/ /w==".to_owned(), "257 3 15 AQP//w==".to_owned()),
        (Rtype::NSEC, "host A MX RRSIG NSEC TYPE1234".to_owned(), "host.example. A MX RRSIG NSEC TYPE1234".to_owned()),
        (Rtype::NSEC, "host".to_owned(), "host.example.".to_owned()),
        (Rtype::NSEC, ". NSEC a A".to_owned(), ". A NSEC".to_owned()),
        (Rtype::NSEC3PARAM, "SHA-1 0 0 -".to_owned(), "1 0 0 -".to_owned()),
        (Rtype::NSEC3PARAM, "1 0 0 -".to_owned(), "1 0 0 -".to_owned()),
        (Rtype::NSEC3PARAM, "1 0 12 aabbccdd".to_owned(), "1 0 12 AABBCCDD".to_owned()),
        (
            Rtype::NSEC3,
            "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG".to_owned(),
            "1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG".to_owned(),
        ),
        (
            Rtype::RRSIG,
            "A 5 3 86400 20030322173103 1045762263 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTr".to_owned(),
            "A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTr"
                .to_owned(),
        ),
        (Rtype::TLSA, "3 1 1 ab CD 0 1".to_owned(), "3 1 1 ABCD01".to_owned()),
        (
            Rtype::SSHFP,
            "2 1 123456789abcdef67890123456789abcdef67890".to_owned(),
            "2 1 123456789ABCDEF67890123456789ABCDEF67890".to_owned(),
        ),
        (Rtype::CSYNC, "66 3 A NS AAAA".to_owned(), "66 3 A NS AAAA".to_owned()),
        (Rtype::CSYNC, "66 3".to_owned(), "66 3".to_owned()),
        (Rtype::CERT, "PKIX 1 RSASHA256 AQ==".to_owned(), "1 1 8 AQ==".to_owned()),
    ] {
        check_text(rtype, &text, &printed);
    }
}

#[test]
fn service_bindings_follow_rfc_9460() {
    for (text, printed) in [
        ("0 foo.example.com.", "0 foo.example.com."),
        ("1 .", "1 ."),
        ("16 foo port=53", "16 foo.example. port=53"),
        ("1 . key667=hello", "1 . key667=\"hello\""),
        ("1 . key667=\"hello\\210qoo\"", "1 . key667=\"hello\\210qoo\""),
        ("1 . key667", "1 . key667"),
        ("1 . ipv6hint=\"2001:db8::1,2001:db8::53:1\"", "1 . ipv6hint=2001:db8::1,2001:db8::53:1"),
        (
            "16 foo. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
            "16 foo. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1",
        ),
        ("16 foo. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "16 foo. alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
        ("16 foo. alpn=f\\\\\\092oo\\092,bar,h2", "16 foo. alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
        ("1 . alpn=h3 no-default-alpn", "1 . alpn=\"h3\" no-default-alpn"),
        ("1 . no-default-alpn=\"\" alpn=\"h3\"", "1 . alpn=\"h3\" no-default-alpn"),
        ("1 . ech=AEj+DQ==", "1 . ech=AEj+DQ=="),
        ("1 . dohpath=/dns-query{?dns}", "1 . dohpath=\"/dns-query{?dns}\""),
        ("1 . ohttp", "1 . ohttp"),
        ("1 . key3=\\000\\053", "1 . port=53"),
        ("1 . key65534", "1 . key65534"),
        ("1 . key65535=x", "1 . key65535=\"x\""),
        ("0 . alpn=h2", "0 . alpn=\"h2\""),
        ("0 . mandatory=port", "0 . mandatory=port"),
    ] {
        check_text(Rtype::SVCB, text, printed);
        check_text(Rtype::HTTPS, text, printed);
    }
    for (text, token_idx, message) in [
        ("1 . port=1 port=1", 3, "expected each service parameter once, found `port=1`"),
        ("1 . port=65536", 2, "expected a port from 0 to 65535, found `port=65536`"),
        ("1 . port", 2, "expected a port from 0 to 65535, found `port`"),
        ("1 . alpn", 2, "expected protocol identifiers of 1 to 255 octets, found `alpn`"),
        ("1 . alpn=h2,,h3", 2, "expected protocol identifiers of 1 to 255 octets, found `alpn=h2,,h3`"),
        ("1 . no-default-alpn", 2, "expected alpn beside no-default-alpn, found `no-default-alpn`"),
        ("1 . no-default-alpn=x alpn=h2", 2, "expected no value, found `no-default-alpn=x`"),
        ("1 . mandatory=alpn", 2, "expected every parameter that is mandatory, found `mandatory=alpn`"),
        ("1 . mandatory=mandatory", 2, "expected different keys other than mandatory, found `mandatory=mandatory`"),
        (
            "1 . mandatory=port,port port=1",
            2,
            "expected different keys other than mandatory, found `mandatory=port,port`",
        ),
        ("1 . ipv4hint=", 2, "expected IPv4 addresses with commas between, found `ipv4hint=`"),
        ("1 . ipv6hint=1.2.3.4", 2, "expected IPv6 addresses with commas between, found `ipv6hint=1.2.3.4`"),
        ("1 . ech=AEj+D", 2, "expected octets in base64, found `ech=AEj+D`"),
        ("1 . key65536", 2, "expected the name of a service parameter, or keyNNNNN, found `key65536`"),
        ("1 . key007=x", 2, "expected the name of a service parameter, or keyNNNNN, found `key007=x`"),
        ("1 . ALPN=h2", 2, "expected the name of a service parameter, or keyNNNNN, found `ALPN=h2`"),
        ("1 . key3=x", 2, "expected a port of two octets, found `key3=x`"),
        ("1 . dohpath=/q", 2, "expected a path template in UTF-8 with the variable dns, found `dohpath=/q`"),
        ("1 . \"port=1\"", 2, "expected a service parameter, found `\"port=1\"`"),
        ("1 . port= \"1\"", 2, "expected a port from 0 to 65535, found `port=`"),
    ] {
        check_refused(Rtype::HTTPS, text, token_idx, message);
    }
}

#[test]
fn what_does_not_fit_is_refused_at_its_token() {
    for (rtype, text, token_idx, message) in [
        (Rtype::A, "10.0.0", 0, "expected an IPv4 address, found `10.0.0`"),
        (Rtype::A, "10.0.0.01", 0, "expected an IPv4 address, found `10.0.0.01`"),
        (Rtype::A, "10.0.0.256", 0, "expected an IPv4 address, found `10.0.0.256`"),
        (Rtype::A, "10.0.0.1 x", 1, "expected the end of the record, found `x`"),
        (Rtype::A, "", 0, "expected an IPv4 address, found the end of the record"),
        (Rtype::A, "\"10.0.0.1\"", 0, "expected an IPv4 address, found `\"10.0.0.1\"`"),
        (Rtype::AAAA, "fe80::1%eth0", 0, "expected an IPv6 address, found `fe80::1%eth0`"),
        (Rtype::MX, "65536 a", 0, "expected a number from 0 to 65535, found `65536`"),
        (Rtype::MX, "-1 a", 0, "expected a number from 0 to 65535, found `-1`"),
        (Rtype::MX, "10", 1, "expected a domain name, found the end of the record"),
        (Rtype::MX, "10 a..b", 1, "expected a domain name, found `a..b` (label is empty)"),
        (Rtype::NS, "\"a\"", 0, "expected a domain name, found `\"a\"`"),
        (Rtype::SOA, ". . 4294967296 1 1 1 1", 2, "expected a number from 0 to 4294967295, found `4294967296`"),
        (Rtype::SOA, ". . 1 1 1 1 1h30", 6, "expected seconds, or a time such as 1h30m, found `1h30`"),
        (Rtype::DS, "1 5 1 ABC", 3, "expected octets in hex, found `ABC`"),
        (Rtype::DS, "1 5 1 AB XY", 4, "expected octets in hex, found `XY`"),
        (Rtype::DS, "1 5 1 ABCD", 3, "expected a SHA-1 digest of 20 octets, found `ABCD`"),
        (Rtype::DS, "1 NOALG 1 ABCD", 1, "expected a mnemonic or a number from 0 to 255, found `NOALG`"),
        (Rtype::DNSKEY, "257 3 8 AQ=", 3, "expected octets in base64, found `AQ=`"),
        (Rtype::DNSKEY, "257 3 8 AR==", 3, "expected octets in base64, found `AR==`"),
        (Rtype::DNSKEY, "257 3 8", 3, "expected octets in base64, found the end of the record"),
        (Rtype::NSEC, "a A FOO", 2, "expected an RR type, found `FOO`"),
        (Rtype::NSEC3PARAM, "1 0 0 ABC", 3, "expected a salt of at most 255 octets in hex, or -, found `ABC`"),
        (
            Rtype::NSEC3,
            "1 0 0 - 2V A",
            4,
            "expected a hash of at most 255 octets in base32hex without padding, found `2V`",
        ),
        (Rtype::CAA, "0 \"\" x", 1, "expected a tag of letters and digits, found `\"\"`"),
        (Rtype::CAA, "0 is-sue x", 1, "expected a tag of letters and digits, found `is-sue`"),
        (Rtype::URI, "1 1 \"\"", 2, "expected a string that is not empty, found `\"\"`"),
        (Rtype::EUI48, "00-00-5e-00-53", 0, "expected pairs of hex digits with dashes between, found `00-00-5e-00-53`"),
        (Rtype(65280), "abc", 0, "expected \\# with the octets of TYPE65280 in hex, found `abc`"),
        (Rtype::NULL, "", 0, "expected \\# with the octets of NULL in hex, found the end of the record"),
        (Rtype(65280), "\\# 2 AB", 1, "expected the count of the octets that follow, found `2`"),
        (Rtype(65280), "\\# 65536", 1, "expected the count of octets, 0 to 65535, found `65536`"),
        (Rtype(65280), "\\# 1 A", 2, "expected octets in hex, found `A`"),
        (Rtype(65280), "\\# 1", 1, "expected the count of the octets that follow, found `1`"),
        (Rtype::A, "\\# 3 010203", 2, "expected octets of a valid A (rdata ends early), found `010203`"),
        (Rtype::A, "\\# 0", 1, "expected octets of a valid A (rdata ends early), found `0`"),
        (Rtype::A, "a\nb", 0, "line break outside parentheses"),
    ] {
        check_refused(rtype, text, token_idx, message);
    }
}

#[test]
fn unknown_types_are_octets() {
    check_text(Rtype(65280), "\\# 0", "\\# 0");
    check_text(Rtype(65280), "\\# 3 ab C D01", "\\# 3 ABCD01");
    check_text(Rtype::NULL, "\\# 1 ff", "\\# 1 FF");
    let text = Text { rtype: Rtype::A, rdata: b"abc" }.to_string();
    assert_eq!(text, "\\# 3 616263", "what is malformed is shown as octets");
}

#[test]
fn wire_format_is_checked_strictly() {
    for (rtype, rdata, expected) in [
        (Rtype::A, &b"\x01\x02\x03\x04\x05"[..], RdataError::Trailing),
        (Rtype::NS, b"\xc0\x0c", RdataError::Name(NameError::LabelType(0xc0))),
        (Rtype::TXT, b"", RdataError::Short),
        (Rtype::TXT, b"\x02a", RdataError::Short),
        (Rtype::TXT, b"\x01a\x01", RdataError::Short),
        (Rtype::HINFO, b"\x01a", RdataError::Short),
        (Rtype::NSEC, b"\0\0\0", RdataError::Field("a type bitmap window of 1 to 32 octets")),
        (Rtype::NSEC, b"\0\0\x21", RdataError::Field("a type bitmap window of 1 to 32 octets")),
        (Rtype::NSEC, b"\0\0\x02\x40\0", RdataError::Field("a type bitmap window without trailing zero octets")),
        (Rtype::NSEC, b"\0\x01\x01\x40\0\x01\x40", RdataError::Field("type bitmap windows in ascending order")),
        (Rtype::NSEC, b"\0\0\x01\x40\0\x01\x40", RdataError::Field("type bitmap windows in ascending order")),
        (Rtype::NSEC, b"\0\0\x02\x40", RdataError::Field("a whole type bitmap window")),
        (Rtype::NSEC3, b"\x01\0\0\0\0\0", RdataError::Field("a hash of one octet at least")),
        (Rtype::CAA, b"\0\0", RdataError::Field("a tag of one letter or digit at least")),
        (Rtype::CAA, b"\0\x01-", RdataError::Field("a tag of letters and digits")),
        (
            Rtype::SVCB,
            b"\0\x01\0\0\x03\0\x02\0\x35\0\x01\0\x03\x02h2",
            RdataError::Field("service parameters in ascending order"),
        ),
        (Rtype::SVCB, b"\0\x01\0\0\x03\0\x03\0\x35", RdataError::Short),
        (Rtype::SVCB, b"\0\x01\0\0\0\0\x02\0\x03", RdataError::Field("every parameter that is mandatory")),
    ] {
        assert_eq!(check(rtype, rdata), Err(expected), "{rtype} {rdata:?}");
    }
    assert_eq!(check(Rtype(65280), &[0; RDATA_LEN_MAX + 1]), Err(RdataError::Long));
}

#[test]
fn only_listed_types_are_lower_cased_and_compressed() {
    let name = b"\x01A\0";
    for (rtype, before, after, lower, compress) in [
        (Rtype::NS, &b""[..], &b""[..], "yes", Compress::Allowed),
        (Rtype::MX, b"\x41\x42", b"", "yes", Compress::Allowed),
        (Rtype::SRV, b"\x41\x42\x43\x44\x45\x46", b"", "yes", Compress::Forbidden),
        (Rtype::DNAME, b"", b"", "yes", Compress::Forbidden),
        (Rtype::KX, b"AB", b"", "yes", Compress::Forbidden),
        (Rtype::NSEC, b"", b"\0\x01\x42", "no", Compress::Forbidden),
        (Rtype::SVCB, b"\x41\x42", b"", "no", Compress::Forbidden),
        (Rtype::RRSIG, b"AAAAAAAAAAAAAAAAAA", b"ABC", "yes", Compress::Forbidden),
    ] {
        let rdata = [before, name, after].concat();
        let spans: Vec<NameSpan> = names(rtype, &rdata).collect();
        assert_eq!(spans, [NameSpan { off: before.len(), len: 3, compress }], "{rtype}");
        let mut out = b"before".to_vec();
        canonical(rtype, &rdata, &mut out);
        let expected = if lower == "yes" { b"\x01a\0" } else { name };
        assert_eq!(out, [b"before", before, expected, after].concat(), "{rtype}");
        assert_eq!(*canonical_rdata(rtype, &rdata), out[b"before".len()..], "{rtype}");
    }
    for (rtype, rdata) in [(Rtype::NS, &b"\x01a\0"[..]), (Rtype::MX, b"AB\x01a\0"), (Rtype::NSEC, b"\x01A\0\0\x01\x40")]
    {
        assert!(matches!(canonical_rdata(rtype, rdata), Cow::Borrowed(same) if same == rdata), "{rtype}");
    }
    assert_eq!(names(Rtype::SOA, b"\x01a\0\0aaaaaaaaaaaaaaaaaaaa").count(), 2);
    assert_eq!(names(Rtype::TXT, b"\x01a").count(), 0);
    assert_eq!(names(Rtype(65280), b"\x01a\0").count(), 0);
}

/// Random octets of a field.
fn field(field: Field) -> BoxedStrategy<Vec<u8>> {
    let octets = |range| proptest::collection::vec(any::<u8>(), range);
    let counted =
        move |range| octets(range).prop_map(|octets| [&[u8::try_from(octets.len()).unwrap()], &octets[..]].concat());
    match field {
        Field::Name(_) => proptest::collection::vec(counted(1..8), 0..6)
            .prop_map(|labels| [labels.concat(), vec![0]].concat())
            .boxed(),
        Field::OptionalName(_) => self::field(Field::Name(NameUse::Lower)),
        Field::OptionalCharString => self::field(Field::CharString),
        Field::U64 => octets(8..9).boxed(),
        Field::Shape(_) => octets(0..40).boxed(),
        Field::U8 | Field::Code8(_) => octets(1..2).boxed(),
        Field::U16 | Field::Code16(_) | Field::Type => octets(2..3).boxed(),
        Field::U32 | Field::Seconds | Field::Time | Field::Ip4 => octets(4..5).boxed(),
        Field::Groups64 => octets(8..9).boxed(),
        Field::Ip6 => octets(16..17).boxed(),
        Field::Eui(len) => octets(len..len + 1).boxed(),
        Field::CharString | Field::Salt => counted(0..256).boxed(),
        Field::CharStrings => {
            proptest::collection::vec(counted(0..40), 1..5).prop_map(|strings| strings.concat()).boxed()
        }
        Field::Tag => {
            "[a-zA-Z0-9]{1,15}".prop_map(|tag| [&[u8::try_from(tag.len()).unwrap()], tag.as_bytes()].concat()).boxed()
        }
        Field::NextHash => counted(1..40).boxed(),
        Field::Text(Empty::Allowed) => octets(0..400).boxed(),
        Field::Text(Empty::Refused) | Field::Hex | Field::Base64(_) => octets(1..400).boxed(),
        Field::Bitmap => proptest::collection::btree_set(any::<u16>(), 1..20)
            .prop_map(|types| {
                let types: Vec<String> = types.into_iter().map(|code| format!("TYPE{code}")).collect();
                read(Rtype::NSEC, &format!(". {}", types.join(" "))).unwrap()[1..].to_vec()
            })
            .boxed(),
        Field::SvcParams => proptest::collection::btree_map(9..65535u16, octets(0..30), 0..5)
            .prop_map(|params| {
                let param = |(key, value): (u16, Vec<u8>)| {
                    [&key.to_be_bytes(), &u16::try_from(value.len()).unwrap().to_be_bytes(), &value[..]].concat()
                };
                params.into_iter().flat_map(param).collect()
            })
            .boxed(),
        Field::Rule(_) => Just(Vec::new()).boxed(),
    }
}

/// Random RDATA of any type in the table, mostly valid.
fn any_rdata() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    (0..ROWS.len()).prop_flat_map(|idx| {
        let row = &ROWS[idx];
        let fields: Vec<_> = match row.format {
            Format::Fields(fields) | Format::FieldsIf(_, fields) => fields.iter().map(|&kind| field(kind)).collect(),
            Format::Opaque => vec![proptest::collection::vec(any::<u8>(), 0..100).boxed()],
        };
        fields.prop_map(move |octets| (row.rtype, octets.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn what_is_printed_is_read_to_the_same_octets((rtype, rdata) in any_rdata()) {
        // Rules over fields, such as digest lengths, refuse some of what the fields allow.
        prop_assume!(check(rtype, &rdata).is_ok());
        let text = Text { rtype, rdata: &rdata }.to_string();
        prop_assert_eq!(parse_text(rtype, text.as_bytes(), None), Ok(rdata.clone()), "{}", text);
        prop_assert_eq!(expand(rtype, &rdata, 0..rdata.len()), Ok(rdata.clone()));
        let mut lower = Vec::new();
        canonical(rtype, &rdata, &mut lower);
        prop_assert!(lower.eq_ignore_ascii_case(&rdata));
        prop_assert_eq!(&*canonical_rdata(rtype, &rdata), &lower[..]);
        for NameSpan { off, len, .. } in names(rtype, &rdata) {
            prop_assert!(Name::from_wire(&rdata[off..off + len]).is_ok());
        }
    }

    #[test]
    fn no_octets_upset_any_function(idx in 0..ROWS.len(), rdata in proptest::collection::vec(any::<u8>(), 0..80)) {
        let rtype = ROWS[idx].rtype;
        let text = Text { rtype, rdata: &rdata }.to_string();
        prop_assert_eq!(check(rtype, &rdata).is_ok(), parse_text(rtype, text.as_bytes(), None).is_ok());
        canonical(rtype, &rdata, &mut Vec::new());
        prop_assert!(names(rtype, &rdata).all(|span| span.off + span.len <= rdata.len()));
        if let Ok(expanded) = expand(rtype, &rdata, 0..rdata.len()) {
            prop_assert_eq!(check(rtype, &expanded), Ok(()));
        }
    }

    #[test]
    fn no_text_upsets_the_reader(idx in 0..ROWS.len(), text in "[ -~\\n]{0,60}") {
        let rtype = ROWS[idx].rtype;
        if let Ok(rdata) = parse_text(rtype, text.as_bytes(), None) {
            prop_assert_eq!(check(rtype, &rdata), Ok(()));
        }
    }
}
