//! Our zone-file reader, our presentation format and our wire format against BIND's `named-compilezone`.
//!
//! Each line goes to BIND three times: as it is, as we print it, and as the octets we made of it in the form of RFC 3597.
//! BIND must read all three as the same record. It is part of the Debian package bind9-utils.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use snapshot::dns::rdata::Text;
use snapshot::dns::zonefile::{Generate, Options, Reader};

/// What every zone begins with.
const HEAD: &str =
    "$ORIGIN example.\n$TTL 300\n@ SOA ns hostmaster 1 7200 1800 1209600 300\n@ NS ns\nns A 192.0.2.53\n";

/// Lines without their owner that are hard to read, or easy to get wrong.
const RECORDS: &[&str] = &[
    "A 192.0.2.1",
    "1h30m IN A 192.0.2.1",
    "IN 2d A 192.0.2.1",
    "CLASS1 TYPE1 192.0.2.1",
    "A \\# 4 c0000201",
    "TYPE28 \\# 16 2001 0db8 00000000000000000000 0001",
    "AAAA 2001:DB8:0:0:1::1",
    "AAAA ::ffff:192.0.2.1",
    "AAAA ::",
    "NS sub",
    "NS a\\.b.c\\000d.",
    "CNAME @",
    "CNAME .",
    "CNAME \\195\\188-\\@\\$\\;\\\".x",
    "PTR x.y.z.",
    "MX 0 .",
    "MX ( 10 ; preference\n mail )",
    "TXT a b \"c d\"",
    "TXT \"\"",
    "TXT \"a;b\" c\\;d",
    "TXT \\255\\210\\000",
    "TXT \"\\\"quoted\\\" \\\\\"",
    "TXT ( \"one\"\n \"two\" ; three\n )",
    "TXT \"a\"\"b\"",
    "TXT \u{e9}",
    "TXT \"tab\there\"",
    "SPF \"v=spf1 -all\"",
    "HINFO \"PC\" Linux",
    "RP mbox txt",
    "AFSDB 1 db",
    "RT 1 relay",
    "PX 1 a b",
    "KX 1 kx",
    "SRV 0 65535 5060 sip",
    "NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" .",
    "NAPTR 1 2 \"\" \"\" \"\" target",
    "DNAME other",
    "URI 10 1 \"https://example.com/a b\"",
    "CAA 0 issue \"ca.example; policy=ev\"",
    "CAA 128 tbs Unknown",
    "CAA 0 iodef \"mailto:a@b\"",
    "CERT PKIX 1 RSASHA256 AQID",
    "DS 60485 RSASHA1 1 2BB183AF5F22588179A53B0A 98631FAD1A292118",
    "DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "DLV 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "DNSKEY 256 3 ECDSAP256SHA256 oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWzJaOau8XNEZeqCYKD5ar0IRd8 KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA==",
    "RRSIG A 5 3 86400 20300322173103 1045762263 2642 example. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DD",
    "NSEC Host.example. A MX RRSIG NSEC TYPE1234 TYPE65534",
    "NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
    "NSEC3 1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S",
    "NSEC3PARAM 1 0 12 aabbccdd",
    "TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF",
    "SMIMEA 3 1 1 00 ff",
    "SSHFP 4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "OPENPGPKEY AQIDBA==",
    "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "CSYNC 66 3 A NS AAAA",
    "ZONEMD 1 1 1 2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a",
    "NID 10 0014:4fff:ff20:ee64",
    "L32 10 10.1.2.0",
    "L64 10 2001:0db8:1140:1000",
    "LP 10 l64",
    "EUI48 00-00-5e-00-53-2A",
    "EUI64 00-00-5e-ef-10-00-00-2a",
    "SVCB 0 alias",
    "HTTPS 1 .",
    "HTTPS 16 foo port=53",
    "SVCB 1 . key667=hello",
    "SVCB 1 . key667=\"hello\\210qoo\"",
    "SVCB 1 . ipv6hint=\"2001:db8::1,2001:db8::53:1\"",
    "SVCB 16 foo (alpn=h2,h3-19 mandatory=ipv4hint,alpn\n ipv4hint=192.0.2.1)",
    "SVCB 16 foo. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
    "SVCB 16 foo. alpn=f\\\\\\092oo\\092,bar,h2",
    "HTTPS 1 . alpn=h3 no-default-alpn ech=AEj+DQ==",
    "SVCB 1 . dohpath=/dns-query{?dns}",
    "TYPE65280 \\# 0",
    "TYPE65280 \\# 3 ab C D01",
    "LOC \\# 16 00121613 80000000 80000000 00989680",
    "APL \\# 0",
    "LOC 42 N 71 W 0",
    "LOC 42 21 54 N 71 06 18 W -24m 30m",
    "LOC 52 14 05.5 S 00 08 50.123 E .5 0m 0.99m 12.34m",
    "LOC 90 N 180 E 42849672.95m 90000000m 90000000m 90000000.00m",
    "LOC 90 S 180 W -100000m",
    "LOC \\# 16 01121613 80000000 80000000 00989680",
    "APL",
    "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8",
    "APL 1:10.1.2.3/8 1:0.0.0.0/0 !2:::/0 2:::1/128",
    "APL \\# 4 00030000",
    "IPSECKEY 10 0 2 . AQID",
    "IPSECKEY 10 1 2 192.0.2.38 AQID",
    "IPSECKEY 10 2 2 2001:0DB8:0:8002::2000:1 AQID",
    "IPSECKEY 10 3 2 GateWay AQ ID",
    "AMTRELAY 0 0 0 .",
    "AMTRELAY 10 1 1 203.0.113.15",
    "AMTRELAY 10 0 2 2001:db8::15",
    "AMTRELAY 128 1 3 Relay",
    "AMTRELAY \\# 3 0a0400",
    "HIP 2 200100107B1A74DF365639CC39F1D578 AQID",
    "HIP ( 2 200100107b1a74df365639cc39f1d578 AQID\n Rvs1 rvs2.example.com. )",
    "WKS 192.0.2.1 TCP ftp telnet smtp domain",
    "WKS 192.0.2.1 udp 53 (65535 0)",
    "X25 311061700956",
    "ISDN 150862028003217 004",
    "ISDN 150862028003217",
    "NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000162.00",
    "NSAP-PTR Foo",
    "PX 10 map822 mapx400",
    "SIG SOA 5 3 86400 20300322173103 20300220173103 2642 Example. AQID",
    "KEY 512 DNSSEC RSASHA1 AQID",
    "KEY 49152 3 5",
    "RKEY 0 255 1 AQID",
    "GPOS -32.6882 116.8652 10.0",
    "NXT Next A MX SIG NXT",
    "EID 12 34",
    "NIMLOC 32 251A",
    "ATMA +61.2.00000000",
    "ATMA 39.246f.00",
    "A6 0 2001:db8::1",
    "A6 61 ffff:ffff::1:2 Prefix",
    "A6 128 p",
    "SINK 1 0 0 AQID",
    "SINK 1 0 0",
    "TALINK . h1",
    "NINFO foo \"bar baz\"",
    "AVC app-name:WOLFGANG|app-class:OAM",
    "DOA 0 1 2 \"\" -",
    "DOA 1234567890 1 2 image/gif AQ ID",
    "RESINFO qnamemin exterr=15-17",
    "WALLET BTC 1A1zP1",
    "TA 1 13 99 AB",
    "DSYNC CDS NOTIFY 5359 scanner",
    "HHIT AQID",
    "BRID AQ ID",
    "DNSKEY 257 DNSSEC ED25519 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
    "NSEC3PARAM SHA-1 0 0 -",
    "SVCB 0 alias alpn=h2",
    "SVCB 1 . key65535=x",
    "4294967295 A 192.0.2.1",
];

/// Whole entries that neither reads.
const REFUSED: &[&str] = &[
    "a A 192.0.2",
    "a A 192.0.2.256",
    "a A 192.0.2.1 junk",
    "a A \\# 3 c00002",
    "a AAAA 1::2::3",
    "a MX 65536 a",
    "a MX a",
    "a NS a..b",
    "a NS \"a\"",
    "a 1h30 A 192.0.2.1",
    "a CH A 192.0.2.1",
    "a FOO x",
    "a ANY \\# 0",
    "a TXT",
    "a TXT \\256",
    "a TXT \"open",
    "a TXT ( open",
    "a TXT )",
    "a DS 1 13 2 00",
    "a DNSKEY 257 3 13 AQ=",
    "a NSEC b FOO",
    "a NSEC3PARAM 1 0 0 abc",
    "a CAA 0 is-sue x",
    "a CAA 256 issue x",
    "a SVCB 1 . port=65536",
    "a SVCB 1 . port=1 port=1",
    "a SVCB 1 . mandatory=alpn",
    "a SVCB 1 . no-default-alpn",
    "a SVCB 1 . ipv4hint=",
    "a SVCB 1 . key007=x",
    "a LOC 91 N 0 E 0m",
    "a LOC 90 0 0.001 N 0 E 0m",
    "a LOC 1 60 N 0 E 0m",
    "a LOC 1 2 3.0001 N 0 E 0m",
    "a LOC 1 N 0 E",
    "a LOC 1 N 0 E 1.234m",
    "a LOC 1 N 0 E -100000.01m",
    "a LOC 1 N 0 E 0m 1 1 1 1",
    "a LOC \\# 16 00051613 80000000 80000000 00989680",
    "a APL 1:10.0.0.0/33",
    "a APL 1:10.0.0.0",
    "a APL 3:00/0",
    "a APL \\# 8 00010804 0a000000",
    "a IPSECKEY 10 0 2 gw AQID",
    "a IPSECKEY 10 4 2 gw AQID",
    "a AMTRELAY 10 2 0 .",
    "a AMTRELAY 10 0 4 .",
    "a HIP 2 ABC AQID",
    "a HIP 2 AA AQI",
    "a WKS 192.0.2.1 17 65536",
    "a X25 123",
    "a ISDN 1 2 3",
    "a NSAP 0x47.000580.5",
    "a NSAP 0x",
    "a NSAP 47",
    "a KEY 512 3 5",
    "a NXT b TYPE200",
    "a A6 64 ::1",
    "a A6 0 ::1 b",
    "a A6 129 b",
    "a DOA 0 1 2 x",
    "a ZONEMD 1 1 1 00",
    "a TYPE255 \\# 1 aa",
    "a TYPE65280 \\# 2 ab",
    "a TYPE65280 \\# 1 abc",
    "a TYPE65280 abc",
    "a 4294967296 A 192.0.2.1",
    "$FOO x",
    "$TTL x",
];

/// `$GENERATE` lines.
const GENERATED: &str = "$GENERATE 1-3 h$ A 192.0.2.$\n\
                         $GENERATE 0-20/10 h${100,5,d} 60 IN MX \"10 mx${0,3,x}\"\n\
                         $GENERATE 30-31 ${0,7,n}.ip6 PTR h${-30}\n\
                         $GENERATE 250-251 o${0,0,o}-${0,4,X} CNAME a$\n";

/// Reads a zone file with BIND and returns its records, one a line, sorted; the error is what BIND says.
fn compile_with_bind(directory: &Path, text: &str) -> Result<Vec<String>, String> {
    let input = directory.join("zone");
    let output = directory.join("zone.out");
    std::fs::write(&input, text).expect("the directory is ours");
    let ignore =
        ["-i", "none", "-k", "ignore", "-m", "ignore", "-n", "ignore", "-r", "ignore", "-M", "ignore", "-S", "ignore"];
    let result = Command::new("named-compilezone")
        .args(ignore)
        .args(["-s", "full", "-W", "ignore", "-o"])
        .arg(&output)
        .arg("example")
        .arg(&input)
        .output()
        .expect("named-compilezone cannot be run: install bind9-utils, this test compares with it");
    if !result.status.success() {
        return Err(String::from_utf8_lossy(&result.stdout).into_owned() + &String::from_utf8_lossy(&result.stderr));
    }
    let mut lines: Vec<String> =
        std::fs::read_to_string(&output).expect("BIND wrote it, in ASCII").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Reads a zone file with our reader and writes it as we print it and as octets.
fn rewrite(text: &str) -> (String, String) {
    let options = Options { generate: Generate::AtMost(100), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let (mut printed, mut octets) = (String::new(), String::new());
    while let Some(record) = reader.read().unwrap_or_else(|error| panic!("{text}: {error}")) {
        let head = format!("{} {} IN", record.owner, record.ttl_secs);
        writeln!(printed, "{head} {} {}", record.rtype, Text { rtype: record.rtype, rdata: record.rdata })
            .expect("a string takes all");
        let hex: String = record.rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(octets, "{head} TYPE{} \\# {} {hex}", record.rtype.0, record.rdata.len()).expect("a string takes all");
    }
    (printed, octets)
}

/// Compares what BIND makes of a zone file and of both our rewritings of it.
fn check_agreement(directory: &Path, text: &str) {
    let expected = compile_with_bind(directory, text).unwrap_or_else(|error| panic!("BIND refuses\n{text}{error}"));
    let (printed, octets) = rewrite(text);
    for rewritten in [printed, octets] {
        let lines = compile_with_bind(directory, &rewritten)
            .unwrap_or_else(|error| panic!("BIND refuses what we made of\n{text}\n{rewritten}{error}"));
        assert_eq!(lines, expected, "of {text}\nwe made {rewritten}");
    }
}

#[test]
fn records_are_read_as_bind_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = HEAD.to_owned();
    for (idx, record) in RECORDS.iter().enumerate() {
        writeln!(text, "r{idx} {record}").unwrap();
    }
    check_agreement(directory.path(), &text);
}

#[test]
fn generated_records_are_those_of_bind() {
    let directory = tempfile::tempdir().unwrap();
    check_agreement(directory.path(), &format!("{HEAD}{GENERATED}"));
}

#[test]
fn ttls_are_inherited_as_in_bind() {
    let directory = tempfile::tempdir().unwrap();
    for text in [
        "$ORIGIN example.\n@ 1d SOA ns h 1 2 3 4 300\n NS ns\nns A 192.0.2.53\na 7 A 192.0.2.1\nb A 192.0.2.1\n",
        "$ORIGIN example.\n@ 9 SOA ns h 1 2 3 4 300\n NS ns\nns 7 A 192.0.2.53\nb A 192.0.2.1\n$TTL 1w\nc A 192.0.2.1\n",
        "$ORIGIN .\n$TTL 1h\nexample SOA ns.example h 1 2 3 4 300\n NS ns.example\nns.example A 192.0.2.53\n$ORIGIN example.\n$ORIGIN sub\nc A 192.0.2.1\r\n",
    ] {
        check_agreement(directory.path(), text);
    }
}

#[test]
fn what_bind_refuses_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut accepted = BTreeMap::new();
    for line in REFUSED {
        let text = format!("{HEAD}{line}\n");
        if compile_with_bind(directory.path(), &text).is_ok() {
            accepted.insert(line, "BIND");
        }
        let mut reader = Reader::new(text.as_bytes(), Options::default());
        let result = loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(()) => assert_eq!(accepted.insert(line, "we"), None, "both read {line}"),
            Err(error) => assert!(error.line >= 6, "{line}: {error}"),
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}
