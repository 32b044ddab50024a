//! What the operator wants with clients, by the prefixes of their addresses.
//!
//! Lists become disjoint ranges once, so that a lookup is one binary search whatever they held. The longest prefix wins
//! within allow and deny; exemption is a matter of its own. Invariant: every address lies in exactly one range.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::prefix::Prefix;

/// What holds for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Class {
    /// It gets no answer.
    pub(super) is_denied: bool,
    /// Limits do not apply to it.
    pub(super) is_exempt: bool,
}

/// What holds for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// First address of each range of IPv4, ascending from 0, and what holds there.
    v4: (Vec<u32>, Vec<Class>),
    /// The same for IPv6.
    v6: (Vec<u128>, Vec<Class>),
    /// Whether anybody is denied.
    denies: bool,
}

impl Default for Rules {
    /// Nobody is denied or exempt.
    fn default() -> Rules {
        Rules::new(&[], &[], &[])
    }
}

impl Rules {
    /// What three lists of prefixes come to. Where `allow` and `deny` have the same prefix, `deny` wins.
    #[must_use]
    pub fn new(allow: &[Prefix], deny: &[Prefix], exempt: &[Prefix]) -> Rules {
        let access = allow.iter().map(|prefix| (*prefix, false)).chain(deny.iter().map(|prefix| (*prefix, true)));
        let access: Vec<_> = access.collect();
        let exempt: Vec<_> = exempt.iter().map(|prefix| (*prefix, true)).collect();
        let v4 = |addr| if let IpAddr::V4(addr) = addr { Some(u128::from(addr.to_bits())) } else { None };
        let v6 = |addr| if let IpAddr::V6(addr) = addr { Some(addr.to_bits()) } else { None };
        let (starts, classes) = join(&ranges(&access, v4), &ranges(&exempt, v4));
        // All starts come from 32 bits, but for the one behind the last address, which is left out.
        let fitting =
            starts.iter().zip(&classes).filter_map(|(start, class)| Some((u32::try_from(*start).ok()?, *class)));
        Rules { v4: fitting.unzip(), v6: join(&ranges(&access, v6), &ranges(&exempt, v6)), denies: !deny.is_empty() }
    }

    /// Whether anybody is denied.
    pub(super) fn denies(&self) -> bool {
        self.denies
    }

    /// What holds for a client. O(log of the ranges).
    pub(super) fn class(&self, client: IpAddr) -> Class {
        let found = match client.to_canonical() {
            IpAddr::V4(addr) => find(&self.v4, &addr.to_bits()),
            IpAddr::V6(addr) => find(&self.v6, &addr.to_bits()),
        };
        found.unwrap_or_default()
    }
}

/// The class of the range that holds `addr`.
fn find<A: Ord>((starts, classes): &(Vec<A>, Vec<Class>), addr: &A) -> Option<Class> {
    let behind = starts.partition_point(|start| start <= addr);
    classes.get(behind.checked_sub(1)?).copied()
}

/// Where a list's answer changes: from each address on, until the next, the value holds. `None` where no prefix is.
type Ranges = BTreeMap<u128, Option<bool>>;

/// Cuts the prefixes of one family, which `bits` tells, into ranges by the longest prefix; of equal ones the last wins.
fn ranges(prefixes: &[(Prefix, bool)], bits: impl Fn(IpAddr) -> Option<u128>) -> Ranges {
    let mut sorted: Vec<_> = prefixes
        .iter()
        .filter_map(|(prefix, value)| Some((bits(prefix.first())?, prefix.len(), bits(prefix.last())?, *value)))
        .collect();
    // An outer prefix comes before those in it. The sort is stable, so equal ones stay in their order.
    sorted.sort_by_key(|(first, len, ..)| (*first, *len));
    let mut ranges = Ranges::from([(0, None)]);
    let mut open: Vec<(u128, Option<bool>)> = Vec::new();
    let close = |ranges: &mut Ranges, open: &[(u128, Option<bool>)], last: u128| {
        let outer = open.last().and_then(|(_, value)| *value);
        if let Some(behind) = last.checked_add(1) {
            ranges.insert(behind, outer);
        }
    };
    for (first, _, last, value) in sorted {
        while let Some((ended, _)) = open.pop_if(|(ended, _)| *ended < first) {
            close(&mut ranges, &open, ended);
        }
        ranges.insert(first, Some(value));
        open.push((last, Some(value)));
    }
    while let Some((ended, _)) = open.pop() {
        close(&mut ranges, &open, ended);
    }
    ranges
}

/// Lays two lists over each other.
fn join(access: &Ranges, exempt: &Ranges) -> (Vec<u128>, Vec<Class>) {
    let mut starts: Vec<u128> = access.keys().chain(exempt.keys()).copied().collect();
    starts.sort_unstable();
    starts.dedup();
    let at = |ranges: &Ranges, start: u128| ranges.range(..=start).next_back().and_then(|(_, value)| *value);
    let class = |start: &u128| Class {
        is_denied: at(access, *start) == Some(true),
        is_exempt: at(exempt, *start) == Some(true),
    };
    let classes = starts.iter().map(class).collect();
    (starts, classes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Prefixes from words.
    fn prefixes(words: &str) -> Vec<Prefix> {
        words.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let rules = Rules::new(
            &prefixes("192.0.2.0/24 192.0.2.128/32 2001:db8::/32 255.255.255.255/32"),
            &prefixes("0.0.0.0/0 192.0.2.128/25 2001:db8:1::/48 255.255.255.255/32"),
            &prefixes("192.0.2.0/26 ::ffff:0:0/96 2001:db8:1:1::/64"),
        );
        for (client, denied, exempt) in [
            ("8.8.8.8", true, false),
            ("192.0.2.0", false, true),
            ("192.0.2.63", false, true),
            ("192.0.2.64", false, false),
            ("192.0.2.127", false, false),
            ("192.0.2.128", false, false),
            ("192.0.2.129", true, false),
            ("192.0.2.255", true, false),
            ("192.0.3.0", true, false),
            ("::ffff:192.0.2.129", true, false),
            ("0.0.0.0", true, false),
            ("255.255.255.255", true, false),
            ("2001:db8::1", false, false),
            ("2001:db8:1::1", true, false),
            ("2001:db8:1:1::1", true, true),
            ("2001:db8:2::", false, false),
            ("::", false, false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
        ] {
            let class = rules.class(client.parse().unwrap());
            assert_eq!(class, Class { is_denied: denied, is_exempt: exempt }, "{client}");
        }
    }

    proptest! {
        #[test]
        fn ranges_say_what_going_through_the_list_says(
            entries in prop::collection::vec((any::<u8>(), 24_u8..=32, any::<bool>()), 0..20),
            host in any::<u8>(),
        ) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(host, len, value)| {
                    let bits = 0xc000_0200 | u32::from(host) & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                    (format!("{}/{len}", IpAddr::V4(bits.into())).parse::<Prefix>().unwrap(), value)
                })
                .collect();
            let of = |wanted: bool| {
                entries.iter().filter(|(_, value)| *value == wanted).map(|(prefix, _)| *prefix).collect::<Vec<_>>()
            };
            let client = IpAddr::from([192, 0, 2, host]);
            let holding = entries.iter().filter(|(prefix, _)| prefix.contains(client));
            let longest = holding.max_by_key(|(prefix, value)| (prefix.len(), *value));
            let rules = Rules::new(&of(false), &of(true), &[]);
            prop_assert_eq!(rules.class(client).is_denied, longest.is_some_and(|(_, value)| *value));
        }
    }
}
