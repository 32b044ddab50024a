//! Offsets, sizes and flags of the segment format: the constants that builder, verifier and lookup share.
//!
//! `FORMAT.md` explains them. All integers are little-endian; offsets "in words" count 8 bytes from the segment's start.

use super::line::LINE_LEN;

/// Segment kind: a whole zone. Shards (3) are refused.
pub(super) const KIND_ZONE: u8 = 1;
/// Segment kind: the nodes of a zone that differ from those of a whole zone, its base.
pub(super) const KIND_OVERLAY: u8 = 2;
/// Segment kind: where addresses are. It is no zone; its apex is [`PLACES_APEX`].
pub(super) const KIND_PLACES: u8 = 4;
/// The name that the table of places has among zones, in wire format. No zone may have it.
pub(super) const PLACES_APEX: &[u8] = b"\x07\x00places\x00";
/// Segment flag: the zone carries its own signatures (its SOA is signed).
pub(super) const SEGMENT_SIGNED: u8 = 1;

/// Fields of the first line of a segment.
pub(super) mod header {
    /// u8: segment kind.
    pub(in super::super) const KIND: usize = 0;
    /// u8: segment flags.
    pub(in super::super) const FLAGS: usize = 1;
    /// u8: length of the apex name in octets.
    pub(in super::super) const APEX_LEN: usize = 2;
    /// u8: labels of the apex.
    pub(in super::super) const APEX_LABELS: usize = 3;
    /// u8: labels of the deepest node.
    pub(in super::super) const DEPTH_MAX: usize = 4;
    /// u8: longest run of buckets that a probe may have to read.
    pub(in super::super) const RUN_MAX: usize = 5;
    /// u64: seed of the name hash.
    pub(in super::super) const SEED: usize = 8;
    /// u32: SOA serial.
    pub(in super::super) const SERIAL: usize = 16;
    /// u32: number of buckets.
    pub(in super::super) const BUCKET_COUNT: usize = 20;
    /// u32: first bucket, in lines.
    pub(in super::super) const BUCKET_LINE: usize = 24;
    /// u32: SOA RRset (descriptor and body), in words.
    pub(in super::super) const SOA: usize = 28;
    /// u32: apex node, in words.
    pub(in super::super) const APEX_NODE: usize = 32;
    /// u32: first node, in words; nodes lie one after the other.
    pub(in super::super) const NODES: usize = 36;
    /// u32: end of the last node, in words.
    pub(in super::super) const NODES_END: usize = 40;
    /// u32: TTL of a negative answer's SOA in seconds (RFC 2308 section 3).
    pub(in super::super) const NEGATIVE_TTL: usize = 44;
    /// u32: number of nodes, empty non-terminals included.
    pub(in super::super) const NODE_COUNT: usize = 48;
    /// u32: denial index, in words; 0 if there is none.
    pub(in super::super) const DENIAL: usize = 52;
    /// u32: entries of the denial index.
    pub(in super::super) const DENIAL_COUNT: usize = 56;
    /// u8: one of the `DENIAL_` kinds.
    pub(in super::super) const DENIAL_KIND: usize = 60;
    /// u8: octets of the NSEC3 salt.
    pub(in super::super) const SALT_LEN: usize = 61;
    /// u16: NSEC3 iterations.
    pub(in super::super) const ITERATIONS: usize = 62;
    /// The apex name follows the first line, padded to whole lines. In an overlay a line follows that starts with the
    /// digest of the base and is zero behind it.
    pub(in super::super) const APEX: usize = 64;
}

/// Denial kind: the zone proves nothing.
pub(super) const DENIAL_NONE: u8 = 0;
/// Denial kind: by NSEC.
pub(super) const DENIAL_NSEC: u8 = 1;
/// Denial kind: by NSEC3.
pub(super) const DENIAL_NSEC3: u8 = 2;

/// Slots of a bucket line.
pub(super) const BUCKET_SLOTS: usize = 10;
/// Offset of the node offsets (u32, words) inside a bucket line; the tags (u16) come first.
pub(super) const BUCKET_NODES: usize = 20;
/// Offset of the overflow octet inside a bucket line: 1 if a probe must read the next line.
pub(super) const BUCKET_OVERFLOW: usize = 60;
/// The longest run of lines the compiler accepts before it takes another seed.
pub(super) const RUN_LINES_MAX: u32 = 4;

/// Bytes of a node before its name: length u8, flags u8, RRset count u16, link u32.
pub(super) const NODE_HEAD: usize = 8;
/// Bytes of an RRset descriptor.
pub(super) const DESCRIPTOR_LEN: usize = 16;

/// Node flag: a zone cut (NS below the apex).
pub(super) const NODE_CUT: u8 = 1;
/// Node flag: below a zone cut; the link is the cut's node.
pub(super) const NODE_BELOW_CUT: u8 = 2;
/// Node flag: has the child `*`; the link is that node.
pub(super) const NODE_WILDCARD_CHILD: u8 = 4;
/// Node flag: the leftmost label is `*`.
pub(super) const NODE_WILDCARD: u8 = 8;

/// Node flag: has a DNAME; nothing below it is a node.
pub(super) const NODE_DNAME: u8 = 16;
/// Node flag: lies in an overlay. All nodes of overlays have it, so that a node tells which of the two segments of a zone
/// its offset is of.
pub(super) const NODE_OVERLAY: u8 = 32;
/// Node flag: the name does not exist any more. Only in overlays.
pub(super) const NODE_TOMBSTONE: u8 = 64;
/// Set in the places of overlay nodes that leave this module ([`Node::word`](super::node::Node::word)): a segment has far
/// fewer words.
pub(super) const WORD_OVERLAY: u32 = 1 << 31;

/// Set in the number of glue records of an RRset in whose place something else may be answered: its glue is what may be.
/// There are far fewer glue records in 65,535 bytes.
pub(super) const BODY_CHOICE: u16 = 1 << 15;

/// Where a body's question name starts.
pub(super) const QNAME_OFF: usize = 12;
/// The highest position a compression pointer made at compile time may name: relocation adds at most some 5,000, and
/// 14 bits must hold the sum.
pub(super) const POINTER_MAX: usize = 8192;
/// How many additional targets an RRset lists at most; more are left out of answers. As many as the root has servers:
/// each costs a lookup when the RRset is answered.
pub(super) const TARGETS_MAX: usize = 13;

/// Bytes of a record before its RDATA: pointer 2, type 2, class 2, TTL 4, length 2.
pub(super) const RECORD_HEAD: usize = 12;

/// Where the nodes of a segment start: behind the apex name of `apex_len` octets, and in an overlay behind the base's
/// digest.
pub(super) fn nodes_off(kind: u8, apex_len: usize) -> usize {
    base_off(apex_len) + if kind == KIND_OVERLAY { LINE_LEN } else { 0 }
}

/// Where the digest of its base lies in an overlay.
pub(super) fn base_off(apex_len: usize) -> usize {
    (header::APEX + apex_len).next_multiple_of(LINE_LEN)
}

/// Rounds a byte length up to whole words.
pub(super) fn words(len: usize) -> usize {
    len.div_ceil(8)
}
