//! What a write through the REST API costs until it is served: `writes API DNS TOKEN fill DOMAINS`, then
//! `writes API DNS TOKEN measure DOMAINS SAMPLES`, and `writes API DNS TOKEN big NAMES SAMPLES`; `writes API DNS TOKEN single
//! DOMAINS SAMPLES NAME` does single writes only, and calls them NAME.
//!
//! After each reply the data plane is asked at once, and an answer that is not the new one counts as wrong. One line of
//! `name value` for each figure; times in milliseconds.

mod client;
mod dns;

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use dns::Asker;

/// How many connections fill.
const FILLERS: usize = 16;
/// How many connections read.
const READERS: usize = 4;
/// For how long they read.
const READ_TIME: Duration = Duration::from_secs(5);
/// RRsets of a domain, NS included.
const RRSETS: usize = 10;

/// Reads the arguments and writes to stdout.
fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
    match arguments[..] {
        [api, _, token, "fill", domains] => fill(&Client::new(api, token)?, number(domains)?),
        [api, dns, token, "measure", domains, samples] => {
            measure(Client::new(api, token)?, Asker::new(dns)?, number(domains)?, number(samples)?)
        }
        [api, dns, token, "single", domains, samples, name] => {
            let (mut client, mut asker) = (Client::new(api, token)?, Asker::new(dns)?);
            let wrong = single(&mut client, &mut asker, number(domains)?, number(samples)?, name)?;
            writeln!(io::stdout(), "{name}_wrong_answers {wrong}")
        }
        [api, dns, token, "big", names, samples] => {
            big(Client::new(api, token)?, Asker::new(dns)?, number(names)?, number(samples)?)
        }
        _ => {
            let how = "fill N | measure N SAMPLES | single N SAMPLES NAME | big NAMES SAMPLES";
            writeln!(io::stderr(), "usage: writes API DNS TOKEN {how}")?;
            std::process::exit(2)
        }
    }
}

/// The domain of a number.
fn domain(number: usize) -> String {
    format!("d{number}.perf.test")
}

/// Makes domains with RRsets, many at a time.
fn fill(client: &Client, domains: usize) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..FILLERS)
            .map(|_| {
                let (next, mut client) = (&next, client.another());
                scope.spawn(move || -> io::Result<()> {
                    let client = client.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= domains {
                            return Ok(());
                        }
                        let lines: String = (1..RRSETS).map(|n| format!("h{n} 3600 A 192.0.2.{n}\\n")).collect();
                        let body = format!("{{\"name\":\"{}\",\"zonefile\":\"{lines}\"}}", domain(number));
                        client.expect("POST", "/api/v1/domains/", &body, 201)?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panicked"))
    })?;
    let secs = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = domains as f64 / secs;
    writeln!(io::stdout(), "fill_domains_per_second {rate:.0}")
}

/// A walk over numbers in an order that looks random and is the same in every run.
fn scattered(step: usize, count: usize) -> usize {
    step.wrapping_mul(2_654_435_761).wrapping_add(12_345) % count
}

/// Measures single writes, lists, new domains and reads.
fn measure(mut client: Client, mut asker: Asker, domains: usize, samples: usize) -> io::Result<()> {
    let mut out = io::stdout();
    let mut wrong = single(&mut client, &mut asker, domains, samples, "write")?;
    let mut times = Vec::new();
    for round in 0..20 {
        let name = domain(scattered(round, domains));
        let address = format!("203.0.113.{}", round + 1);
        let item =
            |n: usize| format!("{{\"subname\":\"b{n}\",\"type\":\"A\",\"ttl\":3600,\"records\":[\"{address}\"]}}");
        let body = format!("[{}]", (0..1000).map(item).collect::<Vec<_>>().join(","));
        let begun = Instant::now();
        client.expect("PUT", &format!("/api/v1/domains/{name}/rrsets/"), &body, 200)?;
        times.push(begun.elapsed());
        wrong += usize::from(asker.address(&format!("b999.{name}"))? != address);
    }
    show(&mut out, "bulk_1000", &mut times)?;
    for number in 0..200 {
        let name = format!("new{number}.perf2.test");
        let body = format!("{{\"name\":\"{name}\",\"zonefile\":\"www 3600 A 192.0.2.1\\n\"}}");
        let begun = Instant::now();
        client.expect("POST", "/api/v1/domains/", &body, 201)?;
        times.push(begun.elapsed());
        wrong += usize::from(asker.address(&format!("www.{name}"))? != "192.0.2.1");
    }
    show(&mut out, "create", &mut times)?;
    writeln!(out, "reads_per_second {}", reads(&client, domains)?)?;
    writeln!(out, "wrong_answers {wrong}")
}

/// Measures single writes; how many were answered wrong afterwards.
fn single(client: &mut Client, asker: &mut Asker, domains: usize, samples: usize, figure: &str) -> io::Result<usize> {
    let mut wrong = 0;
    let mut times = Vec::new();
    for sample in 0..samples {
        let name = domain(scattered(sample, domains));
        // Other ones than those of another run of the same samples: what changes nothing costs nothing.
        let address = format!("198.{}.{}.{}", 51 + figure.len(), sample / 250 % 250, sample % 250 + 1);
        let body = format!("{{\"records\":[\"{address}\"]}}");
        let begun = Instant::now();
        client.expect("PATCH", &format!("/api/v1/domains/{name}/rrsets/h1/A/"), &body, 200)?;
        times.push(begun.elapsed());
        wrong += usize::from(asker.address(&format!("h1.{name}"))? != address);
    }
    show(&mut io::stdout(), figure, &mut times)?;
    Ok(wrong)
}

/// How many RRsets a few connections together can read in a second.
fn reads(client: &Client, domains: usize) -> io::Result<usize> {
    let done = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (done, mut client) = (&done, client.another());
                scope.spawn(move || -> io::Result<()> {
                    let client = client.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
                    let mut step = reader;
                    while begun.elapsed() < READ_TIME {
                        let name = domain(scattered(step, domains));
                        client.expect("GET", &format!("/api/v1/domains/{name}/rrsets/h2/A/"), "", 200)?;
                        done.fetch_add(1, Ordering::Relaxed);
                        step += READERS;
                    }
                    Ok(())
                })
            })
            .collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("a reader panicked"))
    })?;
    Ok(done.into_inner() / usize::try_from(READ_TIME.as_secs()).unwrap_or(1))
}

/// Measures single writes in one big zone.
fn big(mut client: Client, mut asker: Asker, names: usize, samples: usize) -> io::Result<()> {
    let mut out = io::stdout();
    let lines: String = (0..names).map(|n| format!("n{n} A 192.0.2.1\\n")).collect();
    let body = format!("{{\"name\":\"big.perf.test\",\"zonefile\":\"$TTL 3600\\n{lines}\"}}");
    let begun = Instant::now();
    let (status, _, text) = client.ask("POST", "/api/v1/domains/?wait=60", &body)?;
    // A zone that is signed may be served later.
    if !matches!(status, 201 | 202) {
        return Err(io::Error::other(format!("the big zone: {status}: {text}")));
    }
    writeln!(out, "big_create_s {:.1}", begun.elapsed().as_secs_f64())?;
    while asker.address(&format!("n{}.big.perf.test", names - 1))? != "192.0.2.1" {
        std::thread::sleep(Duration::from_millis(10));
    }
    writeln!(out, "big_served_s {:.1}", begun.elapsed().as_secs_f64())?;
    // The server does not keep a connection that is silent for so long.
    client = client.another()?;
    let (mut times, mut wrong) = (Vec::new(), 0);
    for sample in 0..samples {
        let name = format!("n{}", scattered(sample, names));
        let address = format!("198.51.{}.{}", sample / 250 % 250, sample % 250 + 1);
        let body = format!("{{\"records\":[\"{address}\"]}}");
        let begun = Instant::now();
        client.expect("PATCH", &format!("/api/v1/domains/big.perf.test/rrsets/{name}/A/"), &body, 200)?;
        times.push(begun.elapsed());
        wrong += usize::from(asker.address(&format!("{name}.big.perf.test"))? != address);
    }
    show(&mut out, "big_write", &mut times)?;
    // Names that come and go change the chain that proves what does not exist as well.
    for sample in 0..(samples / 2).max(1) {
        let name = format!("new{}", sample / 2);
        let records = if sample % 2 == 0 { "\"198.51.100.1\"" } else { "" };
        let body = format!("[{{\"subname\":\"{name}\",\"type\":\"A\",\"ttl\":3600,\"records\":[{records}]}}]");
        let begun = Instant::now();
        client.expect("PATCH", "/api/v1/domains/big.perf.test/rrsets/", &body, 200)?;
        times.push(begun.elapsed());
        let is_there = asker.address(&format!("{name}.big.perf.test"))? == "198.51.100.1";
        wrong += usize::from(is_there != (sample % 2 == 0));
    }
    show(&mut out, "big_name", &mut times)?;
    writeln!(out, "big_wrong_answers {wrong}")
}

/// Writes median, 99th percentile and maximum, and empties the list.
fn show(out: &mut impl Write, name: &str, times: &mut Vec<Duration>) -> io::Result<()> {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len() - 1)).copied().unwrap_or_default();
    for (suffix, part) in [("median", 50), ("p99", 99), ("max", 100)] {
        writeln!(out, "{name}_{suffix} {:.2}", at(part).as_secs_f64() * 1000.0)?;
    }
    times.clear();
    Ok(())
}
