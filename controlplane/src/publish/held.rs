//! Changes that a generation passes over, because their zones are still being signed beside the publishing.
//!
//! Generations are counted by the last change in them, which tells nothing of these: they are kept one by one. Invariant: a
//! change that is held is not said to be published before a generation has it, nor served before its planes have that one.

use std::collections::BTreeMap;

use crate::store::ChangeId;

/// The changes.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldChanges(BTreeMap<ChangeId, Held>);

/// One of them.
#[derive(Debug, Clone)]
struct Held {
    /// The name of its zone.
    zone: String,
    /// The generation that has it, once there is one.
    generation: Option<u64>,
}

impl HeldChanges {
    /// Holds changes of a zone.
    pub(super) fn hold(&mut self, zone: &str, changes: &[ChangeId]) {
        for change in changes {
            self.0.insert(*change, Held { zone: zone.to_owned(), generation: None });
        }
    }

    /// Notes that a generation has what was held of a zone, up to a change.
    pub(super) fn release(&mut self, zone: &str, last: ChangeId, generation: u64) {
        let held = self.0.range_mut(..=last).map(|(_, held)| held);
        for held in held.filter(|held| held.generation.is_none() && held.zone == zone) {
            held.generation = Some(generation);
        }
    }

    /// Forgets what was held of a zone that is refused: who asks learns that otherwise.
    pub(super) fn refuse(&mut self, zone: &str) {
        self.0.retain(|_, held| held.generation.is_some() || held.zone != zone);
    }

    /// Forgets what is in generations before this one, which all planes have passed.
    pub(super) fn forget_before(&mut self, generation: u64) {
        self.0.retain(|_, held| held.generation.is_none_or(|published| published >= generation));
    }

    /// Whether a change is in no generation yet.
    pub(super) fn waits(&self, change: ChangeId) -> bool {
        self.0.get(&change).is_some_and(|held| held.generation.is_none())
    }

    /// Whether a generation that goes up to a change, or beyond, has it.
    pub(super) fn is_in(&self, change: ChangeId, generation: Option<u64>) -> bool {
        self.0.get(&change).is_none_or(|held| held.generation.is_some_and(|published| generation >= Some(published)))
    }

    /// The zones of which something waits.
    pub(super) fn zones(&self) -> impl Iterator<Item = &String> {
        self.0.values().filter(|held| held.generation.is_none()).map(|held| &held.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_change_is_in_the_generation_that_releases_its_zone_and_later_ones() {
        let mut held = HeldChanges::default();
        held.hold("a", &[ChangeId(3), ChangeId(5)]);
        held.hold("b", &[ChangeId(4)]);
        assert!(held.waits(ChangeId(3)) && !held.waits(ChangeId(2)) && held.is_in(ChangeId(2), None));
        assert!(!held.is_in(ChangeId(5), Some(100)));
        held.release("a", ChangeId(3), 7);
        assert!(!held.waits(ChangeId(3)) && held.waits(ChangeId(5)));
        held.release("a", ChangeId(9), 7);
        assert!(!held.waits(ChangeId(5)) && held.waits(ChangeId(4)));
        assert!(
            !held.is_in(ChangeId(5), Some(6)) && held.is_in(ChangeId(5), Some(7)) && held.is_in(ChangeId(3), Some(8))
        );
        assert_eq!(held.zones().collect::<Vec<_>>(), ["b"]);
        held.forget_before(8);
        assert!(held.is_in(ChangeId(5), Some(1)) && held.waits(ChangeId(4)));
        held.refuse("b");
        assert!(held.is_in(ChangeId(4), None));
    }
}
