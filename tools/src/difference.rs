//! What changed or would change in a domain, as lines `-` and `+`.
//!
//! The API tells it in two forms: the difference of an import, and the edits of a change-set. Pure.

use controlplane::change::Edit;
use controlplane::zonetext::diff::{Diff, Rrset, RrsetValue};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::printable;

/// Lines of the difference in the answer of an import.
///
/// # Errors
/// [`Failure::Unable`] if it has none.
pub(crate) fn of_import(answer: &Value, domain: &str) -> Result<String, Failure> {
    let diff = serde_json::from_value(answer["diff"].clone());
    text(&diff.map_err(|_| Failure::Unable("the server sent no difference".into()))?, domain)
}

/// Lines of the edits in `answer`; none if it has none.
///
/// # Errors
/// [`Failure::Unable`] if they are no edits.
pub(crate) fn of_edits(answer: &Value, domain: &str) -> Result<String, Failure> {
    let Some(edits) = answer.get("edits").filter(|edits| !edits.is_null()) else { return Ok(String::new()) };
    let edits: Vec<Edit> = serde_json::from_value(edits.clone())
        .map_err(|_| Failure::Unable("the server sent edits of another form".into()))?;
    let side = |side: fn(&Edit) -> Option<&controlplane::change::State>| {
        let rrset = move |edit: &Edit| {
            let state = side(edit)?;
            let records = state.records.iter().filter(|record| !record.disabled);
            let records = records.map(|record| record.content.clone()).collect();
            let value = RrsetValue { ttl: state.ttl, records };
            Some(Rrset { subname: edit.subname.clone(), rtype: edit.rtype.clone(), value })
        };
        edits.iter().filter_map(rrset).collect::<Vec<_>>()
    };
    text(&Diff::between(side(|edit| edit.before.as_ref()), side(|edit| edit.after.as_ref())), domain)
}

/// The lines.
fn text(diff: &Diff, domain: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let written = diff.write_text(&mut text, domain);
    written.map_err(|_| Failure::Unable("the difference cannot be shown".into()))?;
    // Tabs are between the fields of an export; they are control characters all the same.
    Ok(printable(&text.replace('\t', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_become_the_same_lines() {
        let before = json!({"ttl": 60, "records": ["192.0.2.1"]});
        let after = json!({"ttl": 60, "records": ["192.0.2.2"]});
        let import = json!({"diff": {"added": [], "removed": [],
            "changed": [{"subname": "www", "type": "A", "before": before, "after": after}]}});
        let expected = "-www.x.example. 60 IN A 192.0.2.1\n+www.x.example. 60 IN A 192.0.2.2\n";
        assert_eq!(of_import(&import, "x.example").unwrap(), expected);
        let content = |text: &str| json!({"ttl": 60, "records": [{"content": text}]});
        let edits = json!({"edits": [{"subname": "www", "type": "A", "before": content("192.0.2.1"),
            "after": content("192.0.2.2")}]});
        assert_eq!(of_edits(&edits, "x.example").unwrap(), expected);
        assert_eq!(of_edits(&json!({"edits": null}), "x.example").unwrap(), "");
        assert!(of_import(&json!({}), "x.example").is_err());
    }
}
