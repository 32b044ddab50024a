//! Memory that a network interface and we share: chunks for frames, and mappings of any kind.
//!
//! It knows no sockets and no rings. Who may touch a chunk is kept here, a word for each: a chunk that the kernel has is
//! never lent, and none is lent twice.

#![expect(unsafe_code, reason = "chunks are written by the kernel while others are lent out")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// Bytes of a chunk, 2,048 or 4,096. The kernel keeps 256 free before a received frame (`XDP_PACKET_HEADROOM`), so the
/// longest has 1,792; the filter passes longer ones.
pub(super) const CHUNK_LEN: usize = 2048;

/// A mapping, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Invariant `mapped`: `len` bytes from here on are mapped for reading and writing until this is dropped.
    base: NonNull<u8>,
    /// Bytes.
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and this value is its only handle.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Zeroed memory of our own. It is mapped and not taken from the allocator: pages that a driver still writes to when
    /// we let them go are never given to somebody else.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn anonymous(len: usize) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0)
    }

    /// `len` bytes of `fd` from `off` on, shared with the kernel.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(super) fn of(fd: BorrowedFd<'_>, off: u64, len: usize) -> io::Result<Mapping> {
        let off = libc::off_t::try_from(off).map_err(io::Error::other)?;
        Mapping::map(len, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), off)
    }

    /// mmap(2).
    fn map(len: usize, flags: libc::c_int, fd: libc::c_int, off: libc::off_t) -> io::Result<Mapping> {
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, fd, off) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, len })
    }

    /// The first byte.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `mapped`, and nobody has it after this value.
        let failed = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(failed, 0, "unmapping what is mapped");
    }
}

/// Octets of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_LEN: usize = 64;
/// What of a frame is asked for ahead: headers, question, and the answers behind it.
#[cfg(target_arch = "x86_64")]
const PREFETCHED_LEN: usize = 2 * LINE_LEN;

/// Who may touch a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The kernel, by any ring.
    Kernel,
    /// We.
    Ours,
    /// We, and it was lent in the present batch.
    Lent,
}

/// A frame in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it begins, from the first byte of the memory.
    pub(super) addr: u64,
    /// Its bytes.
    pub(super) len: usize,
}

/// Chunks of [`CHUNK_LEN`] bytes.
///
/// Invariants: `sized` - the mapping holds `holders.len()` chunks; `ours` - bytes are handed out only of chunks that are
/// [`Holder::Ours`] or [`Holder::Lent`], which the kernel does not touch until they are given to it by a ring, and
/// [`Umem::release`] is called before that.
#[derive(Debug)]
pub(super) struct Umem {
    /// The memory.
    memory: Mapping,
    /// One for each chunk.
    holders: Box<[Holder]>,
}

impl Umem {
    /// `count` chunks, all of them ours.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new(count: u32) -> io::Result<Umem> {
        let count = count as usize;
        let memory = Mapping::anonymous(count * CHUNK_LEN)?;
        Ok(Umem { memory, holders: vec![Holder::Ours; count].into_boxed_slice() })
    }

    /// The first byte, for the kernel.
    pub(super) fn base(&self) -> u64 {
        self.memory.as_ptr().expose_provenance() as u64
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.memory.len()
    }

    /// The chunk that `addr` lies in.
    fn chunk(&self, addr: u64) -> Option<usize> {
        let chunk = usize::try_from(addr).ok()? / CHUNK_LEN;
        (chunk < self.holders.len()).then_some(chunk)
    }

    /// Takes the frame that the kernel received at `addr`; `None` if that is no frame in one of its chunks.
    pub(super) fn take(&mut self, addr: u64, len: u32) -> Option<Place> {
        let chunk = self.chunk(addr)?;
        let place = Place { addr, len: len as usize };
        let fits = addr % (CHUNK_LEN as u64) + u64::from(len) <= CHUNK_LEN as u64;
        if !fits || self.holders[chunk] != Holder::Kernel {
            return None;
        }
        self.holders[chunk] = Holder::Ours;
        Some(place)
    }

    /// Asks the processor for the first lines of a frame, which will be read or written soon.
    pub(super) fn prefetch(&self, place: Place) {
        #[cfg(target_arch = "x86_64")]
        for line in (0..place.len.min(PREFETCHED_LEN)).step_by(LINE_LEN) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let off = usize::try_from(place.addr).unwrap_or(0) + line;
            // SAFETY: `sized` - places come from [`Umem::take`]; besides, the instruction reads nothing and cannot fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.memory.as_ptr().wrapping_add(off).cast_const().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _hint = place;
    }

    /// Gives the chunk at `addr` to the kernel; `false` if it is not ours to give.
    pub(super) fn release(&mut self, addr: u64) -> bool {
        let Some(chunk) = self.chunk(addr) else { return false };
        self.holders[chunk] != Holder::Kernel && {
            self.holders[chunk] = Holder::Kernel;
            true
        }
    }

    /// Takes the chunk at `addr` back that the kernel has sent; returns where the chunk begins.
    pub(super) fn reclaim(&mut self, addr: u64) -> Option<u64> {
        let chunk = self.chunk(addr)?;
        self.holders[chunk] = Holder::Ours;
        Some((chunk * CHUNK_LEN) as u64)
    }

    /// All bytes of our chunk from `addr` to its end; empty if it is not ours.
    pub(super) fn rest(&mut self, addr: u64) -> &mut [u8] {
        let Some(chunk) = self.chunk(addr).filter(|chunk| self.holders[*chunk] != Holder::Kernel) else {
            return &mut [];
        };
        let off = chunk * CHUNK_LEN + usize::try_from(addr).unwrap_or(0) % CHUNK_LEN;
        let len = (chunk + 1) * CHUNK_LEN - off;
        // SAFETY: `sized`, so the offset lies inside the mapping.
        let start = unsafe { self.memory.as_ptr().add(off) };
        // SAFETY: `sized` and `ours`; `&mut self` excludes other borrows.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// The bytes of many places at once, in the order given; none of a place that is not ours, leaves its chunk, or lies
    /// in a chunk that was lent before.
    pub(super) fn lend<'s, I: Iterator<Item = Place>>(
        &'s mut self,
        places: I,
    ) -> impl Iterator<Item = &'s mut [u8]> + use<'s, I> {
        places.map(move |place| {
            let (chunk, off) = (self.chunk(place.addr), usize::try_from(place.addr).unwrap_or(0));
            let fits = |chunk: &usize| off + place.len <= (chunk + 1) * CHUNK_LEN;
            let Some(chunk) = chunk.filter(fits).filter(|chunk| self.holders[*chunk] == Holder::Ours) else {
                return &mut [][..];
            };
            self.holders[chunk] = Holder::Lent;
            // SAFETY: `sized`, so the offset lies inside the mapping.
            let start = unsafe { self.memory.as_ptr().add(off) };
            // SAFETY: `sized` and `ours`, and no chunk is lent twice before it went through the kernel or
            // [`Umem::settle`]; the mapping outlives 's.
            unsafe { std::slice::from_raw_parts_mut(start, place.len) }
        })
    }

    /// What was lent from the chunk at `addr` is over.
    pub(super) fn settle(&mut self, addr: u64) {
        if let Some(chunk) = self.chunk(addr).filter(|chunk| self.holders[*chunk] == Holder::Lent) {
            self.holders[chunk] = Holder::Ours;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of each place are lent.
    fn lent(umem: &mut Umem, places: &[Place]) -> Vec<usize> {
        umem.lend(places.iter().copied()).map(|bytes| bytes.len()).collect()
    }

    #[test]
    fn chunks_of_the_kernel_and_chunks_that_are_lent_are_not_handed_out() {
        let mut umem = Umem::new(4).unwrap();
        assert!(umem.take(256, 100).is_none(), "the kernel had nothing");
        for chunk in 0..4 {
            assert!(umem.release(chunk * 2048) && !umem.release(chunk * 2048));
        }
        assert!(umem.rest(256).is_empty());
        let place = umem.take(2048 + 256, 60).unwrap();
        assert_eq!(place, Place { addr: 2304, len: 60 });
        assert!(umem.take(2304, 60).is_none(), "once is enough");
        assert_eq!(umem.rest(2304).len(), 1792);
        let strange = [Place { addr: 2304, len: 1793 }, Place { addr: 256, len: 1 }, Place { addr: 1 << 40, len: 1 }];
        assert_eq!(lent(&mut umem, &strange), [0, 0, 0]);
        assert_eq!(lent(&mut umem, &[place, place]), [60, 0]);
        assert_eq!(lent(&mut umem, &[place]), [0], "lent and not settled");
        umem.settle(place.addr);
        assert_eq!(lent(&mut umem, &[place]), [60]);
        assert!(umem.release(place.addr));
        assert_eq!(umem.reclaim(place.addr), Some(2048));
        assert!(umem.take(4096 + 256, 1793).is_none(), "past the end of its chunk");
        assert_eq!(umem.reclaim(1 << 40), None);
    }
}
