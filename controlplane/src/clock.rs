//! The time of day, for the edges that pass it on; nothing below them looks at a clock.
//!
//! What is signed by a clock that is wrong is bogus to everyone whose clock is right, so signing takes a [`Trusted`] time, and
//! only a [`Clock`] makes one: it compares the time of day with the mark, the latest time that was believed, and with how long
//! the machine has been up since one was first believed, by this process or by one before it since the machine started. Where
//! both are kept is not known here. Invariants: the mark moves to times that were believed only, and back only when the
//! operator says so; a restart makes nothing believed that was not; a time that RRSIG cannot have, or of before this program
//! was written, is never believed.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;
/// Microseconds of a day.
const DAY_US: i64 = 86_400 * SECOND_US;
/// How far the time may be behind the mark: what sets clocks right turns them back by less.
const BEHIND_US_MAX: i64 = 300 * SECOND_US;
/// How far the time may have run ahead of the time that the machine was up. It is counted from the first time that was
/// believed since the machine started, so that many small jumps are one big one. It is less than signatures begin in the past: what was signed by
/// such a clock is valid by the right one too.
const AHEAD_US_MAX: i64 = 2 * 3600 * SECOND_US;
/// How far the time may be ahead of the mark after a start of the machine: so long a control plane may have been down. All that was signed
/// before has expired for long then.
const DOWN_US_MAX: i64 = 90 * DAY_US;
/// The beginning of 2026, before this was written: a clock that shows less was never set.
const EARLIEST_US: i64 = 1_767_225_600 * SECOND_US;
/// The beginning of 2106: what is signed then ends before the 32 bits of RRSIG do.
const LATEST_US: i64 = 4_291_747_200 * SECOND_US;
/// How far a first start may be from [`EARLIEST_US`].
const FIRST_US_MAX: i64 = 10 * 365 * DAY_US;

/// The time in microseconds since 1970; 0 for a clock that is set before that.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A time that may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trusted {
    /// In microseconds since 1970.
    us: i64,
}

impl Trusted {
    /// In microseconds since 1970.
    #[must_use]
    pub fn us(self) -> i64 {
        self.us
    }

    /// In seconds since 1970.
    #[must_use]
    pub fn unix_secs(self) -> u64 {
        // It is after 2026.
        u64::try_from(self.us / SECOND_US).unwrap_or(0)
    }
}

/// Why the time is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It is less than it was.
    #[error("the clock is {} behind what it showed before; nothing is signed until it is right or `dnsctl clock accept`", span(*by_us))]
    Behind {
        /// By so many microseconds.
        by_us: i64,
    },
    /// It ran faster than the machine did.
    #[error("the clock has jumped {} ahead; nothing is signed until it is right or `dnsctl clock accept`", span(*by_us))]
    Ahead {
        /// By so many microseconds.
        by_us: i64,
    },
    /// Nothing was signed for longer than anyone would believe without asking.
    #[error(
        "the clock is {} ahead of when something was signed last; nothing is signed until it is right or `dnsctl clock accept`",
        span(*by_us)
    )]
    Down {
        /// By so many microseconds.
        by_us: i64,
    },
    /// There is nothing to compare it with, and it is far from when this was written.
    #[error("the clock is after 2035; nothing is signed until it is right or `dnsctl clock accept`")]
    First,
    /// It cannot be.
    #[error("the clock is before 2026 or after 2105, and nothing is signed until it is right")]
    Impossible,
}

/// Octets of an anchor as it is kept: those of the boot, then both clocks.
const ANCHOR_LEN: usize = 32;
/// Where the kernel has the number of this boot. A container has that of its host.
const BOOT_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// The number of this boot; none where the kernel does not say.
static BOOT: LazyLock<Option<[u8; 16]>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(BOOT_FILE).ok()?;
    uuid::Uuid::try_parse(text.trim()).ok().map(uuid::Uuid::into_bytes)
});

/// Both clocks when a time was first believed, for later processes of the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The number of the boot.
    boot: [u8; 16],
    /// The clocks.
    reading: Reading,
}

impl Anchor {
    /// As it is kept.
    #[must_use]
    pub fn octets(&self) -> [u8; ANCHOR_LEN] {
        let mut octets = [0; ANCHOR_LEN];
        octets[..16].copy_from_slice(&self.boot);
        octets[16..24].copy_from_slice(&self.reading.now_us.to_le_bytes());
        octets[24..].copy_from_slice(&self.reading.up_us.to_le_bytes());
        octets
    }

    /// Reads [`Anchor::octets`]; `None` if they are none.
    #[must_use]
    pub fn of_octets(octets: &[u8]) -> Option<Anchor> {
        let (boot, clocks) = octets.split_first_chunk()?;
        let (now_us, up_us) = clocks.split_first_chunk()?;
        let reading =
            Reading { now_us: i64::from_le_bytes(*now_us), up_us: i64::from_le_bytes(up_us.try_into().ok()?) };
        Some(Anchor { boot: *boot, reading })
    }
}

/// What tells whether the time of day can be believed.
#[derive(Debug, Default)]
pub struct Clock {
    /// What is known.
    state: Mutex<State>,
}

/// What is known of the time.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The latest time that was believed, in microseconds since 1970.
    mark_us: Option<i64>,
    /// The first that was believed since the machine started, or that the operator last accepted.
    anchor: Option<Reading>,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// The time of day, in microseconds since 1970.
    now_us: i64,
    /// How long the machine has been up, suspended or not, in microseconds.
    up_us: i64,
}

impl Clock {
    /// Takes over the mark of a former process, and its anchor, if that was of this boot.
    pub fn recall(&self, mark_us: i64, anchor: Option<Anchor>) {
        let anchor = anchor.filter(|anchor| Some(anchor.boot) == *BOOT);
        self.state().recall(mark_us, anchor.map(|anchor| anchor.reading), Reading::take());
    }

    /// What a later process of this boot has to know besides the mark; `None` before a time was believed, and where the kernel
    /// does not tell one boot from another.
    #[must_use]
    pub fn anchor(&self) -> Option<Anchor> {
        Some(Anchor { boot: (*BOOT)?, reading: self.state().anchor? })
    }

    /// The time.
    ///
    /// # Errors
    /// [`Doubt`] if it cannot be believed.
    pub fn trusted(&self) -> Result<Trusted, Doubt> {
        self.state().trust(Reading::take())
    }

    /// Takes the time of day for the truth, whatever it was before.
    ///
    /// # Errors
    /// [`Doubt::Impossible`] if it cannot be.
    pub fn accept(&self) -> Result<Trusted, Doubt> {
        self.state().accept(Reading::take())
    }

    /// The time of day if it is believed, else what it probably is, in microseconds since 1970.
    #[must_use]
    pub fn likely_us(&self) -> i64 {
        self.state().likely_us(Reading::take())
    }

    /// The latest time that was believed, in microseconds since 1970.
    #[must_use]
    pub fn mark_us(&self) -> Option<i64> {
        self.state().mark_us
    }

    /// What is known. A thread that panicked with it left it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// Reads both clocks.
    fn take() -> Reading {
        let up = clock_gettime(ClockId::Boottime);
        Reading { now_us: now_us(), up_us: up.tv_sec * SECOND_US + up.tv_nsec / 1000 }
    }
}

impl State {
    /// Takes over what a former process knew, now.
    fn recall(&mut self, mark_us: i64, anchor: Option<Reading>, now: Reading) {
        self.mark_us = self.mark_us.max(Some(mark_us));
        // Who sees a shorter time than the process before has moved to another machine or time namespace.
        self.anchor = self.anchor.or(anchor.filter(|anchor| anchor.up_us <= now.up_us));
    }

    /// Believes a reading, or not.
    fn trust(&mut self, reading: Reading) -> Result<Trusted, Doubt> {
        self.judge(reading)?;
        self.anchor.get_or_insert(reading);
        self.mark_us = self.mark_us.max(Some(reading.now_us));
        Ok(Trusted { us: reading.now_us })
    }

    /// Believes a reading because the operator does.
    fn accept(&mut self, reading: Reading) -> Result<Trusted, Doubt> {
        possible(reading.now_us)?;
        *self = State { mark_us: Some(reading.now_us), anchor: Some(reading) };
        Ok(Trusted { us: reading.now_us })
    }

    /// Compares a reading with what is known.
    fn judge(&self, reading: Reading) -> Result<(), Doubt> {
        let Reading { now_us, up_us } = reading;
        possible(now_us)?;
        if let Some(by_us) = self.mark_us.map(|mark_us| mark_us - now_us).filter(|by_us| *by_us > BEHIND_US_MAX) {
            return Err(Doubt::Behind { by_us });
        }
        match (self.anchor, self.mark_us) {
            (Some(anchor), _) => {
                let by_us = (now_us - anchor.now_us) - (up_us - anchor.up_us);
                if by_us > AHEAD_US_MAX { Err(Doubt::Ahead { by_us }) } else { Ok(()) }
            }
            (None, Some(mark_us)) if now_us - mark_us > DOWN_US_MAX => Err(Doubt::Down { by_us: now_us - mark_us }),
            (None, None) if now_us - EARLIEST_US > FIRST_US_MAX => Err(Doubt::First),
            (None, _) => Ok(()),
        }
    }

    /// See [`Clock::likely_us`].
    fn likely_us(&self, reading: Reading) -> i64 {
        match (self.judge(reading), self.anchor) {
            (Ok(()), _) => reading.now_us,
            (Err(_), Some(anchor)) => anchor.now_us + (reading.up_us - anchor.up_us),
            (Err(_), None) => self.mark_us.unwrap_or(EARLIEST_US),
        }
    }
}

/// Makes sure that a time, in microseconds since 1970, can be.
fn possible(now_us: i64) -> Result<(), Doubt> {
    if (EARLIEST_US..LATEST_US).contains(&now_us) { Ok(()) } else { Err(Doubt::Impossible) }
}

/// A length of time for people.
fn span(us: i64) -> String {
    let minutes = us / SECOND_US / 60;
    match (minutes / 1440, minutes / 60) {
        (days @ 2.., _) => format!("{days} days"),
        (_, hours @ 2..) => format!("{hours} hours"),
        _ => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute.
    const MINUTE_US: i64 = 60 * SECOND_US;
    /// Some day of 2027.
    const NOW_US: i64 = 1_800_000_000 * SECOND_US;
    /// 2038-01-20, when 31 bits of seconds are over.
    const WRAP_31_US: i64 = 2_147_558_400 * SECOND_US;
    /// 2106-02-08, when 32 bits are.
    const WRAP_32_US: i64 = 4_294_972_800 * SECOND_US;

    /// The time of day after some time.
    fn reading(now_us: i64, up_us: i64) -> Reading {
        Reading { now_us, up_us }
    }

    /// What a process says that believed [`NOW_US`] an hour ago.
    fn check_jump(by_us: i64, expected: Result<(), Doubt>) {
        let mut state = State::default();
        state.trust(reading(NOW_US, 0)).unwrap();
        let hour_us = 60 * MINUTE_US;
        state.trust(reading(NOW_US + hour_us, hour_us)).unwrap();
        let mark_us = state.mark_us;
        let found = state.trust(reading(NOW_US + hour_us + by_us, hour_us));
        assert_eq!(found.map(drop), expected, "{by_us}");
        assert_eq!(state.mark_us > mark_us, expected.is_ok() && by_us > 0, "doubtful times leave no mark");
    }

    #[test]
    fn jumps_of_a_running_clock_are_believed_if_they_are_small() {
        let year_us = 365 * DAY_US;
        check_jump(0, Ok(()));
        check_jump(60 * MINUTE_US, Ok(()));
        check_jump(120 * MINUTE_US, Ok(()));
        check_jump(120 * MINUTE_US + 1, Err(Doubt::Ahead { by_us: 120 * MINUTE_US + 1 }));
        check_jump(DAY_US, Err(Doubt::Ahead { by_us: DAY_US }));
        check_jump(year_us, Err(Doubt::Ahead { by_us: year_us }));
        check_jump(
            WRAP_31_US - NOW_US - 60 * MINUTE_US,
            Err(Doubt::Ahead { by_us: WRAP_31_US - NOW_US - 60 * MINUTE_US }),
        );
        check_jump(WRAP_32_US - NOW_US, Err(Doubt::Impossible));
        check_jump(-5 * MINUTE_US, Ok(()));
        check_jump(-5 * MINUTE_US - 1, Err(Doubt::Behind { by_us: 5 * MINUTE_US + 1 }));
        check_jump(-60 * MINUTE_US, Err(Doubt::Behind { by_us: 60 * MINUTE_US }));
        check_jump(-year_us, Err(Doubt::Behind { by_us: year_us }));
    }

    #[test]
    fn a_start_believes_what_is_not_too_far_from_the_mark() {
        for (mark_us, now_us, expected) in [
            (None, NOW_US, Ok(())),
            (None, WRAP_31_US, Err(Doubt::First)),
            (None, 0, Err(Doubt::Impossible)),
            (None, i64::MAX, Err(Doubt::Impossible)),
            (Some(NOW_US), NOW_US + 14 * DAY_US, Ok(())),
            (Some(NOW_US), NOW_US + 90 * DAY_US, Ok(())),
            (Some(NOW_US), NOW_US + 91 * DAY_US, Err(Doubt::Down { by_us: 91 * DAY_US })),
            (Some(NOW_US), NOW_US - 4 * MINUTE_US, Ok(())),
            (Some(NOW_US), NOW_US - DAY_US, Err(Doubt::Behind { by_us: DAY_US })),
            (Some(WRAP_31_US - DAY_US), WRAP_31_US, Ok(())),
            (Some(WRAP_32_US - DAY_US), WRAP_32_US, Err(Doubt::Impossible)),
        ] {
            let mut state = State { mark_us, anchor: None };
            assert_eq!(state.trust(reading(now_us, 7)).map(drop), expected, "{mark_us:?} {now_us}");
        }
    }

    #[test]
    fn a_restart_judges_as_the_process_before_if_the_machine_was_up_all_the_time() {
        let mut former = State::default();
        former.trust(reading(NOW_US, 1000)).unwrap();
        let jumped = reading(NOW_US + 30 * DAY_US, 1000 + MINUTE_US);
        let by_us = 30 * DAY_US - MINUTE_US;
        assert_eq!(former.trust(jumped), Err(Doubt::Ahead { by_us }));
        let restarted = |anchor, now: Reading| {
            let mut state = State::default();
            state.recall(NOW_US, anchor, now);
            state.trust(now).map(drop)
        };
        assert_eq!(restarted(former.anchor, jumped), Err(Doubt::Ahead { by_us }));
        assert_eq!(restarted(former.anchor, reading(NOW_US + MINUTE_US, 1000 + MINUTE_US)), Ok(()));
        let much_later = reading(NOW_US + 200 * DAY_US, 1000 + 200 * DAY_US);
        assert_eq!(restarted(former.anchor, much_later), Ok(()), "nobody was away for longer than the machine was up");
        // Another boot, or another machine.
        assert_eq!(restarted(None, jumped), Ok(()));
        assert_eq!(restarted(former.anchor, reading(NOW_US + 30 * DAY_US, 999)), Ok(()));
        assert!(restarted(None, reading(NOW_US + 91 * DAY_US, 5)).is_err());
    }

    #[test]
    fn an_anchor_holds_for_the_boot_that_it_is_of() {
        let clock = Clock::default();
        assert_eq!(clock.anchor(), None);
        let now = clock.trusted().unwrap();
        let anchor = clock.anchor().unwrap();
        assert_eq!(Anchor::of_octets(&anchor.octets()), Some(anchor));
        assert_eq!(Anchor::of_octets(&anchor.octets()[1..]), None);
        // As if it had been believed a day ago, a moment ago: the clock has jumped since.
        let jumped = Anchor { reading: Reading { now_us: now.us() - DAY_US, ..anchor.reading }, ..anchor };
        let later = Clock::default();
        later.recall(now.us() - DAY_US, Some(jumped));
        assert!(matches!(later.trusted(), Err(Doubt::Ahead { .. })));
        let rebooted = Clock::default();
        rebooted.recall(now.us() - DAY_US, Some(Anchor { boot: [7; 16], ..jumped }));
        assert!(rebooted.trusted().is_ok());
    }

    #[test]
    fn small_jumps_add_up_and_a_suspended_machine_has_not_jumped() {
        let mut state = State::default();
        state.trust(reading(NOW_US, 0)).unwrap();
        assert!(state.trust(reading(NOW_US + 90 * MINUTE_US, 0)).is_ok());
        let both = state.trust(reading(NOW_US + 180 * MINUTE_US, 0));
        assert_eq!(both, Err(Doubt::Ahead { by_us: 180 * MINUTE_US }));
        assert!(state.trust(reading(NOW_US + 30 * DAY_US, 30 * DAY_US)).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_right_is_believed_again() {
        let mut state = State { mark_us: Some(NOW_US), anchor: None };
        assert!(state.trust(reading(0, 0)).is_err(), "no battery");
        assert_eq!(state.likely_us(reading(0, 0)), NOW_US);
        assert!(state.trust(reading(NOW_US + DAY_US, 5)).is_ok(), "that was no jump of a clock that was believed");
        assert!(state.trust(reading(NOW_US + 9 * DAY_US, 10)).is_err());
        assert_eq!(state.likely_us(reading(NOW_US + 9 * DAY_US, 10)), NOW_US + DAY_US + 5);
        assert!(state.trust(reading(NOW_US + DAY_US, 15)).is_ok());
    }

    #[test]
    fn the_operator_is_believed_but_for_what_cannot_be() {
        let mut state = State::default();
        state.trust(reading(NOW_US, 0)).unwrap();
        for now_us in [NOW_US - 60 * MINUTE_US, WRAP_31_US, NOW_US] {
            assert!(state.trust(reading(now_us, 1)).is_err(), "{now_us}");
            assert_eq!(state.accept(reading(now_us, 1)).map(Trusted::us), Ok(now_us));
            assert_eq!(state.trust(reading(now_us + 1, 2)).map(Trusted::us), Ok(now_us + 1));
        }
        for now_us in [0, EARLIEST_US - 1, LATEST_US, WRAP_32_US] {
            assert_eq!(state.accept(reading(now_us, 1)), Err(Doubt::Impossible));
        }
        assert_eq!(state.mark_us, Some(NOW_US + 1));
    }

    #[test]
    fn doubts_are_told_in_words_with_the_remedy() {
        let told = Doubt::Behind { by_us: 90 * MINUTE_US }.to_string();
        assert_eq!(
            told,
            "the clock is 90 minutes behind what it showed before; nothing is signed until it is right or `dnsctl clock accept`"
        );
        assert!(Doubt::Ahead { by_us: 365 * DAY_US }.to_string().starts_with("the clock has jumped 365 days ahead"));
        assert_eq!(span(3 * 60 * MINUTE_US), "3 hours");
    }

    #[test]
    fn the_clock_of_this_machine_is_believed() {
        let clock = Clock::default();
        let now = clock.trusted().unwrap();
        assert_eq!(clock.mark_us(), Some(now.us()));
        assert!(clock.trusted().unwrap() >= now);
        clock.recall(now.us() + DAY_US, None);
        assert!(matches!(clock.trusted(), Err(Doubt::Behind { .. })));
        clock.accept().unwrap();
        assert!(clock.trusted().is_ok());
    }
}
