//! A pack: many segments in one immutable file.
//!
//! The body of the file is one rkyv archive: a table of zones and the lines of their segments. Invariant of [`Pack`]:
//! digest, archive and every segment were checked, and the bytes lie in read-only memory of this process, so neither a
//! truncated nor an overwritten file can reach a lookup.

use std::fs::File;
use std::io::Read;

use memmap2::{Advice, Mmap, MmapMut};
use rkyv::rancor;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};

use super::build::{BaseFacts, BuildError, Segment};
use super::digest::Digest;
use super::file::{self, FileKind, HEADER_LEN, LoadError};
use super::layout::{KIND_OVERLAY, KIND_ZONE, SEGMENT_SIGNED};
use super::line::{ArchivedLine, LINE_LEN, Line, push_lines};
use super::sign::{PublicKey, Trust};
use super::verify::{Verified, verify_segment};
use crate::dns::name::Name;

/// Bytes of lines in the largest pack, 1.75 GiB: some fourteen million names. The archive's relative pointers are signed
/// and 32 bits wide, and the records behind the lines must stay in their reach too.
pub(super) const LINES_LEN_MAX: u64 = 7 << 28;
/// Bytes of the largest pack file: 128 MiB for the records of zones.
pub const PACK_LEN_MAX: u64 = LINES_LEN_MAX + (128 << 20);

/// Bytes of a huge page; smaller packs cannot have one.
const HUGE_PAGE_LEN: usize = 2 << 20;

/// What is known of a zone without looking inside its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFacts {
    /// Apex in canonical form.
    pub apex: Name,
    /// SOA serial.
    pub serial: u32,
    /// Whether it carries its own signatures.
    pub signed: bool,
    /// Owner names with data.
    pub names: u32,
    /// RRsets, signatures not counted.
    pub rrsets: u32,
    /// Resource records.
    pub records: u32,
    /// Bytes of its segment.
    pub bytes: u64,
    /// Digest of its segment.
    pub digest: Digest,
    /// The segment is an overlay, and this is the digest of its base; the counts are those of the two together.
    pub base: Option<Box<Digest>>,
}

/// A pack as it is written to a file.
pub struct PackFile {
    /// Digest of the body; the file is named by it.
    pub digest: Digest,
    /// How many zones.
    pub zones: u32,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// A loaded pack.
pub struct Pack {
    /// The whole file, copied from disk into anonymous memory and then made read-only.
    memory: Mmap,
    /// Digest of the body.
    digest: Digest,
    /// Where the lines start, in bytes; they end with the last segment.
    lines_off: usize,
    /// The zones, by their position in the file.
    zones: Vec<ZoneEntry>,
    /// Which of them are overlays.
    overlays: Vec<usize>,
    /// The apexes of zones that are deleted.
    deleted: Vec<Name>,
}

/// A zone of a loaded pack.
pub(super) struct ZoneEntry {
    /// Its facts.
    pub(super) facts: ZoneFacts,
    /// First byte of its segment in the file.
    pub(super) off: usize,
}

impl ZoneEntry {
    /// Bytes of its segment.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.facts.bytes).unwrap_or(usize::MAX)
    }
}

/// The archive.
#[derive(Archive, Serialize)]
#[rkyv(attr(doc = "A pack as it lies in the file."))]
struct Stored {
    /// The segments, one after the other. They come first so that the body starts with them: rkyv cannot pad by 32 bytes
    /// or more, which aligning to 64 in the middle could take.
    lines: Vec<Line>,
    /// One entry per segment, in the order of their lines.
    zones: Vec<StoredZone>,
    /// The apexes of zones that earlier packs may have and that are there no more.
    deleted: Vec<Vec<u8>>,
}

/// An entry of the archive's table of zones. The apex is in the segment.
#[derive(Archive, Serialize)]
#[rkyv(attr(doc = "A zone entry as it lies in the file."))]
struct StoredZone {
    /// First line.
    line: u32,
    /// How many lines.
    line_count: u32,
    /// SOA serial.
    serial: u32,
    /// See [`ZoneFacts`].
    names: u32,
    /// See [`ZoneFacts`].
    rrsets: u32,
    /// See [`ZoneFacts`].
    records: u32,
    /// Segment kind.
    kind: u8,
    /// Segment flags.
    flags: u8,
    /// Digest of the segment's bytes.
    digest: [u8; 32],
}

impl PackFile {
    /// Puts segments into one file.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] past 1.75 GiB, [`BuildError::Archive`].
    pub fn encode(segments: Vec<Segment>) -> Result<PackFile, BuildError> {
        PackFile::encode_change(segments, &[])
    }

    /// Puts segments into files in their order, each with up to `segments_len_max` bytes of them, or with one that is longer.
    ///
    /// # Errors
    /// As [`PackFile::encode`].
    pub fn encode_all(segments: Vec<Segment>, segments_len_max: u64) -> Result<Vec<PackFile>, BuildError> {
        let mut packs = Vec::new();
        let mut waiting: Vec<Segment> = Vec::new();
        let mut len = 0;
        for segment in segments {
            if len + segment.facts.bytes > segments_len_max && !waiting.is_empty() {
                packs.push(PackFile::encode(std::mem::take(&mut waiting))?);
                len = 0;
            }
            len += segment.facts.bytes;
            waiting.push(segment);
        }
        if !waiting.is_empty() {
            packs.push(PackFile::encode(waiting)?);
        }
        Ok(packs)
    }

    /// Puts segments into one file, with the apexes of zones that are deleted: earlier packs may still have them.
    ///
    /// # Errors
    /// As [`PackFile::encode`].
    pub fn encode_change(segments: Vec<Segment>, deleted: &[Name]) -> Result<PackFile, BuildError> {
        let line_count: usize = segments.iter().map(|segment| segment.lines.len()).sum();
        if (line_count * LINE_LEN) as u64 > LINES_LEN_MAX {
            return Err(BuildError::TooLarge("a pack"));
        }
        let narrow = |value: usize| u32::try_from(value).map_err(|_| BuildError::TooLarge("a pack"));
        let mut stored = Stored {
            lines: Vec::with_capacity(line_count),
            zones: Vec::with_capacity(segments.len()),
            deleted: deleted.iter().map(|apex| apex.to_canonical().as_wire().to_vec()).collect(),
        };
        for Segment { facts, lines } in segments {
            stored.zones.push(StoredZone {
                line: narrow(stored.lines.len())?,
                line_count: narrow(lines.len())?,
                serial: facts.serial,
                names: facts.names,
                rrsets: facts.rrsets,
                records: facts.records,
                kind: if facts.base.is_some() { KIND_OVERLAY } else { KIND_ZONE },
                flags: if facts.signed { SEGMENT_SIGNED } else { 0 },
                digest: facts.digest.0,
            });
            stored.lines.extend_from_slice(&lines);
        }
        let room = line_count * LINE_LEN + stored.zones.len() * size_of::<ArchivedStoredZone>() + LINE_LEN;
        let body = AlignedVec::<LINE_LEN>::with_capacity(room);
        let body = rkyv::api::high::to_bytes_in::<_, rancor::Error>(&stored, body)
            .map_err(|error| BuildError::Archive(error.to_string()))?;
        let zones = narrow(stored.zones.len())?;
        drop(stored);
        let (header, digest) = file::header(FileKind::Pack, &body);
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&body);
        Ok(PackFile { digest, zones, bytes })
    }
}

impl PackFile {
    /// Checks the file as a loader will, in a copy of its bytes.
    ///
    /// # Errors
    /// As [`Pack::load`].
    pub fn open(&self) -> Result<Pack, LoadError> {
        let mut memory = MmapMut::map_anon(self.bytes.len())?;
        memory.copy_from_slice(&self.bytes);
        Pack::open(memory.make_read_only()?, self.digest, &Trust::default())
    }
}

impl Pack {
    /// Copies a pack file into memory, makes that memory read-only and checks it: header, digest, archive, then every
    /// segment. About 0.2 s per 100 MB.
    ///
    /// # Errors
    /// [`LoadError`]; `expected` is what the manifest calls the pack.
    pub fn load(file: &File, expected: Digest) -> Result<Pack, LoadError> {
        Pack::load_trusted(file, expected, &Trust::default())
    }

    /// [`Pack::load`] for a file that must have a signature of one of the keys trusted, if there are any.
    ///
    /// # Errors
    /// As [`Pack::load`], and [`LoadError::Signature`].
    pub fn load_trusted(file: &File, expected: Digest, trust: &Trust) -> Result<Pack, LoadError> {
        let len = file.metadata()?.len();
        if len > PACK_LEN_MAX {
            return Err(LoadError::TooLarge("a pack of more than 1.875 GiB"));
        }
        let len = usize::try_from(len).map_err(|_| LoadError::TooLarge("a pack"))?;
        if len < HEADER_LEN {
            return Err(LoadError::Header("shorter than a header"));
        }
        let mut memory = MmapMut::map_anon(len)?;
        if len >= HUGE_PAGE_LEN {
            // Huge pages save a tenth to a third of a lookup; without them everything works as well.
            memory.advise(Advice::HugePage).ok();
        }
        let mut reader = file;
        reader.read_exact(&mut memory)?;
        Pack::open(memory.make_read_only()?, expected, trust)
    }

    /// Checks a pack in memory.
    fn open(memory: Mmap, expected: Digest, trust: &Trust) -> Result<Pack, LoadError> {
        let (body, found) = file::open(FileKind::Pack, &memory, trust)?;
        if found != expected {
            return Err(LoadError::Digest { found, expected });
        }
        let stored = rkyv::access::<ArchivedStored, rancor::Error>(body)
            .map_err(|error| LoadError::Archive(error.to_string()))?;
        let lines: &[ArchivedLine] = stored.lines.as_slice();
        let lines_off = lines.as_ptr().addr() - memory.as_ptr().addr();
        let lines_len = size_of_val(lines);
        let bytes = memory.get(lines_off..lines_off + lines_len).ok_or(LoadError::Archive("lines".into()))?;
        let mut zones: Vec<ZoneEntry> = Vec::with_capacity(stored.zones.len());
        let deleted = stored.deleted.iter().map(|apex| deleted_apex(apex)).collect::<Result<Vec<_>, _>>()?;
        let mut next = 0;
        for (segment, zone) in stored.zones.iter().enumerate() {
            let fail = |rule| LoadError::Segment { segment, rule };
            let off = zone.line.to_native() as usize * LINE_LEN;
            let len = zone.line_count.to_native() as usize * LINE_LEN;
            if off != next {
                return Err(fail("segments do not follow each other"));
            }
            next = off + len;
            let bytes = bytes.get(off..next).ok_or(fail("lines are missing"))?;
            let Verified { apex, kind, base } = verify_segment(bytes).map_err(fail)?;
            if zone.kind != kind {
                return Err(fail("segment kind is not that of the zone list"));
            }
            let facts = facts(zone, apex, len, base);
            zones.push(ZoneEntry { facts, off: lines_off + off });
        }
        if next != lines_len {
            return Err(LoadError::Archive("lines that belong to no segment".into()));
        }
        let overlays = (0..zones.len()).filter(|&idx: &usize| zones[idx].facts.base.is_some()).collect();
        Ok(Pack { digest: found, lines_off, zones, overlays, deleted, memory })
    }

    /// Whether the file is signed with this key.
    #[must_use]
    pub fn is_signed_with(&self, key: PublicKey) -> bool {
        self.memory.get(..HEADER_LEN).is_some_and(|header| key.has_signed(header))
    }

    /// The whole file.
    #[must_use]
    pub fn file_bytes(&self) -> &[u8] {
        &self.memory
    }

    /// The digest that names it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of memory it takes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// The zones, in the order of the file.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = &ZoneFacts> + '_ {
        self.zones.iter().map(|zone| &zone.facts)
    }

    /// The apexes of zones that this pack deletes, in the order of the file.
    #[must_use]
    pub fn deleted(&self) -> &[Name] {
        &self.deleted
    }

    /// Copies the segment at a position of [`Pack::zones`], to put it into another pack.
    #[must_use]
    pub fn segment(&self, idx: usize) -> Option<Segment> {
        let zone = self.zones.get(idx)?;
        let mut lines = Vec::with_capacity(zone.len() / LINE_LEN);
        push_lines(&mut lines, self.bytes(zone.off, zone.len()));
        Some(Segment { facts: zone.facts.clone(), lines })
    }

    /// What an overlay on the segment at a position of [`Pack::zones`] needs to know of it.
    #[must_use]
    pub fn base_facts(&self, idx: usize) -> Option<BaseFacts> {
        let zone = self.zones.get(idx)?;
        BaseFacts::of(&zone.facts, |at| self.bytes(zone.off, zone.len()).get(at).copied())
    }

    /// The positions of the overlays among the zones.
    pub(super) fn overlays(&self) -> &[usize] {
        &self.overlays
    }

    /// The zone entries.
    pub(super) fn entries(&self) -> &[ZoneEntry] {
        &self.zones
    }

    /// Bytes of the file; empty if out of bounds.
    #[inline]
    pub(super) fn bytes(&self, off: usize, len: usize) -> &[u8] {
        debug_assert!(off >= self.lines_off);
        self.memory.get(off..off + len).unwrap_or_default()
    }
}

/// Reads the apex of a deleted zone, which must be canonical.
fn deleted_apex(wire: &[u8]) -> Result<Name, LoadError> {
    let malformed = || LoadError::Archive("a deleted apex is no canonical name".into());
    let apex = Name::from_wire(wire).map_err(|_| malformed())?;
    if apex.to_canonical().as_wire() == wire { Ok(apex) } else { Err(malformed()) }
}

/// The facts of a stored zone.
fn facts(zone: &ArchivedStoredZone, apex: Name, len: usize, base: Option<Digest>) -> ZoneFacts {
    ZoneFacts {
        apex,
        serial: zone.serial.to_native(),
        signed: zone.flags & SEGMENT_SIGNED != 0,
        names: zone.names.to_native(),
        rrsets: zone.rrsets.to_native(),
        records: zone.records.to_native(),
        bytes: len as u64,
        digest: Digest(zone.digest),
        base: base.map(Box::new),
    }
}
