//! Unbound as a process of its own, which validates from one trust anchor and asks our server for everything.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snapshot::dns::class::Class;
use snapshot::dns::message::{Edns, Flags, Message, Query, Rcode};
use snapshot::dns::name::Name;

use super::questions::Question;
use super::world::text;

/// How many questions are on the way at a time: fewer than any buffer on the way holds.
const WINDOW: usize = 32;
/// How long the answers of a window may take before they are asked for again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a question is asked.
const ATTEMPT_COUNT_MAX: usize = 3;
/// How many ports are tried: another program may take one between the choice and the start.
const START_COUNT_MAX: usize = 5;
/// The EDNS option of extended errors (RFC 8914 section 2).
const EXTENDED_ERROR: u16 = 15;
/// How many lines of its log are kept.
const LOG_COUNT_MAX: usize = 400;

/// A running resolver; dropping it ends it.
pub(crate) struct Resolver {
    /// The process.
    child: Child,
    /// Where it answers.
    addr: SocketAddr,
    /// Its control socket.
    control: PathBuf,
    /// The latest lines of its log.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Resolver {
    /// Starts one that trusts a DS record of the zone `top` and asks `server`.
    pub(crate) fn start(dir: &Path, server: SocketAddr, top: &str, ds: &str) -> Resolver {
        let started = (0..START_COUNT_MAX).find_map(|_| Resolver::try_start(dir, server, top, ds));
        started.expect("unbound starts; ./test installs it")
    }

    /// Starts one on a port that is free just now; `None` if it ends at once.
    fn try_start(dir: &Path, server: SocketAddr, top: &str, ds: &str) -> Option<Resolver> {
        let addr = free_addr();
        let (file, control) = (dir.join("unbound.conf"), dir.join("unbound.control"));
        std::fs::write(&file, configuration(dir, &control, addr, server, top, ds)).unwrap();
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("unbound is installed: ./test does that");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        if !lines.by_ref().any(|line| line.contains("start of service")) {
            child.wait().unwrap();
            return None;
        }
        let log = Arc::new(Mutex::default());
        follow(lines, Arc::clone(&log));
        Some(Resolver { child, addr, control, log })
    }

    /// Has it forget all that is at a name and below it.
    pub(crate) fn forget(&self, apex: &[String]) {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        stream.write_all(format!("UBCT1 flush_zone {}\n", text(apex)).as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("ok"), "{reply}");
    }

    /// Asks all questions; the answers are in their order.
    pub(crate) fn ask(&self, questions: &[Question]) -> Vec<Message> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut replies = vec![None; questions.len()];
        let mut waiting = (0..questions.len()).collect::<VecDeque<usize>>();
        let mut attempts = vec![0; questions.len()];
        let mut buffer = [0; 65535];
        let mut under_way: HashMap<u16, usize> = HashMap::new();
        loop {
            while under_way.len() < WINDOW
                && let Some(idx) = waiting.pop_front()
            {
                let id = u16::try_from(idx % 65536).unwrap();
                attempts[idx] += 1;
                assert!(attempts[idx] <= ATTEMPT_COUNT_MAX, "no answer to {:?}\n{}", questions[idx], self.log(""));
                socket.send(&query(id, &questions[idx], 0)).unwrap();
                under_way.insert(id, idx);
            }
            if under_way.is_empty() {
                return replies.into_iter().flatten().collect();
            }
            let Ok(len) = socket.recv(&mut buffer) else {
                waiting.extend(under_way.drain().map(|(_, idx)| idx));
                continue;
            };
            let reply = Message::from_wire(&buffer[..len]).unwrap();
            // A late answer to what was asked again is not needed any more.
            let Some(idx) = under_way.remove(&reply.header.id) else { continue };
            // On a busy machine it may give up on a server that is slow.
            if reply.rcode() == Rcode::SERVFAIL && attempts[idx] == 1 && !is_judged(&reply) {
                waiting.push_back(idx);
                continue;
            }
            let is_cut_short = reply.header.flags.contains(Flags::TC);
            replies[idx] = Some(if is_cut_short { ask_by_tcp(self.addr, &questions[idx], 0) } else { reply });
        }
    }

    /// The lines of its log about a name.
    pub(crate) fn log(&self, name: &str) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|line| line.contains(name)).map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // It may have ended by itself; a test that fails leaves nothing behind.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether the resolver had what it asked for and found it wrong: the codes of RFC 8914 section 4.6 to 4.13, which are about
/// proofs. Code 9, no DNSKEY, is left out: it is what the resolver says as well if it could not get that record set in time.
fn is_judged(reply: &Message) -> bool {
    let options = reply.edns.iter().flat_map(|edns| &edns.options);
    let mut codes =
        options.filter(|option| option.code == EXTENDED_ERROR).filter_map(|option| option.value.first_chunk());
    codes.any(|code| matches!(u16::from_be_bytes(*code), 5..=8 | 10..=12))
}

/// Asks one question over TCP, with these EDNS flags.
pub(crate) fn ask_by_tcp(addr: SocketAddr, question: &Question, flags: u16) -> Message {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = query(1, question, flags);
    stream.write_all(&[&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat()).unwrap();
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut reply = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut reply).unwrap();
    Message::from_wire(&reply).unwrap()
}

/// A port of loopback that is free for UDP and TCP.
fn free_addr() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = udp.local_addr().unwrap();
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// The configuration file. Nothing is concluded from what is cached about other names, so that each answer of ours is judged
/// by itself. The server is a forwarder to it, as a name server could not be on a port of its own.
fn configuration(dir: &Path, control: &Path, addr: SocketAddr, server: SocketAddr, top: &str, ds: &str) -> String {
    let (dir, control) = (dir.display(), control.display());
    format!(
        "server:
    directory: \"{dir}\"
    chroot: \"\"
    username: \"\"
    pidfile: \"{dir}/unbound.pid\"
    use-syslog: no
    verbosity: 1
    val-log-level: 2
    num-threads: 1
    interface: {ip}
    port: {port}
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    module-config: \"validator iterator\"
    trust-anchor: \"{top} DS {ds}\"
    local-zone: \"test.\" nodefault
    aggressive-nsec: no
    qname-minimisation: no
    harden-below-nxdomain: no
    harden-algo-downgrade: yes
    minimal-responses: no
    prefetch: no
    edns-buffer-size: 1232
    max-udp-size: 4096
    val-bogus-ttl: 0
    ede: yes
    msg-cache-size: 4m
    rrset-cache-size: 4m
    key-cache-size: 4m
    neg-cache-size: 100k
    outgoing-num-tcp: 64
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: \"{control}\"
forward-zone:
    name: \"{top}\"
    forward-addr: {server_ip}@{server_port}
",
        ip = addr.ip(),
        port = addr.port(),
        server_ip = server.ip(),
        server_port = server.port(),
    )
}

/// A question in wire format; AD asks for AD (RFC 6840 section 5.7).
fn query(id: u16, question: &Question, flags: u16) -> Vec<u8> {
    let qname: Name = text(&question.qname).parse().unwrap();
    let edns = Edns { payload_len: 4096, rcode_high: 0, version: 0, flags, options: Vec::new() };
    let (qname, qtype) = (qname.as_ref(), question.qtype.parse().unwrap());
    let query = Query { id, flags: Flags::RD | Flags::AD, qname, qtype, qclass: Class::IN, edns: Some(edns) };
    query.to_wire().unwrap()
}

/// Keeps the latest lines of a log, until its process ends.
fn follow(lines: impl Iterator<Item = String> + Send + 'static, log: Arc<Mutex<VecDeque<String>>>) {
    std::thread::spawn(move || {
        for line in lines {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_back(line);
            if log.len() > LOG_COUNT_MAX {
                log.pop_front();
            }
        }
    });
}
