//! The fields of bodies: JSON values to what they mean, with messages for people.
//!
//! Pure. Unknown fields are passed over by whoever asks for the known ones. A message never repeats more than the name of a
//! field and what was expected there.

use serde_json::{Map, Value};
use snapshot::dns::name::Name;

use crate::geo;
use crate::http::reply::Refusal;
use crate::rrset::fields::TTL_SECS_MAX;

/// The largest TTL of an RRset in seconds (RFC 2181 section 8).
const TTL_MAX: u32 = i32::MAX as u32;
/// The longest place of a record in characters.
const GEO_LEN_MAX: usize = 64;
/// The longest comment in characters.
const COMMENT_LEN_MAX: usize = 1000;

/// What is said of a field that must be there.
pub(super) const REQUIRED: &str = "This field is required.";

/// A text field; `None` if it is absent.
pub(super) fn text<'b>(body: &'b Map<String, Value>, field: &str) -> Result<Option<&'b str>, Refusal> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::field(field, "Not a valid string.")),
    }
}

/// A text field that must be there.
pub(super) fn required<'b>(body: &'b Map<String, Value>, field: &str) -> Result<&'b str, Refusal> {
    text(body, field)?.ok_or_else(|| Refusal::field(field, REQUIRED))
}

/// A whole number from 0 to `max`; `None` if it is absent.
fn number(body: &Map<String, Value>, field: &str, max: u32) -> Result<Option<u32>, Refusal> {
    let Some(value) = body.get(field) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= max);
    number.map(Some).ok_or_else(|| Refusal::field(field, format!("Must be a whole number from 0 to {max}.")))
}

/// `ttl`, for a zone whose least TTL this is; a zone with one is under the rules of the REST API.
pub(super) fn ttl(body: &Map<String, Value>, secs_min: u32) -> Result<Option<u32>, Refusal> {
    let found = number(body, "ttl", if secs_min > 0 { TTL_SECS_MAX } else { TTL_MAX })?;
    match found {
        Some(secs) if secs < secs_min => {
            Err(Refusal::field("ttl", format!("Ensure this value is greater than or equal to {secs_min}.")))
        }
        _ => Ok(found),
    }
}

/// `weight`; 0 is none.
pub(super) fn weight(body: &Map<String, Value>) -> Result<Option<Option<u32>>, Refusal> {
    if body.get("weight") == Some(&Value::Null) {
        return Ok(Some(None));
    }
    Ok(number(body, "weight", u32::from(u16::MAX))?.map(|weight| (weight > 0).then_some(weight)))
}

/// `enabled`, as a truth value or 0 and 1.
pub(super) fn enabled(body: &Map<String, Value>) -> Result<Option<bool>, Refusal> {
    match body.get("enabled") {
        None => Ok(None),
        Some(Value::Bool(is_enabled)) => Ok(Some(*is_enabled)),
        Some(Value::Number(number)) if number.as_u64().is_some_and(|number| number <= 1) => {
            Ok(Some(number.as_u64() == Some(1)))
        }
        Some(_) => Err(Refusal::field("enabled", "Must be true or false.")),
    }
}

/// `geo`: for whom a record is meant; null or empty is for those whom no other is meant for.
pub(super) fn geo(body: &Map<String, Value>) -> Result<Option<Option<String>>, Refusal> {
    let is_fine = |text: &str| text.is_empty() || (text.len() <= GEO_LEN_MAX && geo::regions(text).is_some());
    nullable(body, "geo", is_fine, &format!("Must be one or more regions: {}", geo::REGION_FORM))
}

/// `comment`: a note for people; null or empty is none.
pub(super) fn comment(body: &Map<String, Value>) -> Result<Option<Option<String>>, Refusal> {
    let is_fine = |text: &str| text.chars().count() <= COMMENT_LEN_MAX && !text.chars().any(char::is_control);
    nullable(body, "comment", is_fine, "Must be up to 1000 characters on one line.")
}

/// A text that may be null.
fn nullable(
    body: &Map<String, Value>,
    field: &str,
    is_fine: impl Fn(&str) -> bool,
    expected: &str,
) -> Result<Option<Option<String>>, Refusal> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) if is_fine(text) => Ok(Some(Some(text.clone()).filter(|text| !text.is_empty()))),
        Some(_) => Err(Refusal::field(field, expected)),
    }
}

/// The subname of an owner as people write it in a zone: `@`, nothing or the zone's name for the apex, `www`,
/// `www.example.com` in `example.com`, or a name with a dot at its end; in lower case. `None` if it is no name in the zone.
pub(super) fn subname(owner: &str, zone: &str) -> Option<String> {
    let owner = owner.trim().to_ascii_lowercase();
    if !owner.is_ascii() {
        return None;
    }
    let (relative, is_absolute) = match owner.strip_suffix('.') {
        // A dot after a backslash is part of a label.
        Some(rest) if !rest.ends_with('\\') => (rest, true),
        _ => (owner.as_str(), false),
    };
    let below = match relative.strip_suffix(zone) {
        Some("") => Some(""),
        Some(below) => below.strip_suffix('.'),
        None => None,
    };
    let subname = match below {
        Some(below) => below,
        None if is_absolute => return None,
        None if relative == "@" => "",
        None => relative,
    };
    if subname.is_empty() {
        return Some(String::new());
    }
    let apex = Name::parse(format!("{zone}.").as_bytes(), None).ok()?;
    let name = Name::parse(subname.as_bytes(), Some(apex.as_ref())).ok()?;
    // One text for one name, however it was escaped.
    let text = name.to_string();
    let end = text.len().checked_sub(zone.len() + 2)?;
    text.get(..end).map(str::to_ascii_lowercase)
}

/// A host name that stands in a field: absolute, with or without its dot.
pub(super) fn host(text: &str) -> Option<String> {
    let name = Name::parse(text.trim().as_bytes(), Some(Name::root().as_ref())).ok()?;
    (!name.as_ref().is_root()).then(|| name.to_string())
}

/// The mailbox of an SOA record (RFC 1035 section 8): an address, or the name that stands for one.
pub(super) fn mailbox(text: &str) -> Option<String> {
    match text.trim().split_once('@') {
        None => host(text),
        Some((local, domain)) if !local.is_empty() && !domain.contains('@') => {
            let escaped = local.replace('\\', "\\\\").replace('.', "\\.");
            host(&format!("{escaped}.{domain}"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn owners_are_found_in_their_zone_however_they_are_written() {
        for (owner, expected) in [
            ("@", Some("")),
            ("", Some("")),
            ("example.com", Some("")),
            ("EXAMPLE.com.", Some("")),
            ("www", Some("www")),
            ("WWW.example.com", Some("www")),
            ("www.example.com.", Some("www")),
            ("a.b", Some("a.b")),
            ("*.a", Some("*.a")),
            ("notexample.com", Some("notexample.com")),
            ("0/25", Some("0/25")),
            ("\\119ww", Some("www")),
            ("www.example.org.", None),
            ("com.", None),
            ("a..b", None),
            (".", None),
            ("a b\u{7f}\\", None),
            ("\u{fc}", None),
            (&"x".repeat(64), None),
            (&["x".repeat(60).as_str(); 5].join("."), None),
        ] {
            assert_eq!(subname(owner, "example.com").as_deref(), expected, "{owner}");
        }
    }

    #[test]
    fn mailboxes_are_addresses_or_names() {
        for (text, expected) in [
            ("admin.example.com", Some("admin.example.com.")),
            ("admin@example.com", Some("admin.example.com.")),
            ("first.last@example.com", Some("first\\.last.example.com.")),
            ("@example.com", None),
            ("a@b@c", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(mailbox(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn fields_have_bounds() {
        let body = |value: Value| value.as_object().cloned().unwrap_or_default();
        assert_eq!(ttl(&body(json!({})), 0).unwrap(), None);
        assert_eq!(ttl(&body(json!({"ttl": 0})), 0).unwrap(), Some(0));
        assert_eq!(ttl(&body(json!({"ttl": 2_147_483_647})), 0).unwrap(), Some(TTL_MAX));
        for (wrong, secs_min) in [
            (json!(-1), 0),
            (json!("60"), 0),
            (json!(1.5), 0),
            (json!(2_147_483_648u32), 0),
            (json!(59), 60),
            (json!(90_000), 60),
        ] {
            assert!(ttl(&body(json!({"ttl": wrong})), secs_min).is_err(), "{wrong}");
        }
        assert_eq!(weight(&body(json!({"weight": 0}))).unwrap(), Some(None));
        assert_eq!(weight(&body(json!({"weight": 7}))).unwrap(), Some(Some(7)));
        assert!(weight(&body(json!({"weight": 65_536}))).is_err());
        assert_eq!(enabled(&body(json!({"enabled": 0}))).unwrap(), Some(false));
        assert_eq!(enabled(&body(json!({"enabled": true}))).unwrap(), Some(true));
        assert!(enabled(&body(json!({"enabled": 2}))).is_err());
        assert_eq!(geo(&body(json!({"geo": "EU"}))).unwrap(), Some(Some("EU".into())));
        assert_eq!(geo(&body(json!({"geo": ""}))).unwrap(), Some(None));
        assert!(geo(&body(json!({"geo": "a b"}))).is_err());
        assert!(geo(&body(json!({"geo": "US,".repeat(30)}))).is_err());
        assert!(comment(&body(json!({"comment": "a\u{1b}[m"}))).is_err());
    }
}
