//! The rules about names that NS, MX and SRV records point to: they need addresses, and must be no aliases.
//!
//! Only targets inside the zone are looked at; the network is not asked. Invariant: a target is looked up once, however
//! many records name it. RFC 1912 section 2.4, RFC 2181 section 10.3, RFC 2782.

use std::collections::HashMap;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Zone};

use super::place::{Place, Terrain};
use super::{Findings, Grade, is_address};

/// The records that point to names in the zone, and those names.
pub(super) struct Targets<'z> {
    /// Position in `targets` by canonical wire format.
    index: HashMap<Vec<u8>, usize>,
    /// Each name once.
    targets: Vec<Target<'z>>,
    /// Each record.
    references: Vec<Reference<'z>>,
    /// Reused for look-ups.
    key: Vec<u8>,
}

/// A name in the zone that some record points to.
struct Target<'z> {
    /// The name.
    name: NameRef<'z>,
    /// Whether an NS record points to it.
    is_name_server: bool,
    /// What is there.
    state: State<'z>,
}

/// What a target turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State<'z> {
    /// No such owner was seen.
    Missing,
    /// It has an address, possibly as glue.
    Address,
    /// It has a CNAME.
    Alias,
    /// It is below this DNAME.
    BelowDname(NameRef<'z>),
    /// It exists without an address.
    Bare,
}

/// A record that points to a target.
struct Reference<'z> {
    /// Its owner.
    owner: NameRef<'z>,
    /// NS, MX or SRV.
    rtype: Rtype,
    /// Its line.
    line: u32,
    /// Whether it is at the apex.
    place: Place<'z>,
    /// Position of the target.
    target_idx: usize,
}

impl<'z> Targets<'z> {
    /// Finds the targets of all records that are served.
    pub(super) fn of(zone: &'z Zone) -> Targets<'z> {
        let mut targets =
            Targets { index: HashMap::new(), targets: Vec::new(), references: Vec::new(), key: Vec::new() };
        let mut terrain = Terrain::new(zone.apex());
        for owner in zone.owners() {
            let place = terrain.place(&owner);
            let pointing: &[Rtype] = match place {
                Place::Apex | Place::Inside => &[Rtype::NS, Rtype::MX, Rtype::SRV],
                Place::Cut => &[Rtype::NS],
                Place::Outside | Place::Hashed | Place::BelowCut(_) | Place::BelowDname(_) => continue,
            };
            for rrset in owner.rrsets().filter(|rrset| pointing.contains(&rrset.rtype())) {
                for record in rrset.records() {
                    if let Some(name) = target(&record).filter(|name| name.is_at_or_below(zone.apex())) {
                        targets.add(&record, place, name);
                    }
                }
            }
        }
        targets
    }

    /// Notes one record.
    fn add(&mut self, record: &Record<'z>, place: Place<'z>, name: NameRef<'z>) {
        canonical_into(&mut self.key, name);
        let target_idx = if let Some(&target_idx) = self.index.get(self.key.as_slice()) {
            target_idx
        } else {
            self.targets.push(Target { name, is_name_server: false, state: State::Missing });
            self.index.insert(self.key.clone(), self.targets.len() - 1);
            self.targets.len() - 1
        };
        self.targets[target_idx].is_name_server |= record.rtype == Rtype::NS;
        let Record { owner, rtype, line, .. } = *record;
        self.references.push(Reference { owner, rtype, line, place, target_idx });
    }

    /// Whether an NS record points to this name.
    pub(super) fn is_name_server(&self, name: NameRef<'_>) -> bool {
        let key = name.as_wire().to_ascii_lowercase();
        self.index.get(&key).is_some_and(|&target_idx| self.targets[target_idx].is_name_server)
    }

    /// Notes what an owner is, if it is a target.
    pub(super) fn visit(&mut self, owner: &OwnerRecords<'z>, place: Place<'z>) {
        if self.targets.is_empty() {
            return;
        }
        canonical_into(&mut self.key, owner.name());
        let Some(&target_idx) = self.index.get(self.key.as_slice()) else { return };
        self.targets[target_idx].state = state_of(owner, place);
    }

    /// Applies the rules, after all owners were visited.
    pub(super) fn check(&self, zone: &Zone, findings: &mut Findings) {
        for reference in &self.references {
            let target = &self.targets[reference.target_idx];
            if target.state != State::Address
                && let Some((code, message)) = reference.problem(target, zone)
            {
                // A zone whose own name servers cannot be reached is wrong; all else may be what is meant.
                let is_wrong =
                    reference.rtype == Rtype::NS && reference.place == Place::Apex && code != "missing-sibling-glue";
                let grade = if is_wrong { Grade::Wrong } else { Grade::Doubtful };
                findings.add(grade, code, reference.line, reference.owner, message);
            }
        }
    }
}

impl Reference<'_> {
    /// What is wrong with a target that was not seen to have an address.
    fn problem(&self, target: &Target<'_>, zone: &Zone) -> Option<(&'static str, String)> {
        let Reference { owner, rtype, .. } = self;
        let name = target.name;
        let alias = || {
            (
                "target-is-alias",
                format!(
                    "{rtype} of {owner} points to {name}, which is an alias (RFC 2181 section 10.3): name its target"
                ),
            )
        };
        let bare = || {
            (
                "target-without-address",
                format!("{rtype} of {owner} points to {name}, which has no address (RFC 1912 section 2.4)"),
            )
        };
        match target.state {
            State::Address => return None,
            State::Alias => return Some(alias()),
            State::BelowDname(dname) => return Some(below_dname(self, name, dname)),
            State::Bare | State::Missing => {}
        }
        if let Some(hiding) = hiding(zone, name) {
            let glue = |kind| format!("{rtype} of {owner} points to {name}, which has no {kind}");
            return Some(match hiding.1 {
                Rtype::DNAME => below_dname(self, name, hiding.0.as_ref()),
                _ if hiding.0.as_ref() == *owner => {
                    ("missing-glue", glue("glue, so the delegation cannot be followed"))
                }
                _ if *rtype == Rtype::NS => {
                    ("missing-sibling-glue", glue("address here although it is delegated here"))
                }
                // Whoever looks up the target of an MX or SRV follows the delegation.
                _ => return None,
            });
        }
        if target.state == State::Bare {
            return Some(bare());
        }
        match wildcard_state(zone, name) {
            Some(State::Address) => None,
            Some(State::Alias) => Some(alias()),
            _ => Some(bare()),
        }
    }
}

/// A target that a DNAME redirects.
fn below_dname(reference: &Reference<'_>, name: NameRef<'_>, dname: NameRef<'_>) -> (&'static str, String) {
    let Reference { owner, rtype, .. } = reference;
    ("target-below-dname", format!("{rtype} of {owner} points to {name}, which the DNAME at {dname} redirects"))
}

/// What an owner is as a target.
fn state_of<'z>(owner: &OwnerRecords<'z>, place: Place<'z>) -> State<'z> {
    if let Place::BelowDname(dname) = place {
        State::BelowDname(dname)
    } else if owner.rrsets().any(|rrset| is_address(rrset.rtype())) {
        State::Address
    } else if owner.rrset(Rtype::CNAME).is_some() && !matches!(place, Place::BelowCut(_)) {
        State::Alias
    } else {
        State::Bare
    }
}

/// The topmost zone cut at or above `name`, or DNAME above it, with its type. O(labels log n).
fn hiding(zone: &Zone, name: NameRef<'_>) -> Option<(Name, Rtype)> {
    let mut found = None;
    let mut ancestor = Some(name);
    while let Some(at) = ancestor.filter(|at| at.is_at_or_below(zone.apex())) {
        if let Some(owner) = zone.owner(at) {
            if at != zone.apex() && owner.rrset(Rtype::NS).is_some() {
                found = Some((at.to_name(), Rtype::NS));
            } else if at != name && owner.rrset(Rtype::DNAME).is_some() {
                found = Some((at.to_name(), Rtype::DNAME));
            }
        }
        ancestor = at.parent();
    }
    found
}

/// What the wildcard has that answers for a name without records. An empty non-terminal in between is not noticed, so
/// a finding may be missed but none is invented. O(labels log n).
fn wildcard_state<'z>(zone: &'z Zone, name: NameRef<'_>) -> Option<State<'z>> {
    let mut ancestor = name.parent();
    while let Some(at) = ancestor.filter(|at| at.is_at_or_below(zone.apex())) {
        let mut wildcard = b"\x01*".to_vec();
        wildcard.extend_from_slice(at.as_wire());
        if let Ok(wildcard) = Name::from_wire(&wildcard)
            && let Some(owner) = zone.owner(wildcard.as_ref())
        {
            return Some(state_of(&owner, Place::Inside));
        }
        if zone.owner(at).is_some() {
            // The closest encloser: wildcards further up do not apply (RFC 4592 section 3.3.1).
            return None;
        }
        ancestor = at.parent();
    }
    None
}

/// The name a record points to; `None` for "no such service" (RFC 7505, RFC 2782) and for other types.
fn target<'z>(record: &Record<'z>) -> Option<NameRef<'z>> {
    let off = match record.rtype {
        Rtype::NS => 0,
        Rtype::MX => 2,
        Rtype::SRV => 6,
        _ => return None,
    };
    let name = NameRef::prefix_of(record.rdata.get(off..)?).ok()?;
    (record.rtype == Rtype::NS || !name.is_root()).then_some(name)
}

/// Writes the canonical wire format of `name` over `key`.
fn canonical_into(key: &mut Vec<u8>, name: NameRef<'_>) {
    key.clear();
    key.extend(name.as_wire().iter().map(u8::to_ascii_lowercase));
}
