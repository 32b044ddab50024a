//! Address prefixes, and what the operator wants with those who have them.
//!
//! Lists become disjoint ranges once, so that a lookup is one binary search whatever they held. The longest prefix wins
//! within allow and deny; exemption is a matter of its own. Invariant: every address lies in exactly one range.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address; its other bits are 0.
    first: IpAddr,
    /// How many bits are shared.
    len: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address prefix: write 192.0.2.0/24, 2001:db8::/32 or an address; bits behind the prefix are 0")]
pub struct BadPrefix(String);

impl Prefix {
    /// The first address, and how many bits are shared.
    pub(crate) fn parts(self) -> (IpAddr, u8) {
        (self.first, self.len)
    }

    /// The last address.
    fn last(self) -> IpAddr {
        let host_bits = |width: u32| width - u32::from(self.len);
        match self.first {
            IpAddr::V4(first) => IpAddr::V4((first.to_bits() | ones_u32(host_bits(32))).into()),
            IpAddr::V6(first) => IpAddr::V6((first.to_bits() | ones_u128(host_bits(128))).into()),
        }
    }
}

/// So many low bits, up to all 32.
fn ones_u32(count: u32) -> u32 {
    1_u32.checked_shl(count).map_or(u32::MAX, |bit| bit - 1)
}

/// So many low bits, up to all 128.
fn ones_u128(count: u32) -> u128 {
    1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Prefix, BadPrefix> {
        let read = || {
            let (addr, len) = match text.split_once('/') {
                Some((addr, len)) => (addr, Some(len.parse::<u8>().ok()?)),
                None => (text, None),
            };
            let first: IpAddr = addr.parse().ok()?;
            let width = if first.is_ipv4() { 32 } else { 128 };
            let prefix = Prefix { first, len: len.unwrap_or(width) };
            let host_bits = width.checked_sub(prefix.len)?.into();
            let is_first = match first {
                IpAddr::V4(first) => first.to_bits() & ones_u32(host_bits) == 0,
                IpAddr::V6(first) => first.to_bits() & ones_u128(host_bits) == 0,
            };
            is_first.then_some(prefix)
        };
        read().ok_or_else(|| BadPrefix(text.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.len)
    }
}

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
        .filter_map(|(prefix, value)| Some((bits(prefix.first)?, prefix.len, bits(prefix.last())?, *value)))
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
    fn prefixes_are_read_exactly() {
        for (text, expected) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), expected);
        }
        for text in
            ["", "192.0.2.1/24", "192.0.2.0/33", "::/129", "192.0.2/24", "192.0.2.0/", "::1/64", "host", "1.2.3.4/-1"]
        {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
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
                    let first = 0xc000_0200 | u32::from(host) & !ones_u32(32 - u32::from(len));
                    (Prefix { first: IpAddr::V4(first.into()), len }, value)
                })
                .collect();
            let of = |wanted: bool| {
                entries.iter().filter(|(_, value)| *value == wanted).map(|(prefix, _)| *prefix).collect::<Vec<_>>()
            };
            let client = IpAddr::from([192, 0, 2, host]);
            let holds = |prefix: &Prefix| (prefix.first..=prefix.last()).contains(&client);
            let longest = entries.iter().filter(|(prefix, _)| holds(prefix)).max_by_key(|(prefix, value)| (prefix.len, *value));
            let rules = Rules::new(&of(false), &of(true), &[]);
            prop_assert_eq!(rules.class(client).is_denied, longest.is_some_and(|(_, value)| *value));
        }
    }
}
