//! Queries to bytes, and replies to the words of the model (RFC 1035 section 4.1).
//!
//! A reader of its own, and strict: pointers lead backwards, the question comes back as it was asked, every byte belongs
//! to a record, and no record is in a section twice (RFC 2181 section 5). Names are folded to lower case.

use crate::model::{CNAME, DNAME, Label, NS, Name, Question, Rdata, Record, SOA};

/// OPT (RFC 6891 section 6.1.1).
const OPT: u16 = 41;
/// Bytes of a header.
const HEADER_LEN: usize = 12;
/// Bytes of an OPT record without options, with which queries end.
const OPT_LEN: usize = 11;
/// The UDP payload size that queries offer: no zone of these tests has a longer answer.
pub(crate) const PAYLOAD_LEN: u16 = 4096;

/// A reply, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The response code, extended bits not looked at.
    pub(crate) rcode: u16,
    /// The AA flag.
    pub(crate) authoritative: bool,
    /// The TC flag.
    pub(crate) truncated: bool,
    /// Answer, authority and additional section, without OPT.
    pub(crate) sections: [Vec<Record>; 3],
}

/// Whether a query sets DO (RFC 3225 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dnssec {
    /// It does.
    Wanted,
    /// It does not.
    NotWanted,
}

/// Appends a name in wire format.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &[Label]) {
    for label in name {
        out.push(u8::try_from(label.octets().len()).expect("labels are short"));
        out.extend_from_slice(label.octets());
    }
    out.push(0);
}

/// Replaces `out` by a query with EDNS(0).
pub(crate) fn write_query(out: &mut Vec<u8>, question: &Question, dnssec: Dnssec) {
    out.clear();
    out.extend_from_slice(&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    push_name(out, &question.qname);
    out.extend_from_slice(&question.qtype.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0]);
    out.extend_from_slice(&OPT.to_be_bytes());
    out.extend_from_slice(&PAYLOAD_LEN.to_be_bytes());
    out.extend_from_slice(&[0, 0, if dnssec == Dnssec::Wanted { 0x80 } else { 0 }, 0, 0, 0]);
}

/// Takes the reply to `query` apart.
///
/// # Errors
/// A sentence that says what is wrong with the message.
pub(crate) fn read_reply(query: &[u8], reply: &[u8]) -> Result<Reply, String> {
    let mut cursor = Cursor { bytes: reply, off: 0 };
    if cursor.take(2)? != &query[..2] {
        return Err("another id".into());
    }
    let flags = cursor.u16()?;
    let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
    if flags & 0xf800 != 0x8000 || counts[0] != 1 {
        return Err(format!("no reply to a query: flags {flags:04x}, {} questions", counts[0]));
    }
    let question = &query[HEADER_LEN..query.len() - OPT_LEN];
    if cursor.take(question.len())? != question {
        return Err("another question".into());
    }
    let mut sections = [Vec::new(), Vec::new(), Vec::new()];
    for (section, &count) in sections.iter_mut().zip(&counts[1..]) {
        for _ in 0..count {
            section.extend(cursor.record()?);
        }
        if section.len() < 2 {
            continue;
        }
        let mut sorted: Vec<&Record> = section.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("a record twice in one section: {:?}", pair[0]));
        }
    }
    if cursor.off != reply.len() {
        return Err(format!("{} bytes follow the last record", reply.len() - cursor.off));
    }
    Ok(Reply { rcode: flags & 0xf, authoritative: flags & 0x0400 != 0, truncated: flags & 0x0200 != 0, sections })
}

/// Reads replies and remembers the latest: most types that a name does not have are answered with the same bytes, and
/// reading is what comparing spends its time on.
#[derive(Default)]
pub(crate) struct Reader {
    /// The latest query, its reply, and what that says.
    latest: Option<(Vec<u8>, Vec<u8>, Reply)>,
}

impl Reader {
    /// What [`read_reply`] returns.
    ///
    /// # Errors
    /// Those of [`read_reply`].
    pub(crate) fn read(&mut self, query: &[u8], bytes: &[u8]) -> Result<&Reply, String> {
        let qtype = query.len() - OPT_LEN - 4..query.len() - OPT_LEN - 2;
        let alike = |a: &[u8], b: &[u8]| {
            a.len() == b.len() && a[..qtype.start] == b[..qtype.start] && a[qtype.end..] == b[qtype.end..]
        };
        let is_known = self.latest.as_ref().is_some_and(|(known_query, known_bytes, _)| {
            alike(query, known_query) && alike(bytes, known_bytes) && bytes[qtype.clone()] == query[qtype.clone()]
        });
        if !is_known {
            self.latest = None;
            self.latest = Some((query.to_vec(), bytes.to_vec(), read_reply(query, bytes)?));
        }
        self.latest.as_ref().map(|(_, _, reply)| reply).ok_or_else(|| "nothing was read".into())
    }
}

/// Uncompressed RDATA in the words of the model.
///
/// # Errors
/// RDATA that is no valid wire format of its type.
pub(crate) fn read_rdata(rtype: u16, rdata: &[u8]) -> Result<Rdata, String> {
    Cursor { bytes: rdata, off: 0 }.rdata(rtype, rdata.len())
}

/// An uncompressed name.
///
/// # Errors
/// Bytes that are none.
pub(crate) fn read_name(wire: &[u8]) -> Result<Name, String> {
    Cursor { bytes: wire, off: 0 }.name()
}

/// A place in a message.
struct Cursor<'m> {
    /// The whole message.
    bytes: &'m [u8],
    /// The next byte to be read.
    off: usize,
}

impl<'m> Cursor<'m> {
    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> Result<&'m [u8], String> {
        let taken = self.bytes.get(self.off..self.off + len).ok_or("the message ends early")?;
        self.off += len;
        Ok(taken)
    }

    /// The next two bytes.
    fn u16(&mut self) -> Result<u16, String> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// The next name. Each pointer must lead before the place where the last one led, so this ends.
    fn name(&mut self) -> Result<Name, String> {
        let mut name = Name::new();
        let (mut at, mut limit, mut end) = (self.off, self.off, None);
        loop {
            let len = *self.bytes.get(at).ok_or("a name ends early")?;
            if len >= 0xc0 {
                let low = *self.bytes.get(at + 1).ok_or("a pointer ends early")?;
                let target = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                if target >= limit {
                    return Err(format!("the pointer at {at} leads forward to {target}"));
                }
                end.get_or_insert(at + 2);
                (at, limit) = (target, target);
                continue;
            }
            if len > 63 {
                return Err(format!("a label of type {len:#04x}"));
            }
            let label = self.bytes.get(at + 1..at + 1 + usize::from(len)).ok_or("a label ends early")?;
            at += 1 + label.len();
            if len == 0 {
                break;
            }
            name.push(Label::new(label));
        }
        self.off = end.unwrap_or(at);
        Ok(name)
    }

    /// The next record; `None` for OPT.
    fn record(&mut self) -> Result<Option<Record>, String> {
        let owner = self.name()?;
        let (rtype, _class) = (self.u16()?, self.u16()?);
        let ttl_secs = (u32::from(self.u16()?) << 16) | u32::from(self.u16()?);
        let len = usize::from(self.u16()?);
        let end = self.off + len;
        let rdata = self.rdata(rtype, len)?;
        if self.off != end {
            return Err(format!("RDATA of type {rtype} does not end where its length says"));
        }
        Ok((rtype != OPT).then_some(Record { owner, rtype, ttl_secs, rdata }))
    }

    /// RDATA of `len` bytes.
    fn rdata(&mut self, rtype: u16, len: usize) -> Result<Rdata, String> {
        // Bytes before the first name, then how many names follow each other.
        let (prefix_len, name_count) = match rtype {
            NS | CNAME | DNAME | 12 => return self.name().map(Rdata::Name),
            // The other types of RFC 1035 with names, then RP, AFSDB, RT, KX, SRV.
            3 | 4 | 7..=9 => (0, 1),
            SOA | 14 | 17 => (0, 2),
            15 | 18 | 21 | 36 => (2, 1),
            33 => (6, 1),
            _ => (0, 0),
        };
        let end = self.off + len;
        let mut octets = self.take(prefix_len)?.to_vec();
        for _ in 0..name_count {
            push_name(&mut octets, &self.name()?);
        }
        let rest = end.checked_sub(self.off).ok_or("RDATA is longer than RDLENGTH says")?;
        octets.extend_from_slice(self.take(rest)?);
        Ok(Rdata::Octets(octets))
    }
}
