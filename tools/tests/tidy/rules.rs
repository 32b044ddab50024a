//! Rules about one file at a time.

use super::lexer::{Token, closing, tokens};
use super::sources::Source;

/// The most lines a file may have.
const FILE_LINES_MAX: usize = 600;
/// The most lines of code a function may have.
const FUNCTION_LINES_MAX: usize = 70;
/// The modules that may hold unsafe code; each carries an `expect` with the reason.
const UNSAFE_MODULES: [&str; 6] = [
    "snapshot::image::line",
    "snapshot::image::view",
    "snapshot::image::lookup",
    "snapshot::image::prefetch",
    "dataplane::engine",
    "benches::mmsg",
];
/// The modules that take values and return values.
const PURE_MODULES: [&str; 4] = ["dataplane::answer", "dataplane::guard", "dataplane::wire", "snapshot::dns"];
/// Words that reach outside of a pure module.
const IMPURE_WORDS: [&str; 20] = [
    "Instant",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "fs",
    "File",
    "OpenOptions",
    "rand",
    "getrandom",
    "thread",
    "tokio",
    "socket2",
    "rustix",
    "libc",
    "rusqlite",
    "tracing",
];
/// The one place of a pure module that may open files: `$INCLUDE`, and that only where the caller allows it.
const INCLUDE_MODULE: &str = "snapshot::dns::zonefile";

/// A file has at most 600 lines.
pub(crate) fn file_length(source: &Source) -> Vec<String> {
    let len = source.text.lines().count();
    if len <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![source.finding(len, &format!("a file has at most {FILE_LINES_MAX} lines, this one has {len}"))]
}

/// A function has at most 70 lines, comments and blank lines not counted.
pub(crate) fn function_length(source: &Source) -> Vec<String> {
    let tokens = tokens(&source.split.code);
    let mut findings = Vec::new();
    for (idx, pair) in tokens.windows(2).enumerate() {
        let named = pair[0].text == "fn" && pair[1].text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if !named {
            continue;
        }
        // A body begins at the first brace that no bracket of the signature encloses; a semicolon means there is none.
        let Some(open) = body(&tokens, idx + 2) else { continue };
        let lines = tokens[open].line..tokens[closing(&tokens, open)].line + 1;
        let len = source.split.code.lines().skip(lines.start - 1).take(lines.len());
        let len = len.filter(|line| !line.trim().is_empty()).count();
        // The lines of the two braces belong to the frame, not to the body.
        if len > FUNCTION_LINES_MAX + 2 {
            let rule = format!("a function has at most {FUNCTION_LINES_MAX} lines, `{}` has {}", pair[1].text, len - 2);
            findings.push(source.finding(pair[1].line, &rule));
        }
    }
    findings
}

/// The index of the brace that opens a function's body, from a place inside its signature.
fn body(tokens: &[Token<'_>], mut idx: usize) -> Option<usize> {
    while let Some(token) = tokens.get(idx) {
        match token.text {
            "{" => return Some(idx),
            ";" => return None,
            "(" | "[" => idx = closing(tokens, idx) + 1,
            _ => idx += 1,
        }
    }
    None
}

/// A file begins with `//!`.
pub(crate) fn module_docs(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let documented = first.strip_prefix("//!").is_some_and(|doc| !doc.trim().is_empty());
    if documented { Vec::new() } else { vec![source.finding(1, "a module begins with `//!` and what it is")] }
}

/// Unsafe code only in the listed modules.
pub(crate) fn unsafe_fence(source: &Source) -> Vec<String> {
    if source.module_text().is_some_and(|module| UNSAFE_MODULES.iter().any(|listed| is_within(&module, listed))) {
        return Vec::new();
    }
    words(source, &["unsafe"], |_| "unsafe code is only allowed in the modules that tidy lists".to_owned())
}

/// No `ignore`, `should_panic` or `allow` attributes.
pub(crate) fn attributes(source: &Source) -> Vec<String> {
    let tokens = tokens(&source.split.code);
    let mut findings = Vec::new();
    for (idx, token) in tokens.iter().enumerate() {
        let open = idx + if tokens.get(idx + 1).is_some_and(|next| next.text == "!") { 2 } else { 1 };
        if token.text != "#" || tokens.get(open).is_none_or(|bracket| bracket.text != "[") {
            continue;
        }
        // `cfg_attr(.., allow(..))` counts too, so every word inside the brackets is looked at.
        for word in &tokens[open..=closing(&tokens, open)] {
            let rule = match word.text {
                "ignore" => "a test is fixed or deleted, not ignored",
                "should_panic" => "a test looks at the error, it does not wait for a panic",
                "allow" => "a lint is expected with a reason, `#[expect(lint, reason = \"..\")]`",
                _ => continue,
            };
            findings.push(source.finding(word.line, rule));
        }
    }
    findings
}

/// Nothing is left to be done, in code or comments.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let lines = source.split.comments.lines().zip(source.split.code.lines()).enumerate();
    lines
        .filter(|(_, (comment, code))| {
            let mut words =
                comment.split(|c: char| !c.is_alphanumeric()).chain(code.split(|c: char| !c.is_alphanumeric()));
            words.any(|word| ["TODO", "FIXME", "XXX", "HACK"].contains(&word))
        })
        .map(|(idx, _)| source.finding(idx + 1, "what is to be done stands in an issue, not in the code"))
        .collect()
}

/// The core takes no clock, randomness, socket, file or database of its own.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    let Some(module) = source.module_text() else { return Vec::new() };
    if !PURE_MODULES.iter().any(|pure| is_within(&module, pure)) {
        return Vec::new();
    }
    let may_open_files = is_within(&module, INCLUDE_MODULE);
    let forbidden: Vec<&str> =
        IMPURE_WORDS.into_iter().filter(|word| !(may_open_files && ["fs", "File"].contains(word))).collect();
    words(source, &forbidden, |word| format!("`{word}` reaches outside: the core takes values and returns values"))
}

/// A finding for each place outside of tests where the code has one of `words`.
fn words(source: &Source, words: &[&str], rule: impl Fn(&str) -> String) -> Vec<String> {
    let tokens = tokens(&source.split.code);
    let tests = test_lines(&tokens);
    let found = tokens.iter().filter(|token| words.contains(&token.text) && !tests.contains(&token.line));
    found.map(|token| source.finding(token.line, &rule(token.text))).collect()
}

/// The lines of `mod tests { .. }`, which stands last in a file; empty if there is none.
pub(crate) fn test_lines(tokens: &[Token<'_>]) -> std::ops::Range<usize> {
    let start = tokens.windows(3).position(|window| {
        window[0].text == "mod" && matches!(window[1].text, "tests" | "properties") && window[2].text == "{"
    });
    start.map_or(0..0, |idx| tokens[idx].line..tokens[closing(tokens, idx + 2)].line + 1)
}

/// Whether `module` is `listed` or lies below it.
pub(crate) fn is_within(module: &str, listed: &str) -> bool {
    module.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many findings `rule` has in `text` as module `path`.
    fn count(rule: impl Fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
        rule(&Source::new(path.to_owned(), text.to_owned())).len()
    }

    #[test]
    fn long_files_and_functions_are_found() {
        assert_eq!(count(file_length, "tools/src/a.rs", &"x\n".repeat(600)), 0);
        assert_eq!(count(file_length, "tools/src/a.rs", &"x\n".repeat(601)), 1);
        let function =
            |len: usize| format!("fn f(a: [u8; 3]) -> X {{\n{}}}\nfn g();\n", "x();\n\n// why\n".repeat(len));
        assert_eq!(count(function_length, "tools/src/a.rs", &function(70)), 0);
        assert_eq!(count(function_length, "tools/src/a.rs", &function(71)), 1);
    }

    #[test]
    fn a_module_without_documentation_is_found() {
        assert_eq!(count(module_docs, "tools/src/a.rs", "//! What it is.\n"), 0);
        for text in ["", "use a;\n", "//!\n", "// What it is.\n"] {
            assert_eq!(count(module_docs, "tools/src/a.rs", text), 1, "{text:?}");
        }
    }

    #[test]
    fn unsafe_is_found_as_code_only() {
        let text = "unsafe { x() }";
        assert_eq!(count(unsafe_fence, "dataplane/src/answer/mod.rs", text), 1);
        assert_eq!(count(unsafe_fence, "dataplane/src/engine/uring.rs", text), 0);
        assert_eq!(count(unsafe_fence, "dataplane/src/engineer.rs", text), 1);
        assert_eq!(count(unsafe_fence, "dataplane/tests/x.rs", text), 1);
        assert_eq!(count(unsafe_fence, "tools/src/a.rs", "// unsafe\nlet unsafe_code = \"unsafe\";"), 0);
    }

    #[test]
    fn attributes_are_found_in_any_form() {
        for (text, findings) in [
            ("#[ignore]", 1),
            ("#[ignore = \"slow\"]", 1),
            ("#[should_panic(expected = \"x\")]", 1),
            ("#![allow(unused)]", 1),
            ("#[cfg_attr(test, allow(unused))]", 1),
            ("#[expect(unused, reason = \"allow\")]", 0),
            ("// #[ignore]", 0),
            ("fn allow() { ignore(); }", 0),
        ] {
            assert_eq!(count(attributes, "tools/src/a.rs", text), findings, "{text}");
        }
    }

    #[test]
    fn leftovers_are_found_in_comments_and_code() {
        assert_eq!(count(leftovers, "tools/src/a.rs", "// TODO: later\n/* FIXME */\nTODO!();\n"), 3);
        assert_eq!(count(leftovers, "tools/src/a.rs", "let a = \"TODO\"; // all done\n"), 0);
    }

    #[test]
    fn impure_words_are_found_outside_of_tests() {
        let text = "use std::time::Instant;\nmod tests {\n use std::fs;\n}\n";
        assert_eq!(count(purity, "dataplane/src/answer/mod.rs", text), 1);
        assert_eq!(count(purity, "dataplane/src/worker.rs", text), 0);
        assert_eq!(count(purity, "snapshot/src/dns/name.rs", "use std::fs::File;"), 2);
        assert_eq!(count(purity, "snapshot/src/dns/zonefile/include.rs", "use std::fs::File;"), 0);
        assert_eq!(count(purity, "snapshot/src/dns/zonefile/include.rs", "use std::net::TcpStream;"), 1);
    }
}
