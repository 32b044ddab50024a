//! One TCP connection: length-framed queries in, replies in the same order (RFC 1035 section 4.2.2, RFC 7766).
//!
//! It keeps one query and one reply at a time: pipelined queries wait in the socket's buffer, so a client that does not
//! read is soon not read from either, and can make us hold no more than one message.

use std::io;
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use crate::packet::{Packet, Transport};
use crate::responder::Answer;
use crate::stats::Event;

/// Bytes of the length prefix.
const PREFIX_LEN: usize = 2;
/// The longest message.
const MESSAGE_LEN_MAX: usize = 65_535;
/// Bytes read ahead: some pipelined queries in one system call.
const READ_AHEAD_LEN: usize = 2048;
/// How long an ending process waits for another query on a connection that has had replies.
const GRACE: Duration = Duration::from_millis(100);
/// A message is at least a header long (RFC 1035 section 4.1.1); what is shorter gets no reply and ends the connection.
const HEADER_LEN: usize = 12;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, broke it, or is no DNS client.
    Closed,
    /// The client was idle or did not read.
    Timeout,
}

/// Serves a connection until it ends.
pub(super) async fn run<A: Answer>(shared: &Shared<A>, socket: TcpStream, client: IpAddr) {
    // A reply is one write; waiting for more to fill a segment would only delay it.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let mut connection = Connection {
        shared,
        socket: BufReader::with_capacity(READ_AHEAD_LEN, socket),
        client,
        answer: shared.answer.fork(),
        message: Vec::new(),
        grace: shared.limits.drain,
    };
    if connection.serve().await == End::Timeout {
        shared.block.add(Event::TcpTimeout, 1);
    }
}

/// A connection and its one message.
struct Connection<'s, A: Answer> {
    /// What all connections share.
    shared: &'s Shared<A>,
    /// The client's socket.
    socket: BufReader<TcpStream>,
    /// Who it is.
    client: IpAddr,
    /// What answers.
    answer: A,
    /// The query and then its reply, behind room for the length prefix; allocated with the first query.
    message: Vec<u8>,
    /// How long a query is still waited for when the process ends: a client that has just connected is about to send
    /// one, one that has its replies may have one on the way.
    grace: Duration,
}

impl<A: Answer> Connection<'_, A> {
    /// One query after the other.
    async fn serve(&mut self) -> End {
        loop {
            let query_len = match self.next().await {
                Ok(Some(query_len)) => query_len,
                Ok(None) => return End::Closed,
                Err(end) => return end,
            };
            let reply_len = self.answer(query_len);
            if reply_len == 0 {
                // RFC 7766 section 6.2.4 wants an answer for every query; what gets none is no query, and its sender
                // would wait for ever.
                return End::Closed;
            }
            if let Err(end) = self.reply(reply_len).await {
                return end;
            }
            self.grace = GRACE;
        }
    }

    /// Reads the next query; `None` at the end of the stream or of the process.
    async fn next(&mut self) -> Result<Option<usize>, End> {
        let mut ending = self.shared.ending.clone();
        let (idle, grace) = (self.shared.idle(), self.grace);
        let read = async {
            let Some(len) = prefix(&mut self.socket, &mut ending, grace).await? else { return Ok(None) };
            if len < HEADER_LEN {
                return Ok(None);
            }
            if self.message.is_empty() {
                self.message.resize(PREFIX_LEN + MESSAGE_LEN_MAX, 0);
            }
            self.socket.read_exact(&mut self.message[PREFIX_LEN..PREFIX_LEN + len]).await?;
            Ok::<_, io::Error>(Some(len))
        };
        match timeout(idle, read).await {
            Ok(Ok(len)) => Ok(len),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::Timeout),
        }
    }

    /// Answers the query in the message; returns the length of the reply, 0 for none.
    fn answer(&mut self, query_len: usize) -> usize {
        let view = self.shared.view.load_full();
        let mut packet = [Packet::new(&mut self.message[PREFIX_LEN..], query_len, self.client)];
        let answer = &mut self.answer;
        let done = panic::catch_unwind(AssertUnwindSafe(|| answer.answer(&view, Transport::Tcp, &mut packet)));
        self.shared.block.count_batch(Transport::Tcp, &packet);
        if done.is_err() {
            self.shared.block.add(Event::Panic, 1);
            return 0;
        }
        packet[0].reply_len()
    }

    /// Writes prefix and reply at once.
    async fn reply(&mut self, reply_len: usize) -> Result<(), End> {
        let len = u16::try_from(reply_len).map_err(|_| End::Closed)?;
        self.message[..PREFIX_LEN].copy_from_slice(&len.to_be_bytes());
        let frame = &self.message[..PREFIX_LEN + reply_len];
        match timeout(self.shared.limits.write, self.socket.write_all(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::Timeout),
        }
    }
}

/// Reads a length prefix; `None` if the stream ends before it, or if the process ends while no query is under way.
async fn prefix(
    socket: &mut BufReader<TcpStream>,
    ending: &mut tokio::sync::watch::Receiver<bool>,
    grace: Duration,
) -> io::Result<Option<usize>> {
    let first = tokio::select! {
        // Queries that are here already are answered even when the process ends.
        biased;
        first = socket.read_u8() => first,
        () = ended(ending, grace) => return Ok(None),
    };
    let first = match first {
        Ok(first) => first,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let second = socket.read_u8().await?;
    Ok(Some(usize::from(u16::from_be_bytes([first, second]))))
}

/// Waits until the process ends and `grace` has passed.
async fn ended(ending: &mut tokio::sync::watch::Receiver<bool>, grace: Duration) {
    if ending.wait_for(|end| *end).await.is_ok() {
        tokio::time::sleep(grace).await;
    }
}
