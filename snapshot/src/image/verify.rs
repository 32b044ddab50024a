//! Checks every offset, length and run of a segment before it is served.
//!
//! The digest says that the bytes are what a writer wrote; this says that the writer kept the rules, so that a lookup
//! can neither leave the segment nor loop nor answer from half a record. O(nodes), about 0.1 µs each.

use super::bytes::{u16_at, u32_at, u64_at};
use super::digest::Digest;
use super::hash::{bucket_of, name_hash, tag_of};
use super::layout::{
    BUCKET_NODES, BUCKET_OVERFLOW, BUCKET_SLOTS, DESCRIPTOR_LEN, KIND_OVERLAY, KIND_PLACES, KIND_ZONE, NODE_BELOW_CUT,
    NODE_CUT, NODE_DNAME, NODE_OVERLAY, NODE_TOMBSTONE, NODE_WILDCARD, NODE_WILDCARD_CHILD, PLACES_APEX, QNAME_OFF,
    RECORD_HEAD, RUN_LINES_MAX, SEGMENT_SIGNED, base_off, header, nodes_off, words,
};
use super::line::LINE_LEN;
use super::node::{Descriptor, Node, RrsetBody};
use super::places::verify_places;
use super::prefetch::prefetch;
use super::render::QUESTION_TAIL;
use super::verify_denial::{Surroundings, verify_denial};
use crate::dns::name::NameRef;
use crate::dns::rtype::Rtype;

/// How far ahead of the node that is checked index lines are asked for, in words: some ten nodes.
const AHEAD_WORDS: u32 = 128;

/// Which rule of the format is broken.
type Broken = &'static str;

/// A segment while it is checked.
struct Checker<'s> {
    /// Its bytes.
    segment: &'s [u8],
    /// Its kind.
    kind: u8,
    /// The apex.
    apex: NameRef<'s>,
    /// Seed of the name hash.
    seed: u64,
    /// First bucket, in lines.
    bucket_line: usize,
    /// How many buckets.
    bucket_count: u32,
    /// Longest run that the header admits.
    run_max: u32,
    /// Labels of the deepest node.
    depth_max: usize,
    /// First node, in words.
    nodes: u32,
    /// End of the last node, in words.
    nodes_end: u32,
}

/// Checks a segment and returns its kind.
pub(super) fn verify_segment(segment: &[u8]) -> Result<u8, Broken> {
    if segment.first() == Some(&KIND_PLACES) {
        return verify_places(segment).map(|()| KIND_PLACES);
    }
    let checker = Checker::new(segment)?;
    let count = checker.nodes()?;
    let node_count = u32_at(segment, header::NODE_COUNT).ok_or("header is cut")?;
    if count != node_count {
        return Err("node count is wrong");
    }
    if checker.buckets()? != node_count {
        return Err("index does not hold every node once");
    }
    let soa_end = checker.soa()?;
    checker.denial(soa_end)?;
    checker.base()?;
    Ok(checker.kind)
}

impl<'s> Checker<'s> {
    /// Checks the first line and the apex.
    fn new(segment: &'s [u8]) -> Result<Checker<'s>, Broken> {
        let octet = |off: usize| segment.get(off).copied().ok_or("header is cut");
        let word = |off| u32_at(segment, off).ok_or("header is cut");
        let kind = octet(header::KIND)?;
        if kind != KIND_ZONE && kind != KIND_OVERLAY {
            return Err("unknown segment kind");
        }
        if octet(header::FLAGS)? & !SEGMENT_SIGNED != 0 {
            return Err("unknown segment flags");
        }
        if octet(6)? != 0 || octet(7)? != 0 {
            return Err("reserved bytes are set");
        }
        let apex =
            NameRef::prefix_of(segment.get(header::APEX..).ok_or("header is cut")?).map_err(|_| "apex is no name")?;
        if apex.as_wire().len() != usize::from(octet(header::APEX_LEN)?)
            || apex.label_count() != usize::from(octet(header::APEX_LABELS)?)
            || apex.as_wire().iter().any(u8::is_ascii_uppercase)
            || apex.as_wire() == PLACES_APEX
        {
            return Err("apex is not canonical");
        }
        let checker = Checker {
            segment,
            kind,
            apex,
            seed: u64_at(segment, header::SEED).ok_or("header is cut")?,
            bucket_line: word(header::BUCKET_LINE)? as usize,
            bucket_count: word(header::BUCKET_COUNT)?,
            run_max: u32::from(octet(header::RUN_MAX)?),
            depth_max: usize::from(octet(header::DEPTH_MAX)?),
            nodes: word(header::NODES)?,
            nodes_end: word(header::NODES_END)?,
        };
        let buckets_end = checker.bucket_line.checked_add(checker.bucket_count as usize);
        if checker.bucket_count == 0 || buckets_end != Some(segment.len() / LINE_LEN) {
            return Err("buckets do not end the segment");
        }
        if checker.run_max == 0 || checker.run_max > RUN_LINES_MAX {
            return Err("runs are too long");
        }
        if checker.nodes as usize * 8 != nodes_off(kind, apex.as_wire().len()) || checker.nodes_end <= checker.nodes {
            return Err("nodes do not follow the apex");
        }
        if word(header::APEX_NODE)? != checker.nodes || word(header::SOA)? != checker.nodes_end {
            return Err("apex node or SOA is misplaced");
        }
        Ok(checker)
    }

    /// Checks the line that names the base of an overlay.
    fn base(&self) -> Result<(), Broken> {
        if self.kind != KIND_OVERLAY {
            return Ok(());
        }
        let line = self.segment.get(base_off(self.apex.as_wire().len())..).ok_or("header is cut")?;
        let rest = line.get(size_of::<Digest>()..LINE_LEN).ok_or("header is cut")?;
        if rest.iter().any(|&byte| byte != 0) {
            return Err("reserved bytes are set");
        }
        Ok(())
    }

    /// Checks every node; returns how many there are.
    fn nodes(&self) -> Result<u32, Broken> {
        let mut word = self.nodes;
        let mut ahead = Some(word);
        let mut count = 0;
        while word < self.nodes_end {
            // Where a node is indexed is as good as random: ask for that memory some nodes before it is read.
            while let Some(next) = ahead.filter(|&next| next < word.saturating_add(AHEAD_WORDS)) {
                ahead = self.hint(next);
            }
            let node = Node::read(self.segment, word).ok_or("node is cut")?;
            self.node(&node, word)?;
            let end = node.end_word().ok_or("node is cut")?;
            word = u32::try_from(end).map_err(|_| "node is cut")?;
            count += 1;
        }
        if word == self.nodes_end { Ok(count) } else { Err("nodes overlap what follows") }
    }

    /// Asks for the index line of the node at `word`; returns where the next node begins. Nothing is checked yet.
    fn hint(&self, word: u32) -> Option<u32> {
        let node = Node::read(self.segment, word)?;
        let bucket = bucket_of(name_hash(node.name(), self.seed), self.bucket_count);
        prefetch(self.segment.get((self.bucket_line + bucket as usize) * LINE_LEN));
        node.end_word().and_then(|end| u32::try_from(end).ok()).filter(|&end| end > word && end < self.nodes_end)
    }

    /// Checks one node: name, flags, link, index entry of itself and of its parent, bodies.
    fn node(&self, node: &Node<'s>, word: u32) -> Result<(), Broken> {
        let name = NameRef::prefix_of(node.name()).map_err(|_| "owner is no name")?;
        if name.as_wire().len() != node.name().len() || node.name().iter().any(u8::is_ascii_uppercase) {
            return Err("owner is not canonical");
        }
        if !name.is_at_or_below(self.apex) {
            return Err("owner is outside the zone");
        }
        if name.label_count() > self.depth_max {
            return Err("owner is deeper than the header says");
        }
        if self.find(node.name()) != Some(word) {
            return Err("owner is not indexed, or twice");
        }
        let is_apex = word == self.nodes;
        if is_apex != (name == self.apex) {
            return Err("first node is not the apex");
        }
        let parent = match name.parent().filter(|_| !is_apex) {
            Some(parent) => self.find(parent.as_wire()).and_then(|word| Node::read(self.segment, word)),
            None => None,
        };
        if self.kind == KIND_OVERLAY {
            overlaid(node, is_apex, parent.as_ref())?;
        } else if node.flags() & (NODE_OVERLAY | NODE_TOMBSTONE) != 0 {
            return Err("node of an overlay in a whole zone");
        } else if !is_apex && parent.is_none() {
            return Err("owner's parent does not exist");
        }
        if let Some(parent) = parent.filter(|_| !node.is_tombstone()) {
            below(node, &parent)?;
        }
        let (has_ns, has_dname) = (node.rrset(Rtype::NS).is_some(), node.rrset(Rtype::DNAME).is_some());
        let is_below = node.flags() & NODE_BELOW_CUT != 0;
        if node.is_cut() != (has_ns && !is_apex && !is_below)
            || (node.flags() & NODE_DNAME != 0) != (has_dname && !is_below)
        {
            return Err("node flags are not those of its RRsets");
        }
        self.links(node, name)?;
        rrsets(node)
    }

    /// Checks the denial index, which follows the SOA at word `start`.
    fn denial(&self, start: usize) -> Result<(), Broken> {
        let signed = self.segment.get(header::FLAGS).is_some_and(|flags| flags & SEGMENT_SIGNED != 0);
        let buckets = self.bucket_line * LINE_LEN;
        let (segment, kind, apex) = (self.segment, self.kind, self.apex);
        let around = Surroundings { segment, kind, apex, start, buckets, signed };
        verify_denial(&around, |name| self.find(name), rrsets)
    }

    /// Checks flags and link of a node.
    fn links(&self, node: &Node<'s>, name: NameRef<'s>) -> Result<(), Broken> {
        let marks = NODE_OVERLAY | NODE_TOMBSTONE;
        let known = NODE_CUT | NODE_BELOW_CUT | NODE_WILDCARD_CHILD | NODE_WILDCARD | NODE_DNAME | marks;
        let flags = node.flags();
        if flags & !known != 0 || node.is_wildcard() != name.is_wildcard() {
            return Err("node flags are wrong");
        }
        let exclusive = [NODE_BELOW_CUT, NODE_WILDCARD_CHILD].iter().filter(|&&flag| flags & flag != 0).count();
        if exclusive > 1 || (flags & NODE_CUT != 0 && flags & NODE_BELOW_CUT != 0) {
            return Err("node flags exclude each other");
        }
        if exclusive == 0 {
            return if node.link() == 0 { Ok(()) } else { Err("link without a reason") };
        }
        let linked = Node::read(self.segment, node.link()).ok_or("link leaves the segment")?;
        if self.find(linked.name()) != Some(node.link()) {
            return Err("link is no node");
        }
        let linked_name = NameRef::prefix_of(linked.name()).map_err(|_| "link is no node")?;
        let right = if flags & NODE_BELOW_CUT != 0 {
            linked.is_cut() && name != linked_name && name.is_at_or_below(linked_name)
        } else {
            linked_name.is_wildcard() && linked_name.parent() == Some(name) && !linked.is_tombstone()
        };
        if right { Ok(()) } else { Err("link is to the wrong node") }
    }

    /// Finds a name as lookups do; `None` also if it is there twice in its run.
    fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = name_hash(name, self.seed);
        let mut bucket = bucket_of(hash, self.bucket_count);
        let mut found = None;
        for _ in 0..self.run_max {
            let off = (self.bucket_line + bucket as usize) * LINE_LEN;
            let line = self.segment.get(off..off + LINE_LEN)?;
            for slot in 0..BUCKET_SLOTS {
                if u16_at(line, slot * 2)? != tag_of(hash) {
                    continue;
                }
                let word = u32_at(line, BUCKET_NODES + slot * 4)?;
                if Node::read(self.segment, word).is_some_and(|node| node.name() == name) {
                    match found {
                        None => found = Some(word),
                        Some(_) => return None,
                    }
                }
            }
            if line[BUCKET_OVERFLOW] == 0 {
                break;
            }
            bucket = (bucket + 1) % self.bucket_count;
        }
        found
    }

    /// Checks every bucket; returns how many entries there are.
    fn buckets(&self) -> Result<u32, Broken> {
        let mut count = 0;
        for line in self.segment[self.bucket_line * LINE_LEN..].chunks_exact(LINE_LEN) {
            for slot in 0..BUCKET_SLOTS {
                let tag = u16_at(line, slot * 2).unwrap_or(0);
                let word = u32_at(line, BUCKET_NODES + slot * 4).unwrap_or(0);
                if (tag == 0) != (word == 0) {
                    return Err("slot is half filled");
                }
                if tag != 0 {
                    count += 1;
                    if word < self.nodes || word >= self.nodes_end {
                        return Err("slot leaves the nodes");
                    }
                }
            }
            if line[BUCKET_OVERFLOW] > 1 || line[BUCKET_OVERFLOW + 1..].iter().any(|&byte| byte != 0) {
                return Err("bucket is malformed");
            }
        }
        Ok(count)
    }

    /// Checks the SOA; returns the word behind it.
    fn soa(&self) -> Result<usize, Broken> {
        let off = self.nodes_end as usize * 8;
        let descriptor = Descriptor::read(self.segment, off).ok_or("SOA is cut")?;
        let end = off + DESCRIPTOR_LEN + descriptor.body_len();
        if end > self.bucket_line * LINE_LEN {
            return Err("SOA overlaps the index");
        }
        let soa = descriptor.body(self.segment, off + DESCRIPTOR_LEN, self.apex.as_wire().len()).ok_or("SOA is cut")?;
        if soa.rtype != Rtype::SOA || soa.record_count != 1 || soa.has_choices() {
            return Err("SOA is no SOA");
        }
        body(&soa)?;
        Ok(words(end))
    }
}

/// Checks what only nodes of overlays have to keep: no data at a tombstone, no node below one, and with a node the cut
/// above it and the parent of a wildcard, because links do not leave the segment.
fn overlaid(node: &Node<'_>, is_apex: bool, parent: Option<&Node<'_>>) -> Result<(), Broken> {
    let flags = node.flags();
    if flags & NODE_OVERLAY == 0 {
        return Err("node of an overlay is not marked");
    }
    if node.is_tombstone() {
        let only = NODE_OVERLAY | NODE_TOMBSTONE | NODE_WILDCARD;
        let is_plain = flags & !only == 0 && node.rrset_count() == 0;
        return if is_plain && !is_apex { Ok(()) } else { Err("tombstone is a node") };
    }
    match parent {
        Some(parent) if parent.is_tombstone() => Err("node below a tombstone"),
        None if !is_apex && flags & (NODE_BELOW_CUT | NODE_WILDCARD) != 0 => Err("node lacks its parent"),
        _ => Ok(()),
    }
}

/// Checks that a node is below a cut if and only if its parent is one or is below one, the same, and not below a DNAME.
fn below(node: &Node<'_>, parent: &Node<'_>) -> Result<(), Broken> {
    let cut = match (parent.is_cut(), parent.flags() & NODE_BELOW_CUT != 0) {
        (true, _) => Some(parent.segment_word()),
        (false, true) => Some(parent.link()),
        (false, false) => None,
    };
    let own = (node.flags() & NODE_BELOW_CUT != 0).then(|| node.link());
    if cut != own || parent.flags() & NODE_DNAME != 0 {
        return Err("node is on the wrong side of a cut");
    }
    Ok(())
}

/// Checks the RRsets of a node.
fn rrsets(node: &Node<'_>) -> Result<(), Broken> {
    let mut previous = None;
    for rrset in node.rrsets() {
        if previous >= Some(rrset.rtype) {
            return Err("types are not ascending");
        }
        previous = Some(rrset.rtype);
        body(&rrset)?;
        if rrset.has_choices() {
            choices(node, &rrset)?;
        }
    }
    if node.rrsets().count() == usize::from(node.rrset_count()) { Ok(()) } else { Err("node is cut") }
}

/// Checks what may be answered in place of an RRset: alternatives that are bodies like others, in authoritative data.
fn choices(node: &Node<'_>, rrset: &RrsetBody<'_>) -> Result<(), Broken> {
    if node.flags() & (NODE_CUT | NODE_BELOW_CUT) != 0 {
        return Err("alternatives at or below a cut");
    }
    let choices = rrset.choices().ok_or("alternatives are cut")?;
    choices.check(rrset)?;
    choices.bodies().try_for_each(|alternative| body(&alternative))
}

/// Checks a body: whole records, and pointers that lead backwards to the question or to the body itself.
fn body(rrset: &RrsetBody<'_>) -> Result<(), Broken> {
    let base = QNAME_OFF + rrset.owner_len + QUESTION_TAIL;
    let (glue, glue_count) = rrset.glue();
    records(rrset.records, rrset.record_count.into(), true)?;
    records(rrset.sigs, rrset.sig_count.into(), true)?;
    records(glue, glue_count.into(), false)?;
    // No records: an RRset that no message can hold. Nothing else goes with that.
    if rrset.record_count == 0 && (rrset.sig_count, rrset.glue_count, rrset.relocs.len()) != (0, 0, 0) {
        return Err("RRset is empty");
    }
    let whole = rrset.records.len() + glue.len();
    for off in RrsetBody::offsets(rrset.relocs) {
        if off + 2 > whole {
            return Err("relocation leaves the body");
        }
        let pointer = match rrset.records.get(off..off + 2) {
            Some(pointer) => pointer,
            None => {
                off.checked_sub(rrset.records.len()).and_then(|at| glue.get(at..at + 2)).ok_or("relocation is torn")?
            }
        };
        let pointer = usize::from(u16::from_be_bytes([pointer[0], pointer[1]]));
        let Some(target) = pointer.checked_sub(0xc000) else { return Err("relocation is no pointer") };
        let in_question = (QNAME_OFF..base - QUESTION_TAIL).contains(&target);
        if !in_question && !(base..base + off.min(rrset.records.len())).contains(&target) {
            return Err("pointer does not lead back");
        }
    }
    if RrsetBody::offsets(rrset.targets).any(|off| off >= rrset.records.len()) {
        return Err("target leaves the records");
    }
    Ok(())
}

/// Walks `count` records that fill `bytes`; with `owned` each starts with the pointer to the question.
fn records(bytes: &[u8], count: usize, owned: bool) -> Result<(), Broken> {
    let mut off = 0;
    for _ in 0..count {
        let head = bytes.get(off..off + RECORD_HEAD).ok_or("record is cut")?;
        if owned && head[..2] != [0xc0, 12] {
            return Err("record's owner is not the question");
        }
        off += RECORD_HEAD + usize::from(u16::from_be_bytes([head[10], head[11]]));
    }
    if off == bytes.len() { Ok(()) } else { Err("records do not fill their run") }
}
