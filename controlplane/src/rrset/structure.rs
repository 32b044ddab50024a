//! Rules about the shape of a name: which RRsets may be where, and beside which.
//!
//! It knows types and counts, no records. Refused is only what no server could serve, and what asks a parent where none looks; names
//! below a delegation or a DNAME are not.

use std::collections::{BTreeMap, BTreeSet};

use snapshot::dns::rtype::Rtype;
use thiserror::Error;

/// How many positions a message names at most, so that the answer stays in proportion to the request.
pub(super) const POSITION_COUNT_MAX: usize = 20;

/// Why an RRset cannot be at its name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StructureError {
    /// The type has one record at most (RFC 2181 section 10.1, RFC 6672 section 2.4).
    #[error("{0} RRset cannot have multiple records.")]
    Multiple(Rtype),
    /// The type cannot be at the apex (RFC 1912 section 2.4, RFC 4034 section 5).
    #[error("{0} RRset cannot have empty subname.")]
    Apex(Rtype),
    /// The type is at the apex only (RFC 4035 section 2.1, RFC 7344 section 4.1).
    #[error("{0} RRset must have empty subname.")]
    BelowApex(Rtype),
}

impl StructureError {
    /// Whether it is about CDS or CDNSKEY below an apex, where they are of no use to anybody, but can be served.
    #[must_use]
    pub fn is_of_request(&self) -> bool {
        matches!(self, StructureError::BelowApex(rtype) if is_request(*rtype))
    }
}

/// Whether a type asks the parent of its zone for something.
fn is_request(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::CDS | Rtype::CDNSKEY)
}

/// Checks an RRset that has records.
///
/// # Errors
/// All [`StructureError`]s that apply, in the order of the variants.
pub fn structure(subname: &str, rtype: Rtype, record_count: usize) -> Result<(), Vec<StructureError>> {
    let is_apex = subname.is_empty();
    let mut errors = Vec::new();
    if record_count > 1 && matches!(rtype, Rtype::CNAME | Rtype::DNAME) {
        errors.push(StructureError::Multiple(rtype));
    }
    if is_apex && matches!(rtype, Rtype::CNAME | Rtype::DS) {
        errors.push(StructureError::Apex(rtype));
    }
    // What a name server says of other domains is below names of its own (RFC 9615 section 4.1).
    let is_signal = subname.get(..8).is_some_and(|label| label.eq_ignore_ascii_case("_dsboot."));
    let is_of_apex = rtype == Rtype::DNSKEY || (is_request(rtype) && !is_signal);
    if !is_apex && is_of_apex {
        errors.push(StructureError::BelowApex(rtype));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Where an RRset of a name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The item at this position of the request.
    Item(usize),
    /// The domain as it is.
    Database,
}

/// The types at a name after a request, and where each comes from; sets may be empty.
pub type Present = BTreeMap<String, BTreeSet<Origin>>;

/// What keeps an RRset of type `rtype` from being at a name with `present`, itself included: a CNAME is alone
/// (RFC 2181 section 10.1).
#[must_use]
pub fn cname_conflict(rtype: &str, present: &Present) -> Option<String> {
    const CNAME: &str = "CNAME";
    let mut types: BTreeMap<Origin, Vec<&str>> = BTreeMap::new();
    let mut note = |other, origins: &BTreeSet<Origin>| {
        origins.iter().for_each(|&origin| types.entry(origin).or_default().push(other));
    };
    // Only the one CNAME looks at all others, so a list of many types at a name costs no more than its length.
    if rtype == CNAME {
        present.iter().filter(|(other, _)| *other != CNAME).for_each(|(other, origins)| note(other.as_str(), origins));
    } else if let Some(origins) = present.get(CNAME) {
        note(CNAME, origins);
    }
    if types.is_empty() {
        return None;
    }
    let parts: Vec<String> = types
        .iter()
        .take(POSITION_COUNT_MAX)
        .map(|(origin, types)| match origin {
            Origin::Item(idx) => format!("{idx} ({})", types.join(", ")),
            Origin::Database => format!("database ({})", types.join(", ")),
        })
        .collect();
    let parts = parts.join(", ");
    Some(format!(
        "RRset with conflicting type present at same subname: {parts}. (No other RRsets are allowed alongside CNAME.)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singletons_and_the_apex_have_rules() {
        for (subname, rtype, record_count, expected) in [
            ("www", Rtype::CNAME, 1, vec![]),
            ("www", Rtype::CNAME, 2, vec!["CNAME RRset cannot have multiple records."]),
            ("", Rtype::DNAME, 1, vec![]),
            ("", Rtype::DNAME, 2, vec!["DNAME RRset cannot have multiple records."]),
            (
                "",
                Rtype::CNAME,
                2,
                vec!["CNAME RRset cannot have multiple records.", "CNAME RRset cannot have empty subname."],
            ),
            ("", Rtype::DS, 2, vec!["DS RRset cannot have empty subname."]),
            ("sub", Rtype::DS, 2, vec![]),
            ("", Rtype::DNSKEY, 2, vec![]),
            ("sub", Rtype::DNSKEY, 1, vec!["DNSKEY RRset must have empty subname."]),
            ("", Rtype::CDS, 2, vec![]),
            ("sub", Rtype::CDS, 1, vec!["CDS RRset must have empty subname."]),
            ("sub", Rtype::CDNSKEY, 1, vec!["CDNSKEY RRset must have empty subname."]),
            ("_dsboot.example.co._signal", Rtype::CDS, 2, vec![]),
            ("_DSBOOT.example.co", Rtype::CDNSKEY, 1, vec![]),
            ("*", Rtype::NS, 3, vec![]),
        ] {
            let found = structure(subname, rtype, record_count).err().unwrap_or_default();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{subname} {rtype}");
        }
    }

    /// Checks the middle of the message about `rtype` at a name with `present`; empty if there is none.
    fn check_conflict(rtype: &str, present: &[(&str, &[Origin])], expected: &str) {
        let present: Present =
            present.iter().map(|(rtype, origins)| ((*rtype).to_owned(), origins.iter().copied().collect())).collect();
        let expected = (!expected.is_empty()).then(|| {
            format!(
                "RRset with conflicting type present at same subname: {expected}. \
                 (No other RRsets are allowed alongside CNAME.)"
            )
        });
        assert_eq!(cname_conflict(rtype, &present), expected, "{rtype} {present:?}");
    }

    #[test]
    fn a_cname_is_alone() {
        use Origin::{Database, Item};
        check_conflict(
            "CNAME",
            &[("TXT", &[Database]), ("A", &[Database]), ("CNAME", &[Item(0)])],
            "database (A, TXT)",
        );
        check_conflict("A", &[("A", &[Item(0)]), ("CNAME", &[Item(1)])], "1 (CNAME)");
        check_conflict("CNAME", &[("A", &[Item(0)]), ("AAAA", &[Item(1)]), ("CNAME", &[Item(2)])], "0 (A), 1 (AAAA)");
        check_conflict(
            "CNAME",
            &[("A", &[Item(10)]), ("AAAA", &[Item(9), Database])],
            "9 (AAAA), 10 (A), database (AAAA)",
        );
        check_conflict("DNAME", &[("CNAME", &[Database])], "database (CNAME)");
        check_conflict("A", &[("A", &[Item(0), Database]), ("TXT", &[Database])], "");
        check_conflict("CNAME", &[("CNAME", &[Item(0), Database]), ("A", &[])], "");
    }
}
