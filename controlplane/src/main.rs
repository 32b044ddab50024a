//! `dns-controlplane`: parses its arguments and runs [`controlplane::run`]. Everything else is in the library, because
//! `dnsctl up` runs the same code under its own name.

use std::process::ExitCode;

use clap::Parser;

/// Runs the control plane until it is told to stop.
fn main() -> ExitCode {
    controlplane::run(controlplane::config::Args::parse())
}
