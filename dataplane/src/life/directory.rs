//! The snapshot directory as the slot's source.
//!
//! It reads only. What may be served is decided by `snapshot::handover`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use snapshot::handover::{Ahead, Directory, HandoverError, explain};
use snapshot::image::{Generation, Trust, View};

use super::larder::Larder;
use super::taster::{Taster, Verdict};
use crate::slot::{Facts, Found, Prepare, Source, Stamp};

/// Generations that crash trial loads, of which more than one is kept in mind.
const AVOIDED_MAX: usize = 8;
/// How long a generation is avoided before it is tried again.
const AVOIDED_TIME: Duration = Duration::from_secs(60);
/// Loads in a row during which something newer was published.
const ATTEMPTS_MAX: u32 = 3;
/// The file that names the newest generation.
const CURRENT: &str = "CURRENT";

/// A directory that is followed by its path: one that is moved away and replaced is noticed.
pub(super) struct Following {
    /// Where it is.
    path: PathBuf,
    /// The keys whose signatures are asked for.
    trust: Trust,
    /// What each generation is tried with; `None` loads them untried.
    taster: Option<Taster>,
    /// Generations that trial loads crashed on, and when.
    avoided: Vec<(Generation, Instant)>,
    /// Packs that were loaded before a generation names them.
    larder: Arc<Larder>,
}

impl Following {
    /// Follows the directory at `path`, which must be there.
    ///
    /// # Errors
    /// One line for people.
    pub(super) fn open(path: &Path, trust: &Trust) -> Result<Following, String> {
        Directory::open(path).map_err(|error| explain(&error))?;
        let (path, trust, larder) = (path.to_owned(), trust.clone(), Arc::new(Larder::new(path, trust, None)));
        Ok(Following { path, trust, taster: None, avoided: Vec::new(), larder })
    }

    /// The same with trial loads, of generations and of packs.
    pub(super) fn with_tasters(self, taster: impl Fn() -> Taster) -> Following {
        let larder = Arc::new(Larder::new(&self.path, &self.trust, Some(taster())));
        Following { taster: Some(taster()), larder, ..self }
    }

    /// The directory, as far as it may be loaded.
    fn directory(&self) -> Result<Directory, HandoverError> {
        Ok(Directory::open(&self.path)?.trusting(self.trust.clone()).avoiding(self.avoided()))
    }

    /// The generations that are not loaded now.
    fn avoided(&self) -> Vec<Generation> {
        self.avoided.iter().map(|(generation, _)| *generation).collect()
    }

    /// Has what would be loaded tried first; a generation that crashes trial loads is avoided from now on, and without
    /// a view in service the one before it is tried as well. Returns the generation that was tried, if any was.
    ///
    /// # Errors
    /// One line for people: nothing that is safe to load is left.
    fn taste(&mut self, serving: Option<&Arc<View>>) -> Result<Option<u64>, String> {
        let Some(mut taster) = self.taster.take() else { return Ok(None) };
        // It may have been the machine's fault, as when memory was short.
        self.avoided.retain(|(_, since)| since.elapsed() < AVOIDED_TIME);
        let tasted = self.taste_with(&mut taster, serving);
        self.taster = Some(taster);
        tasted
    }

    /// [`Following::taste`]; while nothing is served yet that could be disturbed, packs are read at the same time.
    ///
    /// # Errors
    /// As [`Following::taste`].
    fn taste_and_read(&mut self, serving: Option<&Arc<View>>) -> Result<(Option<u64>, Ahead), String> {
        if serving.is_some() || self.taster.is_none() {
            let ahead = serving.map_or_else(Ahead::default, |_| Ahead::of(self.larder.packs()));
            return Ok((self.taste(serving)?, ahead));
        }
        let directory = self.directory();
        thread::scope(|scope| {
            let read = || directory.as_ref().map(Directory::read_ahead).unwrap_or_default();
            let reading = thread::Builder::new().name("read".into()).spawn_scoped(scope, read);
            let tasted = self.taste(serving)?;
            // Reading is only of use: without it the load does the same.
            let ahead = reading.ok().and_then(|reading| reading.join().ok()).unwrap_or_default();
            Ok((tasted, ahead))
        })
    }

    /// [`Following::taste`] with this taster.
    fn taste_with(&mut self, taster: &mut Taster, serving: Option<&Arc<View>>) -> Result<Option<u64>, String> {
        let mut known: Vec<_> = serving.iter().flat_map(|view| view.packs()).map(|pack| pack.digest()).collect();
        // They were tried when they came.
        known.extend(serving.iter().flat_map(|_| self.larder.packs()).map(|pack| pack.digest()));
        let serving = serving.and_then(|view| view.generation());
        loop {
            let current = Directory::open(&self.path).and_then(|directory| directory.current());
            let newest = current.ok().flatten().map(|current| current.manifest.generation);
            let is_avoided = newest.is_some_and(|newest| self.avoided().contains(&newest));
            // With a view in service nothing but the newest is loaded, and only if it is another.
            if serving.is_some() && (is_avoided || newest == serving) {
                return Ok(None);
            }
            match taster.taste(&self.avoided(), &known) {
                Verdict::Harmless(generation) => return Ok(generation),
                Verdict::Unavailable => return Ok(None),
                Verdict::Deadly => {}
            }
            match newest.filter(|_| !is_avoided) {
                Some(newest) => {
                    if self.avoided.len() == AVOIDED_MAX {
                        self.avoided.remove(0);
                    }
                    self.avoided.push((newest, Instant::now()));
                }
                None => return Err("trial loads of the newest generation and of the one before it crashed".to_owned()),
            }
        }
    }

    /// Loads the newest generation and lets go of it; returns a line that says what it holds.
    ///
    /// # Errors
    /// One line for people, also if only an older generation can be loaded.
    pub(super) fn check(path: &Path, trust: &Trust) -> Result<String, String> {
        let found = Following::open(path, trust)?.load(None)?;
        let Some(found) = found else {
            return Ok(format!("configuration is right; {} holds no generation yet", path.display()));
        };
        if let Some(reason) = found.refused {
            return Err(reason);
        }
        let Facts { generation, zones, bytes } = Following::facts(&found.view);
        let generation = generation.unwrap_or(0);
        let plural = if zones == 1 { "" } else { "s" };
        Ok(format!("configuration is right; generation {generation} holds {zones} zone{plural} in {bytes} bytes"))
    }
}

impl Source for Following {
    type View = View;

    fn load(&mut self, previous: Option<&Arc<View>>) -> Result<Option<Found<View>>, String> {
        for attempt in 1.. {
            let (tasted, ahead) = self.taste_and_read(previous)?;
            let loaded = self.directory().and_then(|directory| directory.load_with(previous, ahead));
            let Some(loaded) = loaded.map_err(|error| explain(&error))? else { return Ok(None) };
            // What was published in between is tried too, unless that never ends.
            let is_newer = tasted.is_some_and(|tasted| Following::facts(&loaded.view).generation > Some(tasted));
            if !is_newer || attempt == ATTEMPTS_MAX {
                self.larder.served(&loaded.view);
                return Ok(Some(Found { view: loaded.view, refused: loaded.fallback }));
            }
        }
        Ok(None)
    }

    fn larder(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.larder) as Arc<dyn Prepare>)
    }

    fn stamp(&mut self) -> Stamp {
        // A pointer file that is missing has the same stamp until it is there.
        std::fs::metadata(self.path.join(CURRENT)).map_or_else(
            |_| Stamp::default(),
            |there| Stamp([there.ino().into(), there.mtime().into(), there.mtime_nsec().into()]),
        )
    }

    fn empty() -> View {
        View::empty()
    }

    fn facts(view: &View) -> Facts {
        Facts {
            generation: view.generation().map(|generation| generation.0),
            zones: view.zone_count() as u64,
            bytes: view.byte_len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use snapshot::handover::{Keep, Publication};
    use snapshot::image::SigningKey;

    use super::*;

    #[test]
    fn only_generations_signed_with_a_trusted_key_are_served() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::create(dir.path()).unwrap();
        let (key, _) = SigningKey::generate().unwrap();
        let trust = Trust(vec![key.public()]);
        directory.lock("test").unwrap().publish(Publication::of(vec![], Keep::Nothing, 0)).unwrap();
        assert!(Following::check(dir.path(), &Trust::default()).is_ok());
        let refused = Following::check(dir.path(), &trust).unwrap_err();
        assert!(refused.contains("not trusted: it is not signed"), "{refused}");
        let mut writer = directory.lock("test").unwrap().with_key(key);
        writer.publish(Publication::of(vec![], Keep::Nothing, 0)).unwrap();
        assert!(Following::check(dir.path(), &trust).is_ok());
        assert!(Following::check(dir.path(), &Trust::default()).is_ok());
    }
}
