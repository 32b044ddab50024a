//! The keys whose signatures are asked for: files with a public key a line, as `dnsctl key` prints them.
//!
//! Blank lines and those that begin with `#` are skipped. Invariant: who names files gets keys, at least one from each, so
//! that a mistake never means that nothing is checked.

use std::path::{Path, PathBuf};

use snapshot::image::{PublicKey, Trust};

use super::{ConfigError, read_text};

/// Reads the keys of all files.
pub(super) fn read(paths: &[PathBuf]) -> Result<Trust, ConfigError> {
    let mut trust = Trust::default();
    for path in paths {
        trust.0.extend(keys(path)?);
    }
    Ok(trust)
}

/// Reads the keys of one file.
fn keys(path: &Path) -> Result<Vec<PublicKey>, ConfigError> {
    let text = read_text(path)?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let key = |(text, line): (&str, usize)| {
        text.trim().parse().map_err(|_| ConfigError::Trust { path: path.to_owned(), line })
    };
    let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(ConfigError::Trust { path: path.to_owned(), line: 1 }) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks how many keys a file of this text gives, or the error.
    fn check(text: &str, expected: Result<usize, &str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let paths = [file.path().to_owned(), file.path().to_owned()];
        let came = read(&paths).map(|trust| trust.0.len() / 2);
        let shown = came.map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"));
        assert_eq!(shown, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn files_have_a_key_a_line() {
        let (hex, base64) = ("ab".repeat(32), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        check(&hex, Ok(1));
        check(&format!("# old and new\n\n{hex}\n {base64} \r\n"), Ok(2));
        let wrong = "FILE:1: a public key is 64 hexadecimal digits, or 44 of base64";
        check("", Err(wrong));
        check("# none\n", Err(wrong));
        check(&format!("{hex}\n{}", &hex[1..]), Err(&wrong.replace(":1:", ":2:")));
    }
}
