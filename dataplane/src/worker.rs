//! Workers: one thread each, an engine and an answerer, from one batch to the next.
//!
//! A worker knows no files and takes no orders but its [`Order`]. Invariants: the view is loaded once per batch, after
//! the batch was received; a swap of the view never makes a worker wait; a panic costs its
//! packet and no more.

use std::io;
use std::net::UdpSocket;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};

use crate::engine::xdp::Seat;
use crate::engine::{self, Choice, Engine, TURN_LEN, Turn};
use crate::guard::Lost;
use crate::packet::{DropReason, Outcome, Packet, Transport};
use crate::quarantine::{self, Cause, PACKET_LEN_MAX};
use crate::responder::Answer;
use crate::stats::{Block, Event};

/// Longest wait for datagrams: orders are seen and the pulse beats at least this often.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// A retiring worker ends when nothing came for this long.
const QUIET: Duration = Duration::from_millis(100);
/// A retiring worker ends after this long in any case.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Turns between two looks at the kernel's drop counters.
const DROPS_EVERY: u64 = 64;
/// The same while turns are full: who decides what to drop must know soon. One call of the system in 512 queries.
const DROPS_EVERY_FULL: u64 = 8;

/// What all workers of a process are to do; it only moves forward.
#[derive(Debug, Default)]
pub(crate) struct Order(AtomicU8);

impl Order {
    /// Take no new datagrams, answer what is queued, then end.
    pub(crate) fn retire(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Whether to retire.
    pub(crate) fn retiring(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

/// Shows that a thread still goes round.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// One more round.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread ended in good order and beats no more.
    pub(crate) fn end(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// Rounds so far; `None` when the thread has ended in good order.
    pub(crate) fn rounds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|rounds| *rounds != u64::MAX)
    }
}

/// What a worker needs.
pub(crate) struct Plan<A: Answer> {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// Its sockets, one for each address.
    pub(crate) sockets: Vec<UdpSocket>,
    /// Which engine to use.
    pub(crate) choice: Choice,
    /// Where its AF_XDP sockets come from, if there are to be any.
    pub(crate) seat: Option<Seat>,
    /// The core to run on, if pinned.
    pub(crate) core: Option<core_affinity::CoreId>,
    /// Where the view is.
    pub(crate) view: Arc<ArcSwap<A::View>>,
    /// What answers.
    pub(crate) answer: A,
    /// Its counters.
    pub(crate) block: Arc<Block>,
    /// Its heartbeat.
    pub(crate) pulse: Arc<Pulse>,
    /// When to end.
    pub(crate) order: Arc<Order>,
}

/// A worker that runs.
pub(crate) struct Running {
    /// Its thread.
    pub(crate) thread: JoinHandle<io::Result<()>>,
    /// The engine it uses.
    pub(crate) engine: &'static str,
    /// Why better engines are not used.
    pub(crate) notes: Vec<String>,
}

/// Starts a worker and waits until its engine is ready.
///
/// # Errors
/// If the thread or the engine cannot be had.
pub(crate) fn start<A: Answer>(plan: Plan<A>) -> io::Result<Running> {
    let (ready, opened) = crossbeam::channel::bounded(1);
    let thread = thread::Builder::new().name(format!("worker-{}", plan.number)).spawn(move || {
        if let Some(core) = plan.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(worker = plan.number, "worker {} cannot be pinned to core {}", plan.number, core.id);
        }
        // The ring belongs to the thread that opens it.
        let opened = engine::open(plan.choice, plan.sockets, plan.seat);
        let (outcome, engine) = match opened {
            Ok(opened) => (Ok((opened.engine.name(), opened.notes)), Some(opened.engine)),
            Err(error) => (Err(error), None),
        };
        if ready.send(outcome).is_err() {
            return Ok(());
        }
        let Some(mut engine) = engine else { return Ok(()) };
        let mut worker = Worker::new(&plan.view, plan.answer, plan.block);
        let ended = worker.run(engine.as_mut(), &plan.order, &plan.pulse);
        match &ended {
            Ok(()) => plan.pulse.end(),
            // Without a pulse the watchdog ends the process.
            Err(error) => tracing::error!("worker {} cannot go on: {error}", plan.number),
        }
        ended
    })?;
    match opened.recv() {
        Ok(Ok((engine, notes))) => Ok(Running { thread, engine, notes }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the worker ended while it opened its engine")),
    }
}

/// An answerer with its view and counters.
pub(crate) struct Worker<A: Answer> {
    /// The newest view, checked once per batch.
    view: Cache<Arc<ArcSwap<A::View>>, Arc<A::View>>,
    /// What answers.
    answer: A,
    /// Its counters.
    block: Arc<Block>,
    /// The queries of the present batch: a panic may leave the buffers half overwritten, and who looks for its cause
    /// needs what came. Copying costs some 20 instructions a query.
    queries: Box<[[u8; PACKET_LEN_MAX]]>,
}

impl<A: Answer> Worker<A> {
    /// A worker over the view in `slot`.
    pub(crate) fn new(slot: &Arc<ArcSwap<A::View>>, answer: A, block: Arc<Block>) -> Worker<A> {
        let queries = vec![[0; PACKET_LEN_MAX]; TURN_LEN].into_boxed_slice();
        Worker { view: Cache::new(Arc::clone(slot)), answer, block, queries }
    }

    /// Serves until ordered to retire, then drains.
    fn run(&mut self, engine: &mut dyn Engine, order: &Order, pulse: &Pulse) -> io::Result<()> {
        let mut turns = 0_u64;
        while !order.retiring() {
            pulse.beat();
            let turn = self.turn(engine, WAIT_MAX)?;
            let every = if turn.received as usize >= TURN_LEN { DROPS_EVERY_FULL } else { DROPS_EVERY };
            if turns.is_multiple_of(every) {
                let (dropped, losses) = (engine.queue_drops(), engine.ring_losses());
                self.block.set(Event::QueueDrop, dropped);
                self.block.set_ring_losses(&losses);
                self.answer.lose(Lost { queues: dropped, rings: losses.rx_full + losses.fill_empty });
            }
            turns += 1;
        }
        engine.retire()?;
        let begun = Instant::now();
        let mut last = begun;
        while last.elapsed() < QUIET && begun.elapsed() < DRAIN_MAX {
            pulse.beat();
            if self.turn(engine, QUIET)? != Turn::default() {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// One turn of the engine, answered and counted.
    pub(crate) fn turn(&mut self, engine: &mut dyn Engine, wait: Duration) -> io::Result<Turn> {
        let turn = engine.turn(wait, &mut |packets| self.serve(packets))?;
        if turn.received == 0 {
            // An idle worker must not keep an old view in memory.
            self.view.load();
        }
        self.block.count_turn(&turn);
        Ok(turn)
    }

    /// Answers a batch. After a panic those that were not reached are answered one by one, so that only the culprit
    /// goes without a reply.
    fn serve(&mut self, packets: &mut [Packet<'_>]) {
        for (packet, copy) in packets.iter().zip(&mut self.queries) {
            let len = packet.query_len.min(copy.len());
            copy[..len].copy_from_slice(&packet.buf[..len]);
        }
        if let Err(cause) = self.attempt(packets) {
            self.isolate(packets, &cause);
        }
        self.block.count_batch(Transport::Udp, packets);
    }

    /// After a panic because of `cause`: finds the culprits, puts them into quarantine and has all others answered.
    fn isolate(&mut self, packets: &mut [Packet<'_>], cause: &Cause) {
        for (idx, packet) in packets.iter_mut().enumerate() {
            let cause = match packet.outcome {
                Outcome::Drop(DropReason::Panic) => cause.clone(),
                Outcome::Pending => match self.attempt(slice::from_mut(packet)) {
                    Ok(()) => continue,
                    Err(cause) => cause,
                },
                Outcome::Reply { .. } | Outcome::Drop(_) => continue,
            };
            let len = packet.query_len.min(PACKET_LEN_MAX);
            self.block.quarantine.put(Transport::Udp, &self.queries[idx][..len], packet.query_len, cause);
        }
    }

    /// Has packets answered, and outlives a panic.
    ///
    /// # Errors
    /// Why some have no outcome yet.
    fn attempt(&mut self, packets: &mut [Packet<'_>]) -> Result<(), Cause> {
        let view = self.view.load();
        let answer = &mut self.answer;
        let done = quarantine::guard(|| answer.answer(view, Transport::Udp, packets));
        if done.is_err() {
            self.block.add(Event::Panic, 1);
            self.answer.renew();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::Memory;
    use crate::stats::Stats;

    /// Echoes queries with the view in the first byte; panics at queries of `!`, and of `?` when half written.
    struct Echo;

    impl Answer for Echo {
        type View = u8;

        fn answer(&mut self, view: &u8, _: Transport, packets: &mut [Packet<'_>]) {
            for packet in packets {
                assert_ne!(packet.buf[0], b'!', "asked to panic");
                packet.outcome = Outcome::Drop(DropReason::Panic);
                let half_written = std::mem::replace(&mut packet.buf[0], *view) == b'?';
                assert!(!half_written, "asked to panic late");
                packet.outcome = Outcome::Reply { len: packet.query_len, rcode: 0, truncated: false };
            }
        }

        fn fork(&self) -> Echo {
            Echo
        }
    }

    /// A worker on view 1 and its slot.
    fn worker(stats: &Stats) -> (Worker<Echo>, Arc<ArcSwap<u8>>) {
        let slot = Arc::new(ArcSwap::from_pointee(b'1'));
        (Worker::new(&slot, Echo, stats.block()), slot)
    }

    /// Replies to `queries` in one turn.
    fn replies(worker: &mut Worker<Echo>, queries: &[&[u8]]) -> Vec<String> {
        let mut engine = Memory::default();
        engine.queries.extend(queries.iter().map(|query| ([192, 0, 2, 1].into(), query.to_vec())));
        worker.turn(&mut engine, Duration::ZERO).unwrap();
        engine.replies.iter().map(|(_, reply)| String::from_utf8(reply.clone()).unwrap()).collect()
    }

    #[test]
    fn each_batch_sees_the_newest_view() {
        let stats = Stats::default();
        let (mut worker, slot) = worker(&stats);
        assert_eq!(replies(&mut worker, &[b"ab", b"cd"]), ["1b", "1d"]);
        slot.store(Arc::new(b'2'));
        assert_eq!(replies(&mut worker, &[b"ab"]), ["2b"]);
    }

    #[test]
    fn one_panic_in_a_thousand_packets_costs_one_packet_in_a_thousand() {
        // Tells the places apart, as in a real process.
        quarantine::watch_panics();
        let stats = Stats::default();
        let (mut worker, _slot) = worker(&stats);
        let mut engine = Memory::default();
        for number in 0..100_000_u32 {
            // Early and late panics at every position of a turn, from ten different packets each.
            let text = match number % 1000 {
                500 => format!("{}{:07}", if number % 2000 == 500 { '!' } else { '?' }, number / 1000 % 20),
                _ => format!("q{number:07}"),
            };
            engine.queries.push_back(([192, 0, 2, 1].into(), text.into_bytes()));
        }
        while !engine.queries.is_empty() {
            worker.turn(&mut engine, Duration::ZERO).unwrap();
        }
        let answered: std::collections::BTreeSet<_> = engine.replies.iter().map(|(_, reply)| reply.clone()).collect();
        assert_eq!((engine.replies.len(), answered.len()), (99_900, 99_900), "each reply is another query's");
        assert_eq!(worker.block.value(Event::DropPanic), 100);
        let kept = stats.quarantine.list();
        assert_eq!(kept.iter().map(|packet| packet.packet_len).collect::<Vec<_>>(), vec![8; kept.len()]);
        // Overwritten or not, what is kept is what came.
        let marks = |mark: &str| kept.iter().filter(|packet| packet.packet.starts_with(mark)).count();
        assert_eq!((marks("21"), marks("3f")), (4, 4), "some of each place: {kept:#?}");
    }

    #[test]
    fn a_panic_costs_the_packet_that_it_came_from() {
        type Case = (&'static [&'static [u8]], &'static [&'static str], u64, u64);
        let cases: [Case; 5] = [
            // Queries, replies, packets lost, panics: one in the batch, and one for each that panics again on its own.
            (&[b"ab", b"!!", b"cd"], &["1b", "1d"], 1, 2),
            (&[b"ab", b"??", b"cd"], &["1b", "1d"], 1, 1),
            (&[b"!1", b"ab", b"!2", b"cd", b"!3"], &["1b", "1d"], 3, 4),
            (&[b"??", b"??", b"!!", b"ab"], &["1b"], 3, 3),
            (&[b"!!"], &[], 1, 2),
        ];
        for (queries, expected, lost, panics) in cases {
            let stats = Stats::default();
            let (mut worker, _slot) = worker(&stats);
            assert_eq!(replies(&mut worker, queries), expected);
            assert_eq!(replies(&mut worker, &[b"ef"]), ["1f"], "the next batch");
            assert_eq!(worker.block.value(Event::DropPanic), lost, "{expected:?}");
            assert_eq!(worker.block.value(Event::Panic), panics, "{expected:?}");
            assert_eq!(worker.block.value(Event::QueryUdp), queries.len() as u64 + 1);
        }
    }
}
