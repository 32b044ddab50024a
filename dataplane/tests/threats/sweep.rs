//! T-A3: every type in every class that means something, at a name that exists, one that does not, and at a zone cut.
//!
//! What may come back is written here from the RFCs: which types are questions about data (RFC 6895 section 3.1), and
//! what other classes get from a server of IN zones.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::packet::{Outcome, Packet, Transport};

use crate::packets::{name, query, with_opt};
use crate::served::{Served, frame, judge};

/// IN, CH, HS, ANY, NONE, and 0, which is reserved (RFC 6895 section 3.2).
const CLASSES: [u16; 6] = [1, 3, 4, 255, 254, 0];
/// What exists, what does not, and what is delegated.
const NAMES: [(&str, Kind); 3] =
    [("www.example.test", Kind::Exists), ("no.example.test", Kind::Missing), ("cut.example.test", Kind::Delegated)];
/// Queries answered at once.
const BATCH_LEN: usize = 64;
/// One reply in so many is read by the second reader as well.
const SECOND_OPINION_EVERY: u16 = 61;

/// What a name is in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has records.
    Exists,
    /// It has none, and nothing is below it.
    Missing,
    /// It is a zone cut.
    Delegated,
}

/// What kind of question a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Records, or all records.
    Data,
    /// DS, which the parent answers (RFC 4035 section 3.1.4.1).
    Ds,
    /// A zone transfer, which we refuse.
    Transfer,
    /// No data: 0, OPT, and the meta-types but ANY (RFC 6895 section 3.1). What to say about them is left to servers.
    Meta,
}

/// The kind of a type.
fn asked(qtype: u16) -> Asked {
    match qtype {
        43 => Asked::Ds,
        251 | 252 => Asked::Transfer,
        255 => Asked::Data,
        0 | 41 | 128..=254 => Asked::Meta,
        _ => Asked::Data,
    }
}

/// Checks RCODE and AA of a reply against what the class, the type and the name allow.
fn check(kind: Kind, qtype: u16, qclass: u16, rcode: u16, authoritative: bool) {
    let allowed = match (qclass, asked(qtype), kind) {
        // RFC 1035 section 4.1.1: what we do not serve is refused; FORMERR and NOTIMP are what others say to nonsense.
        (0, ..) => matches!(rcode, 1 | 4 | 5) && !authoritative,
        (3 | 4 | 254 | 255, ..) => matches!(rcode, 4 | 5) && !authoritative,
        (_, Asked::Data, Kind::Exists) | (_, Asked::Ds, Kind::Exists | Kind::Delegated) => rcode == 0 && authoritative,
        (_, Asked::Data | Asked::Ds, Kind::Missing) => rcode == 3 && authoritative,
        (_, Asked::Data, Kind::Delegated) => rcode == 0 && !authoritative,
        (_, Asked::Transfer, _) => matches!(rcode, 4 | 5) && !authoritative,
        (_, Asked::Meta, Kind::Exists | Kind::Delegated) => matches!(rcode, 0 | 1 | 4 | 5),
        (_, Asked::Meta, Kind::Missing) => matches!(rcode, 1 | 3 | 4 | 5),
    };
    assert!(allowed, "{kind:?} TYPE{qtype} CLASS{qclass}: RCODE {rcode}, AA {authoritative}");
}

/// Asks for all types of `types` in a class at a name.
fn sweep(served: &mut Served, types: std::ops::Range<u32>, qclass: u16, (qname, kind): (&str, Kind)) {
    let qname = name(qname);
    let types: Vec<u16> = types.map(|qtype| u16::try_from(qtype).unwrap()).collect();
    let mut room = vec![0_u8; BATCH_LEN * 2048];
    for types in types.chunks(BATCH_LEN) {
        // With and without EDNS, with and without DO, by turns.
        let queries: Vec<Vec<u8>> = types
            .iter()
            .map(|qtype| {
                let plain = query(&qname, *qtype, qclass);
                if qtype % 3 == 0 { plain } else { with_opt(plain, 1232, if qtype % 3 == 1 { 0x8000 } else { 0 }) }
            })
            .collect();
        room.fill(0xaa);
        let mut packets: Vec<Packet<'_>> = room
            .chunks_mut(2048)
            .zip(&queries)
            .map(|(buf, query)| {
                buf[..query.len()].copy_from_slice(query);
                Packet::new(buf, query.len(), IpAddr::V4(Ipv4Addr::LOCALHOST))
            })
            .collect();
        served.answer(Transport::Udp, &mut packets);
        for ((packet, query), &qtype) in packets.iter().zip(&queries).zip(types) {
            let Outcome::Reply { len, rcode, .. } = packet.outcome else {
                panic!("{:?} for TYPE{qtype}", packet.outcome)
            };
            let reply = &packet.buf[..len];
            check(kind, qtype, qclass, rcode, reply[2] & 4 != 0);
            let decoded = if qtype % SECOND_OPINION_EVERY == 0 { judge(query, reply) } else { frame(query, reply) };
            assert_eq!(decoded.rcode, rcode);
            assert_eq!(decoded.questions.len(), 1, "a question that was read is echoed");
            assert_eq!(decoded.edns.is_some(), query[11] == 1, "OPT for OPT (RFC 6891 section 6.1.1)");
            let mut records = decoded.sections.iter().flatten();
            assert!(records.all(|record| record.class == 1 && qclass == 1), "records are of the class asked for");
        }
    }
}

#[test]
fn t_a3_every_type_in_every_class_gets_an_allowed_answer() {
    let served = Served::usual();
    std::thread::scope(|scope| {
        for half in [0..0x8000, 0x8000..0x1_0000] {
            let mut served = served.fork();
            scope.spawn(move || {
                for qclass in CLASSES {
                    for named in NAMES {
                        sweep(&mut served, half.clone(), qclass, named);
                    }
                }
            });
        }
    });
}
