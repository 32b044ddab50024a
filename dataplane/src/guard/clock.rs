//! Time that never goes back, from a clock that may.
//!
//! It reads no clock: whoever has one says what it shows. A step back counts as no time at all, a step ahead is believed up
//! to a month, so that whatever the administrator does to the clock, nobody is limited for longer than before.

/// The longest step that is believed, in nanoseconds: every bucket is full after less.
const STEP_NS_MAX: u64 = 30 * 86_400 * 1_000_000_000;
/// Where time begins: above 0, which stands for never.
const BEGIN_NS: u64 = 1_000_000_000;

/// The time of a guard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    /// What the clock showed last; `None` before it was first asked.
    shown_ns: Option<u64>,
    /// The nanoseconds that have passed, as far as they are believed.
    now_ns: u64,
}

impl Clock {
    /// The time now that the clock shows `shown_ns`; never less than before.
    pub(super) fn read(&mut self, shown_ns: u64) -> u64 {
        let step_ns = match self.shown_ns {
            Some(before_ns) => shown_ns.saturating_sub(before_ns).min(STEP_NS_MAX),
            None => BEGIN_NS,
        };
        self.shown_ns = Some(shown_ns);
        self.now_ns = self.now_ns.saturating_add(step_ns);
        self.now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_where_the_clock_goes_back_and_is_not_swept_away_where_it_jumps() {
        let mut clock = Clock::default();
        let steps =
            [(u64::MAX, 0), (5, 0), (7, 2), (7, 0), (0, 0), (100, 100), (u64::MAX, STEP_NS_MAX), (3, 0), (4, 1)];
        let mut now_ns = BEGIN_NS;
        for (shown_ns, passed_ns) in steps {
            now_ns += passed_ns;
            assert_eq!(clock.read(shown_ns), now_ns, "{shown_ns}");
        }
    }
}
