//! Which domain names exist, and who may have which.
//!
//! `form` knows what a domain name looks like, `suffix` where the public part of a name ends, `policy` what an account may
//! register beside its neighbours. That a name is taken only the database can tell. Subnames are the business of `rrset`.
//! Nothing here looks anything up over a network: the Public Suffix List is compiled in, so no lookup can fail open.

mod form;
mod policy;
mod suffix;

pub use form::{FormError, check_form, name_field, owner_candidates, subname_of};
pub use policy::{Neighbours, PolicyError, ancestors, check_neighbours, check_policy};
pub use suffix::{Suffixes, public_suffix};
