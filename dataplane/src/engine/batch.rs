//! One turn's datagrams between receive and send, the half that all socket engines share.
//!
//! It receives nothing itself. Invariant: the datagrams of a batch name distinct slots that are ours.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

use super::outbox::{Outbox, Reply};
use super::slots::{NAME_LEN, NAME_OFF, PAYLOAD_LEN, Slots};
use super::{Serve, TURN_LEN, Turn, peer};
use crate::packet::Packet;

/// A received datagram.
pub(super) struct Datagram {
    /// Where it lies.
    pub(super) slot: usize,
    /// Position of the socket that it came from and that its reply leaves from.
    pub(super) socket: usize,
    /// Bytes of the payload.
    pub(super) query_len: usize,
    /// Bytes of control data.
    pub(super) control_len: usize,
    /// Who sent it.
    client: IpAddr,
    /// Bytes of its reply, once answered.
    reply_len: usize,
}

/// What a receive says about a datagram.
pub(super) struct Received {
    /// Where it lies.
    pub(super) slot: usize,
    /// Position of its socket.
    pub(super) socket: usize,
    /// Bytes of the payload.
    pub(super) query_len: usize,
    /// Bytes of control data.
    pub(super) control_len: usize,
    /// `msg_flags` of the receive.
    pub(super) flags: libc::c_int,
}

/// The datagrams of a turn, and memory that is reused from turn to turn.
pub(super) struct Batch {
    /// What is to be answered.
    datagrams: Vec<Datagram>,
    /// Empty between turns.
    packets: Vec<Packet<'static>>,
    /// Empty between turns.
    outbox: Outbox,
}

impl Batch {
    /// An empty batch.
    pub(super) fn new() -> Batch {
        Batch { datagrams: Vec::with_capacity(TURN_LEN), packets: Vec::with_capacity(TURN_LEN), outbox: Outbox::new() }
    }

    /// Whether it holds nothing to answer.
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// How many datagrams it can still take.
    pub(super) fn room(&self) -> usize {
        TURN_LEN - self.datagrams.len()
    }

    /// Takes a datagram in. One that was cut or has no usable sender is counted instead.
    pub(super) fn take(&mut self, slots: &mut Slots, received: &Received, turn: &mut Turn) {
        if received.flags & libc::MSG_TRUNC != 0 || received.query_len > PAYLOAD_LEN {
            turn.cut += 1;
            return;
        }
        let name = &slots.slot_mut(received.slot)[NAME_OFF..NAME_OFF + NAME_LEN];
        let Some(client) = peer::client(name) else {
            turn.recv_errors += 1;
            return;
        };
        let Received { slot, socket, query_len, control_len, .. } = *received;
        self.datagrams.push(Datagram { slot, socket, query_len, control_len, client, reply_len: 0 });
    }

    /// Has everything answered and sent, and empties the batch.
    pub(super) fn work(
        &mut self,
        slots: &mut Slots,
        sockets: &[UdpSocket],
        serve: Serve<'_>,
        turn: &mut Turn,
    ) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        turn.received += u32::try_from(self.datagrams.len()).unwrap_or(0);
        let mut packets: Vec<Packet<'_>> = std::mem::take(&mut self.packets);
        let bufs = slots.lend(self.datagrams.iter().map(|datagram| datagram.slot));
        packets.extend(
            bufs.zip(&self.datagrams).map(|(buf, datagram)| Packet::new(buf, datagram.query_len, datagram.client)),
        );
        serve(&mut packets);
        for (datagram, packet) in self.datagrams.iter_mut().zip(&packets) {
            datagram.reply_len = packet.reply_len();
        }
        self.packets = recycle(packets);
        for (idx, socket) in sockets.iter().enumerate() {
            let replies = self.datagrams.iter().filter(|datagram| datagram.socket == idx && datagram.reply_len > 0);
            for datagram in replies {
                let name_len = peer::name_len(datagram.client);
                let Datagram { slot, reply_len: len, control_len, .. } = *datagram;
                self.outbox.push(slots, Reply { slot, len, name_len, control_len });
            }
            self.outbox.flush(socket.as_fd(), turn);
        }
        self.datagrams.clear();
        Ok(())
    }
}

/// Keeps the allocation of `packets` for the next turn: collecting in place reuses it.
fn recycle(mut packets: Vec<Packet<'_>>) -> Vec<Packet<'static>> {
    packets.clear();
    packets.into_iter().map_while(|_| None).collect()
}
