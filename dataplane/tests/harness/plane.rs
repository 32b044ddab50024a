//! The real server, `dns-dataplane`, on a free loopback port, asked over UDP and TCP.
//!
//! Nothing sleeps: every wait is for a line of the server's log, a datagram or a segment, with a deadline that only a
//! broken server meets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use snapshot::handover::frames::{Reply, Request, read_frame, write_frame};

use super::script::Script;
use crate::common::Failure;

/// When a wait is given up.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait for a line of the log before asking the control socket again.
const RETRY: Duration = Duration::from_millis(20);
/// A query that any server answers in some way; it shows that silence was meant.
const CANARY: &[u8] = b"\xca\xfe\0\0\0\x01\0\0\0\0\0\0\x06canary\0\0\x01\0\x01";

/// A running server; it ends with this value.
pub(crate) struct Plane {
    /// The process.
    child: Child,
    /// Where it answers.
    addr: SocketAddr,
}

impl Plane {
    /// Starts a server that serves the newest generation of `dir` with `engine`, and waits until it does.
    ///
    /// # Errors
    /// A server that ends or does not get ready, with its log.
    pub(crate) fn start(script: &Script, dir: &Path, engine: &str) -> Result<Plane, Failure> {
        Plane::start_on(script, dir, IpAddr::from([127, 0, 0, 1]), &["--engine", engine])
    }

    /// As [`Plane::start`], on an address of another interface and with other arguments.
    ///
    /// # Errors
    /// As [`Plane::start`].
    pub(crate) fn start_on(script: &Script, dir: &Path, listen: IpAddr, with: &[&str]) -> Result<Plane, Failure> {
        let (control, config) = (dir.join("control"), dir.join("config.toml"));
        let mut settings = format!("[answer]\nudp_len_max = {}\n", script.udp_len_max);
        if let Some(version) = &script.version {
            settings.push_str(&format!("version = {version:?}\n"));
        }
        if let Some(nsid) = &script.nsid {
            settings.push_str(&format!("nsid = {nsid:?}\n"));
        }
        settings.push_str(&format!("[cookies]\npolicy = \"{}\"\n", format!("{:?}", script.cookies).to_lowercase()));
        std::fs::write(&config, settings)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_dns-dataplane"))
            .args(["--listen", &SocketAddr::from((listen, 0)).to_string(), "--threads", "1"])
            .args(with)
            .arg("--snapshots")
            .arg(dir)
            .arg("--control")
            .arg(&control)
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("the server has no log")?;
        let (lines, log_lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                // Once the server is ready nobody listens; its log must be drained all the same.
                lines.send(line).ok();
            }
        });
        // The child is owned from here on, so that a server that never gets ready is ended too.
        let mut plane = Plane { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        plane.addr = ready(&control, &log_lines)?;
        Ok(plane)
    }

    /// Sends `query` as a datagram; `None` if only the canary after it is answered.
    ///
    /// # Errors
    /// Those of the socket, a timeout included.
    pub(crate) fn ask_udp(&self, query: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let any = if self.addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(self.addr)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.send(query)?;
        socket.send(CANARY)?;
        let mut reply = None;
        let mut buf = vec![0; 65_535];
        loop {
            let len = socket.recv(&mut buf).map_err(|error| format!("no reply to the canary: {error}"))?;
            if buf[..2] == CANARY[..2] {
                return Ok(reply);
            }
            if reply.replace(buf[..len].to_vec()).is_some() {
                return Err("two replies to one query".into());
            }
        }
    }

    /// Sends `queries` over one connection, all at once, and returns the replies in the order in which they come, until
    /// the canary after them is answered or the server closes.
    ///
    /// # Errors
    /// Those of the connection, a timeout included.
    pub(crate) fn ask_tcp(&self, queries: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let mut bytes = Vec::new();
        for query in queries.iter().map(Vec::as_slice).chain([CANARY]) {
            bytes.extend_from_slice(&u16::try_from(query.len())?.to_be_bytes());
            bytes.extend_from_slice(query);
        }
        // Pieces of a prime length put the borders of segments anywhere: inside the length, the header, the question.
        stream.set_nodelay(true)?;
        for piece in bytes.chunks(251) {
            stream.write_all(piece)?;
        }
        let mut replies = Vec::new();
        loop {
            let mut len = [0; 2];
            match stream.read_exact(&mut len) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(replies),
                other => other?,
            }
            let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut reply)?;
            if reply.starts_with(&CANARY[..2]) {
                return Ok(replies);
            }
            replies.push(reply);
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until the server behind `control` serves a generation, and returns its address.
fn ready(control: &Path, log_lines: &Receiver<String>) -> Result<SocketAddr, Failure> {
    let deadline = Instant::now() + DEADLINE;
    let mut log = String::new();
    loop {
        match log_lines.recv_timeout(RETRY) {
            Ok(line) => log.push_str(&format!("{line}\n")),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(format!("the server ended:\n{log}").into()),
        }
        if let Some(addr) = listening(control) {
            return Ok(addr);
        }
        if Instant::now() > deadline {
            return Err(format!("the server did not get ready:\n{log}").into());
        }
    }
}

/// The address of the server behind `control`, once it serves a generation.
fn listening(control: &Path) -> Option<SocketAddr> {
    let mut stream = UnixStream::connect(control).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write_frame(&mut stream, &Request::Status).ok()?;
    let Some(Reply::Status(status)) = read_frame(&mut stream).ok()? else { return None };
    status.generation?;
    status.listen.first()?.parse().ok()
}
