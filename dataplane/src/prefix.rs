//! Address prefixes, as operators write them.
//!
//! Invariant: the bits of the first address behind the prefix are 0.

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
    /// The first address.
    pub(crate) fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits are shared.
    pub(crate) fn len(self) -> u8 {
        self.len
    }

    /// Whether an address lies in it. An address of IPv4 that is written as one of IPv6 counts as what it is written as.
    pub(crate) fn contains(self, addr: IpAddr) -> bool {
        (self.first..=self.last()).contains(&addr)
    }

    /// The last address.
    pub(crate) fn last(self) -> IpAddr {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_address_lies_between_the_first_and_the_last() {
        for (prefix, addr, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "::", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ] {
            let prefix: Prefix = prefix.parse().unwrap();
            assert_eq!(prefix.contains(addr.parse().unwrap()), expected, "{prefix} {addr}");
        }
    }
}
