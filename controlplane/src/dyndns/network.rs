//! Replacing the network bits of addresses: what a home network needs when its provider gives it another prefix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The address with the network of `network` and the host bits of `address`; `None` if they are of two families.
pub(super) fn moved(network: IpNet, address: IpAddr) -> Option<IpAddr> {
    match (network, address) {
        (IpNet::V4(network), IpAddr::V4(address)) => {
            let host = address.to_bits() & network.hostmask().to_bits();
            Some(Ipv4Addr::from_bits(network.network().to_bits() | host).into())
        }
        (IpNet::V6(network), IpAddr::V6(address)) => {
            let host = address.to_bits() & network.hostmask().to_bits();
            Some(Ipv6Addr::from_bits(network.network().to_bits() | host).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_stay() {
        for (network, address, expected) in [
            ("192.0.2.99/24", "10.1.2.3", Some("192.0.2.3")),
            ("192.0.2.99/32", "10.1.2.3", Some("192.0.2.99")),
            ("192.0.2.99/0", "10.1.2.3", Some("10.1.2.3")),
            ("192.0.2.16/28", "10.1.2.35", Some("192.0.2.19")),
            ("2001:db8:1:2::/64", "fd00::1:2:3", Some("2001:db8:1:2:0:1:2:3")),
            ("2001:db8::/56", "2001:db8:ffff:12::7", Some("2001:db8:0:12::7")),
            ("2001:db8::/0", "::1", Some("::1")),
            ("2001:db8::/64", "10.1.2.3", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(moved(network.parse().unwrap(), address.parse().unwrap()), expected, "{network} {address}");
        }
    }
}
