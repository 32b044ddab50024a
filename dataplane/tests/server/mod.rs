//! A data plane as a process of its own, and a client that asks it one question.
//!
//! It knows one name, `www.example.test.`, and reads the last octet of its address.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};

/// How long tests wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// `www.example.test. IN A`, without recursion.
const QUERY: &[u8] = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\x04test\0\0\x01\0\x01";

/// A process that ends with this value.
pub(crate) struct Server {
    /// The process.
    child: Child,
    /// Where it answers.
    pub(crate) addr: SocketAddr,
    /// Its control socket.
    control: PathBuf,
    /// What it logged so far.
    log: Arc<Mutex<String>>,
    /// The thread that keeps the log; it ends when the log does.
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a process and waits until it says that it is ready; `with` adds to its command line.
    pub(crate) fn start(dir: &Path, listen: &str, control: &Path, with: impl Fn(&mut Command)) -> Server {
        let mut child = command(dir, listen, control, with).spawn().unwrap();
        let (log, ready, reader) = follow(child.stderr.take().unwrap());
        // Owned from here on, so that it ends if it does not get ready.
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { child, addr, control: control.to_owned(), log, reader: Some(reader) };
        assert!(ready.recv_timeout(PATIENCE).is_ok(), "the server does not get ready:\n{}", server.log());
        let Reply::Status(status) = server.request(&Request::Status) else { panic!("no status") };
        server.addr = status.listen[0].parse().unwrap();
        server
    }

    /// Starts a process that must fail with exit code 1, and returns its log.
    pub(crate) fn refused(dir: &Path, listen: &str, control: &Path, with: impl Fn(&mut Command)) -> String {
        let mut child = command(dir, listen, control, with).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { child, addr, control: control.to_owned(), log: Arc::default(), reader: None };
        let (text, came) = mpsc::channel();
        thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            text.send(log).unwrap();
        });
        let log = came.recv_timeout(PATIENCE).expect("the server ends");
        assert_eq!(server.end(), Some(1), "{log}");
        log
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and for the end of its log; `None` if a signal killed it.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end:\n{}", self.log());
            thread::yield_now();
        }
    }

    /// One exchange over its control socket.
    pub(crate) fn request(&self, request: &Request) -> Reply {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write_frame(&mut stream, request).unwrap();
        read_frame(&mut stream).unwrap().expect("a reply")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The last octet of the address of `www.example.test.`; `None` if no such reply comes.
pub(crate) fn ask(server: SocketAddr) -> Option<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(QUERY).ok()?;
    let mut buf = [0; 512];
    let len = socket.recv(&mut buf).ok()?;
    let answered = len > QUERY.len() && buf[..2] == QUERY[..2] && buf[7] == 1;
    // The answer section holds the only record, which follows the question: a pointer, ten octets, the address.
    answered.then(|| buf[QUERY.len() + 15])
}

/// A command line with two workers.
fn command(dir: &Path, listen: &str, control: &Path, with: impl Fn(&mut Command)) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dns-dataplane"));
    command.arg("--snapshots").arg(dir).arg("--control").arg(control);
    command.args(["--listen", listen, "--threads", "2"]);
    command.env_remove("NOTIFY_SOCKET").env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::piped());
    with(&mut command);
    command
}

/// Keeps the log, and tells when a line says that the server is ready.
fn follow(stderr: ChildStderr) -> (Arc<Mutex<String>>, Receiver<()>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(String::new()));
    let (ready, is_ready) = mpsc::channel();
    let kept = Arc::clone(&log);
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            kept.lock().unwrap().push_str(&format!("{line}\n"));
            if line.trim_end().ends_with("ready") {
                // Nobody listens any more once it was ready.
                ready.send(()).ok();
            }
        }
    });
    (log, is_ready, reader)
}
