//! Renders an RRset into the body that is later copied into messages.
//!
//! Names in RDATA are compressed against the owner (the question) and against names earlier in the same body, where RFC
//! 3597 section 4 allows it. Bodies stay below 64 KiB: what cannot be sent in a message is refused here.

use super::layout::{BODY_CHOICE, POINTER_MAX, QNAME_OFF, RECORD_HEAD, TARGETS_MAX};
use super::node::Descriptor;
use crate::dns::name::{NAME_LEN_MAX, NameRef};
use crate::dns::rdata::{self, Compress};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, Rrset};

/// How many suffixes a body remembers for compression: the cost of a search stays bounded, the gain is in the first few.
const SUFFIXES_MAX: usize = 64;
/// QTYPE and QCLASS lie between the question's name and the first record.
pub(super) const QUESTION_TAIL: usize = 4;
/// An OPT record without options (RFC 6891 section 6.1.2).
const OPT_LEN: usize = 11;
/// The class of everything in a zone.
const CLASS_IN: [u8; 2] = [0, 1];
/// The pointer to the question's name.
const QNAME_POINTER: [u8; 2] = [0xc0, 12];

/// An RRset is too large for a DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyTooLarge;

/// A body under construction.
pub(super) struct Body<'o> {
    /// The owner it is rendered for.
    owner: NameRef<'o>,
    /// The records.
    records: Vec<u8>,
    /// Offsets of pointers that are not record owners.
    relocs: Vec<u16>,
    /// Offsets of additional targets.
    targets: Vec<u16>,
    /// The signatures.
    sigs: Vec<u8>,
    /// How many.
    sig_count: usize,
    /// The glue.
    glue: Vec<u8>,
    /// How many.
    glue_count: usize,
    /// What may be answered instead; such an RRset has no glue.
    choices: Option<Vec<u8>>,
    /// How many records.
    record_count: usize,
    /// Names that later names may point to: canonical suffix and its position in the message.
    suffixes: Vec<(Vec<u8>, usize)>,
    /// Where `records` starts in the message that the body is rendered for.
    base: usize,
    /// The type.
    rtype: Rtype,
}

impl<'o> Body<'o> {
    /// A body without records: it says that the RRset exists and that no message can hold it.
    pub(super) fn too_large(owner: NameRef<'o>, rtype: Rtype) -> Body<'o> {
        Body {
            owner,
            records: Vec::new(),
            relocs: Vec::new(),
            targets: Vec::new(),
            sigs: Vec::new(),
            sig_count: 0,
            glue: Vec::new(),
            glue_count: 0,
            choices: None,
            record_count: 0,
            suffixes: Vec::new(),
            base: QNAME_OFF + owner.as_wire().len() + QUESTION_TAIL,
            rtype,
        }
    }

    /// Whether it has no records.
    pub(super) fn is_too_large(&self) -> bool {
        self.record_count == 0
    }

    /// Renders the records of `rrset`, owned by `owner`, with `ttl_secs`.
    ///
    /// # Errors
    /// [`BodyTooLarge`] if they exceed 65,535 bytes.
    pub(super) fn new(owner: NameRef<'o>, rrset: &Rrset<'_>, ttl_secs: u32) -> Result<Body<'o>, BodyTooLarge> {
        let mut body = Body::too_large(owner, rrset.rtype());
        body.records.reserve(64);
        for record in rrset.records() {
            body.push_record(&record, ttl_secs);
            if body.records.len() > usize::from(u16::MAX) {
                return Err(BodyTooLarge);
            }
        }
        Ok(body)
    }

    /// Appends one record of the RRset.
    fn push_record(&mut self, record: &Record<'_>, ttl_secs: u32) {
        self.records.extend_from_slice(&QNAME_POINTER);
        self.records.extend_from_slice(&self.rtype.0.to_be_bytes());
        self.records.extend_from_slice(&CLASS_IN);
        self.records.extend_from_slice(&ttl_secs.to_be_bytes());
        let len_off = self.records.len();
        self.records.extend_from_slice(&[0, 0]);
        let mut copied = 0;
        for span in rdata::names(self.rtype, record.rdata) {
            self.records.extend_from_slice(&record.rdata[copied..span.off]);
            copied = span.off + span.len;
            if let Ok(name) = NameRef::prefix_of(&record.rdata[span.off..]) {
                self.push_name(name, span.compress);
            }
        }
        self.records.extend_from_slice(&record.rdata[copied..]);
        let rdata_len = u16::try_from(self.records.len() - len_off - 2).unwrap_or(u16::MAX);
        self.records[len_off..len_off + 2].copy_from_slice(&rdata_len.to_be_bytes());
        self.record_count += 1;
    }

    /// Appends a name of the RDATA, compressed if that is allowed.
    fn push_name(&mut self, name: NameRef<'_>, compress: Compress) {
        let start = self.base + self.records.len();
        if self.suffixes.is_empty() {
            self.remember_owner();
        }
        let mut rest = name;
        if compress == Compress::Allowed {
            loop {
                if rest.is_root() {
                    break;
                }
                let canonical = rest.as_wire().to_ascii_lowercase();
                if let Some((_, position)) = self.suffixes.iter().find(|(suffix, _)| *suffix == canonical) {
                    let pointer = 0xc000 | u16::try_from(*position).unwrap_or(0);
                    self.relocs.push(u16::try_from(self.records.len()).unwrap_or(u16::MAX));
                    self.records.extend_from_slice(&pointer.to_be_bytes());
                    self.remember_until(name, rest, start);
                    return;
                }
                let Some(parent) = rest.parent() else { break };
                let label_len = rest.as_wire().len() - parent.as_wire().len();
                self.records.extend_from_slice(&rest.as_wire()[..label_len]);
                rest = parent;
            }
            self.records.push(0);
            self.remember_until(name, rest, start);
        } else {
            self.records.extend_from_slice(name.as_wire());
        }
    }

    /// Remembers the owner and its parents, which stand in the question.
    ///
    /// A wildcard's own name never appears in an answer: the question takes its place, so only what lies above the
    /// asterisk may be pointed to.
    fn remember_owner(&mut self) {
        let (name, off) = match self.owner.parent() {
            Some(parent) if self.owner.is_wildcard() => (parent, 2),
            _ => (self.owner, 0),
        };
        let mut rest = name;
        while !rest.is_root() {
            self.remember_one(rest, QNAME_OFF + off + name.as_wire().len() - rest.as_wire().len());
            let Some(parent) = rest.parent() else { return };
            rest = parent;
        }
    }

    /// Remembers `name`, written at `position`, and its parents down to but not including `end`.
    fn remember_until(&mut self, name: NameRef<'_>, end: NameRef<'_>, position: usize) {
        let mut rest = name;
        while rest.as_wire().len() > end.as_wire().len() {
            self.remember_one(rest, position + name.as_wire().len() - rest.as_wire().len());
            let Some(parent) = rest.parent() else { return };
            rest = parent;
        }
    }

    /// Remembers one suffix, if there is room and a pointer can reach it.
    fn remember_one(&mut self, suffix: NameRef<'_>, position: usize) {
        if self.suffixes.len() < SUFFIXES_MAX && position <= POINTER_MAX {
            self.suffixes.push((suffix.as_wire().to_ascii_lowercase(), position));
        }
    }

    /// Adds the RRSIG records that cover the RRset. Their signer name is never compressed (RFC 4034 section 3.1.7).
    ///
    /// # Errors
    /// [`BodyTooLarge`] for more than 255 signatures or 65,535 bytes of them.
    pub(super) fn add_sigs<'r>(&mut self, sigs: impl Iterator<Item = Record<'r>>) -> Result<(), BodyTooLarge> {
        for sig in sigs {
            self.sigs.extend_from_slice(&QNAME_POINTER);
            self.sigs.extend_from_slice(&Rtype::RRSIG.0.to_be_bytes());
            self.sigs.extend_from_slice(&CLASS_IN);
            self.sigs.extend_from_slice(&sig.ttl_secs.to_be_bytes());
            let rdata_len = u16::try_from(sig.rdata.len()).map_err(|_| BodyTooLarge)?;
            self.sigs.extend_from_slice(&rdata_len.to_be_bytes());
            self.sigs.extend_from_slice(sig.rdata);
            self.sig_count += 1;
        }
        let fits = self.sig_count <= u8::MAX.into() && self.sigs.len() <= u16::MAX.into();
        if fits { Ok(()) } else { Err(BodyTooLarge) }
    }

    /// Lists the hosts in the zone that the RRset mentions, whose addresses are looked up when it is asked for: servers,
    /// mail exchangers, service hosts. The other types mention none.
    ///
    /// # Errors
    /// [`BodyTooLarge`] if a position does not fit its field.
    pub(super) fn add_targets(&mut self, apex: NameRef<'_>, rrset: &Rrset<'_>) -> Result<(), BodyTooLarge> {
        let is_service = matches!(self.rtype, Rtype::SVCB | Rtype::HTTPS);
        if !is_service && !matches!(self.rtype, Rtype::NS | Rtype::MX | Rtype::SRV | Rtype::KX | Rtype::AFSDB) {
            return Ok(());
        }
        let mut seen: Vec<NameRef<'_>> = Vec::new();
        let mut off = 0;
        for record in rrset.records() {
            let start = off;
            off = start + RECORD_HEAD + self.rdata_len_at(start);
            let Some(span) = rdata::names(self.rtype, record.rdata).next() else { continue };
            let Ok(target) = NameRef::prefix_of(&record.rdata[span.off..]) else { continue };
            // As the target of a service, the root stands for the owner itself (RFC 9460 section 2.5.2).
            let is_owner = is_service && target.is_root();
            let (target, target_off) =
                if is_owner { (self.owner, start) } else { (target, start + RECORD_HEAD + span.off) };
            if target.is_at_or_below(apex) && !seen.contains(&target) && self.targets.len() < TARGETS_MAX {
                seen.push(target);
                self.targets.push(u16::try_from(target_off).map_err(|_| BodyTooLarge)?);
            }
        }
        Ok(())
    }

    /// For an NS RRset of a cut: adds the addresses of targets at or below the cut as glue, and lists the targets
    /// elsewhere in the zone, whose addresses are looked up when asked for.
    ///
    /// `addresses` yields the address RRsets of a name.
    ///
    /// # Errors
    /// [`BodyTooLarge`] if the glue exceeds 65,535 bytes.
    pub(super) fn add_glue<'z>(
        &mut self,
        cut: NameRef<'_>,
        apex: NameRef<'_>,
        ns: &Rrset<'z>,
        mut addresses: impl FnMut(NameRef<'_>) -> Vec<Rrset<'z>>,
    ) -> Result<(), BodyTooLarge> {
        let mut off = 0;
        for record in ns.records() {
            let target_off = off + RECORD_HEAD;
            off = target_off + self.rdata_len_at(off);
            let Ok(target) = NameRef::prefix_of(record.rdata) else { continue };
            if target.is_at_or_below(cut) {
                for rrset in addresses(target) {
                    self.push_glue(target_off, &rrset)?;
                }
            } else if target.is_at_or_below(apex) && self.targets.len() < TARGETS_MAX {
                self.targets.push(u16::try_from(target_off).map_err(|_| BodyTooLarge)?);
            }
        }
        Ok(())
    }

    /// Says what may be answered in its place, as `choice::render` writes it.
    pub(super) fn set_choices(&mut self, choices: Option<Vec<u8>>) {
        self.choices = choices;
    }

    /// RDLENGTH of the record at `off`.
    fn rdata_len_at(&self, off: usize) -> usize {
        let at = off + RECORD_HEAD - 2;
        usize::from(u16::from_be_bytes([self.records[at], self.records[at + 1]]))
    }

    /// Appends an address RRset whose owner is the name at `target_off` in the records.
    fn push_glue(&mut self, target_off: usize, rrset: &Rrset<'_>) -> Result<(), BodyTooLarge> {
        for record in rrset.records() {
            self.relocs.push(u16::try_from(self.records.len() + self.glue.len()).map_err(|_| BodyTooLarge)?);
            let pointer = self.base + target_off;
            if pointer > POINTER_MAX {
                // A delegation to hundreds of servers below itself: required glue that no pointer reaches (RFC 9471).
                return Err(BodyTooLarge);
            }
            let pointer = 0xc000 | u16::try_from(pointer).map_err(|_| BodyTooLarge)?;
            self.glue.extend_from_slice(&pointer.to_be_bytes());
            self.glue.extend_from_slice(&rrset.rtype().0.to_be_bytes());
            self.glue.extend_from_slice(&CLASS_IN);
            self.glue.extend_from_slice(&rrset.ttl_secs().to_be_bytes());
            let rdata_len = u16::try_from(record.rdata.len()).map_err(|_| BodyTooLarge)?;
            self.glue.extend_from_slice(&rdata_len.to_be_bytes());
            self.glue.extend_from_slice(record.rdata);
            self.glue_count += 1;
        }
        Ok(())
    }

    /// The descriptor of the finished body.
    ///
    /// # Errors
    /// [`BodyTooLarge`] if a count or length does not fit its field, or the records no message.
    pub(super) fn descriptor(&self) -> Result<Descriptor, BodyTooLarge> {
        // A wildcard's question may be as long as names get; an OPT record goes along.
        let owner_len = if self.owner.is_wildcard() { NAME_LEN_MAX } else { self.owner.as_wire().len() };
        let message_len = QNAME_OFF + owner_len + QUESTION_TAIL + self.records.len() + OPT_LEN;
        if message_len > usize::from(u16::MAX) {
            return Err(BodyTooLarge);
        }
        let short = |len: usize| u16::try_from(len).map_err(|_| BodyTooLarge);
        let octet = |len: usize| u8::try_from(len).map_err(|_| BodyTooLarge);
        Ok(Descriptor {
            rtype: self.rtype.0,
            record_count: short(self.record_count)?,
            records_len: short(self.records.len())?,
            reloc_count: short(self.relocs.len())?,
            sigs_len: short(self.sigs.len())?,
            sig_count: octet(self.sig_count)?,
            target_count: octet(self.targets.len())?,
            glue_len: short(self.choices.as_ref().unwrap_or(&self.glue).len())?,
            glue_count: if self.choices.is_some() { BODY_CHOICE } else { short(self.glue_count)? },
        })
    }

    /// Descriptor and body; `None` if a message cannot hold it.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let descriptor = self.descriptor().ok().filter(|_| !self.is_too_large())?;
        let mut bytes = Vec::new();
        descriptor.write(&mut bytes);
        self.write(&mut bytes);
        Some(bytes)
    }

    /// Appends relocations, targets, records, signatures, and glue or what may be answered instead.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for off in self.relocs.iter().chain(&self.targets) {
            out.extend_from_slice(&off.to_le_bytes());
        }
        out.extend_from_slice(&self.records);
        out.extend_from_slice(&self.sigs);
        out.extend_from_slice(self.choices.as_ref().unwrap_or(&self.glue));
    }
}
