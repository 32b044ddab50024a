//! A domain's rows, signed name by name: what the overlay of a signed zone is built from.
//!
//! In zones with NSEC the rows tell the next name; where names are hashed, the chain in service does (see `hashed`).
//! Invariant: all that the builder was given is in [`SignedRows::part`], for the gate.

mod hashed;

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use snapshot::dns::choice::Choice;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};
use snapshot::image::{ReadError, Touched, ZoneReader};

pub(super) use self::hashed::Spliced;
use super::parts::SignedOwner;
use super::rows::Rows;
use super::zone::{ZoneError, owner};
use crate::sign::{Denial, Hashes, Made, Node, Plan, Published, Set, SignError, Standing, ZoneSigner, apex_sets};

/// A domain in one state of the database, and what signs it.
pub(super) struct SignedRows<'s> {
    /// The rows.
    rows: &'s Rows<'s>,
    /// How it is signed.
    plan: &'s Plan<'s>,
    /// What signs.
    signer: ZoneSigner<'s>,
    /// Owners that were signed, each as a zone of its own, by canonical name.
    signed: RefCell<BTreeMap<Name, SignedOwner>>,
    /// The chain, if names are hashed.
    hashes: RefCell<Hashes>,
}

impl<'s> SignedRows<'s> {
    /// Signs these rows; signatures over what was `published` so before are used again. `hashes` is the chain in service if
    /// names are hashed.
    ///
    /// # Errors
    /// [`SignError`] about the plan.
    pub(super) fn new(
        rows: &'s Rows<'s>,
        plan: &'s Plan<'s>,
        published: &'s dyn Published,
        hashes: Hashes,
    ) -> Result<SignedRows<'s>, SignError> {
        let soa = &rows.domain.soa;
        // RFC 9077 section 3.
        let denial_ttl_secs = soa.ttl_secs.min(soa.minimum_secs);
        let signer = ZoneSigner::new(rows.apex.as_ref(), denial_ttl_secs, plan, published)?;
        Ok(SignedRows { rows, plan, signer, signed: RefCell::default(), hashes: RefCell::new(hashes) })
    }

    /// The chain with the change, if names are hashed.
    pub(super) fn hashes(&self) -> Ref<'_, Hashes> {
        self.hashes.borrow()
    }

    /// Whether names are hashed.
    fn is_hashed(&self) -> bool {
        self.plan.denial != Denial::Nsec
    }

    /// What the change of these owners, each with whether it stays, touches besides: the names before those that may have come
    /// or gone, whose NSEC names another one then, and the cuts above them, by which the gate knows where they lie.
    ///
    /// # Errors
    /// What reading can end with.
    pub(super) fn touched_besides<'k>(
        &self,
        keys: impl Iterator<Item = (&'k [u8], bool)>,
    ) -> Result<Vec<Touched>, ReadError> {
        let mut besides = Vec::new();
        for (key, stays) in keys.filter(|(key, _)| !key.is_empty()) {
            if !self.is_hashed() && !stays {
                besides.push(Touched::data(self.before(key)?));
            }
            if let Some(name) = super::rows::name_of(key, self.rows.apex)
                && let Some(cut) = self.hidden_by(name.as_ref())?
            {
                self.read(cut.as_ref())?;
            }
        }
        Ok(besides)
    }

    /// Whether the zone names servers.
    ///
    /// # Errors
    /// What reading can end with.
    pub(super) fn has_ns(&self) -> Result<bool, ReadError> {
        let apex = self.rows.apex.as_ref();
        Ok(self.plain(apex)?.owner(apex).is_some_and(|records| records.rrset(Rtype::NS).is_some()))
    }

    /// All owners that were read, signed, as a part of the zone.
    ///
    /// # Errors
    /// What reading can end with.
    pub(super) fn part(&self) -> Result<Zone, ReadError> {
        if self.is_hashed() {
            self.read_links()?;
        }
        let mut builder = ZoneBuilder::new(self.rows.apex.clone());
        for SignedOwner { zone, .. } in self.signed.borrow().values() {
            for owner in zone.owners() {
                for rrset in owner.rrsets() {
                    rrset.records().try_for_each(|record| builder.push(record)).map_err(|_| ZoneError::TooLarge)?;
                }
            }
            zone.choices().for_each(|(owner, rtype, choice)| builder.choose(owner, rtype, choice.clone()));
        }
        Ok(builder.finish())
    }

    /// The same, each owner by itself, by canonical name.
    pub(super) fn into_owners(self) -> BTreeMap<Name, SignedOwner> {
        self.signed.into_inner()
    }

    /// An owner with its records, signed; an empty zone if it has none.
    fn read(&self, owner: NameRef<'_>) -> Result<Arc<Zone>, ReadError> {
        let name = owner.to_name().to_canonical();
        if let Some(signed) = self.signed.borrow().get(&name) {
            return Ok(Arc::clone(&signed.zone));
        }
        let signed = SignedOwner::new(self.sign(owner)?);
        let zone = Arc::clone(&signed.zone);
        self.signed.borrow_mut().insert(name, signed);
        Ok(zone)
    }

    /// Reads an owner and signs it.
    fn sign(&self, owner: NameRef<'_>) -> Result<Zone, ReadError> {
        let apex = self.rows.apex.as_ref();
        let plain = self.plain(owner)?;
        let mut builder = ZoneBuilder::new(self.rows.apex.clone());
        self.push_link(owner, &mut builder)?;
        let Some(records) = plain.owner(owner) else { return Ok(builder.finish()) };
        let standing = match self.hidden_by(owner)? {
            Some(_) => Standing::Hidden,
            None if owner != apex && records.rrset(Rtype::NS).is_some() => Standing::Cut,
            None => Standing::Authoritative,
        };
        let sets = if owner == apex {
            apex_sets(&records, self.plan)
        } else {
            records.rrsets().map(|rrset| Set::of(&rrset)).collect()
        };
        let mut push = |rtype, ttl_secs, rdata: &[u8]| {
            builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 }).map_err(|_| ZoneError::TooLarge)
        };
        for set in &sets {
            set.rdatas.iter().try_for_each(|rdata| push(set.rtype, set.ttl_secs, rdata))?;
        }
        if standing != Standing::Hidden {
            let next = if self.is_hashed() { self.rows.apex.clone() } else { self.after(owner)? };
            let mut made = Made::default();
            self.signer.owner(&Node { owner, standing, sets, next: next.as_ref() }, &mut made)?;
            made.records().try_for_each(|record| push(record.rtype, record.ttl_secs, record.rdata))?;
        }
        if standing == Standing::Authoritative {
            for (_, rtype, choice) in plain.choices() {
                builder.choose(owner, rtype, self.signer.choice(owner, rtype, choice, &mut Made::default())?);
            }
        }
        Ok(builder.finish())
    }

    /// An owner with its records as the rows have them.
    fn plain(&self, owner: NameRef<'_>) -> Result<Zone, ReadError> {
        let mut builder = ZoneBuilder::new(self.rows.apex.clone());
        let mut is_too_large = false;
        self.rows.records(owner, &mut |record| is_too_large |= builder.push(record).is_err())?;
        self.rows.choices(owner, &mut |rtype, choice| builder.choose(owner, rtype, choice))?;
        if is_too_large { Err(ZoneError::TooLarge.into()) } else { Ok(builder.finish()) }
    }

    /// The topmost cut or DNAME above a name.
    fn hidden_by(&self, name: NameRef<'_>) -> Result<Option<Name>, ReadError> {
        let apex = self.rows.apex.as_ref();
        let (mut topmost, mut above) = (None, name.parent());
        while let Some(ancestor) = above.filter(|ancestor| ancestor.is_at_or_below(apex)) {
            let mut hides = false;
            self.rows.records(ancestor, &mut |record| {
                hides |= record.rtype == Rtype::DNAME || (record.rtype == Rtype::NS && ancestor != apex);
            })?;
            if hides {
                topmost = Some(ancestor.to_name());
            }
            above = ancestor.parent();
        }
        Ok(topmost)
    }

    /// The next owner in the chain, after the last one the apex.
    fn after(&self, name: NameRef<'_>) -> Result<Name, ReadError> {
        let mut key = self.rows.node_of(name).unwrap_or_default();
        while let Some((next, subname)) = self.rows.reader.node_after(self.rows.domain.id, &key)? {
            let next_name = owner(&subname, self.rows.apex)?;
            match self.hidden_by(next_name.as_ref())? {
                None => return Ok(next_name),
                // All below it is hidden too; 255 is in no key.
                Some(cut) => {
                    key = self.rows.node_of(cut.as_ref()).unwrap_or(next);
                    key.push(255);
                }
            }
        }
        Ok(self.rows.apex.clone())
    }

    /// The owner before a place in the chain.
    fn before(&self, key: &[u8]) -> Result<Name, ReadError> {
        match self.rows.reader.node_before(self.rows.domain.id, key)? {
            None => Ok(self.rows.apex.clone()),
            Some((_, subname)) => {
                let name = owner(&subname, self.rows.apex)?;
                Ok(self.hidden_by(name.as_ref())?.unwrap_or(name))
            }
        }
    }
}

impl ZoneReader for SignedRows<'_> {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) -> Result<(), ReadError> {
        let zone = self.read(owner)?;
        ZoneReader::records(&*zone, owner, each)
    }

    fn choices(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Rtype, Choice)) -> Result<(), ReadError> {
        let zone = self.read(owner)?;
        ZoneReader::choices(&*zone, owner, each)
    }

    fn has_below(&self, name: NameRef<'_>) -> Result<bool, ReadError> {
        self.rows.has_below(name)
    }

    fn below(&self, name: NameRef<'_>, max: usize) -> Result<Vec<Name>, ReadError> {
        self.rows.below(name, max)
    }
}
