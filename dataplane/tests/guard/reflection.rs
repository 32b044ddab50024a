//! Response rate limiting: a victim behind forged addresses, and everybody else.

use std::net::IpAddr;

use dataplane::guard::{Limit, Responses, Settings};
use dataplane::packet::{DropReason, Outcome, Restraint, Transport};

use crate::bench::{Bench, cookie, question, with_option};
use crate::packets::{Random, with_opt};

/// A second, and a millisecond.
const SEC_NS: u64 = 1_000_000_000;
const MS_NS: u64 = 1_000_000;
/// The limits of these tests.
const RESPONSES: Responses = Responses {
    kind: Limit { per_sec: 200, burst: 200 },
    all: Limit { per_sec: 1000, burst: 1000 },
    slip: 2,
    v4_len: 24,
    v6_len: 56,
};
/// Type numbers.
const A: u16 = 1;
const TXT: u16 = 16;
const ANY: u16 = 255;

/// A bench with these limits.
fn bench(responses: Responses) -> Bench {
    Bench::new(Settings { responses: Some(responses), seed: [11, 12], ..Settings::default() })
}

/// What a flood asks for: its name in this test, a type, and the qname of each query.
type Shape<'n> = (&'n str, u16, &'n dyn Fn(u64) -> String);

/// What a flood came to.
#[derive(Debug, Default)]
struct Tally {
    /// Whole replies.
    answered: u64,
    /// Empty ones.
    slipped: u64,
    /// Bytes of queries.
    asked_len: usize,
    /// Bytes of all replies.
    replied_len: usize,
}

/// Floods a prefix for `secs` seconds with `per_ms` queries a millisecond, from hosts of 203.0.113.0/24 by turns.
fn flood(bench: &mut Bench, secs: u64, per_ms: u64, mut query: impl FnMut(u64) -> Vec<u8>) -> Tally {
    let mut tally = Tally::default();
    for number in 0..secs * 1000 * per_ms {
        let query = query(number);
        let client = format!("203.0.113.{}", number % 256);
        let fate = bench.ask(SEC_NS + number / per_ms * MS_NS, &client, &query);
        tally.answered += u64::from(fate.is_answered());
        tally.slipped += u64::from(fate.restraint == Some(Restraint::Slip));
        tally.asked_len += query.len();
        tally.replied_len += fate.reply.len();
        if fate.restraint.is_some() {
            assert_eq!(fate.reply[2] & 0x82, 0x82, "QR and TC");
            assert_eq!(fate.reply[6..10], [0; 4], "no answer, no authority");
            assert!(fate.reply.len() <= query.len(), "an empty reply is no longer than its query");
        } else if fate.reply.is_empty() {
            assert_eq!(fate.outcome, Outcome::Drop(DropReason::Rate));
        }
    }
    tally
}

#[test]
fn t_d6_a_spoofed_prefix_gets_the_rate_and_half_of_the_rest_empty() {
    let names: [Shape<'_>; 4] = [
        ("one name", TXT, &|_| "example.test".into()),
        ("random names that do not exist", A, &|number| format!("r{number}.example.test")),
        ("random names below a wildcard", TXT, &|number| format!("r{number}.wild.example.test")),
        ("random names below a cut", A, &|number| format!("r{number}.cut.example.test")),
    ];
    for (what, qtype, qname) in names {
        let mut bench = bench(RESPONSES);
        let tally = flood(&mut bench, 5, 4, |number| with_opt(question(&qname(number), qtype), 1232, 0));
        assert!((1150..=1200).contains(&tally.answered), "{what}: rate by time and a burst: {tally:?}");
        assert_eq!(tally.slipped, (20_000 - tally.answered) / 2, "{what}: {tally:?}");
    }
}

#[test]
fn t_d6_others_are_not_affected() {
    let mut bench = bench(RESPONSES);
    let mut answered = 0;
    flood(&mut bench, 1, 5, |_| question("example.test", TXT));
    for number in 0..2000 {
        // Of each query here ten are the attacker's; a hundred prefixes ask 10 times a second each.
        let at_ns = 2 * SEC_NS + number * MS_NS;
        for _ in 0..10 {
            bench.ask(at_ns, "203.0.113.7", &question("example.test", TXT));
        }
        let client = format!("198.51.{}.9", number % 100);
        answered += u64::from(bench.ask(at_ns, &client, &question("example.test", TXT)).is_answered());
    }
    assert_eq!(answered, 2000);
}

#[test]
fn t_d6_many_zones_do_not_add_up() {
    let mut bench = bench(RESPONSES);
    let tally = flood(&mut bench, 5, 10, |number| question(&format!("www.zone{}.test", number % 100), A));
    assert!(tally.answered <= 6 * 1000 + 200, "all replies to a prefix are limited: {tally:?}");
    assert!(tally.answered >= 5000, "{tally:?}");
}

#[test]
fn t_d6_what_is_reflected_stays_below_three_times() {
    // Ten times the rate, in the shapes that give the most for the least.
    for qtype in [TXT, ANY] {
        let mut bench = bench(RESPONSES);
        let small = question("example.test", qtype);
        let whole = bench.ask(SEC_NS, "192.0.2.1", &with_opt(small.clone(), 1232, 0)).reply.len();
        let tally = flood(&mut bench, 10, 2, |_| small.clone());
        let ratio = tally.replied_len * 100 / tally.asked_len;
        println!(
            "type {qtype}: {whole} bytes for {} without the limit, {ratio} % of what was asked with it",
            small.len()
        );
        assert!(ratio <= 300, "{ratio} %");
    }
}

#[test]
fn t_d6_a_cookie_and_tcp_are_exempt_and_empty_replies_bring_the_cookie() {
    let mut bench = bench(RESPONSES);
    let plain = question("www.example.test", A);
    flood(&mut bench, 1, 5, |_| plain.clone());
    // In the flooded prefix, a client that has no server cookie yet gets one with the empty reply.
    let client = "203.0.113.77";
    let first = with_option(plain.clone(), 10, b"12345678");
    let fates: Vec<_> = (0..4).map(|_| bench.ask(2 * SEC_NS, client, &first)).collect();
    let slipped = fates.iter().find(|fate| fate.restraint == Some(Restraint::Slip)).unwrap();
    let whole = cookie(&slipped.reply).unwrap().to_vec();
    assert!(slipped.reply.len() <= first.len() + 16, "no more than the server cookie is added");
    let proved = with_option(plain.clone(), 10, &whole);
    for _ in 0..1000 {
        assert!(bench.ask(2 * SEC_NS, client, &proved).is_answered());
    }
    // The cookie is that address's alone.
    let forged = (0..1000).filter(|_| bench.ask(2 * SEC_NS, "203.0.113.78", &proved).is_answered()).count();
    assert!(forged <= 2, "{forged}");
    for _ in 0..20 {
        let queries: Vec<_> = (0..50).map(|_| (client.parse().unwrap(), plain.clone())).collect();
        assert!(bench.turn(Transport::Tcp, 2 * SEC_NS, &queries).iter().all(|fate| fate.is_answered()));
    }
}

#[test]
fn t_d6_slip_is_as_often_as_was_set() {
    for (slip, expected) in [(0, 0), (1, 1000), (2, 500), (10, 100)] {
        let mut bench = bench(Responses { slip, ..RESPONSES });
        let query = question("www.example.test", A);
        for _ in 0..200 {
            assert!(bench.ask(SEC_NS, "203.0.113.1", &query).is_answered());
        }
        let slipped = (0..1000).filter(|_| bench.ask(SEC_NS, "203.0.113.1", &query).restraint.is_some()).count();
        assert_eq!(slipped, expected, "slip {slip}");
    }
}

#[test]
fn fault_41_a_storm_from_everywhere_lifts_no_limit() {
    // Far more prefixes than buckets, and one that is flooded among them.
    let guard = Settings { responses: Some(RESPONSES), seed: [21, 22], table_len: 1 << 16, ..Settings::default() };
    let mut bench = Bench::new(guard);
    let mut random = Random(41);
    let query = question("www.example.test", A);
    let (mut victim_answered, mut others_answered) = (0, 0);
    for batch in 0..4000_u64 {
        let queries: Vec<(IpAddr, Vec<u8>)> = (0..60)
            .map(|number| {
                let [a, b, c, ..] = random.next().to_be_bytes();
                let client = if number % 20 == 0 { [203, 0, 113, 9] } else { [a | 128, b, c, 1] };
                (client.into(), query.clone())
            })
            .collect();
        for (number, fate) in bench.turn(Transport::Udp, SEC_NS + batch * MS_NS / 2, &queries).iter().enumerate() {
            *(if number % 20 == 0 { &mut victim_answered } else { &mut others_answered }) +=
                u64::from(fate.is_answered());
        }
    }
    // Two seconds, 6,000 queries a second in its name.
    assert!(victim_answered <= 2 * 200 + 200 + 40, "{victim_answered}");
    assert_eq!(others_answered, 4000 * 57, "prefixes that ask once are never limited");
}

#[test]
fn a_clock_that_jumps_limits_nobody_who_keeps_to_the_rate() {
    let mut bench = bench(RESPONSES);
    let query = question("www.example.test", A);
    let mut random = Random(9);
    let mut at_ns = 1_000_000 * SEC_NS;
    for number in 0..2000 {
        // Ten milliseconds each, between jumps by up to ten minutes to either side.
        at_ns += 10 * MS_NS;
        if number % 100 == 99 {
            at_ns = at_ns + random.next() % (600 * SEC_NS) - 300 * SEC_NS;
        }
        assert!(bench.ask(at_ns, "203.0.113.1", &query).is_answered(), "{number}");
    }
}
