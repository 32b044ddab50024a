//! The children of `up`: this binary again, as the data plane or the control plane.
//!
//! The work is that of the two libraries. Invariant: a child never outlives `up`, however `up` ends: the kernel sends the
//! child a SIGTERM when the thread that started it is gone (`prctl(2)`, PR_SET_PDEATHSIG).

use std::ffi::OsString;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Ties this process to its parent, then runs it.
pub(crate) fn run(parent: u32, process: impl FnOnce() -> ExitCode) -> ExitCode {
    if set_parent_process_death_signal(Some(Signal::TERM)).is_err() {
        return ExitCode::from(3);
    }
    // The parent may have ended before the line above: then nobody will send the signal.
    let expected = i32::try_from(parent).ok().and_then(Pid::from_raw);
    if getppid() == expected { process() } else { ExitCode::from(3) }
}

/// The arguments by which a child of this process runs the hidden command `verb`.
pub(crate) fn program(verb: &str) -> Vec<OsString> {
    vec![verb.into(), "--parent".into(), std::process::id().to_string().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_without_its_parent_does_not_start() {
        let mut started = false;
        let ended = run(1_999_999_999, || {
            started = true;
            ExitCode::SUCCESS
        });
        // The test's own process stays tied to cargo, which is waiting for it.
        assert!(!started && format!("{ended:?}") == format!("{:?}", ExitCode::from(3)));
    }
}
