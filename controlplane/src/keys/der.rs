//! DER (X.690), as far as private keys need it: definite lengths in their shortest form, one octet of tag.
//!
//! It knows no keys. Invariants: a reader never looks past its input, and a writer allocates once per element, so that no
//! copy of a secret is left behind where a buffer grew.

use zeroize::Zeroizing;

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// NULL.
pub(super) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[1]`, constructed.
pub(super) const CONTEXT_1: u8 = 0xa1;
/// `[1]` in place of the tag of a BIT STRING.
pub(super) const CONTEXT_1_BITS: u8 = 0x81;

/// Reads elements one by one. All answers are `None` where the input is not what is asked for.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    /// What is left.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `input`.
    pub(super) fn new(input: &'a [u8]) -> Reader<'a> {
        Reader { rest: input }
    }

    /// The tag of the next element.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The content of the next element, if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (len, rest) = match *self.rest {
            [first, ..] if first != tag => return None,
            [_, len @ 0..=0x7f, ref rest @ ..] => (usize::from(len), rest),
            [_, 0x81, len @ 0x80..=0xff, ref rest @ ..] => (usize::from(len), rest),
            [_, 0x82, high @ 1..=0xff, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(content)
    }

    /// A reader of the content of the next element.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.take(tag).map(Reader::new)
    }

    /// A number that is not negative, without leading zeros: zero is empty.
    pub(super) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => None,
            [0, rest @ ..] => Some(rest),
            number => Some(number),
        }
    }

    /// The octets of a BIT STRING of whole octets.
    pub(super) fn bits(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.take(tag)?.strip_prefix(&[0])
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// An element with the parts as its content, one after the other; at most 65,535 octets of them.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(len + 4));
    out.push(tag);
    // Keys are at most some thousand octets; the high octets of a length beyond two would be lost.
    let [.., high, low] = len.to_be_bytes();
    match len {
        0..=0x7f => out.push(low),
        0x80..=0xff => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// An INTEGER that is not negative, from its octets without leading zeros.
pub(super) fn unsigned(number: &[u8]) -> Zeroizing<Vec<u8>> {
    // A set bit in front would be a sign, and zero has an octet too.
    let pad: &[u8] = if number.first().is_none_or(|&first| first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[pad, number])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_were_written() {
        for len in [0, 1, 127, 128, 255, 256, 5_000] {
            let content = vec![7; len];
            let written = element(OCTET_STRING, &[&content[..len / 2], &content[len / 2..]]);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.peek(), Some(OCTET_STRING));
            assert_eq!(reader.take(SEQUENCE), None);
            assert_eq!(reader.take(OCTET_STRING), Some(&content[..]));
            assert_eq!(reader.end(), Some(()));
            for short in 0..written.len() {
                assert_eq!(Reader::new(&written[..short]).take(OCTET_STRING), None);
            }
        }
    }

    #[test]
    fn numbers_have_no_sign_and_no_needless_zeros() {
        for (number, expected) in [
            (&[][..], &[2, 1, 0][..]),
            (&[1], &[2, 1, 1]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[1, 0], &[2, 2, 1, 0]),
        ] {
            assert_eq!(unsigned(number).as_slice(), expected);
            assert_eq!(Reader::new(expected).unsigned(), Some(number));
        }
        for refused in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 1], &[2, 2, 0xff, 1], &[4, 1, 1]] {
            assert_eq!(Reader::new(refused).unsigned(), None, "{refused:?}");
        }
    }

    #[test]
    fn lengths_in_a_longer_form_than_needed_are_refused() {
        for refused in [&[4, 0x81, 1, 9][..], &[4, 0x82, 0, 1, 9], &[4, 0x80, 9, 0, 0], &[4, 0x83, 0, 0, 1, 9]] {
            assert_eq!(Reader::new(refused).take(OCTET_STRING), None, "{refused:?}");
        }
    }
}
