//! The header of a message: identifier, flags, opcode and RCODE (RFC 1035 section 4.1.1, RFC 6895).
//!
//! Counts of sections are no part of it; the reader and the writer keep them.

use std::fmt;

/// The length of a header in octets.
pub const HEADER_LEN: usize = 12;

/// The header without its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The identifier.
    pub id: u16,
    /// The second word: flags, opcode and the lower bits of the RCODE.
    pub flags: Flags,
}

/// The second word of a header; combine its constants with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

/// An opcode, 4 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

/// An RCODE, 4 bits in the header and 12 with EDNS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rcode(pub u16);

impl Header {
    /// The opcode.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        let [high, _] = self.flags.0.to_be_bytes();
        Opcode(high >> 3 & 15)
    }

    /// The RCODE without the bits that EDNS adds.
    #[must_use]
    pub fn rcode(self) -> Rcode {
        Rcode(self.flags.0 & 15)
    }
}

impl Flags {
    /// No flag: a query.
    pub const NONE: Flags = Flags(0);
    /// Query response.
    pub const QR: Flags = Flags(0x8000);
    /// Authoritative answer.
    pub const AA: Flags = Flags(0x0400);
    /// Truncation.
    pub const TC: Flags = Flags(0x0200);
    /// Recursion desired.
    pub const RD: Flags = Flags(0x0100);
    /// Recursion available.
    pub const RA: Flags = Flags(0x0080);
    /// Authentic data (RFC 4035).
    pub const AD: Flags = Flags(0x0020);
    /// Checking disabled (RFC 4035).
    pub const CD: Flags = Flags(0x0010);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl Opcode {
    /// A standard query.
    pub const QUERY: Opcode = Opcode(0);
    /// A notification (RFC 1996).
    pub const NOTIFY: Opcode = Opcode(4);
    /// An update (RFC 2136).
    pub const UPDATE: Opcode = Opcode(5);
}

impl Rcode {
    /// No error.
    pub const NOERROR: Rcode = Rcode(0);
    /// The query could not be read.
    pub const FORMERR: Rcode = Rcode(1);
    /// The server failed.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// The server does not do this.
    pub const NOTIMP: Rcode = Rcode(4);
    /// The server does not do this for the client.
    pub const REFUSED: Rcode = Rcode(5);
    /// A name exists that should not (RFC 2136).
    pub const YXDOMAIN: Rcode = Rcode(6);
    /// An RRset exists that should not (RFC 2136).
    pub const YXRRSET: Rcode = Rcode(7);
    /// An RRset that should exist does not (RFC 2136).
    pub const NXRRSET: Rcode = Rcode(8);
    /// Not authoritative, or not authorized (RFC 2136, RFC 8945).
    pub const NOTAUTH: Rcode = Rcode(9);
    /// A name is not in the zone (RFC 2136).
    pub const NOTZONE: Rcode = Rcode(10);
    /// The EDNS version is not known (RFC 6891).
    pub const BADVERS: Rcode = Rcode(16);
    /// The server cookie is wrong (RFC 7873).
    pub const BADCOOKIE: Rcode = Rcode(23);
}

/// The RCODEs with a mnemonic.
const MNEMONICS: [(Rcode, &str); 13] = [
    (Rcode::NOERROR, "NOERROR"),
    (Rcode::FORMERR, "FORMERR"),
    (Rcode::SERVFAIL, "SERVFAIL"),
    (Rcode::NXDOMAIN, "NXDOMAIN"),
    (Rcode::NOTIMP, "NOTIMP"),
    (Rcode::REFUSED, "REFUSED"),
    (Rcode::YXDOMAIN, "YXDOMAIN"),
    (Rcode::YXRRSET, "YXRRSET"),
    (Rcode::NXRRSET, "NXRRSET"),
    (Rcode::NOTAUTH, "NOTAUTH"),
    (Rcode::NOTZONE, "NOTZONE"),
    (Rcode::BADVERS, "BADVERS"),
    (Rcode::BADCOOKIE, "BADCOOKIE"),
];

/// Writes the mnemonic, or `RCODEnnn`.
impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MNEMONICS.iter().find(|(rcode, _)| rcode == self) {
            Some((_, mnemonic)) => f.pad(mnemonic),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
