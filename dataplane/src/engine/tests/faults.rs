//! Faults of kernel and network, by their numbers in the catalogue: each is counted, and none stops the loop.

use std::process::Command;

use super::*;

/// Source ports of the client.
const PORTS: usize = 1_000;
/// Queries that are on the way at once: a socket of the usual size holds them.
const WAVE: usize = 200;
/// Queries of the short run; `PETREL_SOAK=1` makes it ten million.
const SHORT: u64 = 50_000;

/// Replies with the query turned round, so that each query has a reply of its own.
fn mirror(packets: &mut [Packet<'_>]) {
    for packet in packets {
        packet.buf[..packet.query_len].reverse();
        packet.outcome = Outcome::Reply { len: packet.query_len, rcode: 0, truncated: false };
    }
}

/// Asks unique questions from many ports at an engine whose rings are tiny, and sees that each reply is that of its own
/// question; returns what the engine counted.
fn check_unique(shape: Shape) -> Turn {
    let soak = std::env::var("PETREL_SOAK").is_ok_and(|value| value == "1");
    let count = if soak { 10_000_000 } else { SHORT };
    let socket = bound("127.0.0.1");
    let server = socket.local_addr().unwrap();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let engine = std::thread::spawn(move || {
        let mut engine = Uring::with_shape(vec![socket], shape).unwrap();
        let mut sum = Turn::default();
        while is_done.try_recv().is_err() {
            let turn = engine.turn(Duration::from_millis(5), &mut mirror).unwrap();
            sum.received += turn.received;
            sum.enobufs += turn.enobufs;
            sum.cq_overflows += turn.cq_overflows;
        }
        sum
    });
    let ports: Vec<_> = (0..PORTS).map(|_| client("127.0.0.1")).collect();
    let mut answered = 0;
    while answered < count {
        for ports in ports.chunks(WAVE) {
            let questions: Vec<_> = (answered..).take(ports.len()).map(|number| format!("question {number}")).collect();
            for (port, question) in ports.iter().zip(&questions) {
                port.send_to(question.as_bytes(), server).unwrap();
            }
            for (port, question) in ports.iter().zip(&questions) {
                let reply: String = read(port).0.chars().rev().collect();
                assert_eq!(&reply, question);
            }
            answered += questions.len() as u64;
        }
    }
    done.send(()).unwrap();
    let sum = engine.join().unwrap();
    assert_eq!(u64::from(sum.received), answered);
    sum
}

#[test]
fn fault_26_a_tiny_completion_queue_overflows_and_every_reply_matches_its_question() {
    let sum = check_unique(Shape { buffer_count: 512, cq_len: 16 });
    assert!(sum.cq_overflows > 0, "{sum:?}");
}

#[test]
fn fault_27_a_tiny_buffer_ring_runs_out_and_every_reply_matches_its_question() {
    let sum = check_unique(Shape { buffer_count: 4, cq_len: 256 });
    assert!(sum.enobufs > 0, "{sum:?}");
}

#[test]
fn fault_28_what_a_full_receive_queue_drops_is_counted() {
    const COUNT: u64 = 1_000;
    for (name, open) in engines() {
        let socket = bound("127.0.0.1");
        socket2::SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
        let server = socket.local_addr().unwrap();
        let client = client("127.0.0.1");
        for number in 0..COUNT {
            client.send_to(format!("flood {number}").as_bytes(), server).unwrap();
        }
        let mut engine = open(vec![socket]);
        let mut received = 0;
        while received + engine.queue_drops() < COUNT {
            received += u64::from(engine.turn(Duration::from_millis(5), &mut shout).unwrap().received);
        }
        assert_eq!(received + engine.queue_drops(), COUNT, "{name}");
        assert!(received < COUNT / 2, "{name}: {received}");
        client.send_to(b"canary", server).unwrap();
        turn_until(engine.as_mut(), 1);
        let replies: Vec<_> = (0..=received).map(|_| read(&client).0).collect();
        assert_eq!(replies.last().map(String::as_str), Some("CANARY"), "{name}");
    }
}

/// Runs ip(8) in the network namespace of this thread.
fn ip(args: &str) {
    let done = Command::new("ip").args(args.split(' ')).output().expect("ip of iproute2");
    assert!(done.status.success(), "ip {args}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn fault_29_replies_that_the_kernel_refuses_are_counted_and_not_tried_for_ever() {
    // In a network of its own, which ends with the thread: an address comes, asks, and is gone before its replies.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root, for a network namespace");
    ip("link set lo up");
    for (name, open) in engines() {
        let socket = bound("0.0.0.0");
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port()));
        let mut engine = open(vec![socket]);
        ip("addr add 192.0.2.7/32 dev lo");
        let fleeting = client("192.0.2.7");
        let canary = client("127.0.0.1");
        for number in 0..50 {
            // Of different lengths, or equal ones that leave merged and are refused as one.
            let text = if number % 2 == 0 { "same".to_owned() } else { "x".repeat(number) };
            fleeting.send_to(text.as_bytes(), server).unwrap();
        }
        canary.send_to(b"canary", server).unwrap();
        ip("addr del 192.0.2.7/32 dev lo");
        let turn = turn_until(engine.as_mut(), 51);
        assert_eq!((turn.received, turn.sent, turn.send_errors), (51, 1, 50), "{name}");
        assert_eq!(read(&canary).0, "CANARY", "{name}");
    }
}

#[test]
fn fault_30_unreachable_clients_disturb_nobody() {
    for (name, open) in engines() {
        let socket = bound("127.0.0.1");
        let server = socket.local_addr().unwrap();
        let mut engine = open(vec![socket]);
        let canary = client("127.0.0.1");
        for round in 0..100 {
            // Gone before the reply, so that the kernel hears "port unreachable" ten times a turn.
            for _ in 0..10 {
                client("127.0.0.1").send_to(b"gone", server).unwrap();
            }
            canary.send_to(format!("canary {round}").as_bytes(), server).unwrap();
            let turn = turn_until(engine.as_mut(), 11);
            assert_eq!((turn.received, turn.recv_errors), (11, 0), "{name}");
            assert_eq!(read(&canary).0, format!("CANARY {round}"), "{name}");
        }
    }
}
