//! How a view is made: from packs, or from the view before and the packs that came and went.
//!
//! Both ways give the same content: a zone is as the last pack says that has or deletes it. A deletion stays in the
//! directory as an entry of its own as long as its pack does, because the pack may go while an older one still has the
//! zone. Invariant: whatever any pack of a view has or deletes is an entry, and the entry refers to the last such pack.

use std::sync::Arc;

use super::chunked::Chunked;
use super::digest::Digest;
use super::file::LoadError;
use super::hash::name_hash;
use super::manifest::Generation;
use super::pack::Pack;
use super::view::{Held, Slot, View, tag};
use super::zoneref::{Place, ZoneRef};

/// Entries of a view; positions are stored as 32 bits, plus one.
const ENTRIES_MAX: usize = 1 << 31;

/// What a pack says of a zone.
#[derive(Clone, Copy)]
struct Saying<'p> {
    /// The apex, canonical.
    apex: &'p [u8],
    /// Its hash under the view's seed.
    hash: u64,
    /// Which pack, and where.
    place: Place,
    /// First byte and length of the segment; `None` for a deletion.
    segment: Option<(usize, usize)>,
}

/// What becomes of the packs of a view, by their numbers there.
struct Moves {
    /// The position in the view before, by number; `usize::MAX` for a new pack.
    old_position: Vec<usize>,
    /// The position in the new view, by number; `None` for a pack that goes.
    position: Vec<Option<usize>>,
    /// By new position: the least old position of a pack that stays behind it; `usize::MAX` if there is none.
    least_behind: Vec<usize>,
    /// The numbers of the packs that come, the newest first.
    fresh: Vec<u32>,
    /// The numbers of the packs that go.
    gone: Vec<u32>,
}

impl View {
    /// Makes the zones of some packs findable; where a zone is in several, the last pack's counts. O(zones).
    ///
    /// # Errors
    /// [`LoadError::TooLarge`] for more than 2^31 zones.
    pub fn assemble(generation: Generation, packs: Vec<Arc<Pack>>) -> Result<View, LoadError> {
        let entries_max: usize = packs.iter().map(|pack| pack.entries().len() + pack.deleted().len()).sum();
        if entries_max > ENTRIES_MAX {
            return Err(LoadError::TooLarge("more than 2^31 zones"));
        }
        let names: Vec<u8> = packs.iter().flat_map(|pack| pack.digest().0).collect();
        // Whoever wants apexes that collide would have to know the digest of everybody's zones first.
        let seed = Digest::of(&names).seed();
        let mut view = View::with_slots((entries_max * 2).next_power_of_two().max(2), seed);
        view.generation = Some(generation);
        view.numbers = packs.iter().map(|pack| view.hold(pack)).collect::<Result<_, _>>()?;
        for (pack, number) in packs.iter().zip(view.numbers.clone()).rev() {
            view.for_each_saying(pack, number, |view, saying| {
                view.seek(saying.hash, saying.apex).err().map_or(Ok(()), |slot| view.push(slot, saying))
            })?;
        }
        view.packs = packs;
        view.pair()?;
        Ok(view)
    }

    /// The view of these packs, made from this one, or `None` if that cannot be told from the packs that came and went.
    /// This one stays as it is.
    ///
    /// # Errors
    /// As [`View::assemble`].
    pub fn successor(&self, generation: Generation, packs: &[Arc<Pack>]) -> Result<Option<View>, LoadError> {
        let mut view = self.clone();
        let moves = view.plan(packs)?;
        for &number in &moves.fresh {
            let Some(position) = moves.position[number as usize] else { continue };
            let (mut is_told, pack) = (true, Arc::clone(&packs[position]));
            view.for_each_saying(&pack, number, |view, saying| {
                match view.seek(saying.hash, saying.apex) {
                    Err(slot) => return view.push(slot, saying),
                    Ok((slot, entry)) => match view.is_shadowed(entry, position, number, &moves) {
                        Some(true) => {}
                        Some(false) => view.replace(slot, entry, saying)?,
                        None => is_told = false,
                    },
                }
                Ok(())
            })?;
            if !is_told {
                return Ok(None);
            }
        }
        if !view.let_go(&moves)? {
            return Ok(None);
        }
        view.packs = packs.to_vec();
        view.generation = Some(generation);
        view.pair()?;
        Ok(Some(view))
    }

    /// Finds which packs stay, come and go, and holds those that come.
    fn plan(&mut self, packs: &[Arc<Pack>]) -> Result<Moves, LoadError> {
        let mut old_position = vec![usize::MAX; self.held.len()];
        for (position, &number) in self.numbers.iter().enumerate() {
            old_position[number as usize] = position;
        }
        let old_numbers = std::mem::take(&mut self.numbers);
        let mut stays = vec![false; old_position.len()];
        let mut fresh = Vec::new();
        let mut next = 0;
        for pack in packs {
            // A pack that comes again before one that stayed is taken as a new one.
            let old = (next..old_numbers.len()).find(|&old| Arc::ptr_eq(&self.packs[old], pack));
            let number = if let Some(old) = old {
                next = old + 1;
                stays[old_numbers[old] as usize] = true;
                old_numbers[old]
            } else {
                let number = self.hold(pack)?;
                fresh.push(number);
                number
            };
            self.numbers.push(number);
        }
        fresh.reverse();
        old_position.resize(self.held.len(), usize::MAX);
        let mut position = vec![None; self.held.len()];
        let mut least_behind = vec![usize::MAX; packs.len()];
        let mut least = usize::MAX;
        for (at, &number) in self.numbers.iter().enumerate().rev() {
            position[number as usize] = Some(at);
            least_behind[at] = least;
            least = least.min(old_position[number as usize]);
        }
        let gone = old_numbers.into_iter().filter(|&number| !stays[number as usize]).collect();
        Ok(Moves { old_position, position, least_behind, fresh, gone })
    }

    /// Whether what the directory has counts more than what a new pack at `position` says; `None` if that depends on
    /// what packs have that are shadowed now.
    fn is_shadowed(&self, entry: usize, position: usize, number: u32, moves: &Moves) -> Option<bool> {
        let holder = self.zones.get(entry)?.pack;
        if holder == number {
            return Some(true);
        }
        match moves.position[holder as usize] {
            Some(other) => Some(other > position),
            // Its pack goes. A pack that stays behind the new one, and was before that one, may have the zone as well.
            None if moves.old_position[holder as usize] > moves.least_behind[position] => None,
            None => Some(false),
        }
    }

    /// Takes leave of the packs that go: what they still hold is in no pack any more. `false` if that is not certain.
    fn let_go(&mut self, moves: &Moves) -> Result<bool, LoadError> {
        let old_positions = self.numbers.iter().map(|&number| moves.old_position[number as usize]);
        let oldest = old_positions.min().unwrap_or(usize::MAX);
        for &number in &moves.gone {
            let Some(held) = self.held[number as usize].clone() else { continue };
            if held.count > 0 {
                if oldest < moves.old_position[number as usize] {
                    return Ok(false);
                }
                self.for_each_saying(&held.pack, number, |view, saying| {
                    if let Ok((slot, entry)) = view.seek(saying.hash, saying.apex)
                        && view.zones.get(entry).is_some_and(|zone| zone.pack == number)
                    {
                        view.remove(slot, entry);
                    }
                    Ok(())
                })?;
            }
            self.held[number as usize] = None;
        }
        while self.held.last().is_some_and(Option::is_none) {
            self.held.pop();
        }
        Ok(true)
    }

    /// Gives a pack a number.
    fn hold(&mut self, pack: &Arc<Pack>) -> Result<u32, LoadError> {
        let held = Some(Held { pack: Arc::clone(pack), count: 0 });
        let number = self.held.iter().position(Option::is_none).unwrap_or(self.held.len());
        match self.held.get_mut(number) {
            Some(free) => *free = held,
            None => self.held.push(held),
        }
        u32::try_from(number).map_err(|_| LoadError::TooLarge("packs"))
    }

    /// Calls `each` with all that a pack says: its zones, then its deletions.
    fn for_each_saying(
        &mut self,
        pack: &Pack,
        number: u32,
        mut each: impl FnMut(&mut View, Saying<'_>) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        // Overlays are no zones; `pairing` has them.
        let zones = pack.entries().iter().enumerate().filter(|(_, zone)| !zone.is_overlay);
        let zones = zones.filter_map(|(idx, _)| Some((idx, (pack.apex(idx)?, Some(pack.place(idx)?)))));
        let deleted = pack.deleted().iter().map(|apex| (apex.as_wire(), None)).enumerate();
        for (idx, (apex, segment)) in zones.chain(deleted) {
            let idx = u32::try_from(idx).map_err(|_| LoadError::TooLarge("zones"))?;
            let hash = name_hash(apex, self.seed);
            each(self, Saying { apex, hash, place: Place { pack: number, idx }, segment })?;
        }
        Ok(())
    }

    /// Finds the slot and the entry of an apex.
    ///
    /// # Errors
    /// The empty slot where it would go.
    pub(super) fn seek(&self, hash: u64, apex: &[u8]) -> Result<(usize, usize), usize> {
        let mut at = self.slot_of(hash);
        loop {
            let Some(slot) = self.slots.get(at).filter(|slot| slot.zone != 0) else { return Err(at) };
            let entry = slot.zone as usize - 1;
            if (slot.tag == tag(hash) || slot.tag == !tag(hash))
                && let Some(zone) = self.zones.get(entry)
                && zone.hash == hash
                && self.apex(zone) == Some(apex)
            {
                return Ok((at, entry));
            }
            at = (at + 1) & self.slot_mask;
        }
    }

    /// The apex of an entry.
    fn apex(&self, zone: &ZoneRef) -> Option<&[u8]> {
        let (pack, idx) = (self.pack(zone.pack)?, zone.idx as usize);
        if zone.is_live() { pack.apex(idx) } else { Some(pack.deleted().get(idx)?.as_wire()) }
    }

    /// Reads what an entry needs to know.
    fn zone_ref(&self, saying: Saying<'_>) -> Result<ZoneRef, LoadError> {
        let Saying { hash, place, segment, .. } = saying;
        let Some((off, len)) = segment else { return Ok(ZoneRef::deleted(hash, place)) };
        let bytes = self.pack(place.pack).map(|pack| pack.bytes(off, len)).unwrap_or_default();
        let cut = LoadError::Segment { segment: place.idx as usize, rule: "header is cut" };
        ZoneRef::read(bytes, hash, off, place).filter(ZoneRef::is_live).ok_or(cut)
    }

    /// Adds an entry whose search ended at an empty slot.
    fn push(&mut self, slot: usize, saying: Saying<'_>) -> Result<(), LoadError> {
        let zone = self.zone_ref(saying)?;
        if self.entry_count >= ENTRIES_MAX {
            return Err(LoadError::TooLarge("more than 2^31 zones"));
        }
        let slot = if (self.entry_count + 1) * 2 > self.slot_mask + 1 {
            self.spread();
            self.seek(saying.hash, saying.apex).err().unwrap_or(slot)
        } else {
            slot
        };
        let entry = self.entry_count;
        self.entry_count += 1;
        self.zones.grow(self.entry_count);
        self.write(slot, entry, zone);
        Ok(())
    }

    /// Puts what a pack says in place of an entry.
    fn replace(&mut self, slot: usize, entry: usize, saying: Saying<'_>) -> Result<(), LoadError> {
        let zone = self.zone_ref(saying)?;
        self.discount(entry);
        self.write(slot, entry, zone);
        Ok(())
    }

    /// Writes an entry and its slot, and counts it.
    fn write(&mut self, slot: usize, entry: usize, zone: ZoneRef) {
        if let Some(held) = self.held[zone.pack as usize].as_mut() {
            held.count += 1;
        }
        if zone.is_zone() {
            self.zone_count += 1;
            let count = &mut self.depth_counts[usize::from(zone.apex_labels)];
            *count += 1;
            if *count == 1
                && let Err(place) = self.depths.binary_search_by(|depth| zone.apex_labels.cmp(depth))
            {
                self.depths.insert(place, zone.apex_labels);
            }
        }
        self.zones.set(entry, zone);
        self.slots.set(slot, slot_for(&zone, entry));
    }

    /// Takes an entry that is about to go out of the counts.
    fn discount(&mut self, entry: usize) {
        let Some(zone) = self.zones.get(entry).copied() else { return };
        if let Some(held) = self.held[zone.pack as usize].as_mut() {
            held.count -= 1;
        }
        if zone.is_zone() {
            self.zone_count -= 1;
            let count = &mut self.depth_counts[usize::from(zone.apex_labels)];
            *count -= 1;
            if *count == 0 {
                self.depths.retain(|depth| *depth != zone.apex_labels);
            }
        }
    }

    /// Removes an entry: the last one takes its position, and what was probed past its slot moves up.
    fn remove(&mut self, slot: usize, entry: usize) {
        self.discount(entry);
        self.close(slot);
        self.entry_count -= 1;
        let last = self.entry_count;
        if last != entry
            && let Some(zone) = self.zones.get(last).copied()
        {
            let mut at = self.slot_of(zone.hash);
            while self.slots.get(at).is_some_and(|slot| slot.zone != 0 && slot.zone as usize - 1 != last) {
                at = (at + 1) & self.slot_mask;
            }
            self.zones.set(entry, zone);
            self.slots.set(at, slot_for(&zone, entry));
        }
        self.zones.set(last, ZoneRef::default());
    }

    /// Empties a slot so that every search still ends where it should.
    fn close(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = (at + 1) & self.slot_mask;
            let Some(slot) = self.slots.get(at).copied().filter(|slot| slot.zone != 0) else { break };
            let home = self.zones.get(slot.zone as usize - 1).map_or(at, |zone| self.slot_of(zone.hash));
            // It may move to the hole unless its search begins behind the hole.
            let (from_home, from_hole) = (at.wrapping_sub(home), at.wrapping_sub(hole));
            if from_home & self.slot_mask >= from_hole & self.slot_mask {
                self.slots.set(hole, slot);
                hole = at;
            }
        }
        self.slots.set(hole, EMPTY);
    }

    /// Doubles the directory. O(zones), but only when their number has doubled.
    fn spread(&mut self) {
        let slot_count = (self.slot_mask + 1) * 2;
        self.slots = Chunked::new(EMPTY, slot_count);
        self.slot_mask = slot_count - 1;
        for entry in 0..self.entry_count {
            let Some(zone) = self.zones.get(entry).copied() else { continue };
            let mut at = self.slot_of(zone.hash);
            while self.slots.get(at).is_some_and(|slot| slot.zone != 0) {
                at = (at + 1) & self.slot_mask;
            }
            self.slots.set(at, slot_for(&zone, entry));
        }
    }
}

/// A slot without a zone.
const EMPTY: Slot = Slot { tag: 0, zone: 0 };

/// The slot of an entry.
fn slot_for(zone: &ZoneRef, entry: usize) -> Slot {
    // A search for zones passes over deletions and the table of places.
    let tag = if zone.is_zone() { tag(zone.hash) } else { !tag(zone.hash) };
    Slot { tag, zone: u32::try_from(entry + 1).unwrap_or(0) }
}

#[cfg(test)]
mod tests;
