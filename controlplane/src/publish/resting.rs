//! Zones that could not be compiled, and when each is tried again.
//!
//! What ailed a read may be over soon; a zone that no server could serve stays so until it is changed, which tries it at once,
//! and reading it whole again and again would hold up all others. So each rests for longer the more often it was tried.
//! Invariant: no zone is due before its rest is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::round::Refused;
use crate::store::DomainId;

/// How long a zone rests at first.
const REST: Duration = Duration::from_secs(5);
/// The same at most.
const REST_MAX: Duration = Duration::from_secs(600);

/// The zones, by name.
#[derive(Default)]
pub(super) struct RestingZones(BTreeMap<String, Resting>);

/// One of them.
struct Resting {
    /// Its domain, as far as it is known.
    domain: Option<DomainId>,
    /// Why it was refused.
    cause: String,
    /// How long it rests.
    rest: Duration,
    /// Until when.
    until: Instant,
}

impl RestingZones {
    /// Takes up a zone that was refused now; whether the cause is another one than before. For that the rests begin anew.
    pub(super) fn refuse(&mut self, refused: &Refused, now: Instant) -> bool {
        let Refused { name, domain, cause, passes, .. } = refused;
        let before = self.0.get(name).filter(|before| before.cause == *cause);
        let longer = |before: &Resting| (before.rest * 2).min(REST_MAX);
        let rest = before.filter(|_| !passes).map_or(REST, longer);
        let is_new = before.is_none();
        let resting = Resting { domain: *domain, cause: cause.clone(), rest, until: now + rest };
        self.0.insert(name.clone(), resting);
        is_new
    }

    /// The zones to be tried now, with their domains.
    pub(super) fn due(&self, now: Instant) -> BTreeMap<String, Option<DomainId>> {
        let due = self.0.iter().filter(|(_, resting)| resting.until <= now);
        due.map(|(name, resting)| (name.clone(), resting.domain)).collect()
    }

    /// Has those rest again that were tried and of which nothing is known yet.
    pub(super) fn rest_again(&mut self, tried: &BTreeMap<String, Option<DomainId>>, now: Instant) {
        for name in tried.keys() {
            if let Some(resting) = self.0.get_mut(name).filter(|resting| resting.until <= now) {
                resting.until = now + resting.rest;
            }
        }
    }

    /// When the first of them is due; `None` if there are none.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|resting| resting.until).min()
    }

    /// Forgets a zone that is published, or gone.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone that was refused.
    fn refused(name: &str, cause: &str) -> Refused {
        Refused {
            name: name.into(),
            domain: Some(DomainId(1)),
            changes: Vec::new(),
            cause: cause.into(),
            passes: false,
        }
    }

    #[test]
    fn each_zone_rests_for_longer_the_more_often_it_is_refused_for_one_cause() {
        let (mut zones, mut now) = (RestingZones::default(), Instant::now());
        assert!(zones.next().is_none());
        for (number, rest_secs) in [5, 10, 20, 40, 80, 160, 320, 600, 600].into_iter().enumerate() {
            assert_eq!(zones.refuse(&refused("a", "no key"), now), rest_secs == 5);
            zones.refuse(&refused("b", &number.to_string()), now);
            let until = now + Duration::from_secs(rest_secs);
            assert_eq!(zones.next(), Some(now + REST.min(until - now)), "the other one has another cause each time");
            assert!(!zones.due(until - Duration::from_millis(1)).contains_key("a"));
            assert!(zones.due(until).contains_key("a"));
            now = until;
        }
        let passing = Refused { passes: true, ..refused("a", "no key") };
        assert!(!zones.refuse(&passing, now));
        assert!(zones.due(now + REST).contains_key("a"));
        assert!(zones.refuse(&refused("a", "no SOA"), now));
        assert_eq!(zones.due(now + REST).len(), 2);
        zones.forget("a");
        assert_eq!(zones.names().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_zone_that_is_being_tried_rests_meanwhile() {
        let (mut zones, now) = (RestingZones::default(), Instant::now());
        zones.refuse(&refused("a", "no key"), now);
        let later = now + REST;
        let due = zones.due(later);
        zones.rest_again(&due, later);
        assert!(zones.due(later).is_empty());
        assert_eq!(zones.next(), Some(later + REST));
    }
}
