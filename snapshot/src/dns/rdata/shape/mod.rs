//! Fields whose format no other type shares: one module each, with all three directions side by side.
//!
//! The table names a [`Shape`] where a kind of field would serve a single type. Invariant, as for all fields: what `len`
//! accepts, `write` prints and `parse` reads back to the same octets.

use std::fmt;

use super::parse::Args;
use super::{ParseError, RdataError};

pub(super) mod a6;
pub(super) mod apl;
pub(super) mod doa;
pub(super) mod gateway;
pub(super) mod hip;
pub(super) mod loc;
pub(super) mod nsap;
pub(super) mod wks;

/// A field with a format of its own.
pub(super) struct Shape {
    /// Reads its tokens and appends its wire format.
    pub(super) parse: fn(&mut Args<'_>, &mut Vec<u8>) -> Result<(), ParseError>,
    /// Its length at the start of the octets that are left, after looking at them. May exceed them.
    pub(super) len: fn(&[u8]) -> Result<usize, RdataError>,
    /// Writes it from exactly its octets, which passed `len`.
    pub(super) write: fn(&[u8], &mut dyn fmt::Write) -> fmt::Result,
}

#[cfg(test)]
mod tests;
