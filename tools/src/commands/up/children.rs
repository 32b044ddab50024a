//! The two processes that `up` starts, and their end.
//!
//! It says nothing to anybody. Invariants: a child that was started is stopped when [`Children`] is dropped, at the
//! latest; a child that has ended is never signalled, because it is waited for only here.

use std::ffi::OsString;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::events::{Event, Events};
use crate::failure::Failure;

/// How long the children may take to end after SIGTERM.
const STOP_TIME_MAX: Duration = Duration::from_secs(8);

/// A process that `up` started.
#[derive(Debug)]
struct Process {
    /// What it is, for people.
    name: &'static str,
    /// The process.
    child: Child,
    /// How it ended.
    ended: Option<ExitStatus>,
}

/// All processes that `up` started.
#[derive(Debug, Default)]
pub(super) struct Children(Vec<Process>);

impl Children {
    /// Starts this binary again with a hidden verb and `args`. Returns the process id and its standard output.
    ///
    /// # Errors
    /// [`Failure::Unable`].
    pub(super) fn start(
        &mut self,
        name: &'static str,
        verb: &str,
        args: &[OsString],
    ) -> Result<(u32, Option<ChildStdout>), Failure> {
        let unable = |cause: std::io::Error| Failure::Unable(format!("starting the {name}: {cause}"));
        let binary = std::env::current_exe().map_err(unable)?;
        let parent = std::process::id().to_string();
        let mut command = Command::new(binary);
        command.args([verb, "--parent", parent.as_str()]).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(unable)?;
        let (pid, output) = (child.id(), child.stdout.take());
        self.0.push(Process { name, child, ended: None });
        Ok((pid, output))
    }

    /// The first child that has ended: its name and how.
    pub(super) fn ended(&mut self) -> Option<(&'static str, String)> {
        self.0.iter_mut().find_map(|process| process.poll().map(|status| (process.name, how(status))))
    }

    /// Tells all children to end and waits for it; a second signal to us, or the deadline, kills them.
    pub(super) fn stop(mut self, events: &Events) {
        for process in self.0.iter_mut().filter_map(Process::running) {
            process.signal(Signal::TERM);
        }
        let deadline = Instant::now() + STOP_TIME_MAX;
        while self.0.iter_mut().any(|process| process.poll().is_none()) {
            match events.next_until(deadline) {
                Some(Event::Child | Event::ApiReady(_)) => {}
                // Dropping kills what is left.
                Some(Event::Stop) | None => break,
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for process in self.0.iter_mut().filter_map(Process::running) {
            process.signal(Signal::KILL);
            process.ended = process.child.wait().ok();
        }
    }
}

impl Process {
    /// How it ended, if it has.
    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Itself, if it still runs.
    fn running(&mut self) -> Option<&mut Process> {
        if self.poll().is_none() { Some(self) } else { None }
    }

    /// Sends a signal to a process that was not waited for.
    fn signal(&self, signal: Signal) {
        // It may end at this very moment; then there is nothing left to do.
        kill_process(Pid::from_child(&self.child), signal).ok();
    }
}

/// An end for people.
fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "without a reason".to_owned(),
    }
}
