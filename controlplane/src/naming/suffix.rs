//! Where the public part of a name ends: the Public Suffix List and the suffixes that this installation offers itself.
//!
//! The list is a release of publicsuffix.org in the crate `psl`, compiled in, with the private section: below `github.io`
//! strangers are neighbours as much as below `com`. A name under no rule of the list has its last label as its suffix.

use psl::Psl as _;

/// A label that no rule of the list has, to find out whether a rule `*.NAME` exists.
const UNLISTED_LABEL: &str = "-";

/// The suffixes of this installation below which strangers may register names, such as that of a dynDNS service.
#[derive(Debug, Clone, Copy)]
pub struct Suffixes<'a> {
    /// Names in lower case without a final dot.
    pub local: &'a [String],
}

impl Suffixes<'_> {
    /// Whether `name` is a suffix that this installation offers.
    #[must_use]
    pub fn is_local(&self, name: &str) -> bool {
        self.local.iter().any(|local| local == name)
    }

    /// The suffix of `name`: the longest of the list's and ours. `name` is in lower case, without a final dot, not empty.
    #[must_use]
    pub fn suffix_of<'n>(&self, name: &'n str) -> &'n str {
        let listed = public_suffix(name);
        let local = self.local.iter().filter_map(|local| {
            let off = name.len().checked_sub(local.len())?;
            let is_suffix = name.ends_with(local.as_str()) && (off == 0 || name.as_bytes()[off - 1] == b'.');
            is_suffix.then(|| &name[off..])
        });
        local.fold(listed, |longest, local| if local.len() > longest.len() { local } else { longest })
    }
}

/// The public suffix of `name` by the list. `name` is in lower case, without a final dot, not empty.
#[must_use]
pub fn public_suffix(name: &str) -> &str {
    let ascii = listed_label_count(name);
    // Some rules are known by one spelling only. Whoever registers a name may choose either, so the stricter one counts.
    let count = match idna::domain_to_unicode(name) {
        (unicode, Ok(())) if unicode != name => ascii.max(listed_label_count(&unicode)),
        _ => ascii,
    };
    last_labels(name, count)
}

/// Whether the list has a rule for all children of `name`, as `*.ck`: whoever had `name` would have strangers' names.
pub(super) fn is_above_suffixes(name: &str) -> bool {
    let child = format!("{UNLISTED_LABEL}.{name}");
    public_suffix(&child).len() == child.len()
}

/// How many labels the public suffix of `name` has in the list; 1 if no rule applies.
fn listed_label_count(name: &str) -> usize {
    let suffix = psl::List.suffix(name.as_bytes());
    suffix.map_or(1, |suffix| suffix.as_bytes().split(|&octet| octet == b'.').count())
}

/// The last `count` labels of `name`, all of it if it has fewer.
fn last_labels(name: &str, count: usize) -> &str {
    let dot = name.rmatch_indices('.').nth(count.saturating_sub(1));
    dot.map_or(name, |(off, _)| &name[off + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_g2_public_suffixes_are_those_of_the_list() {
        for (name, suffix) in [
            ("com", "com"),
            ("example.com", "com"),
            ("a.b.example.com", "com"),
            // The name of a suffix as labels further left means nothing.
            ("co.uk.evil.co.uk", "co.uk"),
            ("com.com", "com"),
            // The private section.
            ("x.github.io", "github.io"),
            ("github.io", "github.io"),
            // Wildcards and exceptions.
            ("ck", "ck"),
            ("foo.ck", "foo.ck"),
            ("x.foo.ck", "foo.ck"),
            ("www.ck", "ck"),
            ("x.www.ck", "ck"),
            ("x.y.kawasaki.jp", "y.kawasaki.jp"),
            ("city.kawasaki.jp", "kawasaki.jp"),
            // Punycode: \u{516c}\u{53f8}.cn and \u{4e2d}\u{56fd}.
            ("xn--55qx5d.cn", "xn--55qx5d.cn"),
            ("a.xn--55qx5d.cn", "xn--55qx5d.cn"),
            ("a.xn--fiqs8s", "xn--fiqs8s"),
            // No rule: the last label.
            ("a.b.example", "example"),
            ("demo.local", "local"),
            ("1.2.3.4", "4"),
            ("xn--zzzzzz.xn--qqqqqq", "xn--qqqqqq"),
        ] {
            assert_eq!(public_suffix(name), suffix, "{name}");
        }
    }

    #[test]
    fn local_suffixes_are_longer_or_do_not_count() {
        let local = ["dyn.example.com".to_owned(), "com".to_owned(), "uk".to_owned()];
        let suffixes = Suffixes { local: &local };
        for (name, suffix) in [
            ("a.dyn.example.com", "dyn.example.com"),
            ("dyn.example.com", "dyn.example.com"),
            ("xdyn.example.com", "com"),
            ("a.co.uk", "co.uk"),
        ] {
            assert_eq!(suffixes.suffix_of(name), suffix, "{name}");
        }
        assert!(suffixes.is_local("dyn.example.com"));
        assert!(!suffixes.is_local("a.dyn.example.com"));
    }

    #[test]
    fn parents_of_wildcard_rules_are_found() {
        for (name, expected) in [("ck", true), ("kawasaki.jp", true), ("example.com", false), ("github.io", false)] {
            assert_eq!(is_above_suffixes(name), expected, "{name}");
        }
    }
}
