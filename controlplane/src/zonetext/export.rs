//! A domain as a zone file: one line per record, tabs between fields, sorted by owner.
//!
//! The same content gives the same text. What the signing of a zone adds is left out; the SOA is whatever the caller passes.

use std::fmt::{self, Write};

use snapshot::dns::rtype::Rtype;

use super::is_dnssec;
use crate::rrset::full_name;
use crate::value::Timestamp;

/// The first line of an export.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The domain, without a final dot.
    pub domain: &'a str,
    /// The name of the service, as `desec.example.net`.
    pub service: &'a str,
    /// When it is exported.
    pub at: Timestamp,
    /// What is to be said of it, a comment each.
    pub notes: &'a [String],
}

/// An RRset of the domain.
#[derive(Debug, Clone, Copy)]
pub struct Exported<'a> {
    /// Below the domain, empty for the apex.
    pub subname: &'a str,
    /// The type.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl_secs: u32,
    /// The records in presentation format, names absolute.
    pub records: &'a [String],
}

/// Where an RRset is in an export: owners from the apex down, SOA and NS first among types, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    /// The labels of the subname from the right, each ended by an octet that is in none.
    labels: String,
    /// Which types come first.
    rank: u8,
    /// The mnemonic of the type.
    rtype: String,
}

impl SortKey {
    /// The key of an RRset.
    pub(super) fn of(subname: &str, rtype: &str) -> SortKey {
        let mut labels = String::with_capacity(subname.len() + 1);
        for label in subname.rsplit('.').filter(|label| !label.is_empty()) {
            labels.push_str(label);
            labels.push('\0');
        }
        let rank = match rtype {
            "SOA" => 0,
            "NS" => 1,
            _ => 2,
        };
        SortKey { labels, rank, rtype: rtype.to_owned() }
    }
}

/// Writes the zone file of a domain. `rrsets` are all it has, in any order, the SOA that is to be shown included.
///
/// # Errors
/// Those of `out`.
pub fn export<'a>(
    out: &mut impl Write,
    header: &Header<'_>,
    rrsets: impl IntoIterator<Item = Exported<'a>>,
) -> fmt::Result {
    let Header { domain, service, at, notes } = header;
    writeln!(out, "; Zonefile for {domain} exported from {service} at {}", at.with_offset())?;
    notes.iter().try_for_each(|note| writeln!(out, "; {note}"))?;
    let mut rrsets: Vec<Exported<'a>> = rrsets.into_iter().filter(|rrset| !is_dnssec(rrset.rtype)).collect();
    rrsets.sort_by_cached_key(|rrset| SortKey::of(rrset.subname, &rrset.rtype.to_string()));
    for Exported { subname, rtype, ttl_secs, records } in rrsets {
        let owner = full_name(subname, domain);
        let rtype = rtype.to_string();
        records.iter().try_for_each(|record| push_line(out, "", (&owner, ttl_secs, &rtype), record))?;
    }
    Ok(())
}

/// Writes the line of a record after `prefix`.
pub(super) fn push_line(
    out: &mut impl Write,
    prefix: &str,
    (owner, ttl_secs, rtype): (&str, u32, &str),
    record: &str,
) -> fmt::Result {
    writeln!(out, "{prefix}{owner}\t{ttl_secs}\tIN\t{rtype}\t{record}")
}
