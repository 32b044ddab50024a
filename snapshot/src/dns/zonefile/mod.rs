//! Zone files (RFC 1035 section 5, RFC 2308 section 4, RFC 3597 section 5), read as a stream of records.
//!
//! It reads text and makes no checks of a zone: owners outside the origin, duplicates and missing SOA records are the
//! business of others. Class IN only. `$INCLUDE` and `$GENERATE` work only for callers that allow them, because they read
//! other files and multiply their input. Invariant: a record that is returned is well formed and complete; memory is
//! bounded by one entry, not by the file.

mod error;
mod generate;
mod reader;
mod source;

use std::path::PathBuf;

use super::name::Name;

pub use error::{Problem, ZoneFileError};
pub use reader::Reader;

/// How deep `$INCLUDE` may nest.
pub const INCLUDE_DEPTH_MAX: usize = 20;

/// What the caller of a [`Reader`] knows and allows. The default knows nothing and allows nothing beyond the file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Completes relative names until the first `$ORIGIN`.
    pub origin: Option<Name>,
    /// The TTL in seconds of records without one, until the first `$TTL`.
    pub default_ttl: Option<u32>,
    /// What `$INCLUDE` may do.
    pub include: Include,
    /// What `$GENERATE` may do.
    pub generate: Generate,
}

/// What `$INCLUDE` may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing: it is an error.
    #[default]
    Refuse,
    /// Read regular files below this directory, links resolved; relative paths start there.
    Below(PathBuf),
}

/// What `$GENERATE` may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generate {
    /// Nothing: it is an error.
    #[default]
    Refuse,
    /// Make this many records in all.
    AtMost(u64),
}

#[cfg(test)]
mod tests;
