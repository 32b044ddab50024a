//! Which records prove that something does not exist, and their place in a reply (RFC 4035 section 3.1.3, RFC 5155
//! section 7.2).
//!
//! A chain of CNAMEs may need proofs at several of its names, while the answer section still grows. So the steps note
//! which nodes own the records, each once, and the reply gets them when it has its answers.

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::NAME_LEN_MAX;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Chain, Denial, Hashed, HashedChain, Node, View, ZoneId};

use super::place::{Full, place_owned};
use super::resolve::Step;
use crate::wire::{Section, Writer};

/// The most nodes a reply can need: one for each wildcard of the longest chain, three for what is at its end.
const PROOFS_MAX: usize = 24;
/// A label that is an asterisk.
const ASTERISK: [u8; 2] = *b"\x01*";

/// What has to be proved about a step's name.
#[derive(Clone, Copy)]
pub(super) enum Gap<'g, 'v> {
    /// A name, the step's or one above it, lacks a type.
    Type(&'g Node<'v>),
    /// The name does not exist, and no wildcard stands for it. The closest encloser has so many labels.
    Name(usize),
    /// A wildcard at the closest encloser, of so many labels, stands for the name: nothing closer exists.
    Closer(usize),
    /// The same, and this wildcard lacks the type.
    WildcardType(usize, &'g Node<'v>),
}

/// The nodes whose denial records a reply will have.
pub(super) struct Proofs {
    /// The first `count` are set: zone and place in its segment.
    nodes: [(ZoneId, u32); PROOFS_MAX],
    /// How many.
    count: usize,
}

impl Default for Proofs {
    fn default() -> Proofs {
        Proofs { nodes: [(ZoneId::default(), 0); PROOFS_MAX], count: 0 }
    }
}

impl Proofs {
    /// Forgets all nodes.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Whether none is noted.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Notes the proof of a gap at a step. A zone that proves nothing notes nothing.
    #[cold]
    pub(super) fn add(&mut self, step: &Step<'_>, gap: Gap<'_, '_>) {
        let found = match step.zone.denial() {
            Denial::None => None,
            Denial::Nsec(chain) => self.add_nsec(step, &chain, gap),
            Denial::Nsec3(chain) => self.add_nsec3(step, &chain, gap),
        };
        // An index that leads nowhere is malformed, and the loader refuses that.
        debug_assert!(found.is_some() || matches!(step.zone.denial(), Denial::None));
    }

    /// Notes a node, unless it is already there.
    fn push(&mut self, id: ZoneId, node: &Node<'_>) {
        let entry = (id, node.word());
        if self.nodes[..self.count].contains(&entry) {
            return;
        }
        if let Some(slot) = self.nodes.get_mut(self.count) {
            *slot = entry;
            self.count += 1;
        }
    }

    /// Notes NSEC owners (RFC 4035 section 3.1.3).
    fn add_nsec(&mut self, step: &Step<'_>, chain: &Chain<'_>, gap: Gap<'_, '_>) -> Option<()> {
        match gap {
            Gap::Type(node) => self.push_nsec_of(step, chain, node),
            Gap::Name(labels) => {
                self.push_covering(step, chain, step.name.as_wire())?;
                let (wildcard, len) = wildcard_of(step.name.suffix(labels));
                self.push_covering(step, chain, wildcard.get(..len)?)
            }
            Gap::Closer(_) => self.push_covering(step, chain, step.name.as_wire()),
            Gap::WildcardType(_, source) => {
                self.push_covering(step, chain, step.name.as_wire())?;
                self.push_nsec_of(step, chain, source)
            }
        }
    }

    /// Notes a node for its own NSEC, or, for an empty non-terminal, the one that covers it.
    fn push_nsec_of(&mut self, step: &Step<'_>, chain: &Chain<'_>, node: &Node<'_>) -> Option<()> {
        if node.rrset(Rtype::NSEC).is_some() {
            self.push(step.id, node);
            return Some(());
        }
        self.push_covering(step, chain, node.name())
    }

    /// Notes the node whose NSEC covers a name.
    fn push_covering(&mut self, step: &Step<'_>, chain: &Chain<'_>, canonical: &[u8]) -> Option<()> {
        self.push(step.id, &chain.at_or_before(canonical)?);
        Some(())
    }

    /// Notes NSEC3 owners (RFC 5155 sections 7.2.2 to 7.2.6).
    fn add_nsec3(&mut self, step: &Step<'_>, chain: &HashedChain<'_>, gap: Gap<'_, '_>) -> Option<()> {
        match gap {
            Gap::Type(node) => match chain.find(node.name())? {
                Hashed::Match(own) => self.push(step.id, &own),
                // Left out of the chain: an unsigned delegation in an opt-out span, or a name that leads to some only.
                Hashed::Cover(_) => {
                    // The root has nothing above it: a chain without it proves nothing.
                    if let Some(above) = labels_of(step.name, node.name()).checked_sub(1) {
                        self.push_encloser(step, chain, above)?;
                    }
                }
            },
            Gap::Name(labels) => {
                let labels = self.push_encloser(step, chain, labels)?;
                let (wildcard, len) = wildcard_of(step.name.suffix(labels));
                self.push_hashed(step, chain, wildcard.get(..len)?)?;
            }
            Gap::Closer(labels) => self.push_hashed(step, chain, step.name.suffix(labels + 1))?,
            Gap::WildcardType(labels, source) => {
                self.push_encloser(step, chain, labels)?;
                self.push_hashed(step, chain, source.name())?;
            }
        }
        Some(())
    }

    /// Notes the closest provable encloser with at most `labels` labels and the cover of the next closer name (RFC 5155
    /// section 7.2.1). Returns the labels of that encloser.
    ///
    /// Usually that is the first name tried. If not, it is found by bisection, because what lies above a name of the chain
    /// is in the chain as well: at most eight hashes, whatever a zone holds.
    fn push_encloser(&mut self, step: &Step<'_>, chain: &HashedChain<'_>, labels: usize) -> Option<usize> {
        let mut low = step.zone.apex_labels();
        let mut high = labels;
        let mut probe = labels;
        let mut found = None;
        while low <= high {
            match chain.find(step.name.suffix(probe))? {
                Hashed::Match(own) => {
                    found = Some((probe, own));
                    low = probe + 1;
                }
                Hashed::Cover(_) => match probe.checked_sub(1) {
                    Some(above) => high = above,
                    None => break,
                },
            }
            probe = low.midpoint(high);
        }
        // Not even the apex is in the chain: a broken zone, for which nothing can be proved.
        let Some((labels, own)) = found else { return Some(step.zone.apex_labels()) };
        self.push(step.id, &own);
        self.push_hashed(step, chain, step.name.suffix(labels + 1))?;
        Some(labels)
    }

    /// Notes the node that matches or covers the hash of a name.
    fn push_hashed(&mut self, step: &Step<'_>, chain: &HashedChain<'_>, canonical: &[u8]) -> Option<()> {
        let (Hashed::Match(node) | Hashed::Cover(node)) = chain.find(canonical)?;
        self.push(step.id, &node);
        Some(())
    }

    /// Appends the noted records with their signatures to the authority section, all or none, and forgets them.
    pub(super) fn place(&mut self, view: &View, qname: &LookupName, writer: &mut Writer<'_>) -> Result<(), Full> {
        let mark = writer.mark();
        let count = std::mem::take(&mut self.count);
        for &(id, word) in &self.nodes[..count] {
            let Some(node) = view.get(id).and_then(|zone| zone.node_at(word)) else { continue };
            let Some(body) = node.rrset(Rtype::NSEC3).or_else(|| node.rrset(Rtype::NSEC)) else { continue };
            if place_owned(writer, Section::Authority, &body, node.name(), qname).is_err() {
                writer.rewind(mark);
                return Err(Full);
            }
        }
        Ok(())
    }
}

/// The child `*` of a name, and its length.
fn wildcard_of(encloser: &[u8]) -> ([u8; NAME_LEN_MAX + ASTERISK.len()], usize) {
    let mut wildcard = [0; NAME_LEN_MAX + ASTERISK.len()];
    let len = (ASTERISK.len() + encloser.len()).min(wildcard.len());
    wildcard[..ASTERISK.len()].copy_from_slice(&ASTERISK);
    wildcard[ASTERISK.len()..len].copy_from_slice(&encloser[..len - ASTERISK.len()]);
    (wildcard, len)
}

/// How many labels `ancestor`, which is `name` or above it, has.
fn labels_of(name: &LookupName, ancestor: &[u8]) -> usize {
    (0..=name.label_count()).find(|&labels| name.suffix(labels).len() >= ancestor.len()).unwrap_or(0)
}
