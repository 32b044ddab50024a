//! Why a command ends without success, and the exit code that tells it to scripts.
//!
//! Invariant: the codes here and the table in the help text ([`EXIT_CODES`]) are the same; `args` has the test.

use std::io;

/// The exit codes, as the help shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done (warnings included)
  1  the input or the answer is bad: a zone file, a snapshot, a generation that a data plane refuses;
     a gate is closed; or a change is stored, but its zone cannot be published as it is
  2  usage: the command line is wrong
  3  could not: a file, the lock of a directory, or a data plane cannot be had
  4  a process that `dnsctl up` started ended by itself
For `plan`, as for diff(1): 0 the same, 2 it differs, and a wrong command line is 1.

With --json, standard output gets one JSON document; after a failure it has the key \"error\".";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What we were given is bad.
    #[error("{0}")]
    Input(String),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A gate is closed, and what goes through it has to be forced.
    #[error("{message}")]
    Gate {
        /// For people.
        message: String,
        /// For programs: further keys of the document.
        details: serde_json::Map<String, serde_json::Value>,
    },
    /// The system, the lock or a data plane did not let us.
    #[error("{0}")]
    Unable(String),
    /// A child process ended that should not.
    #[error("{0}")]
    Ended(String),
    /// As [`Failure::Input`], but the output has told it all.
    #[error("the input is bad")]
    Reported,
    /// `plan` found a difference, and has shown it.
    #[error("it differs")]
    Differs,
    /// Whoever read our output is gone; there is nobody to tell.
    #[error("nobody reads the output")]
    ReaderGone,
}

impl Failure {
    /// The exit code of the table.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Input(_) | Failure::Gate { .. } | Failure::Reported => 1,
            Failure::Usage(_) | Failure::Differs => 2,
            Failure::Unable(_) => 3,
            Failure::Ended(_) => 4,
        }
    }

    /// The failure of writing output.
    pub(crate) fn of_output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Unable(format!("writing output: {error}")),
        }
    }
}
