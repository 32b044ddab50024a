//! Rules about `Cargo.toml` files, which are read line by line: they are written one dependency a line.

use super::imports::allowed_crates;
use super::sources::{CRATES, Workspace};

/// A line of a table of dependencies.
struct Dependency<'m> {
    /// The name.
    name: &'m str,
    /// The whole line.
    text: &'m str,
    /// The line in front of it.
    above: &'m str,
    /// Its number, from 1.
    line: usize,
}

/// The dependencies of a manifest, those for tests and builds included.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let (mut inside, mut above) = (false, "");
    for (idx, text) in manifest.lines().enumerate() {
        if text.starts_with('[') {
            inside = text.trim_end().ends_with("dependencies]");
        } else if inside
            && let Some((key, _)) = text.split_once('=')
            && !text.starts_with('#')
        {
            let name = key.trim().split('.').next().unwrap_or_default();
            found.push(Dependency { name, text, above, line: idx + 1 });
        }
        above = text;
    }
    found
}

/// The path of a manifest, for messages.
fn path(krate: &str) -> String {
    if krate.is_empty() { "Cargo.toml".to_owned() } else { format!("{krate}/Cargo.toml") }
}

/// Dependencies between our crates go down only.
pub(crate) fn direction(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (krate, manifest) in workspace.manifests.iter().filter(|(krate, _)| !krate.is_empty()) {
        let upwards = dependencies(manifest).into_iter().filter(|dependency| {
            CRATES.contains(&dependency.name) && !allowed_crates(krate).contains(&dependency.name)
        });
        findings.extend(upwards.map(|Dependency { name, line, .. }| {
            format!("{}:{line}: `{krate}` must not depend on `{name}`", path(krate))
        }));
    }
    findings
}

/// In the root, a comment above each foreign dependency says why we lean on it.
pub(crate) fn reasons(workspace: &Workspace) -> Vec<String> {
    let roots = workspace.manifests.iter().filter(|(krate, _)| krate.is_empty());
    roots.flat_map(|(_, manifest)| unexplained(manifest)).collect()
}

/// The dependencies of the root that no comment explains.
fn unexplained(manifest: &str) -> Vec<String> {
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| !CRATES.contains(&dependency.name) && !dependency.above.starts_with("# "))
        .map(|Dependency { name, line, .. }| format!("Cargo.toml:{line}: a comment says why we lean on `{name}`"))
        .collect()
}

/// In members, every dependency is `NAME.workspace = true`.
pub(crate) fn versions(workspace: &Workspace) -> Vec<String> {
    let members = workspace.manifests.iter().filter(|(krate, _)| !krate.is_empty());
    members.flat_map(|(krate, manifest)| own_versions(krate, manifest)).collect()
}

/// The dependencies of a member that are not inherited.
fn own_versions(krate: &str, manifest: &str) -> Vec<String> {
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| !dependency.text.contains("workspace = true"))
        .map(|Dependency { name, line, .. }| {
            format!("{}:{line}: the version of `{name}` belongs into the root Cargo.toml", path(krate))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of manifests alone.
    fn workspace(manifests: &[(&str, &str)]) -> Workspace {
        let manifests = manifests.iter().map(|(krate, text)| ((*krate).to_owned(), (*text).to_owned())).collect();
        Workspace { sources: Vec::new(), manifests, architecture: String::new() }
    }

    #[test]
    fn dependencies_upwards_are_found() {
        let good = ("dataplane", "[dependencies]\nsnapshot.workspace = true\n");
        let bad = ("controlplane", "[dev-dependencies]\ndataplane.workspace = true\n");
        assert_eq!(direction(&workspace(&[good])).len(), 0);
        assert_eq!(direction(&workspace(&[good, bad])).len(), 1);
    }

    #[test]
    fn dependencies_without_a_reason_are_found() {
        let root = "[workspace.dependencies]\nsnapshot = { path = \"snapshot\" }\n# Why.\na = \"1\"\nb = \"1\"\n\n[profile.dev]\nx = 1\n";
        assert_eq!(reasons(&workspace(&[("", root)])).len(), 1);
    }

    #[test]
    fn versions_in_members_are_found() {
        let member = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [] }\nc = \"1\"\n";
        assert_eq!(versions(&workspace(&[("tools", member)])).len(), 1);
    }
}
