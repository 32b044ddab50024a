//! Segments of several packs on their way into fresh ones.
//!
//! Invariant: equal segments and deletions give equal packs, in whatever order they come, as long as they fit one.

use super::HandoverError;
use crate::dns::name::Name;
use crate::image::{PackFile, Segment};

/// Bytes of segments that go into one pack made of others; a moderate size keeps a rewrite bounded. One segment alone may be longer.
const SEGMENTS_LEN_MAX: u64 = 960 << 20;

/// What the fresh packs will have.
#[derive(Default)]
pub(super) struct Merged {
    /// Packs that are full.
    full: Vec<PackFile>,
    /// The segments of the next one.
    segments: Vec<Segment>,
    /// Their bytes.
    segments_len: u64,
    /// The apexes of deleted zones.
    pub(super) deleted: Vec<Name>,
}

impl Merged {
    /// Adds a segment.
    ///
    /// # Errors
    /// [`HandoverError::Encode`].
    pub(super) fn add(&mut self, segment: Segment) -> Result<(), HandoverError> {
        if self.segments_len + segment.facts.bytes > SEGMENTS_LEN_MAX && !self.segments.is_empty() {
            let pack = self.encode(&[])?;
            self.full.push(pack);
        }
        self.segments_len += segment.facts.bytes;
        self.segments.push(segment);
        Ok(())
    }

    /// The packs that are full, once each.
    pub(super) fn take_full(&mut self) -> Vec<PackFile> {
        std::mem::take(&mut self.full)
    }

    /// The packs, none of them empty.
    ///
    /// # Errors
    /// [`HandoverError::Encode`].
    pub(super) fn finish(mut self) -> Result<Vec<PackFile>, HandoverError> {
        let deleted = std::mem::take(&mut self.deleted);
        if !self.segments.is_empty() || !deleted.is_empty() {
            let pack = self.encode(&deleted)?;
            self.full.push(pack);
        }
        Ok(self.full)
    }

    /// Packs the segments in canonical order of their apexes.
    fn encode(&mut self, deleted: &[Name]) -> Result<PackFile, HandoverError> {
        let mut segments = std::mem::take(&mut self.segments);
        self.segments_len = 0;
        let mut deleted = deleted.to_vec();
        deleted.sort_unstable();
        segments.sort_by_cached_key(|segment| {
            let mut key = Vec::new();
            segment.facts.apex.as_ref().push_sort_key(&mut key);
            key
        });
        PackFile::encode_change(segments, &deleted).map_err(HandoverError::Encode)
    }
}
