//! Lints of a whole zone: what is wrong with it, and what is probably not meant.
//!
//! It reads no file, changes nothing and knows no policy of accounts. Rule of thumb: what `named` refuses to load is an
//! [`Severity::Error`], what it only reports, or what an RFC forbids without harm to others, is a [`Severity::Warning`].
//! Invariant: a zone without errors has one SOA and at least one NS at its apex and can be answered from. Cost: two walks
//! over the zone, O(n) with hashing. RFC 1034, 1035, 2181, 4034, 4592, 6672.

mod node;
mod place;
mod target;

use std::collections::HashMap;
use std::fmt;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Zone;

use place::Terrain;
use target::Targets;

/// How many findings of one code are listed; more are only counted, so that a huge zone with one mistake in every line
/// stays readable.
const PER_CODE_MAX: usize = 1_000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The zone is refused.
    Error,
    /// The zone is served; somebody should look.
    Warning,
}

/// One thing that is wrong with a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule, in kebab-case; stable, so that scripts can match it.
    pub code: &'static str,
    /// The line of the zone file; 0 if it is about no single line.
    pub line: u32,
    /// The owner it is about.
    pub owner: Name,
    /// What is wrong, for people; one line.
    pub message: String,
}

/// Writes `line 3: message [code]`, without the line if there is none.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Collects findings.
struct Findings {
    /// Those that are listed.
    list: Vec<Finding>,
    /// How many there are of each code.
    counts: HashMap<&'static str, (Severity, usize)>,
}

/// Checks a zone. The findings come by line; those about no single line come last.
#[must_use]
pub fn check(zone: &Zone) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new(), counts: HashMap::new() };
    let mut targets = Targets::of(zone);
    let mut terrain = Terrain::new(zone.apex());
    let mut apex = node::ApexState::default();
    for owner in zone.owners() {
        let place = terrain.place(&owner);
        targets.visit(&owner, place);
        node::check(&owner, place, &targets, &mut apex, &mut findings);
    }
    apex.check(zone.apex(), &mut findings);
    targets.check(zone, &mut findings);
    let duplicate_count = zone.duplicate_count();
    if duplicate_count > 0 {
        let message = match duplicate_count {
            1 => "1 record is given more than once".to_owned(),
            count => format!("{count} records are given more than once"),
        };
        findings.warning("duplicate-records", 0, zone.apex(), message);
    }
    findings.finish(zone.apex())
}

impl Findings {
    /// Adds an error.
    fn error(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Severity::Error, code, line, owner, message);
    }

    /// Adds a warning.
    fn warning(&mut self, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        self.add(Severity::Warning, code, line, owner, message);
    }

    /// Adds a finding.
    fn add(&mut self, severity: Severity, code: &'static str, line: u32, owner: NameRef<'_>, message: String) {
        let (worst, count) = self.counts.entry(code).or_insert((severity, 0));
        *worst = severity.min(*worst);
        *count += 1;
        if *count <= PER_CODE_MAX {
            self.list.push(Finding { severity, code, line, owner: owner.to_name(), message });
        }
    }

    /// Sorts the findings and says what was left out.
    fn finish(mut self, apex: NameRef<'_>) -> Vec<Finding> {
        for (code, (severity, count)) in self.counts {
            if count > PER_CODE_MAX {
                let message = format!("{} more findings of this kind are not listed", count - PER_CODE_MAX);
                self.list.push(Finding { severity, code, line: 0, owner: apex.to_name(), message });
            }
        }
        self.list.sort_by_key(|finding| (finding.line == 0, finding.line, finding.code));
        self.list
    }
}

/// Whether a type may stand beside a CNAME (RFC 4035 section 2.5; KEY by RFC 3007 section 3.1.1 and RFC 4034).
fn is_beside_cname(rtype: Rtype) -> bool {
    const KEY: Rtype = Rtype(25);
    matches!(rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC | KEY)
}

/// Whether a type holds an address.
fn is_address(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA)
}

#[cfg(test)]
mod tests;
