//! Queries to wire format.
//!
//! One question, no records but OPT. It chooses nothing: identifier, flags and EDNS come from the caller.

use crate::dns::class::Class;
use crate::dns::name::NameRef;
use crate::dns::rtype::Rtype;

use super::{Edns, Flags};

/// A query with one question.
#[derive(Debug, Clone)]
pub struct Query<'n> {
    /// The identifier.
    pub id: u16,
    /// The flags, opcode included; [`Flags::RD`] and [`Flags::CD`] are the usual ones.
    pub flags: Flags,
    /// The qname; its case is kept.
    pub qname: NameRef<'n>,
    /// The qtype.
    pub qtype: Rtype,
    /// The qclass.
    pub qclass: Class,
    /// What the OPT record says; without one if `None`.
    pub edns: Option<Edns>,
}

/// The EDNS options do not fit the 16 bits of an RDLENGTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("EDNS options are longer than 65535 octets")]
pub struct OptionsTooLong;

impl Query<'_> {
    /// The wire format.
    ///
    /// # Errors
    /// [`OptionsTooLong`].
    pub fn to_wire(&self) -> Result<Vec<u8>, OptionsTooLong> {
        let mut out = Vec::with_capacity(512);
        let opt_count = u16::from(self.edns.is_some());
        for word in [self.id, self.flags.0, 1, 0, 0, opt_count] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(self.qname.as_wire());
        out.extend_from_slice(&self.qtype.0.to_be_bytes());
        out.extend_from_slice(&self.qclass.0.to_be_bytes());
        if let Some(edns) = &self.edns {
            push_opt(edns, &mut out)?;
        }
        Ok(out)
    }
}

/// Appends an OPT record (RFC 6891 section 6.1.2).
fn push_opt(edns: &Edns, out: &mut Vec<u8>) -> Result<(), OptionsTooLong> {
    out.push(0);
    out.extend_from_slice(&Rtype::OPT.0.to_be_bytes());
    out.extend_from_slice(&edns.payload_len.to_be_bytes());
    out.extend_from_slice(&[edns.rcode_high, edns.version]);
    out.extend_from_slice(&edns.flags.to_be_bytes());
    let len_off = out.len();
    out.extend_from_slice(&[0, 0]);
    for option in &edns.options {
        let len = u16::try_from(option.value.len()).map_err(|_| OptionsTooLong)?;
        out.extend_from_slice(&option.code.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&option.value);
    }
    let len = u16::try_from(out.len() - len_off - 2).map_err(|_| OptionsTooLong)?;
    out[len_off..len_off + 2].copy_from_slice(&len.to_be_bytes());
    Ok(())
}
