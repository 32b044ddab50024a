//! The subnet that a resolver asks for on behalf of its client (RFC 7871).
//!
//! It is believed from resolvers that the operator names, and from nobody else: to the others the option is unknown. What
//! comes of it is up to `lots`. Invariant: a [`Subnet`] is well formed, and a reply has the option only if its query had it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::prefix::Prefix;

/// Octets of the option in front of the address: family, source prefix length, scope prefix length.
const HEAD_LEN: usize = 4;
/// Octets of the option at most.
const LEN_MAX: usize = HEAD_LEN + 16;
/// Where the scope lies.
const SCOPE_OFF: usize = 3;

/// Whose word about subnets is taken: of resolvers in these networks.
#[derive(Debug, Clone, Default)]
pub struct Subnets(Arc<[Prefix]>);

/// The option of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    /// The option as it was sent.
    content: [u8; LEN_MAX],
    /// Its octets.
    len: usize,
    /// The first address of the subnet; none if the resolver does not tell.
    pub(super) address: Option<IpAddr>,
}

/// An option whose form is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadSubnet;

impl Subnets {
    /// Those in these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Prefix>) -> Subnets {
        Subnets(networks.into_iter().collect())
    }

    /// Whether the word of this resolver is taken. O(networks).
    pub(super) fn trust(&self, resolver: IpAddr) -> bool {
        let resolver = resolver.to_canonical();
        self.0.iter().any(|network| network.contains(resolver))
    }
}

impl Subnet {
    /// Reads the content of the option (RFC 7871 section 6).
    ///
    /// # Errors
    /// [`BadSubnet`] for an unknown family, a scope, and too few, too many or unneeded bits of address.
    pub(super) fn read(option: &[u8]) -> Result<Subnet, BadSubnet> {
        let (&[family_high, family_low, source, scope], octets) = option.split_first_chunk().ok_or(BadSubnet)?;
        let bits: u8 = match u16::from_be_bytes([family_high, family_low]) {
            // No family, and nothing of an address: some clients ask so for an answer that suits all.
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(BadSubnet),
        };
        if scope != 0 || source > bits || octets.len() != usize::from(source).div_ceil(8) {
            return Err(BadSubnet);
        }
        let mut address = [0; 16];
        address.get_mut(..octets.len()).ok_or(BadSubnet)?.copy_from_slice(octets);
        let address = u128::from_be_bytes(address);
        if address.checked_shl(source.into()).unwrap_or(0) != 0 {
            return Err(BadSubnet);
        }
        let mut content = [0; LEN_MAX];
        content.get_mut(..option.len()).ok_or(BadSubnet)?.copy_from_slice(option);
        let address = match (source, bits) {
            (0, _) => None,
            (_, 32) => u32::try_from(address >> 96).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            _ => Some(IpAddr::V6(Ipv6Addr::from_bits(address))),
        };
        Ok(Subnet { content, len: option.len(), address })
    }

    /// Octets of the option in the reply: as many as in the query.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Says for how many bits of the address the answer holds; 0 is for all addresses.
    pub(super) fn set_scope(&mut self, scope: u8) {
        // Whoever told nothing of an address gets nothing about it (RFC 7871 section 7.2.1).
        self.content[SCOPE_OFF] = if self.address.is_some() { scope } else { 0 };
    }

    /// The content of the option in the reply.
    pub(super) fn content(&self) -> &[u8] {
        self.content.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an option, and shows its address.
    fn check(option: &[u8], expected: &str) {
        let shown = match Subnet::read(option) {
            Ok(Subnet { address: Some(address), .. }) => address.to_string(),
            Ok(_) => "none".into(),
            Err(BadSubnet) => "bad".into(),
        };
        assert_eq!(shown, expected, "{option:?}");
    }

    #[test]
    fn options_have_a_family_a_length_and_just_the_bits_of_that_length() {
        check(&[0, 1, 24, 0, 192, 0, 2], "192.0.2.0");
        check(&[0, 1, 32, 0, 192, 0, 2, 1], "192.0.2.1");
        check(&[0, 1, 20, 0, 192, 0, 0x20], "192.0.32.0");
        check(&[0, 1, 0, 0], "none");
        check(&[0, 2, 0, 0], "none");
        check(&[0, 0, 0, 0], "none");
        check(&[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1], "2001:db8:0:100::");
        check(&[&[0, 2, 128, 0][..], &[0xff; 16]].concat(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        for bad in [
            &[][..],
            &[0, 1, 24],
            &[0, 1, 24, 0, 192, 0],
            &[0, 1, 24, 0, 192, 0, 2, 0],
            &[0, 1, 20, 0, 192, 0, 0x28],
            &[0, 1, 24, 24, 192, 0, 2],
            &[0, 1, 33, 0, 192, 0, 2, 1, 0],
            &[0, 3, 8, 0, 1],
            &[0, 0, 8, 0, 1],
            &[0, 2, 136, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            check(bad, "bad");
        }
    }

    #[test]
    fn the_scope_is_for_those_who_told_an_address() {
        let mut subnet = Subnet::read(&[0, 1, 24, 0, 192, 0, 2]).unwrap();
        subnet.set_scope(16);
        assert_eq!(subnet.content(), [0, 1, 24, 16, 192, 0, 2]);
        let mut none = Subnet::read(&[0, 1, 0, 0]).unwrap();
        none.set_scope(16);
        assert_eq!(none.content(), [0, 1, 0, 0]);
    }

    #[test]
    fn the_word_of_named_networks_is_taken() {
        let subnets = Subnets::new(["192.0.2.0/24", "::/0"].map(|network| network.parse().unwrap()));
        for (resolver, expected) in
            [("192.0.2.7", true), ("::ffff:192.0.2.7", true), ("192.0.3.1", false), ("2001:db8::1", true)]
        {
            assert_eq!(subnets.trust(resolver.parse().unwrap()), expected, "{resolver}");
        }
        assert!(!Subnets::default().trust("192.0.2.7".parse().unwrap()));
    }
}
