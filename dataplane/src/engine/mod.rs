//! Engines: what brings batches of datagrams from UDP sockets and takes the replies back.
//!
//! An engine knows no DNS, no snapshot and no clock. Invariant: every datagram of a batch has left its socket before
//! `serve` is called, so a view that `serve` loads is at least as new as any view acknowledged before a query was sent.
//! Queries lie in engine memory and replies are rendered over them; nothing is allocated per datagram.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::packet::Packet;

mod batch;
mod buffers;
mod lanes;
pub mod memory;
mod merge;
mod outbox;
mod peer;
pub mod socket;
mod syscall;
pub mod uring;

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
}

/// An engine and why better ones are not used.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// One line for each engine that was tried in vain.
    pub notes: Vec<String>,
}

/// Opens an engine over `sockets`, on the thread that will use it.
///
/// # Errors
/// If the engine asked for, or with [`Choice::Auto`] the last resort, cannot be set up.
pub fn open(choice: Choice, sockets: Vec<UdpSocket>) -> io::Result<Opened> {
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
