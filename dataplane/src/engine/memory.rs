//! An engine without sockets: datagrams come from a queue and replies go to a list, for tests and benches.
//!
//! It never waits.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::{Engine, Serve, TURN_LEN, Turn};
use crate::packet::Packet;

/// Bytes of each buffer, as in the socket engines.
const BUFFER_LEN: usize = super::lanes::PAYLOAD_LEN;

/// A queue of queries and what was replied.
#[derive(Debug, Default)]
pub struct Memory {
    /// Queries that wait, with their clients.
    pub queries: VecDeque<(IpAddr, Vec<u8>)>,
    /// Replies in the order of sending, with their clients.
    pub replies: Vec<(IpAddr, Vec<u8>)>,
}

impl Engine for Memory {
    fn turn(&mut self, _wait: Duration, serve: Serve<'_>) -> io::Result<Turn> {
        let mut turn = Turn::default();
        let mut taken = Vec::new();
        for (client, mut query) in self.queries.drain(..self.queries.len().min(TURN_LEN)) {
            let query_len = query.len();
            if query_len > BUFFER_LEN {
                turn.cut += 1;
                continue;
            }
            query.resize(BUFFER_LEN, 0);
            taken.push((client, query_len, query));
        }
        let mut packets: Vec<_> =
            taken.iter_mut().map(|(client, query_len, buf)| Packet::new(buf, *query_len, *client)).collect();
        if packets.is_empty() {
            return Ok(turn);
        }
        turn.received = u32::try_from(packets.len()).unwrap_or(u32::MAX);
        serve(&mut packets);
        for packet in packets.iter().filter(|packet| packet.reply_len() > 0) {
            turn.sent += 1;
            self.replies.push((packet.client, packet.buf[..packet.reply_len()].to_vec()));
        }
        Ok(turn)
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn retire(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn queue_drops(&self) -> u64 {
        0
    }

    /// It never waits.
    fn watch(&mut self, _fd: OwnedFd) {}
}
