//! The life of a process: configuration, sockets, privileges, first snapshot, service, end.
//!
//! It answers no query itself. Invariant: nothing is taken from a predecessor before this process answers, and nothing
//! is given up at the end before what was received is answered.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::answer::Settings;
use crate::config::{Args, Config};
use crate::quarantine;
use crate::responder::Responder;
use crate::watchdog::Watchdog;

mod desk;
mod directory;
mod larder;
mod notify;
mod plane;
mod privileges;
mod taster;

use directory::Following;
use plane::{Plane, StartError};
use taster::Taster;

/// The watchdog's tick; also that of the service manager's watchdog.
const TICK: Duration = Duration::from_millis(500);
/// Exit code of wrong arguments or configuration.
const EXIT_CONFIG: u8 = 2;
/// Exit code when no snapshot can be loaded.
const EXIT_SNAPSHOT: u8 = 3;

/// What the main thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// SIGHUP: take the newest generation.
    Reload,
    /// SIGTERM or SIGINT: answer what is here, then end.
    End,
    /// A successor has taken over: the same.
    Retired,
}

/// Runs a data plane until it is told to end.
///
/// Exit codes: 0 ended in good order or checked, 1 failed, 2 wrong configuration, 3 no snapshot can be loaded. A worker
/// that stalls aborts the process.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    start_log();
    if args.taste {
        return taste(args);
    }
    quarantine::watch_panics();
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    if args.check {
        return check(&config);
    }
    match serve(&config, args.program.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Snapshot { .. }) => fail(EXIT_SNAPSHOT, &error),
        Err(error) => fail(1, &error),
    }
}

/// Sends log lines to stderr; `RUST_LOG` chooses which, `info` without it.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A line that cannot be written, to a file on a full disk, is lost; telling of that would panic for the same reason.
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if log.try_init().is_err() {
        // A host program, as dnsctl, has set up its own log: it gets ours.
        tracing::debug!("logging to the log of the host program");
    }
}

/// Logs the error that ends the process.
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::from(code)
}

/// `--taste`: loads generations on trial for a data plane, which gives this process its orders.
fn taste(args: &Args) -> ExitCode {
    let Some(path) = &args.snapshots else { return ExitCode::from(EXIT_CONFIG) };
    taster::serve(path, &mut Responder::new(Settings::default()))
}

/// `--check`: whether the configuration is right, which it is by now, and a snapshot can be loaded. Prints one line.
fn check(config: &Config) -> ExitCode {
    let (code, line) = match Following::check(&config.snapshots, &config.trust) {
        Ok(line) => (0, line),
        Err(reason) => (EXIT_SNAPSHOT, format!("configuration is right, but no snapshot can be loaded: {reason}")),
    };
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(1, &error),
    }
}

/// Starts a plane, follows occasions, ends it.
fn serve(config: &Config, program: Option<&[OsString]>) -> Result<(), StartError> {
    let (occasions, occurring) = channel::unbounded();
    watch_signals(occasions.clone())?;
    let mut source = Following::open(&config.snapshots, &config.trust)
        .map_err(|reason| StartError::Snapshot { path: config.snapshots.clone(), reason })?;
    if let Some(program) = program {
        let (path, trust) = (config.snapshots.clone(), config.trust.clone());
        source = source.with_tasters(|| Taster::of_ourselves(program.to_owned(), path.clone(), trust.clone()));
    }
    let responder = Responder::guarded(config.settings.clone(), config.guard.clone().shared_by(config.threads));
    let retired = move || {
        if occasions.send(Occasion::Retired).is_err() {
            tracing::debug!("the process ends already");
        }
    };
    let plane = Plane::start(config, source, &responder, retired)?;
    tracing::info!("ready");
    notify::say("READY=1");
    follow(&plane, &occurring);
    notify::say("STOPPING=1");
    plane.end();
    tracing::info!("ended");
    Ok(())
}

/// Turns signals into occasions, on a thread of its own.
fn watch_signals(occasions: Sender<Occasion>) -> Result<(), StartError> {
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let occasion = if signal == SIGHUP { Occasion::Reload } else { Occasion::End };
            if occasions.send(occasion).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Reloads on request and watches the workers, until the end.
fn follow<S: crate::slot::Source>(plane: &Plane<S>, occurring: &Receiver<Occasion>) {
    let mut watchdog = Watchdog::new(plane.pulses());
    loop {
        match occurring.recv_timeout(TICK) {
            Ok(Occasion::Reload) => plane.reload(),
            Ok(Occasion::End | Occasion::Retired) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(number) = watchdog.tick() {
                    tracing::error!("worker {number} has stalled: the process ends at once");
                    std::process::abort();
                }
                notify::say("WATCHDOG=1");
            }
        }
    }
}

#[cfg(test)]
mod tests;
