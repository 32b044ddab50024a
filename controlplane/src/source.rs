//! Zone files on disk: which there are, which zone each holds, and its records in memory.
//!
//! It checks no rules about zones (see `check`). A file's zone is named by, in this order: the caller, an `$ORIGIN` before
//! the first record, the file name `NAME.zone` (`root.zone` is the root). Invariant: a zone that is returned is the whole
//! file; a file is read once, in order, and only its records are kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use snapshot::dns::name::{Name, NameError};
use snapshot::dns::zone::{Zone, ZoneBuilder, ZoneTooLarge};
pub use snapshot::dns::zonefile::{Generate, Include};
use snapshot::dns::zonefile::{Options, Reader, ZoneFileError};

/// How zone files end.
const EXTENSION: &str = ".zone";
/// How the root zone's file is called, because `.zone` would be hidden.
const ROOT_STEM: &str = "root";
/// The largest read: fewer calls for big files. `$ORIGIN` is looked for in the first one.
const BUFFER_LEN_MAX: usize = 1 << 20;
/// The smallest read.
const BUFFER_LEN_MIN: usize = 4096;

/// A file that holds one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSource {
    /// Where it is.
    pub path: PathBuf,
    /// The apex of its zone, if the caller knows it.
    pub origin: Option<Name>,
}

/// What zone files may do beyond holding records. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// What `$INCLUDE` may do.
    pub include: Include,
    /// What `$GENERATE` may do.
    pub generate: Generate,
}

/// Why a directory cannot be searched for zone files.
#[derive(Debug, thiserror::Error)]
#[error("cannot search {} for zone files", path.display())]
pub struct SourceError {
    /// The directory or file that could not be examined.
    path: PathBuf,
    /// The answer of the operating system.
    source: io::Error,
}

/// Why a zone file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// Nothing tells which zone this is.
    #[error("{}: no origin: give --origin, begin the file with $ORIGIN, or call it NAME.zone", path.display())]
    NoOrigin {
        /// The file.
        path: PathBuf,
    },
    /// The name that should tell which zone this is is none.
    #[error("{}: {text:?} is no origin", path.display())]
    BadOrigin {
        /// The file.
        path: PathBuf,
        /// The text of the file name or of `$ORIGIN`.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A mistake in the file. The message has file, line, column and what was expected.
    #[error("{0}")]
    ZoneFile(ZoneFileError),
    /// The zone needs more memory than a zone can have.
    #[error("{}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        source: ZoneTooLarge,
    },
}

/// What names in a file are completed with.
struct Origins {
    /// The apex of the zone.
    apex: Name,
    /// Completes relative names until the first `$ORIGIN`.
    initial: Name,
}

/// Counts what is read through it.
struct Counted<'c, R> {
    /// What is read.
    input: R,
    /// Is told the bytes of each read.
    on_read: &'c dyn Fn(u64),
}

/// The zone files below `dir`, sorted by path: all regular files `NAME.zone` whose name does not begin with a dot. Links to
/// files count, links to directories are not followed. That no two hold the same zone shows when they are read.
///
/// # Errors
/// [`SourceError`] if a directory cannot be listed or a file not examined.
pub fn sources_in(dir: &Path) -> Result<Vec<ZoneSource>, SourceError> {
    let mut paths = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let failed = |source| SourceError { path: dir.clone(), source };
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            if kind.is_dir() {
                dirs.push(path);
            } else if is_zone_file_name(&path) {
                let is_file = kind.is_file() || (kind.is_symlink() && is_link_to_file(&path)?);
                paths.extend(is_file.then_some(path));
            }
        }
    }
    paths.sort_unstable();
    Ok(paths.into_iter().map(|path| ZoneSource { path, origin: None }).collect())
}

/// Whether a file is called like a zone file.
fn is_zone_file_name(path: &Path) -> bool {
    path.file_name()
        .map(|name| name.as_encoded_bytes())
        .is_some_and(|name| name.ends_with(EXTENSION.as_bytes()) && !name.starts_with(b"."))
}

/// Whether a link leads to a regular file. One that leads nowhere is an error: a zone would silently be missing.
fn is_link_to_file(path: &Path) -> Result<bool, SourceError> {
    let metadata = std::fs::metadata(path);
    metadata.map(|metadata| metadata.is_file()).map_err(|source| SourceError { path: path.to_owned(), source })
}

/// Reads the zone of a file. Memory: the zone, not the file.
///
/// # Errors
/// [`ReadError`]. Records outside the zone or a missing SOA are `check`'s findings, no errors here.
pub fn read_zone(source: &ZoneSource, options: &ReadOptions) -> Result<Zone, ReadError> {
    read_zone_counted(source, options, &|_| ())
}

/// The apex of the zone that `text`, the content of a zone file, holds: found as [`read_zone`] finds it, without reading
/// the records.
///
/// # Errors
/// [`ReadError::NoOrigin`] or [`ReadError::BadOrigin`].
pub fn apex_of(source: &ZoneSource, text: &[u8]) -> Result<Name, ReadError> {
    Origins::of(source, &text[..text.len().min(BUFFER_LEN_MAX)]).map(|origins| origins.apex)
}

/// [`read_zone`] that tells how many bytes each read brought.
///
/// # Errors
/// As [`read_zone`].
pub(crate) fn read_zone_counted(
    source: &ZoneSource,
    options: &ReadOptions,
    on_read: &dyn Fn(u64),
) -> Result<Zone, ReadError> {
    let failed = |cause| ReadError::Io { path: source.path.clone(), source: cause };
    let (file, len) = open_regular(&source.path).map_err(failed)?;
    // A buffer of the size of the file, so that a hundred thousand small ones do not touch a megabyte each.
    let capacity = usize::try_from(len).unwrap_or(BUFFER_LEN_MAX).clamp(BUFFER_LEN_MIN, BUFFER_LEN_MAX);
    let mut input = BufReader::with_capacity(capacity, Counted { input: file, on_read });
    let origins = Origins::of(source, input.fill_buf().map_err(failed)?)?;
    read_records(input, origins, source, options)
}

/// The apex that a zone file is meant to have, whatever is wrong with its records; `None` if not even that can be told.
#[must_use]
pub fn meant_by(source: &ZoneSource) -> Option<Name> {
    let mut head = Vec::new();
    if let Ok((file, _)) = open_regular(&source.path) {
        // A file that cannot be read may still have a telling name.
        file.take(BUFFER_LEN_MIN as u64).read_to_end(&mut head).ok();
    }
    apex_of(source, &head).ok()
}

/// Opens a regular file; its length in bytes comes with it. Whatever else has that path is not waited for: opening a pipe
/// would wait for somebody to write into it, with the writer's lock held.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads all records of an open file.
fn read_records(
    input: impl BufRead,
    origins: Origins,
    source: &ZoneSource,
    options: &ReadOptions,
) -> Result<Zone, ReadError> {
    let options = Options {
        origin: Some(origins.initial),
        default_ttl: None,
        include: options.include.clone(),
        generate: options.generate,
    };
    let mut reader = Reader::new(input, options).named(source.path.clone());
    let mut builder = ZoneBuilder::new(origins.apex);
    while let Some(record) = reader.read().map_err(ReadError::ZoneFile)? {
        let too_large = |cause| ReadError::TooLarge { path: source.path.clone(), source: cause };
        builder.push(record).map_err(too_large)?;
    }
    Ok(builder.finish())
}

impl Origins {
    /// Finds the origins of a file that begins with `head`.
    fn of(source: &ZoneSource, head: &[u8]) -> Result<Origins, ReadError> {
        if let Some(origin) = &source.origin {
            return Ok(Origins { apex: origin.clone(), initial: origin.clone() });
        }
        let bad = |text: &[u8], cause| ReadError::BadOrigin {
            path: source.path.clone(),
            text: String::from_utf8_lossy(text).into_owned(),
            source: cause,
        };
        let stem = source.path.file_name().and_then(|name| name.as_encoded_bytes().strip_suffix(EXTENSION.as_bytes()));
        let stem = stem.filter(|stem| !stem.is_empty()).map(|stem| (stem, name_of_stem(stem)));
        if let Some(text) = first_origin(head) {
            // The file name is only a fallback, so its mistakes count only where it is needed.
            let stem = stem.and_then(|(_, name)| name.ok());
            let apex = Name::parse(text, stem.as_ref().map(Name::as_ref)).map_err(|cause| bad(text, cause))?;
            let initial = stem.unwrap_or_else(|| apex.clone());
            return Ok(Origins { apex, initial });
        }
        let (stem, name) = stem.ok_or_else(|| ReadError::NoOrigin { path: source.path.clone() })?;
        let apex = name.map_err(|cause| bad(stem, cause))?;
        Ok(Origins { initial: apex.clone(), apex })
    }
}

/// The zone that a file name without its ending stands for; a final dot may be there or not.
fn name_of_stem(stem: &[u8]) -> Result<Name, NameError> {
    if stem == ROOT_STEM.as_bytes() { Ok(Name::root()) } else { Name::parse(stem, Some(Name::root().as_ref())) }
}

/// The name after the last `$ORIGIN` before the first record or other directive than `$TTL`.
fn first_origin(head: &[u8]) -> Option<&[u8]> {
    let mut origin = None;
    for line in head.split(|&octet| octet == b'\n') {
        let text = line.split(|&octet| octet == b';').next().unwrap_or_default();
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match words.next() {
            None => {}
            Some(word) if word.eq_ignore_ascii_case(b"$ORIGIN") => origin = words.next(),
            Some(word) if word.eq_ignore_ascii_case(b"$TTL") => {}
            Some(_) => break,
        }
    }
    origin
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(buf)?;
        (self.on_read)(len as u64);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use snapshot::handover::explain;
    use tempfile::TempDir;

    use super::*;

    /// Writes a file and reads it; the apex and the number of records, or the error.
    fn check_read(file_name: &str, origin: Option<&str>, text: &str) -> String {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(file_name);
        std::fs::write(&path, text).unwrap();
        let source = ZoneSource { path, origin: origin.map(|origin| origin.parse().unwrap()) };
        match read_zone(&source, &ReadOptions::default()) {
            Ok(zone) => {
                let owners: Vec<String> = zone.owners().map(|owner| owner.name().to_string()).collect();
                format!("{} {}", zone.apex(), owners.join(" "))
            }
            Err(error) => explain(&error).replace(dir.path().to_str().unwrap(), "DIR"),
        }
    }

    #[test]
    fn the_origin_comes_from_the_caller_then_the_file_then_its_name() {
        let relative = "a 60 A 192.0.2.1\n";
        let with_origin = "; comment\n\n$TTL 60\n$ORIGIN  b.test. ; why\na 60 A 192.0.2.1\n$ORIGIN c.test.\n";
        for (file_name, origin, text, expected) in [
            ("x.zone", Some("given.test"), relative, "given.test. a.given.test."),
            ("x.zone", Some("given.test."), with_origin, "given.test. a.b.test."),
            ("x.zone", None, with_origin, "b.test. a.b.test."),
            ("x", None, with_origin, "b.test. a.b.test."),
            ("x.test.zone", None, relative, "x.test. a.x.test."),
            ("x.test..zone", None, relative, "x.test. a.x.test."),
            ("0\\0471.test.zone", None, relative, "0/1.test. a.0/1.test."),
            ("root.zone", None, relative, ". a."),
            ("x.test.zone", None, "$ORIGIN sub\na 60 A 192.0.2.1\n", "sub.x.test. a.sub.x.test."),
        ] {
            assert_eq!(check_read(file_name, origin, text), expected, "{file_name} {origin:?}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_named_is_an_error_that_names_the_remedy() {
        let relative = "a 60 A 192.0.2.1\n";
        for (file_name, text, expected) in [
            ("x.db", relative, "DIR/x.db: no origin: give --origin, begin the file with $ORIGIN, or call it NAME.zone"),
            (
                ".zone",
                relative,
                "DIR/.zone: no origin: give --origin, begin the file with $ORIGIN, or call it NAME.zone",
            ),
            ("x..y.zone", relative, "DIR/x..y.zone: \"x..y\" is no origin: label is empty"),
            ("x.db", "$ORIGIN sub\n", "DIR/x.db: \"sub\" is no origin: name is relative but there is no origin"),
        ] {
            assert_eq!(check_read(file_name, None, text), expected);
        }
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let error = check_read("x.zone", None, "a 60 A 192.0.2.1\na 60 A 192.0.2.256\n");
        assert!(error.starts_with("DIR/x.zone:2:"), "{error}");
        let missing = ZoneSource { path: "/nonexistent/x.zone".into(), origin: None };
        let Err(error) = read_zone(&missing, &ReadOptions::default()) else { panic!("there is no such file") };
        assert!(error.to_string().contains("/nonexistent/x.zone"));
    }

    #[test]
    fn all_zone_files_below_a_directory_are_found_in_order() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("sub/deep.zone")).unwrap();
        for name in ["b.zone", "a.zone", "sub/c.zone", "sub/deep.zone/d.zone", ".hidden.zone", "a.zone~", "notes"] {
            std::fs::write(at(name), "").unwrap();
        }
        symlink(at("a.zone"), at("link.zone")).unwrap();
        symlink(dir.path(), at("sub/circle.zone")).unwrap();
        let found = sources_in(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|source| source.path.strip_prefix(dir.path()).unwrap()).collect();
        let expected = ["a.zone", "b.zone", "link.zone", "sub/c.zone", "sub/deep.zone/d.zone"];
        assert_eq!(names, expected.map(Path::new));
        symlink("nowhere", at("dangling.zone")).unwrap();
        assert!(sources_in(dir.path()).is_err());
        assert!(sources_in(&at("missing")).is_err());
    }
}
