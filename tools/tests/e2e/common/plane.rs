//! A data plane as a process of its own, on a free port.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::tool::{DNSCTL, document};

/// How long a start, an end or a line of the log may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A running data plane; dropping it kills it.
pub(crate) struct Plane {
    /// The process.
    child: Child,
    /// The lines of its log.
    log: Receiver<String>,
    /// Its control socket.
    pub(crate) control: PathBuf,
    /// Where it answers.
    pub(crate) addr: SocketAddr,
}

impl Plane {
    /// Starts a data plane on a free port and waits until it is ready.
    pub(crate) fn start(dir: &Path) -> Plane {
        Plane::start_at(dir, "127.0.0.1:0".parse().unwrap())
    }

    /// Starts a data plane on an address, in place of the one that answers on the same control socket.
    pub(crate) fn start_at(dir: &Path, listen: SocketAddr) -> Plane {
        let control = dir.join("control");
        let mut child = Plane::spawn(dir, &["--listen", &listen.to_string()]);
        let log = follow(child.stderr.take().unwrap());
        let mut plane = Plane { child, log, control, addr: listen };
        plane.wait_for("ready");
        plane.addr = plane.status()["listen"][0].as_str().unwrap().parse().unwrap();
        plane
    }

    /// Starts the process only.
    pub(crate) fn spawn(dir: &Path, words: &[&str]) -> Child {
        let mut command = Command::new(DNSCTL);
        // The thread that starts it waits for its end, so the tie to the parent holds as long as the test.
        command.args(["__dataplane", "--parent", &std::process::id().to_string(), "--snapshots"]).arg(dir);
        command.arg("--control").arg(dir.join("control")).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What it says about itself.
    pub(crate) fn status(&self) -> serde_json::Value {
        document(&["status".as_ref(), "--json".as_ref(), "--to".as_ref(), self.control.as_os_str()])
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + TIME_MAX;
        let mut seen = Vec::new();
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(cause) => panic!("no line with {text:?} ({cause}) after {seen:#?}"),
            }
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_for_end(mut self) -> ExitStatus {
        let deadline = Instant::now() + TIME_MAX;
        let mut seen = Vec::new();
        // The log closes with the process.
        while let Ok(line) = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            seen.push(line);
        }
        assert!(Instant::now() < deadline, "the data plane does not end: {seen:#?}");
        self.child.wait().unwrap()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads the log of a process, line by line, until it ends.
pub(super) fn follow(log: ChildStderr) -> Receiver<String> {
    let (sender, receiver): (Sender<String>, _) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // Nobody reads any more, but the process must not block on a full pipe.
            sender.send(line).ok();
        }
    });
    receiver
}
