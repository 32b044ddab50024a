//! T-A1: compression pointers of every kind where a query may have none, and where it may.
//!
//! Whoever follows a pointer of a stranger can be led in circles (RFC 9267 section 2): the parser of queries follows
//! none, so its time is that of the bytes.

use snapshot::dns::message::Message;

use crate::packets::query;
use crate::served::{Served, TRANSPORTS, best_ns};

/// Bytes of the packets.
const PACKET_LEN: usize = 64;
/// What one packet may take at most, as a mean: hundreds of times what is measured, hundreds of times less than a loop.
const MEAN_NS_MAX: f64 = 100_000.0;

/// A packet with a pointer to `target` at `at`, otherwise filled with labels of one octet.
fn with_pointer(at: usize, target: u16) -> Vec<u8> {
    let mut packet = query(&[], 1, 1);
    packet.truncate(12);
    while packet.len() < PACKET_LEN {
        packet.extend_from_slice(b"\x01a");
    }
    packet[at..at + 2].copy_from_slice(&(0xc000 | target).to_be_bytes());
    packet
}

#[test]
fn t_a1_every_pointer_in_a_question_is_refused_in_bounded_time() {
    let mut served = Served::usual();
    let mut packets = Vec::new();
    for target in 0..0x4000 {
        // The whole name, and behind one label.
        packets.extend([with_pointer(12, target), with_pointer(14, target)]);
    }
    for packet in &packets {
        for transport in TRANSPORTS {
            let reply = served.ask(transport, packet).expect("a query gets a reply");
            assert_eq!(reply[3] & 0xf, 1, "FORMERR for {packet:02x?}");
            assert_eq!(reply.len(), 12, "nothing that was not read is echoed");
        }
        // The reader of the tools follows pointers, backwards only, and must end as well.
        assert!(Message::from_wire(packet).is_err());
    }
    let ns = best_ns(2, || {
        for packet in &packets {
            assert!(Message::from_wire(packet).is_err());
        }
    });
    assert!(ns / (packets.len() as f64) < MEAN_NS_MAX, "{ns} ns for {} packets", packets.len());
}

#[test]
fn t_a1_every_pointer_behind_the_question_is_stepped_over() {
    let mut served = Served::usual();
    let question = query(b"\x03www\x07example\x04test\0", 1, 1);
    for target in 0..0x4000_u16 {
        let mut packet = question.clone();
        packet.extend_from_slice(&(0xc000 | target).to_be_bytes());
        packet.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        packet[11] = 1;
        let reply = served.ask(TRANSPORTS[usize::from(target) % 2], &packet).expect("a query gets a reply");
        assert_eq!((reply[3] & 0xf, reply[7]), (0, 2), "an additional record is none of our business");
    }
}

#[test]
fn t_a1_a_chain_of_126_pointers_costs_what_its_bytes_cost() {
    let mut served = Served::usual();
    let mut forward = query(&[], 1, 1)[..12].to_vec();
    for hop in 0..126_u16 {
        forward.extend_from_slice(&(0xc000 | (14 + 2 * hop)).to_be_bytes());
    }
    let mut tail = forward.clone();
    forward.extend_from_slice(&[0, 0, 1, 0, 1]);
    // Backwards: the name is the last of the pointers, and the chain ends in a root.
    tail.truncate(12);
    tail.push(0);
    for hop in 0..126_u16 {
        let target = if hop == 0 { 12 } else { 13 + 2 * (hop - 1) };
        tail.extend_from_slice(&(0xc000 | target).to_be_bytes());
    }
    tail.extend_from_slice(&[0, 1, 0, 1]);
    for packet in [&forward, &tail] {
        let replies = TRANSPORTS.map(|transport| served.ask(transport, packet).expect("a query gets a reply"));
        assert!(replies.iter().all(|reply| reply.len() <= 12 + 5 + 4), "{replies:02x?}");
        let ns = best_ns(20, || {
            for _ in 0..100 {
                // Whether it is refused or not, it ends.
                std::hint::black_box(Message::from_wire(packet).is_ok());
            }
        });
        assert!(ns / 100.0 < MEAN_NS_MAX, "{ns} ns for 100 packets");
    }
}
