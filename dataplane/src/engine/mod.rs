//! Engines: what brings batches of datagrams from UDP sockets and takes the replies back.
//!
//! An engine knows no DNS, no snapshot and no clock. Invariant: every datagram of a batch has left its socket before
//! `serve` is called, so a view that `serve` loads is at least as new as any view acknowledged before a query was sent.
//! Queries lie in engine memory and replies are rendered over them; nothing is allocated per datagram.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::packet::Packet;
use xdp::{Seat, Xdp};

mod batch;
pub mod bpf;
mod buffers;
mod lanes;
pub mod memory;
mod merge;
mod outbox;
mod peer;
pub mod socket;
mod syscall;
pub mod uring;
pub(crate) mod xdp;

/// Most receives in one turn: two of the answer's batches, and what one `sendmmsg` takes comfortably.
pub const TURN_LEN: usize = 64;

/// What answers a batch: called after all of a turn was received, with 1..=[`TURN_LEN`] packets; more than once only if
/// datagrams came merged.
pub type Serve<'s> = &'s mut dyn FnMut(&mut [Packet<'_>]);

/// Brings datagrams and takes replies.
pub trait Engine {
    /// Waits up to `wait` for datagrams, has `serve` answer them and sends the replies.
    ///
    /// Returns at once when datagrams are there, and with `received == 0` when none came in time.
    ///
    /// # Errors
    /// Only when the engine cannot go on; faults of single datagrams are counted in [`Turn`].
    fn turn(&mut self, wait: Duration, serve: Serve<'_>) -> io::Result<Turn>;

    /// The name for logs and status.
    fn name(&self) -> &'static str;

    /// Takes no new datagrams from now on; those that are queued still come out of [`Engine::turn`].
    ///
    /// # Errors
    /// Those of connect(2).
    fn retire(&mut self) -> io::Result<()>;

    /// Datagrams that the kernel threw away because a receive queue was full, since the sockets were opened.
    fn queue_drops(&self) -> u64;

    /// What the kernel counted at rings of ours since they were opened.
    fn ring_losses(&self) -> RingLosses {
        RingLosses::default()
    }

    /// Has a turn end its wait when `fd` can be read, besides; such a turn may bring nothing.
    fn watch(&mut self, fd: OwnedFd);
}

/// Frames that went lost at the rings of AF_XDP sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingLosses {
    /// Dropped for other reasons than the next two.
    pub rx_dropped: u64,
    /// The receive ring was full: we are too slow.
    pub rx_full: u64,
    /// No chunk was there to receive into.
    pub fill_empty: u64,
    /// Descriptors that the kernel refused: a bug.
    pub invalid: u64,
}

impl RingLosses {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: RingLosses) -> RingLosses {
        RingLosses {
            rx_dropped: self.rx_dropped + other.rx_dropped,
            rx_full: self.rx_full + other.rx_full,
            fill_empty: self.fill_empty + other.fill_empty,
            invalid: self.invalid + other.invalid,
        }
    }
}

/// What one turn did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Datagrams given to `serve`.
    pub received: u32,
    /// Replies handed to the kernel.
    pub sent: u32,
    /// Datagrams cut by the receive buffer; they are not served.
    pub cut: u32,
    /// Times that no receive buffer was free.
    pub enobufs: u32,
    /// Times that the completion queue overflowed.
    pub cq_overflows: u32,
    /// Of those, replies that left merged with others to the same peer.
    pub merged: u32,
    /// Replies that the kernel refused.
    pub send_errors: u32,
    /// Failed receives.
    pub recv_errors: u32,
    /// Frames that hold no datagram that could be answered.
    pub malformed: u32,
    /// Replies dropped because the transmit ring was full.
    pub tx_full: u32,
}

impl Turn {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Turn) -> Turn {
        Turn {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            cut: self.cut + other.cut,
            enobufs: self.enobufs + other.enobufs,
            cq_overflows: self.cq_overflows + other.cq_overflows,
            merged: self.merged + other.merged,
            send_errors: self.send_errors + other.send_errors,
            recv_errors: self.recv_errors + other.recv_errors,
            malformed: self.malformed + other.malformed,
            tx_full: self.tx_full + other.tx_full,
        }
    }
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The best that works here.
    #[default]
    Auto,
    /// `io_uring`, or fail.
    Uring,
    /// recvmmsg(2) and sendmmsg(2).
    Socket,
    /// AF_XDP on the interfaces that are named, or fail; beside it the best of the others.
    Xdp,
}

/// An engine and why better ones are not used.
pub(crate) struct Opened {
    /// The engine.
    pub(crate) engine: Box<dyn Engine>,
    /// One line for each engine that was tried in vain.
    pub(crate) notes: Vec<String>,
}

/// Opens an engine over `sockets`, on the thread that will use it; with a seat, the stations that come to it are served
/// too.
///
/// # Errors
/// If the engine asked for, or with [`Choice::Auto`] the last resort, cannot be set up.
pub(crate) fn open(choice: Choice, sockets: Vec<UdpSocket>, seat: Option<Seat>) -> io::Result<Opened> {
    let Opened { engine, notes } = open_sockets(choice, sockets)?;
    Ok(match seat {
        Some(seat) => Opened { engine: Box::new(Xdp::open(engine, seat)?), notes },
        None => Opened { engine, notes },
    })
}

/// How long [`attach`] tries.
const ATTACH_TIME_MAX: Duration = Duration::from_secs(5);

/// An engine by itself over a socket and the AF_XDP sockets of an interface, for programs that measure what it costs.
pub struct Attached {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Keeps the interface.
    _watch: xdp::Watch,
}

/// Opens an engine over `socket` and the interface of this name.
///
/// # Errors
/// If the interface cannot be had, which takes privileges.
pub fn attach(interface: &str, socket: UdpSocket) -> io::Result<Attached> {
    let (watch, mut seats) = xdp::Watch::start(&xdp::Plan {
        interfaces: vec![interface.to_owned()],
        listen: vec![socket.local_addr()?],
        workers: 1,
        drops_privileges: false,
        shape: xdp::Shape::default(),
    })?;
    // Who had the interface before may be ending just now; the watch goes on trying.
    let begun = Instant::now();
    while !watch.is_serving() {
        if begun.elapsed() > ATTACH_TIME_MAX {
            return Err(io::Error::other(watch.notes().join("; ")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Opened { engine, .. } = open(Choice::Auto, vec![socket], seats.pop())?;
    Ok(Attached { engine, _watch: watch })
}

/// Opens an engine over the kernel's sockets.
fn open_sockets(choice: Choice, sockets: Vec<UdpSocket>) -> io::Result<Opened> {
    let mut notes = Vec::new();
    prepare(&sockets)?;
    if choice != Choice::Socket {
        match uring::Uring::open(sockets.iter().map(UdpSocket::try_clone).collect::<io::Result<_>>()?) {
            Ok(engine) => return Ok(Opened { engine: Box::new(engine), notes }),
            Err(error) if choice == Choice::Uring => return Err(error),
            Err(error) => notes.push(format!("uring is not used: {error}")),
        }
    }
    Ok(Opened { engine: Box::new(socket::Socket::open(sockets)?), notes })
}

/// Has sockets of wildcard addresses tell which address was asked, so that the reply leaves from it.
fn prepare(sockets: &[UdpSocket]) -> io::Result<()> {
    for socket in sockets {
        let addr = socket.local_addr()?;
        if addr.ip().is_unspecified() {
            let family = if addr.is_ipv4() { syscall::Family::V4 } else { syscall::Family::V6 };
            syscall::ask_for_packet_info(socket.as_fd(), family)?;
        }
    }
    Ok(())
}

/// Takes UDP sockets out of their SO_REUSEPORT groups without losing what they hold.
///
/// A connected UDP socket gets datagrams of its peer only and is passed over when the kernel picks a member of the
/// group (`reuseport_select_sock_by_hash` of Linux): the share of each that leaves goes to those that stay, and what
/// it was picked for before lies in its queue. Measured on 6.18, with the group on a wildcard address and on one of its
/// own: of 200 client ports none was lost or came to a connected member. The peer is the discard port (RFC 863) of the
/// socket's own address: nobody sends from there.
fn retire(sockets: &[UdpSocket]) -> io::Result<()> {
    for socket in sockets {
        let mut dead = socket.local_addr()?;
        if dead.ip().is_unspecified() {
            dead.set_ip(if dead.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        dead.set_port(9);
        socket.connect(dead)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
