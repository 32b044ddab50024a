//! Cookie secrets: from a file that servers share, or made for this process.
//!
//! The file has one secret a line, 32 hexadecimal digits; blank lines and those that begin with `#` are skipped. No error
//! repeats what a line holds. A secret has no use beyond cookies (RFC 9018 section 5), so it may be made by any means that
//! nobody can guess.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use super::{ConfigError, read_text};
use crate::answer::{SECRET_LEN, Secret};

/// Most secrets: each costs a hash for every cookie that none made. Two are enough to roll over.
const SECRET_COUNT_MAX: usize = 4;

/// The permission bits of those who are neither owner nor in the group.
const OTHERS: u32 = 0o007;

/// Reads a file of secrets.
pub(super) fn read(path: &Path) -> Result<Vec<Secret>, ConfigError> {
    let mode = fs::metadata(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?.mode();
    if mode & OTHERS != 0 {
        return Err(ConfigError::Exposed { path: path.to_owned() });
    }
    let text = read_text(path)?;
    let secrets = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(text, line)| parse(text.trim()).ok_or_else(|| ConfigError::Secret { path: path.to_owned(), line }))
        .collect::<Result<Vec<_>, _>>()?;
    if (1..=SECRET_COUNT_MAX).contains(&secrets.len()) {
        return Ok(secrets);
    }
    Err(ConfigError::SecretCount { path: path.to_owned(), count: secrets.len(), max: SECRET_COUNT_MAX })
}

/// A secret that only this process knows.
pub(super) fn random() -> Result<Secret, ConfigError> {
    let mut secret = [0; SECRET_LEN];
    let mut filled = 0;
    while filled < SECRET_LEN {
        filled += getrandom(&mut secret[filled..], GetRandomFlags::empty())
            .map_err(|error| ConfigError::Random(error.into()))?;
    }
    Ok(Secret(secret))
}

/// 32 hexadecimal digits.
fn parse(text: &str) -> Option<Secret> {
    let mut secret = [0; SECRET_LEN];
    if text.len() != 2 * SECRET_LEN {
        return None;
    }
    for (octet, pair) in secret.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *octet = digit(0)? << 4 | digit(1)?;
    }
    Some(Secret(secret))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Checks what a file holds, or the error.
    fn check(text: &str, expected: Result<&[[u8; SECRET_LEN]], &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let came = read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"));
        let expected = expected.map(|secrets| secrets.iter().copied().map(Secret).collect()).map_err(str::to_owned);
        assert_eq!(came, expected, "{text:?}");
    }

    #[test]
    fn secrets_are_hexadecimal_lines_and_mistakes_do_not_show_them() {
        let (one, two) = ("00112233445566778899aabbccddeeff", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
        let first = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        check(one, Ok(&[first]));
        check(&format!("# old and new\n\n{two} \r\n{one}\n"), Ok(&[[0xff; 16], first]));
        check("", Err("FILE: 0 cookie secrets where 1 to 4 can be"));
        check(&format!("{one}\n").repeat(5), Err("FILE: 5 cookie secrets where 1 to 4 can be"));
        for bad in [
            "0011",
            "00112233445566778899aabbccddee+f",
            "00112233445566778899aabbccddeeffff",
            "é1112233445566778899aabbccddeef",
        ] {
            check(&format!("{one}\n{bad}"), Err("FILE:2: a cookie secret is 32 hexadecimal digits"));
        }
    }

    #[test]
    fn secrets_that_others_can_read_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("cookie secrets that others can read are none: chmod o-rwx"), "{error}");
    }

    #[test]
    fn random_secrets_differ() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
