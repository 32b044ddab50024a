//! Finding the records that prove what does not exist: NSEC (RFC 4034 section 4) and NSEC3 (RFC 5155).
//!
//! A signed zone's segment has an index of the names that own such records, in the order of the chain. The predecessor of
//! a name in that order matches or covers it. Where the zone has an overlay, that is the nearer one of two: the predecessor
//! in the overlay, and that among those names of the base that the overlay does not have. Which proofs an answer needs is
//! the data plane's business. The layout is in `FORMAT.md` sections 4.4 and 4.5.

use std::cmp::Ordering;

use super::bytes::{u16_at, u32_at, u64_at};
use super::digest::Digest;
use super::hash::name_hash;
use super::layout::{DENIAL_NSEC, DENIAL_NSEC3, header};
use super::lookup::{Part, Zone};
use super::node::Node;
use super::order::Labels;
use crate::dns::nsec3::{HASH_LEN, HASH_TEXT_LEN, Params, text};

/// Bytes of an entry's key.
pub(super) const KEY_LEN: usize = 8;
/// Bytes of an entry's node offset.
pub(super) const WORD_LEN: usize = 4;

/// How many names in a row that only the base has in its chain are passed over before the overlay's is taken. In a closed
/// chain that is right at the first: the record before a name that went has changed, so it is in the overlay. Going on a
/// little makes the answer that of the zone compiled whole for records that form no closed chain, too.
const HIDDEN_RUN_MAX: usize = 32;

/// How a zone proves that something does not exist.
#[derive(Clone, Copy)]
pub enum Denial<'v> {
    /// It does not.
    None,
    /// By NSEC.
    Nsec(Chain<'v>),
    /// By NSEC3.
    Nsec3(HashedChain<'v>),
}

/// How a base proves that something does not exist, for those who build overlays on it: the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseDenial {
    /// It does not.
    None,
    /// By NSEC.
    Nsec,
    /// By NSEC3 with the parameters of this digest (see [`params_digest`]): salts are long, and facts are copied.
    Nsec3(Digest),
}

/// Where the denial index of a segment is, from its header.
#[derive(Clone, Copy, Default)]
pub(super) struct DenialRef {
    /// First word of the index.
    pub(super) word: u32,
    /// How many entries; at least one if there is an index.
    pub(super) count: u32,
    /// NSEC3 iterations.
    pub(super) iterations: u16,
    /// One of the `DENIAL_` kinds.
    pub(super) kind: u8,
    /// Octets of the NSEC3 salt.
    pub(super) salt_len: u8,
}

impl DenialRef {
    /// Reads the fields of a segment's header.
    pub(super) fn read(segment: &[u8]) -> Option<DenialRef> {
        Some(DenialRef {
            word: u32_at(segment, header::DENIAL)?,
            count: u32_at(segment, header::DENIAL_COUNT)?,
            iterations: u16_at(segment, header::ITERATIONS)?,
            kind: *segment.get(header::DENIAL_KIND)?,
            salt_len: *segment.get(header::SALT_LEN)?,
        })
    }

    /// Writes them.
    pub(super) fn write(&self, segment: &mut [u8]) {
        segment[header::DENIAL..][..4].copy_from_slice(&self.word.to_le_bytes());
        segment[header::DENIAL_COUNT..][..4].copy_from_slice(&self.count.to_le_bytes());
        segment[header::ITERATIONS..][..2].copy_from_slice(&self.iterations.to_le_bytes());
        segment[header::DENIAL_KIND] = self.kind;
        segment[header::SALT_LEN] = self.salt_len;
    }

    /// What an overlay on the segment has to know of it; `octet` reads the segment.
    pub(super) fn facts(&self, octet: impl Fn(usize) -> Option<u8>) -> Option<BaseDenial> {
        let start = (self.word as usize).checked_mul(8)?;
        Some(match self.kind {
            DENIAL_NSEC => BaseDenial::Nsec,
            DENIAL_NSEC3 => {
                let salt = (start..start + usize::from(self.salt_len)).map(octet).collect::<Option<Vec<u8>>>()?;
                BaseDenial::Nsec3(params_digest(&Params { iterations: self.iterations, salt: &salt }))
            }
            _ => BaseDenial::None,
        })
    }

    /// Whether the index of an overlay continues that of this segment: both are of one kind, with the same parameters.
    pub(super) fn is_continued(&self, segment: &[u8], overlay: &DenialRef, overlay_segment: &[u8]) -> bool {
        let facts = |denial: &DenialRef, segment: &[u8]| denial.facts(|at| segment.get(at).copied());
        facts(self, segment).is_some_and(|own| facts(overlay, overlay_segment) == Some(own))
    }
}

/// Tells parameters of NSEC3 apart.
pub(super) fn params_digest(params: &Params<'_>) -> Digest {
    Digest::of(&[&params.iterations.to_be_bytes()[..], params.salt].concat())
}

/// The parts of an index.
#[derive(Clone, Copy)]
pub(super) struct Entries<'v> {
    /// The whole segment.
    segment: &'v [u8],
    /// The salt.
    pub(super) salt: &'v [u8],
    /// For each value of a key's top bits, the first entry that has it or a greater one; then the number of entries.
    /// Empty for NSEC, whose keys are not spread evenly.
    pub(super) guide: &'v [u8],
    /// The keys, ascending.
    pub(super) keys: &'v [u8],
    /// The node of each key, in words.
    pub(super) words: &'v [u8],
    /// The byte behind the index.
    pub(super) end: usize,
}

/// How many top bits of a hash the guide of `count` entries distinguishes: about one entry for each value.
pub(super) fn guide_bits(count: u32) -> u32 {
    count.max(1).ilog2()
}

/// How many entries the guide has.
pub(super) fn guide_len(count: u32) -> usize {
    (1 << guide_bits(count)) + 1
}

/// The top bits of a key that the guide goes by.
pub(super) fn guide_slot(key: u64, bits: u32) -> usize {
    // A shift by all 64 bits overflows; no bits are slot 0.
    key.checked_shr(64 - bits).and_then(|slot| usize::try_from(slot).ok()).unwrap_or(0)
}

/// The key of a hash.
pub(super) fn hash_key(hash: &[u8; HASH_LEN]) -> u64 {
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

impl<'v> Entries<'v> {
    /// Cuts the index out of a segment; `None` if it does not lie inside.
    #[inline]
    pub(super) fn of(segment: &'v [u8], denial: &DenialRef) -> Option<Entries<'v>> {
        let count = denial.count as usize;
        let start = (denial.word as usize).checked_mul(8)?;
        let mut end = start;
        let mut part = |len: usize| {
            let bytes = segment.get(end..)?.get(..len)?;
            end = end.checked_add(len)?.next_multiple_of(8);
            Some(bytes)
        };
        let salt = part(denial.salt_len.into())?;
        let guide = part(if denial.kind == DENIAL_NSEC3 { guide_len(denial.count) * WORD_LEN } else { 0 })?;
        let keys = part(count * KEY_LEN)?;
        let words = part(count * WORD_LEN)?;
        Some(Entries { segment, salt, guide, keys, words, end })
    }

    /// How many entries.
    pub(super) fn count(&self) -> usize {
        self.keys.len() / KEY_LEN
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, idx: usize) -> Option<u64> {
        u64_at(self.keys, idx * KEY_LEN)
    }

    /// The node of an entry, in words.
    pub(super) fn word(&self, idx: usize) -> Option<u32> {
        u32_at(self.words, idx * WORD_LEN)
    }

    /// The nodes of all entries, in their order.
    fn nodes(self) -> impl Iterator<Item = Node<'v>> {
        (0..self.count()).filter_map(move |idx| self.node(idx))
    }

    /// The node of an entry.
    fn node(&self, idx: usize) -> Option<Node<'v>> {
        Node::read(self.segment, self.word(idx)?)
    }

    /// How many entries from `low` to `high` have a key below the limit; all of them lie in front.
    fn partition(&self, mut low: usize, mut high: usize, is_below: impl Fn(usize) -> Option<bool>) -> Option<usize> {
        while low < high {
            let middle = low.midpoint(high);
            if is_below(middle)? { low = middle + 1 } else { high = middle }
        }
        Some(low)
    }

    /// The last entry before position `end`; the first one's predecessor is the last, as in the chain.
    #[inline]
    fn before(&self, end: usize) -> Option<Node<'v>> {
        self.node(end.checked_sub(1).or_else(|| self.count().checked_sub(1))?)
    }

    /// How many entries of an NSEC chain are at or before a name, given the start of its sort key.
    #[inline]
    fn end_of_name(&self, name: &Labels<'_>, key: u64) -> Option<usize> {
        let low = self.partition(0, self.count(), |idx| Some(self.key(idx)? < key))?;
        let high = self.partition(low, self.count(), |idx| Some(self.key(idx)? <= key))?;
        self.partition(low, high, |idx| Some(Labels::of(self.node(idx)?.name()).cmp(name) != Ordering::Greater))
    }

    /// How many entries of an NSEC3 chain are at or before a hash, given its first octets and its text.
    #[inline]
    fn end_of_hash(&self, key: u64, text: &[u8; HASH_TEXT_LEN]) -> Option<usize> {
        let slot = guide_slot(key, guide_bits(u32::try_from(self.count()).ok()?));
        let low = u32_at(self.guide, slot * WORD_LEN)? as usize;
        let high = u32_at(self.guide, (slot + 1) * WORD_LEN)? as usize;
        // Owners are compared by their text, which sorts as the hash does.
        self.partition(low, high, |idx| {
            let other = self.key(idx)?;
            Some(other < key || (other == key && owner_text(&self.node(idx)?)? <= &text[..]))
        })
    }

    /// The last entry before position `end` of a base, or the last one before `above_end` of its overlay's entries `above`,
    /// whichever is nearer. What the overlay has a node or tombstone for does not count in the base. At most
    /// [`HIDDEN_RUN_MAX`] probes, one if the chain is closed.
    #[cold]
    fn before_in_both(
        &self,
        end: usize,
        above: &Entries<'v>,
        above_end: usize,
        overlay: &Part<'v>,
    ) -> Option<Node<'v>> {
        let changed = above.before(above_end)?;
        let changed_name = Labels::of(changed.name());
        let count = self.count();
        for back in 1..=count.min(HIDDEN_RUN_MAX) {
            // Backwards from the first entry the last one is next. It lies behind what is looked for, and so does all that
            // follows: it is farther away than anything in front.
            let (at, wraps) = if back > end { (end + count - back, true) } else { (end - back, false) };
            let node = self.node(at)?;
            let is_nearer = match (wraps, above_end == 0) {
                (true, false) => false,
                (false, true) => true,
                _ => Labels::of(node.name()).cmp(&changed_name) == Ordering::Greater,
            };
            if !is_nearer {
                break;
            }
            if overlay.probe(node.name(), name_hash(node.name(), overlay.zone.seed)).is_none() {
                return Some(node);
            }
        }
        Some(changed)
    }
}

/// The NSEC records of a zone.
#[derive(Clone, Copy)]
pub struct Chain<'v> {
    /// Its index, that of the base if there is an overlay.
    entries: Entries<'v>,
    /// The overlay.
    overlay: Option<Part<'v>>,
    /// Labels of the apex.
    apex_labels: usize,
}

impl<'v> Chain<'v> {
    /// The node whose NSEC matches or covers `canonical`, a wire-format name at or below the apex. O(log n).
    #[must_use]
    pub fn at_or_before(&self, canonical: &[u8]) -> Option<Node<'v>> {
        let name = Labels::of(canonical);
        let key = name.sort_prefix(self.apex_labels);
        let end = self.entries.end_of_name(&name, key)?;
        let Some(overlay) = &self.overlay else { return self.entries.before(end) };
        let above = overlay.entries()?;
        self.entries.before_in_both(end, &above, above.end_of_name(&name, key)?, overlay)
    }
}

/// The NSEC3 records of a zone.
#[derive(Clone, Copy)]
pub struct HashedChain<'v> {
    /// Its index, that of the base if there is an overlay.
    entries: Entries<'v>,
    /// The overlay.
    overlay: Option<Part<'v>>,
    /// NSEC3 iterations.
    iterations: u16,
}

/// The NSEC3 record that a hash leads to.
#[derive(Clone, Copy)]
pub enum Hashed<'v> {
    /// Its owner is the hash.
    Match(Node<'v>),
    /// The hash lies between its owner and the next one.
    Cover(Node<'v>),
}

impl<'v> HashedChain<'v> {
    /// Finds the record that matches or covers a name in canonical wire format. One hash, then O(1) if hashes are spread as
    /// hashes are, O(log n) at most.
    #[must_use]
    pub fn find(&self, canonical: &[u8]) -> Option<Hashed<'v>> {
        self.find_hash(&Params { iterations: self.iterations, salt: self.entries.salt }.hash(canonical))
    }

    /// The node of every record, in any order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'v>> {
        let overlay = self.overlay;
        let is_hidden = move |node: &Node<'v>| {
            overlay
                .is_some_and(|overlay| overlay.probe(node.name(), name_hash(node.name(), overlay.zone.seed)).is_some())
        };
        let above = overlay.and_then(|overlay| overlay.entries());
        self.entries.nodes().filter(move |node| !is_hidden(node)).chain(above.into_iter().flat_map(Entries::nodes))
    }

    /// Finds the record that matches or covers a hash.
    #[must_use]
    pub fn find_hash(&self, hash: &[u8; HASH_LEN]) -> Option<Hashed<'v>> {
        let (key, text) = (hash_key(hash), text(hash));
        let end = self.entries.end_of_hash(key, &text)?;
        let node = match &self.overlay {
            None => self.entries.before(end)?,
            Some(overlay) => {
                let above = overlay.entries()?;
                self.entries.before_in_both(end, &above, above.end_of_hash(key, &text)?, overlay)?
            }
        };
        Some(if owner_text(&node)? == text { Hashed::Match(node) } else { Hashed::Cover(node) })
    }
}

/// The first label of an NSEC3 owner.
fn owner_text<'v>(node: &Node<'v>) -> Option<&'v [u8]> {
    let (&len, rest) = node.name().split_first()?;
    rest.get(..usize::from(len))
}

impl<'v> Zone<'v> {
    /// How the zone proves that something does not exist.
    #[must_use]
    pub fn denial(&self) -> Denial<'v> {
        let denial = &self.zone.denial;
        let overlay = self.overlay();
        match (denial.kind, Entries::of(self.segment, denial)) {
            (DENIAL_NSEC, Some(entries)) => Denial::Nsec(Chain { entries, overlay, apex_labels: self.apex_labels() }),
            (DENIAL_NSEC3, Some(entries)) => {
                Denial::Nsec3(HashedChain { entries, overlay, iterations: denial.iterations })
            }
            _ => Denial::None,
        }
    }
}

impl<'v> Part<'v> {
    /// Its denial index.
    fn entries(&self) -> Option<Entries<'v>> {
        Entries::of(self.segment, &self.zone.denial)
    }
}
