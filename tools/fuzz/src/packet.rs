//! Queries: any datagram, answered from a fixed view, over UDP and TCP.

use std::sync::LazyLock;

use dataplane::packet::{DropReason, Outcome, Transport};
use snapshot::dns::message::Message;
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

/// Bytes of the buffers that datagrams come in.
const DATAGRAM_LEN: usize = 4096;

/// Sends the bytes as a datagram and as a TCP message.
pub fn check(bytes: &[u8]) {
    for (transport, buf_len) in [(Transport::Udp, DATAGRAM_LEN), (Transport::Tcp, 65_535)] {
        let query = &bytes[..bytes.len().min(buf_len)];
        let first = exchange(transport, buf_len, query, 0xaa);
        let second = exchange(transport, buf_len, query, 0x55);
        assert_eq!(first, second, "what lies behind the query does not get into the reply");
        if let Some(reply) = first {
            judge(transport, query, &reply);
        }
    }
}

/// Answers `query` in a buffer filled up with `poison`; returns the reply, if there is one.
fn exchange(transport: Transport, buf_len: usize, query: &[u8], poison: u8) -> Option<Vec<u8>> {
    let mut buf = vec![poison; buf_len];
    buf[..query.len()].copy_from_slice(query);
    match ask::answer(&VIEW, transport, &mut buf, query.len()) {
        Outcome::Reply { len, .. } => {
            buf.truncate(len);
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
        other => panic!("{other:?} for {query:?}"),
    }
}

/// Checks a reply against its query.
fn judge(transport: Transport, query: &[u8], reply: &[u8]) {
    assert_eq!(query[2] & 0x80, 0, "a response gets no reply");
    assert_eq!(reply[..2], query[..2], "the id is echoed");
    assert_eq!(reply[2] & 0xf9, 0x80 | query[2] & 0x79, "QR is set, opcode and RD are echoed");
    assert_eq!(reply[3] & 0x60, 0, "Z and AD are clear");
    assert_eq!(reply[3] & 0x80, 0, "recursion is not available");
    let message = Message::from_wire(reply).unwrap_or_else(|error| panic!("{error} in {reply:?}"));
    let asked = Message::from_wire(query).ok();
    let len_max = match (transport, asked.as_ref().map(|asked| asked.edns.as_ref())) {
        (Transport::Tcp, _) => 65_535,
        (Transport::Udp, Some(None)) => 512,
        (Transport::Udp, Some(Some(edns))) => edns.payload_len.clamp(512, 1232).into(),
        // We read less strictly than this reader; then only the upper bound is known.
        (Transport::Udp, None) => 1232,
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
}
