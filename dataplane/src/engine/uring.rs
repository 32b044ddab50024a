//! The `io_uring` engine: one ring per worker, one multishot recvmsg per socket into a ring of provided buffers.
//!
//! Sends do not go through the ring (see `outbox`). When no buffer is free or the completion queue overflows, the kernel
//! ends the multishot receive; it is armed again before the next wait and the event is counted, so load never stalls it.

#![expect(unsafe_code, reason = "the ring shares memory with the kernel")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

use super::batch::{Batch, Received};
use super::buffers::{Buffers, CONTROL_LEN, CONTROL_OFF, NAME_LEN, NAME_OFF, PAYLOAD_OFF, Pages, ROOM_LEN};
use super::lanes::PAYLOAD_LEN;
use super::{Engine, Serve, Turn, outbox, syscall};

/// The only buffer group of a ring.
const GROUP: u16 = 0;
/// Failed receives in a row after which the engine gives up.
const FAILURES_MAX: u32 = 1000;
/// User data of the poll of what is watched besides; sockets have their position.
const WATCHED: u64 = u64::MAX;

/// Sizes of a ring, for tests to shrink.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Provided buffers, a power of two: what a burst may fill before the worker comes round.
    pub buffer_count: u16,
    /// Entries of the completion queue, a power of two.
    pub cq_len: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        // 512 buffers are 2 MB a worker, unless merged datagrams come; the socket's own queue stands behind them.
        Shape { buffer_count: 512, cq_len: 2048 }
    }
}

/// A ring and its buffers.
///
/// Invariants: `shared` - a buffer belongs to the kernel while its number is in the buffer ring and to us from its
/// completion until `BufferRing::give`; `outlived` - the ring is cancelled and closed before buffers, entries and message
/// header are freed (`drop` and field order); `single` - only the thread that opened it uses it.
pub struct Uring {
    /// The ring.
    ring: IoUring,
    /// Which sockets have a receive under way.
    armed: Vec<bool>,
    /// Lengths of address and control data in each buffer; read by the kernel when a receive is armed.
    shape: Box<libc::msghdr>,
    /// The provided buffers' ring.
    provided: BufferRing,
    /// The provided buffers.
    buffers: Buffers,
    /// Where datagrams come from.
    sockets: Vec<UdpSocket>,
    /// The present turn.
    batch: Batch,
    /// Failed receives in a row.
    failures: u32,
    /// What else ends a wait.
    watched: Option<OwnedFd>,
    /// Whether a poll of it is under way.
    watching: bool,
}

impl Uring {
    /// An engine over `sockets`, for the thread that calls this.
    ///
    /// # Errors
    /// If the kernel has no `io_uring`, forbids it, or lacks buffer rings (before 5.19) or multishot recvmsg (before 6.0).
    pub fn open(sockets: Vec<UdpSocket>) -> io::Result<Uring> {
        Uring::with_shape(sockets, Shape::default())
    }

    /// As [`Uring::open`], with sizes.
    ///
    /// # Errors
    /// As [`Uring::open`].
    pub fn with_shape(sockets: Vec<UdpSocket>, shape: Shape) -> io::Result<Uring> {
        let ring = build_ring(shape)?;
        let fds: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter().register_files(&fds)?;
        let buffers = Buffers::new(usize::from(shape.buffer_count))?;
        let mut provided = BufferRing::new(shape.buffer_count)?;
        provided.register(&ring)?;
        for buffer in 0..shape.buffer_count {
            provided.give(&buffers, buffer, PAYLOAD_LEN);
        }
        provided.publish();
        let mut header = Box::new(outbox::empty_header().msg_hdr);
        header.msg_namelen = libc::socklen_t::try_from(NAME_LEN).unwrap_or(0);
        header.msg_controllen = CONTROL_LEN as _;
        let mut engine = Uring {
            ring,
            armed: vec![false; sockets.len()],
            shape: header,
            provided,
            buffers,
            sockets,
            batch: Batch::new(usize::from(shape.buffer_count)),
            failures: 0,
            watched: None,
            watching: false,
        };
        engine.probe()?;
        engine.arm()?;
        engine.ring.submit()?;
        Ok(engine)
    }

    /// Asks the kernel for a multishot receive from a file that there is not: one that knows such receives misses the
    /// file, one that does not refuses the request before it looks. Our own sockets are not touched, because they may
    /// hold queries already: a successor shares its port from bind(2) on.
    fn probe(&mut self) -> io::Result<()> {
        let nowhere = Fixed(u32::try_from(self.sockets.len()).map_err(io::Error::other)?);
        let entry = opcode::RecvMsgMulti::new(nowhere, &raw const *self.shape, GROUP).build();
        // SAFETY: `outlived`: the header that the entry points to lives longer than the ring.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(io::Error::other)?;
        self.ring.submitter().submit_and_wait(1)?;
        match self.ring.completion().next().map(|event| event.result()) {
            Some(result) if result != -libc::EINVAL => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel lacks multishot recvmsg")),
        }
    }

    /// Queues a receive for every socket that has none.
    fn arm(&mut self) -> io::Result<()> {
        for (idx, armed) in self.armed.iter_mut().enumerate().filter(|(_, armed)| !**armed) {
            let fixed = Fixed(u32::try_from(idx).map_err(io::Error::other)?);
            let entry = opcode::RecvMsgMulti::new(fixed, &raw const *self.shape, GROUP).build().user_data(idx as u64);
            // SAFETY: `outlived`: the header that the entry points to lives longer than the ring.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            if pushed.is_err() {
                // The submission queue is full; the rest is armed in the next turn.
                return Ok(());
            }
            *armed = true;
        }
        Ok(())
    }

    /// Queues a poll of what is watched besides, for a wait. It asks once and not for ever, so that what is watched costs
    /// nothing while there is no wait; asking looks first, so nothing is missed.
    fn arm_watch(&mut self) {
        let Some(watched) = self.watched.as_ref().filter(|_| !self.watching) else { return };
        let poll = opcode::PollAdd::new(Fd(watched.as_raw_fd()), u32::from(libc::POLLIN.cast_unsigned()));
        // SAFETY: the entry points to nothing; the descriptor is open as long as the ring (`watched`).
        self.watching = unsafe { self.ring.submission().push(&poll.build().user_data(WATCHED)) }.is_ok();
    }

    /// Submits what is queued and waits up to `wait` for completions, unless some are there.
    fn enter(&mut self, wait: Duration, turn: &mut Turn) -> io::Result<()> {
        let queued = !self.ring.submission().is_empty();
        let overflown = self.ring.submission().cq_overflow();
        turn.cq_overflows += u32::from(overflown);
        let done = if self.ring.completion().is_empty() {
            let timeout = Timespec::from(wait);
            self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
        } else if queued || overflown {
            self.ring.submit()
        } else {
            return Ok(());
        };
        match done {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes completions until the batch is full or none is left; returns whether any brought a buffer.
    fn collect(&mut self, turn: &mut Turn) -> bool {
        let mut brought = false;
        while self.batch.room() > 0 {
            let Some(event) = self.ring.completion().next() else { break };
            if event.user_data() == WATCHED {
                self.watching = false;
                continue;
            }
            let socket = usize::try_from(event.user_data()).unwrap_or(usize::MAX);
            if !cqueue::more(event.flags())
                && let Some(armed) = self.armed.get_mut(socket)
            {
                *armed = false;
            }
            let buffer = cqueue::buffer_select(event.flags());
            match (usize::try_from(event.result()), buffer) {
                (Ok(len), Some(buffer)) => self.receive(socket, buffer, len, turn),
                (Err(_), _) if event.result() == -libc::ENOBUFS => turn.enobufs += 1,
                _ => turn.recv_errors += 1,
            }
            if let Some(buffer) = buffer {
                self.provided.give(&self.buffers, buffer, self.batch.room_len());
                brought = true;
            }
        }
        if brought {
            self.provided.publish();
        }
        brought
    }

    /// Takes in what is in buffer `buffer`, where the kernel wrote `len` bytes.
    fn receive(&mut self, socket: usize, buffer: u16, len: usize, turn: &mut Turn) {
        let bytes = self.buffers.bytes(usize::from(buffer));
        // `struct io_uring_recvmsg_out` is {namelen, controllen, payloadlen, flags}, each a u32.
        let field = |idx: usize| bytes[idx * 4..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let control_len = (field(1) as usize).min(CONTROL_LEN);
        let Some(payload) = bytes.get(PAYLOAD_OFF..len) else {
            turn.recv_errors += 1;
            return;
        };
        let received = Received {
            socket,
            name: &bytes[NAME_OFF..NAME_OFF + NAME_LEN],
            control: &bytes[CONTROL_OFF..CONTROL_OFF + control_len],
            payload,
            flags: field(3).cast_signed(),
        };
        self.batch.take(&received, turn);
    }
}

impl Engine for Uring {
    fn turn(&mut self, wait: Duration, serve: Serve<'_>) -> io::Result<Turn> {
        let mut turn = Turn::default();
        self.arm()?;
        if !wait.is_zero() {
            self.arm_watch();
        }
        self.enter(wait, &mut turn)?;
        let brought = self.collect(&mut turn);
        self.failures = if turn.recv_errors > 0 && !brought { self.failures + 1 } else { 0 };
        if self.failures > FAILURES_MAX {
            return Err(io::Error::other("every receive fails"));
        }
        self.batch.work(&self.sockets, serve, &mut turn)?;
        Ok(turn)
    }

    fn name(&self) -> &'static str {
        "uring"
    }

    fn retire(&mut self) -> io::Result<()> {
        super::retire(&self.sockets)
    }

    fn queue_drops(&self) -> u64 {
        self.sockets.iter().map(|socket| syscall::queue_drops(socket.as_fd())).sum()
    }

    /// One descriptor; an earlier one is forgotten.
    fn watch(&mut self, fd: OwnedFd) {
        self.watched = Some(fd);
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Closing a ring cancels its requests in the background; waiting for them here keeps `outlived`. If the kernel
        // is too old for that (before 6.0), the engine would not have opened.
        if self.ring.submitter().register_sync_cancel(None, CancelBuilder::any()).is_err() {
            tracing::debug!("no receive was under way when the ring closed");
        }
        // The ring is torn down in the background; without this its sockets would hold their port until then.
        if let Err(error) = self.ring.submitter().unregister_files() {
            tracing::debug!(%error, "the sockets of the ring stay open until it is gone");
        }
    }
}

/// Sets up a ring with the best flags that the kernel knows.
fn build_ring(shape: Shape) -> io::Result<IoUring> {
    let entries = 16;
    let mut builder = IoUring::builder();
    builder.setup_cqsize(shape.cq_len.max(entries));
    let mut best = builder.clone();
    best.setup_single_issuer().setup_defer_taskrun();
    best.build(entries).or_else(|_| builder.setup_coop_taskrun().build(entries)).or_else(|_| {
        let mut plain = IoUring::builder();
        plain.setup_cqsize(shape.cq_len.max(entries)).build(entries)
    })
}

/// A ring of provided buffers.
///
/// Invariants: `entries` - the pages hold `mask + 1` entries; `quiet` - the kernel reads entries only up to the tail that
/// [`BufferRing::publish`] stored, so those past it are ours to write.
struct BufferRing {
    /// The entries; the tail lies in the spare field of the first.
    pages: Pages,
    /// Number of entries less one.
    mask: u16,
    /// The next entry to fill.
    tail: u16,
}

impl BufferRing {
    /// An empty ring of `count` entries, a power of two.
    fn new(count: u16) -> io::Result<BufferRing> {
        if !count.is_power_of_two() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "buffer count is no power of two"));
        }
        let pages = Pages::new(usize::from(count) * size_of::<BufRingEntry>())?;
        Ok(BufferRing { pages, mask: count - 1, tail: 0 })
    }

    /// Tells the kernel about it.
    fn register(&self, ring: &IoUring) -> io::Result<()> {
        let base = self.pages.as_ptr() as u64;
        // SAFETY: `entries`, and `outlived` of the engine that owns both.
        unsafe { ring.submitter().register_buf_ring_with_flags(base, self.mask + 1, GROUP, 0) }
    }

    /// Puts buffer `buffer` back, with room for so long a payload; the kernel sees it after [`BufferRing::publish`].
    fn give(&mut self, buffers: &Buffers, buffer: u16, room_len: usize) {
        let idx = usize::from(self.tail & self.mask);
        // SAFETY: `entries`, so the offset stays inside the pages.
        let entry = unsafe { self.pages.as_ptr().cast::<BufRingEntry>().add(idx) };
        // SAFETY: `quiet`, and zeroed pages are valid entries.
        let entry = unsafe { &mut *entry };
        entry.set_addr(buffers.ptr(usize::from(buffer)) as u64);
        entry.set_len(u32::try_from(PAYLOAD_OFF + room_len.min(ROOM_LEN)).unwrap_or(0));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel all buffers put back so far.
    fn publish(&self) {
        // SAFETY: `entries`: the base is the first entry, initialised by zeroed pages.
        let tail = unsafe { BufRingEntry::tail(self.pages.as_ptr().cast::<BufRingEntry>()) };
        // SAFETY: `entries`; the kernel too reads this field as an atomic of 16 bits.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
