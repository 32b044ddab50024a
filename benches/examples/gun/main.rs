//! Asks a DNS server over UDP and prints one line of JSON about it: how many queries it answered, lost or got wrong, and
//! how long that took. `gun --help` lists the options; `perf/versus` shows their use.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use benches::gun::{Edns, Gun, Load, Path, Questions, Sends, Tally};
use clap::Parser;
use serde_json::{Value, json};

/// Asks a DNS server over UDP, from one thread, and checks the replies.
#[derive(Parser)]
struct Options {
    /// The server: IP:PORT or `[IPv6]:PORT`.
    #[arg(long, value_name = "ADDR")]
    server: SocketAddr,
    /// Lines `QNAME QTYPE`, asked over and over in their order.
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Read only so many lines.
    #[arg(long, value_name = "COUNT", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// For how long to send; 0 with --wait-ready only waits.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How many sockets, each with a port of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    sockets: usize,
    /// At most so many queries in flight, over all sockets; the default fits a receive buffer of Linux's default size.
    #[arg(long, value_name = "COUNT", default_value_t = 192)]
    window: usize,
    /// Send whether replies come or not; needs --rate.
    #[arg(long, requires = "rate", conflicts_with = "window")]
    no_window: bool,
    /// At most so many queries a second.
    #[arg(long, value_name = "QPS")]
    rate: Option<f64>,
    /// At most so many queries in a system call.
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    batch: usize,
    /// Ask for DNSSEC records (the bit DO).
    #[arg(long)]
    dnssec: bool,
    /// Ask without EDNS.
    #[arg(long, conflicts_with = "dnssec")]
    plain: bool,
    /// Hand queries of one length to the kernel as one message (`UDP_SEGMENT`).
    #[arg(long)]
    gso: bool,
    /// Ask from this address.
    #[arg(long, value_name = "IP")]
    local: Option<IpAddr>,
    /// Ask through this interface; needs root.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Run on this core.
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,
    /// First wait so many seconds for an answer to the first question.
    #[arg(long, value_name = "SECONDS")]
    wait_ready: Option<f64>,
}

/// Reads the options and writes to stdout.
fn main() -> io::Result<()> {
    let options = Options::parse();
    if let Some(id) = options.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        return Err(io::Error::other(format!("cannot run on core {id}")));
    }
    let edns = match (options.plain, options.dnssec) {
        (true, _) => Edns::Absent,
        (_, true) => Edns::DnssecOk,
        _ => Edns::Plain,
    };
    let questions = Questions::read(BufReader::new(File::open(&options.queries)?), edns, options.limit)?;
    let path = Path {
        server: options.server,
        local: options.local,
        interface: options.interface.clone(),
        sockets: options.sockets,
    };
    let mut gun = Gun::new(&path, &questions)?;
    let mut report = json!({});
    if let Some(patience) = options.wait_ready {
        gun.wait_ready(Duration::try_from_secs_f64(patience).map_err(io::Error::other)?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        report["ready_at"] = json!(now.as_secs_f64());
    }
    let load = Load {
        duration: Duration::try_from_secs_f64(options.seconds).map_err(io::Error::other)?,
        window: (!options.no_window).then_some(options.window),
        rate: options.rate,
        batch: options.batch,
        sends: if options.gso { Sends::Merged } else { Sends::Single },
    };
    if !load.duration.is_zero() {
        let before = cpu_ns()?;
        let tally = gun.fire(&load)?;
        describe(&mut report, &tally, cpu_ns()? - before);
    }
    writeln!(io::stdout(), "{report}")
}

/// The CPU time of this thread so far, in nanoseconds.
fn cpu_ns() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().unwrap_or_default().parse().map_err(io::Error::other)
}

/// Adds the figures of a load.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and small")]
fn describe(report: &mut Value, tally: &Tally, cpu_ns: u64) {
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let answered = tally.answered.max(1) as f64;
    let fields = json!({
        "sent": tally.sent,
        "answered": tally.answered,
        "lost": tally.lost,
        "wrong": tally.wrong,
        "stray": tally.stray,
        "truncated": tally.truncated,
        "refused_sends": tally.refused_sends,
        "seconds": tally.elapsed.as_secs_f64(),
        "qps": (tally.answered as f64 / tally.elapsed.as_secs_f64()).round() as u64,
        "noerror": tally.rcodes[0],
        "nxdomain": tally.rcodes[3],
        "rcodes": tally.rcodes,
        "reply_bytes_average": (tally.reply_bytes as f64 / answered * 10.0).round() / 10.0,
        "p50_us": micros(tally.p50),
        "p99_us": micros(tally.p99),
        "p999_us": micros(tally.p999),
        "max_us": micros(tally.max),
        "gun_us_per_query": (cpu_ns as f64 / answered).round() / 1e3,
    });
    if let (Value::Object(report), Value::Object(fields)) = (report, fields) {
        report.extend(fields);
    }
}
