//! Compiles a zone into a segment: nodes in canonical order, the SOA apart, then the index (see `buckets`).
//!
//! It judges no zone beyond what the format needs (one SOA at the apex, nothing outside). The result is a
//! function of the zone alone, so that the same zone gives the same bytes and the same digest.

use thiserror::Error;

use super::buckets::index;
use super::bytes::u64_at;
use super::chain::{ChainBuilder, Written, announced};
use super::choice;
use super::denial::{BaseDenial, DenialRef, hash_key};
use super::digest::Digest;
use super::layout::{
    KIND_OVERLAY, KIND_ZONE, NODE_BELOW_CUT, NODE_CUT, NODE_DNAME, NODE_OVERLAY, NODE_TOMBSTONE, NODE_WILDCARD,
    NODE_WILDCARD_CHILD, PLACES_APEX, SEGMENT_SIGNED, base_off, header, nodes_off, words,
};
use super::line::{LINE_LEN, Line, push_lines};
use super::pack::{LINES_LEN_MAX, ZoneCounts, ZoneFacts};
use super::render::{Body, BodyTooLarge};
use crate::dns::name::{Name, NameRef};
use crate::dns::nsec3::{HASH_LEN, ITERATIONS_MAX};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{OwnerRecords, Record, Rrset, Zone};

/// Why a zone or a pack cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The apex has no SOA, or more than one.
    #[error("zone {apex} has {count} SOA records at its apex, it needs exactly one")]
    Soa {
        /// The zone.
        apex: Name,
        /// How many it has.
        count: usize,
    },
    /// A record outside of the zone.
    #[error("{owner} is not in zone {apex}")]
    OutOfZone {
        /// The zone.
        apex: Name,
        /// The record's owner.
        owner: Name,
    },
    /// A zone of the name that the table of places has.
    #[error("{0} is no name for a zone")]
    Reserved(Name),
    /// A prefix that is none, or not behind those before it.
    #[error("the prefixes of a table of places are not in order")]
    Places,
    /// An SOA that no message can hold, with all its signatures.
    #[error("the SOA record of {apex} does not fit into a DNS message")]
    SoaTooLarge {
        /// The zone.
        apex: Name,
    },
    /// An NSEC3 chain that costs too much hashing to serve.
    #[error(
        "zone {apex} wants {iterations} NSEC3 iterations, at most {ITERATIONS_MAX} are served (RFC 9276 section 3.2)"
    )]
    Iterations {
        /// The zone.
        apex: Name,
        /// What its NSEC3PARAM says.
        iterations: u16,
    },
    /// More signatures than an RRset can have in the format.
    #[error("the signatures of the {rtype} records of {owner} are more than 255, or exceed 65535 octets")]
    SigsTooLarge {
        /// Their owner.
        owner: Name,
        /// What they cover.
        rtype: Rtype,
    },
    /// A zone or pack beyond the limits of the format.
    #[error("{0} exceeds 1.75 GiB when compiled")]
    TooLarge(&'static str),
    /// More packs than a manifest can list.
    #[error("a generation cannot list so many packs")]
    TooManyPacks,
    /// No seed spreads the names well enough; only names made for that purpose can do this.
    #[error("names of zone {apex} cannot be indexed")]
    Index {
        /// The zone.
        apex: Name,
    },
    /// The archive could not be written.
    #[error("writing the archive: {0}")]
    Archive(String),
}

/// A compiled zone. Position-independent: it can be moved from pack to pack as it is.
#[derive(Clone)]
pub struct Segment {
    /// What is known of it from outside.
    pub facts: ZoneFacts,
    /// Its bytes.
    pub(super) lines: Vec<Line>,
}

impl Segment {
    /// Compiles `zone`. O(n); about 0.5 µs a name.
    ///
    /// # Errors
    /// [`BuildError`] if the zone lacks its SOA, has records outside, or exceeds a limit.
    pub fn build(zone: &Zone) -> Result<Segment, BuildError> {
        let apex = zone.apex().to_name().to_canonical();
        if apex.as_wire() == PLACES_APEX {
            return Err(BuildError::Reserved(apex));
        }
        let mut nodes = Nodes::new(zone, &apex, None)?;
        for owner in zone.owners() {
            nodes.push_owner(&owner)?;
        }
        nodes.finish(apex)
    }
}

impl Segment {
    /// What an overlay on this segment needs to know of it.
    #[must_use]
    pub fn base_facts(&self) -> Option<BaseFacts> {
        BaseFacts::of(&self.facts, |at| self.lines.get(at / LINE_LEN).map(|line| line.bytes[at % LINE_LEN]))
    }
}

/// What an overlay has to know of the whole zone below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseFacts {
    /// Digest of its segment: what the overlay names it by.
    pub digest: Digest,
    /// Whether it carries signatures.
    pub signed: bool,
    /// Seed of its name hash, which both share.
    pub(super) seed: u64,
    /// Whether its apex has a DNAME.
    pub(super) has_apex_dname: bool,
    /// How it proves what does not exist.
    pub(super) denial: BaseDenial,
}

impl BaseFacts {
    /// Those of a segment, given its octets; `None` if it is an overlay itself.
    pub(super) fn of(facts: &ZoneFacts, octet: impl Fn(usize) -> Option<u8>) -> Option<BaseFacts> {
        let mut head = [0; header::APEX];
        for (at, byte) in (0..).zip(&mut head) {
            *byte = octet(at)?;
        }
        let apex_flags = octet(nodes_off(KIND_ZONE, facts.apex.as_wire().len()) + 1)?;
        let denial = DenialRef::read(&head)?.facts(octet)?;
        facts.base.is_none().then_some(BaseFacts {
            digest: facts.digest,
            signed: facts.signed,
            seed: u64_at(&head, header::SEED)?,
            has_apex_dname: apex_flags & NODE_DNAME != 0,
            denial,
        })
    }
}

/// A node on the path from the apex to the latest one.
struct Ancestor<'z> {
    /// Its owner, case as given.
    name: NameRef<'z>,
    /// Where it is.
    word: u32,
    /// The cut at or above it.
    cut: Option<u32>,
    /// Whether it has a DNAME.
    has_dname: bool,
}

/// The segment while its nodes are written: a whole zone, or an overlay (see `overlay`, which has the nodes).
pub(super) struct Nodes<'z> {
    /// The zone; for an overlay, its apex.
    zone: &'z Zone,
    /// What an overlay lies on; `None` makes a whole zone.
    base: Option<BaseFacts>,
    /// Header, apex and nodes so far.
    out: Vec<u8>,
    /// Where each node is, in words.
    node_words: Vec<u32>,
    /// The path to the latest node.
    path: Vec<Ancestor<'z>>,
    /// Whether the zone carries its own signatures.
    signed: bool,
    /// What the denial index is made of.
    chain: ChainBuilder<'z>,
    /// Labels of the deepest node.
    depth_max: usize,
    /// How many RRsets.
    rrset_count: u32,
    /// How many empty non-terminals.
    empty_count: u32,
}

impl<'z> Nodes<'z> {
    /// Checks the apex and writes the head of the segment.
    pub(super) fn new(zone: &'z Zone, apex: &Name, base: Option<BaseFacts>) -> Result<Nodes<'z>, BuildError> {
        let records = zone.owner(zone.apex());
        let count_of = |rtype| records.and_then(|apex| apex.rrset(rtype)).map_or(0, |rrset| rrset.record_count());
        let soa_count = count_of(Rtype::SOA);
        if soa_count != 1 {
            return Err(BuildError::Soa { apex: apex.clone(), count: soa_count });
        }
        // A signed SOA is what makes a zone signed; whether its keys are at the apex is for validators to judge.
        let signed = records.is_some_and(|apex| covering(&apex, Rtype::SOA).next().is_some());
        let mut out = vec![0; header::APEX];
        out.extend_from_slice(apex.as_wire());
        let apex_len = apex.as_wire().len();
        out.resize(nodes_off(kind(base), apex_len), 0);
        if let Some(base) = base {
            out[base_off(apex_len)..][..base.digest.0.len()].copy_from_slice(&base.digest.0);
        }
        let node_words = Vec::with_capacity(zone.record_count());
        Ok(Nodes { base, out, node_words, signed, ..Nodes::bare(zone) })
    }

    /// A segment without a head.
    fn bare(zone: &'z Zone) -> Nodes<'z> {
        Nodes {
            zone,
            base: None,
            out: Vec::new(),
            node_words: Vec::new(),
            path: Vec::new(),
            signed: false,
            chain: ChainBuilder::default(),
            depth_max: 0,
            rrset_count: 0,
            empty_count: 0,
        }
    }

    /// Writes the node of one owner and the empty non-terminals above it.
    fn push_owner(&mut self, owner: &OwnerRecords<'z>) -> Result<(), BuildError> {
        let name = owner.name();
        if !name.is_at_or_below(self.zone.apex()) {
            return Err(BuildError::OutOfZone { apex: self.zone.apex().to_name(), owner: name.to_name() });
        }
        // NSEC3 owners exist for denial only: a question for them is answered as if they did not (RFC 5155 section 7.2.8).
        // Unless something else is there: nothing forbids a name that looks like a hash.
        if self.signed && owner.rrset(Rtype::NSEC3).is_some() {
            self.chain.push_nsec3(owner);
            if owner.rrsets().all(|rrset| matches!(rrset.rtype(), Rtype::NSEC3 | Rtype::RRSIG)) {
                return Ok(());
            }
        }
        while self.path.last().is_some_and(|top| !name.is_at_or_below(top.name)) {
            self.path.pop();
        }
        // What is below a DNAME is occluded: its names are redirected, not answered (RFC 6672 section 2.4).
        if self.path.last().is_some_and(|top| top.has_dname) {
            return Ok(());
        }
        let mut missing = Vec::new();
        let top_len = self.path.last().map_or(name.as_wire().len(), |top| top.name.as_wire().len());
        let mut above = name.parent();
        while let Some(ancestor) = above.filter(|ancestor| ancestor.as_wire().len() > top_len) {
            missing.push(ancestor);
            above = ancestor.parent();
        }
        for &empty in missing.iter().rev() {
            self.empty_count += 1;
            self.push_node(empty, None)?;
        }
        self.push_node(name, Some(owner))
    }

    /// Whether the zone carries its own signatures.
    pub(super) fn is_signed(&self) -> bool {
        self.signed
    }

    /// Appends a node of an overlay that [`render_node`] made, of a name of `labels` labels; returns where it is.
    pub(super) fn push_rendered(&mut self, node: &[u8], labels: usize) -> Result<u32, BuildError> {
        let word = self.word()?;
        self.out.extend_from_slice(node);
        self.node_words.push(word);
        self.depth_max = self.depth_max.max(labels);
        Ok(word)
    }

    /// Lists the node at `word` in the denial index, as an owner of NSEC.
    pub(super) fn push_nsec(&mut self, name: NameRef<'_>, word: u32) {
        self.chain.push_nsec(name, self.zone.apex().label_count(), word);
    }

    /// Adds the node of an NSEC3 owner that [`render_hashed`] made; they come by ascending hash.
    pub(super) fn push_hashed(&mut self, hash: [u8; HASH_LEN], node: &'z [u8]) {
        self.chain.push_rendered(hash, node);
    }

    /// Links the node at `word` to another: its cut or its wildcard, as `flag` says.
    pub(super) fn link(&mut self, word: u32, flag: u8, to: u32) {
        let off = word as usize * 8;
        self.out[off + 1] |= flag;
        self.out[off + 4..off + 8].copy_from_slice(&to.to_le_bytes());
    }

    /// Writes one node; `None` makes an empty non-terminal.
    fn push_node(&mut self, name: NameRef<'z>, owner: Option<&OwnerRecords<'z>>) -> Result<(), BuildError> {
        let word = self.word()?;
        let is_apex = self.path.is_empty();
        let above = self.path.last().and_then(|parent| parent.cut);
        let mut flags = 0;
        let mut link = 0;
        let mut cut = above;
        if let Some(above) = above {
            flags |= NODE_BELOW_CUT;
            link = above;
        } else if !is_apex && owner.is_some_and(|owner| owner.rrset(Rtype::NS).is_some()) {
            flags |= NODE_CUT;
            cut = Some(word);
        }
        let has_dname = above.is_none() && owner.is_some_and(|owner| owner.rrset(Rtype::DNAME).is_some());
        if has_dname {
            flags |= NODE_DNAME;
        }
        if name.is_wildcard() {
            flags |= NODE_WILDCARD;
            if above.is_none() {
                self.link_wildcard(word);
            }
        }
        let rrsets = owner.map_or(Ok(Vec::new()), |owner| self.bodies(owner, is_apex, flags))?;
        self.write_node(name, flags, link, &rrsets)?;
        self.node_words.push(word);
        if self.signed && above.is_none() && owner.is_some_and(|owner| owner.rrset(Rtype::NSEC).is_some()) {
            self.push_nsec(name, word);
        }
        self.depth_max = self.depth_max.max(name.label_count());
        self.path.push(Ancestor { name, word, cut, has_dname });
        Ok(())
    }

    /// Writes the bytes of a node.
    fn write_node(
        &mut self,
        name: NameRef<'_>,
        flags: u8,
        link: u32,
        rrsets: &[(Rtype, Body<'_>)],
    ) -> Result<(), BuildError> {
        let wire = name.as_wire();
        self.out.push(u8::try_from(wire.len()).unwrap_or(u8::MAX));
        self.out.push(flags);
        let count = u16::try_from(rrsets.len()).map_err(|_| BuildError::TooLarge("a node"))?;
        self.out.extend_from_slice(&count.to_le_bytes());
        self.out.extend_from_slice(&u32::to_le_bytes(link));
        self.out.extend(wire.iter().map(u8::to_ascii_lowercase));
        self.out.resize(self.out.len().next_multiple_of(2), 0);
        self.write_bodies(rrsets)?;
        self.out.resize(self.out.len().next_multiple_of(8), 0);
        self.rrset_count += u32::from(count);
        Ok(())
    }

    /// Writes the nodes of an NSEC3 chain and the denial index.
    fn write_denial(&mut self, apex: &Name) -> Result<DenialRef, BuildError> {
        let chain = std::mem::take(&mut self.chain);
        let hashed = match self.base {
            None => self.write_hashed(&chain, apex)?,
            Some(_) => self.write_rendered(&chain)?,
        };
        let denial = chain.write(&mut self.out, hashed.as_ref())?;
        self.word()?;
        Ok(denial)
    }

    /// Writes the nodes of the NSEC3 chain that is served, if there is one.
    fn write_hashed(&mut self, chain: &ChainBuilder<'z>, apex: &Name) -> Result<Option<Written<'z>>, BuildError> {
        if !self.signed {
            return Ok(None);
        }
        let Some(hashed) = chain.hashed(self.zone, apex)? else { return Ok(None) };
        let mut entries = Vec::with_capacity(hashed.owners.len());
        for (hash, owner) in &hashed.owners {
            let Some(rrset) = owner.rrset(Rtype::NSEC3) else { continue };
            let body = self.body(owner, &rrset)?;
            entries.push((hash_key(hash), self.word()?));
            self.write_node(owner.name(), 0, 0, &[(Rtype::NSEC3, body)])?;
        }
        Ok(Some(Written { params: hashed.params, entries }))
    }

    /// Writes the nodes of NSEC3 owners that were rendered; they belong to the first chain that is announced.
    fn write_rendered(&mut self, chain: &ChainBuilder<'z>) -> Result<Option<Written<'z>>, BuildError> {
        let Some(params) = announced(self.zone).next().filter(|_| !chain.rendered().is_empty()) else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(chain.rendered().len());
        for (hash, node) in chain.rendered() {
            entries.push((hash_key(hash), self.word()?));
            self.out.extend_from_slice(node);
        }
        Ok(Some(Written { params, entries }))
    }

    /// Writes descriptors, then bodies.
    fn write_bodies(&mut self, bodies: &[(Rtype, Body<'_>)]) -> Result<(), BuildError> {
        for (_, body) in bodies {
            body.descriptor().map_err(|BodyTooLarge| BuildError::TooLarge("an RRset"))?.write(&mut self.out);
        }
        for (_, body) in bodies {
            body.write(&mut self.out);
        }
        Ok(())
    }

    /// Makes the latest node the parent of the wildcard at `word`.
    fn link_wildcard(&mut self, word: u32) {
        let Some(parent) = self.path.last() else { return };
        self.link(parent.word, NODE_WILDCARD_CHILD, word);
    }

    /// Renders the RRsets of an owner. The apex's SOA is kept apart; signatures go with what they cover.
    fn bodies(&self, owner: &OwnerRecords<'z>, is_apex: bool, flags: u8) -> Result<Vec<(Rtype, Body<'z>)>, BuildError> {
        let mut bodies = Vec::new();
        for rrset in owner.rrsets() {
            let rtype = rrset.rtype();
            let is_apart = is_apex && rtype == Rtype::SOA;
            if is_apart || (self.signed && matches!(rtype, Rtype::RRSIG | Rtype::NSEC3)) {
                continue;
            }
            let mut body = self.body(owner, &rrset)?;
            let added = if flags & NODE_CUT != 0 && rtype == Rtype::NS {
                body.add_glue(owner.name(), self.zone.apex(), &rrset, |target| self.addresses(target))
            } else {
                body.add_targets(self.zone.apex(), &rrset)
            };
            if added.is_err() || body.descriptor().is_err() {
                body = Body::too_large(owner.name(), rtype);
            } else if flags & (NODE_CUT | NODE_BELOW_CUT) == 0 {
                body.set_choices(self.choices(owner, rtype)?);
            }
            bodies.push((rtype, body));
        }
        Ok(bodies)
    }

    /// Renders what may be answered in place of an RRset; `None` if nothing, or more than fits: all of it is answered then.
    fn choices(&self, owner: &OwnerRecords<'z>, rtype: Rtype) -> Result<Option<Vec<u8>>, BuildError> {
        let Some(choice) = self.zone.choice(owner.name(), rtype) else { return Ok(None) };
        choice::render(choice, owner.name(), rtype, |own, rrset| {
            let mut body = self.body(own, rrset)?;
            Ok(body.add_targets(self.zone.apex(), rrset).ok().and_then(|()| body.to_bytes()))
        })
    }

    /// Renders one RRset with its signatures. What no message can hold becomes a body without records; if only the
    /// signatures make it so, those who ask for them get TC, the others their answer.
    fn body<'r>(&self, owner: &OwnerRecords<'r>, rrset: &Rrset<'r>) -> Result<Body<'r>, BuildError> {
        let rtype = rrset.rtype();
        let rendered =
            Body::new(owner.name(), rrset, rrset.ttl_secs()).and_then(|body| body.descriptor().map(|_| body));
        let Ok(mut body) = rendered else { return Ok(Body::too_large(owner.name(), rtype)) };
        if self.signed {
            let too_large = |BodyTooLarge| BuildError::SigsTooLarge { owner: owner.name().to_name(), rtype };
            body.add_sigs(covering(owner, rtype)).map_err(too_large)?;
        }
        Ok(body)
    }

    /// The address RRsets of a name.
    fn addresses(&self, name: NameRef<'_>) -> Vec<Rrset<'z>> {
        let Some(owner) = self.zone.owner(name) else { return Vec::new() };
        [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| owner.rrset(rtype)).collect()
    }

    /// The word at the end of `out`.
    fn word(&self) -> Result<u32, BuildError> {
        let word = words(self.out.len());
        // Offsets stay far from what a u32 of words could hold, and no pack holds more.
        match u32::try_from(word) {
            Ok(word) if u64::from(word) * 8 < LINES_LEN_MAX => Ok(word),
            _ => Err(BuildError::TooLarge("a zone")),
        }
    }

    /// Writes SOA, index and header.
    fn finish(self, apex: Name) -> Result<Segment, BuildError> {
        let node_count = u32::try_from(self.node_words.len()).map_err(|_| BuildError::TooLarge("a zone"))?;
        let counts = ZoneCounts {
            names: node_count - self.empty_count,
            rrsets: self.rrset_count + 1,
            records: u32::try_from(self.zone.record_count()).map_err(|_| BuildError::TooLarge("a zone"))?,
        };
        self.finish_with(apex, counts)
    }

    /// Writes SOA, index and header; `counts` are told by the facts.
    pub(super) fn finish_with(mut self, apex: Name, counts: ZoneCounts) -> Result<Segment, BuildError> {
        let missing = || BuildError::Soa { apex: apex.clone(), count: 0 };
        let owner = self.zone.owner(self.zone.apex()).ok_or_else(missing)?;
        let soa = owner.rrset(Rtype::SOA).ok_or_else(missing)?;
        let rdata = soa.records().next().ok_or_else(missing)?.rdata;
        let field = |from_end: usize| {
            let at = rdata.len().checked_sub(from_end)?;
            Some(u32::from_be_bytes(*rdata.get(at..)?.first_chunk()?))
        };
        // The last five fields are serial, refresh, retry, expire and minimum, 4 octets each (RFC 1035 section 3.3.13).
        let (serial, minimum) = field(20).zip(field(4)).ok_or_else(missing)?;
        let nodes_end = self.word()?;
        let soa_word = nodes_end;
        let body = self.body(&owner, &soa)?;
        if body.is_too_large() {
            return Err(BuildError::SoaTooLarge { apex });
        }
        self.write_bodies(&[(Rtype::SOA, body)])?;
        self.out.resize(self.out.len().next_multiple_of(8), 0);
        let denial = self.write_denial(&apex)?;
        self.out.resize(self.out.len().next_multiple_of(LINE_LEN), 0);
        let bucket_line = self.out.len() / LINE_LEN;
        let index = index(&self.out, &self.node_words, &apex, self.base.map(|base| base.seed))?;
        self.out.extend_from_slice(&index.lines);
        let bucket_count = index.lines.len() / LINE_LEN;

        let flags = if self.signed { SEGMENT_SIGNED } else { 0 };
        let octet = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
        self.out[header::KIND] = kind(self.base);
        self.out[header::FLAGS] = flags;
        self.out[header::APEX_LEN] = octet(apex.as_wire().len());
        self.out[header::APEX_LABELS] = octet(apex.as_ref().label_count());
        self.out[header::DEPTH_MAX] = octet(self.depth_max);
        self.out[header::RUN_MAX] = octet(index.run_max as usize);
        self.out[header::SEED..][..8].copy_from_slice(&index.seed.to_le_bytes());
        let count = |value: usize| u32::try_from(value).map_err(|_| BuildError::TooLarge("a zone"));
        let node_count = count(self.node_words.len())?;
        let fields = [
            (header::SERIAL, serial),
            (header::BUCKET_COUNT, count(bucket_count)?),
            (header::BUCKET_LINE, count(bucket_line)?),
            (header::SOA, soa_word),
            (header::APEX_NODE, self.node_words[0]),
            (header::NODES, self.node_words[0]),
            (header::NODES_END, nodes_end),
            (header::NEGATIVE_TTL, minimum.min(soa.ttl_secs())),
            (header::NODE_COUNT, node_count),
        ];
        for (off, value) in fields {
            self.out[off..off + 4].copy_from_slice(&value.to_le_bytes());
        }
        denial.write(&mut self.out);
        let facts = ZoneFacts {
            apex,
            serial,
            signed: self.signed,
            names: counts.names,
            rrsets: counts.rrsets,
            records: counts.records,
            bytes: self.out.len() as u64,
            digest: Digest::of(&self.out),
            base: self.base.map(|base| Box::new(base.digest)),
        };
        let mut lines = Vec::with_capacity(self.out.len() / LINE_LEN);
        push_lines(&mut lines, &self.out);
        Ok(Segment { facts, lines })
    }
}

/// The signatures of an owner that cover a type.
fn covering<'z>(owner: &OwnerRecords<'z>, covered: Rtype) -> impl Iterator<Item = Record<'z>> + use<'z> {
    // The covered type is the first field (RFC 4034 section 3.1).
    owner.rrset(Rtype::RRSIG).into_iter().flat_map(move |sigs| sigs.records_with(covered.0.to_be_bytes()))
}

/// Renders one node of an overlay on `base`, without its link. `zone` has the records of the name and, for a cut, the
/// addresses of its servers; a tombstone has none of them.
pub(super) fn render_node(zone: &Zone, name: NameRef<'_>, flags: u8, base: &BaseFacts) -> Result<Vec<u8>, BuildError> {
    let mut nodes = Nodes { signed: base.signed, ..Nodes::bare(zone) };
    let owner = zone.owner(name).filter(|_| flags & NODE_TOMBSTONE == 0);
    let is_apex = name.as_wire().len() == zone.apex().as_wire().len();
    let rrsets = owner.map_or(Ok(Vec::new()), |owner| nodes.bodies(&owner, is_apex, flags))?;
    nodes.write_node(name, flags | NODE_OVERLAY, 0, &rrsets)?;
    Ok(nodes.out)
}

/// Renders the node of an NSEC3 owner for the overlay of a signed zone; `None` if the name owns no NSEC3. `zone` has its
/// records.
pub(super) fn render_hashed(zone: &Zone, name: NameRef<'_>) -> Result<Option<Vec<u8>>, BuildError> {
    let mut nodes = Nodes { signed: true, ..Nodes::bare(zone) };
    let Some(owner) = zone.owner(name) else { return Ok(None) };
    let Some(rrset) = owner.rrset(Rtype::NSEC3) else { return Ok(None) };
    let body = nodes.body(&owner, &rrset)?;
    nodes.write_node(owner.name(), NODE_OVERLAY, 0, &[(Rtype::NSEC3, body)])?;
    Ok(Some(nodes.out))
}

/// The kind of a segment with or without a base.
fn kind(base: Option<BaseFacts>) -> u8 {
    if base.is_some() { KIND_OVERLAY } else { KIND_ZONE }
}
