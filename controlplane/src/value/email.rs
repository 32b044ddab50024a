//! E-mail addresses, as far as we look at them: only that nothing can be smuggled in with one.
//!
//! Whether an address exists only a mail can tell. Invariant: an [`Email`] has one `@` with something on each side, and
//! no blank, control character or anything that separates addresses or headers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest address that fits into a path of SMTP (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const EMAIL_LEN_MAX: usize = 254;
/// The longest local part (RFC 5321 section 4.5.3.1.1).
const LOCAL_LEN_MAX: usize = 64;

/// An e-mail address: the local part as typed, the host in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is no address we would send to. The message is that of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Enter a valid email address.")]
pub struct EmailError;

impl Email {
    /// The address as it is shown and written to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What addresses are looked up by: case does not make two accounts of one.
    #[must_use]
    pub fn lookup_key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Email, EmailError> {
        let (local, host) = text.split_once('@').ok_or(EmailError)?;
        let is_sane = text.len() <= EMAIL_LEN_MAX
            && (1..=LOCAL_LEN_MAX).contains(&local.len())
            && local.chars().all(|c| !is_unsafe(c))
            && host.split('.').all(is_host_label);
        if is_sane { Ok(Email(format!("{local}@{}", host.to_lowercase()))) } else { Err(EmailError) }
    }
}

/// Whether a character could end an address or a header line, or begin a comment.
fn is_unsafe(c: char) -> bool {
    c.is_control() || c.is_whitespace() || "@,;:<>()[]\\\"\u{feff}\u{200b}".contains(c)
}

/// Whether `label` may stand between the dots of a host name; letters may be those of any script.
fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_lower_cased_and_the_local_part_kept() {
        for (text, expected, key) in [
            ("Jo.Doe+dns@Example.COM", "Jo.Doe+dns@example.com", "jo.doe+dns@example.com"),
            ("a@localhost", "a@localhost", "a@localhost"),
            ("Jürgen@BÜCHER.example", "Jürgen@bücher.example", "jürgen@bücher.example"),
            ("o'neil@x-y.example", "o'neil@x-y.example", "o'neil@x-y.example"),
        ] {
            let email: Email = text.parse().unwrap();
            assert_eq!((email.as_str(), email.lookup_key().as_str()), (expected, key));
        }
    }

    #[test]
    fn what_could_smuggle_something_in_is_refused() {
        let long = format!("{}@example.com", "x".repeat(65));
        let longer = format!("a@{}example.com", "x.".repeat(130));
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "a b@c.example",
            "a@b.example\r\nBcc: c@d.example",
            "a\0@b.example",
            "a@b.example,c@d.example",
            "a@b..example",
            "a@.example",
            "a@example.",
            "a@-b.example",
            "a@[127.0.0.1]",
            "<a@b.example>",
            "\"a\"@b.example",
            "a\u{a0}b@c.example",
            "a@b_c.example",
            " a@b.example",
            &long,
            &longer,
        ] {
            assert_eq!(text.parse::<Email>(), Err(EmailError), "{text:?}");
        }
    }
}
