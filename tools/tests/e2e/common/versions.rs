//! A zone in which every record carries the version of the zone, so that any mixture of two shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use snapshot::dns::message::{Message, Resource};
use snapshot::dns::rtype::Rtype;

/// How many records each RRset has.
pub(crate) const RRSET_LEN: usize = 10;
/// What to ask, with the number of records in the answer section.
pub(crate) const QUESTIONS: [(&str, &str, usize); 9] = [
    ("v.test.", "SOA", 1),
    ("a.v.test.", "A", RRSET_LEN),
    ("a.v.test.", "TXT", RRSET_LEN),
    ("a.v.test.", "AAAA", RRSET_LEN),
    ("a.v.test.", "MX", RRSET_LEN),
    ("any.w.v.test.", "TXT", RRSET_LEN),
    ("alias.v.test.", "A", RRSET_LEN + 1),
    ("missing.v.test.", "A", 0),
    ("a.v.test.", "SRV", 0),
];

/// Writes the zone file of `version` to `path`.
pub(crate) fn write(path: &Path, version: u32) {
    let [_, _, high, low] = version.to_be_bytes();
    let mut text = format!(
        "$ORIGIN v.test.\n$TTL {version}\n@ SOA ns mail {version} 7200 900 1209600 {version}\n@ NS ns\nns A 127.0.0.1\n\
         alias CNAME a\n"
    );
    for number in 1..=RRSET_LEN {
        writeln!(text, "a A 10.{high}.{low}.{number}").unwrap();
        writeln!(text, "a AAAA 2001:db8:{version:x}::{number:x}").unwrap();
        writeln!(text, "a TXT \"{version}\" \"record {number}\"").unwrap();
        writeln!(text, "a MX {version} mx{number}").unwrap();
        writeln!(text, "*.w TXT \"{version}\" \"wildcard {number}\"").unwrap();
    }
    std::fs::write(path, text).unwrap();
}

/// The one version that a reply carries.
///
/// # Errors
/// What is wrong with the reply: records of two versions, too few of them, or an unexpected type.
pub(crate) fn version_of(reply: &Message, answer_count: usize) -> Result<u32, String> {
    if reply.answers.len() != answer_count {
        return Err(format!("{} records instead of {answer_count}", reply.answers.len()));
    }
    let mut versions = BTreeSet::new();
    for record in reply.answers.iter().chain(&reply.authorities) {
        // The TTL is the version, except that a negative answer's SOA has the lesser of two that are equal here.
        versions.insert(record.ttl_secs);
        versions.extend(in_rdata(record)?);
    }
    match versions.len() {
        1 => Ok(versions.into_iter().next().unwrap_or_default()),
        _ => Err(format!("a mixture of versions: {versions:?}")),
    }
}

/// The version in the RDATA; none in that of a CNAME or NS.
fn in_rdata(record: &Resource) -> Result<Option<u32>, String> {
    let rdata = &record.rdata;
    let word = |octets: &[u8]| octets.iter().fold(0, |value, &octet| value << 8 | u32::from(octet));
    match record.rtype {
        Rtype::A => Ok(Some(word(&rdata[1..3]))),
        Rtype::AAAA => Ok(Some(word(&rdata[4..6]))),
        Rtype::MX => Ok(Some(word(&rdata[..2]))),
        // Serial, refresh, retry, expire, minimum are the last twenty octets.
        Rtype::SOA => Ok(Some(word(&rdata[rdata.len() - 20..rdata.len() - 16]))),
        Rtype::TXT => {
            let text = rdata.get(1..=usize::from(rdata[0])).map(String::from_utf8_lossy);
            text.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| format!("a foreign text: {rdata:?}"))
        }
        Rtype::CNAME | Rtype::NS => Ok(None),
        other => Err(format!("a record of type {other}")),
    }
}
