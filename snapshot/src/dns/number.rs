//! Numbers of presentation formats: decimal integers and times with units.
//!
//! Stricter than `str::parse`: no sign. Not more than 32 bits. Times with units are those of BIND: `1w2d3h4m5s` in any
//! order, or digits alone.

/// The largest TTL (RFC 2181 section 8).
pub(crate) const TTL_SECS_MAX: u32 = i32::MAX.cast_unsigned();

/// Reads digits only; `None` for anything else and above 32 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |value, &octet| {
        let digit = octet.is_ascii_digit().then(|| u32::from(octet - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads digits after `prefix` (ASCII case ignored), as in `TYPE65280`.
pub(crate) fn suffixed(text: &[u8], prefix: &[u8]) -> Option<u16> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) {
        return None;
    }
    u16::try_from(decimal(digits)?).ok()
}

/// Reads seconds: digits alone, or digits each followed by a unit of `w d h m s`.
pub(crate) fn seconds(text: &[u8]) -> Option<u32> {
    if let Some(plain) = decimal(text) {
        return Some(plain);
    }
    let mut total = 0u32;
    for part in text.split_inclusive(u8::is_ascii_alphabetic) {
        let (unit, digits) = part.split_last()?;
        let unit_secs = match unit.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(decimal(digits)?.checked_mul(unit_secs)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_up_to_32_bits() {
        for (text, value) in [("0", Some(0)), ("007", Some(7)), ("4294967295", Some(u32::MAX)), ("4294967296", None)] {
            assert_eq!(decimal(text.as_bytes()), value, "{text}");
        }
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1.0", "1h"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn seconds_take_units() {
        for (text, value) in [
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("1H30M", Some(5400)),
            ("1w2d3h4m5s", Some(788_645)),
            ("30m1h", Some(5400)),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("1x", None),
            ("7102w", None),
            ("4294967295s", Some(u32::MAX)),
            ("4294967295s1s", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), value, "{text:?}");
        }
    }
}
