//! T-A6: what has QR set gets no byte back, whatever else it says; so no two servers talk to each other for ever.

use std::net::UdpSocket;
use std::time::Instant;

use snapshot::handover::frames::{Reply, Request};

use crate::common;
use crate::packets::{name, query, with_opt};
use crate::served::{Served, TRANSPORTS};
use crate::server::{PATIENCE, Server, ask};

/// A response with this opcode and RCODE, with the given body.
fn response(opcode: u8, rcode: u8, body: &[u8]) -> Vec<u8> {
    let mut message = body.to_vec();
    message[2] = 0x80 | opcode << 3;
    message[3] = rcode;
    message
}

#[test]
fn t_a6_responses_of_every_opcode_and_rcode_are_not_answered() {
    let mut served = Served::usual();
    let question = query(&name("www.example.test"), 1, 1);
    let bodies = [question[..12].to_vec(), with_opt(question.clone(), 512, 0), vec![0xff; 40], question];
    for opcode in 0..16 {
        for rcode in 0..16 {
            for body in &bodies {
                for transport in TRANSPORTS {
                    assert_eq!(served.ask(transport, &response(opcode, rcode, body)), None);
                }
            }
        }
    }
}

/// The value of a counter, by its name and label.
fn counter(server: &Server, name: &str, label: &str) -> u64 {
    let Reply::Stats(counters) = server.request(&Request::Stats) else { panic!("no counters") };
    let found = counters.iter().find(|counter| {
        counter.name == name && counter.label.as_ref().map_or("", |(_, value)| value.as_str()) == label
    });
    found.unwrap().value
}

#[test]
fn t_a6_over_the_wire_from_ports_of_other_servers_and_from_our_own_address() {
    for engine in ["uring", "socket"] {
        let dir = tempfile::tempdir().unwrap();
        let zone = "@ 60 SOA ns host 1 7200 900 604800 300\n@ 60 NS ns\nns 60 A 192.0.2.53\nwww 60 A 192.0.2.9\n";
        common::publish(dir.path(), &[("example.test.".parse().unwrap(), zone.to_owned())]).unwrap();
        let control = dir.path().join("control");
        let server = Server::start(dir.path(), "127.0.0.1:0", &control, |command| {
            command.args(["--engine", engine]);
        });
        let question = query(&name("www.example.test"), 1, 1);
        // Where it is allowed, port 53 of another loopback address: a name server, to all appearances.
        let elsewhere = UdpSocket::bind("127.0.0.53:53").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
        elsewhere.connect(server.addr).unwrap();
        elsewhere.set_read_timeout(Some(PATIENCE)).unwrap();
        for opcode in 0..16 {
            for rcode in 0..16 {
                elsewhere.send(&response(opcode, rcode, &question)).unwrap();
                elsewhere.send(&response(opcode, rcode, &question[..12])).unwrap();
            }
            // The next thing to come back is the answer to what is a query.
            elsewhere.send(&[&[0xca, opcode], &question[2..]].concat()).unwrap();
            let mut buf = [0; 512];
            elsewhere.recv(&mut buf).unwrap();
            assert_eq!(buf[..2], [0xca, opcode], "{engine}: a response was answered");
        }
        assert_eq!(counter(&server, "drops_total", "response"), 16 * 16 * 2, "{engine}");
        // A socket that joins the server's own group asks from the very address of the server: the replies come to one
        // of the group, and those that come to the server end there.
        let own = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        own.set_reuse_port(true).unwrap();
        own.bind(&server.addr.into()).unwrap();
        let (before, count) = (counter(&server, "replies_total", "NOERROR"), 200);
        for _ in 0..count {
            own.send_to(&question, &server.addr.into()).unwrap();
        }
        drop(own);
        assert_eq!(ask(server.addr), Some(9), "{engine}: the server is as it was");
        // Workers count after each batch, so what they have in hand shows a little later.
        let begun = Instant::now();
        loop {
            let answered = counter(&server, "replies_total", "NOERROR") - before - 1;
            let circled = counter(&server, "drops_total", "response") - 16 * 16 * 2;
            let seen = counter(&server, "queries_total", "udp");
            if answered <= count && circled <= answered && seen == 16 * 33 + answered + circled + 1 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{engine}: {count} asked, {answered}, {circled}, {seen} seen");
        }
    }
}
