//! One message, answered from a fixed view in every way there is, and what is true of the replies.

use std::sync::LazyLock;

use dataplane::packet::{DropReason, Outcome, Transport};
use hickory_proto::op::Message as Second;
use snapshot::dns::message::{Message, Rcode};
use snapshot::image::View;

use crate::{ask, memory};

/// The zones of the view.
const ZONES: [(&str, &str); 2] = [("example.", PARENT), ("sub.example.", CHILD)];
/// Wildcards, cuts with every kind of glue, chains and circles of CNAMEs, empty non-terminals, sets too big for UDP.
const PARENT: &str = include_str!("../zones/example.zone");
/// A zone below the first one that looks signed.
const CHILD: &str = include_str!("../zones/sub.example.zone");
/// The view; compiled once.
static VIEW: LazyLock<View> = LazyLock::new(|| {
    let pack = memory::compile(&ZONES);
    memory::view(memory::load(&pack.bytes, pack.digest).expect("what is built can be loaded"))
});

/// A cookie is wanted first (RFC 7873 section 5.2.3).
const BADCOOKIE: Rcode = Rcode(23);
/// Bytes of the buffers that datagrams come in.
const DATAGRAM_LEN: usize = 4096;
/// Bytes of the buffers of TCP: more than any answer of the view has, and no more, because each is filled and compared.
const MESSAGE_LEN: usize = 16_384;
/// Bytes of the longest reply over UDP.
const UDP_LEN_MAX: usize = 1232;

/// Replies to one message over UDP and TCP; `None` where nothing is to be sent.
pub(crate) type Replies = [Option<Vec<u8>>; 2];

/// Sends a message as a datagram and over TCP, alone and among others, and checks all replies.
pub(crate) fn check(message: &[u8]) -> Replies {
    let ways = [(Transport::Udp, DATAGRAM_LEN), (Transport::Tcp, MESSAGE_LEN)];
    let replies = ways.map(|(transport, buf_len)| {
        let query = &message[..message.len().min(buf_len)];
        let first = exchange(transport, buf_len, query, 0xaa);
        let second = exchange(transport, buf_len, query, 0x55);
        assert_eq!(first, second, "what lies behind the query does not get into the reply");
        among_others(transport, buf_len, query, first.as_deref());
        if let Some(reply) = &first {
            judge(transport, query, reply);
        }
        first
    });
    if message.len() <= DATAGRAM_LEN {
        agree(message, &replies);
    }
    replies
}

/// What `outcome` is to be sent of `buf`.
fn sent(outcome: Outcome, query: &[u8], buf: &[u8]) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Reply { len, .. } => Some(buf[..len].to_vec()),
        Outcome::Drop(DropReason::Short) => {
            assert!(query.len() < 12);
            None
        }
        Outcome::Drop(DropReason::Response) => {
            assert!(query[2] & 0x80 != 0);
            None
        }
        other => panic!("{other:?} for {query:?}"),
    }
}

/// Answers `query` in a buffer filled up with `poison`; returns the reply, if there is one.
fn exchange(transport: Transport, buf_len: usize, query: &[u8], poison: u8) -> Option<Vec<u8>> {
    let mut buf = vec![poison; buf_len];
    buf[..query.len()].copy_from_slice(query);
    let [outcome] = ask::answer(&VIEW, transport, [(&mut buf, query.len())]);
    sent(outcome, query, &buf)
}

/// Answers `query` between two others: whom one is in a batch with changes nothing.
fn among_others(transport: Transport, buf_len: usize, query: &[u8], alone: Option<&[u8]>) {
    let other = ask::query(b"\x03www\x07example\0", snapshot::dns::rtype::Rtype::A);
    let mut bufs = [&other, query, &other].map(|query| {
        let mut buf = vec![0xaa; buf_len];
        buf[..query.len()].copy_from_slice(query);
        buf
    });
    let [before, between, after] = &mut bufs;
    let lens = [other.len(), query.len(), other.len()];
    let outcomes = ask::answer(&VIEW, transport, [(before, lens[0]), (between, lens[1]), (after, lens[2])]);
    assert_eq!(sent(outcomes[1], query, &bufs[1]).as_deref(), alone, "a batch changes nothing");
    let others = [0, 2].map(|idx: usize| sent(outcomes[idx], &other, &bufs[idx]));
    assert!(others[0].is_some() && others[0] == others[1], "nor do its neighbours see it");
}

/// Checks a reply against its query.
fn judge(transport: Transport, query: &[u8], reply: &[u8]) {
    assert_eq!(query[2] & 0x80, 0, "a response gets no reply");
    assert_eq!(reply[..2], query[..2], "the id is echoed");
    assert_eq!(reply[2] & 0xf9, 0x80 | query[2] & 0x79, "QR is set, opcode and RD are echoed");
    assert_eq!(reply[3] & 0xe0, 0, "RA, Z and AD are clear");
    let message = Message::from_wire(reply).unwrap_or_else(|error| panic!("{error} in {reply:?}"));
    let asked = Message::from_wire(query).ok();
    let len_max = match (transport, asked.as_ref().map(|asked| asked.edns.as_ref())) {
        (Transport::Tcp, _) => MESSAGE_LEN,
        (Transport::Udp, Some(None)) => 512,
        (Transport::Udp, Some(Some(edns))) => usize::from(edns.payload_len).clamp(512, UDP_LEN_MAX),
        // We read less strictly than this reader; then only the upper bound is known.
        (Transport::Udp, None) => UDP_LEN_MAX,
    };
    assert!(reply.len() <= len_max, "{} bytes where {len_max} are allowed", reply.len());
    if let [question] = message.questions.as_slice() {
        let end = 12 + question.qname.as_wire().len() + 4;
        assert_eq!(reply[12..end], query[12..end], "the question is echoed, case included");
    } else {
        assert!(message.questions.is_empty() && message.answers.is_empty() && message.authorities.is_empty());
    }
    for record in message.answers.iter().chain(&message.authorities).chain(&message.additionals) {
        let class = message.questions.first().map(|question| question.qclass);
        assert_eq!(Some(record.class), class, "records are of the class asked for");
    }
    second_opinion(reply, &message);
}

/// Has another reader count the records. It refuses RDATA of no octets, which RFC 3597 allows, and is not asked then.
fn second_opinion(reply: &[u8], message: &Message) {
    let sections = [&message.answers, &message.authorities, &message.additionals];
    let has_empty = sections.iter().any(|section| section.iter().any(|record| record.rdata.is_empty()));
    if has_empty || !matches!(reply[3] & 0xf, 0 | 3) {
        return;
    }
    let theirs = Second::from_vec(reply).unwrap_or_else(|error| panic!("hickory-proto: {error} in {reply:?}"));
    let counts = [theirs.answers.len(), theirs.authorities.len(), theirs.additionals.len()];
    assert_eq!(counts, sections.map(Vec::len), "hickory-proto counts otherwise in {reply:?}");
}

/// Compares the replies over both transports: they differ in what fits, and ANY is answered whole over TCP alone.
fn agree(query: &[u8], replies: &Replies) {
    let [Some(udp), Some(tcp)] = replies else {
        assert_eq!(replies[0].is_some(), replies[1].is_some(), "silence over one transport alone: {query:?}");
        return;
    };
    let [udp, tcp] = [udp, tcp].map(|reply| Message::from_wire(reply).expect("it was read before"));
    if udp.rcode() == BADCOOKIE {
        // Who asks over TCP has shown where it is, without a cookie.
        return;
    }
    assert_eq!(udp.rcode(), tcp.rcode(), "the RCODE depends on the transport: {query:?}");
    let truncated = |message: &Message| message.header.flags.contains(snapshot::dns::message::Flags::TC);
    assert!(!truncated(&tcp), "truncated over TCP: {query:?}");
    let any = udp.questions.first().is_some_and(|question| question.qtype == snapshot::dns::rtype::Rtype::ANY);
    if !truncated(&udp) && !any {
        assert_eq!(udp.answers, tcp.answers, "the answer depends on the transport: {query:?}");
        assert_eq!(udp.authorities, tcp.authorities, "the authority depends on the transport: {query:?}");
    }
}
