//! The time of day, for the edges that pass it on; nothing below them looks at a clock.

use std::time::SystemTime;

/// The time in microseconds since 1970; 0 for a clock that is set before that.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
