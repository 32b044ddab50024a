//! Ethernet frames of queries, and their replies in the same place.
//!
//! It makes no system calls and trusts nothing: the filter has looked at the frame, but this is where lengths are
//! believed or not. The UDP checksum of a query is not verified: frames from the same host carry half of one, which the
//! hardware was to complete. RFC 791, RFC 8200, RFC 768; IEEE 802.1Q.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of an Ethernet header without tag.
const ETHERNET_LEN: usize = 14;
/// Octets of an IPv4 header without options.
const V4_LEN: usize = 20;
/// Octets of an IPv6 header.
const V6_LEN: usize = 40;
/// Octets of a UDP header.
const UDP_LEN: usize = 8;
/// Protocol number of UDP.
const UDP: u8 = 17;
/// The shortest Ethernet frame, without its checksum.
const FRAME_LEN_MIN: usize = 60;
/// TTL and hop limit of replies.
const HOPS: u8 = 64;
/// DF: a reply that does not fit a link on the way is not to be put together from pieces (RFC 9715 section 3.1).
const DONT_FRAGMENT: u16 = 0x4000;

/// Where what lies in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the IP header begins.
    ip_off: usize,
    /// Where the payload begins.
    pub(super) payload_off: usize,
    /// Bytes of the payload.
    pub(super) payload_len: usize,
    /// Who asks.
    pub(super) client: IpAddr,
}

/// A big-endian number of 16 bits at `off`.
fn number(bytes: &[u8], off: usize) -> Option<u16> {
    bytes.get(off..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Octets at `off`.
fn octets<const N: usize>(bytes: &[u8], off: usize) -> Option<[u8; N]> {
    bytes.get(off..)?.first_chunk().copied()
}

/// Reads a frame; `None` if it is none that a host would take for a datagram to it, or that has nobody to reply to.
pub(super) fn parse(frame: &[u8]) -> Option<Layout> {
    let tagged = number(frame, 12)? == 0x8100;
    let ip_off = if tagged { ETHERNET_LEN + 4 } else { ETHERNET_LEN };
    let packet = frame.get(ip_off..)?;
    let (client, server, header_len, datagram_len) = match number(frame, ip_off - 2)? {
        0x0800 => v4(packet)?,
        0x86dd => v6(packet)?,
        _ => return None,
    };
    let udp_len = usize::from(number(packet, header_len + 4)?);
    if udp_len < UDP_LEN || udp_len > datagram_len || number(packet, header_len)? == 0 || !answerable(client, server) {
        return None;
    }
    let payload_off = ip_off + header_len + UDP_LEN;
    Some(Layout { ip_off, payload_off, payload_len: udp_len - UDP_LEN, client })
}

/// Source, destination, header length and the bytes behind it, of an IPv4 packet.
fn v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize, usize)> {
    let header = packet.get(..V4_LEN)?;
    let total_len = usize::from(number(header, 2)?);
    let plain = header[0] == 0x45 && number(header, 6)? & 0x3fff == 0 && header[9] == UDP;
    if !plain || total_len > packet.len() || checksum(sum(header)) != 0 {
        return None;
    }
    let (client, server) = (Ipv4Addr::from(octets(header, 12)?), Ipv4Addr::from(octets(header, 16)?));
    Some((client.into(), server.into(), V4_LEN, total_len.checked_sub(V4_LEN)?))
}

/// The same of an IPv6 packet, whose UDP checksum must be there (RFC 8200 section 8.1).
fn v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize, usize)> {
    let datagram_len = usize::from(number(packet, 4)?);
    let plain = packet[0] >> 4 == 6 && *packet.get(6)? == UDP;
    if !plain || V6_LEN + datagram_len > packet.len() || number(packet, V6_LEN + 6)? == 0 {
        return None;
    }
    let (client, server) = (Ipv6Addr::from(octets(packet, 8)?), Ipv6Addr::from(octets(packet, 24)?));
    Some((client.into(), server.into(), V6_LEN, datagram_len))
}

/// Whether a reply to `client` can be meant: the kernel, too, drops what claims to come from nobody, many or ourselves.
fn answerable(client: IpAddr, server: IpAddr) -> bool {
    let nobody = client.is_unspecified() || client.is_multicast() || client.is_loopback();
    let many = matches!(client, IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240);
    !nobody && !many && client != server
}

impl Layout {
    /// Bytes of payload that a reply may have on a link of `mtu` bytes, in a chunk that holds `room` bytes from the first
    /// of the frame on; never less than the query.
    pub(super) fn reply_len_max(&self, mtu: usize, room: usize) -> usize {
        let overhead = self.payload_off - self.ip_off;
        mtu.saturating_sub(overhead).min(room.saturating_sub(self.payload_off)).max(self.payload_len)
    }
}

/// Turns the frame of a query, whose payload is already the reply of `reply_len` bytes, into the frame of the reply.
/// `chunk` is all memory from the first byte of the frame on; returns how many bytes to send, `None` if they do not fit.
pub(super) fn reply(chunk: &mut [u8], layout: &Layout, reply_len: usize) -> Option<usize> {
    let end = layout.payload_off + reply_len;
    let frame_len = end.max(FRAME_LEN_MIN);
    let frame = chunk.get_mut(..frame_len)?;
    // What fills a short frame up must not be what lay in the chunk before.
    frame[end..].fill(0);
    let (to, rest) = frame.split_at_mut(6);
    to.swap_with_slice(&mut rest[..6]);
    let (header, datagram) = frame[layout.ip_off..end].split_at_mut(layout.payload_off - UDP_LEN - layout.ip_off);
    let udp_len = u16::try_from(UDP_LEN + reply_len).ok()?;
    let addresses = match layout.client {
        IpAddr::V4(_) => turn_v4(header.first_chunk_mut()?, udp_len),
        IpAddr::V6(_) => turn_v6(header, udp_len),
    };
    let (header, payload) = datagram.split_first_chunk_mut::<UDP_LEN>()?;
    let [from_1, from_2, to_1, to_2, ..] = *header;
    let udp_len = udp_len.to_be_bytes();
    let ports: u64 = [[from_1, from_2], [to_1, to_2]].map(|port| u64::from(u16::from_ne_bytes(port))).iter().sum();
    let lens = 2 * u64::from(u16::from_ne_bytes(udp_len));
    let check = match checksum(addresses + u64::from(u16::from(UDP).to_be()) + lens + ports + sum(payload)) {
        // Zero would say that there is none (RFC 768).
        0 => 0xffff,
        check => check,
    };
    let [check_1, check_2] = check.to_ne_bytes();
    *header = [to_1, to_2, from_1, from_2, udp_len[0], udp_len[1], check_1, check_2];
    Some(frame_len)
}

/// Makes the header of a query that of a reply with `datagram_len` bytes behind it; returns the sum of the addresses. Nothing is
/// read that was written just now: the processor would wait for it.
fn turn_v4(header: &mut [u8; V4_LEN], datagram_len: u16) -> u64 {
    let [.., c1, c2, c3, c4, s1, s2, s3, s4] = *header;
    let (client, server) = (u32::from_ne_bytes([c1, c2, c3, c4]), u32::from_ne_bytes([s1, s2, s3, s4]));
    let addresses = u64::from(client) + u64::from(server);
    // TOS 0, identification 0: what is never fragmented needs none (RFC 6864 section 4.1).
    let first = 0x4500_0000 | u32::from(datagram_len.saturating_add(20));
    let ours = [first, u32::from(DONT_FRAGMENT), u32::from_be_bytes([HOPS, UDP, 0, 0])].map(u32::to_be);
    let check = checksum(ours.iter().map(|word| u64::from(*word)).sum::<u64>() + addresses).to_ne_bytes();
    let third = u32::from_ne_bytes([HOPS, UDP, check[0], check[1]]);
    let words = [ours[0], ours[1], third, server, client];
    header.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_ne_bytes());
    addresses
}

/// The same for IPv6.
fn turn_v6(header: &mut [u8], datagram_len: u16) -> u64 {
    let addresses = sum(&header[8..]);
    header[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    header[4..6].copy_from_slice(&datagram_len.to_be_bytes());
    header[7] = HOPS;
    let (client, server) = header[8..].split_at_mut(16);
    client.swap_with_slice(&mut server[..16]);
    addresses
}

/// Sum of the 32-bit words of `bytes` in the host's byte order, which a checksum may be taken in (RFC 1071 section 2);
/// bytes that are missing at the end count as zero. Less than 2^32 words cannot overflow it.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>() + u64::from(u32::from_ne_bytes(last))
}

/// The complement of the one's complement sum, in the host's byte order.
fn checksum(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests;
