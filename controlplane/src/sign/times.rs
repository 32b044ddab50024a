//! When signatures begin and end, and which of those that were published may stay.
//!
//! The time is the caller's. Signatures of one run end at different times, so that they need not all be made anew at
//! once; when is a function of owner and type. Invariant: no time is past the 32 bits of RRSIG; comparisons hold for
//! serial numbers all the same (RFC 4034 section 3.1.5, RFC 1982).

use snapshot::dns::rtype::Rtype;

use super::SignError;

/// Half of the serial numbers: two times that are compared must be closer.
const SERIAL_HALF: u32 = 1 << 31;

/// How long signatures last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Now, in seconds since 1970.
    pub now_unix_secs: u64,
    /// How long a signature lasts at most.
    pub validity_secs: u32,
    /// Signatures end up to so much earlier than that, each at its own time.
    pub jitter_secs: u32,
    /// How much before now signatures begin, for validators whose clock is late.
    pub inception_back_secs: u32,
    /// What is published stays if it lasts for longer than this.
    pub refresh_secs: u32,
}

/// The times of one run as RRSIG has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Now.
    now: u32,
    /// When signatures begin.
    pub(super) inception: u32,
    /// When they end, at the latest.
    latest: u32,
    /// What they were made of.
    times: Times,
}

impl Times {
    /// Makes sure that the times fit together, and into 32 bits.
    ///
    /// # Errors
    /// [`SignError::Times`].
    pub(super) fn window(&self) -> Result<Window, SignError> {
        let Times { now_unix_secs, validity_secs, jitter_secs, inception_back_secs, refresh_secs } = *self;
        let before_1970 = SignError::Times("they would begin before 1970");
        let inception = now_unix_secs.checked_sub(inception_back_secs.into()).ok_or(before_1970)?;
        let latest = now_unix_secs.checked_add(validity_secs.into()).and_then(|latest| u32::try_from(latest).ok());
        let latest = latest.ok_or(SignError::Times("they would end after 2106, which RRSIG cannot say"))?;
        // Both are below `latest`, which has 32 bits.
        let (Ok(now), Ok(inception)) = (u32::try_from(now_unix_secs), u32::try_from(inception)) else {
            return Err(SignError::Times("the time has more than 32 bits"));
        };
        if latest - inception >= SERIAL_HALF {
            return Err(SignError::Times("they would last for more than 68 years"));
        }
        if u64::from(refresh_secs) + u64::from(jitter_secs) >= u64::from(validity_secs) {
            return Err(SignError::Times("they would be made anew as soon as they are made"));
        }
        Ok(Window { now, inception, latest, times: *self })
    }
}

impl Window {
    /// When a signature over this RRset ends. `owner` is canonical wire format.
    pub(super) fn expiration(&self, owner: &[u8], rtype: Rtype) -> u32 {
        // Any function that spreads evenly will do; this one is fast and the same everywhere.
        let hash = blake3::Hasher::new().update(owner).update(&rtype.0.to_be_bytes()).finalize();
        let octets = hash.as_bytes().first_chunk::<4>().copied().unwrap_or_default();
        self.latest - u32::from_le_bytes(octets) % self.times.jitter_secs.max(1)
    }

    /// Whether a published signature with these times may stay. One that lasts for longer than any that is made now is
    /// of another policy, or of a clock that was ahead.
    pub(super) fn keeps(&self, inception: u32, expiration: u32) -> bool {
        let left = expiration.wrapping_sub(self.now);
        let has_begun = self.now.wrapping_sub(inception) < SERIAL_HALF;
        has_begun && (self.times.refresh_secs + 1..=self.times.validity_secs).contains(&left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day.
    const DAY: u32 = 86_400;
    /// Three weeks of validity, spread over three days, at a time.
    fn times(now_unix_secs: u64) -> Times {
        Times {
            now_unix_secs,
            validity_secs: 21 * DAY,
            jitter_secs: 3 * DAY,
            inception_back_secs: 3600,
            refresh_secs: 14 * DAY,
        }
    }

    #[test]
    fn times_that_no_rrsig_can_have_are_refused() {
        let is_refused = |times: Times| matches!(times.window(), Err(SignError::Times(_)));
        let last = u64::from(u32::MAX - 21 * DAY);
        assert!(!is_refused(times(last)));
        assert!(is_refused(times(last + 1)));
        assert!(is_refused(times(u64::MAX)));
        assert!(!is_refused(times(3600)));
        assert!(is_refused(times(3599)));
        assert!(is_refused(Times { refresh_secs: 18 * DAY, ..times(1_800_000_000) }));
        assert!(is_refused(Times { validity_secs: SERIAL_HALF, ..times(1_800_000_000) }));
    }

    #[test]
    fn the_31st_bit_is_a_second_like_others_and_what_ends_past_the_32nd_is_refused() {
        /// 2038-01-19T03:14:08Z, and 2106-02-07T06:28:16Z.
        const WRAPS: [u64; 2] = [1 << 31, 1 << 32];
        let validity = u64::from(21 * DAY);
        for (now, is_sound) in [
            (WRAPS[0] - validity - 1, true),
            (WRAPS[0] - 1, true),
            (WRAPS[0], true),
            (WRAPS[0] + 3600, true),
            (WRAPS[1] - validity - 1, true),
            (WRAPS[1] - validity, false),
            (WRAPS[1] - 1, false),
            (WRAPS[1], false),
            (WRAPS[1] + 3600, false),
        ] {
            let Ok(window) = times(now).window() else {
                assert!(!is_sound, "{now}");
                continue;
            };
            assert!(is_sound, "{now}");
            let (begin, end) = (u64::from(window.inception), u64::from(window.expiration(b"\0", Rtype::A)));
            assert_eq!(begin, now - 3600);
            assert!(end > now + validity - u64::from(3 * DAY) && end <= now + validity, "{now} {end}");
            // What was made before the wrap stays after it, and what is of the other side of it does not.
            let made_before = u32::try_from(now - u64::from(DAY)).unwrap();
            assert!(window.keeps(made_before, made_before + 20 * DAY), "{now}");
            assert!(!window.keeps(made_before, made_before - 1), "{now}");
            assert!(!window.keeps(made_before ^ (1 << 31), u32::try_from(now).unwrap() + 20 * DAY), "{now}");
        }
    }

    #[test]
    fn ends_are_spread_by_owner_and_type_and_nothing_else() {
        let window = times(1_800_000_000).window().unwrap();
        let mut by_day = [0; 3];
        for number in 0..3000u16 {
            let owner = [&[2][..], &number.to_be_bytes(), &[0]].concat();
            let end = window.expiration(&owner, Rtype::A);
            assert_eq!(end, window.expiration(&owner, Rtype::A));
            let early_secs = window.latest - end;
            by_day[(early_secs / DAY) as usize] += 1;
        }
        assert!(by_day.iter().all(|count| (850..1150).contains(count)), "{by_day:?}");
        assert_ne!(window.expiration(b"\0", Rtype::A), window.expiration(b"\0", Rtype::AAAA));
    }

    #[test]
    fn signatures_stay_if_they_have_begun_and_last() {
        let now = 1_800_000_000;
        let window = times(now.into()).window().unwrap();
        for (inception, left, stays) in [
            (now, 14 * DAY + 1, true),
            (now, 14 * DAY, false),
            (now + 1, 20 * DAY, false),
            (now - 30 * DAY, 21 * DAY, true),
            (now, 21 * DAY + 1, false),
        ] {
            assert_eq!(window.keeps(inception, now + left), stays, "{inception} {left}");
        }
        assert!(!window.keeps(now - DAY, now - 1));
    }
}
