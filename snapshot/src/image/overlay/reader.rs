//! How the builder of overlays sees a zone: as something that is asked about single names.

use std::error::Error;

use crate::dns::choice::Choice;
use crate::dns::name::{Name, NameRef};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, Zone};

/// Why a zone could not be read.
pub type ReadError = Box<dyn Error + Send + Sync>;

/// A zone as it is now, in a database or in memory. Names are compared without regard to case. An owner is a name that has
/// records; all methods must agree on that, because the names above an owner exist. Of a signed zone the signatures and the
/// NSEC or NSEC3 records are among them.
pub trait ZoneReader {
    /// Hands all records of `owner` to `each`, in any order; none if it owns none.
    ///
    /// # Errors
    /// Whatever reading can end with.
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) -> Result<(), ReadError>;

    /// Hands what may be answered in place of RRsets of `owner` to `each`, with their types; none unless it says otherwise.
    ///
    /// # Errors
    /// Whatever reading can end with.
    fn choices(&self, _owner: NameRef<'_>, _each: &mut dyn FnMut(Rtype, Choice)) -> Result<(), ReadError> {
        Ok(())
    }

    /// Whether there are owners strictly below `name`.
    ///
    /// # Errors
    /// Whatever reading can end with.
    fn has_below(&self, name: NameRef<'_>) -> Result<bool, ReadError>;

    /// The owners strictly below `name`, at most `max` of them, in any order.
    ///
    /// # Errors
    /// Whatever reading can end with.
    fn below(&self, name: NameRef<'_>, max: usize) -> Result<Vec<Name>, ReadError>;
}

impl ZoneReader for Zone {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) -> Result<(), ReadError> {
        for rrset in self.owner(owner).iter().flat_map(|owner| owner.rrsets()) {
            rrset.records().for_each(&mut *each);
        }
        Ok(())
    }

    fn choices(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Rtype, Choice)) -> Result<(), ReadError> {
        for rrset in self.owner(owner).iter().flat_map(|owner| owner.rrsets()) {
            if let Some(choice) = self.choice(owner, rrset.rtype()) {
                each(rrset.rtype(), choice.clone());
            }
        }
        Ok(())
    }

    fn has_below(&self, name: NameRef<'_>) -> Result<bool, ReadError> {
        Ok(self.owners_below(name).next().is_some())
    }

    fn below(&self, name: NameRef<'_>, max: usize) -> Result<Vec<Name>, ReadError> {
        Ok(self.owners_below(name).take(max).map(|owner| owner.name().to_name()).collect())
    }
}
