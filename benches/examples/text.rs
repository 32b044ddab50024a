//! Writes the zone of the benchmarks as a zone file, or questions about it for dnsperf: `text zone NAMES`, `text queries
//! NAMES COUNT`.

use std::io::{self, BufWriter, Write};

use benches::{APEX, Kind, queries, zone};
use snapshot::dns::name::NameRef;
use snapshot::dns::rdata::Text;

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

/// Writes every record on a line of its own, owners relative as people write them; all TTLs are the same.
fn write_zone(names: u32, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "$ORIGIN {APEX}\n$TTL 3600")?;
    for owner in zone(names).owners() {
        for record in owner.rrsets().flat_map(|rrset| rrset.records().collect::<Vec<_>>()) {
            let owner = record.owner.to_string();
            let owner = owner.strip_suffix(APEX).map_or(owner.as_str(), |relative| relative.trim_end_matches('.'));
            let owner = if owner.is_empty() { "@" } else { owner };
            writeln!(out, "{owner} {} {}", record.rtype, Text { rtype: record.rtype, rdata: record.rdata })?;
        }
    }
    Ok(())
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
