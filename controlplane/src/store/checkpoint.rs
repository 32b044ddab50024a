//! Moves what is in the write-ahead log into the database file, beside the writing.
//!
//! SQLite does that within the commit that makes the log long, whose caller then waits for all of it. A thread with a
//! connection of its own does it every so often instead; only a log that grows faster is left to the commits.
//! Invariant: after a failed sync nothing is moved any more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, ErrorCode};
use tracing::{error, warn};

use super::{StoreError, prepare};

/// How often.
const INTERVAL: Duration = Duration::from_millis(500);
/// A log of so many pages (of 4 KiB) is moved by a commit after all.
pub(super) const PAGES_MAX: i64 = 32_768;

/// The thread. Dropping it ends it.
pub(super) struct Checkpoints {
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(path: &Path, broken: Arc<AtomicBool>) -> Result<Checkpoints, StoreError> {
        let connection = Connection::open(path)?;
        prepare(&connection)?;
        let (stop, stopping) = bounded::<()>(0);
        let run = move || {
            while stopping.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // Passive: what readers or the writer still need is left for the next time.
                let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                let Err(cause) = moved else { continue };
                warn!("the write-ahead log stays as it is: {}", super::describe(&cause));
                if cause.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                    // A second attempt could succeed although the first one lost pages; the log still has them.
                    broken.store(true, Ordering::Release);
                    error!("the disk failed under the database: no write is accepted until a restart");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(run);
        let thread = thread.map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        Ok(Checkpoints { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            thread.join().ok();
        }
    }
}
