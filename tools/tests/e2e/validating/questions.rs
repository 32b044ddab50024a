//! What to ask: about a name and all around it, or about a zone here and there.

use std::collections::BTreeSet;

use super::super::common::random::Random;
use super::grow;
use super::oracle::{Expected, expected};
use super::world::{Labels, World, Zone};

/// A type that no name has.
const ABSENT: &str = "LOC";
/// How many other names of the zone are asked for beside one that changed.
const OTHER_COUNT: usize = 2;

/// A question with its answer.
#[derive(Debug)]
pub(crate) struct Question {
    /// The qname.
    pub(crate) qname: Labels,
    /// The qtype.
    pub(crate) qtype: &'static str,
    /// What should be answered.
    pub(crate) expected: Expected,
}

/// Collects questions, each once, that have an answer.
pub(crate) struct Questions<'w> {
    /// The zones.
    world: &'w World,
    /// What is asked.
    seen: BTreeSet<(Labels, &'static str)>,
}

impl<'w> Questions<'w> {
    /// None yet.
    pub(crate) fn new(world: &'w World) -> Questions<'w> {
        Questions { world, seen: BTreeSet::new() }
    }

    /// The questions.
    pub(crate) fn all(self) -> Vec<Question> {
        let world = self.world;
        let with_answer = |(qname, qtype): (Labels, &'static str)| {
            let expected = expected(world, &qname, qtype)?;
            Some(Question { qname, qtype, expected })
        };
        self.seen.into_iter().filter_map(with_answer).collect()
    }

    /// Asks for a type of a name.
    fn add(&mut self, qname: &[String], qtype: &'static str) {
        self.seen.insert((qname.to_vec(), qtype));
    }

    /// Asks about a zone, and so many of its names.
    pub(crate) fn zone(&mut self, zone: &Zone, count: usize, random: &mut Random) {
        for qtype in ["SOA", "NS", "DNSKEY", "DS", "CSYNC", ABSENT] {
            self.add(&zone.apex, qtype);
        }
        self.add(&below(&zone.apex, "nothing"), "A");
        for _ in 0..count.min(zone.rows.len()) {
            let (name, types) = zone.rows.iter().nth(random.below(zone.rows.len())).expect("there are so many");
            for rtype in types.keys() {
                self.add(name, rtype);
            }
            self.around(zone, name, random);
        }
    }

    /// Asks about what depends on a name of a zone: itself, what is above, below and beside it.
    pub(crate) fn around(&mut self, zone: &Zone, name: &[String], random: &mut Random) {
        for qtype in ["A", ABSENT, "DS"] {
            self.add(name, qtype);
        }
        for len in zone.apex.len()..name.len() {
            self.add(&name[..len], "A");
            self.add(&name[..len], "TXT");
            self.add(&below(&name[..len], "zzz"), "A");
            self.add(&below(&name[..len], "*"), "A");
        }
        let child = below(name, &grow::label(random));
        self.add(&child, "A");
        self.add(&below(&child, &grow::label(random)), "MX");
    }

    /// Asks about a name that was changed: around it, for its types, and for its neighbours in canonical order.
    pub(crate) fn changed(&mut self, zone: &Zone, name: &[String], rtype: &'static str, random: &mut Random) {
        self.add(name, rtype);
        self.around(zone, name, random);
        let before = zone.rows.range::<[String], _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(name)));
        let after = zone.rows.range::<[String], _>((std::ops::Bound::Excluded(name), std::ops::Bound::Unbounded));
        let mut neighbours: Vec<_> = before.rev().take(1).chain(after.take(1)).collect();
        for _ in 0..OTHER_COUNT.min(zone.rows.len()) {
            neighbours.extend(zone.rows.iter().nth(random.below(zone.rows.len())));
        }
        for (neighbour, types) in neighbours {
            self.add(neighbour, ABSENT);
            self.add(neighbour, "DS");
            if let Some(rtype) = types.keys().next() {
                self.add(neighbour, rtype);
            }
        }
    }
}

/// A name with one more label.
fn below(name: &[String], label: &str) -> Labels {
    [name, &[label.to_owned()]].concat()
}
