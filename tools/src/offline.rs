//! Asks the answering code of the data plane without a data plane: a query in memory, a reply in memory, as text.
//!
//! No socket and no process is involved, and no rule of DNS is decided here. Invariant: the reply is the one a data plane
//! with default settings gives to a client that asks with EDNS(0) and a payload size of [`UDP_LEN`].

use std::net::{IpAddr, Ipv4Addr};

use dataplane::answer::{Scratch, Settings, respond};
use dataplane::packet::{Arrival, DropReason, Outcome, Packet, Transport};
use snapshot::dns::class::Class;
use snapshot::dns::message::{self, Edns, Flags, Message, Resource};
use snapshot::dns::name::Name;
use snapshot::dns::rdata::write_text;
use snapshot::dns::rtype::Rtype;
use snapshot::image::View;

use crate::dig;

/// The payload size in the query: that of `dig`, and what does not fragment.
const UDP_LEN: u16 = 1232;
/// The longest reply in octets.
const REPLY_LEN_MAX: usize = 65_535;

/// Whether DNSSEC records are wanted (the DO bit, RFC 3225).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dnssec {
    /// DO is set.
    Wanted,
    /// DO is clear.
    Unwanted,
}

/// A question to the snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The qname.
    pub(crate) name: Name,
    /// The qtype.
    pub(crate) rtype: Rtype,
    /// Whether DO is set.
    pub(crate) dnssec: Dnssec,
    /// How it is asked.
    pub(crate) transport: Transport,
}

/// The answer of `view`.
///
/// # Errors
/// One line if the query would get no reply, or the reply cannot be read.
pub(crate) fn ask(view: &View, query: &Query) -> Result<dig::Message, String> {
    let mut buf = vec![0; REPLY_LEN_MAX];
    let wire = query.encode()?;
    buf[..wire.len()].copy_from_slice(&wire);
    let mut packets = [Packet::new(&mut buf, wire.len(), IpAddr::V4(Ipv4Addr::LOCALHOST))];
    // Without cookies no answer depends on the time.
    let arrival = Arrival { transport: query.transport, now_secs: 0, lot: 0 };
    respond(&Settings::default(), view, arrival, &mut packets, &mut Scratch::new());
    let outcome = packets[0].outcome;
    match outcome {
        Outcome::Reply { len, .. } => read(&buf[..len]),
        Outcome::Pending => Err("the query was not answered".into()),
        Outcome::Drop(reason) => Err(format!("the query would be dropped: {}", dropped(reason))),
    }
}

/// A reason for people.
fn dropped(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Short => "it is too short",
        DropReason::Response => "it is a response",
        DropReason::Oversize => "it is too long",
        DropReason::Panic => "answering it failed",
        DropReason::Rate | DropReason::Client | DropReason::Denied | DropReason::Unfair => "it is one too many",
    }
}

impl Query {
    /// The query in wire format: id 0, no RD, EDNS(0).
    fn encode(&self) -> Result<Vec<u8>, String> {
        let flags = match self.dnssec {
            Dnssec::Wanted => Edns::DO,
            Dnssec::Unwanted => 0,
        };
        let edns = Edns { payload_len: UDP_LEN, rcode_high: 0, version: 0, flags, options: Vec::new() };
        let query = message::Query {
            id: 0,
            flags: Flags::NONE,
            qname: self.name.as_ref(),
            qtype: self.rtype,
            qclass: Class::IN,
            edns: Some(edns),
        };
        query.to_wire().map_err(|cause| cause.to_string())
    }
}

/// A reply as text.
fn read(bytes: &[u8]) -> Result<dig::Message, String> {
    let message = Message::from_wire(bytes).map_err(|cause| format!("the reply cannot be read: {cause}"))?;
    let section = |records: &[Resource]| records.iter().map(record).collect();
    let question = |question: &message::Question| dig::Question {
        name: question.qname.to_string(),
        class: question.qclass.to_string(),
        rtype: question.qtype.to_string(),
    };
    let edns = |edns: &Edns| dig::Edns {
        version: edns.version,
        flags: if edns.flags & Edns::DO == 0 { vec![] } else { vec!["do"] },
        udp: edns.payload_len,
    };
    Ok(dig::Message {
        id: message.header.id,
        opcode: dig::opcode(message.header.opcode().0),
        rcode: dig::rcode(message.rcode().0),
        flags: set_flags(message.header.flags),
        edns: message.edns.as_ref().map(edns),
        question: message.questions.iter().map(question).collect(),
        answer: section(&message.answers),
        authority: section(&message.authorities),
        additional: section(&message.additionals),
        bytes: bytes.len(),
    })
}

/// The names of the flags that are set, in the order of the header (RFC 1035 section 4.1.1, RFC 4035 section 3).
fn set_flags(flags: Flags) -> Vec<&'static str> {
    let names = [
        (Flags::QR, "qr"),
        (Flags::AA, "aa"),
        (Flags::TC, "tc"),
        (Flags::RD, "rd"),
        (Flags::RA, "ra"),
        (Flags::AD, "ad"),
        (Flags::CD, "cd"),
    ];
    names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|&(_, name)| name).collect()
}

/// A record as text.
fn record(record: &Resource) -> dig::Record {
    let mut rdata = String::new();
    // RDATA that is not of its type is written as octets, and writing to a string cannot fail.
    write_text(record.rtype, &record.rdata, &mut rdata).ok();
    dig::Record {
        name: record.owner.to_string(),
        ttl: record.ttl_secs,
        class: record.class.to_string(),
        rtype: record.rtype.to_string(),
        rdata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_the_order_of_the_header() {
        assert_eq!(set_flags(Flags::QR | Flags::AA | Flags::RD), ["qr", "aa", "rd"]);
        assert_eq!(set_flags(Flags(0xffff)), ["qr", "aa", "tc", "rd", "ra", "ad", "cd"]);
        assert!(set_flags(Flags::NONE).is_empty());
    }

    #[test]
    fn queries_ask_one_question_with_edns() {
        let query = Query {
            name: "a.test.".parse().unwrap(),
            rtype: Rtype::AAAA,
            dnssec: Dnssec::Wanted,
            transport: Transport::Udp,
        };
        let expected = b"\0\0\0\0\0\x01\0\0\0\0\0\x01\x01a\x04test\0\0\x1c\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        assert_eq!(query.encode().unwrap(), expected);
    }
}
