//! What an RRset of the API may be: its records in canonical text, its fields, and the rules between RRsets.
//!
//! JSON becomes items (`item` for one, `bulk` for a list), each field checked by `fields` and each record by `canonical`. An item
//! that was settled with what the domain holds is a [`Draft`]; `change` applies drafts. Nothing here reads a clock, a
//! database or a zone; what an item needs to know of the domain is passed in. Invariant of a [`Draft`]: its type is one of
//! the accepted ones, its records differ in canonical form and read back to their octets.

use snapshot::dns::rtype::Rtype;

pub mod canonical;
pub mod kinds;
mod loosen;

mod style;

/// One record of an RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Canonical presentation format.
    pub text: String,
    /// Wire format, names uncompressed and their case as given.
    pub rdata: Vec<u8>,
}

/// An RRset as a client gives it, checked field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The owner below the domain, empty for the apex.
    pub subname: String,
    /// The type, one of [`kinds::ACCEPTED`].
    pub rtype: Rtype,
    /// The TTL in seconds; `None` keeps that of the RRset which is there.
    pub ttl: Option<u32>,
    /// The records, without duplicates, in canonical order; `None` keeps those that are there, an empty list deletes.
    pub records: Option<Vec<Content>>,
}

/// What holds for all RRsets of a domain.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The domain's name, in lower case and without the final dot.
    pub domain: &'a str,
    /// The least TTL in seconds.
    pub ttl_secs_min: u32,
    /// How much a name may hold.
    pub limits: Limits,
}

/// How much one name may hold, against RRsets that are costly to serve (CVE-2024-1737).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records of an RRset.
    pub record_count_max: usize,
    /// RRsets of a name.
    pub type_count_max: usize,
}

impl Limits {
    /// What tenants get.
    pub const HOSTING: Limits = Limits { record_count_max: 100, type_count_max: 100 };
    /// What the operator gets: the length of an RRset is bound all the same.
    pub const OPERATOR: Limits = Limits { record_count_max: usize::MAX, type_count_max: usize::MAX };
}
