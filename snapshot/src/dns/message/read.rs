//! Messages from wire format.
//!
//! Strict: what does not parse is an error for the whole message, never a part of it. Work is bounded by the length of the
//! message and not by what its counts claim: every question and record takes octets of it.

use thiserror::Error;

use crate::dns::class::Class;
use crate::dns::compressed;
use crate::dns::name::{Name, NameError};
use crate::dns::rdata::{self, RdataError};
use crate::dns::rtype::Rtype;

use super::{Edns, EdnsOption, Flags, HEADER_LEN, Header, Message, Question, Resource};

/// Why octets are not a DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The message ends inside the header, a question or a record.
    #[error("message ends early")]
    Short,
    /// Octets follow the last record.
    #[error("octets follow the last record of the message")]
    Trailing,
    /// A name is malformed.
    #[error("name at offset {off}: {error}")]
    Name {
        /// Its offset.
        off: usize,
        /// What is wrong.
        error: NameError,
    },
    /// RDATA is malformed.
    #[error("rdata of {rtype} at offset {off}: {error}")]
    Rdata {
        /// Its offset.
        off: usize,
        /// The type.
        rtype: Rtype,
        /// What is wrong.
        error: RdataError,
    },
    /// A second OPT record, one outside the additional section, or one whose owner is not the root (RFC 6891 section
    /// 6.1.1).
    #[error("misplaced OPT record")]
    Opt,
}

impl Message {
    /// Reads a whole message of at most 65,535 octets.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn from_wire(octets: &[u8]) -> Result<Message, MessageError> {
        let mut cursor = Cursor { octets, off: 0 };
        let header = Header { id: cursor.u16()?, flags: Flags(cursor.u16()?) };
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        debug_assert_eq!(cursor.off, HEADER_LEN);
        let questions = (0..counts[0]).map(|_| cursor.question()).collect::<Result<_, _>>()?;
        let answers = cursor.section(counts[1])?;
        let authorities = cursor.section(counts[2])?;
        let mut additionals = Vec::new();
        let mut edns = None;
        for _ in 0..counts[3] {
            let resource = cursor.resource()?;
            if resource.rtype != Rtype::OPT {
                additionals.push(resource);
            } else if edns.is_some() || !resource.owner.as_ref().is_root() {
                return Err(MessageError::Opt);
            } else {
                edns = Some(Edns::from_opt(&resource, cursor.off)?);
            }
        }
        if cursor.off < octets.len() {
            return Err(MessageError::Trailing);
        }
        Ok(Message { header, questions, answers, authorities, additionals, edns })
    }
}

impl Edns {
    /// Reads the fields that OPT keeps in class, TTL and RDATA; `end` is the offset after its RDATA.
    fn from_opt(opt: &Resource, end: usize) -> Result<Edns, MessageError> {
        let [rcode_high, version, flags @ ..] = opt.ttl_secs.to_be_bytes();
        let off = end - opt.rdata.len();
        let short = MessageError::Rdata { off, rtype: Rtype::OPT, error: RdataError::Short };
        let mut options = Vec::new();
        let mut cursor = Cursor { octets: &opt.rdata, off: 0 };
        while cursor.off < opt.rdata.len() {
            let code = cursor.u16().map_err(|_| short)?;
            let len = cursor.u16().map_err(|_| short)?;
            let value = cursor.take(usize::from(len)).map_err(|_| short)?.to_vec();
            options.push(EdnsOption { code, value });
        }
        Ok(Edns { payload_len: opt.class.0, rcode_high, version, flags: u16::from_be_bytes(flags), options })
    }
}

/// Reads on from an offset.
struct Cursor<'m> {
    /// The whole message.
    octets: &'m [u8],
    /// The next octet; at most the length.
    off: usize,
}

impl<'m> Cursor<'m> {
    /// Takes `len` octets.
    fn take(&mut self, len: usize) -> Result<&'m [u8], MessageError> {
        let taken = self.octets.get(self.off..).and_then(|rest| rest.get(..len)).ok_or(MessageError::Short)?;
        self.off += len;
        Ok(taken)
    }

    /// Takes 16 bits.
    fn u16(&mut self) -> Result<u16, MessageError> {
        Ok(self.take(2)?.iter().fold(0, |value, &octet| value << 8 | u16::from(octet)))
    }

    /// Takes 32 bits.
    fn u32(&mut self) -> Result<u32, MessageError> {
        Ok(self.take(4)?.iter().fold(0, |value, &octet| value << 8 | u32::from(octet)))
    }

    /// Takes a name, expanded.
    fn name(&mut self) -> Result<Name, MessageError> {
        let off = self.off;
        let fail = |error| MessageError::Name { off, error };
        let mut wire = Vec::with_capacity(32);
        self.off = compressed::push_name(self.octets, off, &mut wire).map_err(fail)?;
        Name::from_wire(&wire).map_err(fail)
    }

    /// Takes a question.
    fn question(&mut self) -> Result<Question, MessageError> {
        Ok(Question { qname: self.name()?, qtype: Rtype(self.u16()?), qclass: Class(self.u16()?) })
    }

    /// Takes a record.
    fn resource(&mut self) -> Result<Resource, MessageError> {
        let owner = self.name()?;
        let (rtype, class, ttl_secs) = (Rtype(self.u16()?), Class(self.u16()?), self.u32()?);
        let len = usize::from(self.u16()?);
        let off = self.off;
        self.take(len)?;
        // An update names RRsets without RDATA in these classes (RFC 2136 sections 2.4 and 2.5).
        if len == 0 && matches!(class, Class::ANY | Class::NONE) {
            return Ok(Resource { owner, rtype, class, ttl_secs, rdata: Vec::new() });
        }
        let rdata = rdata::expand(rtype, self.octets, off..off + len).map_err(|error| MessageError::Rdata {
            off,
            rtype,
            error,
        })?;
        Ok(Resource { owner, rtype, class, ttl_secs, rdata })
    }

    /// Takes a section that cannot hold OPT.
    fn section(&mut self, count: u16) -> Result<Vec<Resource>, MessageError> {
        // No room is set aside for what a count merely claims.
        let mut section = Vec::new();
        for _ in 0..count {
            let resource = self.resource()?;
            if resource.rtype == Rtype::OPT {
                return Err(MessageError::Opt);
            }
            section.push(resource);
        }
        Ok(section)
    }
}
