//! Which names have to be in an overlay: those that were touched, and all whose nodes depend on them.
//!
//! A node says what its name owns, whether it exists at all (an owner, or something below it), on which side of the topmost
//! cut or DNAME above it lies, and leads to its cut or to its wildcard; a cut's node has the glue of its servers. The rules
//! here follow these dependencies, and err on the side of too many names: what the base says of a name is not known.
//! Names stay included; those that a later change concerns are rendered again.

use std::collections::HashSet;

use super::chained::Hashed;
use super::reader::ZoneReader;
use super::{OVERLAY_NODES_MAX, OverlayBuilder, OverlayError, Touched};
use crate::dns::name::{Name, NameRef};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, Zone, ZoneBuilder, ZoneTooLarge};
use crate::image::build::{BuildError, render_node};
use crate::image::layout::{NODE_BELOW_CUT, NODE_CUT, NODE_DNAME, NODE_HEAD, NODE_TOMBSTONE, NODE_WILDCARD};

/// A node of an overlay.
#[derive(Default)]
pub(super) struct Item {
    /// Its `NODE_` flags, but for those of links.
    pub(super) flags: u8,
    /// Labels of its name.
    pub(super) labels: usize,
    /// Its bytes, without its link.
    pub(super) node: Vec<u8>,
    /// Whether it is listed as an owner of NSEC.
    pub(super) is_chained: bool,
    /// The NSEC3 record that it owns.
    pub(super) hashed: Option<Hashed>,
    /// Whether all names below it are included.
    has_below: bool,
}

/// What a name owns, as far as other names depend on it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owned {
    /// Anything that makes a node: in a signed zone NSEC3 records alone do not.
    any: bool,
    /// NS records.
    ns: bool,
    /// DNAME records.
    pub(super) dname: bool,
}

/// What lies above a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    /// No cut and no DNAME.
    Nothing,
    /// A cut.
    Cut,
    /// A DNAME: the name is left out of the zone's nodes.
    Dname,
}

impl Item {
    /// Its name; `None` before it was rendered.
    pub(super) fn name(&self) -> Option<NameRef<'_>> {
        NameRef::prefix_of(self.node.get(NODE_HEAD..)?).ok()
    }
}

/// A change while it is followed.
struct Change<'b, 'z> {
    /// The overlay.
    overlay: &'b mut OverlayBuilder,
    /// The zone, with the change.
    zone: &'z dyn ZoneReader,
    /// The names that were touched, canonical.
    touched: HashSet<Name>,
    /// The names that are to be rendered, or were.
    seen: HashSet<Name>,
    /// Those that are to be.
    queue: Vec<Name>,
}

impl OverlayBuilder {
    /// Takes up a change: `zone` is what it is after that, `touched` are the owners that were changed, in any order. The
    /// apex need not be among them. O(names that are touched or depend on those).
    ///
    /// # Errors
    /// [`OverlayError`]; the overlay is gone then, as it would not be that of the zone.
    pub fn change(mut self, zone: &dyn ZoneReader, touched: &[Touched]) -> Result<OverlayBuilder, OverlayError> {
        let mut change =
            Change { overlay: &mut self, zone, touched: HashSet::new(), seen: HashSet::new(), queue: Vec::new() };
        let apex = Touched::data(change.overlay.apex.clone());
        let before = [&apex].into_iter().chain(touched).map(|touched| change.forget(touched));
        let before = before.collect::<Result<Vec<_>, _>>()?;
        for (touched, before) in [&apex].into_iter().chain(touched).zip(before) {
            change.touch(touched, before)?;
        }
        change.render_all()?;
        // The apex is in every chain: with its record the overlay has a part of the chain whatever was touched.
        if let Some(name) = change.overlay.hashed_apex() {
            change.include(name.as_ref())?;
            change.render_all()?;
        }
        Ok(self)
    }

    /// The sort key of a name.
    pub(super) fn key(name: NameRef<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(name.as_wire().len() + 8);
        name.push_sort_key(&mut key);
        key
    }
}

impl Change<'_, '_> {
    /// Forgets what a touched name owned, and returns it.
    fn forget(&mut self, touched: &Touched) -> Result<Option<Owned>, OverlayError> {
        let apex = &self.overlay.apex;
        if !touched.owner.as_ref().is_at_or_below(apex.as_ref()) {
            return Err(OverlayError::OutOfZone { apex: apex.clone(), owner: touched.owner.clone() });
        }
        let owner = touched.owner.to_canonical();
        let before = self.overlay.owned.remove(owner.as_wire());
        self.touched.insert(owner);
        Ok(before)
    }

    /// Includes a touched name, and has rendered again what depends on it and is there already.
    fn touch(&mut self, touched: &Touched, before: Option<Owned>) -> Result<(), OverlayError> {
        let owner = touched.owner.to_canonical();
        self.include(owner.as_ref())?;
        self.again(owner.as_ref());
        let key = OverlayBuilder::key(owner.as_ref());
        let now = self.owned(owner.as_ref())?;
        let is_boundary = if self.is_below_apex(owner.as_ref()) {
            touched.is_boundary || before.is_some_and(|before| (before.ns, before.dname) != (now.ns, now.dname))
        } else {
            // Every change touches the apex, so what it had is known, if only from the base.
            before.map_or(self.overlay.base.has_apex_dname, |before| before.dname) != now.dname
        };
        if is_boundary {
            let below =
                self.overlay.items.range(key.clone()..).skip(1).take_while(|(below, _)| below.starts_with(&key));
            let below = below.filter_map(|(_, item)| Some(item.name()?.to_name())).collect::<Vec<_>>();
            below.iter().for_each(|name| self.again(name.as_ref()));
        }
        if is_boundary && let Some(item) = self.overlay.items.get_mut(&key) {
            item.has_below = true;
        }
        // What is empty now exists as long as something is below it.
        let mut at = owner.as_ref();
        while let Some(parent) = at.parent().filter(|parent| self.is_below_apex(*parent)) {
            if self.overlay.owned.get(parent.as_wire()).is_some_and(|owned| !owned.any) {
                self.again(parent);
            }
            at = parent;
        }
        Ok(())
    }

    /// Whether a name at or below the apex is not the apex.
    fn is_below_apex(&self, name: NameRef<'_>) -> bool {
        name.as_wire().len() > self.overlay.apex.as_wire().len()
    }

    /// Adds a canonical name of the zone, unless it is there.
    fn include(&mut self, name: NameRef<'_>) -> Result<(), OverlayError> {
        let key = OverlayBuilder::key(name);
        let items = &mut self.overlay.items;
        if items.contains_key(&key) {
            return Ok(());
        }
        if items.len() >= OVERLAY_NODES_MAX {
            return Err(OverlayError::TooLarge { apex: self.overlay.apex.clone() });
        }
        items.insert(key, Item::default());
        self.again(name);
        Ok(())
    }

    /// Has a name rendered, if it is included.
    fn again(&mut self, name: NameRef<'_>) {
        let name = name.to_name();
        if self.overlay.items.contains_key(&OverlayBuilder::key(name.as_ref())) && self.seen.insert(name.clone()) {
            self.queue.push(name);
        }
    }

    /// Renders all names that wait for it.
    fn render_all(&mut self) -> Result<(), OverlayError> {
        while let Some(name) = self.queue.pop() {
            self.render(&name)?;
        }
        Ok(())
    }

    /// Renders an included name, and includes what depends on it or what it depends on.
    fn render(&mut self, name: &Name) -> Result<(), OverlayError> {
        let is_apex = !self.is_below_apex(name.as_ref());
        let (mut records, owned) = self.read(name.as_ref())?;
        let (above, cut) = self.above(name.as_ref())?;
        if let Some(cut) = cut {
            // The cut is what the node leads to, and it has the addresses of touched names as glue.
            self.include(cut.as_ref())?;
            if self.touched.contains(name) {
                self.again(cut.as_ref());
            }
        }
        self.include_empty_above(name.as_ref())?;
        // A wildcard is the parent's link; whether it is one now or was one in the base, the parent's node differs.
        if name.as_ref().is_wildcard()
            && !is_apex
            && let Some(parent) = name.as_ref().parent()
        {
            self.include(parent)?;
        }
        let key = OverlayBuilder::key(name.as_ref());
        let is_cut = owned.ns && !is_apex && above == Above::Nothing;
        let wants_below = self.overlay.items.get(&key).is_some_and(|item| item.has_below);
        if is_cut || wants_below {
            self.include_below(name.as_ref())?;
        }
        let has_below = above != Above::Dname && self.has_below(name.as_ref())?;
        if has_below && above == Above::Nothing && !is_cut && !owned.dname {
            self.include_wildcard_of(name.as_ref())?;
        }
        let mut flags = if name.as_ref().is_wildcard() { NODE_WILDCARD } else { 0 };
        if above == Above::Dname || !(owned.any || has_below) {
            flags |= NODE_TOMBSTONE;
        } else {
            flags |= if is_cut { NODE_CUT } else { 0 };
            flags |= if above == Above::Cut { NODE_BELOW_CUT } else { 0 };
            flags |= if owned.dname && above == Above::Nothing { NODE_DNAME } else { 0 };
        }
        if is_cut {
            records = self.with_glue(name.as_ref(), records)?;
        }
        let zone = records.finish();
        let node = render_node(&zone, name.as_ref(), flags, &self.overlay.base)?;
        let is_chained = above == Above::Nothing && self.overlay.is_nsec_owner(&zone, name.as_ref());
        let hashed = self.overlay.hashed(&zone, name.as_ref())?;
        let labels = name.as_ref().label_count();
        self.overlay.items.insert(key, Item { flags, labels, node, is_chained, hashed, has_below: wants_below });
        if is_apex {
            self.overlay.head = zone;
        }
        Ok(())
    }

    /// Includes the empty names above `name`, which may have appeared or vanished with it. Where a name owns records
    /// it is either touched itself or as it was, and so is everything above it.
    fn include_empty_above(&mut self, name: NameRef<'_>) -> Result<(), OverlayError> {
        let mut at = name;
        while let Some(parent) = at.parent().filter(|parent| self.is_below_apex(*parent)) {
            if self.owned(parent)?.any {
                break;
            }
            self.include(parent)?;
            at = parent;
        }
        Ok(())
    }

    /// Includes all owners below `name`; the empty names between come with them.
    fn include_below(&mut self, name: NameRef<'_>) -> Result<(), OverlayError> {
        let below = self.zone.below(name, OVERLAY_NODES_MAX + 1).map_err(OverlayError::Read)?;
        for owner in below {
            self.include(owner.to_canonical().as_ref())?;
        }
        Ok(())
    }

    /// Includes the child `*` of a name that is not below a cut, if it exists.
    fn include_wildcard_of(&mut self, name: NameRef<'_>) -> Result<(), OverlayError> {
        let wire = [b"\x01*", name.as_wire()].concat();
        let Ok(wildcard) = NameRef::prefix_of(&wire) else { return Ok(()) };
        if self.owned(wildcard)?.any || self.has_below(wildcard)? {
            self.include(wildcard)?;
        }
        Ok(())
    }

    /// Whether a node is below `name`.
    fn has_below(&mut self, name: NameRef<'_>) -> Result<bool, OverlayError> {
        let has_owners = self.zone.has_below(name).map_err(OverlayError::Read)?;
        if !has_owners || !self.overlay.base.signed || !self.is_below_apex(name) {
            return Ok(has_owners);
        }
        // Owners of NSEC3 alone are none. Such ones are usually right below the apex, so the first look says it.
        for max in [1, OVERLAY_NODES_MAX + 1] {
            let below = self.zone.below(name, max).map_err(OverlayError::Read)?;
            for owner in &below {
                if self.owned(owner.to_canonical().as_ref())?.any {
                    return Ok(true);
                }
            }
            if below.len() < max {
                return Ok(false);
            }
        }
        Err(OverlayError::TooLarge { apex: self.overlay.apex.clone() })
    }

    /// What the topmost of the cuts and DNAMEs above `name` does to it, and the cut.
    fn above(&mut self, name: NameRef<'_>) -> Result<(Above, Option<Name>), OverlayError> {
        let mut topmost = None;
        let mut at = Some(name);
        while let Some(parent) = at.filter(|at| self.is_below_apex(*at)).and_then(NameRef::parent) {
            let owned = self.owned(parent)?;
            let is_cut = owned.ns && self.is_below_apex(parent);
            if is_cut || owned.dname {
                topmost = Some((parent, is_cut, owned.dname));
            }
            at = Some(parent);
        }
        let Some((boundary, is_cut, has_dname)) = topmost else { return Ok((Above::Nothing, None)) };
        // A cut that has a DNAME as well hides what is below it, yet its glue is in its node.
        let above = if has_dname { Above::Dname } else { Above::Cut };
        Ok((above, is_cut.then(|| boundary.to_name())))
    }

    /// What a canonical name owns.
    fn owned(&mut self, name: NameRef<'_>) -> Result<Owned, OverlayError> {
        match self.overlay.owned.get(name.as_wire()) {
            Some(owned) => Ok(*owned),
            None => Ok(self.read(name)?.1),
        }
    }

    /// Reads the records of a canonical name.
    fn read(&mut self, name: NameRef<'_>) -> Result<(ZoneBuilder, Owned), OverlayError> {
        let mut records = ZoneBuilder::new(self.overlay.apex.clone());
        let mut owned = Owned::default();
        let (mut has_hashed, mut has_more) = (false, false);
        self.copy(name, &mut records, |rtype| {
            owned.any = true;
            owned.ns |= rtype == Rtype::NS;
            owned.dname |= rtype == Rtype::DNAME;
            has_hashed |= rtype == Rtype::NSEC3;
            has_more |= !matches!(rtype, Rtype::NSEC3 | Rtype::RRSIG);
            true
        })?;
        let mut choose = |rtype, choice| records.choose(name, rtype, choice);
        self.zone.choices(name, &mut choose).map_err(OverlayError::Read)?;
        owned.any &= has_more || !has_hashed || !self.overlay.base.signed;
        self.overlay.owned.insert(name.as_wire().to_vec(), owned);
        Ok((records, owned))
    }

    /// Copies the records of a name that `keep` wants, by their type.
    fn copy(
        &self,
        name: NameRef<'_>,
        records: &mut ZoneBuilder,
        mut keep: impl FnMut(Rtype) -> bool,
    ) -> Result<(), OverlayError> {
        let mut kept = Ok(());
        let mut each = |record: Record<'_>| {
            if keep(record.rtype) && kept.is_ok() {
                kept = records.push(Record { owner: name, ..record });
            }
        };
        self.zone.records(name, &mut each).map_err(OverlayError::Read)?;
        kept.map_err(|ZoneTooLarge| BuildError::TooLarge("an overlay").into())
    }

    /// Adds the addresses of the servers of a cut that are at or below it.
    fn with_glue(&self, cut: NameRef<'_>, records: ZoneBuilder) -> Result<ZoneBuilder, OverlayError> {
        let own = records.finish();
        let mut with_glue = ZoneBuilder::new(self.overlay.apex.clone());
        let mut targets = HashSet::new();
        for record in own_records(&own) {
            if record.rtype == Rtype::NS
                && let Ok(target) = NameRef::prefix_of(record.rdata)
                && target.is_at_or_below(cut)
            {
                targets.insert(target.to_name().to_canonical());
            }
            with_glue.push(record).map_err(|ZoneTooLarge| BuildError::TooLarge("an overlay"))?;
        }
        // Its own addresses are there already.
        for target in targets.iter().filter(|target| target.as_wire() != cut.as_wire()) {
            self.copy(target.as_ref(), &mut with_glue, |rtype| matches!(rtype, Rtype::A | Rtype::AAAA))?;
        }
        Ok(with_glue)
    }
}

/// All records of a small zone.
fn own_records(zone: &Zone) -> impl Iterator<Item = Record<'_>> {
    zone.owners()
        .flat_map(|owner| owner.rrsets().collect::<Vec<_>>())
        .flat_map(|rrset| rrset.records().collect::<Vec<_>>())
}
