//! The module tables of `ARCHITECTURE.md`: under a heading `### CRATE`, rows of `module | may import`.
//!
//! A cell names modules in backticks; `everything` lifts the rule. A row speaks for all modules below its own, a deeper
//! row adds to it. Another crate is named with its modules, as `snapshot::dns`.

use super::rules::is_within;
use super::sources::{CRATES, Workspace};

/// The table of one crate.
pub(crate) struct Table {
    /// The crate.
    pub(crate) krate: String,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
}

/// One row.
pub(crate) struct Row {
    /// The module with its crate, `dataplane::engine`.
    pub(crate) module: String,
    /// The modules that it may import, each with its crate.
    pub(crate) imports: Vec<String>,
    /// The line in `ARCHITECTURE.md`.
    line: usize,
}

/// Reads all tables.
pub(crate) fn read(architecture: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut current = None;
    for (idx, line) in architecture.lines().enumerate() {
        if let Some(heading) = line.strip_prefix('#') {
            let word = heading.trim_start_matches('#').trim().trim_matches('`');
            current = CRATES.into_iter().find(|krate| *krate == word);
        }
        let (Some(krate), Some(cells)) = (current, line.strip_prefix('|')) else { continue };
        let mut cells = cells.split('|');
        let (Some(module), Some(imports)) = (cells.next().and_then(|cell| quoted(cell).pop()), cells.next()) else {
            continue;
        };
        let mut allowed: Vec<String> = quoted(imports).iter().map(|import| full(krate, import)).collect();
        if imports.contains("everything") {
            allowed.extend(CRATES.map(str::to_owned));
        }
        let row = Row { module: full(krate, &module), imports: allowed, line: idx + 1 };
        match tables.iter_mut().find(|table| table.krate == krate) {
            Some(table) => table.rows.push(row),
            None => tables.push(Table { krate: krate.to_owned(), rows: vec![row] }),
        }
    }
    tables
}

/// The words of a cell that stand in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A module with its crate; a path into another crate has it already.
fn full(krate: &str, module: &str) -> String {
    let first = module.split("::").next().unwrap_or_default();
    if CRATES.contains(&first) && first != krate { module.to_owned() } else { format!("{krate}::{module}") }
}

/// Every module has a row and every row a module.
pub(crate) fn check(tables: &[Table], workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        let Some(module) = source.module_text().filter(|module| *module != source.krate) else { continue };
        let row = tables.iter().find(|table| table.krate == source.krate).and_then(|table| table.row(&module));
        if row.is_none() {
            findings.push(source.finding(1, &format!("`{module}` has no row in a table of ARCHITECTURE.md")));
        }
    }
    let modules: Vec<String> = workspace.sources.iter().filter_map(super::sources::Source::module_text).collect();
    for row in tables.iter().flat_map(|table| &table.rows) {
        if !modules.contains(&row.module) {
            findings.push(format!("ARCHITECTURE.md:{}: there is no module `{}`", row.line, row.module));
        }
    }
    findings
}

impl Table {
    /// The index of the row that speaks for `module` or anything in it: the deepest that contains it.
    pub(crate) fn row(&self, module: &str) -> Option<usize> {
        let rows = self.rows.iter().enumerate().filter(|(_, row)| is_within(module, &row.module));
        rows.max_by_key(|(_, row)| row.module.len()).map(|(idx, _)| idx)
    }

    /// Whether a module of row `from` may import `path`.
    pub(crate) fn allows(&self, from: usize, path: &str) -> bool {
        let from = &self.rows[from].module;
        // The root of the crate and what is inside or around the module are no other module's business.
        let same_family = path == self.krate
            || self
                .row(path)
                .is_some_and(|to| is_within(from, &self.rows[to].module) || is_within(&self.rows[to].module, from));
        same_family
            || self
                .rows
                .iter()
                .filter(|row| is_within(from, &row.module))
                .flat_map(|row| &row.imports)
                .any(|import| is_within(path, import))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_their_headings() {
        let tables = read(
            "# Title\n\n| not | ours |\n\n### snapshot\n| module | may import | what |\n|---|---|---|\n| `dns` | nothing | x |\n\
             | `image` | `dns` | y |\n\n### `dataplane`\n| `run` | everything | z |\n\n## Else\n| `a` | `b` |\n",
        );
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].rows[1].module, "snapshot::image");
        assert_eq!(tables[0].rows[1].imports, ["snapshot::dns"]);
        assert_eq!(tables[1].rows[0].imports.len(), CRATES.len());
    }
}
