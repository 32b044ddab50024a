//! `dnsctl plan` and `dnsctl apply`: a domain as a file that people keep under version control.
//!
//! Invariant: `plan` ends with 2 if `apply` would change something, and with 0 if not.

use std::path::Path;

use super::zone_text::ZoneText;
use crate::args::{Apply, Plan};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Remote;

/// Runs `plan`.
///
/// # Errors
/// [`Failure::Differs`], and those of the control plane and the file.
pub(crate) fn plan(args: &Plan, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir).map_err(not_usage)?;
    let zone = ZoneText::read(&args.file, args.origin.as_deref()).map_err(not_usage)?;
    let outcome = zone.plan(&remote, "replace")?;
    output.report(&outcome.shown)?;
    if outcome.differs { Err(Failure::Differs) } else { Ok(()) }
}

/// A wrong command line of `plan` must not be taken for a difference.
fn not_usage(failure: Failure) -> Failure {
    match failure {
        Failure::Usage(message) => Failure::Input(message),
        other => other,
    }
}

/// Runs `apply`.
///
/// # Errors
/// Those of the control plane and the file.
pub(crate) fn apply(args: &Apply, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let zone = ZoneText::read(&args.file, args.origin.as_deref())?;
    let outcome = zone.apply(&remote, "replace", &args.force, output)?;
    output.report(&outcome.shown)
}
