//! Garbage collection: which generations and packs are no longer needed.
//!
//! Invariants: nothing that `CURRENT`, its predecessor, a pinned generation or one of the newest ones names is removed;
//! a manifest goes before its packs, so a crash leaves no manifest without packs; foreign files are not touched.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::disk::Disk;
use super::layout::{self, FileKind, ManifestName};
use super::writer::Digests;
use super::{HandoverError, Writer};
use crate::image::{Digest, Generation};

/// How many generations are kept unless the operator says otherwise.
pub const GENERATIONS_KEPT: usize = 8;

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The generations, the newest first.
    pub generations: Vec<Generation>,
    /// How many packs.
    pub pack_count: usize,
}

/// Files that nothing needs any more, under temporary names. Dropping it removes them, which takes long on some disks; the
/// next writer removes what is left after a crash.
pub struct Garbage {
    /// Where they are.
    disk: Arc<Disk>,
    /// Their names.
    names: Vec<String>,
}

impl Garbage {
    /// Keeps small files, to be written again by later publications, and removes the others. Not while a
    /// [`Compaction`](super::Compaction) reads packs, which may be among them.
    pub fn reuse(mut self) {
        // Until its new name is durable, a file that is written again could come back under its old one after a power
        // failure, with the wrong content.
        if self.disk.sync().is_ok() {
            for name in std::mem::take(&mut self.names) {
                self.disk.spare(&name);
            }
        }
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        for name in &self.names {
            self.disk.discard(name);
        }
    }
}

impl Writer {
    /// As [`Writer::collect_aside`], and removes the files before it returns.
    ///
    /// # Errors
    /// As [`Writer::collect_aside`].
    pub fn collect(&mut self, keep: usize, pinned: &[Generation]) -> Result<Collected, HandoverError> {
        self.collect_aside(keep, pinned).map(|(collected, _)| collected)
    }

    /// Sets aside what is no longer needed: all but the newest `keep` generations, the current one, its predecessor and
    /// those in `pinned` (the generations data planes report), then the packs that no remaining generation names.
    /// Damaged and unpublished manifests go too. Without a current generation nothing is removed. O(files): manifests that
    /// this writer has seen are not read again.
    ///
    /// # Errors
    /// [`HandoverError`]: if the current generation cannot be read, nothing was removed.
    pub fn collect_aside(&mut self, keep: usize, pinned: &[Generation]) -> Result<(Collected, Garbage), HandoverError> {
        let disk = Arc::clone(&self.directory.disk);
        let mut garbage = Garbage { disk: Arc::clone(&disk), names: Vec::new() };
        let Some(current) = self.directory.current()? else { return Ok((Collected::default(), garbage)) };
        let mut collected = Collected::default();
        let mut needed: HashSet<Digest> = HashSet::new();
        let mut kept_count = 0;
        let files = disk.names()?;
        let mut names: Vec<ManifestName> = files.iter().filter_map(|name| ManifestName::parse(name)).collect();
        names.sort_unstable_by_key(|name| Reverse((name.generation, name.epoch)));
        self.manifests.retain(|name, _| names.contains(name));
        for name in names {
            let is_current = name.to_string() == current.file_name;
            if !self.manifests.contains_key(&name) {
                match self.directory.manifest(name) {
                    // What cannot be read now may be readable later; what was read and is wrong stays wrong.
                    Err(error @ HandoverError::Io { .. }) => return Err(error),
                    Err(_) => {}
                    Ok((manifest, own)) => {
                        let packs = manifest.packs.iter().map(|pack| pack.digest).collect();
                        self.manifests.insert(name, Digests { own, packs });
                    }
                }
            }
            let digests = self.manifests.get(&name).filter(|digests| {
                let is_published = name.generation <= current.manifest.generation;
                is_current
                    || current.manifest.previous == Some(digests.own)
                    || (is_published && kept_count < keep)
                    || pinned.contains(&name.generation)
            });
            if let Some(digests) = digests {
                kept_count += 1;
                needed.extend(&digests.packs);
            } else {
                garbage.names.extend(disk.set_aside(&name.to_string())?);
                collected.generations.push(name.generation);
            }
        }
        let is_needless = |digest: &Digest| !needed.contains(digest);
        let packs = files.iter().filter_map(|name| match FileKind::of(name) {
            FileKind::Pack(digest) => Some(digest).filter(is_needless),
            _ => None,
        });
        let packs: Vec<Digest> = packs.collect();
        if !packs.is_empty() && !collected.generations.is_empty() {
            // A manifest must not outlive its packs. That packs outlive a power failure does no harm.
            disk.sync()?;
        }
        for digest in &packs {
            garbage.names.extend(disk.set_aside(&layout::pack_name(*digest))?);
        }
        collected.pack_count = packs.len();
        Ok((collected, garbage))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::{Fault, Scratch};
    use super::*;

    /// The generations on disk, the newest first.
    fn generations(scratch: &Scratch) -> Vec<u64> {
        scratch.directory().generations().unwrap().iter().map(|entry| entry.generation.0).collect()
    }

    #[test]
    fn the_newest_the_pinned_and_always_the_predecessor_are_kept() {
        for (keep, pinned, left) in [
            (8, &[][..], &[5, 4, 3, 2, 1][..]),
            (3, &[], &[5, 4, 3]),
            (1, &[], &[5, 4]),
            (0, &[], &[5, 4]),
            (1, &[Generation(2), Generation(77)], &[5, 4, 2]),
        ] {
            let scratch = Scratch::new();
            scratch.publish_all(&["a=1", "a=2", "a=3", "a=4", "a=5"]);
            let collected = scratch.writer().collect(keep, pinned).unwrap();
            assert_eq!(generations(&scratch), left, "keep {keep}, pinned {pinned:?}");
            assert_eq!(collected.generations.len(), 5 - left.len());
            assert_eq!(collected.pack_count, 5 - left.len());
            assert_eq!(scratch.files().len(), 2 * left.len() + 1);
            assert_eq!(scratch.served(), "5: a=5");
        }
    }

    #[test]
    fn packs_that_a_kept_generation_shares_stay() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2", "a=3", "a=1"]);
        let collected = scratch.writer().collect(1, &[]).unwrap();
        assert_eq!(collected, Collected { generations: vec![Generation(2), Generation(1)], pack_count: 1 });
        assert_eq!(scratch.served(), "4: a=1");
    }

    #[test]
    fn foreign_files_stay_and_links_are_not_followed() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2", "a=3"]);
        let precious = scratch.path.join("precious");
        std::fs::write(&precious, b"kept").unwrap();
        let foreign = ["control", "pack-", "notes.txt", "manifest-1-2"];
        for name in foreign {
            std::fs::write(scratch.path.join(name), b"foreign").unwrap();
        }
        let link = format!("pack-{}", "ab".repeat(32));
        symlink(&precious, scratch.path.join(&link)).unwrap();
        std::fs::create_dir(scratch.path.join(format!("pack-{}", "cd".repeat(32)))).unwrap();
        scratch.writer().collect(1, &[]).unwrap();
        assert_eq!(std::fs::read(&precious).unwrap(), b"kept");
        let files = scratch.files();
        assert!(foreign.iter().all(|name| files.contains(&(*name).to_owned())), "{files:?}");
        assert!(!files.contains(&link));
    }

    #[test]
    fn damaged_and_unpublished_manifests_are_removed() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2", "a=3"]);
        scratch.overwrite("manifest-0000000000000001-0000000000000001", b"damaged");
        std::fs::write(scratch.path.join("manifest-0000000000000001-0000000000000009"), b"left over").unwrap();
        let collected = scratch.writer().collect(8, &[]).unwrap();
        assert_eq!(collected.generations, [Generation(9), Generation(1)]);
        assert_eq!(generations(&scratch), [3, 2]);
    }

    #[test]
    fn nothing_is_removed_when_the_current_generation_is_unknown() {
        let scratch = Scratch::new();
        assert_eq!(scratch.writer().collect(0, &[]).unwrap(), Collected::default());
        scratch.publish_all(&["a=1", "a=2", "a=3"]);
        scratch.overwrite("CURRENT", b"damaged\n");
        let before = scratch.files();
        assert!(scratch.writer().collect(0, &[]).is_err());
        assert_eq!(scratch.files(), before);
    }

    #[test]
    fn a_collection_that_is_cut_short_breaks_no_generation() {
        for left in 0..6 {
            let scratch = Scratch::new();
            scratch.publish_all(&["a=1", "a=2", "a=3", "a=4"]);
            let mut writer = scratch.writer();
            writer.directory.disk.faults.order(Fault::Kill, left);
            let outcome = writer.collect(1, &[]);
            // A fault among the removals themselves changes nothing: what was set aside is the next writer's to remove.
            assert!(outcome.is_ok() || writer.directory.disk.faults.has_struck());
            drop(writer);
            for entry in scratch.directory().generations().unwrap() {
                assert!(matches!(entry.state, crate::handover::GenerationState::Intact(_)), "{left}: {entry:?}");
            }
            scratch.writer().collect(1, &[]).unwrap();
            assert_eq!(scratch.files().len(), 5);
        }
    }
}
