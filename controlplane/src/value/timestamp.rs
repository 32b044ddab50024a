//! Points in time: microseconds since 1970 in the store, `YYYY-MM-DDTHH:MM:SS.ffffffZ` for clients.
//!
//! It reads no clock. Invariant: a [`Timestamp`] has a year of four digits, so that its text always has 27 characters.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;
use time::format_description::StaticFormatDescription;
use time::macros::{datetime, format_description};
use time::{OffsetDateTime, PrimitiveDateTime};

/// How timestamps look.
const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
/// The same in an export, with the offset of ISO 8601.
const OFFSET_FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");
/// The last second of the year 9999.
const SECS_MAX: i64 = datetime!(9999-12-31 23:59:59 UTC).unix_timestamp();
/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// A point in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01T00:00:00Z, from 0 to the end of the year 9999.
    micros: i64,
}

/// The text is no timestamp of the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a point in time in the form YYYY-MM-DDTHH:MM:SS.ffffffZ")]
pub struct TimestampError;

impl Timestamp {
    /// Takes microseconds since 1970; those before it and after the year 9999 become the nearest that is allowed.
    #[must_use]
    pub fn from_micros(micros: i64) -> Timestamp {
        Timestamp { micros: micros.clamp(0, SECS_MAX * SECOND_US + SECOND_US - 1) }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.micros
    }

    /// The text with `+00:00` in place of `Z`, as in the first line of an export.
    #[must_use]
    pub fn with_offset(self) -> String {
        self.text(OFFSET_FORMAT)
    }

    /// Writes it in `format`.
    fn text(self, format: StaticFormatDescription) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.micros) * 1000)
            .ok()
            .and_then(|time| time.format(format).ok())
            .expect("years from 1970 to 9999 have a date, and the format uses nothing else")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        let time = PrimitiveDateTime::parse(text, FORMAT).map_err(|_| TimestampError)?.assume_utc();
        let micros = i64::try_from(time.unix_timestamp_nanos() / 1000).map_err(|_| TimestampError)?;
        if micros < 0 { Err(TimestampError) } else { Ok(Timestamp::from_micros(micros)) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(FORMAT))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn microseconds_become_text_of_27_characters() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1970-01-01T00:00:00.000000Z"),
            (1_795_341_600_000_001, "2026-11-22T10:00:00.000001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
        assert_eq!(Timestamp::from_micros(1).with_offset(), "1970-01-01T00:00:00.000001+00:00");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.000000",
            "2026-02-29T10:00:00.000000Z",
            "2026-11-22T25:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2026-11-22T10:00:00.000000+01:00",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(micros in 0..SECS_MAX * SECOND_US) {
            let timestamp = Timestamp::from_micros(micros);
            prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
            prop_assert_eq!(timestamp.to_string().len(), 27);
        }
    }
}
