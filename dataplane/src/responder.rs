//! What answers, as a thing that a thread owns: the border between I/O and the answer path.
//!
//! It holds no socket. The real one has its guard around the answering code. Workers and streams are generic over [`Answer`], so that their tests bring their own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::answer::{self, Scratch, Settings};
use crate::engine::TURN_LEN;
use crate::guard::{self, Guard, Lost};
use crate::packet::{Arrival, Packet, Transport};
use snapshot::image::View;

/// Answers packets from a view.
pub trait Answer: Send + 'static {
    /// What it answers from.
    type View: Send + Sync + 'static;

    /// Answers every packet; afterwards no outcome is pending.
    ///
    /// If it panics, a packet whose outcome is still pending has not been written to and may be given again.
    fn answer(&mut self, view: &Self::View, transport: Transport, packets: &mut [Packet<'_>]);

    /// Takes note of how many datagrams have been lost before this answerer, because a receive queue was full.
    fn lose(&mut self, _lost: Lost) {}

    /// The same with memory of its own, for another thread or after a panic.
    #[must_use]
    fn fork(&self) -> Self
    where
        Self: Sized;

    /// Goes on after a panic: what that left in the memory of the answering code is not to be trusted.
    fn renew(&mut self)
    where
        Self: Sized,
    {
        *self = self.fork();
    }
}

/// The real one: [`answer::respond`], and a guard if there is one.
pub struct Responder {
    /// What the operator has set.
    settings: Settings,
    /// Lanes reused between batches.
    scratch: Scratch,
    /// The number before that of the next batch.
    lot: u64,
    /// Who gets an answer; everybody without it.
    guard: Option<Guard>,
}

impl Responder {
    /// A responder with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Responder {
        // Keys of hashes are random numbers of the system; nobody gains by foreseeing this one.
        let lot = RandomState::new().build_hasher().finish();
        Responder { settings, scratch: Scratch::new(), lot, guard: None }
    }

    /// The same with a guard.
    #[must_use]
    pub fn guarded(settings: Settings, guard: guard::Settings) -> Responder {
        Responder { guard: Some(Guard::new(guard)), ..Responder::new(settings) }
    }

    /// Answers packets at a time since 1970, which may go back; [`Answer::answer`] takes that of the system.
    pub fn answer_at(&mut self, view: &View, transport: Transport, now: Duration, packets: &mut [Packet<'_>]) {
        self.lot = self.lot.wrapping_add(1);
        let arrival = Arrival { transport, now_secs: unix_secs(now), lot: answer::mixed(self.lot) };
        let Responder { settings, scratch, guard, .. } = self;
        let Some(guard) = guard else { return answer::respond(settings, view, arrival, packets, scratch) };
        let shown_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        guard.admit(transport, shown_ns, packets.len() >= TURN_LEN, packets);
        answer::respond_through(guard.gate(), settings, view, arrival, packets, scratch);
        guard.judge(transport, packets);
    }
}

impl Answer for Responder {
    type View = View;

    fn answer(&mut self, view: &View, transport: Transport, packets: &mut [Packet<'_>]) {
        // The answer is a function of its arguments, so the one clock read of a batch is here.
        // A clock before 1970 counts as 0.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.answer_at(view, transport, now, packets);
    }

    fn lose(&mut self, lost: Lost) {
        if let Some(guard) = &mut self.guard {
            guard.lose(lost);
        }
    }

    fn fork(&self) -> Responder {
        Responder { guard: self.guard.as_ref().map(Guard::fork), ..Responder::new(self.settings.clone()) }
    }

    fn renew(&mut self) {
        // The guard holds plain numbers, sound whatever happened; forgetting them would let a packet that makes us panic lift
        // all limits.
        self.scratch = Scratch::new();
    }
}

/// Seconds modulo 2^32.
fn unix_secs(now: Duration) -> u32 {
    u32::try_from(now.as_secs() & u64::from(u32::MAX)).unwrap_or(0)
}
