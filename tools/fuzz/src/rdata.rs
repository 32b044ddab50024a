//! RDATA: check, print, read, canonical form.
//!
//! The first two bytes are the type, taken modulo 70 if the first one is zero, so that known types are met often.

use snapshot::dns::name::Name;
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;

/// Types above the dense range that have a format of their own.
const FAR_TYPES: [u16; 16] =
    [99, 104, 105, 106, 107, 108, 109, 256, 257, 259, 260, 261, 264, 32_768, 32_769, 65_280];

/// Takes the bytes as RDATA and as text.
pub fn check(bytes: &[u8]) {
    let Some((&[high, low], rest)) = bytes.split_first_chunk() else { return };
    let rtype = match high {
        0..=191 => Rtype(u16::from(low) % 70),
        192..=223 => Rtype(FAR_TYPES[usize::from(low) % FAR_TYPES.len()]),
        224.. => Rtype(u16::from_be_bytes([high, low])),
    };
    if rdata::check(rtype, rest).is_ok() {
        round_trip(rtype, rest);
    }
    let origin: Name = "example.".parse().expect("the origin is a name");
    if let Ok(octets) = rdata::parse_text(rtype, rest, Some(origin.as_ref())) {
        assert_eq!(rdata::check(rtype, &octets), Ok(()), "what is read is accepted");
        round_trip(rtype, &octets);
    }
    // Inside a message names may be compressed; whatever comes out has been checked.
    if let Ok(octets) = rdata::expand(rtype, rest, rest.len() / 2..rest.len()) {
        assert_eq!(rdata::check(rtype, &octets), Ok(()), "what is expanded is accepted");
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
