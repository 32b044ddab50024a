//! One record from presentation format as people write it to its canonical text and wire format.
//!
//! The way is text, wire format, text: `loosen` accepts what the zone-file reader is too strict for, the codec of `snapshot` reads,
//! [`admit`] adds the rules of the API, and `style` prints. Names must be absolute, there is no origin here. Invariants: the text of a
//! [`Content`] gives the same [`Content`] again, and the zone-file reader takes it to the same octets.

use snapshot::dns::name::{Name, NameError, NameRef};
use snapshot::dns::rdata::{self, Expected, ParseError};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::token::{Entry, TokenError, TokenProblem};
use thiserror::Error;

use super::{Content, loosen, style};

/// The longest RDATA of the API in octets; the rest of a message of 65,535 is for owner, signature and the like.
pub const RDATA_LEN_MAX: usize = 64_000;

/// Why a text is no record of its type. Messages are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// A name does not end in a dot.
    #[error("Hostname must be fully qualified (i.e., end in a dot: \"example.com.\")")]
    Relative,
    /// A name is too long.
    #[error("Hostname must be no longer than 255 characters")]
    NameLong,
    /// A string is not in quotes where it has to be, or its quotes do not match.
    #[error("Data for {0} records must be given using quotation marks.")]
    Unquoted(Rtype),
    /// The text does not have the form of its type.
    #[error("Record content for type {rtype} malformed: {detail}")]
    Malformed {
        /// The type.
        rtype: Rtype,
        /// What is wrong.
        detail: String,
    },
    /// The text has the form of its type and a value that is not allowed.
    #[error("Cannot parse record contents: {0}")]
    Value(String),
    /// The RDATA is longer than [`RDATA_LEN_MAX`].
    #[error("Ensure this value has no more than {RDATA_LEN_MAX} byte in wire format (it has {0}).")]
    Long(usize),
}

impl RecordError {
    /// The error for a text without the form of its type.
    pub(super) fn malformed(rtype: Rtype, detail: impl Into<String>) -> RecordError {
        RecordError::Malformed { rtype, detail: detail.into() }
    }
}

/// Reads one record of an accepted type.
///
/// # Errors
/// [`RecordError`] for the first thing that is wrong.
pub fn canonical(rtype: Rtype, text: &str) -> Result<Content, RecordError> {
    let entry = Entry::parse(text.as_bytes()).map_err(|error| split_error(rtype, text, error))?;
    let line = loosen::prepare(rtype, entry.tokens())?;
    let rdata = rdata::parse_text(rtype, &line, None).map_err(|error| parse_error(rtype, &line, &error))?;
    if rdata.len() > RDATA_LEN_MAX {
        return Err(RecordError::Long(rdata.len()));
    }
    admit(rtype, &rdata)?;
    let text = style::text(rtype, &rdata);
    // Versions and address families that nobody can read have no text but the generic one, which is not canonical.
    if text.starts_with("\\#") {
        return Err(RecordError::malformed(rtype, "no presentation format for these octets"));
    }
    Ok(Content { text, rdata })
}

/// The error for text that cannot be split into tokens.
fn split_error(rtype: Rtype, text: &str, error: TokenError) -> RecordError {
    // A line break in a string looks like a quote that was forgotten.
    if error.problem == TokenProblem::OpenQuote && text.contains('\n') {
        return RecordError::Unquoted(rtype);
    }
    RecordError::malformed(rtype, error.to_string())
}

/// The error for tokens that are not those of the type.
fn parse_error(rtype: Rtype, line: &[u8], error: &ParseError) -> RecordError {
    match error.expected {
        // A final dot helps only if nothing else is wrong.
        Expected::Name(NameError::NoOrigin) => match rdata::parse_text(rtype, line, Some(Name::root().as_ref())) {
            Ok(_) => RecordError::Relative,
            Err(error) => parse_error(rtype, line, &error),
        },
        Expected::Name(NameError::NameLong) => RecordError::NameLong,
        _ => RecordError::malformed(rtype, error.to_string()),
    }
}

/// Applies the rules of the API to well-formed RDATA.
fn admit(rtype: Rtype, rdata: &[u8]) -> Result<(), RecordError> {
    let refuse = |detail: &str| Err(RecordError::malformed(rtype, detail));
    match rtype {
        Rtype::NS => name_at(rdata, 0, Names { field: "target", root: Root::Refused, is_label: is_host_label }),
        Rtype::MX => name_at(rdata, 2, Names { field: "exchange", root: Root::Allowed, is_label: is_host_label }),
        Rtype::SRV => name_at(rdata, 6, Names { field: "target", root: Root::Allowed, is_label: is_host_label }),
        Rtype::CNAME => name_at(rdata, 0, Names { field: "target", root: Root::Allowed, is_label: is_alias_label }),
        Rtype::APL if !apl_prefixes_end_in_zeros(rdata) => refuse("address has bits set to the right of its prefix"),
        Rtype::DS | Rtype::DLV if matches!(rdata, [_, _, _, 0, ..]) => refuse("digest type 0 is reserved"),
        Rtype::CDS if matches!(rdata, [_, _, _, 0, digest @ ..] if digest.len() != 1) => {
            refuse("digest length inconsistent with digest type")
        }
        Rtype::SVCB | Rtype::HTTPS if alias_has_params(rdata) => refuse("parameters in AliasMode"),
        _ => Ok(()),
    }
}

/// Whether the root is allowed as a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// It stands for "no such service".
    Allowed,
    /// It would be no host.
    Refused,
}

/// Which names a field takes.
#[derive(Clone, Copy)]
struct Names {
    /// What an error message calls the field.
    field: &'static str,
    /// Whether it may be the root.
    root: Root,
    /// Whether a label fits.
    is_label: fn(&[u8]) -> bool,
}

/// Checks the name at `off`.
fn name_at(rdata: &[u8], off: usize, names: Names) -> Result<(), RecordError> {
    let Some(Ok(name)) = rdata.get(off..).map(NameRef::prefix_of) else {
        return Err(RecordError::Value(format!("no {}", names.field)));
    };
    let is_fine = if name.is_root() { names.root == Root::Allowed } else { name.labels().all(names.is_label) };
    if is_fine { Ok(()) } else { Err(RecordError::Value(format!("invalid {}: {name}", names.field))) }
}

/// Whether a label is one of a host name: letters, digits and hyphens inside (RFC 1123 section 2.1).
fn is_host_label(label: &[u8]) -> bool {
    label.iter().all(|&octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

/// Whether a label may be in the target of an alias, which need not be a host.
fn is_alias_label(label: &[u8]) -> bool {
    label.iter().all(|&octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*'))
}

/// Whether every prefix of an APL is a network, without host bits (RFC 3123 section 4 lets them be cut off).
fn apl_prefixes_end_in_zeros(rdata: &[u8]) -> bool {
    let mut rest = rdata;
    while let [_, _, prefix_len, len, tail @ ..] = rest {
        let Some((address, after)) = tail.split_at_checked(usize::from(len & 0x7f)) else { return false };
        let prefix_len = usize::from(*prefix_len);
        let is_zero_after_prefix = (0..).zip(address).all(|(idx, &octet): (usize, &u8)| {
            let network_bits = prefix_len.saturating_sub(idx * 8).min(8);
            u32::from(octet) << network_bits & 0xff == 0
        });
        if !is_zero_after_prefix {
            return false;
        }
        rest = after;
    }
    true
}

/// Whether a service binding in AliasMode has parameters, which everyone would ignore (RFC 9460 section 2.4.2).
fn alias_has_params(rdata: &[u8]) -> bool {
    let [0, 0, rest @ ..] = rdata else { return false };
    NameRef::prefix_of(rest).is_ok_and(|target| target.as_wire().len() < rest.len())
}

#[cfg(test)]
mod tests;
