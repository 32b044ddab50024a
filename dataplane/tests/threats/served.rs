//! A view in memory and the answering code as a worker calls it, with every buffer poisoned.
//!
//! Invariant of every exchange, whatever is asked: the outcome is decided, the reply does not depend on what lay in the
//! buffer, nothing is written where no reply can reach, and the reply can be read to its last byte.

use std::io::{Seek, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use dataplane::answer::Settings;
use dataplane::packet::{DropReason, Outcome, Packet, Transport};
use dataplane::responder::{Answer, Responder};
use snapshot::dns::name::Name;
use snapshot::dns::zone::Zone;
use snapshot::image::{Generation, Pack, PackFile, Segment, View};

use crate::common;
use crate::message::Reply;

/// Who asks.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Both transports.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];
/// The zone of tests that need no other: every way through the answering code.
const ZONE: &str = "\
@ 3600 SOA ns host 1 7200 900 604800 300
@ 3600 NS ns
@ 3600 MX 10 mail
ns 3600 A 192.0.2.53
www 3600 A 192.0.2.1
www 3600 A 192.0.2.2
www 3600 TXT \"some text\"
www 3600 TYPE65280 \\# 3 010203
mail 3600 AAAA 2001:db8::1
alias 3600 CNAME www
away 3600 CNAME www.elsewhere.test.
circle 3600 CNAME circle2
circle2 3600 CNAME circle
*.wild 3600 TXT \"wild\"
*.wild 3600 A 192.0.2.3
a.ent 3600 A 192.0.2.4
cut 3600 NS ns.cut
cut 3600 NS ns.elsewhere.test.
cut 3600 DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.cut 3600 A 192.0.2.5
tree 3600 DNAME other.test.
";

/// A view and what answers from it.
pub(crate) struct Served {
    /// What is served.
    view: Arc<View>,
    /// What answers.
    responder: Responder,
    /// The largest UDP reply.
    udp_len_max: usize,
}

impl Served {
    /// Serves the usual zone, `example.test.`
    pub(crate) fn usual() -> Served {
        let apex: Name = "example.test.".parse().unwrap();
        Served::new(&[common::zone(&apex, ZONE).unwrap()], Settings::default())
    }

    /// Serves zones.
    pub(crate) fn new(zones: &[Zone], settings: Settings) -> Served {
        let segments = zones.iter().map(|zone| Segment::build(zone).unwrap()).collect();
        let pack = PackFile::encode(segments).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pack.bytes).unwrap();
        file.rewind().unwrap();
        let pack = Pack::load(&file, pack.digest).unwrap();
        let view = Arc::new(View::assemble(Generation(1), vec![Arc::new(pack)]).unwrap());
        let udp_len_max = settings.udp_len_max.into();
        Served { view, responder: Responder::new(settings), udp_len_max }
    }

    /// The same for another thread.
    pub(crate) fn fork(&self) -> Served {
        Served { view: Arc::clone(&self.view), responder: self.responder.fork(), udp_len_max: self.udp_len_max }
    }

    /// Answers a batch as it is.
    pub(crate) fn answer(&mut self, transport: Transport, packets: &mut [Packet<'_>]) {
        self.responder.answer(&self.view, transport, packets);
    }

    /// Answers one query twice, over two kinds of poison, and checks what is true of every exchange. `None` if nothing
    /// is to be sent.
    pub(crate) fn ask(&mut self, transport: Transport, query: &[u8]) -> Option<Vec<u8>> {
        let replies = [0xaa_u8, 0x55].map(|poison| self.exchange(transport, query, poison));
        assert!(replies[0] == replies[1], "what lay behind the query got into the reply to {query:02x?}");
        let [reply, _] = replies;
        if let Some(reply) = &reply {
            judge(query, reply);
        }
        reply
    }

    /// Answers one query `times` over, without looking at the reply.
    pub(crate) fn cost(&mut self, transport: Transport, query: &[u8], times: u32) {
        let mut buf = vec![0; 65_535];
        for _ in 0..times {
            buf[..query.len()].copy_from_slice(query);
            self.answer(transport, &mut [Packet::new(&mut buf, query.len(), CLIENT)]);
        }
    }

    /// Answers one query in a buffer full of `poison`.
    fn exchange(&mut self, transport: Transport, query: &[u8], poison: u8) -> Option<Vec<u8>> {
        let len_max = match transport {
            Transport::Udp => self.udp_len_max,
            Transport::Tcp => 65_535,
        };
        let mut buf = vec![poison; 65_535 + 64];
        buf[..query.len()].copy_from_slice(query);
        let (room, beyond) = (65_535.max(query.len()), len_max.max(query.len()));
        let mut packets = [Packet::new(&mut buf[..room], query.len(), CLIENT)];
        self.answer(transport, &mut packets);
        let outcome = packets[0].outcome;
        assert!(buf[beyond..].iter().all(|octet| *octet == poison), "bytes behind the longest reply were written");
        match outcome {
            Outcome::Reply { len, rcode, truncated } => {
                buf.truncate(len);
                assert!(len <= len_max, "{len} bytes over {transport:?}");
                assert_eq!(rcode & 0xf, u16::from(buf[3] & 0xf), "what is counted is what is sent");
                assert_eq!(truncated, buf[2] & 2 != 0, "what is counted is what is sent");
                Some(buf)
            }
            Outcome::Drop(DropReason::Short) => {
                assert!(query.len() < 12);
                None
            }
            Outcome::Drop(DropReason::Response) => {
                assert!(query[2] & 0x80 != 0);
                None
            }
            other => panic!("{other:?} for {query:02x?}"),
        }
    }
}

/// Checks what every reply owes its query, and reads it to its end with both readers. Returns what ours has read.
pub(crate) fn judge(query: &[u8], reply: &[u8]) -> Reply {
    let decoded = frame(query, reply);
    // It refuses RDATA of no octets, which RFC 3597 allows, and is asked about answers only.
    let has_empty = decoded.sections.iter().flatten().any(|rr| rr.rdata.is_empty());
    if !has_empty && matches!(decoded.rcode, 0 | 3) {
        let theirs = hickory_proto::op::Message::from_vec(reply).unwrap();
        let counts = [theirs.answers.len(), theirs.authorities.len(), theirs.additionals.len()];
        assert_eq!(counts, decoded.sections.each_ref().map(Vec::len), "hickory-proto counts otherwise: {reply:02x?}");
    }
    decoded
}

/// Checks what every reply owes its query, with our reader alone.
pub(crate) fn frame(query: &[u8], reply: &[u8]) -> Reply {
    assert_eq!(query[2] & 0x80, 0, "a response gets no reply");
    assert_eq!(reply[..2], query[..2], "the id is echoed");
    assert_eq!(reply[2] & 0xf9, 0x80 | query[2] & 0x79, "QR is set, opcode and RD are echoed");
    assert_eq!(reply[3] & 0xe0, 0, "RA, Z and AD are clear");
    let decoded = Reply::decode(reply).unwrap_or_else(|error| panic!("{error} in {reply:02x?} to {query:02x?}"));
    match decoded.questions.as_slice() {
        [question] => {
            let end = 12 + question.qname.as_wire().len() + 4;
            assert_eq!(reply[12..end], query[12..end], "the question is echoed, case included");
        }
        [] => assert!(decoded.sections.iter().all(Vec::is_empty), "no question, no answer: {reply:02x?}"),
        _ => panic!("more than one question: {reply:02x?}"),
    }
    decoded
}

/// Nanoseconds that `work` takes at best, of `runs`: what else runs on the machine only ever makes it longer.
pub(crate) fn best_ns(runs: u32, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let begun = Instant::now();
        work();
        best = best.min(begun.elapsed().as_secs_f64() * 1e9);
    }
    best
}
