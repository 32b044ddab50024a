//! More than a worker can answer, over AF_XDP sockets on a veth pair: what a flood of random names below one zone does to
//! another zone.
//!
//! The flood is made by the kernel (see `live`), because nothing else that one core can do is enough. It runs on a core of
//! its own, and so does the server, whose zone is signed: floods of random names meet such zones too, and their answers are the
//! dearest. It needs root and two cores; without root it fails and says so.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[expect(dead_code, reason = "shared with the scenarios, which load views")]
#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "shared with the scenarios")]
#[path = "../harness/mod.rs"]
mod harness;
#[expect(dead_code, reason = "shared with other tests over the wire")]
#[path = "../xdp/lab.rs"]
mod lab;
#[expect(dead_code, unreachable_pub, reason = "a module of the benchmarks, on which nothing here may depend")]
#[path = "../../../benches/src/live/mod.rs"]
mod live;
#[expect(dead_code, reason = "shared with tests on loopback and of ends")]
#[path = "../server/mod.rs"]
mod server;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use snapshot::handover::frames::{Reply, Request};

use harness::script;
use lab::{End, Lab, SERVER, WIRE, at, query, run};
use live::{Labels, Live, Pace, Route, Tally};
use server::Server;

/// How many times the capacity of the server the flood is.
const TIMES: f64 = 5.0;
/// For how long.
const FLOOD: Duration = Duration::from_secs(10);
/// Queries a second about the other zone.
const STEADY_PER_SEC: u32 = 1000;
/// How long their replies may take.
const LATE: Duration = Duration::from_secs(1);
/// Of so many of them at most one may be lost.
const LOST_ONE_IN: u32 = 1000;
/// How often it is tried on a machine that has other things to do.
const TRIES: u32 = 3;
/// Queries in flight while the capacity is measured.
const WINDOW: u64 = 192;
/// How often it is measured.
const SPRINTS: u32 = 8;
/// For how long each time.
const SPRINT: Duration = Duration::from_millis(150);
/// More than is to be shown, because some of it is lost on the way.
const MARGIN: f64 = 1.03;
/// Rings that outlast a time slice of the scheduler, 4 ms, at a million frames a second: other programs may use the core.
const SETTINGS: &str = "[xdp]\nframes = 16384\n";
/// Link addresses of the server and of the client.
const LINKS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0x77, 1], [2, 0, 0, 0, 0x77, 2]];
/// The core of the server.
const SERVER_CORE: usize = 0;
/// The core of all else.
const CLIENT_CORE: usize = 1;

/// What the server counted.
#[derive(Clone, Copy)]
struct Counts {
    /// Datagrams that it received.
    received: u64,
    /// Datagrams that came while its rings were full.
    lost: u64,
    /// Datagrams that it dropped in fairness.
    unfair: u64,
}

/// Publishes `example.`, signed with NSEC3, and `example.test.`, where all of `*.u` has an address.
fn publish(dir: &Path) {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/rfc5155-7.2.scn");
    // Signatures as long as those of P-256 take as long to copy.
    let signature = format!(" {}==\n", "A".repeat(86));
    let mut zones: Vec<_> = script::read(&scenario).unwrap().zones;
    for (_, text) in &mut zones {
        *text = format!("{text}\n").replace(" AAAA\n", &signature);
    }
    let steady =
        "@ 60 IN SOA ns host 1 7200 900 1209600 300\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\n*.u 60 IN A 192.0.2.1\n";
    zones.push(("example.test.".parse().unwrap(), steady.to_owned()));
    common::publish(dir, &zones).unwrap();
}

/// Starts the server on its core, before all else that would run there.
fn start(lab: &Lab, dir: &Path) -> Server {
    publish(dir);
    let settings = dir.join("settings.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let server = lab.inside(End::Server, || {
        Server::start(dir, &at(SERVER[0], 0).to_string(), &dir.join("control"), |command: &mut Command| {
            command.arg("--config").arg(&settings).args(["--engine", "xdp", "--xdp", WIRE[0]]);
        })
    });
    run(&format!("taskset -a -p -c {SERVER_CORE} {}", server.id()));
    for worker in workers(&server) {
        run(&format!("renice -n -20 -p {}", worker.file_name().unwrap().to_string_lossy()));
    }
    // Niceness counts inside of a session only, where the kernel groups by session.
    std::fs::write(format!("/proc/{}/autogroup", server.id()), "-20").ok();
    server
}

/// What the server has counted so far.
fn counts(server: &Server) -> Counts {
    let Reply::Stats(counters) = server.request(&Request::Stats) else { panic!("no counters") };
    let sum = |name: &str, labels: &[&str]| {
        let has_label = |label: &Option<(String, String)>| {
            label.as_ref().is_some_and(|(_, value)| labels.contains(&value.as_str()))
        };
        counters
            .iter()
            .filter(|counter| counter.name == name && has_label(&counter.label))
            .map(|counter| counter.value)
            .sum()
    };
    Counts {
        received: sum("queries_total", &["udp"]),
        lost: sum("engine_xdp_losses_total", &["rx_full", "fill_empty", "rx_dropped"]),
        unfair: sum("drops_total", &["unfair"]),
    }
}

/// A load of signed denials of random names of one zone, from half of 10.0.0.0/8.
fn flood(lab: &Lab, server: SocketAddr) -> Live {
    let SocketAddr::V4(server) = server else { panic!("the flood goes over IPv4") };
    let route = Route {
        interface: WIRE[1].to_owned(),
        from: LINKS[1],
        to: LINKS[0],
        source: [10, 128, 0, 0].into(),
        source_prefix_len: 9,
        server,
    };
    // An OPT record with DO that announces 1232 octets.
    let message = query(0, "aaaaaaaa.example", &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    lab.inside(End::Client, || Live::open(&route, [message.as_slice()].into_iter(), Labels::Random)).unwrap()
}

/// Has the load run on its core.
fn fire(lab: &Lab, live: &Live, pace: Pace, duration: Duration) -> Tally {
    lab.inside(End::Client, || {
        assert!(core_affinity::set_for_current(CoreId { id: CLIENT_CORE }), "two cores are needed");
        live.fire(pace, duration).unwrap()
    })
}

/// How many of the flood's queries the server answers in a second. The best of several times counts: in the others the core
/// was somebody else's for a while.
fn capacity(lab: &Lab, live: &Live) -> f64 {
    let sprints = (0..SPRINTS).map(|_| {
        let tally = fire(lab, live, Pace::Window(WINDOW), SPRINT);
        assert!(tally.answered > 0 && tally.rcodes[3] == tally.answered, "not all answers are NXDOMAIN: {tally:?}");
        tally.per_sec()
    });
    sprints.fold(0.0, f64::max)
}

/// Asks about the zone that is not flooded, a query each millisecond for `duration`; returns how many were asked and how many
/// were answered rightly.
fn ask_steadily(socket: &UdpSocket, duration: Duration) -> (u32, u32) {
    assert!(core_affinity::set_for_current(CoreId { id: CLIENT_CORE }), "two cores are needed");
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let count = u32::try_from(duration.as_millis()).unwrap() * STEADY_PER_SEC / 1000;
    let message = |number: u32| query(u16::try_from(number).unwrap(), &format!("q{number}.u.example.test"), &[]);
    let mut is_answered = vec![false; count as usize];
    let (begun, mut asked) = (Instant::now(), 0);
    let mut buf = [0; 512];
    while begun.elapsed() < duration + LATE {
        let due = u32::try_from(begun.elapsed().as_micros()).unwrap() / (1_000_000 / STEADY_PER_SEC);
        while asked < due.min(count) {
            // A queue that is full on the way makes it lost, as it would on the way to any server.
            socket.send(&message(asked)).ok();
            asked += 1;
        }
        match socket.recv(&mut buf) {
            Ok(len) => {
                let number = u32::from(u16::from_be_bytes([buf[0], buf[1]]));
                let sent = message(number);
                assert_eq!(buf[12..sent.len()], sent[12..], "the reply to another question");
                assert_eq!((buf[2], buf[3] & 15, buf[7], &buf[len - 4..len]), (0x84, 0, 1, &[192, 0, 2, 1][..]));
                is_answered[number as usize] = true;
            }
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    }
    (count, u32::try_from(is_answered.iter().filter(|answered| **answered).count()).unwrap())
}

/// What the system tells of each worker of the server; other threads come and go.
fn workers(server: &Server) -> Vec<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    let paths = tasks.map(|task| task.unwrap().path());
    let is_worker =
        |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("worker"));
    paths.filter(is_worker).collect()
}

/// How long the workers of the server waited for their core, though they could have run.
fn waited(server: &Server) -> Duration {
    let waits = workers(server).into_iter().map(|worker| {
        let text = std::fs::read_to_string(worker.join("schedstat")).unwrap();
        text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(waits.sum())
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn fault_39_a_flood_of_five_times_the_capacity_costs_another_zone_one_query_in_a_thousand_at_most() {
    let (lab, dir) = (Lab::new(1), tempfile::tempdir().unwrap());
    for (end, wire, link) in [(End::Server, WIRE[0], LINKS[0]), (End::Client, WIRE[1], LINKS[1])] {
        let link = link.map(|octet| format!("{octet:02x}")).join(":");
        lab.ip(end, &format!("link set {wire} address {link}"));
    }
    let server = start(&lab, dir.path());
    let socket = lab.client(server.addr);
    let live = flood(&lab, server.addr);
    for attempt in 1..=TRIES {
        let capacity = capacity(&lab, &live);
        let (before, waited_before) = (counts(&server), waited(&server));
        let (flooded, (asked, answered)) = thread::scope(|scope| {
            let steady = scope.spawn(|| ask_steadily(&socket, FLOOD));
            let flooded = fire(&lab, &live, Pace::Rate(capacity * TIMES * MARGIN), FLOOD);
            (flooded, steady.join().unwrap())
        });
        let (after, waited) = (counts(&server), waited(&server) - waited_before);
        let (received, lost) = (after.received - before.received, after.lost - before.lost);
        let times = (received + lost) as f64 / FLOOD.as_secs_f64() / capacity;
        println!(
            "capacity {capacity:.0}/s; offered {times:.2} times that, {received} received, {lost} lost before, {} dropped, \
             {} answered; of the other zone {asked} asked, {answered} answered; the server waited {waited:?} for its core",
            after.unfair - before.unfair,
            flooded.answered,
        );
        if (asked - answered) * LOST_ONE_IN <= asked && times >= TIMES {
            return;
        }
        assert!(
            attempt < TRIES,
            "the other zone lost {} of {asked}, at {times:.2} times the capacity",
            asked - answered
        );
    }
}
