//! `dnsctl clock`: whether the control plane believes its clock, and the word of the operator that it is right.

use std::path::Path;

use crate::args::{Clock, ClockVerb};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote};
use crate::table::{Shown, columns};

/// Runs the command.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn run(args: &Clock, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let clock = match args.verb {
        ClockVerb::Show => remote.json(&Ask::get("/api/admin/clock/"))?,
        ClockVerb::Accept => remote.json(&Ask { method: Method::POST, ..Ask::get("/api/admin/clock/accept/") })?,
    };
    let fields = [("time", "time"), ("trusted", "believed"), ("mark", "latest believed"), ("doubt", "why not")];
    let count = if clock["doubt"].is_null() { fields.len() - 1 } else { fields.len() };
    output.report(&Shown::card(clock, &columns(fields)[..count]))
}
