//! Malformed packets over the wire, with sound queries in between: none of these goes unanswered, and the server is at
//! the end what it was at the beginning.
//!
//! `PETREL_MALFORMED` is how many; `perf/malformed` runs a million. Each client sends a burst and then a canary on the
//! same socket, and goes on when the canary is answered: so few are on the way that no receive buffer is to blame.

mod packets;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use snapshot::dns::message::Message;

use super::common::plane::Plane;
use super::common::random::Random;
use super::common::take_turn;
use super::common::tool::{compile, document};

/// Packets if nobody says how many.
const COUNT: usize = 50_000;
/// Malformed packets before each canary.
const BURST: usize = 24;
/// Clients at once, each with a socket of its own.
const CLIENT_COUNT: u64 = 4;
/// How long a canary may take.
const CANARY_MAX: Duration = Duration::from_secs(5);
/// How much more memory the server may have after a part of the run than before it.
const GROWTH_KIB_MAX: u64 = 1024;
/// How many parts it is given until it has not grown, after the first one.
const PARTS_MAX: usize = 3;
/// The longest reply over UDP.
const REPLY_LEN_MAX: usize = 1232;
/// What is served.
const ZONE: &str = "\
$ORIGIN m.test.
$TTL 60
@ SOA ns mail 1 7200 900 1209600 60
@ NS ns
@ MX 10 www
ns A 127.0.0.1
www A 192.0.2.1
www AAAA 2001:db8::1
*.wild TXT \"wild\"
alias CNAME www
circle CNAME circle
cut NS ns.cut
cut DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.cut A 192.0.2.2
tree DNAME other.test.
a.ent A 192.0.2.3
big TXT ( \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\"
  \"0123456789012345678901234567890123456789012345678901234567890123456789\" )
";

/// What a client has seen.
#[derive(Debug, Default)]
struct Tally {
    /// Malformed packets sent.
    offered: usize,
    /// Those that a reply is owed to.
    owed: usize,
    /// Replies to them.
    answered: usize,
    /// Replies that came before one to an earlier packet.
    overtaken: usize,
    /// Canaries, all answered.
    canaries: usize,
    /// Replies by RCODE, as the four bits of the header have it.
    rcodes: BTreeMap<u8, usize>,
}

impl Tally {
    /// Both together.
    fn plus(mut self, other: &Tally) -> Tally {
        self.offered += other.offered;
        self.owed += other.owed;
        self.answered += other.answered;
        self.overtaken += other.overtaken;
        self.canaries += other.canaries;
        for (rcode, count) in &other.rcodes {
            *self.rcodes.entry(*rcode).or_default() += count;
        }
        self
    }
}

/// Sends `count` packets that follow from `seed`.
fn client(server: SocketAddr, seed: u64, count: usize) -> Tally {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(CANARY_MAX)).unwrap();
    let (mut random, mut tally) = (Random(seed), Tally::default());
    while tally.offered < count {
        let drawn: Vec<_> = (0..BURST.min(count - tally.offered)).map(|_| packets::draw(&mut random)).collect();
        burst(&socket, &drawn, &mut tally);
    }
    tally
}

/// Sends some packets and a canary, and reads until the canary is answered.
fn burst(socket: &UdpSocket, drawn: &[Vec<u8>], tally: &mut Tally) {
    for packet in drawn {
        socket.send(packet).unwrap();
    }
    let mut owed: Vec<&Vec<u8>> = drawn.iter().filter(|packet| packets::deserves_reply(packet)).collect();
    tally.offered += drawn.len();
    tally.owed += owed.len();
    let canary = canary(tally.canaries);
    socket.send(&canary).unwrap();
    let mut awaited = true;
    let mut buf = [0; 65_535];
    while awaited || !owed.is_empty() {
        let len = match socket.recv(&mut buf) {
            Ok(len) => len,
            Err(error) => {
                assert!(!awaited, "no answer to a canary ({error}) after {drawn:02x?}");
                // They show in the sums.
                return;
            }
        };
        let reply = &buf[..len];
        assert!(len <= REPLY_LEN_MAX, "{len} bytes");
        let read = Message::from_wire(reply);
        let message = read.unwrap_or_else(|error| panic!("{error} in {reply:02x?} after {drawn:02x?}"));
        if reply.get(12..canary.len()) == Some(&canary[12..]) && reply[..2] == canary[..2] {
            assert_eq!((reply[3] & 0xf, message.answers.len()), (0, 1), "{reply:02x?} after {drawn:02x?}");
            tally.canaries += 1;
            awaited = false;
            continue;
        }
        // Two of a burst may have one id, and a ring may send replies in another order.
        let answers = |packet: &&Vec<u8>| packet[..2] == reply[..2] && (packet[2] ^ reply[2]) & 0xf8 == 0x80;
        let Some(idx) = owed.iter().position(answers) else { panic!("{reply:02x?} answers none of {owed:02x?}") };
        tally.overtaken += usize::from(idx > 0);
        owed.remove(idx);
        tally.answered += 1;
        *tally.rcodes.entry(reply[3] & 0xf).or_default() += 1;
    }
}

/// A sound query for a name of its own, without EDNS.
fn canary(number: usize) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    let mut message = vec![high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 12];
    message.extend_from_slice(format!("canary{number:06}").as_bytes()[..12].as_ref());
    message.extend_from_slice(b"\x04wild\x01m\x04test\0\0\x10\0\x01");
    message
}

/// Resident memory of a process in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// All clients at once.
fn run(server: SocketAddr, random: &mut Random, count: usize) -> Tally {
    let share = count / usize::try_from(CLIENT_COUNT).unwrap();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENT_COUNT)
            .map(|_| {
                let seed = random.next();
                scope.spawn(move || client(server, seed, share))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).fold(Tally::default(), |sum, tally| sum.plus(&tally))
    })
}

/// The counters of a plane as `name label` and value.
fn counters(plane: &Plane) -> BTreeMap<String, u64> {
    let words =
        ["status".as_ref(), "--json".as_ref(), "--counters".as_ref(), "--to".as_ref(), plane.control.as_os_str()];
    let shown = document(&words);
    let rows = shown["counters"].as_array().unwrap().clone();
    rows.iter()
        .map(|row| {
            let label = row["label"][1].as_str().unwrap_or_default();
            (format!("{} {label}", row["name"].as_str().unwrap()), row["value"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn malformed_packets_stop_no_canary_and_leave_nothing_behind() {
    let _turn = take_turn();
    let count = std::env::var("PETREL_MALFORMED").map_or(COUNT, |text| text.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let (dir, zone) = (scratch.path().join("snap"), scratch.path().join("m.test.zone"));
    std::fs::write(&zone, ZONE).unwrap();
    compile(&dir, &[&zone]);
    let plane = Plane::start(&dir);
    let mut random = Random::seeded();
    println!("PETREL_SEED={}", random.0);
    let begun = Instant::now();
    let mut tally = run(plane.addr, &mut random, count / 2);
    let mut resident = vec![resident_kib(plane.pid())];
    let has_grown = |resident: &[u64]| match resident {
        [.., before, after] => after.saturating_sub(*before) >= GROWTH_KIB_MAX,
        _ => true,
    };
    // Once, at a time of its choice, the engine may begin to have datagrams merged, which takes longer buffers. A leak grows
    // each time.
    while resident.len() <= PARTS_MAX && has_grown(&resident) {
        tally = run(plane.addr, &mut random, count - count / 2).plus(&tally);
        resident.push(resident_kib(plane.pid()));
    }
    let secs = begun.elapsed().as_secs_f64();
    let counters = counters(&plane);
    let counter = |name: &str| counters.get(name).copied().unwrap_or_else(|| panic!("no {name} in {counters:?}"));
    println!("offered {} in {secs:.1} s ({:.0} a second)", tally.offered, tally.offered as f64 / secs);
    println!("answered {} of {} that a reply is owed to; by RCODE {:?}", tally.answered, tally.owed, tally.rcodes);
    println!("{} replies overtook another", tally.overtaken);
    println!("canaries {} of {}", tally.canaries, tally.canaries);
    println!("resident {resident:?} KiB after half of it, and after each part since");
    for (name, value) in counters.iter().filter(|(name, value)| **value > 0 && !name.starts_with("tcp")) {
        println!("  {name} {value}");
    }
    let silent = counter("drops_total short") + counter("drops_total response") + counter("drops_total oversize");
    assert_eq!(silent, (tally.offered - tally.owed) as u64, "what is owed no reply is counted as dropped");
    assert_eq!(tally.answered, tally.owed, "every message that can be answered is");
    let panics = ["panics_total ", "drops_total panic", "quarantined_total "].map(counter);
    assert_eq!(panics, [0; 3], "{:#}", plane.status()["quarantine"]);
    assert_eq!(plane.status()["pid"], plane.pid(), "the same process answers");
    assert!(!has_grown(&resident), "{resident:?} KiB");
}
