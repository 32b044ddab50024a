//! The link to one data plane: nudges it when a generation is published, and learns when it is served.
//!
//! A thread of its own with plain blocking calls, so that a plane which hangs holds up nobody: it counts as attached only
//! while it answers in time. Invariant: a change is reported as served after the plane said so over the socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};
use tokio::sync::watch;
use tracing::{info, warn};

use super::Progress;
use crate::store::ChangeId;

/// How long a plane may take to load a generation. Longer than callers wait: a big first load is no failure.
const LOAD_TIME: Duration = Duration::from_secs(30);
/// How often a plane that is not there is looked for, and one that is there is asked whether it still is.
const RETRY: Duration = Duration::from_millis(500);

/// The longest pause before a plane is asked again to load a generation that it refused: what it costs it may be a core.
const REST_MAX: Duration = Duration::from_secs(30);

/// A published generation.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    /// Its number.
    pub(super) generation: u64,
    /// The last change in it.
    pub(super) change: ChangeId,
}

/// The state of the thread.
pub(super) struct Link {
    /// Its place in [`Progress::planes`].
    pub(super) idx: usize,
    /// The control socket.
    pub(super) path: PathBuf,
    /// Generations to follow; only the newest counts.
    pub(super) news: Receiver<News>,
    /// Where to report.
    pub(super) progress: watch::Sender<Progress>,
}

/// What a plane answered.
enum Heard {
    /// It serves this generation; `None` if it has none yet.
    Serving(Option<u64>),
    /// It has reasons not to serve the newest; it is there all the same.
    Refused,
}

/// The pause of a plane that refused a generation.
struct Rest {
    /// When it is asked again to load it.
    until: Instant,
    /// How long that is from the last refusal.
    pause: Duration,
}

impl Link {
    /// Follows until the publisher ends.
    pub(super) fn run(self) {
        let mut latest: Option<News> = None;
        let mut connection: Option<UnixStream> = None;
        let mut rest: Option<Rest> = None;
        loop {
            match self.news.recv_timeout(RETRY) {
                Ok(news) => {
                    latest = Some(self.news.try_iter().last().unwrap_or(news));
                    rest = None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let is_resting = rest.as_ref().is_some_and(|rest| Instant::now() < rest.until);
            let request = if is_resting { Request::Status } else { Request::Reload };
            match self.ask(&mut connection, &request) {
                Ok(Heard::Serving(generation)) => {
                    rest = rest.filter(|_| is_resting);
                    self.learn(generation, latest);
                }
                Ok(Heard::Refused) => {
                    if !is_resting {
                        let pause = rest.map_or(RETRY, |rest| (rest.pause * 2).min(REST_MAX));
                        rest = Some(Rest { until: Instant::now() + pause, pause });
                    }
                    self.learn(None, latest);
                }
                Err(cause) => {
                    (connection, rest) = (None, None);
                    self.lose(&cause);
                }
            }
        }
    }

    /// Asks the plane one thing.
    fn ask(&self, connection: &mut Option<UnixStream>, request: &Request) -> io::Result<Heard> {
        let stream = match connection {
            Some(stream) => stream,
            none => {
                let stream = UnixStream::connect(&self.path)?;
                stream.set_read_timeout(Some(LOAD_TIME))?;
                stream.set_write_timeout(Some(LOAD_TIME))?;
                none.insert(stream)
            }
        };
        write_frame(stream, request)?;
        match read_frame(stream)? {
            Some(Reply::Serving(serving)) => Ok(Heard::Serving(Some(serving.generation))),
            Some(Reply::Status(status)) => Ok(Heard::Serving(status.generation)),
            Some(Reply::Error { message }) => {
                warn!("data plane {}: {message}", self.path.display());
                Ok(Heard::Refused)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is none to the question")),
        }
    }

    /// Reports what the plane serves.
    fn learn(&self, generation: Option<u64>, latest: Option<News>) {
        self.progress.send_if_modified(|progress| {
            let Some(plane) = progress.planes.get_mut(self.idx) else { return false };
            let was = (plane.attached, plane.generation, plane.change);
            plane.attached = true;
            plane.generation = generation.or(plane.generation);
            if let (Some(generation), Some(latest)) = (generation, latest) {
                // A plane that fell back to an older generation, after a restart, serves nothing that we could promise.
                let is_there = generation >= latest.generation;
                plane.change = if is_there { plane.change.max(latest.change) } else { ChangeId(0) };
            }
            if !was.0 {
                info!("data plane {} is attached", self.path.display());
            }
            was != (plane.attached, plane.generation, plane.change)
        });
    }

    /// Reports that the plane does not answer.
    fn lose(&self, cause: &io::Error) {
        self.progress.send_if_modified(|progress| {
            let Some(plane) = progress.planes.get_mut(self.idx) else { return false };
            if plane.attached {
                warn!("data plane {} is lost: {cause}", self.path.display());
            }
            // What it serves when it is back is not known: it may keep an older generation, and say no more than that.
            plane.change = ChangeId(0);
            std::mem::replace(&mut plane.attached, false)
        });
    }
}
