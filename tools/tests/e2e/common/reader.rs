//! The client that reads contents: it asks all the time and looks at every record that comes back.
//!
//! Invariants it checks: each reply is of one version; a query that is sent after a push has returned is answered from
//! that version or a later one; nothing is answered from a version that was not begun; nothing is lost.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::client::Client;
use super::versions::{QUESTIONS, version_of};

/// Which versions may be seen.
#[derive(Debug)]
pub(crate) struct Window {
    /// The version of the latest push that has returned.
    pub(crate) acknowledged: AtomicU32,
    /// The latest version that may be served.
    pub(crate) begun: AtomicU32,
    /// How many replies were read.
    pub(crate) replies: AtomicU64,
    /// Whether it is time to end.
    ended: AtomicBool,
}

/// How the reader asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Over UDP.
    Udp,
    /// Over TCP, a connection for each query.
    TcpEach,
    /// Over one TCP connection.
    TcpKept,
}

/// Readers in threads of their own.
pub(crate) struct Readers {
    /// What they may see.
    pub(crate) window: Arc<Window>,
    /// The threads; each returns what went wrong.
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// How many mistakes are enough to tell.
const MISTAKE_COUNT_MAX: usize = 10;

impl Readers {
    /// Starts one reader for each way; `version` is being served.
    pub(crate) fn start(server: SocketAddr, version: u32, ways: &[Way]) -> Readers {
        let window = Arc::new(Window {
            acknowledged: AtomicU32::new(version),
            begun: AtomicU32::new(version),
            replies: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let start = |&way: &Way| {
            let window = Arc::clone(&window);
            std::thread::spawn(move || read(server, way, &window))
        };
        Readers { threads: ways.iter().map(start).collect(), window }
    }

    /// Ends the readers. Returns how many replies they read; any mistake is a panic.
    pub(crate) fn end(self) -> u64 {
        self.window.ended.store(true, Ordering::Release);
        let mistakes: Vec<_> = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let replies = self.window.replies.load(Ordering::Acquire);
        assert!(mistakes.is_empty(), "of {replies} replies: {mistakes:#?}");
        replies
    }
}

/// Asks until told to end; returns what went wrong.
fn read(server: SocketAddr, way: Way, window: &Window) -> Vec<String> {
    let mut client = Client::new(server);
    let mut kept: Option<TcpStream> = None;
    let mut mistakes = Vec::new();
    for &(qname, qtype, answer_count) in QUESTIONS.iter().cycle() {
        if window.ended.load(Ordering::Acquire) || mistakes.len() >= MISTAKE_COUNT_MAX {
            break;
        }
        let oldest = window.acknowledged.load(Ordering::SeqCst);
        let reply = match way {
            Way::Udp => client.udp(qname, qtype),
            Way::TcpEach => client.tcp(qname, qtype),
            Way::TcpKept => match kept.take().map_or_else(|| client.connect(), Ok) {
                Ok(mut stream) => {
                    let reply = client.ask_on(&mut stream, qname, qtype);
                    kept = reply.is_ok().then_some(stream);
                    reply
                }
                Err(cause) => Err(cause),
            },
        };
        let newest = window.begun.load(Ordering::SeqCst);
        window.replies.fetch_add(1, Ordering::Relaxed);
        let version = match reply {
            Ok(reply) => version_of(&reply, answer_count),
            Err(cause) => Err(format!("lost: {cause}")),
        };
        match version {
            Ok(version) if (oldest..=newest).contains(&version) => {}
            Ok(version) => mistakes.push(format!("{way:?} {qname} {qtype}: {version} is not in {oldest}..={newest}")),
            Err(cause) => mistakes.push(format!("{way:?} {qname} {qtype} in {oldest}..={newest}: {cause}")),
        }
    }
    mistakes
}
