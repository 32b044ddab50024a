//! An AF_XDP socket on one queue of an interface, with its four rings.
//!
//! It knows no frames' content. Invariant: each chunk of its share is at any time in one of: `free`, a ring, the batch
//! in hand, the kernel; none is lost, so a queue never runs dry by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::ring::{Consumer, Descriptor, Producer};
use super::umem::{CHUNK_LEN, Place, Umem};
use crate::engine::bpf::Mode;
use crate::engine::{RingLosses, Turn};

/// Send buffer of a socket: in copy mode each frame on its way counts some 800 bytes against it.
const SEND_BUFFER_LEN: usize = 8 << 20;
/// System calls to have one batch sent: in copy mode one sends 32 frames or what the socket allows.
const KICKS_MAX: usize = 8;

/// A new socket that is bound to nothing.
///
/// # Errors
/// EPERM without CAP_NET_RAW.
pub(super) fn socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    if sockopt::set_socket_send_buffer_size_force(&socket, SEND_BUFFER_LEN).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_LEN)?;
    }
    Ok(socket)
}

/// Which queue of which interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    /// The interface.
    pub(super) ifindex: u32,
    /// The queue.
    pub(super) queue: u32,
    /// How the filter is attached.
    pub(super) mode: Mode,
}

/// A bound socket.
#[derive(Debug)]
pub(super) struct Queue {
    /// Its number.
    pub(super) number: u32,
    /// The socket.
    socket: OwnedFd,
    /// Received frames.
    received: Consumer<Descriptor>,
    /// Frames to send.
    sending: Producer<Descriptor>,
    /// Chunks to receive into.
    filling: Producer<u64>,
    /// Chunks that were sent.
    sent: Consumer<u64>,
    /// Chunks that are in no ring.
    free: Vec<u64>,
}

impl Queue {
    /// Binds `socket` and has it receive into `chunks`. The first queue of a memory registers it, others `share` it.
    ///
    /// # Errors
    /// EBUSY if the queue has a socket, EINVAL if there is no such queue, ENOBUFS if no more memory may be locked.
    pub(super) fn open(
        socket: OwnedFd,
        address: Address,
        umem: &mut Umem,
        chunks: std::ops::Range<u32>,
        share: Option<BorrowedFd<'_>>,
    ) -> io::Result<Queue> {
        let count = chunks.end - chunks.start;
        if share.is_none() {
            let memory = XdpUmemReg {
                addr: umem.base(),
                len: umem.len() as u64,
                chunk_size: u32::try_from(CHUNK_LEN).map_err(io::Error::other)?,
                headroom: 0,
                flags: XdpUmemRegFlags::empty(),
                tx_metadata_len: 0,
            };
            sockopt::set_xdp_umem_reg(&socket, memory)?;
        }
        // Every chunk fits into the rings that give and return them, so that these are never full.
        sockopt::set_xdp_umem_fill_ring_size(&socket, count)?;
        sockopt::set_xdp_umem_completion_ring_size(&socket, count)?;
        let half = (count / 2).max(1);
        sockopt::set_xdp_rx_ring_size(&socket, half)?;
        sockopt::set_xdp_tx_ring_size(&socket, half)?;
        let offsets = sockopt::xdp_mmap_offsets(&socket)?;
        let fd = socket.as_fd();
        let received = Consumer::map(fd, XDP_PGOFF_RX_RING, offsets.rx, half)?;
        let sending = Producer::map(fd, XDP_PGOFF_TX_RING, offsets.tx, half)?;
        let filling = Producer::map(fd, XDP_UMEM_PGOFF_FILL_RING, offsets.fr, count)?;
        let sent = Consumer::map(fd, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, count)?;
        let free = chunks.map(|chunk| u64::from(chunk) * CHUNK_LEN as u64).collect();
        let mut queue = Queue { number: address.queue, socket, received, sending, filling, sent, free };
        queue.refill(umem);
        bind(&queue.socket, address, share)?;
        Ok(queue)
    }

    /// The socket.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether frames are copied between the kernel's memory and the chunks.
    pub(super) fn copies(&self) -> bool {
        !sockopt::xdp_options(&self.socket).is_ok_and(|flags| flags.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
    }

    /// How many frames wait for us.
    pub(super) fn frame_count(&self) -> usize {
        self.received.available() as usize
    }

    /// Whether a reply waits for the kernel.
    pub(super) fn has_replies(&self) -> bool {
        self.sending.pending() > 0
    }

    /// Takes back what was sent and gives all free chunks to the kernel for receiving.
    pub(super) fn recycle(&mut self, umem: &mut Umem) {
        let returned = self.sent.available();
        for _ in 0..returned {
            let addr = self.sent.take();
            self.free.extend(umem.reclaim(addr));
        }
        if returned > 0 {
            self.sent.release();
        }
        if !self.free.is_empty() {
            self.refill(umem);
        }
        if self.filling.needs_wakeup() {
            // The driver stopped for want of chunks; it is told by a receive of nothing, whose outcome says nothing.
            rustix::net::recv(&self.socket, &mut [0_u8; 0], RecvFlags::DONTWAIT).ok();
        }
    }

    /// Gives free chunks to the kernel.
    fn refill(&mut self, umem: &mut Umem) {
        let room = self.filling.room() as usize;
        for addr in self.free.drain(self.free.len().saturating_sub(room)..) {
            if umem.release(addr) {
                self.filling.put(addr);
            }
        }
        self.filling.publish();
    }

    /// Takes one of [`Queue::frame_count`] frames; `None` if it lies in no chunk that the kernel had.
    pub(super) fn take(&mut self, umem: &mut Umem) -> Option<Place> {
        let Descriptor { addr, len, .. } = self.received.take();
        umem.take(addr, len)
    }

    /// Gives the places in the ring of all frames that were taken back.
    pub(super) fn release(&self) {
        self.received.release();
    }

    /// Gives up the chunk of a frame that gets no reply.
    pub(super) fn discard(&mut self, umem: &mut Umem, addr: u64) {
        self.free.extend(umem.reclaim(addr));
    }

    /// Queues a frame; a full ring drops and counts it. It leaves with [`Queue::flush`].
    pub(super) fn send(&mut self, umem: &mut Umem, place: Place, turn: &mut Turn) {
        let len = u32::try_from(place.len).unwrap_or(0);
        if self.sending.room() > 0 && umem.release(place.addr) {
            self.sending.put(Descriptor { addr: place.addr, len, options: 0 });
            turn.sent += 1;
        } else {
            turn.tx_full += 1;
            self.discard(umem, place.addr);
        }
    }

    /// Has queued frames sent, with a bounded number of system calls; what is left then goes with the next turn.
    pub(super) fn flush(&mut self, turn: &mut Turn) {
        self.sending.publish();
        for _ in 0..KICKS_MAX {
            if !self.has_replies() || !self.sending.needs_wakeup() {
                return;
            }
            match rustix::net::send(&self.socket, &[], SendFlags::DONTWAIT) {
                // Sent as many as one call does; or the send buffer is full, which the next turn will see.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                // The driver's queue is full for the moment.
                Err(Errno::BUSY | Errno::NOBUFS) => return,
                Err(_) => {
                    turn.send_errors += 1;
                    return;
                }
            }
        }
    }

    /// What the kernel counted at this socket.
    pub(super) fn losses(&self) -> RingLosses {
        let Ok(counted) = sockopt::xdp_statistics(&self.socket) else { return RingLosses::default() };
        RingLosses {
            rx_dropped: counted.rx_dropped,
            rx_full: counted.rx_ring_full.unwrap_or(0),
            fill_empty: counted.rx_fill_ring_empty_descs.unwrap_or(0),
            invalid: counted.rx_invalid_descs + counted.tx_invalid_descs,
        }
    }
}

/// Binds a socket. The kernel tries zero copy by itself, but not behind a driver: there it would take frames from the
/// filter.
fn bind(socket: &OwnedFd, address: Address, share: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let Address { ifindex, queue, mode } = address;
    if let Some(shared_umem_fd) = share {
        // Everything else is as with the first socket.
        let addr = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_SHARED_UMEM, ifindex, queue);
        return Ok(rustix::net::bind(socket, &SocketAddrXdpWithSharedUmem { addr, shared_umem_fd })?);
    }
    let copy = match mode {
        Mode::Native => SocketAddrXdpFlags::empty(),
        Mode::Generic => SocketAddrXdpFlags::XDP_COPY,
    };
    let flags = SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP | copy;
    Ok(rustix::net::bind(socket, &SocketAddrXdp::new(flags, ifindex, queue))?)
}
