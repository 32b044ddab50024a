//! Checks the denial index of a segment: its place, its order, and that every entry leads to a node with the record.
//!
//! A part of `verify`. That the records themselves form a closed chain is for those who check zones: a lookup in a broken
//! chain yields a wrong proof, never a wrong read.

use super::bytes::u32_at;
use std::cmp::Ordering;

use super::denial::{DenialRef, Entries, guide_bits, guide_len, guide_slot, hash_key};
use super::layout::{DENIAL_NONE, DENIAL_NSEC, DENIAL_NSEC3, KIND_OVERLAY, NODE_BELOW_CUT, NODE_OVERLAY};
use super::node::Node;
use super::order::Labels;
use crate::dns::name::NameRef;
use crate::dns::nsec3::{ITERATIONS_MAX, hash_of_owner};
use crate::dns::rtype::Rtype;

/// Which rule of the format is broken.
type Broken = &'static str;

/// What is known of the segment.
pub(super) struct Surroundings<'s> {
    /// Its bytes.
    pub(super) segment: &'s [u8],
    /// Its kind.
    pub(super) kind: u8,
    /// The apex.
    pub(super) apex: NameRef<'s>,
    /// The word behind the SOA.
    pub(super) start: usize,
    /// The byte where the buckets start.
    pub(super) buckets: usize,
    /// Whether the zone is signed.
    pub(super) signed: bool,
}

/// Checks the index. `find` yields where the node of a name is; `rrsets` checks a node's RRsets.
pub(super) fn verify_denial<'s>(
    around: &Surroundings<'s>,
    find: impl Fn(&[u8]) -> Option<u32>,
    rrsets: impl Fn(&Node<'s>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let denial = DenialRef::read(around.segment).ok_or("header is cut")?;
    match denial.kind {
        DENIAL_NONE if around.is_overlay() && around.signed => return Err("overlay proves nothing"),
        DENIAL_NONE if denial.word == 0 && denial.count == 0 && denial.iterations == 0 && denial.salt_len == 0 => {
            return Ok(());
        }
        DENIAL_NSEC if denial.iterations == 0 && denial.salt_len == 0 => {}
        DENIAL_NSEC3 if denial.iterations <= ITERATIONS_MAX => {}
        _ => return Err("denial index is malformed"),
    }
    if !around.signed || denial.count == 0 {
        return Err("denial index without a reason");
    }
    let entries = Entries::of(around.segment, &denial).ok_or("denial index is cut")?;
    if entries.end > around.buckets || (denial.word as usize) < around.start {
        return Err("denial index overlaps other parts");
    }
    if denial.kind == DENIAL_NSEC {
        nsec(around, &entries, find)
    } else {
        nsec3(around, &denial, &entries, |node| {
            // The name hides the record of the base.
            if around.is_overlay() && find(node.name()).is_none() {
                return Err("denial of an overlay is no name of it");
            }
            rrsets(node)
        })
    }
}

impl Surroundings<'_> {
    /// Whether it is an overlay.
    fn is_overlay(&self) -> bool {
        self.kind == KIND_OVERLAY
    }
}

/// Checks that every entry is a node of the zone that has NSEC and is not below a cut, in canonical order.
fn nsec(around: &Surroundings<'_>, entries: &Entries<'_>, find: impl Fn(&[u8]) -> Option<u32>) -> Result<(), Broken> {
    let mut previous: Option<(u64, Labels<'_>)> = None;
    for idx in 0..entries.count() {
        let (key, word) = entries.key(idx).zip(entries.word(idx)).ok_or("denial index is cut")?;
        let node = Node::read(around.segment, word).ok_or("denial leaves the nodes")?;
        if find(node.name()) != Some(word) || node.flags() & NODE_BELOW_CUT != 0 {
            return Err("denial leads to no name of the zone");
        }
        // No name is before the apex: a search in an overlay never has to go round to the last entry of two segments.
        if previous.is_none() && around.is_overlay() && node.name() != around.apex.as_wire() {
            return Err("denial of an overlay lacks the apex");
        }
        let name = Labels::of(node.name());
        if key != name.sort_prefix(around.apex.label_count()) {
            return Err("denial key is wrong");
        }
        let is_ascending = |(before_key, before): &(u64, Labels<'_>)| {
            *before_key < key || (*before_key == key && before.cmp(&name) == Ordering::Less)
        };
        if !previous.as_ref().is_none_or(is_ascending) {
            return Err("denial index is not in order");
        }
        if node.rrset(Rtype::NSEC).is_none() {
            return Err("denial without its record");
        }
        previous = Some((key, name));
    }
    Ok(())
}

/// Checks the nodes of an NSEC3 chain, which fill the space between SOA and index, and the guide.
fn nsec3<'s>(
    around: &Surroundings<'s>,
    denial: &DenialRef,
    entries: &Entries<'s>,
    rrsets: impl Fn(&Node<'s>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut next = around.start;
    let mut previous = None;
    let bits = guide_bits(denial.count);
    let mut slot = 0;
    let flags = if around.is_overlay() { NODE_OVERLAY } else { 0 };
    let guide = |slot: usize| u32_at(entries.guide, slot * 4).map(|first| first as usize);
    for idx in 0..entries.count() {
        let (key, word) = entries.key(idx).zip(entries.word(idx)).ok_or("denial index is cut")?;
        let node = Node::read(around.segment, word).ok_or("denial leaves the nodes")?;
        let name = NameRef::prefix_of(node.name()).map_err(|_| "owner is no name")?;
        let is_whole = name.as_wire().len() == node.name().len() && name.parent() == Some(around.apex);
        let hash = hash_of_owner(name).filter(|_| is_whole);
        let hash = hash.ok_or("denial's owner is no hash")?;
        if word as usize != next || previous >= Some(hash) || node.name().iter().any(u8::is_ascii_uppercase) {
            return Err("denial index is not in order");
        }
        if key != hash_key(&hash) || node.flags() != flags || node.link() != 0 {
            return Err("denial key is wrong");
        }
        if node.rrset(Rtype::NSEC3).is_none() {
            return Err("denial without its record");
        }
        rrsets(&node)?;
        while slot <= guide_slot(key, bits) {
            if guide(slot) != Some(idx) {
                return Err("denial guide is wrong");
            }
            slot += 1;
        }
        previous = Some(hash);
        next = node.end_word().ok_or("node is cut")?;
    }
    if (slot..guide_len(denial.count)).any(|slot| guide(slot) != Some(entries.count())) {
        return Err("denial guide is wrong");
    }
    if next == denial.word as usize { Ok(()) } else { Err("denial index is misplaced") }
}
