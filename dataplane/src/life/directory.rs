//! The snapshot directory as the slot's source.
//!
//! It reads only. What may be served is decided by `snapshot::handover`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshot::handover::{Directory, explain};
use snapshot::image::{Trust, View};

use crate::slot::{Facts, Found, Source, Stamp};

/// The file that names the newest generation.
const CURRENT: &str = "CURRENT";

/// A directory that is followed by its path: one that is moved away and replaced is noticed.
pub(super) struct Following {
    /// Where it is.
    path: PathBuf,
    /// The keys whose signatures are asked for.
    trust: Trust,
}

impl Following {
    /// Follows the directory at `path`, which must be there.
    ///
    /// # Errors
    /// One line for people.
    pub(super) fn open(path: &Path, trust: &Trust) -> Result<Following, String> {
        Directory::open(path).map_err(|error| explain(&error))?;
        Ok(Following { path: path.to_owned(), trust: trust.clone() })
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
        let directory = Directory::open(&self.path).map_err(|error| explain(&error))?;
        let loaded = directory.trusting(self.trust.clone()).load(previous).map_err(|error| explain(&error))?;
        Ok(loaded.map(|loaded| Found { view: loaded.view, refused: loaded.fallback }))
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
