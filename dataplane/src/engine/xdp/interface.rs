//! Facts about a network interface, from getifaddrs(3), netdevice(7) and ethtool's ioctl.
//!
//! It changes nothing. sysfs would be easier to read, but shows the network namespace that it was mounted in, which need
//! not be ours.

#![expect(unsafe_code, reason = "the ioctls of network interfaces take raw structures")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::program::Mac;

/// `SIOCGIFMTU`.
const GET_MTU: libc::c_ulong = 0x8921;
/// `SIOCETHTOOL`.
const ETHTOOL: libc::c_ulong = 0x8946;
/// `ETHTOOL_GCHANNELS`.
const GET_CHANNELS: u32 = 0x3c;

/// What an interface is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its number; another one when it was deleted and made again.
    pub(super) ifindex: u32,
    /// Its address on the link.
    pub(super) mac: Mac,
    /// Longest IP packet.
    pub(super) mtu: u32,
    /// Receive queues.
    pub(super) queue_count: u32,
}

impl Facts {
    /// The facts of interface `name`; `None` if there is none, or none with an Ethernet address.
    pub(super) fn read(name: &str) -> Option<Facts> {
        let link = own(name)?.find_map(|entry| entry.address?.as_link_addr().map(|link| (link.ifindex(), link.addr())));
        let (ifindex, mac) = link?;
        let asking = Asking::new(name).ok()?;
        Some(Facts {
            ifindex: u32::try_from(ifindex).ok()?,
            mac: mac?,
            mtu: asking.mtu().ok()?,
            // A driver that does not tell has one queue, or the others pass their frames to the kernel.
            queue_count: asking.queue_count().unwrap_or(1).max(1),
        })
    }
}

/// The argument of an ioctl about an interface: `struct ifreq`.
#[repr(C)]
struct Request {
    /// The name, with zeroes after it.
    name: [u8; 16],
    /// A number or an address, by request.
    value: [u64; 3],
}

/// Numbers of queues, as `struct ethtool_channels` has them.
#[repr(C)]
#[derive(Default)]
struct Channels {
    /// [`GET_CHANNELS`].
    command: u32,
    /// Most of each kind.
    max: [u32; 4],
    /// Those for receiving only.
    receiving: u32,
    /// For sending, for other things.
    others: [u32; 2],
    /// Those for both.
    combined: u32,
}

/// What asks about one interface.
struct Asking {
    /// Any socket.
    socket: OwnedFd,
    /// The interface.
    name: [u8; 16],
}

impl Asking {
    /// Asks about interface `name`.
    fn new(name: &str) -> io::Result<Asking> {
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let mut padded = [0; 16];
        // One byte stays zero.
        let room = padded[..15].get_mut(..name.len()).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(name.as_bytes());
        Ok(Asking { socket, name: padded })
    }

    /// The longest packet.
    fn mtu(&self) -> io::Result<u32> {
        let mut request = Request { name: self.name, value: [0; 3] };
        // SAFETY: `Request` has the size and layout of `struct ifreq`; this request writes a number into it.
        let failed = unsafe { libc::ioctl(self.socket.as_raw_fd(), GET_MTU, &raw mut request) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        let [first, second, third, fourth, ..] = request.value[0].to_ne_bytes();
        Ok(u32::from_ne_bytes([first, second, third, fourth]))
    }

    /// How many queues receive.
    fn queue_count(&self) -> io::Result<u32> {
        let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
        // The kernel writes through this address.
        let mut request = Request { name: self.name, value: [(&raw mut channels).expose_provenance() as u64, 0, 0] };
        // SAFETY: as above; the address in it is that of a `struct ethtool_channels`, which outlives the call.
        let failed = unsafe { libc::ioctl(self.socket.as_raw_fd(), ETHTOOL, &raw mut request) };
        if failed == 0 { Ok(channels.receiving + channels.combined) } else { Err(io::Error::last_os_error()) }
    }
}

/// The addresses and ports that are ours on interface `name`: of each address of `listen` itself, of a wildcard the
/// addresses of the interface. Loopback addresses never come over a wire.
pub(super) fn addresses(name: &str, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut ours = Vec::new();
    let mut own: Option<Vec<IpAddr>> = None;
    for addr in listen {
        if addr.ip().is_loopback() {
            continue;
        }
        if !addr.ip().is_unspecified() {
            ours.push(*addr);
            continue;
        }
        let own = own.get_or_insert_with(|| own_addresses(name));
        let same = own.iter().filter(|ip| ip.is_ipv4() == addr.is_ipv4());
        ours.extend(same.map(|ip| SocketAddr::new(*ip, addr.port())));
    }
    ours
}

/// The addresses of interface `name`.
fn own_addresses(name: &str) -> Vec<IpAddr> {
    let ip = own(name).into_iter().flatten().filter_map(|entry| {
        let addr = entry.address?;
        let v4 = addr.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| addr.as_sockaddr_in6().map(|v6| v6.ip().into()))
    });
    ip.collect()
}

/// All addresses, of any kind, of interface `name`.
fn own(name: &str) -> Option<impl Iterator<Item = InterfaceAddress>> {
    Some(getifaddrs().ok()?.filter(move |entry| entry.interface_name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_the_addresses_of_the_interface_and_loopback_is_none() {
        let listen = ["127.0.0.1:53", "192.0.2.1:53", "0.0.0.0:5300", "[2001:db8::1]:53"];
        let listen = listen.map(|addr| addr.parse().unwrap());
        let ours: Vec<_> = addresses("lo", &listen).iter().map(SocketAddr::to_string).collect();
        assert_eq!(ours, ["192.0.2.1:53", "127.0.0.1:5300", "[2001:db8::1]:53"]);
    }

    #[test]
    fn an_interface_that_is_not_there_has_no_facts() {
        assert_eq!(Facts::read("no-such-nic"), None);
        let loopback = Facts::read("lo").unwrap();
        assert_eq!((loopback.ifindex, loopback.mac, loopback.mtu), (1, [0; 6], 65_536));
    }
}
