//! A base with its overlay is, node for node, what compiling the whole zone gives.

mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dns::zone::Zone as Records;
use crate::image::tests::{lookup_name, pack_of, records};
use crate::image::{Denial, Found, Generation, Hashed, LoadError, Node, Pack, RrsetBody, View, Zone};

/// A name as text.
fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Compiles an overlay of `now` on `base`.
fn overlay(now: &Records, base: &Segment, touched: &[Touched]) -> Result<Segment, OverlayError> {
    let counts = ZoneCounts { names: 1, rrsets: 2, records: 3 };
    let base = base.base_facts().unwrap();
    OverlayBuilder::new(now.apex(), base)?.change(now, touched)?.build(counts)
}

/// A generation of some packs.
fn view(packs: &[&Arc<Pack>]) -> View {
    View::assemble(Generation(1), packs.iter().map(|&pack| Arc::clone(pack)).collect()).unwrap()
}

/// All bytes of an RRset.
fn rrset(body: &RrsetBody<'_>) -> String {
    let RrsetBody { rtype, records, relocs, targets, sigs, glue, owner_len, .. } = *body;
    let counts = (body.record_count, body.sig_count, body.glue().1);
    format!("{rtype} {counts:?} {records:x?} {relocs:x?} {targets:x?} {sigs:x?} {glue:x?} {owner_len}")
}

/// All that a node says of itself.
fn own(node: &Node<'_>) -> String {
    let flags = (node.is_cut(), node.dname().is_some(), node.is_wildcard(), node.is_empty());
    let rrsets: Vec<String> = node.rrsets().map(|body| rrset(&body)).collect();
    format!("{:x?} {flags:?} {rrsets:?}", node.name())
}

/// All that can be read from a node.
fn whole(node: &Node<'_>) -> String {
    let of = |other: Option<Node<'_>>| other.map(|other| own(&other));
    format!("{} {:?} {:?}", own(node), of(node.cut_above()), of(node.wildcard_child()))
}

/// What a lookup says.
fn found(zone: &Zone<'_>, asked: &str) -> String {
    match zone.find_now(&lookup_name(name(asked).as_ref())) {
        None => "nothing".into(),
        Some(Found::Exact(node)) => {
            let by_word = zone.node_at(node.word()).unwrap();
            assert_eq!(by_word.name(), node.name());
            assert_eq!(whole(&by_word), whole(&node));
            format!("exact {}", whole(&node))
        }
        Some(Found::Missing(encloser)) => format!("missing {} {}", encloser.labels, whole(&encloser.node)),
    }
}

/// The record that proves something about a name.
fn proof(zone: &Zone<'_>, asked: &str) -> String {
    let asked = name(asked).to_canonical();
    let (kind, node) = match zone.denial() {
        Denial::None => return "none".into(),
        Denial::Nsec(chain) => ("at or before", chain.at_or_before(asked.as_wire()).unwrap()),
        Denial::Nsec3(chain) => match chain.find(asked.as_wire()).unwrap() {
            Hashed::Match(node) => ("match", node),
            Hashed::Cover(node) => ("cover", node),
        },
    };
    assert_eq!(own(&zone.node_at(node.word()).unwrap()), own(&node));
    format!("{kind} {}", own(&node))
}

/// Names of up to four labels over a small alphabet.
fn universe() -> impl Iterator<Item = String> {
    let labels = ["a", "b", "*"];
    let longer = move |names: &[String]| -> Vec<String> {
        names.iter().flat_map(|name| labels.iter().map(move |label| format!("{label}.{name}"))).collect()
    };
    let mut levels = vec![vec!["e.".to_owned()]];
    for _ in 0..4 {
        levels.push(longer(&levels[levels.len() - 1]));
    }
    levels.into_iter().flatten()
}

/// Checks that base and overlay are what `now` compiles to.
fn check_same(now: &Records, base: &Arc<Pack>, segment: Segment) -> Result<(), TestCaseError> {
    let whole_pack = pack_of(vec![Segment::build(now).unwrap()]);
    let (expected, actual) = (view(&[&whole_pack]), view(&[base, &pack_of(vec![segment])]));
    let apex = now.apex();
    let (expected, actual) = (expected.zone(apex).unwrap(), actual.zone(apex).unwrap());
    let nodes = |zone: &Zone<'_>| -> Vec<String> { zone.nodes().map(|node| whole(&node)).collect() };
    prop_assert_eq!(nodes(&actual), nodes(&expected));
    prop_assert_eq!(rrset(&actual.soa().unwrap()), rrset(&expected.soa().unwrap()));
    prop_assert_eq!(actual.negative_ttl_secs(), expected.negative_ttl_secs());
    for asked in universe() {
        prop_assert_eq!(found(&actual, &asked), found(&expected, &asked), "{}", asked);
        prop_assert_eq!(proof(&actual, &asked), proof(&expected, &asked), "{}", asked);
    }
    Ok(())
}

/// A change: an owner, and the record that it gets or loses.
type Edit = (String, usize);

/// What an owner may have.
const RECORDS: [&str; 12] = [
    "A 192.0.2.1",
    "A 192.0.2.2",
    "AAAA 2001:db8::1",
    "TXT x",
    "CNAME a",
    "MX 1 a.b",
    "NS b.a",
    "NS a.b.a",
    "NS a.a",
    "NS elsewhere.test.",
    "DNAME b",
    "DNAME a.b",
];

/// What the owners of a zone have, by their place in a list of records.
type Content = BTreeMap<String, BTreeSet<usize>>;

/// The text of a zone: `fixed` and what is listed. The SOA of each text is another.
fn zone(fixed: &str, listed: &[&str], content: &Content, serial: u32) -> Records {
    let mut text = format!("@ SOA ns host {serial} 1 1 1 {}\n{fixed}\n", serial * 3);
    for (owner, records) in content {
        for &record in records {
            text += &format!("{owner} {}\n", listed[record]);
        }
    }
    // The SOA of `records` has another serial, so it goes.
    let mut zone = records("e.", &text);
    let mut seen = 0;
    zone.retain(|record| {
        let is_soa = record.rtype == crate::dns::rtype::Rtype::SOA;
        seen += usize::from(is_soa && record.rdata[record.rdata.len() - 20..][..4] == serial.to_be_bytes());
        !is_soa || record.rdata[record.rdata.len() - 20..][..4] == serial.to_be_bytes()
    });
    assert_eq!(seen, 1);
    zone
}

/// Applies an edit: records come and go in turn.
fn apply(content: &mut Content, (owner, record): &Edit) {
    let records = content.entry(owner.clone()).or_default();
    if !records.remove(record) {
        records.insert(*record);
    }
    if records.is_empty() {
        content.remove(owner);
    }
}

/// Edits of owners of up to four labels; the apex is among them.
fn edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Edit>> {
    // Types that make structure are as likely as all others together.
    let record = prop_oneof![0..RECORDS.len(), 6..RECORDS.len(), Just(0_usize)];
    let owner = prop_oneof![3 => "[ab*](\\.[ab*]){0,3}", 1 => Just("@".to_owned())];
    prop::collection::vec((owner, record), count)
}

/// A zone that changes.
struct Course<'c> {
    /// Records that it always has.
    fixed: &'c str,
    /// What its owners may have.
    listed: &'c [&'c str],
    /// What comes before the base is compiled.
    before: Vec<Edit>,
    /// What comes then.
    changes: Vec<Edit>,
    /// Whether it is told which owners are boundaries.
    knows_boundaries: bool,
    /// Before which change the zone is compiled whole and becomes the base.
    folded_at: usize,
}

/// Checks after each change that overlays are right that were made in three ways: from all changes at once, from one
/// after the other, and from what was published.
fn check_course(course: &Course<'_>) -> Result<(), TestCaseError> {
    let zone = |content: &Content, serial| zone(course.fixed, course.listed, content, serial);
    let builder_on =
        |segment: &Segment| OverlayBuilder::new(name("e.").as_ref(), segment.base_facts().unwrap()).unwrap();
    let mut content = Content::new();
    course.before.iter().for_each(|edit| apply(&mut content, edit));
    let mut now = zone(&content, 8);
    let mut base = pack_of(vec![Segment::build(&now).unwrap()]);
    let mut published = view(&[&base]);
    let mut builder = builder_on(&base.segment(0).unwrap());
    let mut touched = Vec::new();
    for (step, edit) in course.changes.iter().enumerate() {
        if step == course.folded_at {
            base = pack_of(vec![Segment::build(&now).unwrap()]);
            published = view(&[&base]);
            builder = builder_on(&base.segment(0).unwrap());
            touched.clear();
        }
        apply(&mut content, edit);
        let owner = if edit.0 == "@" { name("e.") } else { name(&format!("{}.e.", edit.0)) };
        let record = course.listed[edit.1];
        let is_boundary = record.starts_with("NS ") || record.starts_with("DNAME");
        // Of the apex it need not be said.
        let is_data = (course.knows_boundaries && !is_boundary) || edit.0 == "@";
        let latest = if is_data { Touched::data(owner) } else { Touched::boundary(owner) };
        touched.push(latest.clone());
        now = zone(&content, 9 + u32::try_from(step).unwrap());
        check_same(&now, &base, overlay(&now, &base.segment(0).unwrap(), &touched).unwrap())?;
        // One that takes up each change as it comes, and only that.
        builder = builder.change(&now, std::slice::from_ref(&latest)).unwrap();
        let kept = builder.build(ZoneCounts::default()).unwrap();
        // One that is made anew from what was published, and takes up the latest change.
        let laid = published.laid(0).remove(0);
        let since: Vec<Touched> = laid.touched.iter().chain([&latest]).cloned().collect();
        let anew = OverlayBuilder::new(now.apex(), laid.base).unwrap().change(&now, &since).unwrap();
        let anew = pack_of(vec![anew.build(ZoneCounts::default()).unwrap()]);
        check_same(&now, &base, kept)?;
        check_same(&now, &base, anew.segment(0).unwrap())?;
        published = view(&[&base, &anew]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_base_with_its_overlay_is_the_zone(
        before in edits(0..12),
        changes in edits(0..8),
        knows_boundaries in any::<bool>(),
        folded_at in 0..16_usize,
    ) {
        let (fixed, listed) = ("", &RECORDS[..]);
        check_course(&Course { fixed, listed, before, changes, knows_boundaries, folded_at })?;
    }
}

/// The zone that the cases below start from.
const BASE: &str = "
a TXT x
x.y.z TXT x
b TXT x
c.b TXT x
*.w A 192.0.2.1
w TXT x
cut NS ns.cut
ns.cut A 192.0.2.2
deep.below.cut TXT x
both NS ns.both
both DNAME a
ns.both A 192.0.2.3
away DNAME a
old.away TXT x";

/// The names of an overlay, the apex left out; tombstones in brackets.
fn names_of(segment: &Segment) -> String {
    let bytes: Vec<u8> = segment.lines.iter().flat_map(|line| line.bytes).collect();
    let kind = crate::image::verify::verify_segment(&bytes).unwrap();
    assert_eq!(kind, crate::image::layout::KIND_OVERLAY);
    let mut word = crate::image::layout::nodes_off(kind, segment.facts.apex.as_wire().len()) / 8;
    let mut names = Vec::new();
    for _ in 0..u32::from_le_bytes(*bytes[crate::image::layout::header::NODE_COUNT..].first_chunk().unwrap()) {
        let node = Node::read(&bytes, u32::try_from(word).unwrap()).unwrap();
        let owner = Name::from_wire(node.name()).unwrap().to_string();
        let owner = owner.strip_suffix(".e.").unwrap_or("").to_owned();
        names.push(if node.is_tombstone() { format!("[{owner}]") } else { owner });
        word = node.end_word().unwrap();
    }
    assert_eq!(names.remove(0), "");
    names.join(" ")
}

#[test]
fn an_overlay_has_what_differs_and_no_more() {
    let base_zone = records("e.", BASE);
    let base = pack_of(vec![Segment::build(&base_zone).unwrap()]);
    // What is taken from the zone, what is added, and the names that follow.
    for (gone, added, expected) in [
        ("", "", ""),
        ("a TXT", "", "[a]"),
        ("", "a A 192.0.2.9", "a"),
        ("", "n.a TXT x", "n.a"),
        // Empty non-terminals come and go with what is below them.
        ("", "p.q.r TXT x", "r q.r p.q.r"),
        ("x.y.z TXT", "", "[z] [y.z] [x.y.z]"),
        ("x.y.z TXT", "y.z TXT x", "z y.z [x.y.z]"),
        ("b TXT", "", "b"),
        // A wildcard and its parent.
        ("w TXT", "", "w *.w"),
        ("*.w A", "", "w [*.w]"),
        ("", "*.a TXT x", "a *.a"),
        ("", "n.*.a TXT x", "a *.a n.*.a"),
        // A cut and what is below it: glue, and what only is there.
        ("", "cut NS elsewhere.", "cut below.cut deep.below.cut ns.cut"),
        ("ns.cut A", "", "cut below.cut deep.below.cut [ns.cut]"),
        ("", "ns.cut AAAA ::1", "cut below.cut deep.below.cut ns.cut"),
        ("cut NS", "", "cut below.cut deep.below.cut ns.cut"),
        ("", "b NS ns.b", "b c.b"),
        // What a DNAME hides.
        ("", "b DNAME a", "b [c.b]"),
        ("away DNAME", "", "away old.away"),
        ("", "new.away TXT x", "[new.away]"),
        // The glue of a cut that has a DNAME.
        ("", "ns.both AAAA ::1", "both [ns.both]"),
        ("ns.both A", "", "both [ns.both]"),
    ] {
        let lines = BASE.lines().filter(|line| gone.is_empty() || !line.starts_with(gone));
        let now = records("e.", &format!("{}\n{added}", lines.collect::<Vec<_>>().join("\n")));
        let mut touched = Vec::new();
        for line in [gone, added].into_iter().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let owner = name(&format!("{}.e.", words.next().unwrap()));
            let touch =
                if ["NS", "DNAME"].contains(&words.next().unwrap()) { Touched::boundary } else { Touched::data };
            touched.push(touch(owner));
        }
        let segment = overlay(&now, &base.segment(0).unwrap(), &touched).unwrap();
        assert_eq!(names_of(&segment), expected, "-{gone} +{added}");
        check_same(&now, &base, segment).unwrap();
    }
}

#[test]
fn an_overlay_is_a_function_of_zone_names_and_base() {
    let base = Segment::build(&records("e.", BASE)).unwrap();
    let now = records("e.", &format!("{BASE}\nn.a TXT x\n*.a TXT x\ncut NS elsewhere."));
    let touched = [Touched::data(name("n.a.e.")), Touched::data(name("*.A.e.")), Touched::data(name("cut.e."))];
    let facts = |touched: &[Touched], base: &Segment| overlay(&now, base, touched).unwrap().facts;
    let first = facts(&touched, &base);
    let [a, b, c] = touched.clone();
    assert_eq!(facts(&[c.clone(), a.clone(), b.clone(), a.clone()], &base), first);
    assert_eq!((first.names, first.rrsets, first.records, first.base), (1, 2, 3, Some(Box::new(base.facts.digest))));
    let other = Segment::build(&records("e.", "other TXT x")).unwrap();
    assert_ne!(facts(&touched, &other).digest, first.digest);
    assert_ne!(facts(&[a, b], &base).digest, first.digest);
}

#[test]
fn what_overlays_are_not_for_is_refused() {
    let sig = "@ RRSIG SOA 13 1 60 20300101000000 20200101000000 1 e. AAAA";
    let plain = records("e.", "a TXT x");
    let unproved = records("e.", &format!("a TXT x\n{sig}"));
    let signed = records("e.", &format!("a TXT x\n{sig}\n@ NSEC a NS SOA"));
    let error = |now: &Records, base: &Records, touched: &[Touched]| {
        overlay(now, &Segment::build(base).unwrap(), touched).err().unwrap().to_string()
    };
    let otherwise = "zone e. is signed, or proves what does not exist, otherwise than its base";
    for (now, base) in [(&signed, &plain), (&plain, &signed), (&unproved, &plain), (&unproved, &signed)] {
        assert_eq!(error(now, base, &[]), otherwise);
    }
    let no_chain = "zone e. is signed, but has no chain that proves what does not exist";
    assert_eq!(error(&plain, &unproved, &[]), no_chain);
    assert_eq!(error(&unproved, &unproved, &[]), no_chain);
    assert_eq!(error(&plain, &plain, &[Touched::data(name("e.test."))]), "e.test. is not in zone e.");
    let mut headless = records("e.", "");
    headless.retain(|record| record.rtype != crate::dns::rtype::Rtype::SOA);
    assert_eq!(error(&headless, &plain, &[]), "zone e. has 0 SOA records at its apex, it needs exactly one");
    let lines: String = (0..OVERLAY_NODES_MAX).map(|host| format!("h{host}.cut A 192.0.2.1\n")).collect();
    let hosts = |range: std::ops::Range<usize>| -> Vec<Touched> {
        range.map(|host| Touched::data(name(&format!("h{host}.cut.e.")))).collect()
    };
    let many = records("e.", &lines);
    let large = "more than 4096 names of zone e. differ from its base";
    // The apex, the name between, and these.
    assert!(overlay(&many, &Segment::build(&plain).unwrap(), &hosts(0..OVERLAY_NODES_MAX - 2)).is_ok());
    assert_eq!(error(&many, &plain, &hosts(0..OVERLAY_NODES_MAX - 1)), large);
    let cut = records("e.", &format!("{lines}\ncut NS elsewhere."));
    assert_eq!(error(&cut, &many, &[Touched::boundary(name("cut.e."))]), large);
}

#[test]
fn an_overlay_serves_on_its_own_base_only() {
    let (old, new) = (records("e.", "a TXT x"), records("e.", "b TXT x"));
    let (base, next) = (Segment::build(&old).unwrap(), Segment::build(&new).unwrap());
    let over =
        |text: &str, touched: &str| overlay(&records("e.", text), &base, &[Touched::data(name(touched))]).unwrap();
    let first = pack_of(vec![over("a TXT x\nc TXT x", "c.e.")]);
    let second = pack_of(vec![over("a TXT x\nd TXT x", "d.e.")]);
    let together = pack_of(vec![over("a TXT x\nc TXT x", "c.e."), base]);
    let (base, next) = (pack_of(vec![Segment::build(&old).unwrap()]), pack_of(vec![next]));
    let names = |packs: &[&Arc<Pack>]| -> Result<String, LoadError> {
        let view = View::assemble(Generation(1), packs.iter().map(|&pack| Arc::clone(pack)).collect())?;
        assert_eq!((view.zone_count(), view.zones().len()), (1, 1));
        let zone = view.zone(old.apex()).unwrap();
        let names: Vec<String> = zone.nodes().map(|node| Name::from_wire(node.name()).unwrap().to_string()).collect();
        Ok(names.join(" "))
    };
    let lacks = |packs: &[&Arc<Pack>]| names(packs).err().map(|error| error.to_string());
    assert_eq!(names(&[&base, &first]).unwrap(), "e. a.e. c.e.");
    assert_eq!(names(&[&together]).unwrap(), "e. a.e. c.e.");
    // The last overlay counts, and a whole zone counts more.
    assert_eq!(names(&[&base, &first, &second]).unwrap(), "e. a.e. d.e.");
    assert_eq!(names(&[&base, &first, &next]).unwrap(), "e. b.e.");
    assert_eq!(names(&[&first, &base]).unwrap(), "e. a.e.");
    for packs in [&[&first][..], &[&next, &first], &[&base, &next, &first]] {
        assert_eq!(lacks(packs).as_deref(), Some("the overlay of zone e. lacks its base"));
    }
}
