//! Zone files of a domain: import into RRset drafts, and export.
//!
//! `collect` reads the records and groups them, `import` makes drafts of the groups by the rules of the API and reports what
//! became of each, `export` writes, `diff` compares two states of a domain. Nothing is applied here. What the servers manage
//! themselves is left out in both directions ([`is_managed`]), so that an export can be imported again. Invariant: an error
//! tells a line, never what the line says; memory and time are bound by the text and by [`RECORD_COUNT_MAX`] and
//! [`RDATA_LEN_MAX`].

use snapshot::dns::rtype::Rtype;

mod collect;
pub mod diff;
mod export;
mod import;
mod report;
mod unicode;

pub use export::{Exported, Header, export};
pub use import::{Customs, Import, ImportError, import, import_as};
pub use report::{Applied, Clamped, DnssecRecords, Ignored, Reason, Rejected, Report, Tally};

/// How many records a zone file may have, ignored ones not counted.
pub const RECORD_COUNT_MAX: usize = 1_500_000;
/// How many octets of RDATA a zone file may have: names grow when their origin is added.
pub const RDATA_LEN_MAX: usize = 64 << 20;

/// Whether RRsets of this type are ours to make: they are neither imported nor exported. `is_apex` tells whether the owner is
/// the domain itself.
#[must_use]
pub fn is_managed(rtype: Rtype, is_apex: bool) -> bool {
    match rtype {
        Rtype::SOA | Rtype::NS => is_apex,
        Rtype::KEY | Rtype::OPT => true,
        _ => is_dnssec(rtype),
    }
}

/// Whether records of this type come with the signing of a zone. DS is not among them: it belongs to a delegation.
fn is_dnssec(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY | Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM
    )
}

#[cfg(test)]
mod tests;
