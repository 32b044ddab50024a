//! DNS messages as bytes: reading a query, writing the frame of a reply.
//!
//! It knows no zones and decides no answer; what is wrong with a query by the rules of the message format itself is
//! decided here. Invariants: parsing never allocates, never follows a compression pointer and reads each byte once; a
//! reply never exceeds its limit. RFC 1035 section 4.1, RFC 6891, RFC 8906, RFC 9619.

pub(crate) mod options;
mod parse;
mod reply;

pub(crate) use parse::{Parsed, Query, parse};
pub(crate) use reply::{Section, Writer};

/// Bytes of the message header.
pub(crate) const HEADER_LEN: usize = 12;
/// Bytes of an OPT record without options.
pub(crate) const OPT_LEN: usize = 11;
/// The largest UDP reply to a query without EDNS(0) (RFC 1035 section 4.2.1).
pub(crate) const UDP_LEN_PLAIN: usize = 512;
/// The largest message at all.
pub(crate) const MESSAGE_LEN_MAX: usize = 65_535;

/// Response codes that we send (RFC 1035 section 4.1.1, RFC 6891 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Rcode {
    /// No error.
    NoError = 0,
    /// The query breaks the message format.
    FormErr = 1,
    /// We failed.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// The opcode or query type is not implemented.
    NotImp = 4,
    /// Not for us, or not allowed.
    Refused = 5,
    /// A DNAME makes a name longer than names can be (RFC 6672 section 2.2).
    YxDomain = 6,
    /// The EDNS version is not 0.
    BadVers = 16,
    /// The server cookie is missing or wrong (RFC 7873 section 8).
    BadCookie = 23,
}

impl Rcode {
    /// Whether there is no answer: the name may exist, but we do not say.
    #[inline]
    pub(crate) fn is_error(self) -> bool {
        !matches!(self, Rcode::NoError | Rcode::NxDomain)
    }
}
