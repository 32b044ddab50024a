//! Which overlay lies on which zone of a view.
//!
//! An overlay counts if it is the last one of its zone and no later pack has the zone as a whole or deletes it. Then the
//! segment below must be the one that it names: every other combination would answer what no zone ever said, so the
//! view is refused. Invariant: `overlay` of a zone in the directory is 0, or tells the place of its overlay.

use std::collections::HashSet;
use std::sync::Arc;

use super::file::LoadError;
use super::hash::name_hash;
use super::pack::ZoneFacts;
use super::view::View;
use super::zoneref::{Place, ZoneRef};
use crate::dns::name::Name;

/// An overlay that lies on a zone.
#[derive(Clone)]
pub(super) struct Overlaid {
    /// Apex of the zone.
    pub(super) apex: Name,
    /// What a lookup needs to know of the overlay.
    pub(super) zone: ZoneRef,
    /// Where the base is.
    pub(super) base: Place,
}

impl View {
    /// Lays the overlays of the view's packs on their bases. O(overlays).
    pub(super) fn pair(&mut self) -> Result<(), LoadError> {
        let mut overlays = self.paired()?;
        if overlays.len() > usize::from(u16::MAX) {
            return Err(LoadError::TooLarge("more than 65535 overlays"));
        }
        // In this order most zones keep the place of their overlay, and their entries stay shared with other views.
        overlays.sort_by(|a, b| a.apex.as_wire().cmp(b.apex.as_wire()));
        let before = std::mem::replace(&mut self.overlays, Arc::new(overlays));
        let overlays = Arc::clone(&self.overlays);
        for gone in before.iter().filter(|old| overlays.binary_search_by(|new| new.cmp_apex(old)).is_err()) {
            self.point(&gone.apex, None);
        }
        for (overlaid, place) in overlays.iter().zip(1..) {
            self.point(&overlaid.apex, Some((&overlaid.zone, place)));
        }
        Ok(())
    }

    /// The overlays that count.
    fn paired(&self) -> Result<Vec<Overlaid>, LoadError> {
        let mut seen = HashSet::new();
        let mut overlays = Vec::new();
        for (position, (pack, &number)) in self.packs.iter().zip(&self.numbers).enumerate().rev() {
            for &idx in pack.overlays() {
                let (Some(facts), Some((off, len))) = (pack.facts(idx), pack.place(idx)) else { continue };
                if !seen.insert(facts.apex.clone()) {
                    continue;
                }
                let place = Place { pack: number, idx: u32::try_from(idx).map_err(|_| LoadError::TooLarge("zones"))? };
                let cut = LoadError::Segment { segment: idx, rule: "header is cut" };
                let segment = pack.bytes(off, len);
                let zone = ZoneRef::read(segment, self.hash(&facts.apex), off, place).ok_or(cut)?;
                if let Some(base) = self.base_of(&facts, (&zone, segment), position)? {
                    overlays.push(Overlaid { apex: facts.apex, zone, base });
                }
            }
        }
        Ok(overlays)
    }

    /// Where the base of an overlay in the pack at `position` is; `None` if the overlay does not count.
    fn base_of(
        &self,
        facts: &ZoneFacts,
        (overlay, segment): (&ZoneRef, &[u8]),
        position: usize,
    ) -> Result<Option<Place>, LoadError> {
        let lacks = || LoadError::Base { apex: facts.apex.clone() };
        let (_, entry) = self.seek(overlay.hash, facts.apex.as_wire()).map_err(|_| lacks())?;
        let zone = self.zones.get(entry).ok_or_else(lacks)?;
        let holder = self.numbers.iter().position(|&number| number == zone.pack).ok_or_else(lacks)?;
        if holder > position {
            return Ok(None);
        }
        let pack = self.pack(zone.pack).filter(|_| zone.is_live()).ok_or_else(lacks)?;
        let digest = pack.entries().get(zone.idx as usize).map(|base| base.digest);
        let is_alike = zone.seed == overlay.seed
            && zone.signed == overlay.signed
            && zone.denial.is_continued(pack.bytes(zone.off, zone.len), &overlay.denial, segment);
        if !is_alike || digest.is_none() || digest != facts.base.as_deref().copied() {
            return Err(lacks());
        }
        Ok(Some(Place { pack: zone.pack, idx: zone.idx }))
    }

    /// Tells the entry of a zone, if there is one, of its overlay.
    fn point(&mut self, apex: &Name, overlay: Option<(&ZoneRef, u16)>) {
        let hash = self.hash(apex);
        let Ok((_, entry)) = self.seek(hash, apex.as_wire()) else { return };
        let Some(known) = self.zones.get(entry).copied().filter(ZoneRef::is_live) else { return };
        // What it says with another overlay, or with this one before a change, is read anew.
        let bytes = self.pack(known.pack).map(|pack| pack.bytes(known.off, known.len)).unwrap_or_default();
        let place = Place { pack: known.pack, idx: known.idx };
        let Some(mut zone) = ZoneRef::read(bytes, hash, known.off, place) else { return };
        if let Some((overlay, place)) = overlay {
            zone.overlay = place;
            zone.depth_max = zone.depth_max.max(overlay.depth_max);
            zone.negative_ttl_secs = overlay.negative_ttl_secs;
        }
        let told = |zone: &ZoneRef| (zone.overlay, zone.depth_max, zone.negative_ttl_secs);
        if told(&zone) != told(&known) {
            self.zones.set(entry, zone);
        }
    }

    /// The hash of an apex in the directory.
    fn hash(&self, apex: &Name) -> u64 {
        name_hash(apex.as_wire(), self.seed)
    }
}

impl Overlaid {
    /// Compares by apex.
    fn cmp_apex(&self, other: &Overlaid) -> std::cmp::Ordering {
        self.apex.as_wire().cmp(other.apex.as_wire())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tests::{pack_of, records};
    use super::super::{Generation, OverlayBuilder, Pack, PackFile, Segment, Touched, ZoneCounts};
    use super::*;

    /// What a pack says of a zone: it is there with this name in it, it has this name as well, or it is gone.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Saying {
        /// A base.
        Whole(u8),
        /// An overlay on the base of that name.
        Over(u8, u8),
        /// A deletion.
        Gone,
    }

    /// What some packs in a row say of each zone: a base or deletion, and an overlay.
    #[derive(Debug, Clone, Default)]
    struct Said(BTreeMap<u8, (Option<Saying>, Option<Saying>)>);

    impl Said {
        /// Adds what comes later.
        fn add(&mut self, zone: u8, saying: Saying) {
            let said = self.0.entry(zone).or_default();
            match saying {
                Saying::Over(..) => said.1 = Some(saying),
                _ => *said = (Some(saying), None),
            }
        }

        /// All of it.
        fn sayings(&self) -> impl Iterator<Item = (u8, Saying)> {
            self.0.iter().flat_map(|(&zone, said)| [said.0, said.1].into_iter().flatten().map(move |it| (zone, it)))
        }

        /// What is served, if there is nothing before.
        fn served(&self) -> String {
            let line = |(zone, said): (&u8, &(Option<Saying>, Option<Saying>))| match said {
                (Some(Saying::Whole(own)), None) => Some(format!("z{zone}: n{own}")),
                (Some(Saying::Whole(own)), Some(Saying::Over(_, more))) => Some(format!("z{zone}: m{more} n{own}")),
                _ => None,
            };
            self.0.iter().filter_map(line).collect::<Vec<_>>().join(", ")
        }

        /// Writes it as a pack.
        fn pack(&self) -> Arc<Pack> {
            let mut segments = Vec::new();
            let mut deleted = Vec::new();
            for (zone, saying) in self.sayings() {
                match saying {
                    Saying::Whole(own) => segments.push(whole(zone, own)),
                    Saying::Over(own, more) => segments.push(over(zone, own, more)),
                    Saying::Gone => deleted.push(apex(zone)),
                }
            }
            let encoded = PackFile::encode_change(segments, &deleted).unwrap();
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &encoded.bytes).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            Arc::new(Pack::load(&file, encoded.digest).unwrap())
        }
    }

    /// The apex of a zone.
    fn apex(zone: u8) -> Name {
        format!("z{zone}.").parse().unwrap()
    }

    /// A base.
    fn whole(zone: u8, own: u8) -> Segment {
        Segment::build(&records(&format!("z{zone}."), &format!("n{own} TXT x"))).unwrap()
    }

    /// An overlay.
    fn over(zone: u8, own: u8, more: u8) -> Segment {
        let now = records(&format!("z{zone}."), &format!("n{own} TXT x\nm{more} TXT x"));
        let touched = Touched::data(format!("m{more}.z{zone}.").parse().unwrap());
        let base = whole(zone, own).base_facts().unwrap();
        let builder = OverlayBuilder::new(now.apex(), base).unwrap().change(&now, &[touched]).unwrap();
        builder.build(ZoneCounts::default()).unwrap()
    }

    /// What a view serves.
    fn served(view: &View) -> String {
        let line = |facts: &ZoneFacts| {
            let zone = view.zone(facts.apex.as_ref()).unwrap();
            assert_eq!(facts.base.is_some(), view.base(facts).is_some());
            let names = zone.nodes().skip(1).map(|node| String::from_utf8(node.name()[1..3].to_vec()).unwrap());
            format!("{}: {}", facts.apex.to_string().trim_end_matches('.'), names.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(view.zones().len(), view.zone_count());
        view.zones().iter().map(line).collect::<Vec<_>>().join(", ")
    }

    /// A change of a list of packs.
    #[derive(Debug, Clone)]
    enum Step {
        /// A pack at the end with a few zones: 0 deletes, small numbers are bases, others overlays.
        Add(Vec<(u8, u8)>),
        /// Makes one of the packs from one position to another.
        Fold(usize, usize),
    }

    /// Any change.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => prop::collection::vec((10_u8..15, 0_u8..10), 1..4).prop_map(Step::Add),
            1 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Step::Fold(from, to)),
        ];
        prop::collection::vec(step, 1..16)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

        /// Views made from nothing and views made from views lay the right overlays on the right zones.
        #[test]
        fn overlays_lie_on_the_zones_that_packs_say(steps in steps()) {
            let mut lists = vec![Said::default()];
            // Zones that never change keep a view worth following.
            (20..60).for_each(|zone| lists[0].add(zone, Saying::Whole(1)));
            let mut packs = vec![lists[0].pack()];
            let mut all = lists[0].clone();
            let mut view = View::assemble(Generation(1), packs.clone()).unwrap();
            for (generation, step) in (2..).map(Generation).zip(steps) {
                match step {
                    Step::Add(changes) => {
                        let mut said = Said::default();
                        for (zone, what) in changes {
                            let saying = match (what, all.0.get(&zone).and_then(|said| said.0)) {
                                (0, _) => Saying::Gone,
                                (1..4, _) => Saying::Whole(what),
                                (_, Some(Saying::Whole(own))) => Saying::Over(own, what),
                                _ => continue,
                            };
                            said.add(zone, saying);
                            all.add(zone, saying);
                        }
                        packs.push(said.pack());
                        lists.push(said);
                    }
                    Step::Fold(from, to) => {
                        let (from, to) = (from % lists.len(), to % lists.len());
                        let range = from.min(to)..from.max(to) + 1;
                        let mut folded = Said::default();
                        let sayings = lists[range.clone()].iter().flat_map(Said::sayings).collect::<Vec<_>>();
                        sayings.into_iter().for_each(|(zone, saying)| folded.add(zone, saying));
                        packs.splice(range.clone(), [folded.pack()]);
                        lists.splice(range, [folded]);
                    }
                }
                let whole = View::assemble(generation, packs.clone()).unwrap();
                prop_assert_eq!(served(&whole), all.served());
                let next = view.successor(generation, &packs).unwrap().unwrap();
                prop_assert_eq!(served(&next), all.served());
                view = next;
            }
        }
    }

    #[test]
    fn the_place_of_an_overlay_goes_with_it() {
        let base = pack_of(vec![whole(1, 1), whole(2, 1)]);
        let overlay = pack_of(vec![over(1, 1, 7), over(2, 1, 7)]);
        let first = View::assemble(Generation(1), vec![Arc::clone(&base), Arc::clone(&overlay)]).unwrap();
        assert_eq!(served(&first), "z1: m7 n1, z2: m7 n1");
        let fresh = pack_of(vec![whole(1, 2)]);
        let second =
            first.successor(Generation(2), &[Arc::clone(&base), overlay, Arc::clone(&fresh)]).unwrap().unwrap();
        assert_eq!(served(&second), "z1: n2, z2: m7 n1");
        let third = second.successor(Generation(3), &[base, fresh]).unwrap().unwrap();
        assert_eq!(served(&third), "z1: n2, z2: n1");
        assert_eq!(served(&first), "z1: m7 n1, z2: m7 n1");
    }
}
