//! The filter against its text, and its verdict on frames of every shape, by the kernel's own test runs.
//!
//! Loading needs CAP_BPF and CAP_NET_ADMIN: without them these tests fail and say so.

use super::assembler::assemble;
use super::*;

/// `XDP_PASS`.
const PASS: u32 = 2;
/// `XDP_REDIRECT`, which the edited filter returns in place of the redirection.
const REDIRECT: u32 = 4;
/// Call of `bpf_redirect_map`.
const CALL_REDIRECT: u64 = 51 << 32 | 0x85;
/// `r0 = 4`.
const RETURN_REDIRECT: u64 = 4 << 32 | 0xb7;
/// Our MAC address.
const OURS: Mac = [2, 0, 0, 0, 0, 1];

#[test]
fn the_instructions_are_those_of_the_text() {
    let text: String =
        assemble(include_str!("filter.asm")).iter().map(|instruction| format!("{instruction:016x}\n")).collect();
    assert!(text == INSTRUCTIONS, "filter.hex must be:\n{text}");
}

/// A filter whose redirections can be seen without a socket, which knows one address of each family.
fn program() -> Program {
    let loaded = Program::load_as(|instructions| {
        for instruction in instructions.iter_mut().filter(|instruction| **instruction == CALL_REDIRECT) {
            *instruction = RETURN_REDIRECT;
        }
    });
    let mut program = loaded.expect("loading a filter needs root, or CAP_BPF and CAP_NET_ADMIN");
    let ours = ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:5300"].map(|addr| addr.parse().unwrap());
    program.know(&ours, OURS).unwrap();
    program
}

/// An Ethernet frame to `to` with `tags`, a type and what follows.
fn ethernet(to: Mac, tags: &[u16], kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &[2, 0, 0, 0, 0, 2]].concat();
    for tag in tags {
        frame.extend([*tag, 7].iter().flat_map(|half| half.to_be_bytes()));
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(rest);
    frame
}

/// An IPv4 packet: first octet, flags and offset, protocol, destination, and 8 octets of UDP to `port` with a payload.
fn v4(first: u8, fragment: u16, protocol: u8, to: [u8; 4], port: u16) -> Vec<u8> {
    let mut packet = vec![first, 0, 0, 48, 0, 0];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 192, 0, 2, 1]);
    packet.extend(to);
    packet.resize(usize::from(first & 0xf) * 4, 0);
    packet.extend([200, 0]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 28, 0, 0]);
    packet.resize(packet.len() + 20, 0);
    packet
}

/// An IPv6 packet with `next` as its next header, to 2001:db8::`last`.
fn v6(next: u8, last: u8, port: u16) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 28, next, 64];
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    packet.extend([200, 0]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 28, 0, 0]);
    packet.resize(packet.len() + 20, 0);
    packet
}

/// Runs `program` over `frame`.
fn verdict(program: &Program, frame: &[u8]) -> u32 {
    bpf::test_run(program.fd.as_fd(), frame).unwrap()
}

#[test]
fn queries_to_our_addresses_are_taken_and_all_else_passes() {
    let program = program();
    let (server, asked) = ([192, 0, 2, 53], v4(0x45, 0, 17, [192, 0, 2, 53], 53));
    let asked6 = v6(17, 0x53, 53);
    let long = |len: usize| {
        let mut frame = ethernet(OURS, &[], 0x0800, &asked);
        frame.resize(len, 0);
        frame
    };
    let cases: [(&str, Vec<u8>, u32); 29] = [
        ("IPv4", ethernet(OURS, &[], 0x0800, &asked), REDIRECT),
        ("IPv4 with DF", ethernet(OURS, &[], 0x0800, &v4(0x45, 0x4000, 17, server, 53)), REDIRECT),
        ("IPv4 in a VLAN", ethernet(OURS, &[0x8100], 0x0800, &asked), REDIRECT),
        ("IPv6", ethernet(OURS, &[], 0x86dd, &asked6), REDIRECT),
        ("IPv6 in a VLAN", ethernet(OURS, &[0x8100], 0x86dd, &asked6), REDIRECT),
        ("the other port", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, [192, 0, 2, 54], 5300)), REDIRECT),
        ("a port of another address", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, server, 5300)), PASS),
        ("another port", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, server, 54)), PASS),
        ("another port, IPv6", ethernet(OURS, &[], 0x86dd, &v6(17, 0x53, 54)), PASS),
        ("transit", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, [192, 0, 2, 99], 53)), PASS),
        ("transit, IPv6", ethernet(OURS, &[], 0x86dd, &v6(17, 0x99, 53)), PASS),
        ("another station", ethernet([2, 0, 0, 0, 0, 9], &[], 0x0800, &asked), PASS),
        ("broadcast", ethernet([0xff; 6], &[], 0x0800, &asked), PASS),
        ("a first fragment", ethernet(OURS, &[], 0x0800, &v4(0x45, 0x2000, 17, server, 53)), PASS),
        ("a later fragment", ethernet(OURS, &[], 0x0800, &v4(0x45, 185, 17, server, 53)), PASS),
        ("a last fragment in a VLAN", ethernet(OURS, &[0x8100], 0x0800, &v4(0x45, 185, 17, server, 53)), PASS),
        ("IP options", ethernet(OURS, &[], 0x0800, &v4(0x46, 0, 17, server, 53)), PASS),
        ("TCP", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 6, server, 53)), PASS),
        ("TCP, IPv6", ethernet(OURS, &[], 0x86dd, &v6(6, 0x53, 53)), PASS),
        ("ICMP", ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 1, server, 53)), PASS),
        ("IPv6 fragment", ethernet(OURS, &[], 0x86dd, &v6(44, 0x53, 53)), PASS),
        ("IPv6 destination options", ethernet(OURS, &[], 0x86dd, &v6(60, 0x53, 53)), PASS),
        ("ARP", ethernet(OURS, &[], 0x0806, &asked), PASS),
        ("two tags", ethernet(OURS, &[0x88a8, 0x8100], 0x0800, &asked), PASS),
        ("two tags of one kind", ethernet(OURS, &[0x8100, 0x8100], 0x0800, &asked), PASS),
        ("cut in UDP", ethernet(OURS, &[], 0x0800, &asked[..27]), PASS),
        ("a header and no more", ethernet(OURS, &[], 0x86dd, &[]), PASS),
        ("the longest", long(1792), REDIRECT),
        ("longer than a chunk", long(1793), PASS),
    ];
    for (name, frame, expected) in cases {
        assert_eq!(verdict(&program, &frame), expected, "{name}");
    }
    for len in 14..asked6.len() + 14 {
        let frame = &ethernet(OURS, &[], 0x86dd, &asked6)[..len];
        assert_eq!(verdict(&program, frame) == REDIRECT, len >= 14 + 48, "IPv6 cut to {len}");
    }
}

#[test]
fn addresses_come_and_go_and_the_mac_address_changes() {
    let mut program = program();
    let first = ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, [192, 0, 2, 53], 53));
    let second = ethernet([2, 0, 0, 0, 0, 7], &[], 0x86dd, &v6(17, 0x77, 53));
    assert_eq!((verdict(&program, &first), verdict(&program, &second)), (REDIRECT, PASS));
    program.know(&["[2001:db8::77]:53".parse().unwrap()], [2, 0, 0, 0, 0, 7]).unwrap();
    assert_eq!((verdict(&program, &first), verdict(&program, &second)), (PASS, REDIRECT));
    program.know(&[], OURS).unwrap();
    assert_eq!((verdict(&program, &first), verdict(&program, &second)), (PASS, PASS));
}

#[test]
fn without_a_socket_everything_passes() {
    let mut program = Program::load().expect("loading a filter needs root, or CAP_BPF and CAP_NET_ADMIN");
    program.know(&["192.0.2.53:53".parse().unwrap()], OURS).unwrap();
    let frame = ethernet(OURS, &[], 0x0800, &v4(0x45, 0, 17, [192, 0, 2, 53], 53));
    assert_eq!(verdict(&program, &frame), PASS);
}
