//! Little-endian integers at byte offsets, with every read bounds-checked.
//!
//! A read past the end is `None`, never a panic: the callers are lookups on packet cores.

/// The `u16` at `off`.
#[inline]
pub(super) fn u16_at(bytes: &[u8], off: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(off..)?.first_chunk()?))
}

/// The `u32` at `off`.
#[inline]
pub(super) fn u32_at(bytes: &[u8], off: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(off..)?.first_chunk()?))
}

/// The `u64` at `off`.
#[inline]
pub(super) fn u64_at(bytes: &[u8], off: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(off..)?.first_chunk()?))
}
