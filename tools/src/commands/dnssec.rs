//! `dnsctl dnssec`: has domains signed or not, and shows keys and DS records.

use std::path::Path;

use serde_json::{Value, json};

use super::domain::canonical;
use crate::args::{Denial, Dnssec, DnssecVerb, Layout};
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Shown, columns};

/// Runs the command.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn run(args: &Dnssec, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let shown = match &args.verb {
        DnssecVerb::Enable { name, denial, keys, algorithm, force } => {
            let mut ask = json!({ "force": force });
            if let Some(denial) = denial {
                ask["denial"] = match denial {
                    Denial::Nsec => "nsec",
                    Denial::Nsec3 => "nsec3",
                    Denial::OptOut => "opt-out",
                }
                .into();
            }
            if let Some(keys) = keys {
                ask["keys"] = if matches!(keys, Layout::Csk) { "csk" } else { "split" }.into();
            }
            if let Some(algorithm) = algorithm {
                ask["algorithm"] = (*algorithm).into();
            }
            card(super::written(&remote, &Ask::with(Method::POST, &path(name), &ask), output)?)
        }
        DnssecVerb::Disable { name, force } => {
            let path = format!("{}{}", path(name), if *force { "?force=true" } else { "" });
            let ended = super::written(&remote, &Ask::delete(&path), output)?;
            output.note("note: resolvers that have a DS of the domain, from its parent or their cache, find it bogus from now on");
            card(ended)
        }
        DnssecVerb::Status { name } => card(remote.json(&Ask::get(&path(name)))?),
        DnssecVerb::Signal { host } => signal(&remote, host, output)?,
        DnssecVerb::Ds { name } => {
            let keys = format!("/api/zones/{}/keys", segment(&canonical(name)));
            let signing = remote.json(&Ask::get(&path(name)))?;
            if let Some(from) = signing["ds_from"].as_str() {
                output.note(format!("note: {}", not_before(from)));
            }
            ds(name, &remote.json(&Ask::get(&keys))?)
        }
    };
    output.report(&shown)
}

/// Makes the signed domain in which a name server vouches for others, as far as it is not there, and tells what its parent
/// needs.
fn signal(remote: &Remote, host: &str, output: &mut Output<'_>) -> Result<Shown, Failure> {
    let name = format!("_signal.{}", canonical(host));
    let path = path(&name);
    let found = remote.send(&Ask::get(&path))?;
    if found.status == 404 {
        super::written(remote, &Ask::with(Method::POST, "/api/v1/domains/", &json!({ "name": name })), output)?;
    } else {
        found.success()?;
    }
    let mut signing = remote.json(&Ask::get(&path))?;
    if signing["signed"] != json!(true) {
        signing = super::written(remote, &Ask::with(Method::POST, &path, &json!({})), output)?;
    }
    if let Some(from) = signing["ds_from"].as_str() {
        output.note(format!("note: {}", not_before(from)));
    }
    let ns = remote.json(&Ask::get(&super::domain::path(&name, "rrsets/@/NS/")))?;
    let lines = |rtype: &str, records: &[String]| {
        records.iter().map(|record| format!("{name}. IN {rtype} {record}\n")).collect::<String>()
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let servers: Vec<String> = texts(&ns["records"]).filter_map(text).collect();
    let ds: Vec<String> = texts(&signing["keys"]).flat_map(|key| texts(&key["ds"])).filter_map(text).collect();
    let text = [lines("NS", &servers), lines("DS", &ds)].concat();
    Ok(Shown { text: printable(&text), value: json!({ "zone": signing["zone"], "ns": servers, "ds": ds }) })
}

/// Where a zone's signing is.
fn path(name: &str) -> String {
    format!("/api/zones/{}/dnssec", segment(&canonical(name)))
}

/// How a zone is signed, then its keys, each with its DS records.
fn card(signing: Value) -> Shown {
    let fields = columns([("zone", "zone"), ("signed", "signed"), ("denial", "denial"), ("refused", "not served")]);
    let count = if signing["refused"].is_null() { fields.len() - 1 } else { fields.len() };
    let mut lines = String::new();
    for key in texts(&signing["keys"]) {
        lines.push_str(&format!("key     {} ({})\n", word(key, "dnskey"), word(key, "keytype")));
        for ds in texts(&key["ds"]) {
            lines.push_str(&format!("  DS    {}\n", ds.as_str().unwrap_or_default()));
        }
    }
    if let Some(from) = signing["ds_from"].as_str() {
        lines.push_str(&format!("{}\n", not_before(from)));
    }
    for (key, word) in [("signals", "signal "), ("signals_too_long", "name too long for a signal:")] {
        for name in texts(&signing[key]) {
            lines.push_str(&format!("{word} {}\n", name.as_str().unwrap_or_default()));
        }
    }
    if let Some(note) = signing["note"].as_str() {
        lines.push_str(&format!("note: {note}\n"));
    }
    let mut shown = Shown::card(signing, &fields[..count]);
    shown.text.push_str(&printable(&lines));
    shown
}

/// What is said of DS records that the parent should not have yet.
fn not_before(from: &str) -> String {
    format!(
        "the parent may have DS records from {} on: caches may hold what was not signed until then",
        printable(from)
    )
}

/// The DS records that the parent should have, as lines of a zone file.
fn ds(name: &str, keys: &Value) -> Shown {
    let wanted = texts(&keys["keys"]).filter(|key| keys["signed"] == true && key["wanted"] == true);
    let records: Vec<&str> = wanted.flat_map(|key| texts(&key["ds"])).filter_map(Value::as_str).collect();
    let owner = format!("{}.", canonical(name));
    let lines: String = records.iter().map(|ds| format!("{owner} IN DS {ds}\n")).collect();
    Shown { text: printable(&lines), value: json!({ "zone": canonical(name), "ds": records }) }
}

/// The items of a list.
fn texts(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text of an object; a dash where there is none.
fn word<'v>(object: &'v Value, key: &str) -> &'v str {
    object[key].as_str().unwrap_or("-")
}
