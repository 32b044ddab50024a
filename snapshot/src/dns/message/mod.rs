//! Whole DNS messages for tools, tests and transfers: a strict reader and a small writer of queries.
//!
//! The packet path does not use this: it reads queries in place. Nothing here sends or receives. Invariant: a [`Message`]
//! holds all that its octets said, names expanded, RDATA valid for its type; octets after the last record are an error.
//! RFC 1035 section 4, RFC 2136 section 2, RFC 6891.

mod header;
mod query;
mod read;

pub use header::{Flags, HEADER_LEN, Header, Opcode, Rcode};
pub use query::{OptionsTooLong, Query};
pub use read::MessageError;

use super::class::Class;
use super::name::Name;
use super::rtype::Rtype;

/// A DNS message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header without its counts.
    pub header: Header,
    /// The question section; in an update the zone section.
    pub questions: Vec<Question>,
    /// The answer section; in an update the prerequisites.
    pub answers: Vec<Resource>,
    /// The authority section; in an update the changes.
    pub authorities: Vec<Resource>,
    /// The additional section without OPT.
    pub additionals: Vec<Resource>,
    /// What the OPT record says, if there is one.
    pub edns: Option<Edns>,
}

/// An entry of the question section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The qname, case as in the message.
    pub qname: Name,
    /// The qtype.
    pub qtype: Rtype,
    /// The qclass.
    pub qclass: Class,
}

/// A resource record of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The owner, case as in the message.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The class; what it means in an update, RFC 2136 says.
    pub class: Class,
    /// TTL in seconds, all 32 bits as sent.
    pub ttl_secs: u32,
    /// RDATA with names expanded; empty in an update that names no RDATA.
    pub rdata: Vec<u8>,
}

/// What an OPT record says (RFC 6891 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// The UDP payload size in octets, as sent.
    pub payload_len: u16,
    /// The upper eight bits of the RCODE.
    pub rcode_high: u8,
    /// The EDNS version.
    pub version: u8,
    /// The flags, [`Edns::DO`] the highest.
    pub flags: u16,
    /// The options in their order.
    pub options: Vec<EdnsOption>,
}

/// An EDNS option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdnsOption {
    /// The code.
    pub code: u16,
    /// The octets.
    pub value: Vec<u8>,
}

impl Edns {
    /// The flag DNSSEC OK (RFC 3225).
    pub const DO: u16 = 0x8000;
}

impl Message {
    /// The RCODE with the upper bits that EDNS adds (RFC 6891 section 6.1.3).
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        let high = self.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high));
        Rcode(high << 4 | self.header.rcode().0)
    }
}

#[cfg(test)]
mod tests;
