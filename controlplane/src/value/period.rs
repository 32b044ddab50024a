//! Durations of tokens: `[DD] [HH:[MM:]]ss[.uuuuuu]` or a number of seconds in, `365 00:00:00` out.
//!
//! Invariant: a [`Period`] is 0 to 365,000 days, in whole microseconds.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;
/// Microseconds of a minute.
const MINUTE_US: u64 = 60 * SECOND_US;
/// Microseconds of an hour.
const HOUR_US: u64 = 60 * MINUTE_US;
/// Microseconds of a day.
const DAY_US: u64 = 24 * HOUR_US;
/// The longest period: a thousand years of 365 days.
const PERIOD_US_MAX: u64 = 365_000 * DAY_US;
/// How many digits a fraction may have; those past the sixth are dropped.
const FRACTION_DIGITS_MAX: usize = 12;

/// A length of time, such as the longest age of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    /// Microseconds, at most [`PERIOD_US_MAX`].
    micros: u64,
}

/// Why something is no period. The messages are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PeriodError {
    /// Not in one of the formats.
    #[error("Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].")]
    Format,
    /// Below zero.
    #[error("Ensure this value is greater than or equal to 0:00:00.")]
    Negative,
    /// Over a thousand years.
    #[error("Ensure this value is less than or equal to 365000 days, 0:00:00.")]
    Long,
}

impl Period {
    /// Takes microseconds; `None` for more than 365,000 days.
    #[must_use]
    pub fn from_micros(micros: u64) -> Option<Period> {
        (micros <= PERIOD_US_MAX).then_some(Period { micros })
    }

    /// The length in microseconds.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        self.micros
    }

    /// Reads what a client sent: a string, or a number of seconds.
    ///
    /// # Errors
    /// [`PeriodError`]; anything but strings and numbers has the wrong format.
    pub fn from_json(value: &Value) -> Result<Period, PeriodError> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(PeriodError::Format),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Period, PeriodError> {
        let (days, time) = split_days(text)?;
        let (is_negative, time) = match time.strip_prefix('-') {
            Some(time) => (true, time),
            None => (false, time),
        };
        let (whole, fraction) = match time.split_once(['.', ',']) {
            Some((whole, fraction)) => (whole, fraction_micros(fraction)?),
            None => (time, 0),
        };
        // From the right: seconds, minutes, hours. Each may exceed its usual range ("90:00" is an hour and a half).
        let mut micros = i128::from(fraction);
        let mut units = [SECOND_US, MINUTE_US, HOUR_US].into_iter();
        for field in whole.rsplit(':') {
            let unit = units.next().ok_or(PeriodError::Format)?;
            micros = micros.saturating_add(digits(field)?.saturating_mul(i128::from(unit)));
        }
        if is_negative {
            micros = -micros;
        }
        match micros.saturating_add(days.saturating_mul(i128::from(DAY_US))) {
            ..0 => Err(PeriodError::Negative),
            micros => u64::try_from(micros).ok().and_then(Period::from_micros).ok_or(PeriodError::Long),
        }
    }
}

/// Splits the days off; `1 day, ` and `2 days, ` are read as well, because other programs print that.
fn split_days(text: &str) -> Result<(i128, &str), PeriodError> {
    let Some((days, time)) = text.split_once(' ') else { return Ok((0, text)) };
    let time = time.strip_prefix("days, ").or_else(|| time.strip_prefix("day, ")).unwrap_or(time);
    let days = match days.strip_prefix('-') {
        Some(days) => -digits(days)?,
        None => digits(days)?,
    };
    Ok((days, time))
}

/// Reads decimal digits; what is absurdly large becomes the largest number.
fn digits(text: &str) -> Result<i128, PeriodError> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(PeriodError::Format);
    }
    // Far above any period and far below what the sums can hold.
    Ok(text.parse::<i64>().map_or(i128::from(i64::MAX), i128::from))
}

/// Reads the digits after the point as microseconds.
fn fraction_micros(text: &str) -> Result<u32, PeriodError> {
    if text.is_empty() || text.len() > FRACTION_DIGITS_MAX || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(PeriodError::Format);
    }
    let six = text.bytes().chain(std::iter::repeat(b'0')).take(6);
    Ok(six.fold(0, |micros, octet| micros * 10 + u32::from(octet - b'0')))
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.micros / DAY_US;
        if days > 0 {
            write!(f, "{days} ")?;
        }
        let hours = self.micros % DAY_US / HOUR_US;
        let minutes = self.micros % HOUR_US / MINUTE_US;
        let seconds = self.micros % MINUTE_US / SECOND_US;
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}")?;
        match self.micros % SECOND_US {
            0 => Ok(()),
            micros => write!(f, ".{micros:06}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What `text` is printed as, or its error.
    fn shown(text: &str) -> String {
        match text.parse::<Period>() {
            Ok(period) => period.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn durations_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("1 2:3", "1 00:02:03"),
            ("365 00:00:00", "365 00:00:00"),
            ("01:00:00", "01:00:00"),
            ("01:00:00.5", "01:00:00.500000"),
            ("3600", "01:00:00"),
            ("0", "00:00:00"),
            ("90:00", "01:30:00"),
            ("7 0", "7 00:00:00"),
            ("0.000001", "00:00:00.000001"),
            ("0.0000019", "00:00:00.000001"),
            ("1,25", "00:00:01.250000"),
            ("25:00:00", "1 01:00:00"),
            ("2 days, 1:00:00", "2 01:00:00"),
            ("1 day, 0:00:01", "1 00:00:01"),
            ("365000 00:00:00", "365000 00:00:00"),
            ("1 -1", "23:59:59"),
            ("-0", "00:00:00"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "x",
            "1 ",
            " 1",
            "1:2:3:4",
            "1::2",
            ":1",
            "1:",
            "1.",
            ".5",
            "1.1234567890123",
            "1 2 3",
            "1d",
            "+1",
            "1e3",
            "--1",
            "3600 ",
            "1\n",
            "\u{661}",
            "1 days 2",
        ] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Format), "{text:?}");
        }
        for text in ["-1", "-1 0", "-1 23:59:59"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Negative), "{text:?}");
        }
        for text in ["365000 00:00:00.000001", "365001 0", "99999999999999999999999999 99999999999999999999:0:0"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Long), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_seconds_and_other_json_is_refused() {
        for (value, expected) in [
            (json!(3600), "01:00:00"),
            (json!(0.5), "00:00:00.500000"),
            (json!(1e10), "115740 17:46:40"),
            (json!("1 2:3"), "1 00:02:03"),
        ] {
            assert_eq!(Period::from_json(&value).unwrap().to_string(), expected, "{value}");
        }
        for value in [json!(true), json!([]), json!({}), json!(null), json!(1e300)] {
            assert_eq!(Period::from_json(&value), Err(PeriodError::Format), "{value}");
        }
        assert_eq!(Period::from_json(&json!(-1)), Err(PeriodError::Negative));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(micros in 0..=PERIOD_US_MAX) {
            let period = Period::from_micros(micros).unwrap();
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9:., a-z]{0,40}") {
            let _read = text.parse::<Period>();
        }
    }
}
