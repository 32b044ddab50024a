//! What is published of a zone: a segment, or a pack that lies ready because the segment is large.

use snapshot::handover::{HandoverError, Ready, Shelf};
use snapshot::image::{BaseFacts, Segment, ZoneFacts};

use crate::sign::Hashes;

/// Something to publish of one zone.
pub(super) enum Piece {
    /// A segment, whole or an overlay.
    Segment(Segment),
    /// The zone as a whole, in a pack of its own.
    Ready(Box<ZoneFacts>, Ready),
}

/// A zone as a whole, and what its changes go on from.
pub(super) struct Base {
    /// What is published of it.
    pub(super) piece: Piece,
    /// See [`Ground`]; `None` if it carries no overlay.
    pub(super) ground: Option<Ground>,
}

/// What overlays of a zone have to know of the zone below them.
pub(super) struct Ground {
    /// The segment.
    pub(super) base: BaseFacts,
    /// The chain, if names are hashed.
    pub(super) hashes: Option<Hashes>,
}

impl Piece {
    /// What is known of it.
    pub(super) fn facts(&self) -> &ZoneFacts {
        match self {
            Piece::Segment(segment) => &segment.facts,
            Piece::Ready(facts, _) => facts,
        }
    }
}

impl Ground {
    /// Of a segment.
    pub(super) fn of(segment: &Segment) -> Option<Ground> {
        let hashes = Hashes::read(|each| segment.each_hashed(each));
        Some(Ground { base: segment.base_facts()?, hashes })
    }
}

impl Base {
    /// Of a segment; a large one is made ready.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub(super) fn put(segment: Segment, shelf: &Shelf) -> Result<Base, HandoverError> {
        let ground = Ground::of(&segment);
        let piece = if shelf.is_worth(&segment) {
            Piece::Ready(Box::new(segment.facts.clone()), shelf.put(segment)?)
        } else {
            Piece::Segment(segment)
        };
        Ok(Base { piece, ground })
    }
}

/// Parts what is to be published: packs that lie ready, and segments, each in their order.
pub(super) fn part(pieces: Vec<Piece>) -> (Vec<Ready>, Vec<Segment>) {
    let (mut packs, mut segments) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Segment(segment) => segments.push(segment),
            Piece::Ready(_, ready) => packs.push(ready),
        }
    }
    (packs, segments)
}
