//! The table of contents of a generation.
//!
//! A manifest names packs by digest, in order: a zone is taken from the last pack that holds it. It links to its
//! predecessor by digest, so that a directory whose history was tampered with or lost is noticed.

use std::fmt;

use rkyv::rancor;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};

use super::build::BuildError;
use super::digest::Digest;
use super::file::{self, FileKind, LoadError};
use super::sign::Trust;

/// How many packs a manifest may list: far above what compaction lets grow, far below what hurts.
const PACKS_MAX: usize = 4096;

/// The number of a snapshot; only grows. A rollback is old content under a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One pack of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRef {
    /// Names the file.
    pub digest: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// Zones in it, shadowed ones included.
    pub zones: u32,
}

/// What a generation consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Fencing epoch of the writer; only grows.
    pub epoch: u64,
    /// Number of the generation, at least 1.
    pub generation: Generation,
    /// When it was published, in seconds since 1970.
    pub created_unix_secs: u64,
    /// Digest of the manifest before it; `None` for the first.
    pub previous: Option<Digest>,
    /// The last change of the database that it has; 0 if it was compiled from files.
    pub change: u64,
    /// The value of the hash chain at that change; zero if it was compiled from files.
    pub chain: [u8; 32],
    /// The packs, older first; later ones shadow earlier ones zone by zone.
    pub packs: Vec<PackRef>,
}

/// The stored form of [`Manifest`].
#[derive(Archive, Serialize)]
#[rkyv(attr(doc = "A manifest as it lies in the file."))]
struct Stored {
    /// See [`Manifest`].
    epoch: u64,
    /// See [`Manifest`].
    generation: u64,
    /// See [`Manifest`].
    created_unix_secs: u64,
    /// All zero for none.
    previous: [u8; 32],
    /// See [`Manifest`].
    change: u64,
    /// See [`Manifest`].
    chain: [u8; 32],
    /// See [`Manifest`].
    packs: Vec<StoredPack>,
}

/// The stored form of [`PackRef`].
#[derive(Archive, Serialize)]
#[rkyv(attr(doc = "A pack reference as it lies in the file."))]
struct StoredPack {
    /// See [`PackRef`].
    digest: [u8; 32],
    /// See [`PackRef`].
    bytes: u64,
    /// See [`PackRef`].
    zones: u32,
}

impl Manifest {
    /// The bytes of the manifest file, and their digest.
    ///
    /// # Errors
    /// [`BuildError::Archive`] if the archive cannot be written, [`BuildError::TooManyPacks`].
    pub fn encode(&self) -> Result<(Vec<u8>, Digest), BuildError> {
        if self.packs.len() > PACKS_MAX {
            return Err(BuildError::TooManyPacks);
        }
        let packs = self.packs.iter();
        let stored = Stored {
            epoch: self.epoch,
            generation: self.generation.0,
            created_unix_secs: self.created_unix_secs,
            previous: self.previous.map_or([0; 32], |digest| digest.0),
            change: self.change,
            chain: self.chain,
            packs: packs.map(|p| StoredPack { digest: p.digest.0, bytes: p.bytes, zones: p.zones }).collect(),
        };
        let body = rkyv::to_bytes::<rancor::Error>(&stored).map_err(|error| BuildError::Archive(error.to_string()))?;
        let (header, digest) = file::header(FileKind::Manifest, &body);
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(&body);
        Ok((bytes, digest))
    }

    /// Reads a manifest file whole; also returns its digest.
    ///
    /// # Errors
    /// [`LoadError`] for anything but what [`Manifest::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<(Manifest, Digest), LoadError> {
        Manifest::decode_trusted(bytes, &Trust::default())
    }

    /// [`Manifest::decode`] for a file that must have a signature of one of the keys trusted, if there are any.
    ///
    /// # Errors
    /// As [`Manifest::decode`], and [`LoadError::Signature`].
    pub fn decode_trusted(bytes: &[u8], trust: &Trust) -> Result<(Manifest, Digest), LoadError> {
        let (body, digest) = file::open(FileKind::Manifest, bytes, trust)?;
        let mut aligned = AlignedVec::<16>::with_capacity(body.len());
        aligned.extend_from_slice(body);
        let stored = rkyv::access::<ArchivedStored, rancor::Error>(&aligned)
            .map_err(|error| LoadError::Archive(error.to_string()))?;
        if stored.generation == 0 {
            return Err(LoadError::Manifest("generation is 0"));
        }
        if stored.packs.len() > PACKS_MAX {
            return Err(LoadError::Manifest("too many packs"));
        }
        let packs = stored.packs.iter().map(|pack| PackRef {
            digest: Digest(pack.digest),
            bytes: pack.bytes.to_native(),
            zones: pack.zones.to_native(),
        });
        let manifest = Manifest {
            epoch: stored.epoch.to_native(),
            generation: Generation(stored.generation.to_native()),
            created_unix_secs: stored.created_unix_secs.to_native(),
            previous: Some(Digest(stored.previous)).filter(|digest| digest.0 != [0; 32]),
            change: stored.change.to_native(),
            chain: stored.chain,
            packs: packs.collect(),
        };
        Ok((manifest, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest with two packs.
    fn manifest() -> Manifest {
        let pack = |n: u8| PackRef { digest: Digest([n; 32]), bytes: 640, zones: 3 };
        Manifest {
            epoch: 1,
            generation: Generation(7),
            created_unix_secs: 1_700_000_000,
            previous: Some(Digest([9; 32])),
            change: 3,
            chain: [5; 32],
            packs: vec![pack(1), pack(2)],
        }
    }

    #[test]
    fn encode_then_decode_is_identity() {
        let (bytes, digest) = manifest().encode().unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), (manifest(), digest));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (bytes, _) = manifest().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&broken).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "cut to {len}");
        }
        let longer = [bytes.as_slice(), b"\0"].concat();
        assert!(Manifest::decode(&longer).is_err());
    }
}
