//! Small encodings that fields share: escaped strings, hex, base64, base32hex and groups of hex digits.
//!
//! Each works on the text of one value; where tokens begin and end is `parse`'s business. Decoding is strict: no white
//! space, no missing or needless padding, no stray bits (RFC 4648 section 3).

use std::fmt;

use data_encoding::Encoding;

use crate::dns::name::{self, NameError};
use crate::dns::number;

use super::parse::Groups;

/// Appends `text` with `\X` and `\DDD` resolved (RFC 1035 section 5.1).
pub(super) fn push_unescaped(text: &[u8], out: &mut Vec<u8>) -> Result<(), NameError> {
    let mut rest = text;
    while let Some(len) = rest.iter().position(|&octet| octet == b'\\') {
        out.extend_from_slice(&rest[..len]);
        rest = &rest[len + 1..];
        out.push(name::unescape(&mut rest)?);
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Writes the length octet at `base` for what was appended after it; `None` above 255 octets.
pub(super) fn close_counted(base: usize, out: &mut [u8]) -> Option<()> {
    let len = u8::try_from(out.len() - base - 1).ok()?;
    *out.get_mut(base)? = len;
    Some(())
}

/// Appends the octets that `text` encodes; the error is the offset of the first octet that does not fit.
pub(super) fn push_decoded(encoding: &Encoding, text: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    let base = out.len();
    let len = encoding.decode_len(text.len()).map_err(|error| error.position)?;
    out.resize(base + len, 0);
    let written = encoding.decode_mut(text, &mut out[base..]).map_err(|partial| partial.error.position)?;
    out.truncate(base + written);
    Ok(())
}

/// Appends groups of hex digits: exactly `count`, each of 1 to `2 * octets_each` digits, or of exactly two for one octet.
pub(super) fn push_groups(text: &[u8], separator: u8, groups: Groups, out: &mut Vec<u8>) -> Option<()> {
    let Groups { count, octets_each } = groups;
    let mut seen = 0;
    for group in text.split(|&octet| octet == separator) {
        let len_min = if octets_each == 1 { 2 } else { 1 };
        if seen == count || !(len_min..=2 * octets_each).contains(&group.len()) {
            return None;
        }
        let value = group.iter().try_fold(0u32, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))?;
        out.extend_from_slice(&value.to_be_bytes()[4 - octets_each..]);
        seen += 1;
    }
    (seen == count).then_some(())
}

/// Writes octets in quotes; what is not printable ASCII becomes `\DDD`.
pub(super) fn write_quoted(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.write_char('\\')?;
                out.write_char(char::from(octet))?;
            }
            0x20..=0x7e => out.write_char(char::from(octet))?,
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    out.write_char('"')
}

/// Reads a 16-bit decimal number.
pub(super) fn number_16(text: &[u8]) -> Option<u16> {
    u16::try_from(number::decimal(text)?).ok()
}
