//! One TCP connection: length-framed queries in, replies in the same order (RFC 1035 section 4.2.2, RFC 7766).
//!
//! It keeps one query or one reply at a time: pipelined queries wait in the socket's buffer, so a client that does not
//! read is soon not read from either. Memory follows the bytes that came or are to go: neither a length prefix nor an
//! idle connection makes us hold a whole message's room.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::guests::Place;
use super::{Desk, Shared};
use crate::packet::{Packet, Transport};
use crate::quarantine;
use crate::responder::Answer;
use crate::stats::Event;

/// Bytes of the length prefix.
const PREFIX_LEN: usize = 2;
/// Bytes read ahead: some pipelined queries in one system call.
const READ_AHEAD_LEN: usize = 2048;
/// Room for a query before its bytes come; longer ones make it grow.
const QUERY_LEN_USUAL: usize = 512;
/// How long an ending process waits for another query on a connection that has had replies.
const GRACE: Duration = Duration::from_millis(100);
/// A message is at least a header long (RFC 1035 section 4.1.1); what is shorter gets no reply and ends the connection.
const HEADER_LEN: usize = 12;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, broke it, is no DNS client, or had to make room.
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
    let (place, leave, evicts) = shared.guests.borrow_mut().admit(client);
    shared.block.add(Event::TcpEvicted, evicts.into());
    let mut connection = Connection {
        shared,
        socket: BufReader::with_capacity(READ_AHEAD_LEN, socket),
        client,
        place,
        grace: shared.limits.drain,
    };
    let end = tokio::select! {
        end = connection.serve() => end,
        () = leave.notified() => End::Closed,
    };
    if end == End::Timeout {
        shared.block.add(Event::TcpTimeout, 1);
    }
    shared.guests.borrow_mut().free(&connection.place);
}

/// A connection.
struct Connection<'s, A: Answer> {
    /// What all connections share.
    shared: &'s Shared<A>,
    /// The client's socket.
    socket: BufReader<TcpStream>,
    /// Who it is.
    client: IpAddr,
    /// Its place among the connections.
    place: Place,
    /// How long a query is still waited for when the process ends: a client that has just connected is about to send
    /// one, one that has its replies may have one on the way.
    grace: Duration,
}

impl<A: Answer> Connection<'_, A> {
    /// One query after the other.
    async fn serve(&mut self) -> End {
        loop {
            let query = match self.next().await {
                Ok(Some(query)) => query,
                Ok(None) => return End::Closed,
                Err(end) => return end,
            };
            self.shared.guests.borrow_mut().refresh(&mut self.place);
            let frame = self.answer(&query);
            if frame.is_empty() {
                // RFC 7766 section 6.2.4 wants an answer for every query; what gets none is no query, and its sender
                // would wait for ever.
                return End::Closed;
            }
            if let Err(end) = self.send(&frame).await {
                return end;
            }
            self.grace = GRACE;
        }
    }

    /// Reads the next query; `None` at the end of the stream or of the process.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, End> {
        let mut ending = self.shared.ending.clone();
        let (idle, grace) = (self.shared.idle(), self.grace);
        let read = async {
            let Some(len) = prefix(&mut self.socket, &mut ending, grace).await? else { return Ok(None) };
            if len < HEADER_LEN {
                return Ok(None);
            }
            let mut query = Vec::with_capacity(len.min(QUERY_LEN_USUAL));
            (&mut self.socket).take(len as u64).read_to_end(&mut query).await?;
            Ok::<_, io::Error>(Some(query).filter(|query| query.len() == len))
        };
        match timeout(idle, read).await {
            Ok(Ok(query)) => Ok(query),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::Timeout),
        }
    }

    /// Answers a query; returns the reply behind its length prefix, or nothing if none is to be sent.
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let view = self.shared.view.load_full();
        let mut desk = self.shared.desk.borrow_mut();
        let Desk { answer, message } = &mut *desk;
        message[..query.len()].copy_from_slice(query);
        let mut packet = [Packet::new(message, query.len(), self.client)];
        let done = quarantine::guard(|| answer.answer(&view, Transport::Tcp, &mut packet));
        self.shared.block.count_batch(Transport::Tcp, &packet);
        let reply_len = packet[0].reply_len();
        if let Err(cause) = done {
            self.shared.block.add(Event::Panic, 1);
            self.shared.block.quarantine.put(Transport::Tcp, query, query.len(), cause);
            answer.renew();
            return Vec::new();
        }
        let Some(prefix) = u16::try_from(reply_len).ok().filter(|&len| len > 0) else { return Vec::new() };
        let mut frame = Vec::with_capacity(PREFIX_LEN + reply_len);
        frame.extend_from_slice(&prefix.to_be_bytes());
        frame.extend_from_slice(&message[..reply_len]);
        frame
    }

    /// Writes prefix and reply at once.
    async fn send(&mut self, frame: &[u8]) -> Result<(), End> {
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
