//! Socket addresses and packet-info control data as bytes of a slot.
//!
//! It makes no system calls. Replies go back with the address bytes that the query came with, so only the client's IP is
//! decoded. Packet info: RFC 3542 section 6 for IPv6, ip(7) for IPv4.

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client's IP address in the bytes of a `sockaddr_in` or `sockaddr_in6`.
pub(super) fn client(name: &[u8]) -> Option<IpAddr> {
    let family = i32::from(u16::from_ne_bytes(*name.first_chunk()?));
    match family {
        libc::AF_INET => {
            Some(Ipv4Addr::from(*name.get(offset_of!(libc::sockaddr_in, sin_addr)..)?.first_chunk::<4>()?).into())
        }
        libc::AF_INET6 => {
            Some(Ipv6Addr::from(*name.get(offset_of!(libc::sockaddr_in6, sin6_addr)..)?.first_chunk::<16>()?).into())
        }
        _ => None,
    }
}

/// How many bytes of address a reply needs: that of the family.
pub(super) fn name_len(client: IpAddr) -> usize {
    if client.is_ipv4() { size_of::<libc::sockaddr_in>() } else { size_of::<libc::sockaddr_in6>() }
}

/// Turns received packet info into that of a reply which leaves from the address that was asked.
///
/// Returns how many bytes of `control` to send: 0 if it is no packet info or if the address cannot be a source.
pub(super) fn turn_around(control: &mut [u8]) -> usize {
    let data_off = size_of::<libc::cmsghdr>();
    let Some((head, data)) = control.split_at_mut_checked(data_off) else { return 0 };
    let field = |off: usize| head.get(off..).and_then(|bytes| bytes.first_chunk()).map(|b| i32::from_ne_bytes(*b));
    let level = field(offset_of!(libc::cmsghdr, cmsg_level));
    let kind = field(offset_of!(libc::cmsghdr, cmsg_type));
    // Both structures are laid out by the kernel's ABI: in_pktinfo is {ifindex, spec_dst, addr}, in6_pktinfo is
    // {addr, ifindex}.
    let data_len = if (level, kind) == (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) {
        let Some(ifindex) = data.first_chunk_mut::<4>() else { return 0 };
        // The route decides about the interface; only the source address is ours to choose.
        *ifindex = [0; 4];
        size_of::<libc::in_pktinfo>()
    } else if (level, kind) == (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) {
        let Some(asked) = data.first_chunk::<16>() else { return 0 };
        let asked = Ipv6Addr::from(*asked);
        if asked.is_multicast() {
            return 0;
        }
        // A link-local address means nothing without its interface.
        if !asked.is_unicast_link_local() {
            let Some(ifindex) = data.get_mut(16..20) else { return 0 };
            ifindex.fill(0);
        }
        size_of::<libc::in6_pktinfo>()
    } else {
        return 0;
    };
    let align = size_of::<usize>();
    let total = data_off + data_len.div_ceil(align) * align;
    if total <= control.len() { total } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_other_families_and_short_ones_are_no_client() {
        assert_eq!(client(&[]), None);
        assert_eq!(client(&libc::AF_UNIX.to_ne_bytes()), None);
        let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
        assert_eq!(client(&[family[0], family[1], 0, 53, 192, 0]), None);
        let mut v4 = [0; 16];
        v4[..2].copy_from_slice(&family);
        v4[4..8].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(client(&v4), Some(IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn control_data_that_is_no_packet_info_is_not_sent() {
        assert_eq!(turn_around(&mut []), 0);
        assert_eq!(turn_around(&mut [0; 64]), 0);
        assert_eq!(turn_around(&mut [0xff; 64]), 0);
    }
}
