//! What became of the records of a zone file.

use std::fmt;

use serde::Serialize;
use snapshot::dns::rtype::Rtype;

/// How many items of a kind a report shows; beyond it counts.
const SHOWN_COUNT_MAX: usize = 100;

/// Items of a kind: how many, and the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally<T> {
    /// How many there are.
    pub count: usize,
    /// The first ones, at most a hundred.
    pub first: Vec<T>,
}

/// What would be or was applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// RRsets.
    pub rrsets: usize,
    /// Their records.
    pub records: usize,
}

/// A record that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Its line.
    pub line: u32,
    /// Its owner.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Why.
    pub reason: Reason,
}

/// The records of a zone file that whoever signed it has made, which are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DnssecRecords {
    /// How many.
    pub count: usize,
    /// Whether there is a DNSKEY at the apex.
    has_key: bool,
    /// Whether there is an RRSIG at the apex.
    has_signature: bool,
}

/// Why a record is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// We make such records ourselves.
    Managed,
    /// The owner is not in the domain.
    OutOfZone,
}

/// How many RRsets have another TTL than the zone file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Clamped {
    /// Those whose TTL is raised to the least one.
    pub raised: usize,
    /// Those whose TTL is lowered to the greatest one.
    pub lowered: usize,
}

/// An RRset that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The line of its first record.
    pub line: u32,
    /// Its owner, without the final dot.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The rule.
    pub message: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is fine.
    pub applied: Applied,
    /// How much of that has another TTL than the file says.
    pub ttls: Clamped,
    /// What was left out.
    pub ignored: Tally<Ignored>,
    /// What is wrong.
    pub rejected: Tally<Rejected>,
}

impl DnssecRecords {
    /// Takes in a record.
    pub(super) fn add(&mut self, rtype: Rtype, is_apex: bool) {
        self.count += 1;
        self.has_key |= is_apex && rtype == Rtype::DNSKEY;
        self.has_signature |= is_apex && rtype == Rtype::RRSIG;
    }

    /// Whether the file is of a zone that is signed.
    #[must_use]
    pub fn is_signed(self) -> bool {
        self.has_key && self.has_signature
    }
}

impl<T> Tally<T> {
    /// Adds an item, which is only made if it is shown.
    pub(super) fn add(&mut self, item: impl FnOnce() -> T) {
        self.count += 1;
        if self.first.len() < SHOWN_COUNT_MAX {
            self.first.push(item());
        }
    }
}

impl<T> Default for Tally<T> {
    fn default() -> Tally<T> {
        Tally { count: 0, first: Vec::new() }
    }
}

/// Writes the message of the API: `www.example.com/MX: what is wrong`.
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: {}", self.name, self.rtype, self.message)
    }
}
