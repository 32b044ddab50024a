//! What an RRset of the API may be: its records in canonical text, its fields, and the rules between RRsets.
//!
//! There are two steps, because only the second needs the database. First JSON is read: one object by `item`, a list by
//! `bulk`, each field by `fields`, each record by `canonical`. Then the result is settled with what the domain holds and becomes
//! [`Draft`]s, which `change` applies. Errors are the bodies of the API's answers with status 400. Nothing here has a clock
//! or a file, and what is to be known of the domain is passed in. Invariant of a [`Draft`]: its type is an accepted one,
//! its records differ in canonical form, and their text reads back to their octets.

use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;

pub mod bulk;
pub mod canonical;
pub mod content;
pub mod fields;
pub mod item;
pub mod kinds;
pub mod lenient;
mod loosen;
pub mod structure;
mod style;
pub mod view;

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

/// The methods that write RRsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Create.
    Post,
    /// Create, replace or delete, all fields given.
    Put,
    /// Change the fields that are given; create or delete in a list.
    Patch,
}

/// The body of an answer for what concerns more than one field.
fn object_error(message: impl Into<String>) -> Value {
    json!({ NON_FIELD_ERRORS: [message.into()] })
}

/// The key of errors that belong to no field.
const NON_FIELD_ERRORS: &str = "non_field_errors";

/// The full name of an RRset, with the final dot.
#[must_use]
pub fn full_name(subname: &str, domain: &str) -> String {
    let dot = if subname.is_empty() { "" } else { "." };
    format!("{subname}{dot}{domain}.")
}
