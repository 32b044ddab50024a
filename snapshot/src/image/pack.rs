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
use super::layout::{KIND_OVERLAY, KIND_PLACES, KIND_ZONE, PLACES_APEX, SEGMENT_SIGNED, base_off, header};
use super::line::{ArchivedLine, LINE_LEN, Line, push_lines};
use super::sign::{PublicKey, Trust};
use super::verify::verify_segment;
use crate::dns::name::{Name, NameRef};

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

/// How much there is in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZoneCounts {
    /// Owner names with data.
    pub names: u32,
    /// RRsets, signatures not counted.
    pub rrsets: u32,
    /// Resource records.
    pub records: u32,
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

/// A pack in memory that nothing has looked into yet: only its octets are known to be the right ones.
pub struct Copied {
    /// The whole file, as in [`Pack`].
    memory: Mmap,
    /// Digest of the body.
    digest: Digest,
}

/// A zone of a loaded pack: what its segment does not say. A server of 100,000 zones holds as many of these.
pub(super) struct ZoneEntry {
    /// Digest of its segment.
    pub(super) digest: Digest,
    /// First line of its segment.
    line: u32,
    /// How many lines.
    line_count: u32,
    /// SOA serial.
    serial: u32,
    /// Owner names with data.
    names: u32,
    /// RRsets, signatures not counted.
    rrsets: u32,
    /// Resource records.
    records: u32,
    /// Whether it carries its own signatures.
    signed: bool,
    /// Whether the segment is an overlay.
    pub(super) is_overlay: bool,
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
            lines: Vec::new(),
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
                kind: kind(&facts),
                flags: if facts.signed { SEGMENT_SIGNED } else { 0 },
                digest: facts.digest.0,
            });
            // A large one is mostly alone, and its lines need not be copied.
            if stored.lines.is_empty() {
                stored.lines = lines;
                stored.lines.reserve_exact(line_count - stored.lines.len());
            } else {
                stored.lines.extend_from_slice(&lines);
            }
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
        Copied::of(memory.make_read_only()?, &Trust::default())?.check(self.digest)
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
        Copied::read(file, trust)?.check(expected)
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

    /// How many zones it has, overlays among them.
    #[must_use]
    pub fn zone_count(&self) -> usize {
        self.zones.len()
    }

    /// The zones, in the order of the file.
    pub fn zones(&self) -> impl Iterator<Item = ZoneFacts> + '_ {
        (0..self.zones.len()).filter_map(|idx| self.facts(idx))
    }

    /// The facts of the zone at a position.
    pub(super) fn facts(&self, idx: usize) -> Option<ZoneFacts> {
        let zone = self.zones.get(idx)?;
        let segment = self.segment_bytes(idx);
        let apex = NameRef::prefix_of(segment.get(header::APEX..)?).ok()?;
        let base =
            || segment.get(base_off(apex.as_wire().len())..)?.first_chunk().map(|digest| Box::new(Digest(*digest)));
        Some(ZoneFacts {
            apex: apex.to_name(),
            serial: zone.serial,
            signed: zone.signed,
            names: zone.names,
            rrsets: zone.rrsets,
            records: zone.records,
            bytes: segment.len() as u64,
            digest: zone.digest,
            base: if zone.is_overlay { base() } else { None },
        })
    }

    /// The apex of the zone at a position, in canonical wire format.
    pub(super) fn apex(&self, idx: usize) -> Option<&[u8]> {
        let segment = self.segment_bytes(idx);
        segment.get(header::APEX..)?.get(..usize::from(*segment.get(header::APEX_LEN)?))
    }

    /// First byte of the segment at a position in the file, and its length.
    pub(super) fn place(&self, idx: usize) -> Option<(usize, usize)> {
        let zone = self.zones.get(idx)?;
        Some((self.lines_off + zone.line as usize * LINE_LEN, zone.line_count as usize * LINE_LEN))
    }

    /// The segment at a position.
    fn segment_bytes(&self, idx: usize) -> &[u8] {
        self.place(idx).map(|(off, len)| self.bytes(off, len)).unwrap_or_default()
    }

    /// The apexes of zones that this pack deletes, in the order of the file.
    #[must_use]
    pub fn deleted(&self) -> &[Name] {
        &self.deleted
    }

    /// Copies the segment at a position of [`Pack::zones`], to put it into another pack.
    #[must_use]
    pub fn segment(&self, idx: usize) -> Option<Segment> {
        let (facts, segment) = (self.facts(idx)?, self.segment_bytes(idx));
        let mut lines = Vec::with_capacity(segment.len() / LINE_LEN);
        push_lines(&mut lines, segment);
        Some(Segment { facts, lines })
    }

    /// What an overlay on the segment at a position of [`Pack::zones`] needs to know of it.
    #[must_use]
    pub fn base_facts(&self, idx: usize) -> Option<BaseFacts> {
        let segment = self.segment_bytes(idx);
        BaseFacts::of(&self.facts(idx)?, |at| segment.get(at).copied())
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

/// The kind of a segment.
fn kind(facts: &ZoneFacts) -> u8 {
    match facts.base {
        Some(_) => KIND_OVERLAY,
        None if facts.apex.as_wire() == PLACES_APEX => KIND_PLACES,
        None => KIND_ZONE,
    }
}

impl Copied {
    /// Copies a pack file into memory, makes that memory read-only and checks header, digest and signature.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn read(file: &File, trust: &Trust) -> Result<Copied, LoadError> {
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
        Copied::of(memory.make_read_only()?, trust)
    }

    /// Checks header, digest and signature of a pack in memory.
    fn of(memory: Mmap, trust: &Trust) -> Result<Copied, LoadError> {
        let (_, digest) = file::open(FileKind::Pack, &memory, trust)?;
        Ok(Copied { digest, memory })
    }

    /// Checks the archive, then every segment.
    ///
    /// # Errors
    /// [`LoadError`]; `expected` is what the manifest calls the pack.
    pub fn check(self, expected: Digest) -> Result<Pack, LoadError> {
        let Copied { digest: found, memory } = self;
        let body = memory.get(HEADER_LEN..).unwrap_or_default();
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
            let kind = verify_segment(bytes).map_err(fail)?;
            if zone.kind != kind {
                return Err(fail("segment kind is not that of the zone list"));
            }
            zones.push(entry(zone));
        }
        if next != lines_len {
            return Err(LoadError::Archive("lines that belong to no segment".into()));
        }
        let overlays = (0..zones.len()).filter(|&idx: &usize| zones[idx].is_overlay).collect();
        Ok(Pack { digest: found, lines_off, zones, overlays, deleted, memory })
    }
}

/// Reads the apex of a deleted zone, which must be canonical.
fn deleted_apex(wire: &[u8]) -> Result<Name, LoadError> {
    let malformed = || LoadError::Archive("a deleted apex is no canonical name".into());
    let apex = Name::from_wire(wire).map_err(|_| malformed())?;
    if apex.to_canonical().as_wire() == wire { Ok(apex) } else { Err(malformed()) }
}

/// What is kept of a stored zone.
fn entry(zone: &ArchivedStoredZone) -> ZoneEntry {
    ZoneEntry {
        digest: Digest(zone.digest),
        line: zone.line.to_native(),
        line_count: zone.line_count.to_native(),
        serial: zone.serial.to_native(),
        names: zone.names.to_native(),
        rrsets: zone.rrsets.to_native(),
        records: zone.records.to_native(),
        signed: zone.flags & SEGMENT_SIGNED != 0,
        is_overlay: zone.kind == KIND_OVERLAY,
    }
}
