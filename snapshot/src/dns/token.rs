//! Tokens of one zone-file entry (RFC 1035 section 5.1): words, quoted strings, parentheses and comments.
//!
//! It splits and does not decode: escapes stay in the text of a token, what they mean is up to who reads it. It knows no
//! directives and no records. Invariant of [`Entry`]: every span lies inside the text, and no token crosses a line break.

use std::fmt;

use thiserror::Error;

/// The longest entry, comments and line breaks included. 65,535 octets of RDATA as `\DDD` take a quarter of it.
pub const ENTRY_LEN_MAX: usize = 1 << 20;

/// How a token was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Without quotes.
    Bare,
    /// In quotes.
    Quoted,
    /// In quotes that follow the token before without a space, as the value of `alpn="h2"`.
    QuotedAdjacent,
}

/// One token.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// Its text with escapes as written, without its quotes.
    pub text: &'a [u8],
    /// How it was written.
    pub form: Form,
}

/// Where a token is in its entry.
#[derive(Clone, Copy)]
struct Span {
    /// Offset of its first octet.
    start: u32,
    /// Offset after its last octet.
    end: u32,
    /// How it was written.
    form: Form,
}

/// The tokens of an entry, or the tail of them.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    /// The text of the entry.
    text: &'a [u8],
    /// The tokens.
    spans: &'a [Span],
}

/// The text of an entry, and its tokens. Its buffers are meant to be used again for the next one.
#[derive(Default)]
pub struct Entry {
    /// Whole lines, line breaks included.
    text: Vec<u8>,
    /// The tokens found so far.
    spans: Vec<Span>,
    /// How much of the text was split already.
    done: usize,
    /// How many parentheses are open.
    depth: u32,
    /// Offset of the outermost open one.
    open_off: usize,
}

/// Whether an entry is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No parenthesis is open.
    Whole,
    /// The next line belongs to it too.
    Open,
}

/// An entry that cannot be split into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct TokenError {
    /// Offset in the text of the entry.
    pub off: usize,
    /// What is wrong there.
    pub problem: TokenProblem,
}

/// What is wrong with the text of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenProblem {
    /// `(` without `)`.
    #[error("parenthesis is never closed")]
    OpenParenthesis,
    /// `)` without `(`.
    #[error("parenthesis closes what was not opened")]
    StrayParenthesis,
    /// `"` without a second one on its line.
    #[error("quoted string does not end on its line")]
    OpenQuote,
    /// A backslash at the end of a line.
    #[error("backslash at the end of a line")]
    Escape,
    /// A carriage return inside a line.
    #[error("carriage return without line feed")]
    CarriageReturn,
    /// A line break outside parentheses, where one entry was to be read.
    #[error("line break outside parentheses")]
    LineBreak,
    /// More than [`ENTRY_LEN_MAX`] octets.
    #[error("entry is longer than {ENTRY_LEN_MAX} octets")]
    Long,
}

impl Token<'_> {
    /// Whether it was written without quotes.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.form == Form::Bare
    }
}

/// Writes the token for an error message: quoted, printable, and short.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How much of a token an error message shows.
        const SHOWN_LEN_MAX: usize = 48;
        let (before, after) = if self.is_bare() { ("`", "`") } else { ("`\"", "\"`") };
        f.write_str(before)?;
        for octet in self.text.iter().take(SHOWN_LEN_MAX) {
            match octet {
                0x20..=0x7e => write!(f, "{}", char::from(*octet))?,
                other => write!(f, "\\{other:03}")?,
            }
        }
        f.write_str(if self.text.len() > SHOWN_LEN_MAX { "..." } else { "" })?;
        f.write_str(after)
    }
}

impl<'a> Tokens<'a> {
    /// How many tokens.
    #[must_use]
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// The token at `idx`, `None` past the last one.
    #[must_use]
    pub fn at(&self, idx: usize) -> Option<Token<'a>> {
        let span = self.spans.get(idx)?;
        Some(Token { text: self.text.get(span.start as usize..span.end as usize)?, form: span.form })
    }

    /// The tokens from `idx` on.
    #[must_use]
    pub fn tail(&self, idx: usize) -> Tokens<'a> {
        Tokens { text: self.text, spans: self.spans.get(idx..).unwrap_or_default() }
    }
}

impl Entry {
    /// Splits a whole entry.
    ///
    /// # Errors
    /// [`TokenError`], also for a line break outside parentheses: text that should be one entry cannot smuggle in a
    /// second one.
    pub fn parse(text: &[u8]) -> Result<Entry, TokenError> {
        let mut entry = Entry::default();
        entry.text.extend_from_slice(text);
        match entry.split()? {
            Progress::Whole => Ok(entry),
            Progress::Open => Err(entry.unfinished()),
        }
    }

    /// Empties the entry and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        self.done = 0;
        self.depth = 0;
    }

    /// The buffer to append the next line to, with its line break; then call [`Entry::split`].
    pub(crate) fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The tokens so far.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { text: &self.text, spans: &self.spans }
    }

    /// Whether the text begins with white space, so that the owner is that of the record before.
    pub(crate) fn is_indented(&self) -> bool {
        matches!(self.text.first(), Some(b' ' | b'\t'))
    }

    /// Offset in the text of the token at `idx` with its quote, or of the end of the last token for an `idx` past it.
    pub(crate) fn off(&self, idx: usize) -> usize {
        match self.spans.get(idx) {
            Some(Span { start, form: Form::Bare, .. }) => *start as usize,
            Some(span) => (span.start as usize).saturating_sub(1),
            None => self.spans.last().map_or(0, |span| span.end as usize),
        }
    }

    /// The error for an entry that is not whole at the end of the input.
    pub(crate) fn unfinished(&self) -> TokenError {
        TokenError { off: self.open_off, problem: TokenProblem::OpenParenthesis }
    }

    /// Splits what was appended since the last call.
    ///
    /// # Errors
    /// [`TokenError`] for all but [`TokenProblem::OpenParenthesis`], which only the end of the input can tell.
    pub(crate) fn split(&mut self) -> Result<Progress, TokenError> {
        let fail = |off: usize, problem: TokenProblem| Err(TokenError { off, problem });
        if self.text.len() > ENTRY_LEN_MAX {
            return fail(ENTRY_LEN_MAX, TokenProblem::Long);
        }
        let text = self.text.as_slice();
        let mut at = self.done;
        while let Some(&octet) = text.get(at) {
            match octet {
                b' ' | b'\t' => at += 1,
                b'\n' if self.depth == 0 && at + 1 < text.len() => return fail(at, TokenProblem::LineBreak),
                b'\n' => at += 1,
                b'\r' if matches!(text.get(at + 1), Some(b'\n') | None) => at += 1,
                b'\r' => return fail(at, TokenProblem::CarriageReturn),
                b';' => at = text[at..].iter().position(|&octet| octet == b'\n').map_or(text.len(), |len| at + len),
                b'(' => {
                    if self.depth == 0 {
                        self.open_off = at;
                    }
                    self.depth += 1;
                    at += 1;
                }
                b')' => {
                    self.depth = self
                        .depth
                        .checked_sub(1)
                        .ok_or(TokenError { off: at, problem: TokenProblem::StrayParenthesis })?;
                    at += 1;
                }
                b'"' => {
                    let end = quoted_end(text, at + 1).map_err(|problem| TokenError { off: at, problem })?;
                    let adjacent = at > 0 && self.spans.last().is_some_and(|span| span.end as usize == at);
                    let form = if adjacent { Form::QuotedAdjacent } else { Form::Quoted };
                    self.spans.push(span(at + 1, end, form));
                    at = end + 1;
                }
                _ => {
                    let end = bare_end(text, at)?;
                    self.spans.push(span(at, end, Form::Bare));
                    at = end;
                }
            }
        }
        self.done = at;
        Ok(if self.depth == 0 { Progress::Whole } else { Progress::Open })
    }
}

/// A span; offsets are at most [`ENTRY_LEN_MAX`], so they fit.
fn span(start: usize, end: usize, form: Form) -> Span {
    let narrow = |off: usize| u32::try_from(off).unwrap_or(u32::MAX);
    Span { start: narrow(start), end: narrow(end), form }
}

/// Offset of the quote that ends the string which starts at `at`.
fn quoted_end(text: &[u8], mut at: usize) -> Result<usize, TokenProblem> {
    loop {
        match text.get(at) {
            None | Some(b'\n') => return Err(TokenProblem::OpenQuote),
            Some(b'"') => return Ok(at),
            // An escaped line break does not continue the string: it stays an open quote.
            Some(b'\\') if text.get(at + 1) != Some(&b'\n') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Offset after the word that starts at `at`.
fn bare_end(text: &[u8], mut at: usize) -> Result<usize, TokenError> {
    /// Octets that go on with a word: all but white space and what has a meaning of its own.
    const PLAIN: [bool; 256] = {
        let mut plain = [true; 256];
        let ends = b" \t\r\n;()\"\\";
        let mut idx = 0;
        while idx < ends.len() {
            plain[ends[idx] as usize] = false;
            idx += 1;
        }
        plain
    };
    while let Some(&octet) = text.get(at) {
        if PLAIN[usize::from(octet)] {
            at += 1;
        } else if octet == b'\\' {
            if matches!(text.get(at + 1), None | Some(b'\r' | b'\n')) {
                return Err(TokenError { off: at, problem: TokenProblem::Escape });
            }
            at += 2;
        } else {
            break;
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits `text` and shows the tokens in one line: quoted ones in quotes, adjacent ones after a plus.
    fn check_split(text: &str, expected: &str) {
        let entry = Entry::parse(text.as_bytes()).unwrap();
        let tokens = entry.tokens();
        let shown: Vec<String> = (0..tokens.count())
            .map(|idx| {
                let token = tokens.at(idx).unwrap();
                let text = String::from_utf8_lossy(token.text);
                match token.form {
                    Form::Bare => text.to_string(),
                    Form::Quoted => format!("\"{text}\""),
                    Form::QuotedAdjacent => format!("+\"{text}\""),
                }
            })
            .collect();
        assert_eq!(shown.join("|"), expected, "{text:?}");
    }

    #[test]
    fn words_strings_comments_and_parentheses_are_split() {
        for (text, expected) in [
            ("", ""),
            (" \t\r\n", ""),
            ("a b\tc\r\n", "a|b|c"),
            ("a ; b", "a"),
            ("a\\;b c;d", "a\\;b|c"),
            ("a \"b c\" d", "a|\"b c\"|d"),
            ("\"b \\\" c\"", "\"b \\\" c\""),
            ("\"a;b(c)\"", "\"a;b(c)\""),
            ("\"\"", "\"\""),
            ("k=\"v w\" \"x\"\"y\"", "k=|+\"v w\"|\"x\"|\"y\""),
            ("a (b\n c ; d )\n e) f", "a|b|c|e|f"),
            ("a((b)c)d", "a|b|c|d"),
            ("( )", ""),
            ("a\\ b", "a\\ b"),
            ("\\(a\\)", "\\(a\\)"),
            ("a(\n\n\n)b\n", "a|b"),
        ] {
            check_split(text, expected);
        }
    }

    #[test]
    fn what_cannot_be_split_is_an_error_at_its_place() {
        for (text, off, problem) in [
            ("a ( b", 2, TokenProblem::OpenParenthesis),
            ("a ( b (c)", 2, TokenProblem::OpenParenthesis),
            ("a )", 2, TokenProblem::StrayParenthesis),
            ("a \"b", 2, TokenProblem::OpenQuote),
            ("a \"b\n\"", 2, TokenProblem::OpenQuote),
            ("a \"b\\\n\"", 2, TokenProblem::OpenQuote),
            ("a \"b\\", 2, TokenProblem::OpenQuote),
            ("a b\\", 3, TokenProblem::Escape),
            ("a b\\\n", 3, TokenProblem::Escape),
            ("a\rb", 1, TokenProblem::CarriageReturn),
            ("a\nb", 1, TokenProblem::LineBreak),
            ("a\n\n", 1, TokenProblem::LineBreak),
        ] {
            assert_eq!(Entry::parse(text.as_bytes()).err(), Some(TokenError { off, problem }), "{text:?}");
        }
        let long = vec![b'a'; ENTRY_LEN_MAX + 1];
        assert_eq!(Entry::parse(&long).err().map(|error| error.problem), Some(TokenProblem::Long));
    }
}
