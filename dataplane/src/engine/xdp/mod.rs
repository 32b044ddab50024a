//! The `xdp` engine: AF_XDP sockets beside the kernel's sockets of a worker.
//!
//! A filter in front of a network interface gives queries to our addresses to us as whole frames, past the kernel's
//! IP and UDP; all else, and all that the filter does not know (fragments, IP options, TCP, other interfaces), goes the
//! usual way to the engine inside. It takes over no interface that the operator did not name. Invariants: an interface
//! that is gone, or cannot be had, costs nobody an answer, because the sockets of the engine inside are always there; a
//! process that ends in any way detaches its filter, because the attachment is a descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;

use super::{Engine, RingLosses, Serve, Turn};

mod frame;
mod interface;
mod nic;
mod program;
mod queue;
mod ring;
mod seat;
mod station;
mod umem;
mod watch;

pub(crate) use seat::Seat;
pub(crate) use station::Shape;
pub(crate) use watch::{Plan, Watch};

use seat::Order;
use station::{Desk, Station};

/// Batches from AF_XDP sockets in a row after which the engine inside gets a turn.
const STREAK_MAX: u32 = 8;
/// Longest wait while replies wait for the kernel.
const WAIT_WITH_REPLIES: Duration = Duration::from_millis(2);

/// AF_XDP sockets around an engine of the kernel's sockets.
pub(crate) struct Xdp {
    /// The engine inside; it does all waiting.
    inner: Box<dyn Engine>,
    /// Readable when a station has frames or the seat orders; watched by the engine inside.
    readiness: OwnedFd,
    /// Where stations come from.
    seat: Seat,
    /// Stations, with the number of their interface.
    stations: Vec<(usize, Station)>,
    /// The station to serve first.
    first: usize,
    /// Batches since the engine inside had its turn.
    streak: u32,
    /// Whether stations are taken no more.
    retired: bool,
    /// Losses of stations that are gone.
    past: RingLosses,
    /// Memory for a turn.
    desk: Desk,
}

impl Xdp {
    /// Puts the stations that come to `seat` around `inner`. Those that have come already are in service when this
    /// returns, so that what is asked of a server that says it is ready goes past the kernel.
    ///
    /// # Errors
    /// Those of epoll(7).
    pub(crate) fn open(mut inner: Box<dyn Engine>, seat: Seat) -> io::Result<Xdp> {
        let readiness = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&readiness, seat.bell(), epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        inner.watch(readiness.try_clone()?);
        let (stations, desk) = (Vec::new(), Desk::new());
        let (first, streak, retired) = (0, 0, false);
        let past = RingLosses::default();
        let mut engine = Xdp { inner, readiness, seat, stations, first, streak, retired, past, desk };
        engine.obey();
        Ok(engine)
    }

    /// Does what the seat orders.
    fn obey(&mut self) {
        for (nic, order) in self.seat.orders() {
            while let Some(idx) = self.stations.iter().position(|(known, _)| *known == nic) {
                let (_, station) = self.stations.swap_remove(idx);
                self.past = self.past.plus(station.losses());
            }
            if let Order::Serve(station) = order
                && !self.retired
                && let Err(error) = self.take(nic, *station)
            {
                tracing::warn!(%error, "a worker cannot serve its queues of interface {nic}");
            }
        }
    }

    /// Takes a station into service.
    fn take(&mut self, nic: usize, station: Station) -> io::Result<()> {
        for fd in station.fds() {
            epoll::add(&self.readiness, fd, epoll::EventData::new_u64(1), epoll::EventFlags::IN)?;
        }
        station.admit()?;
        self.stations.push((nic, station));
        Ok(())
    }

    /// Serves the next station that has frames.
    fn frames(&mut self, serve: Serve<'_>, turn: &mut Turn) {
        let count = self.stations.len();
        for step in 0..count {
            let idx = (self.first + step) % count;
            self.stations[idx].1.turn(&mut self.desk, &mut *serve, turn);
            if turn.received > 0 {
                self.first = (idx + 1) % count;
                return;
            }
        }
    }
}

impl Engine for Xdp {
    fn turn(&mut self, wait: Duration, serve: Serve<'_>) -> io::Result<Turn> {
        self.obey();
        let mut turn = Turn::default();
        let mut wait = wait;
        if self.streak < STREAK_MAX {
            self.frames(&mut *serve, &mut turn);
            if turn.received > 0 {
                self.streak += 1;
                return Ok(turn);
            }
        } else {
            // There are frames, most likely: the sockets are asked what they have, and not waited for.
            wait = Duration::ZERO;
        }
        self.streak = 0;
        if self.stations.iter().any(|(_, station)| station.has_replies()) {
            wait = wait.min(WAIT_WITH_REPLIES);
        }
        let inside = self.inner.turn(wait, &mut *serve)?;
        turn = turn.plus(inside);
        if turn.received == 0 {
            self.frames(&mut *serve, &mut turn);
        }
        Ok(turn)
    }

    /// That of the engine inside: who watches the interfaces tells what these have.
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn retire(&mut self) -> io::Result<()> {
        self.retired = true;
        for (_, station) in &self.stations {
            station.dismiss()?;
        }
        self.inner.retire()
    }

    fn queue_drops(&self) -> u64 {
        self.inner.queue_drops()
    }

    fn ring_losses(&self) -> RingLosses {
        self.stations.iter().map(|(_, station)| station.losses()).fold(self.past, RingLosses::plus)
    }

    fn watch(&mut self, fd: OwnedFd) {
        self.inner.watch(fd);
    }
}
