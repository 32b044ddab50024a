//! Load from `dnsperf`, and its own count of what was lost.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::versions::QUESTIONS;

/// Queries a second: far from what the server can do, so that it and the test share the machine's cores.
const RATE_MAX: &str = "20000";
/// How much longer than asked for a run may take: `dnsperf` waits for the last replies.
const SLACK: Duration = Duration::from_secs(30);

/// A running `dnsperf`.
pub(crate) struct Load {
    /// Its report when it ends.
    report: Receiver<String>,
    /// How long it may take.
    time_max: Duration,
}

/// What `dnsperf` has counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Queries sent.
    pub(crate) sent: u64,
    /// Queries that got a reply.
    pub(crate) completed: u64,
    /// Queries without a reply.
    pub(crate) lost: u64,
}

impl Load {
    /// Asks `server` for `seconds`, in `scratch`.
    pub(crate) fn start(server: SocketAddr, seconds: u64, scratch: &Path) -> Load {
        let queries = scratch.join("queries");
        let lines = QUESTIONS.iter().fold(String::new(), |mut lines, (qname, qtype, _)| {
            writeln!(lines, "{qname} {qtype}").unwrap();
            lines
        });
        std::fs::write(&queries, lines).unwrap();
        let mut command = Command::new("dnsperf");
        command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string()]);
        // Many sockets, so that every worker is asked.
        command.args(["-c", "16", "-T", "1", "-e", "-Q", RATE_MAX, "-l", &seconds.to_string(), "-d"]).arg(&queries);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("dnsperf starts; ./test installs it");
        let (sender, report) = channel();
        std::thread::spawn(move || {
            let output = child.wait_with_output().unwrap();
            let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            // A test that has failed does not wait for it.
            sender.send(texts.concat()).ok();
        });
        Load { report, time_max: Duration::from_secs(seconds) + SLACK }
    }

    /// Waits for `time`, or until the load ends; then returns what was counted.
    pub(crate) fn ended_within(&self, time: Duration) -> Option<Counted> {
        match self.report.recv_timeout(time) {
            Ok(report) => Some(Counted::of(&report)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("dnsperf is gone without a report"),
        }
    }

    /// Waits for the end of the load.
    pub(crate) fn end(self) -> Counted {
        self.ended_within(self.time_max).expect("dnsperf ends in time")
    }
}

impl Counted {
    /// Reads the report of `dnsperf`.
    fn of(report: &str) -> Counted {
        let value = |key: &str| {
            let line = report.lines().find_map(|line| line.trim().strip_prefix(key));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {key:?} in {report}"))
        };
        Counted { sent: value("Queries sent:"), completed: value("Queries completed:"), lost: value("Queries lost:") }
    }
}
