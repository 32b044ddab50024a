//! The link to one data plane: nudges it when a generation is published, and learns when it is served.
//!
//! A thread of its own with plain blocking calls, so that a plane which hangs holds up nobody: it counts as attached only
//! while it answers in time. Invariant: a change is reported as served after the plane said so over the socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
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

/// Connects to a plane, which has its time for each answer.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LOAD_TIME))?;
    stream.set_write_timeout(Some(LOAD_TIME))?;
    Ok(stream)
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
            none => none.insert(connect(&self.path)?),
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
                if generation >= latest.generation {
                    plane.change = plane.change.max(latest.change);
                } else if was.1 != Some(generation) {
                    // One that fell back to an older generation, after a restart, serves nothing that we could promise.
                    plane.change = ChangeId(0);
                }
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use crossbeam::channel;
    use snapshot::handover::frames::{Serving, Status};

    use super::*;
    use crate::publish::PlaneProgress;

    /// What a plane says of itself that serves this generation.
    fn status(generation: u64) -> Reply {
        let text = format!(
            r#"{{"protocol":1,"version":"","pid":1,"uptime_secs":1,"directory":"","generation":{generation},"zones":1,"bytes":1,
                "refused":"broken","engine":"","engine_notes":[],"listen":[],"workers":1,"retiring":false}}"#
        );
        Reply::Status(Box::new(serde_json::from_str::<Status>(&text).unwrap()))
    }

    /// Answers one question as a plane that serves `generation` and refuses newer ones; the question.
    fn answer(stream: &mut UnixStream, generation: u64, refuses: bool) -> Request {
        let request = read_frame::<Request>(stream).unwrap().unwrap();
        let reply = match request {
            Request::Reload if refuses => Reply::Error { message: "broken".to_owned() },
            Request::Reload => Reply::Serving(Serving { generation, fresh: true, millis: 0.0 }),
            _ => status(generation),
        };
        write_frame(stream, &reply).unwrap();
        request
    }

    #[test]
    fn a_plane_that_refuses_a_generation_rests_and_what_it_serves_it_still_serves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let plane = PlaneProgress { path: path.clone(), attached: false, change: ChangeId(0), generation: None };
        let (progress, watching) = watch::channel(Progress { planes: vec![plane], ..Progress::default() });
        let (news, inbox) = channel::unbounded();
        let link = Link { idx: 0, path, news: inbox, progress };
        let linking = thread::spawn(move || link.run());
        let known = || (watching.borrow().planes[0].generation, watching.borrow().planes[0].change);

        news.send(News { generation: 1, change: ChangeId(7) }).unwrap();
        let mut stream = listener.accept().unwrap().0;
        assert_eq!(answer(&mut stream, 1, false), Request::Reload);
        news.send(News { generation: 2, change: ChangeId(8) }).unwrap();
        let refused: Vec<Request> = (0..4).map(|_| answer(&mut stream, 1, true)).collect();
        assert!(refused.contains(&Request::Status), "it is asked to load it again and again");
        assert_eq!(known(), (Some(1), ChangeId(7)));
        // Another generation is tried, whatever was refused.
        news.send(News { generation: 3, change: ChangeId(9) }).unwrap();
        while answer(&mut stream, 3, false) != Request::Reload {}
        // With the next question the answer before is taken in.
        answer(&mut stream, 3, false);
        assert_eq!(known(), (Some(3), ChangeId(9)));
        drop((news, stream));
        linking.join().unwrap();
    }
}
