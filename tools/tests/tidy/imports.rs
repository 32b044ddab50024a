//! Who imports whom: between crates, and between the modules of a crate by the tables of `ARCHITECTURE.md`.
//!
//! A path is looked at wherever it stands, in a `use` or in code, and is resolved as far as `crate`, `self`, `super` and
//! the names of our crates go. Paths inside `mod tests` are free: a test may build on anything of its crate.

use super::lexer::{Token, closing, tokens};
use super::rules::test_lines;
use super::sources::{CRATES, Source};
use super::tables::Table;

/// Which crates a crate may import.
pub(crate) fn allowed_crates(krate: &str) -> &'static [&'static str] {
    match krate {
        "dataplane" | "controlplane" => &["snapshot"],
        "tools" => &["snapshot", "dataplane", "controlplane"],
        "benches" => &["snapshot", "dataplane"],
        _ => &[],
    }
}

/// A path into one of our crates, as `snapshot::dns::name::Name`, and its line.
struct Reference {
    /// The path, beginning with the crate.
    path: String,
    /// The line.
    line: usize,
}

/// Imports of other crates go down only.
pub(crate) fn between_crates(source: &Source) -> Vec<String> {
    let allowed = allowed_crates(&source.krate);
    let tokens = tokens(&source.split.code);
    references(source, &tokens)
        .into_iter()
        .filter_map(|Reference { path, line }| {
            let krate = path.split("::").next().unwrap_or_default();
            let ours = krate == source.krate || allowed.contains(&krate);
            (!ours).then(|| source.finding(line, &format!("`{}` must not import `{krate}`", source.krate)))
        })
        .collect()
}

/// Imports between modules follow the tables.
pub(crate) fn between_modules(source: &Source, tables: &[Table]) -> Vec<String> {
    let Some(module) = source.module_text() else { return Vec::new() };
    let Some(table) = tables.iter().find(|table| table.krate == source.krate) else { return Vec::new() };
    // The root of a crate only puts its modules together, and tests build on anything.
    if module == source.krate || module.ends_with("::tests") || module.ends_with("::testing") {
        return Vec::new();
    }
    let Some(row) = table.row(&module) else { return Vec::new() };
    let tokens = tokens(&source.split.code);
    let tests = test_lines(&tokens);
    references(source, &tokens)
        .into_iter()
        .filter(|reference| !tests.contains(&reference.line) && !table.allows(row, &reference.path))
        .map(|Reference { path, line }| {
            source.finding(line, &format!("by ARCHITECTURE.md `{}` must not import `{path}`", table.rows[row].module))
        })
        .collect()
}

/// All paths of `source` into our crates.
fn references(source: &Source, tokens: &[Token<'_>]) -> Vec<Reference> {
    let mut found = Vec::new();
    for idx in 0..tokens.len() {
        let begins = idx == 0 || !matches!(tokens[idx - 1].text, "::" | "." | "'");
        if !begins || tokens.get(idx + 1).is_none_or(|next| next.text != "::") {
            continue;
        }
        let Some(prefix) = prefix(source, tokens, idx) else { continue };
        tree(tokens, idx + 1, &prefix, &mut found);
    }
    found
}

/// What the first segment of a path stands for; `None` if it is nothing of ours.
fn prefix(source: &Source, tokens: &[Token<'_>], idx: usize) -> Option<Vec<String>> {
    let word = tokens[idx].text;
    if CRATES.contains(&word) {
        return Some(vec![word.to_owned()]);
    }
    let module = source.module.as_ref()?;
    let mut path = vec![source.krate.clone()];
    match word {
        "crate" => Some(path),
        "self" | "super" => {
            path.extend(module.iter().cloned());
            let inline = tokens.windows(3).enumerate().filter(|(open, window)| {
                window[0].text == "mod" && window[2].text == "{" && (*open..closing(tokens, open + 2)).contains(&idx)
            });
            path.extend(inline.map(|(_, window)| window[1].text.to_owned()));
            if word == "super" {
                path.pop();
            }
            Some(path)
        }
        _ => None,
    }
}

/// Follows a path from the `::` at `idx` through groups, and adds where it leads.
fn tree(tokens: &[Token<'_>], mut idx: usize, prefix: &[String], found: &mut Vec<Reference>) {
    let mut path = prefix.to_vec();
    let line = tokens[idx].line;
    while tokens.get(idx).is_some_and(|token| token.text == "::") {
        let Some(next) = tokens.get(idx + 1) else { break };
        match next.text {
            "super" => drop(path.pop()),
            "{" => {
                group(tokens, idx + 1, &path, found);
                return;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => path.push(word.to_owned()),
            _ => break,
        }
        idx += 2;
    }
    found.push(Reference { path: path.join("::"), line });
}

/// Follows each item of the group that opens at `open`.
fn group(tokens: &[Token<'_>], open: usize, path: &[String], found: &mut Vec<Reference>) {
    let close = closing(tokens, open);
    let mut idx = open + 1;
    while idx < close {
        let mut inner = path.to_vec();
        if tokens[idx].text != "self" {
            inner.push(tokens[idx].text.to_owned());
        }
        if tokens.get(idx + 1).is_some_and(|next| next.text == "::") {
            tree(tokens, idx + 1, &inner, found);
        } else {
            found.push(Reference { path: inner.join("::"), line: tokens[idx].line });
        }
        // On to the comma of this level.
        while idx < close && tokens[idx].text != "," {
            idx = if tokens[idx].text == "{" { closing(tokens, idx) + 1 } else { idx + 1 };
        }
        idx += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    /// The paths that a text in a module refers to.
    fn paths(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path.to_owned(), text.to_owned());
        references(&source, &tokens(&source.split.code)).into_iter().map(|reference| reference.path).collect()
    }

    #[test]
    fn paths_are_resolved_through_groups_and_supers() {
        for (text, expected) in [
            ("use crate::packet::Packet;", &["dataplane::packet::Packet"][..]),
            ("use super::slot;", &["dataplane::slot"]),
            ("use self::a::b;", &["dataplane::engine::a::b"]),
            ("use super::super::x;", &["x"]),
            (
                "use snapshot::dns::{name::{Name, NameRef}, rtype::Rtype};",
                &["snapshot::dns::name::Name", "snapshot::dns::name::NameRef", "snapshot::dns::rtype::Rtype"],
            ),
            (
                "use crate::{stats::{self, Stats}, slot};",
                &["dataplane::stats", "dataplane::stats::Stats", "dataplane::slot"],
            ),
            (
                "fn f() -> crate::wire::Query<'static> { crate::stats::count(1) }",
                &["dataplane::wire::Query", "dataplane::stats::count"],
            ),
            ("mod tests { use super::*; }", &["dataplane::engine"]),
            ("use std::net::IpAddr; let x = a::snapshot::b;", &[]),
        ] {
            assert_eq!(paths("dataplane/src/engine/mod.rs", text), expected, "{text}");
        }
    }

    #[test]
    fn planes_do_not_import_each_other() {
        for (path, text, findings) in [
            ("dataplane/src/a.rs", "use controlplane::check;", 1),
            ("controlplane/src/a.rs", "fn f() { dataplane::run() }", 1),
            ("snapshot/src/a.rs", "use dataplane::packet;", 1),
            ("dataplane/tests/a.rs", "use controlplane::check;", 1),
            ("dataplane/src/main.rs", "dataplane::run()", 0),
            ("tools/src/a.rs", "use controlplane::check; use dataplane::answer;", 0),
        ] {
            let source = Source::new(path.to_owned(), text.to_owned());
            assert_eq!(between_crates(&source).len(), findings, "{path}: {text}");
        }
    }

    #[test]
    fn modules_import_what_their_row_allows() {
        let tables = tables::read(
            "### dataplane\n\n| module | may import |\n|---|---|\n| `packet` | nothing |\n| `engine` | `packet` |\n\
             | `engine::uring` | `bind` |\n| `bind` | nothing |\n| `answer` | `packet`, `snapshot::dns` |\n| `run` | everything |\n",
        );
        for (path, text, findings) in [
            ("dataplane/src/engine/mod.rs", "use crate::packet::Packet;", 0),
            ("dataplane/src/engine/mod.rs", "use crate::answer::respond;", 1),
            ("dataplane/src/engine/mod.rs", "use uring::Ring; use self::uring::Ring;", 0),
            ("dataplane/src/engine/mod.rs", "use crate::bind;", 1),
            ("dataplane/src/engine/uring.rs", "use crate::{bind, packet}; use super::Engine;", 0),
            ("dataplane/src/engine/mod.rs", "use snapshot::dns::name;", 1),
            ("dataplane/src/answer/mod.rs", "use snapshot::dns::name;", 0),
            ("dataplane/src/answer/mod.rs", "use snapshot::handover::Directory;", 1),
            ("dataplane/src/answer/mod.rs", "mod tests { use crate::engine; }", 0),
            ("dataplane/src/run.rs", "use crate::{answer, engine}; use snapshot::handover;", 0),
            ("dataplane/src/lib.rs", "use crate::answer;", 0),
        ] {
            let source = Source::new(path.to_owned(), text.to_owned());
            assert_eq!(between_modules(&source, &tables).len(), findings, "{path}: {text}");
        }
    }
}
