//! What a writer knows of the packs of the current generation: which of them has each zone, how many names that has, and how
//! much of each pack counts.
//!
//! In memory only: about 90 bytes a zone, learnt by reading the packs once and kept up with each publication in time of the
//! zones published. Invariant: an apex is under the last pack of the list that has or deletes it, and the overlay of a
//! zone, if it counts, under a key of its own.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::dns::name::Name;
use crate::image::{Digest, LoadError, Pack, PackRef, Places, ZoneFacts};

/// Bytes of a line of a segment.
const LINE_LEN: u64 = 64;
/// What an entry of a pack takes besides its segment, roughly.
const ENTRY_LEN: u64 = 64;

/// The packs of a generation and their zones.
#[derive(Default)]
pub(super) struct Index {
    /// By key (see [`key`]).
    entries: HashMap<Box<[u8]>, Entry>,
    /// The packs by number.
    packs: HashMap<PackNumber, Listed>,
    /// The numbers, the oldest pack first.
    order: Vec<PackNumber>,
    /// The next number; none is given twice.
    next: u64,
    /// The zones whose latest overlay lacks its base: none, unless something newer comes. Packs that still count for other
    /// zones may have overlays of zones that were deleted since.
    lone: HashSet<Name>,
}

/// A pack of the index. The same pack listed again, later, has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PackNumber(u64);

/// Which pack counts for an apex.
#[derive(Clone, Copy)]
struct Entry {
    /// The pack.
    pack: PackNumber,
    /// What it says.
    said: Said,
}

/// What a pack says of a zone, or of an overlay; nothing for a deletion.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    /// Lines of the segment; 0 for a deletion.
    lines: u32,
    /// Owner names of the zone as a whole.
    names: u32,
    /// The start of the segment's digest, to tell the base of an overlay from another segment.
    mark: [u8; 4],
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

/// What a pack says of each zone.
#[derive(Default)]
pub(super) struct Contents(Vec<(Box<[u8]>, Said)>);

impl Contents {
    /// What a pack has.
    pub(super) fn of(pack: &Pack) -> Contents {
        Contents(pack.zones().map(|zone| (key(&zone).into(), Said::of(&zone))).collect())
    }
}

/// The key of a segment: the apex in canonical wire format, and for an overlay an octet more, which no name has.
pub(super) fn key(zone: &ZoneFacts) -> Cow<'_, [u8]> {
    let apex = zone.apex.as_wire();
    if zone.base.is_some() { overlay_key(apex).into() } else { apex.into() }
}

/// The key of the overlay of a zone.
pub(super) fn overlay_key(apex: &[u8]) -> Vec<u8> {
    [apex, b"+"].concat()
}

/// The start of a digest.
fn mark(digest: Digest) -> [u8; 4] {
    let [a, b, c, d, ..] = digest.0;
    [a, b, c, d]
}

impl Index {
    /// Lists a pack behind the others. A zone as a whole takes the place of an overlay as well, a later overlay only that of
    /// the overlay before.
    pub(super) fn add(&mut self, pack: PackRef, content: &Pack) -> PackNumber {
        let number = self.list(pack);
        self.order.push(number);
        let mut overlays = Vec::new();
        for zone in content.zones() {
            if let Some(base) = zone.base.as_deref().copied() {
                overlays.push((zone, base));
                continue;
            }
            self.forget_overlay(zone.apex.as_wire());
            self.put(zone.apex.as_wire(), Entry { pack: number, said: Said::of(&zone) });
        }
        for apex in content.deleted() {
            self.forget_overlay(apex.as_wire());
            self.put(apex.as_wire(), Entry { pack: number, said: Said::default() });
        }
        for (zone, base) in overlays {
            self.forget_overlay(zone.apex.as_wire());
            let below = self.entries.get(zone.apex.as_wire()).filter(|entry| entry.is_zone());
            if below.is_some_and(|entry| entry.said.mark == mark(base)) {
                self.put(&key(&zone), Entry { pack: number, said: Said::of(&zone) });
            } else {
                self.lone.insert(zone.apex);
            }
        }
        number
    }

    /// Lists a pack of zones as a whole behind the others.
    pub(super) fn add_zones(&mut self, pack: PackRef, zones: Contents) {
        let number = self.list(pack);
        self.order.push(number);
        for (apex, said) in zones.0 {
            self.forget_overlay(&apex);
            self.put(&apex, Entry { pack: number, said });
        }
    }

    /// Whether every overlay that counts lies on the segment that it names.
    ///
    /// # Errors
    /// [`LoadError::Base`]: no reader would take such a generation.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        match self.lone.iter().next() {
            Some(apex) => Err(LoadError::Base { apex: apex.clone() }),
            None => Ok(()),
        }
    }

    /// Forgets the overlay of a zone, because something newer counts.
    fn forget_overlay(&mut self, apex: &[u8]) {
        self.forget(&overlay_key(apex));
        self.lone.retain(|lone| lone.as_wire() != apex);
    }

    /// Takes packs with all their entries off the list, and puts `fresh` ones before the others, which say what those
    /// said: so far as no other pack says something else.
    pub(super) fn rebase(&mut self, old: &[PackNumber], fresh: Vec<(PackRef, Contents)>) {
        let old: HashSet<PackNumber> = old.iter().copied().collect();
        let mut order = Vec::with_capacity(self.order.len());
        for (pack, contents) in fresh {
            let number = self.list(pack);
            order.push(number);
            for (apex, said) in contents.0 {
                let entry = Entry { pack: number, said };
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
        if self.entries.get(apex).is_some_and(|entry| !entry.is_zone()) {
            self.forget(apex);
        }
    }

    /// Forgets what is under a key.
    fn forget(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.discount(entry);
        }
    }

    /// Takes packs of which nothing counts off the list.
    pub(super) fn drop_empty(&mut self) {
        self.packs.retain(|_, listed| listed.count > 0);
        self.order.retain(|number| self.packs.contains_key(number));
    }

    /// Which pack counts for a key.
    pub(super) fn holder(&self, key: &[u8]) -> Option<PackNumber> {
        self.entries.get(key).map(|entry| entry.pack)
    }

    /// Whether there is a zone of this apex.
    pub(super) fn has_zone(&self, apex: &[u8]) -> bool {
        self.entries.get(apex).is_some_and(Entry::is_zone)
    }

    /// The zones, in no order, each with the number of its owner names.
    pub(super) fn zones(&self) -> impl Iterator<Item = (Name, u32)> + '_ {
        let places = Places::apex();
        self.entries.iter().filter(|(_, entry)| entry.is_zone()).filter_map(move |(key, entry)| {
            // The key of an overlay is no name, and the table of places no zone.
            let apex = Name::from_wire(key).ok().filter(|apex| *apex != places)?;
            let newest = self.entries.get(&*overlay_key(key)).unwrap_or(entry);
            Some((apex, newest.said.names))
        })
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

impl Said {
    /// Of a zone in a pack.
    fn of(zone: &ZoneFacts) -> Said {
        // A segment is no longer than a pack.
        let lines = u32::try_from(zone.bytes / LINE_LEN).unwrap_or(u32::MAX);
        Said { lines, names: zone.names, mark: mark(zone.digest) }
    }
}

impl Entry {
    /// Whether it is content, and no deletion.
    fn is_zone(&self) -> bool {
        self.said.lines > 0
    }

    /// What it takes in a pack, in bytes.
    fn len(self) -> u64 {
        u64::from(self.said.lines) * LINE_LEN + ENTRY_LEN
    }

    /// The same if it is a deletion, else nothing.
    fn deletion_len(self) -> u64 {
        if self.is_zone() { 0 } else { self.len() }
    }
}
