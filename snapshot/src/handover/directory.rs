//! The directory of generations as a reader sees it: which generation is current, and what else is there.
//!
//! Reading needs no lock and changes nothing; loading packs is in `load`. Invariant: what is returned as [`Current`] has the
//! digest that `CURRENT` states, and is the generation its file name says.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::layout::{self, CurrentLine, FileKind, ManifestName};
use super::lock::{Lock, LockError};
use super::{HandoverError, Writer};
use crate::image::{Digest, Generation, Manifest, PACK_LEN_MAX, Trust};

/// The longest `CURRENT`: its line has 110 bytes.
const CURRENT_LEN_MAX: u64 = 256;
/// How often it is read before it counts as damaged.
const READS_MAX: usize = 4;
/// The longest manifest: one that lists 64 packs has a few kilobytes.
const MANIFEST_LEN_MAX: u64 = 1 << 20;

/// A directory of generations. Clones share one open directory.
#[derive(Clone)]
pub struct Directory {
    /// The open directory.
    pub(super) disk: Arc<Disk>,
    /// The keys whose signatures are asked for.
    pub(super) trust: Arc<Trust>,
    /// Generations that are not read.
    avoided: Arc<[Generation]>,
}

/// The generation that `CURRENT` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its manifest.
    pub manifest: Manifest,
    /// The file name of the manifest.
    pub file_name: String,
    /// The digest of the manifest's bytes, as stated in `CURRENT`.
    pub digest: Digest,
}

/// A manifest on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationEntry {
    /// Its generation, according to its file name.
    pub generation: Generation,
    /// Its epoch, according to its file name.
    pub epoch: u64,
    /// Its file name.
    pub file_name: String,
    /// How it relates to `CURRENT`.
    pub standing: Standing,
    /// Whether it could be served.
    pub state: GenerationState,
}

/// How a generation on disk relates to `CURRENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// `CURRENT` names it.
    Current,
    /// The one before: the current manifest names its digest.
    Predecessor,
    /// An older one.
    Past,
    /// Newer than `CURRENT`: its writer died before it was published.
    Unpublished,
    /// `CURRENT` cannot be read.
    Unknown,
}

/// Whether a generation on disk could be served, as far as names and lengths tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationState {
    /// The manifest is sound, and all its packs are there with the right length; their digests are checked by loading.
    Intact(Manifest),
    /// It cannot be served; the reason, for people.
    Broken(String),
}

impl Directory {
    /// Opens the directory at `path` for reading.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub fn open(path: &Path) -> Result<Directory, HandoverError> {
        Ok(Directory { disk: Arc::new(Disk::open(path)?), trust: Arc::default(), avoided: Arc::default() })
    }

    /// Opens the directory at `path`; if it is missing it is created with mode 0750, as are its parents.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub fn create(path: &Path) -> Result<Directory, HandoverError> {
        Ok(Directory { disk: Arc::new(Disk::create(path)?), trust: Arc::default(), avoided: Arc::default() })
    }

    /// The same directory, of which only files with a signature of one of these keys are read, if there are any.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Directory {
        Directory { trust: Arc::new(trust), ..self }
    }

    /// The same directory without these generations: their manifests count as broken.
    #[must_use]
    pub fn avoiding(self, generations: Vec<Generation>) -> Directory {
        Directory { avoided: generations.into(), ..self }
    }

    /// Where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Makes this process the writer, until the [`Writer`] is dropped or the process ends. `holder` is shown to whoever
    /// comes second, as `dnsctl compile`.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process is the writer, else [`LockError::Handover`].
    pub fn lock(&self, holder: &str) -> Result<Writer, LockError> {
        let lock = Lock::take(&self.disk, holder)?;
        Ok(Writer::start(self.clone(), lock)?)
    }

    /// The generation that `CURRENT` names; `None` if nothing was published yet. Packs are not looked at.
    ///
    /// # Errors
    /// [`HandoverError`] naming the file that is missing or wrong.
    pub fn current(&self) -> Result<Option<Current>, HandoverError> {
        self.current_line()?.map(|line| self.resolve(&line)).transpose()
    }

    /// All generations on disk, the newest first, broken ones included.
    ///
    /// # Errors
    /// [`HandoverError::Io`] if the directory cannot be listed.
    pub fn generations(&self) -> Result<Vec<GenerationEntry>, HandoverError> {
        let current = self.current_line();
        let previous = match &current {
            Ok(Some(line)) => self.resolve(line).ok().and_then(|current| current.manifest.previous),
            _ => None,
        };
        let mut entries = Vec::new();
        for name in self.manifest_names()? {
            let read = self.manifest(name);
            let standing = match &current {
                Err(_) => Standing::Unknown,
                Ok(Some(line)) if line.manifest == name => Standing::Current,
                Ok(Some(line)) if name.generation <= line.manifest.generation => match &read {
                    Ok((_, digest)) if Some(*digest) == previous => Standing::Predecessor,
                    _ => Standing::Past,
                },
                Ok(_) => Standing::Unpublished,
            };
            let expected = current.as_ref().ok().and_then(Option::as_ref).filter(|line| line.manifest == name);
            let state = match read.and_then(|(manifest, digest)| self.examine(manifest, digest, expected)) {
                Ok(manifest) => GenerationState::Intact(manifest),
                Err(error) => GenerationState::Broken(super::explain(&error)),
            };
            let ManifestName { epoch, generation } = name;
            entries.push(GenerationEntry { generation, epoch, file_name: name.to_string(), standing, state });
        }
        Ok(entries)
    }

    /// Checks that a manifest is the one `CURRENT` states, if it is about this one, and that its packs are there.
    fn examine(
        &self,
        manifest: Manifest,
        found: Digest,
        expected: Option<&CurrentLine>,
    ) -> Result<Manifest, HandoverError> {
        if let Some(CurrentLine { manifest: name, digest: expected }) = expected
            && *expected != found
        {
            return Err(HandoverError::WrongDigest {
                path: self.disk.path_of(&name.to_string()),
                found,
                expected: *expected,
            });
        }
        for pack in &manifest.packs {
            self.open_pack(&layout::pack_name(pack.digest), pack.bytes)?;
        }
        Ok(manifest)
    }

    /// Opens a pack file of this length.
    ///
    /// # Errors
    /// As [`Disk::open_file`], and [`HandoverError::Length`].
    pub(super) fn open_pack(&self, name: &str, expected: u64) -> Result<std::fs::File, HandoverError> {
        let (file, found) = self.disk.open_file(name, PACK_LEN_MAX)?;
        if found == expected {
            Ok(file)
        } else {
            Err(HandoverError::Length { path: self.disk.path_of(name), found, expected })
        }
    }

    /// Reads `CURRENT`; `None` if there is none. A file that was replaced between opening and reading it may be written
    /// again meanwhile, so what makes no sense is read anew.
    ///
    /// # Errors
    /// As [`Disk::read`], and [`HandoverError::Malformed`].
    pub(super) fn current_line(&self) -> Result<Option<CurrentLine>, HandoverError> {
        let mut attempts_left = READS_MAX;
        loop {
            let bytes = match self.disk.read(layout::CURRENT, CURRENT_LEN_MAX) {
                Err(HandoverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            };
            attempts_left -= 1;
            match CurrentLine::parse(&bytes) {
                Ok(line) => return Ok(Some(line)),
                Err(_) if attempts_left > 0 => {}
                Err(reason) => {
                    return Err(HandoverError::Malformed { path: self.disk.path_of(layout::CURRENT), reason });
                }
            }
        }
    }

    /// `CURRENT` is not there although it should be.
    pub(super) fn current_is_missing(&self) -> HandoverError {
        HandoverError::CurrentMissing { path: self.disk.path_of(layout::CURRENT) }
    }

    /// Reads the manifest that a line of `CURRENT` names.
    ///
    /// # Errors
    /// As [`Directory::manifest`], and [`HandoverError::WrongDigest`].
    pub(super) fn resolve(&self, line: &CurrentLine) -> Result<Current, HandoverError> {
        let (manifest, found) = self.manifest(line.manifest)?;
        let file_name = line.manifest.to_string();
        if found != line.digest {
            let path = self.disk.path_of(&file_name);
            return Err(HandoverError::WrongDigest { path, found, expected: line.digest });
        }
        Ok(Current { manifest, file_name, digest: found })
    }

    /// Reads a manifest and the digest of its bytes.
    ///
    /// # Errors
    /// As [`Disk::read`], [`HandoverError::Refused`], and [`HandoverError::Malformed`] if it is another generation's.
    pub(super) fn manifest(&self, name: ManifestName) -> Result<(Manifest, Digest), HandoverError> {
        let file_name = name.to_string();
        let path = || self.disk.path_of(&file_name);
        if self.avoided.contains(&name.generation) {
            return Err(HandoverError::Avoided { path: path() });
        }
        let bytes = self.disk.read(&file_name, MANIFEST_LEN_MAX)?;
        let (manifest, digest) = Manifest::decode_trusted(&bytes, &self.trust)
            .map_err(|source| HandoverError::Refused { path: path(), source })?;
        if manifest.epoch != name.epoch || manifest.generation != name.generation {
            return Err(HandoverError::Malformed { path: path(), reason: "it is the manifest of another generation" });
        }
        Ok((manifest, digest))
    }

    /// The manifests on disk by their names, the newest generation first.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn manifest_names(&self) -> Result<Vec<ManifestName>, HandoverError> {
        let names = self.disk.names()?;
        let mut manifests: Vec<ManifestName> = names
            .iter()
            .filter_map(|name| match FileKind::of(name) {
                FileKind::Manifest(manifest) => Some(manifest),
                _ => None,
            })
            .collect();
        manifests.sort_unstable_by_key(|name| std::cmp::Reverse((name.generation, name.epoch)));
        Ok(manifests)
    }
}
