//! What a domain name looks like in the API: lower case, no final dot, letters, digits, hyphens and underscores.

use serde_json::Value;
use thiserror::Error;

/// The longest name of a domain, as the API counts it: in characters, without a final dot.
const DOMAIN_LEN_MAX: usize = 191;
/// The longest name there can be in DNS, without its final dot (RFC 1035 section 2.3.4).
const QNAME_LEN_MAX: usize = 253;
/// The longest label (RFC 1035 section 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// Why something is no domain name. The messages are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormError {
    /// The field is missing.
    #[error("This field is required.")]
    Required,
    /// The field is null.
    #[error("This field may not be null.")]
    Null,
    /// The field is the empty string.
    #[error("This field may not be blank.")]
    Blank,
    /// The field is a list, an object or a truth value.
    #[error("Not a valid string.")]
    NotString,
    /// It has letters in upper case.
    #[error("Invalid value (not lowercase): {0}")]
    UpperCase(String),
    /// It has other characters, or empty or long labels, or is too long.
    #[error(
        "Domain names must be labels separated by dots. Labels may consist of up to 63 letters, digits, hyphens, and \
         underscores. The last label may not contain an underscore."
    )]
    Syntax,
}

/// Takes the name of a domain from the field `name`; a number is its digits, as clients of the API have it.
///
/// # Errors
/// [`FormError`], the first that applies.
pub fn name_field(value: Option<&Value>) -> Result<String, FormError> {
    let text = match value {
        None => return Err(FormError::Required),
        Some(Value::Null) => return Err(FormError::Null),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(FormError::NotString),
    };
    check_form(&text)?;
    Ok(text)
}

/// Checks the form of a domain's name.
///
/// # Errors
/// [`FormError`], the first that applies: blank, upper case, syntax.
pub fn check_form(name: &str) -> Result<(), FormError> {
    if name.is_empty() {
        return Err(FormError::Blank);
    }
    if name.chars().any(char::is_uppercase) {
        return Err(FormError::UpperCase(name.to_owned()));
    }
    if name.len() <= DOMAIN_LEN_MAX && are_labels(name) { Ok(()) } else { Err(FormError::Syntax) }
}

/// The names of domains that could hold `qname`, longest first: `qname` itself, its parent, and so on. A wildcard belongs
/// to what lies below it. Case is ignored. Empty if `qname` is none that could be in a domain, as with a final dot.
#[must_use]
pub fn owner_candidates(qname: &str) -> Vec<String> {
    let name = qname.strip_prefix("*.").unwrap_or(qname).to_ascii_lowercase();
    if qname.len() > QNAME_LEN_MAX || !are_labels(&name) {
        return Vec::new();
    }
    let parents = std::iter::successors(Some(name.as_str()), |name| name.split_once('.').map(|(_, parent)| parent));
    parents.filter(|parent| parent.len() <= DOMAIN_LEN_MAX).map(str::to_owned).collect()
}

/// What of `name` lies below `domain`: empty for the domain itself, `None` if `name` is outside. Both are in lower case.
#[must_use]
pub fn subname_of<'n>(name: &'n str, domain: &str) -> Option<&'n str> {
    match name.strip_suffix(domain)? {
        "" => Some(""),
        below => below.strip_suffix('.'),
    }
}

/// Whether `name` is one or more labels between single dots, the last without underscores.
fn are_labels(name: &str) -> bool {
    let is_last_plain = !name.rsplit('.').next().is_some_and(|last| last.contains('_'));
    is_last_plain && name.split('.').all(is_label)
}

/// Whether `label` has 1 to 63 of the characters that are allowed.
fn is_label(label: &str) -> bool {
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && label.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_the_form_are_accepted() {
        let longest = format!("{0}.{0}.{1}", "x".repeat(63), "y".repeat(63));
        assert_eq!(longest.len(), 191);
        for name in [
            "example.com",
            "-foo.example",
            "foo-.example",
            "1.2.3.4",
            "_foo.bar.example",
            "a",
            "xn--bcher-kva.example",
            "a_b.c-d",
            "com",
            &longest,
        ] {
            assert_eq!(check_form(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_first_rule_that_fails_has_the_word() {
        let long_label = format!("{}.example", "x".repeat(64));
        let long = format!("{}.example", ["x".repeat(60), "x".repeat(60), "x".repeat(63)].join("."));
        assert_eq!(long.len(), 193);
        for name in ["Upper.example", "UPPER..example", "B\u{fc}cher.example", "\u{dc}ber.example"] {
            assert_eq!(check_form(name), Err(FormError::UpperCase(name.to_owned())));
        }
        for name in [
            "example.",
            ".example",
            "a..b",
            ".",
            "a b.example",
            " a.example",
            "a.example ",
            "b\u{fc}cher.example",
            "*.a",
            "a.b_c",
            "a_b",
            "a@b.example",
            "a/b",
            "../../etc/x",
            "a\0b.example",
            "%2e%2e",
            "a\\.b",
            "a.example\n",
            &long_label,
            &long,
        ] {
            assert_eq!(check_form(name), Err(FormError::Syntax), "{name:?}");
        }
    }

    #[test]
    fn other_json_has_the_messages_of_the_api() {
        for (value, message) in [
            (None, "This field is required."),
            (Some(json!(null)), "This field may not be null."),
            (Some(json!("")), "This field may not be blank."),
            (Some(json!([])), "Not a valid string."),
            (Some(json!(true)), "Not a valid string."),
            (Some(json!({})), "Not a valid string."),
            (Some(json!("Upper.example")), "Invalid value (not lowercase): Upper.example"),
        ] {
            assert_eq!(name_field(value.as_ref()).unwrap_err().to_string(), message, "{value:?}");
        }
        assert_eq!(name_field(Some(&json!("a.example"))).as_deref(), Ok("a.example"));
        assert_eq!(name_field(Some(&json!(1))).as_deref(), Ok("1"));
    }

    #[test]
    fn a_qname_names_the_domains_that_could_hold_it() {
        for (qname, expected) in [
            (
                "_acme-challenge.www.a.example",
                &["_acme-challenge.www.a.example", "www.a.example", "a.example", "example"][..],
            ),
            ("*.A.Example", &["a.example", "example"]),
            ("example", &["example"]),
            ("", &[]),
            (".", &[]),
            ("a.example.", &[]),
            ("a..example", &[]),
            ("*.*.example", &[]),
            ("a.*.example", &[]),
            ("*", &[]),
            ("*.", &[]),
            ("b\u{fc}cher.example", &[]),
            ("a b.example", &[]),
        ] {
            assert_eq!(owner_candidates(qname), expected, "{qname:?}");
        }
        let long = format!("{}a.example", "x.".repeat(122));
        assert_eq!(long.len(), 253);
        // Names over 191 characters can be in a domain but not be one.
        assert_eq!(owner_candidates(&long).first().map(String::len), Some(191));
        assert!(owner_candidates(&format!("x{long}")).is_empty());
    }

    #[test]
    fn a_subname_ends_at_a_label() {
        for (name, expected) in [
            ("a.example", Some("")),
            ("www.a.example", Some("www")),
            ("*.x.a.example", Some("*.x")),
            ("ba.example", None),
            ("example", None),
        ] {
            assert_eq!(subname_of(name, "a.example"), expected, "{name}");
        }
    }
}
