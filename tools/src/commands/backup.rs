//! `dnsctl backup`, `restore` and `recover`: copies of the database, and ways back to them.
//!
//! A backup is made by the running control plane; the other two want it down. Invariants: the database that was in use is
//! kept; one that lacks published changes goes back into service only with `--accept` or `recover`.

use std::path::{Path, PathBuf, absolute};

use controlplane::clock::now_us;
use controlplane::publish::Quarantine;
use controlplane::recovery::{self, Content, RecoverError, Recovered};
use controlplane::store::StoreError;
use serde_json::json;
use snapshot::handover::{LockError, explain};

use crate::args::{self, Rest, directory};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote};
use crate::table::Shown;

/// The database in the directory of the snapshots, unless it is said where.
pub(super) const STATE: &str = "state";

/// Runs `backup`.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn back_up(args: &args::Backup, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    // The control plane has another current directory.
    let file = absolute(&args.file).map_err(|cause| Failure::Unable(format!("finding the directory: {cause}")))?;
    let answer = remote.json(&Ask::with(Method::POST, "/api/admin/backup/", &json!({ "path": file })))?;
    let value = if answer.is_null() { json!({ "path": file }) } else { answer };
    output.report(&Shown { text: format!("wrote {}\n", file.display()), value })
}

/// Runs `restore`.
///
/// # Errors
/// [`Failure::Input`] if the file is no backup, [`Failure::Unable`] while a control plane runs.
pub(crate) fn restore(args: &args::Restore, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let (state, snapshots) = places(&args.rest, dir)?;
    let aside = recovery::restore(&state, &args.file, &stamp()).map_err(|error| failure(&error))?;
    let mut text = format!("restored {} to {}\n", args.file.display(), state.display());
    if let Some(aside) = &aside {
        text.push_str(&format!("the database before it is kept: {}\n", aside.display()));
    }
    text.push_str("tokens and accounts are those of the backup: delete again what was deleted since\n");
    let mut value = json!({ "restored": args.file, "kept": aside, "quarantine": null, "recovered": null });
    if let Some(cause) = recovery::examine(&state, &snapshots).map_err(|error| failure(&error))? {
        if args.accept {
            let recovered =
                recovery::recover(&state, &snapshots, Content::Database, now_us()).map_err(|error| failure(&error))?;
            if let Some(recovered) = &recovered {
                text.push_str(&told(recovered));
                value["recovered"] = document(recovered);
            }
        } else {
            text.push_str(&untrusted(&cause, &snapshots));
            value["quarantine"] = cause.to_string().into();
        }
    }
    output.report(&Shown { value, text })
}

/// Runs `recover`.
///
/// # Errors
/// [`Failure::Unable`] while a control plane runs.
pub(crate) fn recover(args: &args::Recover, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let (state, snapshots) = places(&args.rest, dir)?;
    if !state.is_dir() {
        return Err(Failure::Unable(format!("{} is not a directory", state.display())));
    }
    let content = if args.from_snapshot { Content::Snapshot } else { Content::Database };
    let shown = match recovery::recover(&state, &snapshots, content, now_us()).map_err(|error| failure(&error))? {
        Some(recovered) => Shown { text: told(&recovered), value: json!({ "recovered": document(&recovered) }) },
        None => {
            let text = "nothing to recover: the database has all that was published\n".to_owned();
            Shown { value: json!({ "recovered": null }), text }
        }
    };
    output.report(&shown)
}

/// The directories of the database and of the snapshots.
fn places(rest: &Rest, dir: Option<&Path>) -> Result<(PathBuf, PathBuf), Failure> {
    let snapshots = directory(None, dir)?.to_owned();
    if !snapshots.is_dir() {
        return Err(Failure::Unable(format!("{} is not a directory", snapshots.display())));
    }
    Ok((rest.state.clone().unwrap_or_else(|| snapshots.join(STATE)), snapshots))
}

/// What a recovery did, for people.
fn told(recovered: &Recovered) -> String {
    let Recovered { cause, change, domain_count, gone, made, keyless, unknown, returned, proved } = recovered;
    let mut text = format!("accepted: {cause}\n");
    text.push_str(&format!("{domain_count} domains will be published again when the control plane starts; "));
    text.push_str(&format!("changes go on after number {change}\n"));
    for name in gone {
        text.push_str(&format!("no longer served: {name}\n"));
    }
    for name in made {
        text.push_str(&format!("made for the operator's account: {name}\n"));
    }
    for name in keyless {
        text.push_str(&format!(
            "signed with keys that the database lacks: {name} stays in service as it is, its content was taken over and its changes \
             wait. Put back a newer backup or import its keys; or have its parent remove the DS records, then: dnsctl dnssec \
             disable --force {name}\n"
        ));
    }
    for name in returned {
        text.push_str(&format!("served again, for the database is from before its deletion: {name}\n"));
    }
    for name in unknown {
        text.push_str(&format!(
            "signed, and unknown to the database: {name} stays in service as it is. Unless it was compiled from a file its keys \
             are lost and its signatures end within 21 days: have its parent remove the DS records, then make it anew\n"
        ));
    }
    for name in proved {
        text.push_str(&format!("in service, and proved from now on: {name}\n"));
    }
    text
}

/// The same for programs.
fn document(recovered: &Recovered) -> serde_json::Value {
    let Recovered { cause, change, domain_count, gone, made, keyless, unknown, returned, proved } = recovered;
    json!({
        "cause": cause.to_string(),
        "change": change,
        "domains": domain_count,
        "gone": gone,
        "made": made,
        "keyless": keyless,
        "unknown": unknown,
        "returned": returned,
        "proved": proved,
    })
}

/// What to do with a database that will not be published.
fn untrusted(cause: &Quarantine, snapshots: &Path) -> String {
    let dir = snapshots.display();
    format!(
        "it will be readable but not published: {cause}\nto take it for the truth: dnsctl --dir {dir} recover; \
         to bring back what is in service: dnsctl --dir {dir} recover --from-snapshot\n"
    )
}

/// What an error means to the caller.
fn failure(error: &RecoverError) -> Failure {
    match error {
        RecoverError::Store(StoreError::NoBackup { .. } | StoreError::Newer { .. }) => {
            Failure::Input(error.to_string())
        }
        RecoverError::Store(StoreError::Held { .. }) | RecoverError::Lock(LockError::Held { .. }) => {
            Failure::Unable(format!("{}: stop the control plane first", explain(error)))
        }
        _ => Failure::Unable(explain(error)),
    }
}

/// The time as part of a file name, which sorts by time.
fn stamp() -> String {
    format!("{:020}", now_us())
}
