//! Reads a query.

use snapshot::dns::class::Class;
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;

use super::options::Options;
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
    /// No question, but a cookie: a client that wants to learn or check one (RFC 7873 section 5.4).
    Bare(Query),
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
    /// DO: send signatures (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// Where the RDATA starts if it holds options that we know; 0 if not. A query is copied more often than its options
    /// are looked at.
    options_off: u16,
}

impl Query {
    /// Where the question ends, and the first record of the reply starts.
    #[inline]
    pub(crate) fn question_end(&self) -> usize {
        if self.qname_len == 0 { HEADER_LEN } else { HEADER_LEN + self.qname_len + QUESTION_TAIL }
    }

    /// Whether there are options that we know.
    #[inline]
    pub(crate) fn has_options(&self) -> bool {
        self.edns.is_some_and(|edns| edns.options_off > 0)
    }

    /// The options that we know, in the message that this was read from.
    pub(crate) fn options(&self, message: &[u8]) -> Options {
        let off = self.edns.map_or(0, |edns| usize::from(edns.options_off));
        let Some(rdata_len) = off.checked_sub(2).and_then(|at| message.get(at..)?.first_chunk::<2>()) else {
            return Options::default();
        };
        Options::read(message, off, off + usize::from(u16::from_be_bytes(*rdata_len))).unwrap_or_default()
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
    let [_, _, flags, _, counts @ ..] = *header;
    if flags & 0x80 != 0 {
        return Parsed::Drop(DropReason::Response);
    }
    let mut query = Query {
        opcode: flags >> 3 & 0xf,
        recursion_desired: flags & 1 != 0,
        qname_len: 0,
        qtype: Rtype(0),
        qclass: Class(0),
        edns: None,
    };
    if query.opcode != 0 {
        return foreign(message, query);
    }
    let count = |at: usize| u16::from_be_bytes([counts[at], counts[at + 1]]);
    let skipped = u32::from(count(2)) + u32::from(count(4));
    if count(0) != 1 {
        return unusual(message, count(0), skipped, count(6), query);
    }
    let Some(off) = question(message, &mut query, name) else {
        return Parsed::Error { rcode: Rcode::FormErr, query };
    };
    match records(message, off, skipped, count(6)) {
        Ok(edns) => {
            query.edns = edns;
            Parsed::Query(query)
        }
        Err((rcode, edns)) => Parsed::Error { rcode, query: Query { edns, ..query } },
    }
}

/// Reads a message of an opcode that we do not know. Only its header is answered, because the rest may mean anything; but
/// if that has the form of the opcodes there are, with an OPT, the reply has one too (RFC 6891 section 6.1.1).
#[cold]
fn foreign(message: &[u8], query: Query) -> Parsed {
    let edns = || {
        let [_, _, _, _, counts @ ..] = *message.first_chunk::<HEADER_LEN>()?;
        let [questions, answers, authorities, additional] =
            [0, 2, 4, 6].map(|at| u16::from_be_bytes([counts[at], counts[at + 1]]));
        let mut off = HEADER_LEN;
        for _ in 0..questions {
            off = skip_name(message, off)? + QUESTION_TAIL;
        }
        let edns = records(message, off, u32::from(answers) + u32::from(authorities), additional).ok()??;
        Some(Edns { options_off: 0, ..edns })
    };
    Parsed::Error { rcode: Rcode::NotImp, query: Query { edns: edns(), ..query } }
}

/// Reads a message that has not one question: without any it may be a query for a cookie, and shows its OPT.
#[cold]
fn unusual(message: &[u8], questions: u16, skipped: u32, additional: u16, mut query: Query) -> Parsed {
    let rcode = Rcode::FormErr;
    if questions > 0 {
        // RFC 9619.
        return Parsed::Error { rcode, query };
    }
    match records(message, HEADER_LEN, skipped, additional) {
        Ok(edns) => query.edns = edns,
        Err((rcode, edns)) => return Parsed::Error { rcode, query: Query { edns, ..query } },
    }
    match query.options(message).cookie(message) {
        Some(_) => Parsed::Bare(query),
        None => Parsed::Error { rcode, query },
    }
}

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

/// Reads the one OPT that may be among `additional` records behind `skipped` others, which start at `off`.
///
/// # Errors
/// FORMERR if the records do not add up, BADVERS for a version that we do not know. With it comes the OPT where that is
/// sound in itself: a reply to malformed options has one too (RFC 6891 section 7).
#[inline]
fn records(message: &[u8], off: usize, skipped: u32, additional: u16) -> Result<Option<Edns>, (Rcode, Option<Edns>)> {
    let Ok(opt) = find_opt(message, off, skipped, additional) else { return Err((Rcode::FormErr, None)) };
    let Some(&[_, _, class_high, class_low, _rcode, version, flags, _, len_high, len_low]) =
        opt.and_then(|off| message.get(off..)?.first_chunk::<RECORD_TAIL>())
    else {
        return Ok(None);
    };
    let udp_len = u16::from_be_bytes([class_high, class_low]);
    let mut edns = Edns { udp_len, dnssec_ok: flags & 0x80 != 0, options_off: 0 };
    if version != 0 {
        // What options look like in other versions is unknown.
        return Err((Rcode::BadVers, Some(edns)));
    }
    let rdata_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if rdata_len > 0 {
        let off = opt.map_or(0, |off| off + RECORD_TAIL);
        match Options::read(message, off, off + rdata_len) {
            Ok(options) if options.is_empty() => {}
            Ok(_) => edns.options_off = u16::try_from(off).unwrap_or(0),
            Err(_) => return Err((Rcode::FormErr, Some(edns))),
        }
    }
    Ok(Some(edns))
}

/// The records do not add up.
struct Malformed;

/// Walks records; returns where the OPT has its type.
#[inline]
fn find_opt(message: &[u8], mut off: usize, skipped: u32, additional: u16) -> Result<Option<usize>, Malformed> {
    let mut opt = None;
    for idx in 0..skipped + u32::from(additional) {
        let owner_off = off;
        let tail_off = skip_name(message, off).ok_or(Malformed)?;
        let tail = message.get(tail_off..).and_then(|rest| rest.first_chunk::<RECORD_TAIL>()).ok_or(Malformed)?;
        let [type_high, type_low, .., len_high, len_low] = *tail;
        off = tail_off + RECORD_TAIL + usize::from(u16::from_be_bytes([len_high, len_low]));
        if off > message.len() {
            return Err(Malformed);
        }
        if idx < skipped || u16::from_be_bytes([type_high, type_low]) != Rtype::OPT.0 {
            continue;
        }
        // The owner is the root, and there is one OPT at most (RFC 6891 section 6.1.1).
        if opt.is_some() || message.get(owner_off) != Some(&0) {
            return Err(Malformed);
        }
        opt = Some(tail_off);
    }
    Ok(opt)
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
            Parsed::Bare(_) => "bare".into(),
            Parsed::Error { rcode, query } if query.edns.is_some() => format!("{rcode:?} edns"),
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
        let cookie = [0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let version_1_torn = [0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 1, 0];
        let version_1 = [0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0];
        let cases: &[(&[u8], &str)] = &[
            (&message(0, &[]), "plain"),
            (&message(0, b"trailing"), "plain"),
            (&message(1, &opt), "edns 1232 true"),
            (&message(2, &twice), "FormErr"),
            (&message(1, &[]), "FormErr"),
            (&message(1, &opt[..10]), "FormErr"),
            (&message(1, &with_option), "edns 512 false"),
            (&message(1, &torn_option), "FormErr edns"),
            (&message(1, &named), "FormErr"),
            (&message(1, &version_1), "BadVers edns"),
            (&message(1, &version_1_torn), "BadVers edns"),
            (&message(2, &[&torn_option[..], &opt].concat()), "FormErr"),
            (&[&[0; 11][..], &[1], &opt[..]].concat(), "FormErr edns"),
            (&[&[0; 11][..], &[1], &cookie[..]].concat(), "bare"),
            (&[&[0; 11][..], &[2], &cookie[..], &opt[..]].concat(), "FormErr"),
            (&[&[0; 11][..], &[2], &cookie[..]].concat(), "FormErr"),
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
