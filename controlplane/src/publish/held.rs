//! Changes that a generation passes over: their zones are still being signed beside the publishing, or cannot be published as
//! they are.
//!
//! Generations are counted by the last change in them, which tells nothing of these: they are kept one by one. What an earlier
//! process left is in the outbox. Invariant: a change that is held is not said to be published before a generation has it, nor
//! served before its planes have that one.

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
    /// How far it is.
    stage: Stage,
}

/// How far a change is that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits, and may be published soon.
    Waits,
    /// Its zone cannot be published as it is.
    Refused,
    /// It is published since this generation.
    In(u64),
}

impl Stage {
    /// Whether no generation has it.
    fn is_held(self) -> bool {
        !matches!(self, Stage::In(_))
    }
}

impl HeldChanges {
    /// Those that an earlier process left, with the names of their zones.
    pub(super) fn left(changes: Vec<(ChangeId, String)>) -> HeldChanges {
        HeldChanges(changes.into_iter().map(|(change, zone)| (change, Held { zone, stage: Stage::Waits })).collect())
    }

    /// Holds changes of a zone.
    pub(super) fn hold(&mut self, zone: &str, changes: &[ChangeId]) {
        for change in changes {
            self.0.insert(*change, Held { zone: zone.to_owned(), stage: Stage::Waits });
        }
    }

    /// Holds changes of a zone that is refused, with all that was held of it.
    pub(super) fn refuse(&mut self, zone: &str, changes: &[ChangeId]) {
        self.hold(zone, changes);
        let held = self.0.values_mut().filter(|held| held.stage.is_held() && held.zone == zone);
        held.for_each(|held| held.stage = Stage::Refused);
    }

    /// Notes that a generation has what was held of a zone, up to a change.
    pub(super) fn release(&mut self, zone: &str, last: ChangeId, generation: u64) {
        let held = self.0.range_mut(..=last).map(|(_, held)| held);
        held.filter(|held| held.stage.is_held() && held.zone == zone)
            .for_each(|held| held.stage = Stage::In(generation));
    }

    /// Forgets what is in generations before this one, which all planes have passed.
    pub(super) fn forget_before(&mut self, generation: u64) {
        self.0.retain(|_, held| !matches!(held.stage, Stage::In(published) if published < generation));
    }

    /// Whether a change is in no generation yet.
    pub(super) fn waits(&self, change: ChangeId) -> bool {
        self.0.get(&change).is_some_and(|held| held.stage.is_held())
    }

    /// The zone of a change that is in no generation, as that zone is refused.
    pub(super) fn refused(&self, change: ChangeId) -> Option<&str> {
        self.0.get(&change).filter(|held| held.stage == Stage::Refused).map(|held| &*held.zone)
    }

    /// Whether a generation that goes up to a change, or beyond, has it.
    pub(super) fn is_in(&self, change: ChangeId, generation: Option<u64>) -> bool {
        match self.0.get(&change).map(|held| held.stage) {
            None => true,
            Some(Stage::In(published)) => generation >= Some(published),
            Some(_) => false,
        }
    }

    /// The zones of which something waits.
    pub(super) fn zones(&self) -> impl Iterator<Item = &String> {
        self.0.values().filter(|held| held.stage.is_held()).map(|held| &held.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_change_is_in_the_generation_that_releases_its_zone_and_later_ones() {
        let mut held = HeldChanges::left(vec![(ChangeId(3), "a".to_owned())]);
        held.hold("a", &[ChangeId(5)]);
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
    }

    #[test]
    fn what_is_refused_stays_held_until_a_generation_has_the_zone() {
        let mut held = HeldChanges::default();
        held.hold("a", &[ChangeId(1)]);
        held.release("a", ChangeId(1), 5);
        held.hold("a", &[ChangeId(2)]);
        held.hold("b", &[ChangeId(3)]);
        held.refuse("a", &[ChangeId(4)]);
        for change in [2, 4].map(ChangeId) {
            assert!(held.waits(change) && held.refused(change) == Some("a") && !held.is_in(change, Some(100)));
        }
        assert!(held.refused(ChangeId(3)).is_none() && held.refused(ChangeId(1)).is_none());
        // The next change of it is being signed, and nothing is known of that yet.
        held.hold("a", &[ChangeId(6)]);
        assert!(held.waits(ChangeId(6)) && held.refused(ChangeId(6)).is_none());
        held.release("a", ChangeId(6), 9);
        for change in [2, 4, 6].map(ChangeId) {
            assert!(held.refused(change).is_none() && !held.is_in(change, Some(8)) && held.is_in(change, Some(9)));
        }
    }
}
