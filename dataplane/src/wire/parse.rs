//! Reads a query.

use snapshot::dns::class::Class;
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;

use super::{HEADER_LEN, Rcode};
use crate::packet::DropReason;

/// QTYPE and QCLASS after the name.
const QUESTION_TAIL: usize = 4;
/// Type, class, TTL and RDLENGTH of a record after its owner.
const RECORD_TAIL: usize = 10;

/// What a datagram turned out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parsed {
    /// A question to be answered.
    Query(Query),
    /// Something whose answer the message format decides.
    Error {
        /// The response code.
        rcode: Rcode,
        /// What could be read before the error: the reply echoes its question if there is one.
        query: Query,
    },
    /// Nothing is to be sent.
    Drop(DropReason),
}

/// The parts of a query that decide the reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// Opcode as sent, echoed in the reply.
    pub(crate) opcode: u8,
    /// RD as sent, echoed.
    pub(crate) recursion_desired: bool,
    /// CD as sent, echoed (RFC 4035 section 3.1.6).
    pub(crate) checking_disabled: bool,
    /// Octets of the name that starts at byte 12; 0 if there is no question to echo.
    pub(crate) qname_len: usize,
    /// Query type.
    pub(crate) qtype: Rtype,
    /// Query class.
    pub(crate) qclass: Class,
    /// The OPT record, if there is one.
    pub(crate) edns: Option<Edns>,
}

/// What the OPT record says (RFC 6891 section 6.1.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edns {
    /// The largest UDP payload the client takes, in bytes; below 512 means 512.
    pub(crate) udp_len: u16,
    /// Version; we implement 0.
    pub(crate) version: u8,
    /// DO: send signatures (RFC 3225).
    pub(crate) dnssec_ok: bool,
}

impl Query {
    /// Where the question ends, and the first record of the reply starts.
    #[inline]
    pub(crate) fn question_end(&self) -> usize {
        if self.qname_len == 0 { HEADER_LEN } else { HEADER_LEN + self.qname_len + QUESTION_TAIL }
    }

    /// Whether signatures are asked for.
    #[inline]
    pub(crate) fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

/// Reads a whole datagram; `name` becomes its qname. Bytes behind the last announced record are ignored, as BIND and
/// NSD do. O(bytes), no allocation.
#[inline]
pub(crate) fn parse(message: &[u8], name: &mut LookupName) -> Parsed {
    let Some(header) = message.first_chunk::<HEADER_LEN>() else { return Parsed::Drop(DropReason::Short) };
    let [_, _, flags, more_flags, counts @ ..] = *header;
    if flags & 0x80 != 0 {
        return Parsed::Drop(DropReason::Response);
    }
    let mut query = Query {
        opcode: flags >> 3 & 0xf,
        recursion_desired: flags & 1 != 0,
        checking_disabled: more_flags & 0x10 != 0,
        qname_len: 0,
        qtype: Rtype(0),
        qclass: Class(0),
        edns: None,
    };
    if query.opcode != 0 {
        // Nothing is known about the rest of such a message, so only its header is answered.
        return Parsed::Error { rcode: Rcode::NotImp, query };
    }
    let count = |at: usize| u16::from_be_bytes([counts[at], counts[at + 1]]);
    if count(0) != 1 {
        return Parsed::Error { rcode: Rcode::FormErr, query };
    }
    let Some(off) = question(message, &mut query, name) else {
        return Parsed::Error { rcode: Rcode::FormErr, query };
    };
    let skipped = u32::from(count(2)) + u32::from(count(4));
    match records(message, off, skipped, count(6)) {
        Ok(edns) => query.edns = edns,
        Err(Malformed) => return Parsed::Error { rcode: Rcode::FormErr, query },
    }
    match query.edns {
        Some(edns) if edns.version != 0 => Parsed::Error { rcode: Rcode::BadVers, query },
        _ => Parsed::Query(query),
    }
}

/// The records after the question do not add up.
struct Malformed;

/// Reads the question; returns where it ends.
#[inline]
fn question(message: &[u8], query: &mut Query, name: &mut LookupName) -> Option<usize> {
    let qname_len = name.assign(message.get(HEADER_LEN..)?)?;
    let tail = message.get(HEADER_LEN + qname_len..)?.first_chunk::<QUESTION_TAIL>()?;
    let [type_high, type_low, class_high, class_low] = *tail;
    query.qname_len = qname_len;
    query.qtype = Rtype(u16::from_be_bytes([type_high, type_low]));
    query.qclass = Class(u16::from_be_bytes([class_high, class_low]));
    Some(HEADER_LEN + qname_len + QUESTION_TAIL)
}

/// Walks answer, authority and additional records looking for the one OPT that may be among the latter.
#[inline]
fn records(message: &[u8], mut off: usize, skipped: u32, additional: u16) -> Result<Option<Edns>, Malformed> {
    let mut edns = None;
    for idx in 0..skipped + u32::from(additional) {
        let owner_off = off;
        off = skip_name(message, off).ok_or(Malformed)?;
        let tail = message.get(off..).and_then(|rest| rest.first_chunk::<RECORD_TAIL>()).ok_or(Malformed)?;
        let [type_high, type_low, class_high, class_low, _rcode, version, flags, _, len_high, len_low] = *tail;
        off += RECORD_TAIL;
        let rdata_len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let rdata = message.get(off..off + rdata_len).ok_or(Malformed)?;
        off += rdata_len;
        if idx < skipped || u16::from_be_bytes([type_high, type_low]) != Rtype::OPT.0 {
            continue;
        }
        // The owner is the root, and there is one OPT at most (RFC 6891 section 6.1.1).
        if edns.is_some() || message.get(owner_off) != Some(&0) {
            return Err(Malformed);
        }
        options(rdata)?;
        edns =
            Some(Edns { udp_len: u16::from_be_bytes([class_high, class_low]), version, dnssec_ok: flags & 0x80 != 0 });
    }
    Ok(edns)
}

/// Moves past a name that may end in a compression pointer, without following it.
#[inline]
fn skip_name(message: &[u8], mut off: usize) -> Option<usize> {
    loop {
        match *message.get(off)? {
            0 => return Some(off + 1),
            len @ 1..=63 => off += usize::from(len) + 1,
            0xc0.. => return message.get(off + 1).map(|_| off + 2),
            _ => return None,
        }
    }
}

/// Checks that options fill the RDATA of an OPT (RFC 6891 section 6.1.2); none is known yet, and unknown ones are
/// ignored.
#[inline]
fn options(mut rdata: &[u8]) -> Result<(), Malformed> {
    while !rdata.is_empty() {
        let &[_, _, len_high, len_low, ref rest @ ..] = rdata else { return Err(Malformed) };
        rdata = rest.get(usize::from(u16::from_be_bytes([len_high, len_low]))..).ok_or(Malformed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `a. A` with the given additional bytes and ARCOUNT.
    fn message(arcount: u8, tail: &[u8]) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, arcount, 1, b'a', 0, 0, 1, 0, 1];
        message.extend_from_slice(tail);
        message
    }

    /// One word for what `bytes` parse as.
    fn check(bytes: &[u8]) -> String {
        match parse(bytes, &mut LookupName::default()) {
            Parsed::Query(query) => match query.edns {
                Some(edns) => format!("edns {} {}", edns.udp_len, edns.dnssec_ok),
                None => "plain".into(),
            },
            Parsed::Error { rcode, .. } => format!("{rcode:?}"),
            Parsed::Drop(reason) => format!("{reason:?}"),
        }
    }

    #[test]
    fn queries_are_told_from_errors_and_noise() {
        let opt = [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0];
        let twice = [opt, opt].concat();
        let with_option = [0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 6, 0, 9, 0, 2, 1, 2];
        let torn_option = [0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 5, 0, 9, 0, 2, 1];
        let named = [1, b'x', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        let version_1 = [0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0];
        let cases: &[(&[u8], &str)] = &[
            (&message(0, &[]), "plain"),
            (&message(0, b"trailing"), "plain"),
            (&message(1, &opt), "edns 1232 true"),
            (&message(2, &twice), "FormErr"),
            (&message(1, &[]), "FormErr"),
            (&message(1, &opt[..10]), "FormErr"),
            (&message(1, &with_option), "edns 512 false"),
            (&message(1, &torn_option), "FormErr"),
            (&message(1, &named), "FormErr"),
            (&message(1, &version_1), "BadVers"),
            (&[0; 11], "Short"),
            (&[0; 12], "FormErr"),
            (&[0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0], "Response"),
            (&[0, 0, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0], "NotImp"),
            (&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1], "FormErr"),
            (&[0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 1], "FormErr"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(check(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn every_prefix_of_a_query_is_handled() {
        let whole = message(1, &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        for len in 0..whole.len() {
            let result = check(&whole[..len]);
            assert!(result == "Short" || result == "FormErr", "{len}: {result}");
        }
    }
}
