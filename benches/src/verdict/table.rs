//! The verdict as text for people.

use std::fmt::Write as _;

use super::{Bound, Row, Server, Spread, Verdict};

/// Columns of a load: heading, metric, digits behind the point.
const COLUMNS: [(&str, &str, usize); 10] = [
    ("CPU us/q", "cpu_us", 2),
    ("asked qps", "offered_qps", 0),
    ("lost", "lost", 0),
    ("wrong", "wrong", 0),
    ("failed", "failed", 0),
    ("p50 us", "p50_us", 0),
    ("p99 us", "p99_us", 0),
    ("p99.9 us", "p999_us", 0),
    ("start ms", "start_ms", 0),
    ("PSS MB", "pss_mb", 0),
];
/// Metrics that have a column of their own kind, or none.
const SHOWN_ELSEWHERE: [&str; 8] =
    ["qps", "cpu_to_R", "cpu_to_X", "sent", "answered", "max_us", "qps_to_R", "offered_qps"];

impl Verdict {
    /// Rows, then goals.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            // Writing to a string cannot fail.
            row.write(&mut text).unwrap_or(());
        }
        self.write_goals(&mut text).unwrap_or(());
        text
    }

    /// A line for each goal.
    fn write_goals(&self, text: &mut String) -> std::fmt::Result {
        if !self.goals.is_empty() {
            writeln!(text, "\n{:<58} {:>10} {:>12}", "goal", "measured", "bound")?;
        }
        for goal in &self.goals {
            let name = match &goal.over {
                Some(over) => format!("{} / {over}", goal.metric),
                None => goal.metric.clone(),
            };
            let bound = match goal.bound {
                Bound::Most(most) => format!("<= {most}"),
                Bound::Least(least) => format!(">= {least}"),
            };
            let (value, verdict) = match self.value(goal) {
                None => ("-".to_owned(), "MISSED (not measured)"),
                Some(value) if self.is_met(goal) => (format!("{value:.2}"), ""),
                Some(value) => (format!("{value:.2}"), "MISSED"),
            };
            writeln!(text, "{}", format!("{name:<58} {value:>10} {bound:>12} {verdict}").trim_end())?;
        }
        Ok(())
    }
}

impl Row {
    /// A heading and a line for each server.
    fn write(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "\n{:<14} {:>18} {:>20}", self.name, "CPU to R (or X)", "kqps")?;
        for (heading, _, _) in COLUMNS {
            write!(text, " {heading:>9}")?;
        }
        writeln!(text)?;
        for server in &self.servers {
            let ratio = server.spread("cpu_to_R").or_else(|| server.spread("cpu_to_X"));
            let kqps = server.spread("qps").map(|qps| qps.scaled(1e-3));
            write!(text, "{:<14} {:>18} {:>20}", server.name, shown(ratio, 2), shown(kqps, 0))?;
            for (_, metric, digits) in COLUMNS {
                let value = server.spread(metric).map(|spread| format!("{:.digits$}", spread.median));
                write!(text, " {:>9}", value.unwrap_or_default())?;
            }
            writeln!(text, "{}", server.others())?;
        }
        Ok(())
    }
}

impl Server {
    /// What has no column, by name.
    fn others(&self) -> String {
        let mut text = String::new();
        for metric in &self.metrics {
            let has_column = COLUMNS.iter().any(|(_, name, _)| *name == metric.name);
            let Some(spread) = Spread::of(&metric.samples) else { continue };
            if !has_column && !SHOWN_ELSEWHERE.contains(&metric.name.as_str()) {
                // Writing to a string cannot fail.
                write!(text, "  {} {:.2}", metric.name, spread.median).unwrap_or(());
            }
        }
        text
    }
}

impl Spread {
    /// The same in another unit.
    fn scaled(self, factor: f64) -> Spread {
        Spread { median: self.median * factor, min: self.min * factor, max: self.max * factor }
    }
}

/// `MEDIAN (MIN..MAX)`.
fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { median, min, max }| {
        format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
    })
}
