//! T-A13: every reply goes to the one who asked, and answers what was asked, with many queries on the way at once.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::common;
use crate::packets::{name, query};
use crate::server::{PATIENCE, Server};

/// Names, each with an address that tells its number.
const NAME_COUNT: u32 = 4096;
/// Queries of the short run; `PETREL_SOAK=1` makes it ten million.
const SHORT: u32 = 100_000;
/// Source ports of each of two clients.
const SOCKET_COUNT: usize = 500;
/// Queries that a client sends before it looks for replies: more than the buffers of an engine.
const BURST: usize = 100;

/// Sends `count` queries from many sockets in bursts, and returns how many were answered. Any reply that is not the
/// answer to a query of its socket is a panic.
fn client(server: SocketAddr, seed: u32, count: u32) -> u32 {
    let sockets: Vec<UdpSocket> = (0..SOCKET_COUNT)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(server).unwrap();
            socket
        })
        .collect();
    let mut answered = 0;
    let mut sent: Vec<(usize, u16, u32)> = Vec::new();
    for number in 0..count {
        let socket = number as usize % SOCKET_COUNT;
        let (id, host) = (
            u16::try_from((number.wrapping_mul(40_503) ^ seed) & 0xffff).unwrap(),
            number.wrapping_mul(2_654_435_761) % NAME_COUNT,
        );
        let mut message = query(&name(&format!("h{host}.example.test")), 1, 1);
        message[..2].copy_from_slice(&id.to_be_bytes());
        sockets[socket].send(&message).unwrap();
        sent.push((socket, id, host));
        if sent.len() == BURST || number + 1 == count {
            // The canary of each socket is what it sent last; datagrams between two sockets keep their order, but each
            // socket may be served by another worker, so all are waited for. A loss is allowed, a mistake is not.
            for (socket, id, host) in sent.drain(..) {
                answered += u32::from(check(&sockets[socket], id, host));
            }
        }
    }
    answered
}

/// Takes the next reply of a socket and compares it with the one query that it has on the way.
fn check(socket: &UdpSocket, id: u16, host: u32) -> bool {
    socket.set_read_timeout(Some(if cfg!(debug_assertions) { PATIENCE } else { Duration::from_secs(2) })).unwrap();
    let mut buf = [0; 512];
    let Ok(len) = socket.recv(&mut buf) else { return false };
    let question = query(&name(&format!("h{host}.example.test")), 1, 1);
    assert_eq!(buf[..2], id.to_be_bytes(), "the id of another query");
    assert_eq!(buf[12..question.len()], question[12..], "the question of another query");
    let [_, a, b, c] = (host + 256).to_be_bytes();
    assert_eq!(buf[len - 4..len], [10, a, b, c], "the answer to another query");
    true
}

#[test]
fn t_a13_every_reply_matches_its_own_query() {
    let soak = std::env::var("PETREL_SOAK").is_ok_and(|value| value == "1");
    let count = if soak { 10_000_000 } else { SHORT };
    let dir = tempfile::tempdir().unwrap();
    let mut zone = String::from("@ 60 SOA ns host 1 7200 900 604800 300\n@ 60 NS ns\nns 60 A 192.0.2.53\n");
    for host in 0..NAME_COUNT {
        let [_, a, b, c] = (host + 256).to_be_bytes();
        zone.push_str(&format!("h{host} 60 A 10.{a}.{b}.{c}\n"));
    }
    common::publish(dir.path(), &[("example.test.".parse().unwrap(), zone)]).unwrap();
    for engine in ["uring", "socket"] {
        let control = dir.path().join(format!("control-{engine}"));
        let server = Server::start(dir.path(), "127.0.0.1:0", &control, |command| {
            command.args(["--engine", engine]);
        });
        let addr = server.addr;
        let answered: u32 = std::thread::scope(|scope| {
            let clients = [1, 2].map(|seed| scope.spawn(move || client(addr, seed * 7919, count / 4)));
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        println!("{engine}: {} asked, {answered} answered", count / 2);
        assert!(answered > count / 2 / 100 * 99, "{engine}: {answered} of {} answered", count / 2);
    }
}
