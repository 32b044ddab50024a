//! A plane in service: workers, TCP thread, loader and control socket, started and ended in the right order.
//!
//! It knows no signals and no command line. It is generic over where views come from and what answers, so that its tests
//! need no snapshot.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use thiserror::Error;

use super::desk::{Fixed, PlaneDesk};
use super::privileges::{self, Account};
use crate::bind::{self, Bound, Tenancy};
use crate::config::{Config, Pinning};
use crate::control::predecessor::{self, Predecessor};
use crate::control::{Audience, Claim, Control, ControlError, Desk};
use crate::engine::Choice;
use crate::engine::xdp::{self, Seat, Watch};
use crate::responder::Answer;
use crate::slot::{self, Slot, Source};
use crate::stats::Stats;
use crate::stream::{self, Limits, Stream};
use crate::worker::{self, Order, Pulse};

/// Why a plane does not start.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// An address.
    #[error("{0}")]
    Bind(#[from] bind::BindError),
    /// The control socket.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// No generation can be had.
    #[error("no snapshot can be loaded from {path}: {reason}")]
    Snapshot {
        /// The directory.
        path: PathBuf,
        /// The loader's word.
        reason: String,
    },
    /// The user to become.
    #[error("becoming user {user}: {source}")]
    User {
        /// Who was asked for.
        user: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The group that may ask.
    #[error("control group {group}: {source}")]
    Group {
        /// Its name.
        group: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A predecessor that does not retire.
    #[error("taking over from the process at {path}: {source}")]
    Takeover {
        /// Its control socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// An interface for AF_XDP.
    #[error("engine xdp: {0}")]
    Xdp(String),
    /// An engine or a thread.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A plane in service.
pub(super) struct Plane<S: Source> {
    /// The view and its loader.
    slot: Slot<S>,
    /// What the control socket answers.
    desk: Arc<PlaneDesk<S>>,
    /// The control socket.
    control: Option<Control>,
    /// The workers.
    workers: Vec<JoinHandle<io::Result<()>>>,
    /// Their heartbeats.
    pulses: Vec<Arc<Pulse>>,
}

impl<S: Source> Plane<S> {
    /// Starts a plane; when it returns, queries are answered and a predecessor has been told to retire.
    ///
    /// `retired` is called when a successor has taken over.
    pub(super) fn start<A: Answer<View = S::View>>(
        config: &Config,
        source: S,
        answer: &A,
        retired: impl Fn() + Send + Sync + 'static,
    ) -> Result<Plane<S>, StartError> {
        let started = Instant::now();
        let predecessor = find_predecessor(config)?;
        let Claimed { bound, interfaces, control } = claim(config, predecessor.as_ref())?;
        let stats = Arc::new(Stats::default());
        let (slot, loader) = slot::open(source, stats.block())
            .map_err(|error| StartError::Snapshot { path: config.snapshots.clone(), reason: error.to_string() })?;
        let served = predecessor.as_ref().and_then(|predecessor| predecessor.status.generation);
        if let (Some(served), None) = (served, slot.facts().generation) {
            let reason = format!("it is empty, and the process that is to be replaced serves generation {served}");
            return Err(StartError::Snapshot { path: config.snapshots.clone(), reason });
        }
        // It ends with the last handle on the slot.
        drop(loader);
        let addresses: Vec<_> = bound.iter().map(|bound| bound.addr).collect();
        let (udp, tcp) = divide(bound, config.threads);
        let order = Arc::new(Order::default());
        let team = start_workers::<S, A>(config, udp, interfaces.seats, &slot, answer, &stats, &order)?;
        let limits = Limits { connections_max: stream::connections_max(config.tcp.connections_max), ..config.tcp };
        let stream = Arc::new(stream::start(slot.view(), answer.fork(), stats.block(), limits)?);
        let mut inherited = Vec::new();
        if let Some(predecessor) = predecessor {
            let path = config.control.clone().unwrap_or_default();
            inherited = predecessor.retire().map_err(|source| StartError::Takeover { path, source })?;
        }
        let listeners = start_listening(&stream, tcp, &inherited)?;
        let desk = Arc::new(PlaneDesk {
            fixed: Fixed {
                directory: config.snapshots.display().to_string(),
                engine: team.engine,
                engine_notes: [interfaces.notes, team.notes].concat(),
                listen: addresses.iter().map(SocketAddr::to_string).collect(),
                workers: u32::try_from(team.threads.len()).unwrap_or(u32::MAX),
            },
            watch: Mutex::new(interfaces.watch),
            started,
            slot: slot.clone(),
            stats,
            listeners: Mutex::new(listeners),
            order,
            stream,
            retiring: AtomicBool::new(false),
            retired: Box::new(retired),
        });
        if let Some(control) = &control {
            control.serve(desk.clone())?;
            control.publish()?;
            tracing::info!("control socket {}", control.path().display());
        }
        report(&desk.fixed, &slot);
        Ok(Plane { slot, desk, control, workers: team.threads, pulses: team.pulses })
    }

    /// The heartbeats of the workers, in their order.
    pub(super) fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.pulses.clone()
    }

    /// Takes the newest generation into service, in the background.
    pub(super) fn reload(&self) {
        self.slot.nudge();
    }

    /// Answers what was received, lets TCP connections finish, and ends. O(seconds).
    pub(super) fn end(self) {
        match self.control {
            // The path is the successor's, or will be in a moment.
            Some(control) if self.desk.retiring.load(Ordering::Acquire) => control.leave(),
            // Gone first, so that nobody asks a process that ends.
            control => drop(control),
        }
        self.desk.order.retire();
        self.desk.stream.retire();
        drop(self.desk.hand_over());
        for worker in self.workers {
            match worker.join() {
                // A worker that fails has logged why.
                Ok(_) => {}
                Err(_) => tracing::error!("a worker panicked"),
            }
        }
        // Before the last connections have ended: a successor waits for the interfaces.
        drop(self.desk.watch.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.desk.stream.wait();
    }
}

/// The process that answers on our control socket.
fn find_predecessor(config: &Config) -> Result<Option<Predecessor>, StartError> {
    let Some(path) = &config.control else { return Ok(None) };
    let found = predecessor::find(path).map_err(|source| StartError::Takeover { path: path.clone(), source })?;
    if let Some(found) = &found {
        let status = &found.status;
        tracing::info!(pid = status.pid, "taking over from process {} of version {}", status.pid, status.version);
    }
    Ok(found)
}

/// What was had with privileges.
struct Claimed {
    /// Sockets by address.
    bound: Vec<Bound>,
    /// Interfaces.
    interfaces: Interfaces,
    /// The control socket.
    control: Option<Control>,
}

/// What there is of AF_XDP.
#[derive(Default)]
struct Interfaces {
    /// What watches them.
    watch: Option<Watch>,
    /// A seat for each worker, if there is any interface.
    seats: Vec<Seat>,
    /// Why there is nothing.
    notes: Vec<String>,
}

/// What needs privileges: sockets, interfaces, the control socket, and giving the privileges up.
fn claim(config: &Config, predecessor: Option<&Predecessor>) -> Result<Claimed, StartError> {
    let user_error = |source| StartError::User { user: config.user.clone().unwrap_or_default(), source };
    let audience = match &config.control_group {
        Some(name) => Audience::Group(
            privileges::group(name).map_err(|source| StartError::Group { group: name.clone(), source })?,
        ),
        None => Audience::Owner,
    };
    let account = config.user.as_deref().map(Account::find).transpose().map_err(user_error)?;
    let (tenancy, claim) = match predecessor {
        Some(_) => (Tenancy::Joining, Claim::Replace),
        None => (Tenancy::Alone, Claim::IfFree),
    };
    // What the predecessor answers on is shared with it; any other address must be free, as for a first process.
    let is_shared = |addr: SocketAddr| {
        predecessor.is_some_and(|predecessor| predecessor.status.listen.iter().any(|known| known.parse() == Ok(addr)))
    };
    let tenancy_of = |addr| if is_shared(addr) { Tenancy::Joining } else { Tenancy::Alone };
    let (bound, left_out) = bind::bind_all(&config.listen, config.threads, tenancy_of)?;
    for reason in left_out {
        tracing::warn!("not listening: {reason}");
    }
    let interfaces = watch_interfaces(config, &bound, tenancy)?;
    let mut control = config.control.as_deref().map(|path| Control::bind(path, claim, audience)).transpose()?;
    if let Some(account) = account {
        if let Some(control) = &control {
            control.give_to(account.uid(), account.gid()).map_err(user_error)?;
        }
        account.assume().map_err(user_error)?;
        tracing::info!(uid = account.uid(), "privileges dropped");
    }
    if let Some(control) = &mut control {
        control.rehearse()?;
    }
    Ok(Claimed { bound, interfaces, control })
}

/// Takes the interfaces of AF_XDP. With engine `xdp` they must be to be had, unless a predecessor has them still.
fn watch_interfaces(config: &Config, bound: &[Bound], tenancy: Tenancy) -> Result<Interfaces, StartError> {
    if config.interfaces.is_empty() {
        return Ok(Interfaces::default());
    }
    let must = config.engine == Choice::Xdp;
    let started = Watch::start(&xdp::Plan {
        interfaces: config.interfaces.clone(),
        listen: bound.iter().map(|bound| bound.addr).collect(),
        workers: config.threads,
        drops_privileges: config.user.is_some(),
        shape: config.shape,
    });
    match started {
        Ok((watch, _)) if must && tenancy == Tenancy::Alone && !watch.is_serving() => {
            Err(StartError::Xdp(watch.notes().join("; ")))
        }
        Ok((watch, seats)) => Ok(Interfaces { watch: Some(watch), seats, notes: Vec::new() }),
        Err(error) if must => Err(StartError::Xdp(error.to_string())),
        Err(error) => Ok(Interfaces { notes: vec![format!("xdp is not used: {error}")], ..Interfaces::default() }),
    }
}

/// Sockets by worker, and TCP sockets by address.
fn divide(bound: Vec<Bound>, workers: usize) -> (Vec<Vec<UdpSocket>>, Vec<(SocketAddr, socket2::Socket)>) {
    let mut udp: Vec<Vec<UdpSocket>> = (0..workers).map(|_| Vec::new()).collect();
    let mut tcp = Vec::new();
    for bound in bound {
        for (sockets, socket) in udp.iter_mut().zip(bound.udp) {
            sockets.push(socket);
        }
        tcp.push((bound.addr, bound.tcp));
    }
    (udp, tcp)
}

/// All workers.
struct Team {
    /// Their threads.
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// Their heartbeats.
    pulses: Vec<Arc<Pulse>>,
    /// The engine of the last one; they are alike.
    engine: String,
    /// Why better engines are not used.
    notes: Vec<String>,
}

/// Starts one worker for each set of sockets.
fn start_workers<S: Source, A: Answer<View = S::View>>(
    config: &Config,
    udp: Vec<Vec<UdpSocket>>,
    seats: Vec<Seat>,
    slot: &Slot<S>,
    answer: &A,
    stats: &Stats,
    order: &Arc<Order>,
) -> Result<Team, StartError> {
    let cores = match config.pinning {
        Pinning::Pinned | Pinning::Steered => core_affinity::get_core_ids().unwrap_or_default(),
        Pinning::Free => Vec::new(),
    };
    let mut team = Team { threads: Vec::new(), pulses: Vec::new(), engine: String::new(), notes: Vec::new() };
    let mut seats = seats.into_iter();
    for (number, sockets) in udp.into_iter().enumerate() {
        let pulse = Arc::new(Pulse::default());
        let core = (!cores.is_empty()).then(|| cores[number % cores.len()]);
        if let Some(core) = core.filter(|_| config.pinning == Pinning::Steered) {
            bind::steer(&sockets, core.id)?;
        }
        let running = worker::start(worker::Plan {
            number,
            sockets,
            choice: config.engine,
            seat: seats.next(),
            core,
            view: slot.view(),
            answer: answer.fork(),
            block: stats.block(),
            pulse: Arc::clone(&pulse),
            order: Arc::clone(order),
        })?;
        team.threads.push(running.thread);
        team.pulses.push(pulse);
        running.engine.clone_into(&mut team.engine);
        team.notes = running.notes;
    }
    Ok(team)
}

/// Accepts on inherited listeners where there are any, else on our own; returns handles for a successor.
fn start_listening(
    stream: &Stream,
    tcp: Vec<(SocketAddr, socket2::Socket)>,
    inherited: &[TcpListener],
) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (addr, socket) in tcp {
        let old = inherited.iter().find(|listener| listener.local_addr().is_ok_and(|known| known == addr));
        let listener = match old {
            Some(listener) => listener.try_clone()?,
            None => bind::listen(socket)?,
        };
        listener.set_nonblocking(true)?;
        listeners.push(listener.try_clone()?);
        stream.listen(listener);
    }
    Ok(listeners)
}

/// Logs what is running, a line for each fact.
fn report<S: Source>(fixed: &Fixed, slot: &Slot<S>) {
    for note in &fixed.engine_notes {
        tracing::warn!("{note}");
    }
    for addr in &fixed.listen {
        tracing::info!("listening on {addr} over UDP and TCP");
    }
    tracing::info!(workers = fixed.workers, "{} workers with engine {}", fixed.workers, fixed.engine);
    let facts = slot.facts();
    match facts.generation {
        Some(generation) => tracing::info!(
            generation,
            zones = facts.zones,
            bytes = facts.bytes,
            "serving generation {generation} from {}",
            fixed.directory
        ),
        None => tracing::warn!("{} holds no generation yet: every query gets SERVFAIL until it does", fixed.directory),
    }
}
