//! Tests of the types whose format no other shares, and of those that only history has a use for.

use crate::dns::name::NameError;
use crate::dns::rdata::tests::{check_refused, check_text, read};
use crate::dns::rdata::{RdataError, Text, canonical_rdata, check, names};
use crate::dns::rtype::Rtype;

/// RDATA in hex that is not as its type wants it.
fn check_malformed(rtype: Rtype, hex: &str, expected: RdataError) {
    let rdata = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    assert_eq!(check(rtype, &rdata), Err(expected), "{rtype} {hex}");
}

/// RDATA in hex of a kind that has no text: it passes and is printed as octets.
fn check_octets(rtype: Rtype, hex: &str) {
    let text = format!("\\# {} {}", hex.len() / 2, hex.to_uppercase());
    check_text(rtype, &text, &text);
}

#[test]
fn places_are_read_with_and_without_defaults() {
    for (text, printed) in [
        ("42 21 54 N 71 06 18 W -24m 30m", "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"),
        ("42 N 71 W 0", "42 0 0.000 N 71 0 0.000 W 0.00m 1.00m 10000.00m 10.00m"),
        ("32 7 19 S 116 2 25 E 10m", "32 7 19.000 S 116 2 25.000 E 10.00m 1.00m 10000.00m 10.00m"),
        ("0 59 59.999 S 0 0 0.001 W .5m 0m", "0 59 59.999 S 0 0 0.001 W 0.50m 0.00m 10000.00m 10.00m"),
        ("0 0 .5 N 0 0 7. E +5.m 1 2 3", "0 0 0.500 N 0 0 7.000 E 5.00m 1.00m 2.00m 3.00m"),
        (
            "90 N 180 E 42849672.95m 90000000m 0.01m 0.09m",
            "90 0 0.000 N 180 0 0.000 E 42849672.95m 90000000.00m 0.01m 0.09m",
        ),
        ("90 S 180 W -100000m 12.34m", "90 0 0.000 S 180 0 0.000 W -100000.00m 10.00m 10000.00m 10.00m"),
        ("\\# 16 00121613 80000000 80000000 00989680", "0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m"),
    ] {
        check_text(Rtype::LOC, text, printed);
    }
    check_octets(Rtype::LOC, "01");
    check_octets(Rtype::LOC, "0112161380000000800000000098968000");
    for (text, token_idx, message) in [
        ("", 0, "expected degrees, up to 90 or 180, found the end of the record"),
        ("91 N 0 E 0m", 0, "expected degrees, up to 90 or 180, found `91`"),
        ("90 0 0.001 N 0 E 0m", 2, "expected minutes, seconds, N or S, found `0.001`"),
        ("0 N 180 0 .001 E 0m", 4, "expected minutes, seconds, E or W, found `.001`"),
        ("1 60 N 0 E 0m", 1, "expected minutes, seconds, N or S, found `60`"),
        ("1 2.5 N 0 E 0m", 1, "expected minutes, seconds, N or S, found `2.5`"),
        ("1 2 60 N 0 E 0m", 2, "expected minutes, seconds, N or S, found `60`"),
        ("1 2 3.0001 N 0 E 0m", 2, "expected minutes, seconds, N or S, found `3.0001`"),
        ("1 2 . N 0 E 0m", 2, "expected minutes, seconds, N or S, found `.`"),
        ("1 2 3 4 N 0 E 0m", 3, "expected minutes, seconds, N or S, found `4`"),
        ("1 E 0 N 0m", 1, "expected minutes, seconds, N or S, found `E`"),
        ("1 N 0 E", 4, "expected an altitude from -100000.00m to 42849672.95m, found the end of the record"),
        ("1 N 0 E -100000.01m", 4, "expected an altitude from -100000.00m to 42849672.95m, found `-100000.01m`"),
        ("1 N 0 E 42849672.96m", 4, "expected an altitude from -100000.00m to 42849672.95m, found `42849672.96m`"),
        ("1 N 0 E 1.234m", 4, "expected an altitude from -100000.00m to 42849672.95m, found `1.234m`"),
        ("1 N 0 E --1", 4, "expected an altitude from -100000.00m to 42849672.95m, found `--1`"),
        ("1 N 0 E 0m 90000000.01m", 5, "expected a size up to 90000000.00m, found `90000000.01m`"),
        ("1 N 0 E 0m 1 1 1 1", 8, "expected the end of the record, found `1`"),
    ] {
        check_refused(Rtype::LOC, text, token_idx, message);
    }
    let sizes = RdataError::Field("sizes of a digit and an exponent up to 9");
    for hex in
        ["00051613800000008000000000989680", "001a1613800000008000000000989680", "0012a613800000008000000000989680"]
    {
        check_malformed(Rtype::LOC, hex, sizes);
    }
    let place = RdataError::Field("a latitude up to 90 and a longitude up to 180 degrees");
    check_malformed(Rtype::LOC, "0012161393503101800000000098968a", place);
    check_malformed(Rtype::LOC, "001216138000000059000000009896ff", place);
    check_malformed(Rtype::LOC, "001216138000000080000000009896", RdataError::Short);
    check_malformed(Rtype::LOC, "0012161380000000800000000098968000", RdataError::Trailing);
}

#[test]
fn address_prefixes_lose_trailing_zero_octets() {
    for (text, printed) in [
        ("1:192.168.32.0/21 !1:192.168.38.0/28", "1:192.168.32.0/21 !1:192.168.38.0/28"),
        ("1:224.0.0.0/4 2:FF00:0:0:0:0:0:0:0/8", "1:224.0.0.0/4 2:ff00::/8"),
        ("1:0.0.0.0/0 !2:::/0 2:::1/128", "1:0.0.0.0/0 !2:::/0 2:::1/128"),
        ("1:10.1.2.3/08", "1:10.1.2.3/8"),
        ("01:0.0.0.1/32", "1:0.0.0.1/32"),
        ("\\# 5 00010801 0a", "1:10.0.0.0/8"),
    ] {
        check_text(Rtype::APL, text, printed);
    }
    assert_eq!(read(Rtype::APL, "1:10.0.0.0/8 !1:0.0.0.0/0").unwrap(), b"\0\x01\x08\x01\x0a\0\x01\0\x80");
    // A list without prefixes has no text at all, and no octets.
    check_text(Rtype::APL, "", "");
    check_octets(Rtype::APL, "00030000");
    check_octets(Rtype::APL, "000108010a0003ff820000");
    for text in [
        "1:10.0.0.0",
        "1:10.0.0.0/33",
        "2:::/129",
        "1:10.0/8",
        "3:0/0",
        "!!1:10.0.0.0/8",
        "1:::/0",
        "10.0.0.0/8",
        "1/8:1",
    ] {
        let message = format!("expected an address prefix as 1:192.0.2.0/24 or !2:2001:db8::/32, found `{text}`");
        check_refused(Rtype::APL, &format!("1:0.0.0.0/0 {text}"), 1, &message);
    }
    let zeros = RdataError::Field("an address without trailing zero octets");
    check_malformed(Rtype::APL, "000108040a000000", zeros);
    check_malformed(Rtype::APL, "00010800000100010a00", RdataError::Short);
    check_malformed(Rtype::APL, "000120050102030405", zeros);
    check_malformed(Rtype::APL, "00012100", RdataError::Field("a prefix no longer than the address"));
    check_malformed(Rtype::APL, "00028100", RdataError::Field("a prefix no longer than the address"));
    check_malformed(Rtype::APL, "00012004010203", RdataError::Short);
    check_malformed(Rtype::APL, "000120", RdataError::Short);
}

#[test]
fn gateways_are_of_the_kind_that_is_told() {
    for (rtype, text, printed) in [
        (Rtype::IPSECKEY, "10 0 2 . AQID", "10 0 2 . AQID"),
        (Rtype::IPSECKEY, "10 0 0 .", "10 0 0 ."),
        (Rtype::IPSECKEY, "10 1 2 192.0.2.38 AQ ID", "10 1 2 192.0.2.38 AQID"),
        (Rtype::IPSECKEY, "10 2 2 2001:0DB8:0:8002::2000:1 AQID", "10 2 2 2001:db8:0:8002::2000:1 AQID"),
        (Rtype::IPSECKEY, "10 3 2 GateWay", "10 3 2 GateWay.example."),
        (Rtype::AMTRELAY, "10 0 0 .", "10 0 0 ."),
        (Rtype::AMTRELAY, "10 1 1 203.0.113.15", "10 1 1 203.0.113.15"),
        (Rtype::AMTRELAY, "128 1 2 2001:db8::15", "128 1 2 2001:db8::15"),
        (Rtype::AMTRELAY, "128 0 3 Relay", "128 0 3 Relay.example."),
    ] {
        check_text(rtype, text, printed);
    }
    check_octets(Rtype::IPSECKEY, "0a04020102");
    check_octets(Rtype::AMTRELAY, "0a84");
    for (rtype, text, token_idx, message) in [
        (Rtype::IPSECKEY, "10 4 2 .", 1, "expected a gateway type from 0 to 3, found `4`"),
        (Rtype::IPSECKEY, "10 0 2 gw", 3, "expected a dot, as there is no gateway, found `gw`"),
        (Rtype::IPSECKEY, "10 1 2 ::1", 3, "expected an IPv4 address, found `::1`"),
        (Rtype::IPSECKEY, "10 2 2", 3, "expected an IPv6 address, found the end of the record"),
        (Rtype::IPSECKEY, "10 3 2 gw AQ", 4, "expected octets in base64, found `AQ`"),
        (Rtype::AMTRELAY, "10 2 0 .", 1, "expected a discovery bit of 0 or 1, found `2`"),
        (Rtype::AMTRELAY, "10 0 4 .", 2, "expected a relay type from 0 to 3, found `4`"),
        (Rtype::AMTRELAY, "10 0 1 1.2.3.4 x", 4, "expected the end of the record, found `x`"),
    ] {
        check_refused(rtype, text, token_idx, message);
    }
    check_malformed(Rtype::IPSECKEY, "0a0302c00c", RdataError::Name(NameError::LabelType(0xc0)));
    check_malformed(Rtype::IPSECKEY, "0a01020102", RdataError::Short);
    check_malformed(Rtype::AMTRELAY, "0a", RdataError::Short);
    let rdata = b"\x0a\x03\x02\x02GW\0\x01";
    assert_eq!(canonical_rdata(Rtype::IPSECKEY, rdata), &rdata[..], "the case of its name counts");
}

#[test]
fn host_identities_hold_tag_key_and_servers() {
    let tag = "200100107B1A74DF365639CC39F1D578";
    check_text(Rtype::HIP, &format!("2 {tag} AQID"), &format!("2 {tag} AQID"));
    check_text(
        Rtype::HIP,
        &format!("( 2 {}\n AQID\n Rvs1 rvs2.example.com. )", tag.to_lowercase()),
        &format!("2 {tag} AQID Rvs1.example. rvs2.example.com."),
    );
    for (text, token_idx, message) in [
        ("256 AA AQID", 0, "expected an algorithm from 0 to 255, found `256`"),
        ("2 ABC AQID", 1, "expected a host identity tag of 1 to 255 octets in hex, found `ABC`"),
        ("2 AA AQI", 2, "expected a public key in base64 without spaces, found `AQI`"),
        ("2 AA", 2, "expected a public key in base64 without spaces, found the end of the record"),
        ("2 AA AQID a..b", 3, "expected a domain name, found `a..b` (label is empty)"),
    ] {
        check_refused(Rtype::HIP, text, token_idx, message);
    }
    check_malformed(Rtype::HIP, "00020001aa", RdataError::Field("a host identity tag and a public key"));
    check_malformed(Rtype::HIP, "01020000aa", RdataError::Field("a host identity tag and a public key"));
    check_malformed(Rtype::HIP, "01020002aabb", RdataError::Short);
    check_malformed(Rtype::HIP, "01020001aabbc000", RdataError::Name(NameError::LabelType(0xc0)));
}

#[test]
fn historic_types_are_read_and_printed() {
    for (rtype, text, printed) in [
        (Rtype::WKS, "192.0.2.1 TCP smtp 53 0", "192.0.2.1 6 0 25 53"),
        (Rtype::WKS, "192.0.2.1 17 (domain\n65535)", "192.0.2.1 17 53 65535"),
        (Rtype::WKS, "192.0.2.1 0", "192.0.2.1 0"),
        (Rtype::X25, "311061700956", "\"311061700956\""),
        (Rtype::ISDN, "150862028003217 004", "\"150862028003217\" \"004\""),
        (Rtype::ISDN, "150862028003217", "\"150862028003217\""),
        (Rtype::ISDN, "\"\" \"\"", "\"\" \"\""),
        (Rtype::NSAP, "0x47.0005.80.005a00", "0x47000580005a00"),
        (Rtype::NSAP_PTR, "foo", "foo.example."),
        (
            Rtype::SIG,
            "SOA 5 3 86400 20030322173103 20030220173103 2642 Example. AQID",
            "SOA 5 3 86400 20030322173103 20030220173103 2642 Example. AQID",
        ),
        (Rtype::KEY, "512 DNSSEC RSASHA1 AQ ID", "512 3 5 AQID"),
        (Rtype::KEY, "49152 3 3", "49152 3 3"),
        (Rtype::RKEY, "0 255 1 AQID", "0 255 1 AQID"),
        (Rtype::GPOS, "-32.6882 116.8652 10.0", "\"-32.6882\" \"116.8652\" \"10.0\""),
        (Rtype::NXT, "Next A MX SIG TYPE127 NXT", "Next.example. A MX SIG NXT TYPE127"),
        (Rtype::EID, "12 34", "1234"),
        (Rtype::NIMLOC, "32 25 1A", "32251A"),
        (Rtype::ATMA, "39.246f.00", "39246f00"),
        (Rtype::ATMA, "+61.2.00000000", "+61200000000"),
        (Rtype::A6, "0 2001:db8::1", "0 2001:db8::1"),
        (Rtype::A6, "64 ffff:ffff::1:2 Prefix", "64 ::1:2 Prefix.example."),
        (Rtype::A6, "61 0:0:0:ffff::1 p.", "61 ::7:0:0:0:1 p."),
        (Rtype::A6, "128 p", "128 p.example."),
        (Rtype::SINK, "1 0 0 AQID", "1 0 0 AQID"),
        (Rtype::SINK, "1 0 0", "1 0 0"),
        (Rtype::TALINK, ". h1", ". h1.example."),
        (Rtype::NINFO, "foo \"bar baz\"", "\"foo\" \"bar baz\""),
        (Rtype::AVC, "app-name:WOLFGANG|app-class:OAM", "\"app-name:WOLFGANG|app-class:OAM\""),
        (Rtype::DOA, "0 1 2 \"\" -", "0 1 2 \"\" -"),
        (Rtype::DOA, "1234567890 1 2 image/gif AQ ID", "1234567890 1 2 \"image/gif\" AQID"),
        (Rtype::RESINFO, "qnamemin exterr=15-17", "\"qnamemin\" \"exterr=15-17\""),
        (Rtype::WALLET, "BTC 1A1z", "\"BTC\" \"1A1z\""),
        (Rtype::CLA, "TCP-v4-v6", "\"TCP-v4-v6\""),
        (Rtype::IPN, "18446744073709551615", "18446744073709551615"),
        (Rtype::DSYNC, "CDS NOTIFY 5359 scanner", "CDS 1 5359 scanner.example."),
        (Rtype::HHIT, "AQ ID", "AQID"),
        (Rtype::BRID, "AQID", "AQID"),
        (Rtype::TA, "1 13 99 AB", "1 13 99 AB"),
    ] {
        check_text(rtype, text, printed);
    }
    check_octets(Rtype::WKS, "c0000201060100");
    check_octets(Rtype::ATMA, "0261");
    check_octets(Rtype::ATMA, "0161");
}

#[test]
fn what_historic_types_exclude_is_refused() {
    for (rtype, text, token_idx, message) in [
        (
            Rtype::WKS,
            "192.0.2.1 tcp 65536",
            2,
            "expected a port from 0 to 65535, or the name of a service, found `65536`",
        ),
        (Rtype::WKS, "192.0.2.1 256", 1, "expected a protocol, by number or as TCP or UDP, found `256`"),
        (Rtype::X25, "123", 0, "expected an address of four digits or more, found `123`"),
        (Rtype::X25, "12345a", 0, "expected an address of four digits or more, found `12345a`"),
        (Rtype::ISDN, "1 2 3", 2, "expected the end of the record, found `3`"),
        (Rtype::NSAP, "47000580", 0, "expected an address in hex after 0x, found `47000580`"),
        (Rtype::NSAP, "0x4.7000", 0, "expected an address in hex after 0x, found `0x4.7000`"),
        (Rtype::NSAP, "0x", 0, "expected an address in hex after 0x, found `0x`"),
        (Rtype::ATMA, "+", 0, "expected an address in hex, or a telephone number after +, found `+`"),
        (Rtype::ATMA, "+1a", 0, "expected an address in hex, or a telephone number after +, found `+1a`"),
        (Rtype::NXT, "a TYPE128", 1, "expected RR types up to 127, found `TYPE128`"),
        (Rtype::NXT, "a", 0, "expected RR types, found `a`"),
        (Rtype::KEY, "512 3 5", 2, "expected a public key, as the flags do not say that there is none, found `5`"),
        (Rtype::A6, "129 p", 0, "expected a prefix length from 0 to 128, found `129`"),
        (Rtype::A6, "64 ::1", 1, "expected a prefix name, found `::1`"),
        (Rtype::A6, "0 ::1 p", 2, "expected no prefix name where the prefix has no bits, found `p`"),
        (
            Rtype::IPN,
            "18446744073709551616",
            0,
            "expected a number from 0 to 18446744073709551615, found `18446744073709551616`",
        ),
        (Rtype::IPN, "+1", 0, "expected a number from 0 to 18446744073709551615, found `+1`"),
        (Rtype::RKEY, "0 3 5", 3, "expected octets in base64, found the end of the record"),
        (Rtype::DOA, "0 1 2 x", 4, "expected octets in base64, or -, found the end of the record"),
        (Rtype::HHIT, "", 0, "expected octets in base64, found the end of the record"),
    ] {
        check_refused(rtype, text, token_idx, message);
    }
    check_malformed(Rtype::A6, "81", RdataError::Field("a prefix length from 0 to 128"));
    check_malformed(Rtype::A6, "7f8100", RdataError::Field("zero bits where the suffix overlaps the prefix"));
    check_malformed(Rtype::A6, "40", RdataError::Short);
    check_malformed(Rtype::A6, "80", RdataError::Field("a prefix name"));
    check_malformed(Rtype::NXT, "00", RdataError::Short);
    check_malformed(Rtype::NXT, "004000", RdataError::Field("a type bitmap without trailing zero octets"));
    let long = format!("00{}", "01".repeat(17));
    check_malformed(Rtype::NXT, &long, RdataError::Field("a type bitmap of at most 16 octets"));
    let long = format!("c000020106{}", "01".repeat(8193));
    check_malformed(Rtype::WKS, &long, RdataError::Field("ports up to 65535"));
}

#[test]
fn names_of_historic_types_are_found_and_lower_cased_as_rfc_4034_lists_them() {
    for (rtype, text, canonical) in [
        (Rtype::SIG, "A 5 0 1 1 1 1 SIGNER. AQID", "A 5 0 1 19700101000001 19700101000001 1 signer. AQID"),
        (Rtype::NXT, "NEXT. A", "next. A"),
        (Rtype::A6, "128 PREFIX.", "128 prefix."),
        (Rtype::NSAP_PTR, "NAME.", "NAME."),
        (Rtype::TALINK, "A. B.", "A. B."),
        (Rtype::DSYNC, "CDS 1 1 NAME.", "CDS 1 1 NAME."),
        (Rtype::HIP, "2 AA AQID NAME.", "2 AA AQID NAME."),
        (Rtype::AMTRELAY, "1 0 3 NAME.", "1 0 3 NAME."),
    ] {
        let rdata = read(rtype, text).unwrap();
        let lower = canonical_rdata(rtype, &rdata);
        assert_eq!(Text { rtype, rdata: &lower }.to_string(), canonical, "{rtype}");
    }
    let rdata = read(Rtype::A6, "0 ::1").unwrap();
    assert_eq!(names(Rtype::A6, &rdata).count(), 0, "an address alone has no name");
}
