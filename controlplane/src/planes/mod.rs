//! The data planes this process follows: who answers, what they serve, their counters.
//!
//! One task per plane asks over its control socket once per [`Pace::interval`]; HTTP requests read what was learned and
//! never cause a question, so that scraping cannot load a packet path. Not here: what the numbers look like outside
//! (`serve::metrics`). Invariant: a plane is [`State::Attached`] only while its latest poll was answered within
//! [`Pace::reply_time`]; each change of that is logged once.

mod client;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snapshot::handover::Directory;
use snapshot::handover::frames::{Counters, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use client::Connection;

/// How often planes are asked and how long they may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The pause between two polls.
    pub interval: Duration,
    /// How long a plane may take to answer before it is detached.
    pub reply_time: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { interval: Duration::from_secs(1), reply_time: Duration::from_secs(1) }
    }
}

/// All data planes of the configuration, and the directory they should follow.
#[derive(Debug)]
pub struct Planes {
    /// The snapshot directory.
    snapshots: PathBuf,
    /// How often they are asked.
    pace: Pace,
    /// The generation its CURRENT names; why it could not be read otherwise.
    newest: Mutex<Result<Option<u64>, String>>,
    /// In the order of the configuration.
    planes: Vec<Plane>,
}

/// One data plane.
#[derive(Debug)]
struct Plane {
    /// Its control socket.
    path: PathBuf,
    /// What is known of it.
    state: Mutex<State>,
}

/// What is known of one data plane.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Not asked yet.
    Unknown,
    /// It did not answer; the reason is one line.
    Detached(String),
    /// It answered the latest poll.
    Attached(Box<Attached>),
}

/// The answers of a data plane to the latest poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// What it is doing.
    pub status: Status,
    /// Its counters.
    pub counters: Counters,
}

impl State {
    /// The answers, if the plane is attached.
    #[must_use]
    pub fn attached(&self) -> Option<&Attached> {
        match self {
            State::Attached(attached) => Some(attached),
            State::Unknown | State::Detached(_) => None,
        }
    }
}

impl Planes {
    /// Planes that were not asked yet, on the control sockets `paths`.
    #[must_use]
    pub fn new(snapshots: PathBuf, paths: Vec<PathBuf>, pace: Pace) -> Planes {
        let plane = |path| Plane { path, state: Mutex::new(State::Unknown) };
        let planes = paths.into_iter().map(plane).collect();
        Planes { snapshots, pace, newest: Mutex::new(Ok(None)), planes }
    }

    /// The control sockets with what is known of their planes, in the order of the configuration.
    #[must_use]
    pub fn states(&self) -> Vec<(&Path, State)> {
        self.planes.iter().map(|plane| (plane.path.as_path(), lock(&plane.state).clone())).collect()
    }

    /// The generation the snapshot directory names as current, as last read.
    ///
    /// # Errors
    /// One line that says why it could not be read.
    pub fn newest(&self) -> Result<Option<u64>, String> {
        lock(&self.newest).clone()
    }

    /// Starts the tasks that keep this up to date until `stop` becomes true.
    pub fn spawn(self: &Arc<Self>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let directory = tokio::spawn(Arc::clone(self).follow_directory(stop.clone()));
        let polls = (0..self.planes.len()).map(|idx| tokio::spawn(Arc::clone(self).follow_plane(idx, stop.clone())));
        std::iter::once(directory).chain(polls).collect()
    }

    /// Reads CURRENT once per interval.
    async fn follow_directory(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let path = self.snapshots.clone();
            // A directory may hang (NFS): that must cost a blocking thread, not the one that serves HTTP.
            let read = tokio::task::spawn_blocking(move || read_newest(&path));
            let found = tokio::select! {
                found = read => found.unwrap_or_else(|bug| Err(bug.to_string())),
                () = stopped(&mut stop) => return,
            };
            let before = std::mem::replace(&mut *lock(&self.newest), found.clone());
            match (&before, &found) {
                (Ok(_), Err(cause)) => warn!("{}: {cause}", self.snapshots.display()),
                (Err(_), Ok(_)) => info!("{}: readable again", self.snapshots.display()),
                _ => {}
            }
            if pause(self.pace.interval, &mut stop).await {
                return;
            }
        }
    }

    /// Asks one plane once per interval, over one connection for as long as that holds.
    async fn follow_plane(self: Arc<Self>, idx: usize, mut stop: watch::Receiver<bool>) {
        let plane = &self.planes[idx];
        let mut connection = None;
        loop {
            let answered = tokio::select! {
                answered = timeout(self.pace.reply_time, client::poll(&mut connection, &plane.path)) => answered,
                () = stopped(&mut stop) => return,
            };
            let state = match answered {
                Ok(Ok(attached)) => State::Attached(Box::new(attached)),
                Ok(Err(cause)) => State::Detached(cause.to_string()),
                Err(_) => State::Detached(format!("no answer within {} ms", self.pace.reply_time.as_millis())),
            };
            if state.attached().is_none() {
                // A late answer must not be taken for one to the next question.
                connection = None::<Connection>;
            }
            plane.learn(state);
            if pause(self.pace.interval, &mut stop).await {
                return;
            }
        }
    }
}

impl Plane {
    /// Keeps what was learned and logs what changed.
    fn learn(&self, state: State) {
        let mut known = lock(&self.state);
        log_change(&self.path, &known, &state);
        *known = state;
    }
}

/// Logs the difference between two polls, if it matters.
fn log_change(path: &Path, before: &State, after: &State) {
    let path = path.display();
    match (before, after) {
        (State::Attached(before), State::Attached(after)) if before.status.generation != after.status.generation => {
            info!("data plane {path} serves generation {}", shown(after.status.generation));
        }
        (State::Unknown | State::Detached(_), State::Attached(attached)) => {
            let Status { pid, generation, .. } = &attached.status;
            info!("data plane {path} attached: pid {pid}, generation {}", shown(*generation));
        }
        (State::Attached(_), State::Detached(cause)) => warn!("data plane {path} detached: {cause}"),
        (State::Unknown, State::Detached(cause)) => warn!("data plane {path} is not attached: {cause}"),
        _ => {}
    }
}

/// A generation for people.
fn shown(generation: Option<u64>) -> String {
    generation.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

/// The number CURRENT names.
fn read_newest(path: &Path) -> Result<Option<u64>, String> {
    let directory = Directory::open(path).map_err(|cause| cause.to_string())?;
    let current = directory.current().map_err(|cause| cause.to_string())?;
    Ok(current.map(|current| current.manifest.generation.0))
}

/// Waits for the interval; true if we are to stop instead.
async fn pause(interval: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(interval) => false,
        () = stopped(stop) => true,
    }
}

/// Returns once we are to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can never say stop, and nobody but a test drops it: that is an end too.
    stop.wait_for(|stop| *stop).await.ok();
}

/// Locks; a poisoned lock holds values that are replaced whole, so they are good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
