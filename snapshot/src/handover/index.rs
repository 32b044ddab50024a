//! What a writer knows of the packs of the current generation: which of them has each zone, and how much of each counts.
//!
//! In memory only: about 80 bytes a zone, learnt by reading the packs once and kept up with each publication in time of the
//! zones published. Invariant: an apex is under the last pack of the list that has or deletes it.

use std::collections::{HashMap, HashSet};

use crate::image::{Digest, Pack, PackRef};

/// Bytes of a line of a segment.
const LINE_LEN: u64 = 64;
/// What an entry of a pack takes besides its segment, roughly.
const ENTRY_LEN: u64 = 64;

/// The packs of a generation and their zones.
#[derive(Default)]
pub(super) struct Index {
    /// By apex in canonical wire format.
    entries: HashMap<Box<[u8]>, Entry>,
    /// The packs by number.
    packs: HashMap<PackNumber, Listed>,
    /// The numbers, the oldest pack first.
    order: Vec<PackNumber>,
    /// The next number; none is given twice.
    next: u64,
}

/// A pack of the index. The same pack listed again, later, has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PackNumber(u64);

/// Which pack counts for an apex.
#[derive(Clone, Copy)]
struct Entry {
    /// The pack.
    pack: PackNumber,
    /// Lines of the segment; 0 for a deletion.
    lines: u32,
}

/// A pack.
struct Listed {
    /// As manifests name it.
    pack: PackRef,
    /// How many entries refer to it.
    count: u32,
    /// What these take, in bytes.
    live_len: u64,
    /// What those take that are deletions.
    deletions_len: u64,
    /// What all that the pack says takes.
    len: u64,
}

/// What the rewritten form of a pack says: apex and lines of each zone.
pub(super) type Contents = Vec<(Box<[u8]>, u32)>;

impl Index {
    /// Lists a pack behind the others.
    pub(super) fn add(&mut self, pack: PackRef, content: &Pack) -> PackNumber {
        let number = self.list(pack);
        self.order.push(number);
        for zone in content.zones() {
            self.put(zone.apex.as_wire(), Entry { pack: number, lines: lines(zone.bytes) });
        }
        for apex in content.deleted() {
            self.put(apex.as_wire(), Entry { pack: number, lines: 0 });
        }
        number
    }

    /// Takes packs with all their entries off the list, and puts `fresh` ones before the others, which say what those
    /// said: so far as no other pack says something else.
    pub(super) fn rebase(&mut self, old: &[PackNumber], fresh: Vec<(PackRef, Contents)>) {
        let old: HashSet<PackNumber> = old.iter().copied().collect();
        let mut order = Vec::with_capacity(self.order.len());
        for (pack, contents) in fresh {
            let number = self.list(pack);
            order.push(number);
            for (apex, lines) in contents {
                let entry = Entry { pack: number, lines };
                let is_shadowed = self.entries.get(&apex).is_none_or(|other| !old.contains(&other.pack));
                match self.packs.get_mut(&number).filter(|_| is_shadowed) {
                    Some(listed) => listed.len += entry.len(),
                    None => self.put(&apex, entry),
                }
            }
        }
        // What is left of the old packs are deletions, of zones that no pack has any more.
        self.entries.retain(|_, entry| !old.contains(&entry.pack));
        self.packs.retain(|number, _| !old.contains(number));
        order.extend(self.order.iter().filter(|number| !old.contains(number)));
        self.order = order;
    }

    /// Gives a pack a number.
    fn list(&mut self, pack: PackRef) -> PackNumber {
        let number = PackNumber(self.next);
        self.next += 1;
        self.packs.insert(number, Listed { pack, count: 0, live_len: 0, deletions_len: 0, len: 0 });
        number
    }

    /// Notes what a pack says of an apex, which counts from now on.
    fn put(&mut self, apex: &[u8], entry: Entry) {
        match self.entries.get_mut(apex) {
            // Should a pack say two things of a zone, readers take the first.
            Some(old) if old.pack == entry.pack => return,
            Some(old) => {
                let old = std::mem::replace(old, entry);
                self.discount(old);
            }
            None => {
                self.entries.insert(apex.into(), entry);
            }
        }
        if let Some(listed) = self.packs.get_mut(&entry.pack) {
            listed.count += 1;
            listed.len += entry.len();
            listed.live_len += entry.len();
            listed.deletions_len += entry.deletion_len();
        }
    }

    /// Notes that an entry counts no more.
    fn discount(&mut self, entry: Entry) {
        if let Some(listed) = self.packs.get_mut(&entry.pack) {
            listed.count -= 1;
            listed.live_len -= entry.len();
            listed.deletions_len -= entry.deletion_len();
        }
    }

    /// Forgets a deletion that nothing needs.
    pub(super) fn forget_deletion(&mut self, apex: &[u8]) {
        if let Some(entry) = self.entries.get(apex).copied().filter(|entry| entry.lines == 0) {
            self.entries.remove(apex);
            self.discount(entry);
        }
    }

    /// Takes packs of which nothing counts off the list.
    pub(super) fn drop_empty(&mut self) {
        self.packs.retain(|_, listed| listed.count > 0);
        self.order.retain(|number| self.packs.contains_key(number));
    }

    /// Which pack counts for an apex.
    pub(super) fn holder(&self, apex: &[u8]) -> Option<PackNumber> {
        self.entries.get(apex).map(|entry| entry.pack)
    }

    /// Whether there is a zone of this apex.
    pub(super) fn has_zone(&self, apex: &[u8]) -> bool {
        self.entries.get(apex).is_some_and(|entry| entry.lines > 0)
    }

    /// The packs, the oldest first.
    pub(super) fn order(&self) -> &[PackNumber] {
        &self.order
    }

    /// A pack as manifests name it.
    pub(super) fn pack(&self, number: PackNumber) -> Option<PackRef> {
        self.packs.get(&number).map(|listed| listed.pack)
    }

    /// All packs as manifests name them, the oldest first.
    pub(super) fn refs(&self) -> Vec<PackRef> {
        self.order.iter().filter_map(|&number| self.pack(number)).collect()
    }

    /// Whether a pack of this digest is listed.
    pub(super) fn lists(&self, digest: Digest) -> bool {
        self.packs.values().any(|listed| listed.pack.digest == digest)
    }

    /// Bytes of each pack that count, the oldest first.
    pub(super) fn live_lens(&self) -> Vec<u64> {
        let len = |number| self.packs.get(number).map_or(0, |listed: &Listed| listed.live_len);
        self.order.iter().map(len).collect()
    }

    /// Bytes of all packs, and how many of them would be gone if all were rewritten.
    pub(super) fn lens(&self) -> (u64, u64) {
        self.packs.values().fold((0, 0), |(len, waste), listed| {
            (len + listed.len, waste + listed.len - listed.live_len + listed.deletions_len)
        })
    }
}

impl Entry {
    /// What it takes in a pack, in bytes.
    fn len(self) -> u64 {
        u64::from(self.lines) * LINE_LEN + ENTRY_LEN
    }

    /// The same if it is a deletion, else nothing.
    fn deletion_len(self) -> u64 {
        if self.lines == 0 { self.len() } else { 0 }
    }
}

/// Bytes of a segment in lines; a segment is no longer than a pack.
pub(super) fn lines(bytes: u64) -> u32 {
    u32::try_from(bytes / LINE_LEN).unwrap_or(u32::MAX)
}
