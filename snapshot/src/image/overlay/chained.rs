//! What an overlay of a signed zone has besides nodes: its part of the chain that proves what does not exist.
//!
//! An NSEC record lies with the node of its owner. An NSEC3 record lies apart, but its owner is a name of the overlay as
//! well, usually a tombstone: that hides the record of the base, and tells after a restart that it was touched. So one
//! rule holds for both, the names of an overlay hide what the base has in its chain. Invariant: an overlay goes on with the
//! chain of its base, and has at least the record of the apex, before which no other can come.

use super::OverlayBuilder;
use crate::dns::name::{Name, NameRef};
use crate::dns::nsec3::{HASH_LEN, Params, hash_of_owner, text};
use crate::dns::rtype::Rtype;
use crate::dns::zone::Zone;
use crate::image::build::{BuildError, render_hashed};
use crate::image::chain::announced;
use crate::image::denial::{BaseDenial, params_digest};

/// The node of an NSEC3 owner.
pub(super) struct Hashed {
    /// The hash that its name stands for.
    pub(super) hash: [u8; HASH_LEN],
    /// Its bytes.
    pub(super) node: Vec<u8>,
}

impl OverlayBuilder {
    /// Whether a name is listed as an owner of NSEC, unless it is occluded. `zone` has its records.
    pub(super) fn is_nsec_owner(&self, zone: &Zone, name: NameRef<'_>) -> bool {
        self.base.denial == BaseDenial::Nsec && zone.owner(name).is_some_and(|own| own.rrset(Rtype::NSEC).is_some())
    }

    /// Renders the NSEC3 record of a name, if it has one that belongs to the chain. `zone` has its records.
    pub(super) fn hashed(&self, zone: &Zone, name: NameRef<'_>) -> Result<Option<Hashed>, BuildError> {
        let BaseDenial::Nsec3(chain) = self.base.denial else { return Ok(None) };
        let Some(hash) = hash_of_owner(name).filter(|_| name.parent() == Some(self.apex.as_ref())) else {
            return Ok(None);
        };
        let rrset = zone.owner(name).and_then(|owner| owner.rrset(Rtype::NSEC3));
        let belongs = |rdata| Params::of_rdata(rdata).is_some_and(|params| params_digest(&params) == chain);
        if !rrset.is_some_and(|rrset| rrset.records().all(|record| belongs(record.rdata))) {
            return Ok(None);
        }
        Ok(render_hashed(zone, name)?.map(|node| Hashed { hash, node }))
    }

    /// The owner of the apex's record in an NSEC3 chain; `None` if the chain is not that of the base.
    pub(super) fn hashed_apex(&self) -> Option<Name> {
        let BaseDenial::Nsec3(chain) = self.base.denial else { return None };
        let params = announced(&self.head).next().filter(|params| params_digest(params) == chain)?;
        let label = text(&params.hash(self.apex.as_wire()));
        Name::from_wire(&[&[u8::try_from(label.len()).ok()?][..], &label, self.apex.as_wire()].concat()).ok()
    }

    /// Whether the zone has the chain of the base: a whole segment would list the records of the same one.
    pub(super) fn continues_chain(&self) -> bool {
        let item = |name: NameRef<'_>| self.items.get(&OverlayBuilder::key(name));
        match self.base.denial {
            BaseDenial::None => true,
            BaseDenial::Nsec => {
                announced(&self.head).next().is_none() && item(self.apex.as_ref()).is_some_and(|apex| apex.is_chained)
            }
            // The first chain that is announced is listed if it has any record.
            BaseDenial::Nsec3(_) => {
                self.hashed_apex().is_some_and(|name| item(name.as_ref()).is_some_and(|item| item.hashed.is_some()))
            }
        }
    }
}
