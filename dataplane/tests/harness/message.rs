//! Writes query messages and takes replies apart (RFC 1035 section 4.1, RFC 6891 section 6.1.2).
//!
//! It shares no code with the packet path and is strict where a client may be lenient: pointers go backwards only,
//! every byte belongs to something, and RDATA is compressed only in the types of RFC 1035 (RFC 3597 section 4).

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;

use crate::common::Failure;

/// The type code of OPT.
const OPT: u16 = 41;
/// The flags in the order in which they are shown, with their bits in the second header word.
pub(crate) const FLAGS: [(&str, u16); 7] =
    [("qr", 0x8000), ("aa", 0x0400), ("tc", 0x0200), ("rd", 0x0100), ("ra", 0x0080), ("ad", 0x0020), ("cd", 0x0010)];

/// An OPT record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The sender's UDP payload size.
    pub(crate) size: u16,
    /// The version.
    pub(crate) version: u8,
    /// The lower 16 bits of what the TTL field holds: DO and the reserved bits.
    pub(crate) flags: u16,
    /// Options as code and content.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

/// A query to be written.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The question.
    pub(crate) question: Question,
    /// The second header word: flags and opcode.
    pub(crate) bits: u16,
    /// The OPT record, if any.
    pub(crate) edns: Option<Edns>,
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The qname, case kept.
    pub(crate) qname: Name,
    /// The qtype.
    pub(crate) qtype: Rtype,
    /// The qclass.
    pub(crate) qclass: u16,
}

/// One record of a reply.
#[derive(Debug, Clone)]
pub(crate) struct Rr {
    /// The owner, case as it came.
    pub(crate) owner: Name,
    /// The type.
    pub(crate) rtype: Rtype,
    /// The class.
    pub(crate) class: u16,
    /// The TTL in seconds.
    pub(crate) ttl_secs: u32,
    /// RDATA, names uncompressed and in lower case.
    pub(crate) rdata: Vec<u8>,
}

/// A reply, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The second header word.
    pub(crate) bits: u16,
    /// The whole RCODE, extended bits included.
    pub(crate) rcode: u16,
    /// The questions.
    pub(crate) questions: Vec<Question>,
    /// Answer, authority and additional section, without OPT.
    pub(crate) sections: [Vec<Rr>; 3],
    /// The OPT record.
    pub(crate) edns: Option<Edns>,
}

impl Query {
    /// The message with this id.
    pub(crate) fn encode(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for word in [id, self.bits, 1, 0, 0, u16::from(self.edns.is_some())] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(self.question.qname.as_wire());
        out.extend_from_slice(&self.question.qtype.0.to_be_bytes());
        out.extend_from_slice(&self.question.qclass.to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.encode(&mut out);
        }
        out
    }
}

impl Edns {
    /// Appends the OPT record.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut rdata = Vec::new();
        for (code, content) in &self.options {
            rdata.extend_from_slice(&code.to_be_bytes());
            rdata.extend_from_slice(&u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes());
            rdata.extend_from_slice(content);
        }
        out.push(0);
        out.extend_from_slice(&OPT.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&[0, self.version]);
        out.extend_from_slice(&self.flags.to_be_bytes());
        out.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(&rdata);
    }

    /// Reads an OPT record's CLASS, TTL and RDATA.
    fn decode(class: u16, ttl: u32, mut rdata: &[u8]) -> Result<Edns, Failure> {
        let mut options = Vec::new();
        while !rdata.is_empty() {
            let (head, rest) = rdata.split_at_checked(4).ok_or("an EDNS option ends early")?;
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (content, rest) = rest.split_at_checked(len).ok_or("an EDNS option ends early")?;
            options.push((u16::from_be_bytes([head[0], head[1]]), content.to_vec()));
            rdata = rest;
        }
        let [_, version, high, low] = ttl.to_be_bytes();
        Ok(Edns { size: class, version, flags: u16::from_be_bytes([high, low]), options })
    }
}

impl Reply {
    /// Takes `bytes` apart.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the message.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Reply, Failure> {
        let mut cursor = Cursor { bytes, off: 0 };
        let (_id, bits) = (cursor.u16()?, cursor.u16()?);
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let mut reply = Reply {
            bits,
            rcode: bits & 0xf,
            questions: Vec::new(),
            sections: [Vec::new(), Vec::new(), Vec::new()],
            edns: None,
        };
        for _ in 0..counts[0] {
            let qname = cursor.name(Compression::Refused)?;
            let (qtype, qclass) = (Rtype(cursor.u16()?), cursor.u16()?);
            reply.questions.push(Question { qname, qtype, qclass });
        }
        for (section, &count) in counts[1..].iter().enumerate() {
            for _ in 0..count {
                cursor.record(section, &mut reply)?;
            }
        }
        if cursor.off != bytes.len() {
            return Err(format!("{} bytes follow the last record", bytes.len() - cursor.off).into());
        }
        Ok(reply)
    }
}

/// Whether a name may be compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    /// Pointers backwards are followed.
    Allowed,
    /// A pointer is an error.
    Refused,
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
    fn take(&mut self, len: usize) -> Result<&'m [u8], Failure> {
        let taken = self.bytes.get(self.off..self.off + len).ok_or("the message ends early")?;
        self.off += len;
        Ok(taken)
    }

    /// The next two bytes.
    fn u16(&mut self) -> Result<u16, Failure> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// The next name, uncompressed. Each pointer must lead before the place where the last one led, so this ends.
    fn name(&mut self, compression: Compression) -> Result<Name, Failure> {
        let mut wire = Vec::new();
        let (mut at, mut limit, mut end) = (self.off, self.off, None);
        loop {
            let len = *self.bytes.get(at).ok_or("a name ends early")?;
            if len & 0xc0 == 0xc0 {
                let low = *self.bytes.get(at + 1).ok_or("a pointer ends early")?;
                let target = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                if compression == Compression::Refused {
                    return Err("a name is compressed where it must not be".into());
                }
                if target >= limit {
                    return Err(format!("the pointer at {at} leads forward to {target}").into());
                }
                end.get_or_insert(at + 2);
                (at, limit) = (target, target);
                continue;
            }
            let label = self.bytes.get(at..at + 1 + usize::from(len)).ok_or("a label ends early")?;
            wire.extend_from_slice(label);
            at += label.len();
            if len == 0 {
                break;
            }
        }
        self.off = end.unwrap_or(at);
        Ok(NameRef::prefix_of(&wire)?.to_name())
    }

    /// The next record, put where it belongs.
    fn record(&mut self, section: usize, reply: &mut Reply) -> Result<(), Failure> {
        let owner = self.name(Compression::Allowed)?;
        let (rtype, class) = (self.u16()?, self.u16()?);
        let ttl = (u32::from(self.u16()?) << 16) | u32::from(self.u16()?);
        let rdata_len = usize::from(self.u16()?);
        if rtype == OPT {
            if section != 2 || !owner.as_ref().is_root() || reply.edns.is_some() {
                return Err("an OPT record that is not the only one, at the root, in the additional section".into());
            }
            reply.edns = Some(Edns::decode(class, ttl, self.take(rdata_len)?)?);
            reply.rcode |= u16::from(ttl.to_be_bytes()[0]) << 4;
            return Ok(());
        }
        let rdata = self.rdata(rtype, rdata_len)?;
        reply.sections[section].push(Rr { owner, rtype: Rtype(rtype), class, ttl_secs: ttl, rdata });
        Ok(())
    }

    /// The next `len` bytes as RDATA of `rtype`, its names uncompressed and in lower case.
    fn rdata(&mut self, rtype: u16, len: usize) -> Result<Vec<u8>, Failure> {
        let end = self.off + len;
        let mut out = Vec::new();
        let shape = shape(rtype);
        out.extend_from_slice(self.take(shape.prefix_len.min(len))?);
        for _ in 0..shape.name_count {
            out.extend_from_slice(self.name(shape.compression)?.to_canonical().as_wire());
        }
        let rest = end.checked_sub(self.off).ok_or("RDATA is longer than RDLENGTH says")?;
        out.extend_from_slice(self.take(rest)?);
        Ok(out)
    }
}

/// Where the names in the RDATA of a type are: after some fixed bytes, then anything.
struct Shape {
    /// Bytes before the first name.
    prefix_len: usize,
    /// How many names follow each other.
    name_count: usize,
    /// Whether they may be compressed.
    compression: Compression,
}

/// The shape of a type's RDATA; types that are not listed hold no names that we compare without case.
fn shape(rtype: u16) -> Shape {
    let (prefix_len, name_count, compression) = match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR; SOA and MINFO hold two; MX has a preference in front.
        2..=5 | 7..=9 | 12 => (0, 1, Compression::Allowed),
        6 | 14 => (0, 2, Compression::Allowed),
        15 => (2, 1, Compression::Allowed),
        // RP, AFSDB, RT, SRV, KX, DNAME: after RFC 1035, so never compressed.
        17 => (0, 2, Compression::Refused),
        18 | 21 | 36 => (2, 1, Compression::Refused),
        33 => (6, 1, Compression::Refused),
        39 => (0, 1, Compression::Refused),
        _ => (0, 0, Compression::Refused),
    };
    Shape { prefix_len, name_count, compression }
}

/// Puts uncompressed RDATA into the form in which [`Reply::decode`] returns it.
///
/// # Errors
/// RDATA that is no valid wire format of its type.
pub(crate) fn fold_rdata(rtype: Rtype, rdata: &[u8]) -> Result<Vec<u8>, Failure> {
    Cursor { bytes: rdata, off: 0 }.rdata(rtype.0, rdata.len())
}
