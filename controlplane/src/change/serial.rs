//! How serials grow (RFC 1982).

use crate::store::domains::SerialPolicy;

/// The serial after `previous` at `now_us`: always ahead of it in the arithmetic of RFC 1982, so that secondaries follow.
pub(super) fn next(previous: u32, policy: SerialPolicy, now_us: i64) -> u32 {
    let following = previous.wrapping_add(1);
    let wanted = match policy {
        SerialPolicy::Increment => return following,
        SerialPolicy::Unixtime => u32::try_from(now_us / 1_000_000).unwrap_or(0),
        SerialPolicy::Date => date(now_us).unwrap_or(0),
    };
    if is_ahead(wanted, previous) { wanted } else { following }
}

/// Whether `serial` is ahead of `previous`: by less than half of all serials (RFC 1982 section 3.2).
pub(super) fn is_ahead(serial: u32, previous: u32) -> bool {
    let distance = serial.wrapping_sub(previous);
    distance != 0 && distance < 1 << 31
}

/// YYYYMMDD00 of a time; none after the year 4294, when it no longer fits.
pub(super) fn date(now_us: i64) -> Option<u32> {
    let at = time::OffsetDateTime::from_unix_timestamp(now_us / 1_000_000).ok()?;
    let (year, month, day) = at.to_calendar_date();
    u32::try_from(year)
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(u32::from(u8::from(month)) * 10_000 + u32::from(day) * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00 UTC.
    const NOON: i64 = 1_795_348_800_000_000;

    #[test]
    fn serials_follow_the_date_and_never_go_back() {
        for (previous, policy, expected) in [
            (0, SerialPolicy::Date, 2_026_112_200),
            (2_026_112_200, SerialPolicy::Date, 2_026_112_201),
            (2_026_112_299, SerialPolicy::Date, 2_026_112_300),
            (2_026_112_305, SerialPolicy::Date, 2_026_112_306),
            (5, SerialPolicy::Increment, 6),
            (5, SerialPolicy::Unixtime, 1_795_348_800),
            (1_795_348_800, SerialPolicy::Unixtime, 1_795_348_801),
        ] {
            assert_eq!(next(previous, policy, NOON), expected, "{previous} {policy:?}");
        }
    }

    #[test]
    fn t_c7_serials_stay_ahead_around_the_edges_of_32_bits() {
        for policy in [SerialPolicy::Date, SerialPolicy::Increment, SerialPolicy::Unixtime] {
            for previous in [0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX - 1, u32::MAX] {
                let serial = next(previous, policy, NOON);
                assert!(is_ahead(serial, previous), "{previous} -> {serial} {policy:?}");
            }
        }
        assert_eq!(next(u32::MAX, SerialPolicy::Increment, NOON), 0);
    }
}
