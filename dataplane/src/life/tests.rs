//! Whole planes over loopback, without snapshots: service, reload over the control socket, and binary upgrades.
//!
//! Planes of one test live in one process; they meet only at sockets, as processes do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use crossbeam::channel;
use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};

use super::plane::Plane;
use crate::config::{Args, Config};
use crate::packet::{Outcome, Packet, Transport};
use crate::responder::Answer;
use crate::slot::{Facts, Found, Source, Stamp};

/// How long tests wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Generations that a test counts up.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl Source for Counted {
    type View = u64;

    fn load(&mut self, _: Option<&Arc<u64>>) -> Result<Option<Found<u64>>, String> {
        let view = Arc::new(self.0.load(Ordering::Acquire));
        Ok(Some(Found { view, refused: None }))
    }

    fn stamp(&mut self) -> Stamp {
        Stamp::default()
    }

    fn empty() -> u64 {
        0
    }

    fn facts(view: &u64) -> Facts {
        Facts { generation: Some(*view), zones: 0, bytes: 0 }
    }
}

/// Echoes the query and puts the generation into its first byte; panics if that was `!`.
struct Echo;

impl Answer for Echo {
    type View = u64;

    fn answer(&mut self, view: &u64, _: Transport, packets: &mut [Packet<'_>]) {
        for packet in packets {
            assert_ne!(packet.buf[0], b'!', "asked to panic");
            packet.buf[0] = u8::try_from(*view).unwrap();
            packet.outcome = Outcome::Reply { len: packet.query_len, rcode: 0, truncated: false };
        }
    }

    fn fork(&self) -> Echo {
        Echo
    }
}

/// A plane and the word that it has been replaced.
type Started = (Plane<Counted>, channel::Receiver<()>);

/// Starts a plane with two workers.
fn start(control: &Path, listen: &str, engine: &str, source: &Counted) -> Started {
    let words = ["dns-dataplane", "--snapshots", "/nowhere", "--threads", "2", "--engine", engine, "--listen", listen];
    let mut args = Args::try_parse_from(words).unwrap();
    args.control = Some(control.to_owned());
    let (retired, occurring) = channel::unbounded();
    let config = Config::load(&args).unwrap();
    let plane = Plane::start(&config, source.clone(), &Echo, move || retired.send(()).unwrap()).unwrap();
    (plane, occurring)
}

/// Asks one question; `None` if no reply comes.
type Ask = fn(SocketAddr, u32) -> Option<u8>;

/// The first address of the plane behind a control socket.
fn address(control: &Path) -> SocketAddr {
    let Reply::Status(status) = ask_control(control, &Request::Status) else { panic!("no status") };
    status.listen[0].parse().unwrap()
}

/// Asks over UDP; `None` if no reply comes.
fn ask_udp(server: SocketAddr, number: u32) -> Option<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = format!("?query number {number:08}");
    socket.send_to(query.as_bytes(), server).unwrap();
    let mut buf = [0; 512];
    let (len, from) = socket.recv_from(&mut buf).ok()?;
    (from == server && buf[1..len] == query.as_bytes()[1..]).then_some(buf[0])
}

/// Asks over a TCP connection of its own; `None` if no reply comes.
fn ask_tcp(server: SocketAddr, number: u32) -> Option<u8> {
    let mut client = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = format!("?query number {number:08}");
    let len = u16::try_from(query.len()).unwrap().to_be_bytes();
    client.write_all(&[&len, query.as_bytes()].concat()).ok()?;
    let mut reply = vec![0; query.len() + 2];
    client.read_exact(&mut reply).ok()?;
    (reply[3..] == query.as_bytes()[1..]).then_some(reply[2])
}

/// One exchange over the control socket.
fn ask_control(path: &Path, request: &Request) -> Reply {
    let mut stream = UnixStream::connect(path).unwrap();
    write_frame(&mut stream, request).unwrap();
    read_frame(&mut stream).unwrap().unwrap()
}

#[test]
fn an_acknowledged_reload_is_what_the_next_query_sees() {
    for engine in ["uring", "socket"] {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let source = Counted::default();
        let (plane, _retired) = start(&control, "127.0.0.1:0", engine, &source);
        let server = address(&control);
        for generation in 1..50 {
            source.0.store(generation.into(), Ordering::Release);
            let Reply::Serving(serving) = ask_control(&control, &Request::Reload) else { panic!("not serving") };
            assert_eq!((serving.generation, serving.fresh), (generation.into(), true));
            assert_eq!(ask_udp(server, generation.into()), Some(generation), "{engine}");
            assert_eq!(ask_tcp(server, generation.into()), Some(generation), "{engine}");
        }
        let Reply::Status(status) = ask_control(&control, &Request::Status) else { panic!("no status") };
        assert_eq!((status.generation, status.workers, status.engine.as_str()), (Some(49), 2, engine));
        assert_eq!(status.listen, [server.to_string()]);
        plane.end();
        assert!(!control.exists());
    }
}

#[test]
fn one_packet_in_a_thousand_panics_and_all_others_are_answered() {
    /// Queries on the way at once: few enough for any receive buffer.
    const BURST: u32 = 50;
    for engine in ["uring", "socket"] {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let (plane, _retired) = start(&control, "127.0.0.1:0", engine, &Counted::default());
        let server = address(&control);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for burst in 0..200_u32 {
            let mut left = BURST;
            for number in burst * BURST..(burst + 1) * BURST {
                let culprit = number % 1000 == 17;
                left -= u32::from(culprit);
                let query =
                    format!("{}killer {:05}", if culprit { "!" } else { "?" }, if culprit { 0 } else { number });
                socket.send(query.as_bytes()).unwrap();
            }
            for _ in 0..left {
                let mut buf = [0; 64];
                let len = socket.recv(&mut buf).unwrap();
                let number: u32 = std::str::from_utf8(&buf[8..len]).unwrap().parse().unwrap();
                assert_eq!((buf[0], number / BURST), (0, burst), "{engine}");
            }
        }
        let Reply::Status(status) = ask_control(&control, &Request::Status) else { panic!("no status") };
        let [kept] = &status.quarantine[..] else { panic!("one packet: {:?}", status.quarantine) };
        assert_eq!((kept.count, kept.packet_len, &kept.packet[..4]), (10, 13, "216b"), "{engine}");
        let Reply::Stats(counters) = ask_control(&control, &Request::Stats) else { panic!("no counters") };
        let value = |name: &str, label: &str| {
            let counter = counters
                .iter()
                .find(|counter| counter.name == name && counter.label.as_ref().is_none_or(|(_, value)| value == label));
            counter.unwrap().value
        };
        assert_eq!((value("drops_total", "panic"), value("quarantined_total", "")), (10, 1), "{engine}");
        // Over TCP it costs its connection.
        assert_eq!(ask_tcp(server, 1), Some(0));
        let mut client = TcpStream::connect(server).unwrap();
        client.write_all(b"\0\x0d!killer again").unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(ask_tcp(server, 2), Some(0));
        let Reply::Status(status) = ask_control(&control, &Request::Status) else { panic!("no status") };
        assert_eq!(status.quarantine.last().map(|kept| kept.transport.as_str()), Some("tcp"), "{engine}");
        plane.end();
    }
}

/// Asks over and over until told to stop; returns how many replies came and how many did not.
fn asking(stop: &Arc<AtomicBool>, server: SocketAddr, ask: Ask) -> thread::JoinHandle<(u32, u32)> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let (mut answered, mut lost) = (0, 0);
        while !stop.load(Ordering::Acquire) {
            match ask(server, answered) {
                Some(_) => answered += 1,
                None => lost += 1,
            }
        }
        (answered, lost)
    })
}

/// Replaces a plane five times under load and sees nothing lost.
fn check_upgrades(listen: &str, engine: &str) {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let source = Counted::default();
    let (mut plane, mut retired) = start(&control, listen, engine, &source);
    let bound = address(&control);
    let server = SocketAddr::from(([127, 0, 0, 1], bound.port()));
    let stop = Arc::new(AtomicBool::new(false));
    let asks: [Ask; 5] = [ask_udp, ask_udp, ask_udp, ask_tcp, ask_tcp];
    let clients = asks.map(|ask| asking(&stop, server, ask));
    for upgrade in 1..=5 {
        source.0.store(upgrade, Ordering::Release);
        let (next, next_retired) = start(&control, &bound.to_string(), engine, &source);
        retired.recv_timeout(PATIENCE).unwrap();
        plane.end();
        (plane, retired) = (next, next_retired);
        assert!(control.exists());
        // Everything is answered by the successor alone now.
        assert_eq!(ask_udp(server, 0), Some(u8::try_from(upgrade).unwrap()));
        assert_eq!(ask_tcp(server, 0), Some(u8::try_from(upgrade).unwrap()));
    }
    stop.store(true, Ordering::Release);
    let counts = clients.map(|client| client.join().unwrap());
    let fine = counts.iter().all(|(answered, lost)| *answered > 0 && *lost == 0);
    assert!(fine, "(answered, lost) of three UDP and two TCP clients with {engine} on {listen}: {counts:?}");
    plane.end();
}

#[test]
fn five_upgrades_lose_nothing_with_uring() {
    check_upgrades("127.0.0.1:0", "uring");
}

#[test]
fn five_upgrades_lose_nothing_with_sockets() {
    check_upgrades("127.0.0.1:0", "socket");
}

#[test]
fn five_upgrades_lose_nothing_on_a_wildcard_address() {
    check_upgrades("0.0.0.0:0", "auto");
}

#[test]
fn a_second_plane_without_the_control_socket_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = Counted::default();
    let control = dir.path().join("control");
    let (plane, _retired) = start(&control, "127.0.0.1:0", "socket", &source);
    let listen = address(&control).to_string();
    let args = Args { snapshots: Some("/nowhere".into()), listen: vec![listen], ..Args::default() };
    let second = Plane::start(&Config::load(&args).unwrap(), source, &Echo, || ());
    let error = second.err().unwrap().to_string();
    assert!(error.contains("in use by another server"), "{error}");
    plane.end();
}
