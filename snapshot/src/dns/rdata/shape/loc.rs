//! RDATA of LOC (RFC 1876): a place on earth, in text as degrees, minutes and seconds, then metres.
//!
//! Invariant of the wire format: version 0, latitude and longitude on earth, sizes with a first digit of 1 to 9 and an
//! exponent up to 9, or 0. Another version is octets to us (section 2).

use std::fmt;

use super::super::parse::Args;
use super::super::{ParseError, RdataError};
use super::Shape;
use crate::dns::number;

/// The field.
pub(in super::super) static SHAPE: Shape = Shape { parse, len, write };

/// How many octets version 0 has.
const LOC_LEN: usize = 16;
/// Equator and prime meridian, in thousandths of a second of arc.
const ORIGIN: u32 = 1 << 31;
/// Thousandths of a second of arc in a degree.
const DEGREE: u32 = 3_600_000;
/// How far below the reference spheroid altitudes start, in centimetres.
const DEPTH_CM: u32 = 10_000_000;
/// The largest size in centimetres.
const SIZE_CM_MAX: u64 = 9_000_000_000;
/// Size, horizontal and vertical precision where the text has none: 1 m, 10 km, 10 m.
const SIZES: [u8; 3] = [0x12, 0x16, 0x13];

/// One of the two coordinates.
struct Axis {
    /// The letter of the positive direction.
    positive: u8,
    /// The letter of the negative direction.
    negative: u8,
    /// How many degrees it goes.
    degrees_max: u8,
    /// What is expected after a number of it.
    expected: &'static str,
}

/// Latitude.
const LATITUDE: Axis = Axis { positive: b'N', negative: b'S', degrees_max: 90, expected: "minutes, seconds, N or S" };
/// Longitude.
const LONGITUDE: Axis = Axis { positive: b'E', negative: b'W', degrees_max: 180, expected: "minutes, seconds, E or W" };

/// Whether this is version 0.
pub(in super::super) fn is_known(rdata: &[u8]) -> bool {
    rdata.first().is_none_or(|&version| version == 0)
}

/// Reads it.
fn parse(args: &mut Args<'_>, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let latitude = coordinate(&LATITUDE, args)?;
    let longitude = coordinate(&LONGITUDE, args)?;
    let altitude = args.word("an altitude from -100000.00m to 42849672.95m", altitude)?;
    let mut sizes = SIZES;
    for size in &mut sizes {
        if args.idx < args.tokens.count() {
            *size = args.word("a size up to 90000000.00m", |text| centimetres(text).and_then(pack))?;
        }
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// Reads `degrees [minutes [seconds]] direction`.
fn coordinate(axis: &Axis, args: &mut Args<'_>) -> Result<u32, ParseError> {
    let mut arc = u32::from(args.number_to(axis.degrees_max, "degrees, up to 90 or 180")?) * DEGREE;
    let mut unit = DEGREE;
    loop {
        let text = args.bare(axis.expected)?;
        if text == [axis.positive] {
            return Ok(ORIGIN + arc);
        } else if text == [axis.negative] {
            return Ok(ORIGIN - arc);
        }
        unit /= 60;
        let part = match unit {
            60_000 => number::decimal(text).filter(|&minutes| minutes < 60).map(|minutes| minutes * unit),
            1_000 => fixed(text, 3).and_then(|thousandths| u32::try_from(thousandths).ok()).filter(|&arc| arc < 60_000),
            _ => None,
        };
        let sum = part.map(|part| arc + part).filter(|&sum| sum <= u32::from(axis.degrees_max) * DEGREE);
        arc = sum.ok_or_else(|| args.fail_last(axis.expected))?;
    }
}

/// Reads an altitude in metres.
fn altitude(text: &[u8]) -> Option<u32> {
    match text.strip_prefix(b"-") {
        Some(depth) => DEPTH_CM.checked_sub(u32::try_from(centimetres(depth)?).ok()?),
        None => {
            let height = centimetres(text.strip_prefix(b"+").unwrap_or(text))?;
            u32::try_from(height + u64::from(DEPTH_CM)).ok()
        }
    }
}

/// Reads metres, with `m` or without.
fn centimetres(text: &[u8]) -> Option<u64> {
    fixed(text.strip_suffix(b"m").unwrap_or(text), 2)
}

/// Reads a decimal fraction and returns it as an integer of its last decimal.
fn fixed(text: &[u8], decimals: u32) -> Option<u64> {
    let scale = 10u64.pow(decimals);
    let Some(dot) = text.iter().position(|&octet| octet == b'.') else {
        return Some(u64::from(number::decimal(text)?) * scale);
    };
    let (whole, fraction) = (&text[..dot], &text[dot + 1..]);
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= decimals)?;
    let read = |digits: &[u8]| if digits.is_empty() { Some(0) } else { number::decimal(digits) };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    Some(u64::from(read(whole)?) * scale + u64::from(read(fraction)?) * 10u64.pow(decimals - digits))
}

/// Packs centimetres into a digit and an exponent; further digits are cut off, as there is no place for them.
fn pack(size_cm: u64) -> Option<u8> {
    if size_cm > SIZE_CM_MAX {
        return None;
    }
    let (mut digit, mut exponent) = (size_cm, 0u8);
    while digit > 9 {
        digit /= 10;
        exponent += 1;
    }
    Some(u8::try_from(digit).ok()? << 4 | exponent)
}

/// Validates it.
fn len(rest: &[u8]) -> Result<usize, RdataError> {
    let Some(&[version, s0, s1, s2, ref numbers @ ..]) = rest.first_chunk::<LOC_LEN>() else {
        return Err(RdataError::Short);
    };
    if version != 0 {
        return Err(RdataError::Field("version 0"));
    }
    if [s0, s1, s2].iter().any(|&size| size != 0 && (!(0x10..=0x99).contains(&size) || size & 15 > 9)) {
        return Err(RdataError::Field("sizes of a digit and an exponent up to 9"));
    }
    let is_within =
        |idx: usize, axis: &Axis| word(numbers, idx).abs_diff(ORIGIN) <= u32::from(axis.degrees_max) * DEGREE;
    if is_within(0, &LATITUDE) && is_within(1, &LONGITUDE) {
        Ok(LOC_LEN)
    } else {
        Err(RdataError::Field("a latitude up to 90 and a longitude up to 180 degrees"))
    }
}

/// The number at an index.
fn word(octets: &[u8], idx: usize) -> u32 {
    octets.iter().skip(idx * 4).take(4).fold(0, |value, &octet| value << 8 | u32::from(octet))
}

/// Writes all fields, defaults too.
fn write(octets: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let (head, numbers) = octets.split_at_checked(4).ok_or(fmt::Error)?;
    for (idx, axis) in [(0, &LATITUDE), (1, &LONGITUDE)] {
        let value = word(numbers, idx);
        let arc = value.abs_diff(ORIGIN);
        let direction = char::from(if value < ORIGIN { axis.negative } else { axis.positive });
        let (minutes, thousandths) = (arc / 60_000, arc % 60_000);
        let (degrees, minutes) = (minutes / 60, minutes % 60);
        write!(out, "{degrees} {minutes} {}.{:03} {direction} ", thousandths / 1000, thousandths % 1000)?;
    }
    let altitude = word(numbers, 2);
    let sign = if altitude < DEPTH_CM { "-" } else { "" };
    let distance = altitude.abs_diff(DEPTH_CM);
    write!(out, "{sign}{}.{:02}m", distance / 100, distance % 100)?;
    for size in head.iter().skip(1) {
        let size_cm = u64::from(size >> 4) * 10u64.pow(u32::from(size & 15));
        write!(out, " {}.{:02}m", size_cm / 100, size_cm % 100)?;
    }
    Ok(())
}
