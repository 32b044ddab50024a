//! Domain names in wire format, their presentation format and their canonical order.
//!
//! This module knows no compression (see `message`) and no zones. Invariant of both types: the bytes are one whole
//! uncompressed name, labels of 1..=63 octets, the root label last, 1..=255 octets in all (RFC 1035 section 2.3.4).
//! The case of the input is kept; comparisons ignore ASCII case (RFC 4343). Order and lower-casing: RFC 4034 section 6.

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

/// The longest name in wire format, root label included (RFC 1035 section 2.3.4).
pub const NAME_LEN_MAX: usize = 255;
/// The longest label (RFC 1035 section 2.3.4).
pub const LABEL_LEN_MAX: usize = 63;

/// An owned domain name.
#[derive(Clone)]
pub struct Name {
    /// Uncompressed wire format, case kept.
    wire: Vec<u8>,
}

/// A borrowed domain name: the same guarantees as [`Name`] over someone else's bytes.
#[derive(Clone, Copy)]
pub struct NameRef<'a> {
    /// Uncompressed wire format, case kept.
    wire: &'a [u8],
}

/// Why bytes or text are not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Wire bytes end inside the name.
    #[error("name ends early")]
    Short,
    /// A label type other than 00 (RFC 1035 section 4.1.4), compression included.
    #[error("label type {0:#04x} is not allowed here")]
    LabelType(u8),
    /// A label over 63 octets.
    #[error("label is longer than 63 octets")]
    LabelLong,
    /// A name over 255 octets.
    #[error("name is longer than 255 octets")]
    NameLong,
    /// Two dots in a row, or a dot in front.
    #[error("label is empty")]
    LabelEmpty,
    /// A backslash that is not followed by a character or by three digits up to 255.
    #[error("escape is not \\X or \\DDD with DDD up to 255")]
    Escape,
    /// A relative name where there is no origin to complete it.
    #[error("name is relative but there is no origin")]
    NoOrigin,
}

impl<'a> NameRef<'a> {
    /// Takes the name at the start of `wire`; bytes after it are not looked at. O(labels).
    ///
    /// # Errors
    /// [`NameError::Short`], [`NameError::LabelType`] or [`NameError::NameLong`].
    pub fn prefix_of(wire: &'a [u8]) -> Result<NameRef<'a>, NameError> {
        let mut off = 0;
        loop {
            let len = *wire.get(off).ok_or(NameError::Short)?;
            if usize::from(len) > LABEL_LEN_MAX {
                return Err(NameError::LabelType(len));
            }
            off += usize::from(len) + 1;
            if off > NAME_LEN_MAX {
                return Err(NameError::NameLong);
            }
            if len == 0 {
                return Ok(NameRef { wire: wire.get(..off).ok_or(NameError::Short)? });
            }
        }
    }

    /// The wire format, root label included: 1..=255 octets.
    #[must_use]
    pub fn as_wire(self) -> &'a [u8] {
        self.wire
    }

    /// Copies the name.
    #[must_use]
    pub fn to_name(self) -> Name {
        Name { wire: self.wire.to_vec() }
    }

    /// The labels from the left, without the root label.
    #[must_use]
    pub fn labels(self) -> Labels<'a> {
        Labels { rest: self.wire }
    }

    /// How many labels, the root label not counted (RFC 4034 section 3.1.3 counts alike, but for wildcards).
    #[must_use]
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.wire.len() == 1
    }

    /// Whether the leftmost label is the asterisk label (RFC 4592 section 2.1.1).
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// The name without its leftmost label; `None` for the root.
    #[must_use]
    pub fn parent(self) -> Option<NameRef<'a>> {
        match *self.wire.first()? {
            0 => None,
            len => Some(NameRef { wire: self.wire.get(usize::from(len) + 1..)? }),
        }
    }

    /// Whether this name equals `ancestor` or lies below it.
    #[must_use]
    pub fn is_at_or_below(self, ancestor: NameRef<'_>) -> bool {
        let Some(off) = self.wire.len().checked_sub(ancestor.wire.len()) else { return false };
        if !self.wire[off..].eq_ignore_ascii_case(ancestor.wire) {
            return false;
        }
        // The tail bytes match; they are a suffix of labels only if a label starts there.
        let mut at = 0;
        while at < off {
            at += usize::from(self.wire[at]) + 1;
        }
        at == off
    }

    /// Appends a byte string whose plain order is the canonical order of names (RFC 4034 section 6.1).
    ///
    /// Labels come from the root down, lower-cased, each ended by 0; the octets 0 and 1 inside a label become 1,1 and
    /// 1,2 so that the end of a label stays the smallest.
    pub fn push_sort_key(self, key: &mut Vec<u8>) {
        let mut starts = [0u8; 128];
        let mut count = 0;
        let mut off = 0;
        while self.wire[off] != 0 {
            // A name of 255 octets has at most 127 labels, and every start is below 255.
            starts[count] = u8::try_from(off).unwrap_or(u8::MAX);
            count += 1;
            off += usize::from(self.wire[off]) + 1;
        }
        for &start in starts[..count].iter().rev() {
            let start = usize::from(start);
            for &octet in &self.wire[start + 1..][..usize::from(self.wire[start])] {
                match octet.to_ascii_lowercase() {
                    0 => key.extend_from_slice(&[1, 1]),
                    1 => key.extend_from_slice(&[1, 2]),
                    other => key.push(other),
                }
            }
            key.push(0);
        }
    }
}

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Name {
        Name { wire: vec![0] }
    }

    /// Reads a whole wire-format name; trailing bytes are an error.
    ///
    /// # Errors
    /// As [`NameRef::prefix_of`], and [`NameError::Short`] if `wire` does not end with the name.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        let name = NameRef::prefix_of(wire)?;
        if name.wire.len() == wire.len() { Ok(name.to_name()) } else { Err(NameError::Short) }
    }

    /// Reads presentation format (RFC 1035 section 5.1): `@` is the origin, a name without a final dot is completed
    /// by it, `\X` and `\DDD` escape.
    ///
    /// # Errors
    /// [`NameError`] for empty or long labels, long names, bad escapes, or a relative name without an origin.
    pub fn parse(text: &[u8], origin: Option<NameRef<'_>>) -> Result<Name, NameError> {
        let mut name = Name { wire: Vec::with_capacity(text.len() + 2) };
        name.assign(text, origin)?;
        Ok(name)
    }

    /// [`Name::parse`] into this name, so that a reader of many lines allocates once.
    ///
    /// # Errors
    /// As [`Name::parse`]; the name is then the root.
    pub fn assign(&mut self, text: &[u8], origin: Option<NameRef<'_>>) -> Result<(), NameError> {
        self.wire.clear();
        let result = push_text(&mut self.wire, text, origin);
        if result.is_err() {
            self.wire.clear();
            self.wire.push(0);
        }
        result
    }

    /// Makes this name equal to `other`, reusing the buffer.
    pub fn copy_from(&mut self, other: NameRef<'_>) {
        self.wire.clear();
        self.wire.extend_from_slice(other.wire);
    }

    /// Borrows the name.
    #[must_use]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef { wire: &self.wire }
    }

    /// The wire format, root label included.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The canonical form: ASCII letters in lower case (RFC 4034 section 6.2).
    #[must_use]
    pub fn to_canonical(&self) -> Name {
        // Length octets are at most 63, below 'A', so lower-casing all octets changes letters only.
        Name { wire: self.wire.to_ascii_lowercase() }
    }
}

/// Appends the wire format of presentation `text` to `wire`; what was appended is undefined after an error.
pub(crate) fn push_text(wire: &mut Vec<u8>, text: &[u8], origin: Option<NameRef<'_>>) -> Result<(), NameError> {
    if text == b"." {
        wire.push(0);
        return Ok(());
    }
    if text == b"@" {
        wire.extend_from_slice(origin.ok_or(NameError::NoOrigin)?.wire);
        return Ok(());
    }
    let base = wire.len();
    let mut label_off = base;
    wire.push(0);
    let mut rest = text;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet == b'.' {
            close_label(wire, label_off)?;
            label_off = wire.len();
            wire.push(0);
            continue;
        }
        wire.push(if octet == b'\\' { unescape(&mut rest)? } else { octet });
        if wire.len() - base > NAME_LEN_MAX {
            return Err(if wire.len() - label_off - 1 > LABEL_LEN_MAX {
                NameError::LabelLong
            } else {
                NameError::NameLong
            });
        }
    }
    if wire.len() == label_off + 1 && wire.len() > base + 1 {
        // The text ended with a dot: the open label is the root label.
    } else {
        close_label(wire, label_off)?;
        wire.extend_from_slice(origin.ok_or(NameError::NoOrigin)?.wire);
    }
    if wire.len() - base > NAME_LEN_MAX { Err(NameError::NameLong) } else { Ok(()) }
}

/// Writes the length octet of the label that starts at `label_off` and ends at the end of `wire`.
fn close_label(wire: &mut [u8], label_off: usize) -> Result<(), NameError> {
    let len = wire.len() - label_off - 1;
    if len == 0 {
        return Err(NameError::LabelEmpty);
    }
    if len > LABEL_LEN_MAX {
        return Err(NameError::LabelLong);
    }
    wire[label_off] = u8::try_from(len).map_err(|_| NameError::LabelLong)?;
    Ok(())
}

/// Reads what follows a backslash (RFC 1035 section 5.1) and moves `rest` past it.
///
/// # Errors
/// [`NameError::Escape`] at the end of the text and for `\DDD` that is no three digits up to 255.
pub(crate) fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    let (&first, tail) = rest.split_first().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        *rest = tail;
        return Ok(first);
    }
    let &[a, b, c, ref tail @ ..] = *rest else { return Err(NameError::Escape) };
    if !(b.is_ascii_digit() && c.is_ascii_digit()) {
        return Err(NameError::Escape);
    }
    let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    *rest = tail;
    u8::try_from(value).map_err(|_| NameError::Escape)
}

/// The labels of a name from the left; each item is the label's octets without its length.
#[derive(Clone)]
pub struct Labels<'a> {
    /// What is left of the name, starting at a length octet.
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, tail) = self.rest.split_first()?;
        let (label, rest) = tail.split_at_checked(usize::from(len))?;
        if label.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(label)
    }
}

/// Writes presentation format with a final dot; what is not printable ASCII, and what a zone file reads as syntax, is
/// escaped.
impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        if self.is_root() {
            return f.write_char('.');
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        f.write_char('\\')?;
                        f.write_char(char::from(octet))?;
                    }
                    0x21..=0x7e => f.write_char(char::from(octet))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.wire.eq_ignore_ascii_case(other.wire)
    }
}

impl Eq for NameRef<'_> {}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for octet in &self.wire {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

impl Ord for NameRef<'_> {
    /// Canonical order (RFC 4034 section 6.1): by labels from the right, each as lower-cased octets.
    fn cmp(&self, other: &Self) -> Ordering {
        let mut ours = Vec::with_capacity(self.wire.len());
        let mut theirs = Vec::with_capacity(other.wire.len());
        self.push_sort_key(&mut ours);
        other.push_sort_key(&mut theirs);
        ours.cmp(&theirs)
    }
}

impl PartialOrd for NameRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    /// Reads an absolute name; a missing final dot is added.
    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::parse(text.as_bytes(), Some(NameRef { wire: &[0] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses an absolute name.
    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_wire_agree() {
        for (text, wire) in [
            (".", &b"\0"[..]),
            ("a.", b"\x01a\0"),
            ("a.b", b"\x01a\x01b\0"),
            ("\\097\\.b.c.", b"\x03a.b\x01c\0"),
            ("\\000\\255.", b"\x02\0\xff\0"),
            ("\\@.", b"\x01@\0"),
        ] {
            assert_eq!(name(text).as_wire(), wire, "{text}");
            assert_eq!(name(&name(text).to_string()).as_wire(), wire, "{text} printed and read");
        }
    }

    #[test]
    fn relative_names_take_the_origin() {
        let origin = name("example.com.");
        let parse = |text: &str| Name::parse(text.as_bytes(), Some(origin.as_ref())).map(|name| name.to_string());
        assert_eq!(parse("www").as_deref(), Ok("www.example.com."));
        assert_eq!(parse("@").as_deref(), Ok("example.com."));
        assert_eq!(parse("www.").as_deref(), Ok("www."));
        assert_eq!(Name::parse(b"www", None), Err(NameError::NoOrigin));
        for (bad, error) in [
            ("", NameError::LabelEmpty),
            ("a..b", NameError::LabelEmpty),
            (".a", NameError::LabelEmpty),
            ("a\\", NameError::Escape),
            ("a\\25", NameError::Escape),
            ("a\\256", NameError::Escape),
            ("a\\2x5", NameError::Escape),
        ] {
            assert_eq!(parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_63_and_255() {
        let label = "x".repeat(63);
        assert!(label.parse::<Name>().is_ok());
        assert_eq!("x".repeat(64).parse::<Name>(), Err(NameError::LabelLong));
        assert_eq!("x".repeat(300).parse::<Name>(), Err(NameError::LabelLong));
        let full = format!("{label}.{label}.{label}.{}", "y".repeat(61));
        assert_eq!(name(&full).as_wire().len(), 255);
        assert_eq!(format!("{full}y").parse::<Name>(), Err(NameError::NameLong));
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::LabelType(0xc0)));
        assert_eq!(Name::from_wire(b"\x01a"), Err(NameError::Short));
        assert_eq!(Name::from_wire(b"\x01a\0x"), Err(NameError::Short));
    }

    #[test]
    fn canonical_order_is_that_of_rfc_4034_section_6_1() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert!(name("\\000.a.") < name("\\001.a."));
        assert!(name("\\000\\001.a.") < name("\\001.a."));
    }

    #[test]
    fn at_or_below_respects_label_borders() {
        assert!(name("a.b.").as_ref().is_at_or_below(name("B.").as_ref()));
        assert!(name("a.b.").as_ref().is_at_or_below(name("a.b.").as_ref()));
        assert!(name("a.b.").as_ref().is_at_or_below(name(".").as_ref()));
        assert!(!name("ab.").as_ref().is_at_or_below(name("b.").as_ref()));
        // The label "\001b" ends with the wire bytes of "b." but is one label.
        assert!(!name("\\001b.").as_ref().is_at_or_below(name("b.").as_ref()));
    }
}
