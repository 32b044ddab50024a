//! Lists of zones: one line a zone, with its origin, its file and flags, separated by tabs.
//!
//! For those who have more zones than fit a command line, or files whose names tell nothing. It opens no zone file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use snapshot::dns::name::{Name, NameError};

use crate::source::ZoneSource;

/// The longest list: some millions of zones.
const LIST_LEN_MAX: u64 = 1 << 30;
/// How much of a line an error repeats, in characters.
const SHOWN_LEN_MAX: usize = 80;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneListError {
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The list.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A line has no path.
    #[error("{}:{line}: a line is ORIGIN, tab, PATH, and maybe a tab and flags; or it begins with #", path.display())]
    Shape {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line's origin is no name.
    #[error("{}:{line}: {text:?} is no origin", path.display())]
    Origin {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A line has a flag that is not known.
    #[error("{}:{line}: flag {flag:?} is not known; `signed` is", path.display())]
    Flag {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The flag.
        flag: String,
    },
}

/// Reads a list: lines `ORIGIN<TAB>PATH[<TAB>FLAGS]`, where empty lines and those that begin with `#` count nothing.
///
/// A relative path starts at the list's directory. An origin may lack its final dot. Flags are separated by commas or
/// blanks; `signed` declares that the zone carries its own signatures and denials of existence, which are served as they
/// are (RFC 4035 section 3). It changes nothing: a zone whose SOA is signed is served so, declared or not.
///
/// # Errors
/// [`ZoneListError`], with the line.
pub fn read_zone_list(path: &Path) -> Result<Vec<ZoneSource>, ZoneListError> {
    let read = || {
        let mut text = String::new();
        let len = File::open(path)?.take(LIST_LEN_MAX + 1).read_to_string(&mut text)?;
        if len as u64 <= LIST_LEN_MAX {
            Ok(text)
        } else {
            Err(io::Error::other(format!("longer than {LIST_LEN_MAX} bytes")))
        }
    };
    let text = read().map_err(|source| ZoneListError::Io { path: path.to_owned(), source })?;
    let base = path.parent().unwrap_or(Path::new(""));
    // Some editors put a mark of their encoding in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(idx, line)| source_of(line, base).map_err(|fault| fault.at(path, idx + 1))).collect()
}

/// What is wrong with one line.
enum Fault {
    /// It has no path.
    Shape,
    /// Its origin is no name.
    Origin(String, NameError),
    /// It has an unknown flag.
    Flag(String),
}

impl Fault {
    /// The error that says where.
    fn at(self, path: &Path, line: usize) -> ZoneListError {
        let path = path.to_owned();
        match self {
            Fault::Shape => ZoneListError::Shape { path, line },
            Fault::Origin(text, source) => ZoneListError::Origin { path, line, text, source },
            Fault::Flag(flag) => ZoneListError::Flag { path, line, flag },
        }
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_LEN_MAX).collect()
}

/// Reads one line.
fn source_of(line: &str, base: &Path) -> Result<ZoneSource, Fault> {
    let mut fields = line.split('\t');
    let (Some(origin), Some(file), flags, None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return Err(Fault::Shape);
    };
    if file.is_empty() {
        return Err(Fault::Shape);
    }
    let mut flags = flags.unwrap_or_default().split([',', ' ']).filter(|flag| !flag.is_empty());
    if let Some(unknown) = flags.find(|&flag| flag != "signed") {
        return Err(Fault::Flag(shown(unknown)));
    }
    // In zone files @ is the origin; here there is none, and the root is a dot.
    if origin.trim() == "@" {
        return Err(Fault::Shape);
    }
    let origin = Name::parse(origin.trim().as_bytes(), Some(Name::root().as_ref()))
        .map_err(|cause| Fault::Origin(shown(origin), cause))?;
    Ok(ZoneSource { path: base.join(file), origin: Some(origin) })
}

#[cfg(test)]
mod tests {
    use snapshot::handover::explain;
    use tempfile::TempDir;

    use super::*;

    /// Writes a list and reads it: a line a zone, or the error without the directory.
    fn read(text: &str) -> Result<Vec<String>, String> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, text).unwrap();
        let place = |text: String| text.replace(dir.path().to_str().unwrap(), "DIR");
        let show = |source: ZoneSource| place(format!("{} {}", source.origin.unwrap(), source.path.display()));
        read_zone_list(&path).map(|list| list.into_iter().map(show).collect()).map_err(|error| place(explain(&error)))
    }

    #[test]
    fn a_line_is_a_zone() {
        let text = "\u{feff}# zones\na.test\t/zones/a\tsigned\n\nb.test.\tsub/b.zone\n.\troot\t\n";
        let expected = ["a.test. /zones/a", "b.test. DIR/sub/b.zone", ". DIR/root"];
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn mistakes_name_the_line() {
        let shape = "DIR/list:1: a line is ORIGIN, tab, PATH, and maybe a tab and flags; or it begins with #";
        for (text, expected) in [
            ("@\t/zones/a\n", shape),
            (
                "a.test /zones/a\n",
                "DIR/list:1: a line is ORIGIN, tab, PATH, and maybe a tab and flags; or it begins with #",
            ),
            ("\na.test\t\n", "DIR/list:2: a line is ORIGIN, tab, PATH, and maybe a tab and flags; or it begins with #"),
            (
                "a.test\tf\tsigned\tx\n",
                "DIR/list:1: a line is ORIGIN, tab, PATH, and maybe a tab and flags; or it begins with #",
            ),
            ("a..test\tf\n", "DIR/list:1: \"a..test\" is no origin: label is empty"),
            ("a.test\tf\tsined\n", "DIR/list:1: flag \"sined\" is not known; `signed` is"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        let missing = read_zone_list(Path::new("/nonexistent/list")).unwrap_err();
        assert!(explain(&missing).starts_with("cannot read /nonexistent/list: "), "{missing}");
    }
}
