//! `dnsctl status`: what a running data plane is doing, in its own words.
//!
//! It asks and changes nothing. Invariant: the JSON keys are those of the control socket's status.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use snapshot::handover::frames::{Counter, Counters, Quarantined, Status};

use crate::args::{self, control_path};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Counted, Grouped, Output};

/// How long a data plane may take for one answer.
const REPLY_MAX: Duration = Duration::from_secs(2);

/// The answers of a data plane.
#[derive(Debug, Serialize)]
struct Report {
    /// What it is doing.
    #[serde(flatten)]
    status: Status,
    /// Its counters, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Counters>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Unable`] if the data plane cannot be reached.
pub(crate) fn run(args: &args::Status, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let path = control_path(args.to.as_deref(), args.dir_named.as_deref(), global)?;
    let mut client = Client::connect(&path, REPLY_MAX)?;
    let status = client.status()?;
    let counters = if args.counters { Some(client.counters()?) } else { None };
    output.report(&Report { status, counters })
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { version, pid, uptime_secs, directory, generation, zones, bytes, refused, .. } = &self.status;
        let Status { engine, engine_notes, listen, workers, retiring, .. } = &self.status;
        writeln!(out, "data plane  {version}, pid {pid}, up {}", Uptime(*uptime_secs))?;
        if *retiring {
            writeln!(out, "state       retiring: a successor has taken over")?;
        }
        match generation {
            Some(number) => {
                writeln!(
                    out,
                    "serving     generation {number}: {}, {} bytes",
                    Counted(*zones, "zone"),
                    Grouped(*bytes)
                )?;
            }
            None => writeln!(out, "serving     nothing yet")?,
        }
        if let Some(reason) = refused {
            writeln!(out, "refused     {reason}")?;
        }
        writeln!(out, "directory   {directory}")?;
        writeln!(out, "listening   {}", listen.join(" "))?;
        writeln!(out, "engine      {engine}, {}", Counted(u64::from(*workers), "worker"))?;
        for note in engine_notes {
            writeln!(out, "            {note}")?;
        }
        for packet in &self.status.quarantine {
            writeln!(out, "panic       {}", Suspect(packet))?;
        }
        for Counter { name, label, value } in self.counters.iter().flatten() {
            match label {
                Some((key, label)) => writeln!(out, "{name} {key}={label} {value}")?,
                None => writeln!(out, "{name} {value}")?,
            }
        }
        Ok(())
    }
}

/// A packet that made the answering code panic, for people to look at and to send again.
struct Suspect<'q>(&'q Quarantined);

impl Display for Suspect<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quarantined { transport, packet, packet_len, place, message, last_unix_secs, count, .. } = self.0;
        // Whatever a panic says is printed on one line, and no terminal obeys it.
        let message = message.escape_debug();
        let times = Counted(*count, "time");
        writeln!(out, "{times} over {transport}, last at {last_unix_secs} (Unix time), at {place}: {message}")?;
        write!(out, "            {packet_len} bytes: {packet}")
    }
}

/// Seconds as days, hours, minutes and seconds.
struct Uptime(u64);

impl Display for Uptime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.0 / 86_400, "d"), (self.0 / 3600 % 24, "h"), (self.0 / 60 % 60, "m"), (self.0 % 60, "s")];
        let begin = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
        for (idx, (count, unit)) in parts[begin..].iter().take(2).enumerate() {
            write!(out, "{}{count}{unit}", if idx > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::status;

    #[test]
    fn text_tells_what_matters_line_by_line() {
        let counters = vec![
            Counter { name: "queries_total".into(), label: Some(("transport".into(), "udp".into())), value: 9 },
            Counter { name: "truncated_total".into(), label: None, value: 0 },
        ];
        let refused = Some("pack is broken".to_owned());
        let quarantine = vec![Quarantined {
            transport: "udp".into(),
            packet: "00ff".into(),
            packet_len: 2,
            place: "a.rs:1:2".into(),
            message: "line\nbreak".into(),
            first_unix_secs: 1,
            last_unix_secs: 2,
            count: 3,
        }];
        let report = Report { status: Status { refused, quarantine, ..status() }, counters: Some(counters) };
        let expected = "\
data plane  0.1.0, pid 42, up 1h 1m
serving     generation 7: 2 zones, 4,096 bytes
refused     pack is broken
directory   /data
listening   127.0.0.1:5300
engine      uring, 2 workers
            xdp: not built in
panic       3 times over udp, last at 2 (Unix time), at a.rs:1:2: line\\nbreak
            2 bytes: 00ff
queries_total transport=udp 9
truncated_total 0
";
        assert_eq!(report.to_string(), expected);
        let report = Report { status: Status { generation: None, retiring: true, ..status() }, counters: None };
        assert!(report.to_string().contains("state       retiring") && report.to_string().contains("nothing yet"));
    }

    #[test]
    fn json_is_flat_and_leaves_out_counters_that_were_not_asked_for() {
        let value = serde_json::to_value(Report { status: status(), counters: None }).unwrap();
        assert_eq!((&value["generation"], &value["engine"]), (&7.into(), &"uring".into()));
        assert!(value.get("counters").is_none());
    }

    #[test]
    fn uptimes_show_their_two_largest_units() {
        for (secs, expected) in [(0, "0s"), (59, "59s"), (60, "1m 0s"), (90_061, "1d 1h")] {
            assert_eq!(Uptime(secs).to_string(), expected);
        }
    }
}
