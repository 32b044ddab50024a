//! RDATA in wire format: strict validation, canonical form, where its names are, and expansion of compressed names.
//!
//! Every function walks the fields of the table once, from the left; none of them reads past the RDATA. Compression
//! pointers are followed by `compressed` only. RFC 3597 section 4, RFC 4034 section 6.2, RFC 6840 section 5.1.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use crate::dns::compressed;
use crate::dns::name::{NameError, NameRef};
use crate::dns::rtype::Rtype;

use super::table::{self, Empty, Field, NameUse};
use super::{bitmap, svcb};

/// The longest RDATA (RFC 1035 section 3.2.1: RDLENGTH has 16 bits).
pub const RDATA_LEN_MAX: usize = 65_535;

/// Why octets are not RDATA of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RdataError {
    /// A field ends after the RDATA does.
    #[error("rdata ends early")]
    Short,
    /// Octets follow the last field.
    #[error("octets follow the last field of the rdata")]
    Trailing,
    /// More than [`RDATA_LEN_MAX`] octets.
    #[error("rdata is longer than 65535 octets")]
    Long,
    /// A name is malformed, or compressed where it may not be.
    #[error("name in rdata: {0}")]
    Name(#[from] NameError),
    /// A field has a value that its RFC excludes.
    #[error("expected {0}")]
    Field(&'static str),
}

/// Whether a name in RDATA may be compressed when it is sent (RFC 3597 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// It may: the types of RFC 1035.
    Allowed,
    /// It must not.
    Forbidden,
}

/// Where a name is inside RDATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameSpan {
    /// Offset of its first octet.
    pub off: usize,
    /// Its length, root label included.
    pub len: usize,
    /// Whether a sender may compress it.
    pub compress: Compress,
}

/// Validates RDATA with uncompressed names. O(length), no allocation.
///
/// Types without a field list are octets to us and always pass.
///
/// # Errors
/// [`RdataError`] for the first field that is not as its RFC says.
pub fn check(rtype: Rtype, rdata: &[u8]) -> Result<(), RdataError> {
    if rdata.len() > RDATA_LEN_MAX {
        return Err(RdataError::Long);
    }
    let Some(fields) = table::fields_of(rtype, rdata) else { return Ok(()) };
    let mut rest = rdata;
    for &field in fields {
        if let Field::Rule(rule) = field {
            rule(rdata).map_err(RdataError::Field)?;
            continue;
        }
        let len = field_len(field, rest)?;
        rest = rest.get(len..).ok_or(RdataError::Short)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(RdataError::Trailing) }
}

/// Appends the canonical form: names of the types that RFC 4034 section 6.2 lists in lower case, but not those of NSEC
/// (RFC 6840 section 5.1). `rdata` has passed [`check`]; what has not is copied as far as it is not understood.
pub fn canonical(rtype: Rtype, rdata: &[u8], out: &mut Vec<u8>) {
    let base = out.len();
    out.extend_from_slice(rdata);
    for (span, name_use) in spans(rtype, rdata) {
        if name_use >= NameUse::Lower {
            out[base + span.off..][..span.len].make_ascii_lowercase();
        }
    }
}

/// The canonical form as [`canonical`] has it, borrowed where that is the RDATA itself.
///
/// RDATA in this form, compared octet by octet with the shorter one first, is in the order that RFC 4034 section 6.3
/// wants; signatures and the digest of ZONEMD are made over it.
#[must_use]
pub fn canonical_rdata(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    let is_lower = |span: NameSpan| !rdata[span.off..][..span.len].iter().any(u8::is_ascii_uppercase);
    if spans(rtype, rdata).all(|(span, name_use)| name_use < NameUse::Lower || is_lower(span)) {
        return Cow::Borrowed(rdata);
    }
    let mut out = Vec::with_capacity(rdata.len());
    canonical(rtype, rdata, &mut out);
    Cow::Owned(out)
}

/// The names in RDATA, in order. `rdata` has passed [`check`]; the iterator ends where it is not understood.
pub fn names(rtype: Rtype, rdata: &[u8]) -> impl Iterator<Item = NameSpan> {
    spans(rtype, rdata).map(|(span, _)| span)
}

/// The names in RDATA and how each is treated.
fn spans(rtype: Rtype, rdata: &[u8]) -> impl Iterator<Item = (NameSpan, NameUse)> {
    let mut fields = table::fields_of(rtype, rdata).unwrap_or_default().iter();
    let mut off = 0;
    std::iter::from_fn(move || {
        loop {
            let &field = fields.next()?;
            let start = off;
            let len = field_len(field, rdata.get(start..)?).ok()?;
            off += len;
            if let Field::Name(name_use) | Field::OptionalName(name_use) = field
                && len > 0
            {
                let compress = if name_use == NameUse::Compress { Compress::Allowed } else { Compress::Forbidden };
                return Some((NameSpan { off: start, len, compress }, name_use));
            }
        }
    })
}

/// Takes RDATA out of a message: names are expanded for the types whose receivers must accept compression (RFC 3597
/// section 4), and the result has passed [`check`].
///
/// # Errors
/// [`RdataError`], also for a compressed name in any other type; [`RdataError::Short`] if `range` leaves the message.
pub fn expand(rtype: Rtype, message: &[u8], range: Range<usize>) -> Result<Vec<u8>, RdataError> {
    let mut rest = message.get(range.clone()).ok_or(RdataError::Short)?;
    let mut out = Vec::with_capacity(rest.len());
    for &field in table::fields_of(rtype, rest).unwrap_or_default() {
        let len = match field {
            Field::Name(NameUse::Compress | NameUse::Expand) => {
                let start = range.end - rest.len();
                // Cutting the message at the end of the RDATA keeps the name's own part inside it.
                compressed::push_name(&message[..range.end], start, &mut out)? - start
            }
            _ => {
                let len = field_len(field, rest)?;
                out.extend_from_slice(rest.get(..len).ok_or(RdataError::Short)?);
                len
            }
        };
        rest = rest.get(len..).ok_or(RdataError::Short)?;
    }
    out.extend_from_slice(rest);
    check(rtype, &out)?;
    Ok(out)
}

/// The length of a field at the start of `rest`, after looking at its octets. May exceed `rest` by way of a length octet;
/// callers slice with care.
pub(super) fn field_len(field: Field, rest: &[u8]) -> Result<usize, RdataError> {
    let filled = |empty: Empty| match rest {
        [] if empty == Empty::Refused => Err(RdataError::Short),
        _ => Ok(rest.len()),
    };
    match field {
        Field::OptionalName(_) | Field::OptionalCharString if rest.is_empty() => Ok(0),
        Field::Name(_) | Field::OptionalName(_) => Ok(NameRef::prefix_of(rest)?.as_wire().len()),
        Field::U8 | Field::Code8(_) => Ok(1),
        Field::U16 | Field::Code16(_) | Field::Type => Ok(2),
        Field::U32 | Field::Seconds | Field::Time | Field::Ip4 => Ok(4),
        Field::Groups64 | Field::U64 => Ok(8),
        Field::Ip6 => Ok(16),
        Field::Eui(len) => Ok(len),
        Field::CharString | Field::OptionalCharString | Field::Salt => counted(rest).map(|octets| octets.len() + 1),
        Field::CharStrings => {
            let mut left = rest;
            while !left.is_empty() {
                left = &left[counted(left)?.len() + 1..];
            }
            filled(Empty::Refused)
        }
        Field::Tag => match counted(rest)? {
            [] => Err(RdataError::Field("a tag of one letter or digit at least")),
            tag if tag.iter().all(u8::is_ascii_alphanumeric) => Ok(tag.len() + 1),
            _ => Err(RdataError::Field("a tag of letters and digits")),
        },
        Field::NextHash => match counted(rest)? {
            [] => Err(RdataError::Field("a hash of one octet at least")),
            hash => Ok(hash.len() + 1),
        },
        Field::Text(empty) | Field::Base64(empty) => filled(empty),
        Field::Hex => filled(Empty::Refused),
        Field::Bitmap => {
            bitmap::check(rest).map_err(RdataError::Field)?;
            Ok(rest.len())
        }
        Field::SvcParams => {
            svcb::check(rest)?;
            Ok(rest.len())
        }
        Field::Shape(shape) => (shape.len)(rest),
        Field::Rule(_) => Ok(0),
    }
}

/// The octets after a length octet.
pub(super) fn counted(rest: &[u8]) -> Result<&[u8], RdataError> {
    let (&len, tail) = rest.split_first().ok_or(RdataError::Short)?;
    tail.get(..usize::from(len)).ok_or(RdataError::Short)
}
