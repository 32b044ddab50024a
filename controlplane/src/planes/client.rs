//! One conversation with a data plane's control socket, in async clothes around `snapshot::handover::frames`.
//!
//! It sets no deadline: its caller drops the connection when one passes. Invariant: at most one question is open.

use std::io;
use std::path::Path;

use snapshot::handover::frames::{FRAME_LEN_MAX, Reply, Request, read_frame, write_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Attached;

/// An open connection to a control socket.
#[derive(Debug)]
pub(super) struct Connection(UnixStream);

/// Asks for status and counters, connecting first if there is no connection.
///
/// # Errors
/// Those of the socket; [`io::ErrorKind::InvalidData`] if the answer is not one to the question.
pub(super) async fn poll(connection: &mut Option<Connection>, path: &Path) -> io::Result<Attached> {
    let open = match connection {
        Some(open) => open,
        none => none.insert(Connection(UnixStream::connect(path).await?)),
    };
    let Reply::Status(status) = open.ask(&Request::Status).await? else {
        return Err(unexpected("status"));
    };
    let Reply::Stats(counters) = open.ask(&Request::Stats).await? else {
        return Err(unexpected("stats"));
    };
    Ok(Attached { status: *status, counters })
}

impl Connection {
    /// Sends a question and reads its answer.
    async fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        let mut frame = Vec::new();
        write_frame(&mut frame, request)?;
        self.0.write_all(&frame).await?;
        let len = self.0.read_u32().await?;
        let body_len = len as usize;
        if body_len > FRAME_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too long"));
        }
        let mut frame = vec![0; 4 + body_len];
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.0.read_exact(&mut frame[4..]).await?;
        match read_frame(&mut frame.as_slice())? {
            Some(Reply::Error { message }) => Err(io::Error::other(message)),
            Some(reply) => Ok(reply),
            None => Err(unexpected("reply")),
        }
    }
}

/// The plane answered something else than what it was asked.
fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is no {what}"))
}
