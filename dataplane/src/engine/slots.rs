//! Memory for datagrams: equal slots, each with room for the peer's address, control data and the payload.
//!
//! It knows no sockets and no ring. The layout of a slot is that of a multishot recvmsg buffer, so that both engines
//! share it: 16 bytes for `io_uring_recvmsg_out`, the peer's address, control data, payload.

#![expect(unsafe_code, reason = "slots are written by the kernel while other slots are lent out")]

use std::alloc::{self, Layout};
use std::ptr::NonNull;

/// Bytes before the peer's address: `struct io_uring_recvmsg_out`.
pub(super) const HEAD_LEN: usize = 16;
/// Room for the peer's address; `sockaddr_in6` has 28 bytes, 32 keep the control data aligned.
pub(super) const NAME_LEN: usize = 32;
/// Room for control data: one `in6_pktinfo` takes 40.
pub(super) const CONTROL_LEN: usize = 64;
/// Where the address begins.
pub(super) const NAME_OFF: usize = HEAD_LEN;
/// Where control data begins.
pub(super) const CONTROL_OFF: usize = NAME_OFF + NAME_LEN;
/// Where the payload begins.
pub(super) const PAYLOAD_OFF: usize = CONTROL_OFF + CONTROL_LEN;
/// Room for a query and its reply: 4096, the largest UDP reply, and slack for vector loads.
pub(super) const PAYLOAD_LEN: usize = 4096 + 144;
/// Bytes of a slot: 68 cache lines, no power of two, so that equal parts of slots do not share cache sets.
pub(super) const SLOT_LEN: usize = PAYLOAD_OFF + PAYLOAD_LEN;

/// Page-aligned zeroed memory that lives as long as this value.
pub(super) struct Pages {
    /// Invariant `owned`: points to `layout` bytes from the global allocator, freed only on drop.
    base: NonNull<u8>,
    /// Size and alignment.
    layout: Layout,
}

impl Pages {
    /// Allocates `len` bytes, at least 1.
    pub(super) fn new(len: usize) -> std::io::Result<Pages> {
        let layout = Layout::from_size_align(len.max(1), 4096).map_err(std::io::Error::other)?;
        // SAFETY: the size of `layout` is not 0.
        let base = unsafe { alloc::alloc_zeroed(layout) };
        let base = NonNull::new(base).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Pages { base, layout })
    }

    /// The first byte.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `owned`.
        unsafe { alloc::dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// Slots of [`SLOT_LEN`] bytes.
///
/// Invariants: `sized` - the pages hold `count` slots; `ours` - methods that return bytes are called only for slots
/// that the kernel does not write at that time (the engine has taken them off its ring, or has no receive under way);
/// `distinct` - `lent` makes sure that one call of [`Slots::lend`] hands out no slot twice.
pub(super) struct Slots {
    /// The memory.
    pages: Pages,
    /// How many slots.
    count: usize,
    /// The last round in which a slot was lent.
    lent: Vec<u64>,
    /// Number of the present round of lending.
    round: u64,
}

impl Slots {
    /// Allocates `count` slots.
    pub(super) fn new(count: usize) -> std::io::Result<Slots> {
        Ok(Slots { pages: Pages::new(count * SLOT_LEN)?, count, lent: vec![0; count], round: 0 })
    }

    /// How many slots.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where slot `slot` begins, for the kernel.
    ///
    /// # Panics
    /// If there is no such slot.
    pub(super) fn ptr(&self, slot: usize) -> *mut u8 {
        assert!(slot < self.count, "a slot of this engine");
        // SAFETY: `sized`, so the offset stays inside the pages.
        unsafe { self.pages.as_ptr().add(slot * SLOT_LEN) }
    }

    /// One whole slot.
    pub(super) fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        let start = self.ptr(slot);
        // SAFETY: `sized` and `ours`; `&mut self` excludes other borrows.
        unsafe { std::slice::from_raw_parts_mut(start, SLOT_LEN) }
    }

    /// The payload rooms of many slots at once, in the order given; a repeated slot is left out.
    pub(super) fn lend<'s, I: Iterator<Item = usize>>(
        &'s mut self,
        slots: I,
    ) -> impl Iterator<Item = &'s mut [u8]> + use<'s, I> {
        self.round += 1;
        slots.filter_map(move |slot| {
            let start = self.ptr(slot).wrapping_add(PAYLOAD_OFF);
            let lent = self.lent.get_mut(slot)?;
            if *lent == self.round {
                return None;
            }
            *lent = self.round;
            // SAFETY: `sized`, `ours` and `distinct`; the pages outlive 's.
            Some(unsafe { std::slice::from_raw_parts_mut(start, PAYLOAD_LEN) })
        })
    }
}
