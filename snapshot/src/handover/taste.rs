//! A trial load: everything that loading a generation does to foreign bytes, without keeping them.
//!
//! A process that may die of it does this for one that must not. What it costs is what the packs cost that it has not
//! seen before.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Directory, HandoverError};
use crate::image::{Digest, Generation, View};

/// What a trial load found.
pub struct Tasted {
    /// The generation that [`Directory::load`] would return.
    pub generation: Generation,
    /// What it brings, to be asked; `None` if that cannot stand without packs that are known.
    pub view: Option<Arc<View>>,
}

impl Directory {
    /// Loads and checks what [`Directory::load`] would: all of it if `known` is empty, else the packs that are not in
    /// `known`, which become known. `None` if nothing was published yet.
    ///
    /// # Errors
    /// As [`Directory::load`].
    pub fn taste(&self, known: &mut HashSet<Digest>) -> Result<Option<Tasted>, HandoverError> {
        if known.is_empty() {
            let Some(loaded) = self.load(None)? else { return Ok(None) };
            known.extend(loaded.view.packs().iter().map(|pack| pack.digest()));
            let generation = loaded.view.generation().unwrap_or(Generation(0));
            return Ok(Some(Tasted { generation, view: Some(loaded.view) }));
        }
        let Some(current) = self.current()? else { return Ok(None) };
        let manifest = &current.manifest;
        let fresh = manifest.packs.iter().filter(|pack| !known.contains(&pack.digest));
        let fresh = fresh.map(|pack| self.load_pack(pack).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        known.clear();
        known.extend(manifest.packs.iter().map(|pack| pack.digest));
        // An overlay whose base is known already makes no view by itself.
        let view = View::follow(None, manifest.generation, fresh).ok().map(Arc::new);
        Ok(Some(Tasted { generation: manifest.generation, view }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scratch;
    use super::*;

    #[test]
    fn a_trial_load_finds_what_a_load_would_and_reads_each_pack_once() {
        let scratch = Scratch::new();
        let directory = scratch.directory();
        let mut known = HashSet::new();
        assert!(directory.taste(&mut known).unwrap().is_none());
        scratch.publish_all(&["a=1", "a=2"]);
        let tasted = directory.taste(&mut known).unwrap().unwrap();
        assert_eq!((tasted.generation, tasted.view.map(|view| view.zone_count())), (Generation(2), Some(1)));
        // What is known is not read again: it may be gone.
        for entry in std::fs::read_dir(&scratch.path).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("pack-") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let again = directory.taste(&mut known).unwrap().unwrap();
        assert_eq!((again.generation, again.view.map(|view| view.zone_count())), (Generation(2), Some(0)));
        known.clear();
        assert!(directory.taste(&mut known).is_err());
    }

    #[test]
    fn a_generation_that_is_avoided_is_not_loaded() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2", "a=3"]);
        let loaded = scratch.directory().avoiding(vec![Generation(3)]).load(None).unwrap().unwrap();
        assert_eq!(loaded.view.generation(), Some(Generation(2)));
        assert!(loaded.fallback.unwrap().contains("trial"));
        let serving = loaded.view;
        let avoiding = scratch.directory().avoiding(vec![Generation(3)]);
        assert!(matches!(avoiding.load(Some(&serving)), Err(HandoverError::Avoided { .. })));
        let next = scratch.directory().load(Some(&serving)).unwrap().unwrap();
        assert_eq!(next.view.generation(), Some(Generation(3)));
    }
}
