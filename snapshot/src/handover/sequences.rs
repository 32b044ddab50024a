//! Sequences of everything a writer does, crashes included, against a model: what is served is what was published.
//!
//! Compiled for tests only. A reader that was there from the start and one that comes anew see the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::testing::{Fault, Scratch, pack, segment};
use super::{Compacted, Compaction, HandoverError, Keep, Publication, Published, Writer};
use crate::dns::name::Name;
use crate::image::{Generation, View};

/// Zones that lie ready before they are published, if they come whole.
const EARLY: [&str; 4] = ["z16=", "z17=", "z18=", "z19="];

/// Zones and serials.
type Content = BTreeMap<u8, u8>;

/// Something a writer does.
#[derive(Debug, Clone)]
enum Step {
    /// Publishes zones and removes others.
    Publish(Keep, Content, Vec<u8>),
    /// The same, but after so many changes of the directory nothing works any more.
    Fail(Fault, usize, Content, Vec<u8>),
    /// Another process becomes the writer.
    Reopen,
    /// Begins to rewrite what there is.
    Plan,
    /// Rewrites it.
    Run,
    /// Takes it over.
    Adopt,
    /// Removes what is needed no more.
    Collect(usize),
}

/// A directory with all who use it.
struct Scene {
    /// The directory.
    scratch: Scratch,
    /// Its writer.
    writer: Writer,
    /// What a data plane serves that was there from the start.
    view: Option<Arc<View>>,
    /// What should be served.
    model: Content,
    /// What it would be without overlays.
    bases: Content,
    /// What is to be rewritten.
    planned: Option<Compaction>,
    /// What was.
    compacted: Option<Compacted>,
}

/// Any step.
fn step() -> impl Strategy<Value = Step> {
    let content = || prop::collection::btree_map(0_u8..20, 1_u8..100, 0..4);
    let removed = || prop::collection::vec(0_u8..20, 0..3);
    let fault = prop_oneof![Just(Fault::Kill), Just(Fault::Once)];
    prop_oneof![
        20 => (content(), removed()).prop_map(|(content, removed)| Step::Publish(Keep::Others, content, removed)),
        1 => content().prop_map(|content| Step::Publish(Keep::Nothing, content, vec![])),
        3 => (fault, 0_usize..14, content(), removed()).prop_map(|(fault, left, content, removed)| {
            Step::Fail(fault, left, content, removed)
        }),
        2 => Just(Step::Reopen),
        3 => Just(Step::Plan),
        3 => Just(Step::Run),
        3 => Just(Step::Adopt),
        3 => (0_usize..4).prop_map(Step::Collect),
    ]
}

impl Scene {
    /// A directory of one generation: before the first one, a crash can leave one that is served for want of another.
    fn new() -> Scene {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        let model = Content::from([(0, 1)]);
        publish(&mut writer, Keep::Nothing, "z0=1", &[]).unwrap();
        Scene { scratch, writer, view: None, bases: model.clone(), model, planned: None, compacted: None }
    }

    /// Does a step, and checks that the directory serves what it should.
    fn take(&mut self, step: Step) {
        match step {
            Step::Publish(keep, content, removed) => {
                if keep == Keep::Nothing {
                    (self.model, self.bases) = (Content::new(), Content::new());
                }
                let (text, model, bases) = self.changed(content, &removed);
                publish(&mut self.writer, keep, &text, &removed).unwrap();
                (self.model, self.bases) = (model, bases);
            }
            Step::Fail(fault, left, content, removed) => {
                self.writer.directory.disk.faults.order(fault, left);
                let (text, model, bases) = self.changed(content, &removed);
                let outcome = publish(&mut self.writer, Keep::Others, &text, &removed);
                let has_struck = self.writer.directory.disk.faults.has_struck();
                self.writer.directory.disk.faults.order(Fault::None, 0);
                // After the last rename it is published, even if the writer was told that this may not last.
                if outcome.is_ok() || served(&self.scratch) == model {
                    (self.model, self.bases) = (model, bases);
                }
                assert!(outcome.is_ok() || has_struck);
                if has_struck && fault == Fault::Kill {
                    self.take(Step::Reopen);
                }
            }
            Step::Reopen => {
                (self.planned, self.compacted) = (None, None);
                let elsewhere = Scratch::new();
                drop(std::mem::replace(&mut self.writer, elsewhere.writer()));
                self.writer = self.scratch.writer();
            }
            Step::Plan => self.planned = Some(self.writer.compaction().unwrap()),
            Step::Run => {
                if let Some(planned) = self.planned.take() {
                    self.compacted = Some(planned.run().unwrap());
                }
            }
            Step::Adopt => {
                if let Some(compacted) = self.compacted.take() {
                    self.writer.adopt(compacted, 1).unwrap();
                }
            }
            Step::Collect(keep) => {
                let pinned: Vec<Generation> = self.view.iter().filter_map(|view| view.generation()).collect();
                let (_, garbage) = self.writer.collect_aside(keep, &pinned).unwrap();
                if self.planned.is_none() {
                    garbage.reuse();
                }
            }
        }
        self.check();
    }

    /// The text of a pack, and what zones and bases become with it. Odd serials come as overlays where there is a base, so
    /// that what is served tells of each zone whether it was published.
    fn changed(&self, published: Content, removed: &[u8]) -> (String, Content, Content) {
        let (mut text, mut model, mut bases) = (String::new(), self.model.clone(), self.bases.clone());
        model.retain(|zone, _| !removed.contains(zone));
        bases.retain(|zone, _| !removed.contains(zone));
        for (zone, serial) in published {
            let serial = if let Some(base) = bases.get(&zone).filter(|_| serial % 2 == 1) {
                text += &format!("z{zone}={base}+{serial} ");
                serial
            } else {
                let even = serial / 2 * 2;
                text += &format!("z{zone}={even} ");
                bases.insert(zone, even);
                even
            };
            model.insert(zone, serial);
        }
        (text, model, bases)
    }

    /// Compares what is served with the model, from nothing and from what was served before.
    fn check(&mut self) {
        assert_eq!(served(&self.scratch), self.model);
        let Some(loaded) = self.scratch.directory().load(self.view.as_ref()).unwrap() else { return };
        assert_eq!(loaded.fallback, None);
        assert_eq!(content(&loaded.view), self.model);
        assert!(loaded.view.packs().len() <= super::fold::PACKS_MAX);
        let mut names = self.writer.zones().unwrap();
        names.sort_unstable_by_key(|(apex, _)| apex.as_wire().to_vec());
        let mut expected: Vec<_> = loaded.view.zones().iter().map(|facts| (facts.apex.clone(), facts.names)).collect();
        expected.sort_unstable_by_key(|(apex, _)| apex.as_wire().to_vec());
        assert_eq!(names, expected);
        self.view = Some(loaded.view);
    }
}

/// Publishes a pack of these zones, if there are any; the [`EARLY`] ones lie ready before.
fn publish(writer: &mut Writer, keep: Keep, text: &str, removed: &[u8]) -> Result<Published, HandoverError> {
    let is_early = |word: &&str| !word.contains('+') && EARLY.iter().any(|zone| word.starts_with(zone));
    let (early, words): (Vec<_>, Vec<_>) = text.split_whitespace().partition(is_early);
    let shelf = writer.shelf();
    let ready = early.into_iter().map(|word| shelf.put(segment(word))).collect::<Result<_, _>>()?;
    let packs = if words.is_empty() { vec![] } else { vec![pack(&words.join(" "))] };
    let remove = removed.iter().map(|zone| format!("Z{zone}.").parse::<Name>().unwrap()).collect();
    writer.publish(Publication { ready, remove, ..Publication::of(packs, keep, 1) })
}

/// What a cold start serves.
fn served(scratch: &Scratch) -> Content {
    scratch.directory().load(None).unwrap().map_or_else(Content::new, |loaded| content(&loaded.view))
}

/// What a view serves.
fn content(view: &View) -> Content {
    let zone = |apex: &Name| apex.to_string().trim_matches(['z', '.']).parse().unwrap();
    view.zones().iter().map(|facts| (zone(&facts.apex), u8::try_from(facts.serial).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_served_is_what_was_published(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new();
        for step in steps {
            scene.take(step);
        }
        // Nothing that was given up is left behind.
        (scene.planned, scene.compacted) = (None, None);
        let elsewhere = Scratch::new();
        drop(std::mem::replace(&mut scene.writer, elsewhere.writer()));
        assert!(!scene.scratch.files().iter().any(|name| name.starts_with(".tmp")), "{:?}", scene.scratch.files());
    }
}

#[test]
fn zones_changed_while_packs_are_rewritten_stay_changed() {
    let mut scene = Scene::new();
    let all: Content = (0..10).map(|zone| (zone, 2)).collect();
    let one = |zone: u8, serial: u8| Step::Publish(Keep::Others, Content::from([(zone, serial)]), vec![]);
    for step in [
        Step::Publish(Keep::Nothing, all, vec![]),
        one(1, 2),
        Step::Publish(Keep::Others, Content::new(), vec![2]),
        Step::Plan,
        one(1, 3),
        one(3, 3),
        Step::Publish(Keep::Others, Content::new(), vec![4]),
        Step::Collect(1),
        Step::Run,
        one(5, 4),
        one(2, 5),
        Step::Adopt,
    ] {
        scene.take(step);
    }
    let view = scene.view.as_ref().unwrap();
    assert_eq!(view.packs()[0].zone_count(), 9, "all zones that were there at the time of the plan");
    scene.take(Step::Collect(0));
    scene.take(Step::Reopen);
}

#[test]
fn of_two_compactions_one_is_adopted() {
    let mut scene = Scene::new();
    let all: Content = (0..10).map(|zone| (zone, 1)).collect();
    scene.take(Step::Publish(Keep::Nothing, all, vec![]));
    let first = scene.writer.compaction().unwrap().run().unwrap();
    scene.take(Step::Publish(Keep::Others, Content::from([(1, 2)]), vec![]));
    let second = scene.writer.compaction().unwrap().run().unwrap();
    assert!(scene.writer.adopt(first, 1).unwrap().is_some());
    assert!(scene.writer.adopt(second, 1).unwrap().is_none());
    scene.check();
    let third = scene.writer.compaction().unwrap().run().unwrap();
    scene.take(Step::Publish(Keep::Nothing, Content::from([(1, 3)]), vec![]));
    assert!(scene.writer.adopt(third, 1).unwrap().is_none(), "what it has was replaced as a whole");
    scene.take(Step::Publish(Keep::Others, Content::from([(2, 3)]), vec![]));
}
