//! The command `dns-dataplane`: reads its arguments and runs the library.
//!
//! It decides nothing. Exit codes are those of [`dataplane::run`].

use std::process::ExitCode;

use clap::Parser;
use dataplane::config::Args;

/// Runs the data plane until it is told to end.
fn main() -> ExitCode {
    dataplane::run(&Args { program: Some(Vec::new()), ..Args::parse() })
}
