//! House rules that no compiler checks: who imports whom, where unsafe may be, how long a file is, and what must not be
//! written at all.
//!
//! It reads the sources of the whole workspace and the module tables of `ARCHITECTURE.md`. Every rule is one test;
//! every finding is one line, `file:line: rule`. It knows Rust only as far as tokens go, so a rule is a question that
//! tokens can answer.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/tables.rs"]
mod tables;

use sources::{Source, Workspace};

/// Runs one rule over all sources and shows what it finds.
fn check_every_source(rule: impl Fn(&Source) -> Vec<String>) {
    let workspace = Workspace::read();
    assert!(workspace.sources.len() > 5, "the sources were not found");
    report(&workspace.sources.iter().flat_map(rule).collect::<Vec<_>>());
}

/// Fails if there are findings, and shows them all.
fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn crates_import_in_one_direction() {
    let workspace = Workspace::read();
    let mut findings = manifests::direction(&workspace);
    findings.extend(workspace.sources.iter().flat_map(imports::between_crates));
    report(&findings);
}

#[test]
fn modules_import_as_the_tables_of_the_architecture_say() {
    let workspace = Workspace::read();
    let tables = tables::read(&workspace.architecture);
    let mut findings = tables::check(&tables, &workspace);
    findings.extend(workspace.sources.iter().flat_map(|source| imports::between_modules(source, &tables)));
    report(&findings);
}

#[test]
fn files_have_at_most_600_lines() {
    check_every_source(rules::file_length);
}

#[test]
fn functions_have_at_most_70_lines() {
    check_every_source(rules::function_length);
}

#[test]
fn modules_begin_with_their_documentation() {
    check_every_source(rules::module_docs);
}

#[test]
fn unsafe_stays_behind_its_fence() {
    check_every_source(rules::unsafe_fence);
}

#[test]
fn tests_are_neither_ignored_nor_expected_to_panic_and_lints_are_not_allowed_away() {
    check_every_source(rules::attributes);
}

#[test]
fn nothing_is_left_to_be_done() {
    check_every_source(rules::leftovers);
}

#[test]
fn the_core_takes_no_clock_randomness_socket_file_or_database() {
    check_every_source(rules::purity);
}

#[test]
fn every_dependency_says_why() {
    report(&manifests::reasons(&Workspace::read()));
}

#[test]
fn versions_live_in_the_root_manifest() {
    report(&manifests::versions(&Workspace::read()));
}
