//! EDNS(0) under attack: malformed and strange OPT records, responses, poisonous names, cookies of several servers.
//!
//! What is asked is made from parts, so that the expected reply is known without reading the query again; replies are
//! read by the strict reader of the scenarios. What a scenario can state is stated there.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[expect(dead_code, reason = "shared with the scenarios, which look into records")]
mod common;
#[expect(dead_code, reason = "shared with the scenarios, which write queries")]
#[path = "harness/message.rs"]
mod message;
#[expect(dead_code, reason = "shared with the tests of the process, which send signals")]
mod server;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use dataplane::answer::{CookiePolicy, Cookies, NSID_LEN_MAX, Scratch, Secret, Settings, respond};
use dataplane::packet::{Arrival, DropReason, Outcome, Packet, Transport};
use snapshot::handover::frames::{Reply as Said, Request};
use snapshot::image::View;

use message::Reply;
use server::{PATIENCE, Server};

/// The zone that all tests ask.
const ZONE: &str = "@ 60 IN SOA ns hostmaster 7 7200 900 1209600 300\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\n";
/// `ns.example.test. IN A`.
const QUESTION: &[u8] = b"\x02ns\x07example\x04test\0\0\x01\0\x01";
/// A client cookie.
const CLIENT_COOKIE: &[u8; 8] = b"\x01\x02\x03\x04\x05\x06\x07\x08";

/// A directory with the zone.
fn published() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    common::publish(dir.path(), &[("example.test.".parse().unwrap(), ZONE.to_owned())]).unwrap();
    dir
}

/// Everything that options can ask for.
fn generous() -> Settings {
    Settings {
        nsid: Some("n".repeat(NSID_LEN_MAX)),
        cookies: Cookies::new(CookiePolicy::Answer, vec![Secret([7; 16])]),
        tcp_idle: Some(Duration::from_secs(10)),
        ..Settings::default()
    }
}

/// What becomes of one message.
fn outcome(view: &View, settings: &Settings, transport: Transport, query: &[u8]) -> (Outcome, Vec<u8>) {
    let mut buf = vec![0xaa; 65_535];
    buf[..query.len()].copy_from_slice(query);
    let mut packets = [Packet::new(&mut buf, query.len(), IpAddr::from([192, 0, 2, 1]))];
    let arrival = Arrival { transport, now_secs: 1_800_000_000, lot: 0 };
    respond(settings, view, arrival, &mut packets, &mut Scratch::new());
    let (outcome, len) = (packets[0].outcome, packets[0].reply_len());
    (outcome, buf[..len].to_vec())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Octets.
    fn octets(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// An OPT record to be sent.
struct Opt {
    /// Its options.
    options: Vec<(u16, Vec<u8>)>,
    /// Its version.
    version: u8,
    /// What is wrong with it.
    fault: Fault,
}

/// What can be wrong with an OPT record, its options apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// The last option claims more than there is.
    Torn,
    /// There is another one like it.
    Twice,
    /// The owner is not the root.
    Named,
    /// RDLENGTH goes beyond the message.
    Long,
}

impl Opt {
    /// One of many.
    fn random(random: &mut Random) -> Opt {
        let faults = [Fault::Torn, Fault::Twice, Fault::Named, Fault::Long];
        let fault = *faults.get(usize::try_from(random.below(12)).unwrap()).unwrap_or(&Fault::None);
        let version = if random.below(8) == 0 { u8::try_from(random.below(256)).unwrap() } else { 0 };
        let options = (0..random.below(6)).map(|_| {
            let code = [3, 3, 10, 10, 10, 11, 19, 8, 12, 13, 14, 65_001][usize::try_from(random.below(12)).unwrap()];
            let len = [0, 0, 8, 8, 24, 24, 7, 9, 16, 40, 41, 200][usize::try_from(random.below(12)).unwrap()];
            (code, random.octets(len))
        });
        Opt { options: options.collect(), version, fault }
    }

    /// The whole query.
    fn query(&self) -> Vec<u8> {
        let twice = self.fault == Fault::Twice;
        let mut query = [&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 + u8::from(twice)], QUESTION].concat();
        let mut rdata = Vec::new();
        for (code, content) in &self.options {
            rdata.extend(code.to_be_bytes());
            rdata.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            rdata.extend(content);
        }
        if self.fault == Fault::Torn {
            rdata.extend([0xfd, 0xe9, 0, 2, 1]);
        }
        let claimed = u16::try_from(rdata.len()).unwrap() + u16::from(self.fault == Fault::Long);
        let owner: &[u8] = if self.fault == Fault::Named { b"\x01a\0" } else { b"\0" };
        let head = [0, 41, 4, 208, 0, self.version, 0, 0];
        let record = [owner, &head, &claimed.to_be_bytes(), &rdata].concat();
        query.extend_from_slice(&record);
        if twice {
            query.extend_from_slice(&record);
        }
        query
    }

    /// The response code, and the codes of the options in the reply if there is an OPT record.
    fn expected(&self, transport: Transport) -> (u16, Option<Vec<u16>>) {
        if matches!(self.fault, Fault::Twice | Fault::Named | Fault::Long) {
            return (1, None);
        }
        if self.version > 0 {
            return (16, Some(vec![]));
        }
        let cookie = self.options.iter().find(|(code, _)| *code == 10);
        if self.fault == Fault::Torn || cookie.is_some_and(|(_, content)| !matches!(content.len(), 8 | 16..=40)) {
            return (1, Some(vec![15]));
        }
        let has =
            |code, len_max| self.options.iter().any(|(known, content)| *known == code && content.len() <= len_max);
        let answered = [(10, true), (3, true), (11, transport == Transport::Tcp), (19, true)];
        let asked = |code| has(code, if matches!(code, 11 | 19) { 0 } else { usize::MAX });
        (0, Some(answered.into_iter().filter(|(code, can)| *can && asked(*code)).map(|(code, _)| code).collect()))
    }
}

#[test]
fn t_a5_every_opt_gets_the_reply_of_its_faults_and_nothing_of_it_comes_back() {
    let view = common::load(published().path()).unwrap();
    let (settings, mut random) = (generous(), Random(5));
    for round in 0..20_000 {
        let opt = Opt::random(&mut random);
        let transport = if round % 2 == 0 { Transport::Udp } else { Transport::Tcp };
        let query = opt.query();
        let (_, bytes) = outcome(&view, &settings, transport, &query);
        let reply = Reply::decode(&bytes).unwrap_or_else(|error| panic!("{error}: {query:02x?} gives {bytes:02x?}"));
        let options = reply.edns.as_ref().map(|edns| edns.options.clone());
        let codes = options.as_ref().map(|options| options.iter().map(|(code, _)| *code).collect());
        assert_eq!((reply.rcode, codes), opt.expected(transport), "{query:02x?}");
        assert_eq!(reply.questions.len(), 1, "{query:02x?}");
        assert!(transport == Transport::Tcp || bytes.len() <= 1232, "{query:02x?}");
        // The client cookie is all that is repeated.
        for (code, content) in options.unwrap_or_default() {
            let sent = opt.options.iter().find(|(known, _)| *known == code);
            match code {
                10 => assert_eq!(content[..8], sent.unwrap().1[..8]),
                3 => assert_eq!(content, [b'n'; NSID_LEN_MAX]),
                11 => assert_eq!(content, [0, 100]),
                19 => assert_eq!(content, [2, 0, 0, 0, 0, 7]),
                _ => assert_eq!(content[..2], [0, 0]),
            }
        }
    }
}

#[test]
fn t_a5_an_opt_cut_anywhere_is_an_error() {
    let view = common::load(published().path()).unwrap();
    let opt = Opt { options: vec![(10, vec![1; 24]), (3, vec![]), (19, vec![])], version: 0, fault: Fault::None };
    let query = opt.query();
    for len in 12 + QUESTION.len()..query.len() {
        let (_, bytes) = outcome(&view, &generous(), Transport::Udp, &query[..len]);
        let reply = Reply::decode(&bytes).unwrap();
        assert_eq!((reply.rcode, reply.edns), (1, None), "{len}");
    }
}

#[test]
fn t_a6_a_response_never_gets_a_byte_back() {
    let view = common::load(published().path()).unwrap();
    let opt = Opt { options: vec![(10, vec![1; 8]), (3, vec![])], version: 0, fault: Fault::None };
    let whole = opt.query();
    for flags in 0x8000..=0xffff_u16 {
        for len in [12, 12 + QUESTION.len(), whole.len()] {
            let mut query = whole[..len].to_vec();
            query[2..4].copy_from_slice(&flags.to_be_bytes());
            for counts in [[0, 0], [0, 1]] {
                query[4..6].copy_from_slice(&counts);
                let (outcome, bytes) = outcome_of_small(&view, &query);
                assert_eq!((outcome, bytes), (Outcome::Drop(DropReason::Response), 0), "{flags:04x} {len}");
            }
        }
    }
}

/// [`outcome`] in a small buffer, for many messages: what becomes of one, and the bytes that are sent.
fn outcome_of_small(view: &View, query: &[u8]) -> (Outcome, usize) {
    thread_local! {
        /// Lanes that are made once.
        static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::new(Scratch::new());
    }
    let mut buf = [0xaa; 512];
    buf[..query.len()].copy_from_slice(query);
    let mut packets = [Packet::new(&mut buf, query.len(), IpAddr::from([127, 0, 0, 1]))];
    let arrival = Arrival { transport: Transport::Udp, now_secs: 0, lot: 0 };
    SCRATCH.with_borrow_mut(|scratch| respond(&Settings::default(), view, arrival, &mut packets, scratch));
    (packets[0].outcome, packets[0].reply_len())
}

/// One exchange with a server, over a socket of its own.
fn ask(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(query).unwrap();
    let mut buf = vec![0; 65_535];
    let len = socket.recv(&mut buf).unwrap();
    buf[..len].to_vec()
}

/// Name, label and value of a counter.
type Count = (String, Option<(String, String)>, u64);

/// All counters.
fn counters(server: &Server) -> Vec<Count> {
    let Said::Stats(counters) = server.request(&Request::Stats) else { panic!("no counters") };
    counters.into_iter().map(|counter| (counter.name, counter.label, counter.value)).collect()
}

#[test]
fn t_a15_names_reach_neither_counters_nor_the_log() {
    let dir = published();
    let server = Server::start(dir.path(), "127.0.0.1:0", &dir.path().join("control"), |_| ());
    let before = counters(&server);
    let log_len = server.log().lines().count();
    let poison: [&[u8]; 8] = [
        b"\"} 1\ndns_queries_total 0",
        b"\n\r\n",
        b"\x1b[2J\x1b]0;title\x07",
        b"<img src=x onerror=alert(1)>",
        b"\xff\xfe\xc3\x28",
        b"'; DROP TABLE zones; --",
        b"%s%n${jndi:ldap://x}",
        b"\0",
    ];
    for label in poison {
        for (suffix, rcode) in [(&b"\x07example\x04test\0"[..], 3), (b"\0", 5)] {
            let head = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            let len = [u8::try_from(label.len()).unwrap()];
            let reply = ask(server.addr, &[&head, &len[..], label, suffix, &[0, 1, 0, 1]].concat());
            assert_eq!(reply[3] & 0xf, rcode, "{label:?}");
        }
    }
    let after = counters(&server);
    let names = |counters: &[Count]| -> Vec<_> {
        counters.iter().map(|(name, label, _)| (name.clone(), label.clone())).collect()
    };
    assert_eq!(names(&before), names(&after));
    for (name, label, _) in &after {
        for word in [Some(name), label.as_ref().map(|label| &label.0), label.as_ref().map(|label| &label.1)] {
            let plain = |word: &String| word.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
            assert!(word.is_none_or(plain), "{word:?}");
        }
    }
    let total = |counters: &[Count]| -> u64 {
        counters.iter().filter(|(name, ..)| name == "queries_total").map(|(.., value)| value).sum()
    };
    assert_eq!(total(&after) - total(&before), 16);
    assert_eq!(server.log().lines().count(), log_len, "{}", server.log());
}

/// A server that requires cookies made with one of `secrets`, a line each.
fn requiring(dir: &Path, name: &str, secrets: &str) -> Server {
    let (config, file) = (dir.join(format!("{name}.toml")), dir.join(format!("{name}.secrets")));
    std::fs::write(&config, "[cookies]\npolicy = 'require'\n").unwrap();
    std::fs::write(&file, secrets).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Server::start(dir, "127.0.0.1:0", &dir.join(name), |command| {
        command.arg("--config").arg(&config).arg("--cookie-secrets").arg(&file);
    })
}

/// Asks with a cookie; returns the response code and the cookie of the reply.
fn ask_with(server: &Server, cookie: &[u8]) -> (u16, Vec<u8>) {
    let opt = Opt { options: vec![(10, cookie.to_vec())], version: 0, fault: Fault::None };
    let reply = Reply::decode(&ask(server.addr, &opt.query())).unwrap();
    let [(10, cookie)] = &reply.edns.unwrap().options[..] else { panic!("not one cookie") };
    (reply.rcode, cookie.clone())
}

#[test]
fn t_d7_servers_that_share_secrets_share_clients_while_secrets_roll_over() {
    let (old, new) = ("dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962");
    let dir = published();
    let before = requiring(dir.path(), "before", old);
    let during = requiring(dir.path(), "during", &format!("{new}\n{old}\n"));
    let after = requiring(dir.path(), "after", new);
    let (rcode, first) = ask_with(&before, CLIENT_COOKIE);
    assert_eq!((rcode, first.len()), (23, 24));
    assert_eq!(ask_with(&before, &first), (0, first.clone()));
    let (rcode, second) = ask_with(&during, &first);
    assert_eq!(rcode, 0);
    assert_ne!(first[16..], second[16..]);
    assert_eq!(ask_with(&during, &second), (0, second.clone()));
    assert_eq!(ask_with(&after, &second), (0, second.clone()));
    // What the old secret made is worth nothing once it is gone, nor what the new one makes where it never was.
    assert_eq!(ask_with(&after, &first).0, 23);
    assert_eq!(ask_with(&before, &second).0, 23);
    let refused = |server: &Server| {
        let label = Some(("rcode".to_owned(), "BADCOOKIE".to_owned()));
        counters(server).into_iter().find(|(_, known, _)| *known == label).map(|(.., value)| value)
    };
    assert_eq!([refused(&before), refused(&during), refused(&after)], [Some(2), Some(0), Some(1)]);
}
