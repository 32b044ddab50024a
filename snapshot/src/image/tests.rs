//! The image as a whole: what is built, written, loaded and looked up is what the zone says.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dns::lookup_name::LookupName;
use crate::dns::name::{Name, NameRef};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Zone as Records, ZoneBuilder};
use crate::dns::zonefile::{Options, Reader};

/// Reads zone text; SOA and NS of the apex are added.
pub(super) fn records(apex: &str, text: &str) -> Records {
    let origin: Name = apex.parse().unwrap();
    let text = format!("$TTL 60\n@ SOA ns host 7 1 1 1 30\n@ NS ns.elsewhere.\n{text}\n");
    let mut builder = ZoneBuilder::new(origin.clone());
    let mut reader = Reader::new(text.as_bytes(), Options { origin: Some(origin), ..Options::default() });
    while let Some(record) = reader.read().unwrap() {
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// Compiles zones, writes them to a file and loads that.
fn pack(zones: &[Records]) -> Arc<Pack> {
    pack_of(zones.iter().map(|zone| Segment::build(zone).unwrap()).collect())
}

/// Writes segments to a file and loads them.
pub(super) fn pack_of(segments: Vec<Segment>) -> Arc<Pack> {
    let encoded = PackFile::encode(segments).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&encoded.bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    Arc::new(Pack::load(&file, encoded.digest).unwrap())
}

/// A lookup name.
pub(super) fn lookup_name(name: NameRef<'_>) -> LookupName {
    let mut lookup = LookupName::default();
    assert_eq!(lookup.assign(name.as_wire()), Some(name.as_wire().len()));
    lookup
}

/// What a lookup of `name` says, as one line.
fn found(view: &View, name: &str) -> String {
    let name = lookup_name(name.parse::<Name>().unwrap().as_ref());
    let Some(id) = view.find_zone(&name, name.label_count()) else { return "no zone".into() };
    let zone = view.get(id).unwrap();
    let text = |node: Node<'_>| NameRef::prefix_of(node.name()).unwrap().to_string();
    let (word, node) = match zone.find_now(&name).unwrap() {
        Found::Exact(node) => ("exact", node),
        Found::Missing(encloser) => ("encloser", encloser.node),
    };
    let mut line = format!("{word} {}", text(node));
    for (label, present) in [("cut", node.is_cut()), ("empty", node.is_empty())] {
        if present {
            line = format!("{line} {label}");
        }
    }
    for (label, other) in [("below", node.cut_above()), ("source", node.wildcard_child())] {
        if let Some(other) = other {
            line = format!("{line} {label}={}", text(other));
        }
    }
    line
}

#[test]
fn one_probe_tells_what_a_name_is() {
    let zone = records(
        "example.",
        "a.b.c TXT x\n*.w A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\nx.y.sub TXT hidden\n*.sub TXT hidden",
    );
    let view = View::assemble(Generation(1), vec![pack(&[zone])]).unwrap();
    for (name, expected) in [
        ("example.", "exact example."),
        ("A.B.c.Example.", "exact a.b.c.example."),
        ("b.c.example.", "exact b.c.example. empty"),
        ("z.b.c.example.", "encloser b.c.example. empty"),
        ("1.2.3.4.5.6.b.c.example.", "encloser b.c.example. empty"),
        ("nothing.example.", "encloser example."),
        ("1.2.3.4.5.6.7.example.", "encloser example."),
        ("w.example.", "exact w.example. empty source=*.w.example."),
        ("*.w.example.", "exact *.w.example."),
        ("1.2.w.example.", "encloser w.example. empty source=*.w.example."),
        ("sub.example.", "exact sub.example. cut"),
        ("ns.sub.example.", "exact ns.sub.example. below=sub.example."),
        ("y.sub.example.", "exact y.sub.example. empty below=sub.example."),
        ("z.y.sub.example.", "encloser y.sub.example. empty below=sub.example."),
        ("other.sub.example.", "encloser sub.example. cut"),
        ("example.org.", "no zone"),
        (".", "no zone"),
    ] {
        assert_eq!(found(&view, name), expected, "{name}");
    }
}

#[test]
fn the_deepest_zone_answers_and_later_packs_shadow_earlier_ones() {
    let old = pack(&[records("example.", "old TXT x"), records("b.example.", ""), records(".", "")]);
    let new = pack(&[records("example.", "new TXT x")]);
    let view = View::assemble(Generation(2), vec![old, new]).unwrap();
    assert_eq!(view.zone_count(), 3);
    let apexes: Vec<String> = view.zones().iter().map(|facts| facts.apex.to_string()).collect();
    assert_eq!(apexes, [".", "example.", "b.example."]);
    for (name, expected) in [
        ("old.example.", "encloser example."),
        ("new.example.", "exact new.example."),
        ("x.b.example.", "encloser b.example."),
        ("elsewhere.", "encloser ."),
    ] {
        assert_eq!(found(&view, name), expected, "{name}");
    }
    let name = lookup_name("b.example.".parse::<Name>().unwrap().as_ref());
    let parent = view.get(view.find_zone(&name, 1).unwrap()).unwrap();
    assert_eq!(parent.apex_labels(), 1);
}

#[test]
fn many_zones_are_all_found_and_no_other() {
    let zones: Vec<Records> = (0..2_000).map(|i| records(&format!("z{i}.test."), "www A 192.0.2.1")).collect();
    let view = View::assemble(Generation(1), vec![pack(&zones)]).unwrap();
    for i in 0..2_000 {
        assert_eq!(found(&view, &format!("www.z{i}.test.")), format!("exact www.z{i}.test."));
        assert_eq!(found(&view, &format!("www.y{i}.test.")), "no zone");
    }
}

#[test]
fn equal_zones_give_equal_bytes() {
    let build = |text: &str| Segment::build(&records("example.", text)).unwrap().facts;
    assert_eq!(build("a TXT x\nb TXT y"), build("b TXT y\na TXT x\na TXT x"));
    assert_ne!(build("a TXT x").digest, build("a TXT y").digest);
}

#[test]
fn facts_count_what_is_there() {
    let facts = Segment::build(&records("example.", "a.b TXT x\na.b TXT y\nc A 192.0.2.1")).unwrap().facts;
    assert_eq!((facts.names, facts.rrsets, facts.records, facts.serial), (3, 4, 5, 7));
    assert!(!facts.signed);
}

#[test]
fn zones_without_what_the_format_needs_are_refused() {
    let build = |apex: &str, lines: &str| {
        let apex: Name = apex.parse().unwrap();
        let mut builder = ZoneBuilder::new(apex);
        let mut reader = Reader::new(lines.as_bytes(), Options::default());
        while let Some(record) = reader.read().unwrap() {
            builder.push(record).unwrap();
        }
        Segment::build(&builder.finish()).map(|segment| segment.facts.names).map_err(|error| error.to_string())
    };
    let soa = "e. 1 SOA e. e. 1 1 1 1 1\n";
    let two = format!("{soa}e. 1 SOA e. e. 2 1 1 1 1\ne. 1 NS n.\n");
    let ns = format!("{soa}e. 1 NS n.\n");
    assert_eq!(build("e.", &ns), Ok(1));
    assert_eq!(build("e.", ""), Err("zone e. has 0 SOA records at its apex, it needs exactly one".into()));
    assert_eq!(build("e.", &two), Err("zone e. has 2 SOA records at its apex, it needs exactly one".into()));
    assert_eq!(build("e.", soa), Ok(1));
    assert_eq!(build("e.", &format!("{ns}f. 1 TXT x\n")), Err("f. is not in zone e.".into()));
    let strings = format!(" \"{}\"", "x".repeat(255)).repeat(250);
    let large = format!("{ns}a.e. 1 TXT{strings}\na.e. 1 TXT{strings} y\n");
    assert_eq!(build("e.", &large), Ok(2));
}

#[test]
fn signatures_go_with_what_they_cover_in_signed_zones_only() {
    let sig = |covered: &str| format!("RRSIG {covered} 13 1 60 20300101000000 20200101000000 1 example. AAAA");
    let plain = format!("a TXT x\na {}", sig("TXT"));
    let signed = format!("{plain}\n@ DNSKEY 257 3 13 AAAA\n@ {}\nhash NSEC3 1 0 0 - 00000000 A", sig("SOA"));
    let sigs = |text: &str| {
        let view = View::assemble(Generation(1), vec![pack(&[records("example.", text)])]).unwrap();
        let zone = view.zone("example.".parse::<Name>().unwrap().as_ref()).unwrap();
        let name = lookup_name("a.example.".parse::<Name>().unwrap().as_ref());
        let Some(Found::Exact(node)) = zone.find_now(&name) else { panic!("a.example. is there") };
        let txt = node.rrset(Rtype::TXT).unwrap();
        (txt.sig_count, node.rrset(Rtype::RRSIG).is_some(), found(&view, "hash.example."))
    };
    assert_eq!(sigs(&plain), (0, true, "encloser example.".into()));
    assert_eq!(sigs(&signed), (1, false, "encloser example.".into()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Every name over a small alphabet is found or enclosed as the set of owners says.
    #[test]
    fn lookups_agree_with_a_set_of_names(owners in prop::collection::vec("[abc*](\\.[abc]){0,4}", 0..12)) {
        let text: String = owners.iter().map(|owner| format!("{owner} TXT x\n")).collect();
        let view = View::assemble(Generation(1), vec![pack(&[records("e.", &text)])]).unwrap();
        let mut exists = BTreeSet::from(["e.".to_owned()]);
        for owner in &owners {
            let mut name = format!("{owner}.e.");
            while name != "e." {
                exists.insert(name.clone());
                name = name.split_once('.').unwrap().1.to_owned();
            }
        }
        for asked in ["a", "b.a", "c.b.a", "a.a.a.a", "b.c", "*.a", "a.b.c.a.b.c", "c.c.c.c.c.c.c", "x.b", "a.*"] {
            let asked = format!("{asked}.e.");
            let mut encloser = asked.as_str();
            while !exists.contains(encloser) {
                encloser = encloser.split_once('.').unwrap().1;
            }
            let word = if encloser == asked { "exact" } else { "encloser" };
            let line = found(&view, &asked);
            let start: Vec<&str> = line.split(' ').take(2).collect();
            prop_assert_eq!(start, [word, encloser]);
            let source = format!("*.{encloser}");
            prop_assert_eq!(line.contains("source="), exists.contains(&source));
        }
    }
}

/// The NSEC zone of the tests below: names of which many share the first octets.
fn nsec_zone() -> String {
    let sig = "RRSIG SOA 13 1 60 20300101000000 20200101000000 1 example. AAAA";
    let mut text = format!("@ {sig}\n@ NSEC a NS SOA RRSIG NSEC\nempty.below TXT x\nempty.below NSEC host NSEC\n");
    for name in
        ["common-prefix-1", "common-prefix-10", "common-prefix-2", "\\000", "*", "a\\001b", "zz.common-prefix-1"]
    {
        text += &format!("{name} TXT x\n{name} NSEC @ TXT NSEC\n");
    }
    text
}

#[test]
fn the_nsec_that_matches_or_covers_is_the_predecessor_in_canonical_order() {
    let zone = records("example.", &nsec_zone());
    let mut owners: Vec<Name> = zone
        .owners()
        .filter(|owner| owner.rrset(Rtype::NSEC).is_some())
        .map(|owner| owner.name().to_name().to_canonical())
        .collect();
    owners.sort();
    let view = View::assemble(Generation(1), vec![pack(&[zone])]).unwrap();
    let Denial::Nsec(chain) = view.zone("example.".parse::<Name>().unwrap().as_ref()).unwrap().denial() else {
        panic!("the zone has NSEC");
    };
    let asked = [
        "example.",
        "0.example.",
        "common-prefix-1.example.",
        "common-prefix-1a.example.",
        "a.common-prefix-1.example.",
        "common-prefix-3.example.",
        "below.example.",
        "\\000.example.",
        "\\000a.example.",
        "zzz.example.",
        "a.example.",
        "b.empty.below.example.",
        "*.example.",
        "*.common-prefix-2.example.",
        "\\255.example.",
    ];
    for name in asked {
        let name: Name = name.parse().unwrap();
        let expected = owners.iter().rfind(|owner| **owner <= name).unwrap();
        assert_eq!(chain.at_or_before(name.as_wire()).unwrap().name(), expected.as_wire(), "{name}");
    }
}

#[test]
fn the_nsec3_that_matches_or_covers_is_the_predecessor_of_the_hash() {
    use crate::dns::nsec3::{Params, text};
    let params = Params { iterations: 3, salt: &[0xab] };
    let label = |name: &str| {
        let name: Name = name.parse().unwrap();
        String::from_utf8(text(&params.hash(name.as_wire())).to_vec()).unwrap()
    };
    for count in [1, 2, 3, 40] {
        let mut lines =
            "@ RRSIG SOA 13 1 60 20300101000000 20200101000000 1 example. AAAA\n@ NSEC3PARAM 1 0 3 AB\n".to_owned();
        let mut labels: Vec<String> = (0..count).map(|host| label(&format!("h{host}.example."))).collect();
        labels.sort();
        for label in &labels {
            lines += &format!("{label} NSEC3 1 0 3 AB {label} A\n");
        }
        // Another chain and a name that is no hash are not taken for this one.
        lines += &format!("{} NSEC3 1 0 2 AB {} A\nshort NSEC3 1 0 3 AB {} A\n", "0".repeat(32), labels[0], labels[0]);
        let view = View::assemble(Generation(1), vec![pack(&[records("example.", &lines)])]).unwrap();
        let zone = view.zone("example.".parse::<Name>().unwrap().as_ref()).unwrap();
        let Denial::Nsec3(chain) = zone.denial() else { panic!("the zone has NSEC3") };
        for host in 0..80 {
            let name: Name = format!("h{host}.example.").parse().unwrap();
            let own = label(&name.to_string());
            let expected = labels.iter().rfind(|label| **label <= own).unwrap_or(&labels[labels.len() - 1]);
            let (node, is_match) = match chain.find(name.as_wire()).unwrap() {
                Hashed::Match(node) => (node, true),
                Hashed::Cover(node) => (node, false),
            };
            assert_eq!((&node.name()[1..33], is_match), (expected.as_bytes(), host < count), "{name}");
            let asked = lookup_name(format!("{own}.example.").parse::<Name>().unwrap().as_ref());
            assert!(matches!(zone.find_now(&asked), Some(Found::Missing(_))), "owners of NSEC3 are no names");
        }
    }
}

#[test]
fn too_many_iterations_are_refused() {
    let lines = |iterations: u32| {
        let sig = "@ RRSIG SOA 13 1 60 20300101000000 20200101000000 1 example. AAAA";
        let label = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom";
        format!("{sig}\n@ NSEC3PARAM 1 0 {iterations} -\n{label} NSEC3 1 0 {iterations} - {label} A")
    };
    assert!(Segment::build(&records("example.", &lines(150))).is_ok());
    let error = Segment::build(&records("example.", &lines(151))).err().unwrap().to_string();
    assert!(error.starts_with("zone example. wants 151 NSEC3 iterations"), "{error}");
}
