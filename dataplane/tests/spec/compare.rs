//! Whether a reply is what the model asks for, and if not, why.

use std::fmt::Write as _;

use crate::message::Reply;
use crate::model::{self, Answer, Label, Name, Rdata, Record, Zone};

/// Compares a reply with what the model asks for.
///
/// # Errors
/// What differs, in a few words.
pub(crate) fn compare(zones: &[Zone], expected: &Answer, reply: &Reply) -> Result<(), String> {
    let [answer, authority, additional] = &reply.sections;
    if reply.truncated {
        return Err("TC is set".into());
    }
    if reply.rcode != expected.rcode {
        return Err(format!("rcode {}, not {}", reply.rcode, expected.rcode));
    }
    if reply.authoritative != expected.authoritative {
        return Err(format!("AA {}, not {}", reply.authoritative, expected.authoritative));
    }
    let mut rest = answer.as_slice();
    for place in &expected.answer {
        let len = place.iter().filter(|rrset| begins_with(rest, rrset)).map(Vec::len).max();
        rest = &rest[len.ok_or("the answer section differs")?..];
    }
    if !rest.is_empty() {
        return Err("the answer section has more than it should".into());
    }
    let missing = |records: &[Record], section: &[Record]| records.iter().any(|record| !section.contains(record));
    if missing(&expected.authority, authority) {
        return Err("the authority section lacks a record".into());
    }
    if authority
        .iter()
        .any(|record| !expected.authority.contains(record) && !expected.authority_optional.contains(record))
    {
        return Err("the authority section has more than it should".into());
    }
    if missing(&expected.glue, additional) {
        return Err("in-domain glue is missing".into());
    }
    let mut surplus = additional.iter().filter(|record| !expected.glue.contains(record)).peekable();
    if surplus.peek().is_none() {
        return Ok(());
    }
    let targets: Vec<Name> = answer.iter().chain(authority).filter_map(target).collect();
    let is_address =
        |record: &&Record| targets.contains(&record.owner) && model::addresses(zones, &record.owner).contains(record);
    match surplus.find(|record| !is_address(record)) {
        Some(record) => Err(format!("nobody needs this in the additional section: {}", record_text(record))),
        None => Ok(()),
    }
}

/// Whether `section` begins with the records of `rrset`, in any order.
fn begins_with(section: &[Record], rrset: &[Record]) -> bool {
    section.get(..rrset.len()).is_some_and(|head| match rrset {
        [only] => head[0] == *only,
        _ => rrset.iter().all(|record| head.contains(record)),
    })
}

/// The name in a record's RDATA whose addresses are worth adding (RFC 1035 section 3.3, RFC 2782, RFC 9460 section 4.1).
fn target(record: &Record) -> Option<Name> {
    match (&record.rdata, record.rtype) {
        (Rdata::Name(name), model::NS) => Some(name.clone()),
        // AFSDB, RT, KX and MX begin with a preference, SRV with three numbers; SVCB and HTTPS name themselves by ".".
        (Rdata::Octets(octets), 15 | 18 | 21 | 36) => crate::message::read_name(octets.get(2..)?).ok(),
        (Rdata::Octets(octets), 33) => crate::message::read_name(octets.get(6..)?).ok(),
        (Rdata::Octets(octets), 64 | 65) => {
            let name = crate::message::read_name(octets.get(2..)?).ok()?;
            Some(if name.is_empty() { record.owner.clone() } else { name })
        }
        _ => None,
    }
}

/// A name in presentation format.
pub(crate) fn name_text(name: &[Label]) -> String {
    let mut text = String::new();
    for label in name {
        text.push_str(&label.octets().escape_ascii().to_string());
        text.push('.');
    }
    if text.is_empty() { ".".into() } else { text }
}

/// A record, for people.
pub(crate) fn record_text(record: &Record) -> String {
    let Record { owner, rtype, ttl_secs, rdata } = record;
    let mut text = format!("{} {ttl_secs} {} ", name_text(owner), snapshot::dns::rtype::Rtype(*rtype));
    match rdata {
        Rdata::Name(name) => text.push_str(&name_text(name)),
        Rdata::Octets(octets) => {
            for octet in octets {
                write!(text, "{octet:02x}").expect("writing to a String cannot fail");
            }
        }
    }
    text
}

/// Both sides, for people.
pub(crate) fn both_text(zones: &[Zone], expected: &Answer, reply: Option<&Reply>) -> String {
    let mut text = String::new();
    let mut section = |title: &str, records: &mut dyn Iterator<Item = &Record>| {
        for record in records {
            writeln!(text, "    {title}: {}", record_text(record)).expect("writing to a String cannot fail");
        }
    };
    for zone in zones {
        section("zone", &mut zone.records.iter());
    }
    section("model answer", &mut expected.answer.iter().flatten().flatten());
    section("model authority", &mut expected.authority.iter());
    section("model glue", &mut expected.glue.iter());
    if let Some(reply) = reply {
        section("petrel answer", &mut reply.sections[0].iter());
        section("petrel authority", &mut reply.sections[1].iter());
        section("petrel additional", &mut reply.sections[2].iter());
    }
    text
}
