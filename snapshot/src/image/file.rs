//! The fixed header in front of every snapshot file, and why a file is not accepted.
//!
//! Layout (128 bytes): magic 8, format version u16, kind u16, header length u32, body length u64, key id 8, BLAKE3 of the
//! body 32, signature 64. Key id and signature are zero in files that are not signed. Every bit is checked, so every flip
//! is noticed; in a signed file by whoever trusts its key.

use std::fmt;

use thiserror::Error;

use super::bytes::{u16_at, u32_at, u64_at};
use super::digest::Digest;
use super::sign::Trust;
use crate::dns::name::Name;

/// Opens every file: not text, and a transfer that mangles line ends or the eighth bit breaks it.
const MAGIC: [u8; 8] = *b"\x89PTRL\r\n\x1a";
/// The format version this code writes and reads.
pub(super) const FORMAT_VERSION: u16 = 4;
/// Bytes before the body; a multiple of the line length, so that archives stay aligned.
pub(super) const HEADER_LEN: usize = 128;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Zones.
    Pack,
    /// The list of a generation's packs.
    Manifest,
}

impl FileKind {
    /// The number in the header.
    fn code(self) -> u16 {
        match self {
            FileKind::Pack => 1,
            FileKind::Manifest => 2,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Pack => "pack",
            FileKind::Manifest => "manifest",
        })
    }
}

/// Why a snapshot file is refused. What was served before still is.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("reading the file")]
    Io(#[from] std::io::Error),
    /// It does not start like a snapshot file.
    #[error("not a snapshot file: {0}")]
    Header(&'static str),
    /// It was written by a newer or older release.
    #[error("format version {found} is not supported, this release reads {FORMAT_VERSION}")]
    FormatVersion {
        /// The version in the file.
        found: u16,
    },
    /// It is longer or shorter than its header says.
    #[error("{found} bytes where the header announces {expected}")]
    Length {
        /// Bytes of the body.
        found: u64,
        /// Bytes it should have.
        expected: u64,
    },
    /// Its content is not what its header or name says.
    #[error("content has digest {found}, expected {expected}")]
    Digest {
        /// Digest of the body.
        found: Digest,
        /// Digest it should have.
        expected: Digest,
    },
    /// It has no signature of a key that is trusted.
    #[error("not trusted: {0}")]
    Signature(&'static str),
    /// The archive inside is malformed.
    #[error("archive is malformed: {0}")]
    Archive(String),
    /// A segment breaks a rule of the format.
    #[error("segment {segment} is malformed: {rule}")]
    Segment {
        /// Position in the pack.
        segment: usize,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// The segment that an overlay lies on is not the latest one of its zone below it.
    #[error("the overlay of zone {apex} lacks its base")]
    Base {
        /// The zone.
        apex: Name,
    },
    /// A manifest breaks a rule of the format.
    #[error("manifest is malformed: {0}")]
    Manifest(&'static str),
    /// It needs more than this release can address.
    #[error("too large: {0}")]
    TooLarge(&'static str),
}

/// The header of a file with this body.
pub(super) fn header(kind: FileKind, body: &[u8]) -> ([u8; HEADER_LEN], Digest) {
    let digest = Digest::of(body);
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[10..12].copy_from_slice(&kind.code().to_le_bytes());
    header[12] = 128;
    header[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
    header[32..64].copy_from_slice(&digest.0);
    (header, digest)
}

/// Checks a whole file of the given kind and returns its body and digest.
pub(super) fn open<'f>(kind: FileKind, file: &'f [u8], trust: &Trust) -> Result<(&'f [u8], Digest), LoadError> {
    let (header, body) = file.split_at_checked(HEADER_LEN).ok_or(LoadError::Header("shorter than a header"))?;
    if header[..8] != MAGIC {
        return Err(LoadError::Header("wrong magic"));
    }
    let version = u16_at(header, 8).unwrap_or(0);
    if version != FORMAT_VERSION {
        return Err(LoadError::FormatVersion { found: version });
    }
    if u16_at(header, 10) != Some(kind.code()) {
        return Err(LoadError::Header("of another kind than expected"));
    }
    if u32_at(header, 12) != u32::try_from(HEADER_LEN).ok() {
        return Err(LoadError::Header("wrong header length"));
    }
    let expected = u64_at(header, 16).unwrap_or(0);
    if body.len() as u64 != expected {
        return Err(LoadError::Length { found: body.len() as u64, expected });
    }
    trust.check(header).map_err(LoadError::Signature)?;
    let mut expected = Digest([0; 32]);
    expected.0.copy_from_slice(&header[32..64]);
    let found = Digest::of(body);
    if found != expected {
        return Err(LoadError::Digest { found, expected });
    }
    Ok((body, found))
}
