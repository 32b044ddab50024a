//! Where an owner lies: in the zone's authoritative data, at a zone cut, or hidden below one or below a DNAME.
//!
//! It reports nothing. Invariant: owners are given in canonical order, so whatever hides an owner was seen before it, and
//! of several the topmost counts. RFC 1034 section 4.2.1, RFC 6672 section 2.3.

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::OwnerRecords;

/// Where an owner lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'z> {
    /// Not at or below the apex.
    Outside,
    /// At the apex.
    Apex,
    /// In the authoritative data below the apex.
    Inside,
    /// An NSEC3 owner: its name is a hash and nothing that is asked for (RFC 5155 section 7.1).
    Hashed,
    /// At a zone cut.
    Cut,
    /// Below this zone cut: glue at best.
    BelowCut(NameRef<'z>),
    /// Below the owner of this DNAME.
    BelowDname(NameRef<'z>),
}

/// Tells places while a zone is walked through.
pub(crate) struct Terrain<'z> {
    /// The apex.
    apex: NameRef<'z>,
    /// The latest owner that hides what is below it.
    hiding: Option<Hiding<'z>>,
    /// The latest DNAME below the cut that hides it: what is below both is wrong in the delegated zone too.
    hidden_dname: Option<NameRef<'z>>,
}

/// An owner that hides what is below it.
#[derive(Clone, Copy)]
enum Hiding<'z> {
    /// By delegation.
    Cut(NameRef<'z>),
    /// By redirection.
    Dname(NameRef<'z>),
}

impl<'z> Terrain<'z> {
    /// Begins a walk.
    pub(crate) fn new(apex: NameRef<'z>) -> Terrain<'z> {
        Terrain { apex, hiding: None, hidden_dname: None }
    }

    /// Tells where the next owner lies.
    pub(crate) fn place(&mut self, owner: &OwnerRecords<'z>) -> Place<'z> {
        let name = owner.name();
        if !name.is_at_or_below(self.apex) {
            return Place::Outside;
        }
        if is_hashed(owner, self.apex) {
            return Place::Hashed;
        }
        match self.hiding {
            Some(Hiding::Cut(cut)) if name.is_at_or_below(cut) => return self.below_cut(cut, owner),
            Some(Hiding::Dname(dname)) if name.is_at_or_below(dname) => return Place::BelowDname(dname),
            _ => {}
        }
        let is_apex = name == self.apex;
        if !is_apex && owner.rrset(Rtype::NS).is_some() {
            self.hiding = Some(Hiding::Cut(name));
            return Place::Cut;
        }
        if owner.rrset(Rtype::DNAME).is_some() {
            self.hiding = Some(Hiding::Dname(name));
        }
        if is_apex { Place::Apex } else { Place::Inside }
    }

    /// Tells where an owner below a zone cut lies.
    fn below_cut(&mut self, cut: NameRef<'z>, owner: &OwnerRecords<'z>) -> Place<'z> {
        if let Some(dname) = self.hidden_dname.filter(|&dname| owner.name().is_at_or_below(dname)) {
            return Place::BelowDname(dname);
        }
        self.hidden_dname = owner.rrset(Rtype::DNAME).map(|_| owner.name());
        Place::BelowCut(cut)
    }
}

/// Whether an owner is one of NSEC3 records and of nothing else, right below the apex. Even a DNAME at the apex does not
/// hide it.
fn is_hashed(owner: &OwnerRecords<'_>, apex: NameRef<'_>) -> bool {
    owner.rrset(Rtype::NSEC3).is_some()
        && owner.rrsets().all(|rrset| matches!(rrset.rtype(), Rtype::NSEC3 | Rtype::RRSIG))
        && owner.name().parent().is_some_and(|parent| parent == apex)
}
