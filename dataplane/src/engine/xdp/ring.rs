//! The rings between the kernel and us: single producer, single consumer, in shared memory.
//!
//! A ring never waits. Indices count up and wrap; where we begin is read from the ring and never assumed, because a
//! ring that was used before does not begin at zero.

#![expect(unsafe_code, reason = "rings are memory that the kernel writes too")]

use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::xdp::XdpRingOffset;

use super::umem::Mapping;

/// `XDP_RING_NEED_WAKEUP`.
const NEED_WAKEUP: u32 = 1;

/// A frame of the receive and transmit rings: `struct xdp_desc`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Descriptor {
    /// Where it begins, from the first byte of the memory.
    pub(super) addr: u64,
    /// Its bytes.
    pub(super) len: u32,
    /// Flags; none of ours.
    pub(super) options: u32,
}

/// What can be an entry: any bytes are a value of it.
pub(super) trait Entry: Copy {}

impl Entry for u64 {}

impl Entry for Descriptor {}

/// A mapped ring.
///
/// Invariants: `laid` - the mapping holds `mask + 1` entries of `T` and the three words at their offsets, all aligned,
/// because the kernel laid them out; `apart` - entries from the consumer's index up to the producer's are the
/// consumer's, all others the producer's, and each side writes only its own.
#[derive(Debug)]
struct Ring<T> {
    /// The memory.
    memory: Mapping,
    /// Where the words and the entries lie.
    offsets: XdpRingOffset,
    /// Entries less one.
    mask: u32,
    /// The entries are of this type.
    entries: PhantomData<T>,
}

impl<T: Entry> Ring<T> {
    /// Maps the ring of `count` entries, a power of two, that `fd` has at `off`.
    fn map(fd: BorrowedFd<'_>, off: u64, offsets: XdpRingOffset, count: u32) -> io::Result<Ring<T>> {
        let len = usize::try_from(offsets.desc).map_err(io::Error::other)? + count as usize * size_of::<T>();
        Ok(Ring { memory: Mapping::of(fd, off, len)?, offsets, mask: count - 1, entries: PhantomData })
    }

    /// The word at `off`.
    fn word(&self, off: u64) -> &AtomicU32 {
        let word = self.memory.as_ptr().wrapping_add(usize::try_from(off).unwrap_or(0)).cast();
        // SAFETY: `laid`; the kernel too reads and writes these words as atomics.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// The producer's index.
    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    /// The consumer's index.
    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    /// Whether the kernel sleeps and wants a system call.
    fn needs_wakeup(&self) -> bool {
        self.offsets.flags.is_some_and(|off| self.word(off).load(Ordering::Relaxed) & NEED_WAKEUP != 0)
    }

    /// Where the entry of index `index` lies.
    fn entry(&self, index: u32) -> *mut T {
        let off = usize::try_from(self.offsets.desc).unwrap_or(0) + (index & self.mask) as usize * size_of::<T>();
        self.memory.as_ptr().wrapping_add(off).cast()
    }
}

/// A ring that we fill: chunks to receive into, frames to send.
#[derive(Debug)]
pub(super) struct Producer<T> {
    /// The ring.
    ring: Ring<T>,
    /// Index of the next entry to fill.
    next: u32,
}

impl<T: Entry> Producer<T> {
    /// Maps a ring of `count` entries.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(super) fn map(fd: BorrowedFd<'_>, off: u64, offsets: XdpRingOffset, count: u32) -> io::Result<Producer<T>> {
        let ring = Ring::map(fd, off, offsets, count)?;
        let next = ring.producer().load(Ordering::Relaxed);
        Ok(Producer { ring, next })
    }

    /// Entries that the kernel has not taken yet, those that it does not know yet included.
    pub(super) fn pending(&self) -> u32 {
        self.next.wrapping_sub(self.ring.consumer().load(Ordering::Acquire))
    }

    /// How many entries can be put.
    pub(super) fn room(&self) -> u32 {
        (self.ring.mask + 1).saturating_sub(self.pending())
    }

    /// Puts an entry; the caller has asked for [`Producer::room`]. The kernel sees it after [`Producer::publish`].
    pub(super) fn put(&mut self, entry: T) {
        // SAFETY: `laid`; `apart`: the entry is past the producer's index, and there is room.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
    }

    /// Shows the kernel all entries that were put.
    pub(super) fn publish(&self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel sleeps and wants a system call.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel fills: received frames, chunks that were sent.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    /// The ring.
    ring: Ring<T>,
    /// Index of the next entry to take.
    next: u32,
}

impl<T: Entry> Consumer<T> {
    /// Maps a ring of `count` entries.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(super) fn map(fd: BorrowedFd<'_>, off: u64, offsets: XdpRingOffset, count: u32) -> io::Result<Consumer<T>> {
        let ring = Ring::map(fd, off, offsets, count)?;
        let next = ring.consumer().load(Ordering::Relaxed);
        Ok(Consumer { ring, next })
    }

    /// How many entries can be taken.
    pub(super) fn available(&self) -> u32 {
        let made = self.ring.producer().load(Ordering::Acquire).wrapping_sub(self.next);
        made.min(self.ring.mask + 1)
    }

    /// Takes an entry; the caller has asked how many are [`Consumer::available`]. The kernel gets its place back by
    /// [`Consumer::release`].
    pub(super) fn take(&mut self) -> T {
        // SAFETY: `laid`, and any bytes are an entry; `apart`: the entry is before the producer's index.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        entry
    }

    /// Gives the places of all entries that were taken back.
    pub(super) fn release(&self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}
