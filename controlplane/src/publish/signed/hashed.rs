//! What a change of a domain's rows does to its chain of hashed names.
//!
//! A name is in the chain by what the rows have of it, above it and below it; the record before one that comes or goes is made
//! again with another next hash, from the chain in service alone, whoever its name is. What would take many looks is left
//! to signing the zone whole. Invariant: the chain after a change is the one that `sign::sign` would make. RFC 5155 section
//! 7.1, opt-out in section 6.

use std::collections::BTreeSet;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::hash_of_owner;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, ZoneBuilder};
use snapshot::image::{ReadError, Touched, ZoneReader as _};

use super::super::rows::name_of;
use super::super::zone::{ZoneError, owner};
use super::SignedRows;
use crate::sign::{Denial, Hash, Link, Made, Set, Standing, apex_sets, hashed_types};

/// How many names are looked at below one to find out whether it is opted out.
const LOOKED_MAX: usize = 64;

/// What a change did to the chain.
pub(in crate::publish) struct Spliced {
    /// The owners of records that came, went or changed.
    pub(in crate::publish) touched: Vec<Touched>,
    /// The hashes whose records went.
    pub(in crate::publish) gone: BTreeSet<Hash>,
}

/// Whether a name is in the chain.
enum Standpoint {
    /// It is, with this list of types.
    In(Vec<u8>),
    /// It is not.
    Out,
    /// Too many names would have to be looked at.
    Far,
}

impl SignedRows<'_> {
    /// Takes a change of these owners up into the chain; `None` if that takes too much.
    ///
    /// # Errors
    /// What reading can end with.
    pub(in crate::publish) fn splice<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Option<Spliced>, ReadError> {
        let mut names = BTreeSet::new();
        for key in keys {
            let Some(name) = name_of(key, self.rows.apex) else { return Ok(None) };
            self.add_with_above(name.as_ref(), &mut names);
        }
        if self.is_opt_out() && !self.add_beside_wildcards(&mut names)? {
            return Ok(None);
        }
        let (mut touched, mut gone, mut turned) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for name in &names {
            let now = match self.standpoint(name.as_ref())? {
                Standpoint::In(types) => Some(types),
                Standpoint::Out => None,
                Standpoint::Far => return Ok(None),
            };
            let hash = self.signer.hash(name.as_ref());
            // Two names of one hash: who signs whole says what to do.
            if !seen.insert(hash) {
                return Ok(None);
            }
            let mut hashes = self.hashes.borrow_mut();
            let before = hashes.types(&hash);
            if before == now.as_deref() {
                continue;
            }
            if before.is_some() != now.is_some() {
                turned.push(hash);
            }
            if now.is_none() {
                gone.insert(hash);
            }
            hashes.set(hash, now.as_deref());
            touched.insert(hash);
        }
        let hashes = self.hashes.borrow();
        touched.extend(turned.iter().map(|hash| hashes.before(hash)));
        let touched = touched.iter().map(|hash| Touched::data(self.signer.hashed_owner(hash))).collect();
        Ok(Some(Spliced { touched, gone }))
    }

    /// Adds a name and those above it up to the apex.
    fn add_with_above(&self, name: NameRef<'_>, names: &mut BTreeSet<Name>) {
        let mut at = Some(name);
        while let Some(name) = at.filter(|name| name.is_at_or_below(self.rows.apex.as_ref())) {
            if !names.insert(name.to_name().to_canonical()) {
                break;
            }
            at = name.parent();
        }
    }

    /// Whether delegations without DS are left out.
    fn is_opt_out(&self) -> bool {
        self.plan.denial == Denial::Nsec3 { opt_out: true }
    }

    /// Adds the names beside wildcards that came or went: such a name is in the chain although it is there for delegations that
    /// are left out. Returns false if they are too many.
    fn add_beside_wildcards(&self, names: &mut BTreeSet<Name>) -> Result<bool, ReadError> {
        let wildcards: Vec<Name> = names.iter().filter(|name| name.as_ref().is_wildcard()).cloned().collect();
        for wildcard in &wildcards {
            let was_there = self.hashes.borrow().types(&self.signer.hash(wildcard.as_ref())).is_some();
            let stays = was_there && matches!(self.standpoint(wildcard.as_ref())?, Standpoint::In(_));
            let Some(above) = wildcard.as_ref().parent().filter(|_| !stays && wildcard != self.rows.apex) else {
                continue;
            };
            let below = self.rows.below(above, LOOKED_MAX + 1)?;
            if below.len() > LOOKED_MAX {
                return Ok(false);
            }
            for name in below {
                let mut at = name.as_ref();
                while let Some(parent) = at.parent().filter(|parent| *parent != above) {
                    at = parent;
                }
                names.insert(at.to_name().to_canonical());
            }
        }
        Ok(true)
    }

    /// Whether a name is in the chain now, by the rows.
    fn standpoint(&self, name: NameRef<'_>) -> Result<Standpoint, ReadError> {
        if self.hidden_by(name)?.is_some() {
            return Ok(Standpoint::Out);
        }
        let plain = self.plain(name)?;
        let Some(records) = plain.owner(name) else {
            return match self.is_opt_out() {
                true => self.keeps_some(name),
                false if self.rows.has_below(name)? => Ok(Standpoint::In(Vec::new())),
                false => Ok(Standpoint::Out),
            };
        };
        let types = |standing| hashed_types(standing, records.rrsets().map(|rrset| rrset.rtype()));
        Ok(if name == self.rows.apex.as_ref() {
            let sets: Vec<Set<'_>> = apex_sets(&records, self.plan);
            Standpoint::In(hashed_types(Standing::Authoritative, sets.iter().map(|set| set.rtype)))
        } else if records.rrset(Rtype::NS).is_none() {
            Standpoint::In(types(Standing::Authoritative))
        } else if self.is_opt_out() && records.rrset(Rtype::DS).is_none() {
            Standpoint::Out
        } else {
            Standpoint::In(types(Standing::Cut))
        })
    }

    /// Whether a name without records, in a zone with opt-out, is in the chain: above anything but delegations without DS, or
    /// above one with a wildcard beside what leads there.
    fn keeps_some(&self, name: NameRef<'_>) -> Result<Standpoint, ReadError> {
        let Some(top) = self.rows.node_of(name) else { return Ok(Standpoint::Out) };
        let mut key = top.clone();
        for _ in 0..LOOKED_MAX {
            let next = self.rows.reader.node_after(self.rows.domain.id, &key)?;
            let Some((below, subname)) = next.filter(|(next, _)| next.starts_with(&top)) else {
                return Ok(Standpoint::Out);
            };
            let below_name = owner(&subname, self.rows.apex)?;
            let (mut has_ns, mut has_ds) = (false, false);
            self.rows.records(below_name.as_ref(), &mut |record| {
                has_ns |= record.rtype == Rtype::NS;
                has_ds |= record.rtype == Rtype::DS;
            })?;
            if !has_ns || has_ds || self.is_beside_wildcard(below_name.as_ref(), name)? {
                return Ok(Standpoint::In(Vec::new()));
            }
            // All below a cut is hidden; 255 is in no key.
            key = below;
            key.push(255);
        }
        Ok(Standpoint::Far)
    }

    /// Whether one of the names above a delegation, up to `top`, has a wildcard beside it.
    fn is_beside_wildcard(&self, delegation: NameRef<'_>, top: NameRef<'_>) -> Result<bool, ReadError> {
        let mut at = delegation.parent();
        while let Some(name) = at.filter(|name| name.is_at_or_below(top)) {
            let Some(above) = name.parent().filter(|_| name != self.rows.apex.as_ref()) else { break };
            let wire = [&b"\x01*"[..], above.as_wire()].concat();
            if let Ok(wildcard) = NameRef::prefix_of(&wire)
                && (self.plain(wildcard)?.owner(wildcard).is_some() || self.rows.has_below(wildcard)?)
            {
                return Ok(true);
            }
            at = name.parent();
        }
        Ok(false)
    }

    /// Adds the record of the chain whose owner this is, signed, if it is one.
    pub(super) fn push_link(&self, owner: NameRef<'_>, builder: &mut ZoneBuilder) -> Result<(), ReadError> {
        let is_below_apex = owner.parent() == Some(self.rows.apex.as_ref());
        let Some(hash) = hash_of_owner(owner).filter(|_| is_below_apex && self.is_hashed()) else { return Ok(()) };
        let hashes = self.hashes.borrow();
        let Some(types) = hashes.types(&hash) else { return Ok(()) };
        let mut made = Made::default();
        self.signer.link(&Link { hash, next: hashes.after(&hash), types: types.to_vec() }, &mut made)?;
        for record in made.records() {
            let (rtype, ttl_secs, rdata) = (record.rtype, record.ttl_secs, record.rdata);
            builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 }).map_err(|_| ZoneError::TooLarge)?;
        }
        Ok(())
    }

    /// Reads the records of the chain for all owners that were read.
    pub(super) fn read_links(&self) -> Result<(), ReadError> {
        let names: Vec<Name> = self.signed.borrow().keys().cloned().collect();
        for name in names {
            let hash = self.signer.hash(name.as_ref());
            if self.hashes.borrow().types(&hash).is_some() {
                self.read(self.signer.hashed_owner(&hash).as_ref())?;
            }
        }
        Ok(())
    }
}
