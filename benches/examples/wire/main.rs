//! Asks a DNS server over UDP by live frames, which cost the server nothing but its answers, and prints one line of JSON
//! about it. `wire --help` lists the options; `perf/versus` shows their use. It needs root.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use benches::gun::{Edns, Questions};
use benches::live::{Labels, Live, Pace, Route};
use clap::Parser;
use serde_json::json;

/// Asks a DNS server over UDP by frames that the kernel makes, and counts the replies.
#[derive(Parser)]
struct Options {
    /// The server: IPv4:PORT.
    #[arg(long, value_name = "ADDR")]
    server: SocketAddrV4,
    /// The link address of the server, or of the router before it.
    #[arg(long, value_name = "MAC", value_parser = link)]
    to: [u8; 6],
    /// The interface to ask through; it must have no XDP program.
    #[arg(long, value_name = "NAME")]
    interface: String,
    /// The link address of that interface.
    #[arg(long, value_name = "MAC", value_parser = link)]
    from: [u8; 6],
    /// The address to ask from.
    #[arg(long, value_name = "IPv4")]
    source: Ipv4Addr,
    /// How many bits of it all queries have; the others are random.
    #[arg(long, value_name = "BITS", default_value_t = 32, value_parser = clap::value_parser!(u8).range(..=32))]
    source_bits: u8,
    /// Lines `QNAME QTYPE`, asked over and over in their order.
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Read only so many lines.
    #[arg(long, value_name = "COUNT", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Write the first label, which must have eight octets, anew for each query.
    #[arg(long)]
    random: bool,
    /// For how long to send.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// So many queries in flight; a queue of veth holds 256.
    #[arg(long, value_name = "COUNT", default_value_t = 192)]
    window: u64,
    /// Send so many queries a second, whether replies come or not.
    #[arg(long, value_name = "QPS", conflicts_with = "window")]
    rate: Option<f64>,
    /// Ask for DNSSEC records (the bit DO).
    #[arg(long)]
    dnssec: bool,
    /// Run on this core.
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,
}

/// Reads a link address, six hexadecimal octets with colons between.
fn link(text: &str) -> Result<[u8; 6], String> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| "a link address is like 02:00:00:00:00:01".to_owned())
}

/// Reads the options, asks, and writes to stdout.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and small")]
fn main() -> io::Result<()> {
    let options = Options::parse();
    if let Some(id) = options.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        return Err(io::Error::other(format!("cannot run on core {id}")));
    }
    let edns = if options.dnssec { Edns::DnssecOk } else { Edns::Plain };
    let questions = Questions::read(BufReader::new(File::open(&options.queries)?), edns, options.limit)?;
    let route = Route {
        interface: options.interface,
        from: options.from,
        to: options.to,
        source: options.source,
        source_prefix_len: options.source_bits,
        server: options.server,
    };
    let labels = if options.random { Labels::Random } else { Labels::Kept };
    let live = Live::open(&route, (0..questions.count()).map(|idx| questions.message(idx)), labels)?;
    let pace = options.rate.map_or(Pace::Window(options.window), Pace::Rate);
    let tally = live.fire(pace, Duration::try_from_secs_f64(options.seconds).map_err(io::Error::other)?)?;
    let report = json!({
        "sent": tally.sent,
        "answered": tally.answered,
        "lost": tally.sent.saturating_sub(tally.answered),
        "seconds": tally.elapsed.as_secs_f64(),
        "qps": tally.per_sec().round() as u64,
        "noerror": tally.rcodes[0],
        "nxdomain": tally.rcodes[3],
        "rcodes": tally.rcodes,
    });
    writeln!(io::stdout(), "{report}")
}
