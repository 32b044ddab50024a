//! T-A11: hashing has a price, so what one query can make us hash has a bound: NSEC3 with up to 150 iterations is served
//! and costs what the iterations cost, more is refused before it is served, and long names cost no more hashes.

use std::collections::BTreeSet;

use dataplane::answer::Settings;
use dataplane::packet::Transport;
use snapshot::dns::name::Name;
use snapshot::dns::nsec3::{HASH_LEN, Params, text};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};
use snapshot::image::Segment;

use crate::common;
use crate::packets::{name, query, with_opt};
use crate::served::{Served, best_ns, judge};

/// The zone.
const APEX: &str = "example.test.";
/// Owners below the apex.
const OWNERS: u8 = 40;
/// SHA-1 as a hash algorithm, no flags.
const HEAD: [u8; 2] = [1, 0];
/// Hashes in a negative answer: the closest encloser, the next closer name, the wildcard.
const HASHES_MAX: f64 = 3.0;

/// A zone whose names are hashed with so many iterations. Signatures are no part of the cost and left out, but for one
/// that makes it a signed zone.
fn zone(iterations: u16) -> Zone {
    let mut builder = ZoneBuilder::new(APEX.parse().unwrap());
    let mut push = |owner: &str, rtype: Rtype, rdata: &[u8]| {
        let owner: Name = owner.parse().unwrap();
        builder.push(Record { owner: owner.as_ref(), rtype, ttl_secs: 60, rdata, line: 0 }).unwrap();
    };
    for text in [
        "60 SOA ns.example.test. h.example.test. 1 2 3 4 5",
        "60 NS ns.example.test.",
        "60 DNSKEY 257 3 8 AAAA",
        "60 RRSIG SOA 8 2 60 20380101000000 20200101000000 1 example.test. AAAA",
    ] {
        let record = common::record(&format!("{APEX} {text}")).unwrap();
        push(APEX, record.rtype, &record.rdata);
    }
    let [high, low] = iterations.to_be_bytes();
    push(APEX, Rtype(51), &[&HEAD[..], &[high, low, 2, 0xab, 0xcd]].concat());
    let params = Params { iterations, salt: &[0xab, 0xcd] };
    let mut hashes: BTreeSet<[u8; HASH_LEN]> = BTreeSet::from([params.hash(&name("example.test"))]);
    for number in 0..OWNERS {
        push(&format!("h{number}.{APEX}"), Rtype::A, &[192, 0, 2, number]);
        hashes.insert(params.hash(&name(&format!("h{number}.example.test"))));
    }
    let following: Vec<_> = hashes.iter().cycle().skip(1).take(hashes.len()).collect();
    for (hash, next) in hashes.iter().zip(following) {
        let owner = format!("{}.{APEX}", std::str::from_utf8(&text(hash)).unwrap());
        let rdata = [&HEAD[..], &[high, low, 2, 0xab, 0xcd, 20], next, &[0, 1, 0x40]].concat();
        push(&owner, Rtype::NSEC3, &rdata);
    }
    builder.finish()
}

/// A query for a name that does not exist, with DO set.
fn missing(qname: &str) -> Vec<u8> {
    with_opt(query(&name(qname), 1, 1), 1232, 0x8000)
}

#[test]
fn t_a11_up_to_150_iterations_are_served_at_the_price_of_three_hashes() {
    for iterations in [0, 1, 150] {
        let mut served = Served::new(&[zone(iterations)], Settings::default());
        let message = missing("no.example.test");
        let reply = served.ask(Transport::Udp, &message).expect("a query gets a reply");
        let decoded = judge(&message, &reply);
        let proofs = decoded.sections[1].iter().filter(|record| record.rtype == Rtype::NSEC3).count();
        assert_eq!(decoded.rcode, 3);
        assert!((1..=3).contains(&proofs), "{proofs} NSEC3 records with {iterations} iterations");
        let params = Params { iterations, salt: &[0xab, 0xcd] };
        let canonical = name("no.example.test");
        let hash = best_ns(30, || {
            for _ in 0..20 {
                std::hint::black_box(params.hash(std::hint::black_box(&canonical)));
            }
        });
        let plain = with_opt(query(&name("h1.example.test"), 1, 1), 1232, 0x8000);
        let positive = best_ns(30, || served.cost(Transport::Udp, &plain, 20));
        let negative = best_ns(30, || served.cost(Transport::Udp, &message, 20));
        println!(
            "{iterations} iterations: hash {hash} ns, positive {positive} ns, negative {negative} ns, for 20 each"
        );
        // The factor is for what else a proof costs, and for a machine that is busy.
        let most = 1.5 * HASHES_MAX * hash + 20.0 * positive;
        assert!(negative < most, "{iterations} iterations: {negative} ns, at most {most} ns allowed");
    }
}

#[test]
fn t_a11_a_name_of_127_labels_is_hashed_no_more_often() {
    let mut served = Served::new(&[zone(150)], Settings::default());
    let short = missing("no.example.test");
    let long = missing(&format!("{}example.test", "a.".repeat(120)));
    let costs = [short, long].map(|message| {
        served.ask(Transport::Udp, &message).expect("a query gets a reply");
        best_ns(30, || served.cost(Transport::Udp, &message, 20))
    });
    let [short, long] = costs;
    assert!(long < 3.0 * short, "{short} ns for 3 labels, {long} ns for 122");
}

#[test]
fn t_a11_more_than_150_iterations_are_refused() {
    for iterations in [151, 2500, u16::MAX] {
        let error = Segment::build(&zone(iterations)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("iterations"), "{iterations}: {error:?}");
    }
}
