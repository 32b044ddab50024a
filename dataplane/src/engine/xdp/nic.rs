//! One interface: its filter, the attachment, and the stations that workers have of it.
//!
//! It moves no frames. `tick` compares what is with what should be and does one step: attach, leave, refresh.
//! Invariants: the filter is loaded once, while we are privileged, and attaching needs no privilege later; a socket is
//! bound to a queue again only after the worker has let go of the one before.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::interface::{self, Facts};
use super::program::{Program, QUEUE_COUNT_MAX};
use super::queue;
use super::seat::{Order, Sender};
use super::station::{Shape, Site, Station};
use crate::engine::bpf::{Link, Mode};

/// Chunks of a queue below which memory is too short to be of use.
const CHUNK_COUNT_MIN: u32 = 256;

/// Looks, one soon after the other, before an interface that is busy is said to be another program's.
const BUSY_LOOKS_MAX: u32 = 50;

/// A filter on an interface.
struct Attached {
    /// The attachment.
    link: Link,
    /// Where it is.
    mode: Mode,
    /// The interface as it was.
    facts: Facts,
    /// Its longest packet, shared with the stations.
    mtu: Arc<AtomicU32>,
}

/// A filter that is attached while its sockets cannot be had yet.
struct Pending {
    /// The attachment.
    link: Link,
    /// Where it is.
    mode: Mode,
    /// Why not in the driver.
    reason: Option<io::Error>,
    /// The interface.
    ifindex: u32,
}

impl Pending {
    /// Attaches `program` to the interface.
    fn new(program: &Program, ifindex: u32) -> io::Result<Pending> {
        let (link, mode, reason) = program.attach(ifindex)?;
        Ok(Pending { link, mode, reason, ifindex })
    }
}

/// How an interface does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Queries come by AF_XDP; how, in a few words.
    Attached(String),
    /// They do not; why.
    Detached(String),
}

/// An interface that the operator named.
pub(super) struct Nic {
    /// Its name.
    pub(super) name: String,
    /// Its number among ours.
    number: usize,
    /// The filter.
    program: Program,
    /// The attachment.
    attached: Option<Attached>,
    /// A filter that waits for sockets; it passes everything meanwhile.
    pending: Option<Pending>,
    /// Held by each of its stations besides.
    token: Arc<()>,
    /// Sockets that were made while we were privileged.
    spares: Vec<OwnedFd>,
    /// Sizes that were asked for.
    wanted: Shape,
    /// Sizes of stations: less where no more memory may be locked.
    shape: Shape,
    /// Looks in a row that found the interface busy.
    busy_looks: u32,
    /// How it does.
    pub(super) state: State,
}

impl Nic {
    /// Loads the filter for an interface and makes `spare_count` sockets for the time without privileges.
    ///
    /// # Errors
    /// If that is not permitted, in words that name the remedy.
    pub(super) fn new(name: &str, number: usize, spare_count: usize, shape: Shape) -> io::Result<Nic> {
        let spares = (0..spare_count).map(|_| queue::socket()).collect::<io::Result<_>>();
        let remedy = |error: io::Error| io::Error::new(error.kind(), explain(&error));
        Ok(Nic {
            name: name.to_owned(),
            number,
            program: Program::load().map_err(remedy)?,
            attached: None,
            pending: None,
            token: Arc::new(()),
            spares: spares.map_err(remedy)?,
            wanted: shape,
            shape,
            busy_looks: 0,
            state: State::Detached("not attached yet".to_owned()),
        })
    }

    /// One step towards serving `listen` on it by the workers behind `seats`. Returns whether the next step should
    /// follow soon.
    pub(super) fn tick(&mut self, listen: &[SocketAddr], seats: &[Sender]) -> bool {
        let facts = Facts::read(&self.name);
        match (self.attached.take(), facts) {
            (Some(attached), Some(facts)) if attached.is_same(&facts) => {
                self.refresh(attached, facts, listen, seats);
                self.attached.is_none()
            }
            (Some(_), facts) => {
                let why = if facts.is_some() { "was made anew or has other queues" } else { "is gone" };
                self.leave(seats, format!("the interface {why}"));
                true
            }
            (None, None) => {
                self.pending = None;
                self.state = State::Detached("there is no such interface".to_owned());
                false
            }
            // Workers have yet to let go.
            (None, Some(_)) if Arc::strong_count(&self.token) > 1 => true,
            (None, Some(facts)) => {
                match self.attach(facts, listen, seats) {
                    Ok(()) => {
                        self.busy_looks = 0;
                        false
                    }
                    // What was locked in vain is let go of in a moment.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && self.halve() => true,
                    // The kernel lets go of a queue some milliseconds after its socket was closed, or its process ended.
                    Err(error) if is_busy(&error) && self.busy_looks < BUSY_LOOKS_MAX => {
                        self.busy_looks += 1;
                        true
                    }
                    Err(error) => {
                        self.pending = None;
                        self.state = State::Detached(explain(&error));
                        false
                    }
                }
            }
        }
    }

    /// Asks for half the memory from now on; `false` if that would be too little.
    fn halve(&mut self) -> bool {
        let enough = self.shape.chunk_count > CHUNK_COUNT_MIN;
        if enough {
            self.shape.chunk_count /= 2;
        }
        enough
    }

    /// Lets go of the interface.
    fn leave(&mut self, seats: &[Sender], why: String) {
        for seat in seats {
            seat.send(self.number, Order::Leave);
        }
        self.state = State::Detached(why);
    }

    /// Keeps addresses and MTU up to date, and the filter attached.
    fn refresh(&mut self, mut attached: Attached, facts: Facts, listen: &[SocketAddr], seats: &[Sender]) {
        attached.mtu.store(facts.mtu, Ordering::Relaxed);
        let ours = interface::addresses(&self.name, listen);
        let known = self.program.know(&ours, facts.mac);
        let linked = known.and_then(|()| attached.link.ifindex()).and_then(|ifindex| {
            if ifindex != facts.ifindex {
                // Another tool took the filter off; our sockets are still bound to the queues.
                (attached.link, attached.mode, _) = self.program.attach(facts.ifindex)?;
            }
            Ok(())
        });
        match linked {
            Ok(()) => self.attached = Some(Attached { facts, ..attached }),
            Err(error) => self.leave(seats, explain(&error)),
        }
    }

    /// Attaches the filter, opens the stations and gives them to the workers.
    fn attach(&mut self, facts: Facts, listen: &[SocketAddr], seats: &[Sender]) -> io::Result<()> {
        self.program.know(&interface::addresses(&self.name, listen), facts.mac)?;
        let pending = self.pending.take().filter(|pending| pending.ifindex == facts.ifindex);
        let pending = match pending {
            Some(pending) => pending,
            None => Pending::new(&self.program, facts.ifindex)?,
        };
        let mtu = Arc::new(AtomicU32::new(facts.mtu));
        let stations = match self.open_stations(&facts, pending.mode, &mtu, seats.len()) {
            Ok(stations) => stations,
            Err(error) => {
                // Attaching resets the queues of many drivers, so it is not done again for the next try.
                self.pending = Some(pending);
                return Err(error);
            }
        };
        let Pending { link, mode, reason, .. } = pending;
        let copies = stations.iter().any(Station::copies);
        for (seat, station) in seats.iter().zip(stations) {
            seat.send(self.number, Order::Serve(Box::new(station)));
        }
        let less = if self.shape == self.wanted {
            String::new()
        } else {
            format!("; {} frames each, no more memory may be locked", self.shape.chunk_count)
        };
        self.state = State::Attached(describe(&facts, seats.len(), mode, reason, copies) + &less);
        self.attached = Some(Attached { link, mode, facts, mtu });
        Ok(())
    }

    /// Opens a station for each worker, as long as there are queues: worker `i` has the queues `i`, `i` + the number of
    /// workers, and so on.
    fn open_stations(
        &mut self,
        facts: &Facts,
        mode: Mode,
        mtu: &Arc<AtomicU32>,
        workers: usize,
    ) -> io::Result<Vec<Station>> {
        let queue_count = facts.queue_count.min(QUEUE_COUNT_MAX);
        let mut stations = Vec::new();
        for first in (0..queue_count).take(workers) {
            let queues: Vec<u32> = (first..queue_count).step_by(workers).collect();
            let site = Site {
                ifindex: facts.ifindex,
                queues: &queues,
                mode,
                shape: self.shape,
                mtu,
                sockets: self.program.sockets(),
                token: &self.token,
            };
            stations.push(Station::open(&site, || queue::socket().or_else(|error| self.spares.pop().ok_or(error)))?);
        }
        Ok(stations)
    }

    /// Whether somebody else has it, for longer than a moment.
    pub(super) fn is_taken(&self) -> bool {
        self.attached.is_none() && self.busy_looks >= BUSY_LOOKS_MAX
    }

    /// Whether its filter is attached.
    pub(super) fn is_attached(&self) -> bool {
        self.attached.is_some()
    }
}

impl Attached {
    /// Whether `facts` are those of the same interface with the same queues.
    fn is_same(&self, facts: &Facts) -> bool {
        (self.facts.ifindex, self.facts.queue_count) == (facts.ifindex, facts.queue_count)
    }
}

/// What is in service, in words, and why it is not more.
fn describe(facts: &Facts, workers: usize, mode: Mode, reason: Option<io::Error>, copies: bool) -> String {
    let mode = match (mode, reason) {
        (Mode::Native, _) => "in the driver".to_owned(),
        (Mode::Generic, None) => "behind the driver".to_owned(),
        (Mode::Generic, Some(reason)) => format!("behind the driver, which cannot ({reason})"),
    };
    let copy = if copies { "frames are copied, the driver has no zero copy" } else { "zero copy" };
    let queues = facts.queue_count;
    let shared = if (queues as usize) < workers { " for as many workers" } else { "" };
    format!("{mode}; {copy}; queues: {queues}{shared}")
}

/// Whether somebody has the interface or a queue of it.
fn is_busy(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// What an operator can do about `error`.
fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        _ if is_busy(error) => "another program has the interface or its queues".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            "no permission: CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF are needed".to_owned()
        }
        Some(libc::ENOBUFS) => "no more memory may be locked: raise RLIMIT_MEMLOCK".to_owned(),
        _ => error.to_string(),
    }
}
