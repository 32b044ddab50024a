//! `dnsctl key` for the keys of domains: shows them, rolls them, takes keys from elsewhere.
//!
//! Invariant: of a secret only the file is known here, and it goes to the local socket alone.

use std::path::Path;

use serde_json::{Value, json};

use super::domain::canonical;
use super::zone_text;
use crate::args::{Key, KeyKind};
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Shown, columns};

/// Runs the command.
///
/// # Errors
/// Those of the control plane, and of files.
pub(super) fn run(args: &Key, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let keys = match &args.kind {
        KeyKind::Snapshot { .. } => return Ok(()),
        KeyKind::Status { name } => remote.json(&Ask::get(&path(name, "")))?,
        KeyKind::Roll { name, keytype, algorithm } => {
            let mut body = json!({});
            if let Some(keytype) = keytype {
                body["keytype"] = keytype.as_str().into();
            }
            if let Some(algorithm) = algorithm {
                body["algorithm"] = (*algorithm).into();
            }
            super::written(&remote, &Ask::with(Method::POST, &path(name, "/roll"), &body), output)?
        }
        KeyKind::Stop { name } => super::written(&remote, &Ask::delete(&path(name, "/roll")), output)?,
        KeyKind::Withdraw { name } => {
            super::written(&remote, &Ask::with(Method::POST, &path(name, "/withdraw"), &json!({})), output)?
        }
        KeyKind::DsSeen { name, tag, ttl, force } => {
            let body = json!({ "tag": tag, "ttl": ttl, "force": force });
            super::written(&remote, &Ask::with(Method::POST, &path(name, "/ds-seen"), &body), output)?
        }
        KeyKind::DsGone { name, force } => {
            let body = json!({ "force": force });
            super::written(&remote, &Ask::with(Method::POST, &path(name, "/ds-gone"), &body), output)?
        }
        KeyKind::Lifetime { name, zsk, ksk } => {
            let mut body = json!({});
            for (key, days) in [("zsk_lifetime", zsk), ("ksk_lifetime", ksk)] {
                if let Some(days) = days {
                    body[key] = lifetime(days)?;
                }
            }
            remote.json(&Ask::with(Method::PATCH, &path(name, ""), &body))?
        }
        KeyKind::Import { name, private, key, keytype, algorithm } => {
            let mut body = json!({ "private": zone_text::read(private)? });
            if let Some(key) = key {
                body["key"] = zone_text::read(key)?.into();
            }
            if let Some(keytype) = keytype {
                body["keytype"] = keytype.as_str().into();
            }
            if let Some(algorithm) = algorithm {
                body["algorithm"] = algorithm.to_string().into();
            }
            if !remote.is_local() {
                return Err(Failure::Usage("private keys go over the local socket only".into()));
            }
            let path = format!("/api/admin/domains/{}/keys/", segment(&canonical(name)));
            remote.json(&Ask::with(Method::POST, &path, &body))?
        }
        KeyKind::Export { name } => return export(&remote.json(&Ask::get(&path(name, "")))?, output),
    };
    output.report(&shown(keys))
}

/// Where the keys of a zone are.
fn path(name: &str, rest: &str) -> String {
    format!("/api/zones/{}/keys{rest}", segment(&canonical(name)))
}

/// Days of the command line: a number, or null for what the server says.
fn lifetime(text: &str) -> Result<Value, Failure> {
    if text == "default" {
        return Ok(Value::Null);
    }
    let days: Result<u32, _> = text.parse();
    days.map(Value::from).map_err(|_| Failure::Usage(format!("`{text}` is no number of days, and not `default`")))
}

/// The keys as a table, then what happens next.
fn shown(keys: Value) -> Shown {
    let fields = columns([
        ("tag", "tag"),
        ("keytype", "type"),
        ("algorithm", "algorithm"),
        ("state", "state"),
        ("since", "since"),
        ("announced", "announced"),
        ("signs", "signs zone"),
        ("wanted", "DS wanted"),
        ("ds_seen", "DS seen"),
        ("ds_gone", "DS gone"),
    ]);
    let rows = keys["keys"].as_array().cloned().unwrap_or_default();
    let mut text = Shown::table(rows, &fields, "no keys").text;
    if keys["signed"] == false && !keys["keys"].as_array().is_none_or(Vec::is_empty) {
        text.push_str("the domain is not signed; these are its keys when it is\n");
    }
    text.push_str(&lifetimes(&keys));
    let next = keys["next"].as_array().into_iter().flatten();
    if keys["signed"] == true && next.clone().next().is_none() {
        text.push_str("no rollover is under way\n");
        text.push_str(&unseen(&keys));
    }
    for next in next {
        let what = printable(next["what"].as_str().unwrap_or_default());
        text.push_str(&match next["at"].as_str() {
            Some(at) => format!("next, at {}: {what}\n", printable(at)),
            None => format!("next: {what}\n"),
        });
    }
    if let Some(note) = keys["note"].as_str() {
        text.push_str(&format!("note: {}\n", printable(note)));
    }
    Shown { value: keys, text }
}

/// After which time keys are rolled by themselves, of the types that the domain has.
fn lifetimes(keys: &Value) -> String {
    let has = |keytype: &str| keys["keys"].as_array().into_iter().flatten().any(|key| key["keytype"] == keytype);
    let mut text = String::new();
    for keytype in ["csk", "ksk", "zsk"].into_iter().filter(|keytype| has(keytype)) {
        let field = if keytype == "zsk" { "zsk_lifetime" } else { "ksk_lifetime" };
        let upper = keytype.to_ascii_uppercase();
        text.push_str(&match keys[field].as_u64() {
            None | Some(0) => format!("a {upper} is not rolled by itself\n"),
            Some(days) => format!("a {upper} is rolled by itself after {days} days\n"),
        });
    }
    text
}

/// What is to be done where nobody knows that the parent has a DS.
fn unseen(keys: &Value) -> String {
    let is_unseen = |key: &&Value| key["wanted"] == true && key["ds_seen"].is_null();
    let zone = printable(keys["zone"].as_str().unwrap_or_default());
    let lines = keys["keys"].as_array().into_iter().flatten().filter(is_unseen).map(|key| {
        format!(
            "not known whether the parent has the DS of key {tag}: give it `dnsctl dnssec ds {zone}`, then \
             `dnsctl key ds-seen {zone} {tag}`\n",
            tag = key["tag"]
        )
    });
    lines.collect()
}

/// The DNSKEY records, as lines of a zone file.
fn export(keys: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let zone = keys["zone"].as_str().unwrap_or_default();
    let records: Vec<&str> =
        keys["keys"].as_array().into_iter().flatten().filter_map(|key| key["dnskey"].as_str()).collect();
    let lines: String = records.iter().map(|dnskey| format!("{zone}. IN DNSKEY {dnskey}\n")).collect();
    output.report(&Shown { text: printable(&lines), value: json!({ "zone": zone, "dnskey": records }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key as the API has it.
    fn key(keytype: &str, state: &str, wanted: bool) -> Value {
        json!({ "tag": 7, "keytype": keytype, "algorithm": 13, "state": state, "since": "2026-11-22T10:00:00Z",
            "announced": true, "signs": true, "wanted": wanted, "ds_seen": null, "ds_gone": null })
    }

    /// What is said below the table.
    fn said(signed: bool, keys: &[Value], next: &Value) -> String {
        let keys = json!({ "zone": "a.example", "signed": signed, "keys": keys, "next": next, "zsk_lifetime": 90,
            "ksk_lifetime": 0 });
        let text = shown(keys).text;
        text.lines().filter(|line| !line.starts_with("tag") && !line.starts_with("7 ")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_state_of_a_domain_is_told_with_what_to_do() {
        assert_eq!(said(true, &[], &json!([])), "no keys\nno rollover is under way");
        assert_eq!(
            said(true, &[key("csk", "active", true)], &json!([])),
            "a CSK is not rolled by itself\nno rollover is under way\nnot known whether the parent has the DS of key 7: \
             give it `dnsctl dnssec ds a.example`, then `dnsctl key ds-seen a.example 7`"
        );
        assert_eq!(
            said(false, &[key("csk", "active", false)], &json!([])),
            "the domain is not signed; these are its keys when it is\na CSK is not rolled by itself"
        );
        let next = json!([{ "at": "2026-11-23T10:00:00Z", "what": "sign with 8" }, { "at": null, "what": "waits" }]);
        assert_eq!(
            said(true, &[key("ksk", "active", true), key("zsk", "active", false)], &next),
            "a KSK is not rolled by itself\na ZSK is rolled by itself after 90 days\n\
             next, at 2026-11-23T10:00:00Z: sign with 8\nnext: waits"
        );
    }
}
