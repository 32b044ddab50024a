//! Points in time as RRSIG has them (RFC 4034 section 3.2): 32 bits of seconds since 1970, in the proleptic Gregorian
//! calendar, UTC.
//!
//! There is no clock here. So years are those from 1970 to 2106, the first round of the serial numbers of RFC 1982.

use std::fmt;

use crate::dns::number;

/// Seconds in a day.
const DAY_SECS: u32 = 86_400;

/// Reads `YYYYMMDDHHMMSS`, or up to ten digits of seconds.
pub(super) fn parse(text: &[u8]) -> Option<u32> {
    if text.len() != 14 {
        return number::decimal(text);
    }
    let part = |from: usize, to: usize| number::decimal(text.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    // A leap second has no number of its own; signers never write 60.
    let in_range = (1970..=2106).contains(&year)
        && (1..=12).contains(&month)
        && (1..=month_days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let years: u32 = (1970..year).map(year_days).sum();
    let months: u32 = (1..month).map(|month| month_days(year, month)).sum();
    let days = years + months + day - 1;
    days.checked_mul(DAY_SECS)?.checked_add(hour * 3600 + minute * 60 + second)
}

/// Writes `YYYYMMDDHHMMSS`.
pub(super) fn write(secs: u32, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut days = secs / DAY_SECS;
    let mut year = 1970;
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    let second = secs % DAY_SECS;
    write!(out, "{year:04}{month:02}{:02}{:02}{:02}{:02}", days + 1, second / 3600, second / 60 % 60, second % 60)
}

/// How many days a year has.
fn year_days(year: u32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

/// How many days a month has.
fn month_days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether a year has a 29 February.
fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds_agree() {
        for (text, secs) in [
            ("19700101000000", 0),
            ("20000229235959", 951_868_799),
            ("20030322173103", 1_048_354_263),
            ("20380119031408", 1 << 31),
            ("21060207062815", u32::MAX),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(secs), "{text}");
            assert_eq!(parse(secs.to_string().as_bytes()), Some(secs), "{text}");
            let mut out = String::new();
            write(secs, &mut out).unwrap();
            assert_eq!(out, text);
        }
        for text in [
            "21060207062816",
            "19691231235959",
            "20010229000000",
            "20001301000000",
            "20000001000000",
            "20000100000000",
            "20000101240000",
            "20000101006000",
            "20000101000060",
            "200001010000",
            "2000010100000x",
            "4294967296",
            "",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
