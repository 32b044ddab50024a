//! Reading a node: an owner name with its RRsets as pre-rendered bodies.
//!
//! A node holds what its own name has and nothing of other nodes, so a change elsewhere never stales it (a cut's body
//! also has the glue at and below the cut). Reads are bounds-checked and end in `None` on malformed bytes; after
//! `verify` has passed there are none.

use super::bytes::u32_at;
use super::layout::{
    BODY_CHOICE, DESCRIPTOR_LEN, NODE_BELOW_CUT, NODE_CUT, NODE_DNAME, NODE_HEAD, NODE_OVERLAY, NODE_TOMBSTONE,
    NODE_WILDCARD, NODE_WILDCARD_CHILD, WORD_OVERLAY,
};
use crate::dns::rtype::Rtype;

/// A node of a segment.
#[derive(Clone, Copy)]
pub struct Node<'s> {
    /// The whole segment.
    segment: &'s [u8],
    /// Where the node starts, in bytes.
    off: usize,
    /// Owner name in canonical wire format.
    name: &'s [u8],
    /// The `NODE_` flags.
    flags: u8,
    /// How many RRsets.
    rrset_count: u16,
    /// Another node, in words; what it is depends on the flags.
    link: u32,
}

/// An RRset as it is copied into messages.
///
/// `records` is `record_count` resource records. Each starts with the pointer C0 0C to the owner at offset 12; other
/// compression pointers are listed in `relocs` (`u16` offsets into `records`, then past its end into `glue`). They are
/// right for a message whose question is the owner itself and whose records start just behind that question;
/// everywhere else they are moved (the relocation rule of `FORMAT.md`).
#[derive(Clone, Copy)]
pub struct RrsetBody<'s> {
    /// The type.
    pub rtype: Rtype,
    /// How many resource records; 0 if no message can hold the RRset.
    pub record_count: u16,
    /// The records.
    pub records: &'s [u8],
    /// Offsets of pointers inside RDATA and of glue owners, `u16` little-endian.
    pub relocs: &'s [u8],
    /// Offsets in `records` of names in the zone that may have addresses of interest, `u16` little-endian.
    pub targets: &'s [u8],
    /// How many RRSIG records.
    pub sig_count: u8,
    /// The RRSIG records that cover the RRset; their only pointers are their owners.
    pub sigs: &'s [u8],
    /// How many glue records; with the bit [`BODY_CHOICE`] there are none, and `glue` is what may be answered instead.
    pub(super) glue_count: u16,
    /// Addresses at or below the cut that this NS RRset makes; each owner is a pointer listed in `relocs`.
    pub(super) glue: &'s [u8],
    /// Length of the owner name that the body was rendered for.
    pub owner_len: usize,
}

/// The descriptor of an RRset, field by field as in the file.
#[derive(Clone, Copy, Default)]
pub(super) struct Descriptor {
    /// The type.
    pub(super) rtype: u16,
    /// How many records.
    pub(super) record_count: u16,
    /// Bytes of them.
    pub(super) records_len: u16,
    /// How many relocations.
    pub(super) reloc_count: u16,
    /// Bytes of RRSIG records.
    pub(super) sigs_len: u16,
    /// How many RRSIG records.
    pub(super) sig_count: u8,
    /// How many additional targets.
    pub(super) target_count: u8,
    /// Bytes of glue.
    pub(super) glue_len: u16,
    /// How many glue records.
    pub(super) glue_count: u16,
}

impl Descriptor {
    /// Reads the descriptor at `off`.
    #[inline]
    pub(super) fn read(segment: &[u8], off: usize) -> Option<Descriptor> {
        let bytes: &[u8; DESCRIPTOR_LEN] = segment.get(off..)?.first_chunk()?;
        let [a, b, c, d, e, f, g, h, i, j, sig_count, target_count, k, l, m, n] = *bytes;
        let short = |low, high| u16::from_le_bytes([low, high]);
        Some(Descriptor {
            rtype: short(a, b),
            record_count: short(c, d),
            records_len: short(e, f),
            reloc_count: short(g, h),
            sigs_len: short(i, j),
            sig_count,
            target_count,
            glue_len: short(k, l),
            glue_count: short(m, n),
        })
    }

    /// Appends the descriptor.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for value in [self.rtype, self.record_count, self.records_len, self.reloc_count, self.sigs_len] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&[self.sig_count, self.target_count]);
        out.extend_from_slice(&self.glue_len.to_le_bytes());
        out.extend_from_slice(&self.glue_count.to_le_bytes());
    }

    /// Bytes of the body that it describes: relocations, targets, records, signatures, glue.
    #[inline]
    pub(super) fn body_len(&self) -> usize {
        2 * (usize::from(self.reloc_count) + usize::from(self.target_count))
            + usize::from(self.records_len)
            + usize::from(self.sigs_len)
            + usize::from(self.glue_len)
    }

    /// Cuts the body at `off` into its parts.
    #[inline]
    pub(super) fn body<'s>(&self, segment: &'s [u8], off: usize, owner_len: usize) -> Option<RrsetBody<'s>> {
        let rest = segment.get(off..)?;
        let (relocs, rest) = rest.split_at_checked(2 * usize::from(self.reloc_count))?;
        let (targets, rest) = rest.split_at_checked(2 * usize::from(self.target_count))?;
        let (records, rest) = rest.split_at_checked(usize::from(self.records_len))?;
        let (sigs, rest) = rest.split_at_checked(usize::from(self.sigs_len))?;
        let glue = rest.get(..usize::from(self.glue_len))?;
        Some(RrsetBody {
            rtype: Rtype(self.rtype),
            record_count: self.record_count,
            records,
            relocs,
            targets,
            sig_count: self.sig_count,
            sigs,
            glue_count: self.glue_count,
            glue,
            owner_len,
        })
    }
}

impl<'s> Node<'s> {
    /// Reads the node at `word` words into the segment.
    #[inline]
    pub(super) fn read(segment: &'s [u8], word: u32) -> Option<Node<'s>> {
        let off = usize::try_from(word).ok()?.checked_mul(8)?;
        let head: &[u8; NODE_HEAD] = segment.get(off..)?.first_chunk()?;
        let [name_len, flags, count_low, count_high, ..] = *head;
        let name = segment.get(off + NODE_HEAD..)?.get(..usize::from(name_len))?;
        let link = u32_at(head, 4)?;
        Some(Node { segment, off, name, flags, rrset_count: u16::from_le_bytes([count_low, count_high]), link })
    }

    /// The owner in canonical wire format.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &'s [u8] {
        self.name
    }

    /// Whether it is a zone cut: has NS and is not the apex.
    #[inline]
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.flags & NODE_CUT != 0
    }

    /// Its DNAME, which redirects all names below it (RFC 6672).
    #[inline]
    #[must_use]
    pub fn dname(&self) -> Option<RrsetBody<'s>> {
        if self.flags & NODE_DNAME == 0 { None } else { self.rrset(Rtype::DNAME) }
    }

    /// Whether its leftmost label is the asterisk label.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.flags & NODE_WILDCARD != 0
    }

    /// Whether it is an empty non-terminal (RFC 8020): it exists, with no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rrset_count == 0
    }

    /// The zone cut it lies below, if any: it is glue or occluded.
    #[inline]
    #[must_use]
    pub fn cut_above(&self) -> Option<Node<'s>> {
        if self.flags & NODE_BELOW_CUT == 0 { None } else { Node::read(self.segment, self.link) }
    }

    /// Its child `*`, the source of synthesis for names below it (RFC 4592 section 3.3.1).
    #[inline]
    #[must_use]
    pub fn wildcard_child(&self) -> Option<Node<'s>> {
        if self.flags & NODE_WILDCARD_CHILD == 0 { None } else { Node::read(self.segment, self.link) }
    }

    /// Its RRsets by ascending type. The SOA of the apex is not among them: the segment keeps it apart, so that a new
    /// serial changes no node.
    #[inline]
    pub fn rrsets(&self) -> impl Iterator<Item = RrsetBody<'s>> + use<'s> {
        let (segment, owner_len) = (self.segment, self.name.len());
        let first = self.descriptors_off();
        let mut body_off = first + DESCRIPTOR_LEN * usize::from(self.rrset_count);
        (0..usize::from(self.rrset_count)).map_while(move |idx| {
            let descriptor = Descriptor::read(segment, first + idx * DESCRIPTOR_LEN)?;
            let body = descriptor.body(segment, body_off, owner_len)?;
            body_off += descriptor.body_len();
            Some(body)
        })
    }

    /// Its RRset of one type. O(RRsets of the node).
    #[inline]
    #[must_use]
    pub fn rrset(&self, rtype: Rtype) -> Option<RrsetBody<'s>> {
        let first = self.descriptors_off();
        let mut body_off = first + DESCRIPTOR_LEN * usize::from(self.rrset_count);
        for idx in 0..usize::from(self.rrset_count) {
            let descriptor = Descriptor::read(self.segment, first + idx * DESCRIPTOR_LEN)?;
            // Types ascend, so a node of many types costs no more than those below.
            if descriptor.rtype >= rtype.0 {
                let is_it = descriptor.rtype == rtype.0;
                return if is_it { descriptor.body(self.segment, body_off, self.name.len()) } else { None };
            }
            body_off += descriptor.body_len();
        }
        None
    }

    /// Where the descriptors start: names are padded to an even length.
    #[inline]
    fn descriptors_off(&self) -> usize {
        (self.off + NODE_HEAD + self.name.len()).next_multiple_of(2)
    }

    /// Where it is in its zone: with the zone, its identity.
    #[must_use]
    pub fn word(&self) -> u32 {
        if self.flags & NODE_OVERLAY == 0 { self.segment_word() } else { self.segment_word() | WORD_OVERLAY }
    }

    /// Where it is in its segment, in words, as links have it.
    #[inline]
    pub(super) fn segment_word(&self) -> u32 {
        u32::try_from(self.off / 8).unwrap_or(u32::MAX)
    }

    /// Whether it only says that its name does not exist any more. Lookups show no such node.
    #[inline]
    pub(super) fn is_tombstone(&self) -> bool {
        self.flags & NODE_TOMBSTONE != 0
    }

    /// The raw flags.
    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// The raw link.
    pub(super) fn link(&self) -> u32 {
        self.link
    }

    /// How many RRsets.
    pub(super) fn rrset_count(&self) -> u16 {
        self.rrset_count
    }

    /// The word just past the node, if all its parts lie inside the segment.
    pub(super) fn end_word(&self) -> Option<usize> {
        let first = self.descriptors_off();
        let mut end = first + DESCRIPTOR_LEN * usize::from(self.rrset_count);
        for idx in 0..usize::from(self.rrset_count) {
            end += Descriptor::read(self.segment, first + idx * DESCRIPTOR_LEN)?.body_len();
        }
        (end <= self.segment.len()).then(|| super::layout::words(end))
    }
}

impl<'s> RrsetBody<'s> {
    /// Addresses at or below the cut that this NS RRset makes, and how many; each owner is a pointer listed in `relocs`.
    #[inline]
    #[must_use]
    pub fn glue(&self) -> (&'s [u8], u16) {
        if self.glue_count & BODY_CHOICE == 0 { (self.glue, self.glue_count) } else { (&[], 0) }
    }

    /// Its signatures as an RRset of their own, for those who ask for type RRSIG.
    #[must_use]
    pub fn signatures(&self) -> Option<RrsetBody<'s>> {
        (self.sig_count > 0).then(|| RrsetBody {
            rtype: Rtype::RRSIG,
            record_count: self.sig_count.into(),
            records: self.sigs,
            relocs: &[],
            targets: &[],
            sig_count: 0,
            sigs: &[],
            glue_count: 0,
            glue: &[],
            owner_len: self.owner_len,
        })
    }

    /// The offsets in `list`, which is `relocs` or `targets`.
    #[inline]
    pub fn offsets(list: &[u8]) -> impl Iterator<Item = usize> + '_ {
        list.as_chunks::<2>().0.iter().map(|off| usize::from(u16::from_le_bytes(*off)))
    }
}
