//! T-A7: RRsets of every size from nothing to more than a message can hold, against every limit.
//!
//! How long the whole answer would be is counted here, by RFC 1035 section 4.1: a reply holds all of it, or has TC set
//! and is short enough. The OPT record is there in either case (RFC 6891 section 7).

use std::collections::BTreeSet;

use dataplane::answer::Settings;
use dataplane::packet::Transport;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

use crate::common;
use crate::packets::{name, query, with_opt};
use crate::served::{Served, judge};

/// A type without a format of its own.
const RTYPE: Rtype = Rtype(65_400);
/// Octets of RDATA in each record of a set of many.
const PIECE_LEN: usize = 100;
/// Octets of a record before its RDATA, with a compressed owner.
const RECORD_HEAD: usize = 12;
/// Octets of an OPT record without options.
const OPT_LEN: usize = 11;
/// Distance of sizes where nothing is near.
const COARSE: usize = 397;
/// Octets of the largest set: more than any message holds.
const SIZE_MAX: usize = 70_000;
/// The largest UDP reply that the server is told to send.
const UDP_LEN_MAX: u16 = 4096;

/// How the octets of a set are cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// One record has them all.
    Whole,
    /// Many records of [`PIECE_LEN`], and one of what is left.
    Pieces,
}

impl Cut {
    /// The RDATA lengths of a set of `size` octets.
    fn lens(self, size: usize) -> Vec<usize> {
        match self {
            Cut::Whole => vec![size],
            Cut::Pieces => {
                let mut lens = vec![PIECE_LEN; size / PIECE_LEN];
                lens.push(size % PIECE_LEN);
                lens
            }
        }
    }

    /// Octets of the records of such a set in a reply.
    fn body_len(self, size: usize) -> usize {
        self.lens(size).iter().map(|len| RECORD_HEAD + len).sum()
    }

    /// The owner of the set.
    fn owner(self, size: usize) -> String {
        format!("{}{size:05}.example.test", if self == Cut::Whole { 'w' } else { 'p' })
    }
}

/// The ways to ask: transport, the payload size that OPT tells, and the limit that follows.
const WAYS: [(Transport, Option<u16>, usize); 7] = [
    (Transport::Udp, None, 512),
    (Transport::Udp, Some(0), 512),
    (Transport::Udp, Some(512), 512),
    (Transport::Udp, Some(1232), 1232),
    (Transport::Udp, Some(65_535), 4096),
    // What does not fit together with an OPT record is not sent at all, to keep the choice out of the answer path.
    (Transport::Tcp, None, 65_535 - OPT_LEN),
    (Transport::Tcp, Some(512), 65_535),
];

/// Sizes: every one near a limit, some of all others.
fn sizes(cut: Cut) -> BTreeSet<usize> {
    let mut sizes: BTreeSet<usize> = (0..SIZE_MAX).step_by(COARSE).chain(0..=PIECE_LEN + 1).collect();
    let question_len = 12 + name(&cut.owner(0)).len() + 4;
    for (_, edns, limit) in WAYS {
        let opt_len = if edns.is_some() { OPT_LEN } else { 0 };
        let room = limit - question_len - opt_len;
        // The greatest size that fits, then some to both sides.
        let fits = (0..=room).rev().find(|size| cut.body_len(*size) <= room).unwrap();
        sizes.extend(fits - 12..fits + 12);
    }
    // One record cannot be longer; sets of many go on to where no message holds them.
    sizes.retain(|size| cut == Cut::Pieces || *size <= 65_535);
    sizes
}

/// A zone with sets of these sizes.
fn zone(sets: &[(Cut, usize)]) -> Zone {
    let mut builder = ZoneBuilder::new("example.test.".parse().unwrap());
    let frame = ["60 SOA ns.example.test. h.example.test. 1 2 3 4 5", "60 NS ns.example.test."];
    for text in frame {
        let text = format!("example.test. {text}");
        let common::WireRecord { owner, rtype, ttl_secs, rdata } = common::record(&text).unwrap();
        builder.push(Record { owner: owner.as_ref(), rtype, ttl_secs, rdata: &rdata, line: 0 }).unwrap();
    }
    for &(cut, size) in sets {
        let owner: Name = format!("{}.", cut.owner(size)).parse().unwrap();
        for (number, len) in cut.lens(size).into_iter().enumerate() {
            // Each record begins with its number: equal ones would be one.
            let number = u16::try_from(number).unwrap().to_be_bytes();
            let rdata: Vec<u8> = number.into_iter().chain(0..=255).cycle().take(len).collect();
            let record = Record { owner: owner.as_ref(), rtype: RTYPE, ttl_secs: 60, rdata: &rdata, line: 0 };
            builder.push(record).unwrap();
        }
    }
    builder.finish()
}

#[test]
fn t_a7_sets_of_every_size_fit_or_are_truncated_exactly() {
    let settings = Settings { udp_len_max: UDP_LEN_MAX, ..Settings::default() };
    let sets: Vec<_> =
        [Cut::Whole, Cut::Pieces].iter().flat_map(|&cut| sizes(cut).into_iter().map(move |size| (cut, size))).collect();
    let zone = zone(&sets);
    assert_eq!(zone.duplicate_count(), 0, "every record counts");
    let mut served = Served::new(&[zone], settings);
    for cut in [Cut::Whole, Cut::Pieces] {
        for size in sizes(cut) {
            let question = query(&name(&cut.owner(size)), RTYPE.0, 1);
            for (transport, edns, limit) in WAYS {
                let message = match edns {
                    Some(udp_len) => with_opt(question.clone(), udp_len, 0),
                    None => question.clone(),
                };
                let whole = message.len() + cut.body_len(size);
                let reply = served.ask(transport, &message).expect("a query gets a reply");
                let decoded = judge(&message, &reply);
                let shown = format!("{cut:?} {size} over {transport:?} with {edns:?}: {} of {whole}", reply.len());
                assert!(reply.len() <= limit, "{shown}");
                assert_eq!(decoded.bits & 0x0200 != 0, whole > limit, "TC: {shown}");
                assert_eq!(decoded.edns.is_some(), edns.is_some(), "OPT: {shown}");
                if whole <= limit {
                    assert_eq!(reply.len(), whole, "{shown}");
                    assert_eq!(decoded.sections[0].len(), cut.lens(size).len(), "{shown}");
                }
            }
        }
    }
}
