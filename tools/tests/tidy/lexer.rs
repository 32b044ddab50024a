//! Splits Rust source into code, comments and tokens, as far as rules about text need it.
//!
//! It is no parser: a string is skipped, a comment is kept apart, the rest is words and punctuation with line numbers.

/// A source with its parts apart; all three have the lines of the original.
pub(crate) struct Split {
    /// The code: comments, and the content of strings and characters, are blank.
    pub(crate) code: String,
    /// The comments: all else is blank.
    pub(crate) comments: String,
}

/// A word or a punctuation character; `::` is one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'s> {
    /// The text.
    pub(crate) text: &'s str,
    /// Its line, from 1.
    pub(crate) line: usize,
}

/// Takes code and comments apart.
pub(crate) fn split(source: &str) -> Split {
    let chars: Vec<char> = source.chars().collect();
    let mut out = Split { code: String::new(), comments: String::new() };
    let mut at = 0;
    while at < chars.len() {
        let (kind, len) = piece(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
        for &c in &chars[at..at + len] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            out.code.push(if kind == Kind::Code { c } else { blank });
            out.comments.push(if kind == Kind::Comment { c } else { blank });
        }
        at += len;
    }
    out
}

/// What a piece of source is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Code.
    Code,
    /// A comment, doc comments included.
    Comment,
    /// A string or character literal.
    Literal,
}

/// The kind and length of what `rest` begins with; `before` is the character in front of it.
fn piece(rest: &[char], before: Option<char>) -> (Kind, usize) {
    let word_before = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match *rest {
        ['/', '/', ..] => (Kind::Comment, rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
        ['"', ..] => (Kind::Literal, quoted(rest, '"')),
        ['r', '"' | '#', ..] if !word_before || before == Some('b') => match raw_string(rest) {
            Some(len) => (Kind::Literal, len),
            None => (Kind::Code, 1),
        },
        // A quote begins a character if it closes again; else it is a lifetime.
        ['\'', '\\', ..] => (Kind::Literal, quoted(rest, '\'')),
        ['\'', _, '\'', ..] => (Kind::Literal, 3),
        _ => (Kind::Code, 1),
    }
}

/// The length of a block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// The length of a literal that ends with `quote`, escapes considered.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string; `None` for a raw identifier.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hash_count = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hash_count) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hash_count)).collect();
    let body = &rest[2 + hash_count..];
    let len = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len().saturating_sub(end.len()));
    Some(2 + hash_count + len + end.len())
}

/// The tokens of `code`, which is [`Split::code`].
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (idx, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word_len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let len = match word_len {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                len => len,
            };
            tokens.push(Token { text: &rest[..len], line: idx + 1 });
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// The index of the token that closes the bracket at `open`, or the last one.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (idx, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return idx;
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_no_code() {
        for (source, code) in [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("un\"safe") g"#, r"f(          ) g"),
            ("f(r#\"un\"safe\"#) g", "f(            ) g"),
            ("br\"x\" r#type", "b     r#type"),
            ("'a' '\\'' 'static", "         'static"),
        ] {
            let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
            let split = split(source);
            assert_eq!(split.code.chars().filter(|c| !c.is_whitespace()).collect::<String>(), code, "{source}");
            assert_eq!(split.code.lines().count(), source.lines().count(), "{source}");
        }
        assert_eq!(split("x // why").comments.trim(), "// why");
    }

    #[test]
    fn tokens_are_words_and_punctuation() {
        let texts: Vec<&str> = tokens("use a::{b, c2};\nx").iter().map(|token| token.text).collect();
        assert_eq!(texts, ["use", "a", "::", "{", "b", ",", "c2", "}", ";", "x"]);
        assert_eq!(tokens("a\nb").last().map(|token| token.line), Some(2));
        assert_eq!(closing(&tokens("f(a[1]) + 2"), 1), 6);
    }
}
