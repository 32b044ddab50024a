//! A datagram on its way through the data plane: the query comes in a buffer and the reply leaves in the same one.
//!
//! It is the only type that `engine`, `answer` and `stream` share; it knows neither sockets nor DNS.

use std::net::IpAddr;

/// One query and, afterwards, its outcome.
pub struct Packet<'b> {
    /// The whole buffer. The query is its first `query_len` bytes; the reply overwrites it from the start and may use
    /// all of it.
    pub buf: &'b mut [u8],
    /// Bytes of the query, at most `buf.len()`.
    pub query_len: usize,
    /// Who asked.
    pub client: IpAddr,
    /// What became of it; [`Outcome::Pending`] until answered.
    pub outcome: Outcome,
    /// What was learnt on the way.
    pub notes: Notes,
}

/// What is known of a query besides its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// The number of the zone that it falls into, once answered.
    pub zone: Option<u32>,
    /// Whether a valid server cookie proves that its address is its own (RFC 7873).
    pub cookie: bool,
    /// Why its reply is without an answer, if it is.
    pub restraint: Option<Restraint>,
}

/// Why a query gets a reply without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restraint {
    /// Its prefix got too many replies; this one slips through, empty and with TC.
    Slip,
    /// Its client asks too often.
    Client,
    /// Its client may not ask.
    Denied,
}

/// What became of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet.
    Pending,
    /// The first `len` bytes of the buffer are the reply.
    Reply {
        /// Bytes of the reply, at least 12.
        len: usize,
        /// The whole RCODE, extended bits included (RFC 6891 section 6.1.3).
        rcode: u16,
        /// Whether TC is set.
        truncated: bool,
    },
    /// Nothing is sent.
    Drop(DropReason),
}

/// Why a datagram gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Shorter than a header: there is no id to answer to.
    Short,
    /// QR is set: answering answers makes loops.
    Response,
    /// The datagram was cut by the receive buffer.
    Oversize,
    /// A panic came up while the reply was written, so the buffer holds neither query nor reply.
    Panic,
    /// The client's prefix got too many replies.
    Rate,
    /// The client asks too often.
    Client,
    /// The client may not ask.
    Denied,
    /// There is more than can be answered, and its zone has had its share.
    Unfair,
}

/// How the query came, which decides how long the reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP: 512 bytes or what EDNS(0) allows, then TC.
    Udp,
    /// TCP and what is built on it: 65,535 bytes.
    Tcp,
}

impl Transport {
    /// The word for counters and status.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// How and when a batch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// How its queries came.
    pub transport: Transport,
    /// Seconds since 1970, modulo 2^32 (RFC 9018 section 4.3).
    pub now_secs: u32,
    /// A number as good as random, by which answers are chosen where there are several.
    pub lot: u64,
}

impl<'b> Packet<'b> {
    /// A query that waits for its answer.
    #[must_use]
    pub fn new(buf: &'b mut [u8], query_len: usize, client: IpAddr) -> Packet<'b> {
        Packet { buf, query_len, client, outcome: Outcome::Pending, notes: Notes::default() }
    }

    /// Bytes to send, 0 if nothing is to be sent.
    #[must_use]
    pub fn reply_len(&self) -> usize {
        match self.outcome {
            Outcome::Reply { len, .. } => len,
            Outcome::Pending | Outcome::Drop(_) => 0,
        }
    }
}
