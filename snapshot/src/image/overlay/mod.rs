//! Compiles the changes of a big zone into an overlay: a segment with the nodes that differ from those of a whole
//! segment, its base.
//!
//! A lookup probes the overlay first; a tombstone there hides the node of the base. The builder reads the zone as it is
//! now and never the base: it includes every name whose node may differ (see `closure`). Links never leave a segment: a
//! node below a cut brings the cut and a cut all names below it, a wildcard brings its parent and the parent its wildcard.
//! Of a signed zone it has the changed part of the chain as well (see `chained`). Invariant: base and overlay together
//! answer as a whole segment of the zone would.

mod chained;
mod closure;
mod laid;
mod reader;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use self::chained::Hashed;
use self::closure::{Item, Owned};
pub use self::laid::Laid;
pub use self::reader::{ReadError, ZoneReader};
use super::build::{BaseFacts, BuildError, Nodes, Segment};
use super::denial::BaseDenial;
use super::layout::{NODE_BELOW_CUT, NODE_CUT, NODE_TOMBSTONE, NODE_WILDCARD, NODE_WILDCARD_CHILD};
use super::pack::ZoneCounts;
use crate::dns::name::{Name, NameRef};
use crate::dns::zone::{Zone, ZoneBuilder};

/// The most nodes of an overlay. All of it is written for each change, so its size bounds what a change costs.
pub const OVERLAY_NODES_MAX: usize = 4096;

/// An owner whose records were changed since the base was compiled. Signatures and denials are records like others: the
/// name before one that comes or goes is touched, because its NSEC changes, and so is the owner of each NSEC3 that comes,
/// goes or changes, by its own name (the hash and the apex).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The owner.
    owner: Name,
    /// Whether the change may have moved the names below it across a cut or a DNAME.
    is_boundary: bool,
}

/// Why no overlay can be built.
#[derive(Debug, Error)]
pub enum OverlayError {
    /// The names that differ from the base are too many: the zone has to be compiled whole.
    #[error("more than {OVERLAY_NODES_MAX} names of zone {apex} differ from its base")]
    TooLarge {
        /// The zone.
        apex: Name,
    },
    /// The base is signed and proves nothing, as if its signing had failed half-way: the zone has to be compiled whole.
    #[error("zone {apex} is signed, but has no chain that proves what does not exist")]
    Unproved {
        /// The zone.
        apex: Name,
    },
    /// The zone got or lost signatures or its chain, or has another chain than its base: it has to be compiled whole.
    #[error("zone {apex} is signed, or proves what does not exist, otherwise than its base")]
    Denial {
        /// The zone.
        apex: Name,
    },
    /// A touched name that cannot have changed the zone.
    #[error("{owner} is not in zone {apex}")]
    OutOfZone {
        /// The zone.
        apex: Name,
        /// The name.
        owner: Name,
    },
    /// What was read cannot be compiled.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The zone could not be read.
    #[error("reading the zone")]
    Read(#[source] ReadError),
}

/// The overlay of a zone while the zone changes.
///
/// It keeps what it read and rendered, so that a change reads the zone for the names that it touches only. Built anew from
/// all names that were touched since the base was compiled, it is a function of the zone, these names and the base.
/// One that has seen the zone in between may have more nodes, but answers alike.
#[must_use]
pub struct OverlayBuilder {
    /// The apex, canonical.
    apex: Name,
    /// The base.
    base: BaseFacts,
    /// The nodes, by the sort keys of their names.
    items: BTreeMap<Vec<u8>, Item>,
    /// What is known of names, by their canonical wire format: of all items, and of the names above them.
    owned: HashMap<Vec<u8>, Owned>,
    /// The records of the apex.
    head: Zone,
}

impl Touched {
    /// An owner whose NS and DNAME records are as they were when the base was compiled.
    #[must_use]
    pub fn data(owner: Name) -> Touched {
        Touched { owner, is_boundary: false }
    }

    /// An owner that got or lost NS or DNAME records since the base was compiled, perhaps both in turn; always right if it
    /// is not known. All names below it go into the overlay. Of the apex it says nothing: its NS make no cut, and whether it
    /// has got or lost a DNAME is known.
    #[must_use]
    pub fn boundary(owner: Name) -> Touched {
        Touched { owner, is_boundary: true }
    }
}

impl OverlayBuilder {
    /// An overlay on a base that nothing was changed of yet.
    ///
    /// # Errors
    /// [`OverlayError::Unproved`].
    pub fn new(apex: NameRef<'_>, base: BaseFacts) -> Result<OverlayBuilder, OverlayError> {
        let apex = apex.to_name().to_canonical();
        if base.signed && base.denial == BaseDenial::None {
            return Err(OverlayError::Unproved { apex });
        }
        let head = ZoneBuilder::new(apex.clone()).finish();
        Ok(OverlayBuilder { apex, base, items: BTreeMap::new(), owned: HashMap::new(), head })
    }

    /// Whether the apex had a DNAME, which hides all names below, when the last change was taken up.
    #[must_use]
    pub fn has_apex_dname(&self) -> bool {
        self.owned.get(self.apex.as_wire()).map_or(self.base.has_apex_dname, |owned| owned.dname)
    }

    /// How many nodes it has.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.items.len()
    }

    /// Compiles the overlay. `counts` are those of the whole zone; the facts of the zone tell them, and nothing else
    /// depends on them. O(bytes of the overlay).
    ///
    /// # Errors
    /// [`OverlayError::Denial`] and [`OverlayError::Build`]; it is up to [`Segment::build`] then.
    pub fn build(&self, counts: ZoneCounts) -> Result<Segment, OverlayError> {
        let mut nodes = Nodes::new(&self.head, &self.apex, Some(self.base))?;
        if nodes.is_signed() != self.base.signed || !self.continues_chain() {
            return Err(OverlayError::Denial { apex: self.apex.clone() });
        }
        // The key and the place of the latest cut, and of the nodes from the apex down to the latest one.
        let mut cut: Option<(&[u8], u32)> = None;
        let mut path: Vec<(&[u8], u32)> = Vec::new();
        for (key, item) in &self.items {
            let word = nodes.push_rendered(&item.node, item.labels)?;
            let flags = item.flags;
            if let Some(Hashed { hash, node }) = &item.hashed {
                nodes.push_hashed(*hash, node);
            }
            if item.is_chained
                && let Some(name) = item.name()
            {
                nodes.push_nsec(name, word);
            }
            if flags & NODE_TOMBSTONE != 0 {
                continue;
            }
            while path.last().is_some_and(|(above, _)| !key.starts_with(above)) {
                path.pop();
            }
            if flags & NODE_CUT != 0 {
                cut = Some((key, word));
            }
            match (cut, path.last()) {
                (Some((above, cut)), _) if flags & NODE_BELOW_CUT != 0 && key.starts_with(above) => {
                    nodes.link(word, NODE_BELOW_CUT, cut);
                }
                // The parent of a wildcard is always here.
                (_, Some(&(_, parent))) if flags & (NODE_WILDCARD | NODE_BELOW_CUT) == NODE_WILDCARD => {
                    nodes.link(parent, NODE_WILDCARD_CHILD, word);
                }
                _ => {}
            }
            path.push((key, word));
        }
        Ok(nodes.finish_with(self.apex.clone(), counts)?)
    }
}
