//! Writes the zone of the benchmarks as a zone file, or questions about it for dnsperf: `text zone NAMES`, `text queries
//! NAMES COUNT`.

use std::io::{self, BufWriter, Write};

use benches::{Kind, queries, write_zone};
use snapshot::dns::name::NameRef;

/// One question in so many is about a name that does not exist.
const MISSES: u32 = 10;

/// Reads the arguments and writes to stdout.
fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match arguments.as_slice() {
        ["zone", names] => names.parse().ok().map(|names| write_zone(names, &mut out)),
        ["queries", names, count] => {
            names.parse().ok().zip(count.parse().ok()).map(|(names, count)| write_queries(names, count, &mut out))
        }
        _ => None,
    };
    match done {
        Some(result) => result.and_then(|()| out.flush()),
        None => std::process::exit(2),
    }
}

/// Writes names to ask for, all of type A: nine that exist, then one that does not.
fn write_queries(names: u32, count: u32, out: &mut impl Write) -> io::Result<()> {
    let misses = queries(Kind::NxDomain, names, count / MISSES);
    let hits = queries(Kind::Hit, names, count - count / MISSES);
    let per_miss = (MISSES - 1) as usize;
    for (hits, miss) in hits.chunks(per_miss).zip(misses) {
        for message in hits.iter().chain([&miss]) {
            // The question follows the header of 12 bytes.
            let qname = NameRef::prefix_of(&message[12..]).map_err(io::Error::other)?;
            writeln!(out, "{qname} A")?;
        }
    }
    Ok(())
}
