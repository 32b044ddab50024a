//! RDATA from presentation format, one arm per kind of field.
//!
//! It takes tokens and an origin, and knows nothing of the entry around them. Every error names the token and what was
//! expected there. `\#` (RFC 3597 section 5) is taken for every type, and the octets are then checked as any others.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use data_encoding::{BASE32HEX_NOPAD, BASE64, Encoding, HEXLOWER_PERMISSIVE};
use thiserror::Error;

use crate::dns::name::{self, NameError, NameRef};
use crate::dns::number;
use crate::dns::rtype::Rtype;
use crate::dns::token::{Entry, Token, TokenError, Tokens};

use super::codes::named;
use super::table::{self, Empty, Field};
use super::{RDATA_LEN_MAX, RdataError, bitmap, check, codec, svcb, time};

/// A token is not what RDATA of the type has at its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ParseError {
    /// The token, counted from 0; the count of tokens if they end early.
    pub token_idx: usize,
    /// What was expected.
    pub expected: Expected,
    /// The token as an error message shows it.
    pub found: String,
}

/// What was expected of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// What the words say.
    Words(&'static str),
    /// A domain name.
    Name(NameError),
    /// `\#`, because the type has no other presentation format here.
    Generic(Rtype),
    /// Octets that are valid RDATA of the type.
    Octets(Rtype, RdataError),
    /// Tokens at all: the text cannot be split.
    Tokens(TokenError),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        match self.expected {
            Expected::Words(words) => write!(f, "expected {words}, found {found}"),
            Expected::Name(error) => write!(f, "expected a domain name, found {found} ({error})"),
            Expected::Generic(rtype) => write!(f, "expected \\# with the octets of {rtype} in hex, found {found}"),
            Expected::Octets(rtype, error) => write!(f, "expected octets of a valid {rtype} ({error}), found {found}"),
            Expected::Tokens(error) => write!(f, "{error}"),
        }
    }
}

/// Reads the tokens of RDATA; names become absolute by `origin`. `out` is replaced, and undefined after an error.
///
/// # Errors
/// [`ParseError`] at the first token that does not fit, at the first that is too many, or past the last.
pub fn parse(
    rtype: Rtype,
    tokens: Tokens<'_>,
    origin: Option<NameRef<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), ParseError> {
    out.clear();
    let mut args = Args { tokens, origin, idx: 0 };
    if tokens.at(0).is_some_and(|token| token.is_bare() && token.text == b"\\#") {
        return generic(rtype, &mut args, out);
    }
    let Some(fields) = table::fields(rtype) else { return Err(args.fail(0, Expected::Generic(rtype))) };
    for &field in fields {
        match field {
            // The rule sees the whole RDATA, so the last token stands for all.
            Field::Rule(rule) => {
                rule(out).map_err(|words| args.fail(args.idx.saturating_sub(1), Expected::Words(words)))?;
            }
            _ => push_field(field, &mut args, out)?,
        }
    }
    if args.idx < tokens.count() {
        return Err(args.fail(args.idx, Expected::Words("the end of the record")));
    }
    args.bounded(out)
}

/// Reads RDATA from text, for callers that have no zone file.
///
/// # Errors
/// As [`parse`], and [`Expected::Tokens`] if the text cannot be split, for example because it has a line break outside
/// parentheses.
pub fn parse_text(rtype: Rtype, text: &[u8], origin: Option<NameRef<'_>>) -> Result<Vec<u8>, ParseError> {
    let entry = Entry::parse(text).map_err(|error| ParseError {
        token_idx: 0,
        expected: Expected::Tokens(error),
        found: String::new(),
    })?;
    let mut out = Vec::new();
    parse(rtype, entry.tokens(), origin, &mut out)?;
    Ok(out)
}

/// Reads `\# length hex` (RFC 3597 section 5).
fn generic(rtype: Rtype, args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    args.idx = 1;
    let len = args.number(u32::from(u16::MAX), "the count of octets, 0 to 65535")?;
    if args.idx < args.tokens.count() {
        args.decode(&HEXLOWER_PERMISSIVE, "octets in hex", out)?;
    }
    if out.len() != len as usize {
        return Err(args.fail(1, Expected::Words("the count of the octets that follow")));
    }
    check(rtype, out).map_err(|error| args.fail(args.idx - 1, Expected::Octets(rtype, error)))
}

/// Reads one field and appends its wire format.
fn push_field(field: Field, args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    match field {
        Field::Name(_) => args.name(out)?,
        Field::OptionalName(_) if args.idx == args.tokens.count() => {}
        Field::OptionalName(_) => args.name(out)?,
        Field::U8 => out.push(args.number_8("a number from 0 to 255")?),
        Field::U16 => out.extend_from_slice(&args.number_16("a number from 0 to 65535")?.to_be_bytes()),
        Field::U32 => out.extend_from_slice(&args.number(u32::MAX, "a number from 0 to 4294967295")?.to_be_bytes()),
        Field::U64 => {
            let number = args.word("a number from 0 to 18446744073709551615", |text| {
                text_as::<u64>(text).filter(|_| text.iter().all(u8::is_ascii_digit))
            })?;
            out.extend_from_slice(&number.to_be_bytes());
        }
        Field::Seconds => {
            let secs = args.word("seconds, or a time such as 1h30m", number::seconds)?;
            out.extend_from_slice(&secs.to_be_bytes());
        }
        Field::Time => {
            let secs = args.word("a time as YYYYMMDDHHMMSS or seconds since 1970", time::parse)?;
            out.extend_from_slice(&secs.to_be_bytes());
        }
        Field::Code8(codes) => out.push(args.word("a mnemonic or a number from 0 to 255", |text| {
            named(codes, text).or_else(|| u8::try_from(number::decimal(text)?).ok())
        })?),
        Field::Code16(codes) => {
            let code = args.word("a mnemonic or a number from 0 to 65535", |text| {
                named(codes, text).or_else(|| u16::try_from(number::decimal(text)?).ok())
            })?;
            out.extend_from_slice(&code.to_be_bytes());
        }
        Field::Ip4 => out.extend_from_slice(&args.word("an IPv4 address", text_as::<Ipv4Addr>)?.octets()),
        Field::Ip6 => out.extend_from_slice(&args.word("an IPv6 address", text_as::<Ipv6Addr>)?.octets()),
        Field::Type => out.extend_from_slice(&args.word("an RR type", Rtype::parse)?.0.to_be_bytes()),
        Field::CharString => args.counted_text("a string of at most 255 octets", out)?,
        Field::OptionalCharString if args.idx == args.tokens.count() => {}
        Field::OptionalCharString => args.counted_text("a string of at most 255 octets", out)?,
        Field::CharStrings => {
            args.counted_text("a string of at most 255 octets", out)?;
            while args.idx < args.tokens.count() {
                args.counted_text("a string of at most 255 octets", out)?;
            }
        }
        Field::Text(empty) => args.text(empty, out)?,
        Field::Tag => args.tag(out)?,
        Field::Hex => args.decode(&HEXLOWER_PERMISSIVE, "octets in hex", out)?,
        Field::Base64(Empty::Allowed) if args.idx == args.tokens.count() => {}
        Field::Base64(_) => args.decode(&BASE64, "octets in base64", out)?,
        Field::Salt => args.salt(out)?,
        Field::NextHash => args.next_hash(out)?,
        Field::Bitmap => bitmap::parse(args, out)?,
        Field::SvcParams => svcb::parse(args, out)?,
        Field::Eui(len) => {
            let what = "pairs of hex digits with dashes between";
            args.word(what, |text| codec::push_groups(text, b'-', Groups { count: len, octets_each: 1 }, out))?;
        }
        Field::Groups64 => {
            let what = "four groups of hex digits with colons between";
            args.word(what, |text| codec::push_groups(text, b':', Groups { count: 4, octets_each: 2 }, out))?;
        }
        Field::Shape(shape) => (shape.parse)(args, out)?,
        Field::Rule(_) => {}
    }
    Ok(())
}

/// How many groups of digits a field has.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    /// Groups in all.
    pub(super) count: usize,
    /// Octets in each.
    pub(super) octets_each: usize,
}

/// Reads what the standard library reads, which is strict for addresses: four decimal numbers without leading zeros, no
/// zone identifiers.
pub(super) fn text_as<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The tokens of RDATA while they are read.
pub(super) struct Args<'a> {
    /// All tokens.
    pub(super) tokens: Tokens<'a>,
    /// Completes relative names.
    origin: Option<NameRef<'a>>,
    /// The next token.
    pub(super) idx: usize,
}

impl<'a> Args<'a> {
    /// The error for the token at `token_idx`.
    pub(super) fn fail(&self, token_idx: usize, expected: Expected) -> ParseError {
        let found = self.tokens.at(token_idx).map_or("the end of the record".to_owned(), |token| token.to_string());
        ParseError { token_idx, expected, found }
    }

    /// The error for the token taken last.
    pub(super) fn fail_last(&self, words: &'static str) -> ParseError {
        self.fail(self.idx.saturating_sub(1), Expected::Words(words))
    }

    /// Takes the next token.
    fn next(&mut self, words: &'static str) -> Result<Token<'a>, ParseError> {
        let token = self.tokens.at(self.idx).ok_or_else(|| self.fail(self.idx, Expected::Words(words)))?;
        self.idx += 1;
        Ok(token)
    }

    /// Takes the next token, which must not be quoted.
    pub(super) fn bare(&mut self, words: &'static str) -> Result<&'a [u8], ParseError> {
        let token = self.next(words)?;
        if token.is_bare() { Ok(token.text) } else { Err(self.fail_last(words)) }
    }

    /// Takes the next token and reads it with `read`.
    pub(super) fn word<T>(
        &mut self,
        words: &'static str,
        read: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<T, ParseError> {
        let text = self.bare(words)?;
        read(text).ok_or_else(|| self.fail_last(words))
    }

    /// Takes a decimal number up to `max`.
    fn number(&mut self, max: u32, words: &'static str) -> Result<u32, ParseError> {
        self.word(words, |text| number::decimal(text).filter(|&value| value <= max))
    }

    /// Takes a number of 16 bits.
    fn number_16(&mut self, words: &'static str) -> Result<u16, ParseError> {
        self.word(words, |text| u16::try_from(number::decimal(text)?).ok())
    }

    /// Takes a number of 8 bits.
    pub(super) fn number_8(&mut self, words: &'static str) -> Result<u8, ParseError> {
        self.word(words, |text| u8::try_from(number::decimal(text)?).ok())
    }

    /// Takes a number up to `max`.
    pub(super) fn number_to(&mut self, max: u8, words: &'static str) -> Result<u8, ParseError> {
        self.word(words, |text| u8::try_from(number::decimal(text)?).ok().filter(|&value| value <= max))
    }

    /// Takes a name.
    pub(super) fn name(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let text = self.bare("a domain name")?;
        name::push_text(out, text, self.origin).map_err(|error| self.fail(self.idx - 1, Expected::Name(error)))
    }

    /// Takes a string, quoted or not, and appends its octets.
    fn octets(&mut self, words: &'static str, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let token = self.next(words)?;
        codec::push_unescaped(token.text, out)
            .map_err(|_| self.fail_last("a string with escapes \\X or \\DDD up to 255"))
    }

    /// Takes a string and appends it after a length octet.
    fn counted_text(&mut self, words: &'static str, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let base = out.len();
        out.push(0);
        self.octets(words, out)?;
        codec::close_counted(base, out).ok_or_else(|| self.fail_last(words))
    }

    /// Takes a string without a length.
    fn text(&mut self, empty: Empty, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let base = out.len();
        self.octets("a string", out)?;
        self.bounded(out)?;
        if empty == Empty::Refused && out.len() == base {
            return Err(self.fail_last("a string that is not empty"));
        }
        Ok(())
    }

    /// Takes a property tag.
    fn tag(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let words = "a tag of letters and digits";
        // Some write the tag in quotes, as the value after it.
        let tag = self.next(words)?.text;
        if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
            return Err(self.fail_last(words));
        }
        let base = out.len();
        out.push(0);
        out.extend_from_slice(tag);
        codec::close_counted(base, out).ok_or_else(|| self.fail_last(words))
    }

    /// Takes a salt.
    fn salt(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let words = "a salt of at most 255 octets in hex, or -";
        let base = out.len();
        out.push(0);
        self.word(words, |text| match text {
            b"-" => Some(()),
            _ => codec::push_decoded(&HEXLOWER_PERMISSIVE, text, out).ok(),
        })?;
        codec::close_counted(base, out).ok_or_else(|| self.fail_last(words))
    }

    /// Takes a hashed name.
    fn next_hash(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let words = "a hash of at most 255 octets in base32hex without padding";
        let base = out.len();
        out.push(0);
        self.word(words, |text| codec::push_decoded(&BASE32HEX_NOPAD, &text.to_ascii_uppercase(), out).ok())?;
        codec::close_counted(base, out).ok_or_else(|| self.fail_last(words))
    }

    /// Takes all tokens that are left as one encoded text.
    pub(super) fn decode(
        &mut self,
        encoding: &Encoding,
        words: &'static str,
        out: &mut Vec<u8>,
    ) -> Result<(), ParseError> {
        let start = self.idx;
        let mut joined = Cow::Borrowed(self.bare(words)?);
        while self.idx < self.tokens.count() {
            joined.to_mut().extend_from_slice(self.bare(words)?);
        }
        if let Err(error_off) = codec::push_decoded(encoding, &joined, out) {
            return Err(self.fail(self.holder(start, error_off), Expected::Words(words)));
        }
        self.bounded(out)
    }

    /// Which token from `start` on holds the octet at `off` of all of them joined.
    fn holder(&self, start: usize, off: usize) -> usize {
        let mut end = 0;
        let ends = (start..self.idx).map(|idx| {
            end += self.tokens.at(idx).map_or(0, |token| token.text.len());
            (idx, end)
        });
        ends.into_iter().find(|&(_, end)| off < end).map_or(self.idx - 1, |(idx, _)| idx)
    }

    /// Refuses RDATA that no RDLENGTH can tell.
    fn bounded(&self, out: &[u8]) -> Result<(), ParseError> {
        if out.len() <= RDATA_LEN_MAX { Ok(()) } else { Err(self.fail_last("rdata of at most 65535 octets")) }
    }
}
