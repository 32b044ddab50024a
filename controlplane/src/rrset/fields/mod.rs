//! The fields of one RRset object: their JSON types, their values, and the messages of the API.
//!
//! A field that may be anything (`created`, `name`, ...) is not looked at: what is read-only or unknown is ignored. Each function
//! returns the value, or what belongs under the field's key in the body of the answer. Nothing here knows other RRsets.

use serde_json::{Map, Value, json};
use snapshot::dns::name::NAME_LEN_MAX;
use snapshot::dns::rtype::Rtype;

use super::{Method, NON_FIELD_ERRORS, Rules, kinds};
use crate::value::type_name;

/// The largest TTL of the API in seconds.
pub const TTL_SECS_MAX: u32 = 86_400;
/// The longest `subname`.
const SUBNAME_LEN_MAX: usize = 178;
/// The longest label.
const LABEL_LEN_MAX: usize = 63;
/// The longest `type`.
const TYPE_LEN_MAX: usize = 10;

/// What a field misses that must be there.
pub(super) const REQUIRED: &str = "This field is required.";
/// What is said about a field that an RRset keeps for life.
const READ_ONLY: &str = "Can only be written on create.";
/// What is said about text with U+0000.
const NO_NUL: &str = "Null characters are not allowed.";

/// Errors by field.
pub(super) type Errors = Map<String, Value>;

/// Where an object comes from, which says what must be in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The body of a POST.
    Body,
    /// The body of a PATCH or PUT on this RRset.
    Detail {
        /// Its subname.
        subname: &'a str,
        /// Its type.
        rtype: Rtype,
    },
    /// A list.
    List,
}

/// The fields of one object, as far as they are sound.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The subname, trimmed.
    pub(super) subname: Option<String>,
    /// The type.
    pub(super) rtype: Option<Rtype>,
    /// The TTL in seconds.
    pub(super) ttl: Option<u32>,
    /// The records as they were given, trimmed.
    pub(super) records: Option<Vec<String>>,
    /// What is wrong.
    pub(super) errors: Errors,
    /// Fields that are absent and must not be if the RRset is new; only from the PATCH of a list.
    pub(super) absent: Vec<&'static str>,
}

/// Reads the fields of `object`.
pub(super) fn read(object: &Map<String, Value>, method: Method, place: Place<'_>, rules: &Rules<'_>) -> Fields {
    let mut fields = Fields::default();
    let Fields { subname, rtype, ttl, records, errors, absent } = &mut fields;
    let (fixed_subname, fixed_type) = match place {
        Place::Detail { subname, rtype } => (Some(subname), Some(rtype)),
        Place::Body | Place::List => (None, None),
    };
    let is_detail_patch = method == Method::Patch && matches!(place, Place::Detail { .. });
    match object.get("subname") {
        Some(value) => *subname = keep(errors, "subname", read_subname(value, fixed_subname, rules.domain)),
        None if is_detail_patch => *subname = fixed_subname.map(str::to_owned),
        None if matches!(place, Place::Body) => *subname = Some(String::new()),
        None => require(errors, "subname"),
    }
    match object.get("type") {
        Some(value) => *rtype = keep(errors, "type", read_type(value, fixed_type)),
        None if is_detail_patch => *rtype = fixed_type,
        None => require(errors, "type"),
    }
    let mut lacks = |errors: &mut Errors, field| match (method, place) {
        (Method::Patch, Place::List) => absent.push(field),
        (Method::Patch, _) => {}
        _ => require(errors, field),
    };
    match object.get("ttl") {
        Some(value) => *ttl = keep(errors, "ttl", read_ttl(value, rules.ttl_secs_min)),
        None => lacks(errors, "ttl"),
    }
    match object.get("records") {
        Some(value) => *records = keep(errors, "records", read_records(value, method)),
        None => lacks(errors, "records"),
    }
    fields
}

/// Notes that a field must be there.
pub(super) fn require(errors: &mut Errors, field: &str) {
    errors.insert(field.to_owned(), json!([REQUIRED]));
}

/// Notes an error under its field.
fn keep<T>(errors: &mut Errors, field: &str, result: Result<T, Value>) -> Option<T> {
    result.map_err(|error| errors.insert(field.to_owned(), error)).ok()
}

/// Reads text; a number counts as its digits.
fn read_text(value: &Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Err(json!(["This field may not be null."])),
        _ => Err(json!(["Not a valid string."])),
    }
}

/// The error that says all of `messages`, unless there are none.
fn all(messages: Vec<String>) -> Result<(), Value> {
    if messages.is_empty() { Ok(()) } else { Err(Value::from(messages)) }
}

/// Reads `subname`; `fixed` is that of the RRset, if there is one.
fn read_subname(value: &Value, fixed: Option<&str>, domain: &str) -> Result<String, Value> {
    let text = read_text(value)?;
    if !text.is_empty() {
        all(subname_messages(&text))?;
    }
    if fixed.is_some_and(|fixed| fixed != text) {
        return Err(json!([READ_ONLY]));
    }
    check_name_len(&text, domain).map_err(|message| json!([message]))?;
    Ok(text)
}

/// Whether the full name of a sound subname fits into a name (RFC 1035 section 2.3.4).
///
/// # Errors
/// The message of the API.
pub fn check_name_len(subname: &str, domain: &str) -> Result<(), &'static str> {
    // A length octet stands where the text has a dot; the first label and the root have one more each.
    let wire_len = domain.len() + 2 + if subname.is_empty() { 0 } else { subname.len() + 1 };
    if wire_len <= NAME_LEN_MAX {
        Ok(())
    } else {
        Err("This field combined with the domain name must not exceed 255 characters.")
    }
}

/// What is wrong with the text of a subname that is not empty.
#[must_use]
pub fn subname_messages(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.to_lowercase() != text {
        messages.push(format!("Invalid value (not lowercase): {text}"));
    }
    let is_label = |label: &str| {
        (1..=LABEL_LEN_MAX).contains(&label.len())
            && label.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    if text != "*" && !text.strip_prefix("*.").unwrap_or(text).split('.').all(is_label) {
        messages.push(
            "Subname can only use (lowercase) a-z, 0-9, ., -, and _, may start with a '*.', or just be '*'. \
             Components may not exceed 63 characters."
                .to_owned(),
        );
    }
    if text.chars().count() > SUBNAME_LEN_MAX {
        messages.push(format!("Ensure this field has no more than {SUBNAME_LEN_MAX} characters."));
    }
    if text.contains('\0') {
        messages.push(NO_NUL.to_owned());
    }
    messages
}

/// Reads `type`; `fixed` is that of the RRset, if there is one.
fn read_type(value: &Value, fixed: Option<Rtype>) -> Result<Rtype, Value> {
    let text = read_text(value)?;
    if text.is_empty() {
        return Err(json!(["This field may not be blank."]));
    }
    let mut messages = type_messages(&text);
    if fixed.is_some_and(|fixed| fixed.to_string() != text) {
        messages.push(READ_ONLY.to_owned());
    }
    all(messages)?;
    kinds::accepted(&text).map_err(|error| json!([error.to_string()]))
}

/// What is wrong with the text of a type that is not empty, whether or not there is such a type.
#[must_use]
pub fn type_messages(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.to_uppercase() != text {
        messages.push(format!("Invalid value (not uppercase): {text}"));
    }
    let is_alphanumeric = text.bytes().all(|octet| matches!(octet, b'A'..=b'Z' | b'0'..=b'9'));
    if !is_alphanumeric || text.starts_with(|first: char| first.is_ascii_digit()) {
        messages.push("Type must be uppercase alphanumeric and start with a letter.".to_owned());
    }
    if text.chars().count() > TYPE_LEN_MAX {
        messages.push(format!("Ensure this field has no more than {TYPE_LEN_MAX} characters."));
    }
    if text.contains('\0') {
        messages.push(NO_NUL.to_owned());
    }
    messages
}

/// Reads `ttl`: an integer, also as a fraction of zeros or in a string.
fn read_ttl(value: &Value, secs_min: u32) -> Result<u32, Value> {
    let text = match value {
        Value::Null => return Err(json!(["This field may not be null."])),
        Value::String(text) => text.clone(),
        // Whatever has no decimals prints without an exponent.
        Value::Number(number) => {
            number.as_f64().filter(|_| number.is_f64()).map_or(number.to_string(), |n| n.to_string())
        }
        _ => String::new(),
    };
    let Some(secs) = integer(&text) else { return Err(json!(["A valid integer is required."])) };
    if secs > i64::from(TTL_SECS_MAX) {
        return Err(json!([format!("Ensure this value is less than or equal to {TTL_SECS_MAX}.")]));
    }
    match u32::try_from(secs) {
        Ok(secs) if secs >= secs_min => Ok(secs),
        _ => Err(json!([format!("Ensure this value is greater than or equal to {secs_min}.")])),
    }
}

/// Reads a decimal integer with a sign or not and `.0` or not; what is out of range becomes the nearest in range.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|octet| octet == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0i64, |value, octet| {
        let digit = octet.is_ascii_digit().then(|| i64::from(octet - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit * sign))
    })
}

/// Reads `records` as texts.
fn read_records(value: &Value, method: Method) -> Result<Vec<String>, Value> {
    let list = match value {
        Value::Array(list) => list,
        Value::Null => return Err(json!(["This field may not be null."])),
        other => {
            let message = format!("Expected a list of items but got type \"{}\".", type_name(other));
            return Err(json!({ NON_FIELD_ERRORS: [message] }));
        }
    };
    let results: Vec<Result<&str, Value>> = list.iter().map(read_record).collect();
    if results.iter().any(Result::is_err) {
        return Err(results.into_iter().map(|result| result.err().unwrap_or_else(|| json!({}))).collect());
    }
    if list.is_empty() && method == Method::Post {
        return Err(json!(["This field must not be empty when using POST."]));
    }
    Ok(results.into_iter().flatten().map(str::to_owned).collect())
}

/// Reads one text of `records`.
fn read_record(value: &Value) -> Result<&str, Value> {
    let text = match value {
        Value::String(text) => text.trim(),
        Value::Null => return Err(json!(["This field may not be null."])),
        _ => return Err(json!(["Must be a string."])),
    };
    if text.is_empty() {
        return Err(json!({ "content": ["This field may not be blank."] }));
    }
    if text.contains('\0') {
        return Err(json!({ "content": [NO_NUL] }));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
