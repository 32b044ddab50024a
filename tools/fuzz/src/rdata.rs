//! RDATA: check, print, read, canonical form.
//!
//! The first two bytes choose the type, so that those with a format of their own are met often.

use snapshot::dns::name::Name;
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;

/// Types above the dense range that have a format of their own.
const FAR_TYPES: [u16; 16] = [99, 104, 105, 106, 107, 108, 109, 256, 257, 259, 260, 261, 264, 32_768, 32_769, 65_280];

/// The type that the first two bytes choose, and what follows.
fn typed(bytes: &[u8]) -> Option<(Rtype, &[u8])> {
    let (&[high, low], rest) = bytes.split_first_chunk()?;
    let rtype = match high {
        0..=191 => Rtype(u16::from(low) % 110),
        192..=223 => Rtype(FAR_TYPES[usize::from(low) % FAR_TYPES.len()]),
        224.. => Rtype(u16::from_be_bytes([high, low])),
    };
    Some((rtype, rest))
}

/// Takes the bytes as RDATA in wire format, uncompressed and as part of a message.
pub(crate) fn check_wire(bytes: &[u8]) {
    let Some((rtype, rest)) = typed(bytes) else { return };
    if rdata::check(rtype, rest).is_ok() {
        round_trip(rtype, rest);
    }
    // Inside a message names may be compressed; whatever comes out has been checked.
    if let Ok(octets) = rdata::expand(rtype, rest, rest.len() / 2..rest.len()) {
        assert_eq!(rdata::check(rtype, &octets), Ok(()), "what is expanded is accepted");
        round_trip(rtype, &octets);
    }
}

/// Takes the bytes as RDATA in presentation format.
pub(crate) fn check_text(bytes: &[u8]) {
    let Some((rtype, rest)) = typed(bytes) else { return };
    let origin: Name = "example.".parse().expect("the origin is a name");
    if let Ok(octets) = rdata::parse_text(rtype, rest, Some(origin.as_ref())) {
        assert_eq!(rdata::check(rtype, &octets), Ok(()), "what is read is accepted");
        round_trip(rtype, &octets);
    }
}

/// Prints RDATA that was accepted, reads it back, and takes its canonical form.
fn round_trip(rtype: Rtype, octets: &[u8]) {
    let mut text = String::new();
    rdata::write_text(rtype, octets, &mut text).expect("writing to a string works");
    let read = rdata::parse_text(rtype, text.as_bytes(), None);
    let read = read.unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
    assert_eq!(read, octets, "{rtype} {text}");
    for span in rdata::names(rtype, octets) {
        assert!(Name::from_wire(&octets[span.off..span.off + span.len]).is_ok(), "{rtype} {text}");
    }
    let mut canonical = Vec::new();
    rdata::canonical(rtype, octets, &mut canonical);
    assert!(canonical.eq_ignore_ascii_case(octets), "{rtype} {text}");
    let mut again = Vec::new();
    rdata::canonical(rtype, &canonical, &mut again);
    assert_eq!(again, canonical, "the canonical form is its own");
}
