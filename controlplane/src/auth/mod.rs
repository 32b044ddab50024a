//! Who may do what: token policies, pure.
//!
//! Looking a token up and comparing subnets is the API's; this module judges. Invariant: where policies exist, what none
//! of them allows is forbidden.

use crate::store::DomainId;
use crate::store::policies::Policy;

/// Whether policies let their token write an RRset. The most specific one decides, with domain before subname before
/// type; a token without policies is not restricted.
#[must_use]
pub fn may_write(policies: &[Policy], domain: DomainId, subname: &str, rtype: &str) -> bool {
    /// Whether a place of a policy fits: exactly, or because it says nothing.
    fn fits(policy: &Policy, domain: DomainId, subname: &str, rtype: &str) -> bool {
        policy.domain.as_ref().is_none_or(|(id, _)| *id == domain)
            && policy.subname.as_ref().is_none_or(|wanted| wanted_covers(wanted, subname))
            && policy.rtype.as_ref().is_none_or(|wanted| wanted == rtype)
    }
    if policies.is_empty() {
        return true;
    }
    let best = policies
        .iter()
        .filter(|policy| fits(policy, domain, subname, rtype))
        .max_by_key(|policy| (policy.domain.is_some(), policy.subname.is_some(), policy.rtype.is_some()));
    best.is_some_and(|policy| policy.perm_write)
}

/// Whether the subname of a policy means that of an RRset. Wildcards mean themselves.
fn wanted_covers(wanted: &str, subname: &str) -> bool {
    wanted == subname
}

/// Whether policies let their token delete a domain: nothing forbids a part of it, and either the whole domain is
/// allowed expressly or nothing is forbidden for all domains.
#[must_use]
pub fn may_delete(policies: &[Policy], domain: DomainId) -> bool {
    if policies.is_empty() {
        return true;
    }
    let of_domain = |policy: &&Policy| policy.domain.as_ref().is_some_and(|(id, _)| *id == domain);
    let is_whole = |policy: &Policy| policy.subname.is_none() && policy.rtype.is_none();
    let forbids_part = policies.iter().filter(of_domain).any(|policy| !policy.perm_write);
    let allows_whole = policies.iter().filter(of_domain).any(|policy| policy.perm_write && is_whole(policy));
    let forbids_any = policies.iter().any(|policy| policy.domain.is_none() && !policy.perm_write);
    !forbids_part && (allows_whole || !forbids_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies from lines "domain subname type yes|no", with `-` for any.
    fn policies(lines: &[&str]) -> Vec<Policy> {
        let some = |word: &str| (word != "-").then(|| word.to_owned());
        let policy = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            Policy {
                id: uuid::Uuid::nil(),
                domain: some(words[0]).map(|number| (DomainId(number.parse().unwrap()), String::new())),
                subname: some(words[1]),
                rtype: some(words[2]),
                perm_write: words[3] == "yes",
            }
        };
        lines.iter().map(policy).collect()
    }

    #[test]
    fn the_most_specific_policy_decides() {
        let all = policies(&["- - - no", "1 - - yes", "1 www - no", "1 www A yes", "- mail - yes", "- - TXT yes"]);
        for (domain, subname, rtype, expected) in [
            (1, "www", "A", true),
            (1, "www", "AAAA", false),
            (1, "ftp", "A", true),
            (2, "www", "A", false),
            (2, "mail", "A", true),
            (2, "mail", "TXT", true),
            (2, "www", "TXT", true),
            (1, "mail", "A", true),
        ] {
            assert_eq!(may_write(&all, DomainId(domain), subname, rtype), expected, "{domain} {subname} {rtype}");
        }
        assert!(may_write(&[], DomainId(1), "", "A"));
        let none_fits = policies(&["1 - - yes"]);
        assert!(!may_write(&none_fits, DomainId(2), "", "A"));
    }

    #[test]
    fn deleting_a_domain_needs_all_of_it() {
        for (lines, expected) in [
            (&[][..], true),
            (&["- - - yes"], true),
            (&["- - - no"], false),
            (&["- - - no", "1 - - yes"], true),
            (&["- - - no", "1 - - yes", "1 www - no"], false),
            (&["- - - yes", "1 www - yes"], true),
            (&["- - - yes", "- - TXT no"], false),
            (&["- - - yes", "- - TXT no", "1 - - yes"], true),
        ] {
            assert_eq!(may_delete(&policies(lines), DomainId(1)), expected, "{lines:?}");
        }
    }
}
