//! Alternatives in segments: who gets which, and that what is damaged is refused or read without harm.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dns::choice::Member;
use crate::dns::name::Name;
use crate::image::tests::{pack_of, records};
use crate::image::verify::verify_segment;
use crate::image::{Generation, Segment, View};

/// A zone whose name `p` has these addresses: last octet, region and weight.
fn segment(members: &[(u8, &str, u32)]) -> Segment {
    let addresses: Vec<String> = members.iter().map(|(octet, ..)| format!("p A 192.0.2.{octet}\n")).collect();
    let zone = records("a.test.", &addresses.concat());
    let owner: Name = "p.a.test.".parse().unwrap();
    let rdatas: Vec<[u8; 4]> = members.iter().map(|(octet, ..)| [192, 0, 2, *octet]).collect();
    let members = members.iter().zip(&rdatas);
    let members = members.map(|((_, region, weight), rdata)| Member {
        region: Region::parse(region).unwrap(),
        weight: *weight,
        rdata,
    });
    let members: Vec<_> = members.collect();
    let choice = Choice::of(zone.apex(), owner.as_ref(), Rtype::A, 60, &members).unwrap();
    let mut builder = zone.reopen();
    choice.into_iter().for_each(|choice| builder.choose(owner.as_ref(), Rtype::A, choice));
    Segment::build(&builder.finish()).unwrap()
}

/// The view of one segment.
fn view(segment: Segment) -> View {
    View::assemble(Generation(1), vec![pack_of(vec![segment])]).unwrap()
}

/// The addresses of `p` that a client gets, by their last octets.
fn chosen(view: &View, location: Location, lot: u64) -> Vec<u8> {
    let apex: Name = "a.test.".parse().unwrap();
    let zone = view.zone(apex.as_ref()).unwrap();
    let body = zone.nodes().find_map(|node| node.rrset(Rtype::A)).unwrap();
    let body = body.choices().and_then(|choices| choices.choose(location, lot)).unwrap_or(body);
    body.records.chunks(16).map(|record| record[15]).collect()
}

/// A client somewhere.
fn at(country: &str, continent: &str) -> Location {
    Location::new(Some(country), Some(continent))
}

#[test]
fn the_country_comes_before_the_continent_and_both_before_the_default() {
    let view = view(segment(&[(1, "DE", 0), (2, "EU", 0), (3, "", 0), (4, "", 0), (5, "continent:NA", 0)]));
    for (location, expected) in [
        (at("DE", "EU"), &[1][..]),
        (at("FR", "EU"), &[2]),
        (Location::new(None, Some("EU")), &[2]),
        (at("NA", "AF"), &[3, 4]),
        (at("US", "NA"), &[5]),
        (Location::default(), &[3, 4]),
    ] {
        assert_eq!(chosen(&view, location, 0), expected, "{location:?}");
    }
    let none = segment(&[(1, "DE", 0), (2, "US", 0)]);
    assert_eq!(chosen(&self::view(none), at("FR", "EU"), 0), [1, 2], "who has nothing gets all");
}

#[test]
fn lots_fall_on_weights_in_their_proportion() {
    let view = view(segment(&[(1, "", 1), (2, "", 2), (3, "", 5), (4, "", 0)]));
    let count = 8_000_u64;
    let mut counts = [0; 5];
    for lot in 0..count {
        let chosen = chosen(&view, Location::default(), lot * (u64::MAX / count) + (u64::MAX / count) / 2);
        assert_eq!(chosen.len(), 1);
        counts[usize::from(chosen[0])] += 1;
    }
    assert_eq!(counts, [0, 1_000, 2_000, 5_000, 0]);
    assert_eq!(chosen(&view, Location::default(), u64::MAX), [3]);
}

#[test]
fn more_than_a_body_can_hold_is_answered_whole() {
    let members: Vec<(u8, &str, u32)> = (0..=64).map(|octet| (octet, "", 1)).collect();
    assert_eq!(chosen(&view(segment(&members[..64])), Location::default(), 0).len(), 1);
    assert_eq!(chosen(&view(segment(&members)), Location::default(), 0).len(), 65);
}

proptest! {
    #[test]
    fn damaged_alternatives_are_refused_or_can_be_read(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let sound = segment(&[(1, "DE", 3), (2, "DE", 4), (3, "EU", 0), (4, "", 0)]);
        let mut bytes: Vec<u8> = sound.lines.iter().flat_map(|line| line.bytes).collect();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if verify_segment(&bytes).is_ok() {
            let mut lines = Vec::new();
            crate::image::line::push_lines(&mut lines, &bytes);
            let facts = crate::image::ZoneFacts { digest: crate::image::Digest::of(&bytes), ..sound.facts.clone() };
            let view = View::assemble(Generation(1), vec![Arc::clone(&pack_of(vec![Segment { facts, lines }]))]).unwrap();
            let Some(zone) = view.zones().first().and_then(|facts| view.zone(facts.apex.as_ref())) else { return Ok(()) };
            for body in zone.nodes().flat_map(|node| node.rrsets().collect::<Vec<_>>()) {
                prop_assert_eq!(body.choices().is_some(), body.has_choices());
                for (region, alternatives) in body.choices().iter().flat_map(|choices| choices.groups().collect::<Vec<_>>()) {
                    prop_assert!(region.is_some() && alternatives.iter().all(|(weight, _)| *weight > 0));
                }
            }
        }
    }
}
