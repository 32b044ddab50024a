//! What an account may register: the policy of the API, and the rule that strangers are no neighbours.
//!
//! All refusals have one message, so that nobody learns from it what others own.

use thiserror::Error;

use super::suffix::{Suffixes, is_above_suffixes};
use crate::value::Class;

/// The name that must never be delegated in the public DNS (ICANN resolution 2024.07.29.06).
const INTERNAL: &str = "internal";
/// First labels that have a meaning to programs, and so belong to whoever runs the suffix itself.
const RESERVED_LABELS: [&str; 2] = ["autoconfig", "autodiscover"];

/// The name is not for this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("This domain name conflicts with an existing domain, or is disallowed by policy.")]
pub struct PolicyError;

/// What the database knows about the other domains around a name.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours<F> {
    /// The owner of the domain with exactly this name, `None` if there is no such domain.
    pub owner_of: F,
    /// Whether a domain below the name belongs to another account.
    pub covers_foreign: bool,
}

/// Checks a name by itself; its form was checked before.
///
/// # Errors
/// [`PolicyError`] for tenants: public suffixes that are not `suffixes.local` and what lies above suffixes; `.internal`; names
/// directly below a suffix whose first label begins with an underscore or is `autoconfig` or `autodiscover`.
pub fn check_policy(name: &str, class: Class, suffixes: &Suffixes<'_>) -> Result<(), PolicyError> {
    if class == Class::Operator {
        return Ok(());
    }
    let last = name.rsplit('.').next();
    if last == Some(INTERNAL) || is_above_suffixes(name) {
        return Err(PolicyError);
    }
    if suffixes.is_local(name) {
        return Ok(());
    }
    let Some((first, parent)) = name.split_once('.') else { return Err(PolicyError) };
    let suffix = suffixes.suffix_of(name);
    let is_reserved = first.starts_with('_') || RESERVED_LABELS.contains(&first);
    if name == suffix || (parent == suffix && is_reserved) { Err(PolicyError) } else { Ok(()) }
}

/// The names between `name` and its public suffix, both excluded, longest first: who has one of them has `name` as well.
/// A name that is a suffix itself (one of ours) lies below the suffix of its parent.
pub fn ancestors<'n>(name: &'n str, suffixes: &Suffixes<'_>) -> impl Iterator<Item = &'n str> {
    let above = name.split_once('.').map(|(_, parent)| parent).filter(|_| suffixes.suffix_of(name) == name);
    let suffix_len = suffixes.suffix_of(above.unwrap_or(name)).len();
    let parents = std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent));
    parents.skip(1).take_while(move |parent| parent.len() > suffix_len)
}

/// Checks that no stranger has a domain above or below `name`. Domains of `owner` are no obstacle.
///
/// # Errors
/// [`PolicyError`] for tenants if a name of [`ancestors`] belongs to another account, or one below `name` does.
pub fn check_neighbours<Id: PartialEq>(
    name: &str,
    owner: &Id,
    class: Class,
    suffixes: &Suffixes<'_>,
    neighbours: &Neighbours<impl Fn(&str) -> Option<Id>>,
) -> Result<(), PolicyError> {
    if class == Class::Operator {
        return Ok(());
    }
    let is_foreign = |name: &str| (neighbours.owner_of)(name).is_some_and(|other| other != *owner);
    let is_covered = ancestors(name, suffixes).any(is_foreign);
    if is_covered || neighbours.covers_foreign { Err(PolicyError) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The suffixes of an installation with a dynDNS service.
    fn local() -> Vec<String> {
        vec!["dyn.example.com".to_owned(), "a.b".to_owned()]
    }

    /// Whether a tenant may have `name`, others not looked at.
    fn is_allowed(name: &str) -> bool {
        check_policy(name, Class::Hosting, &Suffixes { local: &local() }).is_ok()
    }

    #[test]
    fn t_g2_suffixes_are_nobodys() {
        for name in [
            "com",
            "co.uk",
            "github.io",
            "example",
            "foo.ck",
            "ck",
            "kawasaki.jp",
            "x.kawasaki.jp",
            "xn--55qx5d.cn",
            "xn--fiqs8s",
            "internal",
            "corp.internal",
            "a.b.internal",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
        for name in [
            "example.com",
            "co.uk.evil.co.uk",
            "uk.co.uk",
            "x.github.io",
            "www.ck",
            "x.foo.ck",
            "city.kawasaki.jp",
            "a.xn--55qx5d.cn",
            "dyn.example.com",
            "u1.dyn.example.com",
            "1.2.3.4",
            "-foo.example",
            "internal.example",
            "2.0.192.in-addr.arpa",
        ] {
            assert!(is_allowed(name), "{name}");
        }
    }

    #[test]
    fn t_g5_reserved_labels_directly_below_a_suffix() {
        for (name, expected) in [
            ("_acme-challenge.com", false),
            ("_foo.co.uk", false),
            ("_dmarc.dyn.example.com", false),
            ("_x.github.io", false),
            ("autoconfig.com", false),
            ("autodiscover.de", false),
            ("autodiscover.dyn.example.com", false),
            ("_acme-challenge.example.com", true),
            ("autoconfig.example.com", true),
            ("autoconfigure.com", true),
            ("autodiscover-x.com", true),
            ("x_.com", true),
        ] {
            assert_eq!(is_allowed(name), expected, "{name}");
        }
    }

    #[test]
    fn the_operator_may_have_any_name() {
        let suffixes = Suffixes { local: &[] };
        for name in ["com", "demo.local", "corp.internal", "_foo.com", "local"] {
            assert_eq!(check_policy(name, Class::Operator, &suffixes), Ok(()), "{name}");
            let neighbours = Neighbours { owner_of: |_: &str| Some(1), covers_foreign: true };
            assert_eq!(check_neighbours(name, &2, Class::Operator, &suffixes, &neighbours), Ok(()), "{name}");
        }
    }

    #[test]
    fn strangers_are_no_neighbours_within_a_suffix() {
        let local = local();
        let suffixes = Suffixes { local: &local };
        let check = |name: &str, owner: u32, covers_foreign: bool| {
            let owner_of = |name: &str| match name {
                "example.com" => Some(1),
                "evil.co.uk" => Some(2),
                _ => None,
            };
            check_neighbours(name, &owner, Class::Hosting, &suffixes, &Neighbours { owner_of, covers_foreign })
        };
        assert_eq!(check("sub.example.com", 1, false), Ok(()));
        assert_eq!(check("a.sub.example.com", 2, false), Err(PolicyError));
        // The suffix in between parts them.
        assert_eq!(check("u1.dyn.example.com", 2, false), Ok(()));
        // But the suffix itself is part of the domain it was made in.
        assert_eq!(check("dyn.example.com", 2, false), Err(PolicyError));
        assert_eq!(check("dyn.example.com", 1, false), Ok(()));
        assert_eq!(check("co.uk.evil.co.uk", 1, false), Err(PolicyError));
        assert_eq!(check("co.uk.evil.co.uk", 2, false), Ok(()));
        assert_eq!(check("other.com", 1, true), Err(PolicyError));
        assert_eq!(
            PolicyError.to_string(),
            "This domain name conflicts with an existing domain, or is disallowed by policy."
        );
    }

    #[test]
    fn ancestors_end_before_the_suffix() {
        let local = local();
        let suffixes = Suffixes { local: &local };
        let names = |name: &'static str| ancestors(name, &suffixes).collect::<Vec<_>>();
        assert_eq!(names("co.uk.evil.co.uk"), ["uk.evil.co.uk", "evil.co.uk"]);
        assert_eq!(names("x.y.dyn.example.com"), ["y.dyn.example.com"]);
        assert_eq!(names("dyn.example.com"), ["example.com"]);
        assert!(names("example.com").is_empty());
        assert!(names("com").is_empty());
    }

    /// The invariant of T-G1: no domain lies above another one of a stranger, unless a suffix is between them.
    fn check_invariant(domains: &BTreeMap<String, u8>, suffixes: &Suffixes<'_>) {
        for (name, owner) in domains {
            for above in ancestors(name, suffixes) {
                assert!(domains.get(above).is_none_or(|other| other == owner), "{above} and {name}");
            }
        }
    }

    proptest! {
        #[test]
        fn t_g1_random_domains_never_become_strangers_neighbours(
            steps in proptest::collection::vec((0..4u8, any::<bool>(), "([ab]\\.){0,4}(com|ck|b|dyn\\.example\\.com)"), 1..60),
        ) {
            let local = local();
            let suffixes = Suffixes { local: &local };
            let mut domains: BTreeMap<String, u8> = BTreeMap::new();
            for (owner, is_delete, name) in steps {
                if is_delete {
                    if domains.get(&name) == Some(&owner) {
                        domains.remove(&name);
                    }
                    continue;
                }
                let covers_foreign =
                    domains.iter().any(|(below, other)| *other != owner && below.ends_with(&format!(".{name}")));
                let neighbours = Neighbours { owner_of: |name: &str| domains.get(name).copied(), covers_foreign };
                let is_allowed = !domains.contains_key(&name)
                    && check_policy(&name, Class::Hosting, &suffixes).is_ok()
                    && check_neighbours(&name, &owner, Class::Hosting, &suffixes, &neighbours).is_ok();
                if is_allowed {
                    domains.insert(name, owner);
                }
                check_invariant(&domains, &suffixes);
            }
        }
    }
}
