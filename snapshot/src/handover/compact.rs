//! Rewriting all packs when much of them no longer counts, while publishing goes on.
//!
//! [`Writer::plan_compaction`] says when it is worth it and opens the packs; [`Compaction::run`], on any thread, copies what
//! counted then into fresh packs; [`Writer::adopt`] puts these in place of the old ones, below what was published meanwhile.
//! Invariants: a fresh pack is durable before a manifest names it; what is not adopted leaves no file behind; whatever was
//! published or deleted meanwhile stays so, because it lies in packs behind the fresh ones.

use std::collections::HashSet;
use std::fs::File;

use super::fold::PACKS_MAX;
use super::frames::Parcel;
use super::index::{self, PackNumber};
use super::merged::Merged;
use super::ready::{Ready, Shelf};
use super::writer::{Draft, Keep, Published, Writer};
use super::{Directory, HandoverError, layout};
use crate::image::{Pack, PackRef};

/// Packs are rewritten when what no longer counts takes more than one part in so many of their bytes.
const WASTE_PART: u64 = 8;
/// Less waste than this is left alone: folding clears it away.
const WASTE_LEN_MIN: u64 = 1 << 20;
/// Packs are rewritten when there are more than this; past [`PACKS_MAX`] publishing has to do it.
const PACKS_WANTED_MAX: usize = PACKS_MAX * 3 / 4;

/// Packs that are to be rewritten: take it to a thread of its own.
#[must_use]
pub struct Compaction {
    /// The directory.
    directory: Directory,
    /// The packs, the oldest first, held open: what is removed meanwhile can still be read.
    packs: Vec<(PackNumber, PackRef, File)>,
    /// The era of the writer.
    era: u64,
    /// Where fresh packs go.
    shelf: Shelf,
}

/// Packs that were rewritten.
#[must_use]
pub struct Compacted {
    /// The old packs.
    old: Vec<PackNumber>,
    /// The fresh packs.
    fresh: Vec<Ready>,
    /// The era of the writer at the beginning.
    era: u64,
}

impl Compacted {
    /// Where data planes find the fresh packs until they are adopted.
    #[must_use]
    pub fn parcels(&self) -> Vec<Parcel> {
        self.fresh.iter().map(Ready::parcel).collect()
    }
}

impl Writer {
    /// The compaction that is due, if one is: more than an eighth of all bytes no longer counts, or there are too many packs.
    /// Only after a publication is known what counts. One at a time is enough: of several, one can be adopted.
    ///
    /// # Errors
    /// [`HandoverError`] if a pack cannot be opened.
    pub fn plan_compaction(&self) -> Result<Option<Compaction>, HandoverError> {
        let Some(known) = &self.known else { return Ok(None) };
        let (len, waste_len) = known.index.lens();
        let is_wasteful = waste_len > WASTE_LEN_MIN && waste_len.saturating_mul(WASTE_PART) > len;
        if !is_wasteful && known.index.order().len() <= PACKS_WANTED_MAX {
            return Ok(None);
        }
        self.compaction().map(Some)
    }

    /// The compaction of what there is, due or not.
    pub(super) fn compaction(&self) -> Result<Compaction, HandoverError> {
        let index = self.known.as_ref().map(|known| &known.index);
        let numbers =
            index.into_iter().flat_map(|index| index.order().iter().map(|&number| (number, index.pack(number))));
        let open = |(number, pack): (PackNumber, Option<PackRef>)| {
            let pack = pack?;
            let file = self.directory.open_pack(&layout::pack_name(pack.digest), pack.bytes);
            Some(file.map(|file| (number, pack, file)))
        };
        let packs = numbers.filter_map(open).collect::<Result<_, _>>()?;
        Ok(Compaction { directory: self.directory.clone(), packs, era: self.era, shelf: self.shelf() })
    }

    /// Makes a generation of the same content with rewritten packs; `None` if what they were made from is not in service any
    /// more. O(zones), without reading or writing any.
    ///
    /// # Errors
    /// As [`Writer::publish`].
    pub fn adopt(&mut self, compacted: Compacted, created_unix_secs: u64) -> Result<Option<Published>, HandoverError> {
        if self.known.is_none() {
            return Ok(None);
        }
        let mut draft: Draft = self.draft(Keep::Others)?;
        // If CURRENT is not the one we know, this was noticed only now.
        if compacted.era != self.era {
            self.keep_known(draft);
            return Ok(None);
        }
        let Draft { index, added, .. } = &mut draft;
        let fresh = compacted.fresh.into_iter().map(|ready| ready.hand_over(added)).collect();
        index.rebase(&compacted.old, fresh);
        draft.index.drop_empty();
        let change = draft.change;
        let packs_folded = compacted.old.len();
        let published = self.commit(draft, change, created_unix_secs)?;
        self.era += 1;
        Ok(Some(Published { packs_folded, ..published }))
    }
}

impl Compaction {
    /// Writes the fresh packs. O(bytes); memory: one old pack and one fresh one.
    ///
    /// # Errors
    /// [`HandoverError`]; nothing is left behind then.
    pub fn run(self) -> Result<Compacted, HandoverError> {
        let old = self.packs.iter().map(|(number, _, _)| *number).collect();
        let mut compacted = Compacted { old, fresh: Vec::new(), era: self.era };
        // By the keys of the index.
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let mut merged = Merged::default();
        for (_, pack, file) in self.packs.iter().rev() {
            let path = || self.directory.disk.path_of(&layout::pack_name(pack.digest));
            let loaded = Pack::load(file, pack.digest);
            let loaded = loaded.map_err(|source| HandoverError::Refused { path: path(), source })?;
            let mut zones: Vec<_> = loaded.zones().enumerate().collect();
            // Overlays first: what is older than the whole zone beside them does not count.
            zones.sort_by_key(|(_, zone)| zone.base.is_none());
            for (position, zone) in zones {
                if seen.insert(index::key(&zone).into_owned())
                    && let Some(segment) = loaded.segment(position)
                {
                    merged.add(segment)?;
                }
                if zone.base.is_none() {
                    seen.insert(index::overlay_key(zone.apex.as_wire()));
                }
            }
            let deleted = loaded.deleted().iter().map(|apex| apex.as_wire());
            seen.extend(deleted.flat_map(|apex| [apex.to_vec(), index::overlay_key(apex)]));
            drop(loaded);
            for pack in merged.take_full() {
                compacted.fresh.push(self.shelf.write(pack)?);
            }
        }
        for pack in merged.finish()? {
            compacted.fresh.push(self.shelf.write(pack)?);
        }
        // What is newest was written first, and an overlay must not lie before its base.
        compacted.fresh.reverse();
        Ok(compacted)
    }
}
