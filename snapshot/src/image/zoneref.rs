//! What a view knows of a zone without reading its segment.
//!
//! Invariant: a live reference was read from the head of a verified segment, whose pack the view holds under the number
//! given here. Two cache lines: what every query needs is in the first.

use super::bytes::{u32_at, u64_at};
use super::denial::DenialRef;
use super::layout::{SEGMENT_SIGNED, header};

/// Where a zone is, and what a lookup needs before it reads the segment.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct ZoneRef {
    /// Hash of the apex under the view's seed.
    pub(super) hash: u64,
    /// Seed of the segment's name hash.
    pub(super) seed: u64,
    /// First byte of the segment in its pack.
    pub(super) off: usize,
    /// Bytes of the segment; 0 if the zone was deleted.
    pub(super) len: usize,
    /// Number of its pack in the view: it stays the same as long as the pack is there.
    pub(super) pack: u32,
    /// First bucket, in lines.
    pub(super) bucket_line: u32,
    /// How many buckets.
    pub(super) bucket_count: u32,
    /// First node, in words: the apex.
    pub(super) nodes: u32,
    /// SOA, in words; the nodes end there.
    pub(super) soa: u32,
    /// TTL of the SOA in negative answers, in seconds; that of the overlay if the zone has one.
    pub(super) negative_ttl_secs: u32,
    /// Longest run of buckets.
    pub(super) run_max: u8,
    /// Labels of the deepest node, those of an overlay included.
    pub(super) depth_max: u8,
    /// Labels of the apex.
    pub(super) apex_labels: u8,
    /// Octets of the apex.
    pub(super) apex_len: u8,
    /// Whether the zone carries signatures.
    pub(super) signed: bool,
    /// Position of its overlay among those of the view, plus one; 0 if it has none.
    pub(super) overlay: u16,
    /// Where its denial index is.
    pub(super) denial: DenialRef,
    /// Its position among the zones of its pack, or among the deletions there.
    pub(super) idx: u32,
}

/// Where a pack says something of a zone.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Number of the pack in the view.
    pub(super) pack: u32,
    /// Position among its zones or deletions.
    pub(super) idx: u32,
}

impl ZoneRef {
    /// Reads the head of a verified segment that begins at `off` of its pack.
    pub(super) fn read(segment: &[u8], hash: u64, off: usize, place: Place) -> Option<ZoneRef> {
        let octet = |at: usize| segment.get(at).copied();
        Some(ZoneRef {
            hash,
            seed: u64_at(segment, header::SEED)?,
            off,
            len: segment.len(),
            pack: place.pack,
            bucket_line: u32_at(segment, header::BUCKET_LINE)?,
            bucket_count: u32_at(segment, header::BUCKET_COUNT)?,
            nodes: u32_at(segment, header::NODES)?,
            soa: u32_at(segment, header::SOA)?,
            negative_ttl_secs: u32_at(segment, header::NEGATIVE_TTL)?,
            run_max: octet(header::RUN_MAX)?,
            depth_max: octet(header::DEPTH_MAX)?,
            apex_labels: octet(header::APEX_LABELS)?,
            apex_len: octet(header::APEX_LEN)?,
            signed: octet(header::FLAGS)? & SEGMENT_SIGNED != 0,
            overlay: 0,
            denial: DenialRef::read(segment)?,
            idx: place.idx,
        })
    }

    /// A zone that a pack deletes.
    pub(super) fn deleted(hash: u64, place: Place) -> ZoneRef {
        ZoneRef { hash, pack: place.pack, idx: place.idx, ..ZoneRef::default() }
    }

    /// Whether it is a zone and there: the table of places has no buckets.
    pub(super) fn is_zone(&self) -> bool {
        self.len > 0 && self.run_max > 0
    }

    /// Whether the zone is there, or the table of places.
    pub(super) fn is_live(&self) -> bool {
        self.len > 0
    }
}
