//! The commands of `dnsctl`, one module each.
//!
//! A command takes its arguments and an `Output`, and returns a `Failure` or nothing; it never ends the process and
//! writes to no stream of its own. What several of them do alike is here.

pub(crate) mod account;
pub(crate) mod backup;
mod batch;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod compile;
pub(crate) mod dnssec;
pub(crate) mod doctor;
pub(crate) mod domain;
mod gate;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod plan;
pub(crate) mod push;
pub(crate) mod rrset;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod up;
mod zone_key;
mod zone_text;

use std::path::Path;
use std::sync::Arc;

use snapshot::dns::name::Name;
use snapshot::handover::{Directory, explain};
use snapshot::image::View;

use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Answer, Ask, Remote};

/// A name of the command line, with or without the dot at its end.
///
/// # Errors
/// [`Failure::Usage`] if it is no name.
fn parse_name(text: &str) -> Result<Name, Failure> {
    let bad = |cause: String| Failure::Usage(format!("`{text}` is not a domain name: {cause}"));
    if text.is_empty() {
        return Err(bad("it is empty".into()));
    }
    Name::parse(text.as_bytes(), Some(Name::root().as_ref())).map_err(|cause| bad(cause.to_string()))
}

/// Opens a directory of snapshots that is there.
///
/// # Errors
/// [`Failure::Unable`].
fn open_directory(path: &Path) -> Result<Directory, Failure> {
    if !path.is_dir() {
        return Err(Failure::Unable(format!("{} is not a directory", path.display())));
    }
    Directory::open(path).map_err(|cause| Failure::Unable(explain(&cause)))
}

/// Loads the generation a data plane would serve on a cold start, noting if that is not the newest.
///
/// # Errors
/// [`Failure::Input`] if none can be served.
fn load(path: &Path, output: &mut Output<'_>) -> Result<Arc<View>, Failure> {
    let loaded = open_directory(path)?.load(None).map_err(|cause| Failure::Input(explain(&cause)))?;
    let Some(loaded) = loaded else {
        return Err(Failure::Input(format!("{} holds no generation: run dnsctl compile", path.display())));
    };
    if let Some(fallback) = loaded.fallback {
        output.note(format_args!("note: {fallback}"));
    }
    Ok(loaded.view)
}

/// Sends a change to the control plane and returns the answer's JSON, noting what is to be said of it and if nothing serves it yet.
///
/// # Errors
/// Those of the control plane, and [`Failure::Input`] if the change is stored but cannot be published.
fn written(remote: &Remote, ask: &Ask<'_>, output: &mut Output<'_>) -> Result<serde_json::Value, Failure> {
    let answer = remote.send(ask)?.success()?;
    if let Some(note) = &answer.note {
        output.note(format_args!("note: {}", crate::output::printable(note)));
    }
    note_unserved(&answer, output)?;
    answer.json()
}

/// Notes that a change is stored but not served yet.
///
/// # Errors
/// [`Failure::Input`] if its zone cannot be published as it is.
fn note_unserved(answer: &Answer, output: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(cause) = &answer.refused {
        return Err(Failure::Input(format!(
            "the change is stored, but the zone cannot be published as it is and keeps what is served: {cause}. Mend that, \
             and it is published without another change; `dnsctl dnssec status ZONE` says so until then"
        )));
    }
    if answer.is_unserved {
        output.note("note: stored, but no data plane serves it yet");
    }
    Ok(())
}
