//! What the filter takes and what it leaves alone, by frames on a wire.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::lab::{self, End, Lab, PATIENCE, SERVER, WIRE, ask, at, query, run};
use crate::{published, start};

/// Asks `count` times and returns how many of the queries came to the kernel's sockets. Every reply must be right.
fn by_kernel(lab: &Lab, server: SocketAddr, message: &[u8], count: u64) -> u64 {
    let socket = lab.client(server);
    let before = lab.kernel_datagrams();
    for _ in 0..count {
        let reply = ask(&socket, message, PATIENCE).expect("an answer");
        assert_eq!((reply[2] & 0x80, reply[3] & 0xf, reply[7]), (0x80, 0, 1), "{reply:?}");
    }
    lab.kernel_datagrams() - before
}

/// OPT with a payload of up to 4,096 bytes, filled up by PADDING of `len` bytes.
fn padded(len: u16) -> Vec<u8> {
    let (whole, len) = ((len + 4).to_be_bytes(), len.to_be_bytes());
    let mut opt = [&[0, 0, 41, 16, 0, 0, 0, 0, 0][..], &whole, &[0, 12], &len].concat();
    opt.resize(opt.len() + usize::from(u16::from_be_bytes(len)), 0);
    opt
}

#[test]
fn queries_are_taken_and_what_is_none_is_not() {
    for (listen, addr) in [(SERVER[0], SERVER[0]), (SERVER[1], SERVER[1]), ("0.0.0.0", SERVER[0]), ("::", SERVER[1])] {
        let (lab, dir) = (Lab::new(2), published(""));
        let other = lab.inside(End::Server, || UdpSocket::bind(at(addr, 0)).unwrap());
        other.set_read_timeout(Some(PATIENCE)).unwrap();
        let server = start(&lab, dir.path(), &at(listen, 0).to_string(), &["--engine", "xdp"]);
        let port = server.addr.port();
        let www = query(7, "www.example.test", &[]);
        assert_eq!(by_kernel(&lab, at(addr, port), &www, 50), 0, "{listen}");
        // 1,500 bytes go over the wire at once, more come as fragments; the kernel puts these together and its socket answers.
        assert_eq!(by_kernel(&lab, at(addr, port), &query(8, "www.example.test", &padded(1300)), 3), 0, "{listen}");
        assert_eq!(by_kernel(&lab, at(addr, port), &query(8, "www.example.test", &padded(2000)), 3), 3, "{listen}");
        // Another port is another program's.
        let client = lab.client(other.local_addr().unwrap());
        client.send(&www).unwrap();
        assert_eq!(other.recv(&mut [0; 512]).unwrap(), www.len());
        // TCP beside it.
        let mut stream = lab.inside(End::Client, || TcpStream::connect(at(addr, port)).unwrap());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[&u16::try_from(www.len()).unwrap().to_be_bytes()[..], &www].concat()).unwrap();
        let mut reply = [0; 14];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!((&reply[2..4], reply[4] & 0x80), (&www[..2], 0x80));
        // From the host itself it comes over loopback.
        let near = lab.inside(End::Server, || UdpSocket::bind(at(addr, 0)).unwrap());
        near.connect(at(addr, port)).unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(ask(&near, &www, PATIENCE).is_some());
    }
}

#[test]
fn what_is_on_its_way_to_others_is_left_alone() {
    let (lab, dir) = (Lab::new(2), published(""));
    let server = start(&lab, dir.path(), &at("0.0.0.0", 5300).to_string(), &["--engine", "xdp"]);
    // An address that the host has elsewhere, where a name server of somebody else listens: ours has the wildcard.
    lab.ip(End::Server, "addr add 10.99.0.1/32 dev lo");
    let theirs = lab.inside(End::Server, || UdpSocket::bind("10.99.0.1:53").unwrap());
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    lab.ip(End::Client, "route add 10.99.0.0/24 via 10.77.0.1");
    let www = query(7, "www.example.test", &[]);
    lab.client(at("10.99.0.1", 53)).send(&www).unwrap();
    assert_eq!(theirs.recv(&mut [0; 512]).unwrap(), www.len());
    // And a host behind us, for which we only forward.
    let behind = format!("{}-b", lab.name(End::Server));
    run(&format!("ip netns add {behind}"));
    let removed = Removed(behind);
    lab.ip(End::Server, &format!("link add back type veth peer name front netns {}", removed.0));
    lab.ip(End::Server, "addr add 10.88.0.1/24 dev back");
    lab.ip(End::Server, "link set back up");
    for arguments in ["addr add 10.88.0.2/24 dev front", "link set front up", "route add default via 10.88.0.1"] {
        run(&format!("ip -n {} {arguments}", removed.0));
    }
    lab.inside(End::Server, || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    lab.ip(End::Client, "route add 10.88.0.0/24 via 10.77.0.1");
    let path = format!("/run/netns/{}", removed.0);
    let far = std::thread::spawn(move || {
        nix::sched::setns(std::fs::File::open(path).unwrap(), nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        UdpSocket::bind("10.88.0.2:5300").unwrap()
    });
    let far = far.join().unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    lab.client(at("10.88.0.2", 5300)).send(&www).unwrap();
    assert_eq!(far.recv(&mut [0; 512]).unwrap(), www.len());
    // Ours is answered all the same.
    assert_eq!(by_kernel(&lab, at(SERVER[0], server.addr.port()), &www, 3), 0);
}

/// A namespace that goes with this value.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        std::process::Command::new("ip").args(["netns", "del", &self.0]).output().ok();
    }
}

/// The address on the link of this end's interface, with its MAC address; asked for in its namespace.
fn link(wire: &str) -> LinkAddr {
    let own = getifaddrs().unwrap().filter(|entry| entry.interface_name == wire);
    *own.filter_map(|entry| entry.address).find_map(|addr| addr.as_link_addr().copied()).as_ref().unwrap()
}

/// An Ethernet frame in VLAN 7 with a query from port 41,000 of the client to port `port` of the server.
fn tagged(macs: [[u8; 6]; 2], addr: &str, port: u16, message: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + message.len()).unwrap();
    // Not the checksum that it should be, as from a host that leaves it to its network card.
    let mut udp = [41_000_u16, port, udp_len, 0x1234].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    udp.extend(message);
    let (kind, header) = match addr.parse().unwrap() {
        IpAddr::V4(server) => {
            let mut header =
                [&[0x45, 0][..], &(udp_len + 20).to_be_bytes(), &[0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2]].concat();
            header.extend(server.octets());
            let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let check = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            header[10..12].copy_from_slice(&check.to_be_bytes());
            ([8, 0], header)
        }
        IpAddr::V6(server) => {
            let client: Ipv6Addr = "fd77::2".parse().unwrap();
            let fixed = [&[0x60, 0, 0, 0][..], &udp_len.to_be_bytes(), &[17, 64]].concat();
            ([0x86, 0xdd], [&fixed[..], &client.octets(), &server.octets()].concat())
        }
    };
    [&macs[0][..], &macs[1], &[0x81, 0, 0, 7], &kind, &header, &udp].concat()
}

#[test]
fn a_query_in_a_vlan_is_answered_in_it() {
    for addr in SERVER {
        let (lab, dir) = (Lab::new(2), published(""));
        let server = start(&lab, dir.path(), &at(addr, 0).to_string(), &["--engine", "xdp"]);
        let macs = [lab.inside(End::Server, || link(WIRE[0])), lab.inside(End::Client, || link(WIRE[1]))];
        let own = if server.addr.is_ipv4() { "10.77.0.2" } else { "fd77::2" };
        let plain = lab.inside(End::Client, || UdpSocket::bind(at(own, 41_000)).unwrap());
        let wire = lab.inside(End::Client, || {
            let wire = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll).unwrap();
            bind(wire.as_raw_fd(), &macs[1]).unwrap();
            set_socket_timeout(&wire, Timeout::Recv, Some(PATIENCE)).unwrap();
            wire
        });
        let before = lab.kernel_datagrams();
        let message = query(0x7007, "www.example.test", &[]);
        let frame = tagged(macs.map(|link| link.addr().unwrap()), addr, server.addr.port(), &message);
        rustix::io::write(&wire, &frame).unwrap();
        // The kernel takes the tag off before it shows a frame.
        let headers = if server.addr.is_ipv4() { 14 + 28 } else { 14 + 48 };
        let (mut buf, mut len) = ([0; 2048], 0);
        while len < headers + 12 || buf[headers..headers + 3] != [0x70, 0x07, 0x84] {
            len = rustix::io::read(&wire, &mut buf).expect("the reply");
        }
        assert_eq!(lab.kernel_datagrams(), before, "it came to the kernel");
        // A reply without tag would have come to the client's own socket on that port.
        plain.connect(server.addr).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.send(&query(0x1111, "www.example.test", &[])).unwrap();
        let len = plain.recv(&mut buf).unwrap();
        assert!(len > 12 && buf[..2] == [0x11, 0x11], "the reply had no tag");
    }
}

#[test]
fn replies_are_cut_to_what_the_wire_takes() {
    let (lab, dir) = (Lab::new(2), published("[answer]\nudp_len_max = 4096\n"));
    for (family, addr) in [(28, SERVER[0]), (48, SERVER[1])] {
        lab.ip(End::Server, &format!("link set {} mtu 1500", WIRE[0]));
        let server = start(&lab, dir.path(), &at(addr, 0).to_string(), &["--engine", "xdp"]);
        let socket = lab.client(server.addr);
        let mut wide = query(9, "wide.example.test", &padded(0));
        let qtype = wide.len() - padded(0).len() - 3;
        wide[qtype] = 16;
        for mtu in [1500, 1300] {
            lab.ip(End::Server, &format!("link set {} mtu {mtu}", WIRE[0]));
            let fits = |reply: &[u8]| reply.len() <= mtu - family && reply[2] & 2 != 0;
            // The MTU is looked up when the kernel says that it has changed.
            lab::until("the reply is cut", || fits(&ask(&socket, &wide, PATIENCE).expect("an answer")));
        }
    }
}

#[test]
fn a_driver_that_cannot_is_helped_by_the_kernel() {
    let (lab, dir) = (Lab::new(2), published(""));
    // Frames of this length do not fit what the driver of the wire gives to filters.
    lab.ip(End::Client, &format!("link set {} mtu 9000", WIRE[1]));
    lab.ip(End::Server, &format!("link set {} mtu 9000", WIRE[0]));
    let server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    assert!(server.log().contains("behind the driver, which cannot"), "{}", server.log());
    assert_eq!(by_kernel(&lab, server.addr, &query(7, "www.example.test", &[]), 20), 0);
    // Longer than a chunk, and not in fragments: passed to the kernel.
    assert_eq!(by_kernel(&lab, server.addr, &query(7, "www.example.test", &padded(3000)), 3), 3);
}
