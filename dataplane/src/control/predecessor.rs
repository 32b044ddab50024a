//! The other end of the control socket: a process that is to be replaced.
//!
//! Only a process that answers [`Request::Status`] with a protocol that we know is a predecessor.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use snapshot::handover::frames::{Reply, Request, Status, read_frame, write_frame};

use super::rights;

/// How long a predecessor may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that answers on the control socket.
pub(crate) struct Predecessor {
    /// The connection.
    stream: UnixStream,
    /// What it said.
    pub(crate) status: Box<Status>,
}

/// Asks who answers at `path`; `None` if nobody does.
///
/// # Errors
/// If somebody does who is no data plane, or who does not talk to us.
pub(crate) fn find(path: &Path) -> io::Result<Option<Predecessor>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        // A file that is no socket is reported when the path is bound.
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match ask(&stream, &Request::Status)? {
        Reply::Status(status) if !status.retiring => Ok(Some(Predecessor { stream, status })),
        Reply::Status(_) => Ok(None),
        other => Err(io::Error::other(format!("who answers there is no data plane: {other:?}"))),
    }
}

impl Predecessor {
    /// Has it retire and takes over its TCP listeners.
    ///
    /// # Errors
    /// If it refuses or is gone.
    pub(crate) fn retire(self) -> io::Result<Vec<TcpListener>> {
        match ask(&self.stream, &Request::Retire)? {
            Reply::Retiring => rights::receive(&self.stream),
            other => Err(io::Error::other(format!("the predecessor does not retire: {other:?}"))),
        }
    }
}

/// One request, one reply.
fn ask(mut stream: &UnixStream, request: &Request) -> io::Result<Reply> {
    write_frame(&mut stream, request)?;
    read_frame(&mut stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
