//! RR type codes: mnemonics and the `TYPEnnn` form (RFC 3597 section 5).
//!
//! The constants (`Rtype::A` and all others) come from the one table of types, `rdata::table`; this file knows no format
//! of RDATA. Invariant: what [`Rtype`] prints, it reads.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::number;
use super::rdata::table;

/// An RR type code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

/// The text is neither a mnemonic we know nor `TYPEnnn` up to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an RR type mnemonic and not TYPE0 to TYPE65535")]
pub struct UnknownRtype;

impl Rtype {
    /// Reads a mnemonic or `TYPEnnn`, ASCII case ignored; `None` if it is neither.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Rtype> {
        table::by_mnemonic(text).or_else(|| number::suffixed(text, b"TYPE").map(Rtype))
    }

    /// Whether records of this type can be in a zone: not 0, not OPT, not a QTYPE or meta-type (RFC 6895 section 3.1).
    #[must_use]
    pub fn is_data(self) -> bool {
        !matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl FromStr for Rtype {
    type Err = UnknownRtype;

    fn from_str(text: &str) -> Result<Rtype, UnknownRtype> {
        Rtype::parse(text.as_bytes()).ok_or(UnknownRtype)
    }
}

/// Writes the mnemonic, or `TYPEnnn` for a type without one.
impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match table::row(*self) {
            Some(row) => f.pad(row.mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_prints_what_it_reads() {
        for code in 0..=u16::MAX {
            let rtype = Rtype(code);
            assert_eq!(rtype.to_string().parse(), Ok(rtype));
            assert_eq!(rtype.to_string().to_lowercase().parse(), Ok(rtype));
            assert_eq!(format!("type{code}").parse(), Ok(rtype));
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in
            ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE+1", "TYPE1x", "IN", "AA", "\u{e9}", "NSEC3PARAMNSEC3PARAM"]
        {
            assert_eq!(text.parse::<Rtype>(), Err(UnknownRtype), "{text:?}");
        }
    }

    #[test]
    fn meta_types_are_no_data() {
        for rtype in [Rtype(0), Rtype::OPT, Rtype::TSIG, Rtype::TKEY, Rtype::IXFR, Rtype::AXFR, Rtype::ANY] {
            assert!(!rtype.is_data(), "{rtype}");
        }
        for rtype in [Rtype::A, Rtype::URI, Rtype::CAA, Rtype(127), Rtype(65535)] {
            assert!(rtype.is_data(), "{rtype}");
        }
    }
}
