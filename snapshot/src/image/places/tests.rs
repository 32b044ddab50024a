//! Tables of places, built, checked and asked, and compared with a plain list.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::image::tests::{pack_of, records};
use crate::image::verify::verify_segment;
use crate::image::{Generation, PackFile};

/// A location by its country.
fn at(code: &str) -> Location {
    Location::new(Some(code), None)
}

/// A table of prefixes.
fn build(prefixes: &[(&str, &str)]) -> Result<Segment, BuildError> {
    let mut builder = PlacesBuilder::default();
    for (prefix, code) in prefixes {
        let (first, len) = prefix.split_once('/').unwrap();
        builder.push(first.parse().unwrap(), len.parse().unwrap(), at(code))?;
    }
    builder.finish()
}

/// The bytes of a segment.
fn bytes(segment: &Segment) -> Vec<u8> {
    segment.lines.iter().flat_map(|line| line.bytes).collect()
}

/// Where an address is, with the prefix length.
fn find(segment: &[u8], address: &str) -> String {
    let (location, len) = Places::read(segment).unwrap().find(address.parse().unwrap());
    format!("{} /{len}", location.country())
}

#[test]
fn every_address_is_in_one_prefix() {
    let segment = build(&[
        ("1.0.0.0/24", "AU"),
        ("1.0.1.0/24", "AU"),
        ("1.0.2.0/24", "CN"),
        ("198.51.100.128/25", "DE"),
        ("2001:db8::/33", "US"),
        ("2001:db8:8000::/33", "US"),
        ("2001:db9::/128", "FR"),
        ("2001:db9::1/128", "DE"),
    ])
    .unwrap();
    let bytes = bytes(&segment);
    verify_segment(&bytes).unwrap();
    assert_eq!(find(&bytes, "1.0.0.7"), "AU /23", "halves at one place are joined");
    assert_eq!(find(&bytes, "1.0.2.255"), "CN /24");
    assert_eq!(find(&bytes, "1.0.3.0"), "default /24");
    assert_eq!(find(&bytes, "0.0.0.0"), "default /8");
    assert_eq!(find(&bytes, "255.255.255.255"), "default /3");
    assert_eq!(find(&bytes, "198.51.100.127"), "default /25");
    assert_eq!(find(&bytes, "::ffff:198.51.100.200"), "DE /121", "in bits of what was asked for");
    assert_eq!(find(&bytes, "::ffff:1.0.0.7"), "AU /119");
    assert_eq!(find(&bytes, "::1"), "default /81", "what stands for IPv4 is elsewhere");
    assert_eq!(find(&bytes, "64:ff9b::1"), "default /10");
    assert_eq!(find(&bytes, "2001:db8:ffff::1"), "US /32");
    assert_eq!(find(&bytes, "2001:db9::ffff"), "FR /64");
    assert_eq!(find(&bytes, "ffff::"), "default /1");
}

#[test]
fn prefixes_come_in_order_and_apart() {
    for wrong in [
        &[("10.0.0.0/8", "AU"), ("10.0.0.0/8", "AU")][..],
        &[("10.0.0.0/8", "AU"), ("10.1.0.0/16", "AU")],
        &[("10.0.0.0/8", "AU"), ("9.0.0.0/8", "AU")],
        &[("10.0.0.1/8", "AU")],
        &[("10.0.0.0/33", "AU")],
        &[("2001:db8::/129", "AU")],
        &[("2001:db8::1/64", "AU")],
    ] {
        assert!(matches!(build(wrong), Err(BuildError::Places)), "{wrong:?}");
    }
    verify_segment(&bytes(&build(&[]).unwrap())).unwrap();
    verify_segment(&bytes(&build(&[("0.0.0.0/0", "AU"), ("::/0", "US")]).unwrap())).unwrap();
}

#[test]
fn no_octet_can_be_changed_but_for_where_prefixes_are() {
    let sound = bytes(&build(&[("10.0.0.0/9", "AU"), ("2001:db8::/32", "US")]).unwrap());
    let places = Places::read(&sound).unwrap();
    let first = PREFIXES_OFF + places.ipv4.len() * 4;
    let mut passed = 0;
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut broken = sound.clone();
            broken[at] ^= 1 << bit;
            passed += usize::from(verify_segment(&broken).is_ok());
        }
    }
    // Sixteen bits of each prefix say where it is, and some of them have meanings.
    assert!(first < sound.len() && passed <= 16 * (places.ipv4.len() + places.ipv6.len()), "{passed}");
}

#[test]
fn the_table_is_no_zone_and_the_last_one_counts() {
    let old = pack_of(vec![build(&[("10.0.0.0/8", "AU")]).unwrap()]);
    let zone = Segment::build(&records("a.test.", "")).unwrap();
    let new = pack_of(vec![zone, build(&[("10.0.0.0/8", "US")]).unwrap()]);
    let mut view = View::assemble(Generation(1), vec![Arc::clone(&old)]).unwrap();
    let code = |view: &View| {
        let (location, _) = view.places().unwrap().find(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        location.country().to_string()
    };
    assert_eq!((view.zone_count(), view.zones().len(), code(&view).as_str()), (0, 0, "AU"));
    view = view.successor(Generation(2), &[old, Arc::clone(&new)]).unwrap().unwrap();
    assert_eq!((view.zone_count(), view.zones().len(), code(&view).as_str()), (1, 1, "US"));
    let mut name = crate::dns::lookup_name::LookupName::default();
    name.assign(PLACES_APEX).unwrap();
    assert_eq!(view.find_zone(&name, 1), None);
    let gone = Arc::new(PackFile::encode_change(vec![], &[Places::apex()]).unwrap().open().unwrap());
    view = view.successor(Generation(3), &[new, gone]).unwrap().unwrap();
    assert!(view.places().is_none());
    let zone = records(&Places::apex().to_string(), "");
    assert!(matches!(Segment::build(&zone), Err(BuildError::Reserved(_))));
}

proptest! {
    #[test]
    fn a_table_says_what_a_list_of_prefixes_says(
        cuts in prop::collection::btree_map(0_u8..=255, 0_u8..3, 0..40),
        asked in prop::collection::vec(any::<u32>(), 64),
    ) {
        // Each /8 and, above it, what lies in it: sorted and apart by construction.
        let codes = ["AU", "US", "DE"];
        let mut builder = PlacesBuilder::default();
        for (octet, code) in &cuts {
            let first = IpAddr::V4(Ipv4Addr::new(*octet, 0, 0, 0));
            builder.push(first, 8, at(codes[usize::from(*code)])).unwrap();
        }
        let bytes = bytes(&builder.finish().unwrap());
        verify_segment(&bytes).unwrap();
        let places = Places::read(&bytes).unwrap();
        for address in asked {
            let (location, len) = places.find(IpAddr::V4(address.into()));
            let code = cuts.get(&address.to_be_bytes()[0]);
            prop_assert_eq!(location, code.map_or(Location::default(), |code| at(codes[usize::from(*code)])));
            prop_assert!(len <= 8);
            // All of the prefix is at one place, and that around it is not.
            let ends = |len: u8| {
                let size = 1_u64 << (32 - u32::from(len));
                let first = u64::from(address) / size * size;
                (first >> 24..=(first + size - 1) >> 24).map(|octet| cuts.get(&u8::try_from(octet).unwrap()))
            };
            prop_assert!(ends(len).all(|other| other == code));
            prop_assert!(len == 0 || ends(len - 1).any(|other| other != code));
        }
    }
}
