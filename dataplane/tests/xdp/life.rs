//! A wire that comes and goes, processes that do, and privileges that are given up.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use snapshot::handover::frames::{Reply, Request, Status};

use crate::lab::{End, Lab, PATIENCE, SERVER, WIRE, ask, at, query, run, until};
use crate::server::Server;
use crate::{published, start};

/// How soon AF_XDP must be back.
const SOON: Duration = Duration::from_secs(1);

/// Once at least AF_XDP was back soon; a busy test host may delay the other times.
fn check_soon(backs: &[Duration], server: &Server) {
    assert!(backs.iter().any(|back| *back < SOON), "after {backs:?}:\n{}", server.log());
}

/// What a server says of itself.
fn status(server: &Server) -> Status {
    match server.request(&Request::Status) {
        Reply::Status(status) => *status,
        other => panic!("no status: {other:?}"),
    }
}

/// Asks over IPv4; whether the query came past the kernel. It must be answered.
fn is_past_the_kernel(lab: &Lab, server: &Server) -> bool {
    let socket = lab.client(server.addr);
    let before = lab.kernel_datagrams();
    assert!(ask(&socket, &query(7, "www.example.test", &[]), PATIENCE).is_some(), "no answer:\n{}", server.log());
    lab.kernel_datagrams() == before
}

/// Whether a filter is attached to the server's end.
fn has_filter(lab: &Lab) -> bool {
    let shown = Command::new("ip").args(["-n", lab.name(End::Server), "link", "show", WIRE[0]]).output().unwrap();
    String::from_utf8_lossy(&shown.stdout).contains("prog/xdp")
}

#[test]
fn a_wire_that_goes_down_and_comes_up_again_is_served_at_once() {
    let (lab, dir) = (Lab::new(2), published(""));
    let server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    assert!(is_past_the_kernel(&lab, &server));
    let mut backs = Vec::new();
    for (end, wire) in [(End::Server, WIRE[0]), (End::Client, WIRE[1])] {
        lab.ip(end, &format!("link set {wire} down"));
        lab.ip(end, &format!("link set {wire} up"));
        backs.push(until("answers past the kernel", || is_past_the_kernel(&lab, &server)));
    }
    check_soon(&backs, &server);
    assert_eq!(status(&server).engine, "xdp");
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_taken_again() {
    // With privileges and without: who drops them has sockets and filter from before.
    for with in [["--engine", "xdp"], ["--user", "nobody"]] {
        let (lab, dir) = (Lab::new(2), published(""));
        run(&format!("chown -R nobody {}", dir.path().display()));
        let server = start(&lab, dir.path(), &at("0.0.0.0", 0).to_string(), &with);
        let port = server.addr.port();
        let past = |lab: &Lab| {
            let socket = lab.client(at(SERVER[0], port));
            let before = lab.kernel_datagrams();
            let answered = ask(&socket, &query(7, "www.example.test", &[]), PATIENCE).is_some();
            answered && lab.kernel_datagrams() == before
        };
        assert!(past(&lab), "{}", server.log());
        let mut backs = Vec::new();
        for _ in 0..3 {
            lab.ip(End::Server, &format!("link del {}", WIRE[0]));
            until("the note", || status(&server).engine != "xdp");
            let notes = status(&server).engine_notes.join("\n");
            assert!(notes.contains("is not used") && notes.contains("the kernel's sockets answer"), "{notes}");
            lab.wire();
            backs.push(until("answers past the kernel", || past(&lab)));
            until("the status", || status(&server).engine == "xdp");
        }
        check_soon(&backs, &server);
    }
}

#[test]
fn other_queues_are_taken_over() {
    let (lab, dir) = (Lab::new(2), published(""));
    // The driver of the wire wants no fewer queues here than the other end sends by.
    run(&format!("ip netns exec {} ethtool -L {} tx 1", lab.name(End::Client), WIRE[1]));
    run(&format!("ip netns exec {} ethtool -L {} rx 1", lab.name(End::Server), WIRE[0]));
    let server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    let notes = status(&server).engine_notes.join("\n");
    assert!(notes.contains("queues: 1 "), "{notes}");
    run(&format!("ip netns exec {} ethtool -L {} rx 2", lab.name(End::Server), WIRE[0]));
    let noted = || status(&server).engine_notes.join("\n").contains("queues: 2");
    let back = until("the queues are noted", || noted() && is_past_the_kernel(&lab, &server));
    check_soon(&[back], &server);
    run(&format!("ip netns exec {} ethtool -L {} tx 2", lab.name(End::Client), WIRE[1]));
    assert!((0..50).all(|_| is_past_the_kernel(&lab, &server)));
}

#[test]
fn another_tool_cannot_take_the_filter_off() {
    let (lab, dir) = (Lab::new(2), published(""));
    let server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    let off = ["-n", lab.name(End::Server), "link", "set", "dev", WIRE[0], "xdp", "off"];
    let off = Command::new("ip").args(off).output().unwrap();
    let back = until("answers past the kernel", || has_filter(&lab) && is_past_the_kernel(&lab, &server));
    assert!(!off.status.success() || back < SOON, "{off:?}, then {back:?}");
}

#[test]
fn the_filter_goes_with_the_process_however_it_ends() {
    for signal in [Signal::TERM, Signal::KILL] {
        let (lab, dir) = (Lab::new(2), published(""));
        let mut server = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
        assert!(has_filter(&lab) && is_past_the_kernel(&lab, &server));
        server.signal(signal);
        server.end();
        until("the filter is gone", || !has_filter(&lab));
    }
}

#[test]
fn a_successor_gets_the_interface_when_its_predecessor_has_ended() {
    let (lab, dir) = (Lab::new(2), published(""));
    let first = start(&lab, dir.path(), &at(SERVER[0], 0).to_string(), &["--engine", "xdp"]);
    let second = start(&lab, dir.path(), &first.addr.to_string(), &["--engine", "xdp"]);
    // Whoever answers meanwhile, somebody does.
    is_past_the_kernel(&lab, &second);
    until("it is taken", || status(&second).engine == "xdp" && is_past_the_kernel(&lab, &second));
    assert_eq!(status(&second).pid, second.id());
}

#[test]
fn an_interface_that_cannot_be_had_is_an_error_only_if_it_must() {
    let (lab, dir) = (Lab::new(2), published(""));
    lab.ip(End::Server, &format!("link set {} down name hidden", WIRE[0]));
    let control = dir.path().join("control");
    let log = lab.inside(End::Server, || {
        Server::refused(dir.path(), "127.0.0.1:0", &control, |command| {
            command.args(["--engine", "xdp", "--xdp", WIRE[0]]);
        })
    });
    assert!(log.contains("there is no such interface"), "{log}");
    let server = start(&lab, dir.path(), &at("0.0.0.0", 0).to_string(), &[]);
    assert_ne!(status(&server).engine, "xdp");
    let notes = status(&server).engine_notes.join("\n");
    assert!(notes.contains("xdp on wire-s is not used: there is no such interface"), "{notes}");
    lab.ip(End::Server, &format!("link set hidden name {}", WIRE[0]));
    lab.ip(End::Server, &format!("link set {} up", WIRE[0]));
    check_soon(&[until("it is taken", || status(&server).engine == "xdp")], &server);
}
