//! Addresses that no name server of the public is at: private networks, this machine, links, documentation, multicast.
//!
//! Who has a domain says where the servers of names are that we ask, so that without this we would send packets for them to
//! whatever is near us. From the registries of special-purpose addresses (RFC 6890, as IANA has them in 2025), those that are not
//! globally reachable. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Special networks of IPv4, with the length of their prefixes.
const V4: [(Ipv4Addr, u32); 15] = [
    // "This network" (RFC 791): Linux takes 0.0.0.0 for this machine.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private (RFC 1918).
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared by customers of a provider (RFC 6598).
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // This machine (RFC 1122).
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // The link (RFC 3927), and the metadata services of clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private.
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // Assignments of the IETF (RFC 6890): two of them are anycast addresses of protocols, none is a name server.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737).
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // Relays of 6to4, which are no longer (RFC 7526).
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private.
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks (RFC 2544).
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation.
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast (RFC 5771).
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved (RFC 1112), with the address of everybody.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Where the global unicast addresses of IPv6 are (RFC 4291 section 2.4 has more, but IANA has given out no others): what is
/// outside is private, of a link, mapped, multicast or not assigned.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Special networks within.
const V6: [(Ipv6Addr, u32); 4] = [
    // Assignments of the IETF (RFC 2928), with Teredo, benchmarks and identifiers that are no addresses.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 (RFC 3056), which leads to any address of IPv4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];
/// The well-known prefix of translators (RFC 6052 section 2.1): the last four octets are the address of IPv4 that it leads to.
const TRANSLATED: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether a name server of the public may be at an address.
pub(super) fn is_public(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_public_v4(addr),
        IpAddr::V6(addr) if is_in_v6(addr, TRANSLATED) => {
            let [.., a, b, c, d] = addr.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(addr) => is_in_v6(addr, GLOBAL_V6) && !V6.iter().any(|net| is_in_v6(addr, *net)),
    }
}

/// The same for IPv4.
fn is_public_v4(addr: Ipv4Addr) -> bool {
    let is_in = |(net, len): (Ipv4Addr, u32)| (addr.to_bits() ^ net.to_bits()).leading_zeros() >= len;
    !V4.iter().any(|net| is_in(*net))
}

/// Whether an address is in a network.
fn is_in_v6(addr: Ipv6Addr, (net, len): (Ipv6Addr, u32)) -> bool {
    (addr.to_bits() ^ net.to_bits()).leading_zeros() >= len
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the addresses of a text are public, all or none of them.
    fn check(addrs: &str, expected: bool) {
        for addr in addrs.split_whitespace() {
            assert_eq!(is_public(addr.parse().unwrap()), expected, "{addr}");
        }
    }

    #[test]
    fn rfc_6890_special_addresses_are_not_public() {
        check("0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.9", false);
        check("169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.9 192.0.2.1 192.88.99.1 192.168.255.255", false);
        check("198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1", false);
        check("255.255.255.255", false);
        check(":: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 100::1 fc00::1 fdff::1", false);
        check("fe80::1 febf::1 fec0::1 ff02::1 2001::1 2001:1ff::1 2001:db8::1 2002:7f00:1::1 3fff::1 5f00::1", false);
        check("64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8 4000::1", false);
    }

    #[test]
    fn the_neighbours_of_special_addresses_and_name_servers_of_the_world_are_public() {
        check("1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0", true);
        check("169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0", true);
        check("192.88.98.0 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.0", true);
        check("203.0.112.0 203.0.114.0 223.255.255.255 198.41.0.4 192.5.6.30 192.175.48.6", true);
        check("2001:500:a8::e 2001:503:ba3e::2:30 2001:200::1 2001:db7::1 2001:db9::1 2003::1 2620:4f:8000::6", true);
        check("2a01:4f8::1 3ffe:ffff::1 64:ff9b::192.5.6.30", true);
    }
}
