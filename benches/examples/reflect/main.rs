//! Sends datagrams back with the bit QR set and does nothing else: what a server costs at least. `perf/versus` measures
//! servers in units of it.
//!
//! It prints one line of JSON when it listens, and one with its CPU time and count when SIGTERM or SIGINT ends it.

mod frames;
mod sockets;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use serde_json::json;

/// Sends datagrams back with the bit QR set.
#[derive(Parser)]
struct Options {
    /// Where to listen: IP:PORT or `[IPv6]:PORT`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Answer on this interface by AF_XDP too: the reflector X.
    #[arg(long, value_name = "IFACE")]
    xdp: Option<String>,
    /// Run on this core.
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,
    /// At most so many datagrams in a system call.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    batch: usize,
}

/// Reads the options, reflects until a signal, and writes to stdout.
fn main() -> io::Result<()> {
    let options = Options::parse();
    if let Some(id) = options.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        return Err(io::Error::other(format!("cannot run on core {id}")));
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let count = match &options.xdp {
        Some(interface) => frames::reflect(options.listen, interface, &ended)?,
        None => sockets::reflect(options.listen, options.batch, &ended)?,
    };
    let schedstat = std::fs::read_to_string("/proc/self/schedstat")?;
    let cpu_ns: u64 = schedstat.split(' ').next().unwrap_or_default().parse().map_err(io::Error::other)?;
    writeln!(io::stdout(), "{}", json!({ "datagrams": count, "cpu_ns": cpu_ns }))
}
