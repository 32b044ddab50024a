//! Runs the operator's command: the text on its standard input, nothing else of ours.
//!
//! No shell is between, and no descriptor, directory or variable is passed on but PATH. Invariant: it ends in bounded time,
//! the command and what it started.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long a command may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The variable with the kind of the alarm.
const KIND: &str = "PETREL_ALARM";

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    /// It could not be run.
    #[error("running {program}: {cause}")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It failed.
    #[error("{program} ended with {status}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It took too long, and was killed.
    #[error("{program} was killed after {} s", patience.as_secs())]
    Slow {
        /// The program.
        program: String,
        /// How long it had.
        patience: Duration,
    },
}

/// Runs a command with its arguments, and waits for it.
///
/// # Errors
/// [`HookError`].
pub(super) fn run(command: &[String], kind: &str, text: &str, patience: Duration) -> Result<(), HookError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |cause| HookError::Run { program: program.clone(), cause };
    let mut prepared = Command::new(program);
    prepared.args(arguments).env_clear().env(KIND, kind).current_dir("/").process_group(0);
    prepared.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let prepared = prepared.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = prepared.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A pipe holds all of it, so this does not wait; who does not want to read it need not.
        input.write_all(text.as_bytes()).ok();
    }
    let has_ended = ended(&child, patience);
    if !matches!(has_ended, Ok(true)) {
        // It may have ended in between.
        kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
    }
    let status = child.wait().map_err(failed)?;
    match has_ended {
        Err(cause) => Err(failed(cause)),
        Ok(false) => Err(HookError::Slow { program: program.clone(), patience }),
        Ok(true) if status.success() => Ok(()),
        Ok(true) => Err(HookError::Failed { program: program.clone(), status }),
    }
}

/// Waits for the end of a process; whether it came in time.
fn ended(child: &Child, patience: Duration) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            count => return Ok(count? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script for at most some time; how it ended.
    fn check(script: &str, argument: &str, patience: Duration) -> String {
        let command = ["/bin/sh", "-c", script, argument].map(str::to_owned);
        run(&command, "clock", "Subject: x\n\ny\n", patience).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn the_command_reads_the_text_and_the_kind_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let script = r#"{ cat; echo "$PETREL_ALARM"; env | grep -v -e ^PWD -e ^_= -e ^SHLVL -e ^OLDPWD | cut -d= -f1 | sort; pwd; } >"$0""#;
        assert_eq!(check(script, file.to_str().unwrap(), PATIENCE), "");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "Subject: x\n\ny\nclock\nPATH\nPETREL_ALARM\n/\n");
    }

    #[test]
    fn what_fails_or_hangs_is_told_and_harms_nothing() {
        assert_eq!(check("exit 3", "", PATIENCE), "/bin/sh ended with exit status: 3");
        let begun = std::time::Instant::now();
        // What it started goes with it.
        assert_eq!(check("sleep 100 & wait", "", Duration::from_millis(50)), "/bin/sh was killed after 0 s");
        assert!(begun.elapsed() < PATIENCE);
        let missing = run(&["/nonexistent/mail".to_owned()], "clock", "", PATIENCE).unwrap_err().to_string();
        assert!(missing.starts_with("running /nonexistent/mail: No such file"), "{missing}");
        run(&[], "clock", "", PATIENCE).unwrap();
    }
}
