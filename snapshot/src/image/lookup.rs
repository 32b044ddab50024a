//! Finding a name in a zone: exact match, or the closest encloser (RFC 4592 section 3.3.1).
//!
//! Empty non-terminals are nodes, so existence is monotone along a name: if a name exists, all names above it do. A
//! lookup therefore probes the full name, then its parent, then halves what is left: at most 9 probes for a name of
//! 127 labels. The `hint` functions compute nothing that a result depends on; they fetch the cache lines that the real
//! lookup will read, so that a batch waits for memory once and not once per query.

use super::bytes::u32_at;
use super::hash::{bucket_of, name_hash, tag_of};
use super::layout::{BUCKET_NODES, BUCKET_OVERFLOW, BUCKET_SLOTS, DESCRIPTOR_LEN, WORD_OVERLAY};
use super::line::LINE_LEN;
use super::node::{Descriptor, Node, RrsetBody};
use super::order::Labels;
use super::prefetch::prefetch;
use super::view::View;
use super::zoneref::ZoneRef;
use crate::dns::lookup_name::LookupName;

/// What each of the first 16-bit fields of a line stands for in [`tag_matches`]: ten slots; the last six are no tags.
const SLOT_BITS: [u16; 16] = {
    let mut bits = [0; 16];
    let mut slot = 0;
    while slot < BUCKET_SLOTS {
        bits[slot] = 1 << slot;
        slot += 1;
    }
    bits
};

/// The hashes of a name and its parent in one zone, carried from hint to lookup.
#[derive(Clone, Copy)]
pub struct NameHashes {
    /// Of the name itself.
    own: u64,
    /// Of its parent.
    parent: u64,
}

impl NameHashes {
    /// The hash of the name itself: the same name in the same zone has the same hash.
    #[inline]
    #[must_use]
    pub fn own(self) -> u64 {
        self.own
    }
}

/// What a lookup found.
#[derive(Clone, Copy)]
pub enum Found<'v> {
    /// The name exists.
    Exact(Node<'v>),
    /// The name does not exist.
    Missing(Encloser<'v>),
}

/// The closest encloser of a name that does not exist.
#[derive(Clone, Copy)]
pub struct Encloser<'v> {
    /// Its node.
    pub node: Node<'v>,
    /// Its labels; the next closer name has one more.
    pub labels: usize,
}

/// One zone of a view: a segment, and for some zones an overlay that says what has changed since.
#[derive(Clone, Copy)]
pub struct Zone<'v> {
    /// Its segment, the base if there is an overlay.
    pub(super) segment: &'v [u8],
    /// What the directory knows of it, with the depth and the negative TTL of both if there is an overlay.
    pub(super) zone: &'v ZoneRef,
    /// What knows the overlay.
    pub(super) view: &'v View,
}

/// One segment of a zone.
#[derive(Clone, Copy)]
pub(super) struct Part<'v> {
    /// The segment.
    pub(super) segment: &'v [u8],
    /// What the directory knows of it.
    pub(super) zone: &'v ZoneRef,
}

impl<'v> Zone<'v> {
    /// Labels of the apex.
    #[inline]
    #[must_use]
    pub fn apex_labels(&self) -> usize {
        usize::from(self.zone.apex_labels)
    }

    /// Length of the apex in octets.
    #[inline]
    #[must_use]
    pub fn apex_len(&self) -> usize {
        usize::from(self.zone.apex_len)
    }

    /// The TTL of the SOA in a negative answer: the lesser of its own and its MINIMUM field (RFC 2308 section 3).
    #[inline]
    #[must_use]
    pub fn negative_ttl_secs(&self) -> u32 {
        self.zone.negative_ttl_secs
    }

    /// Whether the zone carries signatures.
    #[inline]
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.zone.signed
    }

    /// The SOA RRset, rendered for a question at the apex.
    #[inline]
    #[must_use]
    pub fn soa(&self) -> Option<RrsetBody<'v>> {
        let Part { segment, zone } = self.overlay().unwrap_or_else(|| self.base());
        let off = zone.soa as usize * 8;
        Descriptor::read(segment, off)?.body(segment, off + DESCRIPTOR_LEN, self.apex_len())
    }

    /// The node at a place that [`Node::word`] told, in the same zone.
    #[must_use]
    pub fn node_at(&self, word: u32) -> Option<Node<'v>> {
        match self.overlay() {
            Some(overlay) if word & WORD_OVERLAY != 0 => Node::read(overlay.segment, word & !WORD_OVERLAY),
            _ => Node::read(self.segment, word),
        }
    }

    /// Every node in canonical order, empty non-terminals included.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'v>> + use<'v> {
        let above = self.overlay();
        // What the overlay has a node or a tombstone for does not count in the base.
        let is_hidden = move |node: &Node<'v>| {
            above.is_some_and(|overlay| overlay.probe(node.name(), name_hash(node.name(), overlay.zone.seed)).is_some())
        };
        let mut base = self.base().nodes().filter(move |node| !is_hidden(node)).peekable();
        let changed = above.into_iter().flat_map(|overlay| overlay.nodes());
        let mut changed = changed.filter(|node| !node.is_tombstone()).peekable();
        std::iter::from_fn(move || match (base.peek(), changed.peek()) {
            (Some(old), Some(new)) if Labels::of(old.name()).cmp(&Labels::of(new.name())).is_lt() => base.next(),
            (_, Some(_)) => changed.next(),
            (_, None) => base.next(),
        })
    }

    /// The segment without the overlay.
    #[inline]
    pub(super) fn base(&self) -> Part<'v> {
        Part { segment: self.segment, zone: self.zone }
    }

    /// The overlay. Zones without one pay a comparison.
    #[inline]
    pub(super) fn overlay(&self) -> Option<Part<'v>> {
        if self.zone.overlay == 0 { None } else { self.view.overlay_of(self.zone) }
    }

    /// Fetches the bucket of the name and that of its parent.
    #[inline]
    #[must_use]
    pub fn hint_buckets(&self, name: &LookupName) -> NameHashes {
        let depth = name.label_count();
        let hash = |labels| name_hash(name.suffix(labels), self.zone.seed);
        let hashes = NameHashes { own: hash(depth), parent: hash(depth.saturating_sub(1)) };
        let base = self.base();
        prefetch(base.segment.get(base.bucket_off(hashes.own)));
        prefetch(base.segment.get(base.bucket_off(hashes.parent)));
        if let Some(overlay) = self.overlay() {
            prefetch(overlay.segment.get(overlay.bucket_off(hashes.own)));
            prefetch(overlay.segment.get(overlay.bucket_off(hashes.parent)));
        }
        hashes
    }

    /// Fetches the node that the name's tag points to, or else that of its parent: two lines of the former, which hold a
    /// usual answer, four of the latter, which may be a cut with servers and glue.
    #[inline]
    pub fn hint_node(&self, hashes: NameHashes) {
        if let Some(overlay) = self.overlay() {
            overlay.hint_node(hashes);
        }
        self.base().hint_node(hashes);
    }

    /// Finds `name`, which must be at or below the apex.
    ///
    /// `None` if not even the apex is found: the name is in another zone after all, or the segment is malformed.
    /// O(log labels) probes, two at most for usual names.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &LookupName, hashes: NameHashes) -> Option<Found<'v>> {
        let depth = name.label_count();
        let deepest = usize::from(self.zone.depth_max);
        if depth > deepest {
            return self.encloser(name, deepest);
        }
        if let Some(node) = self.probe(name.as_wire(), hashes.own) {
            return Some(Found::Exact(node));
        }
        let labels = depth.checked_sub(1).filter(|&labels| labels >= self.apex_labels())?;
        match self.probe(name.suffix(labels), hashes.parent) {
            Some(node) => Some(Found::Missing(Encloser { node, labels })),
            None => self.encloser(name, labels.checked_sub(1)?),
        }
    }

    /// [`Zone::find`] without hints: for names that come up while an answer is composed.
    #[must_use]
    pub fn find_now(&self, name: &LookupName) -> Option<Found<'v>> {
        self.find(name, self.hint_buckets(name))
    }

    /// Finds the closest encloser by bisection; names of more than `deepest` labels are known not to exist.
    fn encloser(&self, name: &LookupName, deepest: usize) -> Option<Found<'v>> {
        let mut low = self.apex_labels();
        let mut high = deepest;
        let probe = |labels| {
            let suffix = name.suffix(labels);
            self.probe(suffix, name_hash(suffix, self.zone.seed))
        };
        let mut found = Encloser { node: probe(low)?, labels: low };
        while low < high {
            let middle = (low + high).div_ceil(2);
            match probe(middle) {
                Some(node) => {
                    found = Encloser { node, labels: middle };
                    low = middle;
                }
                None => high = middle - 1,
            }
        }
        Some(Found::Missing(found))
    }

    /// Looks one name up, in the overlay first.
    #[inline]
    fn probe(&self, name: &[u8], hash: u64) -> Option<Node<'v>> {
        match self.overlay() {
            None => self.base().probe(name, hash),
            Some(overlay) => overlay.probe_above(self.base(), name, hash),
        }
    }
}

impl<'v> Part<'v> {
    /// Every node in canonical order.
    pub(super) fn nodes(self) -> impl Iterator<Item = Node<'v>> {
        let mut next = self.zone.nodes as usize;
        std::iter::from_fn(move || {
            let word = u32::try_from(next).ok()?;
            let node = Node::read(self.segment, word).filter(|_| word < self.zone.soa)?;
            next = node.end_word()?;
            Some(node)
        })
    }

    /// [`Zone::hint_node`] for one segment.
    #[inline]
    fn hint_node(&self, hashes: NameHashes) {
        for (hash, line_count) in [(hashes.own, 2), (hashes.parent, 4)] {
            let Some(line) = self.line(self.bucket_off(hash)) else { return };
            let matches = tag_matches(line, tag_of(hash));
            if matches != 0 {
                let word = u32_at(line, BUCKET_NODES + 4 * matches.trailing_zeros() as usize).unwrap_or(0);
                let off = word as usize * 8;
                for line in 0..line_count {
                    prefetch(self.segment.get(off + line * LINE_LEN));
                }
                return;
            }
        }
    }

    /// Looks one name up in this overlay, then in `base`. Apart from the common path, which has one segment.
    #[inline(never)]
    fn probe_above(&self, base: Part<'v>, name: &[u8], hash: u64) -> Option<Node<'v>> {
        match self.probe(name, hash) {
            Some(node) if node.is_tombstone() => None,
            Some(node) => Some(node),
            None => base.probe(name, hash),
        }
    }

    /// Looks one name up in the index. O(1): a run is at most four lines long.
    #[inline]
    pub(super) fn probe(&self, name: &[u8], hash: u64) -> Option<Node<'v>> {
        let mut bucket = bucket_of(hash, self.zone.bucket_count);
        for _ in 0..self.zone.run_max {
            let line = self.line((self.zone.bucket_line as usize + bucket as usize) * LINE_LEN)?;
            let mut matches = tag_matches(line, tag_of(hash));
            while matches != 0 {
                let word = u32_at(line, BUCKET_NODES + 4 * matches.trailing_zeros() as usize)?;
                let node = Node::read(self.segment, word)?;
                if node.name() == name {
                    return Some(node);
                }
                matches &= matches - 1;
            }
            if line[BUCKET_OVERFLOW] == 0 {
                return None;
            }
            bucket = if bucket + 1 == self.zone.bucket_count { 0 } else { bucket + 1 };
        }
        None
    }

    /// Byte offset of the bucket of a hash.
    #[inline]
    fn bucket_off(&self, hash: u64) -> usize {
        (self.zone.bucket_line as usize + bucket_of(hash, self.zone.bucket_count) as usize) * LINE_LEN
    }

    /// The line at a byte offset.
    #[inline]
    fn line(&self, off: usize) -> Option<&'v [u8; LINE_LEN]> {
        self.segment.get(off..)?.first_chunk()
    }
}

/// The slots whose tag equals `tag`, as bits. Without branches: which slot matches cannot be predicted, and a mispredicted
/// branch costs as much as the whole comparison. Sixteen fields instead of ten fill whole vectors.
#[inline]
fn tag_matches(line: &[u8; LINE_LEN], tag: u16) -> u32 {
    let mut matches = 0;
    for (field, bit) in line.as_chunks::<2>().0.iter().zip(SLOT_BITS) {
        matches |= if u16::from_le_bytes(*field) == tag { bit } else { 0 };
    }
    matches.into()
}
