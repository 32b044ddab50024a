//! What a worker has of an interface: some of its queues, in one memory.
//!
//! It serves a queue at a time, the next one first in the next turn. Invariant: a datagram and its reply are in the same
//! chunk, and its headers come from there, so no reply can go to the wrong client.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frame::{self, Layout};
use super::program::Sockets;
use super::queue::{Address, Queue};
use super::umem::{CHUNK_LEN, Place, Umem};
use crate::engine::bpf::Mode;
use crate::engine::{RingLosses, Serve, TURN_LEN, Turn, batch};
use crate::packet::Packet;

/// Sizes, for tests to shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Chunks of each queue, a power of two.
    pub(crate) chunk_count: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        // 8 MB a queue: some 6 ms of the rate at which one core answers.
        Shape { chunk_count: 4096 }
    }
}

/// How many frames are asked for at once: as many as the first cache has room for, since chunks are so far apart that only a few
/// of its sets take them.
const AHEAD: usize = 16;
/// How far ahead a frame is asked for again, before it is made a reply.
const NEXT: usize = 4;

/// Which queues of which interface, and how.
#[derive(Debug)]
pub(super) struct Site<'s> {
    /// The interface.
    pub(super) ifindex: u32,
    /// Its queues that are to be opened.
    pub(super) queues: &'s [u32],
    /// How the filter is attached.
    pub(super) mode: Mode,
    /// Sizes.
    pub(super) shape: Shape,
    /// Longest packet of the interface, kept up to date by who watches it.
    pub(super) mtu: &'s Arc<AtomicU32>,
    /// Where the filter finds sockets.
    pub(super) sockets: &'s Arc<Sockets>,
    /// Shared by all stations of an interface, so that their number is known.
    pub(super) token: &'s Arc<()>,
}

/// A datagram in hand.
#[derive(Debug)]
struct Letter {
    /// Its frame.
    frame: Place,
    /// Where what lies in it.
    layout: Layout,
    /// Bytes of its reply, once answered.
    reply_len: usize,
}

/// Memory for one turn, reused.
#[derive(Default)]
pub(super) struct Desk {
    /// The datagrams.
    letters: Vec<Letter>,
    /// Empty between turns.
    packets: Vec<Packet<'static>>,
}

impl Desk {
    /// Room for a turn.
    pub(super) fn new() -> Desk {
        Desk { letters: Vec::with_capacity(TURN_LEN), packets: Vec::with_capacity(TURN_LEN) }
    }
}

/// Queues of one interface.
#[derive(Debug)]
pub(super) struct Station {
    /// The sockets; closed before the memory is unmapped, by their order here.
    queues: Vec<Queue>,
    /// The memory.
    umem: Umem,
    /// The queue to serve first.
    first: usize,
    /// Longest packet.
    mtu: Arc<AtomicU32>,
    /// Where the filter finds sockets.
    sockets: Arc<Sockets>,
    /// Tells that this station lives.
    _token: Arc<()>,
}

impl Station {
    /// Opens the queues of `site`, each on a socket from `make`. No frame comes before [`Station::admit`].
    ///
    /// # Errors
    /// Those of [`Queue::open`] and `make`.
    pub(super) fn open(site: &Site<'_>, mut make: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<Station> {
        let each = site.shape.chunk_count;
        let count = u32::try_from(site.queues.len()).map_err(io::Error::other)?;
        let mut umem = Umem::new(each * count)?;
        let mut queues: Vec<Queue> = Vec::new();
        for (share, queue) in (0..count).zip(site.queues) {
            let address = Address { ifindex: site.ifindex, queue: *queue, mode: site.mode };
            let first = queues.first().map(Queue::fd);
            let opened = Queue::open(make()?, address, &mut umem, share * each..(share + 1) * each, first)?;
            queues.push(opened);
        }
        let (mtu, sockets) = (Arc::clone(site.mtu), Arc::clone(site.sockets));
        Ok(Station { queues, umem, first: 0, mtu, sockets, _token: Arc::clone(site.token) })
    }

    /// Has the filter send frames from now on.
    ///
    /// # Errors
    /// Those of [`Sockets::admit`].
    pub(super) fn admit(&self) -> io::Result<()> {
        self.queues.iter().try_for_each(|queue| self.sockets.admit(queue.number, queue.fd()))
    }

    /// Has the filter pass all frames to the kernel from now on.
    ///
    /// # Errors
    /// Those of [`Sockets::dismiss`].
    pub(super) fn dismiss(&self) -> io::Result<()> {
        self.queues.iter().try_for_each(|queue| self.sockets.dismiss(queue.number))
    }

    /// Its sockets.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.queues.iter().map(Queue::fd)
    }

    /// Whether frames are copied between the kernel's memory and ours.
    pub(super) fn copies(&self) -> bool {
        self.queues.iter().any(Queue::copies)
    }

    /// Whether replies wait for the kernel.
    pub(super) fn has_replies(&self) -> bool {
        self.queues.iter().any(Queue::has_replies)
    }

    /// What the kernel counted.
    pub(super) fn losses(&self) -> RingLosses {
        self.queues.iter().map(Queue::losses).fold(RingLosses::default(), RingLosses::plus)
    }

    /// Serves the first queue that has frames; without one, sees to it that the kernel has chunks and sends what waits.
    pub(super) fn turn(&mut self, desk: &mut Desk, serve: Serve<'_>, turn: &mut Turn) {
        for queue in &mut self.queues {
            queue.recycle(&mut self.umem);
            if queue.has_replies() {
                queue.flush(turn);
            }
        }
        let count = self.queues.len();
        let found = (0..count).map(|step| (self.first + step) % count).find(|idx| self.queues[*idx].frame_count() > 0);
        if let Some(idx) = found {
            self.first = (idx + 1) % count;
            self.serve(idx, desk, serve, turn);
        }
    }

    /// Receives a batch from queue `idx`, has it answered and sends the replies.
    fn serve(&mut self, idx: usize, desk: &mut Desk, serve: Serve<'_>, turn: &mut Turn) {
        let (queue, umem) = (&mut self.queues[idx], &mut self.umem);
        let mtu = self.mtu.load(Ordering::Relaxed) as usize;
        let letters = &mut desk.letters;
        let mut left = queue.frame_count().min(TURN_LEN);
        while left > 0 {
            let count = left.min(AHEAD);
            left -= count;
            let places: [Option<Place>; AHEAD] =
                std::array::from_fn(|at| if at < count { queue.take(umem) } else { None });
            // Whoever put them there did so on another core: they come all at once instead of one after the other.
            places.iter().flatten().for_each(|place| umem.prefetch(*place));
            for frame in places.into_iter().flatten() {
                match umem.rest(frame.addr).get(..frame.len).and_then(frame::parse) {
                    Some(layout) => letters.push(Letter { frame, layout, reply_len: 0 }),
                    None => {
                        turn.malformed += 1;
                        queue.discard(umem, frame.addr);
                    }
                }
            }
        }
        queue.release();
        if letters.is_empty() {
            return;
        }
        turn.received += u32::try_from(letters.len()).unwrap_or(0);
        let mut packets: Vec<Packet<'_>> = std::mem::take(&mut desk.packets);
        let places = letters.iter().map(|letter| {
            let Letter { frame, layout, .. } = letter;
            let len = layout.reply_len_max(mtu, room(frame.addr));
            Place { addr: frame.addr + layout.payload_off as u64, len }
        });
        let bufs = umem.lend(places);
        packets.extend(bufs.zip(letters.iter()).map(|(buf, letter)| {
            let query_len = letter.layout.payload_len.min(buf.len());
            Packet::new(buf, query_len, letter.layout.client)
        }));
        serve(&mut packets);
        for (letter, packet) in letters.iter_mut().zip(&packets) {
            letter.reply_len = packet.reply_len();
        }
        desk.packets = batch::recycle(packets);
        for at in 0..letters.len() {
            if let Some(next) = letters.get(at + NEXT) {
                umem.prefetch(next.frame);
            }
            let letter = &letters[at];
            let addr = letter.frame.addr;
            umem.settle(addr);
            let sendable = letter.reply_len > 0;
            match sendable.then(|| frame::reply(umem.rest(addr), &letter.layout, letter.reply_len)).flatten() {
                Some(len) => queue.send(umem, Place { addr, len }, turn),
                None => queue.discard(umem, addr),
            }
        }
        letters.clear();
        queue.flush(turn);
    }
}

/// Bytes from `addr` to the end of its chunk.
fn room(addr: u64) -> usize {
    CHUNK_LEN - usize::try_from(addr).unwrap_or(0) % CHUNK_LEN
}
