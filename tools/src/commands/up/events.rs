//! What can happen while `up` runs, as one queue: signals, children that changed, the control plane's ready line.
//!
//! It decides nothing. Invariant: signals are caught before the first child is started, so that none is missed.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// What a child writes on standard output before the address it serves HTTP on.
const READY: &str = "ready http://";
/// The longest line of a child that is looked at.
const LINE_LEN_MAX: u64 = 256;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// We are told to stop.
    Stop,
    /// A child ended, or its state changed otherwise.
    Child,
    /// The control plane serves HTTP on this address.
    ApiReady(String),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Events {
    /// For those who tell; kept, so that the queue never closes.
    sender: Sender<Event>,
    /// For us.
    receiver: Receiver<Event>,
}

impl Events {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGCHLD from now on.
    ///
    /// # Errors
    /// [`Failure::Unable`] if the system does not let us.
    pub(super) fn catch() -> Result<Events, Failure> {
        let unable = |cause: std::io::Error| Failure::Unable(format!("catching signals: {cause}"));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).map_err(unable)?;
        let (sender, receiver) = channel();
        let teller = sender.clone();
        let tell = move || {
            for signal in signals.forever() {
                let event = if signal == SIGCHLD { Event::Child } else { Event::Stop };
                if teller.send(event).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(tell).map_err(unable)?;
        Ok(Events { sender, receiver })
    }

    /// Watches the standard output of the control plane for its ready line, and reads the rest so that it never
    /// blocks.
    ///
    /// # Errors
    /// [`Failure::Unable`] if there is no thread for it.
    pub(super) fn watch_ready(&self, output: impl Read + Send + 'static) -> Result<(), Failure> {
        let teller = self.sender.clone();
        let watch = move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            if output.by_ref().take(LINE_LEN_MAX).read_line(&mut line).is_ok()
                && let Some(addr) = line.trim_end().strip_prefix(READY)
            {
                teller.send(Event::ApiReady(addr.to_owned())).ok();
            }
            std::io::copy(&mut output, &mut std::io::sink()).ok();
        };
        let spawned = std::thread::Builder::new().name("ready".into()).spawn(watch);
        spawned.map(drop).map_err(|cause| Failure::Unable(format!("starting a thread: {cause}")))
    }

    /// Waits for the next event.
    pub(super) fn next(&self) -> Event {
        // The queue cannot close while we hold a sender; if it did, stopping would be right.
        self.receiver.recv().unwrap_or(Event::Stop)
    }

    /// Waits for the next event until `deadline`.
    pub(super) fn next_until(&self, deadline: Instant) -> Option<Event> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Waits for the next event for at most `time`.
    pub(super) fn next_within(&self, time: Duration) -> Option<Event> {
        self.receiver.recv_timeout(time).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_and_only_it_becomes_an_event() {
        let (sender, receiver) = channel();
        let events = Events { sender, receiver };
        events.watch_ready(&b"ready http://127.0.0.1:81\nmore\n"[..]).unwrap();
        assert_eq!(events.next(), Event::ApiReady("127.0.0.1:81".into()));
        events.watch_ready(&b"something else\n"[..]).unwrap();
        events.sender.send(Event::Child).unwrap();
        assert_eq!(events.next_within(Duration::from_secs(5)), Some(Event::Child));
        assert_eq!(events.next_until(Instant::now()), None);
    }
}
