//! Socket addresses and control data as the kernel writes and reads them.
//!
//! It makes no system calls. Replies go back with the address bytes that the query came with, so only the client's IP is
//! decoded. Packet info: RFC 3542 section 6 for IPv6, ip(7) for IPv4.

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::buffers::CONTROL_LEN;

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

/// What control data of a receive says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Control<'c> {
    /// The control message with packet info, padding included.
    packet_info: Option<&'c [u8]>,
    /// The length of each of the datagrams that came merged, but for the last.
    pub(super) merged_len: Option<usize>,
}

/// Bytes of a control message before its data.
const DATA_OFF: usize = size_of::<libc::cmsghdr>();
/// What control messages are aligned to.
const ALIGN: usize = size_of::<usize>();

/// Reads control data.
pub(super) fn control(mut bytes: &[u8]) -> Control<'_> {
    let mut control = Control::default();
    // Each round takes at least a header off.
    while let Some(head) = bytes.first_chunk::<DATA_OFF>() {
        let len = head.first_chunk().map_or(0, |len| usize::from_ne_bytes(*len));
        let Some(data) = bytes.get(DATA_OFF..len) else { break };
        let end = len.next_multiple_of(ALIGN).min(bytes.len());
        match (field(head, offset_of!(libc::cmsghdr, cmsg_level)), field(head, offset_of!(libc::cmsghdr, cmsg_type))) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) | (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                control.packet_info = Some(&bytes[..end]);
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                control.merged_len = data
                    .first_chunk()
                    .and_then(|len| usize::try_from(i32::from_ne_bytes(*len)).ok())
                    .filter(|len| *len > 0);
            }
            _ => {}
        }
        bytes = &bytes[end..];
    }
    control
}

/// A field of a control message's header.
fn field(head: &[u8], off: usize) -> i32 {
    head.get(off..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

impl Control<'_> {
    /// Writes packet info for a reply that leaves from the address that was asked; returns how many bytes to send: 0
    /// if nothing is known of it, or if that address cannot be a source.
    pub(super) fn turn_around(&self, control: &mut [u8; CONTROL_LEN]) -> usize {
        let Some((info, room)) = self.packet_info.and_then(|info| Some((info, control.get_mut(..info.len())?))) else {
            return 0;
        };
        room.copy_from_slice(info);
        let Some((head, data)) = room.split_at_mut_checked(DATA_OFF) else { return 0 };
        // Both structures are laid out by the kernel's ABI: in_pktinfo is {ifindex, spec_dst, addr}, in6_pktinfo is
        // {addr, ifindex}.
        if field(head, offset_of!(libc::cmsghdr, cmsg_level)) == libc::IPPROTO_IP {
            // The route decides about the interface; only the source address is ours to choose.
            let Some(ifindex) = data.first_chunk_mut::<4>() else { return 0 };
            *ifindex = [0; 4];
        } else {
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
        }
        info.len()
    }
}

/// Bytes of the control message that says how long merged datagrams are.
pub(super) const MERGE_LEN: usize = DATA_OFF + ALIGN;

/// Writes that control message.
pub(super) fn put_merged_len(control: &mut [u8; MERGE_LEN], datagram_len: u16) {
    control.fill(0);
    let mut put = |off: usize, bytes: &[u8]| control[off..off + bytes.len()].copy_from_slice(bytes);
    put(0, &(DATA_OFF + size_of::<u16>()).to_ne_bytes());
    put(offset_of!(libc::cmsghdr, cmsg_level), &libc::SOL_UDP.to_ne_bytes());
    put(offset_of!(libc::cmsghdr, cmsg_type), &libc::UDP_SEGMENT.to_ne_bytes());
    put(DATA_OFF, &datagram_len.to_ne_bytes());
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
    fn control_data_that_says_nothing_we_know_is_not_sent() {
        for bytes in [&[][..], &[0; 64], &[0xff; 64], &[16; 15], &[16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]] {
            let control = control(bytes);
            assert_eq!((control, control.turn_around(&mut [0; CONTROL_LEN])), (Control::default(), 0), "{bytes:?}");
        }
    }

    #[test]
    fn packet_info_and_the_length_of_merged_datagrams_are_read_in_either_order() {
        let message = |level: i32, kind: i32, data: &[u8]| {
            let mut bytes = (DATA_OFF + data.len()).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&level.to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
            bytes
        };
        let info = message(libc::IPPROTO_IP, libc::IP_PKTINFO, &[7, 0, 0, 0, 127, 0, 0, 2, 127, 0, 0, 2]);
        let merged = message(libc::SOL_UDP, libc::UDP_GRO, &45_i32.to_ne_bytes());
        for bytes in [[&info[..], &merged].concat(), [&merged[..], &info].concat()] {
            let control = control(&bytes);
            assert_eq!(control.merged_len, Some(45));
            let mut reply = [0; CONTROL_LEN];
            assert_eq!(control.turn_around(&mut reply), info.len());
            assert_eq!(reply[DATA_OFF..DATA_OFF + 8], [0, 0, 0, 0, 127, 0, 0, 2]);
        }
        let useless = message(libc::SOL_UDP, libc::UDP_GRO, &0_i32.to_ne_bytes());
        assert_eq!(control(&useless).merged_len, None);
    }
}
