//! The records of an NSEC3 chain, each with its hash: for whoever makes the next ones of a zone that changes.
//!
//! What an answer needs is found by `denial`. Invariant: every record of the chain is handed out once, also those that an
//! overlay has changed, as it has them.

use super::build::Segment;
use super::bytes::u32_at;
use super::denial::{DenialRef, HashedChain, KEY_LEN, WORD_LEN, guide_len};
use super::layout::{DENIAL_NSEC3, RECORD_HEAD, header};
use super::line::LINE_LEN;
use super::node::Node;
use crate::dns::name::NameRef;
use crate::dns::nsec3::{HASH_LEN, hash_of_owner};
use crate::dns::rtype::Rtype;

impl HashedChain<'_> {
    /// Hands hash and RDATA of every record to `each`, in any order. O(n).
    pub fn each(&self, each: &mut dyn FnMut([u8; HASH_LEN], &[u8])) {
        self.nodes().for_each(|node| hand_out(&node, each));
    }
}

impl Segment {
    /// Hands hash and RDATA of every NSEC3 record of its chain to `each`, in any order; of none if it has no such chain. O(n).
    pub fn each_hashed(&self, each: &mut dyn FnMut([u8; HASH_LEN], &[u8])) {
        let head: Vec<u8> = (0..header::APEX).map_while(|at| self.octet(at)).collect();
        let Some(denial) = DenialRef::read(&head).filter(|denial| denial.kind == DENIAL_NSEC3) else { return };
        // Lines are no slice of octets, so each node is copied.
        let mut octets = Vec::new();
        for pair in self.hashed_nodes(&denial).windows(2) {
            octets.clear();
            octets.extend((pair[0]..pair[1]).map_while(|at| self.octet(at)));
            if let Some(node) = Node::read(&octets, 0) {
                hand_out(&node, each);
            }
        }
    }

    /// Where the nodes of its NSEC3 chain begin, ascending, and the octet behind the last one, where the index begins.
    fn hashed_nodes(&self, denial: &DenialRef) -> Vec<usize> {
        let (start, count) = (denial.word as usize * 8, denial.count as usize);
        let behind = |at: usize, len: usize| (at + len).next_multiple_of(8);
        let keys = behind(behind(start, denial.salt_len.into()), guide_len(denial.count) * WORD_LEN);
        let words = behind(keys, count * KEY_LEN);
        let word = |idx: usize| {
            let at = words + idx * WORD_LEN;
            u32_at(&self.lines.get(at / LINE_LEN)?.bytes, at % LINE_LEN)
        };
        let mut offs: Vec<usize> = (0..count).filter_map(|idx| Some(word(idx)? as usize * 8)).chain([start]).collect();
        offs.sort_unstable();
        offs
    }

    /// One of its octets.
    fn octet(&self, at: usize) -> Option<u8> {
        self.lines.get(at / LINE_LEN).map(|line| line.bytes[at % LINE_LEN])
    }
}

/// Hands hash and RDATA of an NSEC3 record to `each`. It has no names, so nothing in it is compressed.
fn hand_out(node: &Node<'_>, each: &mut dyn FnMut([u8; HASH_LEN], &[u8])) {
    let hash = NameRef::prefix_of(node.name()).ok().and_then(hash_of_owner);
    let rrset = node.rrsets().find(|body| body.rtype == Rtype::NSEC3);
    if let (Some(hash), Some(rdata)) = (hash, rrset.and_then(|body| body.records.get(RECORD_HEAD..))) {
        each(hash, rdata);
    }
}
