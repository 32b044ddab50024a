//! The watchdog: a worker that stops going round ends the process, and the service manager starts a new one.
//!
//! It counts its own ticks and looks at no clock, so a suspended machine or a stopped process is no stall.

use std::sync::Arc;

use crate::worker::Pulse;

/// Ticks without a heartbeat that make a stall; life ticks twice a second, workers beat five times.
const TICKS_MAX: u32 = 3;

/// The pulses that are watched.
pub(crate) struct Watchdog {
    /// Pulse, rounds when last seen, and ticks since they changed.
    watched: Vec<(Arc<Pulse>, u64, u32)>,
}

impl Watchdog {
    /// Watches `pulses`, numbered from 0.
    pub(crate) fn new(pulses: Vec<Arc<Pulse>>) -> Watchdog {
        Watchdog { watched: pulses.into_iter().map(|pulse| (pulse, 0, 0)).collect() }
    }

    /// One tick; returns the number of a thread that has stalled.
    pub(crate) fn tick(&mut self) -> Option<usize> {
        for (pulse, seen, ticks) in &mut self.watched {
            match pulse.rounds() {
                Some(rounds) if rounds == *seen => *ticks += 1,
                Some(rounds) => (*seen, *ticks) = (rounds, 0),
                None => *ticks = 0,
            }
        }
        self.watched.iter().position(|(_, _, ticks)| *ticks > TICKS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_and_a_good_end_is_none() {
        let pulses: Vec<Arc<Pulse>> = (0..2).map(|_| Arc::default()).collect();
        let mut watchdog = Watchdog::new(pulses.clone());
        for _ in 0..10 {
            pulses.iter().for_each(|pulse| pulse.beat());
            assert_eq!(watchdog.tick(), None);
        }
        pulses[0].end();
        let seen: Vec<_> = (0..=TICKS_MAX).map(|_| watchdog.tick()).collect();
        assert_eq!(seen, [None, None, None, Some(1)]);
    }
}
