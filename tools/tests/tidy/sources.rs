//! Finds and reads the files of the workspace.
//!
//! Only what is under version control by its place: `src`, `tests` and `benches` of the members. Build
//! output is not looked at.

use std::fs;
use std::path::{Path, PathBuf};

use super::lexer::{Split, split};

/// The members, lowest first.
pub(crate) const CRATES: [&str; 5] = ["snapshot", "dataplane", "controlplane", "tools", "benches"];

/// All that the rules look at.
pub(crate) struct Workspace {
    /// The Rust sources.
    pub(crate) sources: Vec<Source>,
    /// `Cargo.toml` of the root and of each member, with the member's name; the root's is empty.
    pub(crate) manifests: Vec<(String, String)>,
    /// `ARCHITECTURE.md`.
    pub(crate) architecture: String,
}

/// One Rust source.
pub(crate) struct Source {
    /// Its path from the root, for messages.
    pub(crate) path: String,
    /// The crate.
    pub(crate) krate: String,
    /// The module inside the crate, as `["engine", "uring"]`; `None` for tests, benches and fuzz targets.
    pub(crate) module: Option<Vec<String>>,
    /// The text.
    pub(crate) text: String,
    /// The text, taken apart.
    pub(crate) split: Split,
}

impl Workspace {
    /// Reads the workspace that this test is part of.
    pub(crate) fn read() -> Workspace {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = tools.parent().expect("the crate lies in the workspace");
        let mut workspace = Workspace {
            sources: Vec::new(),
            manifests: vec![(String::new(), read(&root.join("Cargo.toml")))],
            architecture: read(&root.join("ARCHITECTURE.md")),
        };
        for krate in CRATES {
            let dir = root.join(krate);
            workspace.manifests.push((krate.to_owned(), read(&dir.join("Cargo.toml"))));
            let mut paths = Vec::new();
            for part in ["src", "tests", "benches", "fuzz/src", "fuzz/tests"] {
                walk(&dir.join(part), &mut paths);
            }
            paths.sort();
            for path in paths {
                let name = path.strip_prefix(root).expect("the walk began at the root").display().to_string();
                workspace.sources.push(Source::new(name, read(&path)));
            }
        }
        workspace
    }
}

impl Source {
    /// A source at `path`, which begins with the name of its crate.
    pub(crate) fn new(path: String, text: String) -> Source {
        let (krate, inner) = path.split_once('/').expect("a source lies in a crate");
        let module = inner.strip_prefix("src/").and_then(|inner| inner.strip_suffix(".rs")).map(|inner| {
            let mut segments: Vec<String> = inner.split('/').map(str::to_owned).collect();
            if matches!(segments.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                segments.pop();
            }
            segments
        });
        Source { krate: krate.to_owned(), module, split: split(&text), path, text }
    }

    /// The module as it is written in tables and messages: `dataplane::engine`.
    pub(crate) fn module_text(&self) -> Option<String> {
        let module = self.module.as_ref()?;
        Some(std::iter::once(&self.krate).chain(module).cloned().collect::<Vec<_>>().join("::"))
    }

    /// A finding at a line.
    pub(crate) fn finding(&self, line: usize, rule: &str) -> String {
        format!("{}:{line}: {rule}", self.path)
    }
}

/// Reads a file that must be there.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Collects the Rust files below `dir`, if there is such a directory.
fn walk(dir: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_module() {
        for (path, module) in [
            ("dataplane/src/lib.rs", Some("dataplane")),
            ("dataplane/src/engine/mod.rs", Some("dataplane::engine")),
            ("dataplane/src/engine/uring.rs", Some("dataplane::engine::uring")),
            ("dataplane/tests/scenarios.rs", None),
        ] {
            assert_eq!(Source::new(path.to_owned(), String::new()).module_text().as_deref(), module, "{path}");
        }
    }
}
