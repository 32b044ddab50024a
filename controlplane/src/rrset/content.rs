//! All records of one RRset: each canonical, none twice, not too many and not too long.
//!
//! Records are the same if their DNSSEC canonical forms are (RFC 4034 section 6.2), as resolvers would see one record.
//! Invariant of the list: ascending in that form, so that equal sets are equal lists.

use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;
use thiserror::Error;

use super::canonical::{RecordError, canonical};
use super::{Content, Limits};

/// The longest message (RFC 1035 section 4.2.2): every RRset has to fit into one with its signature.
const MESSAGE_LEN_MAX: usize = 65_535;
/// What a message has beside records and owner: 32 octets of header, question and OPT, and room for one signature.
const MESSAGE_LEN_FIXED: usize = 32 + 256;
/// What a record has beside its text, which is never shorter than its RDATA: compressed owner, type, class, TTL, length.
const RECORD_LEN_FIXED: usize = 12;

/// Why texts are not the records of an RRset.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContentError {
    /// One of them is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Two of them are one record.
    #[error("Duplicate: records must be semantically unique")]
    Duplicate,
    /// They fit into no message.
    #[error("Total length of RRset exceeds limit by {0} bytes.")]
    Long(usize),
    /// They are more than the limit.
    #[error("Ensure this RRset has no more than {0} records.")]
    Many(usize),
}

/// Reads the records of the RRset with the full name `name`.
///
/// # Errors
/// [`ContentError`], the first that applies.
pub fn contents(rtype: Rtype, texts: &[String], name: &str, limits: Limits) -> Result<Vec<Content>, ContentError> {
    if texts.len() > limits.record_count_max {
        return Err(ContentError::Many(limits.record_count_max));
    }
    let contents = texts.iter().map(|text| canonical(rtype, text)).collect::<Result<Vec<Content>, RecordError>>()?;
    unique(rtype, contents, name)
}

/// Sorts records that are canonical already, as those of a zone file.
///
/// # Errors
/// [`ContentError::Duplicate`] and [`ContentError::Long`].
pub fn unique(rtype: Rtype, contents: Vec<Content>, name: &str) -> Result<Vec<Content>, ContentError> {
    let mut keyed: Vec<(Vec<u8>, Content)> = contents
        .into_iter()
        .map(|content| (rdata::canonical_rdata(rtype, &content.rdata).into_owned(), content))
        .collect();
    keyed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if keyed.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(ContentError::Duplicate);
    }
    let contents: Vec<Content> = keyed.into_iter().map(|(_, content)| content).collect();
    let text_len: usize = contents.iter().map(|content| RECORD_LEN_FIXED + content.text.len()).sum();
    match (MESSAGE_LEN_FIXED + name.len() + text_len).saturating_sub(MESSAGE_LEN_MAX) {
        0 => Ok(contents),
        excess => Err(ContentError::Long(excess)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `texts` at `www.example.` and shows the records, or the error.
    fn read(rtype: Rtype, texts: &[&str], limits: Limits) -> String {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        match contents(rtype, &texts, "www.example.", limits) {
            Ok(contents) => contents.iter().map(|content| content.text.as_str()).collect::<Vec<&str>>().join(" | "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn records_are_a_set_in_canonical_order() {
        assert_eq!(read(Rtype::A, &["9.0.0.1", "1.2.3.4", "1.2.3.3"], Limits::HOSTING), "1.2.3.3 | 1.2.3.4 | 9.0.0.1");
        assert_eq!(read(Rtype::A, &[], Limits::HOSTING), "");
        let duplicate = "Duplicate: records must be semantically unique";
        for (rtype, texts) in [
            (Rtype::A, ["1.2.3.4", " 1.2.3.4"]),
            (Rtype::MX, ["10 a.example.", "010 A.example."]),
            (Rtype::NS, ["a.example.", "A.EXAMPLE."]),
            (Rtype::PTR, ["a.example.", "\\065.example."]),
            (Rtype::AAAA, ["::1", "0::1"]),
            (Rtype::CSYNC, ["66 3 A TYPE1", "66 3 A"]),
            (Rtype::DS, ["1 8 5 AA", "1 8 5 aa"]),
        ] {
            assert_eq!(read(rtype, &texts, Limits::HOSTING), duplicate, "{rtype}");
        }
        assert_eq!(read(Rtype::TXT, &["\"ab\"", "\"a\" \"b\""], Limits::HOSTING), "\"a\" \"b\" | \"ab\"");
        assert_eq!(read(Rtype::SVCB, &["1 a.", "1 A."], Limits::HOSTING), "1 A. | 1 a.");
        assert_eq!(
            read(Rtype::A, &["1.2.3.4", "x", "1.2.3.4"], Limits::HOSTING),
            read(Rtype::A, &["x"], Limits::HOSTING)
        );
    }

    #[test]
    fn t_c2_sets_are_bound_in_number_and_length() {
        let addresses: Vec<String> = (0..=100).map(|idx| format!("10.0.0.{idx}")).collect();
        let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
        assert_eq!(read(Rtype::A, &texts, Limits::HOSTING), "Ensure this RRset has no more than 100 records.");
        assert!(read(Rtype::A, &texts[1..], Limits::HOSTING).starts_with("10.0.0.1 | "));
        assert!(read(Rtype::A, &texts, Limits::OPERATOR).starts_with("10.0.0.0 | "));
        // Each record is 20,000 octets, 79 strings with two quotes and a space between.
        let long = |letter: &str| format!("\"{}\"", letter.repeat(20_000));
        let long = [long("a"), long("b"), long("c")];
        let texts: Vec<&str> = long.iter().map(String::as_str).collect();
        assert!(read(Rtype::TXT, &texts, Limits::HOSTING).starts_with("\"aaa"));
        let last = format!("\"{}\"", "d".repeat(5_000));
        let len = 288 + "www.example.".len() + 3 * (12 + 20_000 + 79 * 3 - 1) + 12 + 5_000 + 20 * 3 - 1;
        let expected = format!("Total length of RRset exceeds limit by {} bytes.", len - 65_535);
        assert_eq!(read(Rtype::TXT, &[&texts[..], &[&last]].concat(), Limits::HOSTING), expected);
    }
}
