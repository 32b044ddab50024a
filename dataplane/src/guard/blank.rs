//! Replies without an answer, in place of those that are held back: the question, TC or a response code, nothing else.
//!
//! They are never longer than their query by more than a server cookie, so they amplify nothing. It decides nothing.
//! RFC 2181 section 9, RFC 7873 section 5.2.3.

use snapshot::dns::lookup_name::LookupName;

use crate::packet::{Outcome, Packet, Restraint};
use crate::wire::options::{COOKIE, OPTION_HEAD};
use crate::wire::{self, Parsed, Rcode, UDP_LEN_PLAIN, Writer};

/// Octets of the longest cookie (RFC 7873 section 4).
const COOKIE_LEN_MAX: usize = 40;
/// QR in the third octet of the header.
const QR: u8 = 0x80;

/// What a blank reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Ask over TCP.
    Truncated,
    /// REFUSED.
    Refused,
}

/// What is in the packet's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The query.
    Query,
    /// A reply of so many bytes; its cookie is kept, so that an honest client soon has one that exempts it.
    Reply(usize),
}

/// Makes the packet's reply a blank one; `None`, and the packet's outcome as it was, if it has no question to send back.
#[cold]
pub(super) fn blank(packet: &mut Packet<'_>, holds: Holds, word: Word, why: Restraint, udp_len: u16) -> Option<()> {
    let len = match holds {
        Holds::Query => packet.query_len,
        Holds::Reply(len) => len,
    };
    let message = packet.buf.get_mut(..len)?;
    if let Holds::Reply(_) = holds {
        // With QR clear our own reply reads as a query: question, records to be skipped, and an OPT.
        *message.get_mut(2)? &= !QR;
    }
    let mut name = LookupName::default();
    let Parsed::Query(query) = wire::parse(message, &mut name) else { return None };
    let mut cookie = [0; COOKIE_LEN_MAX];
    let mut cookie_len = 0;
    if let Holds::Reply(_) = holds
        && let Some(kept) = query.options(message).cookie(message)
    {
        cookie.get_mut(..kept.len())?.copy_from_slice(kept);
        cookie_len = kept.len();
    }
    let (rcode, is_truncated) = match word {
        Word::Truncated => (Rcode::NoError, true),
        Word::Refused => (Rcode::Refused, false),
    };
    let options_len = if cookie_len > 0 { OPTION_HEAD + cookie_len } else { 0 };
    let mut writer = Writer::new(packet.buf, &query, UDP_LEN_PLAIN, options_len);
    writer.truncated = is_truncated;
    if cookie_len > 0 {
        writer.put_option(COOKIE, &[&cookie[..cookie_len]])?;
    }
    let len = writer.finish(&query, rcode, udp_len);
    packet.outcome = Outcome::Reply { len, rcode: rcode as u16, truncated: is_truncated };
    packet.notes.restraint = Some(why);
    Some(())
}
