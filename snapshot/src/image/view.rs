//! All zones of one generation, findable by name.
//!
//! The directory maps an apex to its segment: a table of (tag, zone) pairs over a flat array of zone references, so
//! that finding a zone among 100,000 touches two cache lines. It is built when a generation is loaded and never changes.

use std::sync::Arc;

use super::bytes::{u32_at, u64_at};
use super::denial::DenialRef;
use super::digest::Digest;
use super::file::LoadError;
use super::hash::name_hash;
use super::layout::{SEGMENT_SIGNED, header};
use super::lookup::Zone;
use super::manifest::Generation;
use super::pack::{Pack, ZoneFacts};
use super::prefetch::prefetch;
use crate::dns::lookup_name::LookupName;
use crate::dns::name::NameRef;

/// A directory below this many slots lies in the first cache levels anyway.
const HINT_SLOTS_MIN: usize = 1024;

/// What the directory knows of a zone: what a lookup needs before it reads the segment. One cache line.
#[repr(align(64))]
pub(super) struct ZoneRef {
    /// Hash of the apex under the directory's seed.
    hash: u64,
    /// Seed of the segment's name hash.
    pub(super) seed: u64,
    /// First byte of the segment in its pack.
    off: usize,
    /// Bytes of the segment.
    len: usize,
    /// Position of its pack.
    pack: u32,
    /// First bucket, in lines.
    pub(super) bucket_line: u32,
    /// How many buckets.
    pub(super) bucket_count: u32,
    /// First node, in words: the apex.
    pub(super) nodes: u32,
    /// SOA, in words; the nodes end there.
    pub(super) soa: u32,
    /// TTL of the SOA in negative answers, in seconds.
    pub(super) negative_ttl_secs: u32,
    /// Longest run of buckets.
    pub(super) run_max: u8,
    /// Labels of the deepest node.
    pub(super) depth_max: u8,
    /// Labels of the apex.
    pub(super) apex_labels: u8,
    /// Octets of the apex.
    pub(super) apex_len: u8,
    /// Whether the zone carries signatures.
    pub(super) signed: bool,
    /// Where its denial index is.
    pub(super) denial: DenialRef,
}

/// A slot of the directory.
#[derive(Clone, Copy)]
struct Slot {
    /// High half of the apex's hash.
    tag: u32,
    /// Position of the zone plus one; 0 marks an empty slot.
    zone: u32,
}

/// All zones of one generation.
pub struct View {
    /// Its number; `None` before the first.
    generation: Option<Generation>,
    /// The packs that hold its zones.
    packs: Vec<Arc<Pack>>,
    /// The zones that no later pack shadows.
    zones: Vec<ZoneRef>,
    /// Their facts' places: pack, position in the pack.
    places: Vec<(u32, u32)>,
    /// The directory: a power of two, at most half full.
    slots: Vec<Slot>,
    /// Seed of the directory's hash.
    seed: u64,
    /// The label counts of its apexes, each once, deepest first: a handful, so a list beats a bit set of 128 bits.
    depths: Vec<u8>,
}

/// Where a zone is in a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ZoneId(u32);

impl View {
    /// The view before the first generation: it has no zones.
    #[must_use]
    pub fn empty() -> View {
        View {
            generation: None,
            packs: Vec::new(),
            zones: Vec::new(),
            places: Vec::new(),
            slots: vec![Slot { tag: 0, zone: 0 }; 2],
            seed: 0,
            depths: Vec::new(),
        }
    }

    /// Makes the zones of some packs findable; where a zone is in several, the last pack's counts. O(zones).
    ///
    /// # Errors
    /// [`LoadError::TooLarge`] for more than 2^31 zones.
    pub fn assemble(generation: Generation, packs: Vec<Arc<Pack>>) -> Result<View, LoadError> {
        let zone_count: usize = packs.iter().map(|pack| pack.entries().len()).sum();
        if zone_count > 1 << 31 {
            return Err(LoadError::TooLarge("more than 2^31 zones"));
        }
        let names: Vec<u8> = packs.iter().flat_map(|pack| pack.digest().0).collect();
        let mut view = View {
            generation: Some(generation),
            zones: Vec::with_capacity(zone_count),
            places: Vec::with_capacity(zone_count),
            slots: vec![Slot { tag: 0, zone: 0 }; (zone_count * 2).next_power_of_two().max(2)],
            // Whoever wants apexes that collide would have to know the digest of everybody's zones first.
            seed: Digest::of(&names).seed(),
            depths: Vec::new(),
            packs,
        };
        let packs = view.packs.clone();
        for (pack_idx, pack) in packs.iter().enumerate().rev() {
            for idx in 0..pack.entries().len() {
                view.insert(pack_idx, pack, idx)?;
            }
        }
        Ok(view)
    }

    /// Adds a zone unless a later pack has brought it already.
    fn insert(&mut self, pack_idx: usize, pack: &Pack, idx: usize) -> Result<(), LoadError> {
        let entry = &pack.entries()[idx];
        let apex = entry.facts.apex.as_wire();
        let hash = name_hash(apex, self.seed);
        let mut at = self.slot_of(hash);
        while self.slots[at].zone != 0 {
            let zone = self.slots[at].zone as usize - 1;
            if self.zones[zone].hash == hash && self.apex(zone) == apex {
                return Ok(());
            }
            at = (at + 1) % self.slots.len();
        }
        let segment = pack.bytes(entry.off, entry.len);
        let cut = LoadError::Segment { segment: idx, rule: "header is cut" };
        let pack = u32::try_from(pack_idx).map_err(|_| LoadError::TooLarge("packs"))?;
        let Some(zone) = ZoneRef::read(segment, hash, pack, entry.off) else { return Err(cut) };
        if let Err(place) = self.depths.binary_search_by(|depth| zone.apex_labels.cmp(depth)) {
            self.depths.insert(place, zone.apex_labels);
        }
        self.zones.push(zone);
        self.places.push((pack, u32::try_from(idx).map_err(|_| LoadError::TooLarge("zones"))?));
        let zone = u32::try_from(self.zones.len()).map_err(|_| LoadError::TooLarge("zones"))?;
        self.slots[at] = Slot { tag: tag(hash), zone };
        Ok(())
    }

    /// Its number; `None` for [`View::empty`].
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// The packs it holds.
    #[must_use]
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// How many zones it serves.
    #[must_use]
    pub fn zone_count(&self) -> usize {
        self.zones.len()
    }

    /// Bytes of its packs.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.packs.iter().map(|pack| pack.byte_len()).sum()
    }

    /// The facts of all zones it serves, in canonical order of their apex. O(n log n).
    #[must_use]
    pub fn zones(&self) -> Vec<&ZoneFacts> {
        let mut facts: Vec<_> =
            self.places.iter().map(|&(pack, idx)| &self.packs[pack as usize].entries()[idx as usize].facts).collect();
        facts.sort_by_cached_key(|facts| {
            let mut key = Vec::new();
            facts.apex.as_ref().push_sort_key(&mut key);
            key
        });
        facts
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
        if self.slots.len() >= HINT_SLOTS_MIN {
            for depth in self.depths(name.label_count()) {
                prefetch(self.slots.get(self.slot_of(name_hash(name.suffix(depth), self.seed))));
            }
        }
    }

    /// Fetches the zone reference that [`View::find_zone`] will read.
    #[inline]
    pub fn hint_zone_ref(&self, name: &LookupName) {
        if self.slots.len() >= HINT_SLOTS_MIN {
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
        let mask = self.slots.len() - 1;
        let mut at = self.slot_of(hash);
        std::iter::from_fn(move || {
            loop {
                let slot = self.slots.get(at)?;
                at = (at + 1) & mask;
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
        let segment = self.packs.get(zone.pack as usize)?.bytes(zone.off, zone.len);
        Some(Zone { segment, zone })
    }

    /// The label counts of apexes, deepest first, at most `labels_max`.
    #[inline]
    fn depths(&self, labels_max: usize) -> impl Iterator<Item = usize> + '_ {
        self.depths.iter().map(|&depth| usize::from(depth)).filter(move |&depth| depth <= labels_max)
    }

    /// The slot where the search for a hash starts.
    #[inline]
    fn slot_of(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(0) & (self.slots.len() - 1)
    }

    /// The apex of a zone.
    fn apex(&self, zone: usize) -> &[u8] {
        let Some(zone) = self.get(ZoneId(u32::try_from(zone).unwrap_or(u32::MAX))) else { return &[] };
        zone.segment.get(header::APEX..header::APEX + zone.apex_len()).unwrap_or_default()
    }
}

/// The high half of a hash.
#[inline]
fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

impl ZoneRef {
    /// Reads the head of a verified segment.
    fn read(segment: &[u8], hash: u64, pack: u32, off: usize) -> Option<ZoneRef> {
        let octet = |at: usize| segment.get(at).copied();
        Some(ZoneRef {
            hash,
            seed: u64_at(segment, header::SEED)?,
            off,
            len: segment.len(),
            pack,
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
            denial: DenialRef::read(segment)?,
        })
    }
}
