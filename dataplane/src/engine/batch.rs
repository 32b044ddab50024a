//! One turn's datagrams between receive and send, the half that all socket engines share.
//!
//! It receives nothing itself.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};

use super::buffers::ROOM_LEN;
use super::lanes::{LANE_COUNT, Lanes, MERGED_MAX, PAYLOAD_LEN};
use super::outbox::{Outbox, Reply};
use super::{Serve, TURN_LEN, Turn, peer};
use crate::packet::Packet;

/// A datagram in the lane of its position.
struct Datagram {
    /// Position of the socket that it came from and that its reply leaves from.
    socket: usize,
    /// Bytes of the payload.
    query_len: usize,
    /// Who sent it.
    client: IpAddr,
    /// Bytes of its reply, once answered.
    reply_len: usize,
}

/// What the kernel wrote into a buffer: one datagram, or several that it merged.
pub(super) struct Received<'b> {
    /// Position of the socket.
    pub(super) socket: usize,
    /// The peer's address.
    pub(super) name: &'b [u8],
    /// Control data.
    pub(super) control: &'b [u8],
    /// The payload.
    pub(super) payload: &'b [u8],
    /// `msg_flags` of the receive.
    pub(super) flags: libc::c_int,
}

/// The datagrams of a turn, and memory that is reused from turn to turn.
pub(super) struct Batch {
    /// Where the datagrams are.
    lanes: Lanes,
    /// What is to be answered.
    datagrams: Vec<Datagram>,
    /// Empty between turns.
    packets: Vec<Packet<'static>>,
    /// Empty between turns.
    outbox: Outbox,
    /// Whether receives should be merged.
    appetite: Appetite,
    /// How many buffers the kernel may hold.
    buffer_count: usize,
}

/// Finds out whether it pays to receive datagrams merged (`UDP_GRO`): for clients whose replies leave merged it does.
/// For all others the kernel would look for a socket earlier and in vain, so they decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appetite {
    /// So many busy turns in a row had most of their replies merged.
    Growing(u32),
    /// It will be asked for when so many receives have used up the short buffers that the kernel still has.
    Waiting(usize),
    /// It was asked for. There is no way back: what is queued merged then would come without its lengths.
    Asked,
}

/// Busy turns in a row after which merged receives are asked for.
const BUSY_TURNS: u32 = 64;
/// Datagrams that make a turn busy.
const BUSY_LEN: u32 = 16;

impl Appetite {
    /// Takes a turn into account; returns whether to ask now.
    fn feed(&mut self, turn: &Turn, buffer_count: usize) -> bool {
        match *self {
            Appetite::Asked => return false,
            Appetite::Growing(_) if turn.received < BUSY_LEN => return false,
            Appetite::Growing(turns) => {
                let turns = if turn.merged * 2 > turn.sent { turns + 1 } else { 0 };
                *self = if turns == BUSY_TURNS { Appetite::Waiting(buffer_count) } else { Appetite::Growing(turns) };
            }
            Appetite::Waiting(left) => {
                let left = left.saturating_sub(turn.received as usize);
                *self = if left == 0 { Appetite::Asked } else { Appetite::Waiting(left) };
            }
        }
        *self == Appetite::Asked
    }
}

impl Batch {
    /// An empty batch of an engine with so many buffers.
    pub(super) fn new(buffer_count: usize) -> Batch {
        Batch {
            lanes: Lanes::new(),
            datagrams: Vec::with_capacity(LANE_COUNT),
            packets: Vec::with_capacity(LANE_COUNT),
            outbox: Outbox::new(),
            appetite: Appetite::Growing(0),
            buffer_count,
        }
    }

    /// How much of a buffer the kernel may fill: all of it only where merged datagrams come, so that nobody makes us touch
    /// more memory by sending long ones.
    pub(super) fn room_len(&self) -> usize {
        if matches!(self.appetite, Appetite::Growing(_)) { PAYLOAD_LEN } else { ROOM_LEN }
    }

    /// Whether it holds nothing to answer.
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// How many receives it can still take.
    pub(super) fn room(&self) -> usize {
        TURN_LEN.saturating_sub(self.datagrams.len())
    }

    /// Takes in what came with one receive. What was cut or has no usable sender is counted instead.
    pub(super) fn take(&mut self, received: &Received<'_>, turn: &mut Turn) {
        if received.flags & libc::MSG_TRUNC != 0 {
            turn.cut += 1;
            return;
        }
        let Some(client) = peer::client(received.name) else {
            turn.recv_errors += 1;
            return;
        };
        let control = peer::control(received.control);
        let mut rest = received.payload;
        for _ in 0..MERGED_MAX {
            let (query, behind) = rest.split_at(control.merged_len.unwrap_or(rest.len()).min(rest.len()));
            match self.lanes.lane_mut(self.datagrams.len()) {
                Some((envelope, room)) if query.len() <= PAYLOAD_LEN => {
                    room[..query.len()].copy_from_slice(query);
                    let name_len = peer::name_len(client);
                    envelope.name[..name_len].copy_from_slice(&received.name[..name_len]);
                    envelope.name_len = u8::try_from(name_len).unwrap_or(0);
                    envelope.control_len = u8::try_from(control.turn_around(&mut envelope.control)).unwrap_or(0);
                    let Received { socket, .. } = *received;
                    self.datagrams.push(Datagram { socket, query_len: query.len(), client, reply_len: 0 });
                }
                _ => turn.cut += 1,
            }
            rest = behind;
            if rest.is_empty() {
                return;
            }
        }
        // More than the kernel ever merges.
        turn.cut += 1;
    }

    /// Has everything answered and sent, and empties the batch.
    pub(super) fn work(&mut self, sockets: &[UdpSocket], serve: Serve<'_>, turn: &mut Turn) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        turn.received += u32::try_from(self.datagrams.len()).unwrap_or(0);
        let mut packets: Vec<Packet<'_>> = std::mem::take(&mut self.packets);
        packets.extend(
            self.lanes
                .payloads_mut()
                .zip(&self.datagrams)
                .map(|(buf, datagram)| Packet::new(buf, datagram.query_len, datagram.client)),
        );
        packets.chunks_mut(TURN_LEN).for_each(serve);
        for (datagram, packet) in self.datagrams.iter_mut().zip(&packets) {
            datagram.reply_len = packet.reply_len();
        }
        self.packets = recycle(packets);
        for (idx, socket) in sockets.iter().enumerate() {
            let of_socket = |(_, datagram): &(usize, &Datagram)| datagram.socket == idx && datagram.reply_len > 0;
            for (lane, datagram) in self.datagrams.iter().enumerate().filter(of_socket) {
                self.outbox.push(Reply { lane, len: datagram.reply_len });
            }
            self.outbox.flush(socket.as_fd(), &mut self.lanes, turn);
        }
        self.datagrams.clear();
        if self.appetite.feed(turn, self.buffer_count) {
            ask_for_merged(sockets);
        }
        Ok(())
    }
}

/// Has sockets hand over datagrams merged, from kernels that can.
fn ask_for_merged(sockets: &[UdpSocket]) {
    for socket in sockets {
        if let Err(error) = setsockopt(socket, UdpGroSegment, &true) {
            tracing::debug!(%error, "datagrams are not received merged");
        }
    }
}

/// Keeps the allocation of `packets` for the next turn: collecting in place reuses it.
pub(super) fn recycle(mut packets: Vec<Packet<'_>>) -> Vec<Packet<'static>> {
    packets.clear();
    packets.into_iter().map_while(|_| None).collect()
}
