//! Who may ask, and how often.

use std::sync::Arc;

use dataplane::guard::{Limit, Over, Rules, Settings};
use dataplane::packet::{DropReason, Outcome, Restraint, Transport};
use dataplane::prefix::Prefix;

use crate::bench::{Bench, question};
use crate::packets::with_opt;

/// A second.
const SEC_NS: u64 = 1_000_000_000;

/// Prefixes from words.
fn prefixes(words: &str) -> Vec<Prefix> {
    words.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// A guard that lets one network ask, but for one of its hosts.
fn closed(denied: Over) -> Settings {
    let rules = Rules::new(&prefixes("192.0.2.0/24 2001:db8::/32"), &prefixes("0.0.0.0/0 ::/0 192.0.2.66"), &[]);
    Settings { rules: Arc::new(rules), denied, ..Settings::default() }
}

#[test]
fn who_may_not_ask_is_dropped_or_refused_over_every_transport() {
    let query = with_opt(question("www.example.test", 1), 1232, 0x8000);
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut dropping = Bench::new(closed(Over::Drop));
        let mut refusing = Bench::new(closed(Over::Refuse));
        for (client, may_ask) in [
            ("192.0.2.1", true),
            ("192.0.2.66", false),
            ("192.0.3.1", false),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            let queries = [(client.parse().unwrap(), query.clone())];
            let fate = dropping.turn(transport, SEC_NS, &queries).remove(0);
            assert_eq!(fate.is_answered(), may_ask, "{client} {transport:?}");
            assert!(may_ask || fate.outcome == Outcome::Drop(DropReason::Denied), "{client}");
            let fate = refusing.turn(transport, SEC_NS, &queries).remove(0);
            assert_eq!(fate.is_answered(), may_ask, "{client} {transport:?}");
            if !may_ask {
                assert_eq!(fate.restraint, Some(Restraint::Denied));
                assert_eq!((fate.reply[2], fate.reply[3]), (0x80, 5), "QR and REFUSED");
                assert_eq!(fate.reply.len(), query.len(), "question and OPT");
            }
        }
    }
}

#[test]
fn noise_from_those_who_may_not_ask_gets_no_reply() {
    let mut bench = Bench::new(closed(Over::Refuse));
    let mut response = question("www.example.test", 1);
    response[2] |= 0x80;
    for noise in [vec![], vec![0; 11], vec![0; 12], response] {
        let fate = bench.ask(SEC_NS, "8.8.8.8", &noise);
        assert_eq!(fate.outcome, Outcome::Drop(DropReason::Denied), "{noise:?}");
    }
}

#[test]
fn a_client_gets_its_burst_and_then_its_rate() {
    for (over, reply_head) in [(Over::Drop, None), (Over::Truncate, Some([0x82, 0])), (Over::Refuse, Some([0x80, 5]))] {
        let limit = Limit { per_sec: 30, burst: 60 };
        let rules = Arc::new(Rules::new(&[], &[], &prefixes("10.0.0.0/8")));
        let mut bench = Bench::new(Settings { rules, client: Some((limit, over)), ..Settings::default() });
        let query = question("www.example.test", 1);
        let answered = |bench: &mut Bench, at_ns, client| {
            (0..100).filter(|_| bench.ask(at_ns, client, &query).is_answered()).count()
        };
        assert_eq!(answered(&mut bench, SEC_NS, "192.0.2.1"), 60);
        assert_eq!(answered(&mut bench, 2 * SEC_NS, "192.0.2.1"), 30);
        assert_eq!(answered(&mut bench, 2 * SEC_NS, "192.0.2.2"), 60, "another address has its own");
        assert_eq!(answered(&mut bench, 2 * SEC_NS, "10.0.0.1"), 100, "exempt");
        // A host of IPv6 has a /64 to itself.
        assert_eq!(answered(&mut bench, 2 * SEC_NS, "2001:db8::1"), 60);
        assert_eq!(answered(&mut bench, 2 * SEC_NS, "2001:db8::2"), 0);
        let fate = bench.ask(2 * SEC_NS, "192.0.2.1", &query);
        match reply_head {
            None => assert_eq!(fate.outcome, Outcome::Drop(DropReason::Client)),
            Some(head) => {
                assert_eq!(fate.restraint, Some(Restraint::Client));
                assert_eq!(fate.reply[2..4], head, "{over:?}");
                assert_eq!(fate.reply.len(), query.len());
            }
        }
    }
}
