//! Which of several answers a client gets (`snapshot::image::Choices`): by where it is, and by lot.
//!
//! The lot is a number from the caller, one for each batch, spread over its queries here; where addresses are comes from the
//! view. Invariants: within one reply the same RRset is chosen the same way, wherever it comes up, and all RRsets of a name
//! fall on the same part of their weights; a query that meets no such RRset pays one store.

use std::net::IpAddr;

use snapshot::dns::region::Location;
use snapshot::image::{Node, RrsetBody, ZoneId};

use super::resolve::Question;

/// What is added from one number to the next: odd, and without a pattern (the golden ratio in 64 bits).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What chooses.
#[derive(Debug, Default)]
pub(super) struct Lots {
    /// The latest number.
    number: u64,
    /// What was drawn for this reply, once something was to be chosen.
    drawn: Option<Drawn>,
}

/// What decides for one reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn {
    /// The number.
    lot: u64,
    /// Where the client is, and the length of the prefix for which that is so, once something depended on it.
    place: Option<(Location, u8)>,
}

impl Lots {
    /// Begins with a new number.
    #[inline]
    pub(super) fn begin(&mut self, number: u64) {
        self.number = number;
    }

    /// Forgets the reply before.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.drawn = None;
    }

    /// What is answered in place of an RRset of a node.
    #[cold]
    pub(super) fn choose<'v>(
        &mut self,
        question: &Question<'_>,
        (id, node): (ZoneId, &Node<'v>),
        body: RrsetBody<'v>,
    ) -> RrsetBody<'v> {
        self.draw(question, std::iter::once(body)).map_or(body, |drawn| drawn.choose((id, node), body))
    }

    /// Draws for this reply, unless that was done, and finds out where the client is if one of these RRsets depends on it.
    #[cold]
    pub(super) fn draw<'v>(
        &mut self,
        question: &Question<'_>,
        mut bodies: impl Iterator<Item = RrsetBody<'v>>,
    ) -> Option<Drawn> {
        let number = &mut self.number;
        let drawn = self.drawn.get_or_insert_with(|| {
            *number = number.wrapping_add(STEP);
            Drawn { lot: mixed(*number), place: None }
        });
        if drawn.place.is_none() && bodies.any(|body| body.choices().is_some_and(|choices| choices.is_regional())) {
            let place = question.view.places().map(|places| places.find(question.origin()));
            drawn.place = Some(place.unwrap_or_default());
        }
        self.drawn
    }

    /// For how many bits of the client's address the reply holds; 0 if for all addresses.
    pub(super) fn scope(&self) -> u8 {
        self.drawn.and_then(|drawn| drawn.place).map_or(0, |(_, prefix_len)| prefix_len)
    }
}

impl Drawn {
    /// What is answered in place of an RRset of a node.
    pub(super) fn choose<'v>(&self, (id, node): (ZoneId, &Node<'v>), body: RrsetBody<'v>) -> RrsetBody<'v> {
        let of_node = mixed(self.lot ^ (u64::from(id.number()) << 32 | u64::from(node.word())));
        let (location, _) = self.place.unwrap_or_default();
        body.choices().and_then(|choices| choices.choose(location, of_node)).unwrap_or(body)
    }
}

impl Question<'_> {
    /// Where the query comes from: what the resolver tells of its client if that is believed, else the resolver.
    fn origin(&self) -> IpAddr {
        self.extras.subnet().and_then(|subnet| subnet.address).unwrap_or(*self.client)
    }
}

/// Spreads a number over 64 bits: numbers in a row become as good as random (the finaliser of SplitMix64).
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
