//! Publishing a generation: packs, manifest, `CURRENT`, in this order, each durable before the next is named.
//!
//! What the packs hold is not decided here. Publishing small packs takes time of the zones in them, whatever else there
//! is: the writer knows which pack counts for each zone. Invariants: a crash at any point leaves the old generation or the
//! new one current, both whole; after an error before the last rename the directory is as it was; every pack that a
//! manifest names passed the loader's checks; a writer whose epoch is over changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::added::Added;
use super::fold::{self, FOLDED_LEN_MAX};
use super::index::{self, Index, PackNumber};
use super::layout::{self, CurrentLine, FileKind, ManifestName};
use super::lock::Lock;
use super::merged::Merged;
use super::ready::Ready;
use super::{Current, Directory, HandoverError};
use crate::dns::name::Name;
use crate::image::{Digest, Generation, Manifest, Pack, PackFile, PackRef, SigningKey, View};

/// The epoch of a directory that never had another.
const EPOCH_FIRST: u64 = 1;

/// A change of the database and the value of the hash chain there.
pub(super) type Change = (u64, [u8; 32]);

/// The change of what is compiled from files.
const NO_CHANGE: Change = (0, [0; 32]);

/// The one process that may change the directory.
pub struct Writer {
    /// The directory.
    pub(super) directory: Directory,
    /// The fencing epoch it writes.
    epoch: u64,
    /// The greatest generation seen, published or not.
    newest: Generation,
    /// What is known of the current generation; nothing after an error.
    pub(super) known: Option<Known>,
    /// Counts how often what was known had nothing to do with what came next.
    pub(super) era: u64,
    /// The manifests seen so far, for the garbage collection.
    pub(super) manifests: HashMap<ManifestName, Digests>,
    /// The key that signs what is written.
    pub(super) key: Option<Arc<SigningKey>>,
    /// What makes us the writer; dropped last.
    _lock: Lock,
}

/// What the writer knows of the generation that `CURRENT` names.
pub(super) struct Known {
    /// The line in `CURRENT`.
    line: CurrentLine,
    /// The change it goes up to.
    change: Change,
    /// Its packs and zones.
    pub(super) index: Index,
}

/// The digests that a manifest consists of.
pub(super) struct Digests {
    /// Its own.
    pub(super) own: Digest,
    /// Those of its packs.
    pub(super) packs: Vec<Digest>,
}

/// What is to become a generation.
pub struct Publication {
    /// New packs that are on the disk already.
    pub ready: Vec<Ready>,
    /// More new packs; a zone in several is taken from the last.
    pub packs: Vec<PackFile>,
    /// The apexes of zones to delete, where they are not in a new pack. What is not there is no error.
    pub remove: Vec<Name>,
    /// What stays of the current generation.
    pub keep: Keep,
    /// The last change of the database that it has; 0 if it is compiled from files.
    pub change: u64,
    /// The value of the hash chain at that change; zero if it is compiled from files.
    pub chain: [u8; 32],
    /// The time to write into the manifest, in seconds since 1970.
    pub created_unix_secs: u64,
}

/// What stays of the current generation when another is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the new packs are the whole content.
    Nothing,
    /// Every zone that is not in a new pack or removed.
    Others,
}

/// A generation that was made current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The generation.
    pub current: Current,
    /// Bytes of packs and manifest that had to be written; packs that were there already do not count.
    pub bytes_written: u64,
    /// How many old packs were made part of fresh ones.
    pub packs_folded: usize,
}

/// The current generation, read whole.
pub struct Survey {
    /// All its zones.
    pub view: View,
    /// The change it goes up to; 0 if it was compiled from files.
    pub change: u64,
    /// The value of the hash chain there.
    pub chain: [u8; 32],
}

/// A generation that is being put together.
pub(super) struct Draft {
    /// The digest of the manifest before.
    pub(super) previous: Option<Digest>,
    /// The name of the manifest.
    pub(super) next: ManifestName,
    /// The change the generation before goes up to.
    pub(super) change: Change,
    /// Its packs and zones.
    pub(super) index: Index,
    /// The files written so far.
    pub(super) added: Added,
}

/// A pack that a draft gains.
struct Fresh {
    /// Its number in the index.
    number: PackNumber,
    /// Its content.
    pack: Pack,
    /// The file, if it still has to be written.
    bytes: Option<Vec<u8>>,
}

impl Publication {
    /// Packs to publish, compiled from files.
    #[must_use]
    pub fn of(packs: Vec<PackFile>, keep: Keep, created_unix_secs: u64) -> Publication {
        Publication { ready: Vec::new(), packs, remove: Vec::new(), keep, change: 0, chain: [0; 32], created_unix_secs }
    }
}

impl Writer {
    /// Becomes the writer with a lock that was taken: removes what dead writers left unfinished.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn start(directory: Directory, lock: Lock) -> Result<Writer, HandoverError> {
        let mut epoch = EPOCH_FIRST;
        for name in directory.disk.names()? {
            match FileKind::of(&name) {
                // We hold the lock, so whoever began these files is gone.
                FileKind::Temp => directory.disk.remove(&name)?,
                FileKind::Manifest(manifest) => epoch = epoch.max(manifest.epoch),
                FileKind::Pack(_) | FileKind::Foreign => {}
            }
        }
        if let Ok(Some(line)) = directory.current_line() {
            epoch = epoch.max(line.manifest.epoch);
        }
        let (newest, manifests) = (Generation(0), HashMap::new());
        Ok(Writer { directory, epoch, newest, known: None, era: 0, manifests, key: None, _lock: lock })
    }

    /// The same writer with a fencing epoch of its own, instead of that of the directory. Each control plane takes a
    /// greater one than those before it, so that one that comes back late changes nothing.
    ///
    /// # Errors
    /// [`HandoverError::Fenced`] if the directory has a greater one.
    pub fn with_epoch(mut self, epoch: u64) -> Result<Writer, HandoverError> {
        if epoch < self.epoch {
            return Err(HandoverError::Fenced { found: self.epoch, own: epoch });
        }
        self.epoch = epoch;
        Ok(self)
    }

    /// The same writer, which signs what it writes, and what it keeps that is signed otherwise.
    #[must_use]
    pub fn with_key(mut self, key: SigningKey) -> Writer {
        self.key = Some(Arc::new(key));
        self.known = None;
        self
    }

    /// The directory, to read what is there.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The fencing epoch it writes.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The zones of the current generation, in no order, each with the number of its owner names. All packs are read, unless
    /// that was done before; a publication that follows and keeps zones need not do so again.
    ///
    /// # Errors
    /// [`HandoverError`] if the current generation is damaged.
    pub fn zones(&mut self) -> Result<Vec<(Name, u32)>, HandoverError> {
        // Whoever only looks signs nothing.
        let (key, era) = (self.key.take(), self.era);
        let draft = self.draft(Keep::Others);
        self.key = key;
        let draft = draft?;
        let zones = draft.index.zones().collect();
        // What was known before has the signatures it should have.
        if self.key.is_none() || self.era == era {
            self.keep_known(draft);
        }
        Ok(zones)
    }

    /// Makes a new generation current. O(zones of the new packs), but for the first time, when all packs are read.
    ///
    /// A damaged current generation does not stop a publication that keeps nothing of it.
    ///
    /// # Errors
    /// [`HandoverError`] naming the file and the cause; the directory is then as it was. The one exception: if the very
    /// last sync of the directory fails, the generation is current but may not survive a power failure.
    pub fn publish(&mut self, publication: Publication) -> Result<Published, HandoverError> {
        let Publication { ready, mut packs, remove, keep, change, chain, created_unix_secs } = publication;
        let mut draft = self.draft(keep)?;
        let mut fresh = Vec::with_capacity(packs.len() + 1);
        let mut seen = HashSet::new();
        let remove = remove.iter().map(Name::to_canonical).filter(|apex| draft.index.has_zone(apex.as_wire()));
        let remove: Vec<Name> = remove.filter(|apex| seen.insert(apex.as_wire().to_vec())).collect();
        if !remove.is_empty() {
            fresh.push(
                self.accept(PackFile::encode_change(Vec::new(), &remove).map_err(HandoverError::Encode)?, &mut draft)?,
            );
        }
        for ready in ready {
            let (pack, zones) = ready.hand_over(&mut draft.added);
            draft.index.add_zones(pack, zones);
        }
        // The same bytes given twice are one pack, at its later place.
        let mut seen = HashSet::new();
        packs.reverse();
        packs.retain(|pack| seen.insert(pack.digest));
        for pack in packs.into_iter().rev() {
            fresh.push(self.accept(pack, &mut draft)?);
        }
        let packs_folded = self.fold(&mut fresh, &mut draft)?;
        for Fresh { pack, bytes, .. } in fresh {
            if let Some(bytes) = bytes {
                draft.added.stage(&bytes, layout::pack_name(pack.digest()))?;
            }
        }
        let published = self.commit(draft, (change, chain), created_unix_secs)?;
        Ok(Published { packs_folded, ..published })
    }

    /// Begins a generation: finds what it follows and what it is called. What was known goes into the draft, and comes
    /// back when that is committed.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub(super) fn draft(&mut self, keep: Keep) -> Result<Draft, HandoverError> {
        let line = self.directory.current_line();
        let known = self.known.take().filter(|known| line.as_ref().is_ok_and(|line| *line == Some(known.line)));
        let (previous, change, index) = match known {
            Some(Known { line, change, index }) => (Some(line.digest), change, index),
            None => self.learn(keep, |_| {})?,
        };
        let index = if keep == Keep::Nothing {
            self.era += 1;
            Index::default()
        } else {
            index
        };
        let generation = Generation(self.newest.0.checked_add(1).ok_or(HandoverError::Exhausted)?);
        let next = ManifestName { epoch: self.epoch, generation };
        Ok(Draft { previous, next, change, index, added: Added::new(&self.directory.disk) })
    }

    /// Gives up a draft to which nothing was added; what was known still is.
    pub(super) fn keep_known(&mut self, draft: Draft) {
        if let Ok(Some(line)) = self.directory.current_line()
            && Some(line.digest) == draft.previous
        {
            self.known = Some(Known { line, change: draft.change, index: draft.index });
        }
    }

    /// Reads the current generation, which the first publication would have to do; `None` before the first. O(its bytes).
    ///
    /// # Errors
    /// As [`Writer::publish`] with [`Keep::Others`].
    pub fn survey(&mut self) -> Result<Option<Survey>, HandoverError> {
        let Some(line) = self.directory.current_line()? else { return Ok(None) };
        let mut packs = Vec::new();
        let (digest, change, index) = self.learn(Keep::Others, |pack| packs.push(Arc::new(pack)))?;
        if digest != Some(line.digest) {
            return Ok(None);
        }
        let path = || self.directory.disk.path_of(&line.manifest.to_string());
        let view = View::follow(None, line.manifest.generation, packs)
            .map_err(|source| HandoverError::Refused { path: path(), source })?;
        self.known = Some(Known { line, change, index });
        let (change, chain) = change;
        Ok(Some(Survey { view, change, chain }))
    }

    /// Reads what the current generation is, and past every manifest on disk, also those that were never published, because
    /// a data plane may have seen them. Its packs are read, and handed to `each`, if zones of them are kept.
    fn learn(
        &mut self,
        keep: Keep,
        mut each: impl FnMut(Pack),
    ) -> Result<(Option<Digest>, Change, Index), HandoverError> {
        self.era += 1;
        let names = self.directory.manifest_names()?;
        let current = match (self.directory.current(), keep) {
            // Without CURRENT but with manifests something was lost; what to keep is not known then.
            (Ok(None), Keep::Others) if !names.is_empty() => return Err(self.directory.current_is_missing()),
            (Ok(current), _) => current.map(|current| (current.digest, current.manifest)),
            (Err(error), Keep::Others) => return Err(error),
            // CURRENT or its manifest is damaged: go on from the newest manifest that can be read.
            (Err(_), Keep::Nothing) => {
                let newest = names.iter().find_map(|name| self.directory.manifest(*name).ok());
                newest.map(|(manifest, digest)| (digest, manifest))
            }
        };
        let line = self.directory.current_line().ok().flatten().map(|line| line.manifest);
        let known = || names.iter().copied().chain(line);
        self.newest = known().map(|name| name.generation).max().unwrap_or(Generation(0));
        let found = known().map(|name| name.epoch).max().unwrap_or(0);
        if found > self.epoch {
            return Err(HandoverError::Fenced { found, own: self.epoch });
        }
        let Some((digest, manifest)) = current else { return Ok((None, NO_CHANGE, Index::default())) };
        let mut index = Index::default();
        if keep == Keep::Others {
            for pack in manifest.packs {
                let loaded = self.load_signed(&pack)?;
                index.add(pack, &loaded);
                each(loaded);
            }
            let name = ManifestName { epoch: manifest.epoch, generation: manifest.generation }.to_string();
            let path = || self.directory.disk.path_of(&name);
            index.check().map_err(|source| HandoverError::Refused { path: path(), source })?;
            index.drop_empty();
        }
        Ok((Some(digest), (manifest.change, manifest.chain), index))
    }

    /// Loads a pack that stays; if it does not have the signature it should have, it gets it.
    fn load_signed(&self, pack: &PackRef) -> Result<Pack, HandoverError> {
        let loaded = self.directory.load_pack(pack)?;
        if let Some(key) = self.key.as_ref().filter(|key| !loaded.is_signed_with(key.public())) {
            let mut bytes = loaded.file_bytes().to_vec();
            key.sign(&mut bytes);
            let disk = &self.directory.disk;
            let temp = disk.write_temp(&bytes)?;
            disk.flush(&temp)
                .and_then(|()| disk.rename(&temp.name, &layout::pack_name(pack.digest)))
                .inspect_err(|_| disk.discard(&temp.name))?;
        }
        Ok(loaded)
    }

    /// Makes a pack part of a draft, checked as a loader does. A large one is written at once, to be read back from there.
    fn accept(&self, pack: PackFile, draft: &mut Draft) -> Result<Fresh, HandoverError> {
        let (digest, name) = (pack.digest, layout::pack_name(pack.digest));
        let reference = PackRef { digest, bytes: pack.bytes.len() as u64, zones: pack.zones };
        // All that is published waits for these reads: at the writer's own priority.
        let there = self.directory.load_pack_file(&name, digest, reference.bytes);
        // A damaged pack of this name is replaced. Published generations may name it, so it stays in any case.
        let is_missing = matches!(&there, Err(HandoverError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound);
        let is_signed = |pack: &Pack| self.key.as_ref().is_none_or(|key| pack.is_signed_with(key.public()));
        let (loaded, bytes) = if let Some(loaded) = there.ok().filter(is_signed) {
            (loaded, None)
        } else {
            let refused = |source| HandoverError::Refused { path: self.directory.disk.path_of(&name), source };
            let small = reference.bytes <= FOLDED_LEN_MAX && is_missing;
            let loaded = if small { Some(pack.open().map_err(refused)?) } else { None };
            let mut bytes = pack.bytes;
            if let Some(key) = &self.key {
                key.sign(&mut bytes);
            }
            match loaded {
                Some(loaded) => (loaded, Some(bytes)),
                None => {
                    let temp = draft.added.stage_at_once(&bytes, name, is_missing)?;
                    drop(bytes);
                    (self.directory.load_pack_file(&temp, digest, reference.bytes)?, None)
                }
            }
        };
        let number = draft.index.add(reference, &loaded);
        let path = || self.directory.disk.path_of(&layout::pack_name(digest));
        draft.index.check().map_err(|source| HandoverError::Refused { path: path(), source })?;
        Ok(Fresh { number, pack: loaded, bytes })
    }

    /// Makes small packs one, if it is time. Returns how many old ones were.
    fn fold(&self, fresh: &mut Vec<Fresh>, draft: &mut Draft) -> Result<usize, HandoverError> {
        draft.index.drop_empty();
        let is_listed = |draft: &Draft, fresh: &Fresh| draft.index.pack(fresh.number).is_some();
        fresh.retain(|fresh| is_listed(draft, fresh));
        let Some(from) = fold::fold_from(&draft.index.live_lens(), fresh.len()) else { return Ok(0) };
        let numbers = draft.index.order()[from..].to_vec();
        let old_count = numbers.len().saturating_sub(fresh.len());
        let mut merged = Merged::default();
        for number in numbers {
            let loaded;
            let pack = match (fresh.iter().find(|fresh| fresh.number == number), draft.index.pack(number)) {
                (Some(fresh), _) => &fresh.pack,
                (None, Some(pack)) => {
                    let name = layout::pack_name(pack.digest);
                    loaded = self.directory.load_pack_file(draft.added.name_now(&name), pack.digest, pack.bytes)?;
                    &loaded
                }
                (None, None) => continue,
            };
            for (position, zone) in pack.zones().enumerate() {
                let counts = draft.index.holder(&index::key(&zone)) == Some(number);
                if let Some(segment) = pack.segment(position).filter(|_| counts) {
                    merged.add(segment)?;
                }
            }
            for apex in pack.deleted() {
                // Without older packs there is nothing to delete.
                if draft.index.holder(apex.as_wire()) != Some(number) {
                    continue;
                } else if from > 0 {
                    merged.deleted.push(apex.clone());
                } else {
                    draft.index.forget_deletion(apex.as_wire());
                }
            }
        }
        for pack in merged.finish()? {
            fresh.push(self.accept(pack, draft)?);
        }
        draft.index.drop_empty();
        fresh.retain(|fresh| is_listed(draft, fresh));
        Ok(old_count)
    }

    /// Makes a draft durable and current.
    ///
    /// # Errors
    /// As [`Writer::publish`].
    pub(super) fn commit(
        &mut self,
        draft: Draft,
        change: Change,
        created_unix_secs: u64,
    ) -> Result<Published, HandoverError> {
        let Draft { previous, next, index, mut added, .. } = draft;
        let ManifestName { epoch, generation } = next;
        let (packs, (number, chain)) = (index.refs(), change);
        let manifest = Manifest { epoch, generation, created_unix_secs, previous, change: number, chain, packs };
        let (mut bytes, digest) = manifest.encode().map_err(HandoverError::Encode)?;
        if let Some(key) = &self.key {
            key.sign(&mut bytes);
        }
        let file_name = next.to_string();
        added.stage(&bytes, file_name.clone())?;
        let bytes_written = added.bytes_written;
        let line = CurrentLine { manifest: next, digest };
        added.publish(line.to_string().as_bytes())?;
        self.newest = generation;
        let packs = manifest.packs.iter().map(|pack| pack.digest).collect();
        self.manifests.insert(next, Digests { own: digest, packs });
        self.known = Some(Known { line, change, index });
        let current = Current { manifest, file_name, digest };
        Ok(Published { current, bytes_written, packs_folded: 0 })
    }
}

#[cfg(test)]
mod tests;
