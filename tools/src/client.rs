//! A client of a data plane's control socket, with a deadline for each question.
//!
//! The words are `snapshot::handover::frames`; here is only how long we wait for them. Invariant: no call takes longer
//! than the time it was given, whatever the peer does: not accepting, not reading, or sending a byte at a time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use snapshot::handover::frames::{Counters, Reply, Request, Serving, Status, read_frame, write_frame};

use crate::failure::Failure;

/// The pause before asking again a peer whose queue of connections is full.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// A connection to a control socket.
#[derive(Debug)]
pub(crate) struct Client {
    /// The socket.
    stream: UnixStream,
    /// Its path, for messages.
    path: PathBuf,
    /// How long one question may take.
    time_max: Duration,
}

/// Why a data plane did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens there.
    #[error("no data plane answers on {path}: {cause}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The conversation broke.
    #[error("talking to the data plane on {path}: {cause}")]
    Talk {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// No whole answer came in time.
    #[error("the data plane on {path} gave no answer within {} ms", .time_max.as_millis())]
    Late {
        /// The socket.
        path: PathBuf,
        /// How long we waited.
        time_max: Duration,
    },
    /// The data plane says no.
    #[error("the data plane refuses: {0}")]
    Refused(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused(_) => Failure::Input(error.to_string()),
            _ => Failure::Unable(error.to_string()),
        }
    }
}

/// A stream whose reads and writes all end at one moment.
struct Timed<'s> {
    /// The socket.
    stream: &'s UnixStream,
    /// The moment.
    until: Instant,
}

impl Timed<'_> {
    /// The time that is left.
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buf)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Client {
    /// Connects to the control socket `path`; connecting and each question may take `time_max`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub(crate) fn connect(path: &Path, time_max: Duration) -> Result<Client, ClientError> {
        let until = Instant::now() + time_max;
        let stream = loop {
            match connect_now(path) {
                // The queue of connections is full; it is not a socket event, so there is nothing to poll for.
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                other => break other,
            }
        };
        match stream {
            Ok(stream) => Ok(Client { stream, path: path.to_owned(), time_max }),
            Err(cause) => Err(ClientError::Connect { path: path.to_owned(), cause }),
        }
    }

    /// What the data plane is doing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(*status),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Its counters.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn counters(&mut self) -> Result<Counters, ClientError> {
        match self.ask(&Request::Stats)? {
            Reply::Stats(counters) => Ok(counters),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Has it take the newest generation of its directory; returns when that is being served.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it cannot be served, else another [`ClientError`].
    pub(crate) fn reload(&mut self) -> Result<Serving, ClientError> {
        match self.ask(&Request::Reload)? {
            Reply::Serving(serving) => Ok(serving),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks and waits for the answer.
    fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let mut timed = Timed { stream: &self.stream, until: Instant::now() + self.time_max };
        let asked = write_frame(&mut timed, request).and_then(|()| read_frame(&mut timed));
        let (path, time_max) = (self.path.clone(), self.time_max);
        match asked {
            Ok(Some(Reply::Error { message })) => Err(ClientError::Refused(message)),
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(ClientError::Talk { path, cause: io::ErrorKind::UnexpectedEof.into() }),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Err(ClientError::Late { path, time_max })
            }
            Err(cause) => Err(ClientError::Talk { path, cause }),
        }
    }

    /// The error of an answer to another question.
    fn unexpected(&self, reply: &Reply) -> ClientError {
        let kind = match reply {
            Reply::Status(_) => "status",
            Reply::Serving(_) => "serving",
            Reply::Prepared => "prepared",
            Reply::Stats(_) => "stats",
            Reply::Retiring => "retiring",
            Reply::Error { .. } => "error",
        };
        let cause = io::Error::new(io::ErrorKind::InvalidData, format!("unexpected answer `{kind}`"));
        ClientError::Talk { path: self.path.clone(), cause }
    }
}

/// Connects without waiting: `UnixStream::connect` would wait for as long as the peer's queue is full.
fn connect_now(path: &Path) -> io::Result<UnixStream> {
    let addr = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &addr)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    /// A status as a healthy data plane gives it.
    pub(crate) fn status() -> Status {
        Status {
            protocol: 1,
            version: "0.1.0".into(),
            pid: 42,
            uptime_secs: 3661,
            directory: "/data".into(),
            generation: Some(7),
            zones: 2,
            bytes: 4096,
            refused: None,
            engine: "uring".into(),
            engine_notes: vec!["xdp: not built in".into()],
            listen: vec!["127.0.0.1:5300".into()],
            workers: 2,
            retiring: false,
            quarantine: Vec::new(),
        }
    }

    /// A data plane that accepts once and writes `reply` to whatever is asked; the thread ends when the client goes.
    pub(crate) fn fake_plane(path: &Path, reply: Vec<u8>) -> JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while let Ok(Some(_)) = read_frame::<Request>(&mut stream) {
                if reply.is_empty() {
                    return;
                }
                stream.write_all(&reply).ok();
            }
        })
    }

    /// The bytes of a reply.
    pub(crate) fn frame(reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, reply).unwrap();
        bytes
    }

    /// Asks a fake plane for its status twice; the latter result as text.
    fn check_status(reply: Vec<u8>, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let plane = fake_plane(&path, reply);
        let mut client = Client::connect(&path, Duration::from_millis(200)).unwrap();
        let found = match client.status() {
            Ok(status) => format!("{status:?}"),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found:?} does not contain {expected:?}");
        drop(client);
        plane.join().unwrap();
    }

    #[test]
    fn answers_and_their_absence_are_told_apart() {
        check_status(frame(&Reply::Status(Box::new(status()))), "generation: Some(7)");
        check_status(frame(&Reply::Error { message: "not now".into() }), "the data plane refuses: not now");
        check_status(frame(&Reply::Retiring), "unexpected answer `retiring`");
        check_status(Vec::new(), "unexpected end of file");
        check_status(vec![0xff; 8], "frame is too long");
        check_status(b"\0\0\0\x02{}".to_vec(), "missing field");
    }

    #[test]
    fn half_an_answer_and_a_full_queue_end_at_the_deadline() {
        check_status(b"\0\0\0\x10{".to_vec(), "gave no answer within 200 ms");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let _silent = UnixListener::bind(&path).unwrap();
        let mut client = Client::connect(&path, Duration::from_millis(20)).unwrap();
        assert!(matches!(client.status(), Err(ClientError::Late { .. })));
    }

    #[test]
    fn a_missing_plane_is_named() {
        let error = Client::connect(Path::new("/nowhere/control"), Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().starts_with("no data plane answers on /nowhere/control: No such file"), "{error}");
        assert_eq!(Failure::from(error).exit_code(), 3);
        assert_eq!(Failure::from(ClientError::Refused("x".into())).exit_code(), 1);
        let long = PathBuf::from("x".repeat(200));
        assert!(Client::connect(&long, Duration::from_millis(20)).is_err());
    }
}
