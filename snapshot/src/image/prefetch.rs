//! A hint to the processor that a cache line will be read soon: the one trick behind flat cost at a million names.

#![expect(unsafe_code, reason = "the prefetch instruction takes a raw address")]

/// Asks for the cache line that `item` starts in; does nothing for `None`.
#[inline]
pub(super) fn prefetch<T>(item: Option<&T>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = item {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: `live` - the address is that of a borrowed value; the instruction reads nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _hint = item;
}
