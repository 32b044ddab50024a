//! Many queries through small rings: every reply answers its own question.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use snapshot::handover::frames::{Reply, Request};

use crate::lab::{Lab, PATIENCE, SERVER, at, query};
use crate::{published, start};

/// Queries of a run.
const QUERIES: u32 = 200_000;
/// Sockets of the client.
const SOCKETS: usize = 50;
/// Queries that wait for their reply at once, more than the rings hold.
const OPEN_MAX: usize = 400;

/// Queries that wait, by socket and id: the question and when it was last asked.
type Open = HashMap<(usize, u16), (Vec<u8>, Instant)>;

/// Takes the replies that have come; each must be to a question that waits, or a second one to a question asked twice.
fn collect(sockets: &[UdpSocket], open: &mut Open) {
    let mut buf = [0; 512];
    for (number, socket) in sockets.iter().enumerate() {
        while let Ok(len) = socket.recv(&mut buf) {
            let reply = &buf[..len];
            let id = u16::from_be_bytes([reply[0], reply[1]]);
            let Some((asked, _)) = open.remove(&(number, id)) else { continue };
            assert_eq!(reply[12..asked.len()], asked[12..], "the reply to another question");
            assert_eq!((reply[2], reply[3] & 0xf, reply[7], &reply[len - 4..]), (0x84, 0, 1, &[192, 0, 2, 1][..]));
        }
    }
}

#[test]
fn tiny_rings_drop_and_count_and_never_mix_answers_up() {
    let (lab, dir) = (Lab::new(2), published("[xdp]\nframes = 64\n"));
    let server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| lab.client(server.addr)).collect();
    for socket in &sockets {
        socket.set_nonblocking(true).unwrap();
    }
    let before = lab.kernel_datagrams();
    let (begun, mut open, mut asked, mut again) = (Instant::now(), Open::new(), 0, 0_u32);
    while asked < QUERIES || !open.is_empty() {
        while asked < QUERIES && open.len() < OPEN_MAX {
            let number = asked as usize % SOCKETS;
            let id = u16::try_from(asked as usize / SOCKETS).unwrap();
            let message = query(id, &format!("q{asked}.u.example.test"), &[]);
            sockets[number].send(&message).ok();
            open.insert((number, id), (message, Instant::now()));
            asked += 1;
        }
        collect(&sockets, &mut open);
        for ((number, _), (message, last)) in &mut open {
            if last.elapsed() > Duration::from_millis(100) {
                sockets[*number].send(message).ok();
                *last = Instant::now();
                again += 1;
            }
        }
        assert!(begun.elapsed() < PATIENCE * 10, "{} of {asked} wait:\n{}", open.len(), server.log());
    }
    assert_eq!(lab.kernel_datagrams(), before, "queries came to the kernel");
    let Reply::Stats(counters) = server.request(&Request::Stats) else { panic!("no counters") };
    let lost = |reason: &str| {
        let label = ("reason".to_owned(), reason.to_owned());
        counters.iter().find(|counter| counter.label.as_ref() == Some(&label)).unwrap().value
    };
    assert_eq!(lost("invalid"), 0);
    // A burst of more queries than the rings hold loses some, and the kernel tells how many.
    assert!(again == 0 || lost("rx_full") + lost("fill_empty") > 0, "{again} were asked again");
}
