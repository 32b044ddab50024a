//! Zones of a generation as something to go on from: their bases, and what their overlays say has changed since.
//!
//! A writer that was started anew has no [`OverlayBuilder`](super::OverlayBuilder) any more; from what lies here it makes
//! one that answers as the former one did. An overlay names every owner that changed since its base was compiled, those of
//! NSEC3 included, so these are touched; whether one may have moved what lies below it is found by comparing with the base.

use super::Touched;
use crate::dns::name::Name;
use crate::dns::rtype::Rtype;
use crate::image::build::BaseFacts;
use crate::image::hash::name_hash;
use crate::image::lookup::{Part, Zone};
use crate::image::{Node, View, ZoneFacts};

/// A zone that may carry an overlay, as a view has it.
#[derive(Debug, Clone)]
pub struct Laid {
    /// Its facts, those of the overlay if it has one.
    pub facts: ZoneFacts,
    /// Its base: the whole segment.
    pub base: BaseFacts,
    /// The owners that may differ from the base.
    pub touched: Vec<Touched>,
}

impl View {
    /// The zones with at least `rrsets_min` RRsets. O(zones and nodes of overlays).
    #[must_use]
    pub fn laid(&self, rrsets_min: u32) -> Vec<Laid> {
        let zones = (0..self.entry_count).filter_map(|entry| self.zones.get(entry)).filter(|zone| zone.is_live());
        let laid = |zone| {
            let facts = self.facts(zone).filter(|facts| facts.rrsets >= rrsets_min)?;
            let pack = self.pack(zone.pack)?;
            let base = pack.base_facts(zone.idx as usize)?;
            let whole = Zone { segment: pack.bytes(zone.off, zone.len), zone, view: self };
            let touched = whole.overlay().map_or_else(Vec::new, |overlay| touched(whole.base(), overlay));
            Some(Laid { facts: facts.clone(), base, touched })
        };
        zones.filter_map(laid).collect()
    }
}

/// The owners of an overlay.
fn touched(base: Part<'_>, overlay: Part<'_>) -> Vec<Touched> {
    let touched = |node: Node<'_>| {
        let owner = Name::from_wire(node.name()).ok()?;
        let before = base.probe(node.name(), name_hash(node.name(), base.zone.seed));
        // What neither shows, because a cut or DNAME above hides it, comes with that when it goes.
        let is_boundary = before.map_or((false, false), |node| boundary(&node)) != boundary(&node);
        Some(if is_boundary { Touched::boundary(owner) } else { Touched::data(owner) })
    };
    overlay.nodes().filter_map(touched).collect()
}

/// Whether a node has NS and DNAME records.
fn boundary(node: &Node<'_>) -> (bool, bool) {
    let has = |rtype| node.rrsets().any(|rrset| rrset.rtype == rtype);
    (has(Rtype::NS), has(Rtype::DNAME))
}
