//! All zones of one generation, findable by name.
//!
//! The directory maps an apex to its segment: a table of (tag, zone) pairs over a list of zone references, so that
//! finding a zone among 100,000 touches two cache lines. A view never changes; the next one is made from it (see
//! `succession`) and shares all of the directory that stayed the same.

use std::sync::Arc;

use super::chunked::Chunked;
use super::file::LoadError;
use super::hash::name_hash;
use super::layout::PLACES_APEX;
use super::lookup::{Part, Zone};
use super::manifest::Generation;
use super::pack::{Pack, ZoneFacts};
use super::pairing::Overlaid;
use super::prefetch::prefetch;
use super::zoneref::ZoneRef;
use crate::dns::lookup_name::LookupName;
use crate::dns::name::NameRef;

/// A directory of fewer slots, less one, lies in the first cache levels anyway.
const HINT_MASK_MIN: usize = 1023;

/// A slot of the directory.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// High half of the apex's hash; inverted if the zone is deleted, so that no query ever stops at it.
    pub(super) tag: u32,
    /// Position of the zone plus one; 0 marks an empty slot.
    pub(super) zone: u32,
}

/// A pack of a view.
#[derive(Clone)]
pub(super) struct Held {
    /// The pack.
    pub(super) pack: Arc<Pack>,
    /// How many zones and deletions of the directory refer to it.
    pub(super) count: u32,
}

/// All zones of one generation.
#[derive(Clone)]
pub struct View {
    /// Its number; `None` before the first.
    pub(super) generation: Option<Generation>,
    /// The epoch of the writer that published it.
    pub(super) epoch: u64,
    /// The packs that hold its zones, the oldest first.
    pub(super) packs: Vec<Arc<Pack>>,
    /// The numbers of these packs.
    pub(super) numbers: Vec<u32>,
    /// The packs by number. A number is given again when its pack has gone.
    pub(super) held: Vec<Option<Held>>,
    /// The zones that no later pack shadows or deletes, and the deletions that no later pack undoes.
    pub(super) zones: Chunked<ZoneRef, 32>,
    /// How many there are of both.
    pub(super) entry_count: usize,
    /// How many are zones.
    pub(super) zone_count: usize,
    /// The directory: at most half full.
    pub(super) slots: Chunked<Slot, 256>,
    /// Slots of the directory, a power of two, less one.
    pub(super) slot_mask: usize,
    /// Seed of the directory's hash.
    pub(super) seed: u64,
    /// The label counts of its apexes, each once, deepest first: a handful, so a list beats a bit set of 128 bits.
    pub(super) depths: Vec<u8>,
    /// How many apexes have so many labels.
    pub(super) depth_counts: Vec<u32>,
    /// The overlays that lie on zones of the directory, by apex.
    pub(super) overlays: Arc<Vec<Overlaid>>,
}

/// Where a zone is in a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ZoneId(u32);

impl ZoneId {
    /// The same as a number, for those who count by zone. It means the same zone as long as the view is the same.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl View {
    /// The view before the first generation: it has no zones.
    #[must_use]
    pub fn empty() -> View {
        View::with_slots(2, 0)
    }

    /// A view without zones whose directory has so many slots, a power of two.
    pub(super) fn with_slots(slot_count: usize, seed: u64) -> View {
        View {
            generation: None,
            epoch: 0,
            packs: Vec::new(),
            numbers: Vec::new(),
            held: Vec::new(),
            zones: Chunked::new(ZoneRef::default(), 0),
            entry_count: 0,
            zone_count: 0,
            slots: Chunked::new(Slot { tag: 0, zone: 0 }, slot_count),
            slot_mask: slot_count - 1,
            seed,
            depths: Vec::new(),
            depth_counts: vec![0; 256],
            overlays: Arc::new(Vec::new()),
        }
    }

    /// The same view, published by a writer of this epoch.
    #[must_use]
    pub fn of_epoch(mut self, epoch: u64) -> View {
        self.epoch = epoch;
        self
    }

    /// Its number; `None` for [`View::empty`].
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// The epoch of the writer that published it; 0 if that was not said.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The packs it holds, the oldest first.
    #[must_use]
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// How many zones it serves.
    #[must_use]
    pub fn zone_count(&self) -> usize {
        self.zone_count
    }

    /// Bytes of its packs.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.packs.iter().map(|pack| pack.byte_len()).sum()
    }

    /// The facts of all zones it serves, in canonical order of their apex. O(n log n).
    #[must_use]
    pub fn zones(&self) -> Vec<ZoneFacts> {
        let entries = (0..self.entry_count).filter_map(|entry| self.zones.get(entry));
        let mut facts: Vec<_> = entries.filter(|zone| zone.is_zone()).filter_map(|zone| self.facts(zone)).collect();
        facts.sort_by_cached_key(|facts| {
            let mut key = Vec::new();
            facts.apex.as_ref().push_sort_key(&mut key);
            key
        });
        facts
    }

    /// The bytes of the table of places.
    pub(super) fn places_segment(&self) -> Option<&[u8]> {
        let (_, entry) = self.seek(name_hash(PLACES_APEX, self.seed), PLACES_APEX).ok()?;
        let zone = self.zones.get(entry).filter(|zone| zone.is_live())?;
        Some(self.pack(zone.pack)?.bytes(zone.off, zone.len))
    }

    /// The facts of a zone, those of its overlay if it has one.
    pub(super) fn facts(&self, zone: &ZoneRef) -> Option<ZoneFacts> {
        let zone = self.overlaid(zone).map_or(zone, |overlaid| &overlaid.zone);
        self.pack(zone.pack)?.facts(zone.idx as usize)
    }

    /// The facts of the base of a zone of [`View::zones`] that has an overlay.
    #[must_use]
    pub fn base(&self, overlay: &ZoneFacts) -> Option<ZoneFacts> {
        let base = *overlay.base.as_deref()?;
        let place = self.overlays.iter().find(|overlaid| overlaid.apex == overlay.apex)?.base;
        self.pack(place.pack)?.facts(place.idx as usize).filter(|facts| facts.digest == base)
    }

    /// The overlay of a zone, with what is known of it.
    fn overlaid(&self, zone: &ZoneRef) -> Option<&Overlaid> {
        self.overlays.get(usize::from(zone.overlay.checked_sub(1)?))
    }

    /// The overlay of a zone. Apart from the common path: few zones have one.
    #[inline(never)]
    pub(super) fn overlay_of(&self, zone: &ZoneRef) -> Option<Part<'_>> {
        let zone = &self.overlaid(zone)?.zone;
        Some(Part { segment: self.pack(zone.pack)?.bytes(zone.off, zone.len), zone })
    }

    /// The zone whose apex is exactly `apex`.
    #[must_use]
    pub fn zone(&self, apex: NameRef<'_>) -> Option<Zone<'_>> {
        let mut name = LookupName::default();
        name.assign(apex.as_wire())?;
        let zone = self.get(self.find_zone(&name, name.label_count())?)?;
        (zone.apex_labels() == name.label_count()).then_some(zone)
    }

    /// Fetches the directory slots that [`View::find_zone`] will read.
    #[inline]
    pub fn hint_zone(&self, name: &LookupName) {
        if self.slot_mask >= HINT_MASK_MIN {
            for depth in self.depths(name.label_count()) {
                prefetch(self.slots.get(self.slot_of(name_hash(name.suffix(depth), self.seed))));
            }
        }
    }

    /// Fetches the zone reference that [`View::find_zone`] will read.
    #[inline]
    pub fn hint_zone_ref(&self, name: &LookupName) {
        if self.slot_mask >= HINT_MASK_MIN {
            for depth in self.depths(name.label_count()) {
                let hash = name_hash(name.suffix(depth), self.seed);
                prefetch(self.candidates(hash).next().and_then(|zone| self.zones.get(zone)));
            }
        }
    }

    /// Finds the zone with the deepest apex at or above the last `labels_max` labels of `name`.
    ///
    /// Apexes are told apart by 64 bits of hash. Should a foreign name ever share them, its lookup does not find the
    /// apex node and ends empty: names are compared whole there.
    #[inline]
    #[must_use]
    pub fn find_zone(&self, name: &LookupName, labels_max: usize) -> Option<ZoneId> {
        self.depths(labels_max.min(name.label_count())).find_map(|depth| {
            let hash = name_hash(name.suffix(depth), self.seed);
            let zone =
                self.candidates(hash).find(|&zone| self.zones.get(zone).is_some_and(|zone| zone.hash == hash))?;
            u32::try_from(zone).ok().map(ZoneId)
        })
    }

    /// The zones whose slots carry the tag of `hash`, along its probe run.
    #[inline]
    fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let mut at = self.slot_of(hash);
        std::iter::from_fn(move || {
            loop {
                let slot = self.slots.get(at)?;
                at = (at + 1) & self.slot_mask;
                if slot.zone == 0 {
                    return None;
                }
                if slot.tag == tag(hash) {
                    return Some(slot.zone as usize - 1);
                }
            }
        })
    }

    /// The zone of an id from [`View::find_zone`] of the same view.
    #[inline]
    #[must_use]
    pub fn get(&self, id: ZoneId) -> Option<Zone<'_>> {
        let zone = self.zones.get(id.0 as usize)?;
        let segment = self.pack(zone.pack)?.bytes(zone.off, zone.len);
        Some(Zone { segment, zone, view: self })
    }

    /// The pack of a number.
    #[inline]
    pub(super) fn pack(&self, number: u32) -> Option<&Pack> {
        Some(&self.held.get(number as usize)?.as_ref()?.pack)
    }

    /// The label counts of apexes, deepest first, at most `labels_max`.
    #[inline]
    fn depths(&self, labels_max: usize) -> impl Iterator<Item = usize> + '_ {
        self.depths.iter().map(|&depth| usize::from(depth)).filter(move |&depth| depth <= labels_max)
    }

    /// The slot where the search for a hash starts.
    #[inline]
    pub(super) fn slot_of(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(0) & self.slot_mask
    }

    /// Makes the zones of some packs findable, the oldest pack first; where a zone is in several, the last pack's counts.
    ///
    /// From the view before, if that is given and little has changed: O(zones of packs that came or went), and two
    /// microseconds for a small one. Else from nothing: O(zones).
    ///
    /// # Errors
    /// [`LoadError::TooLarge`] for more than 2^31 zones.
    pub fn follow(previous: Option<&View>, generation: Generation, packs: Vec<Arc<Pack>>) -> Result<View, LoadError> {
        let count = |pack: &Pack| pack.entries().len() + pack.deleted().len();
        if let Some(previous) = previous {
            let fresh = packs.iter().filter(|pack| !previous.packs.iter().any(|old| Arc::ptr_eq(old, pack)));
            let fresh_count: usize = fresh.map(|pack| count(pack)).sum();
            // Copying most chunks one by one costs more than filling new ones.
            if fresh_count * 4 <= previous.entry_count
                && let Some(view) = previous.successor(generation, &packs)?
            {
                return Ok(view);
            }
        }
        View::assemble(generation, packs)
    }
}

/// The high half of a hash.
#[inline]
pub(super) fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}
