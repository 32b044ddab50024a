//! RDATA of all types in presentation, wire and canonical format, driven by one table.
//!
//! It knows no owners, TTLs, classes or zones, and applies no policy: that a CNAME stands alone is not its business. A type
//! is a row in `table`; a kind of field is an arm in each of `parse`, `write` and `wire`, or, where one type alone has it, a
//! module of `shape`. Types without a field list have
//! the form of RFC 3597 section 5. Invariant: what [`check`] accepts, [`write_text`] prints and [`parse`] reads back to the
//! same octets; what [`parse`] makes, [`check`] accepts.

mod bitmap;
mod codec;
mod codes;
mod parse;
mod rules;
mod shape;
mod svcb;
mod svcvalue;
pub(super) mod table;
mod time;
mod wire;
mod write;

pub use bitmap::push as push_bitmap;
pub use parse::{Expected, ParseError, parse, parse_text};
pub use wire::{Compress, NameSpan, RDATA_LEN_MAX, RdataError, canonical, canonical_rdata, check, expand, names};
pub use write::{Text, write_text};

#[cfg(test)]
mod tests;
