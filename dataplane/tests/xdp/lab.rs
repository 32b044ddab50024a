//! Two network namespaces with a wire between them: a server's and a client's.
//!
//! Invariant: they go with the [`Lab`], and all that was in them. Threads of the test step into a namespace, and so do
//! the processes and sockets that they make there.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

/// How long tests wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Labs of this process so far.
static LABS: AtomicU32 = AtomicU32::new(0);

/// The interface of the server and that of the client.
pub(crate) const WIRE: [&str; 2] = ["wire-s", "wire-c"];
/// Addresses of the server.
pub(crate) const SERVER: [&str; 2] = ["10.77.0.1", "fd77::1"];

/// The two ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The server's namespace.
    Server,
    /// The client's.
    Client,
}

/// Two namespaces.
pub(crate) struct Lab {
    /// Their names.
    names: [String; 2],
    /// How many queues each end of the wire has.
    queues: usize,
}

/// Runs a command and shows what it says if it fails.
pub(crate) fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = Command::new(words[0]).args(&words[1..]).output();
    let done = done.unwrap_or_else(|error| panic!("`{line}` cannot be run: {error}"));
    assert!(done.status.success(), "`{line}` fails: {}", String::from_utf8_lossy(&done.stderr));
}

impl Lab {
    /// A wire whose ends have so many queues, with addresses of both families.
    pub(crate) fn new(queues: usize) -> Lab {
        assert!(geteuid().is_root(), "these tests make network namespaces and load XDP programs: run them as root");
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let names = ["s", "c"].map(|end| format!("petrel-{}-{number}-{end}", std::process::id()));
        let lab = Lab { names, queues };
        for name in &lab.names {
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {name} link set lo up"));
        }
        lab.wire();
        lab
    }

    /// Puts the wire between the namespaces.
    pub(crate) fn wire(&self) {
        let [server, client] = &self.names;
        let queues = format!("numrxqueues {0} numtxqueues {0}", self.queues);
        run(&format!(
            "ip link add {} netns {server} {queues} type veth peer name {} netns {client} {queues}",
            WIRE[0], WIRE[1]
        ));
        for (end, (name, wire)) in (1..).zip(self.names.iter().zip(WIRE)) {
            run(&format!("ip -n {name} addr add 10.77.0.{end}/24 dev {wire}"));
            run(&format!("ip -n {name} addr add fd77::{end}/64 dev {wire} nodad"));
            run(&format!("ip -n {name} link set {wire} up"));
        }
    }

    /// The name of a namespace.
    pub(crate) fn name(&self, end: End) -> &str {
        &self.names[usize::from(end == End::Client)]
    }

    /// Runs `ip` in a namespace.
    pub(crate) fn ip(&self, end: End, arguments: &str) {
        run(&format!("ip -n {} {arguments}", self.name(end)));
    }

    /// Runs `work` on a thread in a namespace.
    pub(crate) fn inside<T: Send>(&self, end: End, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name(end));
        let done = std::thread::scope(|scope| {
            let stepped = scope.spawn(|| {
                setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            stepped.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A socket of the client for `server`.
    pub(crate) fn client(&self, server: SocketAddr) -> UdpSocket {
        self.inside(End::Client, || {
            let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect(server).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            socket
        })
    }

    /// Datagrams that came to sockets of the server's kernel so far.
    pub(crate) fn kernel_datagrams(&self) -> u64 {
        self.inside(End::Server, || {
            let v4 = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
            let v4 = v4.lines().filter(|line| line.starts_with("Udp:")).nth(1).unwrap();
            let v6 = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
            let v6 = v6.lines().find(|line| line.starts_with("Udp6InDatagrams")).unwrap();
            [v4, v6].iter().map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made cannot be removed.
            Command::new("ip").args(["netns", "del", name]).output().ok();
        }
    }
}

/// A query with this id for A of `qname`, and what else the message holds after it.
pub(crate) fn query(id: u16, qname: &str, rest: &[u8]) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!rest.is_empty())]].concat();
    for label in qname.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message.extend(rest);
    message
}

/// Sends `message` until a reply comes, for as long as `patience`; `None` without one.
pub(crate) fn ask(socket: &UdpSocket, message: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let begun = Instant::now();
    let mut buf = [0; 4096];
    while begun.elapsed() < patience {
        // The route, or the server, may be away for the moment: both show here.
        if socket.send(message).is_err() {
            std::thread::yield_now();
            continue;
        }
        while let Ok(len) = socket.recv(&mut buf) {
            if buf[..2] == message[..2] {
                return Some(buf[..len].to_vec());
            }
        }
    }
    None
}

/// Waits until `done` says so.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
    begun.elapsed()
}

/// The address of the server with `port`.
pub(crate) fn at(addr: &str, port: u16) -> SocketAddr {
    (addr.parse::<IpAddr>().unwrap(), port).into()
}
