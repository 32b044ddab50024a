//! RDATA to presentation format, one arm per kind of field.
//!
//! The text reads back to the same octets and holds no line break. Names are absolute, strings quoted, codes numbers,
//! addresses as RFC 5952 has them; types without a field list get the form of RFC 3597 section 5.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use crate::dns::name::NameRef;
use crate::dns::rtype::Rtype;

use super::table::{self, Field};
use super::wire::{counted, field_len};
use super::{bitmap, check, codec, svcb, time};

/// Prints RDATA with [`write_text`].
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The type.
    pub rtype: Rtype,
    /// The RDATA.
    pub rdata: &'a [u8],
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(self.rtype, self.rdata, f)
    }
}

/// Writes the presentation format of RDATA. What does not pass [`check`] is written as `\# length hex` too, so that
/// nothing is hidden; such text is refused when it is read.
///
/// # Errors
/// Those of `out`.
pub fn write_text(rtype: Rtype, rdata: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    match table::fields_of(rtype, rdata) {
        Some(fields) if check(rtype, rdata).is_ok() => write_fields(fields, rdata, out),
        _ => write_generic(rdata, out),
    }
}

/// Writes `\# length hex`.
fn write_generic(rdata: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    write!(out, "\\# {}", rdata.len())?;
    if rdata.is_empty() { Ok(()) } else { write!(out, " {}", HEXUPPER.encode_display(rdata)) }
}

/// Writes the fields with a space between.
fn write_fields(fields: &[Field], rdata: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut rest = rdata;
    for (idx, &field) in fields.iter().enumerate() {
        let len = field_len(field, rest).map_err(|_| fmt::Error)?;
        let (octets, after) = rest.split_at_checked(len).ok_or(fmt::Error)?;
        rest = after;
        // Lists bring their own spaces, because they may be empty; of what is optional nothing is left to see.
        let is_silent = match field {
            Field::Bitmap | Field::SvcParams | Field::Rule(_) => true,
            Field::OptionalName(_) | Field::OptionalCharString | Field::Base64(_) => octets.is_empty(),
            _ => false,
        };
        if idx > 0 && !is_silent {
            out.write_char(' ')?;
        }
        write_field(field, octets, out)?;
    }
    Ok(())
}

/// Writes one field from exactly its octets.
fn write_field(field: Field, octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    match field {
        Field::OptionalName(_) | Field::OptionalCharString if octets.is_empty() => Ok(()),
        Field::Name(_) | Field::OptionalName(_) => {
            write!(out, "{}", NameRef::prefix_of(octets).map_err(|_| fmt::Error)?)
        }
        Field::U8 | Field::Code8(_) => write!(out, "{}", integer(octets)),
        Field::U16 | Field::Code16(_) | Field::U32 | Field::Seconds => write!(out, "{}", integer(octets)),
        Field::U64 => {
            let octets: [u8; 8] = octets.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", u64::from_be_bytes(octets))
        }
        Field::Type => write!(out, "{}", Rtype(u16::try_from(integer(octets)).map_err(|_| fmt::Error)?)),
        Field::Time => time::write(integer(octets), out),
        Field::Ip4 => {
            let octets: [u8; 4] = octets.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", Ipv4Addr::from(octets))
        }
        Field::Ip6 => {
            let octets: [u8; 16] = octets.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", Ipv6Addr::from(octets))
        }
        Field::CharString | Field::OptionalCharString => codec::write_quoted(&octets[1..], out),
        Field::CharStrings => {
            let mut rest = octets;
            while let Ok(string) = counted(rest) {
                if rest.len() < octets.len() {
                    out.write_char(' ')?;
                }
                codec::write_quoted(string, out)?;
                rest = &rest[string.len() + 1..];
            }
            Ok(())
        }
        Field::Text(_) => codec::write_quoted(octets, out),
        Field::Tag => octets[1..].iter().try_for_each(|&octet| out.write_char(char::from(octet))),
        Field::Hex => write!(out, "{}", HEXUPPER.encode_display(octets)),
        Field::Base64(_) => write!(out, "{}", BASE64.encode_display(octets)),
        Field::Salt if octets.len() == 1 => out.write_char('-'),
        Field::Salt => write!(out, "{}", HEXUPPER.encode_display(&octets[1..])),
        Field::NextHash => write!(out, "{}", BASE32HEX_NOPAD.encode_display(&octets[1..])),
        Field::Bitmap => bitmap::write(octets, out),
        Field::SvcParams => svcb::write(octets, out),
        Field::Eui(_) => write_groups(octets.chunks(1), '-', out),
        Field::Groups64 => write_groups(octets.chunks(2), ':', out),
        Field::Shape(shape) => (shape.write)(octets, out),
        Field::Rule(_) => Ok(()),
    }
}

/// Writes groups of octets as hex digits in lower case.
fn write_groups<'a>(groups: impl Iterator<Item = &'a [u8]>, separator: char, out: &mut dyn fmt::Write) -> fmt::Result {
    for (idx, group) in groups.enumerate() {
        if idx > 0 {
            out.write_char(separator)?;
        }
        group.iter().try_for_each(|octet| write!(out, "{octet:02x}"))?;
    }
    Ok(())
}

/// Reads up to 32 bits.
fn integer(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, &octet| value << 8 | u32::from(octet))
}
