//! What has broken other servers in names, RDATA and zone files, tried on ours: tests named after the catalogue of threats.
//!
//! T-A2 names at their limits, T-C1 RDATA of every type in both formats, T-C3 zone files that want time, memory or files.
//! Nothing here measures a clock: what must be bounded is bounded by how much of the input is read.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

use proptest::prelude::*;
use snapshot::dns::name::{LABEL_LEN_MAX, NAME_LEN_MAX, Name, NameError};
use snapshot::dns::rdata::{self, Text};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::token::ENTRY_LEN_MAX;
use snapshot::dns::zonefile::{Generate, Include, Options, Reader, ZoneFileError};

/// The wire format of a name of `len` octets with labels of `octet`.
fn name_of(len: usize, octet: u8) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut left = len - 1;
    while left > 0 {
        // A label of one octet less where a rest of one octet, too short for a label, would be left.
        let label_len = (left - 1).min(LABEL_LEN_MAX) - usize::from(left == LABEL_LEN_MAX + 2);
        wire.push(u8::try_from(label_len).expect("a label is short"));
        wire.extend(std::iter::repeat_n(octet, label_len));
        left -= label_len + 1;
    }
    wire.push(0);
    assert_eq!(wire.len(), len);
    wire
}

/// The presentation format of a name in wire format of any length, each octet escaped.
fn escaped(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, after) = tail.split_at(usize::from(len));
        label.iter().for_each(|octet| write!(text, "\\{octet:03}").expect("a string takes all"));
        text.push('.');
        rest = after;
    }
    text
}

/// Reads a zone file to its end or its first error.
fn read_all(input: impl BufRead, options: Options) -> Result<u64, ZoneFileError> {
    let mut reader = Reader::new(input, options);
    let mut record_count = 0;
    while reader.read()?.is_some() {
        record_count += 1;
    }
    Ok(record_count)
}

/// Options with an origin that allow what is given.
fn options(include: Include, generate: Generate) -> Options {
    Options { origin: Some("example.".parse().expect("it is a name")), default_ttl: None, include, generate }
}

#[test]
fn t_a2_names_end_at_255_octets_in_text_wire_and_rdata() {
    for octet in [b'a', b'.', b'\\', 0, 0xff] {
        for len in [NAME_LEN_MAX - 1, NAME_LEN_MAX, NAME_LEN_MAX + 1] {
            let wire = name_of(len, octet);
            let text = escaped(&wire);
            let fits = len <= NAME_LEN_MAX;
            assert_eq!(Name::from_wire(&wire).is_ok(), fits, "{len}");
            assert_eq!(text.parse::<Name>().map(|name| name.as_wire().to_vec()).ok(), fits.then(|| wire.clone()));
            for (rtype, before, after) in
                [(Rtype::CNAME, "", ""), (Rtype::DNAME, "", ""), (Rtype::MX, "1 ", ""), (Rtype::HIP, "1 AA AAAA ", "")]
            {
                let parsed = rdata::parse_text(rtype, format!("{before}{text}{after}").as_bytes(), None);
                assert_eq!(parsed.is_ok(), fits, "{rtype} {len}");
            }
            assert_eq!(rdata::check(Rtype::CNAME, &wire).is_ok(), fits, "{len}");
            let entry = format!("{text} 1 IN CNAME {text}\n");
            assert_eq!(read_all(entry.as_bytes(), Options::default()).is_ok(), fits, "{len}");
        }
    }
    // The origin counts too, and a wildcard is a name like others.
    let origin: Name = escaped(&name_of(NAME_LEN_MAX - 2, b'x')).parse().unwrap();
    assert_eq!(Name::parse(b"*", Some(origin.as_ref())).map(|name| name.as_wire().len()), Ok(NAME_LEN_MAX));
    assert_eq!(Name::parse(b"**", Some(origin.as_ref())), Err(NameError::NameLong));
}

#[test]
fn t_a2_labels_end_at_63_octets_and_have_one_type() {
    for len in 0..=u8::MAX {
        let wire = [&[len], vec![b'a'; usize::from(len)].as_slice(), b"\0"].concat();
        // The octet 0 is the root, after which nothing belongs to the name.
        let expected = (1..=63).contains(&len);
        assert_eq!(Name::from_wire(&wire).is_ok(), expected, "{len}");
        assert_eq!(rdata::check(Rtype::NS, &wire).is_ok(), expected, "{len}");
        let text = "a".repeat(usize::from(len));
        assert_eq!(
            text.parse::<Name>().is_ok() || Name::parse(text.as_bytes(), Some(Name::root().as_ref())).is_ok(),
            expected
        );
    }
}

/// Octets that are the RDATA of some type, or nearly so, and the type.
fn rdata_like() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    let names = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..5), 0..3).prop_map(|labels| {
        let mut wire: Vec<u8> = labels
            .iter()
            .flat_map(|label| [&[u8::try_from(label.len()).expect("a label is short")], &label[..]].concat())
            .collect();
        wire.push(0);
        wire
    });
    let small = proptest::collection::vec(0..8u8, 0..12);
    let any_octets = proptest::collection::vec(any::<u8>(), 0..40);
    let parts = proptest::collection::vec(prop_oneof![names, small, any_octets], 0..5);
    let codes = prop_oneof![8 => 0..300u16, 1 => 32768..32770u16, 1 => any::<u16>()];
    (codes.prop_map(Rtype), parts.prop_map(|parts| parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn t_a2_labels_of_any_octets_survive_their_text(labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..64), 0..4)) {
        let mut wire: Vec<u8> = Vec::new();
        for label in &labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(label);
        }
        wire.push(0);
        let name = Name::from_wire(&wire).unwrap();
        prop_assert_eq!(name.as_ref().label_count(), labels.len());
        let text = name.to_string();
        prop_assert!(text.bytes().all(|octet| octet.is_ascii_graphic()), "{}", text);
        let read: Name = text.parse().unwrap();
        prop_assert_eq!(read.as_wire(), &wire[..]);
        // An octet in a label is never taken for what it looks like: not as a dot, and not as the end of a token.
        let entry = format!("{text} 1 IN CNAME {text} ; {text}\n");
        let mut reader = Reader::new(entry.as_bytes(), Options::default());
        let record = reader.read().unwrap().unwrap();
        prop_assert_eq!(record.owner.as_wire(), &wire[..]);
        prop_assert_eq!(record.rdata, &wire[..]);
    }

    #[test]
    fn t_c1_accepted_octets_survive_their_text((rtype, octets) in rdata_like()) {
        let text = Text { rtype, rdata: &octets }.to_string();
        prop_assert!(text.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{} {}", rtype, text);
        let parsed = rdata::parse_text(rtype, text.as_bytes(), None);
        prop_assert_eq!(parsed.is_ok(), rdata::check(rtype, &octets).is_ok(), "{} {}", rtype, text);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(&parsed, &octets, "{} {}", rtype, text);
        }
        let lower = rdata::canonical_rdata(rtype, &octets);
        prop_assert!(lower.eq_ignore_ascii_case(&octets));
        for span in rdata::names(rtype, &octets) {
            prop_assert!(Name::from_wire(&octets[span.off..][..span.len]).is_ok());
        }
        if let Ok(expanded) = rdata::expand(rtype, &octets, 0..octets.len()) {
            prop_assert_eq!(rdata::check(rtype, &expanded), Ok(()));
        }
    }

    #[test]
    fn t_c1_octets_cut_short_or_changed_are_refused_or_printed((rtype, octets) in rdata_like(), idx in any::<prop::sample::Index>(), octet: u8) {
        for len in 0..octets.len() {
            let cut = &octets[..len];
            let text = Text { rtype, rdata: cut }.to_string();
            prop_assert_eq!(rdata::parse_text(rtype, text.as_bytes(), None).is_ok(), rdata::check(rtype, cut).is_ok());
        }
        let mut changed = octets;
        if !changed.is_empty() {
            let idx = idx.index(changed.len());
            changed[idx] = octet;
        }
        let text = Text { rtype, rdata: &changed }.to_string();
        prop_assert_eq!(rdata::parse_text(rtype, text.as_bytes(), None).is_ok(), rdata::check(rtype, &changed).is_ok());
    }
}

#[test]
fn t_c1_every_type_takes_its_octets_in_hex_and_no_more_than_65535() {
    let mut long = "\\# 65536 ".to_owned();
    long.push_str(&"00".repeat(65_536));
    let strings = "\"\" ".repeat(65_536);
    for code in (0..=300).chain([32_768, 32_769, 65_280, 65_535]) {
        let rtype = Rtype(code);
        assert!(rdata::parse_text(rtype, long.as_bytes(), None).is_err(), "{rtype}");
        assert!(rdata::parse_text(rtype, strings.as_bytes(), None).is_err(), "{rtype}");
        assert!(rdata::parse_text(rtype, b"\\# 1", None).is_err(), "{rtype}");
        let empty = rdata::parse_text(rtype, b"\\# 0", None);
        assert_eq!(empty.is_ok(), rdata::check(rtype, b"").is_ok(), "{rtype}");
    }
}

#[test]
fn t_c3_generate_is_counted_before_it_is_obeyed() {
    for text in [
        "$GENERATE 1-4294967295 a$ A 192.0.2.1",
        "$GENERATE 0-2147483647 a$ A 192.0.2.1",
        "$GENERATE 1-600 a$ TXT x\n$GENERATE 1-600 b$ TXT x",
        "$GENERATE 1-10 a${0,4294967295,d} TXT x",
        "$GENERATE 1-10 a${0,64,d} TXT x",
    ] {
        let error = read_all(text.as_bytes(), options(Include::Refuse, Generate::AtMost(1000))).unwrap_err();
        assert!(!error.to_string().is_empty());
        let refused = read_all(text.as_bytes(), options(Include::Refuse, Generate::Refuse)).unwrap_err();
        assert!(refused.to_string().ends_with("$GENERATE is not allowed here"), "{refused}");
    }
}

#[test]
fn t_c3_includes_show_nothing_of_what_they_may_not_read() {
    let parent = tempfile::tempdir().unwrap();
    let zones = parent.path().join("zones");
    std::fs::create_dir(&zones).unwrap();
    let secret = parent.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    std::os::unix::fs::symlink(&secret, zones.join("link")).unwrap();
    let absolute = secret.display().to_string();
    for name in [
        absolute.as_str(),
        "../secret",
        "link",
        "./../zones/../secret",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
    ] {
        for include in [Include::Refuse, Include::Below(zones.clone())] {
            let text = format!("$INCLUDE {name}\n$INCLUDE \"{name}\" sub\n");
            let mut reader = Reader::new(text.as_bytes(), options(include, Generate::Refuse));
            for _ in 0..2 {
                let message = reader.read().unwrap_err().to_string();
                assert!(!message.contains("hunter2") && !message.contains("root:"), "{message}");
            }
            assert!(reader.read().unwrap().is_none(), "nothing of the file became a record");
        }
    }
}

/// Input without end that tells how much of it was read.
struct Endless {
    /// What it repeats.
    pattern: &'static [u8],
    /// The octets read.
    len: Rc<Cell<usize>>,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        for octet in out.iter_mut() {
            *octet = self.pattern[self.len.get() % self.pattern.len()];
            self.len.set(self.len.get() + 1);
        }
        Ok(out.len())
    }
}

#[test]
fn t_c3_an_entry_without_end_is_given_up() {
    for pattern in [
        &b"a"[..],
        b"(",
        b"( ",
        b"(\n",
        b"\"\" ",
        b"a TXT (\n\"x\"\n",
        b"\\000",
        b"( ; comment\n",
        b"$GENERATE 1-2 (",
        b"\xff",
        b"\0",
    ] {
        let len = Rc::new(Cell::new(0));
        let input = BufReader::new(Endless { pattern, len: Rc::clone(&len) });
        let shown = String::from_utf8_lossy(pattern);
        assert!(read_all(input, options(Include::Refuse, Generate::AtMost(10))).is_err(), "{shown}");
        assert!(len.get() <= ENTRY_LEN_MAX + (1 << 16), "{shown}: read {} octets", len.get());
    }
}

#[test]
fn t_c3_long_tokens_and_deep_parentheses_are_errors_or_read() {
    let long = "x".repeat(65_536);
    for text in [
        format!("{long} A 192.0.2.1"),
        format!("a {long} A 192.0.2.1"),
        format!("a {long} 192.0.2.1"),
        format!("a A {long}"),
        format!("a CNAME {long}"),
        format!("a TXT {long}"),
        format!("a TXT \"{long}\""),
        format!("${long} x"),
        format!("$TTL {}", "9".repeat(65_536)),
        format!("$INCLUDE {long}"),
        format!("a TYPE{} x", "9".repeat(65_536)),
        format!("a SVCB 1 . alpn={long}"),
        format!("a LOC {0} N {0} E {0}m", "9".repeat(65_536)),
        format!("a APL 1:{long}/1"),
    ] {
        let message = read_all(text.as_bytes(), options(Include::Refuse, Generate::Refuse)).unwrap_err().to_string();
        assert!(message.len() < 1000, "an error shows the start of a long token: {} octets", message.len());
    }
    let depth = 100_000;
    let deep = format!("a TXT {} x {}\n", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(read_all(deep.as_bytes(), options(Include::Refuse, Generate::Refuse)).unwrap(), 1);
}

#[test]
fn t_c3_a_long_zone_is_streamed() {
    /// How much text: enough that keeping it would show in the count of records alone.
    const TEXT_LEN: u64 = 32 << 20;
    let len = Rc::new(Cell::new(0));
    let pattern = b"a 1 CNAME b ; comment\n; comment\n\n";
    let input = BufReader::new(Endless { pattern, len: Rc::clone(&len) }.take(TEXT_LEN / 33 * 33));
    let record_count = read_all(input, options(Include::Refuse, Generate::Refuse)).unwrap();
    assert_eq!(record_count, TEXT_LEN / 33);
}
