//! `dnsctl rrset`: shows and changes RRsets.
//!
//! Invariant: records that are added or deleted one by one are so on the state that was read; if somebody else changes
//! the RRset meanwhile, it is read again.

use std::path::Path;

use serde_json::{Value, json};

use super::domain::path;
use crate::args::{Records, Rrset, RrsetVerb};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Shown, columns};

/// The TTL of a new RRset when none is given, in seconds.
const TTL_DEFAULT: u32 = 3600;
/// How often an RRset is read again because somebody else changed it.
const ATTEMPT_COUNT_MAX: usize = 5;

/// Runs the command.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn run(args: &Rrset, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let shown = match &args.verb {
        RrsetVerb::Get { domain, subname, rtype } => get(&remote, domain, subname.as_deref(), rtype.as_deref())?,
        RrsetVerb::Set(records) => shown(set(&remote, records, output)?),
        RrsetVerb::Add(records) => shown(add(&remote, records, output)?),
        RrsetVerb::Rm { domain, subname, rtype, records } => {
            remove(&remote, &(domain, subname, rtype), records, output)?
        }
    };
    output.report(&shown)
}

/// A list of RRsets as a table.
fn table(rrsets: Vec<Value>) -> Shown {
    Shown::table(
        rrsets,
        &columns([("name", "name"), ("ttl", "TTL"), ("type", "type"), ("shown", "records")]),
        "no RRsets",
    )
}

/// RRsets, each record on a line of its own.
fn listed(rrsets: Vec<Value>) -> Shown {
    let rows = rrsets.iter().flat_map(|rrset| {
        let records = rrset["records"].as_array().cloned().unwrap_or_default();
        records.into_iter().map(|record| {
            let mut row = rrset.clone();
            row["shown"] = record;
            row
        })
    });
    let text = table(rows.collect()).text;
    Shown { value: Value::Array(rrsets), text }
}

/// One RRset.
fn shown(rrset: Value) -> Shown {
    let text = listed(vec![rrset.clone()]).text;
    Shown { value: rrset, text }
}

/// Owner and type as the API has them.
fn key(subname: &str, rtype: &str) -> (String, String) {
    let subname = if subname == "@" { String::new() } else { subname.to_ascii_lowercase() };
    (subname, rtype.to_ascii_uppercase())
}

/// The path of one RRset.
fn path_of(domain: &str, subname: &str, rtype: &str) -> String {
    let (subname, rtype) = key(subname, rtype);
    let subname = if subname.is_empty() { "@".to_owned() } else { segment(&subname) };
    path(domain, &format!("rrsets/{subname}/{}/", segment(&rtype)))
}

/// Shows RRsets.
fn get(remote: &Remote, domain: &str, subname: Option<&str>, rtype: Option<&str>) -> Result<Shown, Failure> {
    match (subname, rtype) {
        (Some(subname), Some(rtype)) => Ok(shown(remote.json(&Ask::get(&path_of(domain, subname, rtype)))?)),
        (Some(subname), None) => {
            let (subname, _) = key(subname, "");
            Ok(listed(remote.list(&path(domain, &format!("rrsets/?subname={}", segment(&subname))))?))
        }
        (None, _) => Ok(listed(remote.list(&path(domain, "rrsets/"))?)),
    }
}

/// What is stored of an RRset, with its entity tag.
fn stored(remote: &Remote, path: &str) -> Result<Option<(Value, Option<String>)>, Failure> {
    let answer = remote.send(&Ask::get(path))?;
    if answer.status == 404 {
        return Ok(None);
    }
    let answer = answer.success()?;
    Ok(Some((answer.json()?, answer.etag)))
}

/// Makes an RRset what is given.
fn set(remote: &Remote, records: &Records, output: &mut Output<'_>) -> Result<Value, Failure> {
    let (subname, rtype) = key(&records.subname, &records.rtype);
    let ttl = match records.ttl {
        Some(ttl) => ttl.into(),
        None => match stored(remote, &path_of(&records.domain, &subname, &rtype))? {
            Some((rrset, _)) => rrset["ttl"].clone(),
            None => TTL_DEFAULT.into(),
        },
    };
    let item = json!({ "subname": subname, "type": rtype, "ttl": ttl, "records": records.records });
    // The list takes an RRset whether it is there or not; its errors stand at the place of the item.
    let list = path(&records.domain, "rrsets/");
    let made = super::written(remote, &Ask::with(Method::PUT, &list, &json!([item])), output)?;
    Ok(made.get(0).cloned().unwrap_or(made))
}

/// Adds records.
fn add(remote: &Remote, new: &Records, output: &mut Output<'_>) -> Result<Value, Failure> {
    let path = path_of(&new.domain, &new.subname, &new.rtype);
    for _ in 0..ATTEMPT_COUNT_MAX {
        let Some((rrset, etag)) = stored(remote, &path)? else { return set(remote, new, output) };
        let mut records: Vec<Value> = rrset["records"].as_array().cloned().unwrap_or_default();
        let missing: Vec<Value> =
            new.records.iter().map(|text| json!(text)).filter(|new| !records.contains(new)).collect();
        records.extend(missing);
        let mut body = json!({ "records": records });
        if let Some(ttl) = new.ttl {
            body["ttl"] = ttl.into();
        }
        if let Some(done) = changed(remote, &path, &body, etag.as_deref(), output)? {
            return Ok(done);
        }
    }
    Err(contended())
}

/// Deletes an RRset or records of it.
fn remove(
    remote: &Remote,
    rrset: &(&String, &String, &String),
    gone: &[String],
    output: &mut Output<'_>,
) -> Result<Shown, Failure> {
    let path = path_of(rrset.0, rrset.1, rrset.2);
    for _ in 0..ATTEMPT_COUNT_MAX {
        let missing = || Failure::Input("No RRset matches the given query.".into());
        let (found, etag) = stored(remote, &path)?.ok_or_else(missing)?;
        let before = found["records"].as_array().cloned().unwrap_or_default();
        if let Some(unknown) = gone.iter().find(|text| !before.contains(&json!(text))) {
            return Err(Failure::Input(format!("the RRset has no record `{unknown}`; it is compared as it is shown")));
        }
        let rest: Vec<Value> = before.into_iter().filter(|record| !gone.iter().any(|text| record == text)).collect();
        if gone.is_empty() || rest.is_empty() {
            let ask = Ask { if_match: etag.as_deref(), ..Ask::delete(&path) };
            let answer = remote.send(&ask)?;
            if answer.status == 412 {
                continue;
            }
            super::note_unserved(&answer.success()?, output)?;
            return Ok(Shown { text: String::new(), value: json!({ "deleted": found }) });
        }
        if let Some(done) = changed(remote, &path, &json!({ "records": rest }), etag.as_deref(), output)? {
            return Ok(shown(done));
        }
    }
    Err(contended())
}

/// Changes an RRset that is as it was read; `None` if it is not.
fn changed(
    remote: &Remote,
    path: &str,
    body: &Value,
    etag: Option<&str>,
    output: &mut Output<'_>,
) -> Result<Option<Value>, Failure> {
    let ask = Ask { if_match: etag, ..Ask::with(Method::PATCH, path, body) };
    let answer = remote.send(&ask)?;
    if answer.status == 412 {
        return Ok(None);
    }
    let answer = answer.success()?;
    super::note_unserved(&answer, output)?;
    answer.json().map(Some)
}

/// The failure of having been overtaken too often.
fn contended() -> Failure {
    Failure::Unable("somebody else keeps changing the RRset; try again".into())
}
