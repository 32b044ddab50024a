//! T-A12: no byte that lay in a buffer before leaves with a reply.
//!
//! [`Served::ask`] does the checking: buffers are full of poison, a second kind of it must give the same reply, and a
//! reply is read to its last byte. Here is what it is fed with: every kind of answer, whole and mutilated.

use crate::packets::{Random, name, query, with_opt};
use crate::served::{Served, TRANSPORTS};

/// Names that take every way through the answering code.
const NAMES: [&str; 18] = [
    "",
    "test",
    "example.test",
    "www.example.test",
    "WwW.eXample.TEST",
    "no.example.test",
    "ent.example.test",
    "a.ent.example.test",
    "alias.example.test",
    "away.example.test",
    "circle.example.test",
    "x.wild.example.test",
    "a.b.wild.example.test",
    "cut.example.test",
    "below.cut.example.test",
    "tree.example.test",
    "a.tree.example.test",
    "mail.example.test",
];
/// Types that matter, and one that is nowhere.
const TYPES: [u16; 14] = [1, 2, 5, 6, 15, 16, 28, 39, 43, 46, 47, 255, 65_280, 65_281];

/// Every question, plain and with EDNS.
fn questions() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for qname in NAMES {
        for qtype in TYPES {
            let plain = query(&name(qname), qtype, 1);
            all.push(with_opt(plain.clone(), 512, 0));
            all.push(with_opt(plain.clone(), 4096, 0x8000));
            all.push(plain);
        }
    }
    all
}

#[test]
fn t_a12_no_answer_of_any_kind_carries_stale_bytes() {
    let mut served = Served::usual();
    for question in questions() {
        for transport in TRANSPORTS {
            served.ask(transport, &question).expect("a query gets a reply");
        }
    }
}

#[test]
fn t_a12_nor_does_an_answer_to_what_is_broken() {
    let mut served = Served::usual();
    let mut random = Random(12);
    for question in questions() {
        let transport = TRANSPORTS[random.below(2)];
        for _ in 0..4 {
            let mut message = question.clone();
            match random.below(4) {
                0 => message.truncate(random.below(message.len())),
                1 => (0..random.below(40)).for_each(|_| message.push(random.octet())),
                _ => {
                    for _ in 0..=random.below(3) {
                        let at = random.below(message.len());
                        message[at] = random.octet();
                    }
                }
            }
            served.ask(transport, &message);
        }
    }
}
