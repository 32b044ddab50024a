//! `$GENERATE`, the directive of BIND that makes records from a template and a range of numbers.
//!
//! It makes text, which the reader then reads as any other entry. In a template `$` is the number, `${offset,width,base}`
//! the number changed and padded, `$$` and `\$` a dollar sign. Invariant: a range ends, and how many records it makes is
//! known before the first one.

use std::io::Write as _;

use crate::dns::number;
use crate::dns::token::{Form, Tokens};

/// The largest width of a number, as much as a label holds.
const WIDTH_MAX: usize = 63;

/// A `$GENERATE` directive in progress.
pub(super) struct Expansion {
    /// The entry with `$` in place of numbers.
    template: Vec<u8>,
    /// The next number.
    next: u64,
    /// The last number.
    stop: u64,
    /// The step.
    step: u64,
}

/// What was expected of which token of the directive.
pub(super) struct Unexpected {
    /// The token, counted from the directive.
    pub(super) token_idx: usize,
    /// What was expected.
    pub(super) expected: &'static str,
}

impl Expansion {
    /// Reads the tokens of a directive, itself the first: range, owner, then TTL, class, type and RDATA.
    ///
    /// # Errors
    /// [`Unexpected`] for a range that is none, and if the template is missing.
    pub(super) fn parse(tokens: Tokens<'_>) -> Result<Expansion, Unexpected> {
        let fail = |token_idx, expected| Err(Unexpected { token_idx, expected });
        let range = tokens.at(1).filter(|token| token.is_bare()).and_then(|token| range(token.text));
        let Some((start, stop, step)) = range else {
            return fail(1, "a range start-stop or start-stop/step, numbers up to 2147483647");
        };
        if tokens.count() < 5 {
            return fail(tokens.count(), "a range, an owner, a type and rdata");
        }
        let mut template = Vec::new();
        for idx in 2..tokens.count() {
            let Some(token) = tokens.at(idx) else { break };
            if idx > 2 {
                template.push(b' ');
            }
            match token.form {
                Form::Bare => template.extend_from_slice(token.text),
                // As in BIND, quotes around the whole RDATA hold it together and do not belong to it.
                _ if idx + 1 == tokens.count() => push_unquoted(token.text, &mut template),
                _ => {
                    template.push(b'"');
                    template.extend_from_slice(token.text);
                    template.push(b'"');
                }
            }
        }
        Ok(Expansion { template, next: start, stop, step })
    }

    /// How many entries are still to come.
    pub(super) fn count(&self) -> u64 {
        if self.next > self.stop { 0 } else { (self.stop - self.next) / self.step + 1 }
    }

    /// Appends the next entry to `text` and returns its number, `None` after the last one.
    ///
    /// # Errors
    /// What was expected instead of a `${..}` that is malformed or gives a negative number.
    pub(super) fn push_next(&mut self, text: &mut Vec<u8>) -> Option<Result<u32, &'static str>> {
        if self.next > self.stop {
            return None;
        }
        let number = u32::try_from(self.next).ok()?;
        self.next += self.step;
        Some(push_expanded(&self.template, number, text).map(|()| number))
    }
}

/// Reads `start-stop` or `start-stop/step`.
fn range(text: &[u8]) -> Option<(u64, u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (bounds, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = bounds.split_once('-')?;
    let read = |text: &str| number::decimal(text.as_bytes()).filter(|&value| value <= i32::MAX.cast_unsigned());
    let (start, stop, step) = (read(start)?, read(stop)?, read(step)?);
    (start <= stop && step > 0).then_some((start.into(), stop.into(), step.into()))
}

/// Appends a quoted string that is read a second time: only `\"` loses its backslash.
fn push_unquoted(text: &[u8], out: &mut Vec<u8>) {
    let mut octets = text.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            out.push(octet);
        } else if let Some(next) = octets.next() {
            if next != b'"' {
                out.push(b'\\');
            }
            out.push(next);
        }
    }
}

/// Appends `template` with `number` in place of its `$`.
fn push_expanded(template: &[u8], number: u32, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = template;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match (octet, tail.first()) {
            (b'\\', Some(&next)) => {
                out.extend_from_slice(&[b'\\', next]);
                rest = &tail[1..];
            }
            (b'$', Some(b'$')) => {
                // The dollar sign is read again, where a bare one at the start would be a directive.
                out.extend_from_slice(b"\\$");
                rest = &tail[1..];
            }
            (b'$', Some(b'{')) => {
                let len = tail.iter().position(|&octet| octet == b'}').ok_or("a closing brace after ${")?;
                push_number(Modifier::parse(&tail[1..len])?, number, out)?;
                rest = &tail[len + 1..];
            }
            (b'$', _) => push_number(Modifier { offset: 0, width: 0, base: Base::Decimal }, number, out)?,
            _ => out.push(octet),
        }
    }
    Ok(())
}

/// What is between the braces.
#[derive(Clone, Copy)]
struct Modifier {
    /// Is added to the number.
    offset: i64,
    /// Zeros are put in front up to this many digits; for nibbles, digits and dots.
    width: usize,
    /// How the number is written.
    base: Base,
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Decimal.
    Decimal,
    /// Octal.
    Octal,
    /// Hexadecimal in lower case.
    Hex,
    /// Hexadecimal in upper case.
    HexUpper,
    /// Hexadecimal digits as labels, the lowest first, in lower case: for ip6.arpa.
    Nibbles,
    /// The same in upper case.
    NibblesUpper,
}

impl Modifier {
    /// Reads `offset[,width[,base]]`.
    fn parse(text: &[u8]) -> Result<Modifier, &'static str> {
        const WORDS: &str = "${offset,width,base} with a base of d, o, x, X, n or N";
        let text = std::str::from_utf8(text).map_err(|_| WORDS)?;
        let mut parts = text.split(',');
        let offset = parts.next().unwrap_or_default();
        let (sign, digits) = match offset.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, offset.strip_prefix('+').unwrap_or(offset)),
        };
        let offset = sign * i64::from(number::decimal(digits.as_bytes()).ok_or(WORDS)?);
        let width = number::decimal(parts.next().unwrap_or("0").as_bytes()).ok_or(WORDS)? as usize;
        let base = match parts.next().unwrap_or("d") {
            "d" => Base::Decimal,
            "o" => Base::Octal,
            "x" => Base::Hex,
            "X" => Base::HexUpper,
            "n" => Base::Nibbles,
            "N" => Base::NibblesUpper,
            _ => return Err(WORDS),
        };
        match parts.next() {
            None if width <= WIDTH_MAX => Ok(Modifier { offset, width, base }),
            None => Err("a width of at most 63"),
            Some(_) => Err(WORDS),
        }
    }
}

/// Appends a number.
fn push_number(modifier: Modifier, number: u32, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let Modifier { offset, width, base } = modifier;
    let value = u64::try_from(i64::from(number) + offset).map_err(|_| "an offset that keeps numbers from 0 on")?;
    let written = match base {
        Base::Decimal => write!(out, "{value:0width$}"),
        Base::Octal => write!(out, "{value:0width$o}"),
        Base::Hex => write!(out, "{value:0width$x}"),
        Base::HexUpper => write!(out, "{value:0width$X}"),
        Base::Nibbles | Base::NibblesUpper => {
            push_nibbles(value, width, base, out);
            Ok(())
        }
    };
    written.map_err(|_| "room in memory")
}

/// Appends the hex digits of a number from the lowest, with dots between, at least `width` digits and dots.
fn push_nibbles(mut value: u64, mut width: usize, base: Base, out: &mut Vec<u8>) {
    let digits = if base == Base::NibblesUpper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    loop {
        out.push(digits[usize::from(value.to_le_bytes()[0] & 15)]);
        width = width.saturating_sub(1);
        value >>= 4;
        if value == 0 && width == 0 {
            return;
        }
        out.push(b'.');
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::token::Entry;

    /// Expands a directive into lines.
    fn expand(text: &str) -> Result<Vec<String>, &'static str> {
        let entry = Entry::parse(text.as_bytes()).unwrap();
        let mut expansion = Expansion::parse(entry.tokens()).map_err(|error| error.expected)?;
        let mut lines = Vec::new();
        let count = expansion.count();
        loop {
            let mut line = Vec::new();
            match expansion.push_next(&mut line) {
                None => break,
                Some(result) => result.map(|_| lines.push(String::from_utf8(line).unwrap()))?,
            }
        }
        assert_eq!(lines.len() as u64, count);
        Ok(lines)
    }

    #[test]
    fn templates_are_filled_in() {
        for (text, lines) in [
            ("$GENERATE 1-2 h$ A 10.0.0.$", &["h1 A 10.0.0.1", "h2 A 10.0.0.2"][..]),
            (
                "$GENERATE 0-6/3 h$ 300 IN A 10.0.0.$",
                &["h0 300 IN A 10.0.0.0", "h3 300 IN A 10.0.0.3", "h6 300 IN A 10.0.0.6"],
            ),
            ("$GENERATE 9-9 h${-9} A 10.0.0.${+1}", &["h0 A 10.0.0.10"]),
            ("$GENERATE 10-10 h${0,4,d}-${0,4,o}-${0,4,x}-${0,4,X} PTR x", &["h0010-0012-000a-000A PTR x"]),
            ("$GENERATE 26-26 ${0,0,n}.${0,7,n}.${0,1,N} PTR x", &["a.1.a.1.0.0.A.1 PTR x"]),
            ("$GENERATE 1-1 a$$b\\$c A 10.0.0.$", &["a\\$b\\$c A 10.0.0.1"]),
            ("$GENERATE 1-1 h MX \"10 mx$\"", &["h MX 10 mx1"]),
            ("$GENERATE 1-1 h TXT \"\\\"a $\\\"\"", &["h TXT \"a 1\""]),
            ("$GENERATE 1-1 h MX 10 mx$", &["h MX 10 mx1"]),
        ] {
            assert_eq!(expand(text).unwrap(), lines, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in [
            "$GENERATE 2-1 h A 10.0.0.$",
            "$GENERATE 1 h A 10.0.0.$",
            "$GENERATE 1-2/0 h A 10.0.0.$",
            "$GENERATE 1-2147483648 h A 10.0.0.$",
            "$GENERATE -1-2 h A 10.0.0.$",
            "$GENERATE 1-2 h A",
            "$GENERATE 1-2",
            "$GENERATE",
            "$GENERATE 1-2 h${ A 10.0.0.$",
            "$GENERATE 1-2 h${} A 10.0.0.$",
            "$GENERATE 1-2 h${1,2,3} A 10.0.0.$",
            "$GENERATE 1-2 h${1,2,x,y} A 10.0.0.$",
            "$GENERATE 1-2 h${0,64,d} A 10.0.0.$",
            "$GENERATE 1-2 h${-2,1,d} A 10.0.0.$",
        ] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}
