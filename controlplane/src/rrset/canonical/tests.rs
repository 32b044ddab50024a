//! Tests of canonical records: one line per text, accepted or refused.

use proptest::prelude::*;
use snapshot::dns::rdata::parse_text;
use snapshot::dns::rtype::Rtype;

use super::super::kinds::ACCEPTED;
use super::*;

/// Reads `text` and expects it to print as `printed`, which must be stable and mean the same in a zone file.
fn check(rtype: Rtype, text: &str, printed: &str) {
    let content = canonical(rtype, text).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
    assert_eq!(content.text, printed, "{rtype} {text}");
    assert_eq!(canonical(rtype, printed).as_ref(), Ok(&content), "{rtype} {text}");
    let read = parse_text(rtype, printed.as_bytes(), None);
    assert_eq!(read.as_ref(), Ok(&content.rdata), "{rtype} {printed}");
}

/// Checks `text => printed` lines.
fn check_all(rtype: Rtype, lines: &[(&str, &str)]) {
    for (text, printed) in lines {
        check(rtype, text, printed);
    }
}

/// Expects all of `texts` to be refused as malformed.
fn check_malformed(rtype: Rtype, texts: &[&str]) {
    for text in texts {
        let error = canonical(rtype, text).expect_err(text);
        let start = format!("Record content for type {rtype} malformed: ");
        assert!(error.to_string().starts_with(&start), "{rtype} {text}: {error}");
    }
}

/// Expects all of `texts` to be refused for a name that is not absolute.
fn check_relative(rtype: Rtype, texts: &[&str]) {
    for text in texts {
        let expected = "Hostname must be fully qualified (i.e., end in a dot: \"example.com.\")";
        assert_eq!(canonical(rtype, text).expect_err(text).to_string(), expected, "{rtype} {text}");
    }
}

/// Expects each text to be refused with the message beside it.
fn check_refused(rtype: Rtype, lines: &[(&str, &str)]) {
    for (text, message) in lines {
        assert_eq!(canonical(rtype, text).expect_err(text).to_string(), *message, "{rtype} {text}");
    }
}

#[test]
fn addresses() {
    check_all(
        Rtype::A,
        &[("127.0.0.1", "127.0.0.1"), (" 127.0.0.1 ; home", "127.0.0.1"), ("(127.0.0.1)", "127.0.0.1")],
    );
    check_malformed(
        Rtype::A,
        &[
            "127.000.000.001",
            "127.1",
            "0x7f.0.0.1",
            "127.0.0.256",
            "::1",
            "foobar",
            "",
            "1.2.3.4 5.6.7.8",
            "\"1.2.3.4\"",
        ],
    );
    check_all(
        Rtype::AAAA,
        &[
            ("::1", "::1"),
            ("0000::0001", "::1"),
            ("::ffff:127.0.0.1", "::ffff:7f00:1"),
            ("::ffff:0.0.0.0", "::ffff:0:0"),
            ("2001:DB8::128.2.129.4", "2001:db8::8002:8104"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ],
    );
    check_malformed(Rtype::AAAA, &["fe80::1%eth0", "1::2::3", "::g", "1:1:1:1:1:1:1:1:", "1.2.3.4"]);
    check_all(Rtype::L32, &[("010 10.1.2.0", "10 10.1.2.0")]);
    check_malformed(Rtype::L32, &["65536 10.1.2.0", "10 10.1.2", "-1 10.1.2.0"]);
    for rtype in [Rtype::L64, Rtype::NID] {
        check_all(rtype, &[("010 2001:0Db8:2140:ff20", "10 2001:0db8:2140:ff20")]);
        check_malformed(
            rtype,
            &["10 2001:db8:2140:ff20", "10 2001:0db8:2140", "10 2001:0db8:2140:ff20:0000", "10 ::1"],
        );
    }
    check_all(
        Rtype::APL,
        &[
            ("2:FF00:0:0:0:0::/8  !1:192.168.38.0/28", "2:ff00::/8 !1:192.168.38.0/28"),
            ("1:0.0.0.0/0", "1:0.0.0.0/0"),
            ("1:10.1.2.3/32", "1:10.1.2.3/32"),
            ("1:10.1.2.0/23", "1:10.1.2.0/23"),
        ],
    );
    check_malformed(
        Rtype::APL,
        &["1:10.1.2.3/8", "1:10.1.2.0/22", "2:ff00::1/127", "1:10.0.0.0/33", "2:::/129", "3:10.0.0.0/8", "10.0.0.0/8"],
    );
    check_all(Rtype::EUI48, &[("AA-bb-CC-dd-EE-ff", "aa-bb-cc-dd-ee-ff")]);
    check_all(Rtype::EUI64, &[("AA-bb-CC-dd-EE-ff-00-11", "aa-bb-cc-dd-ee-ff-00-11")]);
    check_malformed(Rtype::EUI48, &["aa:bb:cc:dd:ee:ff", "aa-bb-cc-dd-ee", "aa-bb-cc-dd-ee-gg"]);
    check_malformed(Rtype::EUI64, &["aa:bb:cc:dd:ee:ff:00:11", "aa-bb-cc-dd-ee-ff"]);
}

#[test]
fn names_of_hosts() {
    check_all(
        Rtype::MX,
        &[("010 Mail.Example.COM.", "10 Mail.Example.COM."), ("0 .", "0 ."), ("10 1.1.1.1.", "10 1.1.1.1.")],
    );
    check_all(Rtype::NS, &[("ns.Example.", "ns.Example."), ("127.0.0.1.", "127.0.0.1."), ("a--b.c.", "a--b.c.")]);
    check_all(Rtype::SRV, &[("0100 1 05061 Foo.Example.", "100 1 5061 Foo.Example."), ("0 0 0 .", "0 0 0 .")]);
    check_refused(
        Rtype::MX,
        &[
            ("10 _foo.bar.", "Cannot parse record contents: invalid exchange: _foo.bar."),
            ("10 *.bar.", "Cannot parse record contents: invalid exchange: *.bar."),
            ("10 -a.bar.", "Cannot parse record contents: invalid exchange: -a.bar."),
            ("10 a-.bar.", "Cannot parse record contents: invalid exchange: a-.bar."),
            ("10 a\\.b.bar.", "Cannot parse record contents: invalid exchange: a\\.b.bar."),
        ],
    );
    check_refused(
        Rtype::NS,
        &[
            (".", "Cannot parse record contents: invalid target: ."),
            ("_ns.bar.", "Cannot parse record contents: invalid target: _ns.bar."),
            ("*.bar.", "Cannot parse record contents: invalid target: *.bar."),
        ],
    );
    check_refused(Rtype::SRV, &[("0 0 0 _foo.bar.", "Cannot parse record contents: invalid target: _foo.bar.")]);
    check_relative(Rtype::MX, &["10 mail", "10 mail.example"]);
    check_relative(Rtype::NS, &["ns.example", "@"]);
    check_relative(Rtype::SRV, &["0 0 0 foo"]);
    check_malformed(Rtype::MX, &["65536 mail.", "mail.", "10 mail. x", "-1 mail.", "10 a..b."]);
    check_malformed(Rtype::SRV, &["0 0 65536 a.", "0 0 a.", "0 0 0 0 a."]);
}

#[test]
fn other_names() {
    check_all(
        Rtype::CNAME,
        &[
            ("EXAMPLE.Com.", "EXAMPLE.Com."),
            ("\\084\\069\\083\\084.", "TEST."),
            (".", "."),
            ("*._under-score.-foo_bar.x*y.net.", "*._under-score.-foo_bar.x*y.net."),
        ],
    );
    check_refused(
        Rtype::CNAME,
        &[
            ("a/b.example.", "Cannot parse record contents: invalid target: a/b.example."),
            ("a\\032b.", "Cannot parse record contents: invalid target: a\\032b."),
            ("a\\.b.", "Cannot parse record contents: invalid target: a\\.b."),
        ],
    );
    check_malformed(Rtype::CNAME, &["a b.", "10 example.com.", "\"example.com.\""]);
    for rtype in [Rtype::PTR, Rtype::DNAME] {
        check_all(rtype, &[("*.A\\000b/c.", "*.A\\000b/c."), (".", "."), ("_x.y.", "_x.y.")]);
        check_malformed(rtype, &["\"example.com.\"", "10 *.example.com.", "a. b.", "a..b.", ""]);
    }
    for rtype in [Rtype::CNAME, Rtype::PTR, Rtype::DNAME] {
        check_relative(rtype, &["example.com", "@"]);
    }
    let long = format!("{}.", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join("."));
    check_refused(Rtype::PTR, &[(&long, "Hostname must be no longer than 255 characters")]);
    check_all(Rtype::AFSDB, &[("02 Turquoise.FEMTO.edu.", "2 Turquoise.FEMTO.edu.")]);
    check_all(Rtype::KX, &[("010 Kx.example.", "10 Kx.example.")]);
    check_all(Rtype::LP, &[("010 L64.example.", "10 L64.example.")]);
    check_all(Rtype::RP, &[("Hostmaster.example.  .", "Hostmaster.example. .")]);
    for rtype in [Rtype::AFSDB, Rtype::KX, Rtype::LP] {
        check_relative(rtype, &["1 a"]);
        check_malformed(rtype, &["65536 a.", "a.", "1 a. b."]);
    }
    check_relative(Rtype::RP, &["a b.", "a. b"]);
    check_malformed(Rtype::RP, &["a."]);
}

#[test]
fn keys_and_digests() {
    for rtype in [Rtype::DNSKEY, Rtype::CDNSKEY] {
        check_all(
            rtype,
            &[
                ("0257 03 013 AwEA AQ ==", "257 3 13 AwEAAQ=="),
                ("257 3 ECDSAP256SHA256 AAAA", "257 3 13 AAAA"),
                ("0 3 0 AA==", "0 3 0 AA=="),
            ],
        );
        check_malformed(rtype, &["0 3 0 0", "257 3 13", "257 256 13 AAAA", "257 3 13 A?AA", "257 3 13 AAA"]);
    }
    let digest = "39A28D7C8A8AC40B9C2E4F2D3A1B0C9D8E7F60514233425160708192A3B4C5D6";
    for rtype in [Rtype::DS, Rtype::CDS, Rtype::DLV] {
        let lower = digest.to_lowercase();
        check_all(
            rtype,
            &[
                (&format!("06454 8 02 {} {}", &digest[..10], &digest[10..]), &format!("6454 8 2 {lower}")),
                (&format!("1 RSASHA256 2 {digest}"), &format!("1 8 2 {lower}")),
                ("6454 8 5 Aabb", "6454 8 5 aabb"),
            ],
        );
        check_malformed(
            rtype,
            &["6454 8 1 aabb", "6454 8 5 abc", "-1 8 5 aa", "6454 8 5", "6454 8 0 aabb", "6454 8 5 xx"],
        );
    }
    check_all(Rtype::CDS, &[("0 0 0 00", "0 0 0 00"), ("0 0 0 0 0", "0 0 0 00")]);
    check_all(Rtype::SSHFP, &[("02 2 AAbb cceeddff", "2 2 aabbcceeddff")]);
    check_malformed(Rtype::SSHFP, &["256 2 aa", "2 2 aab", "2 2 zz", "2 2"]);
    for rtype in [Rtype::TLSA, Rtype::SMIMEA] {
        check_all(rtype, &[("3 0001 1 000AAAAA AAABBAAAAAAA", "3 1 1 000aaaaaaaabbaaaaaaa")]);
        check_malformed(rtype, &["3 1 256 aa", "3 1 1 aab", "3 1 1 xy", "3 1 1"]);
    }
    check_all(
        Rtype::CERT,
        &[
            ("06 00 00 sadfee==", "6 0 0 sadfeQ=="),
            ("IPGP 0 0 sadfee==", "6 0 0 sadfeQ=="),
            ("6 0 RSASHA256 sad fQQ==", "6 0 8 sadfQQ=="),
        ],
    );
    check_malformed(Rtype::CERT, &["6 0 sadfee==", "6 0 0", "65536 0 0 AAAA"]);
    check_all(Rtype::DHCID, &[("aa aaa  aaaa a a a", "aaaaaaaaaaaa"), ("AAA=", "AAA=")]);
    check_malformed(Rtype::DHCID, &["x", "xx", "xxx", "?", "", "AA==AAAA"]);
    check_all(Rtype::OPENPGPKEY, &[("AAA A AC ==", "AAAAAA=="), ("(AA\nAA)", "AAAA"), ("AC===", "AA==")]);
    check_malformed(Rtype::OPENPGPKEY, &["1 2 3", "AAA", "\"AAAA\""]);
}

#[test]
fn strings() {
    for rtype in [Rtype::TXT, Rtype::SPF] {
        check_all(
            rtype,
            &[
                ("\"foo\"\"bar\"", "\"foo\" \"bar\""),
                ("  \"foo\"   \"bar\" ; baz", "\"foo\" \"bar\""),
                ("\"\u{fc}\"", "\"\\195\\188\""),
                ("\"a\tb\"", "\"a\\009b\""),
                ("\"\\a\\\"\\\\\\065\"", "\"a\\\"\\\\A\""),
                ("\"\"", "\"\""),
                ("\"\" \"a\"", "\"\" \"a\""),
                ("\"a;b(c)\"", "\"a;b(c)\""),
            ],
        );
        let (whole, rest) = ("x".repeat(255), "y".repeat(3));
        check_all(
            rtype,
            &[
                (&format!("\"{whole}\""), &format!("\"{whole}\"")),
                (&format!("\"{whole}{rest}\" \"z\""), &format!("\"{whole}\" \"{rest}\" \"z\"")),
                (&format!("\"{}\"", "\\007".repeat(256)), &format!("\"{}\" \"\\007\"", "\\007".repeat(255))),
                (&format!("\"{whole}\\\"\""), &format!("\"{whole}\" \"\\\"\"")),
            ],
        );
        let unquoted = format!("Data for {rtype} records must be given using quotation marks.");
        for text in ["foo", "v=spf1 -all", "\"a\" b", "foob\"ar\"", "\"foo\nbar\"", "\\# 2 0161"] {
            assert_eq!(canonical(rtype, text).expect_err(text).to_string(), unquoted, "{text}");
        }
        check_malformed(rtype, &["\"\\256\"", "\"abc", "", "\"\\12x\"", "; nothing"]);
    }
    check_all(
        Rtype::HINFO,
        &[("cpu os", "\"cpu\" \"os\""), ("\"cpu\"   \"my os\"", "\"cpu\" \"my os\""), ("\"\" \"\"", "\"\" \"\"")],
    );
    check_malformed(Rtype::HINFO, &["cpu", "a b c", &format!("\"{}\" os", "x".repeat(256))]);
    check_all(
        Rtype::CAA,
        &[
            ("0128 \"issue\" \"x\"", "128 issue \"x\""),
            ("0 issue x", "0 issue \"x\""),
            ("0 iSSue \"\"", "0 iSSue \"\""),
        ],
    );
    check_malformed(Rtype::CAA, &["256 issue \"x\"", "0 iss-ue \"x\"", "0 issue \"x\" \"y\"", "0 issue"]);
    check_all(Rtype::URI, &[("10 01 \"ftp://x/\"", "10 1 \"ftp://x/\""), ("10 1 ftp://x/", "10 1 \"ftp://x/\"")]);
    check_malformed(Rtype::URI, &["10 1 \"\"", "10 1", "65536 1 \"a\"", "10 1 a b"]);
    check_all(
        Rtype::NAPTR,
        &[
            (
                "100  050  s z3950+I2L+I2C \"\"  _z3950._tcp.Gatech.edu.",
                "100 50 \"s\" \"z3950+I2L+I2C\" \"\" _z3950._tcp.Gatech.edu.",
            ),
            ("1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .", "1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" ."),
        ],
    );
    check_relative(Rtype::NAPTR, &["1 2 \"u\" \"\" \"\" a"]);
    check_malformed(Rtype::NAPTR, &["1 2 \"u\" \"\" a.", "65536 2 \"u\" \"\" \"\" ."]);
}

#[test]
fn service_bindings() {
    for rtype in [Rtype::SVCB, Rtype::HTTPS] {
        check_all(
            rtype,
            &[
                ("0 Svc.Example.", "0 Svc.Example."),
                ("01 .", "1 ."),
                ("1 . port=0443 ALPN=\"h2,h3\"", "1 . alpn=h2,h3 port=443"),
                (
                    "2 Sv.Example. IPV6hint=2001:db8:00:0::1 ipv4hint=\"1.2.3.4,5.6.7.8\" mandatory=Port,alpn port=8 alpn=h2 no-default-alpn",
                    "2 Sv.Example. mandatory=alpn,port alpn=h2 no-default-alpn port=8 ipv4hint=1.2.3.4,5.6.7.8 ipv6hint=2001:db8::1",
                ),
                ("1 . ech=AAEC", "1 . ech=\"AAEC\""),
                ("1 . ech=\"AAEC\" mandatory=\"ECH\"", "1 . mandatory=ech ech=\"AAEC\""),
                ("1 . KEY667=hello key668 key9=\"a\\000 b\"", "1 . key9=\"a\\000 b\" key667=\"hello\" key668"),
                ("1 . key3=\"\\001\\002\"", "1 . port=258"),
                ("1 . alpn=\"a b\"", "1 . alpn=\"a b\""),
                ("1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
                ("1 . dohpath=/dns-query{?dns}", "1 . dohpath=\"/dns-query{?dns}\""),
                ("1 . ohttp", "1 . ohttp"),
                ("2 ech=. port=1", "2 ech=. port=1"),
                ("2 alpn=.Mandatory=A. alpn=\"a=b\"", "2 alpn=.Mandatory=A. alpn=a=b"),
            ],
        );
        check_relative(rtype, &["1 foo", "0 foo"]);
        check_malformed(
            rtype,
            &[
                "65536 .",
                "0 . port=1",
                "1 . port=1 port=2",
                "1 . Port=1 pORT=2",
                "1 . mandatory=alpn",
                "1 . port=65536",
                "1 . alpn=",
                "1 . nosuchkey=1",
                "1 . no-default-alpn",
                "1 . ipv4hint=::1",
                "1 . mandatory=mandatory",
                "1",
            ],
        );
    }
}

#[test]
fn places_and_types() {
    let full = "23 12 59.000 N 42 22 48.500 W 65.00m 20.00m 10.00m 10.00m";
    check_all(
        Rtype::LOC,
        &[
            (full, full),
            ("023 012 59 N 042 022 48.500 W 65.00m 20.00m 10.00m 10.00m", full),
            ("23 12 59 N 42 22 48.5 W 65m", "23 12 59.000 N 42 22 48.500 W 65.00m 1.00m 10000.00m 10.00m"),
            ("23 N 42 W 0", "23 0 0.000 N 42 0 0.000 W 0.00m 1.00m 10000.00m 10.00m"),
            ("23 12 N 42 22 W -5.5m 2m", "23 12 0.000 N 42 22 0.000 W -5.50m 2.00m 10000.00m 10.00m"),
        ],
    );
    check_malformed(
        Rtype::LOC,
        &["23 12 61 N 42 22 48.5 W 65m", "91 N 0 E 0", "23 12 59.000 N 42 22 48.500 W", "0 E 0 N 0"],
    );
    check_all(
        Rtype::CSYNC,
        &[("066 03  NS  AAAA A", "66 3 A NS AAAA"), ("66 3 TYPE1", "66 3 A"), ("0 0 type65000 mx", "0 0 MX TYPE65000")],
    );
    check_malformed(Rtype::CSYNC, &["66 65536 A", "66 3 NOSUCH", "66", "66 3 A A.B"]);
    check_malformed(Rtype::LOC, &["\\# 1 01"]);
    check_malformed(Rtype::APL, &["\\# 4 00030000"]);
}

#[test]
fn length_in_wire_format_is_bound() {
    let text = |len: usize| format!("\"{}\"", "x".repeat(len));
    // 250 whole strings have a length octet each.
    assert_eq!(canonical(Rtype::TXT, &text(63_750)).unwrap().rdata.len(), 64_000);
    let message = |len: usize| format!("Ensure this value has no more than 64000 byte in wire format (it has {len}).");
    assert_eq!(canonical(Rtype::TXT, &text(63_751)).unwrap_err().to_string(), message(64_002));
    assert_eq!(canonical(Rtype::TXT, &text(255_000)).unwrap_err().to_string(), message(256_000));
    let hex = format!("3 1 1 {}", "ab".repeat(64_000));
    assert_eq!(canonical(Rtype::TLSA, &hex).unwrap_err().to_string(), message(64_003));
    assert_eq!(canonical(Rtype::OPENPGPKEY, &"AAAA".repeat(25_000)).unwrap_err().to_string(), message(75_000));
}

/// A generic text of random octets for an accepted type.
fn any_generic() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    (proptest::sample::select(&ACCEPTED[..]), proptest::collection::vec(any::<u8>(), 0..40))
}

/// Words that records are made of, so that random lines have a chance.
const WORDS: [&str; 30] = [
    "0",
    "1",
    "010",
    "3",
    "13",
    "2",
    "a.",
    "Example.COM.",
    ".",
    "\"x y\"",
    "\"\"",
    "\"\\000\\\"\"",
    "AAAA",
    "aa-bb-cc-dd-ee-ff",
    "1.2.3.4",
    "2001:db8::1",
    "::ffff:1.2.3.4",
    "alpn=h2",
    "alpn=\"h 2\"",
    "port=01",
    "key9=\"a;b\"",
    "ech=AAAA",
    "(",
    ")",
    "A",
    "issue",
    "N",
    "E",
    "1:10.0.0.0/8",
    "0001:0002:0003:abCD",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn octets_that_are_a_record_have_a_stable_text((rtype, octets) in any_generic()) {
        let hex = data_encoding::HEXLOWER.encode(&octets);
        if let Ok(content) = canonical(rtype, &format!("\\# {} {hex}", octets.len())) {
            prop_assert_eq!(&content.rdata, &octets);
            check(rtype, &content.text, &content.text);
        }
    }

    #[test]
    fn words_that_are_a_record_have_a_stable_text(
        rtype in proptest::sample::select(&ACCEPTED[..]),
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 1..7),
    ) {
        if let Ok(content) = canonical(rtype, &words.join(" ")) {
            check(rtype, &content.text, &content.text);
        }
    }

    #[test]
    fn no_text_is_too_odd(rtype in proptest::sample::select(&ACCEPTED[..]), text in "\\PC{0,40}|[ -~\\n\\t]{0,60}") {
        if let Ok(content) = canonical(rtype, &text) {
            check(rtype, &content.text, &content.text);
        }
    }
}
