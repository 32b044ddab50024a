//! `dnsctl`, the operator's tool: changes accounts, tokens, domains and RRsets through a control plane, compiles and checks
//! zone files, looks into snapshots, talks to running data planes, and starts both processes for a first try.
//!
//! Not here: any rule of DNS. Each command is a module of `commands` that takes its arguments and an [`Output`] and
//! returns a [`Failure`] or nothing; this file only maps that to the exit codes of the help text.

mod args;
mod client;
mod commands;
mod difference;
mod dig;
mod failure;
mod offline;
mod output;
mod progress;
mod remote;
mod table;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;
use output::{Format, Output, Paint};

/// Parses the command line, runs the command, and reports what failed.
fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &words),
    };
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let paint = Paint::of_terminal(io::stderr().is_terminal());
    let mut output = Output { format: cli.format(), paint, out: &mut out, err: &mut err };
    let ended = run(&cli, &mut output);
    if let Err(failure) = ended {
        return output.fail(&failure);
    }
    drop(out);
    match cli.command {
        Command::Dataplane(child) => {
            // Its trial loads are children of this process, by the same hidden command.
            let program = commands::up::child::program("__dataplane");
            let args = dataplane::config::Args { program: Some(program), ..child.args };
            commands::up::child::run(child.parent, || dataplane::run(&args))
        }
        Command::Controlplane(child) => commands::up::child::run(child.parent, || controlplane::run(child.args)),
        _ => ExitCode::SUCCESS,
    }
}

/// Runs the command; the processes below `up` do nothing here.
fn run(cli: &Cli, output: &mut Output<'_>) -> Result<(), Failure> {
    let dir = cli.dir.as_deref();
    match &cli.command {
        Command::Compile(args) => commands::compile::run(args, dir, output),
        Command::Check(args) => commands::check::run(args, output),
        Command::Inspect(args) => commands::inspect::run(args, dir, output),
        Command::Key(args) => commands::key::run(args, dir, output),
        Command::Lookup(args) => commands::lookup::run(args, dir, output),
        Command::Push(args) => commands::push::run(args, dir, output),
        Command::Status(args) => commands::status::run(args, dir, output),
        Command::Up(args) => commands::up::run(args, dir, output),
        Command::Account(args) => commands::account::run(args, dir, output),
        Command::Token(args) => commands::token::run(args, dir, output),
        Command::Clock(args) => commands::clock::run(args, dir, output),
        Command::Dnssec(args) => commands::dnssec::run(args, dir, output),
        Command::Domain(args) => commands::domain::run(args, dir, output),
        Command::Rrset(args) => commands::rrset::run(args, dir, output),
        Command::Plan(args) => commands::plan::plan(args, dir, output),
        Command::Apply(args) => commands::plan::apply(args, dir, output),
        Command::Backup(args) => commands::backup::back_up(args, dir, output),
        Command::Restore(args) => commands::backup::restore(args, dir, output),
        Command::Recover(args) => commands::backup::recover(args, dir, output),
        Command::Doctor(args) => commands::doctor::run(args, dir, output),
        Command::Dataplane(_) | Command::Controlplane(_) => Ok(()),
    }
}

/// Reports a command line that cannot be understood, or prints the help that was asked for.
fn refuse(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let exit = if args::is_plan(words) { Failure::Input(String::new()) } else { Failure::Usage(String::new()) };
    let json = words.iter().any(|word| word == "--json");
    if error.use_stderr() && json {
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        let message = line.strip_prefix("error: ").unwrap_or(line).to_owned();
        let (mut out, mut err) = (io::stdout().lock(), io::stderr());
        let mut output = Output { format: Format::Json, paint: Paint::Plain, out: &mut out, err: &mut err };
        return output.fail(&match exit {
            Failure::Input(_) => Failure::Input(message),
            _ => Failure::Usage(message),
        });
    }
    // A reader that went away while the help was printed is no failure.
    error.print().ok();
    ExitCode::from(if error.use_stderr() { exit.exit_code() } else { 0 })
}
