//! Tables for people, and the report of a command that shows what the API sent.
//!
//! Invariant: a cell is one line, whatever it holds, and no terminal obeys it.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::Value;

use crate::output::printable;

/// What a command shows: the API's JSON for programs, text for people.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Shown {
    /// The JSON.
    pub(crate) value: Value,
    /// The text, with a line break at its end unless it is empty.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Shown {
    /// A list as a table, one row for each item; `none` is what is said of an empty one.
    pub(crate) fn table(items: Vec<Value>, columns: &[Column], none: &str) -> Shown {
        let text = if items.is_empty() { format!("{none}\n") } else { table(&items, columns) };
        Shown { value: Value::Array(items), text }
    }

    /// One thing as lines `label  value`.
    pub(crate) fn card(value: Value, columns: &[Column]) -> Shown {
        let width = columns.iter().map(|column| column.label.len()).max().unwrap_or(0);
        let line = |column: &Column| format!("{:width$}  {}\n", column.label, cell(&value, column.key));
        let text = columns.iter().map(line).collect();
        Shown { value, text }
    }
}

/// A column: where its cells are in the JSON, and what stands above them.
pub(crate) struct Column {
    /// The key.
    pub(crate) key: &'static str,
    /// The label.
    pub(crate) label: &'static str,
}

/// Columns of pairs of key and label.
pub(crate) fn columns<const N: usize>(pairs: [(&'static str, &'static str); N]) -> [Column; N] {
    pairs.map(|(key, label)| Column { key, label })
}

/// A value as one line: texts as they are, lists with blanks between, what is not there as a dash.
fn cell(item: &Value, key: &str) -> String {
    let text = match item.get(key) {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(is)) => if *is { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(items)) => {
            let word = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            items.iter().map(word).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    };
    let text = printable(&text).replace('\n', "\u{fffd}");
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A table with its labels above, columns two blanks apart, no blanks at the end of a line.
fn table(items: &[Value], columns: &[Column]) -> String {
    let head = columns.iter().map(|column| column.label.to_owned()).collect::<Vec<_>>();
    let row = |item: &Value| columns.iter().map(|column| cell(item, column.key)).collect::<Vec<_>>();
    let rows: Vec<_> = std::iter::once(head).chain(items.iter().map(row)).collect();
    let width = |idx: usize| rows.iter().map(|row| row[idx].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_aligned_and_cells_are_lines() {
        let items = vec![
            json!({"name": "a.example", "ttl": 60, "records": ["1.2.3.4", "x\ny"], "on": true}),
            json!({"name": "\u{1b}[31m", "records": []}),
        ];
        let shown =
            Shown::table(items, &columns([("name", "name"), ("ttl", "TTL"), ("on", "on"), ("records", "records")]), "");
        assert_eq!(
            shown.text,
            "name       TTL  on   records\n\
             a.example  60   yes  1.2.3.4 x\u{fffd}y\n\
             \u{fffd}[31m      -    -    -\n"
        );
        assert_eq!(Shown::table(vec![], &columns([("a", "a")]), "no domains").text, "no domains\n");
    }

    #[test]
    fn a_card_has_a_line_for_each_field() {
        let shown = Shown::card(json!({"name": "a", "n": 1}), &columns([("name", "name"), ("n", "number")]));
        assert_eq!(shown.text, "name    a\nnumber  1\n");
        assert_eq!(serde_json::to_string(&shown).unwrap(), "{\"n\":1,\"name\":\"a\"}");
    }
}
