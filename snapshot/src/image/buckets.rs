//! Spreads the nodes of a segment over the buckets of its index.
//!
//! It knows nodes only as bytes with a name in front. Invariant: every node is in the index once, in the first bucket of
//! its run that had room, and no run is longer than [`RUN_LINES_MAX`]. The layout is in `FORMAT.md` section 4.3.

use super::build::BuildError;
use super::bytes::u32_at;
use super::hash::{bucket_of, name_hash, tag_of};
use super::layout::{BUCKET_NODES, BUCKET_OVERFLOW, BUCKET_SLOTS, NODE_HEAD, RUN_LINES_MAX};
use super::line::LINE_LEN;
use crate::dns::name::Name;

/// Names per bucket at which the index is laid out: half full is faster than fuller (measured) and still 13 bytes a name.
const NAMES_PER_BUCKET: usize = 5;
/// How many seeds are tried before the index grows.
const SEEDS_PER_SIZE: u64 = 8;
/// How many seeds are tried at all; random names need one, crafted ones cannot defeat them all.
const SEEDS_MAX: u64 = 64;

/// A finished index.
pub(super) struct Index {
    /// Its bucket lines.
    pub(super) lines: Vec<u8>,
    /// The seed that made it.
    pub(super) seed: u64,
    /// Its longest run.
    pub(super) run_max: u32,
}

/// Spreads the nodes over buckets; takes another seed when a run gets too long, more buckets when seeds do not help. An
/// overlay has the seed of its base, so that a lookup hashes once for both.
pub(super) fn index(out: &[u8], node_words: &[u32], apex: &Name, base_seed: Option<u64>) -> Result<Index, BuildError> {
    for attempt in 0..SEEDS_MAX {
        // The seed depends on the apex and the attempt only, so that equal zones give equal segments. It is no secret:
        // whoever crafts names against one seed would have to defeat all of them at once.
        let seed = base_seed.unwrap_or_else(|| name_hash(apex.as_wire(), attempt));
        let growth = if base_seed.is_some() { attempt } else { attempt / SEEDS_PER_SIZE };
        let names = node_words.len() + node_words.len() * usize::try_from(growth).unwrap_or(0) / 4;
        let count = names.div_ceil(NAMES_PER_BUCKET).max(1);
        if let Some(index) = try_index(out, node_words, seed, count) {
            return Ok(index);
        }
    }
    Err(BuildError::Index { apex: apex.clone() })
}

/// Fills `count` buckets; `None` if a run exceeds [`RUN_LINES_MAX`].
fn try_index(out: &[u8], node_words: &[u32], seed: u64, count: usize) -> Option<Index> {
    let mut lines = vec![0; count * LINE_LEN];
    let mut filled = vec![0u8; count];
    let mut run_max = 1;
    let bucket_count = u32::try_from(count).ok()?;
    for &word in node_words {
        let off = word as usize * 8;
        let name = &out[off + NODE_HEAD..][..usize::from(out[off])];
        let hash = name_hash(name, seed);
        let mut bucket = bucket_of(hash, bucket_count) as usize;
        let mut run = 1;
        while usize::from(filled[bucket]) == BUCKET_SLOTS {
            lines[bucket * LINE_LEN + BUCKET_OVERFLOW] = 1;
            bucket = (bucket + 1) % count;
            run += 1;
            if run > RUN_LINES_MAX {
                return None;
            }
        }
        run_max = run_max.max(run);
        let slot = usize::from(filled[bucket]);
        filled[bucket] += 1;
        let line = &mut lines[bucket * LINE_LEN..][..LINE_LEN];
        line[slot * 2..][..2].copy_from_slice(&tag_of(hash).to_le_bytes());
        line[BUCKET_NODES + slot * 4..][..4].copy_from_slice(&word.to_le_bytes());
        debug_assert_eq!(u32_at(line, BUCKET_NODES + slot * 4), Some(word));
    }
    Some(Index { lines, seed, run_max })
}
