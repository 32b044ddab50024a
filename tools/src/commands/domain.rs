//! `dnsctl domain`: makes, lists, shows, deletes, exports and imports domains, tells their history and takes changes back.

use std::path::Path;

use serde_json::{Value, json};

use super::zone_text::{self, Outcome};
use crate::args::{Domain, DomainVerb, Import, Mode};
use crate::difference;
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Shown, columns};

/// How many deleted domains are asked for at once.
const PAGE_LEN: usize = 500;

/// Runs the command.
///
/// # Errors
/// Those of the control plane, and of files.
pub(crate) fn run(args: &Domain, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let shown = match &args.verb {
        DomainVerb::Add { name, zonefile, replace_file_zone } => {
            let mut body = json!({ "name": canonical(name) });
            if let Some(file) = zonefile {
                body["zonefile"] = zone_text::read(file)?.into();
            }
            // A file that is signed is not to become a domain that is not without a word.
            let path = format!("/api/v1/domains/?replace_file_zone={replace_file_zone}&refuse_signed=true");
            card(super::written(&remote, &Ask::with(Method::POST, &path, &body), output)?)
        }
        DomainVerb::List => {
            let fields = columns([
                ("name", "name"),
                ("minimum_ttl", "least TTL"),
                ("created", "created"),
                ("touched", "touched"),
                ("published", "published"),
            ]);
            Shown::table(remote.list("/api/v1/domains/")?, &fields, "no domains")
        }
        DomainVerb::Show { name } => card(remote.json(&Ask::get(&path(name, "")))?),
        DomainVerb::Rm { name } => {
            // The API takes the deletion of nothing for a success; to people a name that is wrong must be told.
            remote.json(&Ask::get(&path(name, "")))?;
            super::written(&remote, &Ask::delete(&path(name, "")), output)?;
            Shown { text: String::new(), value: json!({ "deleted": canonical(name) }) }
        }
        DomainVerb::Deleted => deleted(&remote)?,
        DomainVerb::Revive { name, change, replace_file_zone } => {
            let change = match change {
                Some(change) => *change,
                None => last_deletion(&remote, name)?,
            };
            let query = if *replace_file_zone { "?replace_file_zone=true" } else { "" };
            let path = format!("/api/v1/restore/{change}/{query}");
            card(super::written(&remote, &Ask::with(Method::POST, &path, &json!({})), output)?)
        }
        DomainVerb::Export { name, out } => return export(&remote, name, out.as_deref(), output),
        DomainVerb::Import(import) => return take(&remote, import, output),
        DomainVerb::History { name, limit, before } => {
            let before = before.map_or(String::new(), |before| format!("&before={before}"));
            let changes = remote.json(&Ask::get(&path(name, &format!("history/?limit={limit}{before}"))))?;
            history(changes, &canonical(name))?
        }
        DomainVerb::Verify { name, reason, .. } => card(verify(&remote, name, reason.as_deref(), output)?),
        DomainVerb::Undo { name, change } => {
            let path = path(name, &format!("history/{change}/undo/"));
            way_back(&remote, name, &Ask::with(Method::POST, &path, &json!({})), output)?
        }
        DomainVerb::Restore { name, change, time, dry_run } => {
            let mut body = json!({ "dry_run": dry_run });
            match (change, time) {
                (Some(change), _) => body["change"] = (*change).into(),
                (None, time) => body["time"] = json!(time),
            }
            way_back(&remote, name, &Ask::with(Method::POST, &path(name, "restore/"), &body), output)?
        }
    };
    output.report(&shown)
}

/// The name as the API has it: lower case, no dot at the end.
pub(super) fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix('.').map_or(name.clone(), str::to_owned)
}

/// The path of something below a domain.
pub(super) fn path(name: &str, below: &str) -> String {
    format!("/api/v1/domains/{}/{below}", segment(&canonical(name)))
}

/// The domains that can be made again, all pages of them.
fn deleted(remote: &Remote) -> Result<Shown, Failure> {
    let mut items: Vec<Value> = Vec::new();
    loop {
        let before = items.last().and_then(|item| item["change"].as_u64());
        let before = before.map_or(String::new(), |change| format!("&before={change}"));
        let page = remote.json(&Ask::get(&format!("/api/v1/restore/?limit={PAGE_LEN}{before}")))?;
        let page = page.as_array().cloned().unwrap_or_default();
        let is_last = page.len() < PAGE_LEN;
        items.extend(page);
        if is_last {
            break;
        }
    }
    let fields = columns([
        ("domain", "name"),
        ("change", "change"),
        ("deleted", "deleted"),
        ("kept_until", "name kept until"),
        ("signed", "signed"),
    ]);
    Ok(Shown::table(items, &fields, "no deleted domains"))
}

/// The number of the change that deleted a domain last.
fn last_deletion(remote: &Remote, name: &str) -> Result<u64, Failure> {
    let name = canonical(name);
    let found = remote.json(&Ask::get(&format!("/api/v1/restore/?domain={}", segment(&name))))?;
    let missing =
        || Failure::Input(format!("{name} was not deleted, or the name is taken again: see dnsctl domain deleted"));
    found[0]["change"].as_u64().ok_or_else(missing)
}

/// Has a domain published: on the operator's word if there is a reason, else if it is proved.
fn verify(remote: &Remote, name: &str, reason: Option<&str>, output: &mut Output<'_>) -> Result<Value, Failure> {
    let Some(reason) = reason else {
        return super::written(remote, &Ask::with(Method::POST, &path(name, "verify/"), &json!({})), output);
    };
    let path = format!("/api/admin/domains/{}/verify/", segment(&canonical(name)));
    super::written(remote, &Ask::with(Method::POST, &path, &json!({ "reason": reason })), output)
}

/// One domain, and what is missing until it is served.
fn card(domain: Value) -> Shown {
    let mut missing = String::new();
    for proof in domain["verification"]["proofs"].as_array().into_iter().flatten() {
        let word = |key: &str| proof[key].as_str().unwrap_or_default();
        let begin = if missing.is_empty() { "not served until one of these is found:\n" } else { "" };
        missing.push_str(&format!("{begin}  {} {} {}\n", word("name"), word("type"), word("content")));
    }
    let fields = columns([
        ("name", "name"),
        ("minimum_ttl", "least TTL"),
        ("created", "created"),
        ("touched", "touched"),
        ("published", "published"),
    ]);
    let mut shown = Shown::card(domain, &fields);
    shown.text.push_str(&crate::output::printable(&missing));
    shown
}

/// Writes the zone file, which has no JSON form, to standard output or a file.
fn export(remote: &Remote, name: &str, out: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let zone = remote.send(&Ask::get(&path(name, "zonefile/")))?.success()?.into_body();
    let Some(file) = out else {
        if output.format == crate::output::Format::Json {
            let text = String::from_utf8_lossy(&zone).into_owned();
            return output.report(&Shown { value: json!({ "zonefile": text }), text: String::new() });
        }
        return output.out.write_all(&zone).and_then(|()| output.out.flush()).map_err(|e| Failure::of_output(&e));
    };
    let written = std::fs::write(file, &zone);
    written.map_err(|cause| Failure::Unable(format!("writing {}: {cause}", file.display())))?;
    output.report(&Shown { value: json!({ "file": file, "bytes": zone.len() }), text: String::new() })
}

/// Takes a zone file into a domain, or makes the domain of it.
fn take(remote: &Remote, import: &Import, output: &mut Output<'_>) -> Result<(), Failure> {
    let (name, file) = match import.words.as_slice() {
        [name, file] => (Some(name.as_str()), Path::new(file)),
        [file] => (None, Path::new(file)),
        _ => return Err(Failure::Usage("a zone file is needed".into())),
    };
    let mode = match import.mode {
        Mode::Replace => "replace",
        Mode::Merge => "merge",
    };
    let zone = zone_text::ZoneText::read(file, name)?;
    let outcome =
        if import.dry_run { zone.plan(remote, mode)? } else { zone.apply(remote, mode, &import.force, output)? };
    let Outcome { shown, .. } = outcome;
    output.report(&shown)
}

/// Changes with the lines that they changed.
fn history(changes: Value, domain: &str) -> Result<Shown, Failure> {
    let mut text = String::new();
    for change in changes.as_array().into_iter().flatten() {
        let word = |key: &str| change.get(key).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        let by = &change["by"];
        let who = by["token"].as_str().map_or_else(|| "the operator".to_owned(), |id| format!("token {id}"));
        let via = by["via"].as_str().map(|via| format!(" via {via}")).unwrap_or_default();
        let [id, at, kind, serial] = ["id", "at", "kind", "serial"].map(|key| word(key).unwrap_or_default());
        text.push_str(&format!("change {id}  {at}  {kind}, serial {serial}, by {who}{via}\n"));
        if let Some(note) = change["note"].as_str() {
            text.push_str(&format!("  reason: {note}\n"));
        }
        for line in difference::of_edits(change, domain)?.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if text.is_empty() {
        text.push_str("no changes\n");
    }
    Ok(Shown { value: changes, text: crate::output::printable(&text) })
}

/// Takes changes back, and shows what that changed or would change.
fn way_back(remote: &Remote, name: &str, ask: &Ask<'_>, output: &mut Output<'_>) -> Result<Shown, Failure> {
    let outcome = super::written(remote, ask, output)?;
    let mut text = difference::of_edits(&outcome, &canonical(name))?;
    match outcome["change"].as_u64() {
        Some(change) => text.push_str(&format!("change {change}\n")),
        None if text.is_empty() => text.push_str("nothing to change\n"),
        None => text.push_str("nothing was changed\n"),
    }
    Ok(Shown { value: outcome, text })
}
