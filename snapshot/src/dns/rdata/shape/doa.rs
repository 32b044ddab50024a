//! The data of DOA (draft-durand-doa-over-dns): base64, or `-` where there are none.

use std::fmt;

use data_encoding::BASE64;

use super::super::parse::Args;
use super::super::{ParseError, RdataError};
use super::Shape;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// Reads it.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let is_dash = args.tokens.at(args.idx).is_some_and(|token| token.is_bare() && token.text == b"-");
    if is_dash {
        args.idx += 1;
        return Ok(());
    }
    args.decode(&BASE64, "octets in base64, or -", out)
}

/// All octets to the end.
fn len(rest: &[u8]) -> Result<usize, RdataError> {
    Ok(rest.len())
}

/// Writes it.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    if octets.is_empty() { out.write_char('-') } else { write!(out, "{}", BASE64.encode_display(octets)) }
}
