//! `dnsctl doctor`: whether a running control plane is well, and if not, what to do.
//!
//! What it looks at is the control plane's. Invariant: the exit code is 0 exactly if nothing was found.

use std::path::Path;

use serde_json::Value;

use crate::args::Doctor;
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::remote::{Ask, Remote};
use crate::table::Shown;

/// Runs the command.
///
/// # Errors
/// [`Failure::Reported`] if something was found, and those of the control plane.
pub(crate) fn run(args: &Doctor, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let report = remote.json(&Ask::get("/api/admin/doctor/"))?;
    let is_well = report["ok"] == Value::Bool(true);
    output.report(&Shown { text: text(&report), value: report })?;
    if is_well { Ok(()) } else { Err(Failure::Reported) }
}

/// The findings, a line each, and the facts behind them.
fn text(report: &Value) -> String {
    let mut text = String::new();
    let finding = |finding: &Value| match finding {
        Value::String(text) => text.clone(),
        other => ["text", "message", "detail"]
            .iter()
            .find_map(|key| other[key].as_str())
            .map_or_else(|| other.to_string(), str::to_owned),
    };
    for line in report["findings"].as_array().into_iter().flatten().map(finding) {
        text.push_str(&format!("- {line}\n"));
    }
    if text.is_empty() && report["ok"] == Value::Bool(true) {
        text.push_str("all is well\n");
    }
    let facts = report.as_object().into_iter().flatten();
    for (key, value) in facts.filter(|(key, _)| *key != "ok" && *key != "findings") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{:12}  {value}\n", key.replace('_', " ")));
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn findings_come_before_facts() {
        let well = json!({"ok": true, "findings": [], "generation": 3});
        assert_eq!(text(&well), "all is well\ngeneration    3\n");
        let ill = json!({"ok": false, "findings": ["no data plane answers", {"text": "x"}], "disk_free": "1 GiB"});
        assert_eq!(text(&ill), "- no data plane answers\n- x\ndisk free     1 GiB\n");
    }
}
