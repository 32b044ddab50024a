//! The same behaviour of every engine, over loopback.
//!
//! Each check runs on every engine of [`engines`]; the kernel of the test host must have `io_uring`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{getsockopt, setsockopt};

use super::uring::{Shape, Uring};
use super::*;
use crate::packet::Outcome;

mod faults;

/// How long tests wait for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens an engine over sockets.
type Opener = fn(Vec<UdpSocket>) -> Box<dyn Engine>;

/// Every engine that reads sockets.
fn engines() -> [(&'static str, Opener); 2] {
    [
        ("socket", |sockets| {
            prepare(&sockets).unwrap();
            Box::new(socket::Socket::open(sockets).unwrap())
        }),
        ("uring", |sockets| {
            prepare(&sockets).unwrap();
            Box::new(Uring::open(sockets).unwrap())
        }),
    ]
}

/// A socket on a port of the kernel's choice.
fn bound(ip: &str) -> UdpSocket {
    UdpSocket::bind((ip.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap()
}

/// A client that does not wait for ever.
fn client(ip: &str) -> UdpSocket {
    let socket = bound(ip);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Replies with what was asked, in upper case.
fn shout(packets: &mut [Packet<'_>]) {
    assert!((1..=TURN_LEN).contains(&packets.len()));
    for packet in packets {
        assert!(packet.buf.len() >= 4096);
        packet.buf[..packet.query_len].make_ascii_uppercase();
        packet.outcome = Outcome::Reply { len: packet.query_len, rcode: 0, truncated: false };
    }
}

/// Turns until `received` datagrams were served or cut; returns the sum of the turns.
fn turn_until(engine: &mut dyn Engine, received: u32) -> Turn {
    let mut sum = Turn::default();
    let begun = std::time::Instant::now();
    while sum.received + sum.cut < received {
        assert!(begun.elapsed() < PATIENCE, "{} stalled at {sum:?}", engine.name());
        let turn = engine.turn(Duration::from_millis(50), &mut shout).unwrap();
        sum.received += turn.received;
        sum.sent += turn.sent;
        sum.cut += turn.cut;
        sum.enobufs += turn.enobufs;
        sum.cq_overflows += turn.cq_overflows;
        sum.merged += turn.merged;
        sum.send_errors += turn.send_errors;
        sum.recv_errors += turn.recv_errors;
    }
    sum
}

/// What `client` reads next, and from whom.
fn read(client: &UdpSocket) -> (String, SocketAddr) {
    let mut buf = [0; 70_000];
    let (len, from) = client.recv_from(&mut buf).unwrap();
    (String::from_utf8_lossy(&buf[..len]).into_owned(), from)
}

#[test]
fn replies_leave_from_the_socket_that_was_asked() {
    for (name, open) in engines() {
        let sockets = vec![bound("127.0.0.1"), bound("::1"), bound("127.0.0.2")];
        let servers: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let mut engine = open(sockets);
        assert_eq!(engine.name(), name);
        for server in servers {
            let client = client(if server.is_ipv4() { "127.0.0.1" } else { "::1" });
            client.send_to(b"hello", server).unwrap();
            let turn = turn_until(engine.as_mut(), 1);
            assert_eq!(turn, Turn { received: 1, sent: 1, ..Turn::default() }, "{name}");
            assert_eq!(read(&client), ("HELLO".into(), server), "{name}");
        }
    }
}

#[test]
fn a_wildcard_socket_replies_from_the_address_that_was_asked() {
    for (name, open) in engines() {
        let socket = bound("0.0.0.0");
        let port = socket.local_addr().unwrap().port();
        let mut engine = open(vec![socket]);
        for asked in [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 1)] {
            let client = client("127.0.0.1");
            client.send_to(b"x", (asked, port)).unwrap();
            turn_until(engine.as_mut(), 1);
            assert_eq!(read(&client), ("X".into(), SocketAddr::from((asked, port))), "{name}");
        }
        let socket = bound("::");
        let server: SocketAddr =
            ("::1".parse::<std::net::IpAddr>().unwrap(), socket.local_addr().unwrap().port()).into();
        let mut engine = open(vec![socket]);
        let client = client("::1");
        client.send_to(b"x", server).unwrap();
        turn_until(engine.as_mut(), 1);
        assert_eq!(read(&client), ("X".into(), server), "{name}");
    }
}

#[test]
fn long_datagrams_are_cut_counted_and_not_served() {
    for (name, open) in engines() {
        let socket = bound("127.0.0.1");
        let server = socket.local_addr().unwrap();
        let mut engine = open(vec![socket]);
        let client = client("127.0.0.1");
        client.send_to(&vec![b'a'; 65_000], server).unwrap();
        client.send_to(&vec![b'b'; lanes::PAYLOAD_LEN], server).unwrap();
        client.send_to(&vec![b'c'; lanes::PAYLOAD_LEN + 1], server).unwrap();
        client.send_to(b"", server).unwrap();
        let turn = turn_until(engine.as_mut(), 4);
        assert_eq!((turn.received, turn.cut, turn.sent), (2, 2, 1), "{name}");
        assert_eq!(read(&client).0, "B".repeat(lanes::PAYLOAD_LEN), "{name}");
    }
}

#[test]
fn datagrams_that_come_before_the_engine_opens_are_answered_in_its_first_turn() {
    for (name, open) in engines() {
        let sockets = vec![bound("127.0.0.1"), bound("127.0.0.1")];
        let client = client("127.0.0.1");
        for (text, socket) in ["early", "bird"].iter().zip(&sockets) {
            client.send_to(text.as_bytes(), socket.local_addr().unwrap()).unwrap();
        }
        let mut engine = open(sockets);
        let begun = std::time::Instant::now();
        let turn = engine.turn(PATIENCE, &mut shout).unwrap();
        assert_eq!(turn, Turn { received: 2, sent: 2, ..Turn::default() }, "{name}");
        assert!(begun.elapsed() < PATIENCE, "{name} waits for more than it has");
        let mut replies = [read(&client).0, read(&client).0];
        replies.sort();
        assert_eq!(replies, ["BIRD", "EARLY"], "{name}");
    }
}

/// Sends `texts`, all of one length, as one message that the kernel cuts or leaves whole as the receiver likes.
fn send_merged(client: &UdpSocket, server: SocketAddr, texts: &[String]) {
    setsockopt(client, UdpGsoSegment, &i32::try_from(texts[0].len()).unwrap()).unwrap();
    client.send_to(texts.concat().as_bytes(), server).unwrap();
}

#[test]
fn replies_to_one_peer_leave_merged_and_come_apart() {
    for (name, open) in engines() {
        for ip in ["127.0.0.1", "::1", "0.0.0.0"] {
            let socket = bound(ip);
            let port = socket.local_addr().unwrap().port();
            let server: SocketAddr =
                (if ip == "::1" { ip } else { "127.0.0.1" }, port).to_socket_addrs().unwrap().next().unwrap();
            let mut engine = open(vec![socket]);
            let clients = [client(&server.ip().to_string()), client(&server.ip().to_string())];
            let texts = ["aa", "bb", "ccc", "dd", "eee", "f"];
            for text in texts {
                clients
                    .iter()
                    .for_each(|client| assert_eq!(client.send_to(text.as_bytes(), server).unwrap(), text.len()));
            }
            let turn = turn_until(engine.as_mut(), 12);
            assert_eq!((turn.sent, turn.merged, turn.send_errors), (12, 10, 0), "{name} {ip}");
            for client in &clients {
                let mut replies: Vec<_> = texts.iter().map(|_| read(client)).collect();
                replies.sort();
                let expected = ["AA", "BB", "CCC", "DD", "EEE", "F"].map(|text| (text.to_owned(), server));
                assert_eq!(replies, expected, "{name} {ip}");
            }
        }
    }
}

#[test]
fn datagrams_are_received_merged_once_peers_repeat() {
    for (name, open) in engines() {
        for ip in ["127.0.0.1", "0.0.0.0"] {
            let socket = bound(ip);
            let server = SocketAddr::from((Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port()));
            let watched = socket.try_clone().unwrap();
            let mut engine = open(vec![socket]);
            let client = client("127.0.0.1");
            for round in 0..100 {
                let texts: Vec<_> = (0..100).map(|number| format!("q{round:03}-{number:03}")).collect();
                // The last of merged datagrams may be shorter.
                let texts = [texts, vec!["last".into()]].concat();
                send_merged(&client, server, &texts);
                let turn = turn_until(engine.as_mut(), 101);
                assert_eq!((turn.received, turn.sent, turn.cut), (101, 101, 0), "{name} {ip} {round}");
                let mut replies: Vec<_> = texts.iter().map(|_| read(&client).0.to_lowercase()).collect();
                replies.sort();
                let mut expected = texts.clone();
                expected.sort();
                assert_eq!(replies, expected, "{name} {ip} {round}");
            }
            assert!(getsockopt(&watched, UdpGroSegment).unwrap(), "{name} {ip}");
        }
    }
}

#[test]
fn a_turn_without_datagrams_serves_nothing() {
    for (name, open) in engines() {
        let mut engine = open(vec![bound("127.0.0.1")]);
        let turn = engine.turn(Duration::from_millis(1), &mut |_| panic!("nothing to serve")).unwrap();
        assert_eq!(turn, Turn::default(), "{name}");
    }
}

#[test]
fn what_is_watched_besides_ends_the_wait_and_keeps_no_datagram_back() {
    for (name, open) in engines() {
        let socket = bound("127.0.0.1");
        let server = socket.local_addr().unwrap();
        let mut engine = open(vec![socket]);
        let bell = rustix::event::eventfd(1, rustix::event::EventfdFlags::empty()).unwrap();
        engine.watch(bell.try_clone().unwrap());
        for _ in 0..3 {
            let begun = std::time::Instant::now();
            assert_eq!(engine.turn(PATIENCE, &mut shout).unwrap(), Turn::default(), "{name}");
            assert!(begun.elapsed() < PATIENCE, "{name}");
        }
        rustix::io::read(&bell, &mut [0_u8; 8]).unwrap();
        let client = client("127.0.0.1");
        client.send_to(b"x", server).unwrap();
        assert_eq!(turn_until(engine.as_mut(), 1).sent, 1, "{name}");
        rustix::io::write(&bell, &1_u64.to_ne_bytes()).unwrap();
        let begun = std::time::Instant::now();
        engine.turn(PATIENCE, &mut shout).unwrap();
        assert!(begun.elapsed() < PATIENCE, "{name}");
    }
}

#[test]
fn a_retired_engine_answers_what_is_queued_and_takes_no_more() {
    for (name, open) in engines() {
        let socket = bound("127.0.0.1");
        let server = socket.local_addr().unwrap();
        let mut engine = open(vec![socket]);
        let client = client("127.0.0.1");
        client.send_to(b"queued", server).unwrap();
        engine.retire().unwrap();
        client.send_to(b"late", server).unwrap();
        assert_eq!(turn_until(engine.as_mut(), 1).sent, 1, "{name}");
        assert_eq!(read(&client).0, "QUEUED", "{name}");
        let after = engine.turn(Duration::from_millis(1), &mut |_| panic!("served a late query")).unwrap();
        assert_eq!(after.received, 0, "{name}");
    }
}

/// Floods an engine of `shape` and sees all datagrams answered.
fn check_flood(shape: Shape) -> Turn {
    const COUNT: u32 = 200;
    let sockets = vec![bound("127.0.0.1"), bound("127.0.0.1")];
    let servers: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let mut engine = Uring::with_shape(sockets, shape).unwrap();
    let client = client("127.0.0.1");
    let mut sum = Turn::default();
    for round in 0..3 {
        for number in 0..COUNT {
            client.send_to(format!("q{round}-{number}").as_bytes(), servers[number as usize % 2]).unwrap();
        }
        let turn = turn_until(&mut engine, COUNT);
        assert_eq!((turn.received, turn.sent), (COUNT, COUNT), "{turn:?}");
        sum.enobufs += turn.enobufs;
        sum.cq_overflows += turn.cq_overflows;
        let mut replies: Vec<_> = (0..COUNT).map(|_| read(&client).0).collect();
        replies.sort();
        replies.dedup();
        assert_eq!(replies.len(), COUNT as usize);
    }
    sum
}

#[test]
fn a_tiny_buffer_ring_runs_out_and_never_stalls() {
    let sum = check_flood(Shape { buffer_count: 4, cq_len: 256 });
    assert!(sum.enobufs > 0, "{sum:?}");
}

#[test]
fn a_tiny_completion_queue_overflows_and_never_stalls() {
    let sum = check_flood(Shape { buffer_count: 512, cq_len: 16 });
    assert!(sum.cq_overflows > 0, "{sum:?}");
}

#[test]
fn auto_takes_the_ring_and_keeps_no_note() {
    let opened = open(Choice::Auto, vec![bound("127.0.0.1")], None).unwrap();
    assert_eq!((opened.engine.name(), opened.notes.len()), ("uring", 0));
    let opened = open(Choice::Socket, vec![bound("127.0.0.1")], None).unwrap();
    assert_eq!(opened.engine.name(), "socket");
}
