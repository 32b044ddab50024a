//! Limits on packets that nobody has answered: what passes, what does not, and for whom.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A second.
const SEC_NS: u64 = 1_000_000_000;
/// The limits of these tests.
const RESPONSES: Responses = Responses {
    kind: Limit { per_sec: 100, burst: 100 },
    all: Limit { per_sec: 300, burst: 300 },
    slip: 0,
    v4_len: 24,
    v6_len: 56,
};

/// A guard with these limits that exempts 10.0.0.0/8.
fn guard(responses: Responses) -> Guard {
    let exempt = ["10.0.0.0/8".parse().unwrap()];
    let rules = Arc::new(Rules::new(&[], &[], &exempt));
    Guard::new(Settings { rules, responses: Some(responses), seed: [3, 4], ..Settings::default() })
}

/// The reply of a test: who gets it, zone and RCODE.
type Reply = (IpAddr, u32, u16);

/// How many of `count` replies like this pass at a time.
fn passed(guard: &mut Guard, at_ns: u64, count: usize, (client, zone, rcode): Reply) -> usize {
    (0..count)
        .filter(|_| {
            let mut buf = [0; 64];
            let mut packets = [Packet::new(&mut buf, 30, client)];
            guard.admit(Transport::Udp, at_ns, false, &mut packets);
            packets[0].notes.zone = Some(zone);
            packets[0].outcome = Outcome::Reply { len: 40, rcode, truncated: false };
            guard.judge(Transport::Udp, &mut packets);
            matches!(packets[0].outcome, Outcome::Reply { .. })
        })
        .count()
}

/// An address from text.
fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_prefix_is_limited_as_a_whole_and_no_other_is() {
    for (first, same, other) in [
        ("192.0.2.1", "192.0.2.255", "192.0.3.1"),
        ("2001:db8::1", "2001:db8:0:ff:ffff::", "2001:db8:0:100::"),
        ("::ffff:192.0.2.1", "192.0.2.9", "192.0.1.255"),
    ] {
        let mut guard = guard(RESPONSES);
        assert_eq!(passed(&mut guard, SEC_NS, 1000, (addr(first), 1, 0)), 100, "{first}");
        assert_eq!(passed(&mut guard, SEC_NS, 10, (addr(same), 1, 0)), 0, "{same}");
        assert_eq!(passed(&mut guard, SEC_NS, 10, (addr(other), 1, 0)), 10, "{other}");
    }
}

#[test]
fn kinds_and_zones_are_limited_apart_and_all_together() {
    let mut guard = guard(RESPONSES);
    let client = addr("192.0.2.1");
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (client, 1, 3)), 100, "names that do not exist");
    // Half of a burst is in the meter of the prefix, which is full by now.
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (client, 1, 0)), 50, "another kind");
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (client, 2, 0)), 50, "another zone");
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (client, 1, 5)), 50, "errors");
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (client, 2, 5)), 0, "errors have no zone");
    let zones = |guard: &mut Guard| (3..1000).map(|zone| passed(guard, SEC_NS, 9, (client, zone, 0))).sum::<usize>();
    assert_eq!(zones(&mut guard), 300 - 200, "all that a prefix may have");
}

#[test]
fn exempt_prefixes_and_clients_with_a_cookie_are_not_limited() {
    let mut guard = guard(RESPONSES);
    assert_eq!(passed(&mut guard, SEC_NS, 1000, (addr("10.1.2.3"), 1, 0)), 1000);
    let mut buf = [0; 64];
    for _ in 0..1000 {
        let mut packets = [Packet::new(&mut buf, 30, addr("192.0.2.1"))];
        packets[0].notes.cookie = true;
        packets[0].outcome = Outcome::Reply { len: 40, rcode: 0, truncated: false };
        guard.judge(Transport::Udp, &mut packets);
        assert!(packets[0].reply_len() > 0);
        packets[0].notes.cookie = false;
        guard.judge(Transport::Tcp, &mut packets);
        assert!(packets[0].reply_len() > 0);
    }
    assert_eq!(passed(&mut guard, SEC_NS, 5, (addr("192.0.2.1"), 1, 0)), 5, "they used nothing up");
}

#[test]
fn overload_is_when_batches_are_full_and_more_was_lost_than_before() {
    let mut guard = guard(RESPONSES);
    guard.admit(Transport::Udp, SEC_NS, true, &mut []);
    assert!(guard.gate().is_none());
    guard.lose(Lost { queues: 7, rings: 0 });
    guard.admit(Transport::Udp, SEC_NS, true, &mut []);
    assert!(guard.gate().is_some());
    guard.admit(Transport::Tcp, SEC_NS, true, &mut []);
    assert!(guard.gate().is_none(), "TCP takes its turn by itself");
    guard.admit(Transport::Udp, 3 * SEC_NS, true, &mut []);
    guard.lose(Lost { queues: 7, rings: 0 });
    guard.admit(Transport::Udp, 3 * SEC_NS, true, &mut []);
    assert!(guard.gate().is_none(), "nothing more was lost");
}

proptest! {
    /// However a flood is spread over time and kinds, and whatever the clock does, no kind gets more than its rate by the
    /// time that passed and a burst, nor do all together.
    #[test]
    fn no_prefix_gets_more_than_rate_by_time_and_a_burst(
        per_sec in 1_u32..2000,
        burst in 2_u32..400,
        steps in prop::collection::vec((0_u64..SEC_NS / 4, 1_usize..300, 0_u32..4, any::<bool>()), 1..80),
    ) {
        let kind = Limit { per_sec, burst };
        let all = Limit { per_sec: 2 * per_sec, burst: 2 * burst };
        let mut guard = guard(Responses { kind, all, ..RESPONSES });
        let (mut shown_ns, mut believed_ns, mut sent) = (SEC_NS, 0_u64, [0_u128; 4]);
        for (step_ns, count, zone, back) in steps {
            if back {
                shown_ns = shown_ns.saturating_sub(step_ns);
            } else {
                shown_ns += step_ns;
                believed_ns += step_ns;
            }
            let client = addr("192.0.2.1");
            sent[zone as usize] += passed(&mut guard, shown_ns, count, (client, zone, 0)) as u128;
            let most = |limit: Limit| {
                u128::from(limit.per_sec) * u128::from(believed_ns) / u128::from(SEC_NS) + u128::from(limit.burst) + 1
            };
            for sent in sent {
                prop_assert!(sent <= most(kind), "{sent} of {}", most(kind));
            }
            prop_assert!(sent.iter().sum::<u128>() <= most(kind) + most(all));
        }
    }

    /// Who keeps to the rate is never limited, whatever else happens.
    #[test]
    fn who_keeps_to_the_rate_is_never_limited(floods in prop::collection::vec((1_u32..50, 0_usize..50), 1..100)) {
        let mut guard = guard(RESPONSES);
        let mut now_ns = SEC_NS;
        for (other, count) in floods {
            now_ns += SEC_NS / 100;
            passed(&mut guard, now_ns, count, (IpAddr::from([203, 0, u8::try_from(other).unwrap(), 1]), other, 0));
            prop_assert_eq!(passed(&mut guard, now_ns, 1, (addr("192.0.2.1"), other, 0)), 1);
        }
    }
}
