//! Where a name is kept: the seeded hash of its canonical wire form, and how a bucket and a tag follow from it.
//!
//! The hash is XXH3-64 with the segment's seed: 5 to 7 ns for a usual name. It is no defence by itself: the table is
//! read-only, so its longest run is known, bounded by the compiler and checked by the loader.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Hashes a canonical (lower-cased) wire-format name.
///
/// Never inlined: in a loop over depths the compiler would compute what the seed gives for names of every length before
/// it looks at the first name (90 instructions a query, callgrind).
#[inline(never)]
pub(super) fn name_hash(canonical: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(canonical, seed)
}

/// The bucket of a hash among `count` buckets: the high bits, so that any count is as good as a power of two.
#[inline]
pub(super) fn bucket_of(hash: u64, count: u32) -> u32 {
    let product = u128::from(hash) * u128::from(count);
    u32::try_from(product >> 64).unwrap_or(0)
}

/// The tag of a hash: the low bits, which the bucket does not depend on. Zero marks an empty slot, so it becomes 1.
#[inline]
pub(super) fn tag_of(hash: u64) -> u16 {
    let [low, high, ..] = hash.to_le_bytes();
    u16::from_le_bytes([low, high]).max(1)
}
