//! Memory that the kernel writes datagrams into.
//!
//! It knows no sockets and no ring. A buffer has the layout of a multishot recvmsg buffer, so that both engines share it:
//! 16 bytes for `io_uring_recvmsg_out`, the peer's address, control data, payload. It takes the longest datagram there
//! is, because the kernel may hand over many merged into one (UDP_GRO); untouched pages cost nothing.

#![expect(unsafe_code, reason = "buffers are written by the kernel while others are read")]

use memmap2::{Advice, MmapMut, MmapRaw};

/// Bytes before the peer's address: `struct io_uring_recvmsg_out`.
pub(super) const HEAD_LEN: usize = 16;
/// Room for the peer's address; `sockaddr_in6` has 28 bytes, 32 keep the control data aligned.
pub(super) const NAME_LEN: usize = 32;
/// Room for control data: `in6_pktinfo` takes 40 bytes, the length of merged datagrams 24.
pub(super) const CONTROL_LEN: usize = 64;
/// Where the address begins.
pub(super) const NAME_OFF: usize = HEAD_LEN;
/// Where control data begins.
pub(super) const CONTROL_OFF: usize = NAME_OFF + NAME_LEN;
/// Where the payload begins.
pub(super) const PAYLOAD_OFF: usize = CONTROL_OFF + CONTROL_LEN;
/// Bytes of a buffer: an odd number of cache lines, so that equal parts of buffers do not share cache sets.
pub(super) const BUFFER_LEN: usize = 1033 * 64;
/// Room for the payload; the longest has 65,535 bytes.
pub(super) const ROOM_LEN: usize = BUFFER_LEN - PAYLOAD_OFF;

/// Zeroed memory of whole pages, of which those count that were touched: never huge ones.
pub(super) struct Pages(MmapRaw);

impl Pages {
    /// Maps `len` bytes, at least 1.
    pub(super) fn new(len: usize) -> std::io::Result<Pages> {
        let map = MmapRaw::from(MmapMut::map_anon(len.max(1))?);
        // Without huge pages in the kernel there is nothing to advise.
        map.advise(Advice::NoHugePage).ok();
        Ok(Pages(map))
    }

    /// The first byte.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
}

/// Buffers of [`BUFFER_LEN`] bytes.
///
/// Invariants: `sized` - the pages hold `count` buffers; `ours` - [`Buffers::bytes`] is called only for buffers that the
/// kernel does not write while the bytes are borrowed (the engine has taken them off its ring and not given them back,
/// or has no receive under way).
pub(super) struct Buffers {
    /// The memory.
    pages: Pages,
    /// How many buffers.
    count: usize,
}

impl Buffers {
    /// Allocates `count` buffers.
    pub(super) fn new(count: usize) -> std::io::Result<Buffers> {
        Ok(Buffers { pages: Pages::new(count * BUFFER_LEN)?, count })
    }

    /// How many buffers.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where buffer `idx` begins, for the kernel.
    ///
    /// # Panics
    /// If there is no such buffer.
    pub(super) fn ptr(&self, idx: usize) -> *mut u8 {
        assert!(idx < self.count, "a buffer of this engine");
        // SAFETY: `sized`, so the offset stays inside the pages.
        unsafe { self.pages.as_ptr().add(idx * BUFFER_LEN) }
    }

    /// One whole buffer.
    pub(super) fn bytes(&self, idx: usize) -> &[u8; BUFFER_LEN] {
        let start = self.ptr(idx).cast::<[u8; BUFFER_LEN]>();
        // SAFETY: `sized` and `ours`; the pages outlive the borrow.
        unsafe { &*start }
    }
}
