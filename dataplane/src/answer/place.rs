//! Copies a pre-rendered body into a reply and moves its compression pointers.
//!
//! A body is rendered for a message that asks for its very owner and starts with it. Elsewhere (wildcards, referrals,
//! CNAME targets, glue) one rule applies: a pointer into the question becomes a pointer to the same suffix of the name
//! that stands for the owner here; a pointer into the body moves with the body. See `FORMAT.md`.

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::NAME_LEN_MAX;
use snapshot::image::RrsetBody;

use crate::wire::{HEADER_LEN, Section, Writer};

/// Bytes of a record before its RDATA, with its owner as a pointer.
pub(super) const RECORD_HEAD: usize = 12;
/// Offset of the TTL in a record.
const TTL_OFF: usize = 6;
/// QTYPE and QCLASS, which lie between the question's name and the body's first record.
const QUESTION_TAIL: usize = 4;
/// Compression pointers reach below this position.
const POINTER_END: usize = 0x4000;
/// How many names a chain of pointers may lead through: far above what replies are made of.
const POINTERS_MAX: usize = 32;

/// A name inside the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it starts.
    pub(super) at: usize,
    /// Its length uncompressed, in octets.
    pub(super) len: usize,
}

/// How a body's owner relates to the name that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The name's last octets are the owner: the name itself, or an ancestor such as a zone cut.
    Suffix,
    /// The name takes the place of a wildcard owner (RFC 4592 section 2.1.3).
    Synthesized,
}

/// The reply has no room for this, or it lies where no pointer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Finds the suffix of `name` that starts `skipped` octets into it; follows compression pointers.
fn suffix_at(message: &[u8], name: Place, skipped: usize) -> Option<usize> {
    if name.at == HEADER_LEN {
        // The question is never compressed.
        return Some(name.at + skipped);
    }
    let mut at = name.at;
    let mut left = skipped;
    for _ in 0..2 * 128 {
        let octet = *message.get(at)?;
        if octet >= 0xc0 {
            at = usize::from(u16::from_be_bytes([octet & 0x3f, *message.get(at + 1)?]));
        } else if left == 0 {
            return Some(at);
        } else {
            let label_len = usize::from(octet) + 1;
            left = left.checked_sub(label_len)?;
            at += label_len;
        }
    }
    None
}

/// A compression pointer to the start of `name`; `None` if it lies where no pointer reaches.
pub(super) fn pointer_to(message: &[u8], name: Place) -> Option<u16> {
    encode_pointer(suffix_at(message, name, 0)?)
}

/// A compression pointer to a position.
fn encode_pointer(at: usize) -> Option<u16> {
    (at < POINTER_END).then(|| 0xc000 | u16::try_from(at).unwrap_or(0))
}

/// Copies the possibly compressed name at `at` into `name`; returns its length. Pointers must lead backwards.
pub(super) fn read_name(message: &[u8], at: usize, name: &mut [u8; 256]) -> Option<usize> {
    let mut len = 0;
    let mut next = at;
    let mut pointers = 0;
    loop {
        let octet = *message.get(next)?;
        if octet >= 0xc0 {
            let target = usize::from(u16::from_be_bytes([octet & 0x3f, *message.get(next + 1)?]));
            pointers += 1;
            if target >= next || pointers > POINTERS_MAX {
                return None;
            }
            next = target;
            continue;
        }
        let label = message.get(next..next + usize::from(octet) + 1)?;
        name.get_mut(len..len + label.len())?.copy_from_slice(label);
        len += label.len();
        next += label.len();
        if octet == 0 {
            return Some(len);
        }
    }
}

/// What moving one body's pointers needs.
struct Move {
    /// The name that stands for the owner.
    name: Place,
    /// Octets of the name before the part that the owner's octets map to: its length minus the owner's.
    shift: usize,
    /// Octets of the owner.
    owner_len: usize,
    /// Where the records start in the reply.
    records_at: usize,
}

impl Move {
    /// Where a pointer's target is in this reply.
    fn target(&self, message: &[u8], pointer: u16) -> Option<u16> {
        let old = usize::from(pointer & 0x3fff);
        let base = HEADER_LEN + self.owner_len + QUESTION_TAIL;
        let new = match old.checked_sub(base) {
            Some(off) => self.records_at + off,
            None => suffix_at(message, self.name, old.checked_sub(HEADER_LEN)? + self.shift)?,
        };
        encode_pointer(new)
    }

    /// Moves the listed pointers that lie in `bytes` of the reply; the list counts from `list_base`.
    fn relocate(&self, writer: &mut Writer<'_>, relocs: &[u8], list_base: usize, at: usize, len: usize) -> Option<()> {
        for off in RrsetBody::offsets(relocs) {
            let Some(off) = off.checked_sub(list_base).filter(|off| off + 2 <= len) else { continue };
            let old = writer.message().get(at + off..at + off + 2)?;
            let old = u16::from_be_bytes([old[0], old[1]]);
            let new = self.target(writer.message(), old)?;
            writer.patch(at + off, new);
        }
        Some(())
    }
}

/// Writes `owner` as the owner of each record in a run.
fn own(writer: &mut Writer<'_>, at: usize, count: u16, owner: u16) -> Option<()> {
    let mut next = at;
    for _ in 0..count {
        let len = writer.message().get(next + RECORD_HEAD - 2..next + RECORD_HEAD)?;
        let rdata_len = usize::from(u16::from_be_bytes([len[0], len[1]]));
        writer.patch(next, owner);
        next += RECORD_HEAD + rdata_len;
    }
    Some(())
}

/// Copies records, and signatures if `sigs`, into a section; all or nothing. Returns where the records start.
///
/// The common case, a body for the question itself, is two copies and no pointer is looked at. Left to the compiler, it is
/// inlined or not with every change around it: 1,512 instructions of a hit without it, 1,477 with (`perf/instructions`).
#[inline(always)]
pub(super) fn place(
    writer: &mut Writer<'_>,
    section: Section,
    body: &RrsetBody<'_>,
    name: Place,
    owner: Owner,
    sigs: Sigs,
) -> Result<usize, Full> {
    if body.record_count == 0 {
        // Compiled from an RRset that no message can hold.
        return Err(Full);
    }
    let with_sigs = sigs == Sigs::Include && body.sig_count > 0;
    let mark = writer.mark();
    let at = writer.len();
    writer.put(section, body.records, body.record_count).ok_or(Full)?;
    if with_sigs && writer.put(section, body.sigs, body.sig_count.into()).is_none() {
        writer.rewind(mark);
        return Err(Full);
    }
    let as_rendered = name.at == HEADER_LEN && (name.len == body.owner_len || owner == Owner::Synthesized);
    let in_place = at == HEADER_LEN + body.owner_len + QUESTION_TAIL;
    let moved = !(as_rendered && (body.relocs.is_empty() || in_place));
    if moved && adjust(writer, body, name, owner, at, with_sigs).is_none() {
        writer.rewind(mark);
        return Err(Full);
    }
    Ok(at)
}

/// Appends records with their signatures under an owner of their own, in canonical wire format; all or nothing. The owner
/// is compressed against the question, the rest of the records has no pointer.
pub(super) fn place_owned(
    writer: &mut Writer<'_>,
    section: Section,
    body: &RrsetBody<'_>,
    owner: &[u8],
    qname: &LookupName,
) -> Result<(), Full> {
    if body.record_count == 0 {
        return Err(Full);
    }
    let mark = writer.mark();
    let mut name = [0; NAME_LEN_MAX];
    let len = compress(owner, qname, &mut name).ok_or(Full)?;
    let mut pointer = None;
    for mut run in [body.records, body.sigs] {
        while !run.is_empty() {
            let (record, rest) = split_record(run).ok_or(Full)?;
            let at = writer.len();
            // The first one spells the name, the others point to it where a pointer reaches.
            let owner = pointer.as_ref().map_or(&name[..len], |pointer: &[u8; 2]| &pointer[..]);
            let put = writer.put(section, owner, 0).and_then(|()| writer.put(section, &record[2..], 1));
            if put.is_none() {
                writer.rewind(mark);
                return Err(Full);
            }
            if len > 2 && pointer.is_none() {
                pointer = encode_pointer(at).map(u16::to_be_bytes);
            }
            run = rest;
        }
    }
    Ok(())
}

/// The first of a run of records, and the others.
fn split_record(run: &[u8]) -> Option<(&[u8], &[u8])> {
    let field = run.get(RECORD_HEAD - 2..RECORD_HEAD)?;
    run.split_at_checked(RECORD_HEAD + usize::from(u16::from_be_bytes([field[0], field[1]])))
}

/// Writes `owner` with the labels that it shares with the question as a pointer; returns the bytes written.
fn compress(owner: &[u8], qname: &LookupName, out: &mut [u8; NAME_LEN_MAX]) -> Option<usize> {
    let next = |name: &[u8]| name.get(usize::from(*name.first()?) + 1..).map(<[u8]>::len);
    let mut labels = 0;
    let mut rest = owner;
    while *rest.first()? != 0 {
        labels += 1;
        rest = owner.get(owner.len() - next(rest)?..)?;
    }
    let mut rest = owner;
    while labels > 0 {
        if labels <= qname.label_count() && qname.suffix(labels) == rest {
            let kept = owner.len() - rest.len();
            let pointer = encode_pointer(HEADER_LEN + qname.as_wire().len() - rest.len())?;
            out.get_mut(..kept)?.copy_from_slice(&owner[..kept]);
            out.get_mut(kept..kept + 2)?.copy_from_slice(&pointer.to_be_bytes());
            return Some(kept + 2);
        }
        rest = owner.get(owner.len() - next(rest)?..)?;
        labels -= 1;
    }
    out.get_mut(..owner.len())?.copy_from_slice(owner);
    Some(owner.len())
}

/// Whether signatures go with the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sigs {
    /// DO is set.
    Include,
    /// DO is not set.
    LeaveOut,
}

/// Moves owners and pointers of a body that was copied to `at`.
fn adjust(
    writer: &mut Writer<'_>,
    body: &RrsetBody<'_>,
    name: Place,
    owner: Owner,
    at: usize,
    with_sigs: bool,
) -> Option<()> {
    let shift = name.len.checked_sub(body.owner_len)?;
    let owner_at = match owner {
        Owner::Synthesized => suffix_at(writer.message(), name, 0)?,
        Owner::Suffix => suffix_at(writer.message(), name, shift)?,
    };
    let pointer = encode_pointer(owner_at)?;
    own(writer, at, body.record_count, pointer)?;
    if with_sigs {
        own(writer, at + body.records.len(), body.sig_count.into(), pointer)?;
    }
    let rule = Move { name, shift, owner_len: body.owner_len, records_at: at };
    rule.relocate(writer, body.relocs, 0, at, body.records.len())
}

/// Copies as much of a cut's glue as fits, in whole records; its NS records are at `records_at`. Returns [`Full`] if
/// some had to be left out.
pub(super) fn place_glue(
    writer: &mut Writer<'_>,
    body: &RrsetBody<'_>,
    name: Place,
    records_at: usize,
) -> Result<(), Full> {
    let room = writer.room();
    let (glue, glue_count) = body.glue();
    let (mut len, mut count) = (0, 0);
    while count < glue_count {
        let Some(field) = glue.get(len + RECORD_HEAD - 2..len + RECORD_HEAD) else { break };
        let next = len + RECORD_HEAD + usize::from(u16::from_be_bytes([field[0], field[1]]));
        if next > room {
            break;
        }
        len = next;
        count += 1;
    }
    let at = writer.len();
    writer.put(Section::Additional, glue.get(..len).ok_or(Full)?, count).ok_or(Full)?;
    let shift = name.len.checked_sub(body.owner_len).ok_or(Full)?;
    if shift != 0 || name.at != HEADER_LEN || records_at != HEADER_LEN + body.owner_len + QUESTION_TAIL {
        let rule = Move { name, shift, owner_len: body.owner_len, records_at };
        rule.relocate(writer, body.relocs, body.records.len(), at, len).ok_or(Full)?;
    }
    if count == glue_count { Ok(()) } else { Err(Full) }
}

/// Sets the TTL of a run of records.
pub(super) fn set_ttl(writer: &mut Writer<'_>, at: usize, count: u16, ttl_secs: u32) {
    let mut next = at;
    for _ in 0..count {
        let Some(len) = writer.message().get(next + RECORD_HEAD - 2..next + RECORD_HEAD) else { return };
        let rdata_len = usize::from(u16::from_be_bytes([len[0], len[1]]));
        writer.patch_u32(next + TTL_OFF, ttl_secs);
        next += RECORD_HEAD + rdata_len;
    }
}
