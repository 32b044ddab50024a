//! T-A8: sets that name a hundred other names. What a reply adds about them must not make one query cost like a hundred.

use std::fmt::Write as _;

use dataplane::answer::Settings;
use dataplane::packet::Transport;
use snapshot::dns::name::Name;

use crate::common;
use crate::packets::{name, query, with_opt};
use crate::served::{Served, best_ns};

/// Names in the large sets.
const MANY: usize = 100;
/// Names in the small sets: what fits into a message of the usual size.
const FEW: usize = 13;
/// How much more a query for a large set may cost.
const RATIO_MAX: f64 = 3.0;

/// A zone with MX, SRV and delegation sets of both sizes; every target has addresses.
fn served() -> Served {
    let mut text = String::from("@ 60 SOA ns host 1 7200 900 604800 300\n@ 60 NS t0\n");
    for target in 0..MANY {
        writeln!(text, "t{target} 60 A 192.0.2.{target}\nt{target} 60 AAAA 2001:db8::{target}").unwrap();
    }
    for count in [FEW, MANY] {
        for target in 0..count {
            writeln!(text, "mx{count} 60 MX {target} t{target}\nsrv{count} 60 SRV 0 0 {target} t{target}").unwrap();
            writeln!(text, "ns{count} 60 NS t{target}\nin{count} 60 NS t{target}.in{count}").unwrap();
            writeln!(text, "t{target}.in{count} 60 A 192.0.2.{target}\nt{target}.in{count} 60 AAAA ::{target}")
                .unwrap();
        }
    }
    let apex: Name = "example.test.".parse().unwrap();
    Served::new(&[common::zone(&apex, &text).unwrap()], Settings::default())
}

#[test]
fn t_a8_a_hundred_targets_cost_no_more_than_three_times_thirteen() {
    let mut served = served();
    for (label, qtype) in [("mx", 15), ("srv", 33), ("ns", 1), ("in", 1)] {
        for udp_len in [512, 1232] {
            let mut ns = [FEW, MANY].map(|count| {
                let owner = format!("{label}{count}.example.test");
                let message = with_opt(query(&name(&owner), qtype, 1), udp_len, 0);
                served.ask(Transport::Udp, &message).expect("a query gets a reply");
                best_ns(40, || served.cost(Transport::Udp, &message, 50))
            });
            // A set that does not fit at all is cheaper still.
            ns.iter_mut().for_each(|ns| *ns /= 50.0);
            let [few, many] = ns;
            println!("{label} {udp_len}: {few:.0} ns for {FEW}, {many:.0} ns for {MANY}");
            assert!(many < RATIO_MAX * few, "{label} at {udp_len} bytes: {few} ns for {FEW}, {many} ns for {MANY}");
        }
    }
}

#[test]
fn t_a8_over_tcp_the_cost_follows_the_bytes_of_the_reply() {
    let mut served = served();
    for (label, qtype) in [("mx", 15), ("srv", 33), ("ns", 1), ("in", 1)] {
        let [few, many] = [FEW, MANY].map(|count| {
            let message = query(&name(&format!("{label}{count}.example.test")), qtype, 1);
            let reply = served.ask(Transport::Tcp, &message).expect("a query gets a reply");
            (reply.len() as f64, best_ns(40, || served.cost(Transport::Tcp, &message, 50)) / 50.0)
        });
        println!("{label} tcp: {few:?} and {many:?} (bytes, ns)");
        let bytes = many.0 / few.0;
        assert!(many.1 < 2.0 * bytes * few.1, "{label}: {few:?} and {many:?} (bytes, ns)");
    }
}
