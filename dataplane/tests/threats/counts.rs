//! T-A4: section counts that lie. The work follows the bytes that are there, not the numbers in the header.

use dataplane::packet::Transport;

use crate::packets::{Random, name, query, with_opt};
use crate::served::{Served, TRANSPORTS, best_ns};

/// Counts around the borders.
const COUNTS: [u16; 6] = [0, 1, 2, 0x7fff, 0x8000, 0xffff];

/// Sets the four counts.
fn counted(mut message: Vec<u8>, counts: [u16; 4]) -> Vec<u8> {
    for (field, count) in message[4..12].chunks_exact_mut(2).zip(counts) {
        field.copy_from_slice(&count.to_be_bytes());
    }
    message
}

#[test]
fn t_a4_all_counts_with_bodies_that_do_not_keep_them() {
    let mut served = Served::usual();
    let question = query(&name("www.example.test"), 1, 1);
    let bodies = [question[..12].to_vec(), question.clone(), with_opt(question.clone(), 1232, 0)];
    for body in &bodies {
        for idx in 0..COUNTS.len().pow(4) {
            let count = |power: u32| COUNTS[idx / COUNTS.len().pow(power) % COUNTS.len()];
            let counts = [count(0), count(1), count(2), count(3)];
            let message = counted(body.clone(), counts);
            for transport in TRANSPORTS {
                let reply = served.ask(transport, &message).expect("a query gets a reply");
                let records = u32::from(counts[1]) + u32::from(counts[2]) + u32::from(counts[3]);
                let has = [(12, 0, 0), (question.len(), 1, 0), (question.len() + 11, 1, 1)];
                let sound = has.iter().any(|&(len, questions, records_there)| {
                    len <= body.len() && counts[0] == questions && records <= records_there && questions > 0
                });
                if !sound {
                    assert_eq!(reply[3] & 0xf, 1, "FORMERR for counts {counts:?} on {} bytes", body.len());
                }
            }
        }
    }
}

#[test]
fn t_a4_parsing_costs_what_the_bytes_cost() {
    let mut served = Served::usual();
    let honest = with_opt(query(&name("www.example.test"), 1, 1), 1232, 0);
    let lying = counted(honest.clone(), [1, 0xffff, 0xffff, 0xffff]);
    let time = |served: &mut Served, packet: &[u8]| best_ns(30, || served.cost(Transport::Udp, packet, 20));
    let (fair, unfair) = (time(&mut served, &honest), time(&mut served, &lying));
    assert!(unfair < 3.0 * fair, "{unfair} ns with counts that lie, {fair} ns with honest ones");
    // The smallest records that there are: a message of 64 KiB may cost sixteen times one of 4 KiB, not its square.
    let stuffed = |count: u16| {
        let mut message = counted(query(&name("www.example.test"), 1, 1), [1, 0, count, 0]);
        for _ in 0..count {
            message.extend_from_slice(&[0, 0xff, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        message
    };
    let (short, long) = (time(&mut served, &stuffed(369)), time(&mut served, &stuffed(369 * 16)));
    assert!(long < 48.0 * short, "{long} ns for 64 KiB, {short} ns for 4 KiB");
}

#[test]
fn t_a4_random_headers_on_random_bodies() {
    let mut served = Served::usual();
    let mut random = Random(4);
    for _ in 0..20_000 {
        let mut message: Vec<u8> = (0..12).map(|_| random.octet()).collect();
        message[2] &= 0x7f;
        let len = random.below(80);
        // Octets that make names and small numbers likely.
        message.extend((0..len).map(|_| if random.below(3) == 0 { random.octet() } else { random.octet() & 3 }));
        served.ask(TRANSPORTS[random.below(2)], &message);
    }
}
