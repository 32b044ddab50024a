//! Records as the operations API takes them: every type that a zone may hold, texts as people type them.
//!
//! What the REST API takes is taken here in the same canonical form, so that both show the same records. Beyond that, a name
//! without a dot at its end is absolute all the same, text of TXT needs no quotes, and types that the REST API does not
//! know are written as zone files have them. Invariant: the text of a [`Content`] gives the same [`Content`] again.

use std::fmt::Write;

use snapshot::dns::name::Name;
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;

use super::Content;
use super::canonical::{RDATA_LEN_MAX, RecordError, canonical};
use super::kinds::{ACCEPTED, KindError};

/// Finds a type that records may be written of, by its name in any case: all that zones hold but what signing makes.
///
/// # Errors
/// [`KindError`] for all other text.
pub fn kind(text: &str) -> Result<Rtype, KindError> {
    let known = Rtype::parse(text.as_bytes()).filter(|rtype| rtype.is_data());
    let rtype = known.ok_or_else(|| KindError::Unsupported(text.to_owned()))?;
    match rtype {
        Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM => Err(KindError::Automatic(rtype.to_string())),
        _ => Ok(rtype),
    }
}

/// Reads one record of a type of [`kind`].
///
/// # Errors
/// [`RecordError`] for the first thing that is wrong.
pub fn content(rtype: Rtype, text: &str) -> Result<Content, RecordError> {
    if !ACCEPTED.contains(&rtype) {
        return other(rtype, text);
    }
    let text = text.trim();
    if matches!(rtype, Rtype::TXT | Rtype::SPF) && !text.starts_with('"') {
        return canonical(rtype, &quoted(text));
    }
    match canonical(rtype, text) {
        Err(RecordError::Relative) => canonical(rtype, &other(rtype, text)?.text),
        outcome => outcome,
    }
}

/// Reads a record as a zone file at the root has it.
fn other(rtype: Rtype, text: &str) -> Result<Content, RecordError> {
    let malformed = |error: &dyn std::fmt::Display| RecordError::malformed(rtype, error.to_string());
    if text.contains(['\n', '\r']) {
        return Err(malformed(&"a record is one line"));
    }
    let root = Name::root();
    let rdata = rdata::parse_text(rtype, text.as_bytes(), Some(root.as_ref())).map_err(|error| malformed(&error))?;
    if rdata.len() > RDATA_LEN_MAX {
        return Err(RecordError::Long(rdata.len()));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    rdata::write_text(rtype, &rdata, &mut text).map_err(|error| malformed(&error))?;
    Ok(Content { text, rdata })
}

/// Any text as one string in quotes; what is longer than a string may be is cut later.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for octet in text.bytes() {
        match octet {
            b'"' | b'\\' => out.extend(['\\', char::from(octet)]),
            b' '..=b'~' => out.push(char::from(octet)),
            // Writing to a string cannot fail.
            _ => write!(out, "\\{octet:03}").unwrap_or_default(),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a record reads as, or what is wrong with it.
    fn read(rtype: &str, text: &str) -> String {
        let rtype = match kind(rtype) {
            Ok(rtype) => rtype,
            Err(error) => return error.to_string(),
        };
        match content(rtype, text) {
            Ok(found) => {
                assert_eq!(content(rtype, &found.text), Ok(found.clone()), "{rtype} {text}");
                found.text
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn people_may_leave_out_dots_and_quotes() {
        for (rtype, text, expected) in [
            ("a", "192.0.2.1", "192.0.2.1"),
            ("MX", "10 mail.example.com", "10 mail.example.com."),
            ("MX", "10 mail.example.com.", "10 mail.example.com."),
            ("SRV", "10 60 5060 sip.example.com", "10 60 5060 sip.example.com."),
            ("TXT", "v=spf1 -all", "\"v=spf1 -all\""),
            ("TXT", "\"a\" \"b\"", "\"a\" \"b\""),
            ("TXT", "say \"hi\"; \\o/", "\"say \\\"hi\\\"; \\\\o/\""),
            ("SPF", "v=spf1", "\"v=spf1\""),
            ("TXT", "; (", "\"; (\""),
            (
                "NAPTR",
                "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:x@example.com!\" .",
                "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:x@example.com!\" .",
            ),
        ] {
            assert_eq!(read(rtype, text), expected, "{rtype} {text}");
        }
        let long = "x".repeat(600);
        assert_eq!(read("TXT", &long).split(' ').map(str::len).collect::<Vec<_>>(), [257, 257, 92]);
    }

    #[test]
    fn every_type_that_zones_hold_is_taken() {
        for (rtype, text, expected) in [
            ("WKS", "10.0.0.1 6 25", "10.0.0.1 6 25"),
            ("RT", "10 relay.example.com", "10 relay.example.com."),
            ("TYPE65400", "\\# 2 abcd", "\\# 2 ABCD"),
        ] {
            assert_eq!(read(rtype, text).to_ascii_uppercase(), expected.to_ascii_uppercase(), "{rtype} {text}");
        }
        for rtype in ["OPT", "ANY", "AXFR", "TYPE0", "TSIG", "NONSENSE", ""] {
            assert_eq!(read(rtype, "x"), format!("The {rtype} RR set type is currently unsupported."));
        }
        assert_eq!(read("rrsig", ""), "You cannot tinker with the RRSIG RR set. It is managed automatically.");
        assert!(read("A", "1.2.3").starts_with("Record content for type A malformed"));
        assert!(read("PTR", "a b").starts_with("Record content for type PTR malformed"));
        assert!(read("RT", "1 a\n1 b").ends_with("a record is one line"));
    }
}
