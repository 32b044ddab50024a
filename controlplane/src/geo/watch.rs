//! Reads the database of places when it changes, beside the publishing.
//!
//! A file that cannot be read changes nothing: the last table stays in service, and the log says why, once for each state
//! of the file. Invariant: the thread ends when the [`Watch`] is dropped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use snapshot::image::Segment;
use tracing::{info, warn};

/// How often the file is looked at: such databases change once a day or week.
const EVERY: Duration = Duration::from_secs(5);

/// The thread that looks at the file.
#[derive(Debug)]
pub struct Watch {
    /// Ends it when dropped.
    _stop: Sender<()>,
}

/// What tells one state of a file from another.
type Mark = (u64, u64, i64, i64, u64);

impl Watch {
    /// Starts to watch a file, and to send what it says; the first table comes as soon as it is read.
    ///
    /// # Errors
    /// That of the system, if there is no thread to be had.
    pub fn start(file: PathBuf, tables: Sender<Option<Segment>>) -> std::io::Result<Watch> {
        let (stop, stopping) = channel::bounded(0);
        thread::Builder::new().name("geoip".into()).spawn(move || watch(&file, &tables, &stopping))?;
        Ok(Watch { _stop: stop })
    }
}

/// Looks at the file until told to stop.
fn watch(file: &Path, tables: &Sender<Option<Segment>>, stopping: &Receiver<()>) {
    let mut seen = None;
    loop {
        let mark = mark(file);
        if seen != Some(mark) {
            seen = Some(mark);
            match super::places(file) {
                Ok(table) => {
                    info!("read where addresses are from {}", file.display());
                    if tables.send(Some(table)).is_err() {
                        return;
                    }
                }
                Err(cause) => warn!("where addresses are stays as it is: {cause}"),
            }
        }
        if stopping.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// The state of a file; `None` if it is not there.
fn mark(file: &Path) -> Option<Mark> {
    let found = fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}
