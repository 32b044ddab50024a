//! Classes: mnemonics and the `CLASSnnn` form (RFC 3597 section 5).
//!
//! Not a policy: which classes a reader takes is its own business. Invariant: what [`Class`] prints, it reads.

use std::fmt;

use super::number;

/// A class code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub u16);

/// The classes with a mnemonic.
const MNEMONICS: [(&str, Class); 5] =
    [("IN", Class::IN), ("CH", Class::CH), ("HS", Class::HS), ("NONE", Class::NONE), ("ANY", Class::ANY)];

impl Class {
    /// The Internet (RFC 1035 section 3.2.4).
    pub const IN: Class = Class(1);
    /// Chaos (RFC 1035 section 3.2.4).
    pub const CH: Class = Class(3);
    /// Hesiod (RFC 1035 section 3.2.4).
    pub const HS: Class = Class(4);
    /// No class, in updates (RFC 2136 section 2.4).
    pub const NONE: Class = Class(254);
    /// Any class (RFC 1035 section 3.2.5, there `*`).
    pub const ANY: Class = Class(255);

    /// Reads a mnemonic or `CLASSnnn`, ASCII case ignored; `None` if it is neither.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Class> {
        let known = MNEMONICS.iter().find(|(mnemonic, _)| text.eq_ignore_ascii_case(mnemonic.as_bytes()));
        known.map(|&(_, class)| class).or_else(|| number::suffixed(text, b"CLASS").map(Class))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MNEMONICS.iter().find(|(_, class)| class == self) {
            Some((mnemonic, _)) => f.pad(mnemonic),
            None => write!(f, "CLASS{}", self.0),
        }
    }
}

impl fmt::Debug for Class {
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
            let class = Class(code);
            assert_eq!(Class::parse(class.to_string().as_bytes()), Some(class));
        }
        assert_eq!(Class::parse(b"class1"), Some(Class::IN));
        assert_eq!(Class::parse(b"CLASS65536"), None);
        assert_eq!(Class::parse(b"A"), None);
    }
}
