//! Views made step by step against views made from nothing, and both against what the packs say.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use proptest::prelude::*;

use super::super::{PackFile, Segment};
use super::*;
use crate::dns::name::Name;
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, ZoneBuilder};

/// A pack of zones with their serials, and of deletions: "a=1 b=2 -c".
fn pack(content: &str) -> Arc<Pack> {
    let (mut segments, mut deleted) = (Vec::new(), Vec::new());
    for word in content.split_whitespace() {
        match (word.split_once('='), word.strip_prefix('-')) {
            (Some((apex, serial)), _) => segments.push(segment(&apex.parse().unwrap(), serial.parse().unwrap())),
            (None, Some(apex)) => deleted.push(apex.parse().unwrap()),
            (None, None) => panic!("{word}"),
        }
    }
    let encoded = PackFile::encode_change(segments, &deleted).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&encoded.bytes).unwrap();
    file.rewind().unwrap();
    Arc::new(Pack::load(&file, encoded.digest).unwrap())
}

/// A zone of an apex and nothing else.
fn segment(apex: &Name, serial: u32) -> Segment {
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut soa = b"\x02ns\0\x02hm\0".to_vec();
    soa.extend_from_slice(&serial.to_be_bytes());
    soa.extend_from_slice(&[0; 16]);
    builder.push(Record { owner: apex.as_ref(), rtype: Rtype::SOA, ttl_secs: 60, rdata: &soa, line: 1 }).unwrap();
    Segment::build(&builder.finish()).unwrap()
}

/// What a view serves, as it tells, and checked by asking for each zone.
fn content(view: &View) -> String {
    let facts = view.zones();
    assert_eq!(facts.len(), view.zone_count());
    for facts in &facts {
        let zone = view.zone(facts.apex.as_ref()).expect("a zone that is listed is found");
        let serial = super::super::bytes::u32_at(zone.segment, super::super::layout::header::SERIAL);
        assert_eq!(serial, Some(facts.serial), "{}", facts.apex);
    }
    let shown = |facts: &super::super::ZoneFacts| format!("{}={}", facts.apex, facts.serial);
    facts.iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// The serials that a list of packs stands for.
fn model(contents: &[&str]) -> String {
    let mut zones = BTreeMap::new();
    for word in contents.iter().flat_map(|content| content.split_whitespace()) {
        match word.split_once('=') {
            Some((apex, serial)) => zones.insert(format!("{apex}."), serial.to_owned()),
            None => zones.remove(&format!("{}.", &word[1..])),
        };
    }
    let mut zones: Vec<_> = zones.into_iter().map(|(apex, serial)| (apex.parse::<Name>().unwrap(), serial)).collect();
    zones.sort();
    zones.iter().map(|(apex, serial)| format!("{apex}={serial}")).collect::<Vec<_>>().join(" ")
}

/// Makes the view of `after` from that of `before`; tells what it serves, or that it cannot be made.
fn succeeded(before: &[&str], after: &[&str]) -> String {
    let mut packs: BTreeMap<&str, Arc<Pack>> = BTreeMap::new();
    let mut get = |content: &&'static str| Arc::clone(packs.entry(*content).or_insert_with(|| pack(content)));
    let before: Vec<_> = before.iter().map(|content| get(&leak(content))).collect();
    let after: Vec<_> = after.iter().map(|content| get(&leak(content))).collect();
    let old = View::assemble(Generation(1), before).unwrap();
    let shown = content(&old);
    let new = old.successor(Generation(2), &after).unwrap();
    assert_eq!(content(&old), shown, "the view before stays as it was");
    let whole = View::assemble(Generation(2), after).unwrap();
    match new {
        Some(new) => {
            assert_eq!(content(&new), content(&whole));
            content(&new)
        }
        None => "from nothing".into(),
    }
}

/// Lets a short text live as long as the test.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn packs_come_and_go() {
    for (before, after, expected) in [
        (&["a=1 b=1"][..], &["a=1 b=1", "b=2"][..], "a.=1 b.=2"),
        (&["a=1 b=1"], &["a=1 b=1", "-b"], "a.=1"),
        (&["a=1 b=1", "-b"], &["a=1 b=1", "-b", "b=3"], "a.=1 b.=3"),
        // Folding: the packs at the end become one.
        (&["a=1 b=1", "b=2", "-a"], &["a=1 b=1", "b=2 -a c=1"], "b.=2 c.=1"),
        // Folding below a pack that stays.
        (&["a=1", "b=1", "c=1", "b=2"], &["a=1", "b=1 c=1", "b=2"], "a.=1 b.=2 c.=1"),
        // A new base below what came meanwhile.
        (&["a=1 b=1", "b=2", "-a"], &["b=2 c=9", "-a"], "b.=2 c.=9"),
        // Everything else.
        (&["a=1 b=1", "b=2"], &["x=1 y.x=1"], "x.=1 y.x.=1"),
        (&["a=1"], &[], ""),
        // A pack that goes back to the end.
        (&["a=1", "a=2"], &["a=2", "a=1"], "a.=1"),
        // A zone that was shadowed comes back: which pack has it is not known.
        (&["a=1", "a=2"], &["a=1"], "from nothing"),
        (&["a=1", "-a"], &["a=1"], "from nothing"),
    ] {
        assert_eq!(succeeded(before, after), expected, "{before:?} to {after:?}");
    }
}

#[test]
fn a_deleted_zone_gives_way_to_the_one_above() {
    let base = pack("example=1 sub.example=1");
    let old = View::assemble(Generation(1), vec![Arc::clone(&base)]).unwrap();
    let new = old.successor(Generation(2), &[base, pack("-sub.example")]).unwrap().unwrap();
    let mut name = crate::dns::lookup_name::LookupName::default();
    name.assign("www.sub.example.".parse::<Name>().unwrap().as_wire()).unwrap();
    let labels = |view: &View| view.get(view.find_zone(&name, 3).unwrap()).unwrap().apex_labels();
    assert_eq!((labels(&old), labels(&new)), (2, 1));
}

/// A change of a list of packs.
#[derive(Debug, Clone)]
enum Step {
    /// Adds a pack at the end.
    Add(Vec<(u8, u8)>),
    /// Makes one of the packs from one position to another.
    Fold(usize, usize),
    /// Leaves a pack out.
    Drop(usize),
    /// Moves a pack to the end.
    Again(usize),
}

/// Any change.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0_u8..24, 0_u8..4), 1..6).prop_map(Step::Add),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Step::Fold(from, to)),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::Again),
    ];
    prop::collection::vec(step, 1..30)
}

/// The text of a pack; value 0 deletes.
fn text(entries: &BTreeMap<u8, u8>) -> String {
    let word = |(zone, serial): (&u8, &u8)| match serial {
        0 => format!("-z{zone}"),
        _ => format!("z{zone}={serial}"),
    };
    entries.iter().map(word).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A view made step by step serves what one made from nothing serves, and what the packs say.
    #[test]
    fn views_made_from_views_serve_the_same(steps in steps()) {
        let mut lists: Vec<BTreeMap<u8, u8>> = Vec::new();
        let mut packs: Vec<Arc<Pack>> = Vec::new();
        let mut view = View::assemble(Generation(1), vec![]).unwrap();
        let (mut made, mut told) = (0, 0);
        for (at, step) in steps.into_iter().enumerate() {
            let len = lists.len();
            let mut may_fail = false;
            match step {
                Step::Add(entries) => {
                    // Each zone once a pack.
                    lists.push(entries.into_iter().collect());
                    packs.push(pack(&text(&lists[len])));
                }
                Step::Fold(from, to) if len > 1 => {
                    let (from, to) = (from % len, to % len);
                    let range = from.min(to)..from.max(to) + 1;
                    let folded = lists[range.clone()].iter().flatten().map(|(k, v)| (*k, *v)).collect();
                    packs.splice(range.clone(), [pack(&text(&folded))]);
                    lists.splice(range, [folded]);
                }
                Step::Drop(which) if len > 0 => {
                    lists.remove(which % len);
                    packs.remove(which % len);
                    may_fail = true;
                }
                Step::Again(which) if len > 0 => {
                    let list = lists.remove(which % len);
                    lists.push(list);
                    let pack = packs.remove(which % len);
                    packs.push(pack);
                    may_fail = true;
                }
                _ => {}
            }
            let generation = Generation(at as u64 + 2);
            let whole = View::assemble(generation, packs.clone()).unwrap();
            let texts: Vec<String> = lists.iter().map(text).collect();
            prop_assert_eq!(content(&whole), model(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
            made += 1;
            match view.successor(generation, &packs).unwrap() {
                Some(next) => {
                    prop_assert_eq!(content(&next), content(&whole));
                    prop_assert_eq!(next.depths.clone(), whole.depths.clone());
                    view = next;
                    told += 1;
                }
                None => {
                    prop_assert!(may_fail, "what only came, or was folded, can always be told");
                    view = whole;
                }
            }
        }
        prop_assert!(told * 2 >= made || made < 8);
    }
}
