//! Watches the interfaces that the operator named, and brings AF_XDP back to them whatever happens.
//!
//! A thread looks at each interface twice a second, and at once when the kernel says over netlink that a link or an
//! address has changed. What a message says does not matter: the state is read anew, so none can be missed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use super::nic::{Nic, State};
use super::seat::{self, Seat, Sender};
use super::station::Shape;

/// Longest time between two looks.
const TICK: Duration = Duration::from_millis(500);
/// The same while workers are about to let go of an interface.
const TICK_SOON: Duration = Duration::from_millis(10);
/// The same while somebody else has an interface, most likely a predecessor that is about to end.
const TICK_TAKEN: Duration = Duration::from_millis(100);
/// Looks at the start, as long as one should follow soon.
const FIRST_LOOKS: u32 = 100;
/// Sockets made for each interface while we are privileged, if that will end: a queue takes one each time.
const SPARE_COUNT: usize = 64;
/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The interfaces, by name.
    pub(crate) interfaces: Vec<String>,
    /// Our addresses.
    pub(crate) listen: Vec<SocketAddr>,
    /// How many workers.
    pub(crate) workers: usize,
    /// Whether privileges will be dropped.
    pub(crate) drops_privileges: bool,
    /// Sizes.
    pub(crate) shape: Shape,
}

/// Interfaces under watch; it ends with this value, which detaches all filters.
pub(crate) struct Watch {
    /// How each interface does, in the order of the plan.
    notes: Arc<Mutex<Vec<(String, State)>>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
    /// Tells the thread to end.
    stop: Arc<AtomicBool>,
    /// Wakes it.
    bell: OwnedFd,
}

impl Watch {
    /// Loads the filters, which needs privileges, takes the interfaces as far as they are to be had, and begins to watch
    /// them. Returns a seat for each worker.
    ///
    /// # Errors
    /// If a filter or a thread cannot be had; an interface that cannot be had is noted and tried again.
    pub(crate) fn start(plan: &Plan) -> io::Result<(Watch, Vec<Seat>)> {
        let (senders, seats): (Vec<_>, Vec<_>) =
            (0..plan.workers).map(|_| seat::pair()).collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        // A umem counts against the limit of a user without CAP_IPC_LOCK; who may not raise it will see why it matters.
        let unlimited = rustix::process::Rlimit { current: None, maximum: None };
        rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited).ok();
        let spare_count = if plan.drops_privileges { SPARE_COUNT } else { 0 };
        let nics = plan.interfaces.iter().enumerate();
        let nics: Vec<Nic> =
            nics.map(|(number, name)| Nic::new(name, number, spare_count, plan.shape)).collect::<io::Result<_>>()?;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (notes, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut round = Round { nics, senders, listen: plan.listen.clone(), notes: Arc::clone(&notes) };
        for _ in 0..FIRST_LOOKS {
            if round.look() != TICK_SOON {
                break;
            }
            wait(&bell, None, TICK_SOON);
        }
        let (stopped, rung) = (Arc::clone(&stop), bell.try_clone()?);
        let thread = std::thread::Builder::new().name("interfaces".into()).spawn(move || {
            let news = news();
            let mut next = TICK_SOON;
            while !stopped.load(Ordering::Acquire) {
                wait(&rung, news.as_ref(), next);
                next = round.look();
            }
        })?;
        Ok((Watch { notes, thread: Some(thread), stop, bell }, seats))
    }

    /// Whether queries come by AF_XDP on any interface.
    pub(crate) fn is_serving(&self) -> bool {
        self.states().iter().any(|(_, state)| matches!(state, State::Attached(_)))
    }

    /// A line for each interface.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.states().iter().map(|(name, state)| note(name, state)).collect()
    }

    /// How each interface does.
    fn states(&self) -> Vec<(String, State)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let woken = rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).is_ok();
        // Without the bell it ends with its next look.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(woken, "the thread that watches interfaces panicked");
        }
    }
}

/// What the thread has.
struct Round {
    /// The interfaces.
    nics: Vec<Nic>,
    /// The mailboxes of the workers.
    senders: Vec<Sender>,
    /// Our addresses.
    listen: Vec<SocketAddr>,
    /// Where their states are told.
    notes: Arc<Mutex<Vec<(String, State)>>>,
}

impl Round {
    /// Looks at every interface; returns when to look again.
    fn look(&mut self) -> Duration {
        let mut soon = false;
        let mut states = Vec::new();
        for nic in &mut self.nics {
            let before = nic.state.clone();
            soon |= nic.tick(&self.listen, &self.senders);
            if nic.state != before {
                let line = note(&nic.name, &nic.state);
                if nic.is_attached() { tracing::info!("{line}") } else { tracing::warn!("{line}") }
            }
            states.push((nic.name.clone(), nic.state.clone()));
        }
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = states;
        match (soon, self.nics.iter().any(Nic::is_taken)) {
            (true, _) => TICK_SOON,
            (false, true) => TICK_TAKEN,
            (false, false) => TICK,
        }
    }
}

/// A line for log and status.
fn note(name: &str, state: &State) -> String {
    match state {
        State::Attached(how) => format!("xdp on {name}: {how}"),
        State::Detached(why) => format!("xdp on {name} is not used: {why}; the kernel's sockets answer"),
    }
}

/// A socket on which the kernel tells of links and addresses; without it we look when the time has come.
fn news() -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).ok()?;
    Some(socket)
}

/// Waits for news, the bell, or the time.
fn wait(bell: &OwnedFd, news: Option<&OwnedFd>, longest: Duration) {
    let mut polled: Vec<_> =
        [Some(bell), news].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(longest).unwrap_or_default();
    // Interrupted or not, a look costs little.
    rustix::event::poll(&mut polled, Some(&timeout)).ok();
    if let Some(news) = news {
        // One look serves all that was told until now; an overrun (ENOBUFS) says no more than a message.
        while rustix::net::recv(news, &mut [0_u8; 4096], RecvFlags::DONTWAIT).is_ok() {}
    }
}
