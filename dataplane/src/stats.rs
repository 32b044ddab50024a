//! Counters: written by each thread into a block of its own, summed when somebody asks.
//!
//! It measures no time and keeps no per-client state. Labels come from closed sets: the table below is all there is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::utils::CachePadded;
use snapshot::handover::frames::{Counter, Counters};

use crate::engine::{RingLosses, Turn};
use crate::packet::{DropReason, Outcome, Packet, Restraint, Transport};
use crate::quarantine::Quarantine;

/// What can be counted; the position of each is its place in [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Event {
    /// A query over UDP.
    QueryUdp,
    /// A query over TCP.
    QueryTcp,
    /// A reply by RCODE; those up to `ReplyOther` follow each other.
    ReplyNoError,
    /// RCODE 1.
    ReplyFormErr,
    /// RCODE 2.
    ReplyServFail,
    /// RCODE 3.
    ReplyNxDomain,
    /// RCODE 4.
    ReplyNotImp,
    /// RCODE 5.
    ReplyRefused,
    /// RCODE 9.
    ReplyNotAuth,
    /// RCODE 16.
    ReplyBadVers,
    /// RCODE 23.
    ReplyBadCookie,
    /// Any other RCODE.
    ReplyOther,
    /// A reply with TC.
    Truncated,
    /// A datagram shorter than a header.
    DropShort,
    /// A datagram with QR set.
    DropResponse,
    /// A datagram that was cut by the receive buffer.
    DropOversize,
    /// A query whose batch panicked.
    DropPanic,
    /// A reply over the limits of its prefix.
    DropRate,
    /// A query of a client that asks too often.
    DropClient,
    /// A query of a client that may not ask.
    DropDenied,
    /// A query about a zone over its share.
    DropUnfair,
    /// A reply over the limits of its prefix that was sent empty with TC.
    Slip,
    /// An empty or refusing reply to a client that asks too often.
    HeldClient,
    /// A refusing reply to a client that may not ask.
    HeldDenied,
    /// Bytes of queries over UDP without a valid cookie that were answered.
    UnprovenQuery,
    /// Bytes of the replies to them.
    UnprovenReply,
    /// A batch that panicked.
    Panic,
    /// No receive buffer was free.
    Enobufs,
    /// The completion queue overflowed.
    CqOverflow,
    /// The kernel refused a reply.
    SendError,
    /// A reply left merged with others to the same peer.
    Merged,
    /// A receive failed.
    RecvError,
    /// Datagrams dropped by full receive queues.
    QueueDrop,
    /// A frame that holds no datagram that could be answered.
    DropMalformed,
    /// A reply dropped because the transmit ring of AF_XDP was full.
    XdpTxFull,
    /// A frame dropped because the receive ring was full.
    XdpRxFull,
    /// A frame dropped for want of memory to receive into.
    XdpFillEmpty,
    /// A frame dropped at the socket for another reason.
    XdpRxDropped,
    /// A descriptor that the kernel refused.
    XdpInvalid,
    /// A TCP connection was accepted.
    TcpOpened,
    /// A TCP connection ended.
    TcpClosed,
    /// A TCP connection was closed to make room for another.
    TcpEvicted,
    /// A TCP connection was closed because its client was idle or did not read.
    TcpTimeout,
    /// accept(2) failed.
    TcpAcceptError,
    /// A generation was taken into service.
    ReloadOk,
    /// A generation was refused.
    ReloadFailed,
}

/// An event with its metric name and its label, if it has one.
type Row = (Event, &'static str, Option<(&'static str, &'static str)>);

/// Metric name and label of each [`Event`], in its order.
const TABLE: [Row; 46] = [
    (Event::QueryUdp, "queries_total", Some(("transport", "udp"))),
    (Event::QueryTcp, "queries_total", Some(("transport", "tcp"))),
    (Event::ReplyNoError, "replies_total", Some(("rcode", "NOERROR"))),
    (Event::ReplyFormErr, "replies_total", Some(("rcode", "FORMERR"))),
    (Event::ReplyServFail, "replies_total", Some(("rcode", "SERVFAIL"))),
    (Event::ReplyNxDomain, "replies_total", Some(("rcode", "NXDOMAIN"))),
    (Event::ReplyNotImp, "replies_total", Some(("rcode", "NOTIMP"))),
    (Event::ReplyRefused, "replies_total", Some(("rcode", "REFUSED"))),
    (Event::ReplyNotAuth, "replies_total", Some(("rcode", "NOTAUTH"))),
    (Event::ReplyBadVers, "replies_total", Some(("rcode", "BADVERS"))),
    (Event::ReplyBadCookie, "replies_total", Some(("rcode", "BADCOOKIE"))),
    (Event::ReplyOther, "replies_total", Some(("rcode", "other"))),
    (Event::Truncated, "truncated_total", None),
    (Event::DropShort, "drops_total", Some(("reason", "short"))),
    (Event::DropResponse, "drops_total", Some(("reason", "response"))),
    (Event::DropOversize, "drops_total", Some(("reason", "oversize"))),
    (Event::DropPanic, "drops_total", Some(("reason", "panic"))),
    (Event::DropRate, "drops_total", Some(("reason", "rate"))),
    (Event::DropClient, "drops_total", Some(("reason", "client"))),
    (Event::DropDenied, "drops_total", Some(("reason", "denied"))),
    (Event::DropUnfair, "drops_total", Some(("reason", "unfair"))),
    (Event::Slip, "restrained_total", Some(("reason", "rate"))),
    (Event::HeldClient, "restrained_total", Some(("reason", "client"))),
    (Event::HeldDenied, "restrained_total", Some(("reason", "denied"))),
    (Event::UnprovenQuery, "udp_unproven_query_bytes_total", None),
    (Event::UnprovenReply, "udp_unproven_reply_bytes_total", None),
    (Event::Panic, "panics_total", None),
    (Event::Enobufs, "engine_enobufs_total", None),
    (Event::CqOverflow, "engine_cq_overflows_total", None),
    (Event::SendError, "engine_send_errors_total", None),
    (Event::Merged, "engine_merged_replies_total", None),
    (Event::RecvError, "engine_recv_errors_total", None),
    (Event::QueueDrop, "engine_queue_drops_total", None),
    (Event::DropMalformed, "drops_total", Some(("reason", "malformed"))),
    (Event::XdpTxFull, "engine_xdp_losses_total", Some(("reason", "tx_full"))),
    (Event::XdpRxFull, "engine_xdp_losses_total", Some(("reason", "rx_full"))),
    (Event::XdpFillEmpty, "engine_xdp_losses_total", Some(("reason", "fill_empty"))),
    (Event::XdpRxDropped, "engine_xdp_losses_total", Some(("reason", "rx_dropped"))),
    (Event::XdpInvalid, "engine_xdp_losses_total", Some(("reason", "invalid"))),
    (Event::TcpOpened, "tcp_connections_total", None),
    (Event::TcpClosed, "tcp_closed_total", None),
    (Event::TcpEvicted, "tcp_evicted_total", None),
    (Event::TcpTimeout, "tcp_timeouts_total", None),
    (Event::TcpAcceptError, "tcp_accept_errors_total", None),
    (Event::ReloadOk, "reloads_total", Some(("result", "ok"))),
    (Event::ReloadFailed, "reloads_total", Some(("result", "failed"))),
];

/// The counters of one thread; others only read them.
#[derive(Debug)]
pub(crate) struct Block {
    /// One for each row of [`TABLE`].
    cells: CachePadded<[AtomicU64; TABLE.len()]>,
    /// The largest reply over UDP without a valid cookie, in percent of its query.
    amplification: AtomicU64,
    /// Where the thread puts packets that made it panic; one for all threads.
    pub(crate) quarantine: Arc<Quarantine>,
}

impl Default for Block {
    /// Nothing counted. Arrays of this length have no default of their own.
    fn default() -> Block {
        Block {
            cells: CachePadded::new([const { AtomicU64::new(0) }; TABLE.len()]),
            amplification: AtomicU64::new(0),
            quarantine: Arc::default(),
        }
    }
}

impl Block {
    /// Counts `count` times `event`.
    pub(crate) fn add(&self, event: Event, count: u64) {
        if count > 0 {
            self.cells[event as usize].fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Sets `event` to a value that the kernel counts for us.
    pub(crate) fn set(&self, event: Event, value: u64) {
        self.cells[event as usize].store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub(crate) fn value(&self, event: Event) -> u64 {
        self.cells[event as usize].load(Ordering::Relaxed)
    }

    /// Counts a batch and what became of it: one pass over the outcomes, then one store for each event that happened.
    pub(crate) fn count_batch(&self, transport: Transport, packets: &[Packet<'_>]) {
        let mut tally = [0_u64; TABLE.len()];
        // Query and reply of the largest ratio.
        let mut worst = (1, 0);
        for packet in packets {
            let event = match packet.outcome {
                Outcome::Reply { len, rcode, truncated } => {
                    tally[Event::Truncated as usize] += u64::from(truncated);
                    if transport == Transport::Udp && !packet.notes.cookie {
                        let (query, reply) = (packet.query_len as u64, len as u64);
                        tally[Event::UnprovenQuery as usize] += query;
                        tally[Event::UnprovenReply as usize] += reply;
                        worst = if reply * worst.0 > worst.1 * query { (query, reply) } else { worst };
                    }
                    if let Some(restraint) = packet.notes.restraint {
                        tally[restraint_event(restraint) as usize] += 1;
                    }
                    reply_event(rcode)
                }
                Outcome::Drop(reason) => drop_event(reason),
                Outcome::Pending => Event::DropPanic,
            };
            tally[event as usize] += 1;
        }
        self.amplification.fetch_max((worst.1 * 100).div_ceil(worst.0.max(1)), Ordering::Relaxed);
        let query = match transport {
            Transport::Udp => Event::QueryUdp,
            Transport::Tcp => Event::QueryTcp,
        };
        self.add(query, packets.len() as u64);
        for (cell, count) in self.cells.iter().zip(tally).filter(|(_, count)| *count > 0) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts what the engine did besides serving.
    pub(crate) fn count_turn(&self, turn: &Turn) {
        self.add(Event::QueryUdp, turn.cut.into());
        self.add(Event::DropOversize, turn.cut.into());
        self.add(Event::Enobufs, turn.enobufs.into());
        self.add(Event::CqOverflow, turn.cq_overflows.into());
        self.add(Event::SendError, turn.send_errors.into());
        self.add(Event::Merged, turn.merged.into());
        self.add(Event::RecvError, turn.recv_errors.into());
        self.add(Event::DropMalformed, turn.malformed.into());
        self.add(Event::XdpTxFull, turn.tx_full.into());
    }

    /// Takes over what the kernel counted at AF_XDP sockets.
    pub(crate) fn set_ring_losses(&self, losses: &RingLosses) {
        self.set(Event::XdpRxFull, losses.rx_full);
        self.set(Event::XdpFillEmpty, losses.fill_empty);
        self.set(Event::XdpRxDropped, losses.rx_dropped);
        self.set(Event::XdpInvalid, losses.invalid);
    }
}

/// The counter of a datagram without a reply.
fn drop_event(reason: DropReason) -> Event {
    match reason {
        DropReason::Short => Event::DropShort,
        DropReason::Response => Event::DropResponse,
        DropReason::Oversize => Event::DropOversize,
        DropReason::Panic => Event::DropPanic,
        DropReason::Rate => Event::DropRate,
        DropReason::Client => Event::DropClient,
        DropReason::Denied => Event::DropDenied,
        DropReason::Unfair => Event::DropUnfair,
    }
}

/// The counter of a reply without an answer.
fn restraint_event(restraint: Restraint) -> Event {
    match restraint {
        Restraint::Slip => Event::Slip,
        Restraint::Client => Event::HeldClient,
        Restraint::Denied => Event::HeldDenied,
    }
}

/// The counter of a reply.
fn reply_event(rcode: u16) -> Event {
    match rcode {
        0 => Event::ReplyNoError,
        1 => Event::ReplyFormErr,
        2 => Event::ReplyServFail,
        3 => Event::ReplyNxDomain,
        4 => Event::ReplyNotImp,
        5 => Event::ReplyRefused,
        9 => Event::ReplyNotAuth,
        16 => Event::ReplyBadVers,
        23 => Event::ReplyBadCookie,
        _ => Event::ReplyOther,
    }
}

/// All blocks of a process.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Given out by [`Stats::block`]; locked only at start and when somebody asks.
    blocks: Mutex<Vec<Arc<Block>>>,
    /// What made a thread panic.
    pub(crate) quarantine: Arc<Quarantine>,
}

impl Stats {
    /// A new block for a thread.
    pub(crate) fn block(&self) -> Arc<Block> {
        let block = Arc::new(Block { quarantine: Arc::clone(&self.quarantine), ..Block::default() });
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&block));
        block
    }

    /// The sums over all blocks, then the gauges.
    pub(crate) fn counters(&self, generation: Option<u64>) -> Counters {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |event: Event| blocks.iter().map(|block| block.value(event)).sum::<u64>();
        let mut counters: Counters = TABLE
            .iter()
            .map(|(event, name, label)| Counter {
                name: (*name).to_owned(),
                label: label.map(|(key, value)| (key.to_owned(), value.to_owned())),
                value: sum(*event),
            })
            .collect();
        let amplification = blocks.iter().map(|block| block.amplification.load(Ordering::Relaxed)).max();
        let open = sum(Event::TcpOpened).saturating_sub(sum(Event::TcpClosed));
        let others = [
            ("quarantined_total", self.quarantine.changes()),
            ("udp_amplification_percent_max", amplification.unwrap_or(0)),
            ("tcp_connections_open", open),
            ("generation", generation.unwrap_or(0)),
        ];
        counters.extend(others.map(|(name, value)| Counter { name: name.to_owned(), label: None, value }));
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_events() {
        for (idx, (event, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*event as usize, idx, "{event:?}");
        }
    }

    #[test]
    fn outcomes_are_counted_once_and_summed_over_threads() {
        let outcomes = [
            Outcome::Reply { len: 12, rcode: 3, truncated: false },
            Outcome::Reply { len: 12, rcode: 0, truncated: true },
            Outcome::Reply { len: 12, rcode: 4000, truncated: false },
            Outcome::Drop(DropReason::Short),
            Outcome::Pending,
        ];
        let stats = Stats::default();
        for _ in 0..2 {
            let mut buffers = [[0_u8; 12]; 5];
            let packets: Vec<_> = buffers
                .iter_mut()
                .zip(outcomes)
                .map(|(buf, outcome)| Packet { outcome, ..Packet::new(buf, 12, [192, 0, 2, 1].into()) })
                .collect();
            stats.block().count_batch(Transport::Udp, &packets);
        }
        let shown: Vec<_> = stats
            .counters(Some(7))
            .into_iter()
            .filter(|counter| counter.value > 0)
            .map(|counter| {
                format!("{} {}={}", counter.name, counter.label.map_or(String::new(), |l| l.1), counter.value)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "queries_total udp=10",
                "replies_total NOERROR=2",
                "replies_total NXDOMAIN=2",
                "replies_total other=2",
                "truncated_total =2",
                "drops_total short=2",
                "drops_total panic=2",
                "udp_unproven_query_bytes_total =72",
                "udp_unproven_reply_bytes_total =72",
                "udp_amplification_percent_max =100",
                "generation =7",
            ]
        );
    }
}
