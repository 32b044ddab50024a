//! What the gate for signed zones costs: `gate FILE ROUNDS`. FILE is a signed zone file that is valid now; it passes the
//! gate ROUNDS times with each implementation, on one thread and on two.
//!
//! A line is the implementation, the threads, the signatures, the median of the rounds in milliseconds, and microseconds
//! for each signature and thread. The last line is the largest resident size.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use controlplane::check::dnssec::Verifier;
use controlplane::check::dnssec::gate::{Gate, REMAINING_SECS_MIN};
use controlplane::source::{ReadOptions, ZoneSource, read_zone};
use snapshot::dns::zone::Zone;

/// Reads the arguments and writes to stdout.
fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, rounds] = arguments.as_slice() else { std::process::exit(2) };
    let Ok(rounds) = rounds.parse::<NonZeroUsize>() else { std::process::exit(2) };
    let source = ZoneSource { path: PathBuf::from(file), origin: None };
    let zone = read_zone(&source, &ReadOptions::default()).map_err(|cause| io::Error::other(format!("{cause:?}")))?;
    let mut out = io::stdout().lock();
    for verifier in [Verifier::Ring, Verifier::RustCrypto, Verifier::AwsLc] {
        for jobs in [1, 2] {
            measure(&zone, verifier, jobs, rounds.get(), &mut out)?;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    writeln!(out, "{peak}")
}

/// Measures one way.
fn measure(zone: &Zone, verifier: Verifier, jobs: usize, rounds: usize, out: &mut impl Write) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let gate = Gate {
        at_unix_secs: now.as_secs(),
        remaining_secs_min: REMAINING_SECS_MIN,
        keys: &[],
        unannounced: &[],
        has_ns: true,
        verifier,
        jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN),
    };
    let mut times = Vec::new();
    let mut signature_count = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        signature_count = gate.pass(zone).map_err(io::Error::other)?.signature_count;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let median = times[rounds / 2].as_secs_f64();
    let each = median * 1e6 * jobs as f64 / signature_count.max(1) as f64;
    writeln!(out, "{verifier:?} {jobs} {signature_count} {:.3} {each:.2}", median * 1e3)
}
