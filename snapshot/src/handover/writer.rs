//! Publishing a generation: packs, manifest, `CURRENT`, in this order, each durable before the next names it.
//!
//! What the packs hold is not decided here. Invariants: a crash at any point leaves the old generation or the new one
//! current, both whole; after an error before the last rename the directory is as it was; every pack that a manifest
//! names was read back from the disk and passed the loader's checks.

use std::collections::HashMap;
use std::sync::Arc;

use super::compact::{self, IndexedPack, PackIndex, Plan};
use super::disk::Disk;
use super::layout::{self, CurrentLine, FileKind, ManifestName};
use super::lock::Lock;
use super::{Current, Directory, HandoverError};
use crate::image::{Digest, Generation, Manifest, PackFile, PackRef, Segment};

/// The epoch of a directory that never had another.
const EPOCH_FIRST: u64 = 1;

/// The one process that may change the directory.
pub struct Writer {
    /// The directory.
    pub(super) directory: Directory,
    /// The zones of the packs seen so far, so that a small publication does not read big packs again.
    indexes: HashMap<Digest, Arc<PackIndex>>,
    /// What makes us the writer; dropped last.
    _lock: Lock,
}

/// What is to become a generation.
pub struct Publication {
    /// The new packs; a zone in several is taken from the last.
    pub packs: Vec<PackFile>,
    /// What stays of the current generation.
    pub keep: Keep,
    /// The time to write into the manifest, in seconds since 1970.
    pub created_unix_secs: u64,
    /// Apexes of zones that are deleted.
    pub remove: Vec<crate::dns::name::Name>,
    /// See [`Manifest`].
    pub change: u64,
    /// See [`Manifest`].
    pub chain: [u8; 32],
}

/// What stays of the current generation when another is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the new packs are the whole content.
    Nothing,
    /// Every zone that is not in a new pack.
    Others,
}

/// A generation that was made current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The generation.
    pub current: Current,
    /// Bytes of packs and manifest that had to be written; packs that were there already do not count.
    pub bytes_written: u64,
    /// How many old packs were folded into fresh ones.
    pub packs_compacted: usize,
}

/// What the next generation follows.
struct Base {
    /// The digest of the manifest before.
    previous: Option<Digest>,
    /// The packs to keep zones from, the oldest first.
    packs: Vec<PackRef>,
    /// The name of the next manifest.
    next: ManifestName,
}

/// The files that a publication has added so far. Dropping it removes them again, unless [`Added::keep`] was called.
struct Added {
    /// Where they are.
    disk: Arc<Disk>,
    /// Their names.
    names: Vec<String>,
    /// Bytes written.
    bytes_written: u64,
}

impl Writer {
    /// Becomes the writer with a lock that was taken: removes what dead writers left unfinished.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn start(directory: Directory, lock: Lock) -> Result<Writer, HandoverError> {
        // We hold the lock, so whoever began these files is gone.
        for name in directory.disk.names()? {
            if FileKind::of(&name) == FileKind::Temp {
                directory.disk.remove(&name)?;
            }
        }
        Ok(Writer { directory, indexes: HashMap::new(), _lock: lock })
    }

    /// The directory, to read what is there.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes a new generation current.
    ///
    /// A damaged current generation does not stop a publication that keeps nothing of it.
    ///
    /// # Errors
    /// [`HandoverError`] naming the file and the cause; the directory is then as it was. The one exception: if the very
    /// last sync of the directory fails, the generation is current but may not survive a power failure.
    pub fn publish(&mut self, publication: Publication) -> Result<Published, HandoverError> {
        let Publication { mut packs, keep, created_unix_secs, remove, change, chain } = publication;
        if !remove.is_empty() {
            packs.push(PackFile::encode_change(Vec::new(), &remove).map_err(HandoverError::Encode)?);
        }
        let base = self.base(keep)?;
        let disk = Arc::clone(&self.directory.disk);
        let mut added = Added { disk: Arc::clone(&disk), names: Vec::new(), bytes_written: 0 };
        let mut new: Vec<IndexedPack> = Vec::with_capacity(packs.len());
        for pack in packs {
            let pack = self.store(pack, &mut added)?;
            // The same bytes given twice are one pack, at its later place.
            new.retain(|other| other.pack.digest != pack.pack.digest);
            new.push(pack);
        }
        let (mut packs, packs_compacted) = self.fold(base.packs, &new, &mut added)?;
        packs.extend(new.into_iter().map(|pack| pack.pack));
        let ManifestName { epoch, generation } = base.next;
        let manifest = Manifest { epoch, generation, created_unix_secs, previous: base.previous, change, chain, packs };
        let current = add_manifest(manifest, base.next, &mut added)?;
        let bytes_written = added.bytes_written;
        let line = CurrentLine { manifest: base.next, digest: current.digest };
        let temp = added.write_temp(line.to_string().as_bytes())?;
        disk.rename(&temp, layout::CURRENT)?;
        added.keep();
        disk.sync()?;
        self.indexes.retain(|digest, _| current.manifest.packs.iter().any(|pack| pack.digest == *digest));
        Ok(Published { current, bytes_written, packs_compacted })
    }

    /// Finds what the next generation follows and what it is called: past every manifest on disk, also those that were
    /// never published, because a data plane may have seen them.
    fn base(&self, keep: Keep) -> Result<Base, HandoverError> {
        let names = self.directory.manifest_names()?;
        let current = match (self.directory.current(), keep) {
            // Without CURRENT but with manifests something was lost; what to keep is not known then.
            (Ok(None), Keep::Others) if !names.is_empty() => return Err(self.directory.current_is_missing()),
            (Ok(current), _) => current.map(|current| (current.digest, current.manifest.packs)),
            (Err(error), Keep::Others) => return Err(error),
            // CURRENT or its manifest is damaged: go on from the newest manifest that can be read.
            (Err(_), Keep::Nothing) => {
                let newest = names.iter().find_map(|name| self.directory.manifest(*name).ok());
                newest.map(|(manifest, digest)| (digest, manifest.packs))
            }
        };
        let line = self.directory.current_line().ok().flatten().map(|line| line.manifest);
        let known = || names.iter().copied().chain(line);
        let last = known().map(|name| name.generation.0).max().unwrap_or(0);
        let next = ManifestName {
            epoch: known().map(|name| name.epoch).max().unwrap_or(EPOCH_FIRST),
            generation: Generation(last.checked_add(1).ok_or(HandoverError::Exhausted)?),
        };
        let (previous, packs) = current.map_or((None, Vec::new()), |(digest, packs)| (Some(digest), packs));
        let packs = if keep == Keep::Others { packs } else { Vec::new() };
        Ok(Base { previous, packs, next })
    }

    /// Makes a pack durable under its final name, unless it is there already and sound.
    fn store(&mut self, pack: PackFile, added: &mut Added) -> Result<IndexedPack, HandoverError> {
        let PackFile { digest, zones, bytes } = pack;
        let name = layout::pack_name(digest);
        let pack = PackRef { digest, bytes: bytes.len() as u64, zones };
        let there = self.directory.load_pack(&pack);
        let was_missing = matches!(&there, Err(HandoverError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound);
        let loaded = if let Ok(loaded) = there {
            loaded
        } else {
            let temp = added.write_temp(&bytes)?;
            added.bytes_written += pack.bytes;
            drop(bytes);
            // Read back what the disk has, before anything names it.
            let loaded = self.directory.load_pack_file(&temp, digest, pack.bytes)?;
            added.rename(&temp, &name)?;
            if !was_missing {
                // A damaged pack of this name was replaced. Published generations may name it, so it stays.
                added.names.retain(|added| *added != name);
            }
            loaded
        };
        let index = Arc::new(PackIndex::of(&loaded));
        self.indexes.insert(digest, Arc::clone(&index));
        Ok(IndexedPack { pack, index })
    }

    /// Finds the packs that stay below `new` ones, writing fresh ones if that is due. Returns how many were folded.
    fn fold(
        &mut self,
        mut old: Vec<PackRef>,
        new: &[IndexedPack],
        added: &mut Added,
    ) -> Result<(Vec<PackRef>, usize), HandoverError> {
        old.retain(|old| new.iter().all(|new| new.pack.digest != old.digest));
        let old = old.into_iter().map(|pack| self.indexed(pack)).collect::<Result<Vec<_>, _>>()?;
        match compact::plan(&old, new) {
            Plan::Keep(packs) => Ok((packs, 0)),
            Plan::Rewrite(live) => {
                let count = live.len();
                Ok((self.rewrite(live, added)?, count))
            }
        }
    }

    /// Learns the zones of a pack, from memory if it was seen before.
    fn indexed(&mut self, pack: PackRef) -> Result<IndexedPack, HandoverError> {
        if let Some(index) = self.indexes.get(&pack.digest) {
            return Ok(IndexedPack { pack, index: Arc::clone(index) });
        }
        let index = Arc::new(PackIndex::of(&self.directory.load_pack(&pack)?));
        self.indexes.insert(pack.digest, Arc::clone(&index));
        Ok(IndexedPack { pack, index })
    }

    /// Copies live zones into fresh packs. Memory: one old pack and one fresh one.
    fn rewrite(&mut self, live: Vec<(PackRef, Vec<usize>)>, added: &mut Added) -> Result<Vec<PackRef>, HandoverError> {
        let mut fresh = Vec::new();
        let mut segments: Vec<Segment> = Vec::new();
        let mut segments_len = 0;
        for (pack, positions) in live {
            let pack = self.directory.load_pack(&pack)?;
            for position in positions {
                let Some(segment) = pack.segment(position) else { continue };
                if segments_len + segment.facts.bytes > compact::SEGMENTS_LEN_MAX && !segments.is_empty() {
                    fresh.push(self.store_segments(std::mem::take(&mut segments), added)?);
                    segments_len = 0;
                }
                segments_len += segment.facts.bytes;
                segments.push(segment);
            }
        }
        if !segments.is_empty() {
            fresh.push(self.store_segments(segments, added)?);
        }
        Ok(fresh)
    }

    /// Packs segments in canonical order of their apexes.
    fn store_segments(&mut self, mut segments: Vec<Segment>, added: &mut Added) -> Result<PackRef, HandoverError> {
        segments.sort_by_cached_key(|segment| {
            let mut key = Vec::new();
            segment.facts.apex.as_ref().push_sort_key(&mut key);
            key
        });
        let pack = PackFile::encode(segments).map_err(HandoverError::Encode)?;
        Ok(self.store(pack, added)?.pack)
    }
}

/// Makes the packs' names durable, then the manifest.
fn add_manifest(manifest: Manifest, name: ManifestName, added: &mut Added) -> Result<Current, HandoverError> {
    let (bytes, digest) = manifest.encode().map_err(HandoverError::Encode)?;
    let file_name = name.to_string();
    added.disk.sync()?;
    let temp = added.write_temp(&bytes)?;
    added.bytes_written += bytes.len() as u64;
    added.rename(&temp, &file_name)?;
    added.disk.sync()?;
    Ok(Current { manifest, file_name, digest })
}

impl Added {
    /// Writes a file under a temporary name.
    fn write_temp(&mut self, bytes: &[u8]) -> Result<String, HandoverError> {
        let name = self.disk.write_temp(bytes)?;
        self.names.push(name.clone());
        Ok(name)
    }

    /// Gives a temporary file its final name.
    fn rename(&mut self, temp: &str, name: &str) -> Result<(), HandoverError> {
        self.disk.rename(temp, name)?;
        self.names.retain(|added| added != temp);
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Leaves the files where they are: something durable names them.
    fn keep(mut self) {
        self.names.clear();
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        // In reverse, so that a manifest goes before the packs it names.
        for name in self.names.iter().rev() {
            self.disk.discard(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::super::testing::{Fault, Scratch, pack, publish};
    use super::*;

    #[test]
    fn generations_grow_and_form_a_chain() {
        let scratch = Scratch::new();
        let first = scratch.publish_all(&["a=1"]);
        assert_eq!(scratch.served(), "1: a=1");
        assert_eq!(first.current.manifest.previous, None);
        let second = scratch.publish_all(&["b=2"]);
        assert_eq!(scratch.served(), "2: b=2");
        assert_eq!(second.current.manifest.previous, Some(first.current.digest));
        assert_eq!(scratch.directory().current().unwrap(), Some(second.current));
    }

    #[test]
    fn files_are_readable_by_owner_and_group_only_and_nothing_unfinished_stays() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2"]);
        let mode = |name: &str| scratch.path.join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(""), 0o750);
        let files = scratch.files();
        assert_eq!(files.len(), 5, "{files:?}");
        for name in files {
            assert!(matches!(FileKind::of(&name), FileKind::Pack(_) | FileKind::Manifest(_)) || name == "CURRENT");
            assert_eq!(mode(&name), 0o440, "{name}");
        }
    }

    #[test]
    fn a_pack_that_is_there_is_not_written_again_unless_it_is_damaged() {
        let scratch = Scratch::new();
        let first = scratch.publish_all(&["a=1"]);
        let name = layout::pack_name(first.current.manifest.packs[0].digest);
        let sound = scratch.read(&name);
        let inode = || scratch.path.join(&name).metadata().unwrap().ino();
        let before = inode();
        let again = scratch.publish_all(&["a=1"]);
        assert_eq!(again.current.manifest.packs, first.current.manifest.packs);
        assert_eq!(inode(), before);
        for damaged in [vec![0; sound.len()], Vec::new()] {
            scratch.overwrite(&name, &damaged);
            scratch.publish_all(&["a=1"]);
            assert_eq!(scratch.read(&name), sound);
        }
        assert_eq!(scratch.served(), "4: a=1");
    }

    #[test]
    fn other_zones_are_kept_on_request_and_shadowed_ones_folded_away() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        publish(&mut writer, "a=1 b=1 c=1", Keep::Nothing).unwrap();
        let delta = publish(&mut writer, "d=2", Keep::Others).unwrap();
        assert_eq!((delta.current.manifest.packs.len(), delta.packs_compacted), (2, 0));
        assert_eq!(scratch.served(), "2: a=1 b=1 c=1 d=2");
        drop(writer);
        let mut writer = scratch.writer();
        let folded = publish(&mut writer, "A=3", Keep::Others).unwrap();
        assert_eq!((folded.current.manifest.packs.len(), folded.packs_compacted), (2, 2));
        assert_eq!(scratch.served().to_lowercase(), "3: a=3 b=1 c=1 d=2");
    }

    #[test]
    fn hundreds_of_deltas_never_pass_the_pack_limit() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        for count in 0..150 {
            let published = publish(&mut writer, &format!("z{count:03}=1"), Keep::Others).unwrap();
            assert!(published.current.manifest.packs.len() <= compact::PACKS_MAX);
            writer.collect(2, &[]).unwrap();
        }
        assert_eq!(scratch.directory().load(None).unwrap().unwrap().view.zone_count(), 150);
    }

    #[test]
    fn the_same_pack_twice_is_listed_once() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        let packs = vec![pack("a=1"), pack("b=1"), pack("a=1")];
        let published = writer
            .publish(Publication {
                packs,
                keep: Keep::Nothing,
                created_unix_secs: 1,
                remove: Vec::new(),
                change: 0,
                chain: [0; 32],
            })
            .unwrap();
        assert_eq!(published.current.manifest.packs.len(), 2);
        let again = publish(&mut writer, "a=1", Keep::Others).unwrap();
        assert_eq!(again.current.manifest.packs.len(), 2);
        assert_eq!(scratch.served(), "2: a=1 b=1");
    }

    /// Publishes under a fault after every possible number of changes, and hands the outcome of each to `check`.
    fn for_each_fault(fault: Fault, check: impl Fn(&Scratch, Result<Published, HandoverError>, Vec<String>)) {
        for left in 0.. {
            let scratch = Scratch::new();
            scratch.publish_all(&["a=1 b=1", "a=2 b=2"]);
            let before = scratch.files();
            let mut writer = scratch.writer();
            let disk = Arc::clone(&writer.directory.disk);
            disk.faults.order(fault, left);
            // "a" is shadowed, so this publication also folds the pack before.
            let outcome = publish(&mut writer, "a=3", Keep::Others);
            if !disk.faults.has_struck() {
                assert!(left >= 11, "two packs, manifest and CURRENT: written, renamed, synced; only {left} changes");
                assert!(outcome.is_ok());
                return;
            }
            drop(writer);
            check(&scratch, outcome, before);
        }
    }

    #[test]
    fn a_killed_writer_leaves_a_whole_generation_and_the_next_one_succeeds() {
        for_each_fault(Fault::Kill, |scratch, outcome, _| {
            assert!(outcome.is_err());
            let served = scratch.served();
            assert!(served == "2: a=2 b=2" || served == "3: a=3 b=2", "{served}");
            for entry in scratch.directory().generations().unwrap() {
                assert!(matches!(entry.state, crate::handover::GenerationState::Intact(_)), "{entry:?}");
            }
            let mut writer = scratch.writer();
            let published = publish(&mut writer, "b=4", Keep::Others).unwrap();
            assert!(!scratch.files().iter().any(|name| FileKind::of(name) == FileKind::Temp));
            let now = scratch.served();
            let a = if served.starts_with('3') { 3 } else { 2 };
            assert_eq!(now, format!("{}: a={a} b=4", published.current.manifest.generation.0));
            assert!(published.current.manifest.generation > Generation(2));
            writer.collect(1, &[]).unwrap();
            assert_eq!(scratch.served(), now);
        });
    }

    #[test]
    fn after_an_error_the_directory_is_as_it_was() {
        for_each_fault(Fault::Once, |scratch, outcome, before| {
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains(scratch.path.to_str().unwrap()), "{error}");
            assert!(error.source().is_some());
            if scratch.served() == "2: a=2 b=2" {
                assert_eq!(scratch.files(), before, "{error}");
            } else {
                assert_eq!(scratch.served(), "3: a=3 b=2", "{error}");
                assert!(error.to_string().starts_with("cannot sync"), "{error}");
            }
        });
    }

    #[test]
    fn a_damaged_current_generation_stops_only_who_keeps_zones_of_it() {
        let scratch = Scratch::new();
        let last = scratch.publish_all(&["a=1", "a=2"]);
        scratch.overwrite("CURRENT", b"garbage\n");
        let mut writer = scratch.writer();
        assert!(matches!(publish(&mut writer, "b=3", Keep::Others), Err(HandoverError::Malformed { .. })));
        let published = publish(&mut writer, "b=3", Keep::Nothing).unwrap();
        assert_eq!(published.current.manifest.previous, Some(last.current.digest));
        assert_eq!(scratch.served(), "3: b=3");
    }

    #[test]
    fn what_to_keep_is_not_guessed_when_current_is_missing() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2"]);
        std::fs::remove_file(scratch.path.join("CURRENT")).unwrap();
        let mut writer = scratch.writer();
        assert!(matches!(publish(&mut writer, "b=1", Keep::Others), Err(HandoverError::CurrentMissing { .. })));
        publish(&mut writer, "b=1", Keep::Nothing).unwrap();
        assert_eq!(scratch.served(), "3: b=1");
    }

    #[test]
    fn generations_grow_past_manifests_that_were_never_published() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1"]);
        std::fs::write(scratch.path.join("manifest-0000000000000001-0000000000000009"), b"left over").unwrap();
        scratch.publish_all(&["a=2"]);
        assert_eq!(scratch.served(), "10: a=2");
        std::fs::write(scratch.path.join("manifest-0000000000000001-ffffffffffffffff"), b"left over").unwrap();
        let exhausted = publish(&mut scratch.writer(), "a=3", Keep::Nothing);
        assert!(matches!(exhausted, Err(HandoverError::Exhausted)));
    }
}
