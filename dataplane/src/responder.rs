//! What answers, as a thing that a thread owns: the border between I/O and the answer path.
//!
//! It holds no socket. Workers and streams are generic over [`Answer`], so that their tests bring their own.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::answer::{self, Scratch, Settings};
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

    /// The same with memory of its own, for another thread or after a panic.
    #[must_use]
    fn fork(&self) -> Self
    where
        Self: Sized;
}

/// The real one: [`answer::respond`].
pub struct Responder {
    /// What the operator has set.
    settings: Settings,
    /// Lanes reused between batches.
    scratch: Scratch,
}

impl Responder {
    /// A responder with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Responder {
        Responder { settings, scratch: Scratch::new() }
    }
}

impl Answer for Responder {
    type View = View;

    fn answer(&mut self, view: &View, transport: Transport, packets: &mut [Packet<'_>]) {
        // The answer is a function of its arguments, so the one clock read of a batch is here.
        let arrival = Arrival { transport, now_secs: unix_secs() };
        answer::respond(&self.settings, view, arrival, packets, &mut self.scratch);
    }

    fn fork(&self) -> Responder {
        Responder::new(self.settings.clone())
    }
}

/// Seconds since 1970, modulo 2^32; a clock before that counts as 0.
fn unix_secs() -> u32 {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(secs & u64::from(u32::MAX)).unwrap_or(0)
}
