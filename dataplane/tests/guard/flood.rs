//! More than a worker can answer: what one zone's flood and malformed packets do to others.
//!
//! The worker is modelled in virtual time: a queue of [`QUEUE_LEN`] datagrams that loses what does not fit, turns of up to 64,
//! and a price for each datagram. Prices are those of AF_XDP in copy mode: 1.5 µs to answer and send, a fifteenth of it to
//! receive, parse and drop. With kernel sockets, where receiving is most of the price, a flood can fill the queue in front
//! of the worker whatever the worker drops.

use std::collections::VecDeque;
use std::net::IpAddr;

use dataplane::guard::{Fairness, Settings};
use dataplane::packet::{DropReason, Outcome, Transport};

use crate::bench::{Bench, question};
use crate::packets::{Random, name, query, with_opt};

/// A second.
const SEC_NS: u64 = 1_000_000_000;
/// Datagrams that wait at most, as in the receive ring of an AF_XDP socket.
const QUEUE_LEN: usize = 4096;
/// What a datagram costs that is answered.
const ANSWER_NS: u64 = 1_500;
/// What it costs to drop one.
const DROP_NS: u64 = 100;
/// Time between two queries for the zone that is not flooded.
const PACE_NS: u64 = SEC_NS / 1000;

/// What became of the queries about a zone.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Sent.
    sent: u64,
    /// Answered.
    answered: u64,
}

/// Floods `example.test.` with random names at `times` the capacity of a worker for `secs` seconds, while `other.test.`
/// is asked a thousand times a second; returns what became of both.
fn flood(fairness: Fairness, times: u64, secs: u64) -> (Tally, Tally) {
    let mut bench = Bench::new(Settings { fairness, seed: [5, 6], ..Settings::default() });
    let mut random = Random(39);
    let mut queue: VecDeque<(bool, IpAddr, Vec<u8>)> = VecDeque::new();
    let (mut flooded, mut other) = (Tally::default(), Tally::default());
    let (mut now_ns, mut flood_ns, mut pace_ns) = (SEC_NS, SEC_NS, SEC_NS);
    let end_ns = (secs + 1) * SEC_NS;
    let (mut lost, mut turns) = (0, 0);
    while now_ns < end_ns {
        while flood_ns.min(pace_ns) <= now_ns {
            let is_flood = flood_ns <= pace_ns;
            let drawn = random.next();
            let (tally, name, next_ns) = if is_flood {
                (&mut flooded, format!("r{drawn:x}.example.test"), &mut flood_ns)
            } else {
                (&mut other, "www.other.test".to_owned(), &mut pace_ns)
            };
            *next_ns += if is_flood { ANSWER_NS / times } else { PACE_NS };
            tally.sent += 1;
            if queue.len() < QUEUE_LEN {
                let [a, b, c, d, ..] = drawn.to_be_bytes();
                queue.push_back((is_flood, [a, b, c, d].into(), question(&name, 1)));
            } else {
                lost += 1;
            }
        }
        let (marks, queries): (Vec<_>, Vec<_>) =
            queue.drain(..queue.len().min(64)).map(|(is_flood, client, query)| (is_flood, (client, query))).unzip();
        if queries.is_empty() {
            now_ns = flood_ns.min(pace_ns);
            continue;
        }
        // As the worker does while turns are full.
        turns += 1;
        if turns % 8 == 0 && queries.len() == 64 {
            bench.lose(lost);
        }
        for (is_flood, fate) in marks.into_iter().zip(bench.turn(Transport::Udp, now_ns, &queries)) {
            (if is_flood { &mut flooded } else { &mut other }).answered += u64::from(fate.is_answered());
            now_ns += if fate.is_answered() { ANSWER_NS } else { DROP_NS };
        }
    }
    (flooded, other)
}

/// Checks that the zone that is not flooded loses at most one in a thousand, and that the flooded one is not cut off;
/// returns what became of both.
fn check_flood(times: u64) -> (Tally, Tally) {
    let (flooded, other) = flood(Fairness::Zones, times, 2);
    assert!((other.sent - other.answered) * 1000 <= other.sent, "{times} times the capacity: {flooded:?} {other:?}");
    assert!(flooded.answered * 64 >= flooded.sent, "{times} times the capacity: {flooded:?} {other:?}");
    (flooded, other)
}

#[test]
fn t_g8_fault_39_a_flood_of_random_names_on_one_zone_costs_another_one_in_a_thousand_at_most() {
    for times in [5, 10] {
        let (flooded, other) = check_flood(times);
        println!("{times} times the capacity: flooded {flooded:?}, other {other:?}");
    }
    // The model is worth nothing if the other zone does not suffer without a guard.
    let (_, other) = flood(Fairness::Off, 5, 1);
    assert!(other.answered * 2 < other.sent, "{other:?}");
}

#[test]
fn fault_39_below_the_capacity_a_flood_loses_nothing() {
    let (flooded, other) = {
        let mut bench = Bench::new(Settings { seed: [7, 8], ..Settings::default() });
        let mut counts = (0, 0);
        for turn in 0..500_u64 {
            let queries: Vec<(IpAddr, Vec<u8>)> = (0..63)
                .map(|number| {
                    let zone = if number == 0 { "other" } else { "example" };
                    ([192, 0, 2, 1].into(), question(&format!("r{turn}-{number}.{zone}.test"), 1))
                })
                .collect();
            let fates = bench.turn(Transport::Udp, SEC_NS + turn * 1_000_000, &queries);
            counts.0 += fates[1..].iter().filter(|fate| fate.is_answered()).count();
            counts.1 += usize::from(fates[0].is_answered());
        }
        counts
    };
    assert_eq!((flooded, other), (500 * 62, 500));
}

#[test]
fn a_zone_that_has_the_server_to_itself_is_answered_at_any_load() {
    let mut bench = Bench::new(Settings { seed: [7, 8], ..Settings::default() });
    for turn in 0..500_u64 {
        bench.lose(turn);
        let query = question(&format!("r{turn}.example.test"), 1);
        let queries = vec![([192, 0, 2, 1].into(), query); 64];
        let fates = bench.turn(Transport::Udp, SEC_NS + turn * 1_000_000, &queries);
        // For some milliseconds it is not known that nobody else asks.
        assert!(turn < 10 || fates.iter().all(|fate| fate.is_answered()), "turn {turn}");
    }
}

/// A packet that is nearly a query: one that was sound, with octets changed, cut off or put behind.
fn malformed(random: &mut Random) -> Vec<u8> {
    let labels = ["www", "r", "", "wild", "cut"][random.below(5)];
    let mut packet = query(&name(&format!("{labels}.example.test")), [1, 16, 255, 6, 41][random.below(5)], 1);
    if random.below(2) == 0 {
        packet = with_opt(packet, 1232, 0x8000);
    }
    for _ in 0..=random.below(4) {
        let at = random.below(packet.len());
        match random.below(4) {
            0 => packet.truncate(at),
            1 => packet.push(random.octet()),
            _ => packet[at] = random.octet(),
        }
        if packet.is_empty() {
            packet.push(0);
        }
    }
    packet
}

#[test]
fn fault_40_a_million_malformed_packets_cost_no_sound_query_its_answer() {
    let mut bench = Bench::new(Settings { seed: [9, 10], ..Settings::default() });
    let mut random = Random(40);
    let sound = question("www.other.test", 1);
    let (mut sent, mut turn) = (0, 0);
    while sent < 1_000_000 {
        let mut queries: Vec<(IpAddr, Vec<u8>)> = (0..63)
            .map(|_| {
                let [a, b, c, d, ..] = random.next().to_be_bytes();
                ([a, b, c, d].into(), malformed(&mut random))
            })
            .collect();
        let at = random.below(64);
        // Seldom enough to be below every share.
        let is_canary = turn % 4 == 0;
        if is_canary {
            queries.insert(at, ([192, 0, 2, 1].into(), sound.clone()));
        }
        // Every turn is full, and the queue loses more all the time.
        bench.lose(turn);
        let fates = bench.turn(Transport::Udp, SEC_NS + turn * 10_000, &queries);
        assert!(!is_canary || fates[at].is_answered(), "turn {turn}: {:?}", fates.get(at));
        assert!(fates.iter().all(|fate| fate.outcome != Outcome::Drop(DropReason::Panic)), "turn {turn}");
        sent += 63;
        turn += 1;
    }
}
